/*
 * Contexts: the interface of evaluation, and what a built-in sees of it.
 */
#include "rego/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/secret.h"
#include "rego/front.h"

#define FIRST_REGISTERS 1024
#define FIRST_FRAMES 16
#define KEPT_BYTES ((size_t)64 << 10) /* of memory between evaluations, if it was needed once */

/* ---- policies ---- */

struct rego_policy *rego_policy_ref(struct rego_policy *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

struct rego_policy *rego_policy_unref(struct rego_policy *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    arena_done(&p->arena);
    free(p);
    return NULL;
}

bool rego_policy_has_rule(const struct rego_policy *p, struct str path)
{
    uint32_t fn;
    return program_find(p, path, &fn) == OK;
}

struct str rego_policy_package(const struct rego_policy *p, size_t n)
{
    return n < p->package_count ? p->packages[n] : STR_EMPTY;
}

bool rego_policy_reads_data(const struct rego_policy *p)
{
    return p->reads_data;
}

bool rego_policy_may_read_input(const struct rego_policy *p, const struct str *path, size_t len)
{
    for (uint32_t i = 0; i < p->read_count; i++) {
        const struct prog_read *r = &p->reads[i];
        if (r->data)
            continue;
        size_t k = 0;
        while (k < len && k < r->len && r->parts[k].ptr != NULL && str_equal(r->parts[k], path[k]))
            k++;
        if (k == len || (k == r->len && !r->tested))
            return true;
    }
    return false;
}

void rego_policy_data_reads(const struct rego_policy *p,
                            void (*each)(void *user, const struct str *path, size_t len),
                            void *user)
{
    for (uint32_t i = 0; i < p->read_count; i++)
        if (p->reads[i].data)
            each(user, p->reads[i].parts, p->reads[i].len);
}

void rego_policy_constant_calls(const struct rego_policy *p, struct str function,
                                void (*each)(void *user, struct str arg), void *user)
{
    for (uint32_t i = 0; i < p->constant_call_count; i++)
        if (str_equal(p->constant_calls[i].function, function))
            each(user, p->constant_calls[i].arg);
}

void rego_policy_rules(const struct rego_policy *p,
                       void (*each)(void *user, const struct rego_rule_info *rule), void *user)
{
    for (uint32_t i = 0; i < p->rule_count; i++) {
        const struct prog_rule *r = &p->rules[i];
        struct rego_rule_info info = {
            .path = r->path,
            .file = r->pos.file,
            .row = r->pos.row,
            .col = r->pos.col,
            .is_default = r->is_default,
            .is_function = r->is_function,
        };
        if (!r->is_else)
            each(user, &info);
    }
}

/* ---- contexts ---- */

static void set_limits(struct rego_ctx *ctx, const struct rego_limits *limits)
{
    ctx->limits = limits == NULL ? (struct rego_limits){0} : *limits;
    if (ctx->limits.steps == 0)
        ctx->limits.steps = STEPS_DEFAULT;
    if (ctx->limits.memory == 0)
        ctx->limits.memory = MEMORY_DEFAULT;
    if (ctx->limits.depth == 0)
        ctx->limits.depth = DEPTH_DEFAULT;
    if (ctx->limits.output == 0)
        ctx->limits.output = OUTPUT_DEFAULT;
    ctx->arena.max = ctx->limits.memory;
}

struct rego_ctx *rego_ctx_new(const struct rego_limits *limits)
{
    struct rego_ctx *ctx = calloc(1, sizeof(*ctx));
    if (ctx == NULL)
        return NULL;
    arena_init_secret(&ctx->arena, MEMORY_DEFAULT);
    set_limits(ctx, limits);
    ctx->first.start = malloc(FIRST_REGISTERS * sizeof(value));
    ctx->frames = malloc(FIRST_FRAMES * sizeof(*ctx->frames));
    ctx->frame_cap = FIRST_FRAMES;
    if (ctx->first.start == NULL || ctx->frames == NULL)
        return rego_ctx_free(ctx);
    ctx->first.end = ctx->first.start + FIRST_REGISTERS;
    rego_ctx_reset(ctx);
    return ctx;
}

/* ---- compiled objects, kept across evaluations ---- */

static struct cached **bucket_of(struct rego_ctx *ctx, uint64_t hash)
{
    return &ctx->cache_buckets[hash & (CACHE_MAX - 1)];
}

static void unlink_cached(struct rego_ctx *ctx, struct cached *c)
{
    *(c->prev != NULL ? &c->prev->next : &ctx->cache) = c->next;
    *(c->next != NULL ? &c->next->prev : &ctx->cache_last) = c->prev;
}

static void link_first(struct rego_ctx *ctx, struct cached *c)
{
    c->prev = NULL;
    c->next = ctx->cache;
    *(c->next != NULL ? &c->next->prev : &ctx->cache_last) = c;
    ctx->cache = c;
}

static void drop_last(struct rego_ctx *ctx)
{
    struct cached *c = ctx->cache_last;
    unlink_cached(ctx, c);
    struct cached **at = bucket_of(ctx, c->hash);
    while (*at != c)
        at = &(*at)->chain;
    *at = c->chain;
    for (size_t i = 0; i < HINTS; i++)
        if (ctx->cache_hints[i] == c)
            ctx->cache_hints[i] = NULL;
    bytes_wipe(c->key, c->key_len);
    c->destroy(c->object);
    free(c->key);
    free(c);
    ctx->cache_len--;
}

static void drop_cache(struct rego_ctx *ctx)
{
    while (ctx->cache_last != NULL)
        drop_last(ctx);
}

static uint64_t hash_cached(const char *kind, struct str key)
{
    return hash_bytes(key.ptr, key.len, (unsigned char)kind[0]);
}

static bool is_cached(const struct cached *c, const char *kind, struct str key)
{
    return (c->kind == kind || strcmp(c->kind, kind) == 0) &&
           str_equal(str_bytes(c->key, c->key_len), key);
}

static void move_first(struct rego_ctx *ctx, struct cached *c)
{
    if (c == ctx->cache)
        return;
    unlink_cached(ctx, c);
    link_first(ctx, c);
}

void *rego_call_cache_get(struct rego_call *call, const char *kind, struct str key)
{
    struct rego_ctx *ctx = call->ctx;
    if (ctx->cache_len == 0)
        return NULL;
    /* A constant of the policy is at the same place each time; its hash costs more than a look. */
    uint64_t place = (uint64_t)((uintptr_t)key.ptr >> 4) * 0x9e3779b97f4a7c15u;
    struct cached **hint = &ctx->cache_hints[(place >> 32) % HINTS];
    struct cached *c = *hint;
    if (c == NULL || !is_cached(c, kind, key)) {
        uint64_t hash = hash_cached(kind, key);
        c = *bucket_of(ctx, hash);
        while (c != NULL && (c->hash != hash || !is_cached(c, kind, key)))
            c = c->chain;
    }
    if (c == NULL)
        return NULL;
    *hint = c;
    move_first(ctx, c);
    return c->object;
}

bool rego_call_cache_put(struct rego_call *call, const char *kind, struct str key, void *object,
                         void (*destroy)(void *object))
{
    struct rego_ctx *ctx = call->ctx;
    struct cached *c = malloc(sizeof(*c));
    char *copy = malloc(key.len + 1);
    if (c == NULL || copy == NULL) {
        free(c);
        free(copy);
        return false;
    }
    if (key.len > 0)
        memcpy(copy, key.ptr, key.len);
    uint64_t hash = hash_cached(kind, key);
    struct cached **bucket = bucket_of(ctx, hash);
    *c = (struct cached){.chain = *bucket,
                         .kind = kind,
                         .key = copy,
                         .key_len = key.len,
                         .hash = hash,
                         .object = object,
                         .destroy = destroy};
    *bucket = c;
    link_first(ctx, c);
    if (++ctx->cache_len > CACHE_MAX)
        drop_last(ctx);
    return true;
}

struct rego_ctx *rego_ctx_free(struct rego_ctx *ctx)
{
    if (ctx == NULL)
        return NULL;
    drop_cache(ctx);
    free(ctx->covered);
    rego_policy_unref(ctx->covered_policy);
    rego_policy_unref(ctx->query_policy);
    arena_done(&ctx->arena);
    free(ctx->first.start);
    free(ctx->frames);
    free(ctx);
    return NULL;
}

/* Forget what the last parameters led to; the arena stays as it is. */
static void forget(struct rego_ctx *ctx)
{
    ctx->policy = NULL;
    ctx->params = (struct rego_eval){.input = VALUE_UNDEFINED, .data = VALUE_UNDEFINED};
    ctx->root = (struct view){.input = VALUE_UNDEFINED, .data = VALUE_UNDEFINED};
    ctx->view = &ctx->root;
    ctx->places = NULL;
    ctx->loops_seen = NULL;
    ctx->frame_count = 0;
    ctx->first.next = NULL;
    ctx->segment = &ctx->first;
    ctx->top = ctx->regs = ctx->first.start;
    ctx->status = OK;
    ctx->error = (struct rego_error){0};
    ctx->errors = (struct rego_errors){NULL, 0};
    ctx->has_builtin_error = false;
    ctx->trace = NULL;
    ctx->trace_len = ctx->trace_cap = 0;
    ctx->memo_items = NULL;
    ctx->has_now = false;
    ctx->arena.unshared_max = 0;
}

void rego_ctx_reset(struct rego_ctx *ctx)
{
    forget(ctx);
    arena_reset_keeping(&ctx->arena, KEPT_BYTES);
    ctx->steps_left = ctx->steps_max = ctx->limits.steps;
}

void rego_ctx_set_limits(struct rego_ctx *ctx, const struct rego_limits *limits)
{
    set_limits(ctx, limits);
}

struct arena *rego_ctx_arena(struct rego_ctx *ctx)
{
    return &ctx->arena;
}

const struct rego_error *rego_ctx_error(const struct rego_ctx *ctx)
{
    return &ctx->error;
}

struct rego_errors rego_ctx_errors(const struct rego_ctx *ctx)
{
    if (ctx->errors.len > 0)
        return ctx->errors;
    return (struct rego_errors){&ctx->error, ctx->error.code != NULL};
}

uint64_t rego_ctx_steps(const struct rego_ctx *ctx)
{
    return ctx->steps_max - ctx->steps_left;
}

size_t rego_ctx_bytes(const struct rego_ctx *ctx)
{
    return ctx->arena.used - (size_t)(ctx->arena.end - ctx->arena.next);
}

/* ---- coverage ---- */

STATUS rego_ctx_cover(struct rego_ctx *ctx, struct rego_policy *p)
{
    uint8_t *bits = calloc(((size_t)p->expr_count + p->rule_count) / 8 + 1, 1);
    if (bits == NULL)
        return ERR_NOMEM;
    free(ctx->covered);
    rego_policy_unref(ctx->covered_policy);
    ctx->covered = bits;
    ctx->covered_policy = rego_policy_ref(p);
    ctx->covered_of = p;
    return OK;
}

void rego_ctx_coverage(const struct rego_ctx *ctx, const struct rego_policy *p,
                       void (*each)(void *user, struct str file, uint32_t row, bool covered),
                       void *user)
{
    if (ctx->covered == NULL || ctx->covered_of != p)
        return;
    for (uint32_t i = 0; i < p->expr_count + p->rule_count; i++) {
        bool is_expr = i < p->expr_count;
        const struct prog_pos *pos = is_expr ? &p->exprs[i].pos : &p->rules[i - p->expr_count].pos;
        if (pos->row > 0)
            each(user, pos->file, pos->row, (ctx->covered[i / 8] >> (i & 7) & 1) != 0);
    }
}

struct rego_trace rego_ctx_trace(const struct rego_ctx *ctx)
{
    return (struct rego_trace){ctx->trace, ctx->trace_len};
}

/* ---- evaluating ---- */

static bool same_params(const struct rego_ctx *ctx, const struct rego_eval *p)
{
    const struct rego_eval *have = &ctx->params;
    return ctx->policy == p->policy && have->input.word == p->input.word &&
           have->data.word == p->data.word && have->indexes == p->indexes &&
           have->now_ns == p->now_ns && have->random_seed[0] == p->random_seed[0] &&
           have->random_seed[1] == p->random_seed[1] && have->strict_errors == p->strict_errors &&
           have->trace == p->trace && have->user == p->user && have->print == p->print &&
           have->test_case == p->test_case && ctx->status == OK;
}

/*
 * Four times what there can be of different things: a value that has the same part
 * over and over, [a, a] of [b, b] of ..., would take for ever to compare.
 */
#define SHARING_MAX 4

static uint32_t unshared_max(const struct rego_ctx *ctx)
{
    uint64_t bytes =
        (uint64_t)ctx->limits.memory + value_size(ctx->params.input) + value_size(ctx->params.data);
    uint64_t units = bytes / 16 * SHARING_MAX;
    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

/* Caches of an evaluation with equal parameters are kept (rego.h). */
void rego_ctx_begin(struct rego_ctx *ctx, const struct rego_eval *params)
{
    ctx->steps_left = ctx->steps_max = ctx->limits.steps;
    ctx->until_deadline = DEADLINE_STEPS;
    if (same_params(ctx, params)) {
        ctx->error = (struct rego_error){0};
        return;
    }
    forget(ctx);
    ctx->policy = params->policy;
    ctx->params = *params;
    ctx->root.input = params->input;
    ctx->root.data = params->data;
    ctx->arena.unshared_max = unshared_max(ctx);
    ctx->random_state[0] = params->random_seed[0];
    ctx->random_state[1] = params->random_seed[1];
}

STATUS rego_ctx_finish(struct rego_ctx *ctx, enum status st)
{
    if (st == OK && arena_status(&ctx->arena) != OK)
        st = vm_no_memory(ctx);
    if (st == OK && ctx->has_builtin_error && ctx->params.strict_errors) {
        ctx->error = ctx->builtin_error;
        ctx->status = st = ERR_INVALID;
    }
    if (ctx->status == OK)
        ctx->status = st == ERR_NOT_FOUND ? OK : st;
    return st;
}

/* "data.a.b[\"c\"][0]" as keys; false when it is no such path. */
static bool parse_path(struct rego_ctx *ctx, struct str path, value *keys, uint32_t *len)
{
    *len = 0;
    if (!str_has_prefix(path, STR("data")))
        return false;
    size_t at = 4;
    while (at < path.len) {
        if (*len == 64)
            return false;
        struct str part;
        if (path.ptr[at] == '.') {
            size_t end = ++at;
            while (end < path.len && path.ptr[end] != '.' && path.ptr[end] != '[')
                end++;
            part = str_slice(path, at, end - at);
            at = end;
            if (part.len == 0)
                return false;
        } else if (path.ptr[at] == '[' && at + 1 < path.len && path.ptr[at + 1] == '"') {
            size_t end = str_find(path, '"', at + 2);
            if (end + 1 >= path.len || path.ptr[end + 1] != ']')
                return false;
            part = str_slice(path, at + 2, end - at - 2);
            at = end + 2;
        } else {
            return false;
        }
        keys[*len] = value_string(&ctx->arena, part);
        if (!value_is_defined(keys[(*len)++]))
            return false;
    }
    return true;
}

static uint32_t child_by_key(const struct rego_policy *p, uint32_t node, value key)
{
    const struct prog_node *n = &p->nodes[node];
    for (uint32_t i = 0; i < n->child_count; i++)
        if (value_equal(p->nodes[n->children[i]].key, key))
            return n->children[i];
    return FN_NONE;
}

static STATUS rule_value(struct rego_ctx *ctx, uint32_t fn, value *out)
{
    *out = vm_memo(ctx, fn);
    if (out->word != 0)
        return OK;
    return vm_run(ctx, fn, out);
}

static STATUS document_value(struct rego_ctx *ctx, uint32_t node, value *out)
{
    uint32_t at = node;
    for (;;) {
        uint32_t fn = vm_missing(ctx, node, &at);
        if (fn == FN_NONE)
            break;
        value v;
        enum status st = vm_run(ctx, fn, &v);
        if (st != OK)
            return st;
    }
    *out = vm_document(ctx, node);
    return OK;
}

static STATUS walk_path(struct rego_ctx *ctx, const value *keys, uint32_t len, value *out)
{
    const struct rego_policy *p = ctx->policy;
    uint32_t node = 0;
    uint32_t i = 0;
    while (i < len && p->nodes[node].fn == FN_NONE) {
        uint32_t child = child_by_key(p, node, keys[i]);
        if (child == FN_NONE)
            break;
        node = child;
        i++;
    }
    uint32_t fn = p->nodes[node].fn;
    enum status st = OK;
    if (fn != FN_NONE) {
        if (p->fns[fn].kind == FN_FUNCTION)
            return vm_fail(ctx, ERR_INVALID, TYPE_ERROR, &p->fns[fn].pos,
                           "function %.*s used as reference, not called", STR_ARG(p->fns[fn].name));
        st = rule_value(ctx, fn, out);
    } else if (i == len) {
        st = document_value(ctx, node, out);
    } else {
        *out = ctx->view->data;
        i = 0;
    }
    if (st != OK)
        return st;
    for (; i < len && value_is_defined(*out); i++)
        *out = value_lookup(*out, keys[i]);
    return fn == FN_NONE && !value_is_defined(*out) ? ERR_NOT_FOUND : OK;
}

/* A service asks for the same few rules again and again. */
static bool find_rule(struct rego_ctx *ctx, struct str path, uint32_t *fn)
{
    const struct rego_policy *p = ctx->policy;
    if (ctx->last_fn >= p->named_fn_count || !str_equal(p->fns[ctx->last_fn].name, path)) {
        if (program_find(p, path, &ctx->last_fn) != OK)
            return false;
    }
    *fn = ctx->last_fn;
    return p->fns[*fn].kind != FN_FUNCTION;
}

STATUS rego_eval_path(struct rego_ctx *ctx, const struct rego_eval *params, struct str path,
                      value *out)
{
    rego_ctx_begin(ctx, params);
    uint32_t fn;
    value v = VALUE_UNDEFINED;
    enum status st;
    if (find_rule(ctx, path, &fn)) {
        st = rule_value(ctx, fn, &v);
    } else {
        value keys[64];
        uint32_t len;
        if (!parse_path(ctx, path, keys, &len)) {
            ctx->error = (struct rego_error){.code = "rego_parse_error",
                                             .message = STR("not a path below data")};
            return ERR_INVALID;
        }
        st = walk_path(ctx, keys, len, &v);
    }
    st = rego_ctx_finish(ctx, st);
    if (st == OK)
        *out = v;
    return st;
}

/* ---- inside a call ---- */

struct arena *rego_call_arena(struct rego_call *call)
{
    return &call->ctx->arena;
}

void *rego_call_user(struct rego_call *call)
{
    return call->ctx->params.user;
}

int64_t rego_call_now_ns(struct rego_call *call)
{
    struct rego_ctx *ctx = call->ctx;
    if (!ctx->has_now) {
        ctx->now_ns = ctx->params.now_ns != 0 ? ctx->params.now_ns : clock_now_ns(&clock_system);
        ctx->has_now = true;
    }
    return ctx->now_ns;
}

/* splitmix64: reproducible from the seed; nothing secret is made of it. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void rego_call_random(struct rego_call *call, void *out, size_t len)
{
    struct rego_ctx *ctx = call->ctx;
    if (ctx->params.random_seed[0] == 0 && ctx->params.random_seed[1] == 0) {
        random_bytes(out, len);
        return;
    }
    unsigned char *p = out;
    while (len > 0) {
        uint64_t r = next_random(&ctx->random_state[0]) ^ ctx->random_state[1];
        size_t n = len < sizeof(r) ? len : sizeof(r);
        memcpy(p, &r, n);
        p += n;
        len -= n;
    }
}

void rego_call_print(struct rego_call *call, struct str line)
{
    if (call->ctx->params.print != NULL)
        call->ctx->params.print(call->ctx->params.user, line);
}

void rego_call_test_case(struct rego_call *call, value names)
{
    if (call->ctx->params.test_case != NULL)
        call->ctx->params.test_case(call->ctx->params.user, names);
}

value rego_call_memo_get(struct rego_call *call, const char *name, value key)
{
    for (const struct memo_item *m = call->ctx->memo_items; m != NULL; m = m->next)
        if (strcmp(m->name, name) == 0 && value_equal(m->key, key))
            return m->val;
    return VALUE_UNDEFINED;
}

void rego_call_memo_put(struct rego_call *call, const char *name, value key, value v)
{
    struct memo_item *m = arena_new(&call->ctx->arena, struct memo_item);
    if (m == NULL)
        return;
    *m = (struct memo_item){call->ctx->memo_items, name, key, v};
    call->ctx->memo_items = m;
}

size_t rego_call_output_max(struct rego_call *call)
{
    return call->ctx->limits.output;
}

static void set_call_error(struct rego_call *call, const char *code, bool named, const char *text)
{
    struct rego_ctx *ctx = call->ctx;
    ctx->call_error = (struct rego_error){.code = code};
    ctx->call_error.message = named
                                  ? arena_format(&ctx->arena, "%.*s: %s", STR_ARG(call->name), text)
                                  : arena_str(&ctx->arena, str_of(text));
    if (ctx->call_error.message.ptr == NULL)
        ctx->call_error.message = STR("out of memory");
}

enum rego_outcome rego_call_error(struct rego_call *call, const char *format, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    set_call_error(call, "eval_builtin_error", true, text);
    return REGO_FAILED;
}

enum rego_outcome rego_call_type_error(struct rego_call *call, unsigned operand,
                                       const char *expected, value got)
{
    char text[512];
    snprintf(text, sizeof(text), "operand %u must be %s but got %s", operand, expected,
             value_kind_name(value_kind(got)));
    set_call_error(call, "eval_type_error", true, text);
    return REGO_FAILED;
}

enum rego_outcome rego_call_type_text(struct rego_call *call, const char *format, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    set_call_error(call, "eval_type_error", true, text);
    return REGO_FAILED;
}

enum rego_outcome rego_call_conflict(struct rego_call *call, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    struct prog_pos pos = vm_position(call->ctx->policy, call->ctx->pc);
    vm_fail(call->ctx, ERR_INVALID, "eval_conflict_error", &pos, "%s", text);
    return REGO_FATAL;
}

enum rego_outcome rego_call_status(struct rego_call *call, enum status st, const struct error *err)
{
    struct rego_ctx *ctx = call->ctx;
    /*
     * The engine is not whole: `not regex.match(...)` in a policy must not hold
     * because claviger-re2.so is missing.  Upstairs "unavailable" means collateral.
     */
    if (st == ERR_UNAVAILABLE)
        st = ERR_IO;
    if (st == ERR_NOMEM || st == ERR_LIMIT || st == ERR_CANCELLED || st == ERR_IO) {
        if (err != NULL && err->text[0] != '\0')
            vm_fail(ctx, st, "eval_cancel_error", NULL, "%.*s: %s", STR_ARG(call->name), err->text);
        else if (arena_status(&ctx->arena) != OK)
            vm_no_memory(ctx);
        else
            vm_fail(ctx, st, "eval_cancel_error", NULL, "%.*s: %s", STR_ARG(call->name),
                    st == ERR_LIMIT   ? "result is too large"
                    : st == ERR_NOMEM ? "out of memory"
                                      : status_name(st));
        return REGO_FATAL;
    }
    return rego_call_error(call, "%s",
                           err != NULL && err->text[0] != '\0' ? err->text : status_name(st));
}

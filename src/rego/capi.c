/*
 * The public interface (include/claviger-rego.h) over the engine's own.
 *
 * Only the shared library has it.  Values and calls are the engine's under
 * another name; numbers of statuses and kinds are the same, which is asserted.
 */
#include "rego/rego.h"

#define CREGO_INTERNAL_TYPES
typedef value crego_value;
typedef enum rego_outcome crego_outcome;
typedef struct rego_call crego_call;
#include "claviger-rego.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "rego/builtin.h"
#include "value/json.h"

#define DATA_MEMORY_MAX ((size_t)4 << 30)
#define JSON_MAX ((size_t)1 << 30)
#define CLAIMS_MEMORY_MAX ((size_t)16 << 20)
#define FUNCTIONS_MAX 256

_Static_assert((int)CREGO_NOMEM == ERR_NOMEM && (int)CREGO_LIMIT == ERR_LIMIT, "statuses");
_Static_assert((int)CREGO_INVALID == ERR_INVALID && (int)CREGO_NOT_FOUND == ERR_NOT_FOUND,
               "statuses");
_Static_assert((int)CREGO_CANCELLED == ERR_CANCELLED && (int)CREGO_INTERNAL == ERR_INTERNAL,
               "statuses");
_Static_assert((int)CREGO_KIND_NULL == VALUE_KIND_NULL && (int)CREGO_KIND_SET == VALUE_KIND_SET,
               "kinds");
_Static_assert(REGO_VALUE == 0 && REGO_UNDEFINED == 1 && REGO_FAILED == 2 && REGO_FATAL == 3,
               "outcomes");
_Static_assert((int)CREGO_V1 == REGO_V1 && (int)CREGO_V0 == REGO_V0, "versions");

/* The functions of a compiler: policies point to them, so they are counted, too. */
struct functions {
    atomic_uint refs;
    size_t len;
    struct rego_host_function items[FUNCTIONS_MAX];
};

struct crego_compiler {
    struct rego_options options;
    struct rego_compiler *c; /* made with the first module: the functions must be known */
    struct functions *functions;
    struct arena claims;
};

struct crego_policy {
    atomic_uint refs;
    struct rego_policy *p;
    struct functions *functions;
};

struct crego_data {
    atomic_uint refs;
    struct arena arena;
    value v;
    struct rego_indexes *indexes;
};

struct crego_ctx {
    struct rego_ctx *ctx;
    struct rego_eval params;
    crego_data *data;
    void *user;
    void (*print)(void *user, const char *line, size_t len);
    struct error error; /* of a call that did not evaluate */
    bool own_error;
};

static crego_status status_of(enum status st)
{
    return st == ERR_EXISTS || st == ERR_DENIED || st == ERR_IO || st == ERR_UNSUPPORTED ||
                   st == ERR_UNAVAILABLE
               ? CREGO_INTERNAL
               : (crego_status)st;
}

static void release(struct functions *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < f->len; i++) {
        free((char *)(uintptr_t)f->items[i].name);
        free((char *)(uintptr_t)f->items[i].type);
    }
    free(f);
}

/*
 * A structure whose first member says how large it is for the caller.  False: that
 * was forgotten, which would leave limits out in silence, or something is asked for
 * that this library does not know.
 */
static bool take_sized(void *to, size_t own, const void *from, size_t size)
{
    if (size <= sizeof(size_t))
        return false;
    for (size_t i = own; i < size; i++)
        if (((const unsigned char *)from)[i] != 0)
            return false;
    memcpy(to, from, size < own ? size : own);
    return true;
}

/* ---- compiling ---- */

EXPORT crego_status crego_compiler_new(const crego_options *options, crego_compiler **out)
{
    crego_options o = {0};
    if (options != NULL &&
        (!take_sized(&o, sizeof(o), options, options->size) || (unsigned)o.version > CREGO_V0))
        return CREGO_INTERNAL;
    crego_compiler *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->functions = calloc(1, sizeof(*c->functions))) == NULL) {
        free(c);
        return CREGO_NOMEM;
    }
    c->functions->refs = 1;
    arena_init(&c->claims, CLAIMS_MEMORY_MAX);
    c->options = REGO_OPTIONS_DEFAULT;
    c->options.version = (enum rego_version)o.version;
    c->options.strict = o.strict;
    c->options.keep_print = o.keep_print;
    c->options.refuse_missing_builtins = o.refuse_missing_builtins;
    c->options.experimental_keywords = o.experimental_keywords;
    c->options.source_max = o.source_max;
    c->options.deadline_ns = o.deadline_ns;
    *out = c;
    return CREGO_OK;
}

EXPORT void crego_compiler_free(crego_compiler *c)
{
    if (c == NULL)
        return;
    rego_compiler_free(c->c);
    release(c->functions);
    arena_done(&c->claims);
    free(c);
}

EXPORT crego_status crego_compiler_claims(crego_compiler *c, const char *json, size_t len)
{
    if (c->c != NULL)
        return CREGO_INTERNAL;
    value v = VALUE_UNDEFINED;
    enum status st = json_parse(&c->claims, str_bytes(json, len), NULL, &v, NULL);
    if (st == OK && !value_is_object(v))
        st = ERR_INVALID;
    if (st == OK)
        c->options.claim_schema = v;
    return status_of(st);
}

/* `crego_value v = {0};` that nothing was put into: no value, and no pointer. */
static crego_value known(crego_value v)
{
    return v.word == 0 ? VALUE_UNDEFINED : v;
}

/* ---- functions of the host ---- */

#define TYPE_DEPTH_MAX 16
#define TYPE_ITEMS_MAX 16

static bool take(const char **p, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(*p, text, len) != 0)
        return false;
    *p += len;
    return true;
}

static bool take_type(const char **p, unsigned depth);

/* "T, U]" up to `close`; `max` of them at most. */
static bool take_types(const char **p, const char *close, size_t max, unsigned depth)
{
    while (take(p, " "))
        ;
    if (take(p, close))
        return max > 1 && *close != '>'; /* array[], set[] and any<> need one */
    for (size_t n = 1; n <= max; n++) {
        if (!take_type(p, depth))
            return false;
        while (take(p, " "))
            ;
        if (take(p, close))
            return true;
        if (!take(p, ","))
            return false;
        while (take(p, " "))
            ;
    }
    return false;
}

/* The notation in the header: a word that is not of it would stand for `any`. */
static bool take_type(const char **p, unsigned depth)
{
    static const char *const words[] = {"null", "boolean", "number", "string"};
    if (depth == TYPE_DEPTH_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (take(p, words[i]))
            return true;
    if (take(p, "["))
        return take_types(p, "]", TYPE_ITEMS_MAX, depth + 1);
    if (take(p, "any"))
        return !take(p, "<") || take_types(p, ">", TYPE_ITEMS_MAX, depth + 1);
    if (take(p, "array") || take(p, "set"))
        return !take(p, "[") || take_types(p, "]", 1, depth + 1);
    if (!take(p, "object"))
        return false;
    if (!take(p, "["))
        return true;
    return take_type(p, depth + 1) && take(p, ":") && (take(p, " ") || true) &&
           take_type(p, depth + 1) && take(p, "]");
}

static bool is_function_type(const char *p)
{
    if (!take(&p, "(") || !take_types(&p, ")", TYPE_ITEMS_MAX, 0))
        return false;
    return *p == '\0' || (take(&p, " ") && take_type(&p, 0) && *p == '\0');
}

/* Names with dots between them. */
static bool is_function_name(const char *name)
{
    bool begin = true;
    for (const char *p = name; *p != '\0'; p++) {
        bool letter = *p == '_' || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z');
        bool digit = *p >= '0' && *p <= '9';
        if (begin ? !letter : !letter && !digit && *p != '.')
            return false;
        begin = *p == '.';
    }
    return !begin;
}

static bool is_taken(const struct functions *f, const char *name)
{
    for (size_t i = 0; i < f->len; i++)
        if (strcmp(f->items[i].name, name) == 0)
            return true;
    return false;
}

EXPORT crego_status crego_compiler_function(crego_compiler *c, const char *name, const char *type,
                                            bool pure, crego_function fn)
{
    struct functions *f = c->functions;
    if (c->c != NULL || f->len == FUNCTIONS_MAX || fn == NULL)
        return CREGO_INTERNAL;
    if (!is_function_name(name) || !is_function_type(type) || is_taken(f, name))
        return CREGO_INVALID;
    char *own_name = strdup(name);
    char *own_type = strdup(type);
    if (own_name == NULL || own_type == NULL) {
        free(own_name);
        free(own_type);
        return CREGO_NOMEM;
    }
    f->items[f->len++] = (struct rego_host_function){own_name, own_type, pure ? REGO_PURE : 0, fn};
    return CREGO_OK;
}

static bool start(crego_compiler *c)
{
    if (c->c != NULL)
        return true;
    c->options.functions = c->functions->items;
    c->options.function_count = c->functions->len;
    c->c = rego_compiler_new(&c->options);
    return c->c != NULL;
}

EXPORT crego_status crego_compiler_add(crego_compiler *c, const char *file, const char *text,
                                       size_t len)
{
    if (!start(c))
        return CREGO_NOMEM;
    return status_of(rego_compiler_add(c->c, str_of(file), str_bytes(text, len)));
}

EXPORT crego_status crego_compiler_finish(crego_compiler *c, crego_policy **out)
{
    if (!start(c))
        return CREGO_NOMEM;
    crego_policy *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return CREGO_NOMEM;
    enum status st = rego_compiler_finish(c->c, &p->p);
    if (st != OK) {
        free(p);
        return status_of(st);
    }
    p->refs = 1;
    p->functions = c->functions;
    atomic_fetch_add_explicit(&p->functions->refs, 1, memory_order_relaxed);
    *out = p;
    return CREGO_OK;
}

static void tell(const struct rego_error *e, crego_error *out)
{
    *out = (crego_error){
        .code = e->code == NULL ? "" : e->code,
        .message = e->message.ptr == NULL ? "" : e->message.ptr,
        .message_len = e->message.len,
        .file = e->file.ptr == NULL ? "" : e->file.ptr,
        .file_len = e->file.len,
        .row = e->row,
        .col = e->col,
    };
}

EXPORT bool crego_compiler_error(const crego_compiler *c, size_t i, crego_error *out)
{
    if (c->c == NULL || i >= rego_compiler_errors(c->c).len)
        return false;
    tell(&rego_compiler_errors(c->c).items[i], out);
    return true;
}

EXPORT bool crego_compiler_warning(const crego_compiler *c, size_t i, crego_error *out)
{
    if (c->c == NULL || i >= rego_compiler_warnings(c->c).len)
        return false;
    tell(&rego_compiler_warnings(c->c).items[i], out);
    return true;
}

EXPORT crego_policy *crego_policy_ref(crego_policy *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

EXPORT void crego_policy_unref(crego_policy *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    rego_policy_unref(p->p);
    release(p->functions);
    free(p);
}

EXPORT bool crego_policy_has_rule(const crego_policy *p, const char *path)
{
    return rego_policy_has_rule(p->p, str_of(path));
}

/* ---- documents ---- */

static STATUS read_json(struct arena *a, const char *text, size_t len, value *out,
                        struct error *err)
{
    struct json_options o = {.duplicates = JSON_DUP_LAST, .depth_max = 256};
    return json_parse(a, str_bytes(text, len), &o, out, err);
}

EXPORT crego_status crego_data_from_json(const char *text, size_t len, crego_data **out)
{
    crego_data *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return CREGO_NOMEM;
    d->refs = 1;
    arena_init(&d->arena, DATA_MEMORY_MAX);
    enum status st = read_json(&d->arena, text, len, &d->v, NULL);
    if (st == OK && !value_is_object(d->v))
        st = ERR_INVALID;
    if (st == OK && (d->indexes = rego_indexes_new(d->v, 0)) == NULL)
        st = ERR_NOMEM;
    if (st != OK) {
        crego_data_unref(d);
        return status_of(st);
    }
    *out = d;
    return CREGO_OK;
}

EXPORT crego_data *crego_data_ref(crego_data *d)
{
    if (d != NULL)
        atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

EXPORT void crego_data_unref(crego_data *d)
{
    if (d == NULL || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
        return;
    rego_indexes_free(d->indexes);
    arena_done(&d->arena);
    free(d);
}

EXPORT crego_value crego_data_value(const crego_data *d)
{
    return d->v;
}

/* ---- contexts ---- */

static bool read_limits(const crego_limits *limits, struct rego_limits *out)
{
    crego_limits l = {0};
    if (limits != NULL && !take_sized(&l, sizeof(l), limits, limits->size))
        return false;
    *out = (struct rego_limits){
        .steps = l.steps, .memory = l.memory, .depth = l.depth, .deadline_ns = l.deadline_ns};
    return true;
}

EXPORT crego_status crego_ctx_new(const crego_limits *limits, crego_ctx **out)
{
    struct rego_limits l;
    if (!read_limits(limits, &l))
        return CREGO_INTERNAL;
    crego_ctx *x = calloc(1, sizeof(*x));
    if (x == NULL || (x->ctx = rego_ctx_new(&l)) == NULL) {
        free(x);
        return CREGO_NOMEM;
    }
    x->params.input = VALUE_UNDEFINED;
    x->params.data = VALUE_UNDEFINED;
    *out = x;
    return CREGO_OK;
}

EXPORT void crego_ctx_free(crego_ctx *x)
{
    if (x == NULL)
        return;
    rego_ctx_free(x->ctx);
    crego_data_unref(x->data);
    free(x);
}

EXPORT void crego_ctx_reset(crego_ctx *x)
{
    rego_ctx_reset(x->ctx);
    x->params.input = VALUE_UNDEFINED;
    x->own_error = false;
}

EXPORT crego_status crego_ctx_set_limits(crego_ctx *x, const crego_limits *limits)
{
    struct rego_limits l;
    if (!read_limits(limits, &l))
        return CREGO_INTERNAL;
    rego_ctx_set_limits(x->ctx, &l);
    return CREGO_OK;
}

EXPORT void crego_ctx_set_data(crego_ctx *x, crego_data *d)
{
    crego_data_ref(d);
    crego_data_unref(x->data);
    x->data = d;
    x->params.data = d == NULL ? VALUE_UNDEFINED : d->v;
    x->params.indexes = d == NULL ? NULL : d->indexes;
}

EXPORT crego_status crego_ctx_set_input_json(crego_ctx *x, const char *text, size_t len)
{
    crego_ctx_reset(x);
    error_set(&x->error, "out of memory");
    enum status st = read_json(rego_ctx_arena(x->ctx), text, len, &x->params.input, &x->error);
    x->own_error = st != OK;
    return status_of(st);
}

EXPORT void crego_ctx_set_input(crego_ctx *x, crego_value v)
{
    x->params.input = known(v);
}

EXPORT void crego_ctx_set_time(crego_ctx *x, int64_t ns)
{
    x->params.now_ns = ns;
}

EXPORT void crego_ctx_set_seed(crego_ctx *x, uint64_t a, uint64_t b)
{
    x->params.random_seed[0] = a;
    x->params.random_seed[1] = b;
}

EXPORT void crego_ctx_set_strict_errors(crego_ctx *x, bool strict)
{
    x->params.strict_errors = strict;
}

EXPORT void crego_ctx_set_user(crego_ctx *x, void *user)
{
    x->user = user;
}

static void print_line(void *user, struct str line)
{
    crego_ctx *x = user;
    x->print(x->user, line.ptr, line.len);
}

EXPORT void crego_ctx_set_print(crego_ctx *x,
                                void (*print)(void *user, const char *line, size_t len))
{
    x->print = print;
    x->params.print = print == NULL ? NULL : print_line;
}

EXPORT void crego_ctx_set_trace(crego_ctx *x, bool on)
{
    x->params.trace = on ? REGO_TRACE_RULES : REGO_TRACE_OFF;
}

static crego_status outcome(enum status st, value v, crego_value *out)
{
    *out = st == OK ? v : VALUE_UNDEFINED;
    return st == OK && !value_is_defined(v) ? CREGO_UNDEFINED : status_of(st);
}

EXPORT crego_status crego_eval(crego_ctx *x, const crego_policy *p, const char *path,
                               crego_value *out)
{
    x->own_error = false;
    x->params.policy = p->p;
    x->params.user = x;
    value v = VALUE_UNDEFINED;
    enum status st = rego_eval_path(x->ctx, &x->params, str_of(path), &v);
    return outcome(st, v, out);
}

EXPORT crego_status crego_eval_query(crego_ctx *x, const crego_policy *p, const char *query,
                                     size_t len, crego_value *out)
{
    x->own_error = false;
    x->params.policy = p->p;
    x->params.user = x;
    value v = VALUE_UNDEFINED;
    enum status st = rego_eval_query(x->ctx, &x->params, str_bytes(query, len), &v);
    return outcome(st, v, out);
}

EXPORT void crego_ctx_error(const crego_ctx *x, crego_error *out)
{
    if (x->own_error) {
        *out = (crego_error){
            .code = "json_error",
            .message = x->error.text,
            .message_len = strlen(x->error.text),
            .file = "",
            .row = x->error.line,
            .col = x->error.col,
        };
        return;
    }
    tell(rego_ctx_error(x->ctx), out);
}

EXPORT uint64_t crego_ctx_steps(const crego_ctx *x)
{
    return rego_ctx_steps(x->ctx);
}

EXPORT size_t crego_ctx_bytes(const crego_ctx *x)
{
    return rego_ctx_bytes(x->ctx);
}

EXPORT bool crego_ctx_miss(const crego_ctx *x, size_t i, crego_miss *out)
{
    struct rego_trace t = rego_ctx_trace(x->ctx);
    if (i >= t.len)
        return false;
    const struct rego_trace_rule *r = &t.items[i];
    *out = (crego_miss){
        .rule = r->rule.ptr,
        .rule_len = r->rule.len,
        .file = r->file.ptr,
        .file_len = r->file.len,
        .expression = r->expression.ptr,
        .expression_len = r->expression.len,
        .left_path = r->left_path.ptr,
        .left_path_len = r->left_path.len,
        .right_path = r->right_path.ptr,
        .right_path_len = r->right_path.len,
        .row = r->row,
        .col = r->col,
        .left = r->left,
        .right = r->right,
    };
    return true;
}

/* ---- values ---- */

EXPORT crego_kind crego_kind_of(crego_value v)
{
    return (crego_kind)value_kind(known(v));
}

EXPORT bool crego_is_true(crego_value v)
{
    return value_is_true(v);
}

EXPORT bool crego_get_int64(crego_value v, int64_t *out)
{
    v = known(v);
    return value_kind(v) == VALUE_KIND_NUMBER && value_get_int64(v, out);
}

EXPORT size_t crego_number_text(crego_value v, char *out, size_t size)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    v = known(v);
    struct str s = value_kind(v) == VALUE_KIND_NUMBER ? value_number_text(v, scratch) : STR_EMPTY;
    if (size > 0) {
        size_t n = s.len < size ? s.len : size - 1;
        if (n > 0)
            memcpy(out, s.ptr, n);
        out[n] = '\0';
    }
    return s.len;
}

EXPORT const char *crego_string(crego_value v, size_t *len)
{
    v = known(v);
    struct str s = value_str(v);
    if (len != NULL)
        *len = s.len;
    return value_is_string(v) ? s.ptr : NULL;
}

EXPORT size_t crego_len(crego_value v)
{
    return value_len(known(v));
}

EXPORT crego_value crego_at(crego_value v, size_t i)
{
    v = known(v);
    enum value_kind k = value_kind(v);
    return (k == VALUE_KIND_ARRAY || k == VALUE_KIND_SET) && i < value_len(v) ? value_items(v)[i]
                                                                              : VALUE_UNDEFINED;
}

EXPORT bool crego_pair(crego_value v, size_t i, crego_value *key, crego_value *val)
{
    v = known(v);
    if (!value_is_object(v) || i >= value_len(v))
        return false;
    *key = value_pairs(v)[i].key;
    *val = value_pairs(v)[i].val;
    return true;
}

EXPORT crego_value crego_get(crego_value object, const char *key, size_t len)
{
    return value_get_str(known(object), str_bytes(key, len));
}

EXPORT int crego_compare(crego_value a, crego_value b)
{
    return value_compare(known(a), known(b));
}

EXPORT crego_status crego_to_json(crego_value v, char **out, size_t *len)
{
    struct buf b;
    buf_init(&b, JSON_MAX);
    enum status st = json_write(&b, known(v), JSON_COMPACT);
    if (st == OK)
        buf_add_byte(&b, '\0');
    if (st == OK)
        st = buf_status(&b);
    if (st != OK) {
        buf_done(&b);
        return status_of(st);
    }
    *out = b.ptr;
    if (len != NULL)
        *len = b.len - 1;
    return CREGO_OK;
}

EXPORT void crego_free(void *p)
{
    free(p);
}

/* ---- inside a function of the host ---- */

EXPORT void *crego_call_user(crego_call *call)
{
    return ((crego_ctx *)rego_call_user(call))->user;
}

EXPORT crego_outcome crego_call_error(crego_call *call, const char *message)
{
    return rego_call_error(call, "%s", message);
}

EXPORT crego_value crego_make_null(void)
{
    return VALUE_NULL;
}

EXPORT crego_value crego_make_bool(bool b)
{
    return value_bool(b);
}

EXPORT crego_value crego_make_int64(crego_call *call, int64_t n)
{
    return value_int(rego_call_arena(call), n);
}

EXPORT crego_value crego_make_string(crego_call *call, const char *s, size_t len)
{
    return value_string(rego_call_arena(call), str_bytes(s, len));
}

EXPORT crego_value crego_make_json(crego_call *call, const char *text, size_t len)
{
    value v = VALUE_UNDEFINED;
    return read_json(rego_call_arena(call), text, len, &v, NULL) == OK ? v : VALUE_UNDEFINED;
}

EXPORT crego_value crego_make_array(crego_call *call, const crego_value *items, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!value_is_defined(known(items[i])))
            return VALUE_UNDEFINED;
    return value_array(rego_call_arena(call), items, len);
}

EXPORT crego_value crego_make_object(crego_call *call, const crego_value *pairs, size_t pair_count)
{
    struct value_builder b;
    for (size_t i = 0; i < 2 * pair_count; i++)
        if (!value_is_defined(known(pairs[i])))
            return VALUE_UNDEFINED;
    value_builder_init(&b, rego_call_arena(call), pair_count);
    for (size_t i = 0; i < pair_count; i++)
        value_builder_put(&b, pairs[2 * i], pairs[2 * i + 1]);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

EXPORT const char *crego_version_text(void)
{
    return CLAVIGER_VERSION;
}

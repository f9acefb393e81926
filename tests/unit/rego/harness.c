#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "value/json.h"

/* The test's own call: the engine has another. */
struct rego_call {
    struct harness h;
};

struct memo {
    struct memo *next;
    const char *name;
    value key, val;
};

struct cached {
    struct cached *next;
    char *kind;
    char *key;
    size_t key_len;
    void *object;
    void (*destroy)(void *object);
};

void harness_init(struct harness *h)
{
    *h = (struct harness){.name = "",
                          .steps_max = 10000000,
                          .output_max = 16 << 20,
                          .call_memory = SIZE_MAX,
                          .random = 1};
    arena_init(&h->arena, 64 << 20);
}

void harness_done(struct harness *h)
{
    while (h->cache != NULL) {
        struct cached *c = h->cache;
        h->cache = c->next;
        c->destroy(c->object);
        free(c->kind);
        free(c->key);
        free(c);
    }
    h->memos = NULL;
    arena_done(&h->arena);
}

/* ---- what rego/builtin.h promises ---- */

static struct harness *of(struct rego_call *call)
{
    return &call->h;
}

struct arena *rego_call_arena(struct rego_call *call)
{
    return &of(call)->arena;
}

void *rego_call_user(struct rego_call *call)
{
    return call;
}

int64_t rego_call_now_ns(struct rego_call *call)
{
    return of(call)->now_ns;
}

void rego_call_random(struct rego_call *call, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        of(call)->random = of(call)->random * 6364136223846793005u + 1442695040888963407u;
        ((unsigned char *)out)[i] = (unsigned char)(of(call)->random >> 56);
    }
}

enum rego_outcome rego_call_parse_module(struct rego_call *call, struct str file, struct str text,
                                         value *out)
{
    (void)file;
    (void)text;
    (void)out;
    return rego_call_error(call, "no parser here");
}

void rego_call_print(struct rego_call *call, struct str line)
{
    snprintf(of(call)->printed, sizeof(of(call)->printed), "%.*s", STR_ARG(line));
}

void rego_call_test_case(struct rego_call *call, value names)
{
    snprintf(of(call)->printed, sizeof(of(call)->printed), "case of %zu", value_len(names));
}

value rego_call_memo_get(struct rego_call *call, const char *name, value key)
{
    for (struct memo *m = of(call)->memos; m != NULL; m = m->next)
        if (strcmp(m->name, name) == 0 && value_equal(m->key, key))
            return m->val;
    return VALUE_UNDEFINED;
}

void rego_call_memo_put(struct rego_call *call, const char *name, value key, value v)
{
    struct memo *m = arena_new(&of(call)->arena, struct memo);
    if (m == NULL)
        return;
    *m = (struct memo){of(call)->memos, name, key, v};
    of(call)->memos = m;
}

void *rego_call_cache_get(struct rego_call *call, const char *kind, struct str key)
{
    for (struct cached *c = of(call)->cache; c != NULL; c = c->next)
        if (strcmp(c->kind, kind) == 0 && str_equal(str_bytes(c->key, c->key_len), key))
            return c->object;
    return NULL;
}

bool rego_call_cache_put(struct rego_call *call, const char *kind, struct str key, void *object,
                         void (*destroy)(void *object))
{
    struct cached *c = calloc(1, sizeof(*c));
    char *kind_copy = strdup(kind);
    char *key_copy = malloc(key.len + 1);
    if (c == NULL || kind_copy == NULL || key_copy == NULL) {
        free(c);
        free(kind_copy);
        free(key_copy);
        return false;
    }
    if (key.len > 0)
        memcpy(key_copy, key.ptr, key.len);
    *c = (struct cached){of(call)->cache, kind_copy, key_copy, key.len, object, destroy};
    of(call)->cache = c;
    return true;
}

bool rego_call_charge_whole(struct rego_call *call, uint64_t units, uint64_t ns)
{
    (void)ns;
    return rego_call_charge(call, units);
}

bool rego_call_charge(struct rego_call *call, uint64_t units)
{
    struct harness *h = of(call);
    if (units > h->steps_max - h->steps) {
        snprintf(h->error, sizeof(h->error), "eval_cancel_error: step limit reached");
        h->steps = h->steps_max;
        return false;
    }
    h->steps += units;
    return true;
}

size_t rego_call_output_max(struct rego_call *call)
{
    return of(call)->output_max;
}

static void set_error(struct harness *h, const char *code, const char *format, va_list ap)
    PRINTF_LIKE(3, 0);
static void set_error(struct harness *h, const char *code, const char *format, va_list ap)
{
    char text[800];
    vsnprintf(text, sizeof(text), format, ap);
    snprintf(h->error, sizeof(h->error), "%s: %s: %s", code, h->name, text);
}

enum rego_outcome rego_call_error(struct rego_call *call, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    set_error(of(call), "eval_builtin_error", format, ap);
    va_end(ap);
    return REGO_FAILED;
}

enum rego_outcome rego_call_type_text(struct rego_call *call, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    set_error(of(call), "eval_type_error", format, ap);
    va_end(ap);
    return REGO_FAILED;
}

enum rego_outcome rego_call_type_error(struct rego_call *call, unsigned operand,
                                       const char *expected, value got)
{
    return rego_call_type_text(call, "operand %u must be %s but got %s", operand, expected,
                               value_kind_name(value_kind(got)));
}

enum rego_outcome rego_call_conflict(struct rego_call *call, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    set_error(of(call), "eval_conflict_error", format, ap);
    va_end(ap);
    return REGO_FATAL;
}

enum rego_outcome rego_call_status(struct rego_call *call, enum status st, const struct error *err)
{
    const char *text = err != NULL ? err->text : status_name(st);
    if (st != ERR_LIMIT && st != ERR_NOMEM && st != ERR_CANCELLED && st != ERR_INTERNAL)
        return rego_call_error(call, "%s", text);
    snprintf(of(call)->error, sizeof(of(call)->error), "eval_cancel_error: %s", text);
    return REGO_FATAL;
}

/* ---- terms ---- */

struct reader {
    struct harness *h;
    struct str text;
    size_t at;
    enum rego_outcome failed; /* REGO_VALUE: nothing failed */
};

static value term(struct reader *r);

static void skip_spaces(struct reader *r)
{
    while (r->at < r->text.len && (r->text.ptr[r->at] == ' ' || r->text.ptr[r->at] == '\t'))
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_spaces(r);
    if (r->at >= r->text.len || r->text.ptr[r->at] != c)
        return false;
    r->at++;
    return true;
}

static value fail(struct reader *r, enum rego_outcome o, const char *what)
{
    if (r->failed == REGO_VALUE) {
        r->failed = o;
        if (what != NULL)
            snprintf(r->h->error, sizeof(r->h->error), "harness: %s at %zu", what, r->at);
    }
    return VALUE_NULL;
}

static value array(struct reader *r)
{
    struct value_builder b;
    value_builder_init(&b, &r->h->arena, 0);
    while (!take(r, ']') && r->failed == REGO_VALUE) {
        value_builder_add(&b, term(r));
        take(r, ',');
    }
    return value_array_finish(&b);
}

static value set_or_object(struct reader *r)
{
    struct value_builder b;
    value_builder_init(&b, &r->h->arena, 0);
    if (take(r, '}'))
        return value_object_finish(&b, VALUE_DUP_LAST, NULL);
    bool object = false;
    do {
        value key = term(r);
        object = take(r, ':') || object;
        if (object)
            value_builder_put(&b, key, term(r));
        else
            value_builder_add(&b, key);
        take(r, ',');
    } while (!take(r, '}') && r->failed == REGO_VALUE);
    return object ? value_object_finish(&b, VALUE_DUP_LAST, NULL) : value_set_finish(&b);
}

struct arena_limit {
    char *end;
    size_t max;
};

/* To the byte, where arena_init() would count chunks. */
static struct arena_limit limit_arena(struct arena *a, size_t bytes)
{
    struct arena_limit kept = {a->end, a->max};
    if (bytes < (size_t)(a->end - a->next))
        a->end = a->next + bytes;
    if (bytes != SIZE_MAX)
        a->max = a->used;
    return kept;
}

static void unlimit_arena(struct arena *a, struct arena_limit kept)
{
    if (kept.max != a->max) {
        a->max = kept.max;
        a->end = kept.end;
    }
}

static value call(struct reader *r, struct str name)
{
    value args[8];
    int n = 0;
    while (!take(r, ')') && r->failed == REGO_VALUE && n < 8) {
        args[n++] = term(r);
        take(r, ',');
    }
    if (r->failed != REGO_VALUE)
        return VALUE_NULL;
    if (str_is(name, "set") && n == 0) {
        struct value_builder b;
        value_builder_init(&b, &r->h->arena, 0);
        return value_set_finish(&b);
    }
    const struct rego_builtin *b = rego_builtin_find(name);
    if (b == NULL || b->fn == NULL || rego_type_arity(b->type) != n)
        return fail(r, REGO_FATAL, "no such function");
    r->h->name = b->name;
    struct arena_limit kept = limit_arena(&r->h->arena, r->h->call_memory);
    value out = VALUE_UNDEFINED;
    enum rego_outcome o = b->fn((struct rego_call *)r->h, args, &out);
    unlimit_arena(&r->h->arena, kept);
    if (arena_status(&r->h->arena) != OK)
        o = REGO_FATAL; /* as the engine does */
    return o == REGO_VALUE ? out : fail(r, o, NULL);
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static value term(struct reader *r)
{
    skip_spaces(r);
    if (take(r, '['))
        return array(r);
    if (take(r, '{'))
        return set_or_object(r);
    if (take(r, '`')) {
        size_t end = str_find(r->text, '`', r->at);
        value v = value_string(&r->h->arena, str_slice(r->text, r->at, end - r->at));
        r->at = end + 1;
        return v;
    }

    size_t end = r->at;
    while (end < r->text.len && name_char(r->text.ptr[end]))
        end++;
    if (end > r->at && end < r->text.len && r->text.ptr[end] == '(') {
        struct str name = str_slice(r->text, r->at, end - r->at);
        r->at = end + 1;
        return call(r, name);
    }

    value v = VALUE_NULL;
    size_t used = 0;
    struct error err = ERROR_INIT;
    if (json_parse_prefix(&r->h->arena, str_from(r->text, r->at), NULL, &v, &used, &err) != OK)
        return fail(r, REGO_FATAL, err.text);
    r->at += used;
    return v;
}

enum rego_outcome harness_eval(struct harness *h, struct str expression, value *out)
{
    struct reader r = {h, expression, 0, REGO_VALUE};
    h->error[0] = '\0';
    value v = term(&r);
    skip_spaces(&r);
    if (r.failed == REGO_VALUE && r.at != expression.len)
        fail(&r, REGO_FATAL, "text after the expression");
    if (r.failed == REGO_VALUE)
        *out = v;
    return r.failed;
}

/* Line feeds as "⏎", so that an error is one line of the table. */
static struct str error_line(const struct harness *h, struct arena *a)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 8192);
    buf_add(&b, STR("ERROR "));
    for (const char *p = h->error; *p != '\0'; p++) {
        if (*p == '\n')
            buf_add(&b, STR("⏎"));
        else
            buf_add_byte(&b, *p);
    }
    return arena_str(a, buf_str(&b));
}

struct str harness_text(const struct harness *h, enum rego_outcome o, value v, struct arena *a)
{
    if (o == REGO_UNDEFINED)
        return STR("undef");
    if (o != REGO_VALUE)
        return error_line(h, a);
    const struct rego_builtin *b = rego_builtin_find(str_of(h->name));
    if (b == NULL || (b->flags & REGO_NEEDS_ALL) == 0)
        return json_text(a, v, JSON_GO);
    struct str line = STR_EMPTY;
    for (size_t i = 0; i < value_len(v); i++) {
        struct str s = json_text(a, value_at(v, i), JSON_GO);
        line = arena_format(a, "%.*s%s%.*s", STR_ARG(line), i > 0 ? " , " : "", STR_ARG(s));
    }
    return line;
}

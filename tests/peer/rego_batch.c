/*
 * rego_batch - our side of comparisons with other engines (tools/rego-diff).
 *
 * Reads one case a line, as JSON:
 *
 *   {"modules": [text...], "v0": bool, "query": text, "data": object, "input": any,
 *    "strict": bool, "check": bool}
 *
 * and answers each with one line:
 *
 *   {"result": [{"bindings", "expressions"}...]}
 *   {"errors": [{"stage": "compile" | "eval", "code", "message", "file", "row"}...]}
 *
 * Modules are called test-0.rego and so on.  With "check" nothing is evaluated.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "rego/rego.h"
#include "value/json.h"

#define NOW_NS 1700000000000000000ll

static void write_errors(struct buf *out, const char *stage, struct rego_errors errors,
                         enum status st)
{
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "errors");
    json_array_begin(&w);
    struct rego_error none = {.code = "none", .message = str_of(status_name(st))};
    for (size_t i = 0; i < (errors.len == 0 ? 1 : errors.len); i++) {
        const struct rego_error *e = errors.len == 0 ? &none : &errors.items[i];
        json_object_begin(&w);
        json_key(&w, "stage");
        json_cstring(&w, stage);
        json_key(&w, "code");
        json_cstring(&w, e->code);
        json_key(&w, "message");
        json_string(&w, e->message);
        json_key(&w, "file");
        json_string(&w, e->file);
        json_key(&w, "row");
        json_int(&w, e->row);
        json_key(&w, "col");
        json_int(&w, e->col);
        json_object_end(&w);
    }
    json_array_end(&w);
    json_object_end(&w);
    if (json_finish(&w) != OK)
        buf_add_cstr(out, "{\"errors\": []}");
}

static void evaluate(struct buf *out, value x, const struct rego_policy *policy)
{
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(NULL);
    if (ctx == NULL)
        return;
    struct rego_eval params = {
        .policy = policy,
        .input = value_get_lit(x, "input"),
        .data = value_get_lit(x, "data"),
        .now_ns = NOW_NS,
        .random_seed = {1, 2},
        .strict_errors = value_is_true(value_get_lit(x, "strict")),
    };
    value set = VALUE_UNDEFINED;
    enum status st = rego_eval_query(ctx, &params, value_str(value_get_lit(x, "query")), &set);
    if (st != OK) {
        const char *code = rego_ctx_error(ctx)->code;
        bool compile = code != NULL && strncmp(code, "rego_", 5) == 0;
        write_errors(out, compile ? "compile" : "eval", rego_ctx_errors(ctx), st);
        return;
    }
    buf_add_cstr(out, "{\"result\":");
    status_ignore(json_write(out, set, JSON_GO));
    buf_add_byte(out, '}');
}

static void run(struct buf *out, value x)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = value_is_true(value_get_lit(x, "v0")) ? REGO_V0 : REGO_V1;
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    value modules = value_get_lit(x, "modules");
    enum status st = OK;
    for (size_t i = 0; i < value_len(modules) && st == OK; i++) {
        char name[32];
        snprintf(name, sizeof(name), "test-%zu.rego", i);
        st = rego_compiler_add(c, str_of(name), value_str(value_at(modules, i)));
    }
    if (st == OK)
        st = rego_compiler_finish(c, &policy);
    if (st != OK)
        write_errors(out, "compile", rego_compiler_errors(c), st);
    else if (value_is_true(value_get_lit(x, "check")))
        buf_add_cstr(out, "{\"result\":[]}");
    else
        evaluate(out, x, policy);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    struct arena arena;
    arena_init(&arena, 256 << 20);
    struct buf out;
    buf_init(&out, 256 << 20);
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
        arena_reset(&arena);
        buf_reset(&out);
        value x = VALUE_UNDEFINED;
        struct json_options options = {.duplicates = JSON_DUP_LAST, .depth_max = 256};
        struct error err = ERROR_INIT;
        if (json_parse(&arena, str_bytes(line, (size_t)n), &options, &x, &err) == OK)
            run(&out, x);
        else
            buf_add_format(&out, "{\"errors\": [{\"stage\": \"case\", \"code\": \"%s\"}]}",
                           err.text);
        buf_add_byte(&out, '\n');
        fwrite(out.ptr, 1, out.len, stdout);
        fflush(stdout);
    }
    buf_done(&out);
    arena_done(&arena);
    free(line);
    return 0;
}

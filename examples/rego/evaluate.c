/*
 * A policy, an input, a function of the host: the whole interface in one page.
 *
 *     cc evaluate.c $(pkg-config --cflags --libs claviger-rego) -o evaluate
 *     ./evaluate policy.rego '{"user": "alice"}' data.example.allow
 */
#include <claviger-rego.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* role_of("alice"): what a program would look up in a place of its own. */
static crego_outcome role_of(crego_call *call, const crego_value *args, crego_value *out)
{
    const char *name = crego_string(args[0], NULL);
    const char *role = (const char *)crego_call_user(call);
    if (name == NULL)
        return crego_call_error(call, "the name must be a string");
    if (strcmp(name, "alice") != 0)
        return CREGO_GIVE_UNDEFINED;
    *out = crego_make_string(call, role, strlen(role));
    return CREGO_GIVE_VALUE;
}

static char *read_file(const char *path, size_t *len)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    *len = fread(text, 1, sizeof(text), f);
    fclose(f);
    return text;
}

static int complain(const crego_error *e)
{
    fprintf(stderr, "%.*s:%u:%u: %s: %.*s\n", (int)e->file_len, e->file, e->row, e->col, e->code,
            (int)e->message_len, e->message);
    return 2;
}

static crego_policy *compile(const char *path)
{
    size_t len = 0;
    char *text = read_file(path, &len);
    crego_compiler *c = NULL;
    crego_policy *p = NULL;
    crego_error e;
    if (text == NULL || crego_compiler_new(NULL, &c) != CREGO_OK)
        return NULL;
    if (crego_compiler_function(c, "role_of", "(string) string", true, role_of) != CREGO_OK ||
        crego_compiler_add(c, path, text, len) != CREGO_OK ||
        crego_compiler_finish(c, &p) != CREGO_OK)
        for (size_t i = 0; crego_compiler_error(c, i, &e); i++)
            complain(&e);
    crego_compiler_free(c);
    return p;
}

static int evaluate(crego_ctx *ctx, const crego_policy *p, const char *input, const char *path)
{
    crego_value v;
    crego_error e;
    char *json = NULL;
    static char role[] = "admin";
    crego_ctx_set_user(ctx, role);
    crego_status st = crego_ctx_set_input_json(ctx, input, strlen(input));
    if (st == CREGO_OK)
        st = crego_eval(ctx, p, path, &v);
    if (st == CREGO_UNDEFINED) {
        puts("undefined");
        return 1;
    }
    if (st != CREGO_OK) {
        crego_ctx_error(ctx, &e);
        return complain(&e);
    }
    if (crego_to_json(v, &json, NULL) != CREGO_OK)
        return 2;
    puts(json);
    crego_free(json);
    return 0;
}

int main(int argc, char **argv)
{
    crego_ctx *ctx = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: evaluate POLICY INPUT PATH\n");
        return 2;
    }
    crego_policy *p = compile(argv[1]);
    int status = 2;
    if (p != NULL && crego_ctx_new(NULL, &ctx) == CREGO_OK)
        status = evaluate(ctx, p, argv[2], argv[3]);
    crego_ctx_free(ctx);
    crego_policy_unref(p);
    return status;
}

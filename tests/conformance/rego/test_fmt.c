/*
 * Every module of ../shared/conformance in the layout of `opa fmt`.
 *
 * tests/data/rego/fmt.txt has digests that OPA 1.22 gave (tools/rego-fmt-peer); a
 * line: mode, file, number of modules, digest of all their layouts.  What differs
 * on purpose is in fmt-exceptions.txt: mode, file, reason.
 */
#include <stdio.h>

#include "base/file.h"
#include "crypto/crypto.h"
#include "rego/rego.h"
#include "suite.h"
#include "tap.h"

struct run {
    struct arena arena;
    struct buf text; /* all layouts of a file, each with a NUL behind it */
    size_t modules;
    enum rego_format_target target;
};

static void add_layout(struct run *r, struct str text)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.experimental_keywords = true;
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
    struct rego_format_options o = {.target = r->target};
    if (c == NULL || rego_format(c, STR("m.rego"), text, &o, &r->text) != OK)
        buf_add_cstr(&r->text, "error");
    buf_add_byte(&r->text, '\0');
    r->modules++;
}

/* Every text in a list called modules, and every text called rego, in order. */
static void add_modules(struct run *r, value v)
{
    if (value_is_array(v))
        for (size_t i = 0; i < value_len(v); i++)
            add_modules(r, value_at(v, i));
    if (!value_is_object(v))
        return;
    for (size_t i = 0; i < value_len(v); i++) {
        struct value_pair p = value_pairs(v)[i];
        if (str_is(value_str(p.key), "modules") && value_is_array(p.val)) {
            for (size_t k = 0; k < value_len(p.val); k++)
                if (value_is_string(value_at(p.val, k)))
                    add_layout(r, value_str(value_at(p.val, k)));
        } else if (str_is(value_str(p.key), "rego") && value_is_string(p.val)) {
            add_layout(r, value_str(p.val));
        } else {
            add_modules(r, p.val);
        }
    }
}

static bool same(struct run *r, const char *file, size_t modules, const char *digest)
{
    char path[512];
    snprintf(path, sizeof(path), "conformance/%s", file);
    const char *full = tap_shared(path);
    if (full == NULL)
        return false;
    arena_reset(&r->arena);
    buf_reset(&r->text);
    r->modules = 0;
    value cases = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    if (suite_load(&r->arena, full, &cases, &err) != OK) {
        printf("# %s\n", err.text);
        return false;
    }
    add_modules(r, cases);
    struct digest d;
    digest_compute(DIGEST_SHA256, buf_str(&r->text), &d);
    char got[17] = "";
    for (size_t i = 0; i < 8; i++)
        snprintf(got + 2 * i, 3, "%02x", (unsigned char)digest_str(&d).ptr[i]);
    if (r->modules != modules)
        printf("# %s: %zu modules, not %zu\n", file, r->modules, modules);
    return r->modules == modules && strcmp(got, digest) == 0;
}

static bool is_exception(struct str list, const char *mode, const char *file)
{
    char want[600];
    int n = snprintf(want, sizeof(want), "%s %s ", mode, file);
    return n > 0 && memmem(list.ptr, list.len, want, (size_t)n) != NULL;
}

int main(void)
{
    if (tap_shared("conformance/rego/MANIFEST.md") == NULL)
        return tap_done();
    CLEANUP(buf_done) struct buf list, exceptions;
    buf_init(&list, 1 << 20);
    buf_init(&exceptions, 1 << 20);
    CHECK_STATUS(file_read(tap_source("tests/data/rego/fmt.txt"), &list, NULL), OK, NULL);
    CHECK_STATUS(file_read(tap_source("tests/data/rego/fmt-exceptions.txt"), &exceptions, NULL), OK,
                 NULL);
    struct run r = {.modules = 0};
    arena_init(&r.arena, 256 << 20);
    buf_init(&r.text, 64 << 20);
    size_t files = 0, wrong = 0;
    for (size_t at = 0; at < list.len;) {
        size_t end = str_find(buf_str(&list), '\n', at);
        char line[512], mode[16], file[256], digest[32];
        size_t modules;
        snprintf(line, sizeof(line), "%.*s", STR_ARG(str_slice(buf_str(&list), at, end - at)));
        at = end + 1;
        if (sscanf(line, "%15s %255s %zu %31s", mode, file, &modules, digest) != 4)
            continue;
        r.target = strcmp(mode, "v1") == 0   ? REGO_FORMAT_V1
                   : strcmp(mode, "v0") == 0 ? REGO_FORMAT_V0
                                             : REGO_FORMAT_BOTH;
        files++;
        bool ok = same(&r, file, modules, digest);
        bool listed = is_exception(buf_str(&exceptions), mode, file);
        if (ok == listed) {
            wrong++;
            CHECK_ROW(false, line);
        }
    }
    printf("# %zu files, %zu wrong\n", files, wrong);
    CHECK(files > 2000);
    CHECK(wrong == 0);
    arena_done(&r.arena);
    buf_done(&r.text);
    return tap_done();
}

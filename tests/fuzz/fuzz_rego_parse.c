/*
 * Arbitrary text as a policy; parse_module() reads it.  Property: it compiles, or there is an error
 * with a place inside of the text; compiling again says the same.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "rego/rego.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t lines_of(struct str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

static void compile(struct str text, const struct rego_options *options, struct buf *out)
{
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(options);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    if (c == NULL)
        return;
    enum status st = rego_compiler_add(c, STR("f.rego"), text);
    if (st == OK)
        st = rego_compiler_finish(c, &policy);
    struct rego_errors errors = rego_compiler_errors(c);
    if ((st == OK) != (errors.len == 0) && st != ERR_NOMEM && st != ERR_LIMIT)
        abort();
    for (size_t i = 0; i < errors.len; i++) {
        if (errors.items[i].row > lines_of(text) || errors.items[i].message.len == 0)
            abort();
        rego_error_write(out, &errors.items[i]);
    }
    if (st == OK && rego_policy_disasm(policy, out) == ERR_INTERNAL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 16384)
        return 0;
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = data[0] % 3 == 0 ? REGO_V1_OR_V0 : data[0] % 3 == 1 ? REGO_V1 : REGO_V0;
    options.strict = (data[0] & 8) != 0;
    options.keep_print = (data[0] & 16) != 0;
    options.experimental_keywords = (data[0] & 32) != 0;
    options.always_not_keyword = (data[0] & 64) != 0;
    struct str text = str_bytes(data + 1, size - 1);
    CLEANUP(buf_done) struct buf first;
    CLEANUP(buf_done) struct buf second;
    buf_init(&first, 32 << 20);
    buf_init(&second, 32 << 20);
    compile(text, &options, &first);
    compile(text, &options, &second);
    if (!str_equal(buf_str(&first), buf_str(&second)))
        abort();
    return 0;
}

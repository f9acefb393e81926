#include "rego/builtins_path.h"

#include "rego/builtins_internal.h"

/* ~1 first, then ~0, as RFC 6901 section 4 has it: "~01" is "~1". */
static value segment(struct rego_call *call, struct str s)
{
    if (str_find(s, '~', 0) == s.len)
        return value_string(rego_call_arena(call), s);
    char *text = arena_alloc(rego_call_arena(call), s.len);
    if (text == NULL)
        return VALUE_UNDEFINED;
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char next = i + 1 < s.len ? s.ptr[i + 1] : '\0';
        if (s.ptr[i] == '~' && (next == '0' || next == '1')) {
            text[len++] = next == '0' ? '~' : '/';
            i++;
        } else {
            text[len++] = s.ptr[i];
        }
    }
    return value_string(rego_call_arena(call), str_bytes(text, len));
}

enum rego_outcome builtin_path(struct rego_call *call, value path, value *out)
{
    if (value_is_array(path)) {
        *out = path;
        return REGO_VALUE;
    }
    if (!value_is_string(path))
        return REGO_FAILED;

    struct str s = value_str(path);
    if (s.len == 0)
        return give(call, VALUE_EMPTY_ARRAY(rego_call_arena(call)), out);
    if (!charge_bytes(call, s.len * 4))
        return REGO_FATAL;
    while (s.len > 0 && s.ptr[0] == '/')
        s = str_from(s, 1);

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), 0);
    for (size_t at = 0; at <= s.len;) {
        size_t slash = str_find(s, '/', at);
        value_builder_add(&b, segment(call, str_slice(s, at, slash - at)));
        at = slash + 1;
    }
    return give(call, value_array_finish(&b), out);
}

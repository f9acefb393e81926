#include "rego/pem.h"

#include "base/encode.h"

static bool find(struct str s, struct str needle, size_t from, size_t *at)
{
    if (from > s.len)
        return false;
    const char *p = memmem(s.ptr + from, s.len - from, needle.ptr, needle.len);
    if (p == NULL)
        return false;
    *at = (size_t)(p - s.ptr);
    return true;
}

/* Nothing but white space is left of the line; *at moves behind it. */
static bool end_line(struct str s, size_t *at)
{
    size_t i = *at;
    while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t'))
        i++;
    if (i < s.len && s.ptr[i] == '\r')
        i++;
    if (i < s.len && s.ptr[i] != '\n')
        return false;
    *at = i + (i < s.len);
    return true;
}

/* The base64 text without white space. */
static bool decode(struct arena *a, struct str body, struct str *out)
{
    char *text = arena_alloc(a, body.len + 1);
    if (text == NULL)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < body.len; i++)
        if (body.ptr[i] != '\n' && body.ptr[i] != '\r' && body.ptr[i] != ' ' && body.ptr[i] != '\t')
            text[n++] = body.ptr[i];
    return base64_bytes(a, str_bytes(text, n), BASE64_STD, out, NULL) == OK;
}

bool pem_next(struct arena *a, struct str *text, struct pem_block *out)
{
    size_t begin = 0;
    for (size_t from = 0; find(*text, STR("-----BEGIN "), from, &begin); from = begin + 11) {
        if (begin > 0 && text->ptr[begin - 1] != '\n')
            continue; /* only at the start of a line */
        size_t type_end = 0;
        size_t type = begin + 11;
        if (!find(*text, STR("-----"), type, &type_end))
            return false;
        out->type = str_slice(*text, type, type_end - type);
        struct str end = arena_format(a, "-----END %.*s-----", STR_ARG(out->type));
        size_t body = type_end + 5;
        size_t stop = 0;
        if (end.ptr == NULL || str_find(out->type, '\n', 0) < out->type.len ||
            !end_line(*text, &body) || !find(*text, end, body, &stop) ||
            !decode(a, str_slice(*text, body, stop - body), &out->der))
            continue;
        size_t after = stop + end.len;
        out->text = str_slice(*text, begin, after - begin);
        if (!end_line(*text, &after))
            continue;
        *text = str_from(*text, after);
        return true;
    }
    return false;
}

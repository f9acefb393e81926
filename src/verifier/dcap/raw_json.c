#include "verifier/dcap/raw_json.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(struct str s, size_t i)
{
    while (i < s.len && is_space(s.ptr[i]))
        i++;
    return i;
}

/* `i` at the opening quote; returns the index behind the closing one. */
static size_t skip_string(struct str s, size_t i)
{
    for (i++; i < s.len && s.ptr[i] != '"'; i++)
        if (s.ptr[i] == '\\')
            i++;
    return i < s.len ? i + 1 : s.len;
}

/* Behind the value that begins at `i`. */
static size_t skip_value(struct str s, size_t i)
{
    size_t depth = 0;
    while (i < s.len) {
        char c = s.ptr[i];
        if (depth == 0 && (c == ',' || c == ']' || c == '}'))
            return i;
        if (c == '"') {
            i = skip_string(s, i);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        i++;
    }
    return i;
}

static struct str trim_end(struct str s)
{
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool json_raw_member(struct str object, const char *name, struct str *out)
{
    size_t i = skip_space(object, 0);
    if (i >= object.len || object.ptr[i] != '{')
        return false;
    i = skip_space(object, i + 1);
    while (i < object.len && object.ptr[i] == '"') {
        size_t end = skip_string(object, i);
        struct str key = end >= i + 2 ? str_slice(object, i + 1, end - i - 2) : STR_EMPTY;
        i = skip_space(object, end);
        if (i >= object.len || object.ptr[i] != ':')
            return false;
        i = skip_space(object, i + 1);
        end = skip_value(object, i);
        if (str_is(key, name)) {
            *out = trim_end(str_slice(object, i, end - i));
            return true;
        }
        if (end >= object.len || object.ptr[end] != ',')
            return false;
        i = skip_space(object, end + 1);
    }
    return false;
}

bool json_raw_element(struct str array, size_t index, struct str *out)
{
    size_t i = skip_space(array, 0);
    if (i >= array.len || array.ptr[i] != '[')
        return false;
    i = skip_space(array, i + 1);
    while (i < array.len && array.ptr[i] != ']') {
        size_t end = skip_value(array, i);
        if (index-- == 0) {
            *out = trim_end(str_slice(array, i, end - i));
            return true;
        }
        if (end >= array.len || array.ptr[end] != ',')
            return false;
        i = skip_space(array, end + 1);
    }
    return false;
}

struct str json_raw_compact(struct arena *a, struct str text)
{
    char *out = arena_alloc(a, text.len + 1);
    if (out == NULL)
        return (struct str){NULL, 0};
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        if (text.ptr[i] == '"') {
            size_t end = skip_string(text, i);
            memcpy(out + len, text.ptr + i, end - i);
            len += end - i;
            i = end;
            continue;
        }
        if (!is_space(text.ptr[i]))
            out[len++] = text.ptr[i];
        i++;
    }
    return (struct str){out, len};
}

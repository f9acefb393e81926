#include "net/http.h"

#include "base/encode.h"
#include "base/utf8.h"

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {100, "Continue"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Payload Too Large"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Entity"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Unknown";
}

enum http_method http_method_of(struct str s)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(s, names[i])) /* RFC 9110, 9.1: case counts */
            return (enum http_method)i;
    return HTTP_OTHER;
}

struct str http_header(const struct http_exchange *x, const char *name)
{
    return http_head_get(x->head, name);
}

bool http_add_header(struct http_exchange *x, const char *name, struct str v)
{
    if (!http_is_token(str_of(name)) || !http_is_field_value(v))
        return false;
    buf_add_cstr(&x->headers, name);
    buf_add(&x->headers, STR(": "));
    buf_add(&x->headers, v);
    buf_add(&x->headers, STR("\r\n"));
    return buf_status(&x->headers) == OK;
}

/* Value of "%XY" at s[i], or -1. */
static int escape_at(struct str s, size_t i)
{
    if (i + 2 >= s.len)
        return -1;
    int hi = hex_digit(s.ptr[i + 1]), lo = hex_digit(s.ptr[i + 2]);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

enum {
    PLUS_IS_SPACE = 1,
    LENIENT = 2, /* a bad escape stands for itself */
};

/* NULL: no memory, or a bad escape, or a NUL; the arena tells which. */
static struct str decode(struct arena *a, struct str s, int flags)
{
    char *p = arena_alloc(a, s.len + 1);
    if (p == NULL)
        return (struct str){NULL, 0};
    /* Mostly there is nothing to decode: up to the first escape all goes in at once. */
    size_t n = str_find(s, '%', 0);
    if ((flags & PLUS_IS_SPACE) != 0)
        n = str_find(str_slice(s, 0, n), '+', 0);
    n = str_find(str_slice(s, 0, n), '\0', 0);
    if (n > 0)
        memcpy(p, s.ptr, n);
    for (size_t i = n; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int byte = escape_at(s, i);
            if (byte < 0 && (flags & LENIENT) == 0)
                return (struct str){NULL, 0};
            if (byte >= 0) {
                c = (char)byte;
                i += 2;
            }
        } else if (c == '+' && (flags & PLUS_IS_SPACE) != 0) {
            c = ' ';
        }
        if (c == '\0')
            return (struct str){NULL, 0};
        p[n++] = c;
    }
    p[n] = '\0';
    return (struct str){p, n};
}

static enum status decode_failed(const struct arena *a, const char *what, struct error *err)
{
    enum status st = arena_status(a);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK) {
        error_set(err, "%s needs more memory than a request may use", what);
        return st;
    }
    error_set(err, "%s has a malformed escape or a NUL", what);
    return ERR_INVALID;
}

enum status http_percent_decode(struct arena *a, struct str s, struct str *out, struct error *err)
{
    struct str d = decode(a, s, 0);
    if (d.ptr == NULL)
        return decode_failed(a, "path", err);
    *out = d;
    return OK;
}

bool http_form_next(struct str *rest, struct str *name, struct str *val)
{
    while (rest->len > 0) {
        size_t amp = str_find(*rest, '&', 0);
        struct str pair = str_slice(*rest, 0, amp);
        *rest = str_from(*rest, amp + 1);
        if (pair.len == 0)
            continue;
        size_t eq = str_find(pair, '=', 0);
        *name = str_slice(pair, 0, eq);
        *val = str_from(pair, eq + 1);
        return true;
    }
    return false;
}

enum status http_form_decode(struct arena *a, struct str s, struct str *out, struct error *err)
{
    struct str d = decode(a, s, PLUS_IS_SPACE);
    if (d.ptr == NULL)
        return decode_failed(a, "query", err);
    if (!utf8_is_valid(d)) {
        error_set(err, "query is not UTF-8");
        return ERR_INVALID;
    }
    *out = d;
    return OK;
}

/* One "name=value" of a Cookie header; true when it is the one. */
static bool cookie_matches(struct http_exchange *x, struct str pair, const char *want,
                           struct str *out)
{
    size_t eq = str_find(pair, '=', 0);
    if (eq == pair.len)
        return false;
    struct arena_mark mark = arena_mark(&x->arena);
    struct str name = decode(&x->arena, str_trim(str_slice(pair, 0, eq)), LENIENT);
    if (name.ptr != NULL && str_is(name, want)) {
        struct str val = decode(&x->arena, str_trim(str_from(pair, eq + 1)), LENIENT);
        if (val.ptr != NULL && utf8_is_valid(val)) {
            *out = val;
            return true;
        }
    }
    arena_rollback(&x->arena, mark);
    return false;
}

struct str http_cookie(struct http_exchange *x, const char *name)
{
    struct str out = {NULL, 0};
    for (size_t i = 0; i < x->head->field_count; i++) {
        if (!http_equal_nocase(x->head->fields[i].name, STR("cookie")))
            continue;
        struct str rest = x->head->fields[i].value;
        while (rest.len > 0) {
            size_t semi = str_find(rest, ';', 0);
            if (cookie_matches(x, str_trim(str_slice(rest, 0, semi)), name, &out))
                return out;
            rest = str_from(rest, semi + 1);
        }
    }
    return out;
}

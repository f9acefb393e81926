#include "base/encode.h"
#include "net/fetch.h"
#include "net/http_head.h"

/*
 * URLs of the strict kind: whatever two parsers could read differently (users,
 * backslashes, fragments, dot segments in any spelling, odd hosts) is refused,
 * so that the host that was checked is the host that curl asks.
 */
struct url {
    bool https;
    struct str host, path; /* path without the query, at least "/" */
    uint32_t port;
    bool has_query;
};

static bool is_host(struct str s)
{
    bool v6 = s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']';
    if (v6)
        s = str_slice(s, 1, s.len - 2);
    if (s.len == 0 || s.len > 253 || s.ptr[0] == '.' || s.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool hex = hex_digit(c) >= 0;
        bool name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.';
        if (v6 ? !hex && c != ':' && c != '.' : !name)
            return false;
    }
    return true;
}

static bool read_port(struct str s, uint32_t *out)
{
    uint32_t n = 0;
    if (s.len == 0 || s.len > 5)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(s.ptr[i] - '0');
    }
    *out = n;
    return n > 0 && n <= 65535;
}

static bool read_authority(struct str s, struct url *u)
{
    size_t bracket = s.len > 0 && s.ptr[0] == '[' ? str_find(s, ']', 0) : 0;
    size_t colon = str_find(s, ':', bracket);
    u->host = str_slice(s, 0, colon);
    if (colon < s.len && !read_port(str_from(s, colon + 1), &u->port))
        return false;
    return is_host(u->host);
}

/* One segment of a path: "." and "..", and slashes of either kind, in plain or escaped. */
static bool is_plain_segment(struct str s)
{
    char decoded[3];
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int hi = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
            int lo = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
            if (c == '/' || c == '\\' || c == '\0')
                return false;
        }
        if (n < sizeof(decoded))
            decoded[n++] = c;
    }
    return !(n == 1 && decoded[0] == '.') && !(n == 2 && decoded[0] == '.' && decoded[1] == '.');
}

static bool is_plain_path(struct str path)
{
    struct str rest = str_from(path, 1);
    for (;;) {
        size_t slash = str_find(rest, '/', 0);
        if (!is_plain_segment(str_slice(rest, 0, slash)))
            return false;
        if (slash == rest.len)
            return true;
        rest = str_from(rest, slash + 1);
    }
}

static bool read_url(struct str s, struct url *u)
{
    if (s.len > FETCH_URL_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7f || s.ptr[i] == '\\' || s.ptr[i] == '#')
            return false;

    *u = (struct url){.https = http_equal_nocase(str_slice(s, 0, 8), STR("https://"))};
    if (!u->https && !http_equal_nocase(str_slice(s, 0, 7), STR("http://")))
        return false;
    u->port = u->https ? 443 : 80;
    struct str rest = str_from(s, u->https ? 8 : 7);
    size_t mark = str_find(rest, '?', 0);
    u->has_query = mark < rest.len;
    rest = str_slice(rest, 0, mark);
    size_t slash = str_find(rest, '/', 0);
    u->path = slash < rest.len ? str_from(rest, slash) : STR("/");
    if (slash == rest.len && u->has_query)
        return false; /* a query right after the host */
    return read_authority(str_slice(rest, 0, slash), u) && is_plain_path(u->path);
}

bool fetch_url_is_valid(struct str url)
{
    struct url u;
    return read_url(url, &u);
}

bool fetch_url_allowed(struct str url, struct str prefix)
{
    struct url u, p;
    if (!read_url(url, &u) || !read_url(prefix, &p) || p.has_query)
        return false;
    if (u.https != p.https || u.port != p.port || !http_equal_nocase(u.host, p.host))
        return false;
    if (!str_has_prefix(u.path, p.path))
        return false;
    /* "/a" allows "/a" and "/a/b", not "/ab". */
    return u.path.len == p.path.len || p.path.ptr[p.path.len - 1] == '/' ||
           u.path.ptr[p.path.len] == '/';
}

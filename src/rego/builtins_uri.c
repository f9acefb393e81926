/* uri.parse and uri.is_valid: rego.md 6.10, as Go's net/url reads a URL. */
#include <arpa/inet.h>

#include "base/encode.h"
#include "rego/builtins_internal.h"
#include "rego/unicode.h"
#include "rego/x509_value.h"

struct uri {
    struct str scheme, host, port, path, raw_path, query, fragment;
    struct str authority_host; /* host and port as Go's URL.Host has them */
    struct str opaque;
    bool force_query, omit_host, has_user;
};

struct uri_parser {
    struct rego_call *call;
    struct str text; /* for messages */
    struct uri *uri;
    struct buf *error; /* the reason, when parsing fails */
};

enum mode { MODE_PATH, MODE_USER, MODE_HOST, MODE_ZONE, MODE_FRAGMENT };

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Whether Go would escape the byte in this part of a URL. */
static bool must_escape(char c, enum mode mode)
{
    if (is_alnum(c) || one_of(c, "-_.~"))
        return false;
    switch (mode) {
    case MODE_HOST:
    case MODE_ZONE:
        return !one_of(c, "!$&'()*+,;=:[]<>\"");
    case MODE_PATH:
        return !one_of(c, "$&+,/:;=@");
    case MODE_USER:
        return !one_of(c, "$&+,;=");
    default:
        return !one_of(c, "$&+,/:;=?@!()*");
    }
}

static bool fail(struct uri_parser *p, const char *why, struct str quoted, const char *after)
{
    buf_add_cstr(p->error, why);
    if (quoted.ptr != NULL)
        unicode_quote(p->error, quoted);
    buf_add_cstr(p->error, after);
    return false;
}

#define NO_QUOTE ((struct str){NULL, 0})

/* Checks the escapes, and in hosts also the other characters. */
static bool check_escapes(struct uri_parser *p, struct str s, enum mode mode)
{
    bool host = mode == MODE_HOST || mode == MODE_ZONE;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        struct str escape = str_slice(s, i, 3);
        if (c != '%') {
            if (host && (unsigned char)c < 0x80 && must_escape(c, mode))
                return fail(p, "invalid character ", str_slice(s, i, 1), " in host name");
            continue;
        }
        if (escape.len < 3 || hex_digit(escape.ptr[1]) < 0 || hex_digit(escape.ptr[2]) < 0)
            return fail(p, "invalid URL escape ", escape, "");
        char byte = (char)(hex_digit(escape.ptr[1]) << 4 | hex_digit(escape.ptr[2]));
        bool percent = str_is(escape, "%25");
        /* RFC 6874: in hosts only non-ASCII bytes are escaped, and "%25" before a zone */
        if ((mode == MODE_HOST && hex_digit(escape.ptr[1]) < 8 && !percent) ||
            (mode == MODE_ZONE && !percent && byte != ' ' && must_escape(byte, MODE_HOST)))
            return fail(p, "invalid URL escape ", escape, "");
        i += 2;
    }
    return true;
}

/* Never longer than the text; in the arena.  {NULL, 0}: the arena is exhausted. */
static struct str unescape(struct uri_parser *p, struct str s)
{
    char *text = arena_alloc(rego_call_arena(p->call), s.len + 1);
    if (text == NULL)
        return (struct str){NULL, 0};
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '%') {
            text[n++] = (char)(hex_digit(s.ptr[i + 1]) << 4 | hex_digit(s.ptr[i + 2]));
            i += 2;
        } else {
            text[n++] = s.ptr[i];
        }
    }
    return str_bytes(text, n);
}

/* s is what escaping `plain` gives. */
static bool is_canonical(struct str s, struct str plain, enum mode mode)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    for (size_t i = 0; i < plain.len; i++) {
        char c = plain.ptr[i];
        if (!must_escape(c, mode)) {
            if (at >= s.len || s.ptr[at++] != c)
                return false;
            continue;
        }
        const char want[] = {'%', digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15]};
        if (!str_has_prefix(str_from(s, at), str_bytes(want, 3)))
            return false;
        at += 3;
    }
    return at == s.len;
}

static size_t rfind(struct str s, char c)
{
    for (size_t i = s.len; i > 0; i--)
        if (s.ptr[i - 1] == c)
            return i - 1;
    return SIZE_MAX;
}

/* "" or ":" digits */
static bool is_port(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (i == 0 ? s.ptr[0] != ':' : s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return true;
}

static bool is_ip(int family, struct str s)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];
    s.len = str_find(s, '%', 0); /* without its zone */
    if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len) != NULL)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(family, text, bytes) == 1;
}

/* "[...]:port" */
static bool parse_literal(struct uri_parser *p, struct str host)
{
    size_t close = rfind(host, ']');
    if (close == SIZE_MAX)
        return fail(p, "missing ']' in host", NO_QUOTE, "");
    struct str port = str_from(host, close + 1);
    if (!is_port(port))
        return fail(p, "invalid port ", port, " after host");
    struct str name = str_slice(host, 1, close - 1);
    const char *zone = memmem(name.ptr, name.len, "%25", 3);
    size_t split = zone == NULL ? name.len : (size_t)(zone - name.ptr);
    if (!check_escapes(p, str_slice(name, 0, split), MODE_HOST) ||
        !check_escapes(p, str_from(name, split), MODE_ZONE))
        return false;
    name = unescape(p, name);
    if (is_ip(AF_INET, name))
        return fail(p, "invalid IP-literal", NO_QUOTE, "");
    if (str_find(name, '%', 0) + 1 == name.len && memchr(name.ptr, ':', name.len) != NULL)
        return fail(p, "invalid host: ParseAddr(", name, "): zone must be a non-empty string");
    if (!is_ip(AF_INET6, name))
        return fail(p, "invalid host: ParseAddr(", name, "): unable to parse IP");
    p->uri->host = name;
    p->uri->port = str_from(port, 1);
    p->uri->authority_host = unescape(p, host);
    return true;
}

static bool parse_host(struct uri_parser *p, struct str host)
{
    size_t open = rfind(host, '[');
    if (open == 0)
        return parse_literal(p, host);
    if (open != SIZE_MAX)
        return fail(p, "invalid IP-literal", NO_QUOTE, "");
    size_t colon = str_find(host, ':', 0);
    size_t last = rfind(host, ':');
    bool http = str_is(p->uri->scheme, "http") || str_is(p->uri->scheme, "https");
    struct str port = str_from(host, colon < host.len && !http ? last : colon);
    if (!is_port(port))
        return fail(p, "invalid port ", port, " after host");
    if (!check_escapes(p, host, MODE_HOST))
        return false;
    host = unescape(p, host);
    p->uri->authority_host = host;
    last = rfind(host, ':');
    if (last != SIZE_MAX && is_port(str_from(host, last))) {
        p->uri->port = str_from(host, last + 1);
        host.len = last;
    }
    p->uri->host = host;
    return true;
}

static bool parse_authority(struct uri_parser *p, struct str authority)
{
    size_t at = rfind(authority, '@');
    if (!parse_host(p, at == SIZE_MAX ? authority : str_from(authority, at + 1)))
        return false;
    if (at == SIZE_MAX)
        return true;
    struct str user = str_slice(authority, 0, at);
    p->uri->has_user = true;
    for (size_t i = 0; i < user.len; i++)
        if (!is_alnum(user.ptr[i]) && !one_of(user.ptr[i], "-._:~!$&'()*+,;=%@"))
            return fail(p, "net/url: invalid userinfo", NO_QUOTE, "");
    return check_escapes(p, user, MODE_USER);
}

/* "scheme:" in front, if there is one. */
static bool parse_scheme(struct uri_parser *p, struct str *rest)
{
    for (size_t i = 0; i < rest->len; i++) {
        char c = rest->ptr[i];
        if (c == ':' && i == 0)
            return fail(p, "missing protocol scheme", NO_QUOTE, "");
        if (c == ':') {
            char *scheme = arena_alloc(rego_call_arena(p->call), i);
            for (size_t j = 0; scheme != NULL && j < i; j++) {
                char d = rest->ptr[j];
                scheme[j] = d >= 'A' && d <= 'Z' ? (char)(d + 32) : d;
            }
            p->uri->scheme = scheme == NULL ? STR_EMPTY : str_bytes(scheme, i);
            *rest = str_from(*rest, i + 1);
            return true;
        }
        if (!is_alnum(c) && !one_of(c, "+-."))
            return true;
        if (i == 0 && !((c | 32) >= 'a' && (c | 32) <= 'z'))
            return true;
    }
    return true;
}

static bool parse_path(struct uri_parser *p, struct str path)
{
    if (!check_escapes(p, path, MODE_PATH))
        return false;
    p->uri->path = unescape(p, path);
    p->uri->raw_path = is_canonical(path, p->uri->path, MODE_PATH) ? p->uri->path : path;
    return true;
}

/* All but the fragment. */
static bool parse_main(struct uri_parser *p, struct str rest)
{
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.ptr[i] < 0x20 || rest.ptr[i] == 0x7f)
            return fail(p, "net/url: invalid control character in URL", NO_QUOTE, "");
    if (str_is(rest, "*")) {
        p->uri->path = p->uri->raw_path = rest;
        return true;
    }
    if (!parse_scheme(p, &rest))
        return false;
    size_t question = str_find(rest, '?', 0);
    p->uri->query = str_from(rest, question + 1);
    p->uri->force_query = question + 1 == rest.len;
    rest.len = question;

    if (!str_has_prefix(rest, STR("/"))) {
        if (p->uri->scheme.len > 0) {
            p->uri->opaque = rest;
            return true;
        }
        struct str segment = str_slice(rest, 0, str_find(rest, '/', 0));
        if (str_find(segment, ':', 0) < segment.len)
            return fail(p, "first path segment in URL cannot contain colon", NO_QUOTE, "");
    }
    if (str_has_prefix(rest, STR("//")) &&
        (p->uri->scheme.len > 0 || !str_has_prefix(rest, STR("///")))) {
        size_t slash = str_find(rest, '/', 2);
        if (!parse_authority(p, str_slice(rest, 2, slash - 2)))
            return false;
        rest = str_from(rest, slash);
    } else {
        p->uri->omit_host = p->uri->scheme.len > 0 && str_has_prefix(rest, STR("/"));
    }
    return parse_path(p, rest);
}

/* True, or *error says why not, in Go's words: parse "...": reason. */
static bool parse_uri(struct rego_call *call, struct str text, struct uri *uri, struct buf *error)
{
    *uri =
        (struct uri){STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY};
    CLEANUP(buf_done) struct buf reason;
    buf_init(&reason, 1024);
    struct uri_parser p = {call, text, uri, &reason};
    size_t hash = str_find(text, '#', 0);
    struct str fragment = str_from(text, hash + 1);
    struct str shown_text = str_slice(text, 0, hash);
    bool ok = parse_main(&p, shown_text);
    if (ok && fragment.len > 0) {
        shown_text = text;
        ok = check_escapes(&p, fragment, MODE_FRAGMENT);
        if (ok)
            uri->fragment = unescape(&p, fragment);
    }
    if (ok)
        return true;
    buf_add(error, STR("parse "));
    unicode_quote(error, shown_text);
    buf_add(error, STR(": "));
    buf_add(error, buf_str(&reason));
    worked(rego_call_arena(call), buf_status(&reason));
    worked(rego_call_arena(call), buf_status(error));
    return false;
}

value uri_object(struct rego_call *call, struct str text)
{
    struct arena *a = rego_call_arena(call);
    struct uri u;
    CLEANUP(buf_done) struct buf error;
    buf_init(&error, 4096);
    if (!parse_uri(call, text, &u, &error))
        return VALUE_UNDEFINED;
    const struct {
        const char *name;
        value v;
    } members[] = {
        {"Scheme", value_string(a, u.scheme)},
        {"Opaque", value_string(a, u.opaque)},
        {"User", u.has_user ? VALUE_EMPTY_OBJECT(a) : VALUE_NULL},
        {"Host", value_string(a, u.authority_host)},
        {"Path", value_string(a, u.path)},
        {"RawPath", value_string(a, u.raw_path.ptr == u.path.ptr ? STR_EMPTY : u.raw_path)},
        {"ForceQuery", value_bool(u.force_query)},
        {"RawQuery", value_string(a, u.query)},
        {"Fragment", value_string(a, u.fragment)},
        {"RawFragment", value_string(a, STR_EMPTY)},
        {"OmitHost", value_bool(u.omit_host)},
    };
    struct value_builder b;
    value_builder_init(&b, a, ARRAY_LEN(members));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        value_builder_put_str(&b, members[i].name, members[i].v);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

enum rego_outcome builtin_uri_parse(struct rego_call *call, const value *args, value *out)
{
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    if (!charge_bytes(call, text.len * 8))
        return REGO_FATAL;
    struct uri u;
    CLEANUP(buf_done) struct buf error;
    buf_init(&error, 4096);
    if (!parse_uri(call, text, &u, &error))
        return rego_call_error(call, "%.*s", STR_ARG(buf_str(&error)));

    const struct {
        const char *name;
        struct str text;
    } parts[] = {
        {"scheme", u.scheme},
        {"hostname", u.host},
        {"port", u.port},
        {"path", u.path},
        {"raw_path", u.path.len > 0 ? u.raw_path : STR_EMPTY},
        {"raw_query", u.query},
        {"fragment", u.fragment},
    };
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), ARRAY_LEN(parts));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].text.len > 0)
            value_builder_put_str(&b, parts[i].name,
                                  value_string(rego_call_arena(call), parts[i].text));
    return give(call, value_object_finish(&b, VALUE_DUP_LAST, NULL), out);
}

enum rego_outcome builtin_uri_is_valid(struct rego_call *call, const value *args, value *out)
{
    struct str text = value_str(args[0]);
    if (!charge_bytes(call, text.len * 8))
        return REGO_FATAL;
    struct uri u;
    CLEANUP(buf_done) struct buf error;
    buf_init(&error, 4096);
    return give_bool(text.len > 0 && parse_uri(call, text, &u, &error), out);
}

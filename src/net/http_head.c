#include "net/http_head.h"

/* Classes of bytes, RFC 9110 5.6.2 and RFC 3986 3.2.2. */
enum {
    TOKEN = 1, /* tchar */
    HOST = 2,  /* what a Host value may hold: unreserved, sub-delims, "%:[]" */
};

static const uint8_t classes[256] = {
    ['!'] = TOKEN | HOST,
    ['#'] = TOKEN,
    ['$'] = TOKEN | HOST,
    ['%'] = TOKEN | HOST,
    ['&'] = TOKEN | HOST,
    ['\''] = TOKEN | HOST,
    ['*'] = TOKEN | HOST,
    ['+'] = TOKEN | HOST,
    ['-'] = TOKEN | HOST,
    ['.'] = TOKEN | HOST,
    ['^'] = TOKEN,
    ['_'] = TOKEN | HOST,
    ['`'] = TOKEN,
    ['|'] = TOKEN,
    ['~'] = TOKEN | HOST,
    ['0' ... '9'] = TOKEN | HOST,
    ['A' ... 'Z'] = TOKEN | HOST,
    ['a' ... 'z'] = TOKEN | HOST,
    ['('] = HOST,
    [')'] = HOST,
    [','] = HOST,
    [';'] = HOST,
    ['='] = HOST,
    [':'] = HOST,
    ['['] = HOST,
    [']'] = HOST,
};

static bool all_of(struct str s, uint8_t class)
{
    for (size_t i = 0; i < s.len; i++)
        if ((classes[(uint8_t)s.ptr[i]] & class) == 0)
            return false;
    return true;
}

bool http_is_token(struct str s)
{
    return s.len > 0 && all_of(s, TOKEN);
}

bool http_is_field_value(struct str s)
{
    const uint64_t ones = UINT64_MAX / 255;
    size_t i = 0;

    /* Eight bytes at a time: a bearer token is the longest thing in a head. */
    while (i + 8 <= s.len) {
        uint64_t x;
        memcpy(&x, s.ptr + i, 8);
        uint64_t del = x ^ ones * 0x7f;
        uint64_t suspects = ((x - ones * 0x20) & ~x) | ((del - ones) & ~del);
        if ((suspects & ones * 0x80) != 0)
            break; /* a tab perhaps: look at each */
        i += 8;
    }
    for (; i < s.len; i++) {
        uint8_t c = (uint8_t)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool http_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (a.ptr[i] != b.ptr[i] && lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

struct str http_head_get(const struct http_head *h, const char *name)
{
    struct str want = str_of(name);
    for (size_t i = 0; i < h->field_count; i++)
        if (http_equal_nocase(h->fields[i].name, want))
            return h->fields[i].value;
    return (struct str){NULL, 0};
}

struct str http_lines_get(struct str lines, const char *name)
{
    struct str want = str_of(name);
    while (lines.len > 0) {
        size_t end = str_find(lines, '\n', 0), colon = str_find(lines, ':', 0);
        if (colon < end && http_equal_nocase(str_slice(lines, 0, colon), want))
            return str_trim(str_slice(lines, colon + 1, end - colon - 1));
        lines = str_from(lines, end + 1);
    }
    return (struct str){NULL, 0};
}

/* ---- where the head ends ---- */

/*
 * Look for the empty line.  Each LF must follow a CR: that is decided here,
 * before the rest is read, so that a sender of bare LFs is refused at once
 * and not when the time for a head is over.
 */
static enum http_parse find_end(struct str text, size_t *scan_from, size_t *start, size_t *end)
{
    *start = text.len >= 2 && text.ptr[0] == '\r' && text.ptr[1] == '\n' ? 2 : 0;
    if (*scan_from < *start)
        *scan_from = *start;
    if (text.len > *start && text.ptr[*start] != '\r' &&
        (classes[(uint8_t)text.ptr[*start]] & TOKEN) == 0)
        return HTTP_PARSE_BAD; /* a TLS hello on a plain port, for one */

    for (size_t i = *scan_from; i < text.len; i++) {
        const char *lf = memchr(text.ptr + i, '\n', text.len - i);
        if (lf == NULL)
            break;
        i = (size_t)(lf - text.ptr);
        if (i == 0 || text.ptr[i - 1] != '\r')
            return HTTP_PARSE_BAD;
        if (i == *start + 1)
            return HTTP_PARSE_BAD; /* a second empty line in front */
        if (text.ptr[i - 2] == '\n') {
            *end = i + 1;
            return HTTP_PARSE_DONE;
        }
    }
    *scan_from = text.len;
    return HTTP_PARSE_MORE;
}

/* The next line without its CRLF; find_end() has seen to it that there is one. */
static struct str take_line(struct str *rest)
{
    size_t lf = str_find(*rest, '\n', 0);
    struct str line = str_slice(*rest, 0, lf > 0 ? lf - 1 : 0);
    *rest = str_from(*rest, lf + 1);
    return line;
}

/* ---- first lines ---- */

static enum http_parse read_version(struct str s, int *minor)
{
    if (s.len != 8 || memcmp(s.ptr, "HTTP/", 5) != 0 || s.ptr[6] != '.' || s.ptr[5] < '0' ||
        s.ptr[5] > '9' || s.ptr[7] < '0' || s.ptr[7] > '9')
        return HTTP_PARSE_BAD;
    if (s.ptr[5] != '1' || s.ptr[7] > '1')
        return HTTP_PARSE_VERSION;
    *minor = s.ptr[7] - '0';
    return HTTP_PARSE_DONE;
}

/* The part of "http://host[:port]/path" from the slash on; RFC 9112, 3.2.2. */
static bool read_absolute(struct str s, struct str *out)
{
    static const struct str schemes[] = {STR("http://"), STR("https://")};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!http_equal_nocase(str_slice(s, 0, schemes[i].len), schemes[i]))
            continue;
        struct str rest = str_from(s, schemes[i].len);
        size_t slash = str_find(rest, '/', 0);
        struct str authority = str_slice(rest, 0, slash);
        if (authority.len == 0 || !all_of(authority, HOST))
            return false; /* no user information, no query right after the authority */
        *out = slash < rest.len ? str_from(rest, slash) : STR("/");
        return true;
    }
    return false;
}

static bool read_target(struct http_head *h, struct str s)
{
    /* RFC 3986: no blanks, no controls, nothing beyond ASCII; a fragment is never sent. */
    for (size_t i = 0; i < s.len; i++)
        if ((uint8_t)s.ptr[i] <= 0x20 || (uint8_t)s.ptr[i] >= 0x7f || s.ptr[i] == '#')
            return false;
    if (s.len == 0)
        return false;
    h->target = s;
    if (s.ptr[0] == '/')
        return true;
    if (str_is(s, "*"))
        return str_is(h->method, "OPTIONS");
    return read_absolute(s, &h->target);
}

static enum http_parse read_request_line(struct http_head *h, struct str line)
{
    size_t first = str_find(line, ' ', 0);
    size_t second = first < line.len ? str_find(line, ' ', first + 1) : line.len;
    if (second >= line.len)
        return HTTP_PARSE_BAD; /* HTTP/0.9 among others */

    h->method = str_slice(line, 0, first);
    if (!http_is_token(h->method))
        return HTTP_PARSE_BAD;
    enum http_parse st = read_version(str_from(line, second + 1), &h->minor);
    if (st != HTTP_PARSE_DONE)
        return st;
    return read_target(h, str_slice(line, first + 1, second - first - 1)) ? HTTP_PARSE_DONE
                                                                          : HTTP_PARSE_BAD;
}

static enum http_parse read_status_line(struct http_head *h, struct str line)
{
    enum http_parse st = read_version(str_slice(line, 0, 8), &h->minor);
    if (st != HTTP_PARSE_DONE)
        return st;
    /* The blank and the reason after the number are missing in the wild. */
    if (line.len < 12 || line.ptr[8] != ' ' || (line.len > 12 && line.ptr[12] != ' ') ||
        !http_is_field_value(str_from(line, 12)))
        return HTTP_PARSE_BAD;
    for (size_t i = 9; i < 12; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return HTTP_PARSE_BAD;
        h->status = h->status * 10 + (line.ptr[i] - '0');
    }
    return h->status >= 100 ? HTTP_PARSE_DONE : HTTP_PARSE_BAD;
}

/* ---- fields that decide where the message ends ---- */

/* What was met so far; framing is judged when all fields are known. */
struct framing {
    bool host, length, coding;
    bool close, keep;
    enum http_parse coding_status;
};

static bool read_length(struct str s, uint64_t *out)
{
    if (s.len == 0 || s.len > 19) /* 19 digits always fit */
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    *out = n;
    return true;
}

static struct str trim_blanks(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = str_from(s, 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Next element of a comma list; false at its end. */
static bool next_element(struct str *rest, struct str *out)
{
    if (rest->ptr == NULL)
        return false;
    size_t comma = str_find(*rest, ',', 0);
    *out = trim_blanks(str_slice(*rest, 0, comma));
    *rest = comma < rest->len ? str_from(*rest, comma + 1) : (struct str){NULL, 0};
    return true;
}

/*
 * "chunked" alone is what we speak.  Other codings below a final "chunked" are
 * 501 (RFC 9112, 6.1); without it, or with it twice, nobody knows where the
 * body ends: 400 (6.3).
 */
static enum http_parse read_coding(struct str value)
{
    size_t count = 0, chunked = 0;
    bool last = false;
    struct str rest = value, e;
    while (next_element(&rest, &e)) {
        if (!http_is_token(e))
            return HTTP_PARSE_BAD;
        last = http_equal_nocase(e, STR("chunked"));
        chunked += last;
        count++;
    }
    if (!last || chunked != 1)
        return HTTP_PARSE_BAD;
    return count == 1 ? HTTP_PARSE_DONE : HTTP_PARSE_METHOD;
}

static bool read_connection(struct str value, struct framing *f)
{
    struct str rest = value, e;
    while (next_element(&rest, &e)) {
        f->close |= http_equal_nocase(e, STR("close"));
        f->keep |= http_equal_nocase(e, STR("keep-alive"));
    }
    return true;
}

static bool note_field(struct http_head *h, struct framing *f, const struct http_field *field)
{
    /* The length tells most other names apart without looking at them. */
    struct str name = field->name;
    switch (name.len) {
    case 4:
        if (!http_equal_nocase(name, STR("host")))
            return true;
        if (f->host)
            return false;
        f->host = true;
        return all_of(field->value, HOST);
    case 6:
        if (http_equal_nocase(name, STR("expect")))
            h->expect_continue = http_equal_nocase(field->value, STR("100-continue"));
        return true;
    case 10:
        if (http_equal_nocase(name, STR("connection")))
            return read_connection(field->value, f);
        return true;
    case 14:
        if (!http_equal_nocase(name, STR("content-length")))
            return true;
        if (f->length)
            return false; /* also when both say the same: proxies differ in what they pass on */
        f->length = true;
        return read_length(field->value, &h->length);
    case 17:
        if (!http_equal_nocase(name, STR("transfer-encoding")))
            return true;
        if (f->coding)
            return false;
        f->coding = true;
        f->coding_status = read_coding(field->value);
        return f->coding_status != HTTP_PARSE_BAD;
    default:
        return true;
    }
}

static enum http_parse read_fields(struct http_head *h, struct str rest, struct framing *f)
{
    for (;;) {
        struct str line = take_line(&rest);
        if (line.len == 0)
            return HTTP_PARSE_DONE;
        if (h->field_count == HTTP_HEADERS_MAX)
            return HTTP_PARSE_LARGE;

        /* A line that begins with a blank (obs-fold) has no token before its colon, either. */
        size_t colon = str_find(line, ':', 0);
        struct http_field *field = &h->fields[h->field_count];
        field->name = str_slice(line, 0, colon);
        if (colon == line.len || !http_is_token(field->name))
            return HTTP_PARSE_BAD;
        field->value = trim_blanks(str_from(line, colon + 1));
        if (!http_is_field_value(field->value) || !note_field(h, f, field))
            return HTTP_PARSE_BAD;
        h->field_count++;
    }
}

static enum http_parse judge_framing(struct http_head *h, const struct framing *f, bool request)
{
    if (f->coding && (f->length || h->minor == 0))
        return HTTP_PARSE_BAD; /* RFC 9112, 6.1: both, or in HTTP/1.0 */
    if (f->coding && f->coding_status != HTTP_PARSE_DONE)
        return f->coding_status;
    if (request && h->minor == 1 && !f->host)
        return HTTP_PARSE_BAD; /* RFC 9112, 3.2 */

    h->has_length = f->length;
    h->chunked = f->coding;
    h->keep_alive = !f->close && (h->minor == 1 || f->keep);
    if (h->minor == 0)
        h->expect_continue = false; /* RFC 9110, 10.1.1 */
    return HTTP_PARSE_DONE;
}

static enum http_parse parse(struct str text, size_t *scan_from, struct http_head *out,
                             size_t *used, bool request)
{
    size_t start = 0, end = 0;
    enum http_parse st = find_end(text, scan_from, &start, &end);
    if (st != HTTP_PARSE_DONE)
        return st;

    /* Not the whole struct: the array of fields is 3 KB, and its count says what counts. */
    out->method = out->target = STR_EMPTY;
    out->status = out->minor = 0;
    out->field_count = 0;
    out->has_length = out->chunked = out->keep_alive = out->expect_continue = false;
    out->length = 0;

    struct str rest = str_slice(text, start, end - start);
    struct str line = take_line(&rest);
    st = request ? read_request_line(out, line) : read_status_line(out, line);
    if (st != HTTP_PARSE_DONE)
        return st;

    struct framing f = {0};
    st = read_fields(out, rest, &f);
    if (st == HTTP_PARSE_DONE)
        st = judge_framing(out, &f, request);
    if (st == HTTP_PARSE_DONE)
        *used = end;
    return st;
}

enum http_parse http_head_parse_request(struct str text, size_t *scan_from, struct http_head *out,
                                        size_t *used)
{
    return parse(text, scan_from, out, used, true);
}

enum http_parse http_head_parse_response(struct str text, size_t *scan_from, struct http_head *out,
                                         size_t *used)
{
    return parse(text, scan_from, out, used, false);
}

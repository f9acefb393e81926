#include "base/encode.h"

static const char hex_digits[] = "0123456789abcdef";
static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool form_is_url(enum base64_form form)
{
    return form == BASE64_URL || form == BASE64_URL_PAD || form == BASE64_URL_ANY;
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static void hex_encode(struct str bytes, char *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        out[2 * i] = hex_digits[c >> 4];
        out[2 * i + 1] = hex_digits[c & 15];
    }
}

/* SIZE_MAX when the length does not fit. */
static size_t base64_len(size_t n, enum base64_form form)
{
    if (n > SIZE_MAX / 4 * 3 - 3)
        return SIZE_MAX;
    bool padded = form == BASE64_STD || form == BASE64_URL_PAD;
    return padded ? (n + 2) / 3 * 4 : n / 3 * 4 + (n % 3 == 0 ? 0 : n % 3 + 1);
}

static void base64_encode(struct str bytes, enum base64_form form, char *out)
{
    const char *digits = form_is_url(form) ? url_digits : std_digits;
    bool padded = form == BASE64_STD || form == BASE64_URL_PAD;
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len;

    for (; left >= 3; left -= 3, p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = digits[v >> 6 & 63];
        *out++ = digits[v & 63];
    }
    if (left == 0)
        return;
    uint32_t v = (uint32_t)p[0] << 16 | (left == 2 ? (uint32_t)p[1] << 8 : 0);
    *out++ = digits[v >> 18];
    *out++ = digits[v >> 12 & 63];
    if (left == 2)
        *out++ = digits[v >> 6 & 63];
    else if (padded)
        *out++ = '=';
    if (padded)
        *out = '=';
}

void hex_write(struct buf *out, struct str bytes)
{
    size_t n;
    if (!size_mul(bytes.len, 2, &n))
        n = SIZE_MAX;
    if (!buf_reserve(out, n))
        return;
    hex_encode(bytes, out->ptr + out->len);
    out->len += n;
}

void base64_write(struct buf *out, struct str bytes, enum base64_form form)
{
    size_t n = base64_len(bytes.len, form);
    if (!buf_reserve(out, n))
        return;
    base64_encode(bytes, form, out->ptr + out->len);
    out->len += n;
}

struct str hex_text(struct arena *a, struct str bytes)
{
    size_t n;
    char *p = size_mul(bytes.len, 2, &n) ? arena_alloc(a, n) : NULL;
    if (p == NULL)
        return (struct str){NULL, 0};
    hex_encode(bytes, p);
    return (struct str){p, n};
}

struct str base64_text(struct arena *a, struct str bytes, enum base64_form form)
{
    size_t n = base64_len(bytes.len, form);
    char *p = arena_alloc(a, n);
    if (p == NULL)
        return (struct str){NULL, 0};
    base64_encode(bytes, form, p);
    return (struct str){p, n};
}

static enum status hex_decode(struct str text, char *out, struct error *err)
{
    for (size_t i = 0; i < text.len; i += 2) {
        int hi = hex_digit(text.ptr[i]);
        int lo = hex_digit(text.ptr[i + 1]);
        if (hi < 0 || lo < 0) {
            error_set(err, "not a hexadecimal digit at offset %zu", hi < 0 ? i : i + 1);
            return ERR_INVALID;
        }
        out[i / 2] = (char)(hi << 4 | lo);
    }
    return OK;
}

static enum status hex_check_length(struct str text, struct error *err)
{
    if (text.len % 2 == 0)
        return OK;
    error_set(err, "odd number of hexadecimal digits (%zu)", text.len);
    return ERR_INVALID;
}

enum status hex_read(struct str text, struct buf *out, struct error *err)
{
    enum status st = hex_check_length(text, err);
    if (st != OK)
        return st;
    if (!buf_reserve(out, text.len / 2)) {
        error_set(err, "hexadecimal text is too long");
        return buf_status(out);
    }
    st = hex_decode(text, out->ptr + out->len, err);
    if (st == OK)
        out->len += text.len / 2;
    return st;
}

enum status hex_bytes(struct arena *a, struct str text, struct str *out, struct error *err)
{
    enum status st = hex_check_length(text, err);
    if (st != OK)
        return st;
    char *p = arena_alloc(a, text.len / 2);
    if (p == NULL) {
        error_set(err, "no room for %zu bytes", text.len / 2);
        return arena_status(a);
    }
    st = hex_decode(text, p, err);
    if (st == OK)
        *out = (struct str){p, text.len / 2};
    return st;
}

static int digit_value(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

/* Take the padding off, checked against the form. */
static enum status strip_padding(struct str *text, enum base64_form form, struct error *err)
{
    size_t pad = 0;
    while (pad < 3 && pad < text->len && text->ptr[text->len - 1 - pad] == '=')
        pad++;
    struct str body = {text->ptr, text->len - pad};
    size_t rest = body.len % 4;
    size_t wanted = rest == 0 ? 0 : 4 - rest;

    bool none_allowed = form == BASE64_URL;
    bool required = form == BASE64_STD || form == BASE64_URL_PAD;
    if (rest == 1 || (pad != 0 && (none_allowed || pad != wanted)) || (required && pad != wanted)) {
        error_set(err, "base64 text has the wrong length or padding");
        return ERR_INVALID;
    }
    *text = body;
    return OK;
}

static enum status base64_decode(struct str body, enum base64_form form, char *out,
                                 struct error *err)
{
    bool url = form_is_url(form);
    uint32_t acc = 0;
    int bits = 0;
    for (size_t i = 0; i < body.len; i++) {
        int v = digit_value(body.ptr[i], url);
        if (v < 0) {
            error_set(err, "not a base64%s digit at offset %zu", url ? "url" : "", i);
            return ERR_INVALID;
        }
        acc = acc << 6 | (uint32_t)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *out++ = (char)(acc >> bits);
        }
    }
    if ((acc & ((1u << bits) - 1)) != 0) {
        error_set(err, "base64 text has stray bits at its end");
        return ERR_INVALID;
    }
    return OK;
}

enum status base64_read(struct str text, enum base64_form form, struct buf *out, struct error *err)
{
    enum status st = strip_padding(&text, form, err);
    if (st != OK)
        return st;
    size_t n = text.len / 4 * 3 + text.len % 4 * 3 / 4;
    if (!buf_reserve(out, n)) {
        error_set(err, "base64 text is too long");
        return buf_status(out);
    }
    st = base64_decode(text, form, out->ptr + out->len, err);
    if (st == OK)
        out->len += n;
    return st;
}

enum status base64_bytes(struct arena *a, struct str text, enum base64_form form, struct str *out,
                         struct error *err)
{
    enum status st = strip_padding(&text, form, err);
    if (st != OK)
        return st;
    size_t n = text.len / 4 * 3 + text.len % 4 * 3 / 4;
    char *p = arena_alloc(a, n);
    if (p == NULL) {
        error_set(err, "no room for %zu bytes", n);
        return arena_status(a);
    }
    st = base64_decode(text, form, p, err);
    if (st == OK)
        *out = (struct str){p, n};
    return st;
}

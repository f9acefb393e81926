/*
 * Hexadecimal, base64 in every form, UTF-8 and RFC 3339 moments; the first byte
 * says which.  Property: what is read has one spelling (two for hexadecimal's
 * case and optional padding), so writing it gives the text back; what is refused
 * leaves nothing behind.
 */
#include <stdlib.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void hex(struct str text)
{
    CLEANUP(buf_done) struct buf bytes, again;
    buf_init(&bytes, 1 << 20);
    buf_init(&again, 1 << 20);
    if (hex_read(text, &bytes, NULL) != OK)
        return;
    hex_write(&again, buf_str(&bytes));
    check(again.len == text.len && strncasecmp(again.ptr, text.ptr, text.len) == 0);
}

static void base64(struct str text, enum base64_form form)
{
    static const enum base64_form written[] = {BASE64_STD, BASE64_URL, BASE64_URL_PAD, BASE64_STD,
                                               BASE64_URL_PAD};
    CLEANUP(buf_done) struct buf bytes, again;
    buf_init(&bytes, 1 << 20);
    buf_init(&again, 2 << 20);
    struct error err = ERROR_INIT;
    if (base64_read(text, form, &bytes, &err) != OK) {
        check(err.text[0] != '\0');
        return;
    }
    base64_write(&again, buf_str(&bytes), written[form]);
    struct str back = buf_str(&again);
    if (form == BASE64_STD_ANY || form == BASE64_URL_ANY) /* padding may be missing */
        while (back.len > text.len && back.ptr[back.len - 1] == '=')
            back.len--;
    check(str_equal(back, text));
}

static void utf8(struct str text)
{
    bool valid = true;
    size_t count = 0;
    for (struct str rest = text; rest.len > 0; count++) {
        uint32_t rune;
        char out[4];
        size_t n = utf8_decode(rest, &rune);
        check(n <= rest.len && n <= 4);
        if (n > 0)
            check(utf8_encode(rune, out) == n && memcmp(out, rest.ptr, n) == 0);
        valid = valid && n > 0;
        rest = str_from(rest, n > 0 ? n : 1);
    }
    check(utf8_is_valid(text) == valid && utf8_count(text) == count);
}

static void moment(struct str text)
{
    int64_t ns, later = 0;
    if (time_parse_rfc3339(text, &ns, NULL) != OK)
        return;
    /* The same moment, written in UTC by us. */
    char out[64];
    struct utc t = utc_from_s(ns / NS_PER_S - (ns % NS_PER_S < 0));
    int n =
        snprintf(out, sizeof(out), "%04d-%02d-%02dT%02d:%02d:%02d.%09lldZ", t.year, t.month, t.day,
                 t.hour, t.minute, t.second, (long long)((ns % NS_PER_S + NS_PER_S) % NS_PER_S));
    check(time_parse_rfc3339(str_bytes(out, (size_t)n), &later, NULL) == OK && later == ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str text = str_bytes(data + 1, size - 1);
    switch (data[0] % 8) {
    case 5:
        hex(text);
        break;
    case 6:
        utf8(text);
        break;
    case 7:
        moment(text);
        break;
    default:
        base64(text, (enum base64_form)(data[0] % 8));
    }
    return 0;
}

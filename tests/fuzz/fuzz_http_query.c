/*
 * Queries and cookies: the object of a query holds each decoded name with the
 * value of its last pair, and nothing else; encoded again it parses to an
 * equal object.
 */
#include <stdlib.h>

#include "net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

static void encode(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_add_format(b, "%%%02x", (unsigned)(uint8_t)s.ptr[i]);
}

static void check_query(struct arena *a, struct str text)
{
    value v;
    if (http_query_parse(a, text, &v, NULL) != OK)
        return;
    PROPERTY(value_is_object(v));

    size_t pairs = 0;
    value last = VALUE_UNDEFINED;
    struct str rest = text, name, val, val_text = STR_EMPTY;
    while (http_form_next(&rest, &name, &val)) {
        PROPERTY(http_form_decode(a, name, &name, NULL) == OK);
        PROPERTY(http_form_decode(a, val, &val_text, NULL) == OK);
        last = value_get_str(v, name);
        PROPERTY(value_is_string(last));
        pairs++;
    }
    PROPERTY(value_len(v) <= pairs && (pairs > 0) == (value_len(v) > 0));
    PROPERTY(pairs == 0 || str_equal(value_str(last), val_text));

    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 22);
    for (size_t i = 0; i < value_len(v); i++) {
        encode(&b, value_str(value_pairs(v)[i].key));
        buf_add_byte(&b, '=');
        encode(&b, value_str(value_pairs(v)[i].val));
        buf_add_byte(&b, '&');
    }
    value again;
    PROPERTY(http_query_parse(a, buf_str(&b), &again, NULL) == OK && value_equal(v, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        size = 4096;
    struct str text = str_bytes(data, size);

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 24);
    check_query(&a, text);

    struct str path;
    if (http_percent_decode(&a, text, &path, NULL) == OK)
        PROPERTY(path.len <= text.len && (path.len == 0 || memchr(path.ptr, 0, path.len) == NULL));

    struct http_head head = {.field_count = 1, .fields = {{STR("Cookie"), text}}};
    struct http_exchange x = {.head = &head};
    arena_init(&x.arena, 1 << 20);
    struct str cookie = http_cookie(&x, "a");
    PROPERTY(cookie.ptr == NULL || cookie.len <= text.len);
    arena_done(&x.arena);
    return 0;
}

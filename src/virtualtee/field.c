#include "virtualtee/field.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"

const struct field *field_find(const struct field_table *table, struct str name)
{
    for (size_t i = 0; i < table->len; i++) {
        if (str_is(name, table->items[i].name))
            return &table->items[i];
    }
    return NULL;
}

bool field_number(struct str text, uint64_t max, uint64_t *out)
{
    uint64_t base = 10;
    if (str_has_prefix(text, STR("0x"))) {
        base = 16;
        text = str_from(text, 2);
    }
    if (text.len == 0)
        return false;

    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = hex_digit(text.ptr[i]);
        if (digit < 0 || (uint64_t)digit >= base || __builtin_mul_overflow(n, base, &n) ||
            __builtin_add_overflow(n, (uint64_t)digit, &n))
            return false;
    }
    *out = n;
    return n <= max;
}

static uint64_t max_of_bits(unsigned bits)
{
    return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

/* Numbers are stored in the machine's own byte order: these are C integers. */
static void uint_store(void *p, unsigned size, uint64_t n)
{
    uint8_t n8 = (uint8_t)n;
    uint16_t n16 = (uint16_t)n;
    uint32_t n32 = (uint32_t)n;
    switch (size) {
    case 1:
        memcpy(p, &n8, 1);
        return;
    case 2:
        memcpy(p, &n16, 2);
        return;
    case 4:
        memcpy(p, &n32, 4);
        return;
    default:
        memcpy(p, &n, 8);
        return;
    }
}

static uint64_t uint_load(const void *p, unsigned size)
{
    uint8_t n8;
    uint16_t n16;
    uint32_t n32;
    uint64_t n64;
    switch (size) {
    case 1:
        memcpy(&n8, p, 1);
        return n8;
    case 2:
        memcpy(&n16, p, 2);
        return n16;
    case 4:
        memcpy(&n32, p, 4);
        return n32;
    default:
        memcpy(&n64, p, 8);
        return n64;
    }
}

static size_t data_max(const struct field *f)
{
    return f->size == UINT16_MAX ? UINT16_MAX : FIELD_DATA_MAX;
}

static STATUS set_bytes(const struct field *f, void *to, struct str text, struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, f->type == FIELD_DATA ? data_max(f) : f->size);
    enum status st = hex_read(text, &b, err);
    if (st == ERR_LIMIT)
        error_set(err, "field \"%s\" has room for %zu bytes", f->name, b.max);
    else if (st != OK)
        error_prefix(err, "field \"%s\": ", f->name);
    if (st != OK)
        return st;

    if (f->type == FIELD_DATA) {
        struct field_data *d = to;
        d->set = true;
        d->len = (uint16_t)b.len;
        memcpy((uint8_t *)to + offsetof(struct field_data, bytes), buf_str(&b).ptr, b.len);
    } else {
        memset(to, 0, f->size);
        memcpy(to, buf_str(&b).ptr, b.len);
    }
    return OK;
}

static STATUS set_text(const struct field *f, char *to, struct str text, struct error *err)
{
    if (text.len >= FIELD_TEXT_MAX) {
        error_set(err, "field \"%s\" has room for %d characters", f->name, FIELD_TEXT_MAX - 1);
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~' || text.ptr[i] == '"' || text.ptr[i] == '\\') {
            error_set(err, "field \"%s\" takes printable ASCII without quotes", f->name);
            return ERR_INVALID;
        }
    }
    memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    return OK;
}

static STATUS set_number(const struct field *f, void *to, struct str text, struct error *err)
{
    uint64_t max = f->type == FIELD_FOLLOW ? UINT8_MAX
                   : f->type == FIELD_BITS ? max_of_bits(f->size)
                                           : max_of_bits(f->size * 8);
    uint64_t n;
    if (f->type == FIELD_BITS && f->size == 1 && (str_is(text, "true") || str_is(text, "false"))) {
        n = str_is(text, "true");
    } else if (!field_number(text, max, &n)) {
        error_set(err, "field \"%s\" takes a number of at most %llu, not \"%s\"", f->name,
                  (unsigned long long)max, QUOTED(text));
        return ERR_INVALID;
    }

    if (f->type == FIELD_FOLLOW) {
        *(int16_t *)to = (int16_t)n;
    } else if (f->type == FIELD_BITS) {
        uint64_t word = *(uint64_t *)to;
        *(uint64_t *)to = (word & ~(max << f->shift)) | n << f->shift;
    } else {
        uint_store(to, f->size, n);
    }
    return OK;
}

STATUS field_set(const struct field *f, void *machine, struct str text, struct error *err)
{
    char *to = (char *)machine + f->offset;
    int64_t ns;
    enum status st;
    switch (f->type) {
    case FIELD_BOOL:
        if (!str_is(text, "true") && !str_is(text, "false")) {
            error_set(err, "field \"%s\" is true or false, not \"%s\"", f->name, QUOTED(text));
            return ERR_INVALID;
        }
        *(bool *)(void *)to = str_is(text, "true");
        return OK;
    case FIELD_UINT:
    case FIELD_BITS:
    case FIELD_FOLLOW:
        return set_number(f, to, text, err);
    case FIELD_BYTES:
    case FIELD_DATA:
        return set_bytes(f, to, text, err);
    case FIELD_TEXT:
        return set_text(f, to, text, err);
    case FIELD_TIME:
        st = time_parse_rfc3339(text, &ns, err);
        if (st == OK)
            *(int64_t *)(void *)to = ns / NS_PER_S;
        return st;
    case FIELD_CALL:
        return f->set(machine, f, text, err);
    }
    return ERR_INTERNAL;
}

void field_write(const struct field *f, const void *machine, struct buf *out)
{
    const char *from = (const char *)machine + f->offset;
    const struct field_data *data = (const void *)from;
    char time[TIME_RFC3339_LEN + 1];
    uint64_t n;
    int16_t follow;
    switch (f->type) {
    case FIELD_BOOL:
        buf_add_cstr(out, *(const bool *)from ? "true" : "false");
        return;
    case FIELD_UINT:
        buf_add_format(out, "%llu", (unsigned long long)uint_load(from, f->size));
        return;
    case FIELD_BITS:
        n = uint_load(from, 8) >> f->shift & max_of_bits(f->size);
        if (f->size == 1)
            buf_add_cstr(out, n != 0 ? "true" : "false");
        else
            buf_add_format(out, "%llu", (unsigned long long)n);
        return;
    case FIELD_FOLLOW:
        memcpy(&follow, from, sizeof(follow));
        if (follow >= 0)
            buf_add_format(out, "%d", follow);
        return;
    case FIELD_BYTES:
        hex_write(out, str_bytes(from, f->size));
        return;
    case FIELD_DATA:
        if (data->set)
            hex_write(out, str_bytes(from + offsetof(struct field_data, bytes), data->len));
        return;
    case FIELD_TEXT:
        buf_add_cstr(out, from);
        return;
    case FIELD_TIME:
        time_write_rfc3339(*(const int64_t *)(const void *)from, time);
        buf_add_cstr(out, time);
        return;
    case FIELD_CALL:
        return;
    }
}

void field_write_type(const struct field *f, struct buf *out)
{
    switch (f->type) {
    case FIELD_BOOL:
        buf_add_cstr(out, "true or false");
        return;
    case FIELD_UINT:
        buf_add_format(out, "number, %u bits", f->size * 8);
        return;
    case FIELD_BITS:
        if (f->size == 1)
            buf_add_cstr(out, "true or false");
        else
            buf_add_format(out, "number, %u bits", f->size);
        return;
    case FIELD_FOLLOW:
        buf_add_cstr(out, "number, 8 bits");
        return;
    case FIELD_BYTES:
        buf_add_format(out, "hex, %u bytes", f->size);
        return;
    case FIELD_DATA:
        buf_add_format(out, "hex, up to %zu bytes", data_max(f));
        return;
    case FIELD_TEXT:
        buf_add_cstr(out, "text");
        return;
    case FIELD_TIME:
        buf_add_cstr(out, "RFC 3339 time");
        return;
    case FIELD_CALL:
        buf_add_cstr(out, "short hand");
        return;
    }
}

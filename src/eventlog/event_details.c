/* What an event says, by its type: attestation-service.md 14.3 to 14.6. */
#include "base/encode.h"
#include "base/utf8.h"
#include "eventlog/device_path.h"
#include "eventlog/eventlog.h"
#include "eventlog/text.h"
#include "value/json.h"

#define EV_EVENT_TAG 0x6
#define AAEL_TAG 0x4141454cu

/* ---- parsers; each adds members to `b` ---- */

typedef enum status (*details_parser)(struct arena *a, struct str data, struct value_builder *b,
                                      struct error *err);

static enum status malformed(struct error *err, const char *what)
{
    error_set(err, "%s is malformed", what);
    return ERR_INVALID;
}

static enum status put_text(struct arena *a, struct value_builder *b, const char *name,
                            struct str text)
{
    value v = text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
    value_builder_put_str(b, name, v);
    return value_is_defined(v) ? OK : arena_status(a);
}

static enum status parse_text(struct arena *a, struct str data, struct value_builder *b,
                              struct error *err)
{
    if (!utf8_is_valid(data))
        return malformed(err, "text of an event");
    return put_text(a, b, "string", data);
}

/* GUID, u64 name length in units, u64 data length, name in UTF-16LE, data. */
static enum status parse_variable(struct arena *a, struct str data, struct value_builder *b,
                                  struct error *err)
{
    if (data.len < 32)
        return malformed(err, "variable event");
    uint64_t units = load_le64(data.ptr + 16), size = load_le64(data.ptr + 24);
    struct str rest = str_from(data, 32);
    if (units > rest.len / 2 || size > rest.len - units * 2)
        return malformed(err, "variable event");

    struct str hex = hex_text(a, str_slice(data, 0, 16)), name, base64;
    if (hex.ptr == NULL)
        return ERR_NOMEM;
    if (!text_from_utf16(a, str_slice(rest, 0, units * 2), false, &name))
        return malformed(err, "name of a variable event");
    base64 = base64_text(a, str_slice(rest, units * 2, size), BASE64_STD);
    /* Storage order, not the usual spelling of a GUID: as upstream prints it. */
    struct str guid = arena_format(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex.ptr, hex.ptr + 8,
                                   hex.ptr + 12, hex.ptr + 16, hex.ptr + 20);
    value_builder_put_str(b, "unicode_name_length", value_uint(a, units));
    value_builder_put_str(b, "variable_data_length", value_uint(a, size));
    enum status st = put_text(a, b, "variable_name", guid);
    if (st == OK)
        st = put_text(a, b, "unicode_name", name);
    return st == OK ? put_text(a, b, "variable_data", base64) : st;
}

/* u8 length L and text, of which the last byte, a NUL in practice, does not count. */
static enum status parse_counted(struct arena *a, struct str data, struct value_builder *b,
                                 struct error *err)
{
    size_t n = data.len > 0 ? (uint8_t)data.ptr[0] : 0;
    if (n == 0 || data.len < n || !utf8_is_valid(str_slice(data, 1, n - 1)))
        return malformed(err, "counted text of an event");
    return put_text(a, b, "string", str_slice(data, 1, n - 1));
}

/* "domain operation content" */
static enum status parse_aael(struct arena *a, struct str text, struct value_builder *b,
                              struct error *err)
{
    size_t first = str_find(text, ' ', 0);
    size_t second = str_find(text, ' ', first + 1);
    if (!utf8_is_valid(text) || second >= text.len)
        return malformed(err, "application event");
    struct str content = str_from(text, second + 1);
    value parsed;
    const struct json_options options = {JSON_DUP_LAST, 0};
    if (json_parse(a, content, &options, &parsed, NULL) != OK)
        parsed = value_string(a, content);
    struct value_builder d;
    value_builder_init(&d, a, 3);
    value_builder_put_str(&d, "domain", value_string(a, str_slice(text, 0, first)));
    value_builder_put_str(&d, "operation",
                          value_string(a, str_slice(text, first + 1, second - first - 1)));
    value_builder_put_str(&d, "content", parsed);
    value_builder_put_str(b, "data", value_object_finish(&d, VALUE_DUP_LAST, NULL));
    return put_text(a, b, "unicode_name", STR("AAEL"));
}

static enum status parse_tagged(struct arena *a, struct str data, struct value_builder *b,
                                struct error *err)
{
    if (data.len < 8 || load_le32(data.ptr + 4) > data.len - 8)
        return malformed(err, "tagged event");
    struct str payload = str_slice(data, 8, load_le32(data.ptr + 4));
    enum status st = put_text(a, b, "string", text_lossy(a, payload, TEXT_NO_NULS));
    if (st == OK && load_le32(data.ptr) == AAEL_TAG)
        st = parse_aael(a, payload, b, err);
    return st;
}

/* td-shim's header has a 0x10 where the rule makes the word break. */
static enum status parse_cleaned(struct arena *a, struct str data, struct value_builder *b,
                                 struct error *err)
{
    (void)err;
    struct str text = utf8_is_valid(data) ? text_lossy(a, data, TEXT_CLEAN) : STR_EMPTY;
    return put_text(a, b, "string", text);
}

static enum status parse_ipl(struct arena *a, struct str data, struct value_builder *b,
                             struct error *err)
{
    if (data.len < 2)
        return malformed(err, "IPL event");
    struct str text;
    if (data.ptr[0] == 0x2e && data.ptr[1] == 0) { /* Google's: UTF-16 */
        size_t n = data.len - 2;
        if (n == 0 || n % 2 != 0)
            return malformed(err, "IPL event");
        if (!text_from_utf16(a, str_slice(data, 2, n - 2), true, &text))
            return ERR_NOMEM;
        return put_text(a, b, "string", text);
    }
    text = str_slice(data, 0, str_find(data, '\0', 0));
    return put_text(a, b, "string", utf8_is_valid(text) ? text : hex_text(a, data));
}

static enum status parse_application(struct arena *a, struct str data, struct value_builder *b,
                                     struct error *err)
{
    if (data.len < 32)
        return malformed(err, "boot application event");
    uint64_t len = load_le64(data.ptr + 24);
    if (len == 0)
        return OK;
    if (len < 4 || len - 4 > data.len - 32)
        return malformed(err, "device path");
    value list;
    enum status st = device_path_texts(a, str_slice(data, 32, len - 4), &list, err);
    if (st == OK)
        value_builder_put_str(b, "device_paths", list);
    return st;
}

bool event_is_application(const struct event *e)
{
    return e->type == EV_EVENT_TAG && e->data.len >= 8 && load_le32(e->data.ptr) == AAEL_TAG;
}

static details_parser parser_of(uint32_t type)
{
    switch (type) {
    case 0x1:
    case 0x5:
    case 0xc:
    case 0x12:
    case 0x80000007:
        return parse_text;
    case EV_EVENT_TAG:
        return parse_tagged;
    case 0xa:
        return parse_cleaned;
    case 0xd:
        return parse_ipl;
    case 0x80000001:
    case 0x80000002:
    case 0x8000000c:
    case 0x800000e0:
        return parse_variable;
    case 0x80000003:
        return parse_application;
    case 0x8000000a:
    case 0x8000000b:
        return parse_counted;
    default:
        return NULL;
    }
}

STATUS event_details(struct arena *a, const struct event *e, value *out, struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, 6);
    details_parser parse = parser_of(e->type);
    enum status st = parse == NULL ? OK : parse(a, e->data, &b, err);
    if (st != OK)
        return st;
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out) ? OK : arena_status(a);
}

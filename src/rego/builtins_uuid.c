/* uuid.rfc4122 and uuid.parse: rego.md 6.18. */
#include "base/encode.h"
#include "rego/builtins_internal.h"

/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
#define UUID_TEXT_LEN 36

static bool is_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

enum rego_outcome builtin_uuid_rfc4122(struct rego_call *call, const value *args, value *out)
{
    value known = rego_call_memo_get(call, "uuid.rfc4122", args[0]);
    if (value_is_defined(known)) {
        *out = known;
        return REGO_VALUE;
    }
    uint8_t bytes[16];
    rego_call_random(call, bytes, sizeof(bytes));
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* RFC 4122, 4.4: version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);

    static const char digits[] = "0123456789abcdef";
    char text[UUID_TEXT_LEN];
    size_t nibble = 0;
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        if (is_dash(i)) {
            text[i] = '-';
            continue;
        }
        text[i] = digits[bytes[nibble / 2] >> (nibble % 2 == 0 ? 4 : 0) & 15];
        nibble++;
    }
    value v = value_string(rego_call_arena(call), str_bytes(text, sizeof(text)));
    if (value_is_defined(v))
        rego_call_memo_put(call, "uuid.rfc4122", args[0], v);
    return give(call, v, out);
}

/* Plain, "{...}", "urn:uuid:..." or 32 digits. */
static bool read_uuid(struct str s, uint8_t out[16])
{
    if (s.len == UUID_TEXT_LEN + 9 && strncasecmp(s.ptr, "urn:uuid:", 9) == 0)
        s = str_from(s, 9);
    else if (s.len == UUID_TEXT_LEN + 2)
        s = str_slice(s, 1, UUID_TEXT_LEN); /* whatever the brackets are, as in the original */
    bool dashes = s.len == UUID_TEXT_LEN;
    if (!dashes && s.len != 32)
        return false;
    size_t nibble = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (dashes && is_dash(i)) {
            if (s.ptr[i] != '-')
                return false;
            continue;
        }
        int digit = hex_digit(s.ptr[i]);
        if (digit < 0)
            return false;
        out[nibble / 2] = (uint8_t)(nibble % 2 == 0 ? digit << 4 : out[nibble / 2] | digit);
        nibble++;
    }
    return true;
}

static const char *variant_name(uint8_t byte)
{
    if ((byte & 0xc0) == 0x80)
        return "RFC4122";
    if ((byte & 0xe0) == 0xc0)
        return "Microsoft";
    return (byte & 0xe0) == 0xe0 ? "Future" : "Reserved";
}

static const char *mac_name(uint8_t byte)
{
    static const char *const names[] = {"global:unicast", "global:multicast", "local:unicast",
                                        "local:multicast"};
    return names[byte & 3];
}

/* 100 ns steps between 1582-10-15 and 1970-01-01 */
#define EPOCH_STEPS 0x01b21dd213814000

static void add_time_fields(struct rego_call *call, struct value_builder *b, const uint8_t u[16],
                            int version)
{
    struct arena *a = rego_call_arena(call);
    int64_t steps = (int64_t)((uint64_t)(load_be16(u + 6) & 0x0fff) << 48 |
                              (uint64_t)load_be16(u + 4) << 32 | load_be32(u));
    struct str node =
        arena_format(a, "%02x-%02x-%02x-%02x-%02x-%02x", u[10], u[11], u[12], u[13], u[14], u[15]);
    /* wraps around like the original: 60 bits of steps are more than 64 bits of nanoseconds */
    uint64_t ns = (uint64_t)(steps - EPOCH_STEPS) * 100;
    value_builder_put_str(b, "time", value_int(a, (int64_t)ns));
    value_builder_put_str(b, "nodeid", value_string(a, node.ptr == NULL ? STR_EMPTY : node));
    value_builder_put_str(b, "macvariables", value_cstring(a, mac_name(u[10])));
    value_builder_put_str(b, "clocksequence", value_int(a, load_be16(u + 8) & 0x3fff));
    if (version != 2)
        return;
    static const char *const domains[] = {"Person", "Group", "Org"};
    struct str domain = u[9] < 3 ? str_of(domains[u[9]]) : arena_format(a, "Domain%d", u[9]);
    value_builder_put_str(b, "id", value_int(a, load_be32(u)));
    value_builder_put_str(b, "domain", value_string(a, domain.ptr == NULL ? STR_EMPTY : domain));
}

enum rego_outcome builtin_uuid_parse(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    uint8_t u[16] = {0};
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!read_uuid(s, u))
        return REGO_UNDEFINED;
    int version = u[6] >> 4;
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), 8);
    value_builder_put_str(&b, "version", value_int(rego_call_arena(call), version));
    value_builder_put_str(&b, "variant", value_cstring(rego_call_arena(call), variant_name(u[8])));
    if (version == 1 || version == 2)
        add_time_fields(call, &b, u, version);
    return give(call, value_object_finish(&b, VALUE_DUP_LAST, NULL), out);
}

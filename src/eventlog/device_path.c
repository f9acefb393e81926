#include "eventlog/device_path.h"

#include <inttypes.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "eventlog/text.h"

typedef struct str (*node_writer)(struct arena *a, struct str p);

static uint8_t byte_at(struct str p, size_t i)
{
    return (uint8_t)p.ptr[i];
}

static struct str none(void)
{
    return (struct str){NULL, 0};
}

static struct str zero_terminated_hex(struct arena *a, struct str bytes)
{
    struct str hex = hex_text(a, bytes);
    return hex.ptr == NULL ? hex : arena_str(a, hex);
}

static struct str guid_text(struct arena *a, struct str p)
{
    const char *g = p.ptr;
    return arena_format(a, "%08" PRIX32 "-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X",
                        load_le32(g), load_le16(g + 4), load_le16(g + 6), byte_at(p, 8),
                        byte_at(p, 9), byte_at(p, 10), byte_at(p, 11), byte_at(p, 12),
                        byte_at(p, 13), byte_at(p, 14), byte_at(p, 15));
}

static struct str write_pci(struct arena *a, struct str p)
{
    return p.len < 2 ? none() : arena_format(a, "Pci(%u,%u)", byte_at(p, 0), byte_at(p, 1));
}

/* The low half of an EISA id holds three letters of five bits each. */
static struct str write_acpi(struct arena *a, struct str p)
{
    if (p.len < 8)
        return none();
    uint32_t hid = load_le32(p.ptr);
    return arena_format(a, "ACPI(%c%c%c%04" PRIX32 ",%" PRIu32 ")", (int)(hid >> 10 & 31) + '@',
                        (int)(hid >> 5 & 31) + '@', (int)(hid & 31) + '@', hid >> 16,
                        load_le32(p.ptr + 4));
}

static struct str write_usb(struct arena *a, struct str p)
{
    return p.len < 2 ? none() : arena_format(a, "USB(%u,%u)", byte_at(p, 0), byte_at(p, 1));
}

static struct str write_mac(struct arena *a, struct str p)
{
    if (p.len != 33)
        return none();
    char hex[63];
    size_t n = 0;
    for (size_t i = 0; i < 31; i++) {
        hex[n++] = "0123456789ABCDEF"[byte_at(p, i) >> 4];
        hex[n++] = "0123456789ABCDEF"[byte_at(p, i) & 15];
    }
    while (n > 0 && hex[n - 1] == '0')
        n--;
    return arena_format(a, "Mac(%.*s,0x%02x)", (int)n, hex, byte_at(p, 32));
}

static struct str ipv4_text(struct arena *a, const char *p)
{
    uint32_t n = load_le32(p); /* read so, and printed from its high byte */
    return arena_format(a, "%u.%u.%u.%u", n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255);
}

static struct str write_ipv4(struct arena *a, struct str p)
{
    if (p.len < 23)
        return none();
    uint16_t protocol = load_le16(p.ptr + 12);
    uint32_t gateway = load_le32(p.ptr + 15), mask = load_le32(p.ptr + 19);
    struct str local = ipv4_text(a, p.ptr), remote = ipv4_text(a, p.ptr + 4);
    if (local.ptr == NULL || remote.ptr == NULL)
        return none();
    const char *name = protocol == 6 ? "TCP" : protocol == 17 ? "UDP" : "";
    const char *origin = byte_at(p, 14) == 0 ? "DHCP" : byte_at(p, 14) == 1 ? "Static" : "";
    if (gateway == 0 && mask == 0)
        return arena_format(a, "IPv4(%s,%s,%s,%s)", remote.ptr, name, origin, local.ptr);
    return arena_format(a, "IPv4(%s,%s,%s,%s,%" PRIu32 ",%" PRIu32 ")", remote.ptr, name, origin,
                        local.ptr, gateway, mask);
}

/* Bytes as they stand, not numbers; of UEFI's node the first four are reserved, and shown. */
static struct str write_fibre_ex(struct arena *a, struct str p)
{
    if (p.len < 16)
        return none();
    struct str name = zero_terminated_hex(a, str_slice(p, 0, 8));
    struct str unit = zero_terminated_hex(a, str_slice(p, 8, 8));
    return name.ptr == NULL || unit.ptr == NULL
               ? none()
               : arena_format(a, "FibreEx(0x%s,0x%s)", name.ptr, unit.ptr);
}

static struct str write_hard_drive(struct arena *a, struct str p)
{
    if (p.len < 38 || byte_at(p, 36) < 1 || byte_at(p, 36) > 2)
        return none();
    uint32_t partition = load_le32(p.ptr);
    struct str signature = byte_at(p, 36) == 1
                               ? arena_format(a, "MBR,0x%08" PRIx32, load_le32(p.ptr + 20))
                               : guid_text(a, str_slice(p, 20, 16));
    if (signature.ptr == NULL)
        return none();
    const char *kind = byte_at(p, 36) == 1 ? "" : "GPT,";
    if (partition == 0)
        return arena_format(a, "HD(0,%s%s)", kind, signature.ptr);
    return arena_format(a, "HD(%" PRIu32 ",%s%s,0x%" PRIx64 ",0x%" PRIx64 ")", partition, kind,
                        signature.ptr, load_le64(p.ptr + 4), load_le64(p.ptr + 12));
}

static struct str write_vendor(struct arena *a, struct str p)
{
    if (p.len < 16)
        return none();
    struct str guid = guid_text(a, p), data = zero_terminated_hex(a, str_from(p, 16));
    return guid.ptr == NULL || data.ptr == NULL
               ? none()
               : arena_format(a, "VenMedia(%s,%s)", guid.ptr, data.ptr);
}

static struct str write_file(struct arena *a, struct str p)
{
    struct str text;
    if (p.len < 2 || p.len % 2 != 0 || !text_from_utf16(a, str_slice(p, 0, p.len - 2), true, &text))
        return none();
    return arena_format(a, "File(%.*s)", STR_ARG(text));
}

static struct str write_bios(struct arena *a, struct str p)
{
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = {
        {1, "FLOPPY"}, {2, "HARD_DRIVE"},       {3, "CDROM"},  {4, "PCMCIA"},
        {5, "USB"},    {6, "EMBEDDED_NETWORK"}, {0x80, "DEV"}, {0xff, "UNKNOWN"},
    };
    if (p.len < 4)
        return none();
    struct str raw = str_from(p, 4);
    struct str text = str_slice(raw, 0, str_find(raw, '\0', 0));
    uint16_t type = load_le16(p.ptr), status = load_le16(p.ptr + 2);
    if (!utf8_is_valid(text))
        return none();
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].type == type)
            return arena_format(a, "BBS(%s,%.*s,%u)", names[i].name, STR_ARG(text), status);
    return arena_format(a, "BBS(%u,%.*s,%u)", type, STR_ARG(text), status);
}

struct str device_node_text(struct arena *a, uint8_t type, uint8_t subtype, struct str payload)
{
    static const struct {
        uint8_t type, subtype;
        node_writer write;
    } writers[] = {
        {1, 1, write_pci},        {2, 1, write_acpi},    {3, 5, write_usb},
        {3, 0x0b, write_mac},     {3, 0x0c, write_ipv4}, {3, 0x15, write_fibre_ex},
        {4, 1, write_hard_drive}, {4, 3, write_vendor},  {4, 4, write_file},
        {5, 1, write_bios},
    };
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        if (writers[i].type != type || writers[i].subtype != subtype)
            continue;
        struct str text = writers[i].write(a, payload);
        if (text.ptr != NULL)
            return text;
    }
    struct str hex = zero_terminated_hex(a, payload);
    return hex.ptr == NULL ? none() : arena_format(a, "Path(%u,%u,%s)", type, subtype, hex.ptr);
}

STATUS device_path_texts(struct arena *a, struct str path, value *out, struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, 8);
    while (path.len > 0) {
        size_t len = path.len < 4 ? 0 : load_le16(path.ptr + 2);
        if (len < 4 || len > path.len) {
            error_set(err, "device path node is malformed");
            return ERR_INVALID;
        }
        struct str text =
            device_node_text(a, byte_at(path, 0), byte_at(path, 1), str_slice(path, 4, len - 4));
        if (text.ptr == NULL)
            return error_nomem(err);
        value_builder_add(&b, value_string(a, text));
        path = str_from(path, len);
    }
    *out = value_array_finish(&b);
    return value_is_defined(*out) ? OK : error_nomem(err);
}

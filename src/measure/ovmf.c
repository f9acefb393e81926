#include "measure/ovmf.h"

#include "base/encode.h"

#define FOOTER_GUID "96b582de-1fb2-45f7-baea-a366c55a082d"
#define SEV_METADATA_GUID "dc886566-984a-4798-a75e-5585a7bf67cc"
#define SEV_RESET_GUID "00f771de-1a7e-4fcb-890e-68c77e2fb44e"
#define SEV_HASHES_GUID "7255371f-3a3b-4b04-927b-1da6efa8d454"
#define TDX_METADATA_GUID "e47a6535-984a-4798-865e-4685a7bf8ec2"

#define ENTRY_HEAD 18   /* u16 size, which counts itself, and the GUID */
#define AFTER_FOOTER 32 /* the reset vector lies there */
#define LIST_HEAD 16    /* of both lists: signature, size, version, count */

/* The bytes of a GUID as UEFI stores it: the first three groups little-endian. */
static void guid_bytes(const char *text, uint8_t out[16])
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    size_t n = 0;
    for (const char *p = text; *p != '\0' && n < 16; p++) {
        if (*p == '-')
            continue;
        out[order[n++]] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
        p++;
    }
}

/* The table without its footer; ERR_NOT_FOUND when the image has none. */
static enum status table_of(struct str image, struct str *out, struct error *err)
{
    if (image.len > OVMF_LEN_MAX) {
        error_set(err, "the firmware has %zu bytes, more than %zu", image.len, OVMF_LEN_MAX);
        return ERR_LIMIT;
    }
    uint8_t footer[16];
    guid_bytes(FOOTER_GUID, footer);
    if (image.len < AFTER_FOOTER + ENTRY_HEAD ||
        memcmp(image.ptr + image.len - AFTER_FOOTER - 16, footer, 16) != 0) {
        error_set(err, "the firmware has no table of GUIDs: it is not an OVMF image");
        return ERR_NOT_FOUND;
    }

    size_t end = image.len - AFTER_FOOTER;
    size_t len = load_le16(image.ptr + end - ENTRY_HEAD);
    if (len < ENTRY_HEAD || len > end) {
        error_set(err, "the firmware's table of GUIDs has %zu bytes, which is outside of it", len);
        return ERR_INVALID;
    }
    *out = str_slice(image, end - len, len - ENTRY_HEAD);
    return OK;
}

enum status ovmf_entry_parse(struct str image, const char *guid, struct str *data,
                             struct error *err)
{
    struct str table;
    enum status st = table_of(image, &table, err);
    if (st != OK)
        return st;

    uint8_t wanted[16];
    guid_bytes(guid, wanted);
    while (table.len >= ENTRY_HEAD) {
        size_t len = load_le16(table.ptr + table.len - ENTRY_HEAD);
        if (len < ENTRY_HEAD || len > table.len) {
            error_set(err, "an entry of the firmware's table of GUIDs has %zu bytes", len);
            return ERR_INVALID;
        }
        if (memcmp(table.ptr + table.len - 16, wanted, 16) == 0) {
            *data = str_slice(table, table.len - len, len - ENTRY_HEAD);
            return OK;
        }
        table.len -= len;
    }
    error_set(err, "the firmware's table of GUIDs has no %s", guid);
    return ERR_NOT_FOUND;
}

/* The four bytes that an entry begins with. */
static enum status entry_word(struct str image, const char *guid, uint32_t *out, struct error *err)
{
    struct str data;
    enum status st = ovmf_entry_parse(image, guid, &data, err);
    if (st != OK)
        return st;
    if (data.len < 4) {
        error_set(err, "the firmware's entry %s has %zu bytes instead of 4", guid, data.len);
        return ERR_INVALID;
    }
    *out = load_le32(data.ptr);
    return OK;
}

/*
 * A list of sections: the entry says how far before the end of the image it
 * begins, its head is signature, length, version 1 and the number of items.
 */
static enum status list_of(struct str image, const char *guid, const char *signature, size_t item,
                           struct str *items, struct error *err)
{
    uint32_t from_end;
    enum status st = entry_word(image, guid, &from_end, err);
    if (st != OK)
        return st;
    if (from_end > image.len || from_end < LIST_HEAD) {
        error_set(err, "the firmware's list %s lies outside of it", signature);
        return ERR_INVALID;
    }

    struct str list = str_from(image, image.len - from_end);
    if (memcmp(list.ptr, signature, 4) != 0 || load_le32(list.ptr + 8) != 1) {
        error_set(err, "the firmware's list %s has another signature or version", signature);
        return ERR_INVALID;
    }
    size_t count = load_le32(list.ptr + 12);
    if (count > OVMF_SECTIONS_MAX) {
        error_set(err, "the firmware's list %s has %zu sections, more than %d", signature, count,
                  OVMF_SECTIONS_MAX);
        return ERR_LIMIT;
    }
    if (list.len - LIST_HEAD < count * item) {
        error_set(err, "the firmware's list %s ends outside of it", signature);
        return ERR_INVALID;
    }
    *items = str_slice(list, LIST_HEAD, count * item);
    return OK;
}

static enum status pages_add(uint64_t len, uint64_t *pages, struct error *err)
{
    if (len % OVMF_PAGE != 0) {
        error_set(err, "a section of the firmware does not end at a page's end");
        return ERR_INVALID;
    }
    if (len / OVMF_PAGE > OVMF_PAGES_MAX - *pages) {
        error_set(err, "the sections of the firmware have more than %d pages", OVMF_PAGES_MAX);
        return ERR_LIMIT;
    }
    *pages += len / OVMF_PAGE;
    return OK;
}

/* ---- AMD ---- */

static bool sev_kind_known(uint32_t kind)
{
    return (kind >= SEV_SECTION_MEMORY && kind <= SEV_SECTION_SVSM_CAA) ||
           kind == SEV_SECTION_KERNEL_HASHES;
}

/* An entry that may be missing: 0 then. */
static enum status optional_word(struct str image, const char *guid, uint32_t *out,
                                 struct error *err)
{
    *out = 0;
    enum status st = entry_word(image, guid, out, err);
    return st == ERR_NOT_FOUND ? OK : st;
}

enum status ovmf_sev_parse(struct str image, struct ovmf_sev *out, struct error *err)
{
    enum { ITEM = 12 };
    struct str items;
    struct ovmf_sev sev = {.len = 0};
    enum status st = list_of(image, SEV_METADATA_GUID, "ASEV", ITEM, &items, err);
    if (st == OK)
        st = optional_word(image, SEV_RESET_GUID, &sev.reset_eip, err);
    if (st == OK)
        st = optional_word(image, SEV_HASHES_GUID, &sev.hashes_gpa, err);
    if (st != OK)
        return st;

    uint64_t pages = 0;
    for (size_t at = 0; at < items.len; at += ITEM) {
        const char *p = items.ptr + at;
        uint32_t kind = load_le32(p + 8);
        if (!sev_kind_known(kind)) {
            error_set(err, "a section of the firmware is of the unknown kind 0x%x", kind);
            return ERR_UNSUPPORTED;
        }
        struct sev_section s = {load_le32(p), load_le32(p + 4), (enum sev_section_kind)kind};
        st = pages_add(s.len, &pages, err);
        if (st != OK)
            return st;
        sev.sections[sev.len++] = s;
    }
    *out = sev;
    return OK;
}

/* ---- Intel ---- */

static enum status tdvf_section_read(struct str image, const char *p, uint64_t *pages,
                                     struct tdvf_section *out, struct error *err)
{
    size_t from = load_le32(p), raw = load_le32(p + 4);
    struct tdvf_section s = {
        .gpa = load_le64(p + 8),
        .len = load_le64(p + 16),
        .kind = load_le32(p + 24),
        .attributes = load_le32(p + 28),
    };
    if (raw > image.len || from > image.len - raw) {
        error_set(err, "the data of a section of the firmware lies outside of it");
        return ERR_INVALID;
    }
    uint64_t end;
    if (s.gpa % OVMF_PAGE != 0 || raw > s.len || __builtin_add_overflow(s.gpa, s.len, &end)) {
        error_set(err, "a section of the firmware has an impossible address or size");
        return ERR_INVALID;
    }
    /* Memory that is measured and not in the image would be whatever the host puts there. */
    if ((s.attributes & TDVF_MR_EXTEND) != 0 && raw != s.len) {
        error_set(err, "a section of the firmware is measured but not all of it is in the image");
        return ERR_INVALID;
    }
    s.data = str_slice(image, from, raw);
    *out = s;
    return pages_add(s.len, pages, err);
}

enum status ovmf_tdx_parse(struct str image, struct ovmf_tdx *out, struct error *err)
{
    enum { ITEM = 32 };
    struct str items;
    enum status st = list_of(image, TDX_METADATA_GUID, "TDVF", ITEM, &items, err);
    if (st != OK)
        return st;

    uint64_t pages = 0;
    struct ovmf_tdx tdx = {.len = 0};
    for (size_t at = 0; at < items.len; at += ITEM) {
        st = tdvf_section_read(image, items.ptr + at, &pages, &tdx.sections[tdx.len], err);
        if (st != OK)
            return st;
        tdx.len++;
    }
    *out = tdx;
    return OK;
}

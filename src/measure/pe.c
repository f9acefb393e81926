#include "measure/pe.h"

/*
 * Offsets, from Microsoft's "PE Format":
 *
 *   0x3c u32 -> "PE\0\0" | COFF header 20 | optional header | section table, 40 each
 */
enum {
    DOS_POINTER = 0x3c,
    COFF = 4,             /* after the signature */
    COFF_SECTIONS = 2,    /* u16 */
    COFF_OPTIONAL = 16,   /* u16, length of the optional header */
    OPTIONAL = COFF + 20, /* after the signature */
    OPT_HEADERS = 60,     /* u32 */
    OPT_CHECKSUM = 64,    /* u32 */
    SECTION = 40,
    SECTION_LEN = 8,      /* u32, in memory */
    SECTION_RAW_LEN = 16, /* u32 */
    SECTION_RAW = 20,     /* u32 */
};
#define DIRECTORY_CERTIFICATES 4

static enum status broken(struct error *err, const char *what)
{
    error_set(err, "the executable is broken: %s", what);
    return ERR_INVALID;
}

/* The optional header: where the checksum and the certificates stand. */
static enum status optional_read(struct pe *pe, size_t at, size_t len, struct error *err)
{
    const char *p = pe->file.ptr + at;
    if (len < OPT_CHECKSUM + 4)
        return broken(err, "its optional header is too short");
    unsigned magic = load_le16(p);
    if (magic != 0x10b && magic != 0x20b) {
        error_set(err, "the executable is neither PE32 nor PE32+ (magic 0x%x)", magic);
        return ERR_UNSUPPORTED;
    }
    pe->headers = load_le32(p + OPT_HEADERS);
    pe->checksum = at + OPT_CHECKSUM;

    size_t directories = magic == 0x20b ? 112 : 96;
    if (len < directories)
        return broken(err, "its optional header is too short");
    size_t count = load_le32(p + directories - 4);
    if (count > DIRECTORY_CERTIFICATES) {
        size_t entry = directories + 8 * DIRECTORY_CERTIFICATES;
        if (len < entry + 8)
            return broken(err, "its optional header is too short");
        pe->certificates = at + entry;
        pe->certificates_len = load_le32(p + entry + 4);
    }
    return OK;
}

static enum status section_read(struct str file, const char *p, struct pe_section *out,
                                struct error *err)
{
    size_t from = load_le32(p + SECTION_RAW), len = load_le32(p + SECTION_RAW_LEN);
    if (len > file.len || from > file.len - len)
        return broken(err, "the content of a section lies outside of it");
    size_t name = 0;
    while (name < 8 && p[name] != '\0')
        name++;
    *out = (struct pe_section){
        .name = {p, name},
        .raw = str_slice(file, from, len),
        .len = load_le32(p + SECTION_LEN),
    };
    return OK;
}

enum status pe_parse(struct str file, struct pe *out, struct error *err)
{
    if (file.len > PE_LEN_MAX) {
        error_set(err, "the executable has %zu bytes, more than %zu", file.len, PE_LEN_MAX);
        return ERR_LIMIT;
    }
    if (file.len < DOS_POINTER + 4 || memcmp(file.ptr, "MZ", 2) != 0)
        return broken(err, "it does not begin with MZ");
    size_t at = load_le32(file.ptr + DOS_POINTER);
    if (at > file.len || file.len - at < OPTIONAL || memcmp(file.ptr + at, "PE\0", 4) != 0)
        return broken(err, "it has no PE header");

    struct pe pe = {.file = file};
    size_t count = load_le16(file.ptr + at + COFF + COFF_SECTIONS);
    size_t optional_len = load_le16(file.ptr + at + COFF + COFF_OPTIONAL);
    size_t optional = at + OPTIONAL, table = optional + optional_len;
    if (count > PE_SECTIONS_MAX) {
        error_set(err, "the executable has %zu sections, more than %d", count, PE_SECTIONS_MAX);
        return ERR_LIMIT;
    }
    if (table > file.len || file.len - table < count * SECTION)
        return broken(err, "its headers end outside of it");
    enum status st = optional_read(&pe, optional, optional_len, err);
    if (st != OK)
        return st;
    /* Were less of the headers measured than is read here, the rest could be exchanged. */
    if (pe.headers > file.len || pe.headers < table + count * SECTION)
        return broken(err, "the length of its headers is impossible");

    for (; pe.len < count; pe.len++) {
        st = section_read(file, file.ptr + table + pe.len * SECTION, &pe.sections[pe.len], err);
        if (st != OK)
            return st;
    }
    *out = pe;
    return OK;
}

const struct pe_section *pe_find(const struct pe *pe, const char *name, size_t *count)
{
    const struct pe_section *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < pe->len; i++)
        if (str_is(pe->sections[i].name, name)) {
            found = &pe->sections[i];
            n++;
        }
    if (count != NULL)
        *count = n;
    return n == 1 ? found : NULL;
}

enum status pe_section_content(const struct pe_section *s, struct str *out, struct error *err)
{
    if (s->len > s->raw.len) {
        error_set(err, "section %.*s has %u bytes in memory but %zu in the file", STR_ARG(s->name),
                  s->len, s->raw.len);
        return ERR_UNSUPPORTED;
    }
    *out = str_slice(s->raw, 0, s->len);
    return OK;
}

enum status pe_authenticode(const struct pe *pe, enum digest_alg alg, struct digest *out,
                            struct error *err)
{
    struct str parts[PE_SECTIONS_MAX + 4];
    size_t n = 0, after_checksum = pe->checksum + 4, hashed = pe->headers;

    /* The headers without the checksum and the pointer to the certificates. */
    parts[n++] = str_slice(pe->file, 0, pe->checksum);
    if (pe->certificates != 0) {
        size_t after = pe->certificates + 8;
        parts[n++] = str_slice(pe->file, after_checksum, pe->certificates - after_checksum);
        parts[n++] = str_slice(pe->file, after, pe->headers - after);
    } else {
        parts[n++] = str_slice(pe->file, after_checksum, pe->headers - after_checksum);
    }

    /* The sections in the order of the file; those that begin together keep theirs. */
    size_t first = n;
    for (size_t i = 0; i < pe->len; i++) {
        struct str raw = pe->sections[i].raw;
        if (raw.len == 0)
            continue;
        size_t to = n++;
        for (; to > first && parts[to - 1].ptr > raw.ptr; to--)
            parts[to] = parts[to - 1];
        parts[to] = raw;
        hashed += raw.len;
    }

    /* What follows the sections, but for the certificates at the end. */
    if (pe->file.len > hashed) {
        size_t rest = pe->file.len - hashed;
        if (pe->certificates_len > rest)
            return broken(err, "its certificates are longer than what follows its sections");
        parts[n++] = str_slice(pe->file, hashed, rest - pe->certificates_len);
    }
    digest_parts(alg, parts, n, out);
    return OK;
}

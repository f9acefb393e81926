#include "measure/uki.h"

static void pad4(struct buf *out, size_t len)
{
    for (; len % 4 != 0; len++)
        buf_add_byte(out, 0);
}

/* One head of the "new ASCII" cpio format: 13 numbers of 8 hexadecimal digits, then the name. */
static void cpio_head(struct buf *out, unsigned inode, unsigned mode, size_t len, const char *name)
{
    buf_add_format(out, "070701%08x%08x%08x%08x%08x%08x%08x", inode, mode, 0, 0, 1, 0,
                   (unsigned)len);
    buf_add_format(out, "%08x%08x%08x%08x%08x%08x", 0, 0, 0, 0, (unsigned)strlen(name) + 1, 0);
    buf_add(out, str_bytes(name, strlen(name) + 1));
    pad4(out, 110 + strlen(name) + 1);
}

void uki_cpio(struct buf *out, const char *name, struct str content)
{
    char path[64] = ".extra/";
    size_t n = strlen(name), prefix = strlen(path);
    memcpy(path + prefix, name, n < sizeof(path) - prefix ? n : sizeof(path) - prefix - 1);

    cpio_head(out, 1, 0040555, 0, ".extra");
    cpio_head(out, 2, 0100444, content.len, path);
    buf_add(out, content);
    pad4(out, content.len);
    /* The trailer's length is written with an upper-case digit. */
    buf_add(out, STR("070701"
                     "00000000000000000000000000000000" /* inode, mode, uid, gid */
                     "00000001"                         /* links */
                     "000000000000000000000000000000000000000000000000"
                     "0000000B" /* length of the name */
                     "00000000"
                     "TRAILER!!!\0\0\0\0"));
}

/* What becomes a piece of the initrd, in the stub's order. */
static const struct piece {
    const char *section;
    const char *file; /* NULL: the section is an archive */
    unsigned since;
} pieces[] = {
    {".ucode", NULL, 256},
    {".initrd", NULL, UKI_STUB_MIN},
    {".pcrsig", "tpm2-pcr-signature.json", UKI_STUB_MIN},
    {".pcrpkey", "tpm2-pcr-public-key.pem", UKI_STUB_MIN},
    {".osrel", "os-release", 257},
    {".profile", "profile", 257},
};

enum status uki_initrd(const struct pe *pe, unsigned stub, struct buf *out, struct error *err)
{
    size_t used = 0, last = 0;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        const struct pe_section *s = pe_find(pe, pieces[i].section, NULL);
        struct str content;
        if (s == NULL || stub < pieces[i].since)
            continue;
        enum status st = pe_section_content(s, &content, err);
        if (st != OK)
            return st;
        if (content.len == 0)
            continue;
        pad4(out, last); /* a single piece stays as it is */
        if (pieces[i].file != NULL)
            uki_cpio(out, pieces[i].file, content);
        else
            buf_add(out, content);
        last = pieces[i].file != NULL ? 0 : content.len;
        used++;
    }
    if (used > 1)
        pad4(out, last);
    if (buf_status(out) == ERR_LIMIT)
        error_set(err, "the image's initrd is too large");
    return buf_status(out) == ERR_NOMEM ? error_nomem(err) : buf_status(out);
}

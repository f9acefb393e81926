#include "image.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"

static void le(struct buf *out, uint64_t v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_add_byte(out, (char)(v >> 8 * i));
}

static void fill(struct buf *out, size_t len)
{
    while (out->len < len)
        buf_add_byte(out, 0);
}

void image_pattern(struct buf *out, size_t len, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        buf_add_byte(out, (char)(x >> 24));
    }
}

/* ---- firmware ---- */

static const struct {
    uint32_t gpa, len, kind;
} sev[IMAGE_SEV_SECTIONS] = {
    {0x800000, 0x9000, 1}, {0x80d000, 0x1000, 2}, {0x80e000, 0x1000, 3},
    {0x80f000, 0x1000, 4}, {0x811000, 0x2000, 1}, {0x810000, 0x1000, 0x10},
};

static const uint8_t guids[][16] = {
    /* dc886566-984a-4798-a75e-5585a7bf67cc: AMD's list */
    {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67,
     0xcc},
    /* e47a6535-984a-4798-865e-4685a7bf8ec2: Intel's */
    {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e,
     0xc2},
    /* 7255371f-3a3b-4b04-927b-1da6efa8d454: the table of kernel hashes */
    {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4,
     0x54},
    /* 00f771de-1a7e-4fcb-890e-68c77e2fb44e: the second processor's start */
    {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4,
     0x4e},
    /* 96b582de-1fb2-45f7-baea-a366c55a082d: the table itself */
    {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08,
     0x2d},
};
enum { GUID_SEV, GUID_TDX, GUID_HASHES, GUID_RESET, GUID_TABLE };

static void entry(struct buf *out, int guid, uint64_t data, size_t len)
{
    le(out, data, len);
    le(out, len + 18, 2);
    buf_add(out, str_bytes(guids[guid], 16));
}

static void sev_list(struct buf *out, bool hashes)
{
    size_t count = hashes ? IMAGE_SEV_SECTIONS : IMAGE_SEV_SECTIONS - 1;
    buf_add(out, STR("ASEV"));
    le(out, 16 + 12 * count, 4);
    le(out, 1, 4);
    le(out, count, 4);
    for (size_t i = 0; i < count; i++) {
        le(out, sev[i].gpa, 4);
        le(out, sev[i].len, 4);
        le(out, sev[i].kind, 4);
    }
}

static void tdx_list(struct buf *out, size_t size)
{
    const struct {
        uint64_t from, raw, gpa, len, kind, attributes;
    } rows[IMAGE_TDX_SECTIONS] = {
        {0x1000, size - 0x1000, 0x100000000 - size + 0x1000, size - 0x1000, 0, 1},
        {0, 0x1000, 0x100000000 - size, 0x1000, 1, 0},
        {0, 0, 0x80b000, 0x2000, 3, 0},
        {0, 0, 0x809000, 0x2000, 2, 0},
        {0, 0, 0x1000000, 0x10000, 4, 2},
    };
    buf_add(out, STR("TDVF"));
    le(out, 16 + 32 * IMAGE_TDX_SECTIONS, 4);
    le(out, 1, 4);
    le(out, IMAGE_TDX_SECTIONS, 4);
    for (size_t i = 0; i < IMAGE_TDX_SECTIONS; i++) {
        le(out, rows[i].from, 4);
        le(out, rows[i].raw, 4);
        le(out, rows[i].gpa, 8);
        le(out, rows[i].len, 8);
        le(out, rows[i].kind, 4);
        le(out, rows[i].attributes, 4);
    }
}

void image_ovmf(struct buf *out, size_t pages, bool hashes)
{
    size_t size = pages * 4096;
    image_pattern(out, size - IMAGE_SEV_LIST, 1);
    sev_list(out, hashes);
    fill(out, size - IMAGE_TDX_LIST);
    tdx_list(out, size);
    fill(out, size - 32 - 18 - 22 - 22 - 26 - 22);
    entry(out, GUID_TDX, IMAGE_TDX_LIST, 4);
    entry(out, GUID_SEV, IMAGE_SEV_LIST, 4);
    entry(out, GUID_HASHES, 0x810c00 | (uint64_t)0x400 << 32, 8);
    entry(out, GUID_RESET, 0x80b004, 4);
    entry(out, GUID_TABLE, 0, 0);
    /* The table's size counts all of it. */
    store_le16(out->ptr + out->len - 18, 18 + 22 + 22 + 26 + 22);
    image_pattern(out, 32, 2);
}

/* ---- executables ---- */

#define HEADERS 0x400
#define PE_AT 0x80

static size_t aligned(size_t n)
{
    return (n + 511) & ~(size_t)511;
}

static void headers(struct buf *out, size_t sections)
{
    buf_add(out, STR("MZ"));
    fill(out, 0x3c);
    le(out, PE_AT, 4);
    fill(out, PE_AT);
    buf_add(out, STR("PE\0\0"));
    le(out, 0x8664, 2);
    le(out, sections, 2);
    fill(out, PE_AT + 4 + 16);
    le(out, 240, 2); /* optional header */
    le(out, 0x22, 2);
    size_t optional = out->len;
    le(out, 0x20b, 2);
    fill(out, optional + 32);
    le(out, 0x1000, 4); /* alignment in memory and in the file */
    le(out, 0x200, 4);
    fill(out, optional + 60);
    le(out, HEADERS, 4);
    le(out, 0x12345678, 4); /* checksum */
    fill(out, optional + 108);
    le(out, 16, 4);
    fill(out, optional + 240);
}

void image_pe(struct buf *out, const struct image_section *sections, size_t n, struct str trailing)
{
    size_t at = HEADERS, vma = 0x1000;
    headers(out, n);
    for (size_t i = 0; i < n; i++) {
        size_t raw = aligned(sections[i].content.len), start = out->len;
        buf_add_cstr(out, sections[i].name);
        fill(out, start + 8);
        le(out, sections[i].content.len, 4);
        le(out, vma, 4);
        le(out, raw, 4);
        le(out, at, 4);
        fill(out, start + 36);
        le(out, 0x40000040, 4);
        at += raw;
        vma += (raw + 0xfff) & ~(size_t)0xfff;
    }
    fill(out, HEADERS);
    for (size_t i = 0; i < n; i++) {
        buf_add(out, sections[i].content);
        fill(out, aligned(out->len));
    }
    buf_add(out, trailing);
}

void image_uki(struct buf *out, unsigned version)
{
    CLEANUP(buf_done) struct buf kernel, initrd, magic;
    buf_init(&kernel, IMAGE_MAX);
    buf_init(&initrd, IMAGE_MAX);
    buf_init(&magic, 256);
    image_pattern(&kernel, 5000, 3);
    image_pattern(&initrd, 3001, 4);
    buf_add_format(&magic, "#### LoaderInfo: systemd-stub %u.1-1 ####", version);
    buf_add_byte(&magic, 0);
    const struct image_section sections[] = {
        {".text", STR("code")},
        {".sdmagic", buf_str(&magic)},
        {".osrel", STR("ID=test\n")},
        {".cmdline", STR(" root=/dev/vda\tquiet \n")},
        {".uname", STR("6.1.0-test")},
        {".sbat", STR("sbat,1\n")},
        {".pcrpkey", STR("-----BEGIN PUBLIC KEY-----\n")},
        {".linux", buf_str(&kernel)},
        {".initrd", buf_str(&initrd)},
    };
    image_pe(out, sections, ARRAY_LEN(sections), STR_EMPTY);
}

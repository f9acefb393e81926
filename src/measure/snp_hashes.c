#include "base/encode.h"
#include "measure/snp.h"

/*
 * QEMU, target/i386/sev.c: a head and three entries of GUID, length, SHA-256,
 * filled up to a multiple of 16 bytes.
 *
 *   0  head 18 | cmdline 50 | initrd 50 | kernel 50 | 8 zeros
 */
enum { HEAD = 18, ENTRY = 50 };

static const uint8_t head_guid[16] = {0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c,
                                      0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21};
static const uint8_t cmdline_guid[16] = {0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c,
                                         0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a};
static const uint8_t initrd_guid[16] = {0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b,
                                        0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d};
static const uint8_t kernel_guid[16] = {0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42,
                                        0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b};

static void entry(uint8_t *at, const uint8_t guid[16], const struct digest *hash)
{
    memcpy(at, guid, 16);
    store_le16(at + 16, ENTRY);
    memcpy(at + 18, hash->bytes, 32);
}

void snp_hashes_table(struct str kernel, struct str initrd, struct str cmdline,
                      uint8_t out[SNP_HASHES_LEN])
{
    struct digest d;
    memset(out, 0, SNP_HASHES_LEN);
    memcpy(out, head_guid, 16);
    store_le16(out + 16, HEAD + 3 * ENTRY);

    /* The command line with its NUL; without one, the NUL alone. */
    struct str parts[2] = {cmdline, STR("\0")};
    digest_parts(DIGEST_SHA256, parts, 2, &d);
    entry(out + HEAD, cmdline_guid, &d);
    digest_compute(DIGEST_SHA256, initrd, &d);
    entry(out + HEAD + ENTRY, initrd_guid, &d);
    digest_compute(DIGEST_SHA256, kernel, &d);
    entry(out + HEAD + 2 * ENTRY, kernel_guid, &d);
}

/*
 * A UEFI executable (pe_parse) and what is measured of it as a unified kernel image.  Property:
 * sections lie inside, a refusal says why, digests are equal twice, and the checksum is in none.
 */
#include <stdlib.h>

#include "measure/uki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str part, struct str whole)
{
    return part.len <= whole.len && part.ptr >= whole.ptr &&
           part.ptr + part.len <= whole.ptr + whole.len;
}

static bool same(const struct digest *a, const struct digest *b)
{
    return str_equal(digest_str(a), digest_str(b));
}

/*
 * A copy with another checksum has the same Authenticode digest, unless something else of the
 * file lies where the checksum does.
 */
static void authenticode(const struct pe *pe)
{
    struct digest a, b;
    if (pe_authenticode(pe, DIGEST_SHA256, &a, NULL) != OK)
        return;
    for (size_t i = 0; i < pe->len; i++)
        if (pe->sections[i].raw.len > 0 && pe->sections[i].raw.ptr < pe->file.ptr + pe->headers)
            return;
    char *copy = malloc(pe->file.len);
    if (copy == NULL)
        return;
    memcpy(copy, pe->file.ptr, pe->file.len);
    copy[pe->checksum] ^= 1;
    struct pe other;
    if (pe_parse((struct str){copy, pe->file.len}, &other, NULL) != OK ||
        pe_authenticode(&other, DIGEST_SHA256, &b, NULL) != OK || !same(&a, &b))
        abort();
    free(copy);
}

static void uki(const struct pe *pe, unsigned stub)
{
    const struct uki_options o = {.stub = stub, .phases = STR("enter-initrd:ready")};
    struct uki_pcrs a, b;
    struct error err = ERROR_INIT;
    if (uki_measure(pe, &o, &a, &err) != OK) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    if (uki_measure(pe, &o, &b, NULL) != OK || !same(&a.pcr9, &b.pcr9) ||
        !same(&a.pcr11, &b.pcr11) || a.stub < UKI_STUB_MIN || a.stub > UKI_STUB_MAX)
        abort();
    for (size_t i = 0; i < 32; i++)
        if (a.pcr12.bytes[i] != 0) /* no command line was passed */
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str file = str_bytes(data, size);
    struct pe pe;
    struct error err = ERROR_INIT;
    if (pe_parse(file, &pe, &err) != OK) {
        if (err.text[0] == '\0')
            abort();
        return 0;
    }
    for (size_t i = 0; i < pe.len; i++)
        if (!inside(pe.sections[i].raw, file) || !inside(pe.sections[i].name, file) ||
            pe.sections[i].name.len > 8)
            abort();
    if (pe.len > PE_SECTIONS_MAX || pe.headers > size || pe.checksum + 4 > pe.headers)
        abort();
    authenticode(&pe);
    uki(&pe, 0);
    uki(&pe, 252);
    uki(&pe, 257);
    return 0;
}

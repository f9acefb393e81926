/*
 * A firmware image (ovmf_entry_parse, ovmf_sev_parse, ovmf_tdx_parse).  Property: sections are
 * whole pages within the limits, their data lies inside, a refusal says why, and what can be
 * measured is measured equal twice and differs with its last processor.
 */
#include <stdlib.h>

#include "measure/snp.h"
#include "measure/tdx.h"

#define PAGES_MAX 512 /* more are only counted: hashing them finds nothing */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str part, struct str whole)
{
    return part.len <= whole.len && part.ptr >= whole.ptr &&
           part.ptr + part.len <= whole.ptr + whole.len;
}

static void launch(struct str image)
{
    struct snp_launch l = {.firmware = image, .kernel = STR("kernel"), .vcpus = 1, .features = 1};
    struct digest a, b;
    struct error err = ERROR_INIT;
    if (snp_launch_digest(&l, &a, &err) != OK) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    if (snp_launch_digest(&l, &b, NULL) != OK || !str_equal(digest_str(&a), digest_str(&b)))
        abort();
    l.vcpus = 2;
    if (snp_launch_digest(&l, &b, NULL) == OK && str_equal(digest_str(&a), digest_str(&b)))
        abort();
}

static void sev(struct str image)
{
    struct ovmf_sev sev;
    struct error err = ERROR_INIT;
    if (ovmf_sev_parse(image, &sev, &err) != OK) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    uint64_t pages = 0;
    for (size_t i = 0; i < sev.len; i++) {
        if (sev.sections[i].len % OVMF_PAGE != 0)
            abort();
        pages += sev.sections[i].len / OVMF_PAGE;
    }
    if (sev.len > OVMF_SECTIONS_MAX || pages > OVMF_PAGES_MAX)
        abort();
    if (pages <= PAGES_MAX)
        launch(image);
}

static void tdx(struct str image)
{
    struct ovmf_tdx tdx;
    struct error err = ERROR_INIT;
    if (ovmf_tdx_parse(image, &tdx, &err) != OK) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    uint64_t pages = 0;
    for (size_t i = 0; i < tdx.len; i++) {
        const struct tdvf_section *s = &tdx.sections[i];
        if (!inside(s->data, image) || s->data.len > s->len || s->len % OVMF_PAGE != 0 ||
            ((s->attributes & TDVF_MR_EXTEND) != 0 && s->data.len != s->len))
            abort();
        pages += s->len / OVMF_PAGE;
    }
    if (tdx.len > OVMF_SECTIONS_MAX || pages > OVMF_PAGES_MAX)
        abort();
    struct digest a, b;
    if (pages <= PAGES_MAX && (tdx_mrtd(image, TDX_ORDER_PAGE, &a, NULL) != OK ||
                               tdx_mrtd(image, TDX_ORDER_PAGE, &b, NULL) != OK ||
                               !str_equal(digest_str(&a), digest_str(&b))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str image = str_bytes(data, size), entry;
    if (ovmf_entry_parse(image, "00f771de-1a7e-4fcb-890e-68c77e2fb44e", &entry, NULL) == OK &&
        !inside(entry, image))
        abort();
    sev(image);
    tdx(image);
    return 0;
}

#include "virtualtee/vek.h"

#include <stdio.h>

#define AMD_OID "1.3.6.1.4.1.3704.1"
#define VEK_EXTENSIONS_MAX 16
#define VEK_VALUE_MAX 80 /* the longest: a chip id, or a CSP name of 64 characters */

/* The extensions of one certificate with the bytes that they point to. */
struct extensions {
    struct cert_extension items[VEK_EXTENSIONS_MAX];
    uint8_t values[VEK_EXTENSIONS_MAX][VEK_VALUE_MAX];
    size_t len;
};

static void add_bytes(struct extensions *x, const char *oid, struct str bytes)
{
    uint8_t *value = x->values[x->len];
    size_t len = bytes.len < VEK_VALUE_MAX ? bytes.len : VEK_VALUE_MAX;
    memcpy(value, bytes.ptr, len);
    x->items[x->len++] = (struct cert_extension){.oid = oid, .der = str_bytes(value, len)};
}

/* INTEGER: a byte above 127 needs a leading zero (02 02 00 xx). */
static void add_integer(struct extensions *x, const char *oid, uint8_t n)
{
    if (n < 0x80)
        add_bytes(x, oid, str_bytes((uint8_t[]){0x02, 0x01, n}, 3));
    else
        add_bytes(x, oid, str_bytes((uint8_t[]){0x02, 0x02, 0x00, n}, 4));
}

static void add_ia5string(struct extensions *x, const char *oid, const char *text)
{
    uint8_t value[VEK_VALUE_MAX] = {0x16};
    size_t len = strlen(text);
    if (len > VEK_VALUE_MAX - 2)
        len = VEK_VALUE_MAX - 2;
    value[1] = (uint8_t)len;
    memcpy(value + 2, text, len);
    add_bytes(x, oid, str_bytes(value, len + 2));
}

static void add_tcb(struct extensions *x, const struct vek_request *req)
{
    add_integer(x, AMD_OID ".3.1", req->tcb.bootloader);
    add_integer(x, AMD_OID ".3.2", req->tcb.tee);
    add_integer(x, AMD_OID ".3.4", 0);
    add_integer(x, AMD_OID ".3.5", 0);
    add_integer(x, AMD_OID ".3.6", 0);
    add_integer(x, AMD_OID ".3.7", 0);
    if (req->flaw == VEK_WIDE_SNP)
        add_bytes(x, AMD_OID ".3.3", str_bytes((uint8_t[]){0x02, 0x02, 0x01, req->tcb.snp}, 4));
    else
        add_integer(x, AMD_OID ".3.3", req->tcb.snp);
    if (req->flaw != VEK_NO_MICROCODE)
        add_integer(x, AMD_OID ".3.8", req->tcb.microcode);
    if (req->generation == AMD_TURIN)
        add_integer(x, AMD_OID ".3.9", req->tcb.fmc);
}

static void add_identity(struct extensions *x, const struct vek_request *req)
{
    if (req->vlek) {
        const char *csp = req->csp_id[0] != '\0' ? req->csp_id : "CN=cc-virtual-1.example";
        add_ia5string(x, AMD_OID ".5", csp);
        return;
    }

    /* Turin parts have an id of 8 bytes; the report pads it with zeros. */
    size_t len = AMD_CHIP_ID_LEN;
    static const uint8_t zeros[AMD_CHIP_ID_LEN - 8];
    if (req->generation == AMD_TURIN && memcmp(req->chip_id + 8, zeros, sizeof(zeros)) == 0)
        len = 8;
    add_bytes(x, AMD_OID ".4", str_bytes(req->chip_id, len));
}

static STATUS subject_key(struct pki *p, const struct vek_request *req, struct privkey **out,
                          struct error *err)
{
    if (req->flaw == VEK_WEAK_CURVE)
        return privkey_generate(KEY_EC_P256, 0, out, err);

    /* privkey_ref() counts; it does not change the key. */
    const struct privkey *key = req->vlek ? pki_vlek(p) : pki_vcek(p);
    *out = privkey_ref((struct privkey *)(uintptr_t)key);
    return OK;
}

STATUS vek_make(struct pki *p, const struct vek_request *req, struct cert **out, struct error *err)
{
    const struct pki_amd *amd = NULL;
    enum status st = pki_amd(p, req->generation, &amd, err);
    if (st != OK)
        return st;

    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    st = subject_key(p, req, &key, err);
    if (st != OK)
        return st;

    struct extensions x = {.len = 0};
    add_integer(&x, AMD_OID ".1", 1);
    static const char *const products[AMD_GENERATIONS] = {"Milan-B0", "Genoa-B1", "Turin-B0"};
    add_ia5string(&x, AMD_OID ".2",
                  req->product_name[0] != '\0' ? req->product_name : products[req->generation]);
    add_tcb(&x, req);
    if (req->flaw != VEK_NO_CHIP)
        add_identity(&x, req);

    char subject[FIELD_TEXT_MAX + 64];
    snprintf(subject, sizeof(subject), "CN=%s,O=Claviger virtual TEE",
             req->common_name[0] != '\0' ? req->common_name
             : req->vlek                 ? "SEV-VLEK"
                                         : "SEV-VCEK");
    const struct cert_request make = {
        .subject = subject,
        .serial = STR_EMPTY, /* AMD's have number 0 */
        .not_before = req->not_before,
        .not_after = req->not_after,
        .rsa_pss = true,
        .digest = DIGEST_SHA384,
        .extensions = x.items,
        .extension_count = x.len,
    };
    const struct cert *issuer = req->vlek ? amd->asvk : amd->ask;
    bool vlek_issues = req->vlek != (req->flaw == VEK_OTHER_ISSUER);
    return cert_make(&make, privkey_public(key), issuer, vlek_issues ? amd->asvk_key : amd->ask_key,
                     out, err);
}

#include "verifier/snp/amd_item.h"

#include <stdio.h>

#include "base/encode.h"
#include "verifier/snp/vek.h"

/* ---- names ---- */

struct str amd_vcek_url(struct arena *a, struct str base, const struct snp_report *r,
                        enum snp_generation g)
{
    const struct snp_tcb *t = &r->reported;
    struct str chip = hex_text(a, str_slice(r->chip_id, 0, g == SNP_TURIN ? 8 : 64));
    char fmc[16] = "";
    if (g == SNP_TURIN)
        snprintf(fmc, sizeof(fmc), "fmcSPL=%02u&", t->fmc);
    if (chip.ptr == NULL)
        return chip;
    return arena_format(
        a, "%.*s/vcek/v1/%s/%.*s?%sblSPL=%02u&teeSPL=%02u&snpSPL=%02u&ucodeSPL=%02u", STR_ARG(base),
        snp_generation_product(g), STR_ARG(chip), fmc, t->bootloader, t->tee, t->snp, t->microcode);
}

struct str amd_crl_url(struct arena *a, struct str base, bool vlek, enum snp_generation g)
{
    return arena_format(a, "%.*s/%s/v1/%s/crl", STR_ARG(base), vlek ? "vlek" : "vcek",
                        snp_generation_product(g));
}

/* The text in front of the next `end`, which is passed; false when there is none. */
static bool next_part(struct str *rest, char end, struct str *out)
{
    size_t n = str_find(*rest, end, 0);
    *out = str_slice(*rest, 0, n);
    *rest = str_from(*rest, n + 1);
    return out->len > 0;
}

/* "blSPL=03": two digits at least, 255 at most. */
static bool read_spl(struct str *query, const char *name, uint8_t *out)
{
    struct str part, key = str_of(name);
    unsigned n = 0;
    if (!next_part(query, '&', &part) || !str_has_prefix(part, key))
        return false;
    struct str digits = str_from(part, key.len);
    if (digits.len < 2 || digits.len > 3 || (digits.len == 3 && digits.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        n = n * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    *out = (uint8_t)n;
    return n <= 255;
}

static bool read_chip(struct str hex, struct amd_name *out)
{
    out->chip_id_len = out->generation == SNP_TURIN ? 8 : 64;
    if (hex.len != 2 * out->chip_id_len)
        return false;
    for (size_t i = 0; i < out->chip_id_len; i++) {
        int hi = hex_digit(hex.ptr[2 * i]), lo = hex_digit(hex.ptr[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out->chip_id[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static bool read_tcb(struct str query, struct amd_name *out)
{
    return (out->generation != SNP_TURIN || read_spl(&query, "fmcSPL=", &out->tcb.fmc)) &&
           read_spl(&query, "blSPL=", &out->tcb.bootloader) &&
           read_spl(&query, "teeSPL=", &out->tcb.tee) &&
           read_spl(&query, "snpSPL=", &out->tcb.snp) &&
           read_spl(&query, "ucodeSPL=", &out->tcb.microcode) && query.len == 0;
}

bool amd_url_parse(struct str url, struct amd_name *out)
{
    *out = (struct amd_name){0};
    /* In the path: a query that looks like a name of AMD's does not make Intel's item one. */
    struct str path = str_slice(url, 0, str_find(url, '?', 0));
    for (int i = 0; i < 2; i++) {
        struct str mark = i == 0 ? STR("/vcek/v1/") : STR("/vlek/v1/");
        const char *at = memmem(path.ptr, path.len, mark.ptr, mark.len);
        if (at == NULL)
            continue;
        out->vlek = i == 1;
        struct str rest = str_from(url, (size_t)(at - url.ptr) + mark.len), product, leaf;
        if (!next_part(&rest, '/', &product))
            return false;
        enum snp_generation g = SNP_MILAN;
        while (g <= SNP_TURIN && !str_is(product, snp_generation_product(g)))
            g++;
        if (g > SNP_TURIN)
            return false;
        out->generation = g;
        if (str_is(rest, "crl") || str_is(rest, "cert_chain")) {
            out->item = str_is(rest, "crl") ? AMD_CRL : AMD_CERT_CHAIN;
            return true;
        }
        out->item = AMD_VCEK; /* a VLEK cannot be had by chip */
        return !out->vlek && next_part(&rest, '?', &leaf) && read_chip(leaf, out) &&
               read_tcb(rest, out);
    }
    return false;
}

/* ---- items ---- */

static enum status refuse(enum status st, const char *why, struct error *err)
{
    if (st == ERR_NOMEM)
        return error_nomem(err);
    error_set(err, "%s", why);
    return ERR_DENIED;
}

/* The i-th trusted key of a role ("ask") and generation. */
static const struct anchor *trusted(const struct anchors *anchors, const char *role,
                                    enum snp_generation g, size_t i)
{
    char name[32];
    snprintf(name, sizeof(name), "amd-%s-%s", role, snp_generation_name(g));
    return anchors_find(anchors, name, i);
}

static enum status check_vcek(const struct anchors *anchors, const struct amd_name *n,
                              struct str body, struct collateral_dates *out, struct error *err)
{
    CLEANUP(cert_cleanup) struct cert *cert = NULL;
    enum status st = cert_from_der(body, &cert, NULL);
    if (st != OK)
        return refuse(st, "it is no certificate", err);
    if (pubkey_kind(cert_pubkey(cert)) != KEY_EC_P384)
        return refuse(ERR_DENIED, "it is no VCEK", err);
    const struct anchor *an;
    st = ERR_DENIED;
    for (size_t i = 0; st == ERR_DENIED && (an = trusted(anchors, "ask", n->generation, i)) != NULL;
         i++)
        st = cert_signed_by(cert, an->key, NULL) == OK ? OK : ERR_DENIED;
    if (st != OK)
        return refuse(st, "no trusted key signed it", err);
    if (!vek_is_of_chip(cert, str_bytes(n->chip_id, n->chip_id_len)) ||
        !vek_has_tcb(cert, &n->tcb, n->generation))
        return refuse(ERR_DENIED, "it is of another chip or TCB than was asked for", err);
    *out = (struct collateral_dates){cert_not_before(cert), cert_not_after(cert)};
    return OK;
}

static enum status check_crl(const struct anchors *anchors, const struct amd_name *n,
                             struct str body, struct collateral_dates *out, struct error *err)
{
    CLEANUP(crl_cleanup) struct crl *crl = NULL;
    enum status st = crl_from_der(body, &crl, NULL);
    if (st != OK)
        return refuse(st, "it is no revocation list", err);
    const struct anchor *an;
    for (size_t i = 0; (an = trusted(anchors, "ark", n->generation, i)) != NULL; i++)
        if (crl_signed_by(crl, an->key, NULL) == OK) {
            *out = (struct collateral_dates){crl_this_update(crl), crl_next_update(crl)};
            return OK;
        }
    return refuse(ERR_DENIED, "no trusted root signed it", err);
}

/* ASK or ASVK, then its ARK. */
static enum status check_cert_chain(const struct anchors *anchors, const struct amd_name *n,
                                    struct str body, struct collateral_dates *out,
                                    struct error *err)
{
    struct cert *certs[CERT_CHAIN_MAX];
    size_t count = 0;
    enum status st = cert_list_from_pem(body, certs, &count, NULL);
    if (st != OK)
        return refuse(st, "it is no chain of certificates", err);
    bool good = false;
    const struct anchor *an;
    for (size_t i = 0;
         count == 2 && !good && (an = trusted(anchors, "ark", n->generation, i)) != NULL; i++)
        good = pubkey_equal(cert_pubkey(certs[1]), an->key) &&
               cert_signed_by(certs[1], an->key, NULL) == OK &&
               cert_signed_by(certs[0], an->key, NULL) == OK;
    if (good) {
        int64_t a = cert_not_after(certs[0]), b = cert_not_after(certs[1]);
        *out = (struct collateral_dates){cert_not_before(certs[0]), a < b ? a : b};
    }
    for (size_t i = 0; i < count; i++)
        cert_unref(certs[i]);
    return good ? OK : refuse(ERR_DENIED, "it does not lead to a trusted root", err);
}

STATUS amd_item_check(const struct anchors *anchors, const struct amd_name *name, struct str body,
                      struct collateral_dates *out, struct error *err)
{
    switch (name->item) {
    case AMD_VCEK:
        return check_vcek(anchors, name, body, out, err);
    case AMD_CRL:
        return check_crl(anchors, name, body, out, err);
    case AMD_CERT_CHAIN:
        return check_cert_chain(anchors, name, body, out, err);
    }
    return refuse(ERR_DENIED, "unknown kind", err);
}

#include "collateral/item.h"

#include "base/clock.h"
#include "verifier/dcap/intel_item.h"
#include "verifier/snp/amd_item.h"

#define MAGIC STR("claviger-collateral 1\n")

/* ---- kinds ---- */

static bool is_intel_item(struct str url, struct intel_name *n)
{
    return intel_url_parse(url, n) && (n->item == INTEL_TCB_INFO || n->item == INTEL_QE_IDENTITY ||
                                       n->item == INTEL_PCK_CRL || n->item == INTEL_ROOT_CRL);
}

enum collateral_kind collateral_kind_of(struct str url)
{
    struct intel_name intel;
    struct amd_name amd;
    if (is_intel_item(url, &intel))
        return COLLATERAL_INTEL;
    if (!amd_url_parse(url, &amd))
        return COLLATERAL_UNKNOWN;
    return amd.item == AMD_VCEK ? COLLATERAL_VCEK : COLLATERAL_AMD;
}

const char *collateral_kind_name(struct str url)
{
    struct intel_name intel;
    struct amd_name amd;
    if (is_intel_item(url, &intel)) {
        switch (intel.item) {
        case INTEL_TCB_INFO:
            return "tcb";
        case INTEL_QE_IDENTITY:
            return "qe-identity";
        case INTEL_PCK_CRL:
            return "pck-crl";
        default:
            return "root-crl";
        }
    }
    if (!amd_url_parse(url, &amd))
        return "unknown";
    return amd.item == AMD_VCEK ? "vcek" : amd.item == AMD_CRL ? "amd-crl" : "amd-cert-chain";
}

const char *collateral_chain_header(struct str url)
{
    struct intel_name n;
    if (!is_intel_item(url, &n))
        return NULL;
    switch (n.item) {
    case INTEL_TCB_INFO:
        return "tcb-info-issuer-chain";
    case INTEL_QE_IDENTITY:
        return "sgx-enclave-identity-issuer-chain";
    case INTEL_PCK_CRL:
        return "sgx-pck-crl-issuer-chain";
    default:
        return NULL;
    }
}

STATUS collateral_item_check(const struct anchors *anchors, struct collateral_item *item,
                             struct error *err)
{
    struct intel_name intel;
    struct amd_name amd;
    enum status st = ERR_DENIED;
    if (item->url.len > COLLATERAL_URL_MAX || item->chain.len > COLLATERAL_CHAIN_MAX ||
        item->body.len > COLLATERAL_BODY_MAX)
        error_set(err, "it is too large");
    else if (is_intel_item(item->url, &intel))
        st = intel_item_check(anchors, &intel, item->body, item->chain, &item->dates, err);
    else if (amd_url_parse(item->url, &amd))
        st = amd_item_check(anchors, &amd, item->body, &item->dates, err);
    else
        error_set(err, "its URL is of no known kind");
    if (st == ERR_DENIED)
        error_prefix(err, "collateral %s: ", QUOTED(item->url));
    return st;
}

/* ---- records ---- */

void collateral_item_write(struct buf *out, const struct collateral_item *item)
{
    char fetched[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(item->fetched_s, fetched);
    buf_add(out, MAGIC);
    buf_add_cstr(out, "url: ");
    buf_add(out, item->url);
    buf_add_format(out, "\nfetched: %s\nchain: %zu\nbody: %zu\n\n", fetched, item->chain.len,
                   item->body.len);
    buf_add(out, item->chain);
    buf_add(out, item->body);
}

/* "name: value\n" at the front of *rest. */
static bool next_line(struct str *rest, const char *name, struct str *out)
{
    struct str key = str_of(name);
    size_t end = str_find(*rest, '\n', 0);
    if (!str_has_prefix(*rest, key) || end == rest->len || end > COLLATERAL_URL_MAX + 16)
        return false;
    *out = str_slice(*rest, key.len, end - key.len);
    *rest = str_from(*rest, end + 1);
    return true;
}

/* As it is written: no sign, no leading zero. */
static bool read_length(struct str s, size_t max, size_t *out)
{
    size_t n = 0;
    if (s.len == 0 || s.len > 8 || (s.len > 1 && s.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (size_t)(s.ptr[i] - '0');
    }
    *out = n;
    return n <= max;
}

/* Exactly the form that time_write_rfc3339() has, so that a record has one text. */
static bool read_time(struct str s, int64_t *out)
{
    int64_t ns;
    char again[TIME_RFC3339_LEN + 1];
    if (s.len != TIME_RFC3339_LEN || time_parse_rfc3339(s, &ns, NULL) != OK || ns < 0)
        return false;
    *out = ns / NS_PER_S;
    time_write_rfc3339(*out, again);
    return str_is(s, again);
}

static bool is_plain(struct str url)
{
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] <= 0x20 || url.ptr[i] >= 0x7f)
            return false;
    return url.len > 0 && url.len <= COLLATERAL_URL_MAX;
}

STATUS collateral_item_parse(struct str record, struct collateral_item *out, struct error *err)
{
    struct collateral_item item = {.dates = {0, 0}};
    struct str rest = record, fetched, chain, body;
    size_t chain_len = 0, body_len = 0;
    bool ok = str_has_prefix(rest, MAGIC);
    rest = str_from(rest, MAGIC.len);
    ok = ok && next_line(&rest, "url: ", &item.url) && is_plain(item.url) &&
         next_line(&rest, "fetched: ", &fetched) && read_time(fetched, &item.fetched_s) &&
         next_line(&rest, "chain: ", &chain) &&
         read_length(chain, COLLATERAL_CHAIN_MAX, &chain_len) &&
         next_line(&rest, "body: ", &body) && read_length(body, COLLATERAL_BODY_MAX, &body_len) &&
         rest.len == 1 + chain_len + body_len && rest.ptr[0] == '\n';
    if (!ok) {
        error_set(err, "it is no record of collateral");
        return ERR_INVALID;
    }
    item.chain = str_slice(rest, 1, chain_len);
    item.body = str_slice(rest, 1 + chain_len, body_len);
    *out = item;
    return OK;
}

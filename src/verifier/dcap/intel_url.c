#include "verifier/dcap/intel_url.h"

#include "base/encode.h"

#define INTEL_HOST "https://api.trustedservices.intel.com"
#define ROOT_CRL_URL "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

static const char *const chain_header[] = {
    [INTEL_TCB_INFO_CHAIN] = "#tcb-info-issuer-chain",
    [INTEL_QE_IDENTITY_CHAIN] = "#sgx-enclave-identity-issuer-chain",
    [INTEL_PCK_CRL_CHAIN] = "#sgx-pck-crl-issuer-chain",
    [INTEL_ROOT_CRL] = NULL,
};

struct str intel_url(struct arena *a, struct str base, const struct intel_name *n)
{
    const char *tee = n->tdx ? "tdx" : "sgx", *update = n->standard ? "standard" : "early";
    const char *chain = chain_header[n->item] == NULL ? "" : chain_header[n->item];
    switch (n->item) {
    case INTEL_TCB_INFO:
    case INTEL_TCB_INFO_CHAIN:
        return arena_format(a, "%.*s/%s/certification/v4/tcb?fmspc=%s&update=%s%s", STR_ARG(base),
                            tee, n->fmspc, update, chain);
    case INTEL_QE_IDENTITY:
    case INTEL_QE_IDENTITY_CHAIN:
        return arena_format(a, "%.*s/%s/certification/v4/qe/identity?update=%s%s", STR_ARG(base),
                            tee, update, chain);
    case INTEL_PCK_CRL:
    case INTEL_PCK_CRL_CHAIN:
        return arena_format(a, "%.*s/sgx/certification/v4/pckcrl?ca=%s&encoding=der%s",
                            STR_ARG(base), n->platform ? "platform" : "processor", chain);
    case INTEL_ROOT_CRL:
        break;
    }
    /* Intel's own service has no root CRL: it stands where the root certificate says. */
    if (str_is(base, INTEL_HOST))
        return arena_str(a, STR(ROOT_CRL_URL));
    return arena_format(a, "%.*s/sgx/certification/v4/rootcacrl", STR_ARG(base));
}

struct str intel_url_base(struct str url)
{
    size_t i = str_find(url, ':', 0);
    if (i + 3 > url.len || memcmp(url.ptr + i, "://", 3) != 0)
        return url;
    return str_slice(url, 0, str_find(url, '/', i + 3));
}

/* Value of a query parameter, or empty. */
static struct str parameter(struct str query, const char *name)
{
    while (query.len > 0) {
        size_t end = str_find(query, '&', 0), equals = str_find(query, '=', 0);
        if (equals < end && str_is(str_slice(query, 0, equals), name))
            return str_slice(query, equals + 1, end - equals - 1);
        query = str_from(query, end + 1);
    }
    return STR_EMPTY;
}

static bool has_tail(struct str path, const char *middle, bool *tdx)
{
    for (int i = 0; i < 2; i++) {
        char tail[64] = "/";
        size_t n = 1;
        memcpy(tail + n, i == 0 ? "sgx" : "tdx", 3);
        n += 3;
        struct str m = str_of(middle);
        memcpy(tail + n, m.ptr, m.len);
        if (str_has_suffix(path, str_bytes(tail, n + m.len))) {
            *tdx = i == 1;
            return true;
        }
    }
    return false;
}

bool intel_url_parse(struct str url, struct intel_name *out)
{
    *out = (struct intel_name){0};
    size_t hash = str_find(url, '#', 0);
    bool chain = hash < url.len;
    struct str rest = str_slice(url, 0, hash);
    size_t mark = str_find(rest, '?', 0);
    struct str path = str_slice(rest, 0, mark), query = str_from(rest, mark + 1);
    out->standard = str_is(parameter(query, "update"), "standard");

    bool ignored;
    if (has_tail(path, "/certification/v4/tcb", &out->tdx)) {
        struct str fmspc = parameter(query, "fmspc");
        if (fmspc.len != 12)
            return false;
        for (size_t i = 0; i < fmspc.len; i++) {
            int digit = hex_digit(fmspc.ptr[i]);
            if (digit < 0)
                return false;
            out->fmspc[i] = "0123456789ABCDEF"[digit];
        }
        out->item = chain ? INTEL_TCB_INFO_CHAIN : INTEL_TCB_INFO;
    } else if (has_tail(path, "/certification/v4/qe/identity", &out->tdx)) {
        out->item = chain ? INTEL_QE_IDENTITY_CHAIN : INTEL_QE_IDENTITY;
    } else if (has_tail(path, "/certification/v4/pckcrl", &ignored)) {
        out->platform = str_is(parameter(query, "ca"), "platform");
        out->item = chain ? INTEL_PCK_CRL_CHAIN : INTEL_PCK_CRL;
    } else if (!chain && (has_tail(path, "/certification/v4/rootcacrl", &ignored) ||
                          str_is(url, ROOT_CRL_URL))) {
        out->item = INTEL_ROOT_CRL;
    } else {
        return false;
    }
    return true;
}

void intel_fmspc_text(const uint8_t fmspc[6], char out[13])
{
    for (size_t i = 0; i < 6; i++) {
        out[2 * i] = "0123456789ABCDEF"[fmspc[i] >> 4];
        out[2 * i + 1] = "0123456789ABCDEF"[fmspc[i] & 15];
    }
    out[12] = '\0';
}

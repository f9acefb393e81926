#include "verifier/collateral_fetch.h"

#include "verifier/dcap/intel_url.h"

/* Intel's answers carry the chain of their signer in one of these. */
static const char *const chain_headers[] = {
    "tcb-info-issuer-chain",
    "sgx-tcb-info-issuer-chain", /* older service versions */
    "sgx-enclave-identity-issuer-chain",
    "sgx-pck-crl-issuer-chain",
};

static const char *chain_name(enum intel_item item)
{
    switch (item) {
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

static enum status put_chain(struct collateral_set *s, const struct fetch_answer *answer,
                             struct str url, struct error *err)
{
    struct intel_name n;
    const char *want = intel_url_parse(url, &n) ? chain_name(n.item) : NULL;
    if (want == NULL)
        return OK;
    for (size_t i = 0; i < ARRAY_LEN(chain_headers); i++) {
        struct str chain = fetch_answer_header(answer, chain_headers[i]);
        if (chain.ptr == NULL)
            continue;
        CLEANUP(buf_done) struct buf name;
        buf_init(&name, FETCH_URL_MAX + 64);
        buf_add_format(&name, "%.*s#%s", STR_ARG(url), want);
        enum status st = buf_status(&name);
        return st == OK ? collateral_set_put(s, buf_str(&name), chain, err) : st;
    }
    return OK; /* the verifier says what is missing */
}

static void answer_cleanup(struct fetch_answer *a)
{
    fetch_answer_done(a);
}

STATUS collateral_fetch(struct collateral_set *s, struct fetcher *f, struct str url,
                        struct error *err)
{
    CLEANUP(answer_cleanup) struct fetch_answer answer;
    fetch_answer_init(&answer);
    const struct fetch_request request = {.url = url};
    enum status st = fetcher_request(f, &request, &answer, err);
    if (st != OK)
        return st;
    if (answer.status == 404 || answer.status == 410) {
        error_set(err, "collateral not available from %s", QUOTED(url));
        return ERR_NOT_FOUND;
    }
    if (answer.status != 200) {
        error_set(err, "unexpected HTTP response %d from %s", answer.status, QUOTED(url));
        return ERR_UNAVAILABLE;
    }
    st = put_chain(s, &answer, url, err);
    return st == OK ? collateral_set_put(s, url, buf_str(&answer.body), err) : st;
}

const char *const *collateral_prefixes(struct arena *a, value verifier_config)
{
    value sources = value_get_lit(value_get_lit(verifier_config, "snp_verifier"), "vcek_sources");
    struct str service = value_str(
        value_get_lit(value_get_lit(verifier_config, "dcap_verifier"), "collateral_service"));
    const char **list = arena_new_array(a, const char *, value_len(sources) + 6);
    if (list == NULL)
        return NULL;
    size_t n = 0;
    list[n++] = "https://kdsintf.amd.com/";
    list[n++] = "https://api.trustedservices.intel.com/";
    list[n++] = "https://certificates.trustedservices.intel.com/";
    if (str_has_prefix(service, STR("http")))
        list[n++] = arena_format(a, "%.*s/", STR_ARG(intel_url_base(service))).ptr;
    for (size_t i = 0; i < value_len(sources); i++) {
        struct str base = value_str(value_get_lit(value_at(sources, i), "base_url"));
        if (base.len > 0)
            list[n++] = arena_format(a, "%.*s/", STR_ARG(intel_url_base(base))).ptr;
    }
    return arena_status(a) == OK ? list : NULL;
}

#include "verifier/verifier.h"

#include "verifier/verifier_internal.h"
#include "verifier/verifiers.h"

/* Composed at build time: a verifier that is left out is not in the table. */
static const struct verifier *const table[] = {
    &verifier_sample,      &verifier_sample_device,
#ifdef CLAVIGER_SNP
    &verifier_snp,
#endif
#ifdef CLAVIGER_AZ_SNP_VTPM
    &verifier_az_snp_vtpm,
#endif
#ifdef CLAVIGER_TDX
    &verifier_tdx,
#endif
#ifdef CLAVIGER_AZ_TDX_VTPM
    &verifier_az_tdx_vtpm,
#endif
#ifdef CLAVIGER_SGX
    &verifier_sgx,
#endif
#ifdef CLAVIGER_TPM
    &verifier_tpm,
#endif
};

/* kbs.md 3.3: every name of the protocol, with the older spelling where there is one. */
static const struct {
    const char *name, *old;
    const char *feature; /* upstream's name of the verifier, for its error text */
    bool device;
} tees[] = {
    {"az-snp-vtpm", "azsnpvtpm", "az-snp-vtpm", false},
    {"az-tdx-vtpm", "aztdxvtpm", "az-tdx-vtpm", false},
    {"snp", NULL, "snp", false},
    {"sev", NULL, "sev", false},
    {"tdx", NULL, "tdx", false},
    {"sgx", NULL, "sgx", false},
    {"csv", NULL, "csv", false},
    {"cca", NULL, "cca", false},
    {"se", NULL, "se", false},
    {"tpm", NULL, "tpm", false},
    {"hygondcu", NULL, "hygon-dcu", true},
    {"nvidia", NULL, "nvidia", true},
    {"nvidia-dpu", "nvidiadpu", "nvidia-dpu", true},
    {"sample", NULL, "sample", false},
    {"sampledevice", NULL, "sample-device", true},
};

static bool spelled(struct str name, const char *canonical, const char *old)
{
    return str_is(name, canonical) || (old != NULL && str_is(name, old));
}

const struct verifier *verifier_find(struct str tee)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (spelled(tee, table[i]->tee, table[i]->old_tee))
            return table[i];
    return NULL;
}

bool tee_is_known(struct str tee)
{
    for (size_t i = 0; i < ARRAY_LEN(tees); i++)
        if (spelled(tee, tees[i].name, tees[i].old))
            return true;
    return false;
}

bool tee_is_device(struct str tee)
{
    for (size_t i = 0; i < ARRAY_LEN(tees); i++)
        if (spelled(tee, tees[i].name, tees[i].old))
            return tees[i].device;
    return false;
}

/* ---- names of claims ---- */

#define CLAIM_NUMBERED 24 /* PCRs */

static struct str next_path(struct str paths)
{
    return str_slice(paths, 0, str_find(paths, ' ', 0));
}

/* "pcr#" stands for pcr00 to pcr23. */
static void put_names(struct value_builder *b, struct arena *a, struct str name)
{
    if (!str_has_suffix(name, STR("#"))) {
        value_builder_put(b, value_string(a, name), VALUE_TRUE);
        return;
    }
    for (int i = 0; i < CLAIM_NUMBERED; i++) {
        struct str text = arena_format(a, "%.*s%02d", STR_ARG(str_slice(name, 0, name.len - 1)), i);
        value_builder_put(b, value_string(a, text), VALUE_TRUE);
    }
}

/* Take the paths that begin with `prefix`, which stand together, off the text. */
static value names_below(struct arena *a, struct str *paths, struct str prefix)
{
    struct value_builder b;
    value_builder_init(&b, a, 16);
    if (prefix.len == 0)
        value_builder_put_str(&b, "extra_trust_anchors", VALUE_TRUE);
    for (struct str path; path = next_path(*paths), path.len > 0 && str_has_prefix(path, prefix);) {
        struct str name = str_from(path, prefix.len);
        size_t slash = str_find(name, '/', 0);
        if (slash < name.len) {
            value key = value_string(a, str_slice(name, 0, slash));
            value_builder_put(&b, key,
                              names_below(a, paths, str_slice(path, 0, prefix.len + slash + 1)));
            continue;
        }
        put_names(&b, a, name);
        *paths = str_from(*paths, path.len + 1);
    }
    return value_object_finish(&b, VALUE_DUP_REFUSE, NULL); /* undefined if they do not */
}

static value claim_names(struct arena *a, const char *paths)
{
    struct str text = str_of(paths);
    return names_below(a, &text, STR(""));
}

value verifier_claim_schema(struct arena *a)
{
    struct value_builder b;
    value_builder_init(&b, a, 2 * ARRAY_LEN(tees));
    for (size_t i = 0; i < ARRAY_LEN(tees); i++) {
        const struct verifier *v = verifier_find(str_of(tees[i].name));
        value names = v == NULL ? VALUE_TRUE : claim_names(a, v->claims);
        value_builder_put_str(&b, tees[i].name, names);
        if (tees[i].old != NULL)
            value_builder_put_str(&b, tees[i].old, names);
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static const char *feature_name(struct str tee)
{
    for (size_t i = 0; i < ARRAY_LEN(tees); i++)
        if (spelled(tee, tees[i].name, tees[i].old))
            return tees[i].feature;
    return NULL;
}

STATUS verifier_run(struct arena *a, struct str tee, const struct verifier_request *req,
                    struct checks *checks, struct verifier_result *out, struct error *err)
{
    *out = (struct verifier_result){.len = 0};
    struct verify v = {a, req, checks, out, err};
    const struct verifier *vf = verifier_find(tee);
    if (vf == NULL) {
        value name = checks == NULL ? VALUE_UNDEFINED : value_string(checks->arena, tee);
        const char *feature = feature_name(tee);
        if (feature == NULL)
            return FAIL(&v, CHECK_TEE_NAME, "/input/tee", VALUE_UNDEFINED, name,
                        "no TEE is called %s", QUOTED(tee));
        return FAIL(&v, CHECK_TEE_ENABLED, "/input/tee", VALUE_UNDEFINED, name,
                    "feature `%s-verifier` is not enabled for `verifier` crate.", feature);
    }

    /* spec/README.md 6: evidence that anybody can make is verified only on demand. */
    if (vf->needs_config != NULL &&
        !value_is_object(value_get_str(req->config, str_of(vf->needs_config))))
        return FAIL(&v, CHECK_TEE_ENABLED, "/input/tee", VALUE_UNDEFINED, value_string(a, tee),
                    "evidence of %s is verified only if the configuration has the table "
                    "verifier_config.%s",
                    vf->tee, vf->needs_config);
    check_passed(checks, CHECK_TEE_ENABLED);

    /* A list that could not be read denies everything: nobody knows whom it would. */
    value list = value_get_lit(req->config, "deny_list");
    if (value_is_defined(list) && req->deny == NULL)
        return FAIL(&v, CHECK_KILL_SWITCH, "/data/verifier_config/deny_list", VALUE_UNDEFINED, list,
                    "the deny list that the configuration names was never readable");

    enum status st = vf->evaluate(a, req, checks, out, err);
    if (arena_status(a) != OK) {
        /* Whatever was found with memory running out says nothing about the evidence. */
        st = arena_status(a);
        error_set(err, "evidence needs more memory than allowed");
        if (checks != NULL)
            checks->reason.check = CHECK_NONE;
    }
    if (st != OK)
        out->len = 0; /* all or nothing: no claims beside a failure */
    return st;
}

/* What the service reads and writes once its process is confined. */
#include <stdio.h>

#include "attestation/attestation_internal.h"

static void add_text(struct confine *c, struct str text, bool folder)
{
    char path[4096];
    if (text.len == 0 || text.len >= sizeof(path))
        return;
    snprintf(path, sizeof(path), "%.*s", STR_ARG(text));
    if (folder)
        confine_add_folder(c, path, CONFINE_READ);
    else
        confine_add_file(c, path, CONFINE_READ);
}

/*
 * Verifiers have tables of their own, with stores of endorsements and the like:
 * whatever stands there as an absolute path or a file:// URL, at any depth, or
 * under a key that ends in "path".
 */
static void add_paths(struct confine *c, struct str key, value v)
{
    for (size_t i = 0; value_is_object(v) && i < value_len(v); i++)
        add_paths(c, value_str(value_pairs(v)[i].key), value_pairs(v)[i].val);
    for (size_t i = 0; value_is_array(v) && i < value_len(v); i++)
        add_paths(c, key, value_at(v, i));
    if (!value_is_string(v))
        return;
    struct str text = value_str(v);
    if (str_has_prefix(text, STR("file:///")))
        text = str_from(text, 7);
    if ((str_has_prefix(text, STR("/")) && text.len > 1) || str_has_suffix(key, STR("path")))
        add_text(c, text, true);
}

void attestation_confine(const struct attestation_service *s, struct confine *c)
{
    for (size_t i = 0; i < s->config.policy_count; i++)
        storage_confine(s->config.policies[i], c);
    rvps_confine(s->config.rvps, c);
    add_text(c, s->config.key_path, false);
    add_text(c, s->config.cert_path, false);
    add_text(c, s->config.deny_list, false);
    add_paths(c, STR_EMPTY, s->config.verifier_config);
    if (s->options.qcnl_path != NULL)
        confine_add_file(c, s->options.qcnl_path, CONFINE_READ);
    const char *cache = collateral_folder(s->endorsements);
    if (cache != NULL)
        confine_add_folder(c, cache, CONFINE_READ | CONFINE_WRITE);
    /* Where snp_verifier's OfflineStore is, unless it says so (verifiers-snp.md). */
    confine_add_folder(c, "/opt/confidential-containers/attestation-service/kds-store",
                       CONFINE_READ);
    confine_add(c, "/usr/share/zoneinfo", CONFINE_READ); /* policies ask for times there */
    confine_add(c, "/etc/localtime", CONFINE_READ);
    confine_add_modules(c);
}

const char *const *attestation_allowed_urls(const struct attestation_service *s)
{
    return collateral_allowed(s->endorsements);
}

const char *attestation_ca_file(const struct attestation_service *s)
{
    return collateral_ca_file(s->endorsements);
}

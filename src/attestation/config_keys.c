/*
 * The keys of the attestation service's table (attestation-service.md 2,
 * verifiers.md 3) and what they hold.  Here every one is judged, because a
 * verifier that meets `enforce_vek_dates = "true"` or a misspelt
 * `paravisor_measurements` would go on without the protection, and say nothing.
 */
#include "attestation/attestation_internal.h"

static const char *const rvps_types[] = {"BuiltIn", "GrpcRemote", NULL};
static const char *const old_stores[] = {"LocalFs", "LocalJson", NULL};
static const char *const vcek_sources[] = {"KDS", "OfflineStore", NULL};
static const char *const crl_modes[] = {"if-available", "required", NULL};
static const char *const tcb_updates[] = {"early", "standard", NULL};
static const char *const naming[] = {"plain", "indexed", "both", NULL};

static const struct config_key keys[] = {
    {"type", CONFIG_ANY, NULL},    /* of a KBS, which reads it */
    {"timeout", CONFIG_ANY, NULL}, /* likewise */
    {"work_dir", CONFIG_TEXT, NULL},
    {"policy_engine", CONFIG_TEXT, NULL},
    {"storage_type", CONFIG_TEXT, NULL},
    {"attestation_token_broker.duration_min", CONFIG_MINUTES, NULL},
    {"attestation_token_broker.issuer_name", CONFIG_TEXT, NULL},
    {"attestation_token_broker.developer_name", CONFIG_TEXT, NULL},
    {"attestation_token_broker.build_name", CONFIG_TEXT, NULL},
    {"attestation_token_broker.profile_name", CONFIG_TEXT, NULL},
    {"attestation_token_broker.policy_dir", CONFIG_TEXT, NULL},
    {"attestation_token_broker.verbose_token", CONFIG_FLAG, NULL},
    {"attestation_token_broker.signer.key_path", CONFIG_TEXT, NULL},
    {"attestation_token_broker.signer.cert_url", CONFIG_TEXT, NULL},
    {"attestation_token_broker.signer.cert_path", CONFIG_TEXT, NULL},
    /* Last of its table, and of any kind: up to v0.10 the broker was a string. */
    {"attestation_token_broker.type", CONFIG_ANY, NULL},
    {"attestation_token_config.*", CONFIG_ANY, NULL},
    {"rvps_config.type", CONFIG_TEXT, rvps_types},
    {"rvps_config.address", CONFIG_TEXT, NULL},
    {"rvps_config.remote_addr", CONFIG_TEXT, NULL},
    {"rvps_config.store_type", CONFIG_TEXT, old_stores},
    {"rvps_config.store_config.file_path", CONFIG_TEXT, NULL},
    {"rvps_config.storage.type", CONFIG_TEXT, old_stores},
    {"rvps_config.storage.file_path", CONFIG_TEXT, NULL},
    {"rvps_config.storage.storage_type", CONFIG_TEXT, NULL},
    {"rvps_config.storage.backends.*", CONFIG_ANY, NULL},
    {"rvps_config.storage_type", CONFIG_TEXT, NULL},
    {"rvps_config.extractors.*", CONFIG_ANY, NULL},
    {"rvps_config.enforce_expiration", CONFIG_FLAG, NULL},
    {"verifier_config.az_vtpm.paravisor_measurements", CONFIG_TEXTS, NULL},
    {"verifier_config.az_vtpm.require_user_data", CONFIG_SWITCH, NULL},
    {"verifier_config.collateral.cache_dir", CONFIG_TEXT, NULL},
    {"verifier_config.collateral.grace_hours", CONFIG_COUNT, NULL},
    {"verifier_config.collateral.offline", CONFIG_SWITCH, NULL},
    {"verifier_config.collateral.ca_file", CONFIG_TEXT, NULL},
    {"verifier_config.deny_list", CONFIG_TEXT, NULL},
    {"verifier_config.snp_verifier.crl", CONFIG_TEXT, crl_modes},
    {"verifier_config.snp_verifier.enforce_vek_dates", CONFIG_SWITCH, NULL},
    {"verifier_config.snp_verifier.vcek_sources.[].type", CONFIG_TEXT, vcek_sources},
    {"verifier_config.snp_verifier.vcek_sources.[].base_url", CONFIG_TEXT, NULL},
    {"verifier_config.snp_verifier.vcek_sources.[].path", CONFIG_TEXT, NULL},
    {"verifier_config.dcap_verifier.collateral_service", CONFIG_TEXT, NULL},
    {"verifier_config.dcap_verifier.use_secure_cert", CONFIG_FLAG, NULL},
    {"verifier_config.dcap_verifier.tcb_update_type", CONFIG_TEXT, tcb_updates},
    {"verifier_config.nvidia_verifier.type", CONFIG_TEXT, NULL},
    {"verifier_config.nvidia_verifier.verifier_url", CONFIG_TEXT, NULL},
    {"verifier_config.nvidia_dpu_verifier.root_ca_cert_path", CONFIG_TEXT, NULL},
    {"verifier_config.nvidia_dpu_verifier.max_cert_age_secs", CONFIG_COUNT, NULL},
    {"verifier_config.collateral.cache_dir", CONFIG_TEXT, NULL},
    {"verifier_config.collateral.grace_hours", CONFIG_COUNT, NULL},
    {"verifier_config.collateral.timeout_s", CONFIG_COUNT, NULL},
    {"verifier_config.collateral.offline", CONFIG_SWITCH, NULL},
    {"verifier_config.collateral.ca_file", CONFIG_TEXT, NULL},
    {"verifier_config.deny_list", CONFIG_TEXT, NULL},
    {"verifier_config.tpm_verifier", CONFIG_TABLE, NULL},
    {"verifier_config.sample_verifier", CONFIG_TABLE, NULL},
    {"verifier_config.sample_device_verifier", CONFIG_TABLE, NULL},
    /* Of a file of restful-as; those from as_addr on are of other kinds of service. */
    {"storage_backend.storage_type", CONFIG_TEXT, NULL},
    {"storage_backend.backends.*", CONFIG_ANY, NULL},
    {"submod_naming", CONFIG_TEXT, naming},
    {"claviger.*", CONFIG_ANY, NULL},
    {"as_addr", CONFIG_ANY, NULL},
    {"pool_size", CONFIG_ANY, NULL},
    {"base_url", CONFIG_ANY, NULL},
    {"api_key", CONFIG_ANY, NULL},
    {"certs_file", CONFIG_ANY, NULL},
    {"policy_ids", CONFIG_ANY, NULL},
    {"allow_unmatched_policy", CONFIG_ANY, NULL},
    {NULL, CONFIG_ANY, NULL},
};

void attestation_config_check(struct reader *r, value config, struct str at)
{
    reader_check_keys(r, config, at, keys, NULL);
}

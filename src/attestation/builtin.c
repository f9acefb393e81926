#include "attestation/attestation_internal.h"

/*
 * The policies below all stores (attestation-service.md 11).  They are never
 * written out: the operator mounts the policy folder read-only (1.2).
 */
static const struct builtin_policy new_ear[] = {
    {"default_cpu", policy_text_cpu},
    {"default_gpu", policy_text_gpu},
    {"default_switch", policy_text_switch},
    {"default_ppcie", policy_text_ppcie},
};

static const struct builtin_policy old_ear[] = {
    {"default", policy_text_cpu_old},
    {"default_gpu", policy_text_gpu},
    {"default_switch", policy_text_switch},
    {"default_ppcie", policy_text_ppcie},
};

static const struct builtin_policy simple[] = {
    {"default", policy_text_simple},
};

const struct builtin_policy *builtin_policies(enum era era, enum token_kind kind, size_t *count)
{
    if (kind == TOKEN_SIMPLE) {
        *count = ARRAY_LEN(simple);
        return simple;
    }
    *count = era == ERA_OLD ? ARRAY_LEN(old_ear) : ARRAY_LEN(new_ear);
    return era == ERA_OLD ? old_ear : new_ear;
}

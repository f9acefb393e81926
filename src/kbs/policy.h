/*
 * policy - the resource policy: one document, compiled when it is set or
 * changes, evaluated for each plugin request (kbs.md 8).
 *
 * Without a stored policy the built-in default of the era applies; it is never
 * written out.  Thread-safe.
 */
#pragma once

#include "attestation/explain.h"
#include "decision/check.h"
#include "kbs/config.h"
#include "storage/storage.h"

struct resource_policy;

/* `kv` is the namespace `kbs`; NULL: the file config->policy_path, beside which `how` may tidy up.
 */
STATUS resource_policy_new(const struct kbs_config *config, struct storage *kv,
                           enum storage_how how, struct resource_policy **out, struct error *err);
/* Begin with what a policy of the same store was loaded with, for the case that it cannot be read.
 */
void resource_policy_inherit(struct resource_policy *p, struct resource_policy *before);
struct resource_policy *resource_policy_free(struct resource_policy *p);
DEFINE_CLEANUP(resource_policy, struct resource_policy, resource_policy_free)

/* Look whether it changed.  ERR_*: the new text is broken, the old policy serves on. */
STATUS resource_policy_refresh(struct resource_policy *p, bool *changed, struct error *err);

/* There is a policy that can be evaluated. */
bool resource_policy_is_healthy(struct resource_policy *p);

/* Compile, store, swap.  ERR_INVALID: the text; the old policy stays. */
STATUS resource_policy_set(struct resource_policy *p, struct str text, struct error *err);

/* The text in force (the built-in one too). */
STATUS resource_policy_text(struct resource_policy *p, struct buf *out, struct error *err);

/* Names of stored policies without ".rego", sorted; the built-in counts when none is stored. */
STATUS resource_policy_names(struct resource_policy *p, struct arena *a, value *out,
                             struct error *err);

struct policy_question {
    value claims;               /* of the verified token */
    const struct str *segments; /* plugin name first */
    size_t segment_count;
    value query; /* object of strings */
};

enum policy_answer {
    POLICY_ALLOW,
    POLICY_DENY,  /* false, or undefined: not an error in the new era */
    POLICY_ERROR, /* could not be evaluated */
    POLICY_ODD, /* absent, undefined or not boolean: an error in the old era, and counted in both */
};

/* What it says; on anything but ALLOW `why` explains and the check is recorded. */
enum policy_answer resource_policy_ask(struct resource_policy *p, struct arena *a,
                                       const struct policy_question *q, int64_t now_s,
                                       struct checks *checks, struct explanation *why,
                                       struct error *err);

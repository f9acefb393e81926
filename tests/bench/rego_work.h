/*
 * Policies, inputs and data that the policy engine is measured with: of the shapes
 * that services meet, in words of our own (tests/bench/rego/), with as many
 * containers, bindings, values and rules as hurt.
 */
#pragma once

#include "base/arena.h"
#include "crypto/crypto.h"

struct rego_work {
    const char *name;
    struct str policy;      /* text of the module */
    struct str path;        /* what is asked, "data.policy.allow" */
    struct str input, data; /* JSON; empty: none */
    struct str want;        /* the result as JSON */
};

/*
 * All of them, with the modules of the directory `dir`.  The token of "jwt" is
 * signed with `key` (P-256).  Ends the process when something is amiss.
 */
const struct rego_work *rego_work_make(struct arena *a, const char *dir, const struct privkey *key,
                                       size_t *n);

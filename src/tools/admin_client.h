/*
 * admin_client - an administrator's requests to a KBS: policies, resources,
 * reference values, decisions (kbs.md 12.1).  For command line tools; blocking.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "net/client.h"
#include "value/value.h"

struct admin_client {
    struct http_client *http;
    const char *url;     /* without a slash at the end */
    struct str token;    /* bearer; empty: anonymous */
    struct arena *arena; /* of everything below */
    int64_t now_s;
};

#define ADMIN_ANSWER_MAX (64 * 1024 * 1024)

/*
 * The token that `config` sends: a file's, the ones that upstream looks for
 * (./kbs/config/docker-compose/admin-token, ~/.trustee/admin-token), or signed
 * here with an Ed25519 key (v0.12 to v0.20).  Empty, with OK: there is none.
 */
STATUS admin_token_from_file(struct arena *a, const char *path, struct str *out, struct error *err);
STATUS admin_token_find(struct arena *a, struct str *out, struct error *err);
STATUS admin_token_sign(struct arena *a, const char *key_path, int64_t now_s, struct str *out,
                        struct error *err);

/*
 * One request; `path` begins with "/kbs/v0/".  ERR_DENIED: the status was not
 * 200; `body` has the server's answer and `err` upstream's words for it.
 */
STATUS admin_request(struct admin_client *c, const char *method, const char *path,
                     const char *content_type, struct str body, struct buf *answer,
                     struct error *err);

STATUS admin_set_attestation_policy(struct admin_client *c, const char *type, const char *id,
                                    struct str text, struct error *err);
STATUS admin_set_resource_policy(struct admin_client *c, struct str text, struct error *err);
STATUS admin_set_sample_reference_value(struct admin_client *c, struct str name, value v,
                                        struct error *err);
/* Each member of an object, as `measure -f json` prints it, in one message. */
STATUS admin_set_reference_values(struct admin_client *c, value object, struct error *err);

/* The built-in choices of set-resource-policy. */
extern const char policy_allow_all[], policy_deny_all[], policy_affirming[], policy_default[];

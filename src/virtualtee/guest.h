/*
 * guest - a guest's side of a whole exchange: attest, then get resources.
 *
 * Evidence comes through a callback and requests leave through another, so
 * nothing here knows a TEE or a library for HTTP.  Used by virtual-tee and
 * kbs-client.  Blocking; one thread a transport.
 */
#pragma once

#include "virtualtee/rcar.h"

#define GUEST_ANSWER_MAX (16 * 1024 * 1024)
#define GUEST_DECISION_LEN 32

/* What a server answered. */
struct guest_answer {
    int status; /* 0: none yet */
    struct buf body;
    char decision[GUEST_DECISION_LEN + 1]; /* id of the decision; empty: none was named */
};
void guest_answer_init(struct guest_answer *a);
void guest_answer_done(struct guest_answer *a);

/*
 * Send a request and wait for the whole answer, whose body is reset first.
 * `path` begins with a slash.  `body.ptr` NULL: none, else JSON.  `bearer`
 * empty: none.  Cookies are the transport's business.  ERR_UNAVAILABLE: no
 * answer.  `decision` is set from the header x-decision-id.
 */
struct guest_transport {
    enum status (*send)(void *user, const char *method, const char *path, struct str bearer,
                        struct str body, struct guest_answer *out, struct error *err);
    void *user;
};

/* Append evidence (JSON) for that report data. */
struct guest_attester {
    enum status (*evidence)(void *user, struct str report_data, struct buf *out, struct error *err);
    void *user;
};

struct guest {
    enum rcar_version version;
    const char *tee; /* the name that the server's era knows */
    const struct privkey *key;
    struct guest_attester attester;
    struct guest_attester devices; /* 0.4.0: object of TEE name to evidence; evidence NULL: none */
    struct str init_data;          /* 0.4.0; ptr NULL: none */
    const struct guest_transport *transport;
};

/*
 * auth and attest.  *token lives in `a`.  ERR_DENIED: the server refused, and
 * `answer` says how; ERR_INVALID: it answered something that is no answer.
 */
STATUS guest_attest(const struct guest *g, struct arena *a, struct str *token,
                    struct guest_answer *answer, struct error *err);

/*
 * Get one resource and open it: `path` as rcar_resource_path() gives it,
 * `bearer` empty for the session's cookie.  The plain bytes are appended to
 * `out` (use a secret buf).  ERR_DENIED as above, ERR_INVALID when the answer
 * does not open with the guest's key.
 */
STATUS guest_get_resource(const struct guest *g, const char *path, struct str bearer,
                          struct buf *out, struct guest_answer *answer, struct error *err);

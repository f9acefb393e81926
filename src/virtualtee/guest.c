#include "virtualtee/guest.h"

#include "jose/jose.h"

void guest_answer_init(struct guest_answer *a)
{
    *a = (struct guest_answer){.status = 0};
    buf_init(&a->body, GUEST_ANSWER_MAX);
}

void guest_answer_done(struct guest_answer *a)
{
    buf_done(&a->body);
}

/* Send; anything but 200 is a refusal (kbs.md 3.12). */
static STATUS send_request(const struct guest *g, const char *method, const char *path,
                           struct str bearer, struct str body, struct guest_answer *answer,
                           struct error *err)
{
    buf_reset(&answer->body);
    answer->status = 0;
    answer->decision[0] = '\0';
    enum status st =
        g->transport->send(g->transport->user, method, path, bearer, body, answer, err);
    if (st != OK || answer->status == 200)
        return st;

    if (answer->decision[0] == '\0') {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 4 * GUEST_ANSWER_MAX);
        struct str id = rcar_decision(&a, buf_str(&answer->body));
        if (id.len <= GUEST_DECISION_LEN)
            memcpy(answer->decision, id.ptr, id.len);
    }
    error_set(err, "%s %s was refused with status %d", method, path, answer->status);
    return ERR_DENIED;
}

/* Evidence for nonce and key, by one of the guest's attesters. */
static STATUS collect(const struct guest *g, const struct guest_attester *from, struct arena *a,
                      const struct rcar_challenge *c, const struct str *additional, struct buf *out,
                      struct error *err)
{
    struct str runtime;
    enum status st =
        rcar_runtime_data(a, g->version, c, privkey_public(g->key), additional, &runtime, err);
    if (st != OK)
        return st;

    struct digest report_data;
    digest_compute(c->hash, runtime, &report_data);
    return from->evidence(from->user, digest_str(&report_data), out, err);
}

static STATUS write_attestation(const struct guest *g, struct arena *a,
                                const struct rcar_challenge *c, struct buf *out, struct error *err)
{
    CLEANUP(buf_done) struct buf evidence;
    CLEANUP(buf_done) struct buf devices;
    buf_init(&evidence, RCAR_TEXT_MAX);
    buf_init(&devices, RCAR_TEXT_MAX);

    bool new_form = g->version >= RCAR_0_4_0;
    enum status st = OK;
    if (new_form && g->devices.evidence != NULL)
        st = collect(g, &g->devices, a, c, NULL, &devices, err);
    if (st != OK)
        return st;

    struct str additional = buf_str(&devices);
    st = collect(g, &g->attester, a, c, new_form ? &additional : NULL, &evidence, err);
    if (st != OK)
        return st;

    const struct rcar_attestation att = {
        .key = privkey_public(g->key),
        .evidence = buf_str(&evidence),
        .additional = additional,
        .init_data = g->init_data,
    };
    return rcar_write_attest(g->version, c, &att, out, err);
}

STATUS guest_attest(const struct guest *g, struct arena *a, struct str *token,
                    struct guest_answer *answer, struct error *err)
{
    CLEANUP(buf_done) struct buf body;
    buf_init(&body, RCAR_TEXT_MAX);
    enum status st = rcar_write_auth(g->version, g->tee, &body, err);
    if (st == OK)
        st = send_request(g, "POST", "/kbs/v0/auth", STR_EMPTY, buf_str(&body), answer, err);
    if (st != OK)
        return st;

    struct rcar_challenge c;
    st = rcar_read_challenge(a, buf_str(&answer->body), &c, err);
    if (st != OK)
        return st;

    buf_reset(&body);
    st = write_attestation(g, a, &c, &body, err);
    if (st == OK)
        st = send_request(g, "POST", "/kbs/v0/attest", STR_EMPTY, buf_str(&body), answer, err);
    if (st != OK)
        return st;
    return rcar_read_token(a, buf_str(&answer->body), token, err);
}

STATUS guest_get_resource(const struct guest *g, const char *path, struct str bearer,
                          struct buf *out, struct guest_answer *answer, struct error *err)
{
    const struct str none = {NULL, 0};
    enum status st = send_request(g, "GET", path, bearer, none, answer, err);
    if (st != OK)
        return st;

    CLEANUP(arena_done) struct arena a;
    arena_init_secret(&a, 4 * GUEST_ANSWER_MAX);
    struct str body = buf_str(&answer->body);
    /* Guests of 0.1.1 have RSA keys only; a server that takes another answers in the new form. */
    bool legacy = g->version == RCAR_0_1_1 && pubkey_kind(privkey_public(g->key)) == KEY_RSA;
    st = legacy ? jwe_decrypt_legacy(&a, body, g->key, out, err)
                : jwe_decrypt(&a, body, g->key, out, err);
    if (st == ERR_DENIED) {
        error_prefix(err, "the answer does not open with this guest's key: ");
        return ERR_INVALID;
    }
    return st;
}

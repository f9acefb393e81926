#include <stdio.h>

#include "decision/decision.h"
#include "tap.h"
#include "value/json.h"

static void test_checks(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct checks c;
    checks_init(&c, &a);
    struct error err = ERROR_INIT;
    check_passed(&c, CHECK_NONCE);
    check_skipped(&c, CHECK_REVOCATION, "no CRL for %s", "Milan");
    CHECK(check_failed(&c, &err, CHECK_PCR_DIGEST, "/evidence/tpm_quote/pcrs",
                       check_hex(&c, STR("\x01")), check_hex(&c, STR("\x02")),
                       "Digest of PCRs does not match") == ERR_DENIED);
    CHECK_STR(str_of(err.text), STR("Digest of PCRs does not match"));
    /* The first reason stays. */
    CHECK(check_failed(&c, NULL, CHECK_TCB, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "later") ==
          ERR_DENIED);
    CHECK(c.reason.check == CHECK_PCR_DIGEST && c.len == 4);
    CHECK(check_failed(NULL, NULL, CHECK_TCB, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "nobody") ==
          ERR_DENIED);
    for (int i = 0; i < 2 * CHECKS_MAX; i++)
        check_passed(&c, CHECK_NONCE);
    CHECK(c.len <= CHECKS_MAX && arena_status(&a) == OK);

    for (int i = 1; i < CHECK_COUNT; i++)
        CHECK_ROW(check_by_name(str_of(check_name((enum check_id)i))) == (enum check_id)i,
                  check_name((enum check_id)i));
    CHECK(check_by_name(STR("no-such-check")) == CHECK_NONE);
}

static void test_json(void)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct checks c;
    checks_init(&c, &a);
    check_passed(&c, CHECK_NONCE);
    status_ignore(check_failed(&c, NULL, CHECK_POLICY, "/input/x", value_cstring(&a, "a"),
                               VALUE_UNDEFINED, "denied"));
    struct decision d;
    decision_init(&d, DECISION_RESOURCE, 0);
    memcpy(d.id.text, "0123456789abcdef0123456789abcdef", DECISION_ID_LEN);
    d.checks = &c;
    d.cause = STR("ffffffffffffffffffffffffffffffff");
    d.path = STR("/kbs/v0/resource/a/b/c");
    d.held = value_array(&a, &VALUE_NULL, 1);
    d.examples = value_array(&a, &VALUE_TRUE, 1);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 10000);
    CHECK(decision_write(&d, &b) == OK);
    CHECK_STR(buf_str(&b),
              STR("{\"id\":\"0123456789abcdef0123456789abcdef\",\"time\":\"1970-01-01T00:00:00Z\","
                  "\"kind\":\"resource\",\"outcome\":\"denied\",\"path\":\"/kbs/v0/resource/a/b/"
                  "c\",\"checks\":[\"nonce\",\"policy\"],"
                  "\"check\":\"policy\",\"field\":\"/input/x\",\"expected\":\"a\","
                  "\"message\":\"denied\",\"held\":[null],\"examples\":[true],\"cause\":"
                  "\"ffffffffffffffffffffffffffffffff\"}"));
}

static bool known(struct decision_ring *r, const struct decision_id *id)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 100000);
    return decision_ring_get(r, str_of(id->text), &b);
}

/* What is too large for the ring loses its rules, and not its id. */
static void test_large(void)
{
    struct decision_ring *r = NULL;
    CHECK(decision_ring_new(0, &r, NULL) == OK); /* 11 KiB for one denial */
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    char text[12000];
    memset(text, 'x', sizeof(text));
    value large = value_string(&a, str_bytes(text, sizeof(text)));
    const struct {
        const char *name;
        value rules, held, change;
        bool has_rules, has_held, is_there;
    } rows[] = {
        {"all of it", VALUE_TRUE, VALUE_TRUE, VALUE_TRUE, true, true, true},
        {"large `held`", VALUE_TRUE, large, VALUE_TRUE, true, false, true},
        {"large `rules`", large, VALUE_TRUE, VALUE_TRUE, false, false, true},
        {"large otherwise", VALUE_TRUE, VALUE_TRUE, large, false, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decision d;
        decision_init(&d, DECISION_RESOURCE, 1);
        d.rules = rows[i].rules;
        d.held = rows[i].held;
        d.change = rows[i].change;
        decision_ring_put(r, &d);
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 100000);
        CHECK_ROW(decision_ring_get(r, str_of(d.id.text), &b) == rows[i].is_there, rows[i].name);
        buf_add_byte(&b, '\0');
        CHECK_ROW((strstr(b.ptr, "\"rules\":") != NULL) == rows[i].has_rules, rows[i].name);
        CHECK_ROW((strstr(b.ptr, "\"held\":") != NULL) == rows[i].has_held, rows[i].name);
        CHECK_ROW((strstr(b.ptr, "\"change\":true") != NULL) == rows[i].is_there, rows[i].name);
    }
    decision_ring_free(r);
}

/* Denials outlive any number of grants and of requests without a token. */
static void test_ring(void)
{
    struct decision_ring *r = NULL;
    CHECK(decision_ring_new(0, &r, NULL) == OK);
    struct decision denied;
    decision_init(&denied, DECISION_RESOURCE, 1);
    decision_ring_put(r, &denied);
    struct decision d;
    struct decision_id first = {{0}};
    for (int i = 0; i < 5000; i++) {
        decision_init(&d, DECISION_ATTESTATION, 2);
        d.granted = i % 2 == 0;
        d.anonymous = i % 4 == 1;
        d.unverified = i % 4 == 3;
        decision_ring_put(r, &d);
        if (i == 0)
            first = d.id;
    }
    CHECK(known(r, &denied.id));
    CHECK(known(r, &d.id));
    CHECK(!known(r, &first));
    CHECK(decision_ring_bytes(r) <= DECISION_RING_MIN);
    for (int i = 0; i < 5000; i++) {
        decision_init(&d, DECISION_RESOURCE, 3);
        decision_ring_put(r, &d);
    }
    CHECK(!known(r, &denied.id) && known(r, &d.id));
    CHECK(decision_ring_bytes(r) <= DECISION_RING_MIN);

    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1000);
    CHECK(!decision_ring_get(r, STR("../../etc/passwd"), &b));
    CHECK(!decision_ring_get(r, STR("0123456789ABCDEF0123456789ABCDEF"), &b));
    decision_ring_free(r);
}

int main(void)
{
    test_checks();
    test_json();
    test_large();
    test_ring();
    return tap_done();
}

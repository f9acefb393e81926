/* Keys in locked memory.  A program of its own: OpenSSL must not have allocated anything before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "confine/confine.h"
#include "crypto/crypto.h"
#include "crypto/locked.h"
#include "tap.h"

/* Flags of the mapping that an address is in, from /proc/self/smaps. */
static bool has_flag(const void *p, const char *flag)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[1024];
    bool inside = false, found = false;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        unsigned long long begin, end;
        if (sscanf(line, "%llx-%llx ", &begin, &end) == 2)
            inside = (uintptr_t)p >= begin && (uintptr_t)p < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

static void test_blocks(void)
{
    locked_begin();
    char *a = OPENSSL_malloc(100), *b = OPENSSL_malloc(1), *c = OPENSSL_malloc(5000);
    locked_end();
    char *outside = OPENSSL_malloc(100);
    CHECK(locked_holds(a) && locked_holds(b) && locked_holds(c) && !locked_holds(outside));
    CHECK((uintptr_t)a % 16 == 0 && (uintptr_t)b % 16 == 0 && (uintptr_t)c % 16 == 0);
    struct locked_state state;
    locked_get_state(&state);
    CHECK(has_flag(a, " lo") == state.ready); /* not, where RLIMIT_MEMLOCK is too small */
    CHECK(has_flag(a, " dd") && has_flag(a, " wf"));
    CHECK(!has_flag(outside, " lo"));

    memset(a, 'a', 100);
    memset(c, 'c', 5000);
    char *longer = OPENSSL_realloc(a, 1000); /* nobody has to say again that it is a secret */
    CHECK(locked_holds(longer) && longer[99] == 'a');
    CHECK(a[0] == 0 && a[99] == 0); /* wiped; the region is still mapped */
    char *heap = OPENSSL_realloc(outside, 1000);
    CHECK(!locked_holds(heap));
    OPENSSL_free(c);
    CHECK(c[0] == 0 && c[4999] == 0);

    /* Free neighbours are joined: what all of them took fits in one piece again. */
    OPENSSL_free(b);
    OPENSSL_free(longer);
    struct locked_state before, after;
    locked_get_state(&before);
    locked_begin();
    char *all = OPENSSL_malloc(LOCKED_MAX - before.used - 4096);
    locked_get_state(&after);
    CHECK(locked_holds(all) && after.spilled == before.spilled);
    /* No room: it works, and is counted. */
    char *more = OPENSSL_malloc(8192);
    locked_get_state(&after);
    CHECK(more != NULL && !locked_holds(more) && after.spilled == before.spilled + 1);
    char *huge = OPENSSL_malloc((size_t)LOCKED_MAX * 2);
    CHECK(huge != NULL && !locked_holds(huge));
    locked_end();
    OPENSSL_free(all);
    OPENSSL_free(more);
    OPENSSL_free(huge);
    OPENSSL_free(heap);
    locked_get_state(&after);
    CHECK(after.used == before.used);
}

/* The first key of a process: its own bytes are in the region, not OpenSSL's tables. */
static void test_first_key(void)
{
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    locked_begin();
    CHECK(privkey_generate(KEY_EC_P256, 0, &key, NULL) == OK);
    locked_end();
    struct locked_state s;
    locked_get_state(&s);
    if (!CHECK(s.used > 0 && s.used < 8 * 1024 && s.spilled == 0))
        printf("#   %zu bytes, %zu spilled\n", s.used, s.spilled);
}

/* Keys that are made in the region work, and leave nothing of theirs behind. */
static void test_keys(void)
{
    static const struct {
        const char *name;
        enum key_kind kind;
        enum sig_alg alg;
    } rows[] = {
        {"P-256", KEY_EC_P256, SIG_ECDSA_RAW},
        {"Ed25519", KEY_ED25519, SIG_ED25519},
        {"RSA", KEY_RSA, SIG_RSA_PKCS1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        /* OpenSSL keeps what it looks up the first time; a program has used it before. */
        struct privkey *warm = NULL;
        CHECK(privkey_generate(rows[i].kind, 2048, &warm, NULL) == OK);
        privkey_unref(warm);
        struct locked_state before, with;
        locked_get_state(&before);
        struct privkey *key = NULL;
        struct error err = ERROR_INIT;
        locked_begin();
        CHECK_STATUS_ROW(privkey_generate(rows[i].kind, 2048, &key, &err), OK, &err, rows[i].name);
        locked_end();
        locked_get_state(&with);
        CHECK_ROW(with.used > before.used, rows[i].name);
        CLEANUP(buf_done) struct buf signature;
        buf_init(&signature, SIGNATURE_MAX);
        CHECK_STATUS_ROW(
            privkey_sign(key, rows[i].alg, DIGEST_SHA256, STR("text"), &signature, &err), OK, &err,
            rows[i].name);
        CHECK_STATUS_ROW(pubkey_verify(privkey_public(key), rows[i].alg, DIGEST_SHA256, STR("text"),
                                       buf_str(&signature), &err),
                         OK, &err, rows[i].name);
        privkey_unref(key);
        printf("# %s: %zu bytes", rows[i].name, with.used - before.used);
        locked_get_state(&with);
        printf(", %zu stay\n", with.used - before.used);
        CHECK_ROW(with.used - before.used < 8192 && with.spilled == 0, rows[i].name);
    }
}

int main(void)
{
    if (CONFINE_SANITIZED) {
        CHECK(!locked_init());
        locked_begin();
        char *p = OPENSSL_malloc(10);
        locked_end();
        CHECK(p != NULL && !locked_holds(p));
        OPENSSL_free(p);
        return tap_done();
    }
    CHECK(locked_init());
    struct locked_state s;
    locked_get_state(&s);
    CHECK(s.used == 0 && s.spilled == 0);
    test_first_key();
    test_keys();
    test_blocks();
    CHECK(!locked_init()); /* once */
    return tap_done();
}

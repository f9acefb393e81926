/* Certificates, chains and revocation lists; everything is made here. */
#include <stdlib.h>

#include "base/encode.h"
#include "crypto/x509.h"
#include "tap.h"

#define NOW 1800000000
#define DAY 86400

static struct arena memory;

static struct str hex(const char *text)
{
    return tap_bytes(&memory, text);
}

static struct privkey *make_key(enum key_kind kind)
{
    struct privkey *k = NULL;
    CHECK(privkey_generate(kind, 2048, &k, NULL) == OK);
    return k;
}

static struct cert *make(const char *subject, bool ca, const struct privkey *key,
                         const struct cert *issuer, const struct privkey *issuer_key)
{
    const struct cert_request req = {
        .subject = subject,
        .serial = STR("\x01\x02\x03"),
        .not_before = NOW - DAY,
        .not_after = NOW + DAY,
        .ca = ca,
        .digest = DIGEST_SHA256,
    };
    struct cert *c = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(cert_make(&req, privkey_public(key), issuer, issuer_key, &c, &err), OK, &err);
    return c;
}

/* ---- a certificate by hand, for what OpenSSL would not write ---- */

static struct str der(uint8_t tag, struct str content)
{
    uint8_t *p = arena_alloc(&memory, content.len + 4);
    size_t head = content.len < 0x80 ? 2 : content.len < 0x100 ? 3 : 4;
    p[0] = tag;
    if (head == 2) {
        p[1] = (uint8_t)content.len;
    } else if (head == 3) {
        p[1] = 0x81;
        p[2] = (uint8_t)content.len;
    } else {
        p[1] = 0x82;
        store_be16(p + 2, (uint16_t)content.len);
    }
    memcpy(p + head, content.ptr, content.len);
    return str_bytes(p, head + content.len);
}

static struct str join(const struct str *parts, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += parts[i].len;
    char *p = arena_alloc(&memory, len);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(p + at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return str_bytes(p, len);
}
#define JOIN(...)                                                                                  \
    join((const struct str[]){__VA_ARGS__},                                                        \
         sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))
#define SEQ(...) der(0x30, JOIN(__VA_ARGS__))

/* RSASSA-PSS-params of RFC 4055 with the hash's last OID byte, salt, and a trailer field or none.
 */
static struct str pss_alg(uint8_t hash, uint8_t mgf_hash, uint8_t salt, struct str trailer)
{
    struct str sha2 = hex("0609608648016503040200");
    char *h = (char *)(uintptr_t)arena_str(&memory, sha2).ptr;
    char *m = (char *)(uintptr_t)arena_str(&memory, sha2).ptr;
    h[10] = (char)hash;
    m[10] = (char)mgf_hash;
    struct str null = hex("0500");
    struct str hash_alg = SEQ(str_bytes(h, 11), null);
    struct str mgf_alg = SEQ(hex("06092a864886f70d010108"), SEQ(str_bytes(m, 11), null));
    struct str salt_int = der(0x02, str_bytes(arena_str(&memory, str_bytes(&salt, 1)).ptr, 1));
    return SEQ(hex("06092a864886f70d01010a"),
               SEQ(der(0xa0, hash_alg), der(0xa1, mgf_alg), der(0xa2, salt_int), trailer));
}

static struct str by_hand(const struct privkey *key, struct str inner_alg, struct str outer_alg,
                          enum sig_alg alg, enum digest_alg digest)
{
    CLEANUP(buf_done) struct buf spki, sig;
    buf_init(&spki, 1024);
    buf_init(&sig, 1024);
    CHECK(pubkey_to_der(privkey_public(key), &spki) == OK);
    struct str name = SEQ(der(0x31, SEQ(hex("0603550403"), der(0x0c, STR("hand")))));
    struct str dates = SEQ(der(0x17, STR("200101000000Z")), der(0x18, STR("20991231235959Z")));
    struct str tbs = SEQ(hex("020100"), inner_alg, name, dates, name, buf_str(&spki));
    CHECK(privkey_sign(key, alg, digest, tbs, &sig, NULL) == OK);
    return SEQ(tbs, outer_alg, der(0x03, JOIN(STR("\0"), buf_str(&sig))));
}

static void test_signature_algorithms(void)
{
    CLEANUP(privkey_cleanup) struct privkey *rsa = make_key(KEY_RSA);
    struct str none = STR_EMPTY;
    struct str trailer1 = hex("a303020101"), trailer2 = hex("a303020102");
    struct str rs256 = SEQ(hex("06092a864886f70d01010b"), hex("0500"));
    struct str rs1 = SEQ(hex("06092a864886f70d010105"), hex("0500"));
    struct str rmd5 = SEQ(hex("06092a864886f70d010104"), hex("0500"));
    struct str es256 = SEQ(hex("06082a8648ce3d040302"));
    struct str pss = pss_alg(2, 2, 48, none);
    struct str pss_default = SEQ(hex("06092a864886f70d01010a"), SEQ(none));

    const struct {
        const char *name;
        struct str inner, outer;
        enum sig_alg alg;
        enum digest_alg digest;
        enum status want;
    } rows[] = {
        {"PSS SHA-384 without trailer field", pss, pss, SIG_RSA_PSS, DIGEST_SHA384, OK},
        {"PSS SHA-384 with trailer field 1", pss_alg(2, 2, 48, trailer1),
         pss_alg(2, 2, 48, trailer1), SIG_RSA_PSS, DIGEST_SHA384, OK},
        {"PSS SHA-256", pss_alg(1, 1, 32, none), pss_alg(1, 1, 32, none), SIG_RSA_PSS,
         DIGEST_SHA256, OK},
        {"trailer field 2", pss_alg(2, 2, 48, trailer2), pss_alg(2, 2, 48, trailer2), SIG_RSA_PSS,
         DIGEST_SHA384, ERR_DENIED},
        {"trailer field inside only", pss_alg(2, 2, 48, trailer1), pss, SIG_RSA_PSS, DIGEST_SHA384,
         ERR_DENIED},
        {"salt of another length", pss_alg(2, 2, 32, none), pss_alg(2, 2, 32, none), SIG_RSA_PSS,
         DIGEST_SHA384, ERR_DENIED},
        {"mask with another digest", pss_alg(2, 1, 48, none), pss_alg(2, 1, 48, none), SIG_RSA_PSS,
         DIGEST_SHA384, ERR_DENIED},
        {"PSS defaults are SHA-1", pss_default, pss_default, SIG_RSA_PSS, DIGEST_SHA1, ERR_DENIED},
        {"PKCS#1 SHA-256", rs256, rs256, SIG_RSA_PKCS1, DIGEST_SHA256, OK},
        {"PKCS#1 SHA-1", rs1, rs1, SIG_RSA_PKCS1, DIGEST_SHA1, ERR_DENIED},
        {"PKCS#1 MD5", rmd5, rmd5, SIG_RSA_PKCS1, DIGEST_MD5, ERR_DENIED},
        {"another algorithm beside the signature", rs256, pss, SIG_RSA_PKCS1, DIGEST_SHA256,
         ERR_DENIED},
        {"says PSS, is PKCS#1", pss, pss, SIG_RSA_PKCS1, DIGEST_SHA384, ERR_DENIED},
        {"an algorithm of other keys", es256, es256, SIG_RSA_PKCS1, DIGEST_SHA256, ERR_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str bytes = by_hand(rsa, rows[i].inner, rows[i].outer, rows[i].alg, rows[i].digest);
        CLEANUP(cert_cleanup) struct cert *c = NULL;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(cert_from_der(bytes, &c, &err), OK, &err, rows[i].name);
        if (c == NULL)
            continue;
        CHECK_STATUS_ROW(cert_signed_by(c, privkey_public(rsa), &err), rows[i].want, &err,
                         rows[i].name);
        /* AMD's VCEKs have serial number 0 (verifiers.md 6). */
        CHECK_STR_ROW(cert_serial(c), STR("\0"), rows[i].name);
        CHECK_ROW(cert_from_der(str_slice(bytes, 0, bytes.len - 1), &c, NULL) == ERR_INVALID,
                  rows[i].name);
        CHECK_ROW(cert_from_der(JOIN(bytes, STR("\0")), &c, NULL) == ERR_INVALID, rows[i].name);
    }
}

static void test_fields(void)
{
    CLEANUP(privkey_cleanup) struct privkey *key = make_key(KEY_EC_P384);
    CLEANUP(privkey_cleanup) struct privkey *ed = make_key(KEY_ED25519);
    const struct cert_extension ext[] = {
        {"1.3.6.1.4.1.3704.1.3.1", false, STR("\x02\x01\x07")},
        {"1.3.6.1.4.1.3704.1.3.2", true, STR("raw")},
        {"1.3.6.1.4.1.3704.1.3.3", false, STR("a")},
        {"1.3.6.1.4.1.3704.1.3.3", false, STR("b")},
    };
    const struct cert_request req = {
        .subject = "CN=SEV-VCEK,O=Test \xc3\xa4",
        .serial = hex("00ff01"),
        .not_before = NOW,
        .not_after = NOW + DAY,
        .digest = DIGEST_SHA384,
        .extensions = ext,
        .extension_count = ARRAY_LEN(ext),
    };
    CLEANUP(cert_cleanup) struct cert *c = NULL;
    CHECK(cert_make(&req, privkey_public(ed), NULL, key, &c, NULL) == OK);
    if (c == NULL)
        return;
    CHECK_STR(cert_subject_cn(c), STR("SEV-VCEK"));
    CHECK_STR(cert_issuer_cn(c), STR("SEV-VCEK"));
    CHECK(cert_is_self_issued(c));
    CHECK(!cert_is_ca(c));
    CHECK_STR(cert_serial(c), hex("ff01"));
    CHECK(cert_not_before(c) == NOW && cert_not_after(c) == NOW + DAY);
    CHECK(!cert_valid_at(c, NOW - 1) && cert_valid_at(c, NOW));
    CHECK(cert_valid_at(c, NOW + DAY) && !cert_valid_at(c, NOW + DAY + 1));
    CHECK(pubkey_equal(cert_pubkey(c), privkey_public(ed)));
    CHECK(cert_signed_by(c, privkey_public(key), NULL) == OK);
    CHECK(cert_signed_by(c, privkey_public(ed), NULL) == ERR_DENIED);

    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 4096);
    CHECK(cert_subject_text(c, &text) == OK);
    CHECK_STR(buf_str(&text), STR("O=Test \xc3\xa4,CN=SEV-VCEK"));

    struct str content = STR_EMPTY;
    CHECK(cert_extension(c, "1.3.6.1.4.1.3704.1.3.1", &content) == OK);
    CHECK_STR(content, STR("\x02\x01\x07"));
    CHECK(cert_extension(c, "1.3.6.1.4.1.3704.1.3.2", &content) == OK);
    CHECK_STR(content, STR("raw"));
    CHECK(cert_extension(c, "1.3.6.1.4.1.3704.1.3.3", &content) == ERR_INVALID);
    CHECK(cert_extension(c, "1.3.6.1.4.1.3704.1.3.4", &content) == ERR_NOT_FOUND);

    struct digest d, want;
    cert_fingerprint(c, &d);
    digest_compute(DIGEST_SHA256, cert_der(c), &want);
    CHECK_STR(digest_str(&d), digest_str(&want));

    buf_reset(&text);
    CHECK(cert_to_pem(c, &text) == OK);
    CLEANUP(cert_cleanup) struct cert *back = NULL;
    CHECK(cert_from_pem(buf_str(&text), &back, NULL) == OK);
    CHECK(back != NULL && str_equal(cert_der(back), cert_der(c)));
}

static void test_pem_lists(void)
{
    CLEANUP(privkey_cleanup) struct privkey *key = make_key(KEY_EC_P256);
    CLEANUP(cert_cleanup) struct cert *a = make("CN=a", true, key, NULL, key);
    CLEANUP(cert_cleanup) struct cert *b = make("CN=b", false, key, a, key);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 256 * 1024);
    buf_add_cstr(&text, "some text before\n");
    CHECK(cert_to_pem(b, &text) == OK);
    CHECK(privkey_to_pem(key, &text) == OK);
    CHECK(cert_to_pem(a, &text) == OK);

    struct cert *list[CERT_CHAIN_MAX];
    size_t n = 0;
    CHECK(cert_list_from_pem(buf_str(&text), list, &n, NULL) == OK);
    CHECK(n == 2);
    CHECK_STR(cert_subject_cn(list[0]), STR("b"));
    CHECK_STR(cert_subject_cn(list[1]), STR("a"));
    while (n > 0)
        cert_unref(list[--n]);

    buf_reset(&text);
    for (int i = 0; i < CERT_CHAIN_MAX; i++)
        CHECK(cert_to_pem(a, &text) == OK);
    CHECK(cert_list_from_pem(buf_str(&text), list, &n, NULL) == OK && n == CERT_CHAIN_MAX);
    while (n > 0)
        cert_unref(list[--n]);
    CHECK(cert_to_pem(a, &text) == OK);
    CHECK(cert_list_from_pem(buf_str(&text), list, &n, NULL) == ERR_LIMIT);

    const struct {
        const char *name;
        struct str text;
    } bad[] = {
        {"empty", STR("")},
        {"no block", STR("hello")},
        {"no end", STR("-----BEGIN CERTIFICATE-----\nMIIB\n")},
        {"garbage inside", STR("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct cert *c = NULL;
        CHECK_ROW(cert_list_from_pem(bad[i].text, list, &n, NULL) == ERR_INVALID, bad[i].name);
        CHECK_ROW(cert_from_pem(bad[i].text, &c, NULL) == ERR_INVALID && c == NULL, bad[i].name);
    }
    CHECK(n == 0);
}

static void test_chain(void)
{
    CLEANUP(privkey_cleanup) struct privkey *root_key = make_key(KEY_RSA);
    CLEANUP(privkey_cleanup) struct privkey *mid_key = make_key(KEY_EC_P384);
    CLEANUP(privkey_cleanup) struct privkey *leaf_key = make_key(KEY_EC_P256);
    CLEANUP(cert_cleanup) struct cert *root = make("CN=root", true, root_key, NULL, root_key);
    CLEANUP(cert_cleanup) struct cert *mid = make("CN=mid", true, mid_key, root, root_key);
    CLEANUP(cert_cleanup) struct cert *no_ca = make("CN=mid", false, mid_key, root, root_key);
    CLEANUP(cert_cleanup) struct cert *leaf = make("CN=leaf", false, leaf_key, mid, mid_key);
    CLEANUP(cert_cleanup) struct cert *other = make("CN=root", true, leaf_key, NULL, leaf_key);

    struct cert *const mids[] = {other, mid}, *const wrong[] = {no_ca};
    struct cert *const roots[] = {other, root}, *const only_mid[] = {mid};
    const struct {
        const char *name;
        struct cert *const *untrusted;
        size_t n_untrusted;
        struct cert *const *roots;
        size_t n_roots;
        int64_t now;
        enum status want;
    } rows[] = {
        {"whole", mids, 2, roots, 2, NOW, OK},
        {"no intermediate", NULL, 0, roots, 2, NOW, ERR_DENIED},
        {"intermediate that is no CA", wrong, 1, roots, 2, NOW, ERR_DENIED},
        {"no root", mids, 2, NULL, 0, NOW, ERR_DENIED},
        {"another root", mids, 2, roots, 1, NOW, ERR_DENIED},
        {"partial chain", NULL, 0, only_mid, 1, NOW, ERR_DENIED},
        {"too early", mids, 2, roots, 2, NOW - DAY - 1, ERR_DENIED},
        {"too late", mids, 2, roots, 2, NOW + DAY + 1, ERR_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(cert_verify_chain(leaf, rows[i].untrusted, rows[i].n_untrusted,
                                           rows[i].roots, rows[i].n_roots, rows[i].now, &err),
                         rows[i].want, &err, rows[i].name);
    }
    CHECK(cert_verify_chain(leaf, mids, CERT_CHAIN_MAX + 1, roots, 2, NOW, NULL) == ERR_LIMIT);

    /* A chain is no stronger than its weakest digest. */
    const struct cert_request sha1 = {
        .subject = "CN=weak",
        .serial = STR("\1"),
        .not_before = NOW - DAY,
        .not_after = NOW + DAY,
        .digest = DIGEST_SHA1,
    };
    CLEANUP(cert_cleanup) struct cert *weak = NULL;
    CHECK(cert_make(&sha1, privkey_public(leaf_key), root, root_key, &weak, NULL) == OK);
    CHECK(cert_verify_chain(weak, NULL, 0, roots, 2, NOW, NULL) == ERR_DENIED);
    CHECK(cert_signed_by(weak, privkey_public(root_key), NULL) == ERR_DENIED);
}

static void test_crl(void)
{
    CLEANUP(privkey_cleanup) struct privkey *key = make_key(KEY_RSA);
    CLEANUP(privkey_cleanup) struct privkey *other = make_key(KEY_EC_P256);
    CLEANUP(cert_cleanup) struct cert *root = make("CN=ARK", true, key, NULL, key);
    for (int pss = 0; pss < 2; pss++) {
        CLEANUP(buf_done) struct buf bytes;
        buf_init(&bytes, 4096);
        const struct str serials[] = {hex("00ff"), hex("0102030405"), STR("\0")};
        CHECK(crl_make(root, key, NOW, NOW + DAY, serials, ARRAY_LEN(serials), pss, &bytes, NULL) ==
              OK);
        CLEANUP(crl_cleanup) struct crl *crl = NULL;
        CHECK(crl_from_der(buf_str(&bytes), &crl, NULL) == OK);
        if (crl == NULL)
            return;
        CHECK(crl_signed_by(crl, privkey_public(key), NULL) == OK);
        CHECK(crl_signed_by(crl, privkey_public(other), NULL) == ERR_DENIED);
        CHECK(crl_this_update(crl) == NOW && crl_next_update(crl) == NOW + DAY);
        CHECK_STR(crl_issuer_cn(crl), STR("ARK"));
        CHECK(crl_revokes(crl, hex("ff")) && crl_revokes(crl, hex("0000ff")));
        CHECK(crl_revokes(crl, hex("0102030405")) && crl_revokes(crl, STR("\0")));
        CHECK(!crl_revokes(crl, hex("ff00")) && !crl_revokes(crl, hex("02030405")));
        struct crl *none = NULL;
        CHECK(crl_from_der(str_slice(buf_str(&bytes), 0, bytes.len - 1), &none, NULL) ==
              ERR_INVALID);
        buf_add_byte(&bytes, 0);
        CHECK(crl_from_der(buf_str(&bytes), &none, NULL) == ERR_INVALID && none == NULL);
    }
}

int main(void)
{
    arena_init(&memory, 16 * 1024 * 1024);
    test_signature_algorithms();
    test_fields();
    test_pem_lists();
    test_chain();
    test_crl();
    arena_done(&memory);
    return tap_done();
}

/* Known answers, refusals and round trips of crypto.h. */
#include <pthread.h>
#include <stdio.h>

#include "base/encode.h"
#include "crypto/crypto.h"
#include "tap.h"

/* Bytes of a hexadecimal literal, in memory that the test's arena owns. */
static struct arena memory;

static struct str hex(const char *text)
{
    return tap_bytes(&memory, text);
}

static struct str b64u(const char *text)
{
    struct str out = STR_EMPTY;
    status_ignore(base64_bytes(&memory, str_of(text), BASE64_URL, &out, NULL));
    return out;
}

/* 00 01 02 ... */
static struct str counting(uint8_t first, size_t len)
{
    uint8_t *p = arena_alloc(&memory, len);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(first + i);
    return str_bytes(p, len);
}

static void test_digest(void)
{
    const struct {
        const char *name;
        enum digest_alg alg;
        struct str in;
        const char *want;
    } rows[] = {
        {"RFC 1321 A.5", DIGEST_MD5, STR("abc"), "900150983cd24fb0d6963f7d28e17f72"},
        {"FIPS 180 SHA-1", DIGEST_SHA1, STR("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"FIPS 180 SHA-256", DIGEST_SHA256, STR("abc"),
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"empty", DIGEST_SHA256, STR(""),
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"kbs.md B.1", DIGEST_SHA384, STR("{\"a\":\"test\",\"b\":1,\"c\":{\"d\":\"e\"}}"),
         "e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c4597480a186427c813ca941da"
         "78870c3"},
        {"FIPS 180 SHA-512", DIGEST_SHA512, STR("abc"),
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a"
         "3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {"GB/T 32905 A.1", DIGEST_SM3, STR("abc"),
         "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct digest d;
        digest_compute(rows[i].alg, rows[i].in, &d);
        CHECK_STR_ROW(digest_str(&d), hex(rows[i].want), rows[i].name);
        CHECK_ROW(d.len == digest_len(rows[i].alg), rows[i].name);
    }

    const struct str parts[] = {STR("a"), STR(""), STR("bc")};
    struct digest d;
    digest_parts(DIGEST_SHA1, parts, ARRAY_LEN(parts), &d);
    CHECK_STR(digest_str(&d), hex("a9993e364706816aba3e25717850c26c9cd0d89d"));

    const struct {
        struct str name;
        bool any_case;
        enum status want;
        enum digest_alg alg;
    } names[] = {
        {STR("sha256"), false, OK, DIGEST_SHA256}, {STR("sha384"), false, OK, DIGEST_SHA384},
        {STR("sha512"), false, OK, DIGEST_SHA512}, {STR("sm3"), false, OK, DIGEST_SM3},
        {STR("SHA256"), false, ERR_NOT_FOUND, 0},  {STR("Sha256"), true, OK, DIGEST_SHA256},
        {STR("SM3"), true, OK, DIGEST_SM3},        {STR("sha1"), true, ERR_NOT_FOUND, 0},
        {STR("md5"), true, ERR_NOT_FOUND, 0},      {STR("sha2567"), true, ERR_NOT_FOUND, 0},
        {STR(""), true, ERR_NOT_FOUND, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum digest_alg alg = 0;
        CHECK_ROW(digest_by_name(names[i].name, names[i].any_case, &alg) == names[i].want,
                  names[i].name.ptr);
        CHECK_ROW(alg == names[i].alg, names[i].name.ptr);
    }
}

static void *digest_thread(void *result)
{
    digest_compute(DIGEST_SHA256, STR("abc"), result);
    return NULL;
}

static void test_digest_threads(void)
{
    struct digest want, got[4];
    digest_compute(DIGEST_SHA256, STR("abc"), &want);
    for (size_t i = 0; i < ARRAY_LEN(got); i++) {
        pthread_t t;
        CHECK(pthread_create(&t, NULL, digest_thread, &got[i]) == 0);
        pthread_join(t, NULL);
        CHECK_STR(digest_str(&got[i]), digest_str(&want));
    }
}

static void test_mac_and_kdf(void)
{
    struct digest d;
    hmac_compute(DIGEST_SHA256, STR("Jefe"), STR("what do ya want for nothing?"), &d);
    CHECK_STR_ROW(digest_str(&d),
                  hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
                  "RFC 4231, 4.3");
    hmac_compute(DIGEST_SHA256, STR(""), STR(""), &d);
    CHECK_STR_ROW(digest_str(&d),
                  hex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
                  "empty key");

    uint8_t okm[42];
    hkdf_compute(DIGEST_SHA256, hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
                 counting(0, 13), counting(0xf0, 10), okm, sizeof(okm));
    CHECK_STR_ROW(
        str_bytes(okm, sizeof(okm)),
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b88718"
            "5865"),
        "RFC 5869, A.1");
    hkdf_compute(DIGEST_SHA256, hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"), STR_EMPTY,
                 STR_EMPTY, okm, sizeof(okm));
    CHECK_STR_ROW(
        str_bytes(okm, sizeof(okm)),
        hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a"
            "96c8"),
        "RFC 5869, A.3");

    uint8_t kek[32];
    concat_kdf(counting(0, 32), STR("ECDH-ES+A256KW"), STR_EMPTY, STR_EMPTY, 256, kek);
    CHECK_STR_ROW(str_bytes(kek, 32),
                  hex("ead36a3ab953bb6e5a6709471c0fd35fcc62cf920994cede2f3aa2544e9f47ac"),
                  "kbs.md B.3");

    /* RFC 7518, appendix C: direct agreement, so that the AlgorithmID is "enc". */
    uint8_t key[16];
    concat_kdf(hex("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4"),
               STR("A128GCM"), STR("Alice"), STR("Bob"), 128, key);
    CHECK_STR(str_bytes(key, 16), b64u("VqqN6vgjbSBcIijNcacQGg"));
}

static void test_keywrap(void)
{
    const struct {
        const char *name, *kek, *key, *want;
    } rows[] = {
        {"RFC 3394, 4.1", "000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
         "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
        {"RFC 3394, 4.2", "000102030405060708090a0b0c0d0e0f1011121314151617",
         "00112233445566778899aabbccddeeff", "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
        {"RFC 3394, 4.6", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
         "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
         "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
        {"kbs.md B.3", "ead36a3ab953bb6e5a6709471c0fd35fcc62cf920994cede2f3aa2544e9f47ac",
         "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
         "fece6f7475af5c8333928ec6f05e26d58042dce21f2339154614971e5ce14be3bb307e7f488704fc"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf wrapped, back;
        buf_init(&wrapped, 256);
        buf_init_secret(&back, 256);
        CHECK_ROW(keywrap_wrap(hex(rows[i].kek), hex(rows[i].key), &wrapped) == OK, rows[i].name);
        CHECK_STR_ROW(buf_str(&wrapped), hex(rows[i].want), rows[i].name);
        CHECK_ROW(keywrap_unwrap(hex(rows[i].kek), buf_str(&wrapped), &back, NULL) == OK,
                  rows[i].name);
        CHECK_STR_ROW(buf_str(&back), hex(rows[i].key), rows[i].name);

        wrapped.ptr[wrapped.len - 1] ^= 1;
        buf_reset(&back);
        CHECK_ROW(keywrap_unwrap(hex(rows[i].kek), buf_str(&wrapped), &back, NULL) == ERR_DENIED,
                  rows[i].name);
        CHECK_ROW(back.len == 0, rows[i].name);
        for (size_t n = 0; n < wrapped.len; n++)
            if (keywrap_unwrap(hex(rows[i].kek), str_slice(buf_str(&wrapped), 0, n), &back, NULL) !=
                ERR_DENIED)
                CHECK_ROW(false, "cut");
    }
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    CHECK(keywrap_wrap(counting(0, 17), counting(0, 16), &b) == ERR_INVALID);
    CHECK(keywrap_wrap(counting(0, 16), counting(0, 15), &b) == ERR_INVALID);
    CHECK(keywrap_wrap(counting(0, 16), counting(0, 8), &b) == ERR_INVALID);
    CHECK(keywrap_wrap(counting(0, 16), counting(0, KEYWRAP_MAX), &b) == OK);
    CHECK(keywrap_wrap(counting(0, 16), counting(0, KEYWRAP_MAX + 8), &b) == ERR_INVALID);
    CHECK(keywrap_unwrap(counting(0, 17), counting(0, 24), &b, NULL) == ERR_INVALID);
}

static void test_aead(void)
{
    struct str key = counting(0x40, 32), iv = counting(0, 12), aad = STR("header");
    CLEANUP(buf_done) struct buf sealed, open;
    buf_init(&sealed, 256);
    buf_init_secret(&open, 256);
    /* kbs.md B.4 */
    struct str protected =
        STR("eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2IjoiUC0yNTYiLCJrdH"
            "kiOiJFQyIsIngiOiJNS0JDVE5JY0tVU0RpaTExeVNzMzUyNmlEWjhBaVRvN1R1NktQQXF2N0Q0IiwieSI6IjRF"
            "dGw2U1JXMllpTFVyTjV2ZnZWSHVocDd4OFB4bHRtV1dsYmJNNElGeU0ifX0");
    CHECK(aead_seal(key, iv, protected, STR("secret"), &sealed) == OK);
    CHECK_STR(str_slice(buf_str(&sealed), 0, 6), b64u("SWAPChL4"));
    CHECK_STR(str_from(buf_str(&sealed), 6), b64u("DrqVG1kokIwDPOQdtt1l0g"));

    /* GCM specification, test cases 1 and 2 */
    buf_reset(&sealed);
    static const char zeros[16];
    CHECK(aead_seal(str_bytes(zeros, 16), str_bytes(zeros, 12), STR_EMPTY, STR_EMPTY, &sealed) ==
          OK);
    CHECK_STR(buf_str(&sealed), hex("58e2fccefa7e3061367f1d57a4e7455a"));
    CHECK(aead_open(str_bytes(zeros, 16), str_bytes(zeros, 12), STR_EMPTY, buf_str(&sealed), &open,
                    NULL) == OK);
    CHECK(open.len == 0);

    for (size_t len = 0; len < 40; len++) {
        struct str plain = counting(7, len);
        buf_reset(&sealed);
        buf_reset(&open);
        CHECK(aead_seal(key, iv, aad, plain, &sealed) == OK);
        CHECK(aead_open(key, iv, aad, buf_str(&sealed), &open, NULL) == OK);
        CHECK_STR(buf_str(&open), plain);
        buf_reset(&open);
        bool opened = false;
        for (size_t i = 0; i < sealed.len; i++) {
            sealed.ptr[i] ^= 4;
            opened |= aead_open(key, iv, aad, buf_str(&sealed), &open, NULL) != ERR_DENIED;
            sealed.ptr[i] ^= 4;
            opened |= aead_open(key, iv, aad, str_slice(buf_str(&sealed), 0, i), &open, NULL) !=
                      ERR_DENIED;
        }
        CHECK(!opened && open.len == 0);
        CHECK(aead_open(key, iv, STR("Header"), buf_str(&sealed), &open, NULL) == ERR_DENIED);
    }
    CHECK(aead_seal(counting(0, 24), iv, aad, STR("x"), &sealed) == ERR_INVALID);
    CHECK(aead_seal(key, counting(0, 11), aad, STR("x"), &sealed) == ERR_INVALID);
    CHECK(aead_open(key, counting(0, 16), aad, buf_str(&sealed), &open, NULL) == ERR_INVALID);
}

/* RFC 7518, appendix C. */
static void test_ecdh(void)
{
    CLEANUP(privkey_cleanup) struct privkey *alice = NULL, *p384 = NULL;
    CLEANUP(pubkey_cleanup) struct pubkey *bob = NULL;
    CHECK(privkey_from_raw(KEY_EC_P256, b64u("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"), &alice,
                           NULL) == OK);
    CHECK(pubkey_from_ec(KEY_EC_P256, b64u("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ"),
                         b64u("e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"), &bob, NULL) == OK);
    if (alice == NULL || bob == NULL)
        return;

    struct str x, y;
    CHECK(pubkey_ec_xy(privkey_public(alice), &memory, &x, &y) == OK);
    CHECK_STR(x, b64u("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0"));
    CHECK_STR(y, b64u("SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"));

    CLEANUP(buf_done) struct buf z;
    buf_init_secret(&z, 66);
    CHECK(ecdh_compute(alice, bob, &z, NULL) == OK);
    CHECK_STR(buf_str(&z), hex("9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4"));

    CHECK(privkey_generate(KEY_EC_P384, 0, &p384, NULL) == OK);
    CHECK(ecdh_compute(p384, bob, &z, NULL) == ERR_INVALID);
    CHECK(z.len == 32);
}

static bool agree_alike(const struct privkey *mine, const struct pubkey *a, const struct pubkey *b)
{
    CLEANUP(buf_done) struct buf za, zb;
    buf_init(&za, 64);
    buf_init(&zb, 64);
    return ecdh_compute(mine, a, &za, NULL) == OK && ecdh_compute(mine, b, &zb, NULL) == OK &&
           str_equal(buf_str(&za), buf_str(&zb));
}

/*
 * Keys that are read again are found again, those that push each other out as well: what
 * is left of one takes the point of the next.
 */
static void test_recent_keys(void)
{
    CLEANUP(privkey_cleanup) struct privkey *mine = NULL;
    CHECK(privkey_generate(KEY_EC_P256, 0, &mine, NULL) == OK);
    struct {
        struct pubkey *made;
        struct str x, y;
    } keys[150];
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        CLEANUP(privkey_cleanup) struct privkey *pair = NULL;
        CHECK(privkey_generate(KEY_EC_P256, 0, &pair, NULL) == OK);
        keys[i].made = pubkey_ref(privkey_public(pair));
        CHECK(pubkey_ec_xy(keys[i].made, &memory, &keys[i].x, &keys[i].y) == OK);
    }
    bool same = true, once = true, alike = true;
    for (size_t i = 0; i < 2 * ARRAY_LEN(keys); i++) {
        size_t at = i / 2 * 7 % ARRAY_LEN(keys);
        CLEANUP(pubkey_cleanup) struct pubkey *k = NULL, *again = NULL;
        CHECK(pubkey_from_ec(KEY_EC_P256, keys[at].x, keys[at].y, &k, NULL) == OK);
        CHECK(pubkey_from_ec(KEY_EC_P256, keys[at].x, keys[at].y, &again, NULL) == OK);
        same = same && pubkey_equal(k, keys[at].made) && pubkey_equal(again, k);
        once = once && again == k;
        alike = alike && agree_alike(mine, k, keys[at].made);
    }
    CHECK(same);
    CHECK(once);
    CHECK(alike);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        pubkey_unref(keys[i].made);
}

static void test_key_refusals(void)
{
    struct str gx = hex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
    struct str gy = hex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
    struct str p = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    struct str zero = hex("0000000000000000000000000000000000000000000000000000000000000000");
    struct str order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

    const struct {
        const char *name;
        struct str x, y;
        enum status want;
    } points[] = {
        {"the generator", gx, gy, OK},
        {"not on the curve", gy, gx, ERR_INVALID},
        {"zero", zero, zero, ERR_INVALID},
        {"x of p", p, gy, ERR_INVALID},
        {"y of p", gx, p, ERR_INVALID},
        {"x too short", str_from(gx, 1), gy, ERR_INVALID},
        {"y too long", gx,
         hex("004fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"), ERR_INVALID},
        {"empty", STR_EMPTY, STR_EMPTY, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        CLEANUP(pubkey_cleanup) struct pubkey *k = NULL;
        CHECK_ROW(pubkey_from_ec(KEY_EC_P256, points[i].x, points[i].y, &k, NULL) == points[i].want,
                  points[i].name);
        CHECK_ROW((k != NULL) == (points[i].want == OK), points[i].name);
    }

    const struct {
        const char *name;
        struct str d;
        enum status want;
    } scalars[] = {
        {"one", hex("0000000000000000000000000000000000000000000000000000000000000001"), OK},
        {"zero", zero, ERR_INVALID},
        {"the order", order, ERR_INVALID},
        {"above the order", p, ERR_INVALID},
        {"short", str_from(order, 1), ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++) {
        CLEANUP(privkey_cleanup) struct privkey *k = NULL;
        CHECK_ROW(privkey_from_raw(KEY_EC_P256, scalars[i].d, &k, NULL) == scalars[i].want,
                  scalars[i].name);
    }

    CLEANUP(pubkey_cleanup) struct pubkey *k = NULL;
    struct str odd = arena_str(&memory, counting(0x81, 256));
    struct str three = STR("\3");
    ((char *)(uintptr_t)odd.ptr)[255] |= 1;
    CHECK(pubkey_from_rsa(str_slice(odd, 0, 127), three, &k, NULL) == ERR_INVALID);
    CHECK(pubkey_from_rsa(odd, STR("\1"), &k, NULL) == ERR_INVALID);
    CHECK(pubkey_from_rsa(odd, STR("\4"), &k, NULL) == ERR_INVALID);
    CHECK(pubkey_from_rsa(odd, STR(""), &k, NULL) == ERR_INVALID);
    CHECK(pubkey_from_rsa(odd, counting(1, 9), &k, NULL) == ERR_LIMIT);
    CHECK(pubkey_from_rsa(counting(1, 2049), three, &k, NULL) == ERR_LIMIT);
    CHECK(k == NULL);
    CHECK(pubkey_from_rsa(odd, three, &k, NULL) == OK);
    CHECK(k != NULL && pubkey_kind(k) == KEY_RSA && pubkey_bits(k) == 2048);

    CLEANUP(privkey_cleanup) struct privkey *none = NULL;
    struct error err = ERROR_INIT;
    CHECK(privkey_generate(KEY_RSA, 2047, &none, &err) == ERR_UNSUPPORTED);
    CHECK(privkey_from_pem(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                           &none, &err) == ERR_INVALID);
    CHECK(privkey_from_pem(STR("no key"), &none, &err) == ERR_INVALID);
    CHECK(privkey_from_pem(STR(""), &none, &err) == ERR_INVALID);
    CHECK(pubkey_from_pem(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), &k,
                          &err) == ERR_INVALID);
}

static void test_sign(void)
{
    const struct {
        const char *name;
        enum key_kind kind;
        enum sig_alg alg;
        enum digest_alg digest;
        size_t len; /* 0: varies */
    } rows[] = {
        {"ES256", KEY_EC_P256, SIG_ECDSA_RAW, DIGEST_SHA256, 64},
        {"ES384", KEY_EC_P384, SIG_ECDSA_RAW, DIGEST_SHA384, 96},
        {"ES512", KEY_EC_P521, SIG_ECDSA_RAW, DIGEST_SHA512, 132},
        {"ECDSA in DER", KEY_EC_P521, SIG_ECDSA_DER, DIGEST_SHA512, 0},
        {"EdDSA", KEY_ED25519, SIG_ED25519, DIGEST_SHA512, 64},
        {"RS256", KEY_RSA, SIG_RSA_PKCS1, DIGEST_SHA256, 256},
        {"PS384", KEY_RSA, SIG_RSA_PSS, DIGEST_SHA384, 256},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(privkey_cleanup) struct privkey *k = NULL, *again = NULL;
        CLEANUP(pubkey_cleanup) struct pubkey *pub = NULL;
        CLEANUP(buf_done) struct buf sig, text;
        buf_init(&sig, 1024);
        buf_init_secret(&text, 8192);
        CHECK_ROW(privkey_generate(rows[i].kind, 2048, &k, NULL) == OK, rows[i].name);
        CHECK_ROW(privkey_to_pem(k, &text) == OK, rows[i].name);
        CHECK_ROW(privkey_from_pem(buf_str(&text), &again, NULL) == OK, rows[i].name);
        buf_reset(&text);
        CHECK_ROW(pubkey_to_pem(privkey_public(again), &text) == OK, rows[i].name);
        CHECK_ROW(pubkey_from_pem(buf_str(&text), &pub, NULL) == OK, rows[i].name);
        CHECK_ROW(pubkey_equal(pub, privkey_public(k)), rows[i].name);
        CHECK_ROW(pubkey_kind(pub) == rows[i].kind, rows[i].name);

        /* Small r and s need several draws: the shorter forms are met within 300. */
        bool good = true;
        for (int n = 0; n < (rows[i].kind == KEY_RSA ? 2 : 300); n++) {
            buf_reset(&sig);
            good = good &&
                   privkey_sign(k, rows[i].alg, rows[i].digest, STR("m"), &sig, NULL) == OK &&
                   (rows[i].len == 0 || sig.len == rows[i].len) &&
                   pubkey_verify(pub, rows[i].alg, rows[i].digest, STR("m"), buf_str(&sig), NULL) ==
                       OK;
        }
        CHECK_ROW(good, rows[i].name);

        enum status other =
            pubkey_verify(pub, rows[i].alg, rows[i].digest, STR("n"), buf_str(&sig), NULL);
        CHECK_ROW(other == ERR_DENIED, rows[i].name);
        bool denied = true;
        for (size_t n = 0; n < sig.len; n++) {
            struct str cut = str_slice(buf_str(&sig), 0, n);
            denied = denied && pubkey_verify(pub, rows[i].alg, rows[i].digest, STR("m"), cut,
                                             NULL) == ERR_DENIED;
            if (n % 8 != 0)
                continue;
            sig.ptr[n] ^= 0x10;
            denied = denied && pubkey_verify(pub, rows[i].alg, rows[i].digest, STR("m"),
                                             buf_str(&sig), NULL) == ERR_DENIED;
            sig.ptr[n] ^= 0x10;
        }
        CHECK_ROW(denied, rows[i].name);
        buf_add_byte(&sig, 0);
        CHECK_ROW(pubkey_verify(pub, rows[i].alg, rows[i].digest, STR("m"), buf_str(&sig), NULL) ==
                      ERR_DENIED,
                  rows[i].name);

        enum sig_alg unfit = rows[i].kind == KEY_RSA ? SIG_ECDSA_RAW : SIG_RSA_PSS;
        CHECK_ROW(pubkey_verify(pub, unfit, DIGEST_SHA256, STR("m"), STR(""), NULL) ==
                      ERR_UNSUPPORTED,
                  rows[i].name);
        CHECK_ROW(privkey_sign(k, unfit, DIGEST_SHA256, STR("m"), &sig, NULL) == ERR_UNSUPPORTED,
                  rows[i].name);
    }
}

/* RFC 8032, 7.1, test 2. */
static void test_ed25519(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL;
    CLEANUP(buf_done) struct buf sig;
    buf_init(&sig, 64);
    CHECK(privkey_from_raw(KEY_ED25519,
                           hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
                           &k, NULL) == OK);
    struct str raw;
    CHECK(pubkey_ed25519_raw(privkey_public(k), &memory, &raw) == OK);
    CHECK_STR(raw, hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
    CHECK(privkey_sign(k, SIG_ED25519, DIGEST_SHA512, STR("\x72"), &sig, NULL) == OK);
    CHECK_STR(
        buf_str(&sig),
        hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f"
            "3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"));
}

/* draft-shen-sm2-ecdsa-02, appendix A.2, on the curve of GB/T 32918.5. */
static void test_sm2(void)
{
    CLEANUP(pubkey_cleanup) struct pubkey *k = NULL;
    CHECK(pubkey_from_ec(KEY_SM2,
                         hex("09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"),
                         hex("ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"),
                         &k, NULL) == OK);
    if (k == NULL)
        return;
    struct str sig = hex("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
                         "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa");
    CHECK(pubkey_verify_sm2(k, STR("1234567812345678"), STR("message digest"), sig, NULL) == OK);
    CHECK(pubkey_verify_sm2(k, STR("1234567812345679"), STR("message digest"), sig, NULL) ==
          ERR_DENIED);
    CHECK(pubkey_verify_sm2(k, STR("1234567812345678"), STR("message digesT"), sig, NULL) ==
          ERR_DENIED);
    CHECK(pubkey_verify_sm2(k, STR("1234567812345678"), STR("message digest"),
                            str_slice(sig, 0, 63), NULL) == ERR_DENIED);
    CHECK(pubkey_verify(k, SIG_ECDSA_RAW, DIGEST_SM3, STR("m"), sig, NULL) == ERR_UNSUPPORTED);
}

static void test_rsa_encrypt(void)
{
    CLEANUP(privkey_cleanup) struct privkey *k = NULL, *ec = NULL;
    CHECK(privkey_generate(KEY_RSA, 2048, &k, NULL) == OK);
    CHECK(privkey_generate(KEY_EC_P256, 0, &ec, NULL) == OK);
    const struct pubkey *pub = privkey_public(k);
    CLEANUP(buf_done) struct buf cipher, plain, again;
    buf_init(&cipher, 1024);
    buf_init_secret(&plain, 1024);
    buf_init_secret(&again, 1024);

    const struct {
        const char *name;
        enum rsa_padding padding;
        size_t most;
    } rows[] = {
        {"PKCS#1 v1.5", RSA_PAD_PKCS1_15, 245},
        {"OAEP SHA-1", RSA_PAD_OAEP_SHA1, 214},
        {"OAEP SHA-256", RSA_PAD_OAEP_SHA256, 190},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const size_t lens[] = {0, 1, 32, rows[i].most};
        for (size_t j = 0; j < ARRAY_LEN(lens); j++) {
            buf_reset(&cipher);
            buf_reset(&plain);
            CHECK_ROW(pubkey_encrypt(pub, rows[i].padding, counting(1, lens[j]), &cipher, NULL) ==
                          OK,
                      rows[i].name);
            CHECK_ROW(privkey_decrypt(k, rows[i].padding, buf_str(&cipher), &plain, NULL) == OK,
                      rows[i].name);
            CHECK_STR_ROW(buf_str(&plain), counting(1, lens[j]), rows[i].name);
        }
        CHECK_ROW(pubkey_encrypt(pub, rows[i].padding, counting(1, rows[i].most + 1), &cipher,
                                 NULL) == ERR_INVALID,
                  rows[i].name);
        CHECK_ROW(privkey_decrypt(k, rows[i].padding, counting(1, 255), &plain, NULL) == ERR_DENIED,
                  rows[i].name);
        CHECK_ROW(pubkey_encrypt(privkey_public(ec), rows[i].padding, STR("x"), &cipher, NULL) ==
                      ERR_UNSUPPORTED,
                  rows[i].name);
    }

    /* A block that is wrongly padded decrypts to something: the same at each try, never the text.
     */
    const struct {
        const char *name;
        size_t at;
        uint8_t value;
        bool genuine;
    } blocks[] = {
        {"right", 2, 0x55, true},         {"first byte", 0, 1, false},
        {"second byte", 1, 1, false},     {"zero in the first eight", 9, 0, false},
        {"zero just after", 10, 0, true}, {"no zero", 223, 0x55, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        uint8_t em[256];
        memset(em, 0x55, sizeof(em));
        em[0] = 0;
        em[1] = 2;
        em[223] = 0; /* leaves 32 bytes */
        em[blocks[i].at] = blocks[i].value;
        buf_reset(&cipher);
        buf_reset(&plain);
        buf_reset(&again);
        CHECK_ROW(pubkey_encrypt_raw(pub, str_bytes(em, 256), &cipher, NULL) == OK, blocks[i].name);
        CHECK_ROW(privkey_decrypt(k, RSA_PAD_PKCS1_15, buf_str(&cipher), &plain, NULL) == OK,
                  blocks[i].name);
        CHECK_ROW(privkey_decrypt(k, RSA_PAD_PKCS1_15, buf_str(&cipher), &again, NULL) == OK,
                  blocks[i].name);
        CHECK_STR_ROW(buf_str(&plain), buf_str(&again), blocks[i].name);
        size_t start = blocks[i].at == 10 ? 11 : 224;
        CHECK_ROW(str_equal(buf_str(&plain), str_bytes(em + start, 256 - start)) ==
                      blocks[i].genuine,
                  blocks[i].name);
    }
}

static void test_seal(void)
{
    struct str keys[] = {counting(0, 32), counting(32, 32), counting(64, 32)};
    CLEANUP(sealer_cleanup) struct sealer *old = NULL, *rotated = NULL, *other = NULL;
    CHECK(sealer_new(&keys[0], 1, &old, NULL) == OK);
    CHECK(sealer_new((struct str[]){keys[1], keys[0]}, 2, &rotated, NULL) == OK);
    CHECK(sealer_new(&keys[2], 1, &other, NULL) == OK);

    CLEANUP(buf_done) struct buf text, out;
    buf_init(&text, 1024);
    buf_init(&out, 1024);
    CHECK(seal_write(old, STR("challenge"), 1000, STR("nonce"), &random_system, &text) == OK);

    const struct {
        const char *name;
        const struct sealer *sealer;
        struct str purpose;
        int64_t now;
        enum status want;
    } rows[] = {
        {"before the expiry", old, STR("challenge"), 999, OK},
        {"at the expiry", old, STR("challenge"), 1000, OK},
        {"past the expiry", old, STR("challenge"), 1001, ERR_CANCELLED},
        {"after a rotation", rotated, STR("challenge"), 999, OK},
        {"for another purpose", old, STR("session"), 999, ERR_DENIED},
        {"for another purpose, expired", old, STR("session"), 1001, ERR_DENIED},
        {"with another key", other, STR("challenge"), 999, ERR_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t expires = 0;
        buf_reset(&out);
        CHECK_ROW(seal_open(rows[i].sealer, rows[i].purpose, rows[i].now, buf_str(&text), &out,
                            &expires, NULL) == rows[i].want,
                  rows[i].name);
        CHECK_STR_ROW(buf_str(&out), rows[i].want == OK ? STR("nonce") : STR(""), rows[i].name);
        CHECK_ROW(expires == (rows[i].want == OK ? 1000 : 0), rows[i].name);
    }

    bool opened = false;
    buf_reset(&out);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        text.ptr[i] = c == 'A' ? 'B' : 'A';
        opened |=
            seal_open(old, STR("challenge"), 1, buf_str(&text), &out, NULL, NULL) != ERR_DENIED;
        text.ptr[i] = c;
        opened |= seal_open(old, STR("challenge"), 1, str_slice(buf_str(&text), 0, i), &out, NULL,
                            NULL) != ERR_DENIED;
    }
    CHECK(!opened && out.len == 0);

    CLEANUP(sealer_cleanup) struct sealer *none = NULL;
    CHECK(sealer_new(keys, 0, &none, NULL) == ERR_INVALID);
    CHECK(sealer_new((struct str[]){counting(0, 31)}, 1, &none, NULL) == ERR_INVALID);
    CHECK(sealer_new((struct str[]){keys[0], keys[0], keys[0], keys[0], keys[0]}, 5, &none, NULL) ==
          ERR_INVALID);
    CHECK(none == NULL);
}

/* ---- threads ---- */

static struct privkey *shared_key;
static struct sealer *shared_sealer;

static void *work(void *result)
{
    bool good = true;
    for (int i = 0; i < 50; i++) {
        struct privkey *k = privkey_ref(shared_key);
        struct pubkey *pub = pubkey_ref(privkey_public(k));
        struct buf sig, z, text, plain;
        buf_init(&sig, 64);
        buf_init_secret(&z, 32);
        buf_init(&text, 256);
        buf_init(&plain, 256);
        good =
            good && privkey_sign(k, SIG_ECDSA_RAW, DIGEST_SHA256, STR("m"), &sig, NULL) == OK &&
            pubkey_verify(pub, SIG_ECDSA_RAW, DIGEST_SHA256, STR("m"), buf_str(&sig), NULL) == OK &&
            ecdh_compute(k, pub, &z, NULL) == OK &&
            seal_write(shared_sealer, STR("p"), 1, STR("x"), &random_system, &text) == OK &&
            seal_open(shared_sealer, STR("p"), 1, buf_str(&text), &plain, NULL, NULL) == OK;
        buf_done(&sig);
        buf_done(&z);
        buf_done(&text);
        buf_done(&plain);
        pubkey_unref(pub);
        privkey_unref(k);
    }
    *(bool *)result = good;
    return NULL;
}

static void test_shared_objects(void)
{
    CHECK(privkey_generate(KEY_EC_P256, 0, &shared_key, NULL) == OK);
    CHECK(sealer_new((struct str[]){counting(0, 32)}, 1, &shared_sealer, NULL) == OK);
    pthread_t threads[4];
    bool good[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, work, &good[i]) == 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        CHECK(good[i]);
    }
    privkey_unref(shared_key);
    sealer_free(shared_sealer);
}

/* ---- allocation failures ---- */

static struct privkey *sweep_rsa, *sweep_ec;
static struct str sweep_sealed, sweep_signature, sweep_cipher, sweep_wrapped;

static enum status try_sign(struct buf *out)
{
    return privkey_sign(sweep_ec, SIG_ECDSA_RAW, DIGEST_SHA256, STR("m"), out, NULL);
}

static enum status try_verify(struct buf *out)
{
    return pubkey_verify(privkey_public(sweep_ec), SIG_ECDSA_RAW, DIGEST_SHA256, STR("m"),
                         sweep_signature, NULL);
}

static enum status try_ecdh(struct buf *out)
{
    return ecdh_compute(sweep_ec, privkey_public(sweep_ec), out, NULL);
}

static enum status try_wrap(struct buf *out)
{
    return keywrap_wrap(counting(0, 32), counting(0, 32), out);
}

static enum status try_unwrap(struct buf *out)
{
    return keywrap_unwrap(counting(0, 32), sweep_wrapped, out, NULL);
}

static enum status try_encrypt(struct buf *out)
{
    return pubkey_encrypt(privkey_public(sweep_rsa), RSA_PAD_OAEP_SHA256, STR("x"), out, NULL);
}

static enum status try_decrypt(struct buf *out)
{
    return privkey_decrypt(sweep_rsa, RSA_PAD_OAEP_SHA256, sweep_cipher, out, NULL);
}

static enum status try_seal(struct buf *out)
{
    return seal_write(shared_sealer, STR("p"), 1, STR("x"), &random_system, out);
}

static enum status try_open(struct buf *out)
{
    return seal_open(shared_sealer, STR("p"), 1, sweep_sealed, out, NULL, NULL);
}

static enum status try_der(struct buf *out)
{
    return pubkey_to_der(privkey_public(sweep_rsa), out);
}

static struct str keep(enum status (*make)(struct buf *out))
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 4096);
    CHECK(make(&out) == OK);
    return arena_str(&memory, buf_str(&out));
}

/*
 * Without memory each says so and gives nothing.  Where OpenSSL itself fails
 * half-way and cannot say why, the refusal may be another one, but it is one.
 */
static void test_no_memory(void)
{
    const struct {
        const char *name;
        enum status (*call)(struct buf *out);
    } rows[] = {
        {"sign", try_sign},       {"verify", try_verify},   {"ecdh", try_ecdh},
        {"wrap", try_wrap},       {"unwrap", try_unwrap},   {"encrypt", try_encrypt},
        {"decrypt", try_decrypt}, {"seal_write", try_seal}, {"seal_open", try_open},
        {"to_der", try_der},
    };
    CHECK(privkey_generate(KEY_EC_P256, 0, &sweep_ec, NULL) == OK);
    CHECK(privkey_generate(KEY_RSA, 2048, &sweep_rsa, NULL) == OK);
    CHECK(sealer_new((struct str[]){counting(0, 32)}, 1, &shared_sealer, NULL) == OK);
    sweep_signature = keep(try_sign);
    sweep_wrapped = keep(try_wrap);
    sweep_cipher = keep(try_encrypt);
    sweep_sealed = keep(try_seal);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum status st = ERR_NOMEM;
        long n = 1;
        for (; st != OK && n < 2000; n++) {
            CLEANUP(buf_done) struct buf out;
            buf_init_secret(&out, 4096);
            tap_fail_malloc_after(n);
            st = rows[i].call(&out);
            tap_fail_malloc_after(0);
            if (st != OK && (out.len != 0 || (n == 1 && st != ERR_NOMEM)))
                break;
        }
        CHECK_ROW(st == OK, rows[i].name);
    }
    privkey_unref(sweep_ec);
    privkey_unref(sweep_rsa);
    sealer_free(shared_sealer);
}

int main(void)
{
    arena_init(&memory, 16 * 1024 * 1024);
    test_digest();
    test_digest_threads();
    test_mac_and_kdf();
    test_keywrap();
    test_aead();
    test_ecdh();
    test_recent_keys();
    test_key_refusals();
    test_sign();
    test_ed25519();
    test_sm2();
    test_rsa_encrypt();
    test_seal();
    test_shared_objects();
    test_no_memory();
    arena_done(&memory);
    return tap_done();
}

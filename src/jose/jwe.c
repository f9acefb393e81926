#include "jose/jose_internal.h"

#include "base/encode.h"
#include "value/json.h"

#define CEK_LEN 32
#define IV_LEN 12
#define TAG_LEN 16
#define WRAPPED_LEN (CEK_LEN + 8)
#define HEADER_MAX (64 * 1024)
#define HEADER_DEPTH_MAX 16
#define EC_WIDTH_MAX 66
#define SCALAR_DRAWS_MAX 128 /* each succeeds with more than one half */

#define ENC "A256GCM"

static bool alg_is(const struct tee_key *key, const char *alg)
{
    return strcmp(key->alg, alg) == 0;
}

/* ---- what both sides compute ---- */

/* kbs.md 4.4: the KEK of ECDH-ES+A256KW; `kek` of 32 bytes. */
static STATUS derive_kek(const struct privkey *mine, const struct pubkey *theirs, struct str apu,
                         struct str apv, uint8_t *kek, struct error *err)
{
    CLEANUP(buf_done) struct buf z;
    buf_init_secret(&z, EC_WIDTH_MAX);
    enum status st = ecdh_compute(mine, theirs, &z, err);
    if (st == OK)
        concat_kdf(buf_str(&z), str_of(tee_alg_ecdh), apu, apv, 256, kek);
    return st;
}

/* ---- RSA paddings with chosen random bytes, for known answers only ---- */

static void mgf1_xor(struct str seed, uint8_t *out, size_t len)
{
    uint8_t counter[4];
    for (uint32_t i = 0; len > 0; i++) {
        store_be32(counter, i);
        const struct str parts[] = {seed, str_bytes(counter, 4)};
        struct digest d;
        digest_parts(DIGEST_SHA256, parts, 2, &d);
        size_t n = len < d.len ? len : d.len;
        for (size_t j = 0; j < n; j++)
            out[j] ^= d.bytes[j];
        out += n;
        len -= n;
    }
}

/* RFC 8017, 7.1.1: 00 || masked seed || masked (hash || 00... || 01 || message). */
static bool oaep_encode(struct str seed, struct str message, uint8_t *em, size_t k)
{
    struct digest label;
    digest_compute(DIGEST_SHA256, STR_EMPTY, &label);
    size_t h = label.len;
    if (seed.len != h || k < 2 * h + 2 + message.len)
        return false;
    uint8_t *masked_seed = em + 1, *db = em + 1 + h;
    size_t db_len = k - h - 1;
    memset(em, 0, k);
    memcpy(masked_seed, seed.ptr, h);
    memcpy(db, label.bytes, h);
    db[db_len - message.len - 1] = 1;
    memcpy(db + db_len - message.len, message.ptr, message.len);
    mgf1_xor(seed, db, db_len);
    mgf1_xor(str_bytes(db, db_len), masked_seed, h);
    return true;
}

/* RFC 8017, 7.2.1: 00 || 02 || padding || 00 || message. */
static bool pkcs1_encode(struct str ps, struct str message, uint8_t *em, size_t k)
{
    if (k < message.len + 3 || ps.len != k - message.len - 3)
        return false;
    em[0] = 0;
    em[1] = 2;
    memcpy(em + 2, ps.ptr, ps.len);
    em[2 + ps.len] = 0;
    memcpy(em + 3 + ps.len, message.ptr, message.len);
    return true;
}

static STATUS encrypt_key_fixed(const struct tee_key *key, struct str cek,
                                const struct jwe_fixed *fixed, struct buf *out, struct error *err)
{
    uint8_t em[JWK_RSA_BITS_MAX / 8];
    size_t k = (pubkey_bits(key->key) + 7) / 8;
    bool fits = alg_is(key, tee_alg_oaep) ? oaep_encode(fixed->oaep_seed, cek, em, k)
                                          : pkcs1_encode(fixed->pkcs1_ps, cek, em, k);
    if (!fits) {
        error_set(err, "fixed padding does not fit the key");
        return ERR_INVALID;
    }
    return pubkey_encrypt_raw(key->key, str_bytes(em, k), out, err);
}

/* ---- encrypt ---- */

static STATUS draw_ephemeral(enum key_kind kind, const struct random_source *random,
                             struct privkey **out, struct error *err)
{
    if (random == &random_system)
        return privkey_generate(kind, 0, out, err);

    size_t width = jwk_curve_width(kind);
    uint8_t scalar[EC_WIDTH_MAX];
    enum status st = ERR_INTERNAL;
    for (int i = 0; i < SCALAR_DRAWS_MAX; i++) {
        random_fill(random, scalar, width);
        if (kind == KEY_EC_P521)
            scalar[0] &= 1;
        st = privkey_from_raw(kind, str_bytes(scalar, width), out, err);
        if (st != ERR_INVALID)
            break;
    }
    bytes_wipe(scalar, sizeof(scalar));
    return st;
}

/* kbs.md 4.2: this order of members, since clients from v0.12 on write the header anew. */
static STATUS write_ec_header(const struct pubkey *ephemeral, struct buf *header)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024);
    struct str x, y;
    enum status st = pubkey_ec_xy(ephemeral, &a, &x, &y);
    if (st != OK)
        return st;
    buf_add_cstr(header, "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"" ENC "\",\"epk\":{\"crv\":\"");
    buf_add_cstr(header, jwk_curve_name(pubkey_kind(ephemeral)));
    buf_add_cstr(header, "\",\"kty\":\"EC\",\"x\":\"");
    base64_write(header, x, BASE64_URL);
    buf_add_cstr(header, "\",\"y\":\"");
    base64_write(header, y, BASE64_URL);
    buf_add_cstr(header, "\"}}");
    return buf_status(header);
}

static STATUS encrypt_key_ec(const struct tee_key *key, struct str cek,
                             const struct random_source *random, const struct jwe_fixed *fixed,
                             struct buf *header, struct buf *encrypted, struct error *err)
{
    CLEANUP(privkey_cleanup) struct privkey *ephemeral = NULL;
    enum status st = OK;
    if (fixed != NULL && fixed->ephemeral != NULL)
        ephemeral = privkey_ref(fixed->ephemeral);
    else
        st = draw_ephemeral(pubkey_kind(key->key), random, &ephemeral, err);

    uint8_t kek[32];
    if (st == OK)
        st = derive_kek(ephemeral, key->key, STR_EMPTY, STR_EMPTY, kek, err);
    if (st == OK)
        st = keywrap_wrap(str_bytes(kek, sizeof(kek)), cek, encrypted);
    bytes_wipe(kek, sizeof(kek));
    return st != OK ? st : write_ec_header(privkey_public(ephemeral), header);
}

static STATUS encrypt_key_rsa(const struct tee_key *key, struct str cek,
                              const struct jwe_fixed *fixed, struct buf *header,
                              struct buf *encrypted, struct error *err)
{
    buf_add_format(header, "{\"alg\":\"%s\",\"enc\":\"" ENC "\"}", key->alg);
    if (buf_status(header) != OK)
        return buf_status(header);
    bool oaep = alg_is(key, tee_alg_oaep);
    if (fixed != NULL && (oaep ? fixed->oaep_seed.len : fixed->pkcs1_ps.len) > 0)
        return encrypt_key_fixed(key, cek, fixed, encrypted, err);
    return pubkey_encrypt(key->key, oaep ? RSA_PAD_OAEP_SHA256 : RSA_PAD_PKCS1_15, cek, encrypted,
                          err);
}

/* `name` with the quotes and commas around it, then the bytes as base64url. */
static void write_member(struct buf *out, const char *name, struct str bytes)
{
    buf_add_cstr(out, name);
    base64_write(out, bytes, BASE64_URL);
}

static STATUS write_answer(enum jwe_form form, struct str header, struct str encrypted,
                           struct str cek, struct str iv, struct str plain, struct buf *out)
{
    CLEANUP(buf_done) struct buf protected, sealed;
    buf_init(&protected, HEADER_MAX);
    buf_init(&sealed, SIZE_MAX);
    base64_write(&protected, header, BASE64_URL);
    if (buf_status(&protected) != OK)
        return buf_status(&protected);
    struct str aad = form == JWE_RFC7516 ? buf_str(&protected) : STR_EMPTY;
    enum status st = aead_seal(cek, iv, aad, plain, &sealed);
    if (st != OK)
        return st;

    size_t text_len = form == JWE_RFC7516 ? plain.len : sealed.len;
    buf_add_cstr(out, "{\"protected\":");
    if (form == JWE_RFC7516) {
        buf_add_byte(out, '"');
        buf_add(out, buf_str(&protected));
        buf_add_byte(out, '"');
    } else {
        json_write_string(out, header);
    }
    write_member(out, ",\"encrypted_key\":\"", encrypted);
    write_member(out, "\",\"iv\":\"", iv);
    write_member(out, "\",\"ciphertext\":\"", str_slice(buf_str(&sealed), 0, text_len));
    write_member(out, "\",\"tag\":\"", str_from(buf_str(&sealed), text_len));
    buf_add_cstr(out, "\"}");
    return buf_status(out);
}

enum status jwe_encrypt(const struct tee_key *key, enum jwe_form form, struct str plain,
                        const struct random_source *random, const struct jwe_fixed *fixed,
                        struct buf *out, struct error *err)
{
    if (form == JWE_LEGACY && !alg_is(key, tee_alg_rsa15)) {
        error_set(err, "the form of protocol 0.1.1 has no \"%s\"", key->alg);
        return ERR_UNSUPPORTED;
    }
    uint8_t cek[CEK_LEN], iv[IV_LEN];
    random_fill(random, cek, sizeof(cek));
    random_fill(random, iv, sizeof(iv));
    if (fixed != NULL && fixed->cek.len == CEK_LEN)
        memcpy(cek, fixed->cek.ptr, CEK_LEN);
    if (fixed != NULL && fixed->iv.len == IV_LEN)
        memcpy(iv, fixed->iv.ptr, IV_LEN);

    CLEANUP(buf_done) struct buf header, encrypted;
    buf_init(&header, HEADER_MAX);
    buf_init(&encrypted, SIGNATURE_MAX);
    struct str cek_str = str_bytes(cek, CEK_LEN);
    enum status st = alg_is(key, tee_alg_ecdh)
                         ? encrypt_key_ec(key, cek_str, random, fixed, &header, &encrypted, err)
                         : encrypt_key_rsa(key, cek_str, fixed, &header, &encrypted, err);
    if (st == OK)
        st = write_answer(form, buf_str(&header), buf_str(&encrypted), cek_str,
                          str_bytes(iv, IV_LEN), plain, out);
    bytes_wipe(cek, sizeof(cek));
    return st;
}

/* ---- decrypt ---- */

/* The members of an answer, decoded; `protected` as it came. */
struct answer {
    struct str protected, encrypted_key, iv, ciphertext, tag;
};

static STATUS member_text(value json, const char *name, struct str *out, struct error *err)
{
    value v = value_get_str(json, str_of(name));
    if (!value_is_string(v)) {
        error_set(err, "answer has no member \"%s\", or it is no string", name);
        return ERR_INVALID;
    }
    *out = value_str(v);
    return OK;
}

static STATUS member_bytes(struct arena *a, value json, const char *name, struct str *out,
                           struct error *err)
{
    struct str text;
    enum status st = member_text(json, name, &text, err);
    if (st != OK)
        return st;
    st = base64_bytes(a, text, BASE64_URL, out, NULL);
    if (st != OK)
        error_set(err, "member \"%s\" of the answer is no base64url", name);
    return st;
}

static STATUS parse_answer(struct arena *a, struct str text, struct answer *out, struct error *err)
{
    value json;
    enum status st = json_parse(a, text, NULL, &json, NULL);
    if (st != OK) {
        error_set(err, "answer is no JSON");
        return st;
    }
    /*
     * RFC 7516, 5.1: with an "aad" it would be part of the authenticated data,
     * and a header outside of "protected" could name another algorithm.
     */
    static const char *const refused[] = {"aad", "header", "unprotected", "recipients"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (value_is_defined(value_get_str(json, str_of(refused[i])))) {
            error_set(err, "answer has a member \"%s\"", refused[i]);
            return ERR_UNSUPPORTED;
        }
    }
    st = member_text(json, "protected", &out->protected, err);
    if (st == OK)
        st = member_bytes(a, json, "encrypted_key", &out->encrypted_key, err);
    if (st == OK)
        st = member_bytes(a, json, "iv", &out->iv, err);
    if (st == OK)
        st = member_bytes(a, json, "ciphertext", &out->ciphertext, err);
    if (st == OK)
        st = member_bytes(a, json, "tag", &out->tag, err);
    if (st == OK && out->iv.len != IV_LEN) {
        error_set(err, "IV of the answer is not of %d bytes", IV_LEN);
        st = ERR_INVALID;
    }
    return st;
}

/* Read the header's JSON and check that it asks for `alg` and nothing that we do not know. */
static STATUS parse_header(struct arena *a, struct str text, const char *alg, value *out,
                           struct error *err)
{
    const struct json_options options = {JSON_DUP_REFUSE, HEADER_DEPTH_MAX};
    value h;
    enum status st = text.len > HEADER_MAX ? ERR_LIMIT : json_parse(a, text, &options, &h, NULL);
    if (st == OK && !value_is_object(h))
        st = ERR_INVALID;
    if (st != OK) {
        error_set(err, "header of the answer is no JSON object, or too long");
        return st;
    }
    struct str have = value_str(value_get_lit(h, "alg"));
    struct str enc = value_str(value_get_lit(h, "enc"));
    if (!str_is(have, alg) || !str_is(enc, ENC)) {
        error_set(err, "algorithms \"%s\" and \"%s\" of the answer are not the key's", QUOTED(have),
                  QUOTED(enc));
        return ERR_UNSUPPORTED;
    }
    if (value_is_defined(value_get_lit(h, "crit")) || value_is_defined(value_get_lit(h, "zip"))) {
        error_set(err, "answer has a \"crit\" or \"zip\" header");
        return ERR_UNSUPPORTED;
    }
    *out = h;
    return OK;
}

/* RFC 7518, 4.6.1.2: empty when absent. */
static STATUS party_info(struct arena *a, value header, const char *name, struct str *out,
                         struct error *err)
{
    value v = value_get_str(header, str_of(name));
    *out = STR_EMPTY;
    if (!value_is_defined(v))
        return OK;
    if (!value_is_string(v) || base64_bytes(a, value_str(v), BASE64_URL, out, NULL) != OK) {
        error_set(err, "\"%s\" of the answer is no base64url", name);
        return ERR_INVALID;
    }
    return OK;
}

static STATUS decrypt_key_ec(struct arena *a, value header, struct str encrypted,
                             const struct privkey *key, struct buf *cek, struct error *err)
{
    value epk = value_get_lit(header, "epk");
    enum key_kind kind = pubkey_kind(privkey_public(key));
    if (!str_is(value_str(value_get_lit(epk, "kty")), "EC") ||
        jwk_curve_kind(value_str(value_get_lit(epk, "crv"))) != kind) {
        error_set(err, "answer has no ephemeral key on the key's curve");
        return ERR_INVALID;
    }
    if (encrypted.len != WRAPPED_LEN) {
        error_set(err, "encrypted key of the answer is not of %d bytes", WRAPPED_LEN);
        return ERR_INVALID;
    }
    CLEANUP(pubkey_cleanup) struct pubkey *ephemeral = NULL;
    struct str apu, apv;
    enum status st = jwk_read_ec(epk, kind, false, &ephemeral, err);
    if (st == OK)
        st = party_info(a, header, "apu", &apu, err);
    if (st == OK)
        st = party_info(a, header, "apv", &apv, err);

    uint8_t kek[32];
    if (st == OK)
        st = derive_kek(key, ephemeral, apu, apv, kek, err);
    if (st == OK)
        st = keywrap_unwrap(str_bytes(kek, sizeof(kek)), encrypted, cek, err);
    bytes_wipe(kek, sizeof(kek));
    return st;
}

static STATUS open_content(struct arena *a, const struct answer *ans, struct str cek,
                           struct str aad, struct buf *out, struct error *err)
{
    char *sealed = arena_alloc(a, ans->ciphertext.len + ans->tag.len);
    if (sealed == NULL)
        return arena_status(a);
    if (ans->ciphertext.len > 0)
        memcpy(sealed, ans->ciphertext.ptr, ans->ciphertext.len);
    if (ans->tag.len > 0)
        memcpy(sealed + ans->ciphertext.len, ans->tag.ptr, ans->tag.len);
    return aead_open(cek, ans->iv, aad, str_bytes(sealed, ans->ciphertext.len + ans->tag.len), out,
                     err);
}

enum status jwe_decrypt(struct arena *a, struct str json, const struct privkey *key,
                        struct buf *out, struct error *err)
{
    bool rsa = pubkey_kind(privkey_public(key)) == KEY_RSA;
    struct answer ans = {0};
    struct str header_text;
    value header;
    enum status st = parse_answer(a, json, &ans, err);
    if (st == OK && ans.tag.len != TAG_LEN) {
        error_set(err, "tag of the answer is not of %d bytes", TAG_LEN);
        st = ERR_INVALID;
    }
    if (st == OK) {
        st = base64_bytes(a, ans.protected, BASE64_URL, &header_text, NULL);
        if (st != OK)
            error_set(err, "header of the answer is no base64url");
    }
    /* HARDEN gkbs-1: the key's own algorithm, so RSA1_5 with no key. */
    if (st == OK)
        st = parse_header(a, header_text, rsa ? tee_alg_oaep : tee_alg_ecdh, &header, err);
    if (st != OK)
        return st;

    CLEANUP(buf_done) struct buf cek;
    buf_init_secret(&cek, SIGNATURE_MAX);
    st = rsa ? privkey_decrypt(key, RSA_PAD_OAEP_SHA256, ans.encrypted_key, &cek, err)
             : decrypt_key_ec(a, header, ans.encrypted_key, key, &cek, err);
    if (st == OK && cek.len != CEK_LEN) {
        error_set(err, "content key of the answer is not of %d bytes", CEK_LEN);
        st = ERR_DENIED;
    }
    /* RFC 7516, 5.1, step 14: the text as it came, not as we would have written it. */
    return st != OK ? st : open_content(a, &ans, buf_str(&cek), ans.protected, out, err);
}

enum status jwe_decrypt_legacy(struct arena *a, struct str json, const struct privkey *key,
                               struct buf *out, struct error *err)
{
    struct answer ans = {0};
    value header;
    enum status st = parse_answer(a, json, &ans, err);
    if (st == OK)
        st = parse_header(a, ans.protected, tee_alg_rsa15, &header, err);
    if (st == OK && ans.tag.len != 0) {
        error_set(err, "answer has a tag of its own");
        st = ERR_INVALID;
    }
    if (st != OK)
        return st;

    CLEANUP(buf_done) struct buf cek;
    buf_init_secret(&cek, SIGNATURE_MAX);
    st = privkey_decrypt(key, RSA_PAD_PKCS1_15, ans.encrypted_key, &cek, err);
    if (st != OK)
        return st;
    /* RFC 7516, 11.5: a key of another length goes the same way as a wrong one. */
    if (cek.len != CEK_LEN) {
        uint8_t other[CEK_LEN];
        random_bytes(other, sizeof(other));
        buf_reset(&cek);
        buf_add(&cek, str_bytes(other, sizeof(other)));
        if (buf_status(&cek) != OK)
            return buf_status(&cek);
    }
    return open_content(a, &ans, buf_str(&cek), STR_EMPTY, out, err);
}

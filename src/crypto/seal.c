#include "crypto/crypto_internal.h"

#include <stdlib.h>

#include "base/encode.h"

#define ID_LEN 4
#define IV_LEN 12
#define TAG_LEN 16
#define EXPIRY_LEN 8

struct sealer {
    size_t n;
    uint8_t ids[SEAL_KEYS_MAX][ID_LEN];
    struct secret *keys; /* n keys of SEAL_KEY_LEN bytes, derived from what was given */
};

static struct str key_at(const struct sealer *s, size_t i)
{
    return str_slice(secret_bytes(s->keys), i * SEAL_KEY_LEN, SEAL_KEY_LEN);
}

enum status sealer_new(const struct str *keys, size_t n, struct sealer **out, struct error *err)
{
    if (n == 0 || n > SEAL_KEYS_MAX) {
        error_set(err, "%zu sealing keys: not between 1 and %d", n, SEAL_KEYS_MAX);
        return ERR_INVALID;
    }
    for (size_t i = 0; i < n; i++) {
        if (keys[i].len != SEAL_KEY_LEN) {
            error_set(err, "sealing key %zu is not of %d bytes", i + 1, SEAL_KEY_LEN);
            return ERR_INVALID;
        }
    }

    CLEANUP(sealer_cleanup) struct sealer *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    s->n = n;
    enum status st = secret_new_empty(n * SEAL_KEY_LEN, &s->keys, err);
    if (st != OK)
        return st;

    for (size_t i = 0; i < n; i++) {
        hkdf_compute(DIGEST_SHA256, keys[i], STR_EMPTY, STR("claviger seal v1 aes-256-gcm"),
                     secret_writable(s->keys) + i * SEAL_KEY_LEN, SEAL_KEY_LEN);
        hkdf_compute(DIGEST_SHA256, keys[i], STR_EMPTY, STR("claviger seal v1 key id"), s->ids[i],
                     ID_LEN);
    }
    *out = TAKE(s);
    return OK;
}

struct sealer *sealer_free(struct sealer *s)
{
    if (s == NULL)
        return NULL;
    secret_unref(s->keys);
    free(s);
    return NULL;
}

enum status seal_write(const struct sealer *s, struct str purpose, int64_t expires_s,
                       struct str plain, const struct random_source *random, struct buf *out)
{
    if (plain.len > SEAL_PLAIN_MAX)
        return ERR_LIMIT;

    /* What is encrypted: expiry (8, big-endian) || plain. */
    CLEANUP(buf_done) struct buf inner, sealed;
    buf_init_secret(&inner, EXPIRY_LEN + SEAL_PLAIN_MAX);
    buf_init(&sealed, SEAL_TEXT_MAX);
    uint8_t expiry[EXPIRY_LEN], iv[IV_LEN];
    store_be64(expiry, (uint64_t)expires_s);
    buf_add(&inner, str_bytes(expiry, sizeof(expiry)));
    buf_add(&inner, plain);

    random_fill(random, iv, sizeof(iv));
    buf_add(&sealed, str_bytes(s->ids[0], ID_LEN));
    buf_add(&sealed, str_bytes(iv, IV_LEN));
    if (buf_status(&inner) != OK)
        return buf_status(&inner);
    if (buf_status(&sealed) != OK)
        return buf_status(&sealed);

    enum status st =
        aead_seal(key_at(s, 0), str_bytes(iv, IV_LEN), purpose, buf_str(&inner), &sealed);
    if (st != OK)
        return st;
    base64_write(out, buf_str(&sealed), BASE64_URL);
    return buf_status(out);
}

static STATUS seal_denied(struct error *err)
{
    error_set(err, "sealed text does not open");
    return ERR_DENIED;
}

/* Decrypt with each key that the id fits: usually one. */
static STATUS open_inner(const struct sealer *s, struct str purpose, struct str sealed,
                         struct buf *inner, struct error *err)
{
    if (sealed.len < ID_LEN + IV_LEN + EXPIRY_LEN + TAG_LEN)
        return seal_denied(err);
    struct str id = str_slice(sealed, 0, ID_LEN);
    struct str iv = str_slice(sealed, ID_LEN, IV_LEN);
    struct str text = str_from(sealed, ID_LEN + IV_LEN);

    for (size_t i = 0; i < s->n; i++) {
        if (!str_equal(id, str_bytes(s->ids[i], ID_LEN)))
            continue;
        enum status st = aead_open(key_at(s, i), iv, purpose, text, inner, err);
        if (st != ERR_DENIED)
            return st;
    }
    return seal_denied(err);
}

enum status seal_open(const struct sealer *s, struct str purpose, int64_t now_s, struct str text,
                      struct buf *out, int64_t *expires_s, struct error *err)
{
    if (text.len > SEAL_TEXT_MAX)
        return seal_denied(err);
    CLEANUP(buf_done) struct buf sealed, inner;
    buf_init(&sealed, SEAL_TEXT_MAX);
    buf_init_secret(&inner, SEAL_TEXT_MAX);
    enum status st = base64_read(text, BASE64_URL, &sealed, NULL);
    if (st == ERR_INVALID)
        return seal_denied(err);
    if (st == OK)
        st = open_inner(s, purpose, buf_str(&sealed), &inner, err);
    if (st != OK)
        return st;

    int64_t expires = (int64_t)load_be64(inner.ptr);
    if (expires < now_s) {
        error_set(err, "sealed text has expired");
        return ERR_CANCELLED;
    }
    buf_add(out, str_from(buf_str(&inner), EXPIRY_LEN));
    if (buf_status(out) != OK)
        return buf_status(out);
    if (expires_s != NULL)
        *expires_s = expires;
    return OK;
}

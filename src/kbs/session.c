#include "kbs/session.h"

#include <pthread.h>
#include <stdlib.h>
#define ZLIB_CONST /* what zlib reads stays const */
#include <zlib.h>

#include "base/encode.h"
#include "base/hash.h"
#include "value/json.h"

#define PURPOSE_CHALLENGE STR("challenge")
#define PURPOSE_SESSION STR("session")
#define PLAIN_MAX (8u * 1024 * 1024)

/*
 * Sealing adds 32 bytes and a third for base64: text up to this length fits a
 * cookie as it is, and compressing it would cost more than it saves.
 */
#define PLAIN_FITS 2500

/* ---- sessions that are too large for a cookie ---- */

#define STORED_ID_LEN 32
#define SLOTS 1024

struct stored {
    struct stored *hash_next;
    struct stored *prev, *next; /* all, oldest first */
    char id[STORED_ID_LEN];
    int64_t expires_s;
    size_t len;
    char plain[];
};

struct session_store {
    pthread_mutex_t lock;
    struct stored *slots[SLOTS];
    struct stored *oldest, *youngest;
    size_t bytes, max;
};

enum status session_store_new(size_t max, struct session_store **out, struct error *err)
{
    struct session_store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    pthread_mutex_init(&s->lock, NULL);
    s->max = max;
    *out = s;
    return OK;
}

static struct stored **slot(struct session_store *s, const char *id)
{
    return &s->slots[hash_bytes(id, STORED_ID_LEN, 1) % SLOTS];
}

static void drop(struct session_store *s, struct stored *e)
{
    struct stored **at = slot(s, e->id);
    while (*at != e)
        at = &(*at)->hash_next;
    *at = e->hash_next;
    *(e->prev == NULL ? &s->oldest : &e->prev->next) = e->next;
    *(e->next == NULL ? &s->youngest : &e->next->prev) = e->prev;
    s->bytes -= sizeof(*e) + e->len;
    explicit_bzero(e->plain, e->len);
    free(e);
}

struct session_store *session_store_free(struct session_store *s)
{
    if (s == NULL)
        return NULL;
    while (s->oldest != NULL)
        drop(s, s->oldest);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}

/*
 * Expired ones go first (they are in order of age, and all live equally long),
 * then the oldest of those that are not much smaller: a client whose session
 * was pushed out attests again, and nobody pushes out hundreds of others with
 * one that is as large as a request may be.
 */
static bool make_room(struct session_store *s, size_t size, int64_t now_s)
{
    while (s->oldest != NULL && s->oldest->expires_s < now_s)
        drop(s, s->oldest);
    struct stored *e = s->oldest;
    while (e != NULL && s->bytes + size > s->max) {
        struct stored *next = e->next;
        if ((sizeof(*e) + e->len) >= size / 4)
            drop(s, e);
        e = next;
    }
    return s->bytes + size <= s->max;
}

static enum status store_put(struct session_store *s, struct str plain, int64_t expires_s,
                             int64_t now_s, const struct random_source *random, struct arena *a,
                             struct str *id, struct error *err)
{
    size_t size = sizeof(struct stored) + plain.len;
    struct stored *e = size > s->max ? NULL : malloc(size);
    if (e == NULL)
        return error_nomem(err);
    uint8_t raw[STORED_ID_LEN / 2];
    random_fill(random, raw, sizeof(raw));
    *id = hex_text(a, str_bytes(raw, sizeof(raw)));
    if (id->ptr == NULL) {
        free(e);
        return error_nomem(err);
    }
    memcpy(e->id, id->ptr, STORED_ID_LEN);
    e->expires_s = expires_s;
    e->len = plain.len;
    memcpy(e->plain, plain.ptr, plain.len);

    pthread_mutex_lock(&s->lock);
    if (!make_room(s, size, now_s)) {
        pthread_mutex_unlock(&s->lock);
        explicit_bzero(e->plain, e->len);
        free(e);
        error_set(err, "the store of sessions is full of smaller ones");
        return ERR_LIMIT;
    }
    e->next = NULL;
    e->prev = s->youngest;
    *(s->youngest == NULL ? &s->oldest : &s->youngest->next) = e;
    s->youngest = e;
    struct stored **at = slot(s, e->id);
    e->hash_next = *at;
    *at = e;
    s->bytes += size;
    pthread_mutex_unlock(&s->lock);
    return OK;
}

static enum status store_get(struct session_store *s, struct str id, int64_t now_s, struct arena *a,
                             struct str *plain, int64_t *expires_s, struct error *err)
{
    enum status st = ERR_NOT_FOUND;
    error_set(err, "unknown session");
    pthread_mutex_lock(&s->lock);
    struct stored *e = *slot(s, id.ptr);
    while (e != NULL && memcmp(e->id, id.ptr, STORED_ID_LEN) != 0)
        e = e->hash_next;
    if (e != NULL && e->expires_s < now_s) {
        drop(s, e);
        error_set(err, "the session has expired");
        st = ERR_CANCELLED;
    } else if (e != NULL) {
        *plain = arena_str(a, (struct str){e->plain, e->len});
        *expires_s = e->expires_s;
        st = plain->ptr == NULL ? arena_status(a) : OK;
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* Lower-case hexadecimal. */
static const bool is_digit[256] = {['0' ... '9'] = true, ['a' ... 'f'] = true};

static bool digit_at(struct str s, size_t i)
{
    return is_digit[(unsigned char)s.ptr[i]];
}

/* 32 digits; sealed text is never that short. */
static bool is_stored_id(struct str s)
{
    if (s.len != STORED_ID_LEN)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!digit_at(s, i))
            return false;
    return true;
}

/* ---- sealed texts ---- */

static enum status seal_text(struct arena *a, const struct sealer *sealer, struct str purpose,
                             int64_t expires_s, struct str plain,
                             const struct random_source *random, struct str *out, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, PLAIN_MAX * 2);
    enum status st = seal_write(sealer, purpose, expires_s, plain, random, &text);
    if (st == OK) {
        *out = arena_str(a, buf_str(&text));
        st = out->ptr == NULL ? arena_status(a) : OK;
    }
    if (st != OK)
        error_set(err, "could not seal the %.*s", STR_ARG(purpose));
    return st;
}

/* Fields are separated by NUL, which none of them can hold; the last takes the rest. */
static bool split_field(struct str *rest, struct str *out)
{
    size_t end = str_find(*rest, '\0', 0);
    if (end == rest->len)
        return false;
    *out = str_slice(*rest, 0, end);
    *rest = str_from(*rest, end + 1);
    return true;
}

enum status challenge_seal(struct arena *a, const struct sealer *sealer, const struct challenge *c,
                           const struct random_source *random, struct str *out, struct error *err)
{
    CLEANUP(buf_done) struct buf plain;
    buf_init(&plain, SESSION_NONCE_MAX + 256);
    buf_add(&plain, c->version);
    buf_add_byte(&plain, '\0');
    buf_add(&plain, c->tee);
    buf_add_byte(&plain, '\0');
    buf_add(&plain, c->nonce);
    if (buf_status(&plain) != OK)
        return error_nomem(err);
    return seal_text(a, sealer, PURPOSE_CHALLENGE, c->expires_s, buf_str(&plain), random, out, err);
}

/*
 * Most of what claims are made of is lower-case hexadecimal digits: bytes of them are half
 * as long, and quicker made than a compressed text.  ESCAPE, which is in no UTF-8, then
 * how many bytes, then the bytes.
 */
#define ESCAPE 0xff
#define RUN_MIN 8u          /* digits that are worth an escape */
#define RUN_MAX (2u * 0xff) /* and those of one */

static void pack_hex(struct str text, struct buf *out)
{
    size_t plain = 0;
    for (size_t i = 0; i + RUN_MIN <= text.len;) {
        /* From the end of the shortest run back: what is no digit there is seldom one before. */
        size_t start = i + RUN_MIN;
        while (start > i && digit_at(text, start - 1))
            start--;
        if (start > i) {
            i = start;
            continue;
        }
        size_t end = i + RUN_MIN;
        while (end < text.len && end - i < RUN_MAX && digit_at(text, end))
            end++;
        size_t digits = (end - i) & ~(size_t)1;
        buf_add(out, str_slice(text, plain, i - plain));
        buf_add(out, str_bytes((uint8_t[]){ESCAPE, (uint8_t)(digits / 2)}, 2));
        status_ignore(hex_read(str_slice(text, i, digits), out, NULL)); /* buf_status() */
        plain = i += digits;
    }
    buf_add(out, str_from(text, plain));
}

static bool unpack_hex(struct str packed, struct buf *out)
{
    while (packed.len > 0) {
        size_t plain = str_find(packed, (char)ESCAPE, 0);
        buf_add(out, str_slice(packed, 0, plain));
        packed = str_from(packed, plain);
        if (packed.len == 0)
            break;
        size_t n = packed.len < 2 ? SIZE_MAX : (unsigned char)packed.ptr[1];
        if (n > packed.len - 2)
            return false;
        hex_write(out, str_slice(packed, 2, n));
        packed = str_from(packed, 2 + n);
    }
    return true;
}

/*
 * Where that is not enough: zlib's quickest level, a window of 8 KiB and a small table of
 * hashes.  Its defaults take 256 KiB for a few KiB of text.
 */
#define DEFLATE_LEVEL 1
#define DEFLATE_WINDOW_BITS 13
#define DEFLATE_MEM_LEVEL 6

static bool deflate_text(struct str text, struct buf *out)
{
    z_stream z = {.next_in = (const Bytef *)text.ptr, .avail_in = (uInt)text.len};
    if (deflateInit2(&z, DEFLATE_LEVEL, Z_DEFLATED, DEFLATE_WINDOW_BITS, DEFLATE_MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    size_t room = deflateBound(&z, text.len);
    if (buf_reserve(out, room)) {
        z.next_out = (Bytef *)buf_end(out);
        z.avail_out = (uInt)room;
    }
    bool done = z.avail_out > 0 && deflate(&z, Z_FINISH) == Z_STREAM_END;
    out->len += z.total_out;
    deflateEnd(&z);
    return done;
}

/* 'P' + text, 'H' + digits as bytes, or 'Z' + u32 length + zlib stream. */
static enum status pack(struct str text, struct buf *out, struct error *err)
{
    if (text.len <= PLAIN_FITS) {
        buf_add_byte(out, 'P');
        buf_add(out, text);
        return buf_status(out);
    }
    if (text.len <= 2 * PLAIN_FITS) {
        buf_add_byte(out, 'H');
        pack_hex(text, out);
        if (out->len <= PLAIN_FITS || buf_status(out) != OK)
            return buf_status(out);
        buf_reset(out);
    }
    uint8_t head[5] = {'Z'};
    store_be32(head + 1, (uint32_t)text.len);
    buf_add(out, str_bytes(head, sizeof(head)));
    return deflate_text(text, out) ? buf_status(out) : error_nomem(err);
}

static enum status malformed(struct error *err)
{
    error_set(err, "the sealed state is malformed");
    return ERR_INVALID;
}

static enum status unpack(struct arena *a, struct str packed, struct str *out, struct error *err)
{
    char form = packed.len > 0 ? packed.ptr[0] : '\0';
    struct str rest = str_from(packed, 1);
    if (form == 'P') {
        *out = rest;
        return OK;
    }
    if (form == 'H') {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, PLAIN_MAX);
        if (!unpack_hex(rest, &text))
            return malformed(err);
        *out = arena_str(a, buf_str(&text));
        return buf_status(&text) != OK || out->ptr == NULL ? error_nomem(err) : OK;
    }
    if (form != 'Z' || rest.len < 4)
        return malformed(err);
    uLongf n = load_be32(rest.ptr);
    char *text = n > PLAIN_MAX ? NULL : arena_alloc(a, n);
    if (text == NULL)
        return error_nomem(err);
    if (uncompress((Bytef *)text, &n, (const Bytef *)rest.ptr + 4, rest.len - 4) != Z_OK)
        return malformed(err);
    *out = (struct str){text, n};
    return OK;
}

enum status session_seal(struct arena *a, const struct sealer *sealer, struct session_store *store,
                         const struct session *s, int64_t now_s, const struct random_source *random,
                         struct str *out, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, PLAIN_MAX);
    buf_add(&text, s->version);
    buf_add_byte(&text, '\0');
    buf_add(&text, s->cause);
    buf_add_byte(&text, '\0');
    enum status st = json_write(&text, s->claims, JSON_COMPACT);
    if (st != OK) {
        error_set(err, "the claims are too large for a session");
        return st;
    }

    CLEANUP(buf_done) struct buf packed;
    buf_init(&packed, PLAIN_MAX + 1024);
    st = pack(buf_str(&text), &packed, err);
    if (st == OK)
        st =
            seal_text(a, sealer, PURPOSE_SESSION, s->expires_s, buf_str(&packed), random, out, err);
    if (st != OK || out->len <= SESSION_COOKIE_MAX)
        return st;
    return store_put(store, buf_str(&text), s->expires_s, now_s, random, a, out, err);
}

static enum status read_session(struct arena *a, struct str text, int64_t expires_s,
                                struct session *out, struct error *err)
{
    struct session s = {.expires_s = expires_s};
    if (!split_field(&text, &s.version) || !split_field(&text, &s.cause))
        return malformed(err);
    enum status st = json_parse(a, text, NULL, &s.claims, err);
    if (st == OK)
        *out = s;
    return st;
}

static enum status open_sealed(struct arena *a, const struct sealer *sealer, struct str purpose,
                               int64_t now_s, struct str cookie, struct str *plain,
                               int64_t *expires_s, struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, PLAIN_MAX);
    enum status st = seal_open(sealer, purpose, now_s, cookie, &b, expires_s, err);
    if (st != OK)
        return st;
    *plain = arena_str(a, buf_str(&b));
    return plain->ptr == NULL ? arena_status(a) : OK;
}

enum status cookie_open(struct arena *a, const struct sealer *sealer, struct session_store *store,
                        struct str cookie, int64_t now_s, enum cookie_kind *kind,
                        struct challenge *challenge, struct session *session, struct error *err)
{
    struct str plain;
    int64_t expires_s;
    if (is_stored_id(cookie)) {
        *kind = COOKIE_SESSION;
        enum status st = store_get(store, cookie, now_s, a, &plain, &expires_s, err);
        return st == OK ? read_session(a, plain, expires_s, session, err) : st;
    }

    enum status st =
        open_sealed(a, sealer, PURPOSE_SESSION, now_s, cookie, &plain, &expires_s, err);
    if (st == OK) {
        *kind = COOKIE_SESSION;
        struct str text;
        st = unpack(a, plain, &text, err);
        return st == OK ? read_session(a, text, expires_s, session, err) : st;
    }
    if (st == ERR_CANCELLED) {
        *kind = COOKIE_SESSION;
        return st;
    }
    *kind = COOKIE_CHALLENGE;
    st = open_sealed(a, sealer, PURPOSE_CHALLENGE, now_s, cookie, &plain, &expires_s, err);
    if (st != OK)
        return st;
    struct challenge c = {.expires_s = expires_s};
    if (!split_field(&plain, &c.version) || !split_field(&plain, &c.tee))
        return malformed(err);
    c.nonce = plain;
    *challenge = c;
    return OK;
}

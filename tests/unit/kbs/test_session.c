/* Sealed challenges and sessions: what opens, for whom, until when. */
#include "kbs/session.h"

#include "base/encode.h"
#include "value/json.h"
#include "tap.h"

#define NOW 1000000

static struct sealer *make_sealer(uint8_t fill)
{
    uint8_t key[SEAL_KEY_LEN];
    memset(key, fill, sizeof(key));
    struct str k = str_bytes(key, sizeof(key));
    struct sealer *s = NULL;
    CHECK(sealer_new(&k, 1, &s, NULL) == OK);
    return s;
}

struct world {
    struct arena arena;
    struct sealer *sealer;
    struct session_store *store;
};

static void setup(struct world *w, size_t store_max)
{
    arena_init(&w->arena, 64 << 20);
    w->sealer = make_sealer(1);
    CHECK(session_store_new(store_max, &w->store, NULL) == OK);
}

static void teardown(struct world *w)
{
    session_store_free(w->store);
    sealer_free(w->sealer);
    arena_done(&w->arena);
}

static enum status open_cookie(struct world *w, struct str cookie, int64_t now,
                               enum cookie_kind *kind, struct challenge *c, struct session *s)
{
    return cookie_open(&w->arena, w->sealer, w->store, cookie, now, kind, c, s, NULL);
}

static bool cookie_text_is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return true;
}

static void test_challenge(void)
{
    struct world w;
    setup(&w, 1 << 20);
    const struct challenge c = {STR("0.2.0"), STR("azsnpvtpm"), STR("bm9uY2U="), NOW + 300};
    struct str cookie;
    CHECK(challenge_seal(&w.arena, w.sealer, &c, &random_system, &cookie, NULL) == OK);
    CHECK(cookie_text_is_plain(cookie));

    enum cookie_kind kind;
    struct challenge back;
    struct session s;
    CHECK(open_cookie(&w, cookie, NOW, &kind, &back, &s) == OK && kind == COOKIE_CHALLENGE);
    CHECK_STR(back.version, STR("0.2.0"));
    CHECK_STR(back.tee, STR("azsnpvtpm"));
    CHECK_STR(back.nonce, STR("bm9uY2U="));
    CHECK(back.expires_s == NOW + 300);
    CHECK(open_cookie(&w, cookie, NOW + 301, &kind, &back, &s) == ERR_CANCELLED);

    /* Every altered character is noticed; so is another key. */
    bool all_refused = true;
    for (size_t i = 0; i < cookie.len; i++) {
        struct str bad = arena_str(&w.arena, cookie);
        char *p = (char *)(uintptr_t)bad.ptr;
        p[i] = p[i] == 'A' ? 'B' : 'A';
        if (bad.ptr[i] != cookie.ptr[i])
            all_refused &= open_cookie(&w, bad, NOW, &kind, &back, &s) != OK;
    }
    CHECK(all_refused);
    struct sealer *other = make_sealer(2);
    CHECK(cookie_open(&w.arena, other, w.store, cookie, NOW, &kind, &back, &s, NULL) == ERR_DENIED);
    sealer_free(other);
    CHECK(open_cookie(&w, STR(""), NOW, &kind, &back, &s) != OK);
    CHECK(open_cookie(&w, STR("00112233445546778899aabbccddeeff"), NOW, &kind, &back, &s) ==
          ERR_NOT_FOUND);
    teardown(&w);
}

/* Digests of all lengths, in other text that has digits too. */
static value digest_claims(struct arena *a, size_t n)
{
    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t noise[300];
        random_bytes(noise, sizeof(noise));
        struct str digits = hex_text(a, str_bytes(noise, i % 7 == 0 ? 290 : i));
        digits = str_slice(digits, 0, digits.len - (i % 3 == 1));
        value_builder_add(&b, value_string(a, arena_format(a, "%.*s\xc3\xbf A%zuF\n%s",
                                                           STR_ARG(digits), i, "ABCDEF0123456")));
    }
    return value_array_finish(&b);
}

static value big_claims(struct arena *a, size_t n, bool compressible)
{
    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t noise = compressible ? 7 : 0;
        if (!compressible)
            random_bytes(&noise, sizeof(noise));
        value_builder_add(&b, value_int(a, (int64_t)(noise >> 2)));
    }
    value list = value_array_finish(&b);
    struct value_pair pair = {value_cstring(a, "list"), list};
    return value_object(a, &pair, 1);
}

static void test_session(void)
{
    struct world w;
    setup(&w, 1 << 20);
    const struct {
        const char *name;
        size_t items;
        bool compressible, stored, digests;
    } rows[] = {
        {"small", 3, true, false, false},
        {"digests", 28, true, false, true}, /* 2.8 KiB */
        {"compressed", 2000, true, false, false},
        {"too large for a cookie", 2000, false, true, false},
        {"too many digests", 60, false, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct session s = {STR("0.4.0"), STR("0123456789abcdef0123456789abcdef"),
                            rows[i].digests
                                ? digest_claims(&w.arena, rows[i].items)
                                : big_claims(&w.arena, rows[i].items, rows[i].compressible),
                            NOW + 300};
        struct str cookie;
        CHECK_ROW(
            session_seal(&w.arena, w.sealer, w.store, &s, NOW, &random_system, &cookie, NULL) == OK,
            rows[i].name);
        CHECK_ROW(cookie.len <= SESSION_COOKIE_MAX && cookie_text_is_plain(cookie), rows[i].name);
        CHECK_ROW((cookie.len == 32) == rows[i].stored, rows[i].name);

        enum cookie_kind kind;
        struct challenge c;
        struct session back;
        CHECK_ROW(open_cookie(&w, cookie, NOW, &kind, &c, &back) == OK && kind == COOKIE_SESSION,
                  rows[i].name);
        CHECK_ROW(value_equal(back.claims, s.claims), rows[i].name);
        CHECK_STR_ROW(back.cause, s.cause, rows[i].name);
        CHECK_STR_ROW(back.version, s.version, rows[i].name);
        CHECK_ROW(open_cookie(&w, cookie, NOW + 301, &kind, &c, &back) == ERR_CANCELLED,
                  rows[i].name);
    }
    teardown(&w);
}

/* What a key of ours sealed, but nobody here wrote: refused, and nothing beyond it is read. */
static void test_malformed_session(void)
{
    struct world w;
    setup(&w, 1 << 20);
    static const struct {
        struct str plain;
        enum status status;
    } rows[] = {
        {STR("P0.4.0\0\0{}"), OK},
        {STR("H0.4.0\0\0{\"a\":\"\xff\x04\x01\x23\xab\xcd\"}"), OK},
        {STR("H0.4.0\0\0{\"a\":\"\xff\x05\x01\x23\xab\xcd"), ERR_INVALID},
        {STR("H0.4.0\0\0{\"a\":\"\xff"), ERR_INVALID},
        {STR("H0.4.0\0{}"), ERR_INVALID},
        {STR("H"), ERR_INVALID},
        {STR("Z\0\0"), ERR_INVALID},
        {STR("Z\0\0\0\xff"
             "0.4.0\0\0{}"),
         ERR_INVALID},
        {STR("Q0.4.0\0\0{}"), ERR_INVALID},
        {STR(""), ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf sealed;
        buf_init(&sealed, 4096);
        enum cookie_kind kind;
        struct challenge c;
        struct session back;
        CHECK(seal_write(w.sealer, STR("session"), NOW + 1, rows[i].plain, &random_system,
                         &sealed) == OK);
        CHECK(open_cookie(&w, buf_str(&sealed), NOW, &kind, &c, &back) == rows[i].status);
        CHECK(kind == COOKIE_SESSION);
    }
    teardown(&w);
}

/* The store is bounded: old sessions give way, and the younger ones stay. */
static void test_store_is_bounded(void)
{
    struct world w;
    setup(&w, 256 * 1024);
    struct session s = {STR("0.4.0"), STR(""), big_claims(&w.arena, 1500, false), NOW + 300};
    struct str first = STR_EMPTY;
    struct str last = STR_EMPTY;
    for (int i = 0; i < 50; i++) {
        CHECK_ROW(session_seal(&w.arena, w.sealer, w.store, &s, NOW, &random_system, &last, NULL) ==
                      OK,
                  "seal");
        if (i == 0)
            first = last;
    }
    enum cookie_kind kind;
    struct challenge c;
    struct session back;
    CHECK(open_cookie(&w, first, NOW, &kind, &c, &back) == ERR_NOT_FOUND);
    CHECK(open_cookie(&w, last, NOW, &kind, &c, &back) == OK);
    teardown(&w);
}

/* Who sends the largest claims that there can be pushes out only his like. */
static void test_large_sessions_leave_small_ones(void)
{
    struct world w;
    setup(&w, 512 * 1024);
    struct session small = {STR("0.4.0"), STR(""), big_claims(&w.arena, 500, false), NOW + 300};
    struct session large = {STR("0.4.0"), STR(""), big_claims(&w.arena, 9000, false), NOW + 300};
    struct str kept, last = STR_EMPTY, other;
    CHECK(session_seal(&w.arena, w.sealer, w.store, &small, NOW, &random_system, &kept, NULL) ==
          OK);
    for (int i = 0; i < 20; i++)
        CHECK_ROW(session_seal(&w.arena, w.sealer, w.store, &large, NOW, &random_system, &last,
                               NULL) == OK,
                  "large");
    enum cookie_kind kind;
    struct challenge c;
    struct session back;
    CHECK(kept.len == 32 && open_cookie(&w, kept, NOW, &kind, &c, &back) == OK);
    CHECK(open_cookie(&w, last, NOW, &kind, &c, &back) == OK);

    /* Small ones take the room of large ones; a large one finds none among small ones. */
    for (int i = 0; i < 100; i++)
        CHECK_ROW(session_seal(&w.arena, w.sealer, w.store, &small, NOW, &random_system, &other,
                               NULL) == OK,
                  "small");
    CHECK(open_cookie(&w, last, NOW, &kind, &c, &back) == ERR_NOT_FOUND);
    CHECK(session_seal(&w.arena, w.sealer, w.store, &large, NOW, &random_system, &last, NULL) ==
          ERR_LIMIT);
    CHECK(open_cookie(&w, other, NOW, &kind, &c, &back) == OK);
    teardown(&w);
}

int main(void)
{
    test_challenge();
    test_session();
    test_malformed_session();
    test_store_is_bounded();
    test_large_sessions_leave_small_ones();
    return tap_done();
}

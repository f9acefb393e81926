#include "kbs/keys.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "net/fetch.h"
#include "value/json.h"

#define DISCOVERY ".well-known/openid-configuration"
#define BACKOFF_MAX_S 300
#define SNAPSHOT_MEMORY (16 * (size_t)KEYS_FILE_MAX)
#define NS_PER_MS (NS_PER_S / 1000)

struct keys_source {
    enum keys_kind kind;
    struct str uri; /* the configuration's, NUL-terminated */
    bool remote;
    struct keys_snapshot *snapshot;
    bool fetching, tried;
    int64_t tried_ns, due_ns;
    unsigned failures; /* in a row */
    struct error trouble;
};

struct keys {
    enum era era;
    struct keys_options options;
    struct fetcher *fetcher; /* NULL: nothing is remote */
    struct keys_source *sources;
    size_t count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned waiting;
    bool stopped;
    pthread_t thread;
    bool has_thread, thread_ended;
};

/* ---- snapshots ---- */

static struct keys_snapshot *snapshot_new(struct error *err)
{
    struct keys_snapshot *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        status_ignore(error_nomem(err));
        return NULL;
    }
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, SNAPSHOT_MEMORY);
    return s;
}

struct keys_snapshot *keys_snapshot_unref(struct keys_snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    jwk_set_done(&s->set);
    pubkey_unref(s->key);
    arena_done(&s->arena);
    free(s);
    return NULL;
}

static struct keys_snapshot *snapshot_ref(struct keys_snapshot *s)
{
    if (s != NULL)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static enum status read_bytes(enum keys_kind kind, struct str bytes, struct keys_snapshot *s,
                              struct error *err)
{
    if (kind == KEYS_PEM)
        return pubkey_from_pem(bytes, &s->key, err);
    value json;
    enum status st = json_parse(&s->arena, bytes, NULL, &json, err);
    if (st != OK)
        error_place(err);
    return st != OK ? st : jwk_set_parse(&s->arena, json, &s->set, err);
}

static bool is_stale(const struct keys_snapshot *s, int64_t now_ns)
{
    return s->fetched_ns != 0 && now_ns - s->fetched_ns > KEYS_STALE_S * NS_PER_S;
}

static bool has_kid(const struct keys_snapshot *s, struct str kid)
{
    for (size_t i = 0; i < s->set.len; i++)
        if (str_equal(s->set.keys[i].kid, kid))
            return true;
    return false;
}

/* ---- fetching ---- */

static enum status get(struct keys *k, struct str url, struct fetch_answer *out, struct error *err)
{
    const struct fetch_request r = {.url = url};
    enum status st = fetcher_request(k->fetcher, &r, out, err);
    if (st == OK && out->status != 200) {
        struct str shown = str_slice(url, 0, str_find(url, '?', 0));
        error_set(err, "%s answers with status %d", QUOTED(shown), out->status);
        st = ERR_NOT_FOUND;
    }
    return st;
}

/* How long an answer is good for: Cache-Control (RFC 9111, 5.2.2), within bounds of ours. */
static int64_t age_of(const struct fetch_answer *a)
{
    struct str text = fetch_answer_header(a, "cache-control");
    static const struct str name = STR("max-age=");
    for (size_t i = 0; text.ptr != NULL && i + name.len < text.len; i++) {
        if (!str_has_prefix(str_from(text, i), name))
            continue;
        int64_t s = 0;
        for (size_t d = i + name.len; d < text.len && text.ptr[d] >= '0' && text.ptr[d] <= '9'; d++)
            s = s > KEYS_AGE_MAX_S ? s : s * 10 + (text.ptr[d] - '0');
        return s < KEYS_AGE_MIN_S ? KEYS_AGE_MIN_S : s > KEYS_AGE_MAX_S ? KEYS_AGE_MAX_S : s;
    }
    return KEYS_AGE_DEFAULT_S;
}

/* One URL that is said to have the keys. */
static enum status fetch_keys(struct keys *k, enum keys_kind kind, struct str url,
                              struct keys_snapshot *s, int64_t *age_s, struct error *err)
{
    struct fetch_answer a;
    fetch_answer_init(&a);
    enum status st = get(k, url, &a, err);
    if (st == OK) {
        *age_s = age_of(&a);
        st = read_bytes(kind, buf_str(&a.body), s, err);
        if (st == OK && kind == KEYS_SET && s->set.len == 0) {
            error_set(err, "there is no key in it");
            st = ERR_INVALID;
        }
        if (st != OK)
            error_prefix(err, "%s: ", QUOTED(url));
    }
    fetch_answer_done(&a);
    return st;
}

/* "https://host:port" of a URL. */
static struct str origin_of(struct str url)
{
    return str_slice(url, 0, str_find(url, '/', strlen("https://")));
}

/* Its jwks_uri may be at another host only if the configuration allows that one. */
static enum status fetch_discovered(struct keys *k, struct str base, struct keys_snapshot *s,
                                    int64_t *age_s, struct error *err)
{
    while (str_has_suffix(base, STR("/")))
        base = str_slice(base, 0, base.len - 1);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * KEYS_FETCH_MAX);
    struct str url = arena_format(&a, "%.*s/" DISCOVERY, STR_ARG(base));
    if (url.ptr == NULL)
        return error_nomem(err);

    struct fetch_answer answer;
    fetch_answer_init(&answer);
    value document = VALUE_UNDEFINED;
    enum status st = get(k, url, &answer, err);
    if (st == OK && (st = json_parse(&a, buf_str(&answer.body), NULL, &document, err)) != OK)
        error_prefix(err, "%s: ", QUOTED(url));
    struct str uri = value_str(value_get_lit(document, "jwks_uri"));
    if (st == OK && !str_has_prefix(uri, STR("https://"))) {
        error_set(err, "%s names no jwks_uri with https", QUOTED(url));
        st = ERR_INVALID;
    }
    if (st == OK) {
        st = fetch_keys(k, KEYS_SET, uri, s, age_s, err);
        if (st == ERR_DENIED)
            error_prefix(err, "jwks_uri of %s (see claviger.fetch_allow): ", QUOTED(url));
    }
    fetch_answer_done(&answer);
    return st;
}

/* There was an answer, and it was something else. */
static bool is_no_set(enum status st)
{
    return st == ERR_NOT_FOUND || st == ERR_INVALID;
}

/*
 * kbs.md 5.5.  Up to v0.20 the host alone counts; from v0.21 on the URL itself is
 * a key set, or has a description below it.  A configuration of the new era may
 * be of v0.16 to v0.20, so the host's description comes last.
 */
static enum status fetch_set(struct keys *k, struct str uri, struct keys_snapshot *s,
                             int64_t *age_s, struct error *err)
{
    struct str origin = origin_of(uri);
    if (k->era == ERA_OLD)
        return fetch_discovered(k, origin, s, age_s, err);
    enum status st = fetch_keys(k, KEYS_SET, uri, s, age_s, err);
    struct error first = *err;
    bool has_query = str_find(uri, '?', 0) < uri.len;
    if (is_no_set(st) && !has_query)
        st = fetch_discovered(k, uri, s, age_s, err);
    if (is_no_set(st) && str_from(uri, origin.len).len > 1)
        st = fetch_discovered(k, origin, s, age_s, err);
    if (is_no_set(st))
        *err = first; /* what the URL that was configured had to say */
    return st;
}

static void log_result(const struct keys_source *s, enum status st, const struct error *err,
                       const struct error *before)
{
    const char *what = s->kind == KEYS_SET ? "key set" : "public key";
    if (st == OK && (before->text[0] != '\0' || s->failures > 0 || !s->tried))
        log_info("kbs", "fetched %s %s", what, s->uri.ptr);
    else if (st != OK && strcmp(before->text, err->text) != 0)
        log_warn("kbs", "could not fetch %s %s: %s%s", what, s->uri.ptr, err->text,
                 s->snapshot != NULL ? "; what was fetched before serves on" : "");
}

/* Called and left with the lock held, with s->fetching set by the caller; it is cleared. */
static void fetch(struct keys *k, struct keys_source *s)
{
    struct error before = s->trouble;
    pthread_mutex_unlock(&k->lock);

    struct error err = ERROR_INIT;
    int64_t age_s = KEYS_AGE_DEFAULT_S;
    struct keys_snapshot *fresh = snapshot_new(&err);
    enum status st = fresh == NULL         ? ERR_NOMEM
                     : s->kind == KEYS_PEM ? fetch_keys(k, KEYS_PEM, s->uri, fresh, &age_s, &err)
                                           : fetch_set(k, s->uri, fresh, &age_s, &err);

    pthread_mutex_lock(&k->lock);
    int64_t now_ns = clock_monotonic_ns();
    struct keys_snapshot *old = NULL;
    if (!k->stopped)
        log_result(s, st, &err, &before);
    if (st == OK) {
        fresh->fetched_ns = now_ns;
        old = s->snapshot;
        s->snapshot = TAKE(fresh);
        s->failures = 0;
        s->due_ns = now_ns + age_s * NS_PER_S;
    } else {
        int64_t wait_s = s->failures < 5 ? INT64_C(10) << s->failures : BACKOFF_MAX_S;
        s->failures++;
        s->due_ns = now_ns + wait_s * NS_PER_S;
    }
    s->trouble = st == OK ? (struct error)ERROR_INIT : err;
    s->tried = true;
    s->fetching = false;
    pthread_cond_broadcast(&k->changed);
    keys_snapshot_unref(old);
    keys_snapshot_unref(fresh);
}

/* With the lock held. */
static void begin_fetch(struct keys_source *s)
{
    s->fetching = true;
    s->tried_ns = clock_monotonic_ns();
}

/* ---- readers ---- */

struct keys_source *keys_find(struct keys *k, enum keys_kind kind, struct str uri)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->sources[i].kind == kind && str_equal(k->sources[i].uri, uri))
            return &k->sources[i];
    return NULL;
}

struct keys_snapshot *keys_get(struct keys *k, struct keys_source *s)
{
    if (!s->remote)
        return snapshot_ref(s->snapshot);
    int64_t now_ns = clock_monotonic_ns();
    pthread_mutex_lock(&k->lock);
    struct keys_snapshot *got = s->snapshot;
    got = got == NULL || is_stale(got, now_ns) ? NULL : snapshot_ref(got);
    pthread_mutex_unlock(&k->lock);
    return got;
}

/* With the lock held: may it have the key, as far as we know, and may it be asked now? */
static bool may_ask(const struct keys *k, const struct keys_source *s, struct str kid,
                    int64_t now_ns)
{
    if (!s->remote)
        return false;
    bool empty = s->snapshot == NULL || is_stale(s->snapshot, now_ns);
    if (!empty && (s->kind == KEYS_PEM || kid.len == 0))
        return false;
    return s->fetching || !s->tried ||
           now_ns - s->tried_ns >= (int64_t)k->options.again_ms * NS_PER_MS;
}

static bool is_known(const struct keys *k, struct str kid)
{
    for (size_t i = 0; kid.len > 0 && i < k->count; i++)
        if (k->sources[i].snapshot != NULL && has_kid(k->sources[i].snapshot, kid))
            return true;
    return false;
}

bool keys_are_remote(const struct keys *k)
{
    return k->fetcher != NULL;
}

bool keys_want(struct keys *k, struct str kid)
{
    if (k->fetcher == NULL)
        return false;
    int64_t now_ns = clock_monotonic_ns();
    bool want = false;
    pthread_mutex_lock(&k->lock);
    if (k->waiting < KEYS_WAITERS_MAX && !is_known(k, kid))
        for (size_t i = 0; i < k->count && !want; i++)
            want = may_ask(k, &k->sources[i], kid, now_ns);
    pthread_mutex_unlock(&k->lock);
    return want;
}

static void wait_until(struct keys *k, int64_t deadline_ns)
{
    struct timespec ts = {deadline_ns / NS_PER_S, deadline_ns % NS_PER_S};
    pthread_cond_timedwait(&k->changed, &k->lock, &ts);
}

void keys_resolve(struct keys *k, struct str kid)
{
    int64_t deadline_ns =
        clock_monotonic_ns() + ((int64_t)k->options.timeout_ms + 1000) * NS_PER_MS;
    pthread_mutex_lock(&k->lock);
    /* Between keys_want() and here others may have come. */
    bool wait = k->waiting < KEYS_WAITERS_MAX;
    k->waiting += wait;
    for (size_t i = 0; wait && i < k->count && !is_known(k, kid); i++) {
        struct keys_source *s = &k->sources[i];
        int64_t now_ns = clock_monotonic_ns();
        if (now_ns >= deadline_ns || !may_ask(k, s, kid, now_ns))
            continue;
        if (!s->fetching) {
            begin_fetch(s);
            fetch(k, s);
        }
        while (s->fetching && clock_monotonic_ns() < deadline_ns)
            wait_until(k, deadline_ns);
    }
    k->waiting -= wait;
    pthread_mutex_unlock(&k->lock);
}

void keys_trouble(struct keys *k, struct error *out)
{
    *out = (struct error)ERROR_INIT;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->count && out->text[0] == '\0'; i++)
        if (k->sources[i].trouble.text[0] != '\0')
            *out = k->sources[i].trouble;
    pthread_mutex_unlock(&k->lock);
}

/* ---- the thread ---- */

static struct keys_source *next_due(struct keys *k)
{
    int64_t now_ns = clock_monotonic_ns();
    for (size_t i = 0; i < k->count && !k->stopped; i++)
        if (k->sources[i].remote && !k->sources[i].fetching && k->sources[i].due_ns <= now_ns)
            return &k->sources[i];
    return NULL;
}

static void *fetch_due(void *user)
{
    struct keys *k = user;
    pthread_mutex_lock(&k->lock);
    for (struct keys_source *s; (s = next_due(k)) != NULL;) {
        begin_fetch(s);
        fetch(k, s);
    }
    k->thread_ended = true;
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

void keys_tend(struct keys *k)
{
    if (k->fetcher == NULL)
        return;
    pthread_mutex_lock(&k->lock);
    if (k->has_thread && k->thread_ended) {
        pthread_join(k->thread, NULL); /* it has let go of the lock, or is about to */
        k->has_thread = false;
    }
    if (!k->has_thread && next_due(k) != NULL) {
        k->thread_ended = false;
        k->has_thread = pthread_create(&k->thread, NULL, fetch_due, k) == 0;
    }
    pthread_mutex_unlock(&k->lock);
}

enum status keys_check(struct keys *k, struct error *err)
{
    enum status st = OK;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->count && st == OK; i++) {
        struct keys_source *s = &k->sources[i];
        if (!s->remote)
            continue;
        begin_fetch(s);
        fetch(k, s);
        if (s->trouble.text[0] != '\0') {
            error_set(err, "could not fetch \"%s\": %s", QUOTED(s->uri), s->trouble.text);
            st = ERR_UNAVAILABLE;
        }
    }
    pthread_mutex_unlock(&k->lock);
    return st;
}

/* ---- making one ---- */

static bool is_remote(struct str uri)
{
    return str_has_prefix(uri, STR("https://"));
}

/* A source of a configuration, wherever in it. */
typedef bool (*each_source)(void *user, enum keys_kind kind, struct str uri);

static bool for_each(const struct kbs_config *c, each_source each, void *user)
{
    for (size_t i = 0; i < c->trusted_jwk_sets.len; i++)
        if (!each(user, KEYS_SET, c->trusted_jwk_sets.items[i]))
            return false;
    for (size_t i = 0; i < c->provider_count; i++) {
        const struct config_provider *p = &c->providers[i];
        if ((p->public_key_uri.len > 0 && !each(user, KEYS_PEM, p->public_key_uri)) ||
            (p->jwk_set_uri.len > 0 && !each(user, KEYS_SET, p->jwk_set_uri)))
            return false;
    }
    return true;
}

static enum status read_file(struct keys_source *s, struct str path, struct error *err)
{
    CLEANUP(keys_snapshot_cleanup) struct keys_snapshot *fresh = snapshot_new(err);
    if (fresh == NULL)
        return ERR_NOMEM;
    CLEANUP(buf_done) struct buf bytes;
    buf_init(&bytes, KEYS_FILE_MAX);
    enum status st = file_read(path.ptr, &bytes, err);
    if (st == OK)
        st = read_bytes(s->kind, buf_str(&bytes), fresh, err);
    if (st == OK)
        s->snapshot = TAKE(fresh);
    return st;
}

static enum status open_source(struct keys_source *s, struct error *err)
{
    s->remote = is_remote(s->uri);
    enum status st = OK;
    if (s->remote && !fetch_url_is_valid(s->uri)) {
        error_set(err, "it is no URL that is fetched: no user, fragment or dot segments");
        st = ERR_INVALID;
    } else if (str_has_prefix(s->uri, STR("file://"))) {
        st = read_file(s, str_from(s->uri, 7), err);
    } else if (!s->remote && s->uri.ptr[0] != '/' && str_find(s->uri, ':', 0) < s->uri.len) {
        error_set(err, "unsupported scheme: only https:// and file://");
        st = ERR_INVALID;
    } else if (!s->remote) {
        st = read_file(s, s->uri, err);
    }
    if (st != OK)
        error_prefix(err,
                     "could not load %s \"%s\": ", s->kind == KEYS_SET ? "key set" : "public key",
                     QUOTED(s->uri));
    return st;
}

struct adding {
    struct keys *keys, *before;
    enum status st;
    struct error *err;
};

static bool add_source(void *user, enum keys_kind kind, struct str uri)
{
    struct adding *a = user;
    if (keys_find(a->keys, kind, uri) != NULL)
        return true;
    struct keys_source *s = &a->keys->sources[a->keys->count++];
    s->kind = kind;
    s->uri = uri;
    a->st = open_source(s, a->err);
    struct keys_source *old =
        a->st == OK && s->remote && a->before != NULL && a->before->era == a->keys->era
            ? keys_find(a->before, kind, uri)
            : NULL;
    if (old != NULL) {
        pthread_mutex_lock(&a->before->lock);
        s->snapshot = snapshot_ref(old->snapshot);
        s->tried = old->tried;
        s->tried_ns = old->tried_ns;
        s->due_ns = old->due_ns;
        s->failures = old->failures;
        s->trouble = old->trouble;
        pthread_mutex_unlock(&a->before->lock);
    }
    return a->st == OK;
}

static bool count_source(void *user, enum keys_kind kind, struct str uri)
{
    ++*(size_t *)user;
    return true;
}

struct listing {
    struct arena *arena;
    const char **urls;
    size_t n;
};

static bool list_source(void *user, enum keys_kind kind, struct str uri)
{
    struct listing *l = user;
    if (!is_remote(uri))
        return true;
    struct str url = arena_format(l->arena, "%.*s/", STR_ARG(origin_of(uri)));
    for (size_t i = 0; i < l->n && url.ptr != NULL; i++)
        if (strcmp(l->urls[i], url.ptr) == 0)
            return true;
    if (url.ptr != NULL)
        l->urls[l->n++] = url.ptr;
    return url.ptr != NULL;
}

const char *const *keys_allowed_urls(const struct kbs_config *config, struct arena *a, size_t *n)
{
    size_t count = config->fetch_allow.len;
    for_each(config, count_source, &count);
    struct listing l = {a, arena_new_array(a, const char *, count + 1), 0};
    if (l.urls == NULL || !for_each(config, list_source, &l))
        return NULL;
    /* What may be fetched beside, once anything is. */
    for (size_t i = 0; l.n > 0 && i < config->fetch_allow.len; i++)
        l.urls[l.n++] = config->fetch_allow.items[i].ptr;
    l.urls[l.n] = NULL;
    *n = l.n;
    return l.urls;
}

static enum status make_fetcher(struct keys *k, const struct kbs_config *config, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * (size_t)CONFIG_FILE_MAX);
    size_t n = 0;
    const char *const *urls = keys_allowed_urls(config, &a, &n);
    if (urls == NULL)
        return error_nomem(err);
    if (n == 0)
        return OK;
    const struct fetcher_options o = {
        .allow = urls,
        .program = k->options.fetch_program,
        .ca_file = config->fetch_ca.len > 0 ? config->fetch_ca.ptr : NULL,
        .body_max = KEYS_FETCH_MAX,
        .timeout_ms = k->options.timeout_ms,
    };
    return fetcher_new(&o, &k->fetcher, err);
}

enum status keys_new(const struct kbs_config *config, const struct keys_options *options,
                     struct keys *before, struct keys **out, struct error *err)
{
    CLEANUP(keys_cleanup) struct keys *k = calloc(1, sizeof(*k));
    if (k == NULL)
        return error_nomem(err);
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->changed, &attr);
    pthread_condattr_destroy(&attr);
    k->era = config->era;
    k->options = *options;
    if (k->options.again_ms <= 0)
        k->options.again_ms = KEYS_AGAIN_MS;
    if (k->options.timeout_ms <= 0)
        k->options.timeout_ms = KEYS_TIMEOUT_MS;

    size_t n = 0;
    for_each(config, count_source, &n);
    k->sources = calloc(n + 1, sizeof(*k->sources));
    if (k->sources == NULL)
        return error_nomem(err);
    struct adding adding = {k, before, OK, err};
    if (!for_each(config, add_source, &adding))
        return adding.st;
    enum status st = make_fetcher(k, config, err);
    if (st != OK)
        return st;
    *out = TAKE(k);
    return OK;
}

struct keys *keys_free(struct keys *k)
{
    if (k == NULL)
        return NULL;
    pthread_mutex_lock(&k->lock);
    k->stopped = true;
    pthread_mutex_unlock(&k->lock);
    if (k->fetcher != NULL)
        fetcher_stop(k->fetcher);
    if (k->has_thread)
        pthread_join(k->thread, NULL);
    fetcher_free(k->fetcher);
    for (size_t i = 0; k->sources != NULL && i < k->count; i++)
        keys_snapshot_unref(k->sources[i].snapshot);
    free(k->sources);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k);
    return NULL;
}

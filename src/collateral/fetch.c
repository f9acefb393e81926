/* From a URL to an item that was checked: folder, throttle, lock, network. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collateral/service_internal.h"
#include "verifier/dcap/intel_url.h"

#define LOCK_LOOK_MS 50            /* between looks whether another process is done */
#define PATIENCE_NS (3 * NS_PER_S) /* a back-off that one who waits sits out */

static const struct clock *clock_of(const struct collateral_service *s)
{
    return s->options.clock != NULL ? s->options.clock : &clock_system;
}

static int64_t now_s(const struct collateral_service *s)
{
    return clock_now_s(clock_of(s));
}

/* HARDEN ver-3: the chip id of a VCEK is taken from evidence in which nothing was checked yet. */
static bool is_from_evidence(struct str url)
{
    return collateral_kind_of(url) == COLLATERAL_VCEK;
}

/* Sleep until `until_ns` or the end of the service; true to go on. */
static bool wait_until(struct collateral_service *s, int64_t until_ns)
{
    struct timespec ts = {until_ns / NS_PER_S, until_ns % NS_PER_S};
    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stop) && clock_monotonic_ns() < until_ns)
        pthread_cond_timedwait(&s->changed, &s->lock, &ts);
    pthread_mutex_unlock(&s->lock);
    return !atomic_load(&s->stop);
}

/* ---- taking an item in ---- */

static struct collateral_entry *held(struct collateral_service *s, struct str url)
{
    struct collateral_snapshot *n = service_pin(s);
    struct collateral_entry *e = snapshot_find(n, url);
    if (e != NULL)
        entry_ref(e);
    snapshot_unref(n);
    return e;
}

static void entry_cleanup(struct collateral_entry **e)
{
    entry_unref(*e);
}

static bool held_serves(struct collateral_service *s, struct str url)
{
    CLEANUP(entry_cleanup) struct collateral_entry *e = held(s, url);
    return e != NULL && entry_serves(s, e, now_s(s));
}

static enum status out_of_date(const struct collateral_item *item, struct error *err)
{
    char when[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(item->dates.next_s, when);
    error_set(err, "collateral %s is out of date since %s", QUOTED(item->url), when);
    return ERR_UNAVAILABLE;
}

/*
 * Checked, in time, and not older than what is at hand: into memory.  `listed`:
 * it came from the folder.
 */
static enum status take_in(struct collateral_service *s, struct collateral_item *item, bool listed,
                           struct error *err)
{
    enum status st = collateral_item_check(s->options.anchors, item, err);
    if (st != OK)
        return st;
    CLEANUP(entry_cleanup) struct collateral_entry *old = held(s, item->url);
    if (old != NULL && old->item.dates.issued_s > item->dates.issued_s) {
        error_set(err, "collateral %s is older than the one at hand", QUOTED(item->url));
        return ERR_DENIED;
    }
    CLEANUP(entry_cleanup) struct collateral_entry *e = NULL;
    st = entry_new(item->url, item->chain, item->body, &e, err);
    if (st != OK)
        return st;
    e->item.fetched_s = item->fetched_s;
    e->item.dates = item->dates;
    e->listed = listed;
    int64_t now = now_s(s);
    if (!entry_serves(s, e, now))
        return out_of_date(item, err);
    atomic_store(&e->proved, listed || e->kind != COLLATERAL_VCEK);
    atomic_store(&e->used_s, now);
    atomic_store(&e->renew_s, renew_time(item, now));
    st = service_install(s, e, err);
    pthread_mutex_lock(&s->lock);
    if (st == OK && e->kind != COLLATERAL_VCEK)
        st = keeper_start(s, err);
    s->work = true; /* another time may be due first */
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* What another process, an earlier run or an import left.  OK only if it is in time. */
static enum status from_folder(struct collateral_service *s, struct str url, bool fresh_only,
                               int64_t newer_than_s, struct error *err)
{
    if (s->disk == NULL)
        return ERR_NOT_FOUND;
    CLEANUP(buf_done) struct buf record;
    buf_init(&record, COLLATERAL_RECORD_MAX);
    struct collateral_item item;
    enum status st = collateral_disk_read(s->disk, url, &record, &item, err);
    if (st != OK)
        return st;
    if (item.fetched_s <= newer_than_s)
        return ERR_NOT_FOUND;
    st = take_in(s, &item, true, err);
    if (st != OK || !fresh_only || collateral_kind_of(url) == COLLATERAL_VCEK)
        return st;
    return item.dates.next_s >= now_s(s) && renew_time(&item, item.fetched_s) > now_s(s)
               ? OK
               : ERR_NOT_FOUND;
}

/* ---- the network ---- */

static enum status get(struct collateral_service *s, struct str url, struct fetch_answer *answer,
                       struct error *err)
{
    if (s->options.get != NULL)
        return s->options.get(s->options.user, url, answer, err);
    const struct fetch_request request = {.url = url};
    return fetcher_request(s->fetcher, &request, answer, err);
}

static struct str chain_of(const struct fetch_answer *answer, struct str url)
{
    const char *name = collateral_chain_header(url);
    if (name == NULL)
        return STR_EMPTY;
    struct str chain = fetch_answer_header(answer, name);
    if (chain.ptr == NULL && strcmp(name, "tcb-info-issuer-chain") == 0)
        chain = fetch_answer_header(answer, "sgx-tcb-info-issuer-chain"); /* API version 3 */
    return chain.ptr == NULL ? STR_EMPTY : chain;
}

static void answer_cleanup(struct fetch_answer *a)
{
    fetch_answer_done(a);
}

enum outcome {
    ARRIVED,
    FAILED,  /* nobody answers, or not now: the host is left alone, and worth another try soon */
    USELESS, /* no such item, or none that serves: this URL is left alone */
};

/* Not the fault of the service: strangers must not make it look ill by what they ask for. */
static bool is_of_this_url(int status, struct str url)
{
    return status == 404 || status == 410 ||
           (is_from_evidence(url) && status >= 400 && status < 500 && status != 429 &&
            status != 408);
}

static enum status ask(struct collateral_service *s, struct str url, enum outcome *outcome,
                       int64_t *retry_after_s, struct error *err)
{
    CLEANUP(answer_cleanup) struct fetch_answer answer;
    fetch_answer_init(&answer);
    *outcome = FAILED;
    enum status st = get(s, url, &answer, err);
    if (st != OK) {
        *outcome = st == ERR_UNAVAILABLE ? FAILED : USELESS;
        error_prefix(err, "could not fetch collateral: ");
        return st == ERR_NOMEM ? st : ERR_UNAVAILABLE;
    }
    *retry_after_s = answer.retry_after_s;
    if (is_of_this_url(answer.status, url)) {
        *outcome = USELESS;
        error_set(err, "collateral not available from %s", QUOTED(url));
        return ERR_NOT_FOUND;
    }
    if (answer.status != 200) {
        error_set(err, "unexpected HTTP response %d from %s", answer.status, QUOTED(url));
        return ERR_UNAVAILABLE;
    }
    struct collateral_item item = {.url = url,
                                   .chain = chain_of(&answer, url),
                                   .body = buf_str(&answer.body),
                                   .fetched_s = now_s(s)};
    st = take_in(s, &item, false, err);
    *outcome = st == OK ? ARRIVED : USELESS;
    if (st != OK)
        return st;
    if (s->disk != NULL && !is_from_evidence(url)) {
        struct error why = ERROR_INIT;
        if (collateral_disk_write(s->disk, &item, &why) != OK)
            service_tell(s, true, why.text);
    }
    return OK;
}

/* Asked, and what came of it noted for the next who asks. */
static enum status ask_once(struct collateral_service *s, struct str url, bool *again,
                            struct error *err)
{
    *again = false;
    bool from_evidence = is_from_evidence(url);
    pthread_mutex_lock(&s->lock);
    enum status st = throttle_ask(&s->throttle, url, from_evidence, clock_monotonic_ns(), err);
    bool busy = st == OK && from_evidence && s->evidence_fetches >= COLLATERAL_EVIDENCE_FETCHES;
    if (st == OK && !busy && from_evidence)
        s->evidence_fetches++;
    pthread_mutex_unlock(&s->lock);
    if (busy) {
        error_set(err, "collateral of other unknown machines is being asked for");
        return ERR_UNAVAILABLE;
    }
    *again = st == ERR_UNAVAILABLE && !from_evidence && !s->options.impatient;
    if (st != OK)
        return st;

    enum outcome outcome = FAILED;
    int64_t retry_after_s = 0;
    st = ask(s, url, &outcome, &retry_after_s, err);

    pthread_mutex_lock(&s->lock);
    if (from_evidence)
        s->evidence_fetches--;
    *again = outcome == FAILED && !from_evidence && !s->options.impatient;
    if (outcome == FAILED)
        throttle_failed(&s->throttle, url, retry_after_s, clock_monotonic_ns());
    else
        throttle_succeeded(&s->throttle, url);
    if (outcome == USELESS)
        throttle_absent(&s->throttle, url, from_evidence, clock_monotonic_ns());
    pthread_mutex_unlock(&s->lock);
    return st;
}

/*
 * Become the one process that asks, while others wait; -1 without a folder, or
 * when the other takes too long: then it is as if it had died.
 */
static int become_first(struct collateral_service *s, struct str url, int64_t end_ns)
{
    for (;;) {
        int fd = s->disk == NULL ? -2 : collateral_disk_lock(s->disk, url);
        if (fd >= 0)
            return fd;
        int64_t next_ns = clock_monotonic_ns() + LOCK_LOOK_MS * (NS_PER_S / 1000);
        if (fd == -2 || next_ns > end_ns || !wait_until(s, next_ns))
            return -1;
    }
}

static enum status from_network(struct collateral_service *s, struct str url, int64_t end_ns,
                                struct error *err)
{
    for (;;) {
        bool again;
        enum status st = ask_once(s, url, &again, err);
        if (st == OK || !again)
            return st;
        pthread_mutex_lock(&s->lock);
        int64_t until_ns = throttle_until(&s->throttle, url);
        pthread_mutex_unlock(&s->lock);
        int64_t now_ns = clock_monotonic_ns();
        if (until_ns > now_ns + PATIENCE_NS || until_ns > end_ns || now_ns >= end_ns ||
            !wait_until(s, until_ns))
            return st;
    }
}

static enum status obtain(struct collateral_service *s, struct str url, bool renew, int64_t end_ns,
                          struct error *err)
{
    struct error folder = ERROR_INIT;
    CLEANUP(entry_cleanup) struct collateral_entry *old = held(s, url);
    int64_t have_s = renew && old != NULL ? old->item.fetched_s : INT64_MIN;
    if (from_folder(s, url, true, have_s, &folder) == OK)
        return OK;
    /* What is there may still serve, past its best or past its date, if nothing better comes. */
    bool fallback = held_serves(s, url);
    if (s->sources.offline || (s->fetcher == NULL && s->options.get == NULL)) {
        if (fallback && !renew)
            return OK;
        error_set(err, "%s",
                  folder.text[0] != '\0' && s->disk != NULL ? folder.text
                                                            : "the network is not to be asked");
        error_prefix(err, "collateral %s is missing: ", QUOTED(url));
        return renew ? ERR_NOT_FOUND : ERR_UNAVAILABLE;
    }
    int lock = become_first(s, url, end_ns);
    /* Whoever was first may have brought it, be it between our look and our turn. */
    enum status st = from_folder(s, url, true, have_s, &folder);
    if (st != OK)
        st = from_network(s, url, end_ns, err);
    if (lock >= 0)
        close(lock);
    if (st != OK && fallback && !renew) {
        service_tell(s, true, err->text);
        return OK;
    }
    return st;
}

/* ---- single flight ---- */

static struct flight *find_flight(struct collateral_service *s, struct str url)
{
    for (struct flight *f = s->flights; f != NULL; f = f->next)
        if (str_equal(f->url, url))
            return f;
    return NULL;
}

/* Under the lock: wait for somebody else's flight, and take its result. */
static enum status join(struct collateral_service *s, struct flight *f, int64_t end_ns,
                        struct error *err)
{
    struct timespec ts = {end_ns / NS_PER_S, end_ns % NS_PER_S};
    f->waiters++;
    while (!f->done && clock_monotonic_ns() < end_ns && !atomic_load(&s->stop))
        pthread_cond_timedwait(&s->changed, &s->lock, &ts);
    enum status st = ERR_UNAVAILABLE;
    if (f->done) {
        st = f->status;
        if (err != NULL)
            *err = f->err;
    } else {
        error_set(err, "collateral %s takes too long", QUOTED(f->url));
    }
    f->waiters--;
    pthread_cond_broadcast(&s->changed);
    return st;
}

/* Under the lock: the result for those who wait; the flight is the caller's own. */
static void land(struct collateral_service *s, struct flight *mine, enum status st)
{
    for (struct flight **p = &s->flights; *p != NULL; p = &(*p)->next)
        if (*p == mine) {
            *p = mine->next;
            break;
        }
    mine->done = true;
    mine->status = st;
    pthread_cond_broadcast(&s->changed);
    while (mine->waiters > 0)
        pthread_cond_wait(&s->changed, &s->lock);
}

STATUS service_fetch(struct collateral_service *s, struct str url, bool renew, int64_t end_ns,
                     struct error *err)
{
    if (!service_allows(s, url)) {
        error_set(err, "collateral %s is of no service of the configuration", QUOTED(url));
        return ERR_DENIED;
    }
    pthread_mutex_lock(&s->lock);
    struct flight *other = find_flight(s, url);
    if (other != NULL) {
        enum status st = join(s, other, end_ns, err);
        pthread_mutex_unlock(&s->lock);
        return st;
    }
    struct flight mine = {.next = s->flights, .url = url, .err = ERROR_INIT};
    s->flights = &mine;
    pthread_mutex_unlock(&s->lock);

    /* Somebody may have landed between the view and here. */
    enum status st = !renew && held_serves(s, url) ? OK : obtain(s, url, renew, end_ns, &mine.err);

    pthread_mutex_lock(&s->lock);
    land(s, &mine, st);
    pthread_mutex_unlock(&s->lock);
    if (st != OK && err != NULL)
        *err = mine.err;
    return st;
}

bool collateral_may_resolve(const struct collateral_service *s, const struct str *urls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!service_allows(s, urls[i]))
            return false;
    return n > 0;
}

STATUS collateral_resolve(struct collateral_service *s, const struct str *urls, size_t n,
                          struct error *err)
{
    int64_t end_ns = clock_monotonic_ns() + COLLATERAL_WAIT_MS * (NS_PER_S / 1000);
    for (size_t i = 0; i < n; i++) {
        enum status st = service_fetch(s, urls[i], false, end_ns, err);
        if (st != OK)
            return st;
    }
    return OK;
}

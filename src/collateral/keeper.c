/* What is used is renewed before it ends; what proved itself is written down. */
#include <signal.h>
#include <stdlib.h>

#include "base/random.h"
#include "collateral/service_internal.h"

#define ROUND_LONGEST_S 30
#define RENEW_LATEST_S (24 * 3600) /* news of revocation should not be older */
#define RENEW_RETRY_S 30           /* after a failure; hosts have a back-off of their own */
#define UNUSED_S (7 * 24 * 3600)   /* not renewed any more */

int64_t renew_time(const struct collateral_item *item, int64_t now_s)
{
    if (collateral_kind_of(item->url) == COLLATERAL_VCEK)
        return INT64_MAX; /* never changes */
    int64_t left_s = item->dates.next_s - now_s;
    int64_t after_s = left_s / 2 < RENEW_LATEST_S ? left_s / 2 : RENEW_LATEST_S;
    if (after_s < 1)
        after_s = RENEW_RETRY_S;
    /* Replicas that began together shall not ask together: up to a tenth earlier. */
    uint32_t r;
    random_bytes(&r, sizeof(r));
    return now_s + after_s - (int64_t)(r % (uint32_t)(after_s / 10 + 1));
}

static int64_t time_s(const struct collateral_service *s)
{
    return clock_now_s(s->options.clock != NULL ? s->options.clock : &clock_system);
}

static int64_t deadline_ns(void)
{
    return clock_monotonic_ns() + COLLATERAL_WAIT_MS * (NS_PER_S / 1000);
}

static void renew(struct collateral_service *s, struct collateral_entry *e)
{
    struct error err = ERROR_INIT;
    enum status st = service_fetch(s, e->item.url, true, deadline_ns(), &err);
    if (st == OK)
        return;
    atomic_store(&e->renew_s, time_s(s) + RENEW_RETRY_S);
    bool quiet = st == ERR_NOT_FOUND && s->sources.offline; /* nothing was imported yet */
    if (!quiet && !atomic_load(&s->stop) && !atomic_exchange(&e->told, true))
        service_tell(s, true, err.text);
}

/* A VCEK with which a verification succeeded. */
static void write_down(struct collateral_service *s, struct collateral_entry *e)
{
    struct error err = ERROR_INIT;
    pthread_mutex_lock(&s->lock);
    bool due = !e->listed;
    e->listed = true;
    pthread_mutex_unlock(&s->lock);
    if (due && collateral_disk_write(s->disk, &e->item, &err) != OK)
        service_tell(s, true, err.text);
}

static bool next_wanted(struct collateral_service *s, struct str *url)
{
    pthread_mutex_lock(&s->lock);
    bool some = s->wanted_count > 0;
    if (some)
        *url = s->wanted[--s->wanted_count];
    pthread_mutex_unlock(&s->lock);
    return some;
}

int64_t collateral_keep(struct collateral_service *s)
{
    struct str url;
    while (!atomic_load(&s->stop) && next_wanted(s, &url)) {
        struct error err = ERROR_INIT;
        enum status st = service_fetch(s, url, false, deadline_ns(), &err);
        if (st != OK && st != ERR_NOT_FOUND && !atomic_load(&s->stop))
            service_tell(s, true, err.text);
        free((char *)(uintptr_t)url.ptr);
    }
    int64_t now = time_s(s), due_s = now + ROUND_LONGEST_S;
    struct collateral_snapshot *n = service_pin(s);
    for (size_t i = 0; n != NULL && i < n->count && !atomic_load(&s->stop); i++) {
        struct collateral_entry *e = n->entries[i];
        if (e->file)
            continue;
        if (e->kind == COLLATERAL_VCEK) {
            if (s->disk != NULL && atomic_load(&e->proved))
                write_down(s, e);
            continue;
        }
        if (atomic_load(&e->used_s) + UNUSED_S < now)
            continue;
        if (atomic_load(&e->renew_s) <= now)
            renew(s, e);
        else if (atomic_load(&e->renew_s) < due_s)
            due_s = atomic_load(&e->renew_s);
    }
    snapshot_unref(n);
    return due_s > now ? due_s - now : 1;
}

static void *keeper_main(void *arg)
{
    struct collateral_service *s = arg;
    while (!atomic_load(&s->stop)) {
        int64_t until_ns = clock_monotonic_ns() + collateral_keep(s) * NS_PER_S;
        struct timespec ts = {until_ns / NS_PER_S, until_ns % NS_PER_S};
        pthread_mutex_lock(&s->lock);
        while (!atomic_load(&s->stop) && !s->work && s->wanted_count == 0 &&
               clock_monotonic_ns() < until_ns)
            pthread_cond_timedwait(&s->changed, &s->lock, &ts);
        s->work = false;
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

/* Under the lock.  Signals are for the threads that wait for them. */
STATUS keeper_start(struct collateral_service *s, struct error *err)
{
    if (s->keeper_runs || !s->options.keeper || atomic_load(&s->stop))
        return OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int e = pthread_create(&s->keeper, NULL, keeper_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e != 0)
        return error_errno(err, e, "could not start a thread");
    s->keeper_runs = true;
    return OK;
}

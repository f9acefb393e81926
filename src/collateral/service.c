#include "collateral/service.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "collateral/service_internal.h"

#define CONFIG_MEMORY_MAX (4 * 1024 * 1024)

void service_tell(struct collateral_service *s, bool trouble, const char *text)
{
    pthread_mutex_lock(&s->lock);
    bool again = strcmp(s->told.text, text) == 0; /* what lasts is told once */
    if (!again)
        error_set(&s->told, "%s", text);
    pthread_mutex_unlock(&s->lock);
    if (!again && s->options.tell != NULL)
        s->options.tell(s->options.user, trouble, text);
}

bool service_allows(const struct collateral_service *s, struct str url)
{
    if (collateral_kind_of(url) == COLLATERAL_UNKNOWN)
        return false;
    for (const char *const *p = s->sources.allow; *p != NULL; p++)
        if (fetch_url_allowed(url, str_of(*p)))
            return true;
    return false;
}

void service_want(struct collateral_service *s, struct str url)
{
    if (!service_allows(s, url) || s->sources.offline)
        return;
    pthread_mutex_lock(&s->lock);
    bool known = s->wanted_count == WANTED_MAX;
    for (size_t i = 0; i < s->wanted_count; i++)
        known |= str_equal(s->wanted[i], url);
    struct error err = ERROR_INIT;
    if (!known && throttle_peek(&s->throttle, url, clock_monotonic_ns()) &&
        keeper_start(s, &err) == OK) {
        char *copy = malloc(url.len + 1);
        if (copy != NULL) {
            memcpy(copy, url.ptr, url.len);
            s->wanted[s->wanted_count++] = (struct str){copy, url.len};
            pthread_cond_broadcast(&s->changed);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void collateral_forget_failures(struct collateral_service *s)
{
    pthread_mutex_lock(&s->lock);
    throttle_forget(&s->throttle);
    pthread_mutex_unlock(&s->lock);
}

const char *const *collateral_allowed(const struct collateral_service *s)
{
    static const char *const none[] = {NULL};
    return s->fetcher == NULL ? none : s->sources.allow;
}

const char *collateral_ca_file(const struct collateral_service *s)
{
    return s->sources.ca_file.len == 0 ? NULL : s->sources.ca_file.ptr;
}

const char *collateral_folder(const struct collateral_service *s)
{
    return s->sources.cache_dir.len == 0 ? NULL : s->sources.cache_dir.ptr;
}

const char *collateral_missing(const struct collateral_service *s)
{
    const char *folder = s->options.only_look ? collateral_folder(s) : NULL;
    return folder == NULL || access(folder, F_OK) == 0 ? NULL : folder;
}

/* ---- life ---- */

static enum status open_folder(struct collateral_service *s, struct error *err)
{
    if (s->sources.cache_dir.len == 0)
        return OK;
    struct error why = ERROR_INIT;
    enum status st = OK;
    if (collateral_missing(s) != NULL)
        st = file_can_make_dirs(s->sources.cache_dir.ptr, &why);
    else
        st = collateral_disk_open(s->sources.cache_dir.ptr, &s->disk, &why);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK) {
        error_prefix(&why, "collateral is kept in memory only: ");
        service_tell(s, true, why.text);
    }
    return OK;
}

static enum status open_network(struct collateral_service *s, struct error *err)
{
    if (s->sources.offline || s->sources.allow[0] == NULL || s->options.get != NULL)
        return OK;
    const struct fetcher_options o = {
        .allow = s->sources.allow,
        .ca_file = s->sources.ca_file.len == 0 ? NULL : s->sources.ca_file.ptr,
        .body_max = COLLATERAL_BODY_MAX,
        .any_certificate = s->sources.any_certificate,
        .timeout_ms = s->sources.timeout_ms,
    };
    return fetcher_new(&o, &s->fetcher, err);
}

STATUS collateral_service_new(const struct collateral_options *options,
                              struct collateral_service **out, struct error *err)
{
    CLEANUP(collateral_service_cleanup)
    struct collateral_service *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    arena_init(&s->arena, CONFIG_MEMORY_MAX);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    s->options = *options;
    s->options.verifier_config = VALUE_UNDEFINED; /* read now, and not kept */
    if (options->anchors != NULL)
        anchors_ref((struct anchors *)(uintptr_t)options->anchors);

    enum status st = collateral_sources_read(&s->arena, options->verifier_config, &s->sources, err);
    if (st == OK)
        st = open_folder(s, err);
    if (st == OK)
        st = open_network(s, err);
    if (st != OK)
        return st;
    *out = TAKE(s);
    return OK;
}

struct collateral_service *collateral_service_free(struct collateral_service *s)
{
    if (s == NULL)
        return NULL;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->stop, true);
    pthread_cond_broadcast(&s->changed);
    bool keeper = s->keeper_runs;
    pthread_mutex_unlock(&s->lock);
    if (s->fetcher != NULL)
        fetcher_stop(s->fetcher); /* whoever waits for an answer waits no longer */
    if (keeper)
        pthread_join(s->keeper, NULL);
    fetcher_free(s->fetcher);
    collateral_disk_close(s->disk);
    snapshot_unref(s->snapshot);
    for (size_t i = 0; i < s->wanted_count; i++)
        free((char *)(uintptr_t)s->wanted[i].ptr);
    if (s->options.anchors != NULL)
        anchors_unref((struct anchors *)(uintptr_t)s->options.anchors);
    arena_done(&s->arena);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}

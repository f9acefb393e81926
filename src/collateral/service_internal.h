/* What service.c (life, fetching), snapshot.c (what is held) and keeper.c share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "collateral/disk.h"
#include "collateral/service.h"
#include "collateral/sources.h"
#include "collateral/throttle.h"

/* An item, or a local file, in memory of its own; counted by references. */
struct collateral_entry {
    atomic_uint refs;
    uint64_t hash; /* of the URL */
    enum collateral_kind kind;
    struct collateral_item item; /* slices point behind the struct */
    bool file;                   /* of a file:// URL: not checked here */
    uint64_t file_version;
    bool listed;                 /* the service's lock is around it: stands in the folder */
    atomic_bool told;            /* that it could not be renewed */
    atomic_bool proved;          /* a verification succeeded with it, or it needs none */
    atomic_int_fast64_t used_s;  /* when it was found last */
    atomic_int_fast64_t renew_s; /* when to ask again */
};

struct collateral_snapshot {
    atomic_uint refs;
    size_t count;
    struct collateral_entry *entries[]; /* by hash */
};

STATUS entry_new(struct str url, struct str chain, struct str body, struct collateral_entry **out,
                 struct error *err);
struct collateral_entry *entry_ref(struct collateral_entry *e);
void entry_unref(struct collateral_entry *e);
struct collateral_snapshot *snapshot_unref(struct collateral_snapshot *s);
struct collateral_entry *snapshot_find(const struct collateral_snapshot *s, struct str url);

/* Under the lock, or by anybody who may replace the snapshot. */
struct collateral_snapshot *service_pin(struct collateral_service *s);
/* Put in (the same URL's goes), and out what there is no room for.  `e` is referenced. */
STATUS service_install(struct collateral_service *s, struct collateral_entry *e, struct error *err);
void service_remove(struct collateral_service *s, struct collateral_entry *e);

/* A question under way. */
struct flight {
    struct flight *next;
    struct str url; /* borrowed from who asks */
    unsigned waiters;
    bool done;
    enum status status;
    struct error err;
};

#define WANTED_MAX 32

struct collateral_service {
    struct arena arena; /* configuration */
    struct collateral_options options;
    struct collateral_sources sources;
    struct collateral_disk *disk; /* NULL: none */
    struct fetcher *fetcher;      /* NULL: nothing may be asked */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a flight landed, the keeper has work, or stop */
    struct collateral_snapshot *snapshot;
    struct throttle throttle;
    struct flight *flights;
    unsigned evidence_fetches;
    struct str wanted[WANTED_MAX]; /* malloc'ed: to be fetched by the keeper */
    size_t wanted_count;
    struct error told; /* the last trouble, which is told once */
    atomic_bool stop;
    bool keeper_runs, work;
    pthread_t keeper;
};

void service_tell(struct collateral_service *s, bool trouble, const char *text);
/* Ask the keeper for an item that nobody waits for. */
void service_want(struct collateral_service *s, struct str url);

bool service_allows(const struct collateral_service *s, struct str url);

/* Within its date, or within what the configuration lets pass. */
bool entry_serves(const struct collateral_service *s, const struct collateral_entry *e,
                  int64_t now_s);

/* One URL; `renew`: even if what is at hand would serve. */
STATUS service_fetch(struct collateral_service *s, struct str url, bool renew, int64_t end_ns,
                     struct error *err);

/* When to ask again for an item: well before its end, once a day at least. */
int64_t renew_time(const struct collateral_item *item, int64_t now_s);

STATUS keeper_start(struct collateral_service *s, struct error *err);

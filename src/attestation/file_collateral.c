#include "attestation/file_collateral.h"

#include <pthread.h>
#include <stdlib.h>

struct file_collateral {
    pthread_mutex_t lock; /* a set serves one thread at a time; what it found stays where it is */
    struct collateral_set *set;
    struct collateral face;
};

static bool find(void *user, struct str url, struct str *bytes)
{
    struct file_collateral *f = user;
    const struct collateral *c = collateral_set_get(f->set);
    pthread_mutex_lock(&f->lock);
    bool found = c->find(c->user, url, bytes);
    pthread_mutex_unlock(&f->lock);
    return found;
}

enum status file_collateral_new(struct file_collateral **out, struct error *err)
{
    struct file_collateral *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return error_nomem(err);
    enum status st = collateral_set_new(true, &f->set, err);
    if (st != OK) {
        free(f);
        return st;
    }
    pthread_mutex_init(&f->lock, NULL);
    f->face = (struct collateral){find, f};
    *out = f;
    return OK;
}

struct file_collateral *file_collateral_free(struct file_collateral *f)
{
    if (f == NULL)
        return NULL;
    collateral_set_free(f->set);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return NULL;
}

const struct collateral *file_collateral_get(const struct file_collateral *f)
{
    return &f->face;
}

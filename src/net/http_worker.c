#include <signal.h>
#include <stdlib.h>

#include "net/server_internal.h"

struct worker_pool {
    struct http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct exchange *first, **last; /* each connection has one at most: bounded by those */
    bool stop;
    unsigned count;
    pthread_t threads[];
};

static struct exchange *next_job(struct worker_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->first == NULL && !p->stop)
        pthread_cond_wait(&p->more, &p->lock);
    struct exchange *ex = p->stop ? NULL : p->first;
    if (ex != NULL) {
        p->first = ex->next;
        if (p->first == NULL)
            p->last = &p->first;
        ex->next = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    return ex;
}

static void *worker_main(void *user)
{
    struct worker_pool *p = user;
    const struct http_handler *h = &p->server->handler;
    struct exchange *ex;
    while ((ex = next_job(p)) != NULL) {
        h->work(h->user, &ex->x);
        reactor_return(ex->conn->reactor, ex);
    }
    return NULL;
}

void workers_push(struct worker_pool *p, struct exchange *ex)
{
    pthread_mutex_lock(&p->lock);
    ex->next = NULL;
    *p->last = ex;
    p->last = &ex->next;
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
}

enum status workers_start(struct http_server *s, struct error *err)
{
    struct worker_pool *p = calloc(1, sizeof(*p) + s->worker_count * sizeof(p->threads[0]));
    if (p == NULL)
        return error_nomem(err);
    p->server = s;
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    s->workers = p;

    for (; p->count < s->worker_count; p->count++) {
        int e = pthread_create(&p->threads[p->count], NULL, worker_main, p);
        if (e != 0) {
            workers_stop(s);
            return error_errno(err, e, "could not start a worker thread");
        }
    }
    return OK;
}

void workers_stop(struct http_server *s)
{
    struct worker_pool *p = s->workers;
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->count; i++)
        pthread_join(p->threads[i], NULL);

    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
    s->workers = NULL;
}

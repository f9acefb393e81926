#include "attestation/deny_watch.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

struct deny_watch {
    char *path;
    pthread_mutex_t lock; /* guards the list's pointer only */
    struct deny_list *list;
    /* of the one thread that refreshes */
    struct file_state seen;
    struct error last; /* of the state that was seen */
    enum status status;
    bool looked;
    int64_t noticed_s;
};

STATUS deny_watch_new(struct str path, struct deny_watch **out, struct error *err)
{
    struct deny_watch *w = calloc(1, sizeof(*w));
    char *copy = strndup(path.ptr, path.len);
    if (w == NULL || copy == NULL) {
        free(w);
        free(copy);
        return error_nomem(err);
    }
    pthread_mutex_init(&w->lock, NULL);
    w->path = copy;
    *out = w;
    return OK;
}

struct deny_watch *deny_watch_free(struct deny_watch *w)
{
    if (w == NULL)
        return NULL;
    deny_list_unref(w->list);
    pthread_mutex_destroy(&w->lock);
    free(w->path);
    free(w);
    return NULL;
}

static void PRINTF_LIKE(3, 4)
    say(void (*warn)(void *, const char *), void *user, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (warn != NULL)
        warn(user, text);
}

static void notice_ends(struct deny_watch *w, int64_t now_s, void (*warn)(void *, const char *),
                        void *user)
{
    size_t n = w->list == NULL ? 0 : deny_list_ended(w->list, w->noticed_s, now_s);
    if (n > 0)
        say(warn, user, "%zu entries of the deny list \"%s\" have expired and refuse nothing", n,
            w->path);
    w->noticed_s = now_s;
}

STATUS deny_watch_refresh(struct deny_watch *w, int64_t now_s,
                          void (*warn)(void *user, const char *text), void *user, struct error *err)
{
    struct file_state state;
    file_state_get(w->path, &state);
    if (w->looked && file_state_equal(&state, &w->seen)) {
        notice_ends(w, now_s, warn, user);
        if (w->status != OK && err != NULL)
            *err = w->last;
        return w->status;
    }

    struct deny_list *list = NULL;
    w->last = (struct error)ERROR_INIT;
    w->status = deny_list_load(w->path, &list, &w->last);
    w->seen = state;
    /* What may pass (memory, I/O) is tried again. */
    w->looked = w->status != ERR_NOMEM && w->status != ERR_IO;
    if (w->status != OK) {
        if (err != NULL)
            *err = w->last;
        return w->status;
    }
    say(warn, user, "%zu entries in the deny list \"%s\"", deny_list_len(list), w->path);
    pthread_mutex_lock(&w->lock);
    struct deny_list *old = w->list;
    w->list = list;
    pthread_mutex_unlock(&w->lock);
    deny_list_unref(old);
    w->noticed_s = INT64_MIN;
    notice_ends(w, now_s, warn, user);
    return OK;
}

struct deny_list *deny_watch_get(struct deny_watch *w)
{
    if (w == NULL)
        return NULL;
    pthread_mutex_lock(&w->lock);
    struct deny_list *l = w->list == NULL ? NULL : deny_list_ref(w->list);
    pthread_mutex_unlock(&w->lock);
    return l;
}

#include "decision/decision.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/hash.h"
#include "base/random.h"
#include "value/json.h"

void decision_id_new(struct decision_id *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[DECISION_ID_LEN / 2];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out->text[2 * i] = digits[bytes[i] >> 4];
        out->text[2 * i + 1] = digits[bytes[i] & 15];
    }
    out->text[DECISION_ID_LEN] = '\0';
}

bool decision_id_is_valid(struct str s)
{
    if (s.len != DECISION_ID_LEN)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
    return true;
}

void decision_init(struct decision *d, enum decision_kind kind, int64_t now_s)
{
    *d = (struct decision){
        .kind = kind,
        .time_s = now_s,
        .rules = VALUE_UNDEFINED,
        .held = VALUE_UNDEFINED,
        .expired = VALUE_UNDEFINED,
        .change = VALUE_UNDEFINED,
        .examples = VALUE_UNDEFINED,
        .path = STR_EMPTY,
        .cause = STR_EMPTY,
        .anchors = VALUE_UNDEFINED,
        .status = STR_EMPTY,
        .notes = VALUE_UNDEFINED,
    };
    decision_id_new(&d->id);
}

static void member(struct json_writer *w, const char *key, value v)
{
    if (!value_is_defined(v))
        return;
    json_key(w, key);
    json_value(w, v);
}

static void write_checks(struct json_writer *w, const struct checks *c)
{
    json_key(w, "checks");
    json_array_begin(w);
    for (size_t i = 0; c != NULL && i < c->len; i++)
        if (c->items[i].outcome != CHECK_SKIPPED)
            json_cstring(w, check_name(c->items[i].id));
    json_array_end(w);
    if (c == NULL || c->reason.check == CHECK_NONE)
        return;

    json_key(w, "check");
    json_cstring(w, check_name(c->reason.check));
    json_key(w, "field");
    json_string(w, c->reason.field);
    member(w, "expected", c->reason.expected);
    member(w, "actual", c->reason.actual);
    json_key(w, "message");
    json_string(w, c->reason.message);
}

enum status decision_write(const struct decision *d, struct buf *out)
{
    static const char *const kinds[] = {"attestation", "resource", "admin"};
    char when[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(d->time_s, when);

    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "id");
    json_cstring(&w, d->id.text);
    json_key(&w, "time");
    json_cstring(&w, when);
    json_key(&w, "kind");
    json_cstring(&w, kinds[d->kind]);
    json_key(&w, "outcome");
    json_cstring(&w, d->granted ? "granted" : "denied");
    if (d->path.len > 0) {
        json_key(&w, "path");
        json_string(&w, d->path);
    }
    if (d->status.len > 0) {
        json_key(&w, "status");
        json_string(&w, d->status);
    }
    write_checks(&w, d->checks);
    member(&w, "rules", d->rules);
    member(&w, "held", d->held);
    member(&w, "expired", d->expired);
    member(&w, "change", d->change);
    member(&w, "examples", d->examples);
    if (d->cause.len > 0) {
        json_key(&w, "cause");
        json_string(&w, d->cause);
    }
    member(&w, "anchors", d->anchors);
    member(&w, "notes", d->notes);
    json_object_end(&w);
    return json_finish(&w);
}

/* ---- the ring ---- */

enum queue_kind { QUEUE_DENIED, QUEUE_GRANTED, QUEUE_UNVERIFIED, QUEUE_ANONYMOUS, QUEUE_COUNT };

struct entry {
    struct entry *next;      /* younger entry of the same queue */
    struct entry *hash_next; /* same slot of the table */
    uint32_t len;
    char id[DECISION_ID_LEN];
    char json[];
};

struct queue {
    struct entry *oldest, *youngest;
    size_t bytes, max;
};

#define SLOTS 4096

struct decision_ring {
    pthread_mutex_t lock;
    struct queue queues[QUEUE_COUNT];
    struct entry *slots[SLOTS];
};

enum status decision_ring_new(size_t max, struct decision_ring **out, struct error *err)
{
    struct decision_ring *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return error_nomem(err);
    if (max < DECISION_RING_MIN)
        max = DECISION_RING_MIN;
    pthread_mutex_init(&r->lock, NULL);
    /* Of 8 MiB: grants and refused evidence 1 MiB each, requests without a token 256 KiB. */
    r->queues[QUEUE_GRANTED].max = max / 8;
    r->queues[QUEUE_UNVERIFIED].max = max / 8;
    r->queues[QUEUE_ANONYMOUS].max = max / 32;
    r->queues[QUEUE_DENIED].max = max - 2 * (max / 8) - max / 32;
    *out = r;
    return OK;
}

static size_t slot_of(const char *id)
{
    return hash_bytes(id, DECISION_ID_LEN, 0) % SLOTS;
}

static size_t entry_size(const struct entry *e)
{
    return sizeof(*e) + e->len;
}

static void drop_oldest(struct decision_ring *r, struct queue *q)
{
    struct entry *e = q->oldest;
    struct entry **at = &r->slots[slot_of(e->id)];
    while (*at != e)
        at = &(*at)->hash_next;
    *at = e->hash_next;

    q->oldest = e->next;
    if (q->oldest == NULL)
        q->youngest = NULL;
    q->bytes -= entry_size(e);
    free(e);
}

struct decision_ring *decision_ring_free(struct decision_ring *r)
{
    if (r == NULL)
        return NULL;
    for (size_t i = 0; i < QUEUE_COUNT; i++)
        while (r->queues[i].oldest != NULL)
            drop_oldest(r, &r->queues[i]);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return NULL;
}

/* What is too large is told without the rules: the check, the change and the id matter more. */
static bool write_what_fits(const struct decision *d, struct buf *json)
{
    if (decision_write(d, json) == OK)
        return true;
    struct decision less = *d;
    less.held = VALUE_UNDEFINED;
    for (int i = 0; i < 2; i++) {
        size_t max = json->max;
        buf_done(json);
        buf_init(json, max);
        if (decision_write(&less, json) == OK)
            return true;
        less.rules = VALUE_UNDEFINED;
    }
    return false;
}

void decision_ring_put(struct decision_ring *r, const struct decision *d)
{
    enum queue_kind kind = d->anonymous    ? QUEUE_ANONYMOUS
                           : d->unverified ? QUEUE_UNVERIFIED
                           : d->granted    ? QUEUE_GRANTED
                                           : QUEUE_DENIED;
    struct queue *q = &r->queues[kind];

    CLEANUP(buf_done) struct buf json;
    buf_init(&json, q->max / 4);
    if (!write_what_fits(d, &json))
        return;
    struct entry *e = malloc(sizeof(*e) + json.len);
    if (e == NULL)
        return;
    e->next = NULL;
    e->len = (uint32_t)json.len;
    memcpy(e->id, d->id.text, DECISION_ID_LEN);
    memcpy(e->json, json.ptr, json.len);

    pthread_mutex_lock(&r->lock);
    while (q->oldest != NULL && q->bytes + entry_size(e) > q->max)
        drop_oldest(r, q);
    if (q->youngest == NULL)
        q->oldest = e;
    else
        q->youngest->next = e;
    q->youngest = e;
    q->bytes += entry_size(e);
    size_t slot = slot_of(e->id);
    e->hash_next = r->slots[slot];
    r->slots[slot] = e;
    pthread_mutex_unlock(&r->lock);
}

bool decision_ring_get(struct decision_ring *r, struct str id, struct buf *out)
{
    if (!decision_id_is_valid(id))
        return false;
    pthread_mutex_lock(&r->lock);
    struct entry *e = r->slots[slot_of(id.ptr)];
    while (e != NULL && memcmp(e->id, id.ptr, DECISION_ID_LEN) != 0)
        e = e->hash_next;
    if (e != NULL)
        buf_add(out, (struct str){e->json, e->len});
    pthread_mutex_unlock(&r->lock);
    return e != NULL;
}

size_t decision_ring_bytes(struct decision_ring *r)
{
    size_t n = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < QUEUE_COUNT; i++)
        n += r->queues[i].bytes;
    pthread_mutex_unlock(&r->lock);
    return n;
}

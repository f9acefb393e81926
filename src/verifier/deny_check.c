#include "verifier/deny_check.h"

#include <stdio.h>

bool deny_facts_init(struct deny_facts *f, struct verify *v, const char *tee)
{
    *f = (struct deny_facts){.v = v, .tee = tee};
    if (v->req->deny != NULL)
        return true;
    check_skipped(v->checks, CHECK_KILL_SWITCH, "verifier_config.deny_list is not set");
    return false;
}

static void add(struct deny_facts *f, enum deny_kind kind, struct deny_fact fact)
{
    struct deny_fact *p = arena_new(f->v->a, struct deny_fact);
    if (p == NULL)
        return; /* deny_check() asks the arena */
    *p = fact;
    if (f->last[kind] == NULL)
        f->first[kind] = p;
    else
        f->last[kind]->next = p;
    f->last[kind] = p;
}

void deny_add_bytes(struct deny_facts *f, enum deny_kind kind, const char *base, const char *rest,
                    struct str bytes)
{
    if (bytes.len > 0)
        add(f, kind, (struct deny_fact){.bytes = bytes, .base = base, .rest = rest});
}

void deny_add_number(struct deny_facts *f, enum deny_kind kind, const char *base, const char *rest,
                     uint64_t n)
{
    add(f, kind, (struct deny_fact){.number = n, .base = base, .rest = rest});
}

void deny_add_tcb(struct deny_facts *f, unsigned component, const char *base, const char *rest,
                  uint64_t n)
{
    add(f, DENY_TCB,
        (struct deny_fact){.number = n, .component = component, .base = base, .rest = rest});
}

void deny_add_key(struct deny_facts *f, const char *base, const char *rest,
                  const struct pubkey *key)
{
    struct digest d;
    if (pubkey_fingerprint(key, &d) == OK)
        deny_add_bytes(f, DENY_SIGNING_KEY, base, rest, arena_str(f->v->a, digest_str(&d)));
    else
        f->failed = true;
}

/* The shorter one, then zeros: Turin's chip ids have 8 bytes of the 64 that a report has. */
static bool same_chip(struct str a, struct str b)
{
    struct str shorter = a.len < b.len ? a : b, longer = a.len < b.len ? b : a;
    if (memcmp(shorter.ptr, longer.ptr, shorter.len) != 0)
        return false;
    for (size_t i = shorter.len; i < longer.len; i++)
        if (longer.ptr[i] != 0)
            return false;
    return true;
}

static bool fits(const struct deny_entry *e, enum deny_kind kind, const struct deny_fact *fact)
{
    switch (kind) {
    case DENY_CHIP_ID:
        return same_chip(e->bytes[kind], fact->bytes);
    case DENY_SIGNING_KEY:
    case DENY_ADVISORY:
    case DENY_FMSPC:
        return str_equal(e->bytes[kind], fact->bytes);
    case DENY_TCB:
        return e->component == fact->component &&
               (e->below ? fact->number < e->number[kind] : fact->number == e->number[kind]);
    default:
        return e->number[kind] == fact->number;
    }
}

/* What every criterion of the entry found, or false. */
static bool holds(const struct deny_facts *f, const struct deny_entry *e,
                  const struct deny_fact *found[DENY_KINDS])
{
    if (e->tee.len > 0 && !str_is(e->tee, f->tee))
        return false;
    for (unsigned kind = 0; kind < DENY_KINDS; kind++) {
        found[kind] = NULL;
        if ((e->kinds >> kind & 1) == 0)
            continue;
        const struct deny_fact *fact = f->first[kind];
        while (fact != NULL && !fits(e, (enum deny_kind)kind, fact))
            fact = fact->next;
        if (fact == NULL)
            return false;
        found[kind] = fact;
    }
    return true;
}

static value side(struct deny_facts *f, enum deny_kind kind, const struct deny_fact *fact)
{
    struct checks *c = f->v->checks;
    if (c == NULL)
        return VALUE_UNDEFINED;
    if (kind == DENY_ADVISORY)
        return value_string(c->arena, fact->bytes);
    return fact->bytes.len > 0 ? check_hex(c, fact->bytes) : value_uint(c->arena, fact->number);
}

/* {"not": X} or {"at_least": N}: what the field would have to be. */
static value wanted(struct deny_facts *f, enum deny_kind kind, const struct deny_entry *e,
                    value actual)
{
    struct checks *c = f->v->checks;
    if (c == NULL)
        return VALUE_UNDEFINED;
    struct value_builder b;
    value_builder_init(&b, c->arena, 1);
    if (kind == DENY_TCB && e->below)
        value_builder_put_str(&b, "at_least", value_uint(c->arena, e->number[kind]));
    else
        value_builder_put_str(&b, "not", actual);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static enum status refuse(struct deny_facts *f, size_t i, const struct deny_entry *e,
                          const struct deny_fact *found[DENY_KINDS])
{
    struct verify *v = f->v;
    unsigned kind = 0;
    while (found[kind] == NULL) /* an entry has a criterion: the parser saw to it */
        kind++;
    value actual = side(f, (enum deny_kind)kind, found[kind]);
    enum status st =
        FAIL(v, CHECK_KILL_SWITCH, verify_field(v, found[kind]->base, found[kind]->rest),
             wanted(f, (enum deny_kind)kind, e, actual), actual,
             "entry %zu of the deny list refuses it until %s: %s", i + 1, QUOTED(e->expires),
             QUOTED(e->reason));
    /* The reason is the operator's; a guest is told that there is one. */
    error_set(v->err, "refused by the deny list");
    return st;
}

STATUS deny_check(struct deny_facts *f)
{
    struct verify *v = f->v;
    if (f->failed || arena_status(v->a) != OK)
        return error_nomem(v->err);
    size_t n;
    const struct deny_entry *entries = deny_list_entries(v->req->deny, &n);
    for (size_t i = 0; i < n; i++) {
        const struct deny_fact *found[DENY_KINDS];
        if (v->req->now_s < entries[i].expires_s && holds(f, &entries[i], found))
            return refuse(f, i, &entries[i], found);
    }
    PASS(v, CHECK_KILL_SWITCH);
    return OK;
}

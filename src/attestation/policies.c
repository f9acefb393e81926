#include "attestation/attestation_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "rego/builtin.h"

#define SUFFIX ".rego"
#define POLICY_TEXT_MAX (1024 * 1024)            /* as upstream's engine, 7.7 */
#define POLICY_SET_MEMORY_MAX (64 * 1024 * 1024) /* texts and ids of all policies */
#define POLICIES_MAX 4096
#define POLICY_COMPILE_SECONDS 10

static const struct rego_host_function host_functions[] = {
    {"query_reference_value", "(string) any", REGO_PURE, query_reference_value},
};

/* ---- one policy ---- */

static bool has_rule(const struct rego_policy *p, const char *name)
{
    char path[64];
    int n = snprintf(path, sizeof(path), "data.policy.%s", name);
    return n > 0 && (size_t)n < sizeof(path) && rego_policy_has_rule(p, str_of(path));
}

/* Partial rules with constant keys, `trust_claims["hardware"] := 2 if ...` (7.4). */
static bool has_member_rule(const struct rego_policy *p, const char *object)
{
    char path[96];
    for (int i = 0; i < TRUST_CLAIMS; i++) {
        bool plain = strchr(trust_claim_names[i], '-') == NULL;
        int n = snprintf(path, sizeof(path), plain ? "data.policy.%s.%s" : "data.policy.%s[\"%s\"]",
                         object, trust_claim_names[i]);
        if (n > 0 && (size_t)n < sizeof(path) && rego_policy_has_rule(p, str_of(path)))
            return true;
    }
    return false;
}

/* S4 */
static void classify(struct policy *p)
{
    if (has_rule(p->rego, "trust_claims") || has_member_rule(p->rego, "trust_claims")) {
        p->kind = POLICY_TRUST_CLAIMS;
        p->extensions = has_rule(p->rego, "extensions");
    } else if (has_rule(p->rego, "result") || has_member_rule(p->rego, "result")) {
        p->kind = POLICY_RESULT;
    } else {
        for (int i = 0; i < TRUST_CLAIMS; i++)
            if (has_rule(p->rego, trust_claim_rules[i]))
                p->rules |= (uint8_t)(1u << i);
        p->kind = p->rules != 0 ? POLICY_RULES : POLICY_NOTHING;
    }
    p->allow = has_rule(p->rego, "allow");
    p->reads_data = rego_policy_reads_data(p->rego);
}

/* data.reference.<name>, each name once. */
struct names {
    struct arena *a;
    struct str *items;
    size_t len, cap;
};

static void add_name(void *user, const struct str *path, size_t len)
{
    struct names *n = user;
    if (len < 2 || path[0].ptr == NULL || !str_is(path[0], "reference") || path[1].ptr == NULL)
        return;
    for (size_t i = 0; i < n->len; i++)
        if (str_equal(n->items[i], path[1]))
            return;
    if (n->len == n->cap) {
        size_t cap = n->cap == 0 ? 8 : n->cap * 2;
        struct str *items = arena_new_array(n->a, struct str, cap);
        if (items == NULL)
            return; /* the arena remembers; what is missing is a note */
        if (n->len > 0)
            memcpy(items, n->items, n->len * sizeof(*items));
        n->items = items;
        n->cap = cap;
    }
    n->items[n->len++] = path[1]; /* the program's own text */
}

/* The compiler's warnings, those beyond the maximum dropped. */
struct notes {
    struct arena *a;
    struct str items[POLICY_NOTES_MAX];
    size_t len;
};

static void add_note(void *user, const struct rego_error *warning)
{
    struct notes *n = user;
    if (n->len == POLICY_NOTES_MAX)
        return;
    struct str text = arena_format(n->a, "%.*s:%u: %.*s", STR_ARG(warning->file),
                                   (unsigned)warning->row, STR_ARG(warning->message));
    if (text.ptr != NULL) /* else the arena remembers */
        n->items[n->len++] = text;
}

static void keep_notes(const struct notes *n, struct policy *p)
{
    p->notes = arena_new_array(n->a, struct str, n->len);
    p->note_count = p->notes == NULL ? 0 : n->len;
    if (p->note_count > 0)
        memcpy(p->notes, n->items, n->len * sizeof(*p->notes));
}

enum status policy_compile(struct arena *a, struct str id, struct str text, value schema,
                           struct policy *out, struct error *err)
{
    struct policy p = {.id = id, .text = text};
    struct digest d;
    digest_compute(DIGEST_SHA384, text, &d);
    memcpy(p.sha384, d.bytes, sizeof(p.sha384));

    if (!utf8_is_valid(text)) {
        error_set(err, "the policy is not UTF-8");
        return ERR_INVALID;
    }
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1_OR_V0;        /* S11 */
    options.refuse_missing_builtins = true; /* README 18 */
    options.functions = host_functions;
    options.function_count = ARRAY_LEN(host_functions);
    options.source_max = POLICY_TEXT_MAX;
    options.deadline_ns = clock_monotonic_ns() + POLICY_COMPILE_SECONDS * NS_PER_S;
    options.claim_schema = schema;
    struct notes notes = {.a = a};
    options.warn = add_note;
    options.warn_user = &notes;
    struct str file = arena_format(a, "%.*s" SUFFIX, STR_ARG(id));
    if (file.ptr == NULL)
        return error_nomem(err);
    enum status st = rego_compile_text(file, text, &options, &p.rego, err);
    if (st != OK)
        return st;
    classify(&p);
    struct names names = {.a = a};
    rego_policy_data_reads(p.rego, add_name, &names);
    p.values = names.items;
    p.value_count = names.len;
    keep_notes(&notes, &p);
    *out = p;
    return OK;
}

enum dialect policy_dialect(const struct policy *p, bool indexed)
{
    switch (p->kind) {
    case POLICY_TRUST_CLAIMS:
        return DIALECT_D;
    case POLICY_RESULT:
        return DIALECT_C;
    default:
        return indexed ? DIALECT_B : DIALECT_A;
    }
}

/* ---- sets ---- */

struct policy_set *policy_set_unref(struct policy_set *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    for (size_t i = 0; i < s->count; i++)
        rego_policy_unref(s->items[i].rego);
    arena_done(&s->arena);
    free(s);
    return NULL;
}

const struct policy *policy_set_find(const struct policy_set *s, struct str id)
{
    for (size_t i = 0; s != NULL && i < s->count; i++)
        if (str_equal(s->items[i].id, id))
            return &s->items[i];
    return NULL;
}

/* A policy of the set before in this one: the program is shared, everything else is the set's own.
 */
static enum status carry_over(struct policy_set *s, const struct policy *before, struct policy *p,
                              struct error *err)
{
    struct policy c = *before;
    c.id = arena_str(&s->arena, before->id);
    c.text = arena_str(&s->arena, before->text);
    c.why = STR_EMPTY;
    c.notes = NULL; /* told when it was loaded */
    c.note_count = 0;
    c.values = arena_new_array(&s->arena, struct str, before->value_count);
    if (c.id.ptr == NULL || c.text.ptr == NULL || (c.values == NULL && before->value_count > 0))
        return error_nomem(err);
    if (before->value_count > 0)
        memcpy(c.values, before->values, before->value_count * sizeof(*c.values));
    c.rego = rego_policy_ref(before->rego);
    *p = c;
    return OK;
}

/* Where the next policy goes; NULL: out of memory. */
static struct policy *next_place(struct policy_set *s)
{
    if (s->count == s->cap) {
        size_t cap = s->cap == 0 ? 8 : s->cap * 2;
        struct policy *items = arena_new_array(&s->arena, struct policy, cap);
        if (items == NULL)
            return NULL;
        if (s->count > 0)
            memcpy(items, s->items, s->count * sizeof(*items));
        s->items = items;
        s->cap = cap;
    }
    return &s->items[s->count];
}

static enum status load_one(struct policy_set *s, struct storage *source, struct str key,
                            const struct policy_set *before, const struct attestation_options *o,
                            value schema, struct error *err)
{
    struct str id = str_slice(key, 0, key.len - strlen(SUFFIX));
    if (policy_set_find(s, id) != NULL) /* an earlier source has it */
        return OK;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, POLICY_TEXT_MAX);
    enum status st = storage_get(source, key, &b, err);
    if (st == ERR_NOT_FOUND) /* deleted since the listing */
        return OK;
    if (st != OK && st != ERR_LIMIT)
        return st;

    struct policy *p = next_place(s);
    struct str text = arena_str(&s->arena, buf_str(&b));
    if (p == NULL || text.ptr == NULL)
        return error_nomem(err);
    const struct policy *old = policy_set_find(before, id);
    struct error why = ERROR_INIT;
    if (st == OK && old != NULL && old->rego != NULL && !old->stale && str_equal(old->text, text)) {
        st = carry_over(s, old, p, err);
        s->count += st == OK;
        return st;
    }
    if (st == OK)
        st = policy_compile(&s->arena, id, text, schema, p, &why);
    else
        error_set(&why, "the policy is longer than %d bytes", POLICY_TEXT_MAX);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK) {
        *p = (struct policy){.id = id, .text = text, .why = arena_str(&s->arena, str_of(why.text))};
        /* The one before it serves on, loudly (README 4, 19). */
        if (old != NULL && old->rego != NULL) {
            st = carry_over(s, old, p, err);
            if (st != OK)
                return st;
            p->stale = true;
        }
        warn_text(o, "policy \"%s\" does not compile%s: %s", QUOTED(id),
                  p->rego != NULL ? ", the one before it stays" : "", why.text);
    } else if (p->kind == POLICY_NOTHING && !p->allow) {
        warn_text(o, "policy \"%s\" defines no trust claim, every use of it will fail", QUOTED(id));
    }
    for (size_t i = 0; st == OK && i < p->note_count; i++)
        warn_text(o, "policy \"%s\": %.*s", QUOTED(id), STR_ARG(p->notes[i]));
    s->count++;
    return OK;
}

/* One stored key without the suffix makes a listing fail upstream; here it is passed over (4.3). */
static bool is_policy_key(struct str key)
{
    return key.len > strlen(SUFFIX) && str_has_suffix(key, STR(SUFFIX)) &&
           memchr(key.ptr, '/', key.len) == NULL;
}

static enum status load_source(struct policy_set *s, struct storage *source,
                               const struct policy_set *before, const struct attestation_options *o,
                               value schema, struct error *err)
{
    struct str *keys = NULL;
    size_t count = 0;
    enum status st = storage_list(source, &s->arena, &keys, &count, err);
    for (size_t i = 0; st == OK && i < count; i++) {
        if (!is_policy_key(keys[i]))
            continue;
        if (s->count == POLICIES_MAX) {
            error_set(err, "more than %d attestation policies", POLICIES_MAX);
            return ERR_LIMIT;
        }
        st = load_one(s, source, keys[i], before, o, schema, err);
    }
    return st;
}

/*
 * One that vanished is a broken one (README 19) where a built-in policy would
 * take its place at once: that may affirm what it did not.
 */
static enum status keep_vanished(struct policy_set *s, const struct policy_set *before,
                                 const struct attestation_options *o, struct error *err)
{
    for (size_t i = 0; before != NULL && i < before->count; i++) {
        const struct policy *old = &before->items[i];
        if (old->rego == NULL || !str_has_prefix(old->id, STR("default")) ||
            policy_set_find(s, old->id) != NULL || s->count == POLICIES_MAX)
            continue;
        struct policy *p = next_place(s);
        enum status st = p == NULL ? error_nomem(err) : carry_over(s, old, p, err);
        if (st != OK)
            return st;
        p->stale = true;
        s->count++;
        warn_text(o, "policy \"%s\" has vanished, the one before it stays until a restart",
                  QUOTED(old->id));
    }
    return OK;
}

enum status policy_set_load(struct storage *const *sources, size_t n,
                            const struct policy_set *before, const struct attestation_options *o,
                            value schema, struct policy_set **out, struct error *err)
{
    CLEANUP(policy_set_cleanup) struct policy_set *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, POLICY_SET_MEMORY_MAX);

    for (size_t i = 0; i < n; i++) {
        enum status st = load_source(s, sources[i], before, o, schema, err);
        if (st != OK)
            return st;
    }
    enum status st = keep_vanished(s, before, o, err);
    if (st != OK)
        return st;
    s->readable = true;
    const struct str details = STR(DETAILS_KEY);
    for (size_t i = 0; i < s->count; i++)
        s->reads_details |=
            s->items[i].rego != NULL && rego_policy_may_read_input(s->items[i].rego, &details, 1);
    *out = TAKE(s);
    return OK;
}

/* ---- lookup (S3) ---- */

const struct policy *policy_lookup(const struct attestation_service *s,
                                   const struct policy_set *set, struct str id,
                                   const char *tee_class, bool *indexed)
{
    char text[300];
    int n = snprintf(text, sizeof(text), "%.*s_%s", STR_ARG(id), tee_class);
    if (n < 0 || (size_t)n >= sizeof(text))
        return NULL;
    *indexed = true;
    const struct policy *p = policy_set_find(set, str_of(text));
    if (p != NULL)
        return p;

    bool cpu = strcmp(tee_class, "cpu") == 0;
    if (cpu) {
        p = policy_set_find(set, id);
        if (p != NULL) {
            *indexed = false;
            return p;
        }
    }
    for (size_t i = 0; i < s->builtin_count; i++) {
        const struct policy *b = &s->builtins[i];
        if (str_is(b->id, text) || (cpu && str_equal(b->id, id))) {
            *indexed = str_is(b->id, text);
            return b;
        }
    }
    return NULL;
}

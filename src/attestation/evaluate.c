#include "attestation/attestation_internal.h"

#include <stdio.h>

#include "base/encode.h"
#include "value/json.h"

#define REQUESTS_MAX 64
#define APPRAISALS_MAX 1024
#define SUBMOD_NAME_MAX 80
#define COLLATERAL_ROUNDS_MAX 8 /* a request has a few pieces of evidence, each with its needs */

/* What one call pins, so that all its appraisals see one state. */
struct call {
    struct attestation_service *s;
    struct arena *a;
    struct policy_set *policies; /* borrowed from whoever pinned it */
    struct rvps_snapshot *values;
    struct rego_ctx *ctx;
    int64_t now_s;
    struct str policy_id;
    struct checks *checks;
    struct value_builder notes;
};

static void call_done(struct call *c)
{
    if (c->ctx != NULL)
        service_context_put(c->s, c->ctx);
    rvps_snapshot_unref(c->values);
}

static enum status call_init(struct call *c, struct attestation_service *s,
                             struct policy_set *policies, struct arena *a,
                             const struct str *policy_ids, size_t n_ids, int64_t now_s,
                             struct checks *checks, struct error *err)
{
    *c = (struct call){.s = s, .a = a, .now_s = now_s, .checks = checks};
    value_builder_init(&c->notes, a, 0);
    c->policies = policies;
    c->values = rvps_snapshot_get(s->config.rvps);
    c->ctx = service_context_get(s);
    c->policy_id = n_ids > 0 ? policy_ids[0] : STR("default"); /* EAR looks at the first only */
    return c->ctx != NULL ? OK : error_nomem(err);
}

/* ---- one appraisal (6.6) ---- */

/* README 3; those that did not count any more are in the explanation. */
static void note_expiring(struct call *c, const struct reference_view *view)
{
    for (size_t i = 0; i < view->expiring_count; i++) {
        const struct reference_value *v = view->expiring[i];
        bool past = c->now_s > v->expires_s;
        if (past && rvps_enforces_expiration(c->values))
            continue;
        struct str text =
            arena_format(c->a, "reference value \"%s\" %s %.*s", QUOTED(v->name),
                         past ? "expired at" : "expires soon, at", STR_ARG(v->expires));
        if (text.ptr != NULL)
            value_builder_add(&c->notes, value_string(c->a, text));
    }
}

static enum status fail(struct call *c, enum check_id check, enum status st, struct error *err,
                        struct error *own)
{
    if (st == ERR_NOMEM || st == ERR_LIMIT) {
        if (err != NULL)
            *err = *own;
        return st;
    }
    return check_failed(c->checks, err, check, "", VALUE_UNDEFINED, VALUE_UNDEFINED, "%s",
                        own->text);
}

static enum status appraise(struct call *c, const struct evidence_claims *e, struct appraisal *out,
                            struct error *err)
{
    struct attestation_service *s = c->s;
    enum era era = s->options.era;
    bool indexed = false;
    const struct policy *p = policy_lookup(s, c->policies, c->policy_id, e->tee_class, &indexed);
    if (p == NULL)
        return check_failed(c->checks, err, CHECK_POLICY_LOOKUP, "", VALUE_UNDEFINED,
                            VALUE_UNDEFINED, "policy not found: \"%s_%s\"", QUOTED(c->policy_id),
                            e->tee_class);
    check_passed(c->checks, CHECK_POLICY_LOOKUP);

    struct error own = ERROR_INIT;
    enum dialect dialect = policy_dialect(p, indexed);
    enum status st = claims_build(c->a, e, dialect, claims_key(e->verifier, era),
                                  s->config.verbose_token, &out->evidence, &own);
    if (st != OK)
        return fail(c, CHECK_EVIDENCE_FORMAT, st, err, &own);

    enum check_id check = CHECK_POLICY_ERROR;
    value input = claims_for_policy(c->a, e, era, out->evidence);
    struct reference_view view = {c->values, c->now_s, VALUE_UNDEFINED, {NULL}, 0};
    st = policy_evaluate(c->ctx, c->a, p, input, &view, NULL, &out->outcome, &check, &own);
    if (st != OK)
        return fail(c, check, st, err, &own);
    note_expiring(c, &view);
    check_passed(c->checks, CHECK_TRUST_CLAIMS);
    out->tier = trust_vector_tier(&out->outcome.vector);
    out->source = e;
    out->policy = p;
    return OK;
}

/* S9: class and counter, but "cpu" alone for the first cpu of an old-era token. */
static value submod_name(struct call *c, const char *tee_class, size_t counter, bool plain)
{
    char text[SUBMOD_NAME_MAX];
    if (plain && counter == 0 && strcmp(tee_class, "cpu") == 0)
        return value_cstring(c->a, "cpu");
    snprintf(text, sizeof(text), "%s%zu", tee_class, counter);
    return value_cstring(c->a, text);
}

/* ---- the payload (8.2, 8.3) ---- */

static value appraisal_value(struct call *c, const struct appraisal *ap)
{
    struct value_builder b, v;
    value_builder_init(&v, c->a, TRUST_CLAIMS);
    for (int i = 0; i < TRUST_CLAIMS; i++)
        if (ap->outcome.vector.set >> i & 1)
            value_builder_put_str(&v, trust_claim_names[i],
                                  value_int(c->a, ap->outcome.vector.claim[i]));

    value_builder_init(&b, c->a, 4 + value_len(ap->outcome.extensions));
    value_builder_put_str(&b, "ear.status", value_cstring(c->a, tier_name(ap->tier)));
    value_builder_put_str(&b, "ear.trustworthiness-vector",
                          value_object_finish(&v, VALUE_DUP_LAST, NULL));
    value_builder_put_str(&b, "ear.appraisal-policy-id", value_string(c->a, c->policy_id));
    value_builder_put_str(&b, "ear.veraison.annotated-evidence", ap->evidence);
    for (size_t i = 0; i < value_len(ap->outcome.extensions); i++)
        value_builder_put(&b, value_pairs(ap->outcome.extensions)[i].key,
                          value_pairs(ap->outcome.extensions)[i].val);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value submods_value(struct call *c, const struct appraisal *appraisals, size_t n)
{
    enum submod_naming naming = c->s->options.naming;
    struct value_builder b;
    value_builder_init(&b, c->a, n + 1);
    for (size_t i = 0; i < n; i++) {
        const char *tee_class = appraisals[i].source->tee_class;
        size_t counter = 0;
        for (size_t k = 0; k < i; k++)
            counter += strcmp(appraisals[k].source->tee_class, tee_class) == 0;
        value one = appraisal_value(c, &appraisals[i]);
        value_builder_put(&b, submod_name(c, tee_class, counter, naming != SUBMOD_INDEXED), one);
        if (naming == SUBMOD_BOTH)
            value_builder_put(&b, submod_name(c, tee_class, counter, false), one);
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value payload_value(struct call *c, const struct appraisal *appraisals, size_t n)
{
    const struct as_config *config = &c->s->config;
    struct value_builder b, v;
    value_builder_init(&v, c->a, 2);
    value_builder_put_str(&v, "developer", value_string(c->a, config->developer));
    value_builder_put_str(&v, "build", value_string(c->a, config->build));
    value_builder_init(&b, c->a, 6);
    value_builder_put_str(&b, "eat_profile", value_string(c->a, config->profile));
    value_builder_put_str(&b, "iat", value_int(c->a, c->now_s));
    value_builder_put_str(&b, "ear.verifier-id", value_object_finish(&v, VALUE_DUP_LAST, NULL));
    value_builder_put_str(&b, "submods", submods_value(c, appraisals, n));
    value_builder_put_str(&b, "exp", value_int(c->a, c->now_s + config->duration_s));
    if (c->s->options.era == ERA_NEW) /* README 1: v0.21 and later only */
        value_builder_put_str(&b, "iss", value_string(c->a, config->issuer));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* ---- why (explain.h) ---- */

struct subject {
    struct call *call;
    const struct appraisal *appraisal;
};

/* The claim that a rule of dialect A or B makes, and by custom one of D: good as it is? */
static bool is_good(const struct trust_vector *v, struct str rule)
{
    static const struct str package = {"data.policy.", 12};
    struct str name = str_from(rule, package.len);
    for (int i = 0; str_has_prefix(rule, package) && i < TRUST_CLAIMS; i++)
        if (str_is(name, trust_claim_rules[i]))
            return (v->set >> i & 1) != 0 && trust_claim_tier(v->claim[i]) <= TIER_AFFIRMING;
    return false;
}

/* Bodies that did not hold beside one that did are no reason for anything. */
static void drop_good(struct arena *a, const struct trust_vector *v, struct rego_trace *trace)
{
    struct rego_trace_rule *kept = arena_new_array(a, struct rego_trace_rule, trace->len);
    size_t n = 0;
    for (size_t i = 0; kept != NULL && i < trace->len; i++)
        if (trace->items[i].held || !is_good(v, trace->items[i].rule))
            kept[n++] = trace->items[i];
    if (kept != NULL)
        *trace = (struct rego_trace){kept, n};
}

static bool passes(void *user, struct arena *a, value input, value data, value references,
                   struct rego_trace *trace)
{
    struct subject *s = user;
    struct call *c = s->call;
    struct policy_outcome outcome;
    enum check_id check;
    struct reference_view view = {NULL, c->now_s, references, {NULL}, 0};
    value whole = claims_for_policy(a, s->appraisal->source, c->s->options.era, input);
    if (!value_is_defined(whole) || policy_evaluate(c->ctx, a, s->appraisal->policy, whole, &view,
                                                    trace, &outcome, &check, NULL) != OK)
        return false;
    drop_good(a, &outcome.vector, trace);
    return trust_vector_tier(&outcome.vector) == TIER_AFFIRMING;
}

static enum status explain_anew(struct call *c, const struct appraisal *ap, struct explanation *out,
                                struct error *err)
{
    const struct verifier *v = ap->source->verifier;
    struct explain_alias alias = {STR_EMPTY, STR_EMPTY};
    if (v->old_tee != NULL) {
        const char *here = claims_key(v, c->s->options.era);
        alias.alias = arena_format(c->a, "/input/%s", here == v->tee ? v->old_tee : v->tee);
        alias.real = arena_format(c->a, "/input/%s", here);
        if (alias.alias.ptr == NULL || alias.real.ptr == NULL)
            return error_nomem(err);
    }
    value references = VALUE_EMPTY_OBJECT(c->a);
    if (c->values != NULL)
        references = rvps_all(c->values, c->now_s);
    struct str results[TRUST_CLAIMS];
    for (size_t i = 0; i < TRUST_CLAIMS; i++) {
        results[i] = arena_format(c->a, "data.policy.%s", trust_claim_rules[i]);
        if (results[i].ptr == NULL)
            return error_nomem(err);
    }
    struct subject user = {c, ap};
    struct explain_subject subject = {
        .results = results,
        .result_count = TRUST_CLAIMS,
        .passes = passes,
        .user = &user,
        .input = ap->evidence,
        .data = VALUE_EMPTY_OBJECT(c->a),
        .references = references,
        .aliases = &alias,
        .alias_count = v->old_tee != NULL ? 1 : 0,
        .reference_values = c->values,
        .now_s = c->now_s,
    };
    return explain(c->a, &subject, out, err);
}

/* The same machine in the same state is explained once (explain_cache.h). */
static enum status explain_appraisal(struct call *c, const struct appraisal *ap,
                                     struct explanation *out, struct error *err)
{
    struct str salt = arena_format(c->a, "%.*s %s %d", STR_ARG(ap->policy->id),
                                   ap->source->verifier->tee, (int)c->s->options.era);
    struct explain_key key;
    value seen = ap->evidence;
    if (rego_policy_may_read_input(ap->policy->rego, &STR(DETAILS_KEY), 1))
        seen = claims_with_details(c->a, ap->source, seen);
    bool kept = salt.ptr != NULL && value_is_defined(seen) &&
                explain_key_make(&key, c->a, ap->policy->rego,
                                 str_bytes(ap->policy->sha384, sizeof(ap->policy->sha384)), salt,
                                 seen, c->values, c->now_s);
    if (kept && explain_cache_get(c->s->explanations, &key, c->a, out))
        return OK;
    enum status st = explain_anew(c, ap, out, err);
    if (st == OK && kept)
        explain_cache_put(c->s->explanations, &key, out);
    return st;
}

/* The worst appraisal is explained; its reason goes to the recorder though a token is issued. */
static enum status explain_worst(struct call *c, const struct appraisal *appraisals, size_t n,
                                 struct attestation_result *out, struct error *err)
{
    const struct appraisal *worst = &appraisals[0];
    for (size_t i = 1; i < n; i++)
        if (worst->tier == TIER_AFFIRMING || appraisals[i].tier > worst->tier)
            worst = &appraisals[i];
    enum status st = explain_appraisal(c, worst, &out->why, err);
    if (st != OK)
        return st;

    const struct explanation *e = &out->why;
    struct str field = arena_str(c->a, e->field);
    status_ignore(check_failed(c->checks, NULL, e->check == CHECK_NONE ? CHECK_POLICY : e->check,
                               field.ptr == NULL ? "" : field.ptr, e->expected, e->actual,
                               "attestation policy \"%s\" gives the status %s",
                               QUOTED(worst->policy->id), tier_name(worst->tier)));
    return OK;
}

/* ---- README 12: PCRs mean something only under a paravisor that somebody compares ---- */

bool policy_pins_paravisor(const struct policy *p, const struct verifier *v)
{
    static const char *const where[][4] = {
        {"az-snp-vtpm", "measurement", NULL},
        {"az-tdx-vtpm", "quote", "body", "mr_td"},
    };
    if (p->rego == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(where); i++) {
        if (strcmp(where[i][0], v->tee) != 0)
            continue;
        struct str path[4];
        size_t n = 1;
        for (; n < 4 && where[i][n] != NULL; n++)
            path[n] = str_of(where[i][n]);
        path[0] = str_of(v->tee);
        if (rego_policy_may_read_input(p->rego, path, n))
            return true;
        path[0] = str_of(v->old_tee);
        return rego_policy_may_read_input(p->rego, path, n);
    }
    return true;
}

static enum tier worst_tier(const struct appraisal *appraisals, size_t n)
{
    enum tier worst = appraisals[0].tier;
    bool all = worst == TIER_AFFIRMING;
    for (size_t i = 1; i < n; i++) {
        all = all && appraisals[i].tier == TIER_AFFIRMING;
        if (appraisals[i].tier > worst)
            worst = appraisals[i].tier;
    }
    /* A `none` beside an affirming one is no affirmation of the whole. */
    return worst == TIER_AFFIRMING && !all ? TIER_NONE : worst;
}

static enum status appraise_all(struct call *c, const struct evidence_claims *claims, size_t n,
                                bool explain, struct attestation_result *out, struct error *err)
{
    struct appraisal *appraisals = arena_new_array(c->a, struct appraisal, n);
    if (appraisals == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < n; i++) {
        enum status st = appraise(c, &claims[i], &appraisals[i], err);
        if (st != OK)
            return st;
        if (claims[i].unpinned_paravisor &&
            !policy_pins_paravisor(appraisals[i].policy, claims[i].verifier))
            out->unpinned_paravisor = true;
    }

    if (c->notes.len > 0) { /* each once */
        value set = value_set_finish(&c->notes);
        if (value_is_defined(set))
            out->notes = value_array(c->a, value_items(set), value_len(set));
    }
    out->claims = payload_value(c, appraisals, n);
    if (!value_is_defined(out->claims)) {
        error_set(err, "the token does not fit the memory of a request");
        return arena_status(c->a) == OK ? ERR_INTERNAL : arena_status(c->a);
    }
    enum tier worst = worst_tier(appraisals, n);
    out->status = str_of(tier_name(worst));
    out->affirming = worst == TIER_AFFIRMING;
    out->issued_s = c->now_s;
    out->expires_s = c->now_s + c->s->config.duration_s;
    enum status st = token_sign(&c->s->signer, c->a, TOKEN_EAR, out->claims, &out->token, err);
    if (st != OK)
        return st;
    check_passed(c->checks, CHECK_TOKEN_ISSUE);
    return out->affirming || !explain ? OK : explain_worst(c, appraisals, n, out, err);
}

static enum status appraise_under(struct attestation_service *s, struct policy_set *policies,
                                  struct arena *a, const struct evidence_claims *claims, size_t n,
                                  const struct str *policy_ids, size_t n_ids, int64_t now_s,
                                  bool explain, struct checks *checks,
                                  struct attestation_result *out, struct error *err)
{
    out->notes = VALUE_UNDEFINED;
    out->why = (struct explanation){.rules = VALUE_UNDEFINED,
                                    .held = VALUE_UNDEFINED,
                                    .expired = VALUE_UNDEFINED,
                                    .change = VALUE_UNDEFINED,
                                    .examples = VALUE_UNDEFINED,
                                    .expected = VALUE_UNDEFINED,
                                    .actual = VALUE_UNDEFINED};
    if (n == 0)
        return check_failed(checks, err, CHECK_EVIDENCE_FORMAT, "", VALUE_UNDEFINED,
                            VALUE_UNDEFINED, "the evidence has no claims");
    if (s->config.token == TOKEN_SIMPLE)
        return simple_appraise(s, a, claims, n, policy_ids, n_ids, now_s, checks, out, err);

    CLEANUP(call_done) struct call c;
    enum status st = call_init(&c, s, policies, a, policy_ids, n_ids, now_s, checks, err);
    if (st != OK)
        return st;
    return appraise_all(&c, claims, n, explain, out, err);
}

enum status attestation_appraise(struct attestation_service *s, struct arena *a,
                                 const struct evidence_claims *claims, size_t n,
                                 const struct str *policy_ids, size_t n_ids, int64_t now_s,
                                 bool explain, struct checks *checks,
                                 struct attestation_result *out, struct error *err)
{
    CLEANUP(policy_set_cleanup) struct policy_set *policies = service_policies(s);
    return appraise_under(s, policies, a, claims, n, policy_ids, n_ids, now_s, explain, checks, out,
                          err);
}

/* ---- requests through verifiers (6.1 to 6.4) ---- */

struct collected {
    struct evidence_claims *items; /* in the arena, doubled as they come */
    size_t len, cap;
    struct value_builder anchors;
};

static STATUS collect(struct collected *all, struct arena *a, const struct evidence_claims *item,
                      struct error *err)
{
    if (all->len == APPRAISALS_MAX) {
        error_set(err, "more than %d appraisals in one token", APPRAISALS_MAX);
        return ERR_LIMIT;
    }
    if (all->len == all->cap) {
        size_t cap = all->cap == 0 ? 4 : 2 * all->cap;
        struct evidence_claims *items = arena_alloc(a, cap * sizeof(*items));
        if (items == NULL)
            return error_nomem(err);
        if (all->len > 0)
            memcpy(items, all->items, all->len * sizeof(*items));
        all->items = items;
        all->cap = cap;
    }
    all->items[all->len++] = *item;
    return OK;
}

static enum status expected_init_data(struct arena *a, const struct attestation_request *r,
                                      struct verifier_request *v, value *claims,
                                      struct checks *checks, struct error *err)
{
    *claims = VALUE_NULL;
    v->has_init_data = r->init_kind != INIT_ABSENT;
    v->init_data = r->init_data;
    if (r->init_kind == INIT_STRUCTURED) {
        *claims = r->init_claims;
        return canonical_digest(a, r->init_claims, r->init_hash, &v->init_data, err);
    }
    if (r->init_kind != INIT_TOML)
        return OK;
    struct init_data d;
    struct error own = ERROR_INIT;
    enum status st = init_data_parse(a, r->init_data, &d, &own);
    if (st == ERR_NOMEM || st == ERR_LIMIT) {
        if (err != NULL)
            *err = own;
        return st;
    }
    if (st != OK)
        return check_failed(checks, err, CHECK_INIT_DATA_FORMAT, "", VALUE_UNDEFINED,
                            VALUE_UNDEFINED, "%s", own.text);
    check_passed(checks, CHECK_INIT_DATA_FORMAT);
    v->init_data = arena_str(a, digest_str(&d.digest));
    *claims = d.claims;
    return v->init_data.ptr != NULL ? OK : error_nomem(err);
}

static void add_anchors(struct collected *all, struct arena *a, const struct verifier_result *r)
{
    for (size_t i = 0; i < r->extra_anchor_count; i++)
        value_builder_add(&all->anchors,
                          value_string(a, hex_text(a, digest_str(&r->extra_anchors[i]))));
}

/* The verifier, with a view of the endorsements that are at hand. */
static enum status run_verifier(struct attestation_service *s, struct arena *a, struct str tee,
                                struct verifier_request *v, struct checks *checks,
                                struct verifier_result *result, struct error *err)
{
    struct collateral_view view;
    collateral_view_open(s->endorsements, v->now_s, &view);
    v->collateral = &view.face;
    enum status st = verifier_run(a, tee, v, checks, result, err);
    v->collateral = NULL;
    collateral_view_close(&view, st == OK);
    return st;
}

static enum status verify(struct attestation_service *s, struct arena *a,
                          const struct attestation_request *r, int64_t now_s, bool details,
                          struct collected *all, struct checks *checks,
                          struct attestation_result *out, struct error *err)
{
    CLEANUP(deny_list_cleanup) struct deny_list *deny = deny_watch_get(s->deny);
    struct verifier_request v = {
        .evidence = r->evidence,
        .era = s->options.era,
        .now_s = now_s,
        .config = s->config.verifier_config,
        .anchors = s->options.anchors,
        .cache = s->checked,
        .deny = deny,
        .details = details,
        .has_report_data = r->runtime_kind != RUNTIME_ABSENT,
    };
    value runtime_claims, init_claims;
    enum status st = runtime_data_expect(a, r, &v.report_data, &runtime_claims, err);
    if (st == OK)
        st = expected_init_data(a, r, &v, &init_claims, checks, err);
    if (st == ERR_INVALID)
        return check_failed(checks, NULL, CHECK_REQUEST_FORMAT, "", VALUE_UNDEFINED,
                            VALUE_UNDEFINED, "runtime or init data has no canonical form");
    if (st != OK)
        return st;

    struct verifier_result *result = arena_new(a, struct verifier_result);
    if (result == NULL)
        return error_nomem(err);
    st = run_verifier(s, a, r->tee, &v, checks, result, err);
    if (st == ERR_UNAVAILABLE) {
        memcpy(out->needed, result->needed, sizeof(out->needed));
        out->needed_count = result->needed_count;
    }
    /* Upstream's words; a TEE without a verifier fails before there is one that could. */
    if ((st == ERR_DENIED || st == ERR_UNAVAILABLE) && verifier_find(r->tee) != NULL)
        error_prefix(err, "Verifier evaluate failed: ");
    if (st != OK)
        return st;
    add_anchors(all, a, result);
    for (size_t i = 0; i < result->len; i++) {
        const struct evidence_claims item = {
            .verifier = verifier_find(r->tee),
            .tee_class = result->items[i].tee_class,
            .claims = result->items[i].claims,
            .details = &result->items[i].details,
            .runtime_claims = runtime_claims,
            .init_claims = init_claims,
            .unpinned_paravisor = result->unpinned_paravisor,
        };
        st = collect(all, a, &item, err);
        if (st != OK)
            return st;
    }
    return OK;
}

enum status attestation_evaluate(struct attestation_service *s, struct arena *a,
                                 const struct attestation_request *requests, size_t n,
                                 const struct str *policy_ids, size_t n_ids, int64_t now_s,
                                 bool explain, struct checks *checks,
                                 struct attestation_result *out, struct error *err)
{
    *out = (struct attestation_result){.claims = VALUE_UNDEFINED, .anchors = VALUE_UNDEFINED};
    if (n == 0 || n > REQUESTS_MAX)
        return check_failed(checks, err, CHECK_REQUEST_FORMAT, "", VALUE_UNDEFINED, VALUE_UNDEFINED,
                            "between 1 and %d verification requests are needed", REQUESTS_MAX);
    struct collected all = {.len = 0};
    value_builder_init(&all.anchors, a, 0);
    /* The same policies throughout: what they may read decides what verifiers say. */
    CLEANUP(policy_set_cleanup) struct policy_set *policies = service_policies(s);
    bool details = policies != NULL && policies->reads_details;
    for (size_t i = 0; i < n; i++) {
        enum status st = verify(s, a, &requests[i], now_s, details, &all, checks, out, err);
        if (st != OK)
            return st;
    }
    if (all.anchors.len > 0)
        out->anchors = value_array_finish(&all.anchors);
    return appraise_under(s, policies, a, all.items, all.len, policy_ids, n_ids, now_s, explain,
                          checks, out, err);
}

bool attestation_may_resolve(const struct attestation_service *s,
                             const struct attestation_result *result)
{
    return collateral_may_resolve(s->endorsements, result->needed, result->needed_count);
}

enum status attestation_evaluate_waiting(struct attestation_service *s, struct arena *a,
                                         const struct attestation_request *requests, size_t n,
                                         const struct str *policy_ids, size_t n_ids, int64_t now_s,
                                         bool explain, struct checks *checks,
                                         struct attestation_result *out, struct error *err)
{
    const struct checks before = *checks; /* what was checked before the evidence stays */
    int64_t end_ns = clock_monotonic_ns() + COLLATERAL_WAIT_MS * (NS_PER_S / 1000);
    for (unsigned round = 0;; round++) {
        enum status st = attestation_evaluate(s, a, requests, n, policy_ids, n_ids, now_s, explain,
                                              checks, out, err);
        if (st != ERR_UNAVAILABLE || !attestation_may_resolve(s, out))
            return st;
        if (round == COLLATERAL_ROUNDS_MAX || clock_monotonic_ns() >= end_ns)
            return st;
        st = collateral_resolve(s->endorsements, out->needed, out->needed_count, err);
        if (st == ERR_NOMEM)
            return st;
        if (st != OK)
            return ERR_UNAVAILABLE;
        checks->len = before.len;
        checks->reason = before.reason;
    }
}

#include <stdio.h>
#include <stdlib.h>

#include "attestation/attestation_internal.h"
#include "base/encode.h"
#include "base/utf8.h"
#include "collateral/sources.h"
#include "value/json.h"

#define CONFIG_MEMORY_MAX ((size_t)16 * 1024 * 1024)
#define POLICY_B64_MAX (2 * 1024 * 1024)
#define POLICY_ID_MAX 200
#define EVALUATION_SECONDS 10 /* upstream has no limit of time (7.7) */

/* ---- pools and pins ---- */

struct rego_ctx *service_context_get(struct attestation_service *s)
{
    for (size_t i = 0; i < CONTEXT_POOL; i++) {
        struct rego_ctx *ctx = atomic_exchange(&s->contexts[i], NULL);
        if (ctx != NULL) {
            struct rego_limits limits = {.deadline_ns =
                                             clock_monotonic_ns() + EVALUATION_SECONDS * NS_PER_S};
            rego_ctx_set_limits(ctx, &limits);
            return ctx;
        }
    }
    struct rego_limits limits = {.deadline_ns =
                                     clock_monotonic_ns() + EVALUATION_SECONDS * NS_PER_S};
    return rego_ctx_new(&limits);
}

void service_context_put(struct attestation_service *s, struct rego_ctx *ctx)
{
    rego_ctx_reset(ctx);
    for (size_t i = 0; i < CONTEXT_POOL; i++) {
        struct rego_ctx *none = NULL;
        if (atomic_compare_exchange_strong(&s->contexts[i], &none, ctx))
            return;
    }
    rego_ctx_free(ctx);
}

struct policy_set *service_policies(struct attestation_service *s)
{
    pthread_mutex_lock(&s->pin);
    struct policy_set *p = s->policies;
    if (p != NULL)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&s->pin);
    return p;
}

static void swap_policies(struct attestation_service *s, struct policy_set *p)
{
    pthread_mutex_lock(&s->pin);
    struct policy_set *old = s->policies;
    s->policies = p;
    pthread_mutex_unlock(&s->pin);
    policy_set_unref(old);
}

/* ---- refreshing (README 19) ---- */

/* README 12: said once for each state of the policies. */
static void warn_unpinned(struct attestation_service *s, const struct policy_set *set)
{
    static const char *const tees[] = {"az-snp-vtpm", "az-tdx-vtpm"};
    value list = value_get_lit(value_get_lit(s->config.verifier_config, "az_vtpm"),
                               "paravisor_measurements");
    if (value_len(list) > 0)
        return;
    bool indexed;
    const struct policy *p = policy_lookup(s, set, STR("default"), "cpu", &indexed);
    for (size_t i = 0; p != NULL && p->rego != NULL && i < ARRAY_LEN(tees); i++) {
        const struct verifier *v = verifier_find(str_of(tees[i]));
        if (v == NULL || policy_pins_paravisor(p, v))
            continue;
        struct str new_path[] = {str_of(v->tee), STR("tpm")};
        struct str old_path[] = {str_of(v->old_tee), STR("tpm")};
        if (rego_policy_may_read_input(p->rego, new_path, 2) ||
            rego_policy_may_read_input(p->rego, old_path, 2))
            warn_text(&s->options,
                      "policy \"%s\" compares PCRs of %s but no launch measurement: whoever owns "
                      "such a machine can forge them (verifier_config.az_vtpm."
                      "paravisor_measurements)",
                      QUOTED(p->id), tees[i]);
    }
}

static bool policies_changed(struct attestation_service *s, uint64_t *versions)
{
    bool changed = !s->policies_looked;
    for (size_t i = 0; i < s->config.policy_count; i++) {
        versions[i] = storage_version(s->config.policies[i]);
        changed |= versions[i] != s->policy_versions[i];
    }
    return changed;
}

static enum status refresh_policies(struct attestation_service *s, struct error *err)
{
    uint64_t versions[POLICY_SOURCES_MAX] = {0};
    if (!policies_changed(s, versions))
        return OK;
    CLEANUP(policy_set_cleanup) struct policy_set *before = service_policies(s);
    struct policy_set *set = NULL;
    enum status st = policy_set_load(s->config.policies, s->config.policy_count, before,
                                     &s->options, s->claim_schema, &set, err);
    if (st != OK)
        return st; /* tried again at the next refresh */
    memcpy(s->policy_versions, versions, sizeof(versions));
    s->policies_looked = true;
    warn_unpinned(s, set);
    swap_policies(s, set);
    return OK;
}

/* A trouble that lasts is told once, not at each look. */
static void warn_once(struct attestation_service *s, enum status st, const char *what,
                      const struct error *err, struct error *told)
{
    if (st != OK && strcmp(err->text, told->text) != 0)
        warn_text(&s->options, "could not read the %s: %s", what, err->text);
    *told = st != OK ? *err : (struct error)ERROR_INIT;
}

void attestation_refresh(struct attestation_service *s)
{
    struct error err = ERROR_INIT;
    pthread_mutex_lock(&s->work);
    enum status st = refresh_policies(s, &err);
    warn_once(s, st, "attestation policies", &err, &s->told_policies);

    bool changed = false;
    st = rvps_refresh(s->config.rvps, clock_now_s(s->options.clock), s->options.warn,
                      s->options.user, &changed, &err);
    collateral_follow(s->endorsements);
    if (st != OK || changed) /* OK and unchanged may be a broken file that was told already */
        warn_once(s, st, "reference values", &err, &s->told_values);

    if (s->deny != NULL) {
        st = deny_watch_refresh(s->deny, clock_now_s(s->options.clock), s->options.warn,
                                s->options.user, &err);
        warn_once(s, st, "kill switches", &err, &s->told_deny);
    }
    pthread_mutex_unlock(&s->work);
}

bool attestation_is_healthy(const struct attestation_service *s)
{
    struct attestation_service *mine = (struct attestation_service *)(uintptr_t)s;
    CLEANUP(policy_set_cleanup) struct policy_set *set = service_policies(mine);
    CLEANUP(rvps_snapshot_cleanup) struct rvps_snapshot *v = rvps_snapshot_get(s->config.rvps);
    CLEANUP(deny_list_cleanup) struct deny_list *deny = deny_watch_get(s->deny);
    if (set == NULL || v == NULL || (s->deny != NULL && deny == NULL))
        return false;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].rego == NULL)
            return false;
    return true;
}

void attestation_check(const struct attestation_service *s, struct report *r)
{
    const struct {
        const char *what;
        const struct error *err;
    } told[] = {
        {"attestation policies", &s->told_policies},
        {"reference values", &s->told_values},
        {"kill switches", &s->told_deny},
    };
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        if (told[i].err->text[0] != '\0')
            report_trouble(r, "could not read the %s: %s", told[i].what, told[i].err->text);

    struct attestation_service *mine = (struct attestation_service *)(uintptr_t)s;
    CLEANUP(policy_set_cleanup) struct policy_set *set = service_policies(mine);
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (set->items[i].rego == NULL)
            report_trouble(r, "policy \"%s\": %.*s", QUOTED(set->items[i].id),
                           STR_ARG(set->items[i].why));

    for (size_t i = 0; i < s->config.policy_count; i++)
        report_missing(r, storage_missing(s->config.policies[i]));
    report_missing(r, rvps_missing(s->config.rvps));
    report_missing(r, collateral_missing(s->endorsements));
}

/* ---- making one ---- */

static enum status compile_builtins(struct attestation_service *s, struct error *err)
{
    size_t n;
    const struct builtin_policy *b = builtin_policies(s->options.era, s->config.token, &n);
    s->builtins = arena_new_array(&s->arena, struct policy, n);
    if (s->builtins == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < n; i++) {
        enum status st = policy_compile(&s->arena, str_of(b[i].id), str_of(b[i].text),
                                        s->claim_schema, &s->builtins[i], err);
        if (st != OK) {
            error_prefix(err, "built-in policy: ");
            return st;
        }
        s->builtins[i].builtin = true;
        s->builtin_count++;
    }
    return OK;
}

static void tell(void *user, bool trouble, const char *text)
{
    struct attestation_service *s = user;
    if (trouble)
        warn_text(&s->options, "%s", text);
}

/* The collateral that verifiers need, from where the configuration says. */
static enum status open_endorsements(struct attestation_service *s, struct error *err)
{
    struct attestation_options *o = &s->options;
    struct error why = ERROR_INIT;
    enum status st = o->qcnl_path == NULL
                         ? OK
                         : qcnl_apply(&s->arena, o->qcnl_path, &s->config.verifier_config, &why);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK) /* operator.md 5.4: a warning, and Intel's own service */
        warn_text(o, "%s: Intel's own collateral service is used", why.text);
    o->qcnl_path = NULL; /* the caller's, and done with */
    const struct collateral_options c = {
        .verifier_config = s->config.verifier_config,
        .anchors = o->anchors,
        .clock = o->clock,
        .keeper = true,
        .only_look = o->only_look,
        .tell = tell,
        .user = s,
    };
    return collateral_service_new(&c, &s->endorsements, err);
}

/* Simple tokens have an input of flattened names, which are not followed. */
static enum status make_schema(struct attestation_service *s, struct error *err)
{
    s->claim_schema = VALUE_UNDEFINED;
    if (s->config.token != TOKEN_EAR)
        return OK;
    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, CONFIG_MEMORY_MAX);
    s->claim_schema = value_copy(&s->arena, attestation_claim_schema(&scratch));
    return arena_status(&scratch) == OK && value_is_defined(s->claim_schema) ? OK
                                                                             : error_nomem(err);
}

static enum status service_fill(struct attestation_service *s, struct error *err)
{
    /* The configuration outlives the caller's arena. */
    struct attestation_options *o = &s->options;
    if (value_is_defined(o->config))
        o->config = value_copy(&s->arena, o->config);
    if (value_is_defined(o->storage_backend))
        o->storage_backend = value_copy(&s->arena, o->storage_backend);
    if (arena_status(&s->arena) != OK)
        return error_nomem(err);

    enum status st = explain_cache_new(&s->explanations, err);
    if (st == OK)
        st = verifier_cache_new(CHECKED_ENDORSEMENTS, &s->checked, err);
    if (st == OK)
        st = as_config_read(&s->arena, o, &s->config, err);
    if (st == OK && s->config.deny_list.len > 0)
        st = deny_watch_new(s->config.deny_list, &s->deny, err);
    if (st == OK)
        st = open_endorsements(s, err);
    if (st == OK)
        st = token_signer_load(&s->arena, &s->config, o, &s->signer, err);
    if (st == OK)
        st = make_schema(s, err);
    if (st == OK)
        st = compile_builtins(s, err);
    return st;
}

enum status attestation_service_new(const struct attestation_options *options,
                                    struct attestation_service **out, struct error *err)
{
    CLEANUP(attestation_service_cleanup)
    struct attestation_service *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->work, NULL);
    pthread_mutex_init(&s->pin, NULL);
    for (size_t i = 0; i < CONTEXT_POOL; i++)
        atomic_init(&s->contexts[i], NULL);
    arena_init(&s->arena, CONFIG_MEMORY_MAX);
    s->options = *options;
    if (options->anchors != NULL)
        anchors_ref((struct anchors *)(uintptr_t)options->anchors);

    enum status st = service_fill(s, err);
    if (st != OK)
        return st;
    attestation_refresh(s);
    *out = TAKE(s);
    return OK;
}

struct attestation_service *attestation_service_ref(struct attestation_service *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

struct attestation_service *attestation_service_unref(struct attestation_service *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    for (size_t i = 0; i < CONTEXT_POOL; i++)
        rego_ctx_free(atomic_load(&s->contexts[i]));
    for (size_t i = 0; i < s->builtin_count; i++)
        rego_policy_unref(s->builtins[i].rego);
    explain_cache_free(s->explanations);
    verifier_cache_free(s->checked);
    collateral_service_free(s->endorsements);
    deny_watch_free(s->deny);
    policy_set_unref(s->policies);
    privkey_unref(s->signer.key);
    as_config_done(&s->config);
    if (s->options.anchors != NULL)
        anchors_unref((struct anchors *)(uintptr_t)s->options.anchors);
    arena_done(&s->arena);
    pthread_mutex_destroy(&s->work);
    pthread_mutex_destroy(&s->pin);
    free(s);
    return NULL;
}

/* ---- policies (7.8) ---- */

/* Letters, digits, "_", "-", "."; upstream up to v0.18 had no dot, later versions check nothing. */
static bool policy_id_is_valid(struct str id)
{
    if (id.len == 0 || id.len > POLICY_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
        if (!ok)
            return false;
    }
    return id.ptr[0] != '.';
}

static enum status store_policy(struct attestation_service *s, struct str id, struct str text,
                                struct error *err)
{
    char key[POLICY_ID_MAX + 8];
    int n = snprintf(key, sizeof(key), "%.*s.rego", STR_ARG(id));
    struct storage *target = s->config.policies[0];
    enum status st = storage_set(target, str_bytes(key, (size_t)n), text, true, err);
    if (st != OK)
        return st;
    s->policies_looked = false;
    struct error ignored = ERROR_INIT;
    status_ignore(refresh_policies(s, &ignored)); /* stored; the next refresh looks again */
    return OK;
}

enum status attestation_set_policy(struct attestation_service *s, struct str id,
                                   struct str policy_b64, struct error *err)
{
    if (!policy_id_is_valid(id)) {
        error_set(err, "Illegal policy id \"%s\": letters, digits, \"_\", \"-\" and \".\" only",
                  QUOTED(id));
        return ERR_INVALID;
    }
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, POLICY_B64_MAX);
    enum status st = base64_read(policy_b64, BASE64_URL, &text, err);
    if (st != OK) {
        error_prefix(err, "base64 decode policy: ");
        return st;
    }

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, CONFIG_MEMORY_MAX);
    struct policy p;
    st = policy_compile(&a, id, buf_str(&text), VALUE_UNDEFINED, &p, err);
    if (st != OK)
        return st;
    rego_policy_unref(p.rego);

    pthread_mutex_lock(&s->work);
    st = store_policy(s, id, buf_str(&text), err);
    pthread_mutex_unlock(&s->work);
    return st;
}

const struct policy *service_policy(const struct attestation_service *s,
                                    const struct policy_set *set, struct str id)
{
    const struct policy *p = policy_set_find(set, id);
    for (size_t i = 0; p == NULL && i < s->builtin_count; i++)
        if (str_equal(s->builtins[i].id, id))
            p = &s->builtins[i];
    return p;
}

enum status attestation_get_policy(struct attestation_service *s, struct arena *a, struct str id,
                                   struct str *text, struct error *err)
{
    CLEANUP(policy_set_cleanup) struct policy_set *set = service_policies(s);
    const struct policy *p = service_policy(s, set, id);
    if (p == NULL) {
        error_set(err, "Policy `%s.rego` not found", QUOTED(id));
        return ERR_NOT_FOUND;
    }
    *text = arena_str(a, p->text);
    return text->ptr != NULL ? OK : error_nomem(err);
}

static value policy_row(struct arena *a, const struct policy *p)
{
    struct value_builder b;
    value_builder_init(&b, a, 2);
    struct str hash = base64_text(a, str_bytes(p->sha384, sizeof(p->sha384)), BASE64_URL);
    value_builder_put_str(&b, "policy-id", value_string(a, p->id));
    value_builder_put_str(&b, "policy-hash",
                          hash.ptr != NULL ? value_string(a, hash) : VALUE_UNDEFINED);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* A stored "default" hides the built-in for cpu evidence (S3), whatever that is called. */
static bool is_hidden(const struct policy_set *set, struct str builtin)
{
    return policy_set_find(set, builtin) != NULL ||
           (str_is(builtin, "default_cpu") && policy_set_find(set, STR("default")) != NULL) ||
           (str_is(builtin, "default") && policy_set_find(set, STR("default_cpu")) != NULL);
}

enum status attestation_list_policies(struct attestation_service *s, struct arena *a, value *out,
                                      struct error *err)
{
    CLEANUP(policy_set_cleanup) struct policy_set *set = service_policies(s);
    struct value_builder b;
    value_builder_init(&b, a, s->builtin_count + (set == NULL ? 0 : set->count));
    for (size_t i = 0; set != NULL && i < set->count; i++)
        value_builder_add(&b, policy_row(a, &set->items[i]));
    for (size_t i = 0; i < s->builtin_count; i++)
        if (!is_hidden(set, s->builtins[i].id))
            value_builder_add(&b, policy_row(a, &s->builtins[i]));
    *out = value_array_finish(&b);
    return value_is_defined(*out) ? OK : error_nomem(err);
}

/* ---- keys and the rest ---- */

enum status attestation_sign(struct attestation_service *s, struct arena *a, value claims,
                             struct str *token, struct error *err)
{
    return token_sign(&s->signer, a, s->config.token, claims, token, err);
}

struct pubkey *attestation_key(const struct attestation_service *s)
{
    return privkey_public(s->signer.key);
}

enum status attestation_jwks(struct attestation_service *s, struct arena *a, value *out)
{
    struct value_builder b;
    value_builder_init(&b, a, 1);
    value_builder_put_str(&b, "keys", value_array(a, &s->signer.jwk, 1));
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out) ? OK : arena_status(a);
}

struct rvps *attestation_rvps(const struct attestation_service *s)
{
    return s->config.rvps;
}

/* attestation-service.md 3.6: only `se` would have one. */
enum status attestation_challenge(struct attestation_service *s, struct str tee, struct str params,
                                  struct arena *a, struct str *out, struct error *err)
{
    if (!tee_is_known(tee)) {
        error_set(err, "unknown TEE \"%s\"", QUOTED(tee));
        return ERR_INVALID;
    }
    *out = STR_EMPTY;
    return OK;
}

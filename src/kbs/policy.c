#include "kbs/policy.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "attestation/attestation.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "rego/rego.h"
#include "value/json.h"

#define KEY STR("resource-policy.rego")
#define POLICY_MAX (1024 * 1024)
#define POLICY_COMPILE_SECONDS 10
#define POLICY_STEPS 5000000
#define POLICY_MEMORY (32 * 1024 * 1024)
#define CONTEXTS_MAX 16
#define SCHEMA_MEMORY (4 * 1024 * 1024) /* names of claims while a policy is compiled */

/*
 * kbs.md 8.6, in our words; both as v1.  `tpm` beside `sample`: nobody vouches
 * for the key of a plain TPM (verifiers-azure-vtpm.md 7), so its evidence, too,
 * can be made by anybody.  A simple token has its TEE at the top.
 */
static const char default_old[] =
    "# Built-in resource policy: anything but evidence that everybody can make.\n"
    "package policy\n"
    "\n"
    "import rego.v1\n"
    "\n"
    "default allow := false\n"
    "\n"
    "evidence := input.submods.cpu[\"ear.veraison.annotated-evidence\"]\n"
    "\n"
    "allow if {\n"
    "    not evidence.sample\n"
    "    not evidence.tpm\n"
    "    not input.tee == \"tpm\"\n"
    "}\n";
static const char default_new[] =
    "# Built-in resource policy: resources, for anything but evidence that everybody can make.\n"
    "package policy\n"
    "\n"
    "default allow := false\n"
    "\n"
    "evidence := input.submods.cpu0[\"ear.veraison.annotated-evidence\"]\n"
    "\n"
    "allow if {\n"
    "    data.plugin == \"resource\"\n"
    "    not evidence.sample\n"
    "    not evidence.tpm\n"
    "    not input.tee == \"tpm\"\n"
    "}\n";

/* A compiled text; immutable, counted. */
struct compiled {
    _Atomic unsigned refs;
    struct rego_policy *policy;
    struct buf text;
};

struct resource_policy {
    const struct kbs_config *config;
    struct storage *kv;    /* or NULL */
    pthread_mutex_t lock;  /* of what follows */
    pthread_mutex_t write; /* one set at a time */
    struct compiled *current;
    uint64_t version; /* of the store when `current` was read */
    bool loaded;      /* the store was looked at */
    bool stored;      /* `current` came from the store: not the built-in one */
    struct rego_ctx *idle[CONTEXTS_MAX];
    size_t idle_count;
};

static struct compiled *compiled_unref(struct compiled *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        rego_policy_unref(c->policy);
        buf_done(&c->text);
        free(c);
    }
    return NULL;
}

DEFINE_CLEANUP(compiled, struct compiled, compiled_unref)

static struct compiled *current_get(struct resource_policy *p)
{
    pthread_mutex_lock(&p->lock);
    struct compiled *c = p->current;
    if (c != NULL)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&p->lock);
    return c;
}

static void log_note(void *user, const struct rego_error *warning)
{
    (void)user;
    log_warn("kbs", "resource policy: %.*s:%u: %.*s", STR_ARG(warning->file),
             (unsigned)warning->row, STR_ARG(warning->message));
}

static enum status compile(struct str text, struct compiled **out, struct error *err)
{
    struct compiled *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return error_nomem(err);
    atomic_init(&c->refs, 1);
    buf_init(&c->text, POLICY_MAX);
    buf_add(&c->text, text);
    enum status st = buf_status(&c->text);
    if (st != OK)
        error_set(err, "the policy is larger than %d bytes", POLICY_MAX);

    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.refuse_missing_builtins = true;
    options.deadline_ns = clock_monotonic_ns() + POLICY_COMPILE_SECONDS * NS_PER_S;
    CLEANUP(arena_done) struct arena names;
    arena_init(&names, SCHEMA_MEMORY);
    options.claim_schema = attestation_token_schema(&names);
    options.warn = log_note;
    if (st == OK)
        st = rego_compile_text(KEY, text, &options, &c->policy, err);
    if (st != OK) {
        compiled_unref(c);
        return st;
    }
    *out = c;
    return OK;
}

static struct str default_text(const struct resource_policy *p)
{
    return str_of(p->config->era == ERA_OLD ? default_old : default_new);
}

static enum status read_store(struct resource_policy *p, struct buf *out, struct error *err)
{
    return p->kv != NULL ? storage_get(p->kv, KEY, out, err)
                         : file_read(p->config->policy_path.ptr, out, err);
}

static uint64_t store_version(struct resource_policy *p)
{
    if (p->kv != NULL)
        return storage_version(p->kv);
    struct stat sb;
    if (stat(p->config->policy_path.ptr, &sb) != 0)
        return 1;
    uint64_t h = hash_mix((uint64_t)sb.st_ino, (uint64_t)sb.st_size);
    h = hash_mix(h, (uint64_t)sb.st_mtim.tv_sec * NS_PER_S + (uint64_t)sb.st_mtim.tv_nsec);
    return hash_mix(h, (uint64_t)sb.st_ctim.tv_sec * NS_PER_S + (uint64_t)sb.st_ctim.tv_nsec);
}

static void swap(struct resource_policy *p, struct compiled *c, bool stored, uint64_t version)
{
    pthread_mutex_lock(&p->lock);
    struct compiled *old = p->current;
    if (c != NULL) {
        p->current = c;
        p->stored = stored;
    }
    p->version = version;
    p->loaded = true;
    pthread_mutex_unlock(&p->lock);
    if (c != NULL)
        compiled_unref(old);
}

enum status resource_policy_refresh(struct resource_policy *p, bool *changed, struct error *err)
{
    *changed = false;
    uint64_t version = store_version(p);
    pthread_mutex_lock(&p->lock);
    bool same = p->loaded && p->version == version;
    bool stored = p->stored;
    pthread_mutex_unlock(&p->lock);
    if (same)
        return OK;

    CLEANUP(buf_done) struct buf text;
    buf_init(&text, POLICY_MAX);
    struct compiled *c = NULL;
    enum status st = read_store(p, &text, err);
    /* One that vanished is a broken one (README 19): the built-in policy may allow what it denied.
     */
    bool found = st == OK;
    if (st == ERR_NOT_FOUND && !stored)
        st = compile(default_text(p), &c, err);
    else if (st == OK)
        st = compile(buf_str(&text), &c, err);
    if (st != OK)
        error_prefix(err, "resource policy%s%s: ", p->kv == NULL ? " " : "",
                     p->kv == NULL ? p->config->policy_path.ptr : "");
    /* A broken text is looked at again only when it changes. */
    swap(p, c, found, version);
    *changed = st == OK;
    return st;
}

enum status resource_policy_new(const struct kbs_config *config, struct storage *kv,
                                enum storage_how how, struct resource_policy **out,
                                struct error *err)
{
    struct resource_policy *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return error_nomem(err);
    p->config = config;
    p->kv = kv == NULL ? NULL : storage_ref(kv);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->write, NULL);
    if (kv == NULL && config->has_policy_path && how == STORAGE_MAKE)
        file_remove_leftovers_beside(config->policy_path.ptr);
    *out = p;
    return OK;
}

void resource_policy_inherit(struct resource_policy *p, struct resource_policy *before)
{
    pthread_mutex_lock(&before->lock);
    if (before->stored) {
        atomic_fetch_add_explicit(&before->current->refs, 1, memory_order_relaxed);
        p->current = before->current;
        p->stored = true;
    }
    pthread_mutex_unlock(&before->lock);
}

struct resource_policy *resource_policy_free(struct resource_policy *p)
{
    if (p == NULL)
        return NULL;
    for (size_t i = 0; i < p->idle_count; i++)
        rego_ctx_free(p->idle[i]);
    compiled_unref(p->current);
    storage_unref(p->kv);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->write);
    free(p);
    return NULL;
}

bool resource_policy_is_healthy(struct resource_policy *p)
{
    CLEANUP(compiled_cleanup) struct compiled *c = current_get(p);
    return c != NULL;
}

enum status resource_policy_set(struct resource_policy *p, struct str text, struct error *err)
{
    CLEANUP(compiled_cleanup) struct compiled *c = NULL;
    enum status st = compile(text, &c, err);
    if (st != OK)
        return st;

    pthread_mutex_lock(&p->write);
    st = p->kv != NULL ? storage_set(p->kv, KEY, text, true, err)
                       : file_write(p->config->policy_path.ptr, text, 0644, err);
    if (st == OK)
        swap(p, TAKE(c), true, store_version(p));
    pthread_mutex_unlock(&p->write);
    return st;
}

enum status resource_policy_text(struct resource_policy *p, struct buf *out, struct error *err)
{
    CLEANUP(compiled_cleanup) struct compiled *c = current_get(p);
    if (c == NULL) {
        error_set(err, "no policy could be loaded");
        return ERR_UNAVAILABLE;
    }
    buf_add(out, buf_str(&c->text));
    return buf_status(out);
}

enum status resource_policy_names(struct resource_policy *p, struct arena *a, value *out,
                                  struct error *err)
{
    struct str *keys = NULL;
    size_t n = 0;
    if (p->kv != NULL) {
        enum status st = storage_list(p->kv, a, &keys, &n, err);
        if (st != OK)
            return st;
    }
    struct value_builder names;
    value_builder_init(&names, a, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (!str_has_suffix(keys[i], STR(".rego"))) {
            error_set(err, "Malformed policy: %s", QUOTED(keys[i]));
            return ERR_INVALID;
        }
        value_builder_add(&names, value_string(a, str_slice(keys[i], 0, keys[i].len - 5)));
    }
    if (n == 0)
        value_builder_add(&names, value_cstring(a, "resource-policy"));
    *out = value_array_finish(&names);
    return arena_status(a);
}

/* ---- documents of the policy ---- */

static value resource_path(struct arena *a, enum era era, const struct policy_question *q)
{
    if (era == ERA_NEW) {
        struct value_builder parts;
        value_builder_init(&parts, a, q->segment_count);
        for (size_t i = 1; i < q->segment_count; i++)
            value_builder_add(&parts, value_string(a, q->segments[i]));
        return value_array_finish(&parts);
    }
    /* v0.11: one string with the plugin's name; built as a value, so nothing can break out (HARDEN
     * kbs-11). */
    CLEANUP(buf_done) struct buf path;
    buf_init(&path, 1 << 20);
    for (size_t i = 0; i < q->segment_count; i++) {
        if (i > 0)
            buf_add_byte(&path, '/');
        buf_add(&path, q->segments[i]);
    }
    return buf_status(&path) == OK ? value_string(a, buf_str(&path)) : VALUE_UNDEFINED;
}

static value data_document(struct arena *a, enum era era, const struct policy_question *q)
{
    struct value_builder b;
    value_builder_init(&b, a, 3);
    value_builder_put_str(&b, "plugin", value_string(a, q->segments[0]));
    value_builder_put_str(&b, "resource-path", resource_path(a, era, q));
    value_builder_put_str(&b, "query", q->query);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* The other spelling of an Azure TEE's key beside the one that is there (S9). */
static value with_azure_alias(struct arena *a, value submod)
{
    static const char *const pairs[][2] = {
        {"azsnpvtpm", "az-snp-vtpm"},
        {"aztdxvtpm", "az-tdx-vtpm"},
    };
    value key = value_cstring(a, "ear.veraison.annotated-evidence");
    value evidence = value_get(submod, key);
    if (!value_is_object(evidence))
        return submod;
    bool changed = false;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        for (int k = 0; k < 2; k++) {
            value have = value_get_str(evidence, str_of(pairs[i][k]));
            value name = value_cstring(a, pairs[i][1 - k]);
            if (value_is_defined(have) && !value_is_defined(value_get(evidence, name))) {
                evidence = value_object_with(a, evidence, name, have);
                changed = true;
            }
        }
    }
    return changed ? value_object_with(a, submod, key, evidence) : submod;
}

/*
 * The claims with the missing one of cpu and cpu0 (README 1, HARDEN kbs-12), and
 * pointers below which a change makes no sense: derived values and aliases.
 */
static value input_document(struct arena *a, value claims, struct str *frozen, size_t cap,
                            size_t *frozen_count)
{
    value submods = value_get_lit(claims, "submods");
    if (!value_is_object(submods))
        return claims;
    value cpu = value_get_lit(submods, "cpu");
    value cpu0 = value_get_lit(submods, "cpu0");
    bool alias_cpu = !value_is_defined(cpu) && value_is_defined(cpu0);
    bool alias_cpu0 = value_is_defined(cpu) && !value_is_defined(cpu0);

    struct value_builder b;
    value_builder_init(&b, a, value_len(submods) + 1);
    for (size_t i = 0; i < value_len(submods); i++) {
        struct value_pair pair = value_pairs(submods)[i];
        value_builder_put(&b, pair.key, with_azure_alias(a, pair.val));
        static const char *const derived[] = {"ear.status", "ear.trustworthiness-vector",
                                              "ear.appraisal-policy-id"};
        for (size_t k = 0; k < ARRAY_LEN(derived) && *frozen_count < cap; k++)
            frozen[(*frozen_count)++] =
                arena_format(a, "/input/submods/%.*s/%s", STR_ARG(value_str(pair.key)), derived[k]);
    }
    if (alias_cpu)
        value_builder_put_str(&b, "cpu", with_azure_alias(a, cpu0));
    if (alias_cpu0)
        value_builder_put_str(&b, "cpu0", with_azure_alias(a, cpu));
    if ((alias_cpu || alias_cpu0) && *frozen_count < cap)
        frozen[(*frozen_count)++] =
            str_of(alias_cpu ? "/input/submods/cpu" : "/input/submods/cpu0");
    return value_object_with(a, claims, value_cstring(a, "submods"),
                             value_object_finish(&b, VALUE_DUP_LAST, NULL));
}

/* ---- evaluation ---- */

static struct rego_ctx *context_take(struct resource_policy *p)
{
    static const struct rego_limits limits = {.steps = POLICY_STEPS, .memory = POLICY_MEMORY};
    pthread_mutex_lock(&p->lock);
    struct rego_ctx *ctx = p->idle_count > 0 ? p->idle[--p->idle_count] : NULL;
    pthread_mutex_unlock(&p->lock);
    return ctx != NULL ? ctx : rego_ctx_new(&limits);
}

static void context_give(struct resource_policy *p, struct rego_ctx *ctx)
{
    rego_ctx_reset(ctx);
    pthread_mutex_lock(&p->lock);
    if (p->idle_count < CONTEXTS_MAX) {
        p->idle[p->idle_count++] = ctx;
        ctx = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    rego_ctx_free(ctx);
}

struct subject {
    struct resource_policy *policy;
    struct rego_ctx *ctx;
    const struct rego_policy *compiled;
    int64_t now_s;
};

static enum status evaluate(struct subject *s, value input, value data, bool trace, value *out)
{
    rego_ctx_reset(s->ctx);
    struct rego_eval params = {
        .policy = s->compiled,
        .input = input,
        .data = data,
        .now_ns = s->now_s * NS_PER_S,
        .strict_errors = true,
        .trace = trace ? REGO_TRACE_ALL : REGO_TRACE_OFF,
    };
    return rego_eval_path(s->ctx, &params, STR("data.policy.allow"), out);
}

/* For explain(): the trace is copied, since the next evaluation resets the context. */
static bool passes(void *user, struct arena *a, value input, value data, value references,
                   struct rego_trace *trace)
{
    struct subject *s = user;
    value out = VALUE_UNDEFINED;
    bool ok = evaluate(s, input, data, trace != NULL, &out) == OK && value_is_true(out);
    if (trace == NULL)
        return ok;
    struct rego_trace t = rego_ctx_trace(s->ctx);
    struct rego_trace_rule *rules = arena_new_array(a, struct rego_trace_rule, t.len + 1);
    for (size_t i = 0; rules != NULL && i < t.len; i++) {
        rules[i] = t.items[i];
        rules[i].rule = arena_str(a, t.items[i].rule);
        rules[i].file = arena_str(a, t.items[i].file);
        rules[i].expression = arena_str(a, t.items[i].expression);
        rules[i].left_path = arena_str(a, t.items[i].left_path);
        rules[i].right_path = arena_str(a, t.items[i].right_path);
        rules[i].left = value_copy(a, t.items[i].left);
        rules[i].right = value_copy(a, t.items[i].right);
        rules[i].part_path = arena_str(a, t.items[i].part_path);
        rules[i].whole_path = arena_str(a, t.items[i].whole_path);
        struct str *calls = arena_new_array(a, struct str, t.items[i].call_count);
        for (uint32_t k = 0; calls != NULL && k < t.items[i].call_count; k++)
            calls[k] = arena_str(a, t.items[i].calls[k]);
        rules[i].calls = calls;
        rules[i].call_count = calls == NULL ? 0 : t.items[i].call_count;
        rules[i].part = value_copy(a, t.items[i].part);
        rules[i].whole = value_copy(a, t.items[i].whole);
    }
    *trace = (struct rego_trace){rules, rules == NULL ? 0 : t.len};
    return ok;
}

static void record_denial(struct subject *s, struct arena *a, value input, value data,
                          const struct str *frozen, size_t frozen_count, struct checks *checks,
                          struct explanation *why, const char *message)
{
    static const struct str result = {"data.policy.allow", 17};
    struct explain_subject subject = {
        .passes = passes,
        .user = s,
        .results = &result,
        .result_count = 1,
        .input = input,
        .data = data,
        .references = VALUE_UNDEFINED,
        .frozen = frozen,
        .frozen_count = frozen_count,
        .now_s = s->now_s,
    };
    status_ignore(explain(a, &subject, why, NULL));

    /* The reason names the expression that stood in the way. */
    CLEANUP(buf_done) struct buf field;
    buf_init(&field, 4096);
    buf_add(&field, why->field);
    buf_add_byte(&field, '\0');
    status_ignore(check_failed(checks, NULL, CHECK_POLICY,
                               buf_status(&field) == OK ? field.ptr : "", why->expected,
                               why->actual, "%s", message));
}

enum policy_answer resource_policy_ask(struct resource_policy *p, struct arena *a,
                                       const struct policy_question *q, int64_t now_s,
                                       struct checks *checks, struct explanation *why,
                                       struct error *err)
{
    CLEANUP(compiled_cleanup) struct compiled *c = current_get(p);
    struct rego_ctx *ctx = c == NULL ? NULL : context_take(p);
    if (ctx == NULL) {
        error_set(err, c == NULL ? "no resource policy could be loaded" : "out of memory");
        status_ignore(check_failed(checks, NULL, CHECK_POLICY_ERROR, "", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED, "no resource policy could be loaded"));
        return POLICY_ERROR;
    }

    struct str frozen[64];
    size_t frozen_count = 0;
    value input = input_document(a, q->claims, frozen, ARRAY_LEN(frozen), &frozen_count);
    value data = data_document(a, p->config->era, q);
    struct subject s = {p, ctx, c->policy, now_s};
    value out = VALUE_UNDEFINED;
    enum status st =
        arena_status(a) == OK ? evaluate(&s, input, data, false, &out) : arena_status(a);
    enum policy_answer answer;
    if (st == OK && value_is_true(out)) {
        check_passed(checks, CHECK_POLICY);
        answer = POLICY_ALLOW;
    } else if (st == OK && out.word == VALUE_FALSE.word) {
        record_denial(&s, a, input, data, frozen, frozen_count, checks, why,
                      "the resource policy says no");
        answer = POLICY_DENY;
    } else if (st == OK || st == ERR_NOT_FOUND) {
        const char *text = st == OK && value_is_defined(out) ? "data.policy.allow is not a boolean"
                                                             : "data.policy.allow is undefined";
        error_set(err, "%s", text);
        record_denial(&s, a, input, data, frozen, frozen_count, checks, why, text);
        answer = POLICY_ODD;
    } else {
        const struct rego_error *e = rego_ctx_error(ctx);
        error_set(err, "%s: %.*s", e != NULL && e->code != NULL ? e->code : status_name(st),
                  STR_ARG(e == NULL ? STR_EMPTY : e->message));
        status_ignore(check_failed(
            checks, NULL, CHECK_POLICY_ERROR, "", VALUE_UNDEFINED, VALUE_UNDEFINED,
            "the resource policy could not be evaluated: %s", err == NULL ? "" : err->text));
        answer = POLICY_ERROR;
    }
    context_give(p, ctx);
    return answer;
}

/*
 * From an HTTP exchange to the function that answers it, and the end of each
 * request: its decision, its metrics, its access line.
 */
#include "base/log.h"
#include "base/utf8.h"
#include "kbs/kbs_internal.h"

#define PREFIX STR("/kbs/v0/")

/*
 * Decode and judge the path behind the prefix (README 7).  One canonical form:
 * no empty, "." or ".." segment, no encoded slash, no NUL.  A single trailing
 * slash after nothing is the empty plugin name of v0.17.
 */
static bool split_path(struct request *r, struct str rest)
{
    for (size_t at = 0; at <= rest.len;) {
        size_t slash = str_find(rest, '/', at);
        struct str part;
        if (r->segment_count == SEGMENTS_MAX ||
            http_percent_decode(r->arena, str_slice(rest, at, slash - at), &part, NULL) != OK)
            return false;
        if (part.len == 0 || str_is(part, ".") || str_is(part, "..") ||
            str_find(part, '/', 0) < part.len || !utf8_is_valid(part))
            return false;
        r->segments[r->segment_count++] = part;
        at = slash + 1;
    }
    CLEANUP(buf_done) struct buf path;
    buf_init(&path, 256 * 1024);
    buf_add(&path, STR("/kbs/v0"));
    for (size_t i = 0; i < r->segment_count; i++) {
        buf_add_byte(&path, '/');
        buf_add(&path, r->segments[i]);
    }
    r->path = arena_str(r->arena, buf_str(&path));
    return buf_status(&path) == OK && r->path.ptr != NULL;
}

static void healthz(struct request *r)
{
    if (r->x->method != HTTP_GET) {
        answer_empty(r, 404);
        return;
    }
    bool healthy = !atomic_load(&r->kbs->stopping) &&
                   attestation_is_healthy(r->state->attestation) &&
                   resource_policy_is_healthy(r->state->policy);
    answer_empty(r, healthy ? 200 : 503);
}

static void metrics(struct request *r)
{
    if (r->x->method != HTTP_GET) {
        answer_empty(r, 405);
        return;
    }
    metrics_write(&r->kbs->metrics, &r->x->out);
    answer_body(r, NULL);
}

/* Built-ins match on name and method; anything else is a plugin (kbs.md 2.2). */
static void dispatch(struct request *r)
{
    static const struct {
        const char *name;
        bool get, post;
        void (*handle)(struct request *r);
    } builtins[] = {
        {"auth", false, true, rcar_auth},
        {"attest", false, true, rcar_attest},
        {"attestation-policy", false, true, manage_attestation_policy},
        {"resource-policy", true, true, manage_resource_policy},
        {"reference-value", true, true, manage_reference_value},
        {"decision", true, false, manage_decision},
    };
    bool get = r->x->method == HTTP_GET;
    bool post = r->x->method == HTTP_POST;
    for (size_t i = 0; i < ARRAY_LEN(builtins); i++) {
        if (str_is(r->segments[0], builtins[i].name) &&
            ((get && builtins[i].get) || (post && builtins[i].post))) {
            builtins[i].handle(r);
            return;
        }
    }
    plugin_request(r);
}

/*
 * The key id of the bearer's token, when its key may have to be fetched; ptr
 * NULL otherwise.  Nothing is verified yet.
 */
static struct str kid_to_fetch(struct request *r)
{
    struct str none = {NULL, 0};
    struct str token = bearer_token(http_header(r->x, "authorization"));
    struct jws jws;
    /* Without a token, and where nothing is fetched, this costs a look at a pointer. */
    if (token.ptr == NULL || token.len > ADMIN_TOKEN_MAX || !keys_are_remote(r->state->keys) ||
        jws_parse(r->arena, token, &jws, NULL) != OK ||
        value_is_defined(value_get_lit(jws.header, "jwk")) || !keys_want(r->state->keys, jws.kid))
        return none;
    return jws.kid.ptr == NULL ? STR_EMPTY : jws.kid;
}

/* On a worker: a key that nobody knows may be new. */
static void fetch_and_dispatch(struct request *r)
{
    struct str kid = kid_to_fetch(r);
    if (kid.ptr != NULL)
        keys_resolve(r->state->keys, kid);
    r->work = NULL;
    dispatch(r);
    if (r->work != NULL)
        r->work(r);
}

static void route(struct request *r)
{
    struct str path = r->x->path;
    if (str_is(path, "/healthz")) {
        healthz(r);
        return;
    }
    if (str_is(path, "/metrics")) {
        metrics(r);
        return;
    }
    if (!str_has_prefix(path, PREFIX)) {
        answer_empty(r, 404);
        return;
    }
    enum http_method m = r->x->method;
    if (m != HTTP_GET && m != HTTP_POST && m != HTTP_PUT && m != HTTP_DELETE) {
        http_add_header(r->x, "Allow", STR("GET, POST, PUT, DELETE"));
        answer_empty(r, 405);
        return;
    }
    struct str rest = str_from(path, PREFIX.len);
    if (rest.len == 0) {
        /* v0.17+: a plugin whose name is empty; before, nothing matched. */
        if (r->state->config->era == ERA_OLD)
            answer_empty(r, 404);
        else
            answer_error(r, V_PLUGIN_NOT_FOUND, "Plugin  not found");
        return;
    }
    if (!split_path(r, rest)) {
        r->decides = true;
        r->decision.kind = DECISION_RESOURCE;
        r->decision.anonymous = true;
        status_ignore(check_failed(&r->checks, NULL, CHECK_RESOURCE_PATH, "", VALUE_UNDEFINED,
                                   VALUE_UNDEFINED, "the path has no canonical form"));
        answer_error(r, V_INVALID_PATH, "Request path %s is invalid", QUOTED(path));
        return;
    }
    if (kid_to_fetch(r).ptr != NULL)
        r->work = fetch_and_dispatch;
    else
        dispatch(r);
}

static void finish(struct request *r)
{
    if (r->decides) {
        if (r->decision.kind != DECISION_ATTESTATION && r->path.len <= DECISION_PATH_MAX)
            r->decision.path = r->path;
        struct str id = str_of(r->decision.id.text);
        http_add_header(r->x, "x-decision-id", id);
        r->decision.checks = &r->checks;
        decision_ring_put(r->kbs->decisions, &r->decision);
    }
    kbs_state_unref(r->state);
    r->state = NULL;
}

enum http_next kbs_quick(void *user, struct http_exchange *x)
{
    struct kbs *k = user;
    struct request *r = arena_new(&x->arena, struct request);
    if (r == NULL) {
        x->status = 500;
        return HTTP_ANSWER;
    }
    if (str_has_prefix(x->path, STR("/kbs"))) {
        metric_add(&k->metrics.http_requests);
        metric_observe_request(&k->metrics, x->body.len);
    }
    atomic_fetch_add_explicit(&k->metrics.http_active, 1, memory_order_relaxed);
    r->kbs = k;
    r->state = kbs_state_get(k);
    r->x = x;
    r->arena = &x->arena;
    r->now_s = clock_now_s(k->clock);
    checks_init(&r->checks, &x->arena);
    decision_init(&r->decision, DECISION_ATTESTATION, r->now_s);
    x->state = r;

    route(r);
    if (r->work != NULL)
        return HTTP_WORK;
    finish(r);
    return HTTP_ANSWER;
}

void kbs_work(void *user, struct http_exchange *x)
{
    struct request *r = x->state;
    r->work(r);
    finish(r);
}

static struct str or_dash(struct str s)
{
    return s.ptr == NULL || s.len == 0 ? STR("-") : s;
}

/*
 * The access line of kbs.md 11.2.  A query is not printed, only that there was one; nor is
 * anything of a head that could not be read.
 */
static void access_line(const struct http_exchange *x, int64_t took)
{
    const char *target = "actix_web::middleware::logger";
    if (!log_enabled(LOG_INFO, target))
        return;
    if (x->head == NULL) {
        log_info(target, "%.*s \"-\" %d %zu \"-\" \"-\" 0.000000", STR_ARG(x->peer), x->status,
                 x->body_len);
        return;
    }
    log_info(target, "%.*s \"%.*s %s%s HTTP/1.%d\" %d %zu \"%s\" \"%s\" %lld.%06lld",
             STR_ARG(x->peer), STR_ARG(x->head->method), QUOTED(x->path),
             x->query.len > 0 ? "?..." : "", x->head->minor, x->status, x->body_len,
             QUOTED(or_dash(http_header(x, "referer"))),
             QUOTED(or_dash(http_header(x, "user-agent"))), (long long)(took / NS_PER_S),
             (long long)(took % NS_PER_S / 1000));
}

void kbs_refused(void *user, const struct http_exchange *x)
{
    (void)user;
    access_line(x, x->start_ns == 0 ? 0 : clock_monotonic_ns() - x->start_ns);
}

void kbs_done(void *user, const struct http_exchange *x, size_t bytes_sent)
{
    struct kbs *k = user;
    atomic_fetch_sub_explicit(&k->metrics.http_active, 1, memory_order_relaxed);
    int64_t took = clock_monotonic_ns() - x->start_ns;
    if (str_has_prefix(x->path, STR("/kbs"))) {
        metric_observe_duration(&k->metrics, took);
        metric_observe_response(&k->metrics, x->body_len);
    }
    access_line(x, took);
}

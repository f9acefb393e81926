#include "collateral/throttle.h"

#include "base/clock.h"
#include "base/hash.h"
#include "verifier/dcap/intel_url.h"

static uint64_t key_of(struct str s)
{
    uint64_t h = hash_bytes(s.ptr, s.len, 0);
    return h == 0 ? 1 : h;
}

/* The slot of a URL's host; a free or the most patient one when `make`. */
static int host_slot(const struct throttle *t, struct str url, bool make)
{
    uint64_t key = key_of(intel_url_base(url));
    int best = 0;
    for (int i = 0; i < THROTTLE_HOSTS; i++)
        if (t->hosts[i].host == key)
            return i;
    for (int i = 1; i < THROTTLE_HOSTS; i++)
        if (t->hosts[i].until_ns < t->hosts[best].until_ns)
            best = i;
    return make ? best : -1;
}

static bool take_token(struct throttle *t, int64_t now_ns)
{
    const int64_t full = THROTTLE_BURST * NS_PER_S;
    if (!t->started) {
        t->started = true;
        t->tokens_ns = full;
        t->refilled_ns = now_ns;
    }
    int64_t since = now_ns - t->refilled_ns;
    t->tokens_ns = since > full - t->tokens_ns ? full : t->tokens_ns + since;
    t->refilled_ns = now_ns;
    if (t->tokens_ns < NS_PER_S)
        return false;
    t->tokens_ns -= NS_PER_S;
    return true;
}

STATUS throttle_ask(struct throttle *t, struct str url, bool from_evidence, int64_t now_ns,
                    struct error *err)
{
    uint64_t key = key_of(url);
    for (size_t i = 0; i < THROTTLE_ABSENT; i++)
        if (t->absent[i].url == key && t->absent[i].until_ns > now_ns) {
            error_set(err, "collateral not available from %s", QUOTED(url));
            return ERR_NOT_FOUND;
        }
    int h = host_slot(t, url, false);
    if (h >= 0 && t->hosts[h].until_ns > now_ns) {
        error_set(err, "%s failed and is not asked again for %lld s", QUOTED(intel_url_base(url)),
                  (long long)((t->hosts[h].until_ns - now_ns + NS_PER_S - 1) / NS_PER_S));
        return ERR_UNAVAILABLE;
    }
    if (from_evidence && !take_token(t, now_ns)) {
        error_set(err, "too much collateral of unknown machines is asked for");
        return ERR_UNAVAILABLE;
    }
    return OK;
}

bool throttle_peek(const struct throttle *t, struct str url, int64_t now_ns)
{
    uint64_t key = key_of(url);
    for (size_t i = 0; i < THROTTLE_ABSENT; i++)
        if (t->absent[i].url == key && t->absent[i].until_ns > now_ns)
            return false;
    return throttle_until(t, url) <= now_ns;
}

int64_t throttle_until(const struct throttle *t, struct str url)
{
    int h = host_slot(t, url, false);
    return h < 0 ? INT64_MIN : t->hosts[h].until_ns;
}

void throttle_succeeded(struct throttle *t, struct str url)
{
    int h = host_slot(t, url, false);
    if (h >= 0)
        t->hosts[h].failures = 0, t->hosts[h].until_ns = 0;
}

void throttle_failed(struct throttle *t, struct str url, int64_t retry_after_s, int64_t now_ns)
{
    int h = host_slot(t, url, true);
    uint64_t key = key_of(intel_url_base(url));
    if (t->hosts[h].host != key) {
        t->hosts[h].host = key;
        t->hosts[h].failures = 0;
    }
    int64_t wait_s = THROTTLE_FIRST_S;
    for (unsigned i = 0; i < t->hosts[h].failures && wait_s < THROTTLE_LONGEST_S; i++)
        wait_s *= 2;
    if (wait_s > THROTTLE_LONGEST_S)
        wait_s = THROTTLE_LONGEST_S;
    if (t->hosts[h].failures < 64)
        t->hosts[h].failures++;
    if (retry_after_s > THROTTLE_RETRY_AFTER_MAX_S)
        retry_after_s = THROTTLE_RETRY_AFTER_MAX_S;
    if (retry_after_s > wait_s)
        wait_s = retry_after_s;
    t->hosts[h].until_ns = now_ns + wait_s * NS_PER_S;
}

void throttle_absent(struct throttle *t, struct str url, bool from_evidence, int64_t now_ns)
{
    t->absent[t->next_absent].url = key_of(url);
    t->absent[t->next_absent].until_ns =
        now_ns + (from_evidence ? THROTTLE_ABSENT_EVIDENCE_S : THROTTLE_ABSENT_S) * NS_PER_S;
    t->next_absent = (t->next_absent + 1) % THROTTLE_ABSENT;
}

void throttle_forget(struct throttle *t)
{
    *t = (struct throttle){
        .started = t->started, .tokens_ns = t->tokens_ns, .refilled_ns = t->refilled_ns};
}

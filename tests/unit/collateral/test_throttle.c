/* Back-off, negative answers, the bucket of what strangers can cause. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "collateral/throttle.h"
#include "tap.h"

#define S NS_PER_S
#define A "https://a.example/x"
#define A2 "https://a.example/y"
#define B "https://b.example/x"

static enum status ask(struct throttle *t, const char *url, int64_t at_s)
{
    return throttle_ask(t, str_of(url), false, at_s * S, NULL);
}

static void test_back_off(void)
{
    struct throttle t = {.started = false};
    static const int64_t waits[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
    int64_t now = 1000;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        CHECK(ask(&t, A, now) == OK);
        throttle_failed(&t, STR(A), 0, now * S);
        CHECK(ask(&t, A, now + waits[i] - 1) == ERR_UNAVAILABLE);
        CHECK(ask(&t, A2, now) == ERR_UNAVAILABLE); /* the host, not the URL */
        CHECK(ask(&t, B, now) == OK);
        CHECK(throttle_until(&t, STR(A)) == (now + waits[i]) * S);
        now += waits[i];
    }
    throttle_succeeded(&t, STR(A));
    CHECK(ask(&t, A, now) == OK);
    throttle_failed(&t, STR(A), 0, now * S);
    CHECK(ask(&t, A, now + 1) == OK); /* from the beginning again */
}

static void test_retry_after(void)
{
    static const struct {
        int64_t asked, kept;
    } rows[] = {{0, 1}, {1, 1}, {120, 120}, {3600, 3600}, {1000000000, 3600}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct throttle t = {.started = false};
        throttle_failed(&t, STR(A), rows[i].asked, 0);
        CHECK(ask(&t, A, rows[i].kept - 1) == ERR_UNAVAILABLE);
        CHECK(ask(&t, A, rows[i].kept) == OK);
    }
}

static void test_hosts_are_bounded(void)
{
    struct throttle t = {.started = false};
    char url[64];
    for (int i = 0; i < 100; i++) {
        snprintf(url, sizeof(url), "https://h%d.example/", i);
        throttle_failed(&t, str_of(url), 3600, 0);
        CHECK(ask(&t, url, 1) == ERR_UNAVAILABLE);
    }
}

/* HARDEN ver-3: what evidence names costs a bounded number of questions. */
static void test_bucket(void)
{
    struct throttle t = {.started = false};
    size_t allowed = 0;
    char url[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(url, sizeof(url), "https://a.example/%d", i);
        allowed += throttle_ask(&t, str_of(url), true, 5 * S, NULL) == OK;
    }
    CHECK(allowed == THROTTLE_BURST);
    CHECK(ask(&t, A, 5) == OK); /* what the configuration names is not in that bucket */
    CHECK(throttle_ask(&t, STR(A), true, 6 * S, NULL) == OK);
    CHECK(throttle_ask(&t, STR(A), true, 6 * S, NULL) == ERR_UNAVAILABLE);
    CHECK(throttle_ask(&t, STR(A), true, 1000000 * S, NULL) == OK);
    for (allowed = 0; throttle_ask(&t, STR(A), true, 1000000 * S, NULL) == OK;)
        allowed++;
    CHECK(allowed == THROTTLE_BURST - 1);
}

static void test_absent(void)
{
    struct throttle t = {.started = false};
    throttle_absent(&t, STR(A), false, 0);
    throttle_absent(&t, STR(B), true, 0);
    CHECK(ask(&t, A, 59) == ERR_NOT_FOUND && ask(&t, A2, 59) == OK);
    CHECK(!throttle_peek(&t, STR(A), 59 * S) && throttle_peek(&t, STR(A2), 59 * S));
    CHECK(ask(&t, A, 60) == OK && ask(&t, B, 60) == ERR_NOT_FOUND);
    CHECK(ask(&t, B, 600) == OK);

    char url[64];
    for (int i = 0; i <= THROTTLE_ABSENT; i++) {
        snprintf(url, sizeof(url), "https://a.example/%d", i);
        throttle_absent(&t, str_of(url), true, 1000 * S);
    }
    CHECK(ask(&t, "https://a.example/0", 1000) == OK); /* the oldest had to go */
    CHECK(ask(&t, "https://a.example/1", 1000) == ERR_NOT_FOUND);
    throttle_forget(&t);
    CHECK(ask(&t, "https://a.example/1", 1000) == OK);
}

int main(void)
{
    test_back_off();
    test_retry_after();
    test_hosts_are_bounded();
    test_bucket();
    test_absent();
    return tap_done();
}

/* The helper: a program of ours that starts claviger-fetch and passes its socket on. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/fetch_internal.h"
#include "net/helper.h"
#include "tap.h"

static char program[4096];
static const char *const allow[] = {"https://a.example/keys", "https://b.example/", NULL};

static struct helper *start(const char *const *urls)
{
    const struct helper_options o = {.allow = urls, .program = program};
    struct helper *h = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(helper_new(&o, &h, &err), OK, &err);
    return h;
}

/* The other end is gone within 10 s. */
static bool at_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c;
    return poll(&p, 1, 10000) == 1 && recv(fd, &c, 1, 0) <= 0;
}

static bool is_open(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0;
}

static int fetcher(struct helper *h, uint32_t number)
{
    struct error err = ERROR_INIT;
    int fd = helper_start_fetch(h, number, &err);
    if (!CHECK(fd >= 0))
        printf("# %s\n", err.text);
    return fd;
}

/* What a claviger-fetch of that helper says to a request, with a server that allows everything. */
static enum status ask(int fd, const char *allowed, const char *url)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, FETCH_FRAME_MAX);
    static struct fetch_config c;
    c = (struct fetch_config){.timeout_ms = 5000, .body_max = 1000, .ca_file = STR_EMPTY};
    c.allow[c.allow_count++] = str_of(allowed);
    fetch_write_config(&b, &c);
    struct fetch_job j = {.id = 1, .method = STR("GET"), .url = str_of(url), .body = STR_EMPTY};
    fetch_write_job(&b, &j);
    CHECK(send(fd, b.ptr, b.len, MSG_NOSIGNAL) == (ssize_t)b.len);
    buf_reset(&b);
    struct str content;
    size_t used;
    struct fetch_result r;
    while (fetch_next_frame(buf_str(&b), &content, &used) == FETCH_FRAME_MORE) {
        char part[4096];
        ssize_t n = recv(fd, part, sizeof(part), 0);
        if (n <= 0)
            return ERR_INTERNAL;
        buf_add(&b, str_bytes(part, (size_t)n));
    }
    return fetch_read_result(content, &r) ? r.status : ERR_INTERNAL;
}

static void test_bounds(void)
{
    static const struct {
        const char *name, *allowed, *url;
        enum status want;
    } rows[] = {
        {"the server's list is wider", "https://evil.example/", "https://evil.example/x",
         ERR_DENIED},
        {"below another path", "https://a.example/", "https://a.example/other", ERR_DENIED},
        {"the server's list is narrower", "https://b.example/x", "https://b.example/y", ERR_DENIED},
        {"both allow it, and nobody is there", "https://127.0.0.1:1/", "https://127.0.0.1:1/x",
         ERR_UNAVAILABLE},
    };
    static const char *const urls[] = {"https://a.example/keys", "https://b.example/",
                                       "https://127.0.0.1:1/", NULL};
    CLEANUP(helper_cleanup) struct helper *h = start(urls);
    for (size_t i = 0; h != NULL && i < ARRAY_LEN(rows); i++) {
        int fd = fetcher(h, 1);
        CHECK_ROW(ask(fd, rows[i].allowed, rows[i].url) == rows[i].want, rows[i].name);
        close(fd);
    }
}

static void test_processes(void)
{
    struct helper *h = start(allow);
    if (h == NULL)
        return;
    int one = fetcher(h, 1), two = fetcher(h, 2);
    CHECK(is_open(one) && is_open(two));
    CHECK((fcntl(one, F_GETFD) & FD_CLOEXEC) != 0);
    int again = fetcher(h, 1);
    CHECK(at_end(one)); /* hung or not, it was ended for the new one */
    CHECK(is_open(two) && is_open(again));

    /* Room for so many; another ends the oldest. */
    int more[HELPER_FETCHERS_MAX - 1];
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        more[i] = fetcher(h, (uint32_t)(10 + i));
    CHECK(at_end(two));
    CHECK(is_open(again) && is_open(more[0]));

    helper_free(h);
    CHECK(at_end(again));
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        CHECK(at_end(more[i]));
        close(more[i]);
    }
    close(one);
    close(two);
    close(again);
}

/* Through the fetcher, as a server does. */
static void test_fetcher(void)
{
    CLEANUP(helper_cleanup) struct helper *h = start(allow);
    static const char *const urls[] = {"https://b.example/", "https://c.example/", NULL};
    const struct fetcher_options o = {.allow = urls, .timeout_ms = 5000};
    fetch_start_with(helper_start_fetch, h);
    CLEANUP(fetcher_cleanup) struct fetcher *f = NULL;
    CHECK(fetcher_new(&o, &f, NULL) == OK);
    const struct fetch_request r = {.url = STR("https://c.example/x")};
    struct fetch_answer a;
    fetch_answer_init(&a);
    struct error err = ERROR_INIT;
    CHECK_STATUS(fetcher_request(f, &r, &a, &err), ERR_DENIED, &err); /* the helper's list */

    fetcher_stop(f);
    CHECK_STATUS(fetcher_request(f, &r, &a, &err), ERR_UNAVAILABLE, &err);
    CHECK(strstr(err.text, "closed") != NULL);
    fetch_answer_done(&a);
    fetch_start_with(NULL, NULL);
}

static void test_failures(void)
{
    struct error err = ERROR_INIT;
    struct helper *h = NULL;
    const struct helper_options nowhere = {.allow = allow, .program = "/nowhere"};
    CHECK_STATUS(helper_new(&nowhere, &h, &err), ERR_UNAVAILABLE, &err);
    CHECK(h == NULL);

    /* One that ends at once, as with a program of another version. */
    const struct helper_options other = {.allow = allow, .program = "/bin/true"};
    CHECK_STATUS(helper_new(&other, &h, &err), OK, &err);
    CHECK(helper_start_fetch(h, 1, &err) == -1);
    CHECK(strstr(err.text, "claviger-helper has ended") != NULL);
    CHECK(helper_start_fetch(h, 1, &err) == -1);
    helper_free(h);

    CHECK(helper_start_fetch(NULL, 1, &err) == -1);
    CHECK(strstr(err.text, "could not be started") != NULL);

    enum status st = ERR_NOMEM;
    for (long n = 1; st != OK && n < 100; n++) {
        const struct helper_options o = {.allow = allow, .program = program};
        h = NULL;
        tap_fail_malloc_after(n);
        st = helper_new(&o, &h, NULL);
        tap_fail_malloc_after(0);
        CHECK(st == OK ? h != NULL : h == NULL);
        helper_free(h);
        if (!tap_malloc_can_fail())
            break;
    }
}

int main(void)
{
    const char *build = getenv("CLAVIGER_BUILD");
    snprintf(program, sizeof(program), "%s/programs/claviger-helper", build == NULL ? "." : build);
    test_bounds();
    test_processes();
    test_fetcher();
    test_failures();
    return tap_done();
}

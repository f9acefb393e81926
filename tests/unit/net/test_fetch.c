/* The fetcher: its list of allowed URLs, its messages, and the process against a server of ours. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cert.h"
#include "confine/confine.h"
#include "fixture.h"
#include "net/fetch_internal.h"
#include "net/tls.h"
#include "tap.h"

/* ---- URLs ---- */

static void test_urls(void)
{
    const struct {
        const char *url, *prefix;
        bool want;
    } rows[] = {
        {"https://a.example/x", "https://a.example/", true},
        {"https://a.example", "https://a.example", true},
        {"https://a.example/x/y?z=/..", "https://a.example/x", true},
        {"https://a.example/x", "https://a.example/x", true},
        {"https://a.example/x?q", "https://a.example/x", true},
        {"HTTPS://A.EXAMPLE:443/x", "https://a.example/x", true},
        {"http://a.example:80/x", "http://a.example/", true},
        {"http://127.0.0.1:8080/x", "http://127.0.0.1:8080/", true},
        {"https://[::1]:8443/x", "https://[::1]:8443/", true},
        {"https://a.example/a.b/..c/d..", "https://a.example/", true},
        {"https://a.example/%41%20", "https://a.example/", true},
        {"https://a.example/@b?c@d", "https://a.example/", true},

        {"https://a.example/xy", "https://a.example/x", false},
        {"https://a.example.evil/", "https://a.example", false},
        {"https://evil/?https://a.example/", "https://a.example/", false},
        {"http://a.example/x", "https://a.example/x", false},
        {"https://a.example:444/", "https://a.example/", false},
        {"https://a.example@evil/", "https://a.example/", false},
        {"https://a.example:443@evil/", "https://a.example/", false},
        {"https://a.example\\@evil/", "https://a.example/", false},
        {"https://a.example#@evil/", "https://a.example/", false},
        {"https://a.example?@evil/", "https://a.example/", false},
        {"https://a.example/x/../y", "https://a.example/x", false},
        {"https://a.example/x/%2e%2E/y", "https://a.example/x", false},
        {"https://a.example/x/.%2e", "https://a.example/x", false},
        {"https://a.example/x/./y", "https://a.example/x", false},
        {"https://a.example/x/..", "https://a.example/x", false},
        {"https://a.example/x%2f..%2fy", "https://a.example/", false},
        {"https://a.example/x%5c..%5cy", "https://a.example/", false},
        {"https://a.example/x%00", "https://a.example/", false},
        {"https://a.example/x%zz", "https://a.example/", false},
        {"https://a.example/x y", "https://a.example/", false},
        {"https://a.example/\xc3\xa4", "https://a.example/", false},
        {"https://a.example\t/", "https://a.example/", false},
        {"https:///x", "https:///", false},
        {"https://.a/x", "https://.a/", false},
        {"https://a.example:/x", "https://a.example/", false},
        {"https://a.example:0/x", "https://a.example:0/", false},
        {"https://a.example:65536/x", "https://a.example:65536/", false},
        {"https://a_b/x", "https://a_b/", false},
        {"https://%61.example/x", "https://a.example/", false},
        {"ftp://a.example/x", "ftp://a.example/", false},
        {"file:///etc/passwd", "file:///", false},
        {"//a.example/x", "//a.example/", false},
        {"", "", false},
        {"https://a.example/x?q", "https://a.example/x?q", false}, /* no prefix with a query */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_ROW(fetch_url_allowed(str_of(rows[i].url), str_of(rows[i].prefix)) == rows[i].want,
                  rows[i].url);

    CLEANUP(buf_done) struct buf longest;
    buf_init(&longest, FETCH_URL_MAX + 1);
    buf_add_cstr(&longest, "https://a/");
    while (longest.len < FETCH_URL_MAX)
        buf_add_byte(&longest, 'x');
    CHECK(fetch_url_is_valid(buf_str(&longest)));
    buf_add_byte(&longest, 'x');
    CHECK(!fetch_url_is_valid(buf_str(&longest)));
}

/* ---- messages ---- */

static void test_messages(void)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    struct fetch_job j = {.id = 7,
                          .method = STR("GET"),
                          .url = STR("https://a/"),
                          .body = STR("xyz"),
                          .header_count = 2,
                          .headers = {STR("A: b"), STR("C: d")}};
    fetch_write_job(&b, &j);
    struct str content;
    size_t used = 0;
    for (size_t n = 0; n < b.len; n++)
        CHECK(fetch_next_frame(str_slice(buf_str(&b), 0, n), &content, &used) == FETCH_FRAME_MORE);
    CHECK(fetch_next_frame(buf_str(&b), &content, &used) == FETCH_FRAME_DONE && used == b.len);
    struct fetch_job back;
    CHECK(fetch_read_job(content, &back) && back.id == 7 && back.header_count == 2);
    CHECK_STR(back.headers[1], STR("C: d"));
    CHECK_STR(back.body, STR("xyz"));
    for (size_t n = 0; n < content.len; n++)
        CHECK(!fetch_read_job(str_slice(content, 0, n), &back)); /* cut short */
    struct fetch_config config;
    struct fetch_result result;
    CHECK(!fetch_read_config(content, &config) && !fetch_read_result(content, &result));

    const struct {
        const char *name;
        struct fetch_result r;
        bool want;
    } rows[] = {
        {"answer", {1, OK, 200, 0, STR("A: b\r\n"), STR("x"), STR("")}, true},
        {"failure", {1, ERR_DENIED, 0, 0, STR(""), STR(""), STR("why")}, true},
        {"no such status", {1, (enum status)99, 200, 0, STR(""), STR(""), STR("")}, false},
        {"no such HTTP status", {1, OK, 1000, 0, STR(""), STR(""), STR("")}, false},
        {"done without an answer", {1, OK, 0, 0, STR(""), STR(""), STR("")}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        fetch_write_result(&b, &rows[i].r);
        CHECK_ROW(fetch_read_result(str_from(buf_str(&b), 4), &result) == rows[i].want,
                  rows[i].name);
        buf_add_byte(&b, 'x');
        CHECK_ROW(!fetch_read_result(str_from(buf_str(&b), 4), &result), rows[i].name);
    }
    CHECK(fetch_next_frame(STR("\xff\xff\xff\xff"), &content, &used) == FETCH_FRAME_BAD);
}

static void test_new_sweep(void)
{
    const char *const allow[] = {"https://a.example/", "https://b.example/x", NULL};
    struct fetcher_options o = {.allow = allow, .program = "/nowhere"};
    enum status st = ERR_NOMEM;
    for (long n = 1; n < 100 && st != OK; n++) {
        CLEANUP(fetcher_cleanup) struct fetcher *f = NULL;
        tap_fail_malloc_after(n);
        st = fetcher_new(&o, &f, NULL);
        tap_fail_malloc_after(0);
        CHECK(st == OK ? f != NULL : st == ERR_NOMEM && f == NULL);
    }
    CHECK(st == OK);
}

/* ---- the process ---- */

static const char *program(void)
{
    static char path[4096];
    const char *build = getenv("CLAVIGER_BUILD");
    snprintf(path, sizeof(path), "%s/programs/claviger-fetch", build == NULL ? "build" : build);
    return path;
}

/* A request with everything at its default; the answer's body has to be `want`. */
static enum status get(struct fetcher *f, const char *base, const char *path,
                       struct fetch_answer *a, struct error *err)
{
    char url[512];
    snprintf(url, sizeof(url), "%s%s", base, path);
    struct fetch_request r = {.url = str_of(url)};
    return fetcher_request(f, &r, a, err);
}

static void test_answers(struct fixture *s)
{
    char base[128], allowed[160], outside[160];
    snprintf(base, sizeof(base), "http://%s", s->address);
    snprintf(allowed, sizeof(allowed), "%s/", base);
    snprintf(outside, sizeof(outside), "/redirect?http://localhost%s/", strchr(s->address, ':'));
    const char *const allow[] = {allowed, NULL};
    struct fetcher_options o = {.allow = allow, .program = program(), .body_max = 1000};
    CLEANUP(fetcher_cleanup) struct fetcher *f = NULL;
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS(fetcher_new(&o, &f, &err), OK, &err))
        return;

    const struct {
        const char *name, *path;
        enum status want;
        int status;
        const char *body;
        const char *text; /* in the error */
    } rows[] = {
        {"get", "/method", OK, 200, "GET - -", ""},
        {"not found", "/nowhere", OK, 404, "", ""},
        {"retry after", "/retry", OK, 503, "", ""},
        {"at the limit", "/big?1000", OK, 200, NULL, ""},
        {"one past it", "/big?1001", ERR_LIMIT, 0, NULL, "too large"},
        {"redirect", "/redirect?/method", OK, 200, "GET - -", ""},
        {"redirect in circles", "/loop", ERR_UNAVAILABLE, 0, NULL, "too many redirects"},
        {"redirect off the list", outside, ERR_DENIED, 0, NULL, "redirects to"},
        {"redirect to a file", "/redirect?file:///etc/passwd", ERR_DENIED, 0, NULL, "redirects to"},
        {"redirect to a user", "/redirect?http://a@127.0.0.1/", ERR_DENIED, 0, NULL,
         "redirects to"},
        {"dot segments", "/x/../method", ERR_DENIED, 0, NULL, "not on the list"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fetch_answer a;
        fetch_answer_init(&a);
        struct error e = ERROR_INIT;
        enum status st = get(f, base, rows[i].path, &a, &e);
        CHECK_STATUS_ROW(st, rows[i].want, &e, rows[i].name);
        if (!CHECK_ROW(strstr(e.text, rows[i].text) != NULL, rows[i].name))
            printf("# %s\n", e.text);
        if (st == OK) {
            CHECK_ROW(a.status == rows[i].status, rows[i].name);
            CHECK_ROW(a.retry_after_s == (rows[i].status == 503 ? 7 : 0), rows[i].name);
            CHECK_ROW(fetch_answer_header(&a, "date").len == 29, rows[i].name);
            if (rows[i].body != NULL)
                CHECK_STR_ROW(buf_str(&a.body), str_of(rows[i].body), rows[i].name);
        }
        fetch_answer_done(&a);
    }

    struct fetch_answer a;
    fetch_answer_init(&a);
    static const char *const headers[] = {"A: val", "Content-Type: x/y", NULL};
    char url[256];
    snprintf(url, sizeof(url), "%s/header", base);
    struct fetch_request r = {
        .method = "POST", .url = str_of(url), .headers = headers, .body = STR("b")};
    CHECK(fetcher_request(f, &r, &a, NULL) == OK);
    CHECK_STR(buf_str(&a.body), STR("val"));
    r.method = "GE T";
    CHECK(fetcher_request(f, &r, &a, NULL) == ERR_INVALID);
    snprintf(url, sizeof(url), "http://127.0.0.1:1/secret?token");
    r = (struct fetch_request){.url = str_of(url)};
    CHECK_STATUS(fetcher_request(f, &r, &a, &err), ERR_DENIED, &err);
    CHECK(strstr(err.text, "token") == NULL);
    fetch_answer_done(&a);

    const char *const bad[] = {"https://a/?x", NULL};
    struct fetcher *none = NULL;
    o.allow = bad;
    CHECK(fetcher_new(&o, &none, &err) == ERR_INVALID && none == NULL);
}

static void test_certificates(void)
{
    char cert[256], key[256], other[256], other_key[256], base[128], allowed[160];
    make_cert("fetch-server", cert, key);
    make_cert("fetch-other", other, other_key);
    struct tls_options to = {cert, key, TLS_INTERMEDIATE, 0, 0, NULL, NULL};
    CLEANUP(tls_server_cleanup) struct tls_server *t = NULL;
    CHECK(tls_server_new(&to, &t, NULL) == OK);
    struct fixture s;
    if (!CHECK(fixture_start(&s, fixture_limits(), t, 1)))
        return;
    snprintf(base, sizeof(base), "https://%s", s.address);
    snprintf(allowed, sizeof(allowed), "%s/", base);
    const char *const allow[] = {allowed, NULL};
    const struct {
        const char *name, *ca, *any;
        enum status want;
    } rows[] = {
        {"trusted", cert, NULL, OK},
        {"unknown", NULL, NULL, ERR_DENIED},
        {"another", other, NULL, ERR_DENIED},
        {"any will do", NULL, allowed, OK},
        {"any will do of somebody else", NULL, "https://127.0.0.1:1/", ERR_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fetcher_options o = {.allow = allow,
                                    .program = program(),
                                    .ca_file = rows[i].ca,
                                    .any_certificate = rows[i].any};
        CLEANUP(fetcher_cleanup) struct fetcher *f = NULL;
        CHECK_ROW(fetcher_new(&o, &f, NULL) == OK, rows[i].name);
        struct fetch_answer a;
        fetch_answer_init(&a);
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(get(f, base, "/method", &a, &err), rows[i].want, &err, rows[i].name);
        fetch_answer_done(&a);
    }
    CHECK(fixture_stop(&s));
}

/* ---- a fetcher that dies, hangs or lies ---- */

struct starter {
    _Atomic pid_t pid; /* start() is called by whoever asks */
    atomic_int starts;
    bool stopped;     /* SIGSTOP as soon as it is there */
    const char *says; /* instead of a program: these bytes */
    size_t says_len;
    int peer;
};

static int start_program(void *user, struct error *err)
{
    struct starter *s = user;
    pid_t pid = 0;
    int fd = fetch_spawn(program(), &pid, err);
    if (s->stopped)
        kill(pid, SIGSTOP);
    atomic_store(&s->pid, pid);
    atomic_fetch_add(&s->starts, 1);
    return fd;
}

static int start_liar(void *user, struct error *err)
{
    struct starter *s = user;
    int fds[2];
    s->starts++;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    if (s->peer > 0)
        close(s->peer);
    s->peer = fds[1];
    if (send(fds[1], s->says, s->says_len, 0) != (ssize_t)s->says_len)
        return -1;
    if (s->says_len == 0) {
        close(fds[1]);
        s->peer = 0;
    }
    return fds[0];
}

static void reap(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static bool status_line(pid_t pid, const char *want)
{
    char path[64], text[8192] = "";
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text) - 1, f);
    if (f != NULL)
        fclose(f);
    return n > 0 && strstr(text, want) != NULL;
}

struct asker {
    struct fetcher *f;
    const char *base, *path;
    enum status result;
    struct fetch_answer answer;
};

static void *ask(void *user)
{
    struct asker *a = user;
    fetch_answer_init(&a->answer);
    a->result = get(a->f, a->base, a->path, &a->answer, NULL);
    return NULL;
}

static void wait_until(atomic_int *n, int at_least)
{
    CHECK(WAIT_UNTIL(atomic_load(n) >= at_least));
}

static void test_dying(struct fixture *s)
{
    char base[128], allowed[160];
    snprintf(base, sizeof(base), "http://%s", s->address);
    snprintf(allowed, sizeof(allowed), "%s/", base);
    const char *const allow[] = {allowed, NULL};
    struct starter starter = {0};
    struct fetcher_options o = {
        .allow = allow, .start = start_program, .user = &starter, .timeout_ms = PATIENCE_MS};
    CLEANUP(fetcher_cleanup) struct fetcher *f = NULL;
    if (!CHECK(fetcher_new(&o, &f, NULL) == OK))
        return;
    CHECK(starter.starts == 0); /* on first need */
    struct fetch_answer a;
    fetch_answer_init(&a);
    CHECK(get(f, base, "/method", &a, NULL) == OK && starter.starts == 1);
    CHECK(status_line(starter.pid, "NoNewPrivs:\t1"));
    CHECK(CONFINE_SANITIZED || status_line(starter.pid, "Seccomp:\t2"));

    /* Killed between two requests, and within one. */
    reap(starter.pid);
    CHECK(get(f, base, "/method", &a, NULL) == OK && starter.starts == 2);
    struct asker asker = {.f = f, .base = base, .path = "/slow"};
    pthread_t t;
    atomic_store(&s->slow, 0);
    CHECK(pthread_create(&t, NULL, ask, &asker) == 0);
    wait_until(&s->slow, 1);
    reap(starter.pid);
    wait_until(&s->slow, 2); /* asked again, by a new one */
    fixture_release(s);
    pthread_join(t, NULL);
    CHECK(asker.result == OK && starter.starts == 3);
    fetch_answer_done(&asker.answer);
    fetch_answer_done(&a);
    pid_t last = starter.pid;
    f = fetcher_free(f);
    waitpid(last, NULL, 0); /* ends by itself when its socket does */
    CHECK(kill(last, 0) == -1 && errno == ESRCH);
}

static void test_hanging(struct fixture *s)
{
    char base[128], allowed[160];
    snprintf(base, sizeof(base), "http://%s", s->address);
    snprintf(allowed, sizeof(allowed), "%s/", base);
    const char *const allow[] = {allowed, NULL};
    struct starter starter = {0};
    struct fetcher_options o = {.allow = allow,
                                .start = start_program,
                                .user = &starter,
                                .timeout_ms = 150,
                                .grace_ms = PATIENCE_MS};
    CLEANUP(fetcher_cleanup) struct fetcher *f = NULL;
    if (!CHECK(fetcher_new(&o, &f, NULL) == OK))
        return;
    struct fetch_answer a;
    fetch_answer_init(&a);
    struct error err = ERROR_INIT;

    /* A slow server is the fetcher's to time out. */
    int64_t start = now_ms();
    CHECK_STATUS(get(f, base, "/slow", &a, &err), ERR_UNAVAILABLE, &err);
    CHECK(now_ms() - start >= 149 && now_ms() - start < PATIENCE_MS && starter.starts == 1);
    f = fetcher_free(f);
    waitpid(starter.pid, NULL, 0);

    /* A stopped fetcher is ours, and is not asked again. */
    o.grace_ms = 150;
    starter = (struct starter){.stopped = true};
    CHECK(fetcher_new(&o, &f, NULL) == OK);
    start = now_ms();
    CHECK_STATUS(get(f, base, "/method", &a, &err), ERR_UNAVAILABLE, &err);
    CHECK(now_ms() - start >= 299 && strstr(err.text, "does not answer") != NULL);
    CHECK(starter.starts == 1);
    reap(starter.pid);
    starter.stopped = false;
    status_ignore(get(f, base, "/method", &a, NULL)); /* a busy machine may need longer than that */
    CHECK(starter.starts == 2);
    f = fetcher_free(f);
    reap(starter.pid);

    /* One that says nonsense is dropped, and not started for ever. */
    const struct {
        const char *name;
        struct str says;
        const char *text;
    } rows[] = {
        {"nonsense", STR("\0\0\0\2hi"), "no answer"},
        {"a huge frame", STR("\xff\xff\xff\xff"), "no answer"},
        {"nothing, and ends", STR(""), "ended"},
    };
    o.start = start_liar;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        starter = (struct starter){.says = rows[i].says.ptr, .says_len = rows[i].says.len};
        CHECK_ROW(fetcher_new(&o, &f, NULL) == OK, rows[i].name);
        CHECK_ROW(get(f, base, "/method", &a, &err) == ERR_UNAVAILABLE, rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].text) != NULL, rows[i].name);
        for (int k = 0; k < 10; k++)
            CHECK_ROW(get(f, base, "/method", &a, &err) == ERR_UNAVAILABLE, rows[i].name);
        CHECK_ROW(starter.starts == 5 && strstr(err.text, "again and again") != NULL, rows[i].name);
        f = fetcher_free(f);
        if (starter.peer > 0)
            close(starter.peer);
    }

    o = (struct fetcher_options){.allow = allow, .program = "/nonexistent"};
    CHECK(fetcher_new(&o, &f, NULL) == OK);
    CHECK(get(f, base, "/method", &a, &err) == ERR_UNAVAILABLE);
    CHECK(strstr(err.text, "/nonexistent") != NULL);
    fetch_answer_done(&a);
}

static void test_single_flight(struct fixture *s)
{
    enum { THREADS = 6 };
    char base[128], allowed[160];
    snprintf(base, sizeof(base), "http://%s", s->address);
    snprintf(allowed, sizeof(allowed), "%s/", base);
    const char *const allow[] = {allowed, NULL};
    struct fetcher_options o = {.allow = allow, .program = program(), .timeout_ms = PATIENCE_MS};
    CLEANUP(fetcher_cleanup) struct fetcher *f = NULL;
    if (!CHECK(fetcher_new(&o, &f, NULL) == OK))
        return;
    pthread_t t[THREADS];
    struct asker askers[THREADS];
    atomic_store(&s->slow, 0);
    for (int i = 0; i < THREADS; i++) {
        askers[i] =
            (struct asker){.f = f, .base = base, .path = i < THREADS - 1 ? "/slow" : "/slow?x"};
        CHECK(pthread_create(&t[i], NULL, ask, &askers[i]) == 0);
        if (i == 0)
            wait_until(&s->slow, 1);
    }
    wait_until(&s->slow, 2); /* the other URL does not wait for this one */
    CHECK(WAIT_UNTIL(fetcher_waiting(f) == THREADS));
    struct fetch_answer a;
    fetch_answer_init(&a);
    CHECK(get(f, base, "/method", &a, NULL) == OK);
    fetch_answer_done(&a);
    fixture_release(s);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        CHECK(askers[i].result == OK && askers[i].answer.status == 200);
        fetch_answer_done(&askers[i].answer);
    }
    CHECK(atomic_load(&s->slow) == 2);
}

/* ---- what it cannot do ---- */

static bool has_landlock(void)
{
    return syscall(444 /* landlock_create_ruleset */, NULL, 0, 1 /* version */) > 0;
}

/* In a child of our own; its exit status has a bit for each thing that should have failed. */
static int try_forbidden(void)
{
    fetch_drop_rights(STR_EMPTY);
    int bad = 0;
    char *argv[] = {(char *)(uintptr_t) "true", NULL};
    execve("/bin/true", argv, argv + 1);
    if (errno != EPERM)
        bad |= 1;
    if (kill(getppid(), 0) == 0)
        bad |= 2;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || listen(fd, 1) == 0)
        bad |= 4; /* a socket it may have, a listening one not */
    if (has_landlock()) {
        if (open("/etc/passwd", O_RDONLY) >= 0)
            bad |= 8;
        if (open("/tmp", O_TMPFILE | O_RDWR, 0600) >= 0 || open("/dev/null", O_WRONLY) >= 0)
            bad |= 16;
        if (open("/etc/hosts", O_RDONLY) < 0 && errno != ENOENT)
            bad |= 32;
    }
    return bad;
}

static void test_rights(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(try_forbidden());
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

int main(void)
{
    test_urls();
    test_messages();
    test_new_sweep();
    test_rights();
    if (!CHECK(access(program(), X_OK) == 0))
        return tap_done();
    /* Each with a server of its own: /slow keeps a worker until it is released. */
    void (*const tests[])(struct fixture *) = {test_answers, test_hanging, test_single_flight,
                                               test_dying};
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        struct fixture s;
        if (!CHECK(fixture_start(&s, fixture_limits(), NULL, 1)))
            break;
        tests[i](&s);
        CHECK(fixture_stop(&s));
    }
    test_certificates();
    return tap_done();
}

#include "served.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tap.h"

#define PATIENCE_MS 60000

extern char **environ;

static bool find_url(struct served *s)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1 << 24);
    if (file_read(s->log, &text, NULL) != OK)
        return false;
    buf_add_byte(&text, '\0');
    const char *at = strstr(text.ptr, " server at [");
    if (at == NULL)
        return false;
    bool tls = at - text.ptr >= 5 && memcmp(at - 5, "HTTPS", 5) == 0;
    at += strlen(" server at [");
    snprintf(s->url, sizeof(s->url), "%s://%.*s", tls ? "https" : "http", (int)strcspn(at, ",]"),
             at);
    return strchr(at, ']') != NULL;
}

bool served_start(struct served *s)
{
    char program[4096];
    snprintf(program, sizeof(program), "%s/programs/kbs", getenv("CLAVIGER_BUILD"));
    snprintf(s->log, sizeof(s->log), "%s/kbs.log", tap_tmpdir());
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, s->log,
                                     O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    char kbs[] = "kbs", config[] = "-c", anchors[] = "--extra-trust-anchors";
    char *const argv[] = {kbs,
                          config,
                          (char *)(uintptr_t)s->config,
                          s->anchors != NULL ? anchors : NULL,
                          (char *)(uintptr_t)s->anchors,
                          NULL};
    int e = posix_spawn(&s->pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    int64_t start = clock_monotonic_ns();
    bool found = false, ended = e != 0;
    while (!found && !ended && clock_monotonic_ns() - start < PATIENCE_MS * (NS_PER_S / 1000)) {
        found = find_url(s);
        ended = !found && waitpid(s->pid, NULL, WNOHANG) == s->pid;
        usleep(500);
    }
    if (ended)
        s->pid = 0;
    if (!found) {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1 << 24);
        status_ignore(file_read(s->log, &text, NULL));
        printf("# %s did not start: %.*s\n", program, STR_ARG(buf_str(&text)));
    }
    return CHECK(found);
}

int served_end(struct served *s, int signo)
{
    int status = -1;
    if (s->pid > 0) {
        kill(s->pid, signo);
        waitpid(s->pid, &status, 0);
        s->pid = 0;
    }
    return status;
}

bool served_logged(const struct served *s, const char *text)
{
    CLEANUP(buf_done) struct buf log;
    buf_init(&log, 1 << 24);
    if (file_read(s->log, &log, NULL) != OK)
        return false;
    buf_add_byte(&log, '\0');
    return strstr(log.ptr, text) != NULL;
}

int served_request(const struct guest_transport *t, const char *method, const char *path,
                   struct str body)
{
    struct guest_answer a;
    guest_answer_init(&a);
    struct error err = ERROR_INIT;
    enum status st = t->send(t->user, method, path, STR_EMPTY, body, &a, &err);
    int status = st == OK ? a.status : 0;
    guest_answer_done(&a);
    return status;
}

/* ---- a guest ---- */

static enum status evidence(void *user, struct str report_data, struct buf *out, struct error *err)
{
    return machine_evidence(user, report_data, out, err);
}

enum status served_guest_init(struct served_guest *g, const struct served *s, const char *ca_file,
                              struct error *err)
{
    *g = (struct served_guest){0};
    const struct http_client_options https = {.ca_file = ca_file, .timeout_ms = PATIENCE_MS};
    enum status st = guest_http_init(&g->http, s->url, &https, err);
    if (st == OK)
        st = machine_new(machine_kind_find(STR("sample")), NULL, &g->machine, err);
    if (st == OK)
        st = rcar_key_generate(RCAR_KEY_EC256, &g->key, err);
    g->guest = (struct guest){
        .version = RCAR_0_4_0,
        .tee = "sample",
        .key = g->key,
        .attester = {evidence, g->machine},
        .transport = &g->http.transport,
    };
    return st;
}

enum status served_guest_attest(struct served_guest *g, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, RCAR_TEXT_MAX);
    struct guest_answer answer;
    guest_answer_init(&answer);
    struct str token;
    guest_http_forget(&g->http);
    enum status st = guest_attest(&g->guest, &a, &token, &answer, err);
    guest_answer_done(&answer);
    return st;
}

enum status served_guest_get(struct served_guest *g, const char *path, struct buf *out,
                             struct error *err)
{
    struct guest_answer answer;
    guest_answer_init(&answer);
    enum status st = guest_get_resource(&g->guest, path, STR_EMPTY, out, &answer, err);
    guest_answer_done(&answer);
    return st;
}

void served_guest_done(struct served_guest *g)
{
    guest_http_done(&g->http);
    g->machine = machine_free(g->machine);
    g->key = privkey_unref(g->key);
}

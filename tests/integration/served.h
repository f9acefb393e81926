/*
 * served - a kbs of the build as a child process, and a guest without hardware,
 * for tests that need more speed than a shell script has.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "virtualtee/guest_http.h"
#include "virtualtee/machine.h"

struct served {
    const char *config;  /* path */
    const char *anchors; /* further roots of trust, a folder; NULL: none */
    char log[4096];      /* path: what it writes to standard error */
    pid_t pid;           /* 0: none */
    char url[96];
};

/* Start `kbs -c config` and wait until it listens.  False after a line of TAP that says why not. */
bool served_start(struct served *s);

/* Send the signal and wait for its end; the status of waitpid(). */
int served_end(struct served *s, int signo);

/* The log has this text now. */
bool served_logged(const struct served *s, const char *text);

/* One request; the HTTP status, or 0 when there was no whole answer. */
int served_request(const struct guest_transport *t, const char *method, const char *path,
                   struct str body);

/* A guest of the sample TEE; `ca_file`: of a server with TLS, or NULL. */
struct served_guest {
    struct guest_http http;
    struct machine *machine;
    struct privkey *key;
    struct guest guest;
};
STATUS served_guest_init(struct served_guest *g, const struct served *s, const char *ca_file,
                         struct error *err);
STATUS served_guest_attest(struct served_guest *g, struct error *err);
/* `path`: "/kbs/v0/resource/r/t/g".  The bytes are appended to `out`. */
STATUS served_guest_get(struct served_guest *g, const char *path, struct buf *out,
                        struct error *err);
void served_guest_done(struct served_guest *g);

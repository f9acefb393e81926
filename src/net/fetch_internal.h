/*
 * fetch_internal - messages between a server and its claviger-fetch.
 *
 * A frame is a length (32 bits, big endian) and that many bytes: one byte that
 * says what it is, then members in fixed order.  Numbers are 32 bits, strings
 * are a length and bytes.
 *
 *   'C'  timeout_ms body_max ca_file any_certificate n prefix...   server, once, first
 *   'R'  id method url n header... body                     server
 *   'A'  id status http_status retry_after headers body error_text
 *
 * Slices that readers set point into the frame.
 */
#pragma once

#include "confine/confine.h"
#include "net/fetch.h"

#define FETCH_FRAME_MAX (FETCH_BODY_MAX + 1024 * 1024)
#define FETCH_REQUEST_HEADERS_MAX 32

struct fetch_config {
    uint32_t timeout_ms, body_max;
    struct str ca_file;         /* empty: none */
    struct str any_certificate; /* a prefix; empty: none */
    uint32_t allow_count;
    struct str allow[FETCH_ALLOW_MAX];
};

struct fetch_job {
    uint32_t id;
    struct str method, url, body;
    uint32_t header_count;
    struct str headers[FETCH_REQUEST_HEADERS_MAX];
};

struct fetch_result {
    uint32_t id;
    enum status status;
    uint32_t http_status, retry_after_s;
    struct str headers, body, text;
};

/* Append one frame. */
void fetch_write_config(struct buf *out, const struct fetch_config *c);
void fetch_write_job(struct buf *out, const struct fetch_job *j);
void fetch_write_result(struct buf *out, const struct fetch_result *r);

/* Read a frame's content; false when it is not exactly one of those. */
bool fetch_read_config(struct str content, struct fetch_config *out);
bool fetch_read_job(struct str content, struct fetch_job *out);
bool fetch_read_result(struct str content, struct fetch_result *out);

enum fetch_frame {
    FETCH_FRAME_DONE,
    FETCH_FRAME_MORE, /* not whole yet */
    FETCH_FRAME_BAD,  /* longer than FETCH_FRAME_MAX */
};
/* The first frame of `in`; *used with its length. */
enum fetch_frame fetch_next_frame(struct str in, struct str *content, size_t *used);

/* ---- fetch_spawn.c ---- */

/* "/usr/bin/kbs" -> "/usr/bin/NAME". */
bool program_beside(const char *name, char *path, size_t size);

/*
 * Start a program of ours (path NULL: argv[0] beside the running one) with one end
 * of a socket pair as FETCH_FD and the environment of fetch_spawn().  Returns
 * the other end, or -1.
 */
int program_spawn(const char *path, char *const *argv, int type, pid_t *pid, struct error *err);

/* ---- fetch_sandbox.c ---- */

/* What claviger-fetch reads; its helper, whose rights it inherits, allows the same. */
void fetch_confine(struct confine *c, struct str ca_file);

/* What a process that only talks to the world does not need is given up for good. */
void fetch_drop_rights(struct str ca_file);

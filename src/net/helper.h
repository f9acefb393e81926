/*
 * helper - what a confined server may not do itself, done by a process without keys
 * (DESIGN.md, "What is loaded when").
 *
 *   kbs --'F'--> claviger-helper --posix_spawn--> claviger-fetch --> the world
 *    ^<-a descriptor-'           |                      |
 *    '--------- socket pair -----------------------------'
 *
 * A server starts it before it gives up execve and socket.  The URLs that may
 * ever be fetched are part of its command line, so that a server that was taken
 * over cannot ask for others.  It starts claviger-fetch when asked to, ends the
 * one that it started before for the same fetcher, and passes the socket to the
 * new one.  It ends with the server, and ends what it started.
 *
 * Messages are packets (SOCK_SEQPACKET): 'F' and a number of the fetcher, 32 bits,
 * big endian; the answer is 'O' with a descriptor (SCM_RIGHTS), or 'E' and a text.
 */
#pragma once

#include "confine/confine.h"
#include "net/fetch.h"

#define HELPER_CA_FILES_MAX 4
#define HELPER_FETCHERS_MAX 8 /* processes at the same time; the oldest is ended for another */

struct helper;

struct helper_options {
    const char *const *allow; /* NULL-terminated URL prefixes, as fetcher_options has them */
    const char *ca_files[HELPER_CA_FILES_MAX]; /* those that fetchers may name; NULL: none */
    const char *program; /* NULL: claviger-helper beside the running program */
};

/* Start it.  ERR_UNAVAILABLE: it could not be started. */
STATUS helper_new(const struct helper_options *options, struct helper **out, struct error *err);
struct helper *helper_free(struct helper *h); /* ends it */
DEFINE_CLEANUP(helper, struct helper, helper_free)

/*
 * For fetch_start_with(), `user` a struct helper, or NULL where none could be started: a
 * socket to a new claviger-fetch, or -1.  Any thread; blocks for the time that starting a program
 * takes.
 */
int helper_start_fetch(void *user, uint32_t fetcher, struct error *err);

/* The program's side: serve `fd` until it ends; the exit status. */
int helper_serve(int fd, const struct helper_options *options);

/*
 * log - lines on standard error, for programs.
 *
 * Modules return errors; programs and services log.  One line an event:
 *
 *   2026-08-21T01:55:31.123456Z  INFO kbs: message
 *
 * or a JSON object a line.  Control characters in messages are escaped, so
 * that nothing from outside can forge a line.  Keys, tokens, session ids and
 * evidence are never passed here.  Thread-safe: one write(2) a line.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/*
 * Apply a filter in the syntax of RUST_LOG: "level", "target=level", comma
 * lists; "off" too.  ERR_INVALID for anything else.  Call before threads start.
 */
STATUS log_init(const char *filter, struct error *err);

/* "text", which it is unless said, or "json"; false for anything else.  Likewise before threads. */
bool log_set_format(const char *name);

/* Where lines go: file descriptor 2 unless a test says otherwise. */
void log_set_fd(int fd);

bool log_enabled(enum log_level level, const char *target);

void log_write(enum log_level level, const char *target, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(target, ...) log_write(LOG_ERROR, (target), __VA_ARGS__)
#define log_warn(target, ...) log_write(LOG_WARN, (target), __VA_ARGS__)
#define log_info(target, ...) log_write(LOG_INFO, (target), __VA_ARGS__)
#define log_debug(target, ...)                                                                     \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG, (target)))                                                      \
            log_write(LOG_DEBUG, (target), __VA_ARGS__);                                           \
    } while (0)

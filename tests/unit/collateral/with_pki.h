/* A PKI of the virtual TEEs, and the bundle of TDX collateral in it. */
#pragma once

#include <stdio.h>

#include "base/encode.h"
#include "base/file.h"
#include "value/json.h"
#include "verifier/anchors.h"
#include "virtualtee/pki.h"

#include "tap.h" /* last: its CHECK is another than that of check.h */

static struct anchors *anchors;
static struct arena bundle_arena;
static value bundle;

static inline const char *pki_path(const char *rest)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/pki/%s", tap_tmpdir(), rest);
    return path;
}

/* `generations`: of AMD's processors; each costs three keys of 4096 bits. */
static inline bool make_pki(unsigned generations)
{
    struct error err = ERROR_INIT;
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s/pki", tap_tmpdir());
    const char *dirs[1];
    arena_init(&bundle_arena, 16 * 1024 * 1024);
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1024 * 1024);
    char extra[4200];
    snprintf(extra, sizeof(extra), "%s/anchors", dir);
    dirs[0] = extra;
    return CHECK_STATUS(pki_make(dir, generations, &err), OK, &err) &&
           CHECK_STATUS(anchors_load(dirs, 1, &anchors, &err), OK, &err) &&
           CHECK_STATUS(file_read(pki_path("collateral/intel-tdx.json"), &text, &err), OK, &err) &&
           CHECK_STATUS(json_parse(&bundle_arena, buf_str(&text), NULL, &bundle, &err), OK, &err);
}

static inline void drop_pki(void)
{
    anchors_unref(anchors);
    arena_done(&bundle_arena);
}

/* Lists are hexadecimal there: a form in which a service may answer, too. */
static inline struct str bundle_member(const char *name)
{
    return value_str(value_get_str(bundle, str_of(name)));
}

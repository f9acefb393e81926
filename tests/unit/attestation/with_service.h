/* An attestation service made from a JSON text, for tests. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "attestation/attestation_internal.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/random.h"
#include "tap.h"
#include "value/json.h"

struct with_service {
    struct arena a; /* for whatever the test makes */
    struct attestation_service *s;
    int64_t now_ns;
    struct clock clock;
    char warnings[8192];
};

static void with_warn(void *user, const char *text)
{
    struct with_service *w = user;
    size_t len = strlen(w->warnings);
    snprintf(w->warnings + len, sizeof(w->warnings) - len, "%s\n", text);
}

/* ERR_... of attestation_service_new(); `%s` in the configuration is the test's own directory. */
static UNUSED enum status with_init(struct with_service *w, const char *config, enum era era,
                                    int64_t now_s, struct error *err)
{
    *w = (struct with_service){.now_ns = now_s * NS_PER_S};
    w->clock = (struct clock){clock_fixed_now, &w->now_ns};
    arena_init(&w->a, (size_t)64 * 1024 * 1024);
    struct str text = STR_EMPTY;
    for (struct str rest = str_of(config); rest.len > 0;) {
        const char *at = memmem(rest.ptr, rest.len, "%s", 2);
        size_t n = at == NULL ? rest.len : (size_t)(at - rest.ptr);
        text = arena_format(&w->a, "%.*s%.*s%s", STR_ARG(text), (int)n, rest.ptr,
                            at == NULL ? "" : tap_tmpdir());
        rest = str_from(rest, at == NULL ? n : n + 2);
    }
    value v;
    if (!CHECK_STATUS(json_parse(&w->a, text, NULL, &v, err), OK, err))
        return ERR_INVALID;
    struct attestation_options o = {
        .config = v,
        .era = era,
        .naming = era == ERA_OLD ? SUBMOD_PLAIN : SUBMOD_INDEXED,
        .storage_backend = VALUE_UNDEFINED,
        .clock = &w->clock,
        .random = &random_system,
        .warn = with_warn,
        .user = w,
    };
    return attestation_service_new(&o, &w->s, err);
}

static UNUSED void with_done(struct with_service *w)
{
    attestation_service_unref(w->s);
    arena_done(&w->a);
}

static UNUSED value with_json(struct with_service *w, const char *text)
{
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS(json_parse(&w->a, str_of(text), NULL, &v, &err), OK, &err);
    return v;
}

static UNUSED struct str with_text(struct with_service *w, value v)
{
    return value_is_defined(v) ? json_text(&w->a, v, JSON_COMPACT) : STR("undefined");
}

/* A file below the test's own directory, with its folders. */
static UNUSED const char *with_file(const char *name, struct str text)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", tap_tmpdir(), name);
    char *slash = strrchr(path, '/');
    struct error err = ERROR_INIT;
    *slash = '\0';
    CHECK_STATUS(file_make_dirs(path, &err), OK, &err);
    *slash = '/';
    CHECK_STATUS(file_write(path, text, 0644, &err), OK, &err);
    return path;
}

/* Reference values from a JSON object, as an administrator registers them. */
static UNUSED void with_values(struct with_service *w, struct str object)
{
    struct str b64 = base64_text(&w->a, object, BASE64_STD);
    struct str m = arena_format(&w->a, "{\"type\":\"sample\",\"payload\":\"%.*s\"}", STR_ARG(b64));
    struct error err = ERROR_INIT;
    CHECK_STATUS(rvps_register(attestation_rvps(w->s), m, w->now_ns / NS_PER_S, &err), OK, &err);
}

static UNUSED enum status with_policy(struct with_service *w, const char *id, const char *text,
                                      struct error *err)
{
    return attestation_set_policy(w->s, str_of(id), base64_text(&w->a, str_of(text), BASE64_URL),
                                  err);
}

/* Sample evidence over the runtime data, as a guest makes it. */
static UNUSED struct attestation_request with_sample(struct with_service *w, const char *tee,
                                                     const char *svn, const char *runtime)
{
    struct attestation_request r = {.tee = str_of(tee),
                                    .runtime_kind = RUNTIME_STRUCTURED,
                                    .runtime_hash = DIGEST_SHA384,
                                    .init_claims = VALUE_UNDEFINED,
                                    .runtime_data = with_json(w, runtime)};
    struct str digest;
    CHECK(canonical_digest(&w->a, r.runtime_data, DIGEST_SHA384, &digest, NULL) == OK);
    struct str b64 = base64_text(&w->a, digest, BASE64_STD);
    r.evidence = with_json(
        w, arena_format(&w->a, "{\"svn\":\"%s\",\"report_data\":\"%.*s\"}", svn, STR_ARG(b64)).ptr);
    return r;
}

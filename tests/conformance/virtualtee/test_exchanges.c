/*
 * The exchanges of ../shared/vectors/rcar, played from the guest's side: each
 * request body is the recorded one, each recorded answer opens with the
 * guest's key.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"
#include "jose/jose.h"
#include "value/json.h"
#include "virtualtee/guest.h"
#include "virtualtee/sample.h"

#include "tap.h"

#define FILE_MAX (4 * 1024 * 1024)

static bool load(struct arena *a, const char *relative, value *out)
{
    const char *path = tap_shared(relative);
    if (path == NULL)
        return false;
    struct buf text;
    buf_init(&text, FILE_MAX);
    struct error err = ERROR_INIT;
    enum status st = file_read(path, &text, &err);
    if (st == OK)
        st = json_parse(a, arena_str(a, buf_str(&text)), NULL, out, &err);
    buf_done(&text);
    return CHECK_STATUS_ROW(st, OK, &err, relative);
}

/* The recorded server. */
struct script {
    const char *name;
    value steps;
    size_t next;
};

static value at(value v, const char *pointer)
{
    return value_pointer(v, str_of(pointer));
}

static enum status play(void *user, const char *method, const char *path, struct str bearer,
                        struct str body, struct guest_answer *out, struct error *err)
{
    struct script *s = user;
    value step = value_at(s->steps, s->next++);
    value request = value_get_lit(step, "request"), response = value_get_lit(step, "response");
    if (!value_is_object(step)) {
        error_set(err, "the script has ended");
        return ERR_UNAVAILABLE;
    }
    CHECK_STR_ROW(str_of(method), value_str(value_get_lit(request, "method")), s->name);
    CHECK_STR_ROW(str_of(path), value_str(value_get_lit(request, "path")), s->name);
    value authorization = at(request, "/headers/authorization");
    CHECK_ROW(value_is_defined(authorization) == (bearer.len > 0), s->name);
    if (bearer.len > 0)
        CHECK_STR_ROW(bearer, str_from(value_str(authorization), strlen("Bearer ")), s->name);

    /* Members of the evidence have no order (MANIFEST.md), so bodies are compared as values. */
    value recorded = value_get_lit(request, "body");
    CHECK_ROW(value_is_string(recorded) == (body.ptr != NULL), s->name);
    if (body.ptr != NULL) {
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 4 * FILE_MAX);
        value got, want;
        if (CHECK_ROW(json_parse(&a, body, NULL, &got, NULL) == OK, s->name) &&
            CHECK_ROW(json_parse(&a, value_str(recorded), NULL, &want, NULL) == OK, s->name) &&
            !CHECK_ROW(value_equal(got, want), s->name))
            CHECK_STR_ROW(body, value_str(recorded), s->name);
        CHECK_ROW(body.len == value_str(recorded).len, s->name);
    }

    int64_t status = 0;
    CHECK_ROW(value_get_int64(value_get_lit(response, "status"), &status), s->name);
    out->status = (int)status;
    buf_add(&out->body, value_str(value_get_lit(response, "body")));
    return buf_status(&out->body);
}

static enum status attest_sample(void *user, struct str report_data, struct buf *out,
                                 struct error *err)
{
    (void)user;
    return sample_evidence(STR("1"), report_data, out, err);
}

static enum status attest_device(void *user, struct str report_data, struct buf *out,
                                 struct error *err)
{
    (void)user;
    buf_add_cstr(out, "{\"sampledevice\":");
    enum status st = sample_evidence(STR("2"), report_data, out, err);
    buf_add_cstr(out, "}");
    return st;
}

static void test_exchange(const char *file)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    char relative[128];
    snprintf(relative, sizeof(relative), "vectors/rcar/%s.json", file);
    value v;
    if (!load(&a, relative, &v))
        return;

    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    struct error err = ERROR_INIT;
    enum status st = privkey_from_pem(value_str(at(v, "/tee_key/pem")), &key, &err);
    if (!CHECK_STATUS_ROW(st, OK, &err, file))
        return;

    struct script script = {.name = file, .steps = value_get_lit(v, "steps")};
    const struct guest_transport transport = {play, &script};
    struct guest g = {
        .tee = "sample", .key = key, .attester = {attest_sample, NULL}, .transport = &transport};
    CHECK_ROW(rcar_version_by_name(value_str(value_get_lit(v, "protocol")), &g.version), file);

    /* Device and init data as the recorded guest had them. */
    CLEANUP(arena_done) struct arena body;
    arena_init(&body, FILE_MAX);
    value attest;
    st = json_parse(&body, value_str(at(v, "/steps/2/request/body")), NULL, &attest, &err);
    CHECK_STATUS_ROW(st, OK, &err, file);
    value init_data = at(attest, "/init-data/body");
    if (value_is_string(init_data))
        g.init_data = value_str(init_data);
    if (value_str(at(attest, "/tee-evidence/additional_evidence")).len > 0)
        g.devices = (struct guest_attester){attest_device, NULL};

    struct guest_answer answer;
    guest_answer_init(&answer);
    struct buf plain;
    buf_init_secret(&plain, FILE_MAX);
    struct str token = STR_EMPTY, path = rcar_resource_path(&a, STR("default/kbsres1/key1"));

    /* A client without a session asks first and is told to attest. */
    st = guest_get_resource(&g, path.ptr, STR_EMPTY, &plain, &answer, &err);
    CHECK_STATUS_ROW(st, ERR_DENIED, &err, file);
    CHECK_ROW(answer.status == 401, file);

    st = guest_attest(&g, &a, &token, &answer, &err);
    CHECK_STATUS_ROW(st, OK, &err, file);
    CHECK_STR_ROW(token, value_str(at(v, "/token/compact")), file);

    CLEANUP(buf_done) struct buf want;
    buf_init(&want, FILE_MAX);
    st = base64_read(value_str(value_get_lit(v, "plaintext_b64")), BASE64_STD, &want, &err);
    CHECK_STATUS_ROW(st, OK, &err, file);
    for (int bearer = 0; bearer < 2; bearer++) { /* by cookie, then by token */
        buf_reset(&plain);
        st = guest_get_resource(&g, path.ptr, bearer ? token : STR_EMPTY, &plain, &answer, &err);
        CHECK_STATUS_ROW(st, OK, &err, file);
        CHECK_STR_ROW(buf_str(&plain), buf_str(&want), file);
    }
    CHECK_ROW(script.next == value_len(script.steps), file);
    guest_answer_done(&answer);
    buf_done(&plain);
}

int main(void)
{
    static const char *const files[] = {
        "exchange-0.1.1-rsa",
        "exchange-0.2.0-ec-p256",
        "exchange-0.2.0-rsa",
        "exchange-0.4.0-ec-p256-devices-initdata",
        "exchange-0.4.0-ec-p256-leading-zero",
        "exchange-0.4.0-ec-p256",
        "exchange-0.4.0-ec-p521",
        "exchange-0.4.0-rsa",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        test_exchange(files[i]);
    return tap_done();
}

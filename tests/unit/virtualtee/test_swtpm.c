/*
 * A real swtpm, furnished by `virtual-tee vtpm`, attests as an Azure VM: the
 * guest's own TPM commands read the HCL report, the quote and the PCRs, and
 * the verifier accepts what they make.  argv[1]: the program.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/file.h"
#include "value/json.h"
#include "verifier/anchors.h"
#include "verifier/verifier.h"
#include "virtualtee/azure_vtpm.h"
#include "virtualtee/swtpm.h"

#include "tap.h"

#define NOW 1764028800 /* 2025-11-25T00:00:00Z */

extern char **environ;

/* posix_spawn() takes pointers to char and changes none. */
static bool spawn(const char *const argv[], const posix_spawn_file_actions_t *actions, pid_t *pid)
{
    return posix_spawn(pid, argv[0], actions, NULL, (char *const *)(uintptr_t)argv, environ) == 0;
}

/* Run to the end; standard output goes to `out_path`.  The exit status. */
static int run(const char *const argv[], const char *out_path)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid = 0;
    int status = -1;
    if (spawn(argv, &actions, &pid))
        waitpid(pid, &status, 0);
    posix_spawn_file_actions_destroy(&actions);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static pid_t start_swtpm(const char *dir)
{
    char state[600], server[600], ctrl[600];
    snprintf(state, sizeof(state), "dir=%s", dir);
    snprintf(server, sizeof(server), "type=unixio,path=%s/tpm", dir);
    snprintf(ctrl, sizeof(ctrl), "type=unixio,path=%s/tpm.ctrl", dir);
    const char *const argv[] = {"/usr/bin/swtpm",
                                "socket",
                                "--tpm2",
                                "--tpmstate",
                                state,
                                "--server",
                                server,
                                "--ctrl",
                                ctrl,
                                "--flags",
                                "not-need-init,startup-clear",
                                NULL};
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    bool started = spawn(argv, &actions, &pid);
    posix_spawn_file_actions_destroy(&actions);
    char path[600];
    snprintf(path, sizeof(path), "%s/tpm.ctrl", dir);
    struct stat sb;
    for (int i = 0; started && i < 500 && stat(path, &sb) != 0; i++)
        usleep(10000);
    return started ? pid : -1;
}

/* ---- the guest's commands (guest-aa.md 5.4) ---- */

static void be(struct buf *b, uint64_t n, unsigned bytes)
{
    uint8_t all[8];
    store_be64(all, n);
    buf_add(b, str_bytes(all + 8 - bytes, bytes));
}

static void command(struct swtpm *t, uint32_t code, const struct buf *handles, unsigned auths,
                    const struct buf *parameters, struct buf *out, const char *row)
{
    struct error err = ERROR_INIT;
    buf_reset(out);
    enum status st =
        swtpm_command(t, code, buf_str(handles), auths, buf_str(parameters), out, &err);
    CHECK_STATUS_ROW(st, OK, &err, row);
}

struct guest {
    struct buf handles, parameters, answer;
    struct buf hcl, message, signature;
    uint8_t pcrs[VTPM_PCRS][VTPM_PCR_LEN];
};

static void read_hcl(struct swtpm *t, struct guest *g)
{
    for (size_t at = 0; at < SWTPM_NV_MAX; at += 512) {
        buf_reset(&g->handles);
        buf_reset(&g->parameters);
        be(&g->handles, 0x40000001, 4); /* owner */
        be(&g->handles, SWTPM_HCL_INDEX, 4);
        be(&g->parameters, 512, 2);
        be(&g->parameters, at, 2);
        command(t, 0x14E, &g->handles, 1, &g->parameters, &g->answer, "TPM2_NV_Read");
        buf_add(&g->hcl, str_slice(buf_str(&g->answer), 4 + 2, 512));
    }
}

static void take_quote(struct swtpm *t, struct guest *g, struct str nonce)
{
    buf_reset(&g->handles);
    buf_reset(&g->parameters);
    be(&g->handles, SWTPM_AK_HANDLE, 4);
    be(&g->parameters, nonce.len, 2);
    buf_add(&g->parameters, nonce);
    be(&g->parameters, 0x0010, 2); /* TPM_ALG_NULL: the key decides */
    be(&g->parameters, 1, 4);
    be(&g->parameters, 0x000B, 2);
    be(&g->parameters, 3, 1);
    be(&g->parameters, 0xFFFFFF, 3);
    command(t, 0x158, &g->handles, 1, &g->parameters, &g->answer, "TPM2_Quote");
    struct str a = str_from(buf_str(&g->answer), 4); /* behind the parameter size */
    if (!CHECK(a.len > 2 && load_be16(a.ptr) + 2u + 6u + 256u <= a.len))
        return;
    size_t len = load_be16(a.ptr);
    buf_add(&g->message, str_slice(a, 2, len));
    buf_add(&g->signature, str_slice(a, 2 + len + 6, 256)); /* algorithm, hash, size before it */
}

static void read_pcrs(struct swtpm *t, struct guest *g)
{
    for (unsigned pcr = 0; pcr < VTPM_PCRS; pcr++) {
        buf_reset(&g->handles);
        buf_reset(&g->parameters);
        be(&g->parameters, 1, 4);
        be(&g->parameters, 0x000B, 2);
        be(&g->parameters, 3, 1);
        uint8_t bitmap[3] = {0};
        bitmap[pcr / 8] = (uint8_t)(1u << pcr % 8);
        buf_add(&g->parameters, str_bytes(bitmap, 3));
        command(t, 0x17E, &g->handles, 0, &g->parameters, &g->answer, "TPM2_PCR_Read");
        /* counter (4), selection (10), count (4), size (2) */
        if (CHECK(g->answer.len == 20 + VTPM_PCR_LEN))
            memcpy(g->pcrs[pcr], g->answer.ptr + 20, VTPM_PCR_LEN);
    }
}

/* ---- evidence and verdict ---- */

static void write_evidence(struct guest *g, struct str vcek_der, struct buf *out)
{
    struct arena a;
    arena_init(&a, 1024 * 1024);
    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "version");
    json_int(&w, 1);
    json_key(&w, "tpm_quote");
    json_object_begin(&w);
    json_key(&w, "signature");
    json_string(&w, hex_text(&a, buf_str(&g->signature)));
    json_key(&w, "message");
    json_string(&w, hex_text(&a, buf_str(&g->message)));
    json_key(&w, "pcrs");
    json_array_begin(&w);
    for (size_t i = 0; i < VTPM_PCRS; i++)
        json_string(&w, hex_text(&a, str_bytes(g->pcrs[i], VTPM_PCR_LEN)));
    json_array_end(&w);
    json_object_end(&w);
    json_key(&w, "hcl_report");
    json_string(&w, base64_text(&a, buf_str(&g->hcl), BASE64_URL_PAD));
    json_key(&w, "vcek");
    json_string(&w, base64_text(&a, vcek_der, BASE64_URL_PAD));
    json_object_end(&w);
    CHECK(json_finish(&w) == OK);
    arena_done(&a);
}

static void check_verdict(struct str evidence, struct str nonce, const char *anchors_dir,
                          struct str document)
{
    struct arena a;
    arena_init(&a, 16 * 1024 * 1024);
    struct error err = ERROR_INIT;
    struct anchors *anchors = NULL;
    struct digest init_data;
    digest_compute(DIGEST_SHA256, document, &init_data);
    if (CHECK(anchors_load(&anchors_dir, 1, &anchors, &err) == OK)) {
        struct verifier_request req = {
            .has_report_data = true,
            .report_data = nonce,
            .has_init_data = true,
            .init_data = digest_str(&init_data),
            .era = ERA_NEW,
            .now_s = NOW,
            .config = VALUE_UNDEFINED,
            .anchors = anchors,
        };
        struct verifier_result result = {.len = 0};
        CHECK(json_parse(&a, evidence, NULL, &req.evidence, &err) == OK);
        enum status st = verifier_run(&a, STR("az-snp-vtpm"), &req, NULL, &result, &err);
        CHECK_STATUS(st, OK, &err);
    }
    anchors_unref(anchors);
    arena_done(&a);
}

static void attest(const char *dir, struct str document)
{
    char path[600], anchors[600];
    snprintf(path, sizeof(path), "%s/out", dir);
    snprintf(anchors, sizeof(anchors), "%s/pki/anchors", dir);
    struct arena a;
    arena_init(&a, 1024 * 1024);
    struct buf text;
    buf_init(&text, 1024 * 1024);
    struct error err = ERROR_INIT;
    value thim;
    struct cert *vcek = NULL;
    if (CHECK(file_read(path, &text, &err) == OK) &&
        CHECK(json_parse(&a, buf_str(&text), NULL, &thim, &err) == OK) &&
        CHECK(cert_from_pem(value_str(value_get_lit(thim, "vcekCert")), &vcek, &err) == OK)) {
        struct guest g = {.pcrs = {{0}}};
        struct buf *const bufs[] = {&g.handles, &g.parameters, &g.answer,
                                    &g.hcl,     &g.message,    &g.signature};
        for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
            buf_init(bufs[i], SWTPM_MESSAGE_MAX);
        struct swtpm t;
        snprintf(path, sizeof(path), "%s/tpm", dir);
        const struct str nonce = STR("forty-eight bytes, as SHA-384 of the runtime dat");
        enum status st = swtpm_connect(&t, path, &err);
        if (CHECK_STATUS(st, OK, &err)) {
            read_hcl(&t, &g);
            take_quote(&t, &g, nonce);
            read_pcrs(&t, &g);
            swtpm_done(&t);
            buf_reset(&text);
            write_evidence(&g, cert_der(vcek), &text);
            check_verdict(buf_str(&text), nonce, anchors, document);
        }
        for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
            buf_done(bufs[i]);
    }
    cert_unref(vcek);
    buf_done(&text);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    if (argc < 2 || access("/usr/bin/swtpm", X_OK) != 0) {
        tap_skip("no-swtpm", "no /usr/bin/swtpm");
        return tap_done();
    }
    const char *dir = tap_tmpdir();
    char pki[600], out[600], sock[600], init_data[600];
    snprintf(pki, sizeof(pki), "%s/pki", dir);
    snprintf(out, sizeof(out), "%s/out", dir);
    snprintf(sock, sizeof(sock), "%s/tpm", dir);
    snprintf(init_data, sizeof(init_data), "%s/initdata.toml", dir);
    const struct str document = STR("algorithm = \"sha256\"\nversion = \"0.1.0\"\n[data]\n");
    struct error err = ERROR_INIT;
    CHECK(file_write(init_data, document, 0600, &err) == OK);
    CHECK(run((const char *const[]){argv[1], "pki", pki, "--generation", "milan", NULL}, out) == 0);

    pid_t swtpm = start_swtpm(dir);
    if (CHECK(swtpm > 0)) {
        const char *const vtpm[] = {argv[1], "vtpm",       "--pki",   pki, "--swtpm",
                                    sock,    "--initdata", init_data, NULL};
        /* Twice: what an earlier run left behind is replaced. */
        CHECK(run(vtpm, out) == 0);
        CHECK(run(vtpm, out) == 0);
        attest(dir, document);
        kill(swtpm, SIGTERM);
        waitpid(swtpm, NULL, 0);
    }
    return tap_done();
}

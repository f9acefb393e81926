/*
 * reissue - the collateral of a virtual TEEs' PKI, issued anew by its makers:
 * with other dates, and with certificates revoked.
 *
 *   reissue PKI OUT [--issued RFC3339] [--next RFC3339] [--tcb-next RFC3339]
 *           [--revoke HEX] [--root-revoke HEX] [--amd-revoke HEX]
 *
 * PKI is what virtual-tee makes; OUT gets the files of its folder `collateral`.
 * --tcb-next is of the TCB information alone.  Serial numbers are in the lists
 * of the PCK's CA, of Intel's root, of AMD's roots.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "crypto/x509.h"
#include "value/json.h"

#define FILE_MAX (4 * 1024 * 1024)

struct options {
    const char *pki, *out, *issued, *next, *tcb_next, *revoke, *root_revoke, *amd_revoke;
};

static struct arena a;

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "reissue: %s\n", what);
    exit(1);
}

static struct str load(const char *dir, const char *name)
{
    struct buf b;
    buf_init(&b, FILE_MAX);
    struct str path = arena_format(&a, "%s/%s", dir, name);
    need(path.ptr != NULL && file_read(path.ptr, &b, NULL) == OK, name);
    struct str copy = arena_str(&a, buf_str(&b));
    buf_done(&b);
    return copy;
}

static struct privkey *load_key(const char *pki, const char *name)
{
    struct privkey *key = NULL;
    struct str file = arena_format(&a, "keys/%s.pem", name);
    need(privkey_from_pem(load(pki, file.ptr), &key, NULL) == OK, name);
    return key;
}

static struct cert *load_cert(const char *pki, const char *file)
{
    struct cert *cert = NULL;
    need(cert_from_pem(load(pki, file), &cert, NULL) == OK, file);
    return cert;
}

static int64_t seconds(const char *text)
{
    int64_t ns;
    need(time_parse_rfc3339(str_of(text), &ns, NULL) == OK, text);
    return ns / NS_PER_S;
}

/* ---- lists ---- */

static struct str make_list(const struct options *o, const char *cert_file, const char *key_name,
                            const char *serial, bool rsa)
{
    struct cert *cert = load_cert(o->pki, cert_file);
    struct privkey *key = load_key(o->pki, key_name);
    struct str revoked = STR_EMPTY;
    struct buf der;
    buf_init(&der, FILE_MAX);
    if (serial != NULL)
        need(hex_bytes(&a, str_of(serial), &revoked, NULL) == OK, serial);
    need(crl_make(cert, key, seconds(o->issued), seconds(o->next), &revoked, serial == NULL ? 0 : 1,
                  rsa, &der, NULL) == OK,
         cert_file);
    struct str copy = arena_str(&a, buf_str(&der));
    buf_done(&der);
    cert_unref(cert);
    privkey_unref(key);
    return copy;
}

/* ---- signed texts ---- */

/* The text behind "name":" of 20 characters is replaced. */
static void set_date(struct str text, const char *name, const char *date)
{
    struct str key = arena_format(&a, "\"%s\":\"", name);
    char *at = memmem(text.ptr, text.len, key.ptr, key.len);
    need(at != NULL && strlen(date) == TIME_RFC3339_LEN, name);
    memcpy(at + key.len, date, TIME_RFC3339_LEN);
}

/* {"<member>":{...},"signature":"..."} with other dates, signed anew. */
static struct str sign_text(const struct options *o, struct str text, const char *next)
{
    struct str mine = arena_str(&a, text);
    set_date(mine, "issueDate", o->issued);
    set_date(mine, "nextUpdate", next);
    const char *start = memchr(mine.ptr, ':', mine.len);
    struct str end_mark = STR(",\"signature\":");
    const char *end = memmem(mine.ptr, mine.len, end_mark.ptr, end_mark.len);
    need(start != NULL && end != NULL, "signed text");
    struct str member = {start + 1, (size_t)(end - start - 1)};
    struct privkey *key = load_key(o->pki, "intel-tcb-signing");
    struct buf signature;
    buf_init(&signature, SIGNATURE_MAX);
    need(privkey_sign(key, SIG_ECDSA_RAW, DIGEST_SHA256, member, &signature, NULL) == OK,
         "signing");
    struct str hex = hex_text(&a, buf_str(&signature));
    buf_done(&signature);
    privkey_unref(key);
    return arena_format(&a, "%.*s%.*s\"%.*s\"}", (int)(end - mine.ptr), mine.ptr, STR_ARG(end_mark),
                        STR_ARG(hex));
}

static void save(const struct options *o, const char *name, struct str bytes)
{
    struct str path = arena_format(&a, "%s/%s", o->out, name);
    need(path.ptr != NULL && file_write(path.ptr, bytes, 0644, NULL) == OK, name);
}

static void bundle(const struct options *o, const char *name, bool processor)
{
    value old;
    struct str file = arena_format(&a, "collateral/%s", name);
    need(json_parse(&a, load(o->pki, file.ptr), NULL, &old, NULL) == OK, name);
    const char *ca = processor ? "intel-pck-processor-ca" : "intel-pck-platform-ca";
    struct str ca_cert = arena_format(&a, "certs/%s.pem", ca);
    struct str pck = make_list(o, ca_cert.ptr, ca, o->revoke, false);
    struct str root =
        make_list(o, "anchors/intel-sgx-root-ca.pem", "intel-sgx-root-ca", o->root_revoke, false);
    const struct {
        const char *member;
        struct str text;
    } changed[] = {
        {"pck_crl", hex_text(&a, pck)},
        {"root_ca_crl", hex_text(&a, root)},
        {"tcb_info", sign_text(o, value_str(value_get_lit(old, "tcb_info")), o->tcb_next)},
        {"qe_identity", sign_text(o, value_str(value_get_lit(old, "qe_identity")), o->next)},
    };
    for (size_t i = 0; i < ARRAY_LEN(changed); i++)
        old = value_object_with(&a, old, value_cstring(&a, changed[i].member),
                                value_string(&a, changed[i].text));
    need(value_is_defined(old), "memory");
    save(o, name, json_text(&a, old, JSON_COMPACT));
}

int main(int argc, char **argv)
{
    struct options o = {.issued = "2020-01-01T00:00:00Z", .next = "2045-01-01T00:00:00Z"};
    const struct {
        const char *name;
        const char **value;
    } names[] = {{"--issued", &o.issued},           {"--next", &o.next},
                 {"--tcb-next", &o.tcb_next},       {"--revoke", &o.revoke},
                 {"--root-revoke", &o.root_revoke}, {"--amd-revoke", &o.amd_revoke}};
    need(argc >= 3 && argc % 2 == 1, "usage: reissue PKI OUT [--OPTION VALUE]...");
    o.pki = argv[1];
    o.out = argv[2];
    for (int i = 3; i < argc; i += 2) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            if (strcmp(argv[i], names[k].name) == 0) {
                *names[k].value = argv[i + 1];
                known = true;
            }
        need(known, argv[i]);
    }
    if (o.tcb_next == NULL)
        o.tcb_next = o.next;
    arena_init(&a, 256 * 1024 * 1024);
    need(file_make_dirs(o.out, NULL) == OK, o.out);
    bundle(&o, "intel-tdx.json", false);
    bundle(&o, "intel-tdx-processor.json", true);
    bundle(&o, "intel-sgx.json", false);
    bundle(&o, "intel-sgx-processor.json", true);
    save(&o, "amd-milan.crl",
         make_list(&o, "anchors/amd-ark-milan.pem", "amd-ark-milan", o.amd_revoke, true));
    arena_done(&a);
    return 0;
}

/* The service with a network and a clock of the test's own: what is asked for, when, and what
 * serves. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "collateral/service.h"
#include "crypto/crypto.h"
#include "virtualtee/vek.h"
#include "with_pki.h"

#define NOW 1764028800 /* 2025-11-25T00:00:00Z */
#define BASE "https://x"
#define TCB BASE "/tdx/certification/v4/tcb?fmspc=FF906ED50000&update=early"
#define QE BASE "/tdx/certification/v4/qe/identity?update=early"
#define PCK_CRL BASE "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
#define ROOT_CRL BASE "/sgx/certification/v4/rootcacrl"
#define MILAN_CRL BASE "/vcek/v1/Milan/crl"

static const struct str all_urls[] = {{TCB, sizeof(TCB) - 1},
                                      {QE, sizeof(QE) - 1},
                                      {PCK_CRL, sizeof(PCK_CRL) - 1},
                                      {ROOT_CRL, sizeof(ROOT_CRL) - 1}};

/* ---- the network ---- */

struct network {
    atomic_int asked;
    int status; /* of every answer */
    enum status transport;
    int64_t retry_after_s;
    struct str replaced_url, replaced_body; /* another answer for one URL */
    struct pki *pki;                        /* makes VCEKs when it is set */
    char told[4096];
};

static struct network net;
static int64_t now_ns = NOW * NS_PER_S;
static const struct clock test_clock = {clock_fixed_now, &now_ns};

static void answer(struct fetch_answer *out, struct str body, const char *header, const char *chain)
{
    buf_add(&out->body, body);
    if (header == NULL)
        return;
    buf_add_format(&out->headers, "%s: ", header);
    struct str pem = bundle_member(chain);
    for (size_t i = 0; i < pem.len; i++)
        if (pem.ptr[i] == '\n')
            buf_add_cstr(&out->headers, "%0A");
        else
            buf_add_byte(&out->headers, pem.ptr[i]);
    buf_add_cstr(&out->headers, "\r\n");
}

static enum status make_vcek(struct str url, struct fetch_answer *out)
{
    struct vek_request r = {.generation = AMD_MILAN,
                            .tcb = {.bootloader = 4, .snp = 24, .microcode = 219},
                            .not_before = PKI_NOT_BEFORE,
                            .not_after = PKI_NOT_AFTER};
    const char *hex = strstr(url.ptr, "/Milan/") + 7;
    for (size_t i = 0; i < 64; i++)
        r.chip_id[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    CLEANUP(cert_cleanup) struct cert *cert = NULL;
    enum status st = vek_make(net.pki, &r, &cert, NULL);
    if (st == OK)
        buf_add(&out->body, cert_der(cert));
    return st;
}

static enum status get(void *user, struct str url, struct fetch_answer *out, struct error *err)
{
    atomic_fetch_add(&net.asked, 1);
    out->status = net.status;
    out->retry_after_s = net.retry_after_s;
    if (net.transport != OK || net.status != 200) {
        error_set(err, "nobody there");
        return net.transport;
    }
    bool other = str_equal(url, net.replaced_url);
    if (str_is(url, TCB))
        answer(out, other ? net.replaced_body : bundle_member("tcb_info"), "TCB-Info-Issuer-Chain",
               "tcb_info_issuer_chain");
    else if (str_is(url, QE))
        answer(out, bundle_member("qe_identity"), "SGX-Enclave-Identity-Issuer-Chain",
               "qe_identity_issuer_chain");
    else if (str_is(url, PCK_CRL))
        answer(out, bundle_member("pck_crl"), "SGX-PCK-CRL-Issuer-Chain", "pck_crl_issuer_chain");
    else if (str_is(url, ROOT_CRL))
        answer(out, bundle_member("root_ca_crl"), NULL, NULL);
    else if (str_is(url, MILAN_CRL))
        return file_read(pki_path("collateral/amd-milan.crl"), &out->body, err);
    else if (net.pki != NULL)
        return make_vcek(url, out);
    else
        out->status = 404;
    return OK;
}

static void tell(void *user, bool trouble, const char *text)
{
    snprintf(net.told, sizeof(net.told), "%s", text);
}

static void well(void)
{
    struct pki *pki = net.pki;
    net = (struct network){.status = 200, .pki = pki};
    atomic_init(&net.asked, 0);
    now_ns = NOW * NS_PER_S;
}

/* `own`: members of the table `collateral`; `rest`: further tables. */
static struct collateral_service *service(const char *own, const char *rest)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1024 * 1024);
    struct str text =
        arena_format(&a,
                     "{\"dcap_verifier\":{\"collateral_service\":\"" BASE "/\"},\"snp_verifier\":{"
                     "\"vcek_sources\":[{\"type\":\"KDS\",\"base_url\":\"" BASE "\"}]%s},"
                     "\"collateral\":{%s}}",
                     rest, own);
    struct collateral_options o = {
        .anchors = anchors, .clock = &test_clock, .impatient = true, .get = get, .tell = tell};
    struct collateral_service *s = NULL;
    struct error err = ERROR_INIT;
    CHECK(json_parse(&a, text, NULL, &o.verifier_config, &err) == OK);
    CHECK_STATUS(collateral_service_new(&o, &s, &err), OK, &err);
    return s;
}

static bool finds(struct collateral_service *s, const char *url)
{
    struct collateral_view v;
    struct str bytes = STR_EMPTY;
    collateral_view_open(s, now_ns / NS_PER_S, &v);
    bool found = v.face.find(v.face.user, str_of(url), &bytes);
    collateral_view_close(&v, false);
    return found;
}

static enum status resolve(struct collateral_service *s, const char *url, struct error *err)
{
    struct str u = str_of(url);
    return collateral_resolve(s, &u, 1, err);
}

static void test_cold_and_warm(void)
{
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(all_urls); i++)
        CHECK(!finds(s, all_urls[i].ptr));
    CHECK(atomic_load(&net.asked) == 0); /* looking asks nobody */
    CHECK(collateral_may_resolve(s, all_urls, 4));
    CHECK_STATUS(collateral_resolve(s, all_urls, 4, &err), OK, &err);
    for (size_t i = 0; i < ARRAY_LEN(all_urls); i++)
        CHECK(finds(s, all_urls[i].ptr));
    CHECK(finds(s, TCB "#tcb-info-issuer-chain") && !finds(s, ROOT_CRL "#x"));
    CHECK(atomic_load(&net.asked) == 4);
    CHECK(collateral_resolve(s, all_urls, 4, &err) == OK && atomic_load(&net.asked) == 4);

    struct str elsewhere = STR("https://y/sgx/certification/v4/rootcacrl");
    CHECK(!collateral_may_resolve(s, &elsewhere, 1));
    CHECK(collateral_resolve(s, &elsewhere, 1, &err) == ERR_DENIED);
    struct str odd = STR(BASE "/sgx/certification/v4/else");
    CHECK(!collateral_may_resolve(s, &odd, 1) && !collateral_may_resolve(s, &odd, 0));
    CHECK(atomic_load(&net.asked) == 4);
}

/* ---- freshness ---- */

static void test_fail_closed(void)
{
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    struct error err = ERROR_INIT;
    CHECK(resolve(s, TCB, &err) == OK);
    now_ns = PKI_NOT_AFTER * NS_PER_S;
    CHECK(finds(s, TCB)); /* to the last second */
    now_ns = (PKI_NOT_AFTER + 1) * NS_PER_S;
    CHECK(!finds(s, TCB));
    CHECK(resolve(s, QE, &err) == ERR_UNAVAILABLE && resolve(s, ROOT_CRL, &err) == ERR_UNAVAILABLE);
    CHECK(atomic_load(&net.asked) == 3); /* each by itself: the host is not ill */
    collateral_forget_failures(s);
    /* The service has nothing newer either: refused, and not for want of an answer. */
    CHECK(resolve(s, TCB, &err) == ERR_UNAVAILABLE);
    CHECK(strstr(err.text, "is out of date since 2045-01-01T00:00:00Z") != NULL);
}

static void test_grace(void)
{
    well();
    CLEANUP(collateral_service_cleanup)
    struct collateral_service *s = service("\"grace_hours\":2", "");
    CHECK(resolve(s, TCB, NULL) == OK);
    net.transport = ERR_UNAVAILABLE;
    now_ns = (PKI_NOT_AFTER + 7200) * NS_PER_S;
    CHECK(finds(s, TCB));
    CHECK(resolve(s, TCB, NULL) == OK);
    now_ns += NS_PER_S;
    CHECK(!finds(s, TCB));
    CHECK(resolve(s, TCB, NULL) == ERR_UNAVAILABLE);
}

/* HARDEN intel-2: what is used is asked for again before its nextUpdate, once a day at least. */
static void test_renewal(void)
{
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    CHECK(collateral_resolve(s, all_urls, 4, NULL) == OK && atomic_load(&net.asked) == 4);
    CHECK(collateral_keep(s) > 0 && atomic_load(&net.asked) == 4);
    now_ns += 20 * 3600 * NS_PER_S;
    CHECK(collateral_keep(s) > 0 && atomic_load(&net.asked) == 4);
    now_ns += 4 * 3600 * NS_PER_S;
    collateral_keep(s);
    CHECK(atomic_load(&net.asked) == 8);
    /* Nobody uses it: not for ever. */
    now_ns += 8 * 24 * 3600 * NS_PER_S;
    collateral_keep(s);
    CHECK(atomic_load(&net.asked) == 8);
    CHECK(finds(s, TCB));
    collateral_keep(s);
    CHECK(atomic_load(&net.asked) == 9);
    /* A service that fails leaves what is at hand in use. */
    now_ns += 25 * 3600 * NS_PER_S;
    net.transport = ERR_UNAVAILABLE;
    CHECK(finds(s, TCB));
    collateral_keep(s);
    CHECK(finds(s, TCB) && strstr(net.told, "nobody there") != NULL);
}

/* The bundle's TCB information, issued at another time and signed anew. */
static struct str reissued(struct arena *a, const char *issued)
{
    struct str text = bundle_member("tcb_info");
    char *at = memmem(text.ptr, text.len, "2020-01-01T00:00:00Z", 20);
    CLEANUP(buf_done) struct buf body;
    CLEANUP(buf_done) struct buf pem;
    CLEANUP(buf_done) struct buf signature;
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    buf_init(&body, 1024 * 1024);
    buf_init(&pem, 65536);
    buf_init(&signature, 128);
    buf_add(&body, str_slice(text, 0, (size_t)(at - text.ptr)));
    buf_add_cstr(&body, issued);
    buf_add(&body, str_from(text, (size_t)(at - text.ptr) + 20));
    const char *end = memmem(body.ptr, body.len, ",\"signature\":", 13);
    struct str member = str_slice(buf_str(&body), 11, (size_t)(end - body.ptr) - 11);
    CHECK(file_read(pki_path("keys/intel-tcb-signing.pem"), &pem, NULL) == OK &&
          privkey_from_pem(buf_str(&pem), &key, NULL) == OK &&
          privkey_sign(key, SIG_ECDSA_RAW, DIGEST_SHA256, member, &signature, NULL) == OK);
    struct str hex = hex_text(a, buf_str(&signature));
    return arena_format(a, "{\"tcbInfo\":%.*s,\"signature\":\"%.*s\"}", STR_ARG(member),
                        STR_ARG(hex));
}

static void test_older_answer(void)
{
    well();
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4 * 1024 * 1024);
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    net.replaced_url = STR(TCB);
    net.replaced_body = reissued(&a, "2025-11-24T00:00:00Z");
    struct error err = ERROR_INIT;
    CHECK_STATUS(resolve(s, TCB, &err), OK, &err);
    net.replaced_url = STR_EMPTY;
    now_ns += 25 * 3600 * NS_PER_S;
    collateral_keep(s); /* the service goes back to what it had before */
    CHECK(strstr(net.told, "is older than the one at hand") != NULL);
    struct collateral_view v;
    struct str bytes;
    collateral_view_open(s, now_ns / NS_PER_S, &v);
    CHECK(v.face.find(v.face.user, STR(TCB), &bytes));
    CHECK(memmem(bytes.ptr, bytes.len, "2025-11-24", 10) != NULL);
    collateral_view_close(&v, true);
}

/* ---- failures ---- */

static void test_failures(void)
{
    const struct {
        const char *name;
        int status;
        int64_t retry_after_s;
        enum status want, again;
        const char *says;
    } rows[] = {
        {"not found", 404, 0, ERR_NOT_FOUND, ERR_NOT_FOUND, "not available from"},
        {"gone", 410, 0, ERR_NOT_FOUND, ERR_NOT_FOUND, "not available from"},
        {"too many", 429, 600, ERR_UNAVAILABLE, ERR_UNAVAILABLE, "unexpected HTTP response 429"},
        {"too many, for ever", 429, INT64_MAX, ERR_UNAVAILABLE, ERR_UNAVAILABLE, "429"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        well();
        CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
        struct error err = ERROR_INIT;
        net.status = rows[i].status;
        net.retry_after_s = rows[i].retry_after_s;
        CHECK_ROW(resolve(s, QE, &err) == rows[i].want, rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].says) != NULL, rows[i].name);
        int asked = atomic_load(&net.asked);
        net.status = 200;
        CHECK_ROW(resolve(s, QE, &err) == rows[i].again, rows[i].name);
        CHECK_ROW(atomic_load(&net.asked) == asked, rows[i].name);
    }
}

struct asker {
    struct collateral_service *s;
    enum status st;
};

static void *ask(void *arg)
{
    struct asker *k = arg;
    k->st = collateral_resolve(k->s, all_urls, 4, NULL);
    return NULL;
}

static void test_single_flight(void)
{
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    pthread_t threads[8];
    struct asker askers[8];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        askers[i] = (struct asker){s, ERR_INTERNAL};
        CHECK(pthread_create(&threads[i], NULL, ask, &askers[i]) == 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        CHECK(askers[i].st == OK);
    }
    CHECK(atomic_load(&net.asked) == 4);
}

/* ---- the folder ---- */

static const char *folder(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", tap_tmpdir(), name);
    return path;
}

static size_t records(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += str_has_suffix(str_of(e->d_name), STR(".item"));
    if (d != NULL)
        closedir(d);
    return n;
}

static void test_folder(void)
{
    well();
    char own[4200];
    snprintf(own, sizeof(own), "\"cache_dir\":\"%s\"", folder("cache"));
    CLEANUP(collateral_service_cleanup) struct collateral_service *first = service(own, "");
    CHECK(collateral_resolve(first, all_urls, 4, NULL) == OK && records(folder("cache")) == 4);

    CLEANUP(collateral_service_cleanup) struct collateral_service *second = service(own, "");
    CHECK(collateral_resolve(second, all_urls, 4, NULL) == OK && atomic_load(&net.asked) == 4);

    /* One renews; the other finds that in the folder when its own time comes. */
    now_ns += 25 * 3600 * NS_PER_S;
    for (size_t i = 0; i < 4; i++)
        CHECK(finds(first, all_urls[i].ptr) && finds(second, all_urls[i].ptr));
    collateral_keep(first);
    CHECK(atomic_load(&net.asked) == 8);
    collateral_keep(second);
    CHECK(atomic_load(&net.asked) == 8);

    snprintf(own, sizeof(own), "\"cache_dir\":\"%s\",\"offline\":true", folder("cache"));
    CLEANUP(collateral_service_cleanup) struct collateral_service *offline = service(own, "");
    struct error err = ERROR_INIT;
    CHECK(collateral_resolve(offline, all_urls, 4, NULL) == OK);
    CHECK(resolve(offline, MILAN_CRL, &err) == ERR_UNAVAILABLE);
    CHECK(strstr(err.text, "is missing") != NULL && atomic_load(&net.asked) == 8);
    /* What is imported later is found when the time for a renewal comes; its absence is no news. */
    net.told[0] = '\0';
    now_ns += 25 * 3600 * NS_PER_S;
    CHECK(finds(offline, TCB) && collateral_keep(offline) > 0);
    CHECK_STR(str_of(net.told), STR(""));
    now_ns = (PKI_NOT_AFTER + 1) * NS_PER_S;
    CHECK(resolve(offline, TCB, &err) == ERR_UNAVAILABLE);

    snprintf(own, sizeof(own), "\"cache_dir\":\"%s\"", pki_path("anchors/intel-sgx-root-ca.pem"));
    CLEANUP(collateral_service_cleanup) struct collateral_service *none = service(own, "");
    CHECK(none != NULL);
    CHECK(strstr(net.told, "kept in memory only") != NULL);
}

/* ---- what evidence names ---- */

static void vcek_url(unsigned chip, char out[512])
{
    snprintf(out, 512, BASE "/vcek/v1/Milan/%0128x?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219",
             chip);
}

/* HARDEN ver-3: strangers cannot make us hammer a vendor, nor fill memory or disk. */
static void test_strangers(void)
{
    well();
    char own[4200], url[512];
    snprintf(own, sizeof(own), "\"cache_dir\":\"%s\"", folder("strangers"));
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service(own, "");
    struct pki *pki = net.pki;
    net.pki = NULL; /* AMD knows none of them */
    for (unsigned i = 0; i < 40; i++) {
        vcek_url(1000 + i, url);
        CHECK(resolve(s, url, NULL) == ERR_NOT_FOUND);
        CHECK(resolve(s, url, NULL) == ERR_NOT_FOUND);
    }
    CHECK(atomic_load(&net.asked) == 40);
    net.pki = pki;
    size_t got = 0;
    for (unsigned i = 0; i < 200; i++) {
        vcek_url(1 + i, url);
        got += resolve(s, url, NULL) == OK;
    }
    /* The burst is 64, and a second may have passed here or there. */
    CHECK(got >= 24 && atomic_load(&net.asked) < 150);
    CHECK(records(folder("strangers")) == 0);

    /* What a verification succeeded with is real, and is kept. */
    struct collateral_view v;
    struct str bytes;
    vcek_url(1, url);
    collateral_view_open(s, NOW, &v);
    CHECK(v.face.find(v.face.user, str_of(url), &bytes));
    collateral_view_close(&v, true);
    collateral_keep(s);
    CHECK(records(folder("strangers")) == 1);
    /* Another process has it from there. */
    int asked = atomic_load(&net.asked);
    CLEANUP(collateral_service_cleanup) struct collateral_service *other = service(own, "");
    CHECK(resolve(other, url, NULL) == OK && atomic_load(&net.asked) == asked);
}

static void test_wrong_vcek(void)
{
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *odd = service("", "");
    char odd_url[512];
    vcek_url(9, odd_url);
    net.status = 400; /* a question that the service finds odd is no illness of the service */
    CHECK(resolve(odd, odd_url, NULL) == ERR_NOT_FOUND);
    net.status = 200;
    vcek_url(10, odd_url);
    CHECK(resolve(odd, odd_url, NULL) == OK);
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    struct error err = ERROR_INIT;
    /* Of that chip, but with another TCB than was asked for. */
    char url[512];
    vcek_url(7, url);
    memcpy(strstr(url, "snpSPL=24"), "snpSPL=25", 9);
    CHECK(resolve(s, url, &err) == ERR_DENIED);
    CHECK(strstr(err.text, "another chip or TCB") != NULL);
    CHECK(resolve(s, url, &err) == ERR_NOT_FOUND && atomic_load(&net.asked) == 1);
    vcek_url(7, url);
    CHECK(resolve(s, url, &err) == OK); /* the service as such is not in doubt */
}

/* crl = "if-available": the verification does not wait, the keeper fetches. */
static void test_wanted(void)
{
    well();
    CLEANUP(collateral_service_cleanup)
    struct collateral_service *s = service("", ",\"crl\":\"if-available\"");
    CHECK(!finds(s, MILAN_CRL) && !finds(s, MILAN_CRL) && atomic_load(&net.asked) == 0);
    collateral_keep(s);
    CHECK(finds(s, MILAN_CRL) && atomic_load(&net.asked) == 1);
    now_ns = (PKI_NOT_AFTER + 1) * NS_PER_S;
    CHECK(finds(s, MILAN_CRL)); /* the verifier calls it stale */

    CLEANUP(collateral_service_cleanup) struct collateral_service *silent = service("", "");
    CHECK(!finds(silent, MILAN_CRL));
    collateral_keep(silent);
    CHECK(atomic_load(&net.asked) == 1);
}

static void test_files(void)
{
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    char path[4096], url[4200];
    snprintf(path, sizeof(path), "%s/file.json", tap_tmpdir());
    snprintf(url, sizeof(url), "file://%s", path);
    CHECK(!finds(s, url));
    CHECK(file_write(path, STR("one"), 0644, NULL) == OK);
    CHECK(finds(s, url));
    CHECK(file_write(path, STR("three"), 0644, NULL) == OK);
    collateral_follow(s);
    struct collateral_view v;
    struct str bytes = STR_EMPTY;
    collateral_view_open(s, NOW, &v);
    CHECK(v.face.find(v.face.user, str_of(url), &bytes));
    CHECK_STR(bytes, STR("three"));
    CHECK(unlink(path) == 0);
    collateral_follow(s);
    CHECK_STR(bytes, STR("three")); /* of this view */
    collateral_view_close(&v, true);
    CHECK(!finds(s, url));
    CHECK(atomic_load(&net.asked) == 0);
}

static void test_sweep(void)
{
    well();
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = service("", "");
    enum status st = ERR_NOMEM;
    for (long n = 1; n < 2000 && st != OK; n++) {
        tap_fail_malloc_after(n);
        st = resolve(s, TCB, NULL);
        tap_fail_malloc_after(0);
        /* A signature that could not be checked for want of memory may count as a wrong one. */
        CHECK(st == OK ? finds(s, TCB)
                       : st == ERR_NOMEM || st == ERR_UNAVAILABLE || st == ERR_DENIED);
        if (st != OK)
            collateral_forget_failures(s);
    }
    CHECK(st == OK);
}

int main(void)
{
    if (!make_pki(1u << AMD_MILAN))
        return tap_done();
    char dir[4096];
    snprintf(dir, sizeof(dir), "%s/pki", tap_tmpdir());
    struct error err = ERROR_INIT;
    CHECK_STATUS(pki_open(dir, &net.pki, &err), OK, &err);
    test_cold_and_warm();
    test_fail_closed();
    test_grace();
    test_renewal();
    test_older_answer();
    test_failures();
    test_single_flight();
    test_folder();
    test_strangers();
    test_wrong_vcek();
    test_wanted();
    test_files();
    test_sweep();
    pki_free(net.pki);
    drop_pki();
    return tap_done();
}

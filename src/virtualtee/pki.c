#include "virtualtee/pki_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"

#define MAKERS_MAX 16 /* threads that make keys */

struct pki {
    char *dir;
    struct pki_amd amd[AMD_GENERATIONS];
    struct privkey *vcek, *vlek, *ak, *ek, *stranger_ak, *tpm_ak;
    struct pki_intel intel;
};

/* ---- files ---- */

static STATUS path_join(const char *dir, const char *folder, const char *name, const char *suffix,
                        char out[PKI_PATH_MAX], struct error *err)
{
    int n = snprintf(out, PKI_PATH_MAX, "%s/%s%s%s%s", dir, folder, folder[0] != '\0' ? "/" : "",
                     name, suffix);
    if (n < 0 || n >= PKI_PATH_MAX) {
        error_set(err, "path of the PKI is too long");
        return ERR_LIMIT;
    }
    return OK;
}

STATUS pki_save(const char *dir, const char *folder, const char *name, const char *suffix,
                struct str bytes, unsigned mode, struct error *err)
{
    char path[PKI_PATH_MAX];
    enum status st = path_join(dir, folder, name, suffix, path, err);
    return st != OK ? st : file_write(path, bytes, mode, err);
}

STATUS pki_save_key(const char *dir, const char *name, const struct privkey *key, struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, PKI_FILE_MAX);
    enum status st = privkey_to_pem(key, &pem);
    if (st != OK) {
        error_set(err, "could not write key \"%s\" as PEM", name);
        return st;
    }
    return pki_save(dir, "keys", name, ".pem", buf_str(&pem), 0600, err);
}

STATUS pki_save_cert(const char *dir, const char *folder, const char *name, const struct cert *cert,
                     struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, PKI_FILE_MAX);
    enum status st = cert_to_pem(cert, &pem);
    if (st != OK) {
        error_set(err, "could not write certificate \"%s\" as PEM", name);
        return st;
    }
    return pki_save(dir, folder, name, ".pem", buf_str(&pem), 0644, err);
}

static STATUS load(const char *dir, const char *folder, const char *name, struct buf *out,
                   struct error *err)
{
    char path[PKI_PATH_MAX];
    enum status st = path_join(dir, folder, name, ".pem", path, err);
    return st != OK ? st : file_read(path, out, err);
}

STATUS pki_load_key(const char *dir, const char *name, struct privkey **out, struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, PKI_FILE_MAX);
    enum status st = load(dir, "keys", name, &pem, err);
    if (st == OK)
        st = privkey_from_pem(buf_str(&pem), out, err);
    if (st != OK)
        error_prefix(err, "key \"%s\": ", name);
    return st;
}

STATUS pki_load_cert(const char *dir, const char *folder, const char *name, struct cert **out,
                     struct error *err)
{
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, PKI_FILE_MAX);
    enum status st = load(dir, folder, name, &pem, err);
    if (st == OK)
        st = cert_from_pem(buf_str(&pem), out, err);
    if (st != OK)
        error_prefix(err, "certificate \"%s\": ", name);
    return st;
}

/* ---- names ---- */

enum amd_role { AMD_ARK, AMD_ASK, AMD_ASVK, AMD_ROLES };

struct amd_name {
    char file[32];    /* "amd-ark-milan" */
    char subject[64]; /* "CN=ARK-Milan,..." */
};

static void amd_name(enum amd_generation g, enum amd_role role, struct amd_name *out)
{
    static const char *const files[AMD_ROLES] = {"ark", "ask", "asvk"};
    static const char *const subjects[AMD_ROLES] = {"ARK", "SEV", "SEV-VLEK"};
    const char *name = amd_generation_name(g);
    snprintf(out->file, sizeof(out->file), "amd-%s-%c%s", files[role], name[0] | 0x20, name + 1);
    snprintf(out->subject, sizeof(out->subject), "CN=%s-%s,O=Claviger virtual TEE", subjects[role],
             name);
}

/* ---- making ---- */

/* Keys are independent of each other, so threads share a list of them. */
struct key_job {
    enum key_kind kind;
    unsigned bits;
    struct privkey *key;
};

struct key_jobs {
    pthread_mutex_t lock;
    struct key_job *items;
    size_t len, next;
    enum status failed;
    struct error err;
};

static void *make_keys(void *arg)
{
    struct key_jobs *jobs = arg;
    for (;;) {
        pthread_mutex_lock(&jobs->lock);
        struct key_job *job =
            jobs->failed == OK && jobs->next < jobs->len ? &jobs->items[jobs->next++] : NULL;
        pthread_mutex_unlock(&jobs->lock);
        if (job == NULL)
            return NULL;

        struct error err = ERROR_INIT;
        enum status st = privkey_generate(job->kind, job->bits, &job->key, &err);
        if (st != OK) {
            pthread_mutex_lock(&jobs->lock);
            jobs->failed = st;
            jobs->err = err;
            pthread_mutex_unlock(&jobs->lock);
        }
    }
}

static STATUS key_jobs_run(struct key_jobs *jobs, struct error *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t want = cpus < 1 ? 1 : cpus > MAKERS_MAX ? MAKERS_MAX : (size_t)cpus;
    pthread_t threads[MAKERS_MAX];
    size_t started = 0;
    pthread_mutex_init(&jobs->lock, NULL);
    while (started + 1 < want && pthread_create(&threads[started], NULL, make_keys, jobs) == 0)
        started++;
    make_keys(jobs);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&jobs->lock);

    if (jobs->failed != OK && err != NULL)
        *err = jobs->err;
    return jobs->failed;
}

static STATUS make_ca(const char *subject, uint16_t serial, const struct privkey *key,
                      const struct cert *issuer, const struct privkey *issuer_key,
                      struct cert **out, struct error *err)
{
    uint8_t number[2];
    store_be16(number, serial);
    const struct cert_request req = {
        .subject = subject,
        .serial = str_bytes(number, sizeof(number)),
        .not_before = PKI_NOT_BEFORE,
        .not_after = PKI_NOT_AFTER,
        .ca = true,
        .rsa_pss = true,
        .digest = DIGEST_SHA384,
    };
    return cert_make(&req, privkey_public(key), issuer, issuer_key, out, err);
}

/* One generation: ARK, then ASK and ASVK under it, and the ARK's empty revocation list. */
static STATUS save_amd(const char *dir, enum amd_generation g, const struct key_job *keys,
                       struct error *err)
{
    CLEANUP(cert_cleanup) struct cert *ark = NULL;
    for (int role = AMD_ARK; role < AMD_ROLES; role++) {
        struct amd_name name;
        amd_name(g, (enum amd_role)role, &name);
        CLEANUP(cert_cleanup) struct cert *cert = NULL;
        enum status st = make_ca(name.subject, (uint16_t)(g * 16 + role + 1), keys[role].key, ark,
                                 keys[AMD_ARK].key, &cert, err);
        if (st == OK)
            st = pki_save_key(dir, name.file, keys[role].key, err);
        if (st == OK)
            st = pki_save_cert(dir, "anchors", name.file, cert, err);
        if (st != OK)
            return st;

        if (role == AMD_ARK)
            ark = TAKE(cert);
    }

    CLEANUP(buf_done) struct buf crl;
    buf_init(&crl, PKI_FILE_MAX);
    enum status st =
        crl_make(ark, keys[AMD_ARK].key, PKI_NOT_BEFORE, PKI_NOT_AFTER, NULL, 0, true, &crl, err);
    if (st != OK)
        return st;

    static const char *const files[AMD_GENERATIONS] = {"amd-milan", "amd-genoa", "amd-turin"};
    return pki_save(dir, "collateral", files[g], ".crl", buf_str(&crl), 0644, err);
}

/* Keys that belong to the machine, not to a generation. */
static const struct {
    const char *file;
    enum key_kind kind;
    unsigned bits;
} machine_keys[] = {
    {"vcek", KEY_EC_P384, 0},
    {"vlek", KEY_EC_P384, 0},
    {"azure-ak", KEY_RSA, 2048},
    {"azure-ek", KEY_RSA, 2048},
    {"azure-stranger-ak", KEY_RSA, 2048},
    {"tpm-ak", KEY_RSA, 2048},
};

#define JOBS_MAX (AMD_GENERATIONS * AMD_ROLES + ARRAY_LEN(machine_keys))

static STATUS make_folders(const char *dir, struct error *err)
{
    static const char *const folders[] = {"anchors", "certs", "collateral", "keys"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        char path[PKI_PATH_MAX];
        enum status st = path_join(dir, "", folders[i], "", path, err);
        if (st == OK)
            st = file_make_dirs(path, err);
        if (st != OK)
            return st;
    }
    return OK;
}

static STATUS save_all(const char *dir, unsigned generations, const struct key_job *jobs,
                       struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(machine_keys); i++) {
        enum status st = pki_save_key(dir, machine_keys[i].file, jobs->key, err);
        if (st != OK)
            return st;
        jobs++;
    }
    for (int g = 0; g < AMD_GENERATIONS; g++) {
        if ((generations & 1u << g) == 0)
            continue;
        enum status st = save_amd(dir, (enum amd_generation)g, jobs, err);
        if (st != OK)
            return st;
        jobs += AMD_ROLES;
    }
    return OK;
}

STATUS pki_make(const char *dir, unsigned generations, struct error *err)
{
    enum status st = make_folders(dir, err);
    if (st != OK)
        return st;

    struct key_job items[JOBS_MAX] = {{0}};
    struct key_jobs jobs = {.items = items};
    for (size_t i = 0; i < ARRAY_LEN(machine_keys); i++) {
        items[jobs.len++] =
            (struct key_job){.kind = machine_keys[i].kind, .bits = machine_keys[i].bits};
    }
    for (int g = 0; g < AMD_GENERATIONS; g++) {
        for (int role = 0; role < AMD_ROLES && (generations & 1u << g) != 0; role++)
            items[jobs.len++] = (struct key_job){.kind = KEY_RSA, .bits = 4096};
    }

    st = key_jobs_run(&jobs, err);
    if (st == OK)
        st = save_all(dir, generations, items, err);
    if (st == OK)
        st = intel_pki_make(dir, err);
    for (size_t i = 0; i < jobs.len; i++)
        privkey_unref(items[i].key);
    return st;
}

/* ---- reading ---- */

struct pki *pki_free(struct pki *p)
{
    if (p == NULL)
        return NULL;
    for (int g = 0; g < AMD_GENERATIONS; g++) {
        struct pki_amd *amd = &p->amd[g];
        privkey_unref(amd->ark_key);
        privkey_unref(amd->ask_key);
        privkey_unref(amd->asvk_key);
        cert_unref(amd->ark);
        cert_unref(amd->ask);
        cert_unref(amd->asvk);
    }
    privkey_unref(p->vcek);
    privkey_unref(p->vlek);
    privkey_unref(p->ak);
    privkey_unref(p->ek);
    privkey_unref(p->stranger_ak);
    privkey_unref(p->tpm_ak);
    intel_pki_done(&p->intel);
    free(p->dir);
    free(p);
    return NULL;
}

STATUS pki_open(const char *dir, struct pki **out, struct error *err)
{
    CLEANUP(pki_cleanup) struct pki *p = calloc(1, sizeof(*p));
    if (p == NULL || (p->dir = strdup(dir)) == NULL)
        return error_nomem(err);

    struct privkey **const slots[] = {&p->vcek, &p->vlek, &p->ak, &p->ek, &p->stranger_ak};
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        enum status st = pki_load_key(dir, machine_keys[i].file, slots[i], err);
        if (st != OK) {
            error_prefix(err, "no virtual-tee PKI in \"%s\": ", dir);
            return st;
        }
    }
    *out = TAKE(p);
    return OK;
}

STATUS pki_amd(struct pki *p, enum amd_generation g, const struct pki_amd **out, struct error *err)
{
    struct pki_amd *amd = &p->amd[g];
    struct {
        struct privkey **key;
        struct cert **cert;
    } const slots[AMD_ROLES] = {
        {&amd->ark_key, &amd->ark}, {&amd->ask_key, &amd->ask}, {&amd->asvk_key, &amd->asvk}};
    for (int role = AMD_ARK; role < AMD_ROLES; role++) {
        struct amd_name name;
        amd_name(g, (enum amd_role)role, &name);
        enum status st = OK;
        if (*slots[role].key == NULL)
            st = pki_load_key(p->dir, name.file, slots[role].key, err);
        if (st == OK && *slots[role].cert == NULL)
            st = pki_load_cert(p->dir, "anchors", name.file, slots[role].cert, err);
        if (st != OK) {
            error_prefix(err, "the PKI has no AMD keys for %s: ", amd_generation_name(g));
            return st;
        }
    }
    *out = amd;
    return OK;
}

const struct privkey *pki_vcek(const struct pki *p)
{
    return p->vcek;
}

const struct privkey *pki_vlek(const struct pki *p)
{
    return p->vlek;
}

const struct privkey *pki_ak(const struct pki *p)
{
    return p->ak;
}

const struct privkey *pki_ek(const struct pki *p)
{
    return p->ek;
}

const struct privkey *pki_stranger_ak(const struct pki *p)
{
    return p->stranger_ak;
}

STATUS pki_tpm_ak(struct pki *p, const struct privkey **out, struct error *err)
{
    enum status st = p->tpm_ak == NULL ? pki_load_key(p->dir, "tpm-ak", &p->tpm_ak, err) : OK;
    *out = p->tpm_ak;
    return st;
}

STATUS pki_intel(struct pki *p, const struct pki_intel **out, struct error *err)
{
    enum status st = p->intel.root == NULL ? intel_pki_open(p->dir, &p->intel, err) : OK;
    *out = &p->intel;
    return st;
}

#include "virtualtee/plain_snp.h"

#include "value/json.h"

#define JSON_MAX (256 * 1024)

static enum status set_chain(void *machine, const struct field *f, struct str text,
                             struct error *err)
{
    static const char *const names[] = {
        [SNP_CHAIN_VEK] = "vek", [SNP_CHAIN_FULL] = "full", [SNP_CHAIN_NONE] = "none"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_is(text, names[i])) {
            ((struct plain_snp *)machine)->chain = (uint8_t)i;
            return OK;
        }
    }
    error_set(err, "field \"%s\" is vek, full or none, not \"%s\"", f->name, QUOTED(text));
    return ERR_INVALID;
}

const struct field plain_snp_fields[] = {
    {"cert_chain", FIELD_CALL, 0, 0, 0, "vek (default), full or none", set_chain},
    {"old_shape", FIELD_BOOL, offsetof(struct plain_snp, old_shape), 0, 0,
     "members of guests up to v0.13", NULL},
};
const size_t plain_snp_field_count = ARRAY_LEN(plain_snp_fields);

void plain_snp_init(struct plain_snp *m)
{
    *m = (struct plain_snp){.chain = SNP_CHAIN_VEK};
    amd_machine_init(&m->amd);
}

void plain_snp_done(struct plain_snp *m)
{
    vek_cache_done(&m->vek);
}

/* ---- JSON ---- */

static void write_bytes(struct json_writer *w, const char *key, const void *bytes, size_t len)
{
    if (key != NULL)
        json_key(w, key);
    json_array_begin(w);
    for (size_t i = 0; i < len; i++)
        json_int(w, ((const uint8_t *)bytes)[i]);
    json_array_end(w);
}

static void write_number(struct json_writer *w, const char *key, uint64_t n)
{
    char text[24];
    size_t at = sizeof(text); /* json_int() is signed */
    do {
        text[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    json_key(w, key);
    json_raw(w, str_bytes(text + at, sizeof(text) - at));
}

static void write_tcb(struct json_writer *w, const char *key, const struct amd_tcb *t, bool turin,
                      bool old)
{
    json_key(w, key);
    json_object_begin(w);
    if (!old) {
        json_key(w, "fmc");
        if (turin)
            json_int(w, t->fmc);
        else
            json_null(w);
    }
    write_number(w, "bootloader", t->bootloader);
    write_number(w, "tee", t->tee);
    if (old)
        write_bytes(w, "_reserved", (const uint8_t[4]){0}, 4);
    write_number(w, "snp", t->snp);
    write_number(w, "microcode", t->microcode);
    json_object_end(w);
}

static void write_version(struct json_writer *w, const char *key, const struct amd_version *v)
{
    json_key(w, key);
    json_object_begin(w);
    write_number(w, "major", v->major);
    write_number(w, "minor", v->minor);
    write_number(w, "build", v->build);
    json_object_end(w);
}

/* null before version 3, where the report has no such byte. */
static void write_cpuid(struct json_writer *w, const char *key, const struct amd_report *r,
                        uint8_t n)
{
    json_key(w, key);
    if (r->version >= 3)
        json_int(w, n);
    else
        json_null(w);
}

static void write_head(struct json_writer *w, const struct amd_report *r, bool turin, bool old)
{
    write_number(w, "version", r->version);
    write_number(w, "guest_svn", r->guest_svn);
    write_number(w, "policy", r->policy);
    write_bytes(w, "family_id", r->family_id, sizeof(r->family_id));
    write_bytes(w, "image_id", r->image_id, sizeof(r->image_id));
    write_number(w, "vmpl", r->vmpl);
    write_number(w, "sig_algo", r->signature_algorithm);
    write_tcb(w, "current_tcb", &r->current_tcb, turin, old);
    write_number(w, "plat_info", r->platform_info);
    write_number(w, old ? "_author_key_en" : "key_info", r->key_info);
    if (old)
        write_number(w, "_reserved_0", 0);
    write_bytes(w, "report_data", r->report_data, sizeof(r->report_data));
    write_bytes(w, "measurement", r->measurement, sizeof(r->measurement));
    write_bytes(w, "host_data", r->host_data, sizeof(r->host_data));
    write_bytes(w, "id_key_digest", r->id_key_digest, sizeof(r->id_key_digest));
    write_bytes(w, "author_key_digest", r->author_key_digest, sizeof(r->author_key_digest));
    write_bytes(w, "report_id", r->report_id, sizeof(r->report_id));
    write_bytes(w, "report_id_ma", r->report_id_ma, sizeof(r->report_id_ma));
    write_tcb(w, "reported_tcb", &r->reported_tcb, turin, old);
}

/* sev 6: v0.14 and later. */
static void write_new_tail(struct json_writer *w, const struct plain_snp_build *b, bool turin)
{
    const struct amd_report *r = &b->hw.amd.report;
    write_cpuid(w, "cpuid_fam_id", r, r->cpuid_family);
    write_cpuid(w, "cpuid_mod_id", r, r->cpuid_model);
    write_cpuid(w, "cpuid_step", r, r->cpuid_stepping);
    write_bytes(w, "chip_id", r->chip_id, sizeof(r->chip_id));
    write_tcb(w, "committed_tcb", &r->committed_tcb, turin, false);
    write_version(w, "current", &r->current);
    write_version(w, "committed", &r->committed);
    write_tcb(w, "launch_tcb", &r->launch_tcb, turin, false);
    if (r->version >= 5) {
        write_number(w, "launch_mit_vector", r->launch_mit_vector);
        write_number(w, "current_mit_vector", r->current_mit_vector);
    }
    json_key(w, "signature");
    json_object_begin(w);
    write_bytes(w, "r", b->hw.report + 0x2A0, 72);
    write_bytes(w, "s", b->hw.report + 0x2E8, 72);
    json_object_end(w);
}

/* sev 3 and 4: v0.9 to v0.13; a version 3 report has its CPUID in _reserved_1. */
static void write_old_tail(struct json_writer *w, const struct plain_snp_build *b)
{
    const struct amd_report *r = &b->hw.amd.report;
    write_bytes(w, "_reserved_1", b->hw.report + 0x188, 24);
    write_bytes(w, "chip_id", r->chip_id, sizeof(r->chip_id));
    write_tcb(w, "committed_tcb", &r->committed_tcb, false, true);
    write_number(w, "current_build", r->current.build);
    write_number(w, "current_minor", r->current.minor);
    write_number(w, "current_major", r->current.major);
    write_number(w, "_reserved_2", b->hw.report[0x1EB]);
    write_number(w, "committed_build", r->committed.build);
    write_number(w, "committed_minor", r->committed.minor);
    write_number(w, "committed_major", r->committed.major);
    write_number(w, "_reserved_3", b->hw.report[0x1EF]);
    write_tcb(w, "launch_tcb", &r->launch_tcb, false, true);
    write_bytes(w, "_reserved_4", b->hw.report + 0x1F8, 168);
    json_key(w, "signature");
    json_object_begin(w);
    write_bytes(w, "r", b->hw.report + 0x2A0, 72);
    write_bytes(w, "s", b->hw.report + 0x2E8, 72);
    write_bytes(w, "_reserved", b->hw.report + 0x330, 368);
    json_object_end(w);
}

static STATUS write_json(struct plain_snp_build *b, bool old, struct error *err)
{
    const struct amd_report *r = &b->hw.amd.report;
    bool turin = r->cpuid_family == AMD_FAMILY_TURIN;
    struct json_writer w;
    json_begin(&w, &b->json);
    json_object_begin(&w);
    json_key(&w, "attestation_report");
    json_object_begin(&w);
    write_head(&w, r, turin, old);
    if (old)
        write_old_tail(&w, b);
    else
        write_new_tail(&w, b, turin);
    json_object_end(&w);

    json_key(&w, "cert_chain");
    if (b->has_chain) {
        json_array_begin(&w);
        for (size_t i = 0; i < b->cert_count; i++) {
            json_object_begin(&w);
            json_key(&w, "cert_type");
            json_cstring(&w, b->certs[i].type);
            write_bytes(&w, "data", buf_str(&b->certs[i].der).ptr, b->certs[i].der.len);
            json_object_end(&w);
        }
        json_array_end(&w);
    } else {
        json_null(&w);
    }
    json_object_end(&w);
    enum status st = json_finish(&w);
    if (st != OK)
        error_set(err, "could not write the evidence: %s", status_name(st));
    return st;
}

/* ---- the build ---- */

static void add_cert(struct plain_snp_build *b, const char *type, const struct cert *cert)
{
    struct snp_cert *c = &b->certs[b->cert_count++];
    c->type = type;
    buf_add(&c->der, cert_der(cert));
}

static STATUS add_chain(struct plain_snp *m, struct pki *p, struct plain_snp_build *b,
                        struct error *err)
{
    b->has_chain = m->chain != SNP_CHAIN_NONE;
    if (!b->has_chain)
        return OK;
    struct cert *vek = NULL;
    enum status st = vek_cache_get(&m->vek, p, &b->hw.vek, &vek, err);
    if (st != OK)
        return st;
    add_cert(b, b->hw.vek.vlek ? "VLEK" : "VCEK", vek);
    if (m->chain != SNP_CHAIN_FULL)
        return OK;

    const struct pki_amd *amd = NULL;
    st = pki_amd(p, b->hw.vek.generation, &amd, err);
    if (st == OK) {
        add_cert(b, "ASK", b->hw.vek.vlek ? amd->asvk : amd->ask);
        add_cert(b, "ARK", amd->ark);
    }
    return st;
}

static STATUS build(struct plain_snp *m, struct pki *p, const struct fault *fault,
                    struct plain_snp_build *b, struct error *err)
{
    fault_strike(fault, FAULT_MACHINE, b);
    amd_build_choose(&b->hw, p);
    enum status st = amd_build_report(&b->hw, &m->report, fault, err);
    if (st != OK)
        return st;

    fault_strike(fault, FAULT_SIGNED_REPORT, b);
    fault_strike(fault, FAULT_VEK, b);
    st = add_chain(m, p, b, err);
    if (st != OK)
        return st;

    fault_strike(fault, FAULT_PARTS, b);
    st = write_json(b, m->old_shape, err);
    if (st == OK)
        fault_strike(fault, FAULT_MEMBERS, b);
    return st;
}

STATUS plain_snp_evidence(struct plain_snp *m, struct pki *p, const struct fault *fault,
                          struct str report_data, struct buf *out, struct error *err)
{
    struct plain_snp_build b = {.hw = {.amd = m->amd}};
    buf_init(&b.json, JSON_MAX);
    for (size_t i = 0; i < SNP_CERTS_MAX; i++)
        buf_init(&b.certs[i].der, SNP_CERT_DER_MAX);
    uint8_t *field = b.hw.amd.report.report_data;
    if (report_data.len > 0) { /* zero-padded, or cut (verifiers.md 1) */
        memset(field, 0, sizeof(b.hw.amd.report.report_data));
        memcpy(field, report_data.ptr, report_data.len < 64 ? report_data.len : 64);
    }

    enum status st = build(m, p, fault, &b, err);
    if (st == OK) {
        buf_add(out, buf_str(&b.json));
        st = buf_status(out);
    }
    for (size_t i = 0; i < SNP_CERTS_MAX; i++)
        buf_done(&b.certs[i].der);
    buf_done(&b.json);
    return st;
}

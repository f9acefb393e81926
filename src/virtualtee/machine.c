#include "virtualtee/machine.h"

#include <stdlib.h>

#include "base/encode.h"
#include "value/document.h"
#include "virtualtee/azure_snp.h"
#include "virtualtee/intel_tee.h"
#include "virtualtee/plain_snp.h"
#include "virtualtee/plain_tpm.h"
#include "virtualtee/sample.h"

/* ---- kinds ---- */

static void azure_init(void *m)
{
    azure_snp_init(m);
}

static void azure_share(void *m)
{
    struct azure_snp *copy = m;
    if (copy->vcek.cert != NULL)
        cert_ref(copy->vcek.cert);
}

static void azure_done(void *m)
{
    azure_snp_done(m);
}

static size_t azure_fields(struct field_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct field_table){azure_vtpm_fields, azure_vtpm_field_count,
                                  offsetof(struct azure_snp, vtpm)};
    out[1] = (struct field_table){tpm_fields, tpm_field_count, offsetof(struct azure_snp, vtpm)};
    out[2] = (struct field_table){amd_fields, amd_field_count, offsetof(struct azure_snp, amd)};
    return 3;
}

static size_t azure_faults(struct fault_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct fault_table){azure_vtpm_faults, azure_vtpm_fault_count,
                                  offsetof(struct azure_snp_build, az)};
    out[1] =
        (struct fault_table){tpm_faults, tpm_fault_count, offsetof(struct azure_snp_build, az)};
    out[2] = (struct fault_table){azure_snp_faults, azure_snp_fault_count, 0};
    return 3;
}

static void azure_init_data(void *m, struct str digest)
{
    azure_vtpm_extend(&((struct azure_snp *)m)->vtpm, 8, digest);
}

static uint8_t (*azure_pcrs(void *m))[32]
{
    return ((struct azure_snp *)m)->vtpm.pcrs;
}

static enum status azure_evidence(void *m, struct pki *p, const struct fault *fault,
                                  struct str report_data, struct buf *out, struct error *err)
{
    return azure_snp_evidence(m, p, fault, report_data, out, err);
}

static const struct machine_kind az_snp_vtpm = {
    .tee = "az-snp-vtpm",
    .old_tee = "azsnpvtpm",
    .needs_pki = true,
    .size = sizeof(struct azure_snp),
    .init = azure_init,
    .done = azure_done,
    .share = azure_share,
    .fields = azure_fields,
    .faults = azure_faults,
    .has_version = true,
    .version_offset =
        offsetof(struct azure_snp, vtpm) + offsetof(struct azure_vtpm, evidence_version),
    .set_init_data = azure_init_data,
    .pcrs = azure_pcrs,
    .evidence = azure_evidence,
};

static void snp_init(void *m)
{
    plain_snp_init(m);
}

static void snp_share(void *m)
{
    struct plain_snp *copy = m;
    if (copy->vek.cert != NULL)
        cert_ref(copy->vek.cert);
}

static void snp_done(void *m)
{
    plain_snp_done(m);
}

static size_t snp_fields(struct field_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct field_table){plain_snp_fields, plain_snp_field_count, 0};
    out[1] = (struct field_table){amd_fields, amd_field_count, offsetof(struct plain_snp, amd)};
    return 2;
}

static size_t snp_faults(struct fault_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct fault_table){plain_snp_faults, plain_snp_fault_count, 0};
    return 1;
}

/* HOST_DATA: padded or cut to 32 bytes (guest-initdata.md 4). */
static void snp_init_data(void *m, struct str digest)
{
    uint8_t *host_data = ((struct plain_snp *)m)->amd.report.host_data;
    memset(host_data, 0, 32);
    memcpy(host_data, digest.ptr, digest.len < 32 ? digest.len : 32);
}

static enum status snp_evidence(void *m, struct pki *p, const struct fault *fault,
                                struct str report_data, struct buf *out, struct error *err)
{
    return plain_snp_evidence(m, p, fault, report_data, out, err);
}

static const struct machine_kind snp = {
    .tee = "snp",
    .needs_pki = true,
    .size = sizeof(struct plain_snp),
    .init = snp_init,
    .done = snp_done,
    .share = snp_share,
    .fields = snp_fields,
    .faults = snp_faults,
    .set_init_data = snp_init_data,
    .evidence = snp_evidence,
};

static const struct machine_kind *const kinds[] = {
    &az_snp_vtpm, &snp, &azure_tdx_kind, &tdx_kind, &sgx_kind, &plain_tpm_kind, &sample_kind,
};

const struct machine_kind *const *machine_kinds(size_t *count)
{
    *count = ARRAY_LEN(kinds);
    return kinds;
}

const struct machine_kind *machine_kind_find(struct str tee)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_is(tee, kinds[i]->tee) ||
            (kinds[i]->old_tee != NULL && str_is(tee, kinds[i]->old_tee)))
            return kinds[i];
    }
    return NULL;
}

/* ---- machines ---- */

struct machine {
    const struct machine_kind *kind;
    struct pki *pki;
    const struct fault *fault; /* NULL, or &chosen */
    struct fault chosen;
    void *state;
};

STATUS machine_new(const struct machine_kind *kind, struct pki *pki, struct machine **out,
                   struct error *err)
{
    CLEANUP(machine_cleanup) struct machine *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return error_nomem(err);
    m->kind = kind;
    m->pki = pki;
    m->state = calloc(1, kind->size);
    if (m->state == NULL)
        return error_nomem(err);
    kind->init(m->state);
    *out = TAKE(m);
    return OK;
}

struct machine *machine_free(struct machine *m)
{
    if (m == NULL)
        return NULL;
    if (m->state != NULL)
        m->kind->done(m->state);
    free(m->state);
    free(m);
    return NULL;
}

STATUS machine_clone(const struct machine *m, struct machine **out, struct error *err)
{
    struct machine *copy = NULL;
    enum status st = machine_new(m->kind, m->pki, &copy, err);
    if (st != OK)
        return st;
    memcpy(copy->state, m->state, m->kind->size);
    copy->chosen = m->chosen;
    copy->fault = m->fault != NULL ? &copy->chosen : NULL;
    if (m->kind->share != NULL)
        m->kind->share(copy->state);
    *out = copy;
    return OK;
}

const struct machine_kind *machine_kind_of(const struct machine *m)
{
    return m->kind;
}

void *machine_state(struct machine *m)
{
    return m->state;
}

/* "left=right"; false without "=". */
static bool split(struct str text, struct str *left, struct str *right)
{
    size_t at = str_find(text, '=', 0);
    if (at == text.len)
        return false;
    *left = str_slice(text, 0, at);
    *right = str_from(text, at + 1);
    return true;
}

STATUS machine_set(struct machine *m, struct str assignment, struct error *err)
{
    struct str name, text;
    if (!split(assignment, &name, &text)) {
        error_set(err, "\"%s\" is not FIELD=VALUE", QUOTED(assignment));
        return ERR_INVALID;
    }

    struct field_table tables[MACHINE_TABLES_MAX];
    size_t n = m->kind->fields(tables);
    for (size_t i = 0; i < n; i++) {
        const struct field *f = field_find(&tables[i], name);
        if (f != NULL)
            return field_set(f, (char *)m->state + tables[i].base, text, err);
    }
    error_set(err, "%s has no field \"%s\" (see virtual-tee fields)", m->kind->tee, QUOTED(name));
    return ERR_NOT_FOUND;
}

STATUS machine_set_pcr(struct machine *m, struct str assignment, struct error *err)
{
    struct str number, hex;
    uint64_t n;
    if (m->kind->pcrs == NULL) {
        error_set(err, "%s has no PCRs", m->kind->tee);
        return ERR_UNSUPPORTED;
    }
    if (!split(assignment, &number, &hex) || !field_number(number, 23, &n) || hex.len != 64) {
        error_set(err, "\"%s\" is not N=HEX with N up to 23 and 64 hex digits", QUOTED(assignment));
        return ERR_INVALID;
    }

    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 32);
    enum status st = hex_read(hex, &b, err);
    if (st == OK)
        memcpy(m->kind->pcrs(m->state)[n], b.ptr, 32);
    return st;
}

STATUS machine_set_version(struct machine *m, unsigned version, struct error *err)
{
    if (!m->kind->has_version) {
        error_set(err, "%s evidence has no versions", m->kind->tee);
        return ERR_UNSUPPORTED;
    }
    if (version > 2) {
        error_set(err, "there is no evidence version %u", version);
        return ERR_INVALID;
    }
    *((uint8_t *)m->state + m->kind->version_offset) = (uint8_t)version;
    return OK;
}

const struct fault *machine_kind_fault(const struct machine_kind *kind, size_t i)
{
    struct fault_table tables[MACHINE_TABLES_MAX];
    size_t n = kind->faults(tables);
    for (size_t t = 0; t < n; t++) {
        if (i < tables[t].len)
            return &tables[t].items[i];
        i -= tables[t].len;
    }
    return NULL;
}

STATUS machine_set_fault(struct machine *m, struct str name, struct error *err)
{
    struct fault_table tables[MACHINE_TABLES_MAX];
    size_t n = m->kind->faults(tables);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t].len; i++) {
            if (!str_is(name, tables[t].items[i].name))
                continue;
            m->chosen = tables[t].items[i];
            m->chosen.part = tables[t].part;
            m->fault = &m->chosen;
            return m->fault->turin ? machine_set(m, STR("generation=turin"), err) : OK;
        }
    }
    error_set(err, "%s has no fault \"%s\" (see virtual-tee faults)", m->kind->tee, QUOTED(name));
    return ERR_NOT_FOUND;
}

const struct fault *machine_fault(const struct machine *m)
{
    return m->fault;
}

/* `algorithm` of the document; SHA-256 when it has none. */
static enum digest_alg algorithm_of(struct str document)
{
    enum digest_alg alg = DIGEST_SHA256;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * INIT_DATA_MAX);
    value v;
    if (toml_parse(&a, document, &v, NULL, NULL) == OK)
        status_ignore(digest_by_name(value_str(value_get_lit(v, "algorithm")), false, &alg));
    return alg;
}

bool init_data_is_document(struct str text)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * INIT_DATA_MAX);
    value v;
    return toml_parse(&a, text, &v, NULL, NULL) == OK &&
           value_is_string(value_get_lit(v, "algorithm")) &&
           value_is_string(value_get_lit(v, "version")) &&
           value_is_object(value_get_lit(v, "data"));
}

STATUS machine_set_init_data(struct machine *m, struct str document, struct digest *digest,
                             struct error *err)
{
    if (m->kind->set_init_data == NULL) {
        error_set(err, "%s binds no init data", m->kind->tee);
        return ERR_UNSUPPORTED;
    }
    struct digest d;
    digest_compute(algorithm_of(document), document, &d);
    m->kind->set_init_data(m->state, digest_str(&d));
    if (digest != NULL)
        *digest = d;
    return OK;
}

STATUS machine_set_event_log(struct machine *m, struct str log, struct error *err)
{
    if (m->kind->set_event_log == NULL) {
        error_set(err, "evidence of %s has no event log", m->kind->tee);
        return ERR_UNSUPPORTED;
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    struct eventlog parsed;
    struct digest rtmrs[MACHINE_RTMRS];
    enum status st = eventlog_parse(&a, log, &parsed, err);
    for (uint32_t i = 0; st == OK && i < MACHINE_RTMRS; i++)
        st = eventlog_replay(&parsed, i + 1, EVENT_ALG_SHA384, &rtmrs[i]);
    if (st == OK)
        m->kind->set_event_log(m->state, log, rtmrs);
    return st;
}

STATUS machine_evidence(struct machine *m, struct str report_data, struct buf *out,
                        struct error *err)
{
    return m->kind->evidence(m->state, m->pki, m->fault, report_data, out, err);
}

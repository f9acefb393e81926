#include "virtualtee/sample.h"

#include "base/encode.h"
#include "value/json.h"

struct sample {
    char svn[FIELD_TEXT_MAX];
};

STATUS sample_evidence(struct str svn, struct str report_data, struct buf *out, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1024);
    base64_write(&text, report_data, BASE64_STD);
    enum status st = buf_status(&text);
    if (st != OK) {
        error_set(err, "report data is too long");
        return st;
    }

    struct json_writer w;
    json_begin(&w, out);
    json_object_begin(&w);
    json_key(&w, "report_data");
    json_string(&w, buf_str(&text));
    json_key(&w, "svn");
    json_string(&w, svn);
    json_object_end(&w);
    st = json_finish(&w);
    if (st != OK)
        error_set(err, "could not write the evidence: %s", status_name(st));
    return st;
}

static const struct field fields[] = {
    {"svn", FIELD_TEXT, offsetof(struct sample, svn), 0, 0, "security version", NULL},
};

static void init(void *m)
{
    *(struct sample *)m = (struct sample){.svn = "1"};
}

static void init_device(void *m)
{
    *(struct sample *)m = (struct sample){.svn = "2"};
}

static void done(void *m)
{
    (void)m;
}

static size_t tables(struct field_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct field_table){fields, ARRAY_LEN(fields), 0};
    return 1;
}

/* What a fault changes. */
struct sample_build {
    struct digest other;
    struct str report_data;
    const char *text; /* instead of the evidence */
};

static void other_session(void *build)
{
    struct sample_build *b = build;
    digest_compute(DIGEST_SHA384, STR("report data of another session"), &b->other);
    b->report_data = digest_str(&b->other);
}

static void svn_number(void *build)
{
    ((struct sample_build *)build)->text = "{\"svn\":1,\"report_data\":\"\"}";
}

static void report_data_text(void *build)
{
    ((struct sample_build *)build)->text = "{\"svn\":\"1\",\"report_data\":\"?\"}";
}

static const struct fault faults[] = {
    {"report-data", "report-data", "/evidence/report_data", "evidence of another session",
     FAULT_MACHINE, .apply = other_session},
    {"svn-number", "evidence-format", "/evidence/svn", "security version is a number",
     FAULT_MEMBERS, .apply = svn_number},
    {"report-data-text", "evidence-format", "/evidence/report_data", "report data is no base64",
     FAULT_MEMBERS, .apply = report_data_text},
};

static size_t fault_tables(struct fault_table out[MACHINE_TABLES_MAX])
{
    out[0] = (struct fault_table){faults, ARRAY_LEN(faults), 0};
    return 1;
}

static void init_data(void *m, struct str digest)
{
    (void)m; /* sample evidence binds nothing; the document may be sent all the same */
    (void)digest;
}

static enum status evidence(void *m, struct pki *p, const struct fault *fault,
                            struct str report_data, struct buf *out, struct error *err)
{
    (void)p;
    struct sample_build b = {.report_data = report_data};
    if (fault != NULL)
        fault->apply(&b);
    if (b.text == NULL)
        return sample_evidence(str_of(((struct sample *)m)->svn), b.report_data, out, err);
    buf_add_cstr(out, b.text);
    return buf_status(out);
}

const struct machine_kind sample_kind = {
    .tee = "sample",
    .size = sizeof(struct sample),
    .init = init,
    .done = done,
    .fields = tables,
    .faults = fault_tables,
    .set_init_data = init_data,
    .evidence = evidence,
};

const struct machine_kind sampledevice_kind = {
    .tee = "sampledevice",
    .size = sizeof(struct sample),
    .init = init_device,
    .done = done,
    .fields = tables,
    .faults = fault_tables,
    .evidence = evidence,
};

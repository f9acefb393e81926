#include "virtualtee/command.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/file.h"
#include "virtualtee/guest_http.h"
#include "virtualtee/azure_snp.h"
#include "virtualtee/load.h"
#include "virtualtee/swtpm.h"
#include "value/json.h"

#define EXIT_REFUSED 1
#define EXIT_USAGE 2
#define REPORT_DATA_MAX 64
#define CHANGES_MAX 256

/* ---- options ---- */

enum option {
    OPT_PKI = 1 << 0,
    OPT_TEE = 1 << 1,
    OPT_REPORT_DATA = 1 << 2,
    OPT_PCR = 1 << 3,
    OPT_INITDATA = 1 << 4,
    OPT_SET = 1 << 5,
    OPT_FAULT = 1 << 6,
    OPT_EVIDENCE_VERSION = 1 << 7,
    OPT_URL = 1 << 8,
    OPT_PROTOCOL = 1 << 9,
    OPT_TEE_KEY = 1 << 10,
    OPT_CERT_FILE = 1 << 11,
    OPT_CONNECTIONS = 1 << 12,
    OPT_SECONDS = 1 << 13,
    OPT_GENERATION = 1 << 14,
    OPT_FORMAT = 1 << 15,
    OPT_NO_INITDATA_BODY = 1 << 16,
    OPT_SWTPM = 1 << 17,
    OPT_EVENT_LOG = 1 << 18,
};
#define OPT_MACHINE                                                                                \
    (OPT_PKI | OPT_TEE | OPT_PCR | OPT_INITDATA | OPT_SET | OPT_FAULT | OPT_EVIDENCE_VERSION |     \
     OPT_EVENT_LOG)
#define OPT_EXCHANGE                                                                               \
    (OPT_MACHINE | OPT_URL | OPT_PROTOCOL | OPT_TEE_KEY | OPT_CERT_FILE | OPT_NO_INITDATA_BODY)

static const struct {
    const char *name, *short_name;
    unsigned option;
    bool flag;
} option_names[] = {
    {"--pki", NULL, OPT_PKI, false},
    {"--tee", NULL, OPT_TEE, false},
    {"--report-data", NULL, OPT_REPORT_DATA, false},
    {"--pcr", NULL, OPT_PCR, false},
    {"--initdata", NULL, OPT_INITDATA, false},
    {"--event-log", NULL, OPT_EVENT_LOG, false},
    {"--set", NULL, OPT_SET, false},
    {"--fault", NULL, OPT_FAULT, false},
    {"--evidence-version", NULL, OPT_EVIDENCE_VERSION, false},
    {"--url", NULL, OPT_URL, false},
    {"--protocol", NULL, OPT_PROTOCOL, false},
    {"--tee-key", NULL, OPT_TEE_KEY, false},
    {"--cert-file", NULL, OPT_CERT_FILE, false},
    {"--connections", NULL, OPT_CONNECTIONS, false},
    {"--seconds", NULL, OPT_SECONDS, false},
    {"--generation", NULL, OPT_GENERATION, false},
    {"--format", "-f", OPT_FORMAT, false},
    {"--swtpm", NULL, OPT_SWTPM, false},
    {"--no-initdata-body", NULL, OPT_NO_INITDATA_BODY, true},
};

/* A --set or --pcr, in the order of the command line: the last wins. */
struct change {
    unsigned option;
    const char *text;
};

struct args {
    const char *pki, *tee, *report_data, *initdata, *event_log, *fault, *evidence_version;
    const char *url, *protocol, *tee_key, *cert_file, *connections, *seconds, *format, *swtpm;
    bool no_initdata_body;
    unsigned generations;
    struct change changes[CHANGES_MAX];
    size_t change_count;
    const char *positional[2];
    size_t positional_count;
};

static int usage(const char *format, ...) PRINTF_LIKE(1, 2);
static int usage(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("virtual-tee: ", stderr);
    vfprintf(stderr, format, ap);
    fputs(" (see virtual-tee --help)\n", stderr);
    va_end(ap);
    return EXIT_USAGE;
}

static int fail(int code, const struct error *err)
{
    fprintf(stderr, "virtual-tee: %s\n", err->text);
    return code;
}

static int take_value(struct args *a, unsigned option, const char *text)
{
    const struct {
        unsigned option;
        const char **slot;
    } slots[] = {
        {OPT_PKI, &a->pki},
        {OPT_TEE, &a->tee},
        {OPT_REPORT_DATA, &a->report_data},
        {OPT_INITDATA, &a->initdata},
        {OPT_EVENT_LOG, &a->event_log},
        {OPT_FAULT, &a->fault},
        {OPT_EVIDENCE_VERSION, &a->evidence_version},
        {OPT_URL, &a->url},
        {OPT_PROTOCOL, &a->protocol},
        {OPT_TEE_KEY, &a->tee_key},
        {OPT_CERT_FILE, &a->cert_file},
        {OPT_CONNECTIONS, &a->connections},
        {OPT_SECONDS, &a->seconds},
        {OPT_FORMAT, &a->format},
        {OPT_SWTPM, &a->swtpm},
    };
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        if (slots[i].option == option) {
            *slots[i].slot = text;
            return 0;
        }
    }

    enum amd_generation g;
    if (option == OPT_GENERATION) {
        if (!amd_generation_by_name(str_of(text), &g))
            return usage("generation is milan, genoa or turin, not \"%s\"", QUOTED(str_of(text)));
        a->generations |= 1u << g;
        return 0;
    }
    if (a->change_count == CHANGES_MAX)
        return usage("more than %d --set and --pcr", CHANGES_MAX);
    a->changes[a->change_count++] = (struct change){option, text};
    return 0;
}

/* "--name value", "--name=value", "-f value"; anything else is positional. */
static int parse_args(int argc, char **argv, unsigned allowed, size_t positional, struct args *a)
{
    for (int i = 0; i < argc; i++) {
        struct str arg = str_of(argv[i]);
        if (arg.len < 2 || arg.ptr[0] != '-') {
            if (a->positional_count == positional)
                return usage("unexpected argument \"%s\"", QUOTED(arg));
            a->positional[a->positional_count++] = argv[i];
            continue;
        }

        size_t eq = str_has_prefix(arg, STR("--")) ? str_find(arg, '=', 0) : arg.len;
        struct str name = str_slice(arg, 0, eq);
        size_t k = 0;
        while (k < ARRAY_LEN(option_names) && !str_is(name, option_names[k].name) &&
               (option_names[k].short_name == NULL || !str_is(name, option_names[k].short_name)))
            k++;
        if (k == ARRAY_LEN(option_names) || (option_names[k].option & allowed) == 0)
            return usage("unknown option \"%s\"", QUOTED(name));
        if (option_names[k].flag) {
            if (eq < arg.len)
                return usage("option %s takes no value", option_names[k].name);
            a->no_initdata_body = true;
            continue;
        }
        if (eq == arg.len && i + 1 == argc)
            return usage("option %s needs a value", option_names[k].name);
        int rc = take_value(a, option_names[k].option, eq < arg.len ? argv[i] + eq + 1 : argv[++i]);
        if (rc != 0)
            return rc;
    }
    if (a->positional_count < positional)
        return usage("an argument is missing");
    return 0;
}

static const struct machine_kind *kind_of(const struct args *a)
{
    return machine_kind_find(str_of(a->tee != NULL ? a->tee : "az-snp-vtpm"));
}

/* ---- machines ---- */

/* Everything that evidence is made from. */
struct setup {
    const struct machine_kind *kind;
    struct pki *pki;
    struct machine *machine;
    struct buf init_data; /* the document */
    bool has_init_data;
    struct digest init_data_digest;
    bool init_data_travels; /* in the body of 0.4.0 */
    struct buf event_log;
};

static void setup_done(struct setup *s)
{
    machine_free(s->machine);
    pki_free(s->pki);
    buf_done(&s->init_data);
    buf_done(&s->event_log);
}

static STATUS apply_changes(struct setup *s, const struct args *a, struct error *err)
{
    for (size_t i = 0; i < a->change_count; i++) {
        struct str text = str_of(a->changes[i].text);
        enum status st = a->changes[i].option == OPT_PCR ? machine_set_pcr(s->machine, text, err)
                                                         : machine_set(s->machine, text, err);
        if (st != OK)
            return st;
    }
    if (a->evidence_version == NULL)
        return OK;
    uint64_t version;
    if (!field_number(str_of(a->evidence_version), 2, &version)) {
        error_set(err, "evidence version is 0, 1 or 2, not \"%s\"",
                  QUOTED(str_of(a->evidence_version)));
        return ERR_INVALID;
    }
    return machine_set_version(s->machine, (unsigned)version, err);
}

static STATUS measure_init_data(struct setup *s, const struct args *a, struct error *err)
{
    /* What a fault of init data is about, when the caller brings no document. */
    static const char document[] = "algorithm = \"sha256\"\nversion = \"0.1.0\"\n\n[data]\n";
    const struct fault *fault = machine_fault(s->machine);
    enum status st = OK;
    if (a->initdata != NULL)
        st = file_read(a->initdata, &s->init_data, err);
    else if (fault != NULL && fault->init_data)
        buf_add_cstr(&s->init_data, document);
    else
        return OK;

    struct digest d;
    if (st == OK)
        st = machine_set_init_data(s->machine, buf_str(&s->init_data), &d, err);
    if (st != OK)
        return st;
    s->has_init_data = true;
    s->init_data_digest = d;
    /*
     * A guest whose register holds another digest than the document's cannot
     * have it checked (guest-initdata.md 4, 7.4), and one that is no document
     * no guest would start with.
     */
    s->init_data_travels = !a->no_initdata_body && init_data_is_document(buf_str(&s->init_data)) &&
                           (s->kind->pcrs == NULL || d.len == 32);
    return OK;
}

static STATUS read_event_log(struct setup *s, const struct args *a, struct error *err)
{
    if (a->event_log == NULL)
        return OK;
    enum status st = file_read(a->event_log, &s->event_log, err);
    if (st != OK)
        return st;
    st = machine_set_event_log(s->machine, buf_str(&s->event_log), err);
    if (st != OK)
        error_prefix(err, "event log \"%s\": ", QUOTED(str_of(a->event_log)));
    return st;
}

/* `version`: evidence version unless an option says otherwise. */
static STATUS setup_init(struct setup *s, const struct args *a, unsigned version, struct error *err)
{
    *s = (struct setup){.kind = kind_of(a)};
    buf_init(&s->init_data, INIT_DATA_MAX);
    buf_init(&s->event_log, EVENT_LOG_MAX);
    if (s->kind == NULL) {
        error_set(err, "unknown TEE \"%s\"", QUOTED(str_of(a->tee)));
        return ERR_NOT_FOUND;
    }
    if (s->kind->needs_pki && a->pki == NULL) {
        error_set(err, "%s needs --pki DIR", s->kind->tee);
        return ERR_INVALID;
    }

    enum status st = s->kind->needs_pki ? pki_open(a->pki, &s->pki, err) : OK;
    if (st == OK)
        st = machine_new(s->kind, s->pki, &s->machine, err);
    if (st == OK && s->kind->has_version)
        st = machine_set_version(s->machine, version, err);
    if (st == OK && a->fault != NULL)
        st = machine_set_fault(s->machine, str_of(a->fault), err);
    if (st == OK)
        st = measure_init_data(s, a, err);
    if (st == OK)
        st = read_event_log(s, a, err);
    return st == OK ? apply_changes(s, a, err) : st;
}

/* ---- commands ---- */

static int write_out(struct str bytes)
{
    if (fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len && fflush(stdout) == 0)
        return 0;
    perror("virtual-tee: could not write to standard output");
    return EXIT_REFUSED;
}

static int cmd_pki(struct args *a)
{
    struct error err = ERROR_INIT;
    unsigned generations = a->generations != 0 ? a->generations : PKI_ALL_GENERATIONS;
    return pki_make(a->positional[0], generations, &err) == OK ? 0 : fail(EXIT_REFUSED, &err);
}

static int cmd_fields(struct args *a)
{
    struct setup s = {.kind = kind_of(a)};
    if (s.kind == NULL)
        return usage("unknown TEE \"%s\"", QUOTED(str_of(a->tee)));
    struct error err = ERROR_INIT;
    if (machine_new(s.kind, NULL, &s.machine, &err) != OK)
        return fail(EXIT_REFUSED, &err);

    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1024 * 1024);
    struct field_table tables[MACHINE_TABLES_MAX];
    size_t n = s.kind->fields(tables);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < tables[i].len; k++) {
            const struct field *f = &tables[i].items[k];
            buf_add_format(&out, "%s\t", f->name);
            field_write_type(f, &out);
            buf_add_byte(&out, '\t');
            field_write(f, (const char *)machine_state(s.machine) + tables[i].base, &out);
            buf_add_format(&out, "\t%s\n", f->what);
        }
    }
    machine_free(s.machine);
    return write_out(buf_str(&out));
}

static int cmd_faults(struct args *a)
{
    const struct machine_kind *kind = kind_of(a);
    if (kind == NULL)
        return usage("unknown TEE \"%s\"", QUOTED(str_of(a->tee)));
    const struct fault *f;
    for (size_t i = 0; (f = machine_kind_fault(kind, i)) != NULL; i++)
        printf("%s\t%s\t%s\n", f->name, f->check, f->what);
    return write_out(STR_EMPTY);
}

static int cmd_evidence(struct args *a)
{
    if (a->report_data == NULL)
        return usage("--report-data is missing");
    CLEANUP(setup_done) struct setup s;
    CLEANUP(buf_done) struct buf report_data;
    CLEANUP(buf_done) struct buf out;
    buf_init(&report_data, REPORT_DATA_MAX);
    buf_init(&out, EVIDENCE_MAX);
    struct error err = ERROR_INIT;
    enum status st = setup_init(&s, a, 2, &err);
    if (st == OK) {
        st = hex_read(str_of(a->report_data), &report_data, &err);
        if (st == ERR_INVALID)
            error_prefix(&err, "--report-data: ");
    }
    if (st == ERR_LIMIT)
        error_set(&err, "report data is longer than %d bytes", REPORT_DATA_MAX);
    if (st != OK)
        return fail(EXIT_USAGE, &err);

    st = machine_evidence(s.machine, buf_str(&report_data), &out, &err);
    if (st != OK)
        return fail(st == ERR_NOT_FOUND || st == ERR_INVALID || st == ERR_LIMIT ? EXIT_USAGE
                                                                                : EXIT_REFUSED,
                    &err);
    buf_add_byte(&out, '\n');
    return write_out(buf_str(&out));
}

static enum status machine_attester(void *user, struct str report_data, struct buf *out,
                                    struct error *err)
{
    return machine_evidence(user, report_data, out, err);
}

/* Protocol, key kind and the name of the TEE in that protocol's time. */
struct exchange {
    enum rcar_version version;
    enum rcar_key key_kind;
    const char *tee;
};

static int read_exchange(const struct args *a, struct exchange *x)
{
    *x = (struct exchange){.version = RCAR_0_4_0, .key_kind = RCAR_KEY_EC256};
    if (a->url == NULL)
        return usage("--url is missing");
    if (a->protocol != NULL && !rcar_version_by_name(str_of(a->protocol), &x->version))
        return usage("protocol is 0.1.1, 0.2.0 or 0.4.0, not \"%s\"", QUOTED(str_of(a->protocol)));
    if (x->version == RCAR_0_1_1) /* whose guests have RSA keys only (kbs.md 3.7) */
        x->key_kind = RCAR_KEY_RSA;
    if (a->tee_key != NULL && !rcar_key_by_name(str_of(a->tee_key), &x->key_kind))
        return usage("TEE key is ec256, ec521 or rsa, not \"%s\"", QUOTED(str_of(a->tee_key)));

    /* Guests of v0.14 and v0.15 spoke 0.4.0 with the old names: whoever asks for one gets it. */
    const struct machine_kind *kind = kind_of(a);
    if (kind == NULL)
        return 0; /* setup_init() says so */
    bool asked = a->tee != NULL && kind->old_tee != NULL && strcmp(a->tee, kind->old_tee) == 0;
    bool old = kind->old_tee != NULL && (asked || x->version < RCAR_0_4_0);
    x->tee = old ? kind->old_tee : kind->tee;
    return 0;
}

static STATUS exchange_setup(struct setup *s, const struct args *a, const struct exchange *x,
                             struct error *err)
{
    enum status st = setup_init(s, a, x->version < RCAR_0_4_0 ? 0 : 2, err);
    const struct fault *fault = st == OK ? machine_fault(s->machine) : NULL;
    if (fault != NULL && fault->init_data && (x->version < RCAR_0_4_0 || !s->init_data_travels)) {
        error_set(err, "fault \"%s\" needs protocol 0.4.0 and init data in it", fault->name);
        return ERR_UNSUPPORTED;
    }
    return st;
}

/* A refusal: the server's answer, the reason, and the id on the last line. */
static int refused(const struct guest_answer *answer, enum status st, const struct error *err)
{
    if (answer->status != 0 && answer->status != 200)
        fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&answer->body)));
    fprintf(stderr, "virtual-tee: %s\n", err->text);
    bool held = st == ERR_DENIED || st == ERR_INVALID || st == ERR_UNSUPPORTED;
    if (answer->status == 0 || !held)
        return EXIT_USAGE;
    if (answer->decision[0] != '\0')
        fprintf(stderr, "decision: %s\n", answer->decision);
    return EXIT_REFUSED;
}

static int hold_exchange(const struct args *a, const struct exchange *x, struct setup *s,
                         struct guest_http *http)
{
    struct error err = ERROR_INIT;
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    if (rcar_key_generate(x->key_kind, &key, &err) != OK)
        return fail(EXIT_USAGE, &err);

    const struct guest g = {
        .version = x->version,
        .tee = x->tee,
        .key = key,
        .attester = {machine_attester, s->machine},
        .init_data = s->init_data_travels ? buf_str(&s->init_data) : (struct str){NULL, 0},
        .transport = &http->transport,
    };
    CLEANUP(arena_done) struct arena arena;
    arena_init(&arena, 4 * RCAR_TEXT_MAX);
    CLEANUP(guest_answer_done) struct guest_answer answer;
    guest_answer_init(&answer);
    CLEANUP(buf_done) struct buf plain;
    buf_init_secret(&plain, GUEST_ANSWER_MAX);
    struct str token, path = rcar_resource_path(&arena, str_of(a->positional[0]));
    if (path.ptr == NULL)
        return fail(EXIT_USAGE, &(struct error){.text = "out of memory"});

    enum status st = guest_attest(&g, &arena, &token, &answer, &err);
    if (st == OK)
        st = guest_get_resource(&g, path.ptr, STR_EMPTY, &plain, &answer, &err);
    return st == OK ? write_out(buf_str(&plain)) : refused(&answer, st, &err);
}

static int cmd_get_resource(struct args *a)
{
    struct exchange x;
    int rc = read_exchange(a, &x);
    if (rc != 0)
        return rc;

    CLEANUP(setup_done) struct setup s;
    struct error err = ERROR_INIT;
    if (exchange_setup(&s, a, &x, &err) != OK)
        return fail(EXIT_USAGE, &err);

    struct guest_http http;
    const struct http_client_options https = {.ca_file = a->cert_file};
    if (guest_http_init(&http, a->url, &https, &err) != OK)
        return fail(EXIT_USAGE, &err);
    rc = hold_exchange(a, &x, &s, &http);
    guest_http_done(&http);
    return rc;
}

static void print_load(const struct load_result *r, bool json)
{
    double rate = r->seconds > 0 ? (double)r->done / r->seconds : 0;
    double p50 = (double)r->p50_ns / 1e6, p99 = (double)r->p99_ns / 1e6;
    double max = (double)r->max_ns / 1e6;
    printf(json ? "{\"exchanges\":%llu,\"seconds\":%.2f,\"rate\":%.1f,\"p50_ms\":%.3f,"
                  "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"errors\":%llu}\n"
                : "exchanges %llu in %.2f s\nrate      %.1f/s\np50       %.3f ms\n"
                  "p99       %.3f ms\nmax       %.3f ms\nerrors    %llu\n",
           (unsigned long long)r->done, r->seconds, rate, p50, p99, max,
           (unsigned long long)r->errors);
}

static int cmd_load(struct args *a)
{
    struct exchange x;
    int rc = read_exchange(a, &x);
    if (rc != 0)
        return rc;
    uint64_t connections = 1, seconds = 10;
    bool json = a->format != NULL && strcmp(a->format, "json") == 0;
    if (a->connections != NULL &&
        (!field_number(str_of(a->connections), LOAD_CONNECTIONS_MAX, &connections) ||
         connections == 0))
        return usage("--connections is 1 to %d", LOAD_CONNECTIONS_MAX);
    if (a->seconds != NULL && (!field_number(str_of(a->seconds), 86400, &seconds) || seconds == 0))
        return usage("--seconds is 1 to 86400");
    if (a->format != NULL && !json && strcmp(a->format, "text") != 0)
        return usage("--format is text or json");

    CLEANUP(setup_done) struct setup s;
    CLEANUP(arena_done) struct arena arena;
    arena_init(&arena, 1024 * 1024);
    struct error err = ERROR_INIT;
    if (exchange_setup(&s, a, &x, &err) != OK)
        return fail(EXIT_USAGE, &err);
    const struct load_options options = {
        .url = a->url,
        .ca_file = a->cert_file,
        .connections = (unsigned)connections,
        .seconds = (unsigned)seconds,
        .version = x.version,
        .key_kind = x.key_kind,
        .tee = x.tee,
        .machine = s.machine,
        .init_data = s.init_data_travels ? buf_str(&s.init_data) : (struct str){NULL, 0},
        .path = rcar_resource_path(&arena, str_of(a->positional[0])).ptr,
    };
    struct load_result result;
    if (options.path == NULL || load_run(&options, &result, &err) != OK)
        return fail(EXIT_USAGE, &err);
    print_load(&result, json);
    if (result.errors > 0)
        fprintf(stderr, "virtual-tee: first error: %s\n", result.first_error);
    rc = write_out(STR_EMPTY);
    return rc != 0 ? rc : result.errors > 0 || result.done == 0 ? EXIT_REFUSED : 0;
}

/* ---- vtpm ---- */

/* What Azure's metadata service serves beside the vTPM: THIM's JSON. */
static STATUS print_thim(struct pki *p, const struct azure_snp *m, const struct cert *vcek,
                         struct error *err)
{
    const struct pki_amd *amd = NULL;
    CLEANUP(buf_done) struct buf leaf;
    CLEANUP(buf_done) struct buf chain;
    CLEANUP(buf_done) struct buf out;
    buf_init(&leaf, 64 * 1024);
    buf_init(&chain, 64 * 1024);
    buf_init(&out, 256 * 1024);
    uint8_t report[AMD_REPORT_LEN];
    amd_report_write(&m->amd.report, report);
    enum status st = pki_amd(p, amd_machine_generation(&m->amd), &amd, err);
    if (st == OK)
        st = cert_to_pem(vcek, &leaf);
    if (st == OK)
        st = cert_to_pem(amd->ask, &chain);
    if (st == OK)
        st = cert_to_pem(amd->ark, &chain);
    if (st != OK)
        return st;

    char tcbm[17]; /* TCB_VERSION as one number: the last byte first */
    snprintf(tcbm, sizeof(tcbm), "%016llX", (unsigned long long)load_le64(report + 0x180));
    struct json_writer w;
    json_begin(&w, &out);
    json_object_begin(&w);
    json_key(&w, "vcekCert");
    json_string(&w, buf_str(&leaf));
    json_key(&w, "tcbm");
    json_cstring(&w, tcbm);
    json_key(&w, "certificateChain");
    json_string(&w, buf_str(&chain));
    json_key(&w, "cacheControl");
    json_cstring(&w, "86400");
    json_object_end(&w);
    st = json_finish(&w);
    buf_add_byte(&out, '\n');
    return st == OK && write_out(buf_str(&out)) != 0 ? ERR_IO : st;
}

/* Boot, and measure init data where there is some. */
static STATUS measure(struct swtpm *t, const struct setup *s, struct error *err)
{
    enum status st = OK;
    for (unsigned pcr = 0; pcr < VTPM_PCRS && st == OK; pcr++) {
        struct digest d;
        if (azure_vtpm_boot_digest(pcr, &d))
            st = swtpm_extend(t, pcr, digest_str(&d), err);
    }
    if (st != OK || !s->has_init_data)
        return st;
    uint8_t fitted[VTPM_PCR_LEN] = {0};
    memcpy(fitted, s->init_data_digest.bytes,
           s->init_data_digest.len < sizeof(fitted) ? s->init_data_digest.len : sizeof(fitted));
    return swtpm_extend(t, 8, str_bytes(fitted, sizeof(fitted)), err);
}

static STATUS furnish(struct swtpm *t, struct setup *s, struct error *err)
{
    CLEANUP(pubkey_cleanup) struct pubkey *ak = NULL;
    CLEANUP(cert_cleanup) struct cert *vcek = NULL;
    CLEANUP(buf_done) struct buf hcl;
    buf_init(&hcl, HCL_BLOB_MAX);
    struct azure_snp *m = machine_state(s->machine);
    m->vtpm.hcl_size = SWTPM_NV_MAX;
    m->vtpm.ek_present = false;
    enum status st = swtpm_make_ak(t, &ak, err);
    if (st == OK)
        st = azure_snp_endorse(m, s->pki, ak, &hcl, &vcek, err);
    if (st == OK)
        st = swtpm_write_nv(t, SWTPM_HCL_INDEX, buf_str(&hcl), err);
    if (st == OK)
        st = measure(t, s, err);
    return st == OK ? print_thim(s->pki, m, vcek, err) : st;
}

static int cmd_vtpm(struct args *a)
{
    if (a->swtpm == NULL)
        return usage("--swtpm is missing");
    for (size_t i = 0; i < a->change_count; i++) {
        if (a->changes[i].option == OPT_PCR)
            return usage("a real TPM's PCRs can only be extended: no --pcr here");
    }
    CLEANUP(setup_done) struct setup s;
    struct error err = ERROR_INIT;
    if (setup_init(&s, a, 1, &err) != OK)
        return fail(EXIT_USAGE, &err);
    if (strcmp(s.kind->tee, "az-snp-vtpm") != 0)
        return usage("a vTPM is furnished as that of az-snp-vtpm only");

    struct swtpm t;
    if (swtpm_open(&t, a->swtpm, &err) != OK)
        return fail(EXIT_USAGE, &err);
    enum status st = furnish(&t, &s, &err);
    swtpm_done(&t);
    return st == OK ? 0 : fail(EXIT_REFUSED, &err);
}

/* ---- main ---- */

static const struct {
    const char *name;
    int (*run)(struct args *a);
    unsigned options;
    size_t positional;
} commands[] = {
    {"pki", cmd_pki, OPT_GENERATION, 1},
    {"fields", cmd_fields, OPT_TEE, 0},
    {"faults", cmd_faults, OPT_TEE, 0},
    {"evidence", cmd_evidence, OPT_MACHINE | OPT_REPORT_DATA, 0},
    {"get-resource", cmd_get_resource, OPT_EXCHANGE, 1},
    {"vtpm", cmd_vtpm, OPT_PKI | OPT_TEE | OPT_INITDATA | OPT_SET | OPT_PCR | OPT_SWTPM, 0},
    {"load", cmd_load, OPT_EXCHANGE | OPT_CONNECTIONS | OPT_SECONDS | OPT_FORMAT, 1},
};

static const char help[] =
    "virtual-tee - confidential hardware that exists only under a test PKI\n"
    "\n"
    "usage: virtual-tee COMMAND [OPTION]...\n"
    "\n"
    "  pki DIR [--generation NAME]...   make a test PKI; DIR/anchors is what\n"
    "                                   kbs --extra-trust-anchors takes\n"
    "  fields [--tee TEE]               list what --set takes\n"
    "  faults [--tee TEE]               list what --fault takes: name, check, what\n"
    "  evidence --report-data HEX       print evidence as JSON\n"
    "  get-resource --url URL PATH      attest, then print a resource's bytes\n"
    "  vtpm --swtpm SOCKET              furnish a running swtpm as Azure's vTPM\n"
    "  load --url URL PATH              full exchanges: rate, p50, p99, errors\n"
    "\n"
    "the machine (evidence, get-resource, load):\n"
    "  --pki DIR               keys of its makers\n"
    "  --tee TEE               az-snp-vtpm (default), snp, az-tdx-vtpm, tdx,\n"
    "                          sgx, tpm, sample\n"
    "  --set FIELD=VALUE       change a field; repeatable, the last wins\n"
    "  --pcr N=HEX             set a PCR; repeatable, the last wins\n"
    "  --initdata FILE         measure an init-data document\n"
    "  --event-log FILE        tdx: send this log (CCEL), with its RTMRs\n"
    "  --fault NAME            one deliberate mistake\n"
    "  --evidence-version N    0, 1 or 2\n"
    "  --swtpm SOCKET          vtpm: data socket; control at SOCKET.ctrl\n"
    "\n"
    "the exchange (get-resource, load):\n"
    "  --url URL               of the KBS\n"
    "  --cert-file FILE        further root certificates, PEM\n"
    "  --protocol VERSION      0.1.1, 0.2.0 or 0.4.0 (default)\n"
    "  --tee-key KIND          ec256 (default), ec521, rsa (default with 0.1.1)\n"
    "  --no-initdata-body      measure init data, but do not send it\n"
    "\n"
    "  --connections N         load: guests at once (1)\n"
    "  --seconds N             load: how long (10)\n"
    "  -f, --format FORMAT     load: text (default) or json\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 done, 1 refused or failed, 2 wrong usage, unreadable file,\n"
    "unknown name, or no exchange could be held.\n";

int virtualtee_main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return write_out(str_of(help));
        if (strcmp(argv[i], "--version") == 0) {
            printf("virtual-tee %s\n", CLAVIGER_VERSION);
            return write_out(STR_EMPTY);
        }
    }
    if (argc < 2)
        return usage("a command is missing");

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        struct args a = {.pki = NULL};
        int rc = parse_args(argc - 2, argv + 2, commands[i].options, commands[i].positional, &a);
        return rc != 0 ? rc : commands[i].run(&a);
    }
    return usage("unknown command \"%s\"", QUOTED(str_of(argv[1])));
}

/*
 * measure - what a machine made of these files will be measured as, written as
 * reference values (../shared/INTERFACES.md, Tools).  See man/measure.1.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "attestation/initdata.h"
#include "base/cli.h"
#include "base/clock.h"
#include "base/file.h"
#include "measure/reference.h"
#include "measure/snp.h"
#include "measure/tdx.h"
#include "measure/uki.h"

#define MEMORY_MAX ((size_t)64 * 1024 * 1024)
#define PHASES_MAX 8 /* paths */

static const char usage_text[] =
    "usage: measure snp --firmware FILE --vcpus N [CPU] [KERNEL] [OPTION]...\n"
    "       measure tdx [--firmware FILE] [--event-log FILE] [KERNEL] [OPTION]...\n"
    "       measure vtpm --uki FILE [--initdata FILE] [OPTION]...\n"
    "\n"
    "Print what a machine made of these files is measured as, as reference values.\n"
    "\n"
    "  snp     the launch digest of AMD SEV-SNP\n"
    "  tdx     MRTD and RTMRs of Intel TDX\n"
    "  vtpm    PCRs 3, 8, 9, 11 and 12 of a machine that boots a unified kernel image\n"
    "\n"
    "KERNEL, of machines that QEMU boots directly:\n"
    "      --kernel FILE\n"
    "      --initrd FILE\n"
    "      --cmdline TEXT          (vtpm: what the boot loader passes in place of the image's)\n"
    "snp:\n"
    "      --vcpus N               number of virtual processors\n"
    "      --vmm qemu|ec2|gce      who makes the machine; qemu unless said\n"
    "      --cpu NAME              QEMU's name of the processor, as EPYC-Milan; help: list them\n"
    "      --cpu-signature N       or its CPUID signature\n"
    "      --guest-features N      SEV features, 0x1 unless said\n"
    "tdx:\n"
    "      --event-log FILE        the machine's log (CCEL): RTMR 0 to 3\n"
    "      --page-order page|section  how the host adds pages; page unless said\n"
    "      --initrd-word front|back   where the firmware puts initrd=initrd; both unless said\n"
    "vtpm:\n"
    "      --uki FILE              the image\n"
    "      --initdata FILE         of the pod: PCR 8\n"
    "      --phases WORD:...       of systemd in PCR 11, repeatable, may be empty;\n"
    "                              " UKI_PHASES_READY " unless said\n"
    "      --stub N                version of the image's systemd-stub, if not as it says\n"
    "all:\n"
    "  -f, --format FORM           text (the default), json, reference-values or message\n"
    "      --era old|new           for servers of v0.14 and later (new) or before; new unless "
    "said\n"
    "      --expires TIME          of reference-values, as 2027-01-31T00:00:00Z; else in a year\n"
    "      --prefix TEXT           in front of each name\n"
    "      --help                  this text\n"
    "      --version               the version\n"
    "\n"
    "Exit status: 0 done, 1 refused or failed, 2 wrong usage or an unreadable file.\n";

enum option_id {
    O_FIRMWARE = 256,
    O_KERNEL,
    O_INITRD,
    O_CMDLINE,
    O_VCPUS,
    O_VMM,
    O_CPU,
    O_SIGNATURE,
    O_FEATURES,
    O_LOG,
    O_ORDER,
    O_WORD,
    O_UKI,
    O_INITDATA,
    O_PHASES,
    O_STUB,
    O_ERA,
    O_EXPIRES,
    O_PREFIX,
    O_HELP,
    O_VERSION,
    O_END,
};

struct session {
    const char *text[O_END - O_FIRMWARE]; /* the value of each option, NULL: not given */
    const char *phases[PHASES_MAX];
    size_t phase_count;
    const char *format;
    struct arena arena;
    struct references refs;
};

static const char *option(const struct session *s, enum option_id id)
{
    return s->text[id - O_FIRMWARE];
}

PRINTF_LIKE(1, 2) static int usage_error(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("measure: ", stderr);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("\ntry `measure --help`\n", stderr);
    return EXIT_USAGE;
}

static int refused(const struct error *err)
{
    fprintf(stderr, "measure: %s\n", err->text);
    return EXIT_REFUSED;
}

/* Bytes that live in a buffer of the caller's; {NULL, 0} when the option was not given. */
static bool read_option(const struct session *s, enum option_id id, struct buf *b, size_t max,
                        struct str *out)
{
    struct error err = ERROR_INIT;
    buf_init(b, max);
    *out = (struct str){NULL, 0};
    if (option(s, id) == NULL)
        return true;
    if (file_read(option(s, id), b, &err) != OK) {
        refused(&err);
        return false;
    }
    *out = buf_str(b);
    return true;
}

/* Decimal, or hexadecimal after 0x; false, with its message, otherwise. */
static bool read_number(const char *name, const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 0);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n > max) {
        usage_error("%s: \"%s\" is no number up to %llu", name, text, (unsigned long long)max);
        return false;
    }
    *out = n;
    return true;
}

/* The index of a word in a list, or -1 after a message. */
static int choose(const char *name, const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0)
            return (int)i;
    usage_error("%s: \"%s\" is unknown", name, text);
    return -1;
}

/* A value more under a name; NULL digests are left out. */
static enum status add(struct session *s, const char *name, const char *alg,
                       const struct digest *values, size_t n, bool base64)
{
    const char *prefix = option(s, O_PREFIX) == NULL ? "" : option(s, O_PREFIX);
    struct str full = arena_format(&s->arena, "%s%s", prefix, name);
    if (full.ptr == NULL)
        return arena_status(&s->arena);
    struct reference *ref = references_add(&s->refs, full, alg);
    enum status st = ref == NULL ? ERR_LIMIT : OK;
    for (size_t i = 0; i < n && st == OK; i++)
        st = reference_add_value(ref, &s->arena, &values[i], base64);
    return st;
}

static bool era_is_old(const struct session *s)
{
    return option(s, O_ERA) != NULL && strcmp(option(s, O_ERA), "old") == 0;
}

/* ---- snp ---- */

static int list_cpus(void)
{
    for (size_t i = 0; cpu_name_at(i) != NULL; i++)
        puts(cpu_name_at(i));
    return EXIT_DONE;
}

/* 0, or the exit status after a message. */
static int read_cpu(const struct session *s, struct snp_launch *l)
{
    uint64_t n = 0;
    const char *cpu = option(s, O_CPU), *signature = option(s, O_SIGNATURE);
    if (cpu != NULL && signature != NULL)
        return usage_error("one of --cpu and --cpu-signature");
    if (cpu != NULL && cpu_signature_by_name(str_of(cpu), &l->cpu_signature) != OK)
        return usage_error("--cpu: \"%s\" is unknown; --cpu help lists them", cpu);
    if (signature != NULL && !read_number("--cpu-signature", signature, UINT32_MAX, &n))
        return EXIT_USAGE;
    if (signature != NULL)
        l->cpu_signature = (uint32_t)n;
    if (cpu == NULL && signature == NULL && l->vmm == SNP_VMM_QEMU)
        return usage_error("QEMU's machines are measured with their processor: --cpu is missing");
    return 0;
}

static int read_launch(const struct session *s, struct snp_launch *l)
{
    static const char *const vmms[] = {"qemu", "ec2", "gce"};
    uint64_t vcpus = 0;
    l->features = SNP_FEATURES_DEFAULT;
    if (option(s, O_VMM) != NULL) {
        int vmm = choose("--vmm", option(s, O_VMM), vmms, ARRAY_LEN(vmms));
        if (vmm < 0)
            return EXIT_USAGE;
        l->vmm = (enum snp_vmm)vmm;
    }
    if (option(s, O_VCPUS) == NULL)
        return usage_error("--vcpus is missing");
    if (!read_number("--vcpus", option(s, O_VCPUS), SNP_VCPUS_MAX, &vcpus) ||
        (option(s, O_FEATURES) != NULL &&
         !read_number("--guest-features", option(s, O_FEATURES), UINT64_MAX, &l->features)))
        return EXIT_USAGE;
    l->vcpus = (uint32_t)vcpus;
    l->cmdline = str_of(option(s, O_CMDLINE) == NULL ? "" : option(s, O_CMDLINE));
    return read_cpu(s, l);
}

static int kernel_needed(const struct session *s)
{
    if (option(s, O_KERNEL) == NULL &&
        (option(s, O_INITRD) != NULL || option(s, O_CMDLINE) != NULL))
        return usage_error("--initrd and --cmdline need --kernel");
    return 0;
}

static int run_snp(struct session *s)
{
    if (option(s, O_CPU) != NULL && strcmp(option(s, O_CPU), "help") == 0)
        return list_cpus();
    struct snp_launch l = {.vmm = SNP_VMM_QEMU};
    if (option(s, O_FIRMWARE) == NULL)
        return usage_error("--firmware is missing");
    int bad = kernel_needed(s);
    if (bad == 0)
        bad = read_launch(s, &l);
    if (bad != 0)
        return bad;

    CLEANUP(buf_done) struct buf firmware, kernel, initrd;
    bool read = read_option(s, O_FIRMWARE, &firmware, OVMF_LEN_MAX, &l.firmware);
    read &= read_option(s, O_KERNEL, &kernel, PE_LEN_MAX, &l.kernel);
    read &= read_option(s, O_INITRD, &initrd, PE_LEN_MAX, &l.initrd);
    if (!read)
        return EXIT_USAGE;

    struct error err = ERROR_INIT;
    struct digest d;
    enum status st = snp_launch_digest(&l, &d, &err);
    /* The claim is hexadecimal since v0.18 and base64 before (verifiers-snp.md 6): both of one
     * digest. */
    bool old = era_is_old(s);
    if (st == OK)
        st = add(s, "snp_launch_measurement", "sha384", &d, 1, old);
    if (st == OK && !old)
        st = reference_add_value(&s->refs.items[0], &s->arena, &d, true);
    return st == OK ? EXIT_DONE : refused(&err);
}

/* ---- tdx ---- */

static enum status tdx_from_firmware(struct session *s, struct str firmware, enum tdx_order order,
                                     struct error *err)
{
    struct digest d;
    enum status st = firmware.ptr == NULL ? OK : tdx_mrtd(firmware, order, &d, err);
    return st != OK || firmware.ptr == NULL ? st : add(s, "mr_td", "sha384", &d, 1, false);
}

static enum status tdx_from_log(struct session *s, struct str bytes, struct error *err)
{
    static const char *const names[TDX_RTMRS] = {"rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"};
    struct eventlog log;
    struct digest rtmrs[TDX_RTMRS];
    enum status st = eventlog_parse(&s->arena, bytes, &log, err);
    if (st == OK)
        st = tdx_rtmrs(&log, rtmrs, err);
    for (size_t i = 0; i < TDX_RTMRS && st == OK; i++)
        st = add(s, names[i], "sha384", &rtmrs[i], 1, false);
    return st;
}

/* `word`: 0 front, 1 back, -1 both. */
static enum status tdx_from_kernel(struct session *s, struct str kernel, struct str initrd,
                                   int word, struct error *err)
{
    struct tdx_boot boot;
    const char *cmdline = option(s, O_CMDLINE) == NULL ? "" : option(s, O_CMDLINE);
    enum status st = tdx_boot_measure(kernel, initrd, str_of(cmdline), &boot, err);
    size_t first = boot.options == 2 && word == 0 ? 1 : 0;
    size_t count = word < 0 ? boot.options : 1;
    if (st == OK)
        st = add(s, "rtmr_1", "sha384", boot.rtmr1, TDX_BOOT_VALUES, false);
    if (st == OK)
        st = add(s, "rtmr_2", "sha384", boot.rtmr2 + first, count, false);
    if (st != OK || era_is_old(s))
        return st;

    /* The default policy since v0.14 compares these two with ==. */
    st = add(s, "tdvfkernel", "sha384", &boot.kernel, 1, false);
    s->refs.items[s->refs.len - 1].single = true;
    if (st == OK && count == 1 && !boot.no_options) {
        st = add(s, "tdvfkernelparams", "sha384", boot.load_options + first, 1, false);
        s->refs.items[s->refs.len - 1].single = true;
    }
    return st;
}

static int run_tdx(struct session *s)
{
    static const char *const orders[] = {"page", "section"}, *const words[] = {"front", "back"};
    int order = 0, word = -1, bad = kernel_needed(s);
    if (bad != 0)
        return bad;
    if (option(s, O_ORDER) != NULL &&
        (order = choose("--page-order", option(s, O_ORDER), orders, 2)) < 0)
        return EXIT_USAGE;
    if (option(s, O_WORD) != NULL &&
        (word = choose("--initrd-word", option(s, O_WORD), words, 2)) < 0)
        return EXIT_USAGE;
    if (option(s, O_LOG) != NULL && option(s, O_KERNEL) != NULL)
        return usage_error("RTMRs come from one of --event-log and --kernel");
    if (option(s, O_FIRMWARE) == NULL && option(s, O_LOG) == NULL && option(s, O_KERNEL) == NULL)
        return usage_error("one of --firmware, --event-log and --kernel is needed");

    CLEANUP(buf_done) struct buf firmware, log, kernel, initrd;
    struct str f, l, k, i;
    bool read = read_option(s, O_FIRMWARE, &firmware, OVMF_LEN_MAX, &f);
    read &= read_option(s, O_LOG, &log, EVENTLOG_LEN_MAX, &l);
    read &= read_option(s, O_KERNEL, &kernel, PE_LEN_MAX, &k);
    read &= read_option(s, O_INITRD, &initrd, PE_LEN_MAX, &i);
    if (!read)
        return EXIT_USAGE;

    struct error err = ERROR_INIT;
    enum status st = tdx_from_firmware(s, f, (enum tdx_order)order, &err);
    if (st == OK && l.ptr != NULL)
        st = tdx_from_log(s, l, &err);
    if (st == OK && k.ptr != NULL)
        st = tdx_from_kernel(s, k, i, word, &err);
    return st == OK ? EXIT_DONE : refused(&err);
}

/* ---- vtpm ---- */

static enum status vtpm_initdata(struct session *s, struct str toml, struct error *err)
{
    struct init_data data;
    struct digest pcr;
    enum status st = init_data_parse(&s->arena, toml, &data, err);
    if (st != OK)
        return st;
    init_data_pcr8(&data.digest, &pcr);
    return add(s, "pcr08", "sha256", &pcr, 1, false);
}

static enum status vtpm_image(struct session *s, const struct pe *pe, unsigned stub,
                              struct str initdata, struct error *err)
{
    struct digest pcr11[PHASES_MAX];
    struct uki_pcrs pcrs = {.stub = 0};
    enum status st = OK;
    for (size_t i = 0; i < s->phase_count && st == OK; i++) {
        const struct uki_options o = {
            .stub = stub,
            .phases = str_of(s->phases[i]),
            .cmdline = str_of(option(s, O_CMDLINE)),
        };
        st = uki_measure(pe, &o, &pcrs, err);
        pcr11[i] = pcrs.pcr11;
    }
    if (st == OK)
        st = add(s, "pcr03", "sha256", &pcrs.pcr3, 1, false);
    if (st == OK && initdata.ptr != NULL)
        st = vtpm_initdata(s, initdata, err);
    if (st == OK)
        st = add(s, "pcr09", "sha256", &pcrs.pcr9, 1, false);
    if (st == OK)
        st = add(s, "pcr11", "sha256", pcr11, s->phase_count, false);
    return st == OK ? add(s, "pcr12", "sha256", &pcrs.pcr12, 1, false) : st;
}

static int run_vtpm(struct session *s)
{
    uint64_t stub = 0;
    if (option(s, O_UKI) == NULL)
        return usage_error("--uki is missing");
    if (option(s, O_STUB) != NULL && !read_number("--stub", option(s, O_STUB), 9999, &stub))
        return EXIT_USAGE;
    if (s->phase_count == 0)
        s->phases[s->phase_count++] = UKI_PHASES_READY;

    CLEANUP(buf_done) struct buf uki, initdata;
    struct str u, i;
    bool read = read_option(s, O_UKI, &uki, PE_LEN_MAX, &u);
    read &= read_option(s, O_INITDATA, &initdata, INIT_DATA_MAX, &i);
    if (!read)
        return EXIT_USAGE;

    struct error err = ERROR_INIT;
    struct pe pe;
    enum status st = pe_parse(u, &pe, &err);
    if (st == OK)
        st = vtpm_image(s, &pe, (unsigned)stub, i, &err);
    return st == OK ? EXIT_DONE : refused(&err);
}

/* ---- the command line ---- */

#define OF_SNP 1u
#define OF_TDX 2u
#define OF_VTPM 4u
#define OF_ALL 7u

static const struct {
    const char *name;
    int (*run)(struct session *s);
    unsigned bit;
} commands[] = {{"snp", run_snp, OF_SNP}, {"tdx", run_tdx, OF_TDX}, {"vtpm", run_vtpm, OF_VTPM}};

/* Which command takes which option. */
static const unsigned takers[O_END - O_FIRMWARE] = {
    [O_FIRMWARE - O_FIRMWARE] = OF_SNP | OF_TDX,
    [O_KERNEL - O_FIRMWARE] = OF_SNP | OF_TDX,
    [O_INITRD - O_FIRMWARE] = OF_SNP | OF_TDX,
    [O_CMDLINE - O_FIRMWARE] = OF_ALL,
    [O_VCPUS - O_FIRMWARE] = OF_SNP,
    [O_VMM - O_FIRMWARE] = OF_SNP,
    [O_CPU - O_FIRMWARE] = OF_SNP,
    [O_SIGNATURE - O_FIRMWARE] = OF_SNP,
    [O_FEATURES - O_FIRMWARE] = OF_SNP,
    [O_LOG - O_FIRMWARE] = OF_TDX,
    [O_ORDER - O_FIRMWARE] = OF_TDX,
    [O_WORD - O_FIRMWARE] = OF_TDX,
    [O_UKI - O_FIRMWARE] = OF_VTPM,
    [O_INITDATA - O_FIRMWARE] = OF_VTPM,
    [O_PHASES - O_FIRMWARE] = OF_VTPM,
    [O_STUB - O_FIRMWARE] = OF_VTPM,
    [O_ERA - O_FIRMWARE] = OF_ALL,
    [O_EXPIRES - O_FIRMWARE] = OF_ALL,
    [O_PREFIX - O_FIRMWARE] = OF_ALL,
};

static const struct option longs[] = {
    {"firmware", required_argument, NULL, O_FIRMWARE},
    {"kernel", required_argument, NULL, O_KERNEL},
    {"initrd", required_argument, NULL, O_INITRD},
    {"cmdline", required_argument, NULL, O_CMDLINE},
    {"vcpus", required_argument, NULL, O_VCPUS},
    {"vmm", required_argument, NULL, O_VMM},
    {"cpu", required_argument, NULL, O_CPU},
    {"cpu-signature", required_argument, NULL, O_SIGNATURE},
    {"guest-features", required_argument, NULL, O_FEATURES},
    {"event-log", required_argument, NULL, O_LOG},
    {"page-order", required_argument, NULL, O_ORDER},
    {"initrd-word", required_argument, NULL, O_WORD},
    {"uki", required_argument, NULL, O_UKI},
    {"initdata", required_argument, NULL, O_INITDATA},
    {"phases", required_argument, NULL, O_PHASES},
    {"stub", required_argument, NULL, O_STUB},
    {"era", required_argument, NULL, O_ERA},
    {"expires", required_argument, NULL, O_EXPIRES},
    {"prefix", required_argument, NULL, O_PREFIX},
    {"format", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, O_HELP},
    {"version", no_argument, NULL, O_VERSION},
    {NULL, 0, NULL, 0},
};

static int print(const char *text)
{
    if (fputs(text, stdout) == EOF || fflush(stdout) != 0) {
        perror("measure: could not write");
        return EXIT_REFUSED;
    }
    return EXIT_DONE;
}

/* -1 to go on, or an exit status. */
static int read_options(struct session *s, int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "f:", longs, NULL)) != -1;) {
        if (c == O_HELP)
            return print(usage_text);
        if (c == O_VERSION)
            return print("measure " CLAVIGER_VERSION "\n");
        if (c == 'f')
            s->format = optarg;
        else if (c < O_FIRMWARE)
            return usage_error("unknown option, or one without its value");
        else
            s->text[c - O_FIRMWARE] = optarg;
        if (c == O_PHASES && s->phase_count == PHASES_MAX)
            return usage_error("--phases: more than %d", PHASES_MAX);
        if (c == O_PHASES)
            s->phases[s->phase_count++] = optarg;
    }
    return -1;
}

/* The time that entries of a store end at: given, or twelve months from now, as the RVPS does. */
static bool read_expiration(const struct session *s, char out[TIME_RFC3339_LEN + 1])
{
    int64_t ns, seconds;
    const char *text = option(s, O_EXPIRES);
    if (text == NULL) {
        struct utc t = utc_from_s(clock_now_s(&clock_system));
        t.year++;
        if (t.month == 2 && t.day == 29)
            t.day = 28;
        seconds = utc_to_s(&t);
    } else if (time_parse_rfc3339(str_of(text), &ns, NULL) == OK) {
        seconds = ns / NS_PER_S;
    } else {
        usage_error("--expires: \"%s\" is no time such as 2027-01-31T00:00:00Z", text);
        return false;
    }
    time_write_rfc3339(seconds, out);
    return true;
}

static int write_answer(const struct session *s, enum reference_format format,
                        const char *expiration)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, 1024 * 1024);
    enum status st = references_write(&s->refs, format, str_of(expiration), &out);
    if (st != OK) {
        fprintf(stderr, "measure: could not write the answer: %s\n", status_name(st));
        return EXIT_REFUSED;
    }
    return cli_print("measure", buf_str(&out));
}

static int run(struct session *s, size_t command)
{
    static const char *const formats[] = {"text", "json", "reference-values", "message"};
    static const enum reference_format forms[] = {REFERENCE_TEXT, REFERENCE_JSON, REFERENCE_STORE,
                                                  REFERENCE_MESSAGE};
    static const char *const eras[] = {"old", "new"};
    char expiration[TIME_RFC3339_LEN + 1];
    for (size_t i = 0; i < ARRAY_LEN(takers); i++)
        if (s->text[i] != NULL && (takers[i] & commands[command].bit) == 0)
            return usage_error("%s takes no --%s", commands[command].name, longs[i].name);
    int format = s->format == NULL ? 0 : choose("--format", s->format, formats, ARRAY_LEN(formats));
    if (format < 0 || !read_expiration(s, expiration) ||
        (option(s, O_ERA) != NULL && choose("--era", option(s, O_ERA), eras, ARRAY_LEN(eras)) < 0))
        return EXIT_USAGE;
    enum reference_format form = forms[format];
    if (option(s, O_EXPIRES) != NULL && form != REFERENCE_STORE)
        return usage_error("--expires belongs to --format reference-values: a server that takes a "
                           "registration sets the time itself");
    if (form == REFERENCE_STORE && era_is_old(s))
        form = REFERENCE_STORE_OLD;

    int status = commands[command].run(s);
    return status == EXIT_DONE && s->refs.len > 0 ? write_answer(s, form, expiration) : status;
}

int main(int argc, char **argv)
{
    struct session s = {.format = NULL};
    int status = read_options(&s, argc, argv);
    if (status >= 0)
        return status;
    if (argc - optind != 1)
        return usage_error(argc == optind ? "no command" : "more than one command");
    size_t i = CLI_FIND(commands, argv[optind]);
    if (i == ARRAY_LEN(commands))
        return usage_error("unknown command");
    arena_init(&s.arena, MEMORY_MAX);
    status = run(&s, i);
    arena_done(&s.arena);
    return status;
}

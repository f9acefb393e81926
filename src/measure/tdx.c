#include "measure/tdx.h"

#include "measure/pe.h"
#include "measure/register.h"
#include "measure/text16.h"

#define CHUNK 256      /* what TDH.MR.EXTEND measures at once */
#define RECORD_LEN 128 /* name at 0, address at 16, zeros */
#define RECORD_ADDRESS 16

/* ---- MRTD ---- */

/* Half as much again as what is measured: enough for 80 MiB. */
#define TRANSCRIPT_MAX ((size_t)128 * 1024 * 1024)

static void record(struct buf *b, const char *name, uint64_t gpa)
{
    char r[RECORD_LEN] = {0};
    memcpy(r, name, strlen(name));
    store_le64(r + RECORD_ADDRESS, gpa);
    buf_add(b, str_bytes(r, sizeof(r)));
}

static void page_add(struct buf *b, const struct tdvf_section *s, uint64_t at)
{
    if ((s->attributes & TDVF_PAGE_AUG) == 0)
        record(b, "MEM.PAGE.ADD", s->gpa + at);
}

static void page_extend(struct buf *b, const struct tdvf_section *s, uint64_t at)
{
    if ((s->attributes & TDVF_MR_EXTEND) == 0)
        return;
    for (uint64_t end = at + OVMF_PAGE; at < end; at += CHUNK) {
        record(b, "MR.EXTEND", s->gpa + at);
        buf_add(b, str_slice(s->data, at, CHUNK));
    }
}

static void section_add(struct buf *b, const struct tdvf_section *s, enum tdx_order order)
{
    for (uint64_t at = 0; at < s->len && b->failed == OK; at += OVMF_PAGE) {
        page_add(b, s, at);
        if (order == TDX_ORDER_PAGE)
            page_extend(b, s, at);
    }
    for (uint64_t at = 0; at < s->len && order == TDX_ORDER_SECTION; at += OVMF_PAGE)
        page_extend(b, s, at);
}

enum status tdx_mrtd(struct str firmware, enum tdx_order order, struct digest *out,
                     struct error *err)
{
    struct ovmf_tdx tdx;
    enum status st = ovmf_tdx_parse(firmware, &tdx, err);
    if (st != OK)
        return st;

    CLEANUP(buf_done) struct buf transcript;
    buf_init(&transcript, TRANSCRIPT_MAX);
    for (size_t i = 0; i < tdx.len; i++)
        section_add(&transcript, &tdx.sections[i], order);
    if (buf_status(&transcript) == ERR_NOMEM)
        return error_nomem(err);
    if (buf_status(&transcript) != OK) {
        error_set(err, "the sections of the firmware are too large");
        return ERR_LIMIT;
    }
    digest_compute(DIGEST_SHA384, buf_str(&transcript), out);
    return OK;
}

/* ---- RTMRs from a log ---- */

static bool has_sha384(const struct event *e)
{
    for (size_t i = 0; i < e->digest_count; i++)
        if (e->digests[i].alg == EVENT_ALG_SHA384)
            return true;
    return false;
}

enum status tdx_rtmrs(const struct eventlog *log, struct digest out[TDX_RTMRS], struct error *err)
{
    for (size_t i = 0; i < log->len; i++)
        if (log->events[i].index >= 1 && log->events[i].index <= TDX_RTMRS &&
            !has_sha384(&log->events[i])) {
            error_set(err, "event %zu of the log has no SHA-384 digest: it is not of a TD", i + 1);
            return ERR_UNSUPPORTED;
        }
    for (uint32_t i = 0; i < TDX_RTMRS; i++) {
        /* The log's register 1 is RTMR 0 (attestation-service.md 14.8). */
        enum status st = eventlog_replay(log, i + 1, EVENT_ALG_SHA384, &out[i]);
        if (st != OK) {
            error_set(err, "the log cannot be replayed");
            return st;
        }
    }
    return OK;
}

/* ---- direct boot ---- */

void tdx_boot_rtmr1(const struct digest *kernel, bool separator, struct digest *out)
{
    register_init(out, DIGEST_SHA384);
    register_extend(out, DIGEST_SHA384, digest_str(kernel));
    register_measure(out, DIGEST_SHA384, STR("Calling EFI Application from Boot Option"));
    if (separator) /* edk2 since 2022 */
        register_measure(out, DIGEST_SHA384, STR("\0\0\0\0"));
    register_measure(out, DIGEST_SHA384, STR("Exit Boot Services Invocation"));
    register_measure(out, DIGEST_SHA384, STR("Exit Boot Services Returned with Success"));
}

void tdx_boot_rtmr2(const struct digest *options, const struct digest *initrd, struct digest *out)
{
    register_init(out, DIGEST_SHA384);
    if (options != NULL)
        register_extend(out, DIGEST_SHA384, digest_str(options));
    if (initrd != NULL)
        register_extend(out, DIGEST_SHA384, digest_str(initrd));
}

/* The options that OVMF hands to the kernel, which measures them: UTF-16 with its NUL. */
static enum status options_digest(struct str before, struct str cmdline, struct str after,
                                  struct digest *out, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, TEXT16_MAX + 64);
    buf_add(&text, before);
    buf_add(&text, cmdline);
    buf_add(&text, after);
    if (buf_status(&text) == ERR_NOMEM)
        return error_nomem(err);
    return text16_digest(DIGEST_SHA384, buf_str(&text), out, err);
}

enum status tdx_boot_measure(struct str kernel, struct str initrd, struct str cmdline,
                             struct tdx_boot *out, struct error *err)
{
    struct pe pe;
    bool with = initrd.ptr != NULL;
    struct tdx_boot boot = {
        .options = with ? 2 : 1,
        .no_options = !with && cmdline.len == 0,
    };
    if (cmdline.len > TEXT16_MAX) {
        error_set(err, "the command line is longer than %d bytes", TEXT16_MAX);
        return ERR_LIMIT;
    }
    enum status st = pe_parse(kernel, &pe, err);
    if (st == OK)
        st = pe_authenticode(&pe, DIGEST_SHA384, &boot.kernel, err);
    /* edk2, OvmfPkg/Library: the word stands behind; since 2024 in front. */
    if (st == OK)
        st = options_digest(STR_EMPTY, cmdline, with ? STR(" initrd=initrd") : STR_EMPTY,
                            &boot.load_options[0], err);
    if (st == OK && with)
        st = options_digest(STR("initrd=initrd "), cmdline, STR_EMPTY, &boot.load_options[1], err);
    if (st != OK)
        return st;

    struct digest initrd_digest;
    digest_compute(DIGEST_SHA384, initrd, &initrd_digest);
    tdx_boot_rtmr1(&boot.kernel, true, &boot.rtmr1[0]);
    tdx_boot_rtmr1(&boot.kernel, false, &boot.rtmr1[1]);
    for (size_t i = 0; i < boot.options; i++)
        tdx_boot_rtmr2(boot.no_options ? NULL : &boot.load_options[i], with ? &initrd_digest : NULL,
                       &boot.rtmr2[i]);
    *out = boot;
    return OK;
}

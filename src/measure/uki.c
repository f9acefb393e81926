#include "measure/uki.h"

#include "measure/register.h"
#include "measure/text16.h"

#define ALG DIGEST_SHA256

/* The sections in the order in which they are measured (systemd, src/fundamental/uki.h). */
static const struct {
    const char *name;
    unsigned since; /* the first stub that measures it */
} measured[] = {
    {".linux", UKI_STUB_MIN},   {".osrel", UKI_STUB_MIN}, {".cmdline", UKI_STUB_MIN},
    {".initrd", UKI_STUB_MIN},  {".ucode", 256},          {".splash", UKI_STUB_MIN},
    {".dtb", UKI_STUB_MIN},     {".uname", 253},          {".sbat", 253},
    {".pcrpkey", UKI_STUB_MIN}, {".profile", 257},        {".hwids", 257},
};

/* The stub's own text: "#### LoaderInfo: systemd-stub 252.39-1~deb12u2 ####". */
static unsigned stub_version(const struct pe *pe)
{
    static const char before[] = "systemd-stub ";
    const struct pe_section *s = pe_find(pe, ".sdmagic", NULL);
    struct str text;
    if (s == NULL || pe_section_content(s, &text, NULL) != OK)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!str_has_prefix(str_from(text, i), STR(before)))
            continue;
        unsigned n = 0;
        for (i += sizeof(before) - 1; i < text.len && n < 10000; i++) {
            char c = text.ptr[i];
            if (c < '0' || c > '9')
                break;
            n = n * 10 + (unsigned)(c - '0');
        }
        return n;
    }
    return 0;
}

static enum status stub_choose(const struct pe *pe, unsigned wanted, unsigned *out,
                               struct error *err)
{
    unsigned stub = wanted != 0 ? wanted : stub_version(pe);
    if (stub == 0) {
        error_set(err, "the image does not say which systemd-stub it was made with");
        return ERR_UNSUPPORTED;
    }
    if (stub < UKI_STUB_MIN || stub > UKI_STUB_MAX) {
        error_set(err, "systemd-stub %u is not known: from %d to %d are", stub, UKI_STUB_MIN,
                  UKI_STUB_MAX);
        return ERR_UNSUPPORTED;
    }
    *out = stub;
    return OK;
}

/* Images whose measurement is not one of the image alone. */
static enum status image_check(const struct pe *pe, unsigned stub, struct error *err)
{
    size_t count, profiles;
    pe_find(pe, ".profile", &profiles);
    if (profiles > 1 && stub >= 257) {
        error_set(err, "the image has %zu profiles, of which the boot loader chooses one",
                  profiles);
        return ERR_UNSUPPORTED;
    }
    for (size_t i = 0; i < ARRAY_LEN(measured); i++) {
        pe_find(pe, measured[i].name, &count);
        if (count > 1) {
            error_set(err, "the image has %zu sections %s", count, measured[i].name);
            return ERR_INVALID;
        }
    }
    pe_find(pe, ".dtbauto", &count);
    if (count > 0 && stub >= 257) {
        error_set(err, "the image has device trees of which the machine chooses one");
        return ERR_UNSUPPORTED;
    }
    pe_find(pe, ".linux", &count);
    if (count == 0) {
        error_set(err, "the image has no section .linux: it is not a unified kernel image");
        return ERR_INVALID;
    }
    return OK;
}

/* ---- PCR 11 ---- */

static enum status sections_measure(const struct pe *pe, unsigned stub, struct digest *pcr,
                                    struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(measured); i++) {
        const struct pe_section *s = pe_find(pe, measured[i].name, NULL);
        struct str content;
        if (s == NULL || stub < measured[i].since)
            continue;
        enum status st = pe_section_content(s, &content, err);
        if (st != OK)
            return st;
        if (content.len == 0)
            continue;
        /* The name with its NUL, then the content. */
        register_measure(pcr, ALG, str_bytes(measured[i].name, strlen(measured[i].name) + 1));
        register_measure(pcr, ALG, content);
    }
    return OK;
}

static enum status phases_measure(struct str phases, struct digest *pcr, struct error *err)
{
    size_t words = 0;
    while (phases.len > 0) {
        size_t end = str_find(phases, ':', 0);
        if (end == 0 || end + 1 == phases.len) {
            error_set(err, "the phases hold an empty word");
            return ERR_INVALID;
        }
        if (++words > UKI_PHASES_MAX) {
            error_set(err, "more than %d phases", UKI_PHASES_MAX);
            return ERR_INVALID;
        }
        register_measure(pcr, ALG, str_slice(phases, 0, end)); /* without a NUL */
        phases = str_from(phases, end + 1);
    }
    return OK;
}

/* ---- PCR 9 and 12 ---- */

/*
 * The stub's mangle_stub_cmdline(): leading and trailing white space and control characters go,
 * inner ones become spaces.  The text ends at its first NUL.
 */
static struct str cmdline_clean(char *text, size_t len)
{
    size_t from = 0, to = 0;
    len = str_find((struct str){text, len}, '\0', 0);
    while (from < len && memchr(" \t\n\r", text[from], 4) != NULL)
        from++;
    for (size_t i = from; i < len; i++) {
        if ((uint8_t)text[i] <= ' ')
            text[i] = ' ';
        else
            to = i + 1;
    }
    return to > from ? (struct str){text + from, to - from} : STR_EMPTY;
}

/* The kernel's options, clean; empty when there are none. */
static enum status cmdline_of(const struct pe *pe, const struct uki_options *o, struct buf *out,
                              struct str *clean, struct error *err)
{
    struct str text = o->cmdline;
    const struct pe_section *s = pe_find(pe, ".cmdline", NULL);
    enum status st = text.ptr == NULL && s != NULL ? pe_section_content(s, &text, err) : OK;
    if (st != OK)
        return st;
    buf_add(out, text);
    if (buf_status(out) == ERR_LIMIT)
        error_set(err, "the command line is longer than %d bytes", TEXT16_MAX);
    if (buf_status(out) != OK)
        return buf_status(out) == ERR_NOMEM ? error_nomem(err) : buf_status(out);
    *clean = out->len == 0 ? STR_EMPTY : cmdline_clean(out->ptr, out->len);
    return OK;
}

static enum status options_measure(const struct pe *pe, const struct uki_options *o,
                                   struct uki_pcrs *pcrs, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, TEXT16_MAX);
    struct str clean;
    struct digest d;
    enum status st = cmdline_of(pe, o, &text, &clean, err);
    if (st != OK || clean.len == 0)
        return st;
    st = text16_digest(ALG, clean, &d, err);
    if (st != OK)
        return st;
    register_extend(&pcrs->pcr9, ALG, digest_str(&d));
    if (o->cmdline.ptr != NULL)
        register_extend(&pcrs->pcr12, ALG, digest_str(&d));
    return OK;
}

static enum status initrd_measure(const struct pe *pe, struct uki_pcrs *pcrs, struct error *err)
{
    CLEANUP(buf_done) struct buf initrd;
    buf_init(&initrd, PE_LEN_MAX + 65536);
    enum status st = uki_initrd(pe, pcrs->stub, &initrd, err);
    if (st == OK && initrd.len > 0)
        register_measure(&pcrs->pcr9, ALG, buf_str(&initrd));
    return st;
}

enum status uki_measure(const struct pe *pe, const struct uki_options *options,
                        struct uki_pcrs *out, struct error *err)
{
    struct uki_pcrs pcrs = {.stub = 0};
    enum status st = stub_choose(pe, options->stub, &pcrs.stub, err);
    if (st == OK)
        st = image_check(pe, pcrs.stub, err);
    if (st != OK)
        return st;

    register_init(&pcrs.pcr3, ALG);
    register_init(&pcrs.pcr9, ALG);
    register_init(&pcrs.pcr11, ALG);
    register_init(&pcrs.pcr12, ALG);
    register_measure(&pcrs.pcr3, ALG, STR("\0\0\0\0"));
    st = sections_measure(pe, pcrs.stub, &pcrs.pcr11, err);
    if (st == OK)
        st = phases_measure(options->phases, &pcrs.pcr11, err);
    if (st == OK)
        st = options_measure(pe, options, &pcrs, err);
    if (st == OK)
        st = initrd_measure(pe, &pcrs, err);
    if (st == OK)
        *out = pcrs;
    return st;
}

#include "verifier/dcap/tcb.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"

static const struct {
    const char *name, *old;
} statuses[TCB_STATUS_COUNT] = {
    [TCB_UP_TO_DATE] = {"UpToDate", "OK"},
    [TCB_SW_HARDENING_NEEDED] = {"SWHardeningNeeded", "SoftwareHardeningNeeded"},
    /* The code equals the old library's MIN constant, whose name was printed. */
    [TCB_CONFIGURATION_NEEDED] = {"ConfigurationNeeded", "Min"},
    [TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = {"ConfigurationAndSWHardeningNeeded",
                                                   "ConfigurationAndSoftwareHardeningNeeded"},
    [TCB_OUT_OF_DATE] = {"OutOfDate", "OutOfDate"},
    [TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = {"OutOfDateConfigurationNeeded",
                                              "OutOfDateConfigurationNeeded"},
    [TCB_REVOKED] = {"Revoked", "Revoked"},
    [TCB_TD_RELAUNCH_ADVISED] = {"TDRelaunchAdvised", "TDRelaunchAdvised"},
    [TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] = {"TDRelaunchAdvisedConfigurationNeeded",
                                                      "TDRelaunchAdvisedConfigurationNeeded"},
};

const char *tcb_status_name(enum tcb_status s)
{
    return statuses[s].name;
}

const char *tcb_status_old_name(enum tcb_status s)
{
    return statuses[s].old;
}

bool tcb_status_by_name(struct str name, enum tcb_status *out)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (str_is(name, statuses[i].name)) {
            *out = (enum tcb_status)i;
            return true;
        }
    }
    return false;
}

/* ---- members ---- */

static bool read_hex(value object, const char *name, uint8_t *out, size_t len)
{
    struct str text = value_str(value_get_str(object, str_of(name)));
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_digit(text.ptr[2 * i]), lo = hex_digit(text.ptr[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static bool read_number(value object, const char *name, uint64_t max, uint64_t *out)
{
    value v = value_get_str(object, str_of(name));
    if (!value_is_small(v) || value_small(v) < 0 || (uint64_t)value_small(v) > max)
        return false;
    *out = (uint64_t)value_small(v);
    return true;
}

/* "2025-06-19T10:16:03Z" and nothing else. */
static bool read_date(value object, const char *name, int64_t *out_s)
{
    struct str text = value_str(value_get_str(object, str_of(name)));
    int64_t ns;
    if (text.len != TIME_RFC3339_LEN || text.ptr[TIME_RFC3339_LEN - 1] != 'Z' ||
        time_parse_rfc3339(text, &ns, NULL) != OK)
        return false;
    *out_s = ns / NS_PER_S;
    return true;
}

static bool read_verdict(struct arena *a, value level, struct tcb_verdict *out)
{
    value list = value_get_lit(level, "advisoryIDs");
    size_t n = value_len(list);
    if (!tcb_status_by_name(value_str(value_get_lit(level, "tcbStatus")), &out->status) ||
        out->status >= TCB_TD_RELAUNCH_ADVISED || !read_date(level, "tcbDate", &out->date_s) ||
        (value_is_defined(list) && !value_is_array(list)) || n > TCB_ADVISORIES_MAX)
        return false;
    struct str *ids = arena_new_array(a, struct str, n + 1);
    if (ids == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!value_is_string(value_at(list, i)))
            return false;
        ids[i] = value_str(value_at(list, i));
    }
    out->advisories = ids;
    out->advisory_count = n;
    return true;
}

static bool read_svns(value tcb, const char *name, uint8_t out[16])
{
    value list = value_get_str(tcb, str_of(name));
    if (!value_is_array(list) || value_len(list) != 16)
        return false;
    for (size_t i = 0; i < 16; i++) {
        uint64_t n;
        if (!read_number(value_at(list, i), "svn", UINT8_MAX, &n))
            return false;
        out[i] = (uint8_t)n;
    }
    return true;
}

/* ---- levels ---- */

static int compare_levels(const void *x, const void *y)
{
    const struct tcb_level *a = x, *b = y;
    int c = memcmp(b->sgx, a->sgx, 16);
    if (c == 0)
        c = (int)b->pcesvn - (int)a->pcesvn;
    return c != 0 ? c : memcmp(b->tdx, a->tdx, 16);
}

static int compare_isv(const void *x, const void *y)
{
    const struct isv_level *a = x, *b = y;
    return (int)b->isvsvn - (int)a->isvsvn;
}

static bool read_isv_levels(struct arena *a, value list, struct isv_level **out, size_t *count)
{
    size_t n = value_len(list);
    if (!value_is_array(list) || n == 0 || n > TCB_LEVELS_MAX)
        return false;
    struct isv_level *levels = arena_new_array(a, struct isv_level, n);
    if (levels == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        value level = value_at(list, i);
        uint64_t svn;
        if (!read_number(value_get_lit(level, "tcb"), "isvsvn", UINT16_MAX, &svn) ||
            !read_verdict(a, level, &levels[i].verdict))
            return false;
        levels[i].isvsvn = (uint16_t)svn;
    }
    qsort(levels, n, sizeof(*levels), compare_isv);
    for (size_t i = 1; i < n; i++)
        if (compare_isv(&levels[i - 1], &levels[i]) == 0)
            return false;
    *out = levels;
    *count = n;
    return true;
}

static bool read_levels(struct arena *a, value list, struct tcb_info *info)
{
    size_t n = value_len(list);
    if (!value_is_array(list) || n == 0 || n > TCB_LEVELS_MAX)
        return false;
    struct tcb_level *levels = arena_new_array(a, struct tcb_level, n);
    if (levels == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        value level = value_at(list, i), tcb = value_get_lit(level, "tcb");
        uint64_t pcesvn;
        if (!read_svns(tcb, "sgxtcbcomponents", levels[i].sgx) ||
            !read_number(tcb, "pcesvn", UINT16_MAX, &pcesvn) ||
            (info->tdx && !read_svns(tcb, "tdxtcbcomponents", levels[i].tdx)) ||
            !read_verdict(a, level, &levels[i].verdict))
            return false;
        levels[i].pcesvn = (uint16_t)pcesvn;
    }
    qsort(levels, n, sizeof(*levels), compare_levels);
    for (size_t i = 1; i < n; i++)
        if (compare_levels(&levels[i - 1], &levels[i]) == 0)
            return false; /* the same level twice: the QVL refuses it, too */
    info->levels = levels;
    info->level_count = n;
    return true;
}

/* ---- TDX modules ---- */

static bool read_module(value object, struct tdx_module *out)
{
    return read_hex(object, "mrsigner", out->mrsigner, 48) &&
           read_hex(object, "attributes", out->attributes, 8) &&
           read_hex(object, "attributesMask", out->mask, 8);
}

static bool read_modules(struct arena *a, value object, struct tcb_info *out)
{
    value list = value_get_lit(object, "tdxModuleIdentities");
    if (!read_module(value_get_lit(object, "tdxModule"), &out->module))
        return false;
    if (!value_is_defined(list))
        return true;
    size_t n = value_len(list);
    if (!value_is_array(list) || n > TCB_MODULES_MAX)
        return false;
    out->modules = arena_new_array(a, struct tdx_module, n + 1);
    if (out->modules == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct tdx_module *m = &out->modules[i];
        m->id = value_str(value_get_lit(value_at(list, i), "id"));
        if (m->id.len == 0 || !read_module(value_at(list, i), m) ||
            !read_isv_levels(a, value_get_lit(value_at(list, i), "tcbLevels"), &m->levels,
                             &m->level_count))
            return false;
    }
    out->module_count = n;
    return true;
}

/* ---- whole documents ---- */

static enum status fault(struct arena *a, const char **message, const char *text)
{
    *message = text;
    return arena_status(a) != OK ? ERR_NOMEM : ERR_INVALID;
}

STATUS tcb_info_parse(struct arena *a, value object, struct tcb_info *out, const char **message)
{
    struct tcb_info info = {0};
    uint64_t version, type, evaluation;
    struct str id = value_str(value_get_lit(object, "id"));
    if (!read_number(object, "version", UINT32_MAX, &version) || version != 3)
        return fault(a, message, "version is not 3"); /* 4.3: version 2 is deprecated */
    if (!str_is(id, "SGX") && !str_is(id, "TDX"))
        return fault(a, message, "id is neither SGX nor TDX");
    info.tdx = str_is(id, "TDX");
    if (!read_date(object, "issueDate", &info.issue_s) ||
        !read_date(object, "nextUpdate", &info.next_s))
        return fault(a, message, "issueDate or nextUpdate is malformed");
    if (!read_hex(object, "fmspc", info.fmspc, 6) || !read_hex(object, "pceId", info.pceid, 2))
        return fault(a, message, "fmspc or pceId is malformed");
    if (!read_number(object, "tcbType", UINT32_MAX, &type) || type != 0)
        return fault(a, message, "tcbType is not 0");
    if (!read_number(object, "tcbEvaluationDataNumber", UINT32_MAX, &evaluation))
        return fault(a, message, "tcbEvaluationDataNumber is malformed");
    info.evaluation = (uint32_t)evaluation;

    bool has_tdx = value_is_defined(value_get_lit(object, "tdxModule")) ||
                   value_is_defined(value_get_lit(object, "tdxModuleIdentities"));
    if (!info.tdx && has_tdx)
        return fault(a, message, "SGX information has TDX members");
    if (info.tdx && !read_modules(a, object, &info))
        return fault(a, message, "tdxModule or tdxModuleIdentities is malformed");
    if (!read_levels(a, value_get_lit(object, "tcbLevels"), &info))
        return fault(a, message, "tcbLevels are malformed or repeated");
    *out = info;
    return OK;
}

STATUS qe_identity_parse(struct arena *a, value object, struct qe_identity *out,
                         const char **message)
{
    struct qe_identity q = {0};
    uint64_t version, evaluation, prodid;
    uint8_t misc[4], mask[4];
    struct str id = value_str(value_get_lit(object, "id"));
    if (!read_number(object, "version", UINT32_MAX, &version) || version != 2)
        return fault(a, message, "version is not 2");
    if (!str_is(id, "QE") && !str_is(id, "TD_QE"))
        return fault(a, message, "id is neither QE nor TD_QE");
    q.td_qe = str_is(id, "TD_QE");
    if (!read_date(object, "issueDate", &q.issue_s) || !read_date(object, "nextUpdate", &q.next_s))
        return fault(a, message, "issueDate or nextUpdate is malformed");
    if (!read_number(object, "tcbEvaluationDataNumber", UINT32_MAX, &evaluation))
        return fault(a, message, "tcbEvaluationDataNumber is malformed");
    if (!read_hex(object, "miscselect", misc, 4) || !read_hex(object, "miscselectMask", mask, 4) ||
        !read_hex(object, "attributes", q.attributes, 16) ||
        !read_hex(object, "attributesMask", q.attributes_mask, 16) ||
        !read_hex(object, "mrsigner", q.mrsigner, 32) ||
        !read_number(object, "isvprodid", UINT16_MAX, &prodid))
        return fault(a, message, "a member of the enclave is malformed");
    /* 4.4: a big-endian hex number, against a little-endian field. */
    q.miscselect = load_be32(misc);
    q.miscselect_mask = load_be32(mask);
    q.evaluation = (uint32_t)evaluation;
    q.isvprodid = (uint16_t)prodid;
    if (!read_isv_levels(a, value_get_lit(object, "tcbLevels"), &q.levels, &q.level_count))
        return fault(a, message, "tcbLevels are malformed or repeated");
    *out = q;
    return OK;
}

/* ---- evaluation ---- */

const struct tcb_level *tcb_platform_level(const struct tcb_info *info, const uint8_t sgx[16],
                                           uint16_t pcesvn, const uint8_t *tdx)
{
    for (size_t i = 0; i < info->level_count; i++) {
        const struct tcb_level *l = &info->levels[i];
        bool reached = l->pcesvn <= pcesvn;
        for (size_t k = 0; k < 16 && reached; k++)
            reached = l->sgx[k] <= sgx[k];
        /* With a module that has an identity of its own, its SVN and version are judged there. */
        for (size_t k = tdx != NULL && tdx[1] > 0 ? 2 : 0; tdx != NULL && k < 16 && reached; k++)
            reached = l->tdx[k] <= tdx[k];
        if (reached)
            return l;
    }
    return NULL;
}

const struct isv_level *tcb_isv_level(const struct isv_level *levels, size_t n, uint16_t isvsvn)
{
    for (size_t i = 0; i < n; i++)
        if (levels[i].isvsvn <= isvsvn)
            return &levels[i];
    return NULL;
}

const struct tdx_module *tcb_module(const struct tcb_info *info, uint8_t version)
{
    if (version == 0)
        return &info->module;
    char id[8];
    snprintf(id, sizeof(id), "TDX_%02X", version);
    for (size_t i = 0; i < info->module_count; i++) {
        struct str have = info->modules[i].id;
        bool same = have.len == 6;
        for (size_t k = 0; same && k < 6; k++) {
            char c = have.ptr[k];
            same = (c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) == id[k];
        }
        if (same)
            return &info->modules[i];
    }
    return NULL;
}

enum tcb_status tcb_converge(enum tcb_status platform, enum tcb_status part)
{
    if (part == TCB_REVOKED)
        return TCB_REVOKED;
    if (part != TCB_OUT_OF_DATE && part != TCB_OUT_OF_DATE_CONFIGURATION_NEEDED)
        return platform;
    if (platform == TCB_UP_TO_DATE || platform == TCB_SW_HARDENING_NEEDED)
        return TCB_OUT_OF_DATE;
    if (platform == TCB_CONFIGURATION_NEEDED ||
        platform == TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED)
        return TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
    return platform;
}

static bool needs_configuration(enum tcb_status s)
{
    return s == TCB_CONFIGURATION_NEEDED || s == TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED ||
           s == TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
}

enum tcb_status tcb_relaunch(enum tcb_status launch, enum tcb_status current)
{
    bool old = launch == TCB_OUT_OF_DATE || launch == TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
    bool better = current == TCB_UP_TO_DATE || current == TCB_SW_HARDENING_NEEDED ||
                  current == TCB_CONFIGURATION_NEEDED ||
                  current == TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED;
    if (!old || !better)
        return launch;
    return needs_configuration(launch) || needs_configuration(current)
               ? TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
               : TCB_TD_RELAUNCH_ADVISED;
}

#include "collateral/sources.h"

#include "base/file.h"
#include "net/fetch.h"
#include "value/json.h"
#include "verifier/dcap/intel_url.h"

#define KDS "https://kdsintf.amd.com/"
#define INTEL "https://api.trustedservices.intel.com/"
#define INTEL_CERTIFICATES "https://certificates.trustedservices.intel.com/"

/* ---- our own table ---- */

static enum status wrong(struct error *err, const char *key, const char *what)
{
    error_set(err, "configuration: verifier_config.collateral.%s must be %s", key, what);
    return ERR_INVALID;
}

static enum status read_text(struct arena *a, value table, const char *key, struct str *out,
                             struct error *err)
{
    value v = value_get_str(table, str_of(key));
    *out = STR_EMPTY;
    if (!value_is_defined(v))
        return OK;
    struct str s = value_str(v);
    if (!value_is_string(v) || memchr(s.ptr, '\0', s.len) != NULL)
        return wrong(err, key, "a string");
    *out = arena_str(a, s);
    return out->ptr == NULL ? error_nomem(err) : OK;
}

static enum status read_own(struct arena *a, value table, struct collateral_sources *out,
                            struct error *err)
{
    static const char *const known[] = {"cache_dir", "grace_hours", "timeout_s", "offline",
                                        "ca_file"};
    for (size_t i = 0; i < value_len(table); i++) {
        struct str key = value_str(value_pairs(table)[i].key);
        bool ok = false;
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            ok |= str_is(key, known[k]);
        if (!ok) { /* a freshness policy with a typing error must not pass for one */
            error_set(err, "configuration: verifier_config.collateral has no key \"%s\"",
                      QUOTED(key));
            return ERR_INVALID;
        }
    }
    enum status st = read_text(a, table, "cache_dir", &out->cache_dir, err);
    if (st == OK)
        st = read_text(a, table, "ca_file", &out->ca_file, err);
    if (st != OK)
        return st;
    value offline = value_get_lit(table, "offline"), grace = value_get_lit(table, "grace_hours");
    value timeout = value_get_lit(table, "timeout_s");
    int64_t hours = 0, seconds = 15;
    if (value_is_defined(offline) && value_kind(offline) != VALUE_KIND_BOOLEAN)
        return wrong(err, "offline", "true or false");
    out->offline = value_is_true(offline);
    if (value_is_defined(grace) &&
        (!value_get_int64(grace, &hours) || hours < 0 || hours > COLLATERAL_GRACE_HOURS_MAX))
        return wrong(err, "grace_hours", "between 0 and 8760");
    if (value_is_defined(timeout) &&
        (!value_get_int64(timeout, &seconds) || seconds < 1 || seconds > 60))
        return wrong(err, "timeout_s", "between 1 and 60");
    out->grace_s = hours * 3600;
    out->timeout_ms = (int)seconds * 1000;
    return OK;
}

/* ---- where from ---- */

struct list {
    struct arena *a;
    const char **items;
    size_t len, cap;
};

static void add(struct list *l, struct str prefix)
{
    for (size_t i = 0; i < l->len; i++)
        if (str_is(prefix, l->items[i]))
            return;
    if (l->items != NULL && l->len + 1 < l->cap)
        l->items[l->len++] = arena_str(l->a, prefix).ptr;
}

static void add_base(struct list *l, struct str url)
{
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
        url.len--;
    struct str prefix = arena_format(l->a, "%.*s/", STR_ARG(url));
    if (prefix.ptr != NULL)
        add(l, prefix);
}

static void add_intel(struct list *l, value config, const char **any_certificate)
{
    value dcap = value_get_lit(config, "dcap_verifier");
    struct str service = value_str(value_get_lit(dcap, "collateral_service"));
    value secure = value_get_lit(dcap, "use_secure_cert");
    if (service.len == 0)
        service = STR(INTEL);
    if (!str_has_prefix(service, STR("http")))
        return;
    struct str base = intel_url_base(service);
    add_base(l, base);
    /* What a PCCS says is signed by Intel; its own certificate, as installed, by itself. */
    if (value_kind(secure) == VALUE_KIND_BOOLEAN && !value_is_true(secure))
        *any_certificate = arena_format(l->a, "%.*s/", STR_ARG(base)).ptr;
    /* Intel's own root list stands elsewhere (verifiers-intel.md 4.1). */
    if (str_has_prefix(STR(INTEL), base))
        add(l, STR(INTEL_CERTIFICATES));
}

static void add_amd(struct list *l, value config, bool lists)
{
    value sources = value_get_lit(value_get_lit(config, "snp_verifier"), "vcek_sources");
    bool named = false;
    for (size_t i = 0; i < value_len(sources); i++) {
        value source = value_at(sources, i);
        struct str base = value_str(value_get_lit(source, "base_url"));
        if (!str_is(value_str(value_get_lit(source, "type")), "KDS"))
            continue;
        named = true;
        if (base.len > 0)
            add_base(l, base);
        else
            add(l, STR(KDS));
    }
    if (!value_is_defined(sources) || (!named && lists))
        add(l, STR(KDS));
}

static struct list new_list(struct arena *a, value config)
{
    size_t cap =
        value_len(value_get_lit(value_get_lit(config, "snp_verifier"), "vcek_sources")) + 8;
    return (struct list){a, arena_new_array(a, const char *, cap), 0, cap};
}

STATUS collateral_sources_read(struct arena *a, value config, struct collateral_sources *out,
                               struct error *err)
{
    *out = (struct collateral_sources){.allow = NULL, .cache_dir = STR_EMPTY, .ca_file = STR_EMPTY};
    enum status st = read_own(a, value_get_lit(config, "collateral"), out, err);
    if (st != OK)
        return st;
    out->amd_lists = value_is_defined(value_get_lit(value_get_lit(config, "snp_verifier"), "crl"));
    struct list l = new_list(a, config);
    add_intel(&l, config, &out->any_certificate);
    add_amd(&l, config, out->amd_lists);
    for (size_t i = 0; i < l.len; i++)
        if (!fetch_url_allowed(str_of(l.items[i]), str_of(l.items[i]))) {
            error_set(err, "configuration: \"%s\" is no address of a collateral service",
                      QUOTED(str_of(l.items[i])));
            return ERR_INVALID;
        }
    out->allow = l.items;
    return arena_status(a) == OK ? OK : error_nomem(err);
}

/* ---- sgx_default_qcnl.conf ---- */

/* Comments from "//" to the end of the line, outside of strings, become spaces. */
static struct str without_comments(struct arena *a, struct str text)
{
    char *out = arena_alloc(a, text.len + 1);
    if (out == NULL)
        return (struct str){NULL, 0};
    bool string = false, comment = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n')
            string = comment = false;
        else if (!comment && c == '"' && !(string && i > 0 && text.ptr[i - 1] == '\\'))
            string = !string;
        else if (!string && c == '/' && i + 1 < text.len && text.ptr[i + 1] == '/')
            comment = true;
        out[i] = comment ? ' ' : c;
    }
    return (struct str){out, text.len};
}

STATUS qcnl_parse(struct arena *a, struct str text, struct str *service, bool *secure,
                  struct error *err)
{
    value root;
    struct str json = without_comments(a, text);
    if (json.ptr == NULL)
        return error_nomem(err);
    const struct json_options options = {.duplicates = JSON_DUP_LAST};
    enum status st = json_parse(a, json, &options, &root, err);
    if (st != OK)
        return st;
    if (!value_is_object(root)) {
        error_set(err, "it is no JSON object");
        return ERR_INVALID;
    }
    value collateral = value_get_lit(root, "collateral_service");
    value pccs = value_get_lit(root, "pccs_url");
    value cert = value_get_lit(root, "use_secure_cert");
    if ((value_is_defined(collateral) && !value_is_string(collateral)) ||
        (value_is_defined(pccs) && !value_is_string(pccs)) ||
        (value_is_defined(cert) && value_kind(cert) != VALUE_KIND_BOOLEAN)) {
        error_set(err, "collateral_service, pccs_url or use_secure_cert is of another type");
        return ERR_INVALID;
    }
    *service = value_str(value_is_defined(collateral) ? collateral : pccs);
    *secure = !value_is_defined(cert) || value_is_true(cert);
    struct str base = intel_url_base(*service);
    if (service->len > 0 && !str_has_prefix(*service, STR("file:///")) &&
        !fetch_url_is_valid(base)) {
        error_set(err, "\"%s\" is no address of a collateral service", QUOTED(*service));
        return ERR_INVALID;
    }
    return OK;
}

STATUS qcnl_apply(struct arena *a, const char *path, value *config, struct error *err)
{
    value dcap = value_get_lit(*config, "dcap_verifier");
    if (value_is_defined(value_get_lit(dcap, "collateral_service")))
        return OK;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, QCNL_MAX);
    enum status st = file_read(path, &text, err);
    if (st == ERR_NOT_FOUND)
        return OK;
    struct str service = STR_EMPTY;
    bool secure = true;
    if (st == OK)
        st = qcnl_parse(a, buf_str(&text), &service, &secure, err);
    if (st != OK) {
        error_prefix(err, "%s: ", path);
        return st;
    }
    if (service.len == 0)
        return OK;
    if (!value_is_object(dcap))
        dcap = VALUE_EMPTY_OBJECT(a);
    dcap = value_object_with(a, dcap, value_cstring(a, "collateral_service"),
                             value_string(a, service));
    dcap = value_object_with(a, dcap, value_cstring(a, "use_secure_cert"), value_bool(secure));
    value all = value_is_object(*config) ? *config : VALUE_EMPTY_OBJECT(a);
    all = value_object_with(a, all, value_cstring(a, "dcap_verifier"), dcap);
    if (!value_is_defined(all))
        return error_nomem(err);
    *config = all;
    return OK;
}

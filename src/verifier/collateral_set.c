#include "verifier/collateral_set.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "base/file.h"
#include "crypto/x509.h"
#include "value/json.h"
#include "verifier/dcap/intel_url.h"
#include "verifier/dcap/raw_json.h"

struct item {
    bool intel; /* found by `name`, else by `url` */
    struct intel_name name;
    bool any_update; /* a bundle does not say whether it is early or standard */
    unsigned source; /* number of the file that it came in */
    struct str url;
    struct str bytes;
};

struct collateral_set {
    struct arena arena;
    struct collateral collateral;
    bool file_urls;
    bool only_bundle; /* collateral_set_only_bundle() */
    struct item *items;
    size_t len, cap;
    unsigned source;  /* of what is being read */
    unsigned current; /* source of the TCB information that was asked for last */
    struct str *folders;
    size_t folder_count;
};

static bool same_name(const struct item *it, const struct intel_name *n)
{
    if (it->name.item != n->item || (!it->any_update && it->name.standard != n->standard))
        return false;
    switch (n->item) {
    case INTEL_TCB_INFO:
    case INTEL_TCB_INFO_CHAIN:
        return it->name.tdx == n->tdx && strcmp(it->name.fmspc, n->fmspc) == 0;
    case INTEL_QE_IDENTITY:
    case INTEL_QE_IDENTITY_CHAIN:
        return it->name.tdx == n->tdx;
    case INTEL_PCK_CRL:
    case INTEL_PCK_CRL_CHAIN:
        return it->name.platform == n->platform;
    case INTEL_ROOT_CRL:
        return true;
    }
    return false;
}

static enum status add_item(struct collateral_set *s, struct item item, struct error *err)
{
    if (s->len == COLLATERAL_ITEMS_MAX) {
        error_set(err, "more than %d items of collateral", COLLATERAL_ITEMS_MAX);
        return ERR_LIMIT;
    }
    if (s->len == s->cap) {
        size_t cap = s->cap == 0 ? 32 : s->cap * 2;
        struct item *items = realloc(s->items, cap * sizeof(*items));
        if (items == NULL)
            return error_nomem(err);
        s->items = items;
        s->cap = cap;
    }
    item.source = s->source;
    s->items[s->len++] = item;
    return OK;
}

static enum status keep(struct collateral_set *s, struct str bytes, struct str *out,
                        struct error *err)
{
    *out = arena_str(&s->arena, bytes);
    if (out->ptr != NULL)
        return OK;
    error_set(err, "collateral is too large");
    return arena_status(&s->arena);
}

static enum status add_intel(struct collateral_set *s, struct intel_name name, bool any_update,
                             struct str bytes, struct error *err)
{
    struct item it = {.intel = true, .name = name, .any_update = any_update};
    enum status st = keep(s, bytes, &it.bytes, err);
    return st == OK ? add_item(s, it, err) : st;
}

STATUS collateral_set_put(struct collateral_set *s, struct str url, struct str bytes,
                          struct error *err)
{
    struct item it = {.intel = false};
    enum status st = keep(s, url, &it.url, err);
    if (st == OK)
        st = keep(s, bytes, &it.bytes, err);
    return st == OK ? add_item(s, it, err) : st;
}

/* ---- Intel's collateral ---- */

/* CRLs are DER in hexadecimal there, or PEM; a service answers with any of DER, hex and PEM. */
static bool is_pem(struct str text)
{
    return str_has_prefix(text, STR("-----BEGIN"));
}

static enum status add_crl(struct collateral_set *s, struct intel_name name, value text,
                           struct error *err)
{
    if (!value_is_string(text))
        return OK;
    struct str bytes = value_str(text), der;
    enum status st = is_pem(bytes) ? ERR_INVALID : hex_bytes(&s->arena, bytes, &der, err);
    if (st == ERR_INVALID) /* PEM, or what the verifier refuses */
        return add_intel(s, name, true, bytes, err);
    return st == OK ? add_intel(s, name, true, der, err) : st;
}

/* Which CA's list it is, the list says. */
static bool is_of_platform_ca(struct arena *a, struct str text)
{
    CLEANUP(crl_cleanup) struct crl *crl = NULL;
    struct str der;
    enum status st = is_pem(text)                           ? crl_from_pem(text, &crl, NULL)
                     : hex_bytes(a, text, &der, NULL) == OK ? crl_from_der(der, &crl, NULL)
                                                            : ERR_INVALID;
    return st == OK && str_is(crl_issuer_cn(crl), "Intel SGX PCK Platform CA");
}

static enum status add_text(struct collateral_set *s, struct intel_name name, value text,
                            struct error *err)
{
    return value_is_string(text) ? add_intel(s, name, true, value_str(text), err) : OK;
}

/* Upper-case hex of `fmspc` as intel_url_parse() makes it. */
static bool read_fmspc(struct str hex, char out[13])
{
    if (hex.len != 12)
        return false;
    for (size_t i = 0; i < 12; i++) {
        int digit = hex_digit(hex.ptr[i]);
        if (digit < 0)
            return false;
        out[i] = "0123456789ABCDEF"[digit];
    }
    out[12] = '\0';
    return true;
}

static const struct {
    const char *member;
    enum intel_item item;
    bool crl;
} bundle_rows[] = {
    {"tcb_info", INTEL_TCB_INFO, false},
    {"tcb_info_issuer_chain", INTEL_TCB_INFO_CHAIN, false},
    {"qe_identity", INTEL_QE_IDENTITY, false},
    {"qe_identity_issuer_chain", INTEL_QE_IDENTITY_CHAIN, false},
    {"pck_crl", INTEL_PCK_CRL, true},
    {"pck_crl_issuer_chain", INTEL_PCK_CRL_CHAIN, false},
    {"root_ca_crl", INTEL_ROOT_CRL, true},
};

/* One member makes a bundle: that others are missing is for the verifier to say. */
static bool is_bundle(value root)
{
    if (value_is_string(value_get_lit(root, "fmspc")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(bundle_rows); i++)
        if (value_is_string(value_get_str(root, str_of(bundle_rows[i].member))))
            return true;
    return false;
}

static enum status add_bundle(struct collateral_set *s, value bundle, struct error *err)
{
    struct intel_name n = {.tdx = str_is(value_str(value_get_lit(bundle, "tee")), "TDX")};
    if (!read_fmspc(value_str(value_get_lit(bundle, "fmspc")), n.fmspc))
        n.fmspc[0] = '\0'; /* found where it is the only bundle */
    n.platform = is_of_platform_ca(&s->arena, value_str(value_get_lit(bundle, "pck_crl")));
    for (size_t i = 0; i < ARRAY_LEN(bundle_rows); i++) {
        n.item = bundle_rows[i].item;
        value member = value_get_str(bundle, str_of(bundle_rows[i].member));
        enum status st =
            bundle_rows[i].crl ? add_crl(s, n, member, err) : add_text(s, n, member, err);
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status add_raw(struct collateral_set *s, struct str object, const char *member,
                           struct intel_name n, struct error *err)
{
    struct str raw;
    if (!json_raw_member(object, member, &raw))
        return OK;
    /* Re-spaced by the tool that wrote it, order and strings kept (BUG intel-b2). */
    struct str compact = json_raw_compact(&s->arena, raw);
    if (compact.ptr == NULL)
        return error_nomem(err);
    return add_intel(s, n, false, compact, err);
}

static enum status add_pcs_tool(struct collateral_set *s, struct str text, value root,
                                struct error *err)
{
    value c = value_get_lit(root, "collaterals");
    struct str raw, infos, one;
    if (!json_raw_member(text, "collaterals", &raw))
        return ERR_INVALID;
    enum status st = OK;
    for (unsigned v = 0; st == OK && v < 4; v++) {
        struct intel_name n = {.item = INTEL_QE_IDENTITY, .tdx = v >= 2, .standard = v % 2 == 1};
        static const char *const ids[] = {"qeidentity_early", "qeidentity", "tdqeidentity_early",
                                          "tdqeidentity"};
        static const char *const tcbs[] = {"sgx_tcbinfo_early", "sgx_tcbinfo", "tdx_tcbinfo_early",
                                           "tdx_tcbinfo"};
        st = add_raw(s, raw, ids[v], n, err);
        if (st == OK && !n.standard) /* early falls back to the plain one */
            st = add_raw(s, raw, ids[v + 1], n, err);
        value list = value_get_lit(c, "tcbinfos");
        if (!json_raw_member(raw, "tcbinfos", &infos))
            infos = STR_EMPTY;
        for (size_t i = 0; st == OK && i < value_len(list); i++) {
            n.item = INTEL_TCB_INFO;
            if (!read_fmspc(value_str(value_get_lit(value_at(list, i), "fmspc")), n.fmspc) ||
                !json_raw_element(infos, i, &one))
                continue;
            st = add_raw(s, one, tcbs[v], n, err);
            if (st == OK && !n.standard)
                st = add_raw(s, one, tcbs[v + 1], n, err);
        }
    }

    value certs = value_get_lit(c, "certificates"), crls = value_get_lit(c, "pckcacrl");
    value pck = value_get_lit(certs, "SGX-PCK-Certificate-Issuer-Chain");
    for (unsigned v = 0; st == OK && v < 2; v++) {
        struct intel_name n = {.platform = v == 1, .tdx = v == 1, .item = INTEL_PCK_CRL};
        st = add_crl(s, n, value_get_str(crls, str_of(v == 1 ? "platformCrl" : "processorCrl")),
                     err);
        n.item = INTEL_PCK_CRL_CHAIN;
        if (st == OK)
            st = add_text(s, n, value_get_str(pck, str_of(v == 1 ? "PLATFORM" : "PROCESSOR")), err);
        n.item = INTEL_QE_IDENTITY_CHAIN;
        if (st == OK)
            st = add_text(s, n, value_get_lit(certs, "SGX-Enclave-Identity-Issuer-Chain"), err);
        value list = value_get_lit(c, "tcbinfos");
        n.item = INTEL_TCB_INFO_CHAIN;
        for (size_t i = 0; st == OK && i < value_len(list); i++)
            if (read_fmspc(value_str(value_get_lit(value_at(list, i), "fmspc")), n.fmspc))
                st = add_text(s, n, value_get_lit(certs, "TCB-Info-Issuer-Chain"), err);
    }
    const struct intel_name root_crl = {.item = INTEL_ROOT_CRL};
    return st == OK ? add_crl(s, root_crl, value_get_lit(c, "rootcacrl"), err) : st;
}

/* ---- files and folders ---- */

/* AMD's lists are named by the root that signed them: ARK-Milan. */
static enum status add_amd_crl(struct collateral_set *s, struct str bytes, struct error *err)
{
    CLEANUP(crl_cleanup) struct crl *crl = NULL;
    bool pem = is_pem(bytes);
    enum status st = pem ? crl_from_pem(bytes, &crl, NULL) : crl_from_der(bytes, &crl, NULL);
    struct str cn = st == OK ? crl_issuer_cn(crl) : STR_EMPTY;
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK || pem || !str_has_prefix(cn, STR("ARK-"))) {
        error_set(err, "neither a bundle of collateral nor a revocation list of AMD's in DER");
        return ERR_INVALID;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct str url = arena_format(&s->arena, "https://kdsintf.amd.com/%s/v1/%.*s/crl",
                                      i == 0 ? "vcek" : "vlek", STR_ARG(str_from(cn, 4)));
        if (url.ptr == NULL)
            return error_nomem(err);
        st = collateral_set_put(s, url, bytes, err);
        if (st != OK)
            return st;
    }
    return OK;
}

STATUS collateral_set_parse(struct collateral_set *s, struct str bytes, struct error *err)
{
    CLEANUP(arena_done) struct arena scratch;
    arena_init(&scratch, 64 * 1024 * 1024);
    value root = VALUE_UNDEFINED;
    s->source++;
    if (json_parse(&scratch, bytes, NULL, &root, NULL) != OK)
        return add_amd_crl(s, bytes, err);
    if (value_is_object(value_get_lit(root, "collaterals")))
        return add_pcs_tool(s, bytes, root, err);
    if (is_bundle(root))
        return add_bundle(s, root, err);
    error_set(err, "not a bundle of collateral");
    return ERR_INVALID;
}

static enum status add_file(struct collateral_set *s, const char *path, struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, COLLATERAL_FILE_MAX);
    enum status st = file_read(path, &b, err);
    if (st != OK)
        return st;
    st = collateral_set_parse(s, buf_str(&b), err);
    if (st != OK)
        error_prefix(err, "collateral \"%s\": ", path);
    return st;
}

static int wanted(const struct dirent *e)
{
    struct str name = str_of(e->d_name);
    return str_has_suffix(name, STR(".json")) || str_has_suffix(name, STR(".crl"));
}

/* A folder may hold other JSON, too: only what says that it is a bundle counts. */
static enum status add_entry(struct collateral_set *s, const char *folder, const char *name,
                             struct error *err)
{
    struct error why = ERROR_INIT;
    struct str file = arena_format(&s->arena, "%s/%s", folder, name);
    enum status st = file.ptr == NULL ? ERR_NOMEM : add_file(s, file.ptr, &why);
    if (st == OK || st == ERR_INVALID)
        return OK;
    if (err != NULL)
        *err = why;
    return st;
}

static enum status add_folder(struct collateral_set *s, const char *path, struct error *err)
{
    struct str *folders = realloc(s->folders, (s->folder_count + 1) * sizeof(*folders));
    if (folders == NULL)
        return error_nomem(err);
    s->folders = folders;
    enum status st = keep(s, str_of(path), &s->folders[s->folder_count], err);
    if (st != OK)
        return st;
    s->folder_count++;

    struct dirent **entries = NULL; /* sorted, so that the same folder means the same */
    int n = scandir(path, &entries, wanted, alphasort);
    if (n < 0)
        return error_errno(err, errno, "could not read folder \"%s\"", path);
    for (int i = 0; i < n; i++) {
        if (st == OK)
            st = add_entry(s, path, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return st;
}

STATUS collateral_set_add(struct collateral_set *s, const char *path, struct error *err)
{
    struct stat sb;
    if (stat(path, &sb) != 0) {
        enum status st = error_errno(err, errno, "could not read collateral \"%s\"", path);
        return errno == ENOENT ? ERR_NOT_FOUND : st;
    }
    return S_ISDIR(sb.st_mode) ? add_folder(s, path, err) : add_file(s, path, err);
}

/* ---- look-up ---- */

/* No segment may climb or hide: chip ids and queries of ours have none of this. */
static bool safe_path(struct str p)
{
    for (size_t i = 0; i < p.len; i++)
        if ((unsigned char)p.ptr[i] < 0x20 || p.ptr[i] == '\\' ||
            (p.ptr[i] == '.' && (i == 0 || p.ptr[i - 1] == '/' || p.ptr[i - 1] == '.')))
            return false;
    return p.len > 0;
}

static bool read_path(struct collateral_set *s, struct str path, struct str *out)
{
    struct str name = arena_str(&s->arena, path);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, COLLATERAL_FILE_MAX);
    if (name.ptr == NULL || file_read(name.ptr, &b, NULL) != OK)
        return false;
    *out = arena_str(&s->arena, buf_str(&b));
    return out->ptr != NULL;
}

/* An item of the only bundle, whatever its platform; NULL where there is more of Intel's. */
static const struct item *find_in_bundle(const struct collateral_set *s, enum intel_item wanted)
{
    const struct item *first = NULL, *found = NULL;
    for (size_t i = 0; i < s->len; i++) {
        const struct item *it = &s->items[i];
        if (!it->intel)
            continue;
        first = first == NULL ? it : first;
        if (!it->any_update || it->source != first->source)
            return NULL;
        found = it->name.item == wanted ? it : found;
    }
    return found;
}

static const struct item *find_item(const struct collateral_set *s, struct str url,
                                    const struct intel_name *name)
{
    const struct item *found = NULL;
    for (size_t i = 0; i < s->len; i++) {
        const struct item *it = &s->items[i];
        if (!(it->intel ? name != NULL && same_name(it, name) : str_equal(it->url, url)))
            continue;
        if (it->source == s->current)
            return it;
        if (found == NULL)
            found = it;
    }
    return found == NULL && s->only_bundle && name != NULL ? find_in_bundle(s, name->item) : found;
}

/*
 * Identities and lists have no FMSPC in their names.  Where several bundles
 * are at hand they are taken from the one that had the TCB information, for
 * which a verifier asks first.
 */
static bool set_find(void *user, struct str url, struct str *bytes)
{
    struct collateral_set *s = user;
    struct intel_name name;
    bool intel = intel_url_parse(url, &name);
    const struct item *it = find_item(s, url, intel ? &name : NULL);
    if (it != NULL) {
        if (intel && name.item == INTEL_TCB_INFO)
            s->current = it->source;
        *bytes = it->bytes;
        return true;
    }
    if (s->file_urls && str_has_prefix(url, STR("file://")))
        return read_path(s, str_from(url, 7), bytes);

    struct str rest = str_has_prefix(url, STR("https://")) ? str_from(url, 8) : STR_EMPTY;
    for (size_t i = 0; safe_path(rest) && i < s->folder_count; i++) {
        struct str path =
            arena_format(&s->arena, "%.*s/%.*s", STR_ARG(s->folders[i]), STR_ARG(rest));
        if (path.ptr != NULL && read_path(s, path, bytes))
            return true;
    }
    return false;
}

STATUS collateral_set_new(bool file_urls, struct collateral_set **out, struct error *err)
{
    struct collateral_set *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return error_nomem(err);
    arena_init(&s->arena, 256 * 1024 * 1024);
    s->file_urls = file_urls;
    s->collateral = (struct collateral){set_find, s};
    *out = s;
    return OK;
}

struct collateral_set *collateral_set_free(struct collateral_set *s)
{
    if (s == NULL)
        return NULL;
    arena_done(&s->arena);
    free(s->items);
    free(s->folders);
    free(s);
    return NULL;
}

void collateral_set_only_bundle(struct collateral_set *s)
{
    s->only_bundle = true;
}

const struct collateral *collateral_set_get(const struct collateral_set *s)
{
    return &s->collateral;
}

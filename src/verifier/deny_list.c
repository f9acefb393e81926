#include "verifier/deny_list.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "verifier/deny_check.h"

#define MEMORY_MAX ((size_t)64 * 1024 * 1024)
#define REASON_MAX 512

struct deny_list {
    atomic_size_t refs;
    struct arena arena;
    struct deny_entry *entries;
    size_t len;
};

/* ---- components ---- */

bool deny_component_by_name(struct str name, unsigned *out)
{
    static const struct {
        const char *prefix;
        unsigned first;
        bool amd; /* five names, else 1 to 16 */
    } sets[] = {
        {"reported.", DENY_TCB_REPORTED, true},
        {"current.", DENY_TCB_CURRENT, true},
        {"committed.", DENY_TCB_COMMITTED, true},
        {"launch.", DENY_TCB_LAUNCH, true},
        {"sgx.", DENY_TCB_SGX, false},
        {"tdx.", DENY_TCB_TDX, false},
        {"tdx_current.", DENY_TCB_TDX_CURRENT, false},
    };
    static const char *const parts[] = {"fmc", "bootloader", "tee", "snp", "microcode"};

    if (str_is(name, "pcesvn") || str_is(name, "qe.isvsvn")) {
        *out = name.ptr[0] == 'p' ? DENY_TCB_PCESVN : DENY_TCB_QE;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        struct str prefix = str_of(sets[i].prefix);
        if (!str_has_prefix(name, prefix))
            continue;
        struct str rest = str_from(name, prefix.len);
        for (unsigned k = 0; k < (sets[i].amd ? ARRAY_LEN(parts) : 16); k++) {
            char number[8];
            snprintf(number, sizeof(number), "%u", k + 1);
            if (str_is(rest, sets[i].amd ? parts[k] : number)) {
                *out = sets[i].first + k;
                return true;
            }
        }
    }
    return false;
}

/* ---- one entry ---- */

struct reader {
    struct arena *a;
    const struct positions *positions;
    size_t number; /* of the entry, from 1 */
    struct error *err;
};

/* `rest`: below the entry, "/expires"; undefined members are reported where the entry stands. */
static enum status PRINTF_LIKE(3, 4)
    refuse(struct reader *r, const char *rest, const char *format, ...)
{
    char pointer[128], text[ERROR_TEXT_MAX];
    snprintf(pointer, sizeof(pointer), "/deny/%zu%s", r->number - 1, rest);
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    const struct position *p = positions_find(r->positions, str_of(pointer));
    error_set_at(r->err, p == NULL ? 0 : p->line, p == NULL ? 0 : p->col, "entry %zu: %s",
                 r->number, text);
    return ERR_INVALID;
}

static enum status read_text(struct reader *r, value entry, const char *name, size_t max,
                             struct str *out)
{
    char rest[48];
    snprintf(rest, sizeof(rest), "/%s", name);
    value v = value_get_str(entry, str_of(name));
    if (!value_is_defined(v))
        return refuse(r, "", "it has no %s", name);
    if (!value_is_string(v) || value_str(v).len == 0 || value_str(v).len > max)
        return refuse(r, rest, "%s is not text of 1 to %zu bytes", name, max);
    *out = value_str(v);
    return OK;
}

static enum status read_head(struct reader *r, value entry, struct deny_entry *out)
{
    int64_t ns = 0;
    enum status st = read_text(r, entry, "reason", REASON_MAX, &out->reason);
    if (st == OK)
        st = read_text(r, entry, "expires", 64, &out->expires);
    if (st != OK)
        return st;
    if (time_parse_rfc3339(out->expires, &ns, NULL) != OK)
        return refuse(r, "/expires", "expires is not a time in RFC 3339 form");
    out->expires_s = ns / NS_PER_S;
    if (!value_is_defined(value_get_lit(entry, "tee")))
        return OK;
    st = read_text(r, entry, "tee", 64, &out->tee);
    const struct verifier *vf = st == OK ? verifier_find(out->tee) : NULL;
    if (st == OK && vf == NULL && !tee_is_known(out->tee))
        return refuse(r, "/tee", "no TEE is called \"%s\"", QUOTED(out->tee));
    if (vf != NULL)
        out->tee = str_of(vf->tee); /* either spelling */
    return st;
}

static const struct criterion {
    const char *name;
    enum deny_kind kind;
    size_t lengths[3]; /* of hexadecimal, in bytes; none: see below */
    uint64_t max;      /* of a number; 0: text */
} criteria[] = {
    /* AMD's chip id, Turin's without its zeros, Intel's PPID or platform instance id */
    {"chip_id", DENY_CHIP_ID, {64, 8, 16}, 0},
    /* SHA-256 of SubjectPublicKeyInfo, SGX's MRSIGNER; AMD's ID and author keys, MRSIGNERSEAM */
    {"signing_key", DENY_SIGNING_KEY, {32, 48}, 0},
    {"fmspc", DENY_FMSPC, {6}, 0},
    {"advisory", DENY_ADVISORY, {0}, 0},
    {"cpu_family", DENY_CPU_FAMILY, {0}, UINT8_MAX},
    {"cpu_model", DENY_CPU_MODEL, {0}, UINT8_MAX},
    {"cpu_stepping", DENY_CPU_STEPPING, {0}, UINT8_MAX},
};

static enum status read_hex(struct reader *r, const struct criterion *c, const char *rest, value v,
                            struct deny_entry *out)
{
    struct str *bytes = &out->bytes[c->kind];
    enum status st = value_is_string(v) ? hex_bytes(r->a, value_str(v), bytes, NULL) : ERR_INVALID;
    if (st == ERR_NOMEM || st == ERR_LIMIT)
        return error_nomem(r->err);
    for (size_t i = 0; st == OK && i < ARRAY_LEN(c->lengths); i++)
        if (c->lengths[i] > 0 && bytes->len == c->lengths[i])
            return OK;
    char wanted[48];
    int n = snprintf(wanted, sizeof(wanted), "%zu", c->lengths[0]);
    for (size_t i = 1; i < ARRAY_LEN(c->lengths) && c->lengths[i] > 0; i++)
        n += snprintf(wanted + n, sizeof(wanted) - (size_t)n, " or %zu", c->lengths[i]);
    return refuse(r, rest, "%s is not %s bytes in hexadecimal", c->name, wanted);
}

static enum status read_criterion(struct reader *r, const struct criterion *c, value v,
                                  struct deny_entry *out)
{
    char rest[48];
    snprintf(rest, sizeof(rest), "/%s", c->name);
    out->kinds |= 1u << c->kind;
    if (c->lengths[0] > 0)
        return read_hex(r, c, rest, v, out);
    if (c->max == 0) {
        if (!value_is_string(v) || value_str(v).len == 0 || value_str(v).len > 64)
            return refuse(r, rest, "%s is not text of 1 to 64 bytes", c->name);
        out->bytes[c->kind] = value_str(v);
        return OK;
    }
    if (!value_get_uint64(v, &out->number[c->kind]) || out->number[c->kind] > c->max)
        return refuse(r, rest, "%s is not a number from 0 to %u", c->name, (unsigned)c->max);
    return OK;
}

static enum status read_tcb(struct reader *r, value entry, struct deny_entry *out)
{
    value name = value_get_lit(entry, "tcb_component");
    value below = value_get_lit(entry, "tcb_below"), equals = value_get_lit(entry, "tcb_equals");
    bool has_below = value_is_defined(below), has_equals = value_is_defined(equals);
    if (!value_is_defined(name) && !has_below && !has_equals)
        return OK;
    if (!value_is_defined(name) || has_below == has_equals)
        return refuse(r, "", "tcb_component goes with either tcb_below or tcb_equals");
    if (!value_is_string(name) || !deny_component_by_name(value_str(name), &out->component))
        return refuse(r, "/tcb_component", "no TCB has a component of this name");
    if (!value_get_uint64(has_below ? below : equals, &out->number[DENY_TCB]) ||
        out->number[DENY_TCB] > UINT16_MAX)
        return refuse(r, has_below ? "/tcb_below" : "/tcb_equals",
                      "the bound of a TCB component is not a number from 0 to %d", UINT16_MAX);
    out->kinds |= 1u << DENY_TCB;
    out->below = has_below;
    return OK;
}

static enum status check_members(struct reader *r, value entry)
{
    static const char *const others[] = {"reason",        "expires",   "tee",
                                         "tcb_component", "tcb_below", "tcb_equals"};
    for (size_t i = 0; i < value_len(entry); i++) {
        struct str name = value_str(value_pairs(entry)[i].key);
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(others); k++)
            known |= str_is(name, others[k]);
        for (size_t k = 0; k < ARRAY_LEN(criteria); k++)
            known |= str_is(name, criteria[k].name);
        if (known)
            continue;
        char rest[100];
        snprintf(rest, sizeof(rest), "/%.*s", (int)(name.len < 90 ? name.len : 90), name.ptr);
        return refuse(r, rest, "\"%s\" is no member of an entry", QUOTED(name));
    }
    return OK;
}

static enum status read_entry(struct reader *r, value entry, struct deny_entry *out)
{
    if (!value_is_object(entry))
        return refuse(r, "", "it is no table");
    enum status st = check_members(r, entry);
    if (st == OK)
        st = read_head(r, entry, out);
    for (size_t i = 0; st == OK && i < ARRAY_LEN(criteria); i++) {
        value v = value_get_str(entry, str_of(criteria[i].name));
        if (value_is_defined(v))
            st = read_criterion(r, &criteria[i], v, out);
    }
    if (st == OK)
        st = read_tcb(r, entry, out);
    if (st == OK && out->kinds == 0)
        return refuse(r, "",
                      "it names no chip id, signing key, advisory, TCB component or processor");
    return st;
}

/* ---- the list ---- */

static enum status read_list(struct deny_list *l, value root, const struct positions *positions,
                             struct error *err)
{
    value list = value_get_lit(root, "deny");
    for (size_t i = 0; value_is_object(root) && i < value_len(root); i++) {
        struct str name = value_str(value_pairs(root)[i].key);
        if (str_is(name, "deny"))
            continue;
        const struct position *p =
            positions_find(positions, arena_format(&l->arena, "/%.*s", STR_ARG(name)));
        error_set_at(err, p == NULL ? 0 : p->line, p == NULL ? 0 : p->col,
                     "\"%s\" is not a member of a deny list", QUOTED(name));
        return ERR_INVALID;
    }
    bool empty = value_kind(root) == VALUE_KIND_NULL || value_len(root) == 0; /* YAML: null */
    if ((!value_is_object(root) && !empty) || (!empty && !value_is_array(list))) {
        error_set_at(err, 1, 1, "a deny list is a table with an array `deny`");
        return ERR_INVALID;
    }
    size_t n = value_len(list);
    if (n > DENY_ENTRIES_MAX) {
        error_set(err, "a deny list has at most %d entries", DENY_ENTRIES_MAX);
        return ERR_LIMIT;
    }
    l->entries = arena_zalloc(&l->arena, n + 1, sizeof(*l->entries));
    if (l->entries == NULL)
        return error_nomem(err);
    struct reader r = {&l->arena, positions, 0, err};
    for (size_t i = 0; i < n; i++) {
        r.number = i + 1;
        enum status st = read_entry(&r, value_at(list, i), &l->entries[i]);
        if (st != OK)
            return st;
        l->len++;
    }
    return arena_status(&l->arena);
}

STATUS deny_list_parse(struct str text, enum document_format format, struct deny_list **out,
                       struct error *err)
{
    CLEANUP(deny_list_cleanup) struct deny_list *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return error_nomem(err);
    atomic_init(&l->refs, 1);
    arena_init(&l->arena, MEMORY_MAX);
    struct positions positions = {0};
    value root = VALUE_UNDEFINED;
    enum status st = document_parse(&l->arena, text, format, &root, &positions, err);
    if (st == OK)
        st = read_list(l, root, &positions, err);
    if (st == OK)
        *out = TAKE(l);
    return st;
}

STATUS deny_list_load(const char *path, struct deny_list **out, struct error *err)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, DENY_LIST_FILE_MAX);
    struct error why = ERROR_INIT;
    enum document_format format = DOCUMENT_TOML;
    enum status st = OK;
    if (!document_format_of(str_of(path), &format)) {
        error_set(&why, "its name ends in none of .toml, .yaml, .yml and .json");
        st = ERR_INVALID;
    }
    if (st == OK)
        st = file_read(path, &text, &why);
    if (st == OK)
        st = deny_list_parse(buf_str(&text), format, out, &why);
    if (st == OK)
        return OK;
    if (why.line > 0)
        error_prefix(&why, "line %u, column %u: ", why.line, why.col);
    error_prefix(&why, "deny list \"%s\": ", QUOTED(str_of(path)));
    if (err != NULL)
        *err = why;
    return st;
}

struct deny_list *deny_list_ref(struct deny_list *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

struct deny_list *deny_list_unref(struct deny_list *l)
{
    if (l == NULL || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    arena_done(&l->arena);
    free(l);
    return NULL;
}

size_t deny_list_len(const struct deny_list *l)
{
    return l->len;
}

size_t deny_list_ended(const struct deny_list *l, int64_t from_s, int64_t to_s)
{
    size_t n = 0;
    for (size_t i = 0; i < l->len; i++)
        n += l->entries[i].expires_s > from_s && l->entries[i].expires_s <= to_s;
    return n;
}

const struct deny_entry *deny_list_entries(const struct deny_list *l, size_t *n)
{
    *n = l->len;
    return l->entries;
}

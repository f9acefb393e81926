#include "eventlog/eventlog.h"

#include "base/encode.h"

#define EV_NO_ACTION 3

static const struct {
    uint16_t id;
    const char *name;
    int digest; /* enum digest_alg, -1: cannot be computed here */
    size_t len;
} algorithms[] = {
    {0x01, "RSA", -1, 0},
    {0x03, "TDES", -1, 0},
    {EVENT_ALG_SHA1, "SHA-1", -1, 20}, /* too weak to lean on, as upstream finds */
    {EVENT_ALG_SHA256, "SHA-256", DIGEST_SHA256, 32},
    {EVENT_ALG_SHA384, "SHA-384", DIGEST_SHA384, 48},
    {EVENT_ALG_SHA512, "SHA-512", DIGEST_SHA512, 64},
    {EVENT_ALG_SM3, "SM3", DIGEST_SM3, 32},
};

static int algorithm_of(uint16_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        if (algorithms[i].id == id)
            return (int)i;
    return -1;
}

const char *event_type_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {
        {0x0, "EV_PREBOOT_CERT"},
        {0x1, "EV_POST_CODE"},
        {0x2, "EV_UNUSED"},
        {0x3, "EV_NO_ACTION"},
        {0x4, "EV_SEPARATOR"},
        {0x5, "EV_ACTION"},
        {0x6, "EV_EVENT_TAG"},
        {0x7, "EV_S_CRTM_CONTENTS"},
        {0x8, "EV_S_CRTM_VERSION"},
        {0x9, "EV_CPU_MICROCODE"},
        {0xa, "EV_PLATFORM_CONFIG_FLAGS"},
        {0xb, "EV_TABLE_OF_DEVICES"},
        {0xc, "EV_COMPACT_HASH"},
        {0xd, "EV_IPL"},
        {0xe, "EV_IPL_PARTITION_DATA"},
        {0xf, "EV_NONHOST_CODE"},
        {0x10, "EV_NONHOST_CONFIG"},
        {0x11, "EV_NONHOST_INFO"},
        {0x12, "EV_OMIT_BOOT_DEVICE_EVENTS"},
        {0x80000000, "EV_EFI_EVENT_BASE"},
        {0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
        {0x80000002, "EV_EFI_VARIABLE_BOOT"},
        {0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION"},
        {0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER"},
        {0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
        {0x80000006, "EV_EFI_GPT_EVENT"},
        {0x80000007, "EV_EFI_ACTION"},
        {0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
        {0x80000009, "EV_EFI_HANDOFF_TABLES"},
        {0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
        {0x8000000b, "EV_EFI_HANDOFF_TABLES2"},
        {0x8000000c, "EV_EFI_VARIABLE_BOOT2"},
        {0x80000010, "EV_EFI_HCRTM_EVENT"},
        {0x800000e0, "EV_EFI_VARIABLE_AUTHORITY"},
        {0x800000e1, "EV_EFI_SPDM_FIRMWARE_BLOB"},
        {0x800000e2, "EV_EFI_SPDM_FIRMWARE_CONFIG"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].type == type)
            return names[i].name;
    return NULL;
}

/* ---- reading ---- */

struct reader {
    struct str left;
    size_t offset; /* from the start of the log, for messages */
};

static bool take(struct reader *r, size_t n, struct str *out)
{
    if (n > r->left.len)
        return false;
    *out = str_slice(r->left, 0, n);
    r->left = str_from(r->left, n);
    r->offset += n;
    return true;
}

static bool take_u32(struct reader *r, uint32_t *out)
{
    struct str s;
    if (!take(r, 4, &s))
        return false;
    *out = load_le32(s.ptr);
    return true;
}

static bool take_u16(struct reader *r, uint16_t *out)
{
    struct str s;
    if (!take(r, 2, &s))
        return false;
    *out = load_le16(s.ptr);
    return true;
}

struct digest_sizes {
    struct {
        uint16_t alg, size;
    } items[EVENTLOG_DIGESTS_MAX];
    size_t len;
};

static enum status cut(const struct reader *r, struct error *err)
{
    error_set(err, "event log is cut short at byte %zu", r->offset);
    return ERR_INVALID;
}

/* Data of the first entry: 24 bytes, algorithms, vendor information, and not a byte more. */
static enum status read_spec_id(struct str data, struct digest_sizes *sizes, struct error *err)
{
    struct reader r = {data, 0};
    struct str ignored;
    uint32_t count = 0;
    if (!take(&r, 24, &ignored) || !take_u32(&r, &count) || count > EVENTLOG_DIGESTS_MAX) {
        error_set(err, "specification event of the event log is malformed");
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint16_t alg, size;
        if (!take_u16(&r, &alg) || !take_u16(&r, &size))
            return cut(&r, err);
        int k = algorithm_of(alg);
        if (k < 0 || size == 0 || size > DIGEST_MAX ||
            (algorithms[k].len != 0 && algorithms[k].len != size)) {
            error_set(err, "event log has an unknown digest algorithm 0x%x of %u bytes", alg, size);
            return ERR_INVALID;
        }
        sizes->items[sizes->len].alg = alg;
        sizes->items[sizes->len++].size = size;
    }
    struct str vendor;
    if (!take(&r, 1, &vendor) || !take(&r, (uint8_t)vendor.ptr[0], &ignored) || r.left.len != 0) {
        error_set(err, "specification event of the event log has a wrong size");
        return ERR_INVALID;
    }
    return OK;
}

static enum status read_first(struct reader *r, struct digest_sizes *sizes, struct error *err)
{
    struct str head, data;
    uint32_t size;
    if (!take(r, 28, &head) || !take_u32(r, &size))
        return cut(r, err);
    uint32_t type = load_le32(head.ptr + 4);
    if (type != EV_NO_ACTION) {
        error_set(err, "event log does not begin with a specification event");
        return ERR_INVALID;
    }
    if (!take(r, size, &data))
        return cut(r, err);
    return read_spec_id(data, sizes, err);
}

static enum status read_entry(struct reader *r, const struct digest_sizes *sizes, struct event *e,
                              struct error *err)
{
    uint32_t count, size;
    *e = (struct event){0};
    if (!take_u32(r, &e->index) || !take_u32(r, &e->type) || !take_u32(r, &count))
        return cut(r, err);
    if (event_type_name(e->type) == NULL) {
        error_set(err, "event log has an unknown event type 0x%x at byte %zu", e->type, r->offset);
        return ERR_INVALID;
    }
    if (count > EVENTLOG_DIGESTS_MAX) {
        error_set(err, "event log has %u digests in one entry", count);
        return ERR_LIMIT;
    }
    for (; e->digest_count < count; e->digest_count++) {
        struct event_digest *d = &e->digests[e->digest_count];
        size_t k = 0;
        if (!take_u16(r, &d->alg))
            return cut(r, err);
        while (k < sizes->len && sizes->items[k].alg != d->alg)
            k++;
        if (k == sizes->len) {
            error_set(err, "event log uses a digest algorithm 0x%x that it did not announce",
                      d->alg);
            return ERR_INVALID;
        }
        if (!take(r, sizes->items[k].size, &d->bytes))
            return cut(r, err);
    }
    return take_u32(r, &size) && take(r, size, &e->data) ? OK : cut(r, err);
}

/* Eight bytes of zeros or of ones end the log. */
static bool at_end(const struct reader *r)
{
    uint64_t word = load_le64(r->left.ptr);
    return word == 0 || word == UINT64_MAX;
}

STATUS eventlog_parse(struct arena *a, struct str bytes, struct eventlog *out, struct error *err)
{
    if (bytes.len > EVENTLOG_LEN_MAX) {
        error_set(err, "event log is longer than %d bytes", EVENTLOG_LEN_MAX);
        return ERR_LIMIT;
    }
    struct reader r = {bytes, 0};
    struct digest_sizes sizes = {.len = 0};
    enum status st = read_first(&r, &sizes, err);
    if (st != OK)
        return st;

    size_t cap = 0;
    *out = (struct eventlog){NULL, 0};
    while (r.left.len > 0) {
        if (r.left.len < 8)
            return cut(&r, err);
        if (at_end(&r))
            break;
        if (out->len == EVENTLOG_ENTRIES_MAX) {
            error_set(err, "event log has more than %d entries", EVENTLOG_ENTRIES_MAX);
            return ERR_LIMIT;
        }
        if (out->len == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            struct event *more = arena_new_array(a, struct event, cap);
            if (more == NULL)
                return error_nomem(err);
            if (out->len > 0)
                memcpy(more, out->events, out->len * sizeof(*more));
            out->events = more;
        }
        st = read_entry(&r, &sizes, &out->events[out->len], err);
        if (st != OK)
            return st;
        out->len++;
    }
    return OK;
}

/* ---- replay ---- */

STATUS eventlog_replay(const struct eventlog *log, uint32_t index, uint16_t alg, struct digest *out)
{
    int k = algorithm_of(alg);
    if (k < 0 || algorithms[k].digest < 0)
        return ERR_UNSUPPORTED;
    enum digest_alg digest = (enum digest_alg)algorithms[k].digest;
    struct digest state = {.len = algorithms[k].len};
    for (size_t i = 0; i < log->len; i++) {
        const struct event *e = &log->events[i];
        for (size_t d = 0; e->index == index && d < e->digest_count; d++) {
            if (e->digests[d].alg != alg)
                continue;
            const struct digest before = state;
            const struct str parts[] = {digest_str(&before), e->digests[d].bytes};
            digest_parts(digest, parts, 2, &state);
        }
    }
    *out = state;
    return OK;
}

/* ---- claims ---- */

static value hex_value(struct arena *a, struct str bytes)
{
    struct str text = hex_text(a, bytes);
    return text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text);
}

/* Digests, and whether each is that of the event's data: 14.7. */
static enum status digest_claims(struct arena *a, const struct event *e, value *list, bool *matches,
                                 struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, e->digest_count);
    *matches = true;
    for (size_t i = 0; i < e->digest_count; i++) {
        int k = algorithm_of(e->digests[i].alg);
        if (k < 0 || algorithms[k].digest < 0) {
            error_set(err, "digest algorithm 0x%x cannot be computed", e->digests[i].alg);
            return ERR_INVALID;
        }
        struct digest d;
        digest_compute((enum digest_alg)algorithms[k].digest, e->data, &d);
        *matches = *matches && str_equal(digest_str(&d), e->digests[i].bytes);
        struct value_builder one;
        value_builder_init(&one, a, 2);
        value_builder_put_str(&one, "alg", value_cstring(a, algorithms[k].name));
        value_builder_put_str(&one, "digest", hex_value(a, e->digests[i].bytes));
        value_builder_add(&b, value_object_finish(&one, VALUE_DUP_LAST, NULL));
    }
    *list = value_array_finish(&b);
    return OK;
}

static enum status event_claims(struct arena *a, const struct event *e, value *out,
                                struct error *err)
{
    value details, digests;
    bool matches;
    enum status st = event_details(a, e, &details, err);
    if (st == OK)
        st = digest_claims(a, e, &digests, &matches, err);
    if (st != OK)
        return st;
    if (!matches && event_is_application(e)) {
        error_set(err, "the digest of an application event is not that of its data");
        return ERR_INVALID;
    }
    struct str text = base64_text(a, e->data, BASE64_STD);
    struct value_builder b;
    value_builder_init(&b, a, 6);
    value_builder_put_str(&b, "details", details);
    value_builder_put_str(&b, "digest_matches_event", value_bool(matches));
    value_builder_put_str(&b, "digests", digests);
    value_builder_put_str(&b, "event", text.ptr == NULL ? VALUE_UNDEFINED : value_string(a, text));
    value_builder_put_str(&b, "index", value_uint(a, e->index));
    value_builder_put_str(&b, "type_name", value_cstring(a, event_type_name(e->type)));
    *out = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out) ? OK : arena_status(a);
}

/* TCG PC Client Platform Firmware Profile, 10.4.5: the digests of EV_NO_ACTION are zeros. */
static bool is_note(const struct event *e)
{
    uint8_t any = 0;
    for (size_t i = 0; i < e->digest_count; i++)
        for (size_t k = 0; k < e->digests[i].bytes.len; k++)
            any |= (uint8_t)e->digests[i].bytes.ptr[k];
    return e->index == 0 && e->type == EV_NO_ACTION && any == 0;
}

static bool has_digest(const struct event *e, uint16_t alg)
{
    for (size_t i = 0; i < e->digest_count; i++)
        if (e->digests[i].alg == alg)
            return true;
    return false;
}

bool event_is_told(const struct event *e, struct replayed replayed)
{
    if (replayed.last == EVENTLOG_ALL)
        return true;
    if (e->index < 1 || e->index > replayed.last)
        return is_note(e);
    return e->type == EV_NO_ACTION || has_digest(e, replayed.alg);
}

STATUS eventlog_claims(struct arena *a, const struct eventlog *log, struct replayed replayed,
                       value *out, struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, log->len);
    for (size_t i = 0; i < log->len; i++) {
        value v;
        if (!event_is_told(&log->events[i], replayed))
            continue;
        enum status st = event_claims(a, &log->events[i], &v, err);
        if (st != OK) {
            error_prefix(err, "event %zu: ", i);
            return st;
        }
        value_builder_add(&b, v);
    }
    *out = value_array_finish(&b);
    if (value_is_defined(*out))
        return OK;
    error_set(err, "no memory for the event log");
    return arena_status(a) == OK ? ERR_NOMEM : arena_status(a);
}

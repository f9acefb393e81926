#include "rvps/rvps_internal.h"

#include "base/clock.h"
#include "base/encode.h"
#include "value/json.h"

/* Standard base64 of a JSON object, one value a member; up to v0.13 only arrays of strings. */
static enum status extract_sample(struct arena *a, struct str payload, struct rvps_entries *out,
                                  struct error *err)
{
    struct str json;
    enum status st = base64_bytes(a, payload, BASE64_STD, &json, err);
    if (st != OK)
        return st;
    value root;
    st = json_parse(a, json, NULL, &root, err);
    if (st != OK)
        return st;
    if (!value_is_object(root)) {
        error_set(err, "the payload is no object of reference values");
        return ERR_INVALID;
    }

    for (size_t i = 0; i < value_len(root); i++) {
        struct reference_value v = {.name = value_str(value_pairs(root)[i].key),
                                    .val = value_pairs(root)[i].val};
        st = rvps_entries_add(out, a, &v, err);
        if (st != OK)
            return st;
    }
    return OK;
}

static const struct {
    const char *type;
    rvps_extractor extract;
} extractors[] = {
    {"sample", extract_sample},
    {"swid", rvps_extract_swid},
    {"corim", rvps_extract_corim},
};

/* The same day and time twelve months on; 29 February becomes the 28th. */
static int64_t a_year_later(int64_t now_s)
{
    struct utc t = utc_from_s(now_s);
    t.year++;
    if (t.month == 2 && t.day == 29)
        t.day = 28;
    return utc_to_s(&t);
}

static enum status set_expiry(struct arena *a, struct rvps_entries *e, int64_t now_s,
                              struct error *err)
{
    char text[TIME_RFC3339_LEN + 1];
    int64_t expires_s = a_year_later(now_s);
    time_write_rfc3339(expires_s, text);
    struct str expires = arena_str(a, str_of(text));
    if (expires.ptr == NULL)
        return error_nomem(err);

    for (size_t i = 0; i < e->len; i++) {
        struct reference_value *v = &e->items[i];
        if (v->name.len == 0 || v->name.len > RVPS_NAME_MAX) {
            error_set(err, "a reference value has %s name", v->name.len == 0 ? "no" : "too long a");
            return ERR_INVALID;
        }
        v->expires = expires;
        v->expires_s = expires_s;
    }
    return OK;
}

enum status rvps_message_read(struct arena *a, struct str message, int64_t now_s,
                              struct rvps_entries *out, struct error *err)
{
    value root;
    enum status st = json_parse(a, message, NULL, &root, err);
    if (st != OK) {
        error_prefix(err, "parse message: ");
        return st;
    }

    /* The README of upstream calls the third member provenance; the code has always read payload.
     */
    value version = value_get_lit(root, "version");
    value type = value_get_lit(root, "type");
    value payload = value_get_lit(root, "payload");
    if (!value_is_object(root) || !value_is_string(type) || !value_is_string(payload) ||
        (value_is_defined(version) && !value_is_string(version))) {
        error_set(err, "parse message: type and payload must be strings");
        return ERR_INVALID;
    }
    if (value_is_defined(version) && !str_is(value_str(version), RVPS_VERSION)) {
        error_set(err, "Version unmatched! Need %s, given %s.", RVPS_VERSION,
                  QUOTED(value_str(version)));
        return ERR_INVALID;
    }

    for (size_t i = 0; i < ARRAY_LEN(extractors); i++) {
        if (!str_is(value_str(type), extractors[i].type))
            continue;
        st = extractors[i].extract(a, value_str(payload), out, err);
        if (st != OK) {
            error_prefix(err, "could not extract reference values (%s): ", extractors[i].type);
            return st;
        }
        return set_expiry(a, out, now_s, err);
    }
    error_set(err, "no extractor has the type \"%s\"", QUOTED(value_str(type)));
    return ERR_INVALID;
}

#include "base/encode.h"
#include "rvps/cbor.h"
#include "rvps/rvps_internal.h"

/* attestation-service.md 12.3.2; draft-ietf-rats-corim. The signature is not checked. */
enum {
    TAG_COSE_SIGN1 = 18,
    TAG_UUID = 37,
    TAG_CORIM = 501,
    TAG_COMID = 506,
    TAG_RAW_BYTES = 560,
};

static value at(value map, int key)
{
    return value_get(map, value_small_int(key));
}

/* ---- the name of a claim: path parts joined by "/" ---- */

static struct str with_part(struct arena *a, struct str path, value part)
{
    if (path.ptr == NULL || !value_is_string(part))
        return path;
    struct str text = value_str(part);
    return path.len == 0 ? text : arena_format(a, "%.*s/%.*s", STR_ARG(path), STR_ARG(text));
}

/* 8-4-4-4-12 digits. */
static value uuid_text(struct arena *a, value bytes)
{
    struct str b = cbor_bytes(a, bytes);
    if (b.ptr == NULL || b.len != 16)
        return VALUE_UNDEFINED;
    struct str h = hex_text(a, b);
    if (h.ptr == NULL)
        return VALUE_UNDEFINED;
    struct str s = arena_format(a, "%.8s-%.4s-%.4s-%.4s-%.12s", h.ptr, h.ptr + 8, h.ptr + 12,
                                h.ptr + 16, h.ptr + 20);
    return s.ptr == NULL ? VALUE_UNDEFINED : value_string(a, s);
}

/* A text as it is, a number n as claim<n>, a UUID dashed, anything else not at all. */
static value key_part(struct arena *a, value key)
{
    uint64_t n;
    if (value_is_string(key))
        return key;
    if (value_get_uint64(key, &n)) {
        struct str s = arena_format(a, "claim%llu", (unsigned long long)n);
        return s.ptr == NULL ? VALUE_UNDEFINED : value_string(a, s);
    }
    return uuid_text(a, cbor_tagged(key, TAG_UUID));
}

/* ---- values ---- */

static enum status emit(struct arena *a, struct rvps_entries *out, struct str path,
                        const char *suffix, value v, struct error *err)
{
    struct str name = arena_format(a, "%.*s%s%s", STR_ARG(path), path.len > 0 ? "/" : "", suffix);
    if (name.ptr == NULL || !value_is_defined(v))
        return error_nomem(err);
    struct reference_value r = {.name = name, .val = v};
    return rvps_entries_add(out, a, &r, err);
}

/* [[algorithm, bytes], ...]: the hex digests; the algorithm is dropped. */
static enum status digests(struct arena *a, value list, value *out, struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, value_len(list));
    for (size_t i = 0; i < value_len(list); i++) {
        value hex = value_get_lit(value_at(value_at(list, i), 1), "bytes");
        if (!value_is_string(hex)) {
            error_set(err, "CoRIM: a digest is no pair of algorithm and bytes");
            return ERR_INVALID;
        }
        value_builder_add(&b, hex);
    }
    *out = value_array_finish(&b);
    return value_is_defined(*out) ? OK : error_nomem(err);
}

static enum status read_claim(struct arena *a, struct str path, value claim,
                              struct rvps_entries *out, struct error *err)
{
    value values = at(claim, 1);
    path = with_part(a, path, key_part(a, at(claim, 0)));
    path = with_part(a, path, at(values, 11)); /* name */
    path = with_part(a, path, at(values, 8));  /* serial number */

    enum status st = OK;
    value list = at(values, 2);
    if (value_is_array(list)) {
        value v;
        st = digests(a, list, &v, err);
        if (st == OK)
            st = emit(a, out, path, "digests", v, err);
    }
    value raw = value_get_lit(cbor_tagged(at(values, 4), TAG_RAW_BYTES), "bytes");
    if (st == OK && value_is_string(raw))
        st = emit(a, out, path, "raw_bytes", raw, err);
    return st;
}

/* Reference triples (CoMID key 4, triples key 0): [[environment, [claim, ...]], ...]. */
static enum status read_comid(struct arena *a, value comid, struct rvps_entries *out,
                              struct error *err)
{
    value triples = at(at(comid, 4), 0);
    for (size_t i = 0; i < value_len(triples); i++) {
        value triple = value_at(triples, i);
        value class = at(value_at(triple, 0), 0);
        struct str path = with_part(a, STR_EMPTY, at(class, 1)); /* vendor */
        path = with_part(a, path, at(class, 2));                 /* model */
        value claims = value_at(triple, 1);
        for (size_t k = 0; value_is_array(claims) && k < value_len(claims); k++) {
            enum status st = read_claim(a, path, value_at(claims, k), out, err);
            if (st != OK)
                return st;
        }
    }
    return OK;
}

static enum status read_tags(struct arena *a, value tags, struct rvps_entries *out,
                             struct error *err)
{
    for (size_t i = 0; value_is_array(tags) && i < value_len(tags); i++) {
        value tag = value_at(tags, i);
        value typed = cbor_tagged(tag, TAG_COMID);
        struct str bytes = cbor_bytes(a, value_is_defined(typed) ? typed : tag);
        value comid;
        if (bytes.ptr == NULL)
            continue;
        enum status st = cbor_read(a, bytes, &comid, err);
        if (st == ERR_INVALID && !value_is_defined(typed))
            continue; /* some other kind of tag */
        if (st == OK)
            st = read_comid(a, comid, out, err);
        if (st != OK)
            return st;
    }
    return OK;
}

/* The unsigned CoRIM map inside whatever was sent. */
static enum status open_corim(struct arena *a, struct str bytes, value *out, struct error *err)
{
    while (str_has_prefix(bytes, STR("\xd9\x01\xf4")) || str_has_prefix(bytes, STR("\xd9\x01\xf6")))
        bytes = str_from(bytes, 3); /* tags 500 and 502 are wrappers without content */
    value v;
    enum status st = cbor_read(a, bytes, &v, err);
    if (st != OK)
        return st;

    value sign1 = cbor_tagged(v, TAG_COSE_SIGN1);
    if (!value_is_defined(sign1) && value_is_array(v) && value_len(v) == 4)
        sign1 = v;
    if (value_is_defined(sign1)) {
        struct str payload = cbor_bytes(a, value_at(sign1, 2));
        if (payload.ptr == NULL) {
            error_set(err, "CoRIM: the signed message has no payload");
            return ERR_INVALID;
        }
        st = cbor_read(a, payload, &v, err);
        if (st != OK)
            return st;
    }
    value map = cbor_tagged(v, TAG_CORIM);
    if (!value_is_defined(map) && value_is_defined(sign1))
        map = v;
    if (!value_is_object(map) || !value_is_array(at(map, 1))) {
        error_set(err, "CoRIM: neither an unsigned nor a signed one");
        return ERR_INVALID;
    }
    *out = map;
    return OK;
}

enum status rvps_extract_corim(struct arena *a, struct str payload, struct rvps_entries *out,
                               struct error *err)
{
    struct str bytes;
    value corim;
    enum status st = base64_bytes(a, payload, BASE64_STD, &bytes, err);
    if (st == OK)
        st = open_corim(a, bytes, &corim, err);
    return st != OK ? st : read_tags(a, at(corim, 1), out, err);
}

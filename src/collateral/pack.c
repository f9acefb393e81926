#include "collateral/pack.h"

#include "base/clock.h"
#include "base/encode.h"

#define MAGIC STR("claviger-collateral-pack 1\n")
#define SIGNATURE_LINE "signature: "

static void algorithm_of(const struct pubkey *key, enum sig_alg *alg, enum digest_alg *digest)
{
    *digest = DIGEST_SHA384;
    switch (pubkey_kind(key)) {
    case KEY_ED25519:
        *alg = SIG_ED25519;
        break;
    case KEY_RSA:
        *alg = SIG_RSA_PSS;
        break;
    default:
        *alg = SIG_ECDSA_RAW;
        break;
    }
}

STATUS collateral_pack_write(struct buf *out, const struct collateral_item *items, size_t n,
                             int64_t made_s, const struct privkey *key, struct error *err)
{
    size_t start = out->len;
    char made[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(made_s, made);
    if (n > COLLATERAL_PACK_ITEMS) {
        error_set(err, "more than %d items of collateral", COLLATERAL_PACK_ITEMS);
        return ERR_LIMIT;
    }
    buf_add(out, MAGIC);
    buf_add_format(out, "made: %s\nitems: %zu\n\n", made, n);
    CLEANUP(buf_done) struct buf record;
    buf_init(&record, COLLATERAL_RECORD_MAX);
    for (size_t i = 0; i < n; i++) {
        buf_reset(&record);
        collateral_item_write(&record, &items[i]);
        enum status st = buf_status(&record);
        if (st != OK) {
            error_set(err, "collateral %s does not fit a record", QUOTED(items[i].url));
            return st;
        }
        buf_add_format(out, "record: %zu\n", record.len);
        buf_add(out, buf_str(&record));
    }
    enum status st = buf_status(out);
    if (st != OK) {
        error_set(err, "the pack is too large");
        return st;
    }
    enum sig_alg alg;
    enum digest_alg digest;
    algorithm_of(privkey_public(key), &alg, &digest);
    CLEANUP(buf_done) struct buf signature;
    buf_init(&signature, SIGNATURE_MAX);
    st = privkey_sign(key, alg, digest, str_from(buf_str(out), start), &signature, err);
    if (st != OK)
        return st;
    buf_add_cstr(out, SIGNATURE_LINE);
    base64_write(out, buf_str(&signature), BASE64_STD);
    buf_add_byte(out, '\n');
    return buf_status(out);
}

/* ---- reading ---- */

/* "name: value\n" at the front of *rest. */
static bool next_line(struct str *rest, const char *name, struct str *out)
{
    struct str key = str_of(name);
    size_t end = str_find(str_slice(*rest, 0, 64), '\n', 0);
    if (!str_has_prefix(*rest, key) || end >= rest->len || end == 64)
        return false;
    *out = str_slice(*rest, key.len, end - key.len);
    *rest = str_from(*rest, end + 1);
    return true;
}

/* As it is written: no sign, no leading zero. */
static bool read_number(struct str s, size_t max, size_t *out)
{
    size_t n = 0;
    if (s.len == 0 || s.len > 8 || (s.len > 1 && s.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (size_t)(s.ptr[i] - '0');
    }
    *out = n;
    return n <= max;
}

static bool next_record(struct str *rest, struct str *out)
{
    struct str number;
    size_t len;
    if (!next_line(rest, "record: ", &number) ||
        !read_number(number, COLLATERAL_RECORD_MAX, &len) || len > rest->len)
        return false;
    *out = str_slice(*rest, 0, len);
    *rest = str_from(*rest, len);
    return true;
}

/* Head and records; *rest is what follows them. */
static bool read_parts(struct str pack, struct collateral_pack *out, struct str *rest)
{
    struct str made, items, record;
    int64_t ns;
    *rest = str_from(pack, MAGIC.len);
    if (!str_has_prefix(pack, MAGIC) || !next_line(rest, "made: ", &made) ||
        made.len != TIME_RFC3339_LEN || time_parse_rfc3339(made, &ns, NULL) != OK || ns < 0 ||
        !next_line(rest, "items: ", &items) ||
        !read_number(items, COLLATERAL_PACK_ITEMS, &out->count) || rest->len == 0 ||
        rest->ptr[0] != '\n')
        return false;
    out->made_s = ns / NS_PER_S;
    *rest = str_from(*rest, 1);
    struct str records = *rest;
    for (size_t i = 0; i < out->count; i++) {
        struct collateral_item item;
        if (!next_record(rest, &record) || collateral_item_parse(record, &item, NULL) != OK)
            return false;
    }
    out->records = str_slice(records, 0, records.len - rest->len);
    return true;
}

STATUS collateral_pack_open(struct str pack, const struct pubkey *key, struct collateral_pack *out,
                            struct error *err)
{
    struct str rest;
    if (pack.len > COLLATERAL_PACK_MAX) {
        error_set(err, "the pack is too large");
        return ERR_LIMIT;
    }
    struct str prefix = STR(SIGNATURE_LINE);
    if (!read_parts(pack, out, &rest) || !str_has_prefix(rest, prefix) ||
        rest.len <= prefix.len + 1 || rest.len > prefix.len + SIGNATURE_MAX * 2 ||
        rest.ptr[rest.len - 1] != '\n') {
        error_set(err, "it is no pack of collateral");
        return ERR_INVALID;
    }
    CLEANUP(buf_done) struct buf signature;
    buf_init(&signature, SIGNATURE_MAX);
    enum status st = base64_read(str_slice(rest, prefix.len, rest.len - prefix.len - 1), BASE64_STD,
                                 &signature, err);
    if (st != OK)
        return st;
    enum sig_alg alg;
    enum digest_alg digest;
    algorithm_of(key, &alg, &digest);
    st = pubkey_verify(key, alg, digest, str_slice(pack, 0, pack.len - rest.len),
                       buf_str(&signature), NULL);
    if (st == ERR_NOMEM)
        return error_nomem(err);
    if (st != OK) {
        error_set(err, "it is not signed by that key");
        return ERR_DENIED;
    }
    return OK;
}

bool collateral_pack_next(struct collateral_pack *p, struct collateral_item *out)
{
    struct str record;
    if (p->count == 0 || !next_record(&p->records, &record) ||
        collateral_item_parse(record, out, NULL) != OK)
        return false;
    p->count--;
    return true;
}

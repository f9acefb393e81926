/*
 * lookup - reading values: comparison, hashes, members.
 */
#include "base/hash.h"
#include "value/value_internal.h"

#define HASH_STRING 0x737472u
#define HASH_IMMEDIATE 0x696d6du

const char *value_kind_name(enum value_kind kind)
{
    static const char *const names[] = {"undefined", "null",  "boolean", "number",
                                        "string",    "array", "object",  "set"};
    return (size_t)kind < ARRAY_LEN(names) ? names[kind] : "undefined";
}

/* ---- scalars ---- */

struct str value_number_text(value v, char scratch[VALUE_NUMBER_SCRATCH])
{
    if (value_is_small(v))
        return decimal_print_int64(value_small(v), scratch);
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return STR_EMPTY;
    const struct value_heap *h = value_heap(v);
    return (struct str){(const char *)(h + 1), h->len};
}

bool value_get_int64(value v, int64_t *out)
{
    if (value_is_small(v)) {
        *out = value_small(v);
        return true;
    }
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return false;
    struct decimal d = decimal_of(value_number_text(v, NULL));
    return decimal_int64(&d, out);
}

bool value_get_uint64(value v, uint64_t *out)
{
    if (value_is_small(v)) {
        *out = (uint64_t)value_small(v);
        return value_small(v) >= 0;
    }
    if (value_kind(v) != VALUE_KIND_NUMBER)
        return false;
    struct decimal d = decimal_of(value_number_text(v, NULL));
    return (d.count == 0 || !d.negative) && decimal_magnitude(&d, out);
}

/* ---- hashes and comparison ---- */

uint32_t value_hash_str(struct str s)
{
    return (uint32_t)hash_bytes(s.ptr, s.len, HASH_STRING);
}

uint32_t value_hash(value v)
{
    if (value_is_heap(v))
        return value_heap(v)->hash;
    if (value_is_small(v))
        return value_hash_int(value_small(v));
    return (uint32_t)hash_bytes(&v.word, sizeof(v.word), HASH_IMMEDIATE);
}

static int compare_size(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_words(const value *a, size_t n_a, const value *b, size_t n_b)
{
    size_t n = n_a < n_b ? n_a : n_b;
    for (size_t i = 0; i < n; i++) {
        int c = value_compare(a[i], b[i]);
        if (c != 0)
            return c;
    }
    return compare_size(n_a, n_b);
}

int value_compare(value a, value b)
{
    if (a.word == b.word)
        return 0;

    enum value_kind kind = value_kind(a);
    enum value_kind other = value_kind(b);
    if (kind != other)
        return kind < other ? -1 : 1;

    switch (kind) {
    case VALUE_KIND_BOOLEAN:
        return value_is_true(a) ? 1 : -1;
    case VALUE_KIND_NUMBER:
        return number_compare(a, b);
    case VALUE_KIND_STRING: {
        int c = str_compare(value_str(a), value_str(b));
        return (c > 0) - (c < 0);
    }
    case VALUE_KIND_ARRAY:
    case VALUE_KIND_SET:
        return compare_words(value_items(a), value_len(a), value_items(b), value_len(b));
    case VALUE_KIND_OBJECT: /* key, value, key, value: in memory just as in rego.md 3.1 */
        return compare_words(value_items(a), 2 * value_len(a), value_items(b), 2 * value_len(b));
    default:
        return 0; /* null and undefined have one word each */
    }
}

static inline bool same_word(const char *a, const char *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x == y;
}

/* Names are short: comparing them word by word takes less time than calling memcmp(). */
static inline bool same_text(const char *a, const char *b, size_t len)
{
    if (len < 8 || len > 64)
        return memcmp(a, b, len) == 0;
    for (size_t i = 0; i + 8 < len; i += 8)
        if (!same_word(a + i, b + i))
            return false;
    return same_word(a + len - 8, b + len - 8);
}

bool value_equal_slow(value a, value b)
{
    if (value_is_heap(a) && value_is_heap(b)) {
        const struct value_heap *x = value_heap(a);
        const struct value_heap *y = value_heap(b);
        if (x->hash != y->hash || x->kind != y->kind)
            return false;
        if (x->kind == VALUE_KIND_STRING)
            return x->len == y->len &&
                   same_text((const char *)(x + 1), (const char *)(y + 1), x->len);
        if (x->kind >= VALUE_KIND_ARRAY && x->len != y->len)
            return false;
    }
    return value_compare(a, b) == 0;
}

/* ---- members ---- */

/* Strings are the usual keys: their hashes lie in the headers, so most misses cost one load. */
static inline bool key_matches(value k, value key, uint32_t hash)
{
    if (k.word == key.word)
        return true;
    if (value_is_heap(k))
        return value_heap(k)->hash == hash && value_equal_slow(k, key);
    return value_is_small(k) && value_is_heap(key) && value_equal_slow(k, key);
}

static ptrdiff_t find_linear(const value *keys, size_t words, size_t stride, value key)
{
    if (value_is_heap(key)) {
        uint32_t hash = value_heap(key)->hash;
        for (size_t i = 0; i < words; i += stride)
            if (key_matches(keys[i], key, hash))
                return (ptrdiff_t)(i / stride);
        return -1;
    }
    for (size_t i = 0; i < words; i += stride)
        if (keys[i].word == key.word)
            return (ptrdiff_t)(i / stride);
    if (value_is_small(key)) { /* "1.0" among the keys equals 1 */
        for (size_t i = 0; i < words; i += stride)
            if (value_is_heap(keys[i]) && value_equal_slow(keys[i], key))
                return (ptrdiff_t)(i / stride);
    }
    return -1;
}

/* Index of `key` among the keys or items of `h`, or -1. */
static ptrdiff_t find_key(const struct value_heap *h, size_t stride, value key)
{
    const value *keys = (const value *)(h + 1);
    size_t words = (size_t)h->len * stride;
    if (h->len <= VALUE_LINEAR_MAX)
        return find_linear(keys, words, stride, key);

    const uint32_t *slots = (const uint32_t *)(keys + words);
    uint32_t mask = value_index_slots(h->len) - 1;
    uint32_t hash = value_hash(key);
    for (uint32_t slot = hash & mask; slots[slot] != 0; slot = (slot + 1) & mask) {
        uint32_t i = slots[slot] - 1;
        if (key_matches(keys[i * stride], key, hash))
            return (ptrdiff_t)i;
    }
    return -1;
}

value value_get(value object, value key)
{
    if (!value_is_object(object))
        return VALUE_UNDEFINED;
    ptrdiff_t i = find_key(value_heap(object), 2, key);
    return i < 0 ? VALUE_UNDEFINED : value_pairs(object)[i].val;
}

value value_get_far(value object, value key, uint32_t *hint)
{
    ptrdiff_t i = find_key(value_heap(object), 2, key);
    if (i < 0)
        return VALUE_UNDEFINED;
    *hint = (uint32_t)i;
    return value_pairs(object)[i].val;
}

static inline bool key_is_str(value k, struct str s)
{
    if (!value_is_heap(k))
        return false;
    const struct value_heap *h = value_heap(k);
    return h->len == s.len && h->kind == VALUE_KIND_STRING &&
           (s.len == 0 || memcmp(h + 1, s.ptr, s.len) == 0);
}

value value_get_str(value object, struct str key)
{
    if (!value_is_object(object))
        return VALUE_UNDEFINED;

    const struct value_heap *h = value_heap(object);
    const struct value_pair *pairs = value_pairs(object);
    if (h->len <= VALUE_LINEAR_MAX) {
        for (size_t i = 0; i < h->len; i++)
            if (key_is_str(pairs[i].key, key))
                return pairs[i].val;
        return VALUE_UNDEFINED;
    }

    const uint32_t *slots = (const uint32_t *)(pairs + h->len);
    uint32_t mask = value_index_slots(h->len) - 1;
    for (uint32_t slot = value_hash_str(key) & mask; slots[slot] != 0; slot = (slot + 1) & mask) {
        const struct value_pair *p = &pairs[slots[slot] - 1];
        if (key_is_str(p->key, key))
            return p->val;
    }
    return VALUE_UNDEFINED;
}

bool value_set_has(value set, value item)
{
    return value_kind(set) == VALUE_KIND_SET && find_key(value_heap(set), 1, item) >= 0;
}

value value_lookup(value base, value key)
{
    int64_t i;
    ptrdiff_t found;
    switch (value_kind(base)) {
    case VALUE_KIND_OBJECT:
        return value_get(base, key);
    case VALUE_KIND_ARRAY: /* a machine integer; "1.0" is one, "1e0" is not (rego.md 3.2) */
        if (value_kind(key) != VALUE_KIND_NUMBER || !number_machine_int(key, &i) || i < 0)
            return VALUE_UNDEFINED;
        return value_at(base, (size_t)i);
    case VALUE_KIND_SET:
        found = find_key(value_heap(base), 1, key);
        return found < 0 ? VALUE_UNDEFINED : value_items(base)[found];
    default:
        return VALUE_UNDEFINED;
    }
}

/* ---- RFC 6901 pointers ---- */

/* Does an escaped reference token stand for this key?  "~0" is "~", "~1" is "/". */
static bool token_is(struct str token, struct str key)
{
    size_t n = 0;
    for (size_t i = 0; i < token.len; i++, n++) {
        char c = token.ptr[i];
        if (c == '~') {
            if (++i == token.len || (token.ptr[i] != '0' && token.ptr[i] != '1'))
                return false;
            c = token.ptr[i] == '0' ? '~' : '/';
        }
        if (n >= key.len || key.ptr[n] != c)
            return false;
    }
    return n == key.len;
}

static value get_token(value object, struct str token)
{
    if (str_find(token, '~', 0) == token.len)
        return value_get_str(object, token);

    const struct value_pair *pairs = value_pairs(object);
    for (size_t i = 0; i < value_len(object); i++)
        if (value_is_string(pairs[i].key) && token_is(token, value_str(pairs[i].key)))
            return pairs[i].val;
    return VALUE_UNDEFINED;
}

/* RFC 6901, 4: digits without leading zeros. */
static value at_token(value array, struct str token)
{
    if (token.len == 0 || token.len > 10 || (token.len > 1 && token.ptr[0] == '0'))
        return VALUE_UNDEFINED;
    size_t n = 0;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9')
            return VALUE_UNDEFINED;
        n = n * 10 + (size_t)(token.ptr[i] - '0');
    }
    return value_at(array, n);
}

value value_pointer(value root, struct str pointer)
{
    value v = root;
    size_t i = 0;
    while (i < pointer.len) {
        if (pointer.ptr[i] != '/')
            return VALUE_UNDEFINED;
        size_t end = str_find(pointer, '/', i + 1);
        struct str token = str_slice(pointer, i + 1, end - i - 1);
        if (value_is_object(v))
            v = get_token(v, token);
        else
            v = at_token(v, token);
        i = end;
    }
    return v;
}

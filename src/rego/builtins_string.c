/*
 * Strings: rego.md 6.4.  Positions count code points; a byte that is not
 * UTF-8 (rego.md 3.3) counts as one.
 */
#include "base/utf8.h"
#include "rego/builtins_internal.h"
#include "rego/template.h"
#include "rego/unicode.h"

/* Two string operands; false when the error was reported. */
static bool arg_string2(struct rego_call *call, const value *args, struct str *a, struct str *b)
{
    return arg_string(call, args, 1, a) && arg_string(call, args, 2, b);
}

static bool is_ascii(value v)
{
    return (value_heap(v)->flags & VALUE_FLAG_ASCII) != 0;
}

/* Byte index of the n-th code point, at most s.len; counting starts at `from`. */
static size_t rune_offset(struct str s, size_t from, uint64_t n)
{
    uint32_t rune;
    while (n > 0 && from < s.len) {
        from += rune_at(s, from, &rune);
        n--;
    }
    return from;
}

enum rego_outcome builtin_concat(struct rego_call *call, const value *args, value *out)
{
    struct str sep = STR_EMPTY;
    if (!arg_string(call, args, 1, &sep) || !arg_collection(call, args, 2, "set, array"))
        return REGO_FAILED;

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    for (size_t i = 0; i < value_len(args[1]); i++) {
        value v = value_items(args[1])[i];
        if (!value_is_string(v))
            return element_error(call, 2, args[1], v, "string");
        if (!charge_bytes(call, value_str(v).len + sep.len))
            return REGO_FATAL;
        if (i > 0)
            buf_add(&b, sep);
        buf_add(&b, value_str(v));
    }
    return give_buf(call, &b, out);
}

/* ---- searching ---- */

enum rego_outcome builtin_contains(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str needle = STR_EMPTY;
    if (!arg_string2(call, args, &s, &needle))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    return give_bool(text_find(s, needle, 0) != SIZE_MAX, out);
}

enum rego_outcome builtin_startswith(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str prefix = STR_EMPTY;
    if (!arg_string2(call, args, &s, &prefix))
        return REGO_FAILED;
    return give_bool(str_has_prefix(s, prefix), out);
}

enum rego_outcome builtin_endswith(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str suffix = STR_EMPTY;
    if (!arg_string2(call, args, &s, &suffix))
        return REGO_FAILED;
    return give_bool(str_has_suffix(s, suffix), out);
}

enum rego_outcome builtin_indexof(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str needle = STR_EMPTY;
    if (!arg_string2(call, args, &s, &needle))
        return REGO_FAILED;
    if (needle.len == 0)
        return rego_call_error(call, "empty search character");
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;

    size_t at = text_find(s, needle, 0);
    if (at == SIZE_MAX)
        return give_int(call, -1, out);
    return give_int(call, (int64_t)(is_ascii(args[0]) ? at : rune_count(str_slice(s, 0, at))), out);
}

enum rego_outcome builtin_indexof_n(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str needle = STR_EMPTY;
    if (!arg_string2(call, args, &s, &needle))
        return REGO_FAILED;
    if (needle.len == 0)
        return rego_call_error(call, "empty search character");

    struct arena *a = rego_call_arena(call);
    struct value_builder b;
    value_builder_init(&b, a, 0);
    size_t counted = 0; /* bytes before this one make `index` code points */
    size_t index = 0;
    /* overlapping: each search begins one code point after the last hit */
    for (size_t at = text_find(s, needle, 0); at != SIZE_MAX;) {
        index += rune_count(str_slice(s, counted, at - counted));
        counted = at;
        value_builder_add(&b, value_int(a, (int64_t)index));
        if (!charge_bytes(call, needle.len))
            return REGO_FATAL;
        at = text_find(s, needle, rune_offset(s, at, 1));
    }
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    return give(call, value_array_finish(&b), out);
}

enum rego_outcome builtin_strings_count(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str needle = STR_EMPTY;
    if (!arg_string2(call, args, &s, &needle))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    if (needle.len == 0)
        return give_int(call, (int64_t)rune_count(s) + 1, out);

    int64_t n = 0;
    for (size_t at = text_find(s, needle, 0); at != SIZE_MAX;
         at = text_find(s, needle, at + needle.len))
        n++;
    return give_int(call, n, out);
}

typedef bool (*affix_test)(struct str s, struct str affix);

static enum rego_outcome any_match(struct rego_call *call, const value *args, affix_test has,
                                   value *out)
{
    const value *items = NULL;
    const value *affixes = NULL;
    size_t n = 0;
    size_t m = 0;
    if (!arg_strings(call, args, 1, "string, set, array", &items, &n) ||
        !arg_strings(call, args, 2, "string, set, array", &affixes, &m))
        return REGO_FAILED;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < m; j++) {
            if (!charge_bytes(call, value_str(affixes[j]).len))
                return REGO_FATAL;
            if (has(value_str(items[i]), value_str(affixes[j])))
                return give_bool(true, out);
        }
    }
    return give_bool(false, out);
}

enum rego_outcome builtin_strings_any_prefix_match(struct rego_call *call, const value *args,
                                                   value *out)
{
    return any_match(call, args, str_has_prefix, out);
}

enum rego_outcome builtin_strings_any_suffix_match(struct rego_call *call, const value *args,
                                                   value *out)
{
    return any_match(call, args, str_has_suffix, out);
}

/* ---- case ---- */

static enum rego_outcome mapped(struct rego_call *call, const value *args,
                                uint32_t (*map)(uint32_t), value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len * 8))
        return REGO_FATAL;

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    for (size_t at = 0; at < s.len;) {
        uint32_t rune;
        char text[4];
        at += rune_at(s, at, &rune);
        buf_add(&b, str_bytes(text, utf8_encode(map(rune), text)));
    }
    return give_buf(call, &b, out);
}

enum rego_outcome builtin_lower(struct rego_call *call, const value *args, value *out)
{
    return mapped(call, args, unicode_to_lower, out);
}

enum rego_outcome builtin_upper(struct rego_call *call, const value *args, value *out)
{
    return mapped(call, args, unicode_to_upper, out);
}

/* ---- splitting ---- */

struct pieces {
    struct rego_call *call;
    struct str s, delim;
    size_t at;
    bool done;
};

/* The next piece of a split; an empty delimiter gives single code points. False at the end. */
static bool next_piece(struct pieces *p, struct str *piece)
{
    if (p->done)
        return false;
    if (p->delim.len == 0) {
        if (p->at >= p->s.len)
            return false;
        uint32_t rune;
        size_t n = rune_at(p->s, p->at, &rune);
        *piece = str_slice(p->s, p->at, n);
        p->at += n;
        return true;
    }
    size_t end = p->delim.len == 1 ? str_find(p->s, p->delim.ptr[0], p->at)
                                   : text_find(p->s, p->delim, p->at);
    p->done = end >= p->s.len;
    if (p->done)
        end = p->s.len;
    *piece = str_slice(p->s, p->at, end - p->at);
    p->at = end + p->delim.len;
    return true;
}

/* Pieces number `skip` to `skip` + `max`. */
static enum rego_outcome split(struct rego_call *call, struct str s, struct str delim,
                               uint64_t skip, uint64_t max, value *out)
{
    struct arena *a = rego_call_arena(call);
    struct value_builder b;
    value_builder_init(&b, a, 0);
    struct pieces p = {call, s, delim, 0, false};
    struct str piece = STR_EMPTY;
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    for (uint64_t i = 0; b.len < max && next_piece(&p, &piece); i++) {
        if (i % 64 == 63 && !rego_call_charge(call, 64))
            return REGO_FATAL;
        if (i >= skip)
            value_builder_add(&b, value_string(a, piece));
    }
    return give(call, value_array_finish(&b), out);
}

enum rego_outcome builtin_split(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str delim = STR_EMPTY;
    if (!arg_string2(call, args, &s, &delim))
        return REGO_FAILED;
    return split(call, s, delim, 0, UINT64_MAX, out);
}

enum rego_outcome builtin_strings_split_n(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str delim = STR_EMPTY;
    int64_t n = 0;
    if (!arg_string2(call, args, &s, &delim) || !arg_int(call, args, 3, &n))
        return REGO_FAILED;
    if (n >= 0)
        return split(call, s, delim, 0, (uint64_t)n, out);

    uint64_t total = 0;
    struct pieces p = {call, s, delim, 0, false};
    struct str piece;
    while (next_piece(&p, &piece))
        total++;
    if (!charge_bytes(call, s.len + total))
        return REGO_FATAL;
    uint64_t wanted = -(uint64_t)n;
    return split(call, s, delim, wanted < total ? total - wanted : 0, UINT64_MAX, out);
}

enum rego_outcome builtin_substring(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    int64_t offset = 0;
    int64_t len = 0;
    if (!arg_string(call, args, 1, &s) || !arg_int(call, args, 2, &offset) ||
        !arg_int(call, args, 3, &len))
        return REGO_FAILED;
    if (offset < 0)
        return rego_call_error(call, "negative offset");
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;

    size_t from;
    size_t to;
    if (is_ascii(args[0])) {
        from = (uint64_t)offset > s.len ? s.len : (size_t)offset;
        to = len < 0 || (uint64_t)len > s.len - from ? s.len : from + (size_t)len;
    } else {
        from = rune_offset(s, 0, (uint64_t)offset);
        to = len < 0 ? s.len : rune_offset(s, from, (uint64_t)len);
    }
    return give_str(call, str_slice(s, from, to - from), out);
}

/* ---- replacing ---- */

enum rego_outcome builtin_replace(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str old = STR_EMPTY;
    struct str new = STR_EMPTY;
    if (!arg_string2(call, args, &s, &old) || !arg_string(call, args, 3, &new))
        return REGO_FAILED;

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    if (old.len == 0) {
        buf_add(&b, new);
        for (size_t at = 0; at < s.len && b.failed == OK;) {
            uint32_t rune;
            size_t n = rune_at(s, at, &rune);
            buf_add(&b, str_slice(s, at, n));
            buf_add(&b, new);
            at += n;
        }
        return charge_bytes(call, b.len) ? give_buf(call, &b, out) : REGO_FATAL;
    }

    size_t at = 0;
    for (size_t hit; b.failed == OK && (hit = text_find(s, old, at)) != SIZE_MAX;
         at = hit + old.len) {
        buf_add(&b, str_slice(s, at, hit - at));
        buf_add(&b, new);
    }
    buf_add(&b, str_from(s, at));
    return charge_bytes(call, b.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

/* The first pattern, in key order, that begins at `at`; NULL if none does. */
static const struct value_pair *pattern_at(value patterns, struct str s, size_t at, bool no_empty)
{
    struct str rest = str_from(s, at);
    const struct value_pair *pairs = value_pairs(patterns);
    for (size_t i = 0; i < value_len(patterns); i++) {
        struct str key = value_str(pairs[i].key);
        if (str_has_prefix(rest, key) && !(no_empty && key.len == 0))
            return &pairs[i];
    }
    return NULL;
}

enum rego_outcome builtin_strings_replace_n(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_kind(call, args, 1, VALUE_KIND_OBJECT) || !arg_string(call, args, 2, &s))
        return REGO_FAILED;
    for (size_t i = 0; i < value_len(args[0]); i++) {
        const struct value_pair *p = &value_pairs(args[0])[i];
        if (!value_is_string(p->key))
            return rego_call_type_text(call, "operand 1 non-string key found in pattern object");
        if (!value_is_string(p->val))
            return rego_call_type_text(call, "operand 1 non-string value found in pattern object");
    }

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    bool after_empty = false; /* an empty pattern matches once between two code points */
    for (size_t at = 0; at <= s.len;) {
        if (!rego_call_charge(call, 1 + value_len(args[0]) / 4))
            return REGO_FATAL;
        const struct value_pair *hit = pattern_at(args[0], s, at, after_empty);
        after_empty = hit != NULL && value_str(hit->key).len == 0;
        if (hit != NULL) {
            buf_add(&b, value_str(hit->val));
            at += value_str(hit->key).len;
            continue;
        }
        if (at == s.len)
            break;
        uint32_t rune;
        size_t n = rune_at(s, at, &rune);
        buf_add(&b, str_slice(s, at, n));
        at += n;
    }
    return give_buf(call, &b, out);
}

enum rego_outcome builtin_strings_reverse(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;

    char *text = arena_alloc(rego_call_arena(call), s.len + 1);
    if (text == NULL)
        return give(call, VALUE_UNDEFINED, out);
    char *end = text + s.len;
    for (size_t at = 0; at < s.len;) {
        uint32_t rune;
        size_t n = rune_at(s, at, &rune);
        end -= n;
        memcpy(end, s.ptr + at, n);
        at += n;
    }
    return give_str(call, str_bytes(text, s.len), out);
}

/* ---- trimming ---- */

/* Which letters go; NULL as `call`: white space. */
struct cutset {
    struct rego_call *call;
    struct str text;
    bool ascii[128]; /* what is asked for most: known without looking */
    bool fatal;
};

static bool cut(struct cutset *c, uint32_t rune)
{
    if (c->call == NULL)
        return unicode_is_space(rune);
    if (rune < ARRAY_LEN(c->ascii))
        return c->ascii[rune];
    if (c->fatal || !charge_bytes(c->call, c->text.len)) {
        c->fatal = true;
        return false;
    }
    for (size_t at = 0; at < c->text.len;) {
        uint32_t one;
        at += rune_at(c->text, at, &one);
        if (one == rune)
            return true;
    }
    return false;
}

static struct str trim_left(struct str s, struct cutset *cutset)
{
    uint32_t rune;
    while (s.len > 0) {
        size_t n = rune_at(s, 0, &rune);
        if (!cut(cutset, rune))
            break;
        s = str_from(s, n);
    }
    return s;
}

/* Bytes of the last code point of `s`, which is not empty. */
static size_t last_rune(struct str s, uint32_t *rune)
{
    for (size_t n = s.len < 4 ? s.len : 4; n > 1; n--)
        if (utf8_decode(str_from(s, s.len - n), rune) == n)
            return n;
    return rune_at(s, s.len - 1, rune);
}

static struct str trim_right(struct str s, struct cutset *cutset)
{
    uint32_t rune;
    while (s.len > 0) {
        size_t n = last_rune(s, &rune);
        if (!cut(cutset, rune))
            break;
        s.len -= n;
    }
    return s;
}

static enum rego_outcome trim(struct rego_call *call, const value *args, bool left, bool right,
                              value *out)
{
    struct str s = STR_EMPTY;
    struct cutset cutset = {.call = call};
    if (!arg_string2(call, args, &s, &cutset.text))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len + cutset.text.len))
        return REGO_FATAL;
    for (size_t i = 0; i < cutset.text.len; i++) {
        unsigned char c = (unsigned char)cutset.text.ptr[i];
        if (c < ARRAY_LEN(cutset.ascii))
            cutset.ascii[c] = true;
    }
    struct str t = left ? trim_left(s, &cutset) : s;
    t = right ? trim_right(t, &cutset) : t;
    return cutset.fatal ? REGO_FATAL : give_str(call, t, out);
}

enum rego_outcome builtin_trim(struct rego_call *call, const value *args, value *out)
{
    return trim(call, args, true, true, out);
}

enum rego_outcome builtin_trim_left(struct rego_call *call, const value *args, value *out)
{
    return trim(call, args, true, false, out);
}

enum rego_outcome builtin_trim_right(struct rego_call *call, const value *args, value *out)
{
    return trim(call, args, false, true, out);
}

enum rego_outcome builtin_trim_space(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    struct cutset space = {.call = NULL};
    return give_str(call, trim_right(trim_left(s, &space), &space), out);
}

enum rego_outcome builtin_trim_prefix(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str prefix = STR_EMPTY;
    if (!arg_string2(call, args, &s, &prefix))
        return REGO_FAILED;
    return give_str(call, str_has_prefix(s, prefix) ? str_from(s, prefix.len) : s, out);
}

enum rego_outcome builtin_trim_suffix(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    struct str suffix = STR_EMPTY;
    if (!arg_string2(call, args, &s, &suffix))
        return REGO_FAILED;
    return give_str(call, str_has_suffix(s, suffix) ? str_slice(s, 0, s.len - suffix.len) : s, out);
}

/* ---- templates ---- */

static void replace_all(struct buf *out, struct str s, struct str old, struct str new)
{
    size_t at = 0;
    for (size_t hit; (hit = text_find(s, old, at)) != SIZE_MAX; at = hit + old.len) {
        buf_add(out, str_slice(s, at, hit - at));
        buf_add(out, new);
    }
    buf_add(out, str_from(s, at));
}

enum rego_outcome builtin_strings_render_template(struct rego_call *call, const value *args,
                                                  value *out)
{
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text) || !arg_kind(call, args, 2, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    CLEANUP(buf_done) struct buf rendered;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &rendered);
    output_init(call, &b);
    enum rego_outcome o = template_render(call, text, args[1], &rendered);
    if (o != REGO_VALUE)
        return o;
    if (buf_status(&rendered) != OK)
        return give_buf(call, &rendered, out);
    replace_all(&b, buf_str(&rendered), STR("<no value>"), STR("<undefined>"));
    return charge_bytes(call, b.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

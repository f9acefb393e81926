/* Regular expressions: rego.md 6.6; regex.globs_match is in builtins_glob.c. */
#include "rego/builtins_internal.h"
#include "rego/regex.h"
#include "rego/schema_internal.h"
#include "rego/unicode.h"

/* Expressions with more groups than this are refused: each match reports all of them. */
#define GROUPS_MAX 1000

static void destroy_regex(void *object)
{
    regex_unref(object);
}

/* From the cache, by pattern.  REGO_VALUE, or the error was reported. */
static enum rego_outcome get_regex(struct rego_call *call, struct str pattern,
                                   const struct regex **out)
{
    *out = rego_call_cache_get(call, "regex", pattern);
    if (*out != NULL)
        return REGO_VALUE;
    if (!rego_call_charge(call, 100 + pattern.len))
        return REGO_FATAL;
    CLEANUP(regex_cleanup) struct regex *re = NULL;
    struct error err = ERROR_INIT;
    enum status st = regex_new(pattern, &re, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    if (regex_groups(re) > GROUPS_MAX)
        return rego_call_error(call, "error parsing regexp: more than %d groups", GROUPS_MAX);
    if (!rego_call_charge(call, regex_size(re) / 8))
        return REGO_FATAL;
    if (!rego_call_cache_put(call, "regex", pattern, re, destroy_regex))
        return rego_call_status(call, ERR_NOMEM, NULL);
    *out = TAKE(re);
    return REGO_VALUE;
}

enum rego_outcome schema_regex(struct rego_call *call, struct str pattern, const struct regex **out)
{
    return get_regex(call, pattern, out);
}

#define NS_PER_INSTRUCTION 4 /* and byte, with an automaton that has no cache; 3.1 measured */

/*
 * Pays for one search in `len` bytes.  The automaton usually needs one step
 * for each byte; when its cache overflows, one for each byte and instruction.
 */
static bool charge_search(struct rego_call *call, const struct regex *re, size_t len,
                          size_t bytes_per_unit)
{
    size_t size = regex_size(re);
    uint64_t worst = (uint64_t)len * size;
    return rego_call_charge_whole(call, 1 + worst / bytes_per_unit, worst * NS_PER_INSTRUCTION);
}

/* ---- all matches ---- */

struct search {
    struct rego_call *call;
    const struct regex *re;
    struct str text;
    size_t at;
    size_t last_end; /* of the previous match; SIZE_MAX: none */
    struct re2_span *spans;
    size_t span_count;
};

/* `groups`: report them, too. */
static enum rego_outcome search_begin(struct search *s, struct rego_call *call,
                                      const struct regex *re, struct str text, bool groups)
{
    *s = (struct search){.call = call, .re = re, .text = text, .last_end = SIZE_MAX};
    s->span_count = groups ? regex_groups(re) + 1 : 1;
    s->spans = arena_new_array(rego_call_arena(call), struct re2_span, s->span_count);
    if (s->spans == NULL)
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    return charge_search(call, re, text.len, BYTES_PER_UNIT) ? REGO_VALUE : REGO_FATAL;
}

/*
 * The next match, in the order and with the exceptions of Go: an empty match
 * directly after another match does not count.  REGO_UNDEFINED at the end.
 */
static enum rego_outcome search_next(struct search *s)
{
    while (s->at <= s->text.len) {
        /* most searches end early; the deadline watches those that do not */
        if (!charge_search(s->call, s->re, s->text.len - s->at, 4096))
            return REGO_FATAL;
        if (!regex_match(s->re, s->text, s->at, s->spans, s->span_count))
            break;
        struct re2_span m = s->spans[0];
        bool accept = m.begin != m.end || m.begin != s->last_end;
        uint32_t rune;
        if (m.end == s->at)
            s->at += s->at < s->text.len ? rune_at(s->text, s->at, &rune) : 1;
        else
            s->at = m.end;
        s->last_end = m.end;
        if (accept)
            return REGO_VALUE;
    }
    return REGO_UNDEFINED;
}

static struct str spanned(const struct search *s, size_t group)
{
    struct re2_span m = s->spans[group];
    return m.begin == SIZE_MAX ? STR_EMPTY : str_slice(s->text, m.begin, m.end - m.begin);
}

/* Pattern and text as operands 1 and 2. */
static enum rego_outcome args_regex(struct rego_call *call, const value *args,
                                    const struct regex **re, struct str *text)
{
    struct str pattern = STR_EMPTY;
    if (!arg_string(call, args, 1, &pattern) || !arg_string(call, args, 2, text))
        return REGO_FAILED;
    return get_regex(call, pattern, re);
}

enum rego_outcome builtin_regex_match(struct rego_call *call, const value *args, value *out)
{
    const struct regex *re = NULL;
    struct str text = STR_EMPTY;
    enum rego_outcome o = args_regex(call, args, &re, &text);
    if (o != REGO_VALUE)
        return o;
    if (!charge_search(call, re, text.len, BYTES_PER_UNIT))
        return REGO_FATAL;
    return give_bool(regex_match(re, text, 0, NULL, 0), out);
}

enum rego_outcome builtin_regex_is_valid(struct rego_call *call, const value *args, value *out)
{
    if (!value_is_string(args[0]))
        return give_bool(false, out);
    struct str pattern = value_str(args[0]);
    if (!rego_call_charge(call, 100 + pattern.len))
        return REGO_FATAL;
    CLEANUP(regex_cleanup) struct regex *re = NULL;
    struct error err = ERROR_INIT;
    enum status st = regex_new(pattern, &re, &err);
    if (st != OK && st != ERR_INVALID)
        return rego_call_status(call, st, &err);
    return give_bool(st == OK, out);
}

static value groups_of(const struct search *s)
{
    struct arena *a = rego_call_arena(s->call);
    struct value_builder b;
    value_builder_init(&b, a, s->span_count);
    for (size_t i = 0; i < s->span_count; i++)
        value_builder_add(&b, value_string(a, spanned(s, i)));
    return value_array_finish(&b);
}

static enum rego_outcome find(struct rego_call *call, const value *args, bool groups, value *out)
{
    const struct regex *re = NULL;
    struct str text = STR_EMPTY;
    int64_t max = 0;
    struct str pattern = STR_EMPTY;
    if (!arg_string(call, args, 1, &pattern) || !arg_string(call, args, 2, &text) ||
        !arg_int(call, args, 3, &max))
        return REGO_FAILED;
    struct search s;
    enum rego_outcome o = get_regex(call, pattern, &re);
    if (o == REGO_VALUE)
        o = search_begin(&s, call, re, text, groups);
    if (o != REGO_VALUE)
        return o;

    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), 0);
    while ((max < 0 || b.len < (uint64_t)max) && (o = search_next(&s)) == REGO_VALUE) {
        if (!charge_bytes(call, s.spans[0].end - s.spans[0].begin))
            return REGO_FATAL;
        value_builder_add(&b, groups ? groups_of(&s)
                                     : value_string(rego_call_arena(call), spanned(&s, 0)));
        if (b.failed)
            break;
    }
    return o == REGO_FATAL ? o : give(call, value_array_finish(&b), out);
}

enum rego_outcome builtin_regex_find_n(struct rego_call *call, const value *args, value *out)
{
    return find(call, args, false, out);
}

enum rego_outcome builtin_regex_find_all_string_submatch_n(struct rego_call *call,
                                                           const value *args, value *out)
{
    return find(call, args, true, out);
}

enum rego_outcome builtin_regex_split(struct rego_call *call, const value *args, value *out)
{
    const struct regex *re = NULL;
    struct str text = STR_EMPTY;
    struct search s;
    enum rego_outcome o = args_regex(call, args, &re, &text);
    if (o == REGO_VALUE)
        o = search_begin(&s, call, re, text, false);
    if (o != REGO_VALUE)
        return o;

    struct arena *a = rego_call_arena(call);
    struct value_builder b;
    value_builder_init(&b, a, 0);
    if (text.len == 0 && value_str(args[0]).len > 0) {
        value_builder_add(&b, args[1]);
        return give(call, value_array_finish(&b), out);
    }
    size_t begin = 0;
    size_t end = 0;
    while ((o = search_next(&s)) == REGO_VALUE && !b.failed) {
        end = s.spans[0].begin;
        if (s.spans[0].end != 0) /* no piece before an empty match at the very start */
            value_builder_add(&b, value_string(a, str_slice(text, begin, end - begin)));
        begin = s.spans[0].end;
    }
    if (o == REGO_FATAL)
        return o;
    if (end != text.len)
        value_builder_add(&b, value_string(a, str_from(text, begin)));
    return give(call, value_array_finish(&b), out);
}

/* ---- replace ---- */

/* ASCII only: Go would also take other letters, but no group can have such a name. */
static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/*
 * A reference after a "$": "name", "{name}" or "1".  Returns its length, 0 when
 * there is none; *name is without braces.
 */
static size_t reference(struct str s, struct str *name)
{
    bool brace = s.len > 0 && s.ptr[0] == '{';
    size_t at = brace;
    while (at < s.len && in_name(s.ptr[at]))
        at++;
    *name = str_slice(s, brace, at - brace);
    if (name->len == 0)
        return 0;
    if (!brace)
        return at;
    return at < s.len && s.ptr[at] == '}' ? at + 1 : 0;
}

/* Number of the group that a reference means; SIZE_MAX: none. */
static size_t group_of(const struct search *s, struct str name)
{
    size_t n = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9') {
            size_t index = regex_group_index(s->re, name);
            return index == 0 ? SIZE_MAX : index;
        }
        n = n < 100000000 ? n * 10 + (size_t)(name.ptr[i] - '0') : n;
    }
    if (name.len > 1 && name.ptr[0] == '0')
        return SIZE_MAX; /* "$01" is a name */
    return n < s->span_count ? n : SIZE_MAX;
}

/* Go's Regexp.Expand(). */
static void expand(struct buf *out, const struct search *s, struct str template)
{
    for (size_t at = 0; at < template.len && out->failed == OK;) {
        size_t dollar = str_find(template, '$', at);
        buf_add(out, str_slice(template, at, dollar - at));
        at = dollar + 1;
        if (dollar >= template.len)
            break;
        if (at < template.len && template.ptr[at] == '$') {
            buf_add_byte(out, '$');
            at++;
            continue;
        }
        struct str name;
        size_t n = reference(str_from(template, at), &name);
        if (n == 0) {
            buf_add_byte(out, '$'); /* malformed: a dollar sign as such */
            continue;
        }
        at += n;
        size_t group = group_of(s, name);
        if (group != SIZE_MAX)
            buf_add(out, spanned(s, group));
    }
}

enum rego_outcome builtin_regex_replace(struct rego_call *call, const value *args, value *out)
{
    struct str text = STR_EMPTY;
    struct str pattern = STR_EMPTY;
    struct str template = STR_EMPTY;
    const struct regex *re = NULL;
    struct search s;
    if (!arg_string(call, args, 1, &text) || !arg_string(call, args, 2, &pattern) ||
        !arg_string(call, args, 3, &template))
        return REGO_FAILED;
    enum rego_outcome o = get_regex(call, pattern, &re);
    if (o == REGO_VALUE)
        o = search_begin(&s, call, re, text, true);
    if (o != REGO_VALUE)
        return o;

    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    size_t last = 0;
    while (b.failed == OK && (o = search_next(&s)) == REGO_VALUE) {
        size_t before = b.len;
        buf_add(&b, str_slice(text, last, s.spans[0].begin - last));
        expand(&b, &s, template);
        last = s.spans[0].end;
        if (!charge_bytes(call, template.len + b.len - before))
            return REGO_FATAL;
    }
    if (o == REGO_FATAL)
        return o;
    buf_add(&b, str_from(text, last));
    return give_buf(call, &b, out);
}

/* ---- regex.template_match ---- */

/* Go's regexp.QuoteMeta(). */
static void quote_meta(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '\0' && strchr("\\.+*?()|[]{}^$", s.ptr[i]) != NULL)
            buf_add_byte(out, '\\');
        buf_add_byte(out, s.ptr[i]);
    }
}

/* A part must be valid by itself, too: "a)(b" is not. */
static enum rego_outcome check_part(struct rego_call *call, struct str part)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, REGEX_PATTERN_MAX + 2);
    buf_add_byte(&b, '^');
    buf_add(&b, part);
    buf_add_byte(&b, '$');
    const struct regex *re = NULL;
    return buf_status(&b) == OK ? get_regex(call, buf_str(&b), &re)
                                : rego_call_status(call, b.failed, NULL);
}

static enum rego_outcome unbalanced(struct rego_call *call, struct str template)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    unicode_quote(&b, template);
    worked(rego_call_arena(call), buf_status(&b));
    return rego_call_error(call, "unbalanced braces in %.*s", STR_ARG(buf_str(&b)));
}

/* The template as one anchored expression: each delimited part becomes a group. */
static enum rego_outcome template_pattern(struct rego_call *call, struct str template, char open,
                                          char close, struct buf *out)
{
    size_t level = 0;
    size_t start = 0; /* of the delimited part */
    size_t end = 0;   /* of the part before */
    buf_add_byte(out, '^');
    for (size_t i = 0; i < template.len; i++) {
        char c = template.ptr[i];
        if (c == open) {
            if (level++ == 0)
                start = i;
        } else if (c == close) {
            if (level == 0)
                return unbalanced(call, template);
            if (--level > 0)
                continue;
            quote_meta(out, str_slice(template, end, start - end));
            struct str inner = str_slice(template, start + 1, i - start - 1);
            enum rego_outcome o = check_part(call, inner);
            if (o != REGO_VALUE)
                return o;
            buf_add_byte(out, '(');
            buf_add(out, inner);
            buf_add_byte(out, ')');
            end = i + 1;
        }
    }
    if (level != 0)
        return unbalanced(call, template);
    quote_meta(out, str_from(template, end));
    buf_add_byte(out, '$');
    return buf_status(out) == OK ? REGO_VALUE : rego_call_status(call, out->failed, NULL);
}

enum rego_outcome builtin_regex_template_match(struct rego_call *call, const value *args,
                                               value *out)
{
    struct str parts[4];
    for (unsigned i = 0; i < 4; i++)
        if (!arg_string(call, args, i + 1, &parts[i]))
            return REGO_FAILED;
    if (parts[2].len != 1)
        return rego_call_error(
            call, "start delimiter has to be exactly one character long but is %zu long",
            parts[2].len);
    if (parts[3].len != 1)
        return rego_call_error(call,
                               "end delimiter has to be exactly one character long but is %zu long",
                               parts[2].len);
    if (!charge_bytes(call, parts[0].len * 8))
        return REGO_FATAL;

    CLEANUP(buf_done) struct buf pattern;
    buf_init(&pattern, 4 * REGEX_PATTERN_MAX);
    const struct regex *re = NULL;
    enum rego_outcome o =
        template_pattern(call, parts[0], parts[2].ptr[0], parts[3].ptr[0], &pattern);
    if (o == REGO_VALUE)
        o = get_regex(call, buf_str(&pattern), &re);
    if (o != REGO_VALUE)
        return o;
    if (!charge_search(call, re, parts[1].len, BYTES_PER_UNIT))
        return REGO_FATAL;
    return give_bool(regex_match(re, parts[1], 0, NULL, 0), out);
}

/* glob.match, glob.quote_meta (rego.md 6.7) and regex.globs_match (6.6). */
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "rego/builtins_internal.h"
#include "rego/glob.h"

#define DELIMITERS_MAX 64

/* null: none; an empty array: "."; else strings of one code point. */
static enum rego_outcome arg_delimiters(struct rego_call *call, const value *args,
                                        uint32_t delimiters[DELIMITERS_MAX], size_t *count)
{
    value v = args[1];
    *count = 0;
    if (value_kind(v) == VALUE_KIND_NULL)
        return REGO_VALUE;
    if (!value_is_array(v))
        return rego_call_type_text(call, "operand 2 must be one of {array, null} but got %s",
                                   value_kind_name(value_kind(v)));
    if (value_len(v) > DELIMITERS_MAX)
        return rego_call_error(call, "more than %d delimiters", DELIMITERS_MAX);
    for (size_t i = 0; i < value_len(v); i++) {
        value item = value_items(v)[i];
        struct str s = value_str(item);
        uint32_t rune;
        if (!value_is_string(item))
            return element_error(call, 2, v, item, "string");
        if (s.len == 0 || rune_at(s, 0, &rune) != s.len)
            return element_error(call, 2, v, item, "rune");
        delimiters[(*count)++] = rune;
    }
    if (*count == 0)
        delimiters[(*count)++] = '.';
    return REGO_VALUE;
}

static void destroy_glob(void *object)
{
    glob_free(object);
}

/* From the cache, under the pattern and its delimiters. */
static enum rego_outcome get_glob(struct rego_call *call, struct str pattern,
                                  const uint32_t *delimiters, size_t count, const struct glob **out)
{
    CLEANUP(buf_done) struct buf key;
    buf_init(&key, GLOB_PATTERN_MAX + DELIMITERS_MAX * sizeof(*delimiters) + 1);
    buf_add(&key, str_bytes(delimiters, count * sizeof(*delimiters)));
    buf_add_byte(&key, (char)count);
    buf_add(&key, pattern);
    if (key.failed == ERR_LIMIT)
        return rego_call_error(call, "pattern is longer than %d bytes", GLOB_PATTERN_MAX);
    if (key.failed != OK)
        return rego_call_status(call, key.failed, NULL);
    *out = rego_call_cache_get(call, "glob", buf_str(&key));
    if (*out != NULL)
        return REGO_VALUE;

    if (!rego_call_charge(call, 1 + pattern.len))
        return REGO_FATAL;
    CLEANUP(glob_cleanup) struct glob *g = NULL;
    struct error err = ERROR_INIT;
    enum status st = glob_compile(pattern, delimiters, count, &g, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    if (!rego_call_cache_put(call, "glob", buf_str(&key), g, destroy_glob))
        return rego_call_status(call, ERR_NOMEM, NULL);
    *out = TAKE(g);
    return REGO_VALUE;
}

static bool may_go_on(void *user)
{
    return rego_call_charge(user, GLOB_WATCH_STATES / 16);
}

enum rego_outcome builtin_glob_match(struct rego_call *call, const value *args, value *out)
{
    struct str pattern = STR_EMPTY;
    struct str text = STR_EMPTY;
    uint32_t delimiters[DELIMITERS_MAX];
    size_t count = 0;
    if (!arg_string(call, args, 1, &pattern))
        return REGO_FAILED;
    enum rego_outcome o = arg_delimiters(call, args, delimiters, &count);
    if (o != REGO_VALUE)
        return o;
    if (!arg_string(call, args, 3, &text))
        return REGO_FAILED;

    const struct glob *g = NULL;
    o = get_glob(call, pattern, delimiters, count, &g);
    if (o != REGO_VALUE)
        return o;
    if (!rego_call_charge(call, 1 + text.len / 16))
        return REGO_FATAL;
    bool matches = false;
    struct glob_watch watch = {may_go_on, call};
    enum status st = glob_match(g, text, &watch, &matches);
    if (st == ERR_CANCELLED)
        return REGO_FATAL;
    return st == OK ? give_bool(matches, out) : rego_call_status(call, st, NULL);
}

enum rego_outcome builtin_glob_quote_meta(struct rego_call *call, const value *args, value *out)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '\0' && strchr("*?\\[]{}", s.ptr[i]) != NULL)
            buf_add_byte(&b, '\\');
        buf_add_byte(&b, s.ptr[i]);
    }
    return charge_bytes(call, s.len) ? give_buf(call, &b, out) : REGO_FATAL;
}

/* ---- regex.globs_match ---- */

/* Ranges of code points: a character is one of length 1, "." is everything. */
struct span {
    uint32_t lo, hi;
};

struct token {
    size_t first, count; /* spans */
    bool repeats;        /* stays possible after it was taken */
    bool optional;       /* may be passed over; x+ is x followed by x* */
};

struct simple_pattern {
    struct token *tokens;
    size_t len;
    struct span *spans;
    size_t span_count;
};

struct tokenizer {
    struct rego_call *call;
    struct str text;
    size_t at;
    size_t pos; /* code points before `at`, for messages */
    struct simple_pattern *p;
};

static enum rego_outcome bad_input(struct tokenizer *t, size_t pos, const char *detail)
{
    return rego_call_error(t->call, "input:%s, pos:%zu, %s: the input provided is invalid",
                           shown(t->call, t->text), pos, detail);
}

static enum rego_outcome out_of_order(struct tokenizer *t, uint32_t lo, uint32_t hi)
{
    char a[4];
    char b[4];
    char detail[80];
    int n = (int)utf8_encode(lo, a);
    int m = (int)utf8_encode(hi, b);
    snprintf(detail, sizeof(detail), "range is out of order: '%.*s' comes before '%.*s' in Unicode",
             m, b, n, a);
    return bad_input(t, t->pos, detail);
}

static bool at_end(const struct tokenizer *t)
{
    return t->at >= t->text.len;
}

/* One code point, a backslash quotes the next. */
static enum rego_outcome next_rune(struct tokenizer *t, uint32_t *rune, bool *escaped)
{
    t->at += rune_at(t->text, t->at, rune);
    t->pos++;
    *escaped = *rune == '\\';
    if (!*escaped)
        return REGO_VALUE;
    if (at_end(t))
        return bad_input(t, t->pos - 1, "input ends with a \\ (escape) character");
    t->at += rune_at(t->text, t->at, rune);
    t->pos++;
    return REGO_VALUE;
}

static void add_span(struct tokenizer *t, uint32_t lo, uint32_t hi)
{
    t->p->spans[t->p->span_count++] = (struct span){lo, hi};
}

/* The upper end of a range inside of a set; `prev` has been added as a character already. */
static enum rego_outcome range_end(struct tokenizer *t, uint32_t prev, bool have_prev)
{
    if (!have_prev)
        return bad_input(t, t->pos, "range character '-' must be preceded by a Unicode character");
    uint32_t rune;
    bool escaped;
    size_t rest = rune_count(str_from(t->text, t->at));
    if (rest <= 1)
        return bad_input(t, t->pos, "range character '-' must be followed by a Unicode character");
    enum rego_outcome o = next_rune(t, &rune, &escaped);
    if (o != REGO_VALUE)
        return o;
    if (!escaped && (rune == ']' || rune == '-'))
        return bad_input(t, t->pos, "range character '-' cannot be followed by a special symbol");
    if (rune < prev)
        return out_of_order(t, prev, rune);
    add_span(t, prev, rune);
    return REGO_VALUE;
}

static enum rego_outcome read_set(struct tokenizer *t)
{
    uint32_t prev = 0;
    bool have_prev = false;
    while (!at_end(t)) {
        if (!rego_call_charge(t->call, 1))
            return REGO_FATAL;
        uint32_t rune;
        bool escaped;
        enum rego_outcome o = next_rune(t, &rune, &escaped);
        if (o != REGO_VALUE)
            return o;
        if (!escaped && rune == ']')
            return REGO_VALUE;
        if (!escaped && rune == '-') {
            o = range_end(t, prev, have_prev);
            if (o != REGO_VALUE)
                return o;
            have_prev = false;
            continue;
        }
        add_span(t, rune, rune);
        prev = rune;
        have_prev = true;
    }
    return bad_input(t, t->pos, "found [ without matching ]");
}

static enum rego_outcome read_token(struct tokenizer *t)
{
    uint32_t rune;
    bool escaped;
    enum rego_outcome o = next_rune(t, &rune, &escaped);
    if (o != REGO_VALUE)
        return o;
    struct token token = {.first = t->p->span_count};
    if (!escaped && rune == '.')
        add_span(t, 0, UINT32_MAX);
    else if (!escaped && rune == ']')
        return bad_input(t, t->pos, "set-close ']' with no preceding '['");
    else if (!escaped && rune == '[')
        o = read_set(t);
    else if (!escaped && (rune == '+' || rune == '*'))
        return bad_input(t, t->pos,
                         rune == '+' ? "flag '+' must be preceded by a non-flag"
                                     : "flag '*' must be preceded by a non-flag");
    else
        add_span(t, rune, rune);
    if (o != REGO_VALUE)
        return o;

    token.count = t->p->span_count - token.first;
    bool plus = !at_end(t) && t->text.ptr[t->at] == '+';
    bool star = !at_end(t) && t->text.ptr[t->at] == '*';
    if (plus)
        t->p->tokens[t->p->len++] = token;
    token.repeats = token.optional = plus || star;
    t->p->tokens[t->p->len++] = token;
    t->at += plus || star;
    t->pos += plus || star;
    return REGO_VALUE;
}

static enum rego_outcome read_pattern(struct rego_call *call, struct str text,
                                      struct simple_pattern *p)
{
    struct arena *a = rego_call_arena(call);
    *p = (struct simple_pattern){.tokens = arena_new_array(a, struct token, text.len + 1),
                                 .spans = arena_new_array(a, struct span, text.len + 1)};
    if (p->tokens == NULL || p->spans == NULL)
        return rego_call_status(call, arena_status(a), NULL);
    struct tokenizer t = {call, text, 0, 0, p};
    while (!at_end(&t)) {
        enum rego_outcome o = read_token(&t);
        if (o != REGO_VALUE)
            return o;
    }
    return rego_call_charge(call, 1 + text.len) ? REGO_VALUE : REGO_FATAL;
}

/* Some code point is in both; *work counts comparisons. */
static bool overlap(const struct simple_pattern *p, size_t i, const struct simple_pattern *q,
                    size_t j, uint64_t *work)
{
    const struct token *x = &p->tokens[i];
    const struct token *y = &q->tokens[j];
    for (size_t m = 0; m < x->count; m++) {
        for (size_t n = 0; n < y->count; n++) {
            const struct span *s = &p->spans[x->first + m];
            const struct span *u = &q->spans[y->first + n];
            (*work)++;
            if (s->lo <= u->hi && u->lo <= s->hi)
                return true;
        }
    }
    return false;
}

/*
 * Which pairs of positions can be reached by a common text, with (bit 2) or
 * without (bit 1) a character in it; a step goes right or down only, so one
 * pass in row order suffices.
 */
static enum rego_outcome intersect(struct rego_call *call, const struct simple_pattern *p,
                                   const struct simple_pattern *q, bool *out)
{
    size_t columns = q->len + 1;
    size_t cells =
        (p->len + 1) * columns; /* two texts within the output limit: far from overflow */
    if (!rego_call_charge(call, cells))
        return REGO_FATAL;
    uint8_t *reached = arena_new_array(rego_call_arena(call), uint8_t, cells);
    if (reached == NULL)
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    reached[0] = 1;
    for (size_t i = 0; i <= p->len; i++) {
        uint64_t work = 0;
        for (size_t j = 0; j <= q->len; j++) {
            uint8_t *here = &reached[i * columns + j];
            if (*here == 0)
                continue;
            bool both = i < p->len && j < q->len && overlap(p, i, q, j, &work);
            if (both && p->tokens[i].repeats && q->tokens[j].repeats)
                *here |= 2;
            if (i < p->len && p->tokens[i].optional)
                here[columns] |= *here;
            if (j < q->len && q->tokens[j].optional)
                here[1] |= *here;
            if (!both)
                continue;
            if (q->tokens[j].repeats)
                here[columns] |= 2;
            if (p->tokens[i].repeats)
                here[1] |= 2;
            here[columns + 1] |= 2;
        }
        if (!rego_call_charge(call, work))
            return REGO_FATAL;
    }
    /* two empty patterns match nothing but the empty text; the original counts that */
    *out = (reached[cells - 1] & 2) != 0 || cells == 1;
    return REGO_VALUE;
}

enum rego_outcome builtin_regex_globs_match(struct rego_call *call, const value *args, value *out)
{
    struct str a = STR_EMPTY;
    struct str b = STR_EMPTY;
    if (!arg_string(call, args, 1, &a) || !arg_string(call, args, 2, &b))
        return REGO_FAILED;
    struct simple_pattern p;
    struct simple_pattern q;
    enum rego_outcome o = read_pattern(call, a, &p);
    if (o == REGO_VALUE)
        o = read_pattern(call, b, &q);
    bool result = false;
    if (o == REGO_VALUE)
        o = intersect(call, &p, &q, &result);
    return o == REGO_VALUE ? give_bool(result, out) : o;
}

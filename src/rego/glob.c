#include "rego/glob.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "rego/builtins_internal.h"

/*
 * Instructions; `next` is where to go on.
 *
 *   CHAR a        one code point, a
 *   RANGE a b     one code point from a to b; NOT_RANGE: outside
 *   LIST          one code point of the next `a` CHARs after this one; NOT_LIST: none of them
 *   SINGLE        one code point that is no delimiter
 *   ANY           any code point, stays here (for **)
 *   ANY_NO_DELIM  a code point that is no delimiter, stays here (for *)
 *   SPLIT a       goes on at `next` and at `a`, takes nothing
 *   JUMP          goes on at `next`, takes nothing
 *   MATCH         the end
 */
enum op { CHAR, RANGE, NOT_RANGE, LIST, NOT_LIST, SINGLE, ANY, ANY_NO_DELIM, SPLIT, JUMP, MATCH };

struct inst {
    enum op op;
    uint32_t a, b;
    uint32_t next;
};

struct glob {
    struct inst *code;
    size_t len, cap;
    uint32_t *delimiters;
    size_t delimiter_count;
};

struct parser {
    struct glob *g;
    struct str text;
    size_t at;
    struct error *err;
};

struct glob *glob_free(struct glob *g)
{
    if (g != NULL) {
        free(g->code);
        free(g->delimiters);
        free(g);
    }
    return NULL;
}

size_t glob_size(const struct glob *g)
{
    return g->len;
}

/* ---- compiling ---- */

/* Every instruction goes on at the one after it until told otherwise. */
static enum status emit(struct parser *p, enum op op, uint32_t a, uint32_t b)
{
    struct glob *g = p->g;
    if (g->len == g->cap) {
        size_t cap = g->cap == 0 ? 32 : g->cap * 2;
        struct inst *code = realloc(g->code, cap * sizeof(*code));
        if (code == NULL)
            return error_nomem(p->err);
        g->code = code;
        g->cap = cap;
    }
    g->code[g->len] = (struct inst){op, a, b, (uint32_t)g->len + 1};
    g->len++;
    return OK;
}

static bool peek(const struct parser *p, char c)
{
    return p->at < p->text.len && p->text.ptr[p->at] == c;
}

static uint32_t take_rune(struct parser *p)
{
    uint32_t rune;
    p->at += rune_at(p->text, p->at, &rune);
    return rune;
}

static enum status invalid(struct parser *p, const char *text)
{
    error_set(p->err, "%s", text);
    return ERR_INVALID;
}

/* The characters of a list, up to the closing bracket; a backslash quotes the next one. */
static enum status parse_list(struct parser *p, bool not )
{
    size_t head = p->g->len;
    enum status st = emit(p, not ? NOT_LIST : LIST, 0, 0);
    while (st == OK && p->at < p->text.len && !peek(p, ']')) {
        if (peek(p, '\\') && ++p->at == p->text.len)
            break;
        st = emit(p, CHAR, take_rune(p), 0);
    }
    if (st != OK)
        return st;
    size_t count = p->g->len - head - 1;
    if (p->at == p->text.len)
        return invalid(p, "unexpected end of input");
    if (count == 0)
        return invalid(p, "could not parse range");
    p->at++;
    p->g->code[head].a = (uint32_t)count;
    p->g->code[head].next = (uint32_t)p->g->len;
    return OK;
}

static enum status bad_range(struct parser *p, uint32_t lo, uint32_t hi)
{
    char a[4];
    char b[4];
    int n = (int)utf8_encode(lo, a);
    int m = (int)utf8_encode(hi, b);
    error_set(p->err, "hi character '%.*s' should be greater than lo '%.*s'", m, b, n, a);
    return ERR_INVALID;
}

/* From after the opening bracket: one range "a-z", or else a list. */
static enum status parse_brackets(struct parser *p)
{
    bool not = peek(p, '!');
    p->at += not ;
    if (p->at == p->text.len)
        return invalid(p, "unexpected end of input");

    size_t start = p->at;
    uint32_t lo = take_rune(p);
    if (!peek(p, '-')) {
        p->at = start;
        return parse_list(p, not );
    }
    p->at++;
    if (p->at == p->text.len)
        return invalid(p, "unexpected end of input");
    uint32_t hi = take_rune(p);
    if (p->at == p->text.len)
        return invalid(p, "unexpected end of input");
    if (!peek(p, ']'))
        return invalid(p, "expected close range character");
    p->at++;
    if (hi < lo)
        return bad_range(p, lo, hi);
    return emit(p, not ? NOT_RANGE : RANGE, lo, hi);
}

static enum status parse_sequence(struct parser *p, unsigned depth);

/*
 * From after the opening brace.  Each alternative but the last is
 *
 *   SPLIT (next alternative)  ...  JUMP (end)
 *
 * A brace that is never closed is an error, since OPA 1.22.
 */
static enum status parse_alternatives(struct parser *p, unsigned depth)
{
    size_t first_jump = SIZE_MAX; /* jumps to the end, linked through `next` until it is known */
    enum status st = OK;
    for (;;) {
        size_t split = p->g->len;
        st = emit(p, SPLIT, 0, 0);
        if (st == OK)
            st = parse_sequence(p, depth);
        if (st != OK)
            return st;
        bool more = peek(p, ',');
        if (p->at == p->text.len) {
            error_set(p->err, "unclosed `{`");
            return ERR_INVALID;
        }
        p->at++;
        if (!more) {
            p->g->code[split].op = JUMP;
            break;
        }
        size_t jump = p->g->len;
        st = emit(p, JUMP, 0, 0);
        if (st != OK)
            return st;
        p->g->code[jump].b = first_jump == SIZE_MAX ? UINT32_MAX : (uint32_t)first_jump;
        first_jump = jump;
        p->g->code[split].a = (uint32_t)p->g->len;
    }
    for (size_t j = first_jump; j != SIZE_MAX;) {
        size_t following = p->g->code[j].b == UINT32_MAX ? SIZE_MAX : p->g->code[j].b;
        p->g->code[j].next = (uint32_t)p->g->len;
        j = following;
    }
    return OK;
}

/* A star may take nothing: SPLIT leads over it, and it leads to itself. */
static enum status parse_star(struct parser *p)
{
    bool twice = peek(p, '*');
    p->at += twice;
    size_t split = p->g->len;
    enum status st = emit(p, SPLIT, 0, 0);
    if (st == OK)
        st = emit(p, twice ? ANY : ANY_NO_DELIM, 0, 0);
    if (st != OK)
        return st;
    p->g->code[split].a = (uint32_t)p->g->len;
    p->g->code[split + 1].next = (uint32_t)split;
    return OK;
}

/* Up to the end of the text or, inside of braces, to a comma or the closing brace. */
static enum status parse_sequence(struct parser *p, unsigned depth)
{
    enum status st = OK;
    while (st == OK && p->at < p->text.len) {
        if (depth > 0 && (peek(p, ',') || peek(p, '}')))
            return OK;
        uint32_t rune = take_rune(p);
        switch (rune) {
        case '*':
            st = parse_star(p);
            break;
        case '?':
            st = emit(p, SINGLE, 0, 0);
            break;
        case '[':
            st = parse_brackets(p);
            break;
        case '{':
            if (depth == GLOB_DEPTH_MAX) {
                error_set(p->err, "alternatives nest deeper than %d", GLOB_DEPTH_MAX);
                return ERR_INVALID;
            }
            st = parse_alternatives(p, depth + 1);
            break;
        case '\\':
            if (p->at == p->text.len) {
                error_set(p->err, "trailing backslash");
                return ERR_INVALID;
            }
            st = emit(p, CHAR, take_rune(p), 0);
            break;
        default:
            st = emit(p, CHAR, rune, 0);
            break;
        }
    }
    return st;
}

STATUS glob_compile(struct str pattern, const uint32_t *delimiters, size_t delimiter_count,
                    struct glob **out, struct error *err)
{
    if (pattern.len > GLOB_PATTERN_MAX) {
        error_set(err, "pattern is longer than %d bytes", GLOB_PATTERN_MAX);
        return ERR_INVALID;
    }
    CLEANUP(glob_cleanup) struct glob *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return error_nomem(err);
    g->delimiters = calloc(delimiter_count + 1, sizeof(*g->delimiters));
    if (g->delimiters == NULL)
        return error_nomem(err);
    for (size_t i = 0; i < delimiter_count; i++)
        g->delimiters[i] = delimiters[i];
    g->delimiter_count = delimiter_count;

    struct parser p = {g, pattern, 0, err};
    enum status st = parse_sequence(&p, 0);
    if (st == OK)
        st = emit(&p, MATCH, 0, 0);
    if (st != OK)
        return st;
    *out = TAKE(g);
    return OK;
}

/* ---- matching ---- */

/* States by number; `seen[i] == round` means that i is in the set. */
struct states {
    uint32_t *list;
    size_t len;
};

struct matcher {
    const struct glob *g;
    uint32_t *seen;
    uint32_t *stack;
    uint32_t round;
    struct states now, then;
};

/* Add a state and all that it leads to without taking anything. */
static void add_state(struct matcher *m, struct states *set, uint32_t state)
{
    size_t top = 0;
    m->stack[top++] = state;
    while (top > 0) {
        uint32_t s = m->stack[--top];
        if (m->seen[s] == m->round)
            continue;
        m->seen[s] = m->round;
        const struct inst *i = &m->g->code[s];
        if (i->op == SPLIT && m->seen[i->a] != m->round)
            m->stack[top++] = i->a;
        if (i->op == SPLIT || i->op == JUMP)
            m->stack[top++] = i->next;
        else
            set->list[set->len++] = s;
    }
}

static bool is_delimiter(const struct glob *g, uint32_t rune)
{
    for (size_t i = 0; i < g->delimiter_count; i++)
        if (g->delimiters[i] == rune)
            return true;
    return false;
}

static bool in_list(const struct inst *i, uint32_t rune)
{
    for (uint32_t n = 1; n <= i->a; n++)
        if (i[n].a == rune)
            return true;
    return false;
}

static bool takes(const struct glob *g, const struct inst *i, uint32_t rune)
{
    switch (i->op) {
    case CHAR:
        return rune == i->a;
    case RANGE:
        return rune >= i->a && rune <= i->b;
    case NOT_RANGE:
        return rune < i->a || rune > i->b;
    case LIST:
        return in_list(i, rune);
    case NOT_LIST:
        return !in_list(i, rune);
    case SINGLE:
    case ANY_NO_DELIM:
        return !is_delimiter(g, rune);
    case ANY:
        return true;
    default:
        return false;
    }
}

STATUS glob_match(const struct glob *g, struct str text, const struct glob_watch *watch, bool *out)
{
    /* seen, stack (each state is pushed at most twice), now, then */
    uint32_t *memory = calloc(g->len, 5 * sizeof(*memory));
    if (memory == NULL)
        return ERR_NOMEM;
    struct matcher m = {.g = g,
                        .seen = memory,
                        .stack = memory + g->len,
                        .round = 1,
                        .now = {memory + 3 * g->len, 0},
                        .then = {memory + 4 * g->len, 0}};
    add_state(&m, &m.now, 0);
    size_t work = 0;
    enum status st = OK;
    for (size_t at = 0; at < text.len && m.now.len > 0;) {
        uint32_t rune;
        at += rune_at(text, at, &rune);
        m.round++;
        m.then.len = 0;
        for (size_t i = 0; i < m.now.len; i++) {
            const struct inst *inst = &g->code[m.now.list[i]];
            if (takes(g, inst, rune))
                add_state(&m, &m.then, inst->next);
        }
        struct states swap = m.now;
        m.now = m.then;
        m.then = swap;
        work += 1 + m.now.len + m.then.len;
        if (work > GLOB_WATCH_STATES && watch != NULL) {
            work = 0;
            st = watch->go_on(watch->user) ? OK : ERR_CANCELLED;
            if (st != OK)
                break;
        }
    }
    bool matches = false;
    for (size_t i = 0; i < m.now.len; i++)
        matches = matches || g->code[m.now.list[i]].op == MATCH;
    free(memory);
    if (st == OK)
        *out = matches;
    return st;
}

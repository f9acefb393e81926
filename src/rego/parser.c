/*
 * Terms, literals and bodies.  The shape follows OPA's parser, because its
 * places to go back and its error texts are part of what users know.
 */
#include "rego/parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

/* ---- tokens ---- */

struct pos parser_pos(const struct parser *p)
{
    return p->s.tok.pos;
}

struct pos parser_span(const struct parser *p, struct pos from)
{
    from.end = p->s.last_end > from.off ? p->s.last_end : from.end;
    return from;
}

void parser_error(struct parser *p, struct pos pos, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);

    if (p->s.errors == p->errors_cap) {
        if (p->errors_cap >= 64)
            return;
        size_t cap = p->errors_cap == 0 ? 8 : p->errors_cap * 2;
        struct rego_error *items = arena_new_array(p->a, struct rego_error, cap);
        if (items == NULL) {
            p->failed = true;
            return;
        }
        if (p->s.errors > 0)
            memcpy(items, p->errors, p->s.errors * sizeof(*items));
        p->errors = items;
        p->errors_cap = cap;
    }
    p->errors[p->s.errors++] = (struct rego_error){
        .code = PARSE_ERROR,
        .message = arena_str(p->a, str_of(text)),
        .file = p->m->file,
        .row = pos.row,
        .col = pos.col,
    };
}

void parser_illegal(struct parser *p, const char *note)
{
    enum token t = p->s.tok.kind;
    if (t == TOK_ILLEGAL) {
        if (p->s.tok.error == NULL)
            parser_error(p, parser_pos(p), "illegal token");
        return;
    }
    const char *type = token_is_keyword(t) ? "keyword" : "token";
    if (note != NULL)
        parser_error(p, parser_pos(p), "unexpected %s %s: %s", token_name(t), type, note);
    else
        parser_error(p, parser_pos(p), "unexpected %s %s", token_name(t), type);
}

static void add_comment(struct parser *p, struct pos pos)
{
    struct module *m = p->m;
    /* Going back reads comments again. */
    if (m->comment_count > 0 && m->comments[m->comment_count - 1].pos.off >= pos.off)
        return;
    if (m->comment_count == m->comment_cap) {
        uint32_t cap = m->comment_cap == 0 ? 16 : m->comment_cap * 2;
        struct comment *items = arena_new_array(p->a, struct comment, cap);
        if (items == NULL) {
            p->failed = true;
            return;
        }
        if (m->comment_count > 0)
            memcpy(items, m->comments, m->comment_count * sizeof(*items));
        m->comments = items;
        m->comment_cap = cap;
    }
    m->comments[m->comment_count++].pos = pos;
}

static void scan(struct parser *p, bool skip_ws)
{
    if (p->s.tok.kind != TOK_WHITESPACE) {
        p->s.last_end = p->s.tok.pos.end;
        p->s.skipped_newline = false;
    }
    for (;;) {
        if (p->failed || p->tokens++ > p->tokens_max) {
            if (!p->failed)
                parser_error(p, parser_pos(p), "text is too ambiguous to parse");
            p->failed = true;
            p->s.tok.kind = TOK_EOF;
            return;
        }
        lexer_next(&p->s.lx, &p->s.tok);
        if (p->s.tok.error != NULL)
            parser_error(p, parser_pos(p), "%s", p->s.tok.error);
        if (p->s.tok.kind == TOK_WHITESPACE) {
            if (p->s.tok.lit.ptr[0] == '\n')
                p->s.skipped_newline = true;
            if (skip_ws)
                continue;
        }
        if (p->s.tok.kind != TOK_COMMENT)
            return;
        add_comment(p, p->s.tok.pos);
    }
}

void parser_scan(struct parser *p)
{
    scan(p, true);
}

void parser_scan_ws(struct parser *p)
{
    scan(p, false);
}

bool parser_at_keyword_ref(const struct parser *p)
{
    if (!token_is_keyword(p->s.tok.kind))
        return false;
    size_t at = p->s.tok.pos.end;
    return at < p->s.lx.text.len && (p->s.lx.text.ptr[at] == '.' || p->s.lx.text.ptr[at] == '[');
}

/* `in` as an operator; `in.x` on the next line begins a reference. */
static bool at_in(const struct parser *p)
{
    size_t at = p->s.tok.pos.end;
    return p->s.tok.kind == TOK_IN && !(at < p->s.lx.text.len && p->s.lx.text.ptr[at] == '.');
}

static bool at_with(const struct parser *p)
{
    return p->s.tok.kind == TOK_WITH && !parser_at_keyword_ref(p);
}

/* Every recursion of the grammar passes here. */
static bool enter(struct parser *p)
{
    if (++p->s.depth > AST_NESTING_MAX) {
        parser_error(p, parser_pos(p), "expression is nested too deeply");
        return false;
    }
    return !p->failed;
}

static void leave(struct parser *p)
{
    p->s.depth--;
}

static struct term *list(struct parser *p, enum term_kind kind, struct term **items, size_t len,
                         struct pos from)
{
    struct term *t = ast_list(p->a, kind, items, len, parser_span(p, from));
    if (t == NULL) {
        p->failed = true;
    } else if (t->depth > AST_DEPTH_MAX) {
        parser_error(p, from, "expression is nested too deeply");
        return NULL;
    }
    return t;
}

/* ---- growing lists of terms ---- */

struct terms {
    struct term **items;
    size_t len, cap;
    struct term *first[8];
};

static bool terms_add(struct parser *p, struct terms *l, struct term *t)
{
    if (l->items == NULL) {
        l->items = l->first;
        l->cap = ARRAY_LEN(l->first);
    }
    if (l->len == l->cap) {
        struct term **items = arena_new_array(p->a, struct term *, l->cap * 2);
        if (items == NULL) {
            p->failed = true;
            return false;
        }
        memcpy(items, l->items, l->len * sizeof(*items));
        l->items = items;
        l->cap *= 2;
    }
    l->items[l->len++] = t;
    return true;
}

/* ---- scalars ---- */

/* OPA refuses numbers whose binary exponent is past 100000: they cost too much to print. */
static bool is_number_small_enough(struct str s)
{
    long exponent = 0;
    long point = 0; /* digits before the point after the first that counts, or minus zeros after it */
    bool seen_point = false;
    bool seen_digit = false;
    int lead = 0;
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        if (ch == 'e' || ch == 'E') {
            bool negative = i + 1 < s.len && s.ptr[i + 1] == '-';
            for (size_t k = i + 1; k < s.len; k++)
                if (s.ptr[k] >= '0' && s.ptr[k] <= '9' && exponent < 100000000)
                    exponent = exponent * 10 + (s.ptr[k] - '0');
            if (negative)
                exponent = -exponent;
            break;
        }
        if (ch == '.') {
            seen_point = true;
        } else if (ch >= '0' && ch <= '9') {
            if (!seen_digit && ch != '0') {
                seen_digit = true;
                lead = ch - '0';
                if (seen_point)
                    point--;
            } else if (seen_digit && !seen_point) {
                point++;
            } else if (!seen_digit && seen_point) {
                point--;
            }
        }
    }
    if (!seen_digit)
        return true;
    static const double log2_of[] = {0, 0, 1, 1.585, 2, 2.322, 2.585, 2.807, 3, 3.17};
    double bits = log2_of[lead] + (double)(exponent + point) * 3.3219280948873623;
    return bits < 100000.0 && bits > -100001.0;
}

static struct term *parse_number(struct parser *p)
{
    struct pos pos = parser_pos(p);
    const char *sign = "";
    const char *point = "";
    if (p->s.tok.kind == TOK_SUB) {
        sign = "-";
        parser_scan(p);
        if (p->s.tok.kind != TOK_NUMBER && p->s.tok.kind != TOK_DOT) {
            parser_illegal(p, "expected number");
            return NULL;
        }
    }
    if (p->s.tok.kind == TOK_DOT) {
        point = "0.";
        parser_scan(p);
        if (p->s.tok.kind != TOK_NUMBER) {
            parser_illegal(p, "expected number");
            return NULL;
        }
    }
    struct str lit = p->s.tok.lit;
    if (point[0] == '\0' && lit.len > 1 && lit.ptr[0] == '0' && lit.ptr[1] != '.' && lit.ptr[1] != 'e' &&
        lit.ptr[1] != 'E') {
        parser_illegal(p, "expected number without leading zero");
        return NULL;
    }
    if (point[0] != '\0' && memchr(lit.ptr, '.', lit.len) != NULL) {
        parser_illegal(p, "invalid float");
        return NULL;
    }
    struct str text = arena_format(p->a, "%s%s%.*s", sign, point, STR_ARG(lit));
    if (text.ptr == NULL) {
        p->failed = true;
        return NULL;
    }
    if (!is_number_small_enough(text)) {
        parser_error(p, parser_pos(p), "number too big");
        return NULL;
    }
    pos.end = p->s.tok.pos.end;
    value v = value_number(p->a, text);
    struct term *t = ast_value(p->a, v, pos);
    if (t == NULL)
        p->failed = true;
    return t;
}

/* Four hex digits, or -1. */
static int32_t hex4(struct str s, size_t at)
{
    int32_t n = 0;
    for (size_t i = at; i < at + 4; i++) {
        char ch = i < s.len ? s.ptr[i] : '\0';
        int digit = ch >= '0' && ch <= '9'   ? ch - '0'
                    : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                    : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                             : -1;
        if (digit < 0)
            return -1;
        n = n << 4 | digit;
    }
    return n;
}

/* The \uXXXX at `at` (after "\u"), with the low surrogate that may follow; -1: malformed. */
static int32_t unescape_unicode(struct str s, size_t at, size_t *used)
{
    int32_t r = hex4(s, at);
    *used = 4;
    if (r < 0xd800 || r > 0xdfff)
        return r;
    if (r < 0xdc00 && at + 6 <= s.len && s.ptr[at + 4] == '\\' && s.ptr[at + 5] == 'u') {
        int32_t low = hex4(s, at + 6);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *used = 10;
            return 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

/*
 * Escapes of a JSON string; `extra` is one more character that may be escaped
 * ('{' in template strings) or 0.  False when malformed.
 */
static bool unescape(struct str s, char extra, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];
        if (ch < 0x20)
            return false;
        if (ch != '\\') {
            buf_add_byte(out, (char)ch);
            continue;
        }
        if (++i >= s.len)
            return false;
        static const char from[] = "\"\\/bfnrt";
        static const char to[] = "\"\\/\b\f\n\r\t";
        const char *simple = s.ptr[i] != '\0' ? strchr(from, s.ptr[i]) : NULL;
        if (simple != NULL) {
            buf_add_byte(out, to[simple - from]);
        } else if (extra != 0 && s.ptr[i] == extra) {
            buf_add_byte(out, extra);
        } else if (s.ptr[i] == 'u') {
            size_t used;
            int32_t r = unescape_unicode(s, i + 1, &used);
            char utf8[4];
            if (r < 0)
                return false;
            buf_add(out, str_bytes(utf8, utf8_encode((uint32_t)r, utf8)));
            i += used;
        } else {
            return false;
        }
    }
    return true;
}

static struct term *parse_string(struct parser *p)
{
    struct pos pos = parser_pos(p);
    struct str inner = str_slice(p->s.tok.lit, 1, p->s.tok.lit.len - 2);
    struct term *t = NULL;
    if (p->s.tok.kind == TOK_RAW || memchr(inner.ptr, '\\', inner.len) == NULL) {
        t = ast_string(p->a, inner, pos);
    } else {
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, inner.len + 1);
        if (!unescape(inner, 0, &text)) {
            parser_error(p, pos, "illegal string literal: %.*s", STR_ARG(str_slice(p->s.tok.lit, 0, 200)));
            return NULL;
        }
        if (buf_status(&text) == OK)
            t = ast_string(p->a, buf_str(&text), pos);
    }
    if (t == NULL)
        p->failed = true;
    return t;
}

struct term *parse_var(struct parser *p)
{
    struct term *t = ast_var(p->a, p->s.tok.lit, parser_pos(p));
    if (t == NULL)
        p->failed = true;
    return t;
}

/* ---- template strings ---- */

/* Advance the lexer by one byte, keeping rows and columns. */
static void lexer_byte(struct lexer *lx)
{
    unsigned char ch = (unsigned char)lx->text.ptr[lx->off++];
    if (ch == '\n') {
        lx->row++;
        lx->line = lx->off;
        lx->extra = 0;
    } else if (ch >= 0x80 && ch < 0xc0) {
        lx->extra++;
    }
}

/*
 * Text up to the next expression or the closing quote; leaves the lexer behind
 * the `{` or the quote.  False after an error.
 */
static bool template_text(struct parser *p, char quote, struct terms *parts, bool *closed)
{
    struct lexer *lx = &p->s.lx;
    uint32_t start = lx->off;
    struct pos pos = {start, start, lx->row, start - lx->line - lx->extra + 1};
    char stop = '\0';
    while (stop == '\0') {
        if (lx->off >= lx->text.len || (quote == '"' && lx->text.ptr[lx->off] == '\n')) {
            parser_error(p, pos, "non-terminated template-string");
            return false;
        }
        char ch = lx->text.ptr[lx->off];
        lexer_byte(lx);
        if (ch == quote || ch == '{')
            stop = ch;
        else if (ch == '\\' && lx->off < lx->text.len && (quote == '"' || lx->text.ptr[lx->off] == '{'))
            lexer_byte(lx);
    }
    struct str raw = str_slice(lx->text, start, lx->off - 1 - start);
    *closed = stop == quote;
    if (raw.len == 0)
        return true;

    CLEANUP(buf_done) struct buf text;
    buf_init(&text, raw.len + 1);
    if (quote == '"') {
        if (!unescape(raw, '{', &text)) {
            parser_error(p, pos, "illegal escape sequence");
            return false;
        }
    } else {
        for (size_t i = 0; i < raw.len; i++)
            if (!(raw.ptr[i] == '\\' && i + 1 < raw.len && raw.ptr[i + 1] == '{'))
                buf_add_byte(&text, raw.ptr[i]);
    }
    struct term *t = buf_status(&text) == OK ? ast_string(p->a, buf_str(&text), pos) : NULL;
    p->failed |= t == NULL;
    return t != NULL && terms_add(p, parts, t);
}

/* One expression between braces: becomes {x | x = expression} when it is rewritten. */
static bool template_expr(struct parser *p, struct terms *parts)
{
    struct pos pos = parser_pos(p);
    parser_scan(p);
    if (p->s.tok.kind == TOK_RBRACE) {
        parser_illegal(p, "expected expression");
        return false;
    }
    if (p->s.tok.kind == TOK_NOT && !parser_at_keyword_ref(p)) {
        parser_illegal(p, "unexpected negation");
        return false;
    }
    struct expr *e = parse_literal(p);
    if (e == NULL)
        return false;
    if (e->negated || (e->kind != EXPR_TERM && e->kind != EXPR_CALL)) {
        parser_error(p, e->pos, "unexpected expression in template-string");
        return false;
    }
    if (p->s.tok.kind != TOK_RBRACE) {
        parser_illegal(p, "expected }");
        return false;
    }
    struct term *t = ast_term(p->a, TERM_SET_COMP, pos);
    struct body *b = ast_body(p->a);
    if (t == NULL || b == NULL || !ast_body_add(p->a, b, e)) {
        p->failed = true;
        return false;
    }
    t->comp.body = b; /* without a head: that comes when it is rewritten */
    t->depth = (uint16_t)(e->depth + 2);
    return terms_add(p, parts, t);
}

static struct term *parse_template(struct parser *p)
{
    struct pos pos = parser_pos(p);
    char quote = p->s.tok.lit.ptr[1];
    struct terms parts = {0};
    bool closed = false;
    for (;;) {
        if (!template_text(p, quote, &parts, &closed))
            return NULL;
        if (closed)
            break;
        if (!template_expr(p, &parts))
            return NULL;
        /* The `}` is the present token: text goes on behind it. */
    }
    p->s.tok.kind = TOK_STRING;
    p->s.tok.pos.end = p->s.lx.off;
    struct term *t = list(p, TERM_TEMPLATE, parts.items, parts.len, pos);
    if (t != NULL)
        t->pos.end = p->s.lx.off;
    return t;
}

/* ---- collections ---- */

/* Items up to `end`, appended to `l`; a trailing comma is tolerated. */
static bool parse_term_list(struct parser *p, enum token end, struct terms *l)
{
    while (p->s.tok.kind != end) {
        struct term *t = parse_infix_in_list(p);
        if (t == NULL || !terms_add(p, l, t))
            return false;
        if (p->s.tok.kind == end)
            return true;
        if (p->s.tok.kind != TOK_COMMA) {
            char note[32];
            snprintf(note, sizeof(note), "expected \",\" or \"%s\"", token_name(end));
            parser_illegal(p, note);
            return false;
        }
        parser_scan(p);
    }
    return true;
}

static bool parse_pair_list(struct parser *p, enum token end, struct terms *l)
{
    while (p->s.tok.kind != end) {
        struct term *key = parse_infix_in_list(p);
        if (key == NULL)
            return false;
        if (p->s.tok.kind != TOK_COLON) {
            parser_illegal(p, "expected \":\"");
            return false;
        }
        parser_scan(p);
        struct term *val = parse_infix_in_list(p);
        if (val == NULL || !terms_add(p, l, key) || !terms_add(p, l, val))
            return false;
        if (p->s.tok.kind == end)
            return true;
        if (p->s.tok.kind != TOK_COMMA) {
            char note[32];
            snprintf(note, sizeof(note), "expected \",\" or \"%s\"", token_name(end));
            parser_illegal(p, note);
            return false;
        }
        parser_scan(p);
    }
    return true;
}

/* The closing token is the present one; span up to and with it. */
static struct term *closed_list(struct parser *p, enum term_kind kind, struct terms *l, struct pos from)
{
    struct term *t = list(p, kind, l->items, l->len, from);
    if (t != NULL)
        t->pos.end = p->s.tok.pos.end;
    return t;
}

static struct term *comprehension(struct parser *p, enum term_kind kind, struct term *key,
                                  struct term *head, struct body *body, struct pos from)
{
    struct term *t = ast_term(p->a, kind, from);
    if (t == NULL) {
        p->failed = true;
        return NULL;
    }
    t->pos.end = p->s.tok.pos.end;
    t->comp.key = key;
    t->comp.head = head;
    t->comp.body = body;
    t->depth = head->depth;
    if (key != NULL && key->depth > t->depth)
        t->depth = key->depth;
    if (body->depth > t->depth)
        t->depth = body->depth;
    t->depth++;
    return t;
}

static struct term *parse_array(struct parser *p)
{
    struct pos from = parser_pos(p);
    struct terms l = {0};
    parser_scan(p);
    if (p->s.tok.kind == TOK_RBRACK)
        return closed_list(p, TERM_ARRAY, &l, from);

    bool maybe_comprehension = true;
    if (p->s.tok.kind == TOK_COMMA) { /* [, x]: tolerated */
        maybe_comprehension = false;
        parser_scan(p);
    }
    struct parse_state s = p->s;
    struct term *head = parse_term(p);
    if (head == NULL)
        return NULL;

    if (p->s.tok.kind == TOK_RBRACK || p->s.tok.kind == TOK_COMMA) {
        if (!terms_add(p, &l, head))
            return NULL;
        if (p->s.tok.kind == TOK_COMMA) {
            parser_scan(p);
            if (!parse_term_list(p, TOK_RBRACK, &l))
                return NULL;
        }
        return closed_list(p, TERM_ARRAY, &l, from);
    }
    if (p->s.tok.kind == TOK_OR_SIGN && maybe_comprehension) {
        parser_scan(p);
        struct body *body = parse_body_until(p, TOK_RBRACK, false);
        if (body != NULL)
            return comprehension(p, TERM_ARRAY_COMP, NULL, head, body, from);
        if (p->s.tok.kind != TOK_COMMA)
            return NULL;
    }
    p->s = s;
    if (!parse_term_list(p, TOK_RBRACK, &l))
        return NULL;
    return closed_list(p, TERM_ARRAY, &l, from);
}

static struct term *parse_set(struct parser *p, const struct parse_state *s, struct term *head,
                              bool maybe_comprehension, struct pos from)
{
    struct terms l = {0};
    if (p->s.tok.kind == TOK_OR_SIGN) {
        if (maybe_comprehension) {
            parser_scan(p);
            struct body *body = parse_body_until(p, TOK_RBRACE, false);
            if (body != NULL)
                return comprehension(p, TERM_SET_COMP, NULL, head, body, from);
            if (p->s.tok.kind != TOK_COMMA)
                return NULL;
        }
        p->s = *s;
        if (!parse_term_list(p, TOK_RBRACE, &l))
            return NULL;
        return closed_list(p, TERM_SET, &l, from);
    }
    if (!terms_add(p, &l, head))
        return NULL;
    if (p->s.tok.kind == TOK_COMMA) {
        parser_scan(p);
        if (!parse_term_list(p, TOK_RBRACE, &l))
            return NULL;
    }
    return closed_list(p, TERM_SET, &l, from);
}

static bool same_key(const struct term *a, const struct term *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == TERM_VALUE)
        return value_equal(a->val, b->val);
    return a->kind == TERM_VAR && !a->wildcard && str_equal(a->var.name, b->var.name);
}

/* As OPA orders an object's keys: where a computed one equals a constant, the computed one wins. */
static bool constant_keys_first(struct parser *p, struct terms *l)
{
    struct term **items = arena_new_array(p->a, struct term *, l->len);
    if (items == NULL)
        return false;
    uint32_t n = 0;
    for (int computed = 0; computed < 2; computed++)
        for (uint32_t i = 0; i < l->len; i += 2)
            if ((l->items[i]->kind != TERM_VALUE) == (computed == 1)) {
                items[n++] = l->items[i];
                items[n++] = l->items[i + 1];
            }
    memcpy(l->items, items, l->len * sizeof(*items));
    return true;
}

/*
 * {"a": x, "a": y} is {"a": y}: the first value is not even evaluated.  OPA
 * does so for any equal keys; ours are constants and variables.
 */
static bool drop_repeated_keys(struct parser *p, struct terms *l)
{
    size_t cap = 16;
    while (cap < l->len)
        cap *= 2;
    uint32_t *slots = arena_new_array(p->a, uint32_t, cap); /* index of the key + 1 */
    if (slots == NULL)
        return false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->len; i += 2) {
        struct term *key = l->items[i];
        uint32_t at = UINT32_MAX;
        if (key->kind == TERM_VALUE || key->kind == TERM_VAR) {
            uint64_t h = key->kind == TERM_VALUE ? value_hash(key->val)
                                                 : hash_bytes(key->var.name.ptr, key->var.name.len, 1);
            size_t k = h & (cap - 1);
            while (slots[k] != 0 && !same_key(l->items[slots[k] - 1], key))
                k = (k + 1) & (cap - 1);
            if (slots[k] != 0)
                at = slots[k] - 1;
            else
                slots[k] = n + 1;
        }
        if (at == UINT32_MAX) {
            at = n;
            n += 2;
            l->items[at] = key;
        }
        l->items[at + 1] = l->items[i + 1];
    }
    l->len = n;
    return constant_keys_first(p, l);
}

static struct term *parse_object_finish(struct parser *p, struct term *key, struct term *val,
                                        bool maybe_comprehension, struct pos from)
{
    struct terms l = {0};
    if (p->s.tok.kind == TOK_OR_SIGN) {
        if (!maybe_comprehension) {
            parser_illegal(p, "non-terminated object");
            return NULL;
        }
        parser_scan(p);
        struct body *body = parse_body_until(p, TOK_RBRACE, false);
        return body == NULL ? NULL : comprehension(p, TERM_OBJECT_COMP, key, val, body, from);
    }
    if (!terms_add(p, &l, key) || !terms_add(p, &l, val))
        return NULL;
    if (p->s.tok.kind == TOK_COMMA) {
        parser_scan(p);
        if (!parse_pair_list(p, TOK_RBRACE, &l))
            return NULL;
    }
    if (l.len > 2 && !p->c->for_layout && !drop_repeated_keys(p, &l)) {
        p->failed = true;
        return NULL;
    }
    return closed_list(p, TERM_OBJECT, &l, from);
}

/* The colon behind the first key is the present token. */
static struct term *parse_object(struct parser *p, struct term *key, bool maybe_comprehension,
                                 struct pos from)
{
    parser_scan(p);
    struct parse_state s = p->s;
    struct term *val = parse_term(p);
    if (val == NULL)
        return NULL;

    bool maybe_relation = true;
    enum token t = p->s.tok.kind;
    if (maybe_comprehension && (t == TOK_RBRACE || t == TOK_COMMA || t == TOK_OR_SIGN)) {
        maybe_relation = t == TOK_OR_SIGN;
        struct term *term = parse_object_finish(p, key, val, true, from);
        if (term != NULL || !maybe_relation)
            return term;
    }
    p->s = s;
    val = parse_infix_in_list(p);
    if (val == NULL)
        return NULL;
    if (p->s.tok.kind == TOK_RBRACE || p->s.tok.kind == TOK_COMMA)
        return parse_object_finish(p, key, val, false, from);
    parser_illegal(p, "non-terminated object");
    return NULL;
}

static struct term *parse_set_or_object(struct parser *p)
{
    struct pos from = parser_pos(p);
    struct terms none = {0};
    parser_scan(p);
    if (p->s.tok.kind == TOK_RBRACE)
        return closed_list(p, TERM_OBJECT, &none, from);

    bool maybe_comprehension = true;
    if (p->s.tok.kind == TOK_COMMA) {
        maybe_comprehension = false;
        parser_scan(p);
    }
    struct parse_state s = p->s;
    struct term *head = parse_term(p);
    if (head == NULL)
        return NULL;
    switch (p->s.tok.kind) {
    case TOK_OR_SIGN:
    case TOK_RBRACE:
    case TOK_COMMA:
        return parse_set(p, &s, head, maybe_comprehension, from);
    case TOK_COLON:
        return parse_object(p, head, maybe_comprehension, from);
    default:
        break;
    }
    p->s = s;
    head = parse_infix_in_list(p);
    if (head == NULL)
        return NULL;
    switch (p->s.tok.kind) {
    case TOK_RBRACE:
    case TOK_COMMA:
        return parse_set(p, &s, head, false, from);
    case TOK_COLON:
        return parse_object(p, head, maybe_comprehension, from);
    default:
        parser_illegal(p, "non-terminated set");
        return NULL;
    }
}

/* ---- references and calls ---- */

/* The opening parenthesis is the present token. */
static struct term *parse_call(struct parser *p, struct term *operator, struct pos from)
{
    struct terms l = {0};
    parser_scan(p);
    bool empty = p->s.tok.kind == TOK_RPAREN;
    if (!terms_add(p, &l, operator) || (!empty && !parse_term_list(p, TOK_RPAREN, &l)))
        return NULL;
    from.end = p->s.tok.pos.end;
    parser_scan_ws(p);
    struct term *t = empty && ast_is_var(operator, "set") ? ast_term(p->a, TERM_SET, from)
                                                          : list(p, TERM_CALL, l.items, l.len, from);
    if (t == NULL)
        p->failed |= p->s.errors == 0;
    return t;
}

static struct term *reference(struct parser *p, struct terms *l, struct pos from)
{
    struct term *t = list(p, TERM_REF, l->items, l->len, from);
    return t;
}

/* `head` is followed by `.`, `[` or `(`. */
static struct term *parse_ref(struct parser *p, struct term *head)
{
    struct pos from = head->pos;
    struct terms l = {0};
    if (head->kind == TERM_VALUE || head->kind == TERM_TEMPLATE)
        parser_error(p, from, "illegal ref (head cannot be %s)", ast_kind_name(head));
    if (!terms_add(p, &l, head))
        return NULL;
    for (;;) {
        switch (p->s.tok.kind) {
        case TOK_DOT: {
            parser_scan_ws(p);
            if (p->s.tok.kind != TOK_IDENT && !token_is_keyword(p->s.tok.kind)) {
                parser_illegal(p, "expected identifier");
                return NULL;
            }
            struct term *part = ast_string(p->a, p->s.tok.lit, parser_pos(p));
            if (part == NULL) {
                p->failed = true;
                return NULL;
            }
            if (!terms_add(p, &l, part))
                return NULL;
            parser_scan_ws(p);
            break;
        }
        case TOK_LPAREN: {
            struct term *op = l.len == 1 ? head : reference(p, &l, from);
            struct term *t = op == NULL ? NULL : parse_call(p, op, from);
            if (t == NULL)
                return NULL;
            if (p->s.tok.kind == TOK_WHITESPACE) {
                parser_scan(p);
                return t;
            }
            if (p->s.tok.kind != TOK_DOT && p->s.tok.kind != TOK_LBRACK)
                return t;
            l = (struct terms){0};
            head = t;
            if (!terms_add(p, &l, head))
                return NULL;
            break;
        }
        case TOK_LBRACK: {
            parser_scan(p);
            struct term *part = parse_infix(p);
            if (part == NULL)
                return NULL;
            if (p->s.tok.kind != TOK_RBRACK) {
                parser_illegal(p, "expected [");
                return NULL;
            }
            if (!terms_add(p, &l, part))
                return NULL;
            parser_scan_ws(p);
            break;
        }
        case TOK_WHITESPACE: {
            struct term *t = reference(p, &l, from);
            parser_scan(p);
            return t;
        }
        default:
            return reference(p, &l, from);
        }
    }
}

struct term *parse_term_finish(struct parser *p, struct term *head, bool skip_ws)
{
    scan(p, skip_ws);
    switch (p->s.tok.kind) {
    case TOK_LPAREN:
    case TOK_DOT:
    case TOK_LBRACK:
        return parse_ref(p, head);
    case TOK_WHITESPACE:
        parser_scan(p);
        return head;
    default:
        return head;
    }
}

static struct term *parse_parens(struct parser *p)
{
    struct pos from = parser_pos(p);
    parser_scan(p);
    struct term *t = parse_infix(p);
    if (t == NULL)
        return NULL;
    if (p->s.tok.kind != TOK_RPAREN) {
        parser_error(p, parser_pos(p), "non-terminated expression");
        return NULL;
    }
    t->pos = from;
    t->pos.end = p->s.tok.pos.end;
    return t;
}

/* Minus before a reference or call: 0 - x (spec 2.1, level 8). */
static struct term *parse_minus(struct parser *p)
{
    struct parse_state s = p->s;
    struct pos pos = parser_pos(p);
    parser_scan(p);
    if (p->s.tok.kind != TOK_IDENT && p->s.tok.kind != TOK_CONTAINS) {
        p->s = s;
        return parse_number(p);
    }
    struct term *operand = parse_var(p);
    if (operand != NULL)
        operand = parse_term_finish(p, operand, false);
    if (operand == NULL)
        return NULL;
    struct term *operands[2] = {ast_value(p->a, value_small_int(0), pos), operand};
    struct term *t = ast_operator(p->a, "minus", operands, 2, parser_span(p, pos));
    p->failed |= t == NULL;
    return t;
}

static struct term *parse_primary(struct parser *p, bool *finished)
{
    if (parser_at_keyword_ref(p))
        return parse_var(p);
    switch (p->s.tok.kind) {
    case TOK_NULL:
        return ast_value(p->a, VALUE_NULL, parser_pos(p));
    case TOK_TRUE:
        return ast_value(p->a, VALUE_TRUE, parser_pos(p));
    case TOK_FALSE:
        return ast_value(p->a, VALUE_FALSE, parser_pos(p));
    case TOK_SUB: {
        struct term *t = parse_minus(p);
        *finished = t != NULL && t->kind == TERM_CALL;
        return t;
    }
    case TOK_DOT:
    case TOK_NUMBER:
        return parse_number(p);
    case TOK_STRING:
    case TOK_RAW:
        return parse_string(p);
    case TOK_TEMPLATE:
        return parse_template(p);
    case TOK_IDENT:
    case TOK_CONTAINS: /* special in rule heads only */
        return parse_var(p);
    case TOK_AND:
    case TOK_OR: { /* and(x, y): the set functions */
        size_t at = p->s.tok.pos.end;
        if (at < p->s.lx.text.len && p->s.lx.text.ptr[at] == '(')
            return parse_var(p);
        break;
    }
    case TOK_LBRACK:
        return parse_array(p);
    case TOK_LBRACE:
        return parse_set_or_object(p);
    case TOK_LPAREN:
        return parse_parens(p);
    default:
        break;
    }
    parser_illegal(p, NULL);
    return NULL;
}

static void remember(struct parser *p, uint32_t off, struct term *t)
{
    struct term_memo *entry = arena_new(p->a, struct term_memo);
    if (entry == NULL) {
        p->failed = true;
        return;
    }
    struct term_memo *older = p->memo;
    while (older != NULL && older->off >= off)
        older = older->next;
    *entry = (struct term_memo){.next = older, .off = off, .term = t, .after = p->s};
    p->memo = entry;
}

struct term *parse_term(struct parser *p)
{
    uint32_t off = p->s.tok.pos.off;
    for (struct term_memo *m = p->memo; m != NULL && m->off >= off; m = m->next) {
        if (m->off == off && m->after.lx.keywords == p->s.lx.keywords && m->after.errors == p->s.errors) {
            p->s = m->after;
            return m->term;
        }
    }
    if (!enter(p))
        return NULL;
    uint32_t depth = p->s.depth;
    bool finished = false;
    struct term *t = parse_primary(p, &finished);
    if (t != NULL && !finished)
        t = parse_term_finish(p, t, false);
    p->s.depth = depth;
    leave(p);
    /* Only what costs something to read again. */
    if (t != NULL && t->kind >= TERM_REF)
        remember(p, off, t);
    return t;
}

/* ---- operators ---- */

static int binding(enum token t)
{
    switch (t) {
    case TOK_EQUAL:
    case TOK_NEQ:
    case TOK_LT:
    case TOK_LTE:
    case TOK_GT:
    case TOK_GTE:
        return 1;
    case TOK_OR_SIGN:
        return 2;
    case TOK_AND_SIGN:
        return 3;
    case TOK_ADD:
    case TOK_SUB:
        return 4;
    case TOK_MUL:
    case TOK_QUO:
    case TOK_REM:
        return 5;
    default:
        return 0;
    }
}

static struct term *operator_call(struct parser *p, enum token op, struct pos op_pos, struct term *lhs,
                                  struct term *rhs)
{
    struct term *operands[2] = {lhs, rhs};
    struct pos pos = lhs->pos;
    struct term *t = ast_operator(p->a, token_name(op), operands, 2, parser_span(p, pos));
    if (t == NULL) {
        p->failed = true;
        return NULL;
    }
    t->items[0]->pos = op_pos;
    if (t->depth > AST_DEPTH_MAX) {
        parser_error(p, pos, "expression is nested too deeply");
        return NULL;
    }
    return t;
}

/* All operators that bind at least as tightly as `level`; left associative. */
static struct term *parse_operators(struct parser *p, int level)
{
    struct term *lhs = parse_term(p);
    while (lhs != NULL) {
        enum token op = p->s.tok.kind;
        int b = binding(op);
        if (b == 0 || b < level)
            break;
        struct pos op_pos = parser_pos(p);
        parser_scan(p);
        struct term *rhs = parse_operators(p, b + 1);
        if (rhs == NULL)
            return NULL;
        lhs = operator_call(p, op, op_pos, lhs, rhs);
    }
    return lhs;
}

static struct term *member_call(struct parser *p, struct term **operands, size_t len)
{
    const char *name = len == 2 ? "internal.member_2" : "internal.member_3";
    struct term *t = ast_operator(p->a, name, operands, len, parser_span(p, operands[0]->pos));
    if (t == NULL) {
        p->failed = true;
        return NULL;
    }
    if (t->depth > AST_DEPTH_MAX) {
        parser_error(p, t->pos, "expression is nested too deeply");
        return NULL;
    }
    return t;
}

static struct term *parse_in(struct parser *p, bool key_val)
{
    if (!enter(p))
        return NULL;
    uint32_t depth = p->s.depth;
    struct term *lhs = parse_operators(p, 1);
    if (lhs != NULL && key_val && p->s.tok.kind == TOK_COMMA) {
        struct parse_state s = p->s;
        parser_scan(p);
        struct term *mhs = parse_operators(p, 1);
        struct term *rhs = NULL;
        if (mhs != NULL && at_in(p)) {
            parser_scan(p);
            rhs = parse_operators(p, 1);
        }
        if (rhs != NULL)
            lhs = member_call(p, (struct term *[]){lhs, mhs, rhs}, 3);
        else
            p->s = s;
    }
    while (lhs != NULL && at_in(p)) {
        parser_scan(p);
        struct term *rhs = parse_operators(p, 1);
        lhs = rhs == NULL ? NULL : member_call(p, (struct term *[]){lhs, rhs}, 2);
    }
    p->s.depth = depth;
    leave(p);
    return lhs;
}

struct term *parse_infix(struct parser *p)
{
    return parse_in(p, true);
}

struct term *parse_infix_in_list(struct parser *p)
{
    return parse_in(p, false);
}

/* ---- literals ---- */

static struct expr *new_expr(struct parser *p, enum expr_kind kind, struct pos pos)
{
    struct expr *e = ast_expr(p->a, kind, pos);
    if (e == NULL)
        p->failed = true;
    return e;
}

static bool parse_with(struct parser *p, struct expr *e)
{
    struct with items[64];
    uint32_t n = 0;
    while (at_with(p)) {
        if (n == ARRAY_LEN(items)) {
            parser_illegal(p, "too many with modifiers");
            return false;
        }
        struct with *w = &items[n++];
        *w = (struct with){.pos = parser_pos(p)};
        parser_scan(p);
        if (p->s.tok.kind != TOK_IDENT && !parser_at_keyword_ref(p)) {
            parser_illegal(p, "expected ident");
            return false;
        }
        w->target = parse_term(p);
        if (w->target == NULL)
            return false;
        if (w->target->kind != TERM_REF && w->target->kind != TERM_VAR)
            parser_illegal(p, "expected with target path");
        if (p->s.tok.kind != TOK_AS) {
            parser_illegal(p, "expected as keyword");
            return false;
        }
        parser_scan(p);
        w->val = parse_infix(p);
        if (w->val == NULL)
            return false;
    }
    e->withs = arena_new_array(p->a, struct with, n);
    if (e->withs == NULL) {
        p->failed = true;
        return false;
    }
    memcpy(e->withs, items, n * sizeof(items[0]));
    e->with_count = n;
    return true;
}

static bool is_member_call(const struct term *t)
{
    return t->kind == TERM_CALL && t->items[0]->generated &&
           (ast_is_var(t->items[0], "internal.member_2") || ast_is_var(t->items[0], "internal.member_3"));
}

static struct expr *parse_some(struct parser *p)
{
    struct pos pos = parser_pos(p);
    struct parse_state s = p->s;
    struct expr *e = new_expr(p, EXPR_SOME, pos);
    if (e == NULL)
        return NULL;
    parser_scan(p);
    struct term *t = parse_infix(p);
    if (t != NULL && t->kind == TERM_CALL) {
        if (!is_member_call(t)) {
            parser_illegal(p, "expected `x in xs` or `x, y in xs` expression");
            return NULL;
        }
        e->symbols = arena_new_array(p->a, struct term *, 1);
        if (e->symbols == NULL)
            return NULL;
        e->symbols[0] = t;
        e->symbol_count = 1;
        return at_with(p) && !parse_with(p, e) ? NULL : e;
    }

    p->s = s;
    struct terms l = {0};
    do {
        parser_scan(p);
        if (p->s.tok.kind != TOK_IDENT) {
            parser_illegal(p, "expected var");
            return NULL;
        }
        struct term *var = parse_var(p);
        if (var == NULL || !terms_add(p, &l, var))
            return NULL;
        parser_scan(p);
    } while (p->s.tok.kind == TOK_COMMA);
    struct term *symbols = list(p, TERM_ARRAY, l.items, l.len, pos);
    if (symbols == NULL)
        return NULL;
    e->symbols = symbols->items;
    e->symbol_count = symbols->len;
    return e;
}

static struct expr *parse_every(struct parser *p)
{
    struct expr *e = new_expr(p, EXPR_EVERY, parser_pos(p));
    if (e == NULL)
        return NULL;
    parser_scan(p);
    struct term *t = parse_infix(p);
    if (t == NULL)
        return NULL;
    if (!is_member_call(t)) {
        parser_illegal(p, "expected `x[, y] in xs { ... }` expression");
        return NULL;
    }
    e->key = t->len == 4 ? t->items[1] : NULL;
    e->val = t->items[t->len - 2];
    e->domain = t->items[t->len - 1];
    if (e->key != NULL && e->key->kind != TERM_VAR) {
        parser_illegal(p, "expected key to be a variable");
        return NULL;
    }
    if (e->val->kind != TERM_VAR) {
        parser_illegal(p, "expected value to be a variable");
        return NULL;
    }
    if (p->s.tok.kind != TOK_LBRACE) {
        parser_illegal(p, "missing body");
        return NULL;
    }
    parser_scan(p);
    e->body = parse_body_until(p, TOK_RBRACE, false);
    if (e->body == NULL)
        return NULL;
    parser_scan(p);
    return at_with(p) && !parse_with(p, e) ? NULL : e;
}

static struct expr *parse_expr(struct parser *p)
{
    struct pos pos = parser_pos(p);
    bool parens = p->s.tok.kind == TOK_LPAREN;
    struct term *lhs = parse_infix(p);
    if (lhs == NULL)
        return NULL;
    enum token op = p->s.tok.kind;
    struct expr *e = NULL;
    if (op == TOK_ASSIGN || op == TOK_UNIFY) {
        struct pos op_pos = parser_pos(p);
        parser_scan(p);
        struct term *rhs = parse_infix(p);
        if (rhs == NULL || (e = new_expr(p, EXPR_UNIFY, pos)) == NULL)
            return NULL;
        e->term = operator_call(p, op, op_pos, lhs, rhs);
        if (e->term == NULL)
            return NULL;
        e->assign = op == TOK_ASSIGN;
        e->relation = REGO_REL_EQUAL;
    } else if (lhs->kind == TERM_CALL) {
        if ((e = new_expr(p, EXPR_CALL, pos)) == NULL)
            return NULL;
        e->term = lhs;
        e->relation = (uint8_t)ast_relation(lhs);
    } else {
        if ((e = new_expr(p, EXPR_TERM, pos)) == NULL)
            return NULL;
        e->term = lhs;
        e->braced = parens;
        e->relation = REGO_REL_DEFINED;
    }
    e->pos = parser_span(p, pos);
    return e;
}

static void depth_of_term(struct expr *e, const struct term *t)
{
    if (t != NULL && t->depth > e->depth)
        e->depth = t->depth;
}

/* Trees grow by operators without nesting in the text; the passes recurse over both. */
static bool check_depth(struct parser *p, struct expr *e)
{
    depth_of_term(e, e->term);
    depth_of_term(e, e->domain);
    for (uint32_t i = 0; i < e->symbol_count; i++)
        depth_of_term(e, e->symbols[i]);
    for (uint32_t i = 0; i < e->with_count; i++)
        depth_of_term(e, e->withs[i].val);
    if (e->body != NULL && e->body->depth > e->depth)
        e->depth = e->body->depth;
    if (e->right != NULL && e->right->depth > e->depth)
        e->depth = e->right->depth;
    e->depth++;
    if (e->depth <= AST_DEPTH_MAX)
        return true;
    parser_error(p, e->pos, "expression is nested too deeply");
    return false;
}

static struct body *single(struct parser *p, struct expr *e)
{
    struct body *b = ast_body(p->a);
    if (!check_depth(p, e))
        return NULL;
    if (b == NULL || !ast_body_add(p->a, b, e)) {
        p->failed = true;
        return NULL;
    }
    return b;
}

/* not { body }: with import future.keywords.not. */
static struct expr *parse_not_body(struct parser *p, struct pos pos)
{
    struct expr *e = new_expr(p, EXPR_NOT, pos);
    if (e == NULL)
        return NULL;
    parser_scan(p);
    e->body = parse_body_until(p, TOK_RBRACE, false);
    if (e->body == NULL)
        return NULL;
    parser_scan(p);
    e->braced = true;
    e->relation = REGO_REL_NOT;
    return e;
}

static bool is_improved_not(const struct parser *p)
{
    return p->m->not_keyword || p->c->options.always_not_keyword;
}

/* With the improved `not`, a negated expression is a body of its own. */
static struct expr *wrap_not(struct parser *p, struct expr *e, struct pos pos)
{
    struct expr *outer = new_expr(p, EXPR_NOT, pos);
    struct body *b = outer == NULL ? NULL : single(p, e);
    if (b == NULL)
        return NULL;
    outer->body = b;
    outer->relation = REGO_REL_NOT;
    outer->pos = parser_span(p, pos);
    return outer;
}

#define KEYWORDS_LOGIC (KEYWORD_BIT(TOK_AND) | KEYWORD_BIT(TOK_OR))

static struct expr *parse_operand(struct parser *p, bool first);

static struct expr *parse_not(struct parser *p)
{
    struct pos pos = parser_pos(p);
    parser_scan(p);
    if (p->s.tok.kind == TOK_SOME && !parser_at_keyword_ref(p)) {
        parser_illegal(p, "illegal negation of 'some'");
        return NULL;
    }
    if (p->s.tok.kind == TOK_EVERY && !parser_at_keyword_ref(p)) {
        parser_illegal(p, "illegal negation of 'every'");
        return NULL;
    }
    struct parse_state s = p->s;
    struct expr *e = NULL;
    if (p->s.tok.kind == TOK_LBRACE && is_improved_not(p)) {
        e = parse_expr(p);
        /* A set is always true: it must have been meant as a body. */
        if (e == NULL || (e->kind == EXPR_TERM && (e->term->kind == TERM_SET || e->term->kind == TERM_SET_COMP))) {
            p->s = s;
            e = parse_not_body(p, pos);
        }
    } else if (p->s.tok.kind == TOK_LPAREN && (p->s.lx.keywords & KEYWORDS_LOGIC) != 0) {
        e = parse_operand(p, false);
        if (e != NULL && (e->kind == EXPR_NOT || e->with_count > 0))
            return wrap_not(p, e, pos);
    } else {
        e = parse_expr(p);
    }
    if (e == NULL)
        return NULL;
    if (e->kind == EXPR_NOT) {
        e->pos = parser_span(p, pos);
        return e;
    }
    if (is_improved_not(p) && !e->assign)
        return wrap_not(p, e, pos);
    e->negated = true;
    e->pos = parser_span(p, pos);
    return e;
}

/* ---- and, or ---- */

static struct expr *parse_or(struct parser *p);

static bool at_logic(const struct parser *p)
{
    return p->s.tok.kind == TOK_AND || p->s.tok.kind == TOK_OR;
}

/*
 * One operand: { body }, not operand, ( group ), or an expression.  `first`:
 * nothing was read yet, so that `{` may still begin a plain expression.
 * Braced bodies come back as EXPR_NOT without negation: see operand_body().
 */
static struct expr *parse_operand(struct parser *p, bool first)
{
    struct pos pos = parser_pos(p);
    struct parse_state s = p->s;
    if (p->s.tok.kind == TOK_NOT && !parser_at_keyword_ref(p)) {
        struct expr *e = parse_not(p);
        if (e != NULL && e->negated && at_logic(p)) {
            e->negated = false;
            e = wrap_not(p, e, pos);
        }
        return e;
    }
    if (p->s.tok.kind == TOK_LBRACE) {
        struct expr *plain = parse_expr(p);
        bool plain_ok = plain != NULL && (first ? !at_logic(p) : false);
        if (plain_ok)
            return plain;
        bool is_union = plain != NULL && plain->kind == EXPR_TERM && plain->term->kind == TERM_SET &&
                        plain->term->len == 1 && plain->term->items[0]->kind == TERM_CALL &&
                        ast_is_var(plain->term->items[0]->items[0], "or");
        bool is_comp = plain != NULL && plain->kind == EXPR_TERM && plain->term->kind == TERM_SET_COMP;
        if (is_union || is_comp) {
            parser_error(p, pos, "ambiguous operand: braces around a set union or comprehension");
            return NULL;
        }
        struct parse_state after_plain = p->s;
        p->s = s;
        parser_scan(p);
        struct body *b = parse_body_until(p, TOK_RBRACE, false);
        if (b == NULL && first && plain != NULL) {
            p->s = after_plain;
            return plain;
        }
        if (b == NULL)
            return NULL;
        parser_scan(p);
        struct expr *e = new_expr(p, EXPR_AND, parser_span(p, pos));
        if (e == NULL)
            return NULL;
        e->body = b; /* without a right side: just a body */
        e->braced = true;
        return e;
    }
    if (p->s.tok.kind == TOK_LPAREN) {
        struct expr *e = parse_expr(p);
        if (e != NULL)
            return e;
        p->s = s;
        parser_scan(p);
        e = parse_or(p);
        if (e == NULL || (at_with(p) && !parse_with(p, e)))
            return NULL;
        if (p->s.tok.kind != TOK_RPAREN) {
            parser_error(p, parser_pos(p), "non-terminated expression");
            return NULL;
        }
        parser_scan(p);
        return e;
    }
    return parse_expr(p);
}

/* An operand as a body: braces are the body itself. */
static struct body *operand_body(struct parser *p, struct expr *e)
{
    if (e->kind == EXPR_AND && e->braced && e->right == NULL)
        return e->body;
    return single(p, e);
}

static struct expr *combine(struct parser *p, enum expr_kind kind, struct expr *left, struct expr *right,
                            struct pos pos)
{
    struct expr *e = new_expr(p, kind, parser_span(p, pos));
    if (e == NULL)
        return NULL;
    e->body = operand_body(p, left);
    e->right = operand_body(p, right);
    if (e->body == NULL || e->right == NULL)
        return NULL;
    return check_depth(p, e) ? e : NULL;
}

static struct expr *parse_and(struct parser *p, bool first)
{
    struct pos pos = parser_pos(p);
    if (!enter(p))
        return NULL;
    struct expr *left = parse_operand(p, first);
    while (left != NULL && p->s.tok.kind == TOK_AND) {
        parser_scan(p);
        struct expr *right = parse_operand(p, false);
        left = right == NULL ? NULL : combine(p, EXPR_AND, left, right, pos);
    }
    leave(p);
    return left;
}

static struct expr *parse_or(struct parser *p)
{
    struct pos pos = parser_pos(p);
    struct expr *left = parse_and(p, true);
    while (left != NULL && p->s.tok.kind == TOK_OR) {
        parser_scan(p);
        struct expr *right = parse_and(p, false);
        left = right == NULL ? NULL : combine(p, EXPR_OR, left, right, pos);
    }
    if (left != NULL && left->kind == EXPR_AND && left->braced && left->right == NULL) {
        parser_illegal(p, "expected `and` or `or` after a body");
        return NULL;
    }
    return left;
}

struct expr *parse_literal(struct parser *p)
{
    struct pos pos = parser_pos(p);
    bool keyword_ref = parser_at_keyword_ref(p);
    struct expr *e = NULL;
    if (p->s.tok.kind == TOK_SOME && !keyword_ref)
        e = parse_some(p);
    else if (p->s.tok.kind == TOK_EVERY && !keyword_ref)
        e = parse_every(p);
    else {
        if ((p->s.lx.keywords & KEYWORDS_LOGIC) != 0)
            e = parse_or(p);
        else if (p->s.tok.kind == TOK_NOT && !keyword_ref)
            e = parse_not(p);
        else
            e = parse_expr(p);
        if (e != NULL && at_with(p) && !parse_with(p, e))
            return NULL;
    }
    if (e == NULL || !check_depth(p, e))
        return NULL;
    e->pos = parser_span(p, pos);
    return e;
}

struct body *parse_body_until(struct parser *p, enum token end, bool one)
{
    if (p->s.tok.kind == end) {
        parser_error(p, parser_pos(p), "found empty body");
        return NULL;
    }
    if (!enter(p))
        return NULL;
    uint32_t depth = p->s.depth;
    struct body *b = ast_body(p->a);
    for (;;) {
        struct expr *e = parse_literal(p);
        if (e == NULL)
            return NULL;
        if (b == NULL || !ast_body_add(p->a, b, e)) {
            p->failed = true;
            return NULL;
        }
        if (p->s.tok.kind == TOK_SEMICOLON) {
            parser_scan(p);
            continue;
        }
        if (p->s.tok.kind == end || one)
            break;
        if (!p->s.skipped_newline) {
            char note[32];
            snprintf(note, sizeof(note), "expected \\n or ; or %s", token_name(end));
            if (p->s.errors == 0)
                parser_illegal(p, note);
            return NULL;
        }
    }
    p->s.depth = depth;
    leave(p);
    return b;
}

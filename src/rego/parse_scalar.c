/*
 * Numbers, strings and template strings.
 */
#include "rego/parser.h"

#include <stdlib.h>

#include "base/utf8.h"

/* ---- scalars ---- */

/* OPA refuses numbers whose binary exponent is past 100000: they cost too much to print. */
static bool is_number_small_enough(struct str s)
{
    long exponent = 0;
    long point =
        0; /* digits before the point after the first that counts, or minus zeros after it */
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

struct term *parse_number(struct parser *p)
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
    if (point[0] == '\0' && lit.len > 1 && lit.ptr[0] == '0' && lit.ptr[1] != '.' &&
        lit.ptr[1] != 'e' && lit.ptr[1] != 'E') {
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

struct term *parse_string(struct parser *p)
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
            parser_error(p, pos, "illegal string literal: %.*s",
                         STR_ARG(str_slice(p->s.tok.lit, 0, 200)));
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
        lexer_advance(lx);
        if (ch == quote || ch == '{')
            stop = ch;
        else if (ch == '\\' && lx->off < lx->text.len &&
                 (quote == '"' || lx->text.ptr[lx->off] == '{'))
            lexer_advance(lx);
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

struct term *parse_template(struct parser *p)
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
    struct term *t = parser_list(p, TERM_TEMPLATE, parts.items, parts.len, pos);
    if (t != NULL)
        t->pos.end = p->s.lx.off;
    return t;
}

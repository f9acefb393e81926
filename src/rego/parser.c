/*
 * Tokens, literals and bodies.
 */
#include "rego/parser.h"

#include <stdarg.h>
#include <stdio.h>

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

#define LOOK_TOKENS 4096 /* between looks at the clock */

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
        if (p->tokens % LOOK_TOKENS == 0 && front_late(p->c)) {
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

bool parser_allow_keyword_ref(struct parser *p)
{
    if (!parser_at_keyword_ref(p))
        return false;
    p->s.keyword_end = p->s.tok.pos.end;
    return true;
}

/* `in` as an operator; `in.x` on the next line begins a reference. */
bool parser_at_in(const struct parser *p)
{
    size_t at = p->s.tok.pos.end;
    return p->s.tok.kind == TOK_IN && !(at < p->s.lx.text.len && p->s.lx.text.ptr[at] == '.');
}

static bool parser_at_with(const struct parser *p)
{
    return p->s.tok.kind == TOK_WITH && !parser_at_keyword_ref(p);
}

/* Every recursion of the grammar passes here. */
bool parser_enter(struct parser *p)
{
    if (++p->s.depth > AST_NESTING_MAX) {
        parser_error(p, parser_pos(p), "expression is nested too deeply");
        return false;
    }
    return !p->failed;
}

void parser_leave(struct parser *p)
{
    p->s.depth--;
}

struct term *parser_list(struct parser *p, enum term_kind kind, struct term **items, size_t len,
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

bool terms_add(struct parser *p, struct terms *l, struct term *t)
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
    while (parser_at_with(p)) {
        if (n == ARRAY_LEN(items)) {
            parser_illegal(p, "too many with modifiers");
            return false;
        }
        struct with *w = &items[n++];
        *w = (struct with){.pos = parser_pos(p)};
        parser_scan(p);
        if (p->s.tok.kind != TOK_IDENT) {
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
           (ast_is_var(t->items[0], "internal.member_2") ||
            ast_is_var(t->items[0], "internal.member_3"));
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
        return parser_at_with(p) && !parse_with(p, e) ? NULL : e;
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
    struct term *symbols = parser_list(p, TERM_ARRAY, l.items, l.len, pos);
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
    return parser_at_with(p) && !parse_with(p, e) ? NULL : e;
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
        e->term = parser_operator(p, op, op_pos, lhs, rhs);
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
        if (e == NULL || (e->kind == EXPR_TERM &&
                          (e->term->kind == TERM_SET || e->term->kind == TERM_SET_COMP))) {
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
        bool is_union = plain != NULL && plain->kind == EXPR_TERM &&
                        plain->term->kind == TERM_SET && plain->term->len == 1 &&
                        plain->term->items[0]->kind == TERM_CALL &&
                        ast_is_var(plain->term->items[0]->items[0], "or");
        bool is_comp =
            plain != NULL && plain->kind == EXPR_TERM && plain->term->kind == TERM_SET_COMP;
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
        if (e == NULL || (parser_at_with(p) && !parse_with(p, e)))
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

static struct expr *combine(struct parser *p, enum expr_kind kind, struct expr *left,
                            struct expr *right, struct pos pos)
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
    if (!parser_enter(p))
        return NULL;
    struct expr *left = parse_operand(p, first);
    while (left != NULL && p->s.tok.kind == TOK_AND) {
        parser_scan(p);
        struct expr *right = parse_operand(p, false);
        left = right == NULL ? NULL : combine(p, EXPR_AND, left, right, pos);
    }
    parser_leave(p);
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
    bool keyword_ref = parser_allow_keyword_ref(p);
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
        if (e != NULL && parser_at_with(p) && !parse_with(p, e))
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
    if (!parser_enter(p))
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
    parser_leave(p);
    return b;
}

/*
 * Terms: collections, comprehensions, references, calls and operators.  The
 * shape follows OPA's parser, because its places to go back and its error texts
 * are part of what users know.
 */
#include "base/hash.h"
#include "rego/parser.h"

#include <stdio.h>

static struct term *parse_infix_in_list(struct parser *p);

/* ---- collections ---- */

/* Behind an item: the end, or a comma. */
static bool parse_separator(struct parser *p, enum token end)
{
    if (p->s.tok.kind == end)
        return true;
    if (p->s.tok.kind == TOK_COMMA) {
        parser_scan(p);
        return true;
    }
    char note[32];
    snprintf(note, sizeof(note), "expected \",\" or \"%s\"", token_name(end));
    parser_illegal(p, note);
    return false;
}

/* Items up to `end`, appended to `l`; a trailing comma is tolerated. */
static bool parse_term_list(struct parser *p, enum token end, struct terms *l)
{
    while (p->s.tok.kind != end) {
        struct term *t = parse_infix_in_list(p);
        if (t == NULL || !terms_add(p, l, t))
            return false;
        if (!parse_separator(p, end))
            return false;
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
        if (!parse_separator(p, end))
            return false;
    }
    return true;
}

/* The closing token is the present one; span up to and with it. */
static struct term *closed_list(struct parser *p, enum term_kind kind, struct terms *l,
                                struct pos from)
{
    struct term *t = parser_list(p, kind, l->items, l->len, from);
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
            uint64_t h = key->kind == TERM_VALUE
                             ? value_hash(key->val)
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
    struct term *t = empty && ast_is_var(operator, "set")
                         ? ast_term(p->a, TERM_SET, from)
                         : parser_list(p, TERM_CALL, l.items, l.len, from);
    if (t == NULL)
        p->failed |= p->s.errors == 0;
    return t;
}

static struct term *reference(struct parser *p, struct terms *l, struct pos from)
{
    struct term *t = parser_list(p, TERM_REF, l->items, l->len, from);
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
    if (skip_ws)
        parser_scan(p);
    else
        parser_scan_ws(p);
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
    if (p->s.keyword_end == p->s.tok.pos.end && parser_at_keyword_ref(p))
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
    /* Terms behind this place will not be read from there again: their entries are free. */
    while (p->memo != NULL && p->memo->off >= off) {
        struct term_memo *dropped = p->memo;
        p->memo = dropped->next;
        dropped->next = p->free_memo;
        p->free_memo = dropped;
    }
    struct term_memo *entry = p->free_memo;
    if (entry != NULL)
        p->free_memo = entry->next;
    else
        entry = arena_new(p->a, struct term_memo);
    if (entry == NULL) {
        p->failed = true;
        return;
    }
    *entry = (struct term_memo){.next = p->memo, .off = off, .term = t, .after = p->s};
    p->memo = entry;
}

struct term *parse_term(struct parser *p)
{
    uint32_t off = p->s.tok.pos.off;
    for (struct term_memo *m = p->memo; m != NULL && m->off >= off; m = m->next) {
        if (m->off == off && m->after.lx.keywords == p->s.lx.keywords &&
            m->after.errors == p->s.errors) {
            p->s = m->after;
            return m->term;
        }
    }
    if (!parser_enter(p))
        return NULL;
    uint32_t depth = p->s.depth;
    bool finished = false;
    struct term *t = parse_primary(p, &finished);
    if (t != NULL && !finished)
        t = parse_term_finish(p, t, false);
    p->s.depth = depth;
    parser_leave(p);
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

struct term *parser_operator(struct parser *p, enum token op, struct pos op_pos, struct term *lhs,
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
        lhs = parser_operator(p, op, op_pos, lhs, rhs);
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
    if (!parser_enter(p))
        return NULL;
    uint32_t depth = p->s.depth;
    struct term *lhs = parse_operators(p, 1);
    if (lhs != NULL && key_val && p->s.tok.kind == TOK_COMMA) {
        struct parse_state s = p->s;
        parser_scan(p);
        struct term *mhs = parse_operators(p, 1);
        struct term *rhs = NULL;
        if (mhs != NULL && parser_at_in(p)) {
            parser_scan(p);
            rhs = parse_operators(p, 1);
        }
        if (rhs != NULL)
            lhs = member_call(p, (struct term *[]){lhs, mhs, rhs}, 3);
        else
            p->s = s;
    }
    while (lhs != NULL && parser_at_in(p)) {
        parser_scan(p);
        struct term *rhs = parse_operators(p, 1);
        lhs = rhs == NULL ? NULL : member_call(p, (struct term *[]){lhs, rhs}, 2);
    }
    p->s.depth = depth;
    parser_leave(p);
    return lhs;
}

struct term *parse_infix(struct parser *p)
{
    return parse_in(p, true);
}

static struct term *parse_infix_in_list(struct parser *p)
{
    return parse_in(p, false);
}

/*
 * Packages, imports, rules, and what a statement that is no rule may be
 * re-read as.
 */
#include "rego/parser.h"

#include <stdio.h>

#include "base/utf8.h"

/* ---- package and import ---- */

/* The present token is a keyword that begins a statement, not `package.x`. */
static bool at_statement(const struct parser *p, enum token t)
{
    return p->s.tok.kind == t && !parser_at_keyword_ref(p);
}

static struct term *data_ref(struct parser *p, struct term **parts, size_t len, struct pos pos)
{
    struct term **items = arena_new_array(p->a, struct term *, len + 1);
    if (items == NULL) {
        p->failed = true;
        return NULL;
    }
    items[0] = ast_var(p->a, STR("data"), pos);
    for (size_t i = 0; i < len; i++)
        items[i + 1] = parts[i];
    struct term *t = ast_list(p->a, TERM_REF, items, len + 1, pos);
    p->failed |= t == NULL;
    return t;
}

static bool parse_package(struct parser *p)
{
    struct pos pos = parser_pos(p);
    parser_scan(p);
    if (p->s.tok.kind != TOK_IDENT && !parser_allow_keyword_ref(p)) {
        parser_illegal(p, NULL);
        return false;
    }
    struct term *t = parse_term(p);
    if (t == NULL)
        return false;
    if (t->kind != TERM_VAR && t->kind != TERM_REF) {
        parser_illegal(p, NULL);
        return false;
    }
    struct term **parts = t->kind == TERM_VAR ? &t : t->items;
    size_t len = t->kind == TERM_VAR ? 1 : t->len;
    if (parts[0]->kind != TERM_VAR) {
        parser_error(p, parts[0]->pos, "unexpected %s token: expecting var",
                     ast_kind_name(parts[0]));
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        if (!ast_is_string(parts[i])) {
            parser_error(p, parts[i]->pos, "unexpected %s token: expecting string",
                         ast_kind_name(parts[i]));
            return false;
        }
    }
    struct term **items = arena_new_array(p->a, struct term *, len);
    if (items == NULL) {
        p->failed = true;
        return false;
    }
    memcpy(items, parts, len * sizeof(*items));
    items[0] = ast_string(p->a, parts[0]->var.name, parts[0]->pos);
    if (p->m->package != NULL) {
        parser_error(p, pos, "unexpected package");
        return true;
    }
    p->m->package = data_ref(p, items, len, parser_span(p, pos));
    p->m->package_pos = parser_span(p, pos);
    return p->m->package != NULL;
}

static const struct {
    const char *name;
    enum token token;
} future_keywords[] = {
    /* in alphabetical order, as the error text lists them; `and`, `or` only if the host agrees */
    {"and", TOK_AND}, {"contains", TOK_CONTAINS}, {"every", TOK_EVERY}, {"if", TOK_IF},
    {"in", TOK_IN},   {"not", TOK_NOT},           {"or", TOK_OR},
};

static bool is_allowed_future(const struct parser *p, size_t i)
{
    enum token t = future_keywords[i].token;
    return (t != TOK_AND && t != TOK_OR) || p->c->options.experimental_keywords;
}

static void enable_future(struct parser *p, enum token t)
{
    if (t == TOK_NOT) {
        p->m->not_keyword = true;
        return;
    }
    p->s.lx.keywords |= KEYWORD_BIT(t);
    if (t == TOK_EVERY)
        p->s.lx.keywords |= KEYWORD_BIT(TOK_IN);
    if (t == TOK_AND || t == TOK_OR)
        p->m->not_keyword = true;
}

static void unexpected_future(struct parser *p, struct pos pos)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 200);
    for (size_t i = 0; i < ARRAY_LEN(future_keywords); i++)
        if (is_allowed_future(p, i))
            buf_add_format(&text, "%s%s", text.len == 0 ? "" : " ", future_keywords[i].name);
    parser_error(p, pos, "unexpected keyword, must be one of [%.*s]", STR_ARG(buf_str(&text)));
}

static void import_future(struct parser *p, const struct import *imp)
{
    const struct term *path = imp->path;
    struct pos pos = path->pos;
    if (path->len == 1 || !str_is(value_str(path->items[1]->val), "keywords")) {
        parser_error(p, pos, "invalid import, must be `future.keywords`");
        return;
    }
    if (imp->alias.len > 0) {
        parser_error(p, pos, "`future` imports cannot be aliased");
        return;
    }
    if (path->len > 3) {
        unexpected_future(p, pos);
        return;
    }
    bool found = false;
    for (size_t i = 0; i < ARRAY_LEN(future_keywords); i++) {
        bool all = path->len == 2 && future_keywords[i].token != TOK_AND &&
                   future_keywords[i].token != TOK_OR;
        if (is_allowed_future(p, i) &&
            (all ||
             (path->len == 3 && str_is(value_str(path->items[2]->val), future_keywords[i].name)))) {
            enable_future(p, future_keywords[i].token);
            found = true;
        }
    }
    if (!found)
        unexpected_future(p, pos);
}

static void import_rego(struct parser *p, const struct import *imp)
{
    const struct term *path = imp->path;
    if (path->len != 2 || !str_is(value_str(path->items[1]->val), "v1")) {
        struct str text = ast_text(p->a, path);
        parser_error(p, path->pos, "invalid import `%.*s`, must be `rego.v1`", STR_ARG(text));
        return;
    }
    if (p->m->version == REGO_V1)
        return;
    if (imp->alias.len > 0) {
        parser_error(p, path->pos, "`rego` imports cannot be aliased");
        return;
    }
    p->m->rego_v1 = true;
    p->s.lx.keywords |= KEYWORDS_V1;
}

static bool check_import_path(struct parser *p, const struct import *imp)
{
    const struct term *path = imp->path;
    struct str root = path->items[0]->var.name;
    if (str_is(root, "future") || str_is(root, "rego"))
        return true;
    if (!str_is(root, "data") && !str_is(root, "input")) {
        parser_error(p, path->pos,
                     "unexpected import path, must begin with one of: {data, future, input, rego}, "
                     "got: %.*s (hint: if this is unexpected, try updating OPA)",
                     STR_ARG(str_slice(root, 0, 100)));
        return false;
    }
    if (path->len > 1 && imp->alias.len == 0) {
        struct str last = value_str(path->items[path->len - 1]->val);
        uint32_t keywords = p->m->version == REGO_V1 ? KEYWORDS_V1 : 0;
        if (token_keyword(last, keywords | (p->s.lx.keywords & KEYWORDS_V1)) != TOK_IDENT) {
            parser_error(
                p, path->pos,
                "unexpected import path, must not end with a keyword, got: %.*s (hint: import "
                "a different path or use an alias)",
                STR_ARG(last));
            return false;
        }
    }
    return true;
}

static bool parse_import(struct parser *p)
{
    struct import *imp = arena_new(p->a, struct import);
    if (imp == NULL) {
        p->failed = true;
        return false;
    }
    imp->pos = parser_pos(p);
    parser_scan(p);
    if (p->s.tok.kind != TOK_IDENT) {
        parser_error(p, parser_pos(p), "expected ident");
        return false;
    }
    struct term *t = parse_term(p);
    if (t == NULL)
        return false;
    if (t->kind == TERM_VAR)
        t = ast_list(p->a, TERM_REF, &t, 1, t->pos);
    if (t == NULL || t->kind != TERM_REF || t->items[0]->kind != TERM_VAR) {
        parser_error(p, parser_pos(p), "expected path");
        return false;
    }
    for (uint32_t i = 1; i < t->len; i++) {
        if (!ast_is_string(t->items[i])) {
            parser_error(p, t->items[i]->pos, "unexpected %s token: expecting string",
                         ast_kind_name(t->items[i]));
            return false;
        }
    }
    imp->path = t;
    if (p->s.tok.kind == TOK_AS) {
        parser_scan(p);
        struct term *alias = p->s.tok.kind == TOK_IDENT ? parse_term(p) : NULL;
        if (alias == NULL || alias->kind != TERM_VAR) {
            parser_illegal(p, "expected var");
            return false;
        }
        imp->alias = alias->var.name;
    }
    if (!check_import_path(p, imp))
        return false;
    imp->pos = parser_span(p, imp->pos);
    *p->m->imports_end = imp;
    p->m->imports_end = &imp->next;
    if (ast_is_var(t->items[0], "rego"))
        import_rego(p, imp);
    if (ast_is_var(t->items[0], "future"))
        import_future(p, imp);
    return p->s.errors == 0;
}

/* ---- rules ---- */

static struct rule *new_rule(struct parser *p, struct pos pos)
{
    struct rule *r = arena_new(p->a, struct rule);
    if (r == NULL) {
        p->failed = true;
        return NULL;
    }
    r->module = p->m;
    r->pos = pos;
    return r;
}

static struct body *true_body(struct parser *p, struct pos pos)
{
    struct body *b = ast_body(p->a);
    struct expr *e = ast_expr(p->a, EXPR_TERM, pos);
    if (b == NULL || e == NULL || (e->term = ast_value(p->a, VALUE_TRUE, pos)) == NULL ||
        !ast_body_add(p->a, b, e)) {
        p->failed = true;
        return NULL;
    }
    e->generated = true;
    return b;
}

static struct term *true_term(struct parser *p, struct pos pos)
{
    struct term *t = ast_value(p->a, VALUE_TRUE, pos);
    p->failed |= t == NULL;
    return t;
}

static bool is_ground(const struct term *t);

static bool list_is_ground(struct term *const *items, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_ground(items[i]))
            return false;
    return true;
}

/* OPA's IsGround(): a reference is ground when its parts after the head are. */
static bool is_ground(const struct term *t)
{
    switch (t->kind) {
    case TERM_VALUE:
        return true;
    case TERM_VAR:
        return false;
    case TERM_REF:
        return list_is_ground(t->items + 1, t->len - 1);
    case TERM_CALL:
    case TERM_ARRAY:
    case TERM_SET:
    case TERM_OBJECT:
        return list_is_ground(t->items, t->len);
    default:
        return false;
    }
}

/* name, name.path[x], name(args): the reference and the arguments of a head. */
static bool head_from_term(struct parser *p, struct term *t, struct head *h)
{
    if (t->kind == TERM_CALL) {
        h->args = t->items + 1;
        h->arg_count = t->len - 1;
        h->has_args = h->arg_count > 0; /* f() is a rule like f */
        t = t->items[0];
    }
    if (t->kind == TERM_VAR) {
        h->ref = ast_list(p->a, TERM_REF, &t, 1, t->pos);
        p->failed |= h->ref == NULL;
        return h->ref != NULL;
    }
    if (t->kind != TERM_REF || t->items[0]->kind != TERM_VAR)
        return false;
    h->ref = t;
    return true;
}

static void value_expected(struct parser *p, const struct head *h, bool is_default)
{
    struct str name = ast_text(p->a, h->ref);
    struct str note =
        h->has_args
            ? arena_format(p->a,
                           "expected function value term (e.g., %.*s(...) := <VALUE> { ... })",
                           STR_ARG(name))
        : is_default
            ? arena_format(p->a, "expected default rule value term (e.g., default %.*s := <VALUE>)",
                           STR_ARG(name))
            : arena_format(p->a, "expected rule value term (e.g., %.*s := <VALUE> { ... })",
                           STR_ARG(name));
    parser_illegal(p, note.ptr);
}

static bool parse_head(struct parser *p, struct head *h, bool is_default)
{
    struct pos pos = parser_pos(p);
    h->pos = pos;
    struct term *t = parse_var(p);
    if (t == NULL)
        return false;
    t = parse_term_finish(p, t, true);
    if (t == NULL) {
        parser_illegal(p, "expected rule head name");
        return false;
    }
    if (!head_from_term(p, t, h))
        return false;

    enum token tok = p->s.tok.kind;
    if (tok == TOK_CONTAINS) {
        struct str name = ast_text(p->a, h->ref);
        if (h->has_args) {
            struct str note =
                arena_format(p->a,
                             "the contains keyword can only be used with multi-value rule "
                             "definitions (e.g., %.*s contains <VALUE> { ... })",
                             STR_ARG(name));
            parser_illegal(p, note.ptr);
        }
        parser_scan(p);
        h->uses_contains = true;
        h->key = parse_infix(p);
        if (h->key == NULL)
            parser_illegal(
                p,
                arena_format(p->a, "expected rule key term (e.g., %.*s contains <VALUE> { ... })",
                             STR_ARG(ast_text(p->a, h->ref)))
                    .ptr);
        h->pos = parser_span(p, pos);
        return h->key != NULL;
    }
    if (tok == TOK_UNIFY || tok == TOK_ASSIGN) {
        h->assign = tok == TOK_ASSIGN;
        parser_scan(p);
        h->val = parse_infix(p);
        if (h->val == NULL)
            value_expected(p, h, is_default);
        if (p->s.errors > 0)
            return false;
    }
    if (h->val == NULL && (h->ref->len != 2 || h->has_args)) {
        h->generated_val = true;
        h->val = true_term(p, pos);
    }
    h->pos = parser_span(p, pos);
    return true;
}

/* Copies of a head's terms: else branches and chained bodies get variables of their own. */
static bool copy_head(struct parser *p, const struct head *from, struct head *to)
{
    *to = *from;
    to->ref = ast_copy(p->a, from->ref);
    to->val = ast_copy(p->a, from->val);
    to->key = ast_copy(p->a, from->key);
    to->args = arena_new_array(p->a, struct term *, from->arg_count);
    for (uint32_t i = 0; to->args != NULL && i < from->arg_count; i++)
        to->args[i] = ast_copy(p->a, from->args[i]);
    return to->args != NULL && to->ref != NULL;
}

static bool braced_body(struct parser *p, struct body **out)
{
    parser_scan(p);
    *out = parse_body_until(p, TOK_RBRACE, false);
    if (*out == NULL)
        return false;
    parser_scan(p);
    return true;
}

static bool single_body(struct parser *p, struct body **out)
{
    struct expr *e = parse_literal(p);
    *out = ast_body(p->a);
    if (e == NULL)
        return false;
    if (*out == NULL || !ast_body_add(p->a, *out, e)) {
        p->failed = true;
        return false;
    }
    return true;
}

/* All branches of an else chain, in a loop: chains may be long. */
static bool parse_elses(struct parser *p, struct rule *first)
{
    struct rule **end = &first->els;
    while (p->s.tok.kind == TOK_ELSE) {
        struct rule *r = new_rule(p, parser_pos(p));
        if (r == NULL || !copy_head(p, &first->head, &r->head))
            return false;
        r->head.generated_val = false;
        r->head.uses_if = false;
        r->head.pos = r->pos;
        parser_scan(p);
        if (p->s.tok.kind == TOK_LBRACE || p->s.tok.kind == TOK_IF) {
            r->head.generated_val = true;
            r->head.val = true_term(p, r->pos);
        } else if (p->s.tok.kind == TOK_ASSIGN || p->s.tok.kind == TOK_UNIFY) {
            r->head.assign = p->s.tok.kind == TOK_ASSIGN;
            parser_scan(p);
            r->head.val = parse_infix(p);
            if (r->head.val == NULL)
                return false;
            r->head.pos = parser_span(p, r->head.pos);
        } else {
            parser_illegal(p, "expected else value term or rule body");
            return false;
        }
        bool has_if = p->s.tok.kind == TOK_IF;
        if (has_if) {
            r->head.uses_if = true;
            parser_scan(p);
        }
        if (p->s.tok.kind == TOK_LBRACE) {
            if (!braced_body(p, &r->body))
                return false;
            r->braced = true;
        } else if (!has_if) {
            r->body = true_body(p, r->pos);
            r->generated_body = true;
        } else if (p->s.tok.kind == TOK_EOF) {
            parser_illegal(p, "rule body expected");
            return false;
        } else if (!single_body(p, &r->body)) {
            return false;
        }
        r->pos = parser_span(p, r->pos);
        *end = r;
        end = &r->els;
        if (r->generated_body)
            break;
    }
    return true;
}

static void append_rule(struct parser *p, struct rule *r)
{
    *p->m->rules_end = r;
    p->m->rules_end = &r->next;
}

/* More braced bodies behind a rule: rules with the same head. */
static bool parse_chained(struct parser *p, struct rule *first)
{
    while (p->s.tok.kind == TOK_LBRACE) {
        if (first->els != NULL) {
            parser_error(p, parser_pos(p), "expected else keyword");
            return false;
        }
        struct rule *r = new_rule(p, parser_pos(p));
        if (r == NULL || !copy_head(p, &first->head, &r->head) || !braced_body(p, &r->body))
            return false;
        r->pos = parser_span(p, r->pos);
        r->head.pos = r->pos;
        r->chained = true;
        append_rule(p, r);
    }
    return true;
}

/* Constants and comprehensions only. */
static bool check_default_value(struct parser *p, const struct rule *r, const struct term *t)
{
    const char *what = t->kind == TERM_VAR    ? "var"
                       : t->kind == TERM_REF  ? "ref"
                       : t->kind == TERM_CALL ? "call"
                                              : NULL;
    if (what != NULL) {
        parser_error(p, r->pos, "illegal default rule (value cannot contain %s)", what);
        return false;
    }
    if (t->kind == TERM_ARRAY || t->kind == TERM_SET || t->kind == TERM_OBJECT)
        for (uint32_t i = 0; i < t->len; i++)
            if (!check_default_value(p, r, t->items[i]))
                return false;
    return true;
}

static bool check_default(struct parser *p, struct rule *r)
{
    if (r->head.val == NULL) {
        parser_error(p, r->pos, "illegal default rule (must have a value)");
        return false;
    }
    if (!check_default_value(p, r, r->head.val))
        return false;
    for (uint32_t i = 0; i < r->head.arg_count; i++) {
        const struct term *arg = r->head.args[i];
        if (arg->kind != TERM_VAR) {
            parser_error(p, r->pos, "illegal default rule (arguments cannot contain %s)",
                         ast_kind_name(arg));
            return false;
        }
        for (uint32_t k = 0; k < i && !arg->wildcard; k++) {
            if (str_equal(r->head.args[k]->var.name, arg->var.name)) {
                parser_error(p, r->pos, "illegal default rule (arguments cannot be repeated %.*s)",
                             STR_ARG(arg->var.name));
                return false;
            }
        }
    }
    return true;
}

enum parsed { PARSED, NOT_A_RULE, PARSE_FAILED };

/* What p[x] means depends on what follows it (spec 2.3). */
static void settle_key(struct rule *r, bool has_if)
{
    struct head *h = &r->head;
    if (h->uses_contains || h->has_args || h->ref->len != 2)
        return;
    struct term *key = h->ref->items[1];
    if (has_if) {
        if (h->val == NULL) {
            h->generated_val = true;
        }
        return;
    }
    h->key = h->val == NULL ? key : NULL;
    if (h->val == NULL)
        h->ref->len = 1;
}

static enum parsed parse_rule(struct parser *p)
{
    struct rule *r = new_rule(p, parser_pos(p));
    if (r == NULL)
        return PARSE_FAILED;
    if (at_statement(p, TOK_DEFAULT)) {
        parser_scan(p);
        r->is_default = true;
    }
    if (p->s.tok.kind != TOK_IDENT && !parser_at_keyword_ref(p))
        return NOT_A_RULE;
    if (!parse_head(p, &r->head, r->is_default))
        return p->s.errors > 0 || p->failed ? PARSE_FAILED : NOT_A_RULE;
    r->pos = parser_span(p, r->pos);

    if (r->is_default) {
        if (!check_default(p, r))
            return PARSE_FAILED;
        r->body = true_body(p, r->pos);
        append_rule(p, r);
        return PARSED;
    }

    bool has_if = p->s.tok.kind == TOK_IF;
    bool keyed = !r->head.uses_contains && !r->head.has_args && r->head.ref->len == 2;
    bool variable_key = keyed && !is_ground(r->head.ref);
    settle_key(r, has_if);
    if (has_if && r->head.val == NULL && r->head.key == NULL)
        r->head.val = true_term(p, r->head.pos);

    if (has_if) {
        r->head.uses_if = true;
        parser_scan(p);
        struct parse_state s = p->s;
        bool ok = single_body(p, &r->body);
        struct expr *e = ok ? r->body->items[0] : NULL;
        if (!ok || (e->kind == EXPR_TERM && e->term->kind == TERM_SET)) {
            /* A set is never false: `{ true }` must be a body. */
            struct parse_state failed = p->s;
            p->s = s;
            if (p->s.tok.kind != TOK_LBRACE) {
                p->s = failed;
                return PARSE_FAILED;
            }
            if (!braced_body(p, &r->body))
                return PARSE_FAILED;
        }
    } else if (p->s.tok.kind == TOK_LBRACE) {
        if (!braced_body(p, &r->body))
            return PARSE_FAILED;
    } else if (r->head.uses_contains) {
        r->body = true_body(p, r->pos);
        r->generated_body = true;
        if (p->s.tok.kind == TOK_ELSE) {
            parser_error(p, parser_pos(p), "else keyword cannot be used on multi-value rules");
            return PARSE_FAILED;
        }
        append_rule(p, r);
        return PARSED;
    } else {
        return NOT_A_RULE;
    }

    append_rule(p, r);
    if (p->s.tok.kind == TOK_ELSE) {
        const char *what = r->head.key != NULL ? "multi-value rules"
                           : variable_key || !is_ground(r->head.ref)
                               ? "rules with variables in head"
                               : NULL;
        if (what != NULL) {
            parser_error(p, parser_pos(p), "else keyword cannot be used on %s", what);
            return PARSE_FAILED;
        }
        if (!parse_elses(p, r))
            return PARSE_FAILED;
    }
    r->pos = parser_span(p, r->pos);
    return parse_chained(p, r) ? PARSED : PARSE_FAILED;
}

/* ---- statements that are no rules ---- */

static const char *rule_from_term(struct parser *p, struct rule *r, struct term *t)
{
    struct head *h = &r->head;
    if (t->kind != TERM_REF || t->items[0]->kind != TERM_VAR)
        return ast_kind_name(t);
    h->ref = t;
    if (t->len == 2) { /* p[x]: an element of the set p */
        h->key = t->items[1];
        h->ref = ast_list(p->a, TERM_REF, t->items, 1, t->pos);
    } else {
        h->val = true_term(p, t->pos);
        h->generated_val = true;
    }
    return h->ref == NULL ? "" : NULL;
}

static void rule_from_expr(struct parser *p, struct expr *e)
{
    struct rule *r = new_rule(p, e->pos);
    if (r == NULL)
        return;
    r->head.pos = e->pos;
    const char *error = NULL;
    if (e->with_count > 0) {
        error = "expressions using with keyword cannot be used for rule head";
    } else if (e->negated || e->kind == EXPR_NOT) {
        error = "negated expressions cannot be used for rule head";
    } else if (e->kind == EXPR_SOME) {
        error = "'some' declarations cannot be used for rule head";
    } else if (e->kind == EXPR_TERM) {
        const char *kind = rule_from_term(p, r, e->term);
        if (kind != NULL) {
            parser_error(p, e->pos, "%s cannot be used for rule name", kind);
            return;
        }
    } else if (e->kind == EXPR_UNIFY) {
        struct term *lhs = e->term->items[1];
        r->head.val = e->term->items[2];
        r->head.assign = e->assign;
        if (!head_from_term(p, lhs, &r->head)) {
            parser_error(p, e->pos, "%s cannot be used for rule name", ast_kind_name(lhs));
            return;
        }
    } else if (e->kind == EXPR_CALL) {
        struct str name = ast_text(p->a, e->term->items[0]);
        if (e->term->items[0]->generated || rego_builtin_find(name) != NULL)
            error = "rule name conflicts with built-in function";
        else if (e->term->len < 2)
            error = "rule argument list must take at least one argument";
        else if (!head_from_term(p, e->term, &r->head))
            error = "invalid rule head";
        else
            r->head.val = true_term(p, e->pos);
    } else {
        error = "expression cannot be used for rule head";
    }
    if (error != NULL) {
        parser_error(p, e->pos, "%s", error);
        return;
    }
    r->generated_body = true;
    r->body = true_body(p, e->pos);
    append_rule(p, r);
}

static bool parse_statement_body(struct parser *p)
{
    struct body *b = parse_body_until(p, TOK_EOF, true);
    if (b == NULL)
        return false;
    if (b->len != 1)
        parser_error(p, b->items[0]->pos, "multiple expressions cannot be used for rule head");
    else
        rule_from_expr(p, b->items[0]);
    return true;
}

static bool parse_statement(struct parser *p)
{
    if (at_statement(p, TOK_PACKAGE))
        return parse_package(p);
    if (p->m->package == NULL) {
        parser_error(p, parser_pos(p), "package expected");
        return false;
    }
    if (at_statement(p, TOK_IMPORT))
        return parse_import(p);
    struct parse_state s = p->s;
    struct rule **rules_end = p->m->rules_end;
    switch (parse_rule(p)) {
    case PARSED:
        return true;
    case PARSE_FAILED:
        return false;
    case NOT_A_RULE:
        break;
    }
    p->s = s;
    *rules_end = NULL;
    p->m->rules_end = rules_end;
    return parse_statement_body(p);
}

/* ---- the checks of v1 (spec 2.2) ---- */

static void check_v1_rule(struct parser *p, const struct rule *r)
{
    const char *type = r->head.has_args ? "function" : "rule";
    if (r->generated_body && r->head.generated_val)
        parser_error(p, r->pos, "%s must have value assignment and/or body declaration", type);
    if (!r->generated_body && !r->head.uses_if && !r->is_default)
        parser_error(p, r->pos, "`if` keyword is required before %s body", type);
    if (r->head.key != NULL && !r->head.uses_contains)
        parser_error(p, r->pos, "`contains` keyword is required for partial set rules");
    if (r->head.ref->len == 1) {
        struct str name = r->head.ref->items[0]->var.name;
        if (token_keyword(name, KEYWORDS_V1) != TOK_IDENT)
            parser_error(p, r->pos, "%.*s keyword cannot be used for rule name", STR_ARG(name));
    }
}

static void check_v1(struct parser *p)
{
    for (const struct rule *r = p->m->rules; r != NULL; r = r->next)
        for (const struct rule *branch = r; branch != NULL; branch = branch->els)
            check_v1_rule(p, branch);
}

/* ---- entry points ---- */

static bool check_text(struct parser *p, struct str text)
{
    uint32_t row = 1;
    size_t line = 0;
    size_t off = str_has_prefix(text, STR("\xef\xbb\xbf")) ? 3 : 0;
    while (off < text.len) {
        uint32_t r = (unsigned char)text.ptr[off];
        size_t n = r < 0x80 ? 1 : utf8_decode(str_from(text, off), &r);
        const char *what = n == 0        ? "invalid utf-8 encoding"
                           : r == 0      ? "illegal null character"
                           : r == 0xfeff ? "illegal byte-order mark"
                                         : NULL;
        if (what != NULL) {
            struct pos pos = {(uint32_t)off, (uint32_t)off, row,
                              (uint32_t)utf8_count(str_slice(text, line, off - line)) + 1};
            parser_error(p, pos, "%s", what);
            return false;
        }
        off += n;
        if (r == '\n') {
            row++;
            line = off;
        }
    }
    return true;
}

static struct module *new_module(struct rego_compiler *c, struct str file, struct str text,
                                 enum rego_version version)
{
    struct module *m = arena_new(&c->arena, struct module);
    if (m == NULL)
        return NULL;
    m->file = file;
    m->text = text;
    m->version = version;
    m->imports_end = &m->imports;
    m->rules_end = &m->rules;
    return m;
}

static void start(struct parser *p, struct rego_compiler *c, struct module *m)
{
    *p = (struct parser){.c = c, .a = &c->arena, .m = m};
    p->tokens_max = 64 * (uint64_t)m->text.len + 10000;
    lexer_init(&p->s.lx, m->text, m->version == REGO_V1 ? KEYWORDS_V1 : 0);
}

/* Hand the errors over to the compiler. */
static bool finish(struct parser *p)
{
    if (p->failed && p->s.errors == 0)
        parser_error(p, (struct pos){0}, "out of memory");
    for (size_t i = 0; i < p->s.errors; i++) {
        const struct rego_error *e = &p->errors[i];
        front_error(p->c, e->code, p->m, (struct pos){.row = e->row, .col = e->col}, "%.*s",
                    STR_ARG(e->message));
    }
    return p->s.errors == 0 && !p->failed;
}

struct module *parse_module(struct rego_compiler *c, struct str file, struct str text,
                            enum rego_version version)
{
    struct module *m = new_module(c, file, text, version);
    if (m == NULL)
        return NULL;
    struct parser p;
    start(&p, c, m);
    if (check_text(&p, text)) {
        parser_scan(&p);
        if (p.s.tok.kind == TOK_EOF && p.s.errors == 0)
            parser_error(&p, (struct pos){0}, "empty module");
        while (p.s.tok.kind != TOK_EOF && !p.failed) {
            p.memo = NULL;
            p.s.depth = 0;
            if (!parse_statement(&p))
                break;
        }
        if (p.s.errors == 0 && (m->version == REGO_V1 || m->rego_v1))
            check_v1(&p);
    }
    return finish(&p) ? m : NULL;
}

struct body *parse_query_text(struct rego_compiler *c, struct module *m)
{
    struct parser p;
    start(&p, c, m);
    p.s.lx.keywords = KEYWORDS_V1;
    struct body *b = NULL;
    if (check_text(&p, m->text)) {
        parser_scan(&p);
        b = parse_body_until(&p, TOK_EOF, false);
    }
    return finish(&p) ? b : NULL;
}

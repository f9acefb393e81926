/*
 * Layout of rules, bodies and literals.
 */
#include "rego/fmt.h"

static const struct fmt_comments none = {NULL, 0};

static enum fmt_outcome lose(struct fmt_comments *cm, enum fmt_outcome o)
{
    *cm = none;
    return o;
}

/* ---- literals ---- */

static bool is_set_term(const struct expr *e)
{
    return !e->negated && e->kind == EXPR_TERM && e->term->kind == TERM_SET;
}

static bool is_union_expr(const struct expr *e)
{
    return (e->kind == EXPR_CALL || e->kind == EXPR_UNIFY) && e->term->len == 3 &&
           fmt_is_union(e->term);
}

static bool is_logical(const struct expr *e)
{
    return e->kind == EXPR_AND || e->kind == EXPR_OR;
}

/* Written, it begins with `{`: it would be read as a body. */
static bool begins_with_brace(const struct expr *e)
{
    if (e->kind == EXPR_TERM)
        return fmt_begins_with_brace(e->term);
    if ((e->kind == EXPR_CALL || e->kind == EXPR_UNIFY) && fmt_infix(e->term) != NULL)
        return e->term->len == 3   ? fmt_begins_with_brace(e->term->items[1])
               : e->term->len == 4 ? fmt_begins_with_brace(e->term->items[3])
                                   : false;
    return false;
}

/* `x | y` at the beginning of a body in braces would be a comprehension. */
static void mark_leading_union(struct fmt *w, const struct expr *e)
{
    while (!e->negated && is_logical(e)) {
        struct str text = fmt_text(w, e->pos);
        if (text.len > 0 && (text.ptr[0] == '{' || text.ptr[0] == '('))
            return;
        e = e->body->items[0];
    }
    if (e->negated)
        return;
    if (is_union_expr(e)) {
        w->paren_expr = e;
    } else if ((e->kind == EXPR_CALL || e->kind == EXPR_UNIFY) && fmt_infix(e->term) != NULL) {
        const struct term *lead = e->term->len == 3   ? e->term->items[1]
                                  : e->term->len == 4 ? e->term->items[3]
                                                      : NULL;
        if (lead != NULL && fmt_is_union(lead))
            w->paren_term = lead;
    }
}

static enum fmt_outcome put_some(struct fmt *w, const struct expr *e, struct fmt_comments *cm)
{
    enum fmt_outcome o = fmt_insert(w, cm, e->pos.row);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, "some ");
    uint32_t row = e->pos.row;
    for (uint32_t i = 0; i < e->symbol_count; i++) {
        struct term *t = e->symbols[i];
        if (t->kind == TERM_CALL) {
            o = fmt_in(w, false, t->items + 1, t->len - 1, e->pos, cm);
        } else {
            if (t->pos.row > row) {
                fmt_end_line(w);
                fmt_start_line(w);
                fmt_put(w, "\t");
                row = t->pos.row;
            } else if (i > 0) {
                fmt_put(w, " ");
            }
            o = fmt_term(w, t, cm);
            if (o == FMT_OK && i + 1 < e->symbol_count)
                fmt_put(w, ",");
        }
        if (o != FMT_OK)
            return lose(cm, o);
    }
    return FMT_OK;
}

static enum fmt_outcome put_every(struct fmt *w, const struct expr *e, struct fmt_comments *cm)
{
    enum fmt_outcome o = fmt_insert(w, cm, e->pos.row);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, "every ");
    struct term *parts[3] = {e->key, e->val, e->domain};
    for (int i = e->key == NULL; i < 3; i++) {
        o = fmt_term(w, parts[i], cm);
        if (o != FMT_OK)
            return lose(cm, o);
        fmt_put(w, i == 0 ? ", " : i == 1 ? " in " : " {");
    }
    o = fmt_inner_body(w, e->body, '{', '}', e->pos.row, e->pos, cm);
    if (o == FMT_FAILED)
        return lose(cm, o);
    if (e->body->len == 1 && e->body->items[0]->pos.row == e->pos.row)
        fmt_put(w, " ");
    fmt_put(w, "}");
    return FMT_OK;
}

static bool not_needs_parens(const struct expr *e)
{
    return e->with_count > 0 || is_logical(e) || e->kind == EXPR_NOT || begins_with_brace(e);
}

/* A body in braces, laid out like that of a comprehension. */
static enum fmt_outcome put_braced(struct fmt *w, const struct body *b, struct pos brace,
                                   struct fmt_comments *cm)
{
    if (is_union_expr(b->items[0]))
        w->paren_expr = b->items[0];
    fmt_put(w, "{");
    enum fmt_outcome o = fmt_inner_body(w, b, '{', '}', brace.row, brace, cm);
    if (o == FMT_FAILED)
        return lose(cm, o);
    if (b->items[b->len - 1]->pos.row == brace.row)
        fmt_put(w, " ");
    fmt_put(w, "}");
    return FMT_OK;
}

static enum fmt_outcome put_not(struct fmt *w, const struct expr *e, struct fmt_comments *cm)
{
    enum fmt_outcome o = fmt_insert(w, cm, e->pos.row);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, "not ");
    if (e->braced || e->body->len > 1)
        return put_braced(w, e->body, e->pos, cm);
    struct expr *inner = e->body->items[0];
    inner->pos = e->pos;
    bool parens = not_needs_parens(inner);
    if (parens)
        fmt_put(w, "(");
    o = fmt_expr(w, inner, cm);
    if (o == FMT_FAILED)
        return lose(cm, o);
    if (parens)
        fmt_put(w, ")");
    return FMT_OK;
}

/* ---- and, or ---- */

struct side {
    const struct body *body;
    bool braced;
    bool parens;
    struct pos brace;
};

static char before(const struct fmt *w, uint32_t off, uint32_t *at)
{
    while (off > 0) {
        char ch = w->m->text.ptr[--off];
        if (ch != ' ' && ch != '\t' && ch != '\n' && ch != '\r') {
            *at = off;
            return ch;
        }
    }
    return 0;
}

static bool side_needs_parens(const struct expr *e, enum expr_kind parent, bool right)
{
    if (e->with_count > 0)
        return true;
    if (e->kind == EXPR_OR)
        return parent == EXPR_AND || right;
    if (e->kind == EXPR_AND)
        return parent == EXPR_AND && right;
    return begins_with_brace(e);
}

static struct side side_of(const struct fmt *w, const struct expr *e, bool right)
{
    struct side s = {.body = right ? e->right : e->body};
    const struct expr *first = s.body->items[0];
    uint32_t at = e->pos.off;
    char ch = right ? before(w, first->pos.off, &at) : w->m->text.ptr[e->pos.off];
    bool open = ch == '{' && (right || first->pos.off > e->pos.off);
    s.braced = open || s.body->len != 1;
    if (!s.braced) {
        s.parens = side_needs_parens(first, (enum expr_kind)e->kind, right);
        return s;
    }
    s.brace = e->pos;
    for (uint32_t i = s.brace.off; i < at; i++)
        s.brace.row += w->m->text.ptr[i] == '\n';
    s.brace.off = at;
    return s;
}

static int64_t body_end(const struct fmt *w, const struct body *b)
{
    return fmt_end_row(w, b->items[b->len - 1]->pos);
}

static int64_t side_end(const struct fmt *w, const struct side *s)
{
    int64_t row = s->braced ? fmt_closing_row(w, s->brace, 0, 0, '{', '}') : 0;
    return row > 0 ? row : body_end(w, s->body);
}

static enum fmt_outcome put_side(struct fmt *w, const struct side *s, struct fmt_comments *cm)
{
    if (s->braced)
        return put_braced(w, s->body, s->brace, cm);
    if (s->parens)
        fmt_put(w, "(");
    enum fmt_outcome o = fmt_expr(w, s->body->items[0], cm);
    if (s->parens)
        fmt_put(w, ")");
    return o;
}

/* The left side, a chain of the same operator laid out as one; returns the row where it ends. */
static enum fmt_outcome put_chain(struct fmt *w, const struct expr *e, struct fmt_comments *cm,
                                  bool *indented)
{
    struct side left = side_of(w, e, false);
    const struct expr *first = left.body->items[0];
    enum fmt_outcome o;
    int64_t end;
    if (!left.braced && is_logical(first) && !left.parens) {
        o = put_chain(w, first, cm, indented);
        end = body_end(w, left.body);
    } else {
        o = put_side(w, &left, cm);
        end = side_end(w, &left);
    }
    if (o == FMT_FAILED)
        return o;
    fmt_put(w, e->kind == EXPR_AND ? " and" : " or");
    struct side right = side_of(w, e, true);
    int64_t row = right.braced ? right.brace.row : right.body->items[0]->pos.row;
    if (row > end) {
        if (!*indented)
            fmt_up(w);
        *indented = true;
        fmt_end_line(w);
        fmt_start_line(w);
    } else {
        fmt_put(w, " ");
    }
    return put_side(w, &right, cm);
}

static enum fmt_outcome put_logical(struct fmt *w, const struct expr *e, struct fmt_comments *cm)
{
    bool indented = false;
    enum fmt_outcome o = put_chain(w, e, cm, &indented);
    if (indented)
        fmt_down(w);
    return o == FMT_FAILED ? o : FMT_OK;
}

/* ---- with ---- */

static enum fmt_outcome put_with(struct fmt *w, const struct with *with, bool indented,
                                 struct fmt_comments *cm)
{
    enum fmt_outcome o = fmt_insert(w, cm, with->pos.row);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, indented ? "with " : " with ");
    o = fmt_term(w, with->target, cm);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, " as ");
    o = fmt_term(w, with->val, cm);
    return o == FMT_FAILED ? o : FMT_OK;
}

/* Where the literal without its modifiers ends. */
static int64_t terms_end(const struct fmt *w, const struct expr *e)
{
    struct pos pos = e->pos;
    if (e->withs[0].pos.off > pos.off && e->withs[0].pos.off <= pos.end)
        pos.end = e->withs[0].pos.off;
    return fmt_end_row(w, pos);
}

static enum fmt_outcome put_withs(struct fmt *w, const struct expr *e, struct fmt_comments *cm)
{
    int64_t last = terms_end(w, e);
    bool up = false;
    enum fmt_outcome o = FMT_OK;
    for (uint32_t i = 0; i < e->with_count && o == FMT_OK; i++) {
        const struct with *with = &e->withs[i];
        bool same = i == 0 && (int64_t)with->pos.row == last;
        bool indent = !same && (int64_t)with->pos.row > last;
        if (indent) {
            if (!up)
                fmt_up(w);
            up = true;
            fmt_end_line(w);
            fmt_start_line(w);
        }
        if (same || indent)
            last = with->pos.row;
        o = put_with(w, with, indent, cm);
    }
    if (up)
        fmt_down(w);
    return o;
}

enum fmt_outcome fmt_expr(struct fmt *w, const struct expr *e, struct fmt_comments *cm)
{
    bool parens = w->paren_expr == e;
    if (parens)
        w->paren_expr = NULL;
    enum fmt_outcome o = fmt_insert(w, cm, e->pos.row);
    if (o != FMT_OK)
        return o;
    if (!w->inline_)
        fmt_start_line(w);
    if (e->negated)
        fmt_put(w, is_logical(e) ? "not (" : "not ");
    if (parens)
        fmt_put(w, "(");
    switch (e->kind) {
    case EXPR_SOME:
        o = put_some(w, e, cm);
        break;
    case EXPR_EVERY:
        o = put_every(w, e, cm);
        break;
    case EXPR_NOT:
        o = put_not(w, e, cm);
        break;
    case EXPR_AND:
    case EXPR_OR:
        o = put_logical(w, e, cm);
        break;
    case EXPR_TERM:
        o = fmt_term(w, e->term, cm);
        break;
    default:
        o = fmt_call(w, e->term, cm);
    }
    if (o != FMT_OK)
        return o;
    if (parens)
        fmt_put(w, ")");
    if (e->negated && is_logical(e))
        fmt_put(w, ")");
    return e->with_count == 0 ? FMT_OK : put_withs(w, e, cm);
}

/* ---- bodies ---- */

static enum fmt_outcome fmt_body(struct fmt *w, const struct body *b, struct fmt_comments *cm)
{
    enum fmt_outcome o = fmt_insert(w, cm, b->items[0]->pos.row);
    if (o != FMT_OK)
        return o;
    for (uint32_t i = 0; i < b->len; i++) {
        const struct expr *e = b->items[i];
        if (i > 0) {
            struct str text = fmt_text(w, b->items[i - 1]->pos);
            int64_t last = b->items[i - 1]->pos.row;
            for (size_t k = 0; k < text.len; k++)
                last += text.ptr[k] == '\n';
            if ((int64_t)e->pos.row > last + 1)
                fmt_blank_line(w);
        }
        fmt_start_line(w);
        o = fmt_expr(w, e, cm);
        if (o == FMT_FAILED)
            w->failed = true;
        fmt_end_line(w);
    }
    return FMT_OK;
}

enum fmt_outcome fmt_inner_body(struct fmt *w, const struct body *b, char open, char close,
                                int64_t row, struct pos around, struct fmt_comments *cm)
{
    bool many = (int64_t)b->items[0]->pos.row > row;
    for (uint32_t i = 1; i < b->len; i++)
        many |= b->items[i]->pos.row > b->items[i - 1]->pos.row;
    enum fmt_outcome o = FMT_OK;
    if (many) {
        fmt_end_line(w);
        fmt_up(w);
        o = fmt_body(w, b, cm);
    } else {
        fmt_put(w, " ");
        for (uint32_t i = 0; i < b->len && o == FMT_OK; i++) {
            o = fmt_expr(w, b->items[i], cm);
            if (o == FMT_OK && i + 1 < b->len)
                fmt_put(w, "; ");
        }
    }
    if (o == FMT_OK) {
        o = fmt_insert(w, cm, fmt_closing_row(w, around, 0, 0, open, close));
        if (o != FMT_OK)
            *cm = none;
    }
    if (many) {
        fmt_down(w);
        fmt_start_line(w);
    }
    return o;
}

/* ---- heads ---- */

static bool is_true(const struct term *t)
{
    return t != NULL && t->kind == TERM_VALUE && value_is_true(t->val);
}

static bool is_true_body(const struct body *b)
{
    const struct expr *e = b->items[0];
    return b->len == 1 && e->kind == EXPR_TERM && !e->negated && e->with_count == 0 &&
           is_true(e->term);
}

static bool has_variable(const struct term *t)
{
    if (t->kind == TERM_VALUE)
        return false;
    if (t->kind == TERM_VAR || t->kind >= TERM_ARRAY_COMP)
        return true;
    for (uint32_t i = t->kind == TERM_REF; i < t->len; i++)
        if (has_variable(t->items[i]))
            return true;
    return false;
}

/* OPA remembers the key of p[x] = y, too. */
static bool has_key(const struct head *h)
{
    if (h->key != NULL)
        return true;
    if (h->ref->len != 2 || h->has_args || h->uses_contains)
        return false;
    const struct term *key = h->ref->items[1];
    return !h->uses_if ? !h->generated_val : has_variable(key) || key->kind == TERM_REF;
}

/*
 * The value `true` that nobody wrote.  OPA knows it by the position of the head,
 * which it has only where the parser made it later than the head itself.
 */
static bool is_implied(const struct rule *r)
{
    const struct head *h = &r->head;
    if (!is_true(h->val))
        return false;
    if (r->generated_body)
        return h->generated_val || h->val->pos.off == h->pos.off;
    if (r->chained)
        return h->generated_val;
    return h->generated_val && h->uses_if && h->ref->len == 2 && h->arg_count == 0;
}

/* p[x], where no head of the module is longer than that. */
static enum fmt_outcome put_short_ref(struct fmt *w, const struct head *h, struct fmt_comments *cm,
                                      bool *done)
{
    if (cm->len > 0 && h->ref->items[1]->pos.row == cm->items[0]->row) {
        *done = true;
        enum fmt_outcome o = fmt_unformatted(w, h->pos, cm);
        return o == FMT_OK ? o : lose(cm, o);
    }
    ast_write(w->out, h->ref->items[0]);
    fmt_put(w, "[");
    ast_write(w->out, h->ref->items[1]);
    fmt_put(w, "]");
    return FMT_OK;
}

static enum fmt_outcome put_key(struct fmt *w, const struct head *h, struct fmt_comments *cm)
{
    fmt_put(w, w->contains ? " contains " : "[");
    enum fmt_outcome o = fmt_term(w, h->key, cm);
    if (o == FMT_OK && !w->contains)
        fmt_put(w, "]");
    return o;
}

static enum fmt_outcome put_head(struct fmt *w, const struct rule *r, bool is_else, bool constant,
                                 struct fmt_comments *cm)
{
    const struct head *h = &r->head;
    enum fmt_outcome o = FMT_OK;
    bool done = false;
    bool set = h->key != NULL;
    if (is_else) {
        fmt_put(w, "else");
        o = fmt_insert(w, cm, h->pos.row);
    } else if (w->ref_heads || h->ref->len == 1) {
        o = fmt_ref(w, h->ref->items, h->ref->len, cm);
    } else {
        o = put_short_ref(w, h, cm, &done);
    }
    if (o != FMT_OK || done)
        return o;
    if (h->arg_count > 0 && !is_else) {
        fmt_put(w, "(");
        o = fmt_list(w, h->args, h->arg_count, h->pos, fmt_closing_row(w, h->pos, 0, 0, '(', ')'),
                     cm, false);
        fmt_put(w, ")");
        if (o != FMT_OK)
            return o;
    }
    if (set)
        return put_key(w, h, cm);
    bool shown = h->val != NULL && (has_key(h) || !is_true(h->val) || constant || r->is_default);
    if (!shown)
        return FMT_OK;
    bool v1_constant = w->v1 && constant && !has_key(h) && (h->arg_count == 0 || is_else);
    if (is_implied(r) && !is_else && !v1_constant)
        return FMT_OK;
    fmt_put(w, h->assign || w->v1 ? " := " : " = ");
    return fmt_term(w, h->val, cm);
}

/* ---- rules ---- */

static enum fmt_outcome put_rule(struct fmt *w, struct rule *r, bool is_else,
                                 struct fmt_comments *cm);

/* The `else` stands on the line of the closing brace. */
static bool is_inline_else(const struct fmt *w, const struct rule *r)
{
    struct str text = fmt_text(w, r->pos);
    uint32_t want = r->els->pos.row - r->pos.row;
    size_t at = 0;
    uint32_t row = 0;
    while (row < want && at < text.len) {
        at = str_find(text, '\n', at) + 1;
        row++;
    }
    if (want == 0 || at >= text.len)
        return false;
    struct str line = str_trim(str_slice(text, at, str_find(text, '\n', at) - at));
    return !str_has_prefix(line, STR("else"));
}

static enum fmt_outcome put_else(struct fmt *w, struct rule *r, struct fmt_comments *cm)
{
    struct rule *e = r->els;
    bool same_line = is_inline_else(w, r);
    bool comment = (cm->len > 0 && cm->items[0]->row < e->head.pos.row) || w->at_end != NULL;
    if (!comment && same_line) {
        fmt_put(w, " ");
    } else {
        fmt_blank_line(w);
        fmt_start_line(w);
    }
    enum fmt_outcome o = fmt_insert(w, cm, e->head.pos.row);
    if (o != FMT_OK)
        return lose(cm, o);
    if (comment && !same_line)
        fmt_start_line(w);
    if (e->head.val != NULL)
        e->head.val->pos = e->head.pos;
    return put_rule(w, e, true, cm);
}

static bool uses_if(const struct fmt *w, const struct rule *r)
{
    return w->ifs && (w->contains || r->head.val != NULL);
}

static enum fmt_outcome put_rest(struct fmt *w, struct rule *r, struct fmt_comments *cm)
{
    return r->els != NULL ? put_else(w, r, cm) : FMT_OK;
}

static enum fmt_outcome put_block(struct fmt *w, struct rule *r, bool is_else,
                                  struct fmt_comments *cm)
{
    if (uses_if(w, r) && !is_else)
        mark_leading_union(w, r->body->items[0]);
    fmt_up(w);
    enum fmt_outcome o = fmt_body(w, r->body, cm);
    if (o == FMT_FAILED)
        return lose(cm, o);
    bool args = r->head.arg_count > 0 && !is_else;
    bool key = has_key(&r->head);
    int64_t close = fmt_closing_row(w, r->pos,
                                    args  ? '('
                                    : key ? '['
                                          : 0,
                                    args  ? ')'
                                    : key ? ']'
                                          : 0,
                                    '{', '}');
    o = fmt_insert(w, cm, close);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_down(w);
    fmt_start_line(w);
    fmt_put(w, "}");
    return put_rest(w, r, cm);
}

static enum fmt_outcome put_rule(struct fmt *w, struct rule *r, bool is_else,
                                 struct fmt_comments *cm)
{
    if (!is_else)
        fmt_start_line(w);
    if (r->is_default)
        fmt_put(w, "default ");
    bool constant = is_true_body(r->body) && r->els == NULL;
    w->comment_on_final_line = constant;
    enum fmt_outcome head = put_head(w, r, is_else, constant, cm);
    if (head == FMT_FAILED)
        return lose(cm, head);
    if (constant) {
        fmt_end_line(w);
        return FMT_OK;
    }
    w->comment_on_final_line = true;
    const struct expr *first = r->body->items[0];
    if (uses_if(w, r)) {
        fmt_put(w, " if");
        if (r->body->len == 1 && (int64_t)first->pos.row == fmt_end_row(w, r->head.pos) &&
            !is_set_term(first)) {
            fmt_put(w, " ");
            enum fmt_outcome o = fmt_expr(w, first, cm);
            if (o == FMT_FAILED)
                return lose(cm, o);
            fmt_end_line(w);
            return put_rest(w, r, cm);
        }
    }
    if (head == FMT_MISPLACED && cm->len > 0) {
        fmt_put(w, " { ");
    } else {
        fmt_put(w, " {");
        fmt_end_line(w);
    }
    return put_block(w, r, is_else, cm);
}

/* Written on one line, so that the next rule may follow without a blank one. */
static bool is_one_liner(const struct fmt *w, const struct rule *r)
{
    if (r->body->len > 1 || r->is_default || r->els != NULL || is_set_term(r->body->items[0]))
        return false;
    return uses_if(w, r);
}

void fmt_rules(struct fmt *w, struct rule **rules, size_t len, struct fmt_comments *cm)
{
    for (size_t i = 0; i < len; i++) {
        struct rule *r = rules[i];
        if (fmt_insert(w, cm, r->pos.row) == FMT_FAILED)
            w->failed = true;
        if (put_rule(w, r, false, cm) == FMT_FAILED)
            w->failed = true;
        if (i + 1 < len && is_one_liner(w, r) && is_one_liner(w, rules[i + 1]) &&
            rules[i + 1]->pos.row == r->pos.row + 1)
            continue;
        fmt_blank_line(w);
    }
}

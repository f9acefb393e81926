/*
 * Layout of terms and lists.
 */
#include "rego/fmt.h"

#include <stdlib.h>

#include "rego/lexer.h"

static enum fmt_outcome fmt_term_parens(struct fmt *w, bool parens, struct term *t,
                                        struct fmt_comments *cm);

static const struct fmt_comments none = {NULL, 0};

/* After a failure that nobody can mend the comments are gone, as in OPA. */
static enum fmt_outcome lose(struct fmt_comments *cm, enum fmt_outcome o)
{
    *cm = none;
    return o;
}

static const struct {
    const char *name;
    const char *sign;
} operators[] = {
    {"and", "&"},
    {"assign", ":="},
    {"div", "/"},
    {"eq", "="},
    {"equal", "=="},
    {"gt", ">"},
    {"gte", ">="},
    {"lt", "<"},
    {"lte", "<="},
    {"minus", "-"},
    {"mul", "*"},
    {"neq", "!="},
    {"or", "|"},
    {"plus", "+"},
    {"rem", "%"},
    {"internal.member_2", "in"},
    {"internal.member_3", "in"},
};

static bool is_named(const struct term *op, const char *name)
{
    if (op->kind == TERM_VAR)
        return str_is(op->var.name, name);
    /* internal.member_2 as a reference */
    struct str s = str_of(name);
    size_t dot = str_find(s, '.', 0);
    return op->kind == TERM_REF && op->len == 2 && dot < s.len && op->items[0]->kind == TERM_VAR &&
           str_equal(op->items[0]->var.name, str_slice(s, 0, dot)) && ast_is_string(op->items[1]) &&
           str_equal(value_str(op->items[1]->val), str_from(s, dot + 1));
}

const char *fmt_infix(const struct term *call)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (is_named(call->items[0], operators[i].name))
            return operators[i].sign;
    return NULL;
}

bool fmt_is_union(const struct term *t)
{
    return t->kind == TERM_CALL && is_named(t->items[0], "or");
}

bool fmt_begins_with_brace(const struct term *t)
{
    switch (t->kind) {
    case TERM_SET:
        return t->len > 0;
    case TERM_OBJECT:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        return true;
    case TERM_REF:
        return fmt_begins_with_brace(t->items[0]);
    case TERM_CALL:
        return fmt_infix(t) != NULL && t->len == 3 && fmt_begins_with_brace(t->items[1]);
    default:
        return false;
    }
}

/* ---- references ---- */

static bool wants_brackets(const struct fmt *w, const struct term *part)
{
    struct str s = value_str(part->val);
    if (!ast_is_name(s))
        return true;
    struct str text = fmt_text(w, part->pos);
    return token_keyword(s, w->keywords) != TOK_IDENT && text.len > 0 && text.ptr[0] == '"';
}

static void put_term(struct fmt *w, const struct term *t)
{
    ast_write(w->out, t);
}

static enum fmt_outcome ref_part(struct fmt *w, struct term *part, struct fmt_comments *cm)
{
    if (ast_is_string(part) && !wants_brackets(w, part)) {
        fmt_put(w, ".");
        fmt_put_str(w, value_str(part->val));
        return FMT_OK;
    }
    fmt_put(w, "[");
    if (ast_is_string(part) || part->kind == TERM_VAR) {
        put_term(w, part);
    } else {
        enum fmt_outcome o = fmt_term(w, part, cm);
        if (o == FMT_FAILED)
            return lose(cm, o);
        if (o == FMT_MISPLACED)
            fmt_put(w, "\n"); /* the bracket must not become part of the comment */
    }
    fmt_put(w, "]");
    return FMT_OK;
}

enum fmt_outcome fmt_ref(struct fmt *w, struct term *const *parts, size_t len,
                         struct fmt_comments *cm)
{
    struct str head = fmt_text(w, parts[0]->pos);
    bool parens = parts[0]->kind == TERM_CALL && head.len > 0 && head.ptr[0] == '(';
    enum fmt_outcome o = fmt_term_parens(w, parens, parts[0], cm);
    if (o != FMT_OK)
        return lose(cm, o);
    for (size_t i = 1; i < len; i++) {
        o = ref_part(w, parts[i], cm);
        if (o != FMT_OK)
            return o;
    }
    return FMT_OK;
}

/* ---- lists ---- */

/* An element: an item, or a key with its value. */
struct element {
    struct term *first, *second;
};

struct list {
    struct element *items;
    size_t len;
    bool paren_unions; /* also where the text had none */
    bool one_line;
};

static int by_position(const void *x, const void *y)
{
    const struct pos *a = &((const struct element *)x)->first->pos;
    const struct pos *b = &((const struct element *)y)->first->pos;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return a->col < b->col ? -1 : a->col > b->col;
}

static enum fmt_outcome put_pair(struct fmt *w, const struct element *e, struct fmt_comments *cm)
{
    bool paren = fmt_is_union(e->first);
    if (paren)
        fmt_put(w, "(");
    enum fmt_outcome o = fmt_term(w, e->first, cm);
    if (o != FMT_OK)
        return lose(cm, o);
    if (paren)
        fmt_put(w, ")");
    fmt_put(w, ": ");
    paren = fmt_is_union(e->second);
    if (paren)
        fmt_put(w, "(");
    o = fmt_term(w, e->second, cm);
    if (paren)
        fmt_put(w, ")");
    return o;
}

static enum fmt_outcome put_element(struct fmt *w, const struct list *l, const struct element *e,
                                    struct fmt_comments *cm)
{
    if (e->second != NULL)
        return put_pair(w, e, cm);
    struct str text = fmt_text(w, e->first->pos);
    bool paren =
        fmt_is_union(e->first) && (l->paren_unions || (text.len > 0 && text.ptr[0] == '('));
    if (paren)
        fmt_put(w, "(");
    enum fmt_outcome o = fmt_term(w, e->first, cm);
    if (paren)
        fmt_put(w, ")");
    return o;
}

static bool is_generated(void *user, struct term *t)
{
    if (t->kind == TERM_VAR && str_has_prefix(t->var.name, STR("__local")))
        *(bool *)user = true;
    return !*(bool *)user;
}

/* Names of the compiler's own kind: OPA does not trust the rows of their lists. */
static bool has_generated(const struct list *l)
{
    bool found = false;
    for (size_t i = 0; i < l->len; i++) {
        walk_term(l->items[i].first, is_generated, &found);
        walk_term(l->items[i].second, is_generated, &found);
    }
    return found;
}

/* Elements of one line: how many begin at `from`, on rows that do not grow. */
static size_t line_length(const struct list *l, size_t from)
{
    size_t n = from;
    if (l->one_line)
        return l->len - from;
    while (n + 1 < l->len && l->items[n + 1].first->pos.row <= l->items[n].first->pos.row)
        n++;
    return n + 1 - from;
}

static enum fmt_outcome put_line(struct fmt *w, const struct list *l, size_t from, size_t n,
                                 struct fmt_comments *cm)
{
    for (size_t i = 0; i < n; i++) {
        enum fmt_outcome o = put_element(w, l, &l->items[from + i], cm);
        if (i + 1 == n)
            return o;
        if (o != FMT_OK)
            return lose(cm, o);
        fmt_put(w, ", ");
    }
    return FMT_OK;
}

/* The first element stood on a line below the opening bracket. */
static bool line_precedes(const struct fmt *w, const struct list *l, struct pos around)
{
    struct str text = fmt_text(w, around);
    struct str first = fmt_text(w, l->items[0].first->pos);
    const char *at = first.len == 0 ? text.ptr : memmem(text.ptr, text.len, first.ptr, first.len);
    if (at == NULL || at == text.ptr)
        return false;
    const char *lf = memchr(text.ptr, '\n', (size_t)(at - text.ptr));
    return lf != NULL && lf > text.ptr;
}

static enum fmt_outcome put_list(struct fmt *w, struct list *l, struct pos around, int64_t close,
                                 struct fmt_comments *cm)
{
    l->one_line = has_generated(l);
    if (!l->one_line)
        qsort(l->items, l->len, sizeof(*l->items), by_position);
    size_t n = l->len == 0 ? 0 : line_length(l, 0);
    bool one_line = n == l->len;
    bool many = !one_line;
    if (one_line) {
        for (size_t i = 0; i < cm->len; i++)
            if (cm->items[i]->row > around.row && (int64_t)cm->items[i]->row < close)
                return FMT_MISPLACED;
        many = l->len > 0 && line_precedes(w, l, around);
    }
    if (many) {
        w->delay = true;
        fmt_end_line(w);
        fmt_up(w);
        fmt_start_line(w);
    }
    size_t at = 0;
    while (l->len > 0) {
        n = line_length(l, at);
        enum fmt_outcome o = put_line(w, l, at, n, cm);
        if (o != FMT_OK)
            return lose(cm, o);
        at += n;
        if (at == l->len)
            break;
        fmt_put(w, ",");
        fmt_end_line(w);
        fmt_start_line(w);
    }
    if (many) {
        fmt_put(w, ",");
        fmt_end_line(w);
        enum fmt_outcome o = fmt_insert(w, cm, close);
        if (o != FMT_OK)
            return lose(cm, o);
        fmt_down(w);
        fmt_start_line(w);
    }
    return FMT_OK;
}

static bool same_term(const struct term *a, const struct term *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == TERM_VALUE)
        return value_equal(a->val, b->val);
    if (a->kind == TERM_VAR)
        return !a->wildcard && !b->wildcard && str_equal(a->var.name, b->var.name);
    if (a->kind >= TERM_ARRAY_COMP || a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!same_term(a->items[i], b->items[i]))
            return false;
    return true;
}

/* A set has each element once. */
static size_t drop_repeated(struct element *items, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        size_t k = 0;
        while (k < n && !same_term(items[k].first, items[i].first))
            k++;
        if (k == n)
            items[n++] = items[i];
    }
    return n;
}

enum fmt_outcome fmt_list(struct fmt *w, struct term **items, size_t len, struct pos around,
                          int64_t close, struct fmt_comments *cm, bool paren_unions)
{
    struct list l = {arena_new_array(w->a, struct element, len), len, paren_unions, false};
    if (l.items == NULL)
        return lose(cm, FMT_FAILED);
    for (size_t i = 0; i < len; i++)
        l.items[i].first = items[i];
    return put_list(w, &l, around, close, cm);
}

static enum fmt_outcome put_object(struct fmt *w, const struct term *t, struct fmt_comments *cm)
{
    struct list l = {arena_new_array(w->a, struct element, t->len / 2), t->len / 2, false, false};
    if (l.items == NULL)
        return lose(cm, FMT_FAILED);
    for (size_t i = 0; i < l.len; i++)
        l.items[i] = (struct element){t->items[2 * i], t->items[2 * i + 1]};
    fmt_put(w, "{");
    enum fmt_outcome o = put_list(w, &l, t->pos, fmt_closing_row(w, t->pos, 0, 0, '{', '}'), cm);
    fmt_put(w, "}");
    return o;
}

static enum fmt_outcome put_set(struct fmt *w, const struct term *t, struct fmt_comments *cm)
{
    if (t->len == 0) {
        fmt_put(w, "set()");
        enum fmt_outcome o = fmt_insert(w, cm, fmt_closing_row(w, t->pos, 0, 0, '(', ')'));
        return o == FMT_OK ? o : lose(cm, o);
    }
    struct list l = {arena_new_array(w->a, struct element, t->len), t->len, true, false};
    if (l.items == NULL)
        return lose(cm, FMT_FAILED);
    for (size_t i = 0; i < l.len; i++)
        l.items[i].first = t->items[i];
    l.len = t->len <= 1000 ? drop_repeated(l.items, l.len) : l.len;
    fmt_put(w, "{");
    enum fmt_outcome o = put_list(w, &l, t->pos, fmt_closing_row(w, t->pos, 0, 0, '{', '}'), cm);
    fmt_put(w, "}");
    return o == FMT_OK ? o : lose(cm, o);
}

/* ---- comprehensions ---- */

static enum fmt_outcome put_comprehension(struct fmt *w, const struct term *t, char open,
                                          char close, struct fmt_comments *cm)
{
    struct term *head = t->comp.head;
    /* The value of an object comprehension counts as beginning on the first row. */
    int64_t row = t->comp.key != NULL ? t->pos.row : head->pos.row;
    if (row > t->pos.row) {
        fmt_end_line(w);
        fmt_start_line(w);
    }
    struct str text = fmt_text(w, head->pos);
    bool parens =
        head->kind == TERM_CALL && (fmt_is_union(head) || (text.len > 0 && text.ptr[0] == '('));
    struct pos kept = head->pos;
    head->pos.row = (uint32_t)row;
    enum fmt_outcome o = fmt_term_parens(w, parens, head, cm);
    head->pos = kept;
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, " |");
    return fmt_inner_body(w, t->comp.body, open, close, row, t->pos, cm);
}

static enum fmt_outcome put_object_comprehension(struct fmt *w, const struct term *t,
                                                 struct fmt_comments *cm)
{
    bool paren = fmt_is_union(t->comp.key);
    if (paren)
        fmt_put(w, "(");
    enum fmt_outcome o = fmt_term(w, t->comp.key, cm);
    if (o != FMT_OK)
        return lose(cm, o);
    if (paren)
        fmt_put(w, ")");
    fmt_put(w, ": ");
    return put_comprehension(w, t, '{', '}', cm);
}

/* ---- calls ---- */

static enum fmt_outcome arity_mismatch(struct fmt *w, struct pos pos, struct fmt_comments *cm)
{
    (void)cm;
    fmt_error(w, pos, "arity mismatch");
    return FMT_OK;
}

enum fmt_outcome fmt_in(struct fmt *w, bool parens, struct term *const *operands, size_t len,
                        struct pos pos, struct fmt_comments *cm)
{
    if (len != 2 && len != 3)
        return arity_mismatch(w, pos, cm);
    parens = parens && len == 3;
    if (parens)
        fmt_put(w, "(");
    enum fmt_outcome o = FMT_OK;
    for (size_t i = 0; i < len && o == FMT_OK; i++) {
        o = fmt_term_parens(w, true, operands[i], cm);
        if (o == FMT_OK && i + 1 < len)
            fmt_put(w, i + 2 < len ? ", " : " in ");
    }
    if (parens)
        fmt_put(w, ")");
    return o == FMT_OK ? o : lose(cm, o);
}

/* f(x, y), also where f is no function by name. */
static enum fmt_outcome plain_call(struct fmt *w, const struct term *call, struct fmt_comments *cm)
{
    const struct term *op = call->items[0];
    enum fmt_outcome o =
        op->kind == TERM_REF ? fmt_ref(w, op->items, op->len, cm) : fmt_ref(w, call->items, 1, cm);
    if (o != FMT_OK)
        return o;
    fmt_put(w, "(");
    o = fmt_list(w, call->items + 1, call->len - 1, op->pos,
                 fmt_closing_row(w, op->pos, 0, 0, '(', ')'), cm, false);
    fmt_put(w, ")");
    return o == FMT_OK ? o : lose(cm, o);
}

/* A call inside of a term. */
static enum fmt_outcome inner_call(struct fmt *w, bool parens, const struct term *call,
                                   struct fmt_comments *cm)
{
    const char *sign = fmt_infix(call);
    if (sign == NULL)
        return plain_call(w, call, cm);
    if (strcmp(sign, "in") == 0)
        return fmt_in(w, true, call->items + 1, call->len - 1, call->pos, cm);
    if (parens)
        fmt_put(w, "(");
    if (call->len != 3)
        return arity_mismatch(w, call->pos, cm);
    enum fmt_outcome o = fmt_term_parens(w, true, call->items[1], cm);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, " ");
    fmt_put(w, sign);
    fmt_put(w, " ");
    o = fmt_term_parens(w, true, call->items[2], cm);
    if (o != FMT_OK)
        return lose(cm, o);
    if (parens)
        fmt_put(w, ")");
    return FMT_OK;
}

/* A call as a literal: operators need no parentheses. */
enum fmt_outcome fmt_call(struct fmt *w, const struct term *call, struct fmt_comments *cm)
{
    const char *sign = fmt_infix(call);
    if (sign == NULL)
        return plain_call(w, call, cm);
    if (strcmp(sign, "in") == 0)
        return fmt_in(w, false, call->items + 1, call->len - 1, call->items[0]->pos, cm);
    if (call->len != 3 && call->len != 4) {
        fmt_error(w, call->pos, "arity mismatch");
        return plain_call(w, call, cm);
    }
    enum fmt_outcome o = FMT_OK;
    if (call->len == 4) { /* plus(a, b, c) is c = a + b */
        o = fmt_term(w, call->items[3], cm);
        if (o != FMT_OK)
            return lose(cm, o);
        fmt_put(w, " = ");
    }
    o = fmt_term(w, call->items[1], cm);
    if (o != FMT_OK)
        return lose(cm, o);
    fmt_put(w, " ");
    fmt_put(w, sign);
    fmt_put(w, " ");
    o = fmt_term(w, call->items[2], cm);
    return o == FMT_OK || call->len == 3 ? o : lose(cm, o);
}

/* ---- strings ---- */

/* Raw strings and escapes stay as they were written. */
static void put_string(struct fmt *w, const struct term *t)
{
    struct str text = fmt_text(w, t->pos);
    char quote = text.len == 0 ? 0 : text.ptr[text.len - 1];
    if (text.len > 0 && text.ptr[0] == '`') {
        fmt_put_str(w, text);
    } else if (quote == '"' || quote == '`') { /* in front of it may stand `else := ` */
        fmt_put_str(w, str_from(text, str_find(text, quote, 0)));
    } else {
        put_term(w, t);
    }
}

static void put_template_text(struct fmt *w, const struct term *part, bool raw)
{
    struct buf b;
    buf_init(&b, 16 << 20);
    if (!ast_is_string(part))
        ast_write(&b, part);
    else if (raw)
        buf_add(&b, value_str(part->val));
    else
        ast_write(&b, part);
    struct str s = buf_str(&b);
    if (!raw && s.len >= 2 && s.ptr[0] == '"')
        s = str_slice(s, 1, s.len - 2);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '{' && ast_is_string(part))
            buf_add_byte(w->out, '\\');
        buf_add_byte(w->out, s.ptr[i]);
    }
    buf_done(&b);
}

static enum fmt_outcome put_template_expr(struct fmt *w, const struct term *t, uint32_t i,
                                          struct fmt_comments *cm)
{
    const struct expr *e = t->items[i]->comp.body->items[0];
    struct fmt_comments before, after;
    const struct pos *at;
    fmt_put(w, "{");
    fmt_up(w);
    if (w->at_end != NULL) {
        fmt_end_line(w);
        fmt_start_line(w);
    } else {
        fmt_split(w, *cm, e->pos.row, &before, &at, &after);
        if (before.len > 0) {
            fmt_put(w, " ");
            w->inline_ = true;
            fmt_write_comments(w, before);
            *cm = (struct fmt_comments){cm->items + before.len, cm->len - before.len};
        }
    }
    enum fmt_outcome o = fmt_expr(w, e, cm);
    if (o != FMT_OK)
        return o;
    if (i + 1 < t->len) {
        const struct term *next = t->items[i + 1];
        fmt_split(w, *cm,
                  next->kind == TERM_SET_COMP ? next->comp.body->items[0]->pos.row : next->pos.row,
                  &before, &at, &after);
        if (before.len > 0) {
            fmt_end_line(w);
            fmt_write_comments(w, before);
            *cm = (struct fmt_comments){cm->items + before.len, cm->len - before.len};
            fmt_start_line(w);
        }
    }
    fmt_put(w, "}");
    fmt_down(w);
    return FMT_OK;
}

/* A text, or an expression that is a constant: it is written as text. */
static const struct term *template_text(const struct term *part)
{
    if (part->kind != TERM_SET_COMP)
        return part;
    const struct expr *e = part->comp.body->items[0];
    bool constant = part->comp.body->len == 1 && e->kind == EXPR_TERM && !e->negated &&
                    e->with_count == 0 && e->term->kind == TERM_VALUE;
    return constant ? e->term : NULL;
}

static enum fmt_outcome put_template(struct fmt *w, const struct term *t, struct fmt_comments *cm)
{
    struct str text = fmt_text(w, t->pos);
    bool raw = text.len > 1 && text.ptr[1] == '`';
    fmt_put(w, raw ? "$`" : "$\"");
    for (uint32_t i = 0; i < t->len; i++) {
        const struct term *plain = template_text(t->items[i]);
        if (plain != NULL) {
            put_template_text(w, plain, raw);
            continue;
        }
        enum fmt_outcome o = put_template_expr(w, t, i, cm);
        if (o != FMT_OK)
            return o;
    }
    fmt_put(w, raw ? "`" : "\"");
    return FMT_OK;
}

/* ---- any term ---- */

static enum fmt_outcome put_kind(struct fmt *w, bool parens, struct term *t,
                                 struct fmt_comments *cm)
{
    enum fmt_outcome o = FMT_OK;
    switch (t->kind) {
    case TERM_REF:
        return fmt_ref(w, t->items, t->len, cm);
    case TERM_OBJECT:
        return put_object(w, t, cm);
    case TERM_ARRAY:
        fmt_put(w, "[");
        o = fmt_list(w, t->items, t->len, t->pos, fmt_closing_row(w, t->pos, 0, 0, '[', ']'), cm,
                     true);
        fmt_put(w, "]");
        return o;
    case TERM_SET:
        return put_set(w, t, cm);
    case TERM_ARRAY_COMP:
        fmt_put(w, "[");
        o = put_comprehension(w, t, '[', ']', cm);
        fmt_put(w, "]");
        return o;
    case TERM_SET_COMP:
        fmt_put(w, "{");
        o = put_comprehension(w, t, '{', '}', cm);
        fmt_put(w, "}");
        return o;
    case TERM_OBJECT_COMP:
        fmt_put(w, "{");
        o = put_object_comprehension(w, t, cm);
        fmt_put(w, "}");
        return o;
    case TERM_TEMPLATE:
        return put_template(w, t, cm);
    case TERM_CALL:
        return inner_call(w, parens, t, cm);
    default:
        if (ast_is_string(t))
            put_string(w, t);
        else
            put_term(w, t);
        return FMT_OK;
    }
}

static enum fmt_outcome fmt_term_parens(struct fmt *w, bool parens, struct term *t,
                                        struct fmt_comments *cm)
{
    if (w->paren_term == t) {
        w->paren_term = NULL;
        parens = true;
    }
    enum fmt_outcome o = fmt_insert(w, cm, t->pos.row);
    if (o != FMT_OK)
        return lose(cm, o);
    if (!w->inline_)
        fmt_start_line(w);
    o = put_kind(w, parens, t, cm);
    if (o != FMT_OK)
        return lose(cm, o);
    if (!w->inline_)
        fmt_start_line(w);
    return FMT_OK;
}

enum fmt_outcome fmt_term(struct fmt *w, struct term *t, struct fmt_comments *cm)
{
    if (cm->len == 0)
        return fmt_term_parens(w, false, t, cm);
    size_t len = w->out->len;
    unsigned level = w->level;
    struct fmt_comments saved = *cm;
    enum fmt_outcome o = fmt_term_parens(w, false, t, cm);
    if (o != FMT_MISPLACED)
        return o;
    w->out->len = len;
    w->level = level;
    /* A comment inside of the text must not come twice. */
    if (w->at_end != NULL && w->at_end->row >= t->pos.row &&
        (int64_t)w->at_end->row <= fmt_end_row(w, t->pos))
        w->at_end = NULL;
    *cm = saved;
    o = fmt_unformatted(w, t->pos, cm);
    return o == FMT_OK ? FMT_MISPLACED : lose(cm, o);
}

/*
 * The writer, the module, its package, imports and comments.
 */
#include "rego/fmt.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "rego/lexer.h"

static bool fmt_is_root(const struct term *t);

#define FORMAT_SOURCE_MAX ((size_t)16 << 20)

/* ---- the writer ---- */

void fmt_put(struct fmt *w, const char *s)
{
    buf_add_cstr(w->out, s);
}

void fmt_put_str(struct fmt *w, struct str s)
{
    buf_add(w->out, s);
}

struct str fmt_text(const struct fmt *w, struct pos pos)
{
    return pos.end <= pos.off ? STR_EMPTY : str_slice(w->m->text, pos.off, pos.end - pos.off);
}

static struct str comment_text(const struct fmt *w, const struct pos *c)
{
    struct str s = fmt_text(w, *c);
    /* unicode.IsSpace: also the spaces beyond ASCII */
    for (bool more = true; more && s.len > 0;) {
        size_t n = 1;
        while (n < s.len && n < 4 && ((unsigned char)s.ptr[s.len - n] & 0xc0) == 0x80)
            n++;
        uint32_t r = (unsigned char)s.ptr[s.len - 1];
        if (n > 1)
            (void)utf8_decode(str_from(s, s.len - n), &r);
        more = r == ' ' || (r >= '\t' && r <= '\r') || r == 0x85 || r == 0xa0 || r == 0x1680 ||
               (r >= 0x2000 && r <= 0x200a) || r == 0x2028 || r == 0x2029 || r == 0x202f ||
               r == 0x205f || r == 0x3000;
        s.len -= more ? n : 0;
    }
    return s;
}

void fmt_start_line(struct fmt *w)
{
    w->inline_ = true;
    for (unsigned i = 0; i < w->level; i++)
        fmt_put(w, "\t");
}

void fmt_end_line(struct fmt *w)
{
    w->inline_ = false;
    if (w->at_end != NULL && !w->delay) {
        fmt_put(w, " ");
        fmt_put_str(w, comment_text(w, w->at_end));
        w->at_end = NULL;
    }
    w->delay = false;
    fmt_put(w, "\n");
}

void fmt_blank_line(struct fmt *w)
{
    if (w->inline_)
        fmt_end_line(w);
    fmt_put(w, "\n");
}

void fmt_up(struct fmt *w)
{
    w->level++;
}

void fmt_down(struct fmt *w)
{
    if (w->level == 0)
        w->failed = true;
    else
        w->level--;
}

void fmt_error(struct fmt *w, struct pos pos, const char *text)
{
    front_error(w->c, TYPE_ERROR, w->m, pos, "%s", text);
    w->failed = true;
}

int64_t fmt_end_row(const struct fmt *w, struct pos pos)
{
    struct str s = str_trim(fmt_text(w, pos));
    int64_t row = pos.row;
    for (size_t i = 0; i < s.len; i++)
        row += s.ptr[i] == '\n';
    return row;
}

static size_t skip_past(struct str s, char open, char close, int64_t *rows)
{
    size_t i = str_find(s, open, 0);
    int state = 1;
    while (state > 0) {
        i++;
        if (i >= s.len)
            return i;
        if (s.ptr[i] == open)
            state++;
        else if (s.ptr[i] == close)
            state--;
        else if (s.ptr[i] == '\n')
            ++*rows;
    }
    return i;
}

int64_t fmt_closing_row(const struct fmt *w, struct pos pos, char skip_open, char skip_close,
                        char open, char close)
{
    struct str s = fmt_text(w, pos);
    int64_t rows = 0;
    size_t i = skip_open == 0 ? 0 : skip_past(s, skip_open, skip_close, &rows);
    /* Rows up to the opening bracket are not counted: they are OPA's rows. */
    while (i < s.len && s.ptr[i] != open)
        i++;
    if (i >= s.len)
        return -1;
    int state = 1;
    while (state > 0) {
        i++;
        if (i >= s.len)
            return -1;
        if (s.ptr[i] == open)
            state++;
        else if (s.ptr[i] == close)
            state--;
        else if (s.ptr[i] == '\n')
            rows++;
    }
    return (int64_t)pos.row + rows;
}

/* ---- comments ---- */

void fmt_split(struct fmt *w, struct fmt_comments cm, int64_t row, struct fmt_comments *before,
               const struct pos **at, struct fmt_comments *after)
{
    *before = *after = (struct fmt_comments){NULL, 0};
    *at = NULL;
    size_t n = 0;
    for (size_t i = 0; i < cm.len; i++)
        n += (int64_t)cm.items[i]->row < row;
    size_t same = 0;
    for (size_t i = 0; i < cm.len; i++)
        same += (int64_t)cm.items[i]->row == row;
    /* They are in order, unless a list was laid out by rows: then sort out one by one. */
    bool ordered = true;
    for (size_t i = 1; i < cm.len; i++)
        ordered = ordered && cm.items[i - 1]->row <= cm.items[i]->row;
    (void)w;
    if (!ordered || cm.len == 0)
        return;
    *before = (struct fmt_comments){cm.items, n};
    if (same > 0)
        *at = cm.items[n + same - 1];
    *after = (struct fmt_comments){cm.items + n + same, cm.len - n - same};
}

static bool is_metadata(const struct fmt *w, const struct pos *c)
{
    return c->col == 1 &&
           str_has_prefix(str_trim(str_from(comment_text(w, c), 1)), STR("METADATA"));
}

static void write_line(struct fmt *w, struct str s)
{
    if (!w->inline_)
        fmt_start_line(w);
    fmt_put_str(w, s);
    fmt_end_line(w);
}

void fmt_write_comments(struct fmt *w, struct fmt_comments cm)
{
    bool in_metadata = false;
    for (size_t i = 0; i < cm.len; i++) {
        uint32_t gap = i == 0 ? 0 : cm.items[i]->row - cm.items[i - 1]->row;
        if (gap > 1) {
            fmt_blank_line(w);
            in_metadata = false;
        } else if (gap == 1 && in_metadata && is_metadata(w, cm.items[i])) {
            fmt_blank_line(w);
        }
        in_metadata |= is_metadata(w, cm.items[i]);
        write_line(w, comment_text(w, cm.items[i]));
    }
}

enum fmt_outcome fmt_insert(struct fmt *w, struct fmt_comments *cm, int64_t row)
{
    struct fmt_comments before, after;
    const struct pos *at;
    fmt_split(w, *cm, row, &before, &at, &after);
    fmt_write_comments(w, before);
    if (before.len > 0 && row - (int64_t)before.items[before.len - 1]->row > 1)
        fmt_blank_line(w);
    *cm = after;
    if (w->at_end == NULL) {
        w->at_end = at;
        return FMT_OK;
    }
    if (at == NULL)
        return FMT_OK;
    w->at_end = NULL;
    return FMT_MISPLACED;
}

enum fmt_outcome fmt_unformatted(struct fmt *w, struct pos pos, struct fmt_comments *cm)
{
    struct str text = fmt_text(w, pos);
    if (text.len == 0)
        return FMT_FAILED;
    int64_t last = pos.row;
    for (size_t i = 0; i < text.len; i++)
        last += text.ptr[i] == '\n';
    fmt_put_str(w, text);
    const struct pos **kept = arena_new_array(w->a, const struct pos *, cm->len);
    if (kept == NULL)
        return FMT_FAILED;
    size_t n = 0;
    for (size_t i = 0; i < cm->len; i++) {
        const struct pos *c = cm->items[i];
        if (w->comment_on_final_line && (int64_t)c->row == last) {
            fmt_put(w, " ");
            fmt_put_str(w, str_from(comment_text(w, c), 1)); /* OPA forgets the sign */
        } else if ((int64_t)c->row >= last) {
            kept[n++] = c;
        }
    }
    *cm = (struct fmt_comments){kept, n};
    return FMT_OK;
}

/* ---- package and imports ---- */

static void write_package(struct fmt *w, struct fmt_comments *cm)
{
    if (fmt_insert(w, cm, w->m->package_pos.row) == FMT_FAILED)
        w->failed = true;
    fmt_start_line(w);
    fmt_put(w, "package ");
    const struct term *path = w->m->package;
    struct term **items = arena_new_array(w->a, struct term *, path->len - 1);
    if (items == NULL)
        return;
    memcpy(items, path->items + 1, (path->len - 1) * sizeof(*items));
    items[0] = ast_var(w->a, value_str(items[0]->val), items[0]->pos);
    struct fmt_comments none = {NULL, 0};
    if (items[0] != NULL && fmt_ref(w, items, path->len - 1, &none) == FMT_FAILED)
        w->failed = true;
    fmt_blank_line(w);
}

static bool is_path(const struct import *imp, const char *root, const char *second)
{
    const struct term *p = imp->path;
    return ast_is_var(p->items[0], root) && p->len >= 2 && ast_is_string(p->items[1]) &&
           str_is(value_str(p->items[1]->val), second);
}

static bool is_rego_v1(const struct import *imp)
{
    return is_path(imp, "rego", "v1") && imp->path->len == 2;
}

static bool is_future(const struct import *imp, const char *keyword)
{
    if (!is_path(imp, "future", "keywords"))
        return false;
    return keyword == NULL
               ? imp->path->len == 2
               : imp->path->len == 3 && str_is(value_str(imp->path->items[2]->val), keyword);
}

static int compare_terms(const struct term *a, const struct term *b)
{
    if (a->kind == TERM_VAR || b->kind == TERM_VAR)
        return a->kind == b->kind    ? str_compare(a->var.name, b->var.name)
               : a->kind == TERM_VAR ? 1
                                     : -1;
    return value_compare(a->val, b->val);
}

static int by_path(const void *x, const void *y)
{
    const struct import *a = *(const struct import *const *)x;
    const struct import *b = *(const struct import *const *)y;
    for (uint32_t i = 0; i < a->path->len && i < b->path->len; i++) {
        int c = compare_terms(a->path->items[i], b->path->items[i]);
        if (c != 0)
            return c;
    }
    if (a->path->len != b->path->len)
        return a->path->len < b->path->len ? -1 : 1;
    int c = str_compare(a->alias, b->alias);
    return c != 0 ? c : a->pos.off < b->pos.off ? -1 : 1;
}

static void write_import(struct fmt *w, const struct import *imp)
{
    struct fmt_comments none = {NULL, 0};
    uint32_t keywords = w->keywords;
    fmt_start_line(w);
    fmt_put(w, "import ");
    if (is_path(imp, "future", "keywords"))
        w->keywords = 0;
    bool kept = w->inline_;
    if (fmt_ref(w, imp->path->items, imp->path->len, &none) == FMT_FAILED)
        w->failed = true;
    w->inline_ = kept;
    w->keywords = keywords;
    if (imp->alias.len > 0) {
        fmt_put(w, " as ");
        fmt_put_str(w, imp->alias);
    }
}

static const struct pos *take_comment(struct fmt_comments *taken, const struct import *imp)
{
    for (size_t i = 0; i < taken->len; i++)
        if (taken->items[i]->row == imp->pos.row)
            return taken->items[i];
    return NULL;
}

/* Imports of neighbouring lines are sorted; comments on their lines stay with them. */
static void write_imports(struct fmt *w, struct import **imports, size_t len,
                          struct fmt_comments *cm)
{
    const struct pos **kept = arena_new_array(w->a, const struct pos *, cm->len);
    const struct pos **own = arena_new_array(w->a, const struct pos *, cm->len);
    if (kept == NULL || own == NULL)
        return;
    struct fmt_comments rest = {kept, 0};
    struct fmt_comments taken = {own, 0};
    for (size_t i = 0; i < cm->len; i++) {
        bool matched = false;
        for (size_t k = 0; k < len && !matched; k++)
            matched = cm->items[i]->row == imports[k]->pos.row;
        if (matched)
            own[taken.len++] = cm->items[i];
        else
            kept[rest.len++] = cm->items[i];
    }
    *cm = rest;
    for (size_t i = 0; i < len;) {
        size_t n = 1;
        while (i + n < len && imports[i + n]->pos.row - imports[i + n - 1]->pos.row <= 1)
            n++;
        if (fmt_insert(w, cm, imports[i]->pos.row) == FMT_FAILED)
            w->failed = true;
        qsort(imports + i, n, sizeof(struct import *), by_path);
        for (size_t k = i; k < i + n; k++) {
            write_import(w, imports[k]);
            const struct pos *c = take_comment(&taken, imports[k]);
            if (c != NULL) {
                fmt_put(w, " ");
                fmt_put_str(w, comment_text(w, c));
            }
            fmt_end_line(w);
        }
        fmt_blank_line(w);
        i += n;
    }
}

/* ---- which imports there are to be ---- */

struct found {
    bool in, every, not, and, or ;
};

static void find_keywords(struct found *f, const struct body *b);

static void find_in_expr(struct found *f, const struct expr *e)
{
    if (e->kind == EXPR_CALL && fmt_infix(e->term) != NULL && strcmp(fmt_infix(e->term), "in") == 0)
        f->in = true;
    f->every |= e->kind == EXPR_EVERY;
    f->not |= e->kind == EXPR_NOT;
    f->and |= e->kind == EXPR_AND;
    f->or |= e->kind == EXPR_OR;
    find_keywords(f, e->body);
    find_keywords(f, e->right);
}

static bool find_in_term(void *user, struct term *t)
{
    if (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP)
        for (uint32_t i = 0; i < t->comp.body->len; i++)
            find_in_expr(user, t->comp.body->items[i]);
    return true;
}

static void find_keywords(struct found *f, const struct body *b)
{
    for (uint32_t i = 0; b != NULL && i < b->len; i++) {
        find_in_expr(f, b->items[i]);
        walk_expr(b->items[i], find_in_term, f);
    }
}

static struct import *new_import(struct fmt *w, const char *root, const char *second,
                                 const char *third, uint32_t row)
{
    struct import *imp = arena_new(w->a, struct import);
    struct pos pos = {.row = row, .col = 1};
    struct term *items[3] = {ast_var(w->a, str_of(root), pos),
                             ast_string(w->a, str_of(second), pos),
                             third == NULL ? NULL : ast_string(w->a, str_of(third), pos)};
    if (imp == NULL)
        return NULL;
    *imp = (struct import){.pos = pos,
                           .path = ast_list(w->a, TERM_REF, items, third == NULL ? 2 : 3, pos)};
    return imp->path == NULL ? NULL : imp;
}

struct import_list {
    struct import *items[256];
    size_t len;
};

/* Below the imports of its kind, or at the top. */
static uint32_t next_row(const struct import_list *l)
{
    uint32_t row = 0;
    for (size_t i = 0; i < l->len; i++)
        if ((ast_is_var(l->items[i]->path->items[0], "future") || is_rego_v1(l->items[i])) &&
            l->items[i]->pos.row > row)
            row = l->items[i]->pos.row;
    return row + 1;
}

static void ensure_keyword(struct fmt *w, struct import_list *l, const char *keyword)
{
    for (size_t i = 0; i < l->len; i++)
        if (is_future(l->items[i], NULL) || is_future(l->items[i], keyword) ||
            (is_future(l->items[i], "every") && strcmp(keyword, "in") == 0))
            return;
    struct import *imp = l->len == ARRAY_LEN(l->items)
                             ? NULL
                             : new_import(w, "future", "keywords", keyword, next_row(l));
    if (imp != NULL)
        l->items[l->len++] = imp;
}

static void remove_imports(struct import_list *l, bool v1, bool future)
{
    size_t n = 0;
    for (size_t i = 0; i < l->len; i++)
        if (!(v1 && is_rego_v1(l->items[i])) &&
            !(future && ast_is_var(l->items[i]->path->items[0], "future")))
            l->items[n++] = l->items[i];
    l->len = n;
}

static void settle_imports(struct fmt *w, struct import_list *l,
                           const struct rego_format_options *o)
{
    struct found f = {false};
    for (const struct rule *r = w->m->rules; r != NULL; r = r->next)
        for (const struct rule *b = r; b != NULL; b = b->els) {
            find_keywords(&f, b->body);
            if (b->head.val != NULL)
                walk_term(b->head.val, find_in_term, &f);
            if (b->head.key != NULL)
                walk_term(b->head.key, find_in_term, &f);
        }
    bool v1 = o->target == REGO_FORMAT_V1;
    if (v1 && o->drop_v0_imports)
        remove_imports(l, true, false);
    bool has_v1 = false;
    for (size_t i = 0; i < l->len; i++)
        has_v1 |= is_rego_v1(l->items[i]);
    if (o->target == REGO_FORMAT_BOTH && !has_v1 && l->len < ARRAY_LEN(l->items)) {
        struct import *imp = new_import(w, "rego", "v1", NULL, next_row(l));
        if (imp != NULL)
            l->items[l->len++] = imp;
        has_v1 = true;
    }
    bool v1_rules = o->target != REGO_FORMAT_V0 || has_v1;
    if (v1_rules && (o->drop_v0_imports || has_v1))
        remove_imports(l, false, true);
    if (f.not )
        ensure_keyword(w, l, "not");
    if (f.and)
        ensure_keyword(w, l, "and");
    if (f.or)
        ensure_keyword(w, l, "or");
    if (!v1_rules && f.in)
        ensure_keyword(w, l, "in");
    if (!v1_rules && f.every)
        ensure_keyword(w, l, "every");
}

/* ---- what v1 refuses, whatever the layout ---- */

static bool check_call(void *user, struct term *t)
{
    struct fmt *w = user;
    if (t->kind == TERM_CALL) {
        struct str name = ast_text(w->a, t->items[0]);
        const struct rego_builtin *b = rego_builtin_find(name);
        if (b != NULL && (b->flags & REGO_DEPRECATED) != 0)
            front_error(w->c, TYPE_ERROR, w->m, t->pos,
                        "deprecated built-in function calls in expression: %.*s", STR_ARG(name));
    }
    if (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP)
        for (uint32_t i = 0; i < t->comp.body->len; i++) {
            const struct expr *e = t->comp.body->items[i];
            if (e->kind == EXPR_UNIFY && e->assign && fmt_is_root(e->term->items[1]))
                front_error(w->c, COMPILE_ERROR, w->m, e->pos,
                            "variables must not shadow input and data");
        }
    return true;
}

static bool fmt_is_root(const struct term *t)
{
    if (t->kind == TERM_REF && t->len == 1)
        t = t->items[0];
    return ast_is_var(t, "input") || ast_is_var(t, "data");
}

static void check_body(struct fmt *w, struct body *b)
{
    for (uint32_t i = 0; b != NULL && i < b->len; i++) {
        struct expr *e = b->items[i];
        if (e->kind == EXPR_UNIFY && e->assign && fmt_is_root(e->term->items[1]))
            front_error(w->c, COMPILE_ERROR, w->m, e->pos,
                        "variables must not shadow input and data");
        walk_expr(e, check_call, w);
        check_body(w, e->body);
        check_body(w, e->right);
    }
}

static void check_rule(struct fmt *w, const struct rule *r)
{
    struct str name = r->head.ref->items[0]->var.name;
    if (fmt_is_root(r->head.ref->items[0]))
        front_error(w->c, COMPILE_ERROR, w->m, r->pos,
                    "rules must not shadow %.*s (use a different rule name)", STR_ARG(name));
    if (r->head.ref->len == 1 && token_keyword(name, KEYWORDS_V1) != TOK_IDENT)
        front_error(w->c, PARSE_ERROR, w->m, r->pos, "%.*s keyword cannot be used for rule name",
                    STR_ARG(name));
    for (uint32_t i = 0; i < r->head.arg_count; i++)
        if (fmt_is_root(r->head.args[i]))
            front_error(w->c, COMPILE_ERROR, w->m, r->head.args[i]->pos,
                        "args must not shadow input and data");
    for (const struct rule *b = r; b != NULL; b = b->els) {
        walk_term(b->head.val, check_call, w);
        walk_term(b->head.key, check_call, w);
        check_body(w, b->body);
    }
}

static struct str import_name(const struct import *imp)
{
    const struct term *last = imp->path->items[imp->path->len - 1];
    return imp->alias.len > 0       ? imp->alias
           : last->kind == TERM_VAR ? last->var.name
                                    : value_str(last->val);
}

static bool check_v1(struct fmt *w)
{
    for (const struct import *a = w->m->imports; a != NULL; a = a->next)
        for (const struct import *b = w->m->imports; b != a; b = b->next)
            if (str_equal(import_name(a), import_name(b)))
                front_error(w->c, COMPILE_ERROR, w->m, a->pos,
                            "import must not shadow another import");
    for (const struct rule *r = w->m->rules; r != NULL; r = r->next)
        check_rule(w, r);
    return w->c->errors.total == 0;
}

/* ---- the module ---- */

static void relocate_body(struct body *b, struct pos pos);

static bool relocate_term(void *user, struct term *t)
{
    struct pos *pos = user;
    t->pos = *pos;
    if (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP)
        relocate_body(t->comp.body, *pos);
    return true;
}

static void relocate_body(struct body *b, struct pos pos)
{
    for (uint32_t i = 0; b != NULL && i < b->len; i++) {
        struct expr *e = b->items[i];
        e->pos = pos;
        for (uint32_t k = 0; k < e->with_count; k++)
            e->withs[k].pos = pos;
        walk_expr(e, relocate_term, &pos);
        relocate_body(e->body, pos);
        relocate_body(e->right, pos);
    }
}

/* OPA gives the terms of some rules the position of their rule: 1-line bodies of `else`, chained
 * bodies. */
static void relocate(struct fmt *w, struct rule *r)
{
    if (r->chained) {
        struct pos pos = r->pos;
        walk_term(r->head.ref, relocate_term, &pos);
        walk_term(r->head.key, relocate_term, &pos);
        walk_term(r->head.val, relocate_term, &pos);
        for (uint32_t i = 0; i < r->head.arg_count; i++)
            walk_term(r->head.args[i], relocate_term, &pos);
    }
    for (struct rule *e = r->els; e != NULL; e = e->els) {
        e->pos.end = r->pos.end;
        if (e->head.uses_if && !e->braced)
            relocate_body(e->body, e->pos);
    }
    (void)w;
}

static void look_at_heads(struct fmt *w, const struct rego_format_options *o)
{
    w->v1 = o->target != REGO_FORMAT_V0;
    w->ifs = w->contains = w->v1;
    w->keywords = w->v1 ? KEYWORDS_V1 : 0;
    for (const struct import *imp = w->m->imports; imp != NULL; imp = imp->next) {
        bool all = is_rego_v1(imp) || is_future(imp, NULL);
        w->contains |= all || is_future(imp, "contains");
        w->ifs |= all || is_future(imp, "if");
        static const struct {
            const char *name;
            enum token token;
        } kinds[] = {{"in", TOK_IN},   {"every", TOK_EVERY},
                     {"if", TOK_IF},   {"contains", TOK_CONTAINS},
                     {"and", TOK_AND}, {"or", TOK_OR}};
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
            if (is_future(imp, kinds[i].name))
                w->keywords |= KEYWORD_BIT(kinds[i].token);
    }
    for (struct rule *r = w->m->rules; r != NULL; r = r->next) {
        w->ref_heads |= r->head.ref->len > 2 || (r->head.ref->len == 2 && r->head.uses_contains);
        relocate(w, r);
    }
}

static int by_row(const void *x, const void *y)
{
    const struct import *a = *(const struct import *const *)x;
    const struct import *b = *(const struct import *const *)y;
    if (a->pos.row != b->pos.row)
        return a->pos.row < b->pos.row ? -1 : 1;
    return a->pos.col < b->pos.col ? -1 : a->pos.col > b->pos.col;
}

/* Imports and rules in the order of the text, alternating. */
static void write_statements(struct fmt *w, struct import_list *l, struct fmt_comments *cm)
{
    size_t n = 0;
    for (const struct rule *r = w->m->rules; r != NULL; r = r->next)
        n++;
    struct rule **rules = arena_new_array(w->a, struct rule *, n);
    if (rules == NULL)
        return;
    n = 0;
    for (struct rule *r = w->m->rules; r != NULL; r = r->next)
        rules[n++] = r;
    qsort(l->items, l->len, sizeof(l->items[0]), by_row);
    /* An import that was added must not come behind a rule. */
    uint32_t first = n == 0 ? UINT32_MAX : rules[0]->pos.row;
    size_t added = 0;
    struct import *early[ARRAY_LEN(l->items)];
    for (size_t i = 0; i < l->len; i++)
        if (l->items[i]->pos.end == 0 && l->items[i]->pos.row >= first)
            early[added++] = l->items[i];
    if (added > 0) {
        size_t kept = 0;
        for (size_t i = 0; i < l->len; i++)
            if (l->items[i]->pos.end != 0 || l->items[i]->pos.row < first)
                l->items[kept++] = l->items[i];
        l->len = kept;
        write_imports(w, early, added, cm);
    }
    size_t i = 0;
    for (size_t r = 0; i < l->len || r < n;) {
        size_t k = i;
        while (k < l->len && (r == n || l->items[k]->pos.row < rules[r]->pos.row ||
                              (l->items[k]->pos.row == rules[r]->pos.row &&
                               l->items[k]->pos.col < rules[r]->pos.col)))
            k++;
        write_imports(w, l->items + i, k - i, cm);
        i = k;
        size_t q = r;
        while (q < n && (i == l->len || rules[q]->pos.row < l->items[i]->pos.row))
            q++;
        fmt_rules(w, rules + r, q - r, cm);
        if (q == r && k == i && q < n)
            q++;
        r = q;
    }
}

static void write_module(struct fmt *w, const struct rego_format_options *o)
{
    look_at_heads(w, o);
    struct import_list l = {.len = 0};
    for (struct import *imp = w->m->imports; imp != NULL && l.len < ARRAY_LEN(l.items);
         imp = imp->next)
        l.items[l.len++] = imp;
    settle_imports(w, &l, o);
    const struct pos **items = arena_new_array(w->a, const struct pos *, w->m->comment_count);
    if (items == NULL)
        return;
    for (uint32_t i = 0; i < w->m->comment_count; i++)
        items[i] = &w->m->comments[i].pos;
    struct fmt_comments cm = {items, w->m->comment_count};
    write_package(w, &cm);
    write_statements(w, &l, &cm);
    for (size_t i = 0; i < cm.len; i++)
        write_line(w, comment_text(w, cm.items[i]));
}

STATUS rego_format(struct rego_compiler *c, struct str file, struct str text,
                   const struct rego_format_options *o, struct buf *out)
{
    if (text.len > FORMAT_SOURCE_MAX)
        return ERR_LIMIT;
    bool v0 = o->target != REGO_FORMAT_V1;
    c->for_layout = true;
    struct module *m = parse_module(c, arena_str(&c->arena, file), arena_str(&c->arena, text),
                                    v0 ? REGO_V0 : REGO_V1);
    c->for_layout = false;
    if (m == NULL)
        return arena_status(&c->arena) != OK ? arena_status(&c->arena) : ERR_INVALID;
    size_t start = out->len;
    struct fmt w = {.c = c, .a = &c->arena, .m = m, .out = out};
    if (o->target == REGO_FORMAT_V0 || check_v1(&w))
        write_module(&w, o);
    else
        w.failed = true;
    if (w.failed || arena_status(&c->arena) != OK || buf_status(out) != OK) {
        out->len = start;
        return buf_status(out) != OK           ? buf_status(out)
               : arena_status(&c->arena) != OK ? arena_status(&c->arena)
                                               : ERR_INVALID;
    }
    size_t end = out->len;
    while (end > start && out->ptr[end - 1] == '\n')
        end--;
    out->len = end + (end < out->len);
    return OK;
}

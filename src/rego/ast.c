#include "rego/ast.h"

#include "rego/front.h"
#include "rego/text.h"

static uint16_t deeper(uint16_t have, const struct term *child)
{
    return child != NULL && child->depth >= have ? (uint16_t)(child->depth + 1) : have;
}

struct term *ast_term(struct arena *a, enum term_kind kind, struct pos pos)
{
    struct term *t = arena_new(a, struct term);
    if (t == NULL)
        return NULL;
    t->kind = (uint8_t)kind;
    t->pos = pos;
    t->depth = 1;
    return t;
}

struct term *ast_value(struct arena *a, value v, struct pos pos)
{
    struct term *t = value_is_defined(v) ? ast_term(a, TERM_VALUE, pos) : NULL;
    if (t != NULL)
        t->val = v;
    return t;
}

struct term *ast_string(struct arena *a, struct str s, struct pos pos)
{
    return ast_value(a, value_string(a, s), pos);
}

struct term *ast_var(struct arena *a, struct str name, struct pos pos)
{
    struct term *t = ast_term(a, TERM_VAR, pos);
    if (t == NULL)
        return NULL;
    t->var.name = name;
    t->var.id = VAR_NONE;
    t->wildcard = str_is(name, "_");
    return t;
}

struct term *ast_var_id(struct arena *a, uint32_t id, struct pos pos)
{
    struct term *t = ast_term(a, TERM_VAR, pos);
    if (t == NULL)
        return NULL;
    t->var.name = STR_EMPTY;
    t->var.id = id;
    t->generated = true;
    return t;
}

struct term *ast_list(struct arena *a, enum term_kind kind, struct term **items, size_t len,
                      struct pos pos)
{
    struct term *t = ast_term(a, kind, pos);
    struct term **copy = len > UINT32_MAX ? NULL : arena_new_array(a, struct term *, len);
    if (t == NULL || copy == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        if (items[i] == NULL)
            return NULL;
        copy[i] = items[i];
        t->depth = deeper(t->depth, items[i]);
    }
    t->items = copy;
    t->len = (uint32_t)len;
    return t;
}

struct term *ast_operator(struct arena *a, const char *name, struct term **operands, size_t len,
                          struct pos pos)
{
    struct term *items[4];
    struct pos at = pos;
    items[0] = ast_var(a, str_of(name), at);
    for (size_t i = 0; i < len; i++)
        items[i + 1] = operands[i];
    struct term *t = ast_list(a, TERM_CALL, items, len + 1, pos);
    if (t != NULL)
        t->items[0]->generated = true;
    return t;
}

struct expr *ast_expr(struct arena *a, enum expr_kind kind, struct pos pos)
{
    struct expr *e = arena_new(a, struct expr);
    if (e == NULL)
        return NULL;
    e->kind = (uint8_t)kind;
    e->pos = pos;
    e->capture = VAR_NONE;
    return e;
}

struct body *ast_body(struct arena *a)
{
    return arena_new(a, struct body);
}

bool ast_body_add(struct arena *a, struct body *b, struct expr *e)
{
    if (e == NULL)
        return false;
    if (b->len == b->cap) {
        uint32_t cap = b->cap == 0 ? 4 : b->cap * 2;
        struct expr **items = arena_new_array(a, struct expr *, cap);
        if (items == NULL)
            return false;
        if (b->len > 0)
            memcpy(items, b->items, b->len * sizeof(struct expr *));
        b->items = items;
        b->cap = cap;
    }
    b->items[b->len++] = e;
    if (e->depth > b->depth)
        b->depth = e->depth;
    return true;
}

static struct body *copy_body(struct arena *a, const struct body *b);

static struct with *copy_withs(struct arena *a, const struct expr *e)
{
    struct with *withs = arena_new_array(a, struct with, e->with_count);
    for (uint32_t i = 0; withs != NULL && i < e->with_count; i++) {
        withs[i] = e->withs[i];
        withs[i].target = ast_copy(a, e->withs[i].target);
        withs[i].val = ast_copy(a, e->withs[i].val);
    }
    return withs;
}

static struct expr *copy_expr(struct arena *a, const struct expr *e)
{
    struct expr *x = ast_expr(a, e->kind, e->pos);
    if (x == NULL)
        return NULL;
    *x = *e;
    x->term = ast_copy(a, e->term);
    x->withs = copy_withs(a, e);
    x->key = ast_copy(a, e->key);
    x->val = ast_copy(a, e->val);
    x->domain = ast_copy(a, e->domain);
    x->body = copy_body(a, e->body);
    x->right = copy_body(a, e->right);
    if (e->symbol_count > 0) {
        x->symbols = arena_new_array(a, struct term *, e->symbol_count);
        for (uint32_t i = 0; x->symbols != NULL && i < e->symbol_count; i++)
            x->symbols[i] = ast_copy(a, e->symbols[i]);
    }
    return x;
}

static struct body *copy_body(struct arena *a, const struct body *b)
{
    if (b == NULL)
        return NULL;
    struct body *x = ast_body(a);
    for (uint32_t i = 0; x != NULL && i < b->len; i++)
        if (!ast_body_add(a, x, copy_expr(a, b->items[i])))
            return NULL;
    return x;
}

struct term *ast_copy(struct arena *a, const struct term *t)
{
    if (t == NULL)
        return NULL;
    struct term *x = ast_term(a, t->kind, t->pos);
    if (x == NULL)
        return NULL;
    *x = *t;
    switch (t->kind) {
    case TERM_VALUE:
    case TERM_VAR:
        break;
    case TERM_ARRAY_COMP:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        x->comp.key = ast_copy(a, t->comp.key);
        x->comp.head = ast_copy(a, t->comp.head);
        x->comp.body = copy_body(a, t->comp.body);
        break;
    default:
        x->items = arena_new_array(a, struct term *, t->len);
        for (uint32_t i = 0; x->items != NULL && i < t->len; i++)
            x->items[i] = ast_copy(a, t->items[i]);
    }
    return x;
}

bool ast_is_var(const struct term *t, const char *name)
{
    return t != NULL && t->kind == TERM_VAR && str_is(t->var.name, name);
}

bool ast_is_string(const struct term *t)
{
    return t->kind == TERM_VALUE && value_is_string(t->val);
}

bool ast_is_constant(const struct term *t)
{
    switch (t->kind) {
    case TERM_VALUE:
        return true;
    case TERM_ARRAY:
    case TERM_SET:
    case TERM_OBJECT:
        for (uint32_t i = 0; i < t->len; i++)
            if (!ast_is_constant(t->items[i]))
                return false;
        return true;
    default:
        return false;
    }
}

bool ast_constant(struct arena *a, const struct term *t, value *out)
{
    *out = t->kind == TERM_VALUE ? t->val : VALUE_UNDEFINED;
    if (t->kind == TERM_VALUE || !ast_is_constant(t))
        return t->kind == TERM_VALUE;
    struct value_builder b;
    value_builder_init(&b, a, t->len);
    for (uint32_t i = 0; i < t->len; i++) {
        value v;
        if (!ast_constant(a, t->items[i], &v))
            return false;
        value_builder_add(&b, v);
    }
    *out = t->kind == TERM_ARRAY ? value_array_finish(&b)
           : t->kind == TERM_SET ? value_set_finish(&b)
                                 : value_object_finish(&b, VALUE_DUP_LAST, NULL);
    return value_is_defined(*out);
}

const char *ast_kind_name(const struct term *t)
{
    switch (t->kind) {
    case TERM_VALUE:
        return value_kind_name(value_kind(t->val));
    case TERM_VAR:
        return "var";
    case TERM_REF:
        return "ref";
    case TERM_CALL:
        return "call";
    case TERM_ARRAY:
        return "array";
    case TERM_SET:
        return "set";
    case TERM_OBJECT:
        return "object";
    case TERM_ARRAY_COMP:
        return "arraycomprehension";
    case TERM_SET_COMP:
        return "setcomprehension";
    case TERM_OBJECT_COMP:
        return "objectcomprehension";
    default:
        return "templatestring";
    }
}

enum rego_relation ast_relation(const struct term *call)
{
    static const struct {
        const char *name;
        enum rego_relation relation;
    } table[] = {
        {"equal", REGO_REL_EQUAL},
        {"neq", REGO_REL_NOT_EQUAL},
        {"lt", REGO_REL_LESS},
        {"lte", REGO_REL_LESS_EQUAL},
        {"gt", REGO_REL_GREATER},
        {"gte", REGO_REL_GREATER_EQUAL},
        {"internal.member_2", REGO_REL_IN},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (call->items[0]->generated && ast_is_var(call->items[0], table[i].name))
            return table[i].relation;
    return REGO_REL_OTHER;
}

/* ---- text ---- */

static void write_body(struct buf *out, const struct body *b);

static void write_list(struct buf *out, struct term *const *items, size_t len, const char *open,
                       const char *close)
{
    buf_add_cstr(out, open);
    for (size_t i = 0; i < len; i++) {
        if (i > 0)
            buf_add_cstr(out, ", ");
        ast_write(out, items[i]);
    }
    buf_add_cstr(out, close);
}

bool ast_is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
        if (!letter && !(i > 0 && ch >= '0' && ch <= '9'))
            return false;
    }
    return s.len > 0;
}

static void write_ref(struct buf *out, const struct term *t)
{
    ast_write(out, t->items[0]);
    for (uint32_t i = 1; i < t->len; i++) {
        const struct term *part = t->items[i];
        if (ast_is_string(part) && ast_is_name(value_str(part->val))) {
            buf_add_byte(out, '.');
            buf_add(out, value_str(part->val));
        } else {
            write_list(out, &t->items[i], 1, "[", "]");
        }
    }
}

static void write_comp(struct buf *out, const struct term *t, const char *open, const char *close)
{
    buf_add_cstr(out, open);
    if (t->comp.head == NULL) { /* in a template string, as the parser has it */
        write_body(out, t->comp.body);
        buf_add_cstr(out, close);
        return;
    }
    if (t->comp.key != NULL) {
        ast_write(out, t->comp.key);
        buf_add_cstr(out, ": ");
    }
    ast_write(out, t->comp.head);
    buf_add_cstr(out, " | ");
    write_body(out, t->comp.body);
    buf_add_cstr(out, close);
}

void ast_write(struct buf *out, const struct term *t)
{
    switch (t->kind) {
    case TERM_VALUE:
        rego_text_write(out, t->val);
        break;
    case TERM_VAR:
        if (t->var.id == VAR_INPUT)
            buf_add_cstr(out, "input");
        else if (t->var.id == VAR_DATA)
            buf_add_cstr(out, "data");
        else if (t->var.name.len == 0)
            buf_add_format(out, "__local%u__", t->var.id);
        else
            buf_add(out, t->var.name);
        break;
    case TERM_REF:
        write_ref(out, t);
        break;
    case TERM_CALL:
        ast_write(out, t->items[0]);
        write_list(out, t->items + 1, t->len - 1, "(", ")");
        break;
    case TERM_ARRAY:
        write_list(out, t->items, t->len, "[", "]");
        break;
    case TERM_SET:
        if (t->len == 0)
            buf_add_cstr(out, "set()");
        else
            write_list(out, t->items, t->len, "{", "}");
        break;
    case TERM_OBJECT:
        buf_add_byte(out, '{');
        for (uint32_t i = 0; i + 1 < t->len; i += 2) {
            if (i > 0)
                buf_add_cstr(out, ", ");
            ast_write(out, t->items[i]);
            buf_add_cstr(out, ": ");
            ast_write(out, t->items[i + 1]);
        }
        buf_add_byte(out, '}');
        break;
    case TERM_ARRAY_COMP:
        write_comp(out, t, "[", "]");
        break;
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        write_comp(out, t, "{", "}");
        break;
    case TERM_TEMPLATE:
        write_list(out, t->items, t->len, "$\"", "\"");
        break;
    }
}

static void write_expr(struct buf *out, const struct expr *e)
{
    if (e->negated)
        buf_add_cstr(out, "not ");
    switch (e->kind) {
    case EXPR_TERM:
    case EXPR_CALL:
        ast_write(out, e->term);
        break;
    case EXPR_UNIFY:
        ast_write(out, e->term->items[1]);
        buf_add_cstr(out, e->assign ? " := " : " = ");
        ast_write(out, e->term->items[2]);
        break;
    case EXPR_SOME:
        write_list(out, e->symbols, e->symbol_count, "some ", "");
        break;
    case EXPR_EVERY:
        buf_add_cstr(out, "every ");
        ast_write(out, e->val);
        buf_add_cstr(out, " in ");
        ast_write(out, e->domain);
        buf_add_cstr(out, " { ");
        write_body(out, e->body);
        buf_add_cstr(out, " }");
        break;
    case EXPR_NOT:
        buf_add_cstr(out, "not { ");
        write_body(out, e->body);
        buf_add_cstr(out, " }");
        break;
    default:
        write_body(out, e->body);
        buf_add_cstr(out, e->kind == EXPR_AND ? " and " : " or ");
        write_body(out, e->right);
    }
}

static void write_body(struct buf *out, const struct body *b)
{
    for (uint32_t i = 0; i < b->len; i++) {
        if (i > 0)
            buf_add_cstr(out, "; ");
        write_expr(out, b->items[i]);
    }
}

struct str ast_text(struct arena *a, const struct term *t)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 65536);
    ast_write(&b, t);
    return arena_str(a, buf_str(&b));
}

/* ---- walking ---- */

void walk_term(struct term *t, term_visitor visit, void *user)
{
    if (t == NULL || !visit(user, t))
        return;
    switch (t->kind) {
    case TERM_VALUE:
    case TERM_VAR:
        break;
    case TERM_ARRAY_COMP:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        walk_term(t->comp.key, visit, user);
        walk_term(t->comp.head, visit, user);
        walk_body(t->comp.body, visit, user);
        break;
    default:
        for (uint32_t i = 0; i < t->len; i++)
            walk_term(t->items[i], visit, user);
    }
}

void walk_expr(struct expr *e, term_visitor visit, void *user)
{
    walk_term(e->term, visit, user);
    for (uint32_t i = 0; i < e->symbol_count; i++)
        walk_term(e->symbols[i], visit, user);
    walk_term(e->key, visit, user);
    walk_term(e->val, visit, user);
    walk_term(e->domain, visit, user);
    walk_body(e->body, visit, user);
    walk_body(e->right, visit, user);
    for (uint32_t i = 0; i < e->with_count; i++) {
        walk_term(e->withs[i].target, visit, user);
        walk_term(e->withs[i].val, visit, user);
    }
}

void walk_body(struct body *b, term_visitor visit, void *user)
{
    for (uint32_t i = 0; b != NULL && i < b->len; i++)
        walk_expr(b->items[i], visit, user);
}

/* For rego.parse_module(): the syntax tree of a v1 module as OPA writes it as JSON. */
#include "base/encode.h"
#include "rego/builtins_internal.h"
#include "rego/parser.h"
#include "rego/vm.h"

struct writer {
    struct arena *a;
    struct str text;
    uint32_t wildcards; /* _ is $0, $1, ... */
};

static value term_value(struct writer *w, const struct term *t);
static value body_value(struct writer *w, const struct body *b);
static value literal_value(struct writer *w, const struct expr *e, uint32_t index, bool generated);

static value pair_value(struct writer *w, const char *type, value v)
{
    struct value_builder b;
    value_builder_init(&b, w->a, 2);
    value_builder_put_str(&b, "type", value_cstring(w->a, type));
    value_builder_put_str(&b, "value", v);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value text_value(struct writer *w, const char *type, struct str s)
{
    return pair_value(w, type, value_string(w->a, s));
}

static value terms_value(struct writer *w, struct term *const *items, uint32_t len)
{
    struct value_builder b;
    value_builder_init(&b, w->a, len);
    for (uint32_t i = 0; i < len; i++)
        value_builder_add(&b, term_value(w, items[i]));
    return value_array_finish(&b);
}

/* "internal.member_2", "input": a variable, and the strings behind it. */
static value name_value(struct writer *w, struct str name)
{
    struct value_builder b;
    value_builder_init(&b, w->a, 2);
    for (size_t at = 0; at <= name.len;) {
        size_t end = str_find(name, '.', at);
        value_builder_add(&b,
                          text_value(w, at == 0 ? "var" : "string", str_slice(name, at, end - at)));
        at = end + 1;
    }
    return pair_value(w, "ref", value_array_finish(&b));
}

static value operator_value(struct writer *w, const struct term *op)
{
    return op->kind == TERM_VAR ? name_value(w, op->var.name) : term_value(w, op);
}

static value call_value(struct writer *w, const struct term *t, const char *op)
{
    struct value_builder b;
    value_builder_init(&b, w->a, t->len);
    value_builder_add(&b, op != NULL ? name_value(w, str_of(op)) : operator_value(w, t->items[0]));
    for (uint32_t i = 1; i < t->len; i++)
        value_builder_add(&b, term_value(w, t->items[i]));
    return value_array_finish(&b);
}

static value comprehension_value(struct writer *w, const struct term *t, const char *type)
{
    bool object = t->kind == TERM_OBJECT_COMP;
    struct value_builder b;
    value_builder_init(&b, w->a, 3);
    if (object)
        value_builder_put_str(&b, "key", term_value(w, t->comp.key));
    value_builder_put_str(&b, object ? "value" : "term", term_value(w, t->comp.head));
    value_builder_put_str(&b, "body", body_value(w, t->comp.body));
    return pair_value(w, type, value_object_finish(&b, VALUE_DUP_LAST, NULL));
}

/* Elements, or keys, in the order of values where all are constant. */
static value collection_value(struct writer *w, const struct term *t, uint32_t stride)
{
    struct value_builder order;
    value_builder_init(&order, w->a, t->len);
    bool constant = true;
    for (uint32_t i = 0; i < t->len && constant; i += stride) {
        value key = VALUE_UNDEFINED;
        constant = ast_constant(w->a, t->items[i], &key);
        if (constant)
            value_builder_put(&order, key, value_small_int(i));
    }
    value sorted = constant ? value_object_finish(&order, VALUE_DUP_LAST, NULL) : VALUE_UNDEFINED;
    uint32_t n = constant ? (uint32_t)value_len(sorted) : t->len / stride;
    struct value_builder b;
    value_builder_init(&b, w->a, n);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = constant ? (uint32_t)value_small(value_pairs(sorted)[k].val) : k * stride;
        value_builder_add(&b, stride == 1 ? term_value(w, t->items[i])
                                          : terms_value(w, &t->items[i], stride));
    }
    return value_array_finish(&b);
}

static value template_value(struct writer *w, const struct term *t)
{
    struct value_builder parts, b;
    value_builder_init(&parts, w->a, t->len);
    value_builder_init(&b, w->a, 2);
    for (uint32_t i = 0; i < t->len; i++) {
        const struct term *part = t->items[i];
        const struct expr *e = part->kind == TERM_SET_COMP && part->comp.head == NULL
                                   ? part->comp.body->items[0]
                                   : NULL;
        bool scalar = e != NULL && e->kind == EXPR_TERM && e->term->kind == TERM_VALUE;
        value_builder_add(&parts, e == NULL ? term_value(w, part)
                                  : scalar  ? term_value(w, e->term)
                                            : literal_value(w, e, 0, false));
    }
    size_t quote = t->pos.off + 1;
    bool raw = quote < w->text.len && w->text.ptr[quote] == '`';
    value_builder_put_str(&b, "multi_line", value_bool(raw));
    value_builder_put_str(&b, "parts", value_array_finish(&parts));
    return pair_value(w, "templatestring", value_object_finish(&b, VALUE_DUP_LAST, NULL));
}

static value var_value(struct writer *w, const struct term *t)
{
    if (t->wildcard)
        return text_value(w, "var", arena_format(w->a, "$%u", (unsigned)w->wildcards++));
    if (ast_is_var(t, "input") || ast_is_var(t, "data"))
        return name_value(w, t->var.name);
    return text_value(w, "var", t->var.name);
}

static value ref_value(struct writer *w, const struct term *t)
{
    struct value_builder b;
    value_builder_init(&b, w->a, t->len);
    const struct term *head = t->items[0];
    value_builder_add(&b, head->kind == TERM_VAR && !head->wildcard
                              ? text_value(w, "var", head->var.name)
                              : term_value(w, head));
    for (uint32_t i = 1; i < t->len; i++)
        value_builder_add(&b, term_value(w, t->items[i]));
    return value_array_finish(&b);
}

static value term_value(struct writer *w, const struct term *t)
{
    if (t == NULL || arena_status(w->a) != OK)
        return VALUE_NULL;
    switch ((enum term_kind)t->kind) {
    case TERM_VALUE:
        return pair_value(w, value_kind_name(value_kind(t->val)),
                          value_kind(t->val) == VALUE_KIND_NULL ? VALUE_EMPTY_OBJECT(w->a)
                                                                : value_copy(w->a, t->val));
    case TERM_VAR:
        return var_value(w, t);
    case TERM_REF:
        return pair_value(w, "ref", ref_value(w, t));
    case TERM_CALL:
        return pair_value(w, "call", call_value(w, t, NULL));
    case TERM_ARRAY:
        return pair_value(w, "array", terms_value(w, t->items, t->len));
    case TERM_SET:
        return pair_value(w, "set", collection_value(w, t, 1));
    case TERM_OBJECT:
        return pair_value(w, "object", collection_value(w, t, 2));
    case TERM_ARRAY_COMP:
        return comprehension_value(w, t, "arraycomprehension");
    case TERM_SET_COMP:
        return comprehension_value(w, t, "setcomprehension");
    case TERM_OBJECT_COMP:
        return comprehension_value(w, t, "objectcomprehension");
    case TERM_TEMPLATE:
        return template_value(w, t);
    }
    return VALUE_NULL;
}

/* ---- literals ---- */

static value literal_terms(struct writer *w, const struct expr *e)
{
    struct value_builder b;
    value_builder_init(&b, w->a, 4);
    switch ((enum expr_kind)e->kind) {
    case EXPR_TERM:
        return term_value(w, e->term);
    case EXPR_CALL:
        return call_value(w, e->term, NULL);
    case EXPR_UNIFY:
        return call_value(w, e->term, e->assign ? "assign" : "eq");
    case EXPR_SOME:
        value_builder_put_str(&b, "symbols", terms_value(w, e->symbols, e->symbol_count));
        break;
    case EXPR_EVERY:
        value_builder_put_str(&b, "key", term_value(w, e->key));
        value_builder_put_str(&b, "value", term_value(w, e->val));
        value_builder_put_str(&b, "domain", term_value(w, e->domain));
        value_builder_put_str(&b, "body", body_value(w, e->body));
        break;
    default: /* not { }, and, or */
        value_builder_put_str(&b, "body", body_value(w, e->body));
        if (e->right != NULL)
            value_builder_put_str(&b, "right", body_value(w, e->right));
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value withs_value(struct writer *w, const struct expr *e)
{
    struct value_builder all;
    value_builder_init(&all, w->a, e->with_count);
    for (uint32_t i = 0; i < e->with_count; i++) {
        struct value_builder b;
        value_builder_init(&b, w->a, 2);
        value_builder_put_str(&b, "target", term_value(w, e->withs[i].target));
        value_builder_put_str(&b, "value", term_value(w, e->withs[i].val));
        value_builder_add(&all, value_object_finish(&b, VALUE_DUP_LAST, NULL));
    }
    return value_array_finish(&all);
}

static value literal_value(struct writer *w, const struct expr *e, uint32_t index, bool generated)
{
    struct value_builder b;
    value_builder_init(&b, w->a, 5);
    value_builder_put_str(&b, "index", value_small_int(index));
    value_builder_put_str(&b, "terms", literal_terms(w, e));
    if (e->negated)
        value_builder_put_str(&b, "negated", VALUE_TRUE);
    if (generated)
        value_builder_put_str(&b, "generated", VALUE_TRUE);
    if (e->with_count > 0)
        value_builder_put_str(&b, "with", withs_value(w, e));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value body_value(struct writer *w, const struct body *body)
{
    struct value_builder b;
    value_builder_init(&b, w->a, body->len);
    for (uint32_t i = 0; i < body->len; i++)
        value_builder_add(&b, literal_value(w, body->items[i], i, false));
    return value_array_finish(&b);
}

/* ---- rules ---- */

/* A head of two parts with a value has its second part as a key, too: so OPA keeps p[x] = y. */
static value head_value(struct writer *w, const struct head *h)
{
    const struct term *ref = h->ref;
    bool is_ref = ref->kind == TERM_REF;
    uint32_t len = is_ref ? ref->len : 1;
    const struct term *first = is_ref ? ref->items[0] : ref;
    const struct term *second = len == 2 ? ref->items[1] : NULL;
    bool own_value = h->val != NULL && !h->generated_val;
    bool pair = second != NULL && h->key == NULL && own_value;
    struct value_builder b;
    value_builder_init(&b, w->a, 6);
    if (len == 1 || pair)
        value_builder_put_str(&b, "name", value_string(w->a, first->var.name));
    struct value_builder parts;
    value_builder_init(&parts, w->a, len);
    value_builder_add(&parts, text_value(w, "var", first->var.name));
    for (uint32_t i = 1; i < len; i++)
        value_builder_add(&parts, term_value(w, ref->items[i]));
    value_builder_put_str(&b, "ref", value_array_finish(&parts));
    if (h->arg_count > 0)
        value_builder_put_str(&b, "args", terms_value(w, h->args, h->arg_count));
    if (h->key != NULL)
        value_builder_put_str(&b, "key", term_value(w, h->key));
    else if (pair || (second != NULL && second->kind == TERM_VAR && h->uses_if))
        value_builder_put_str(&b, "key", term_value(w, second));
    if (h->val != NULL && h->key == NULL)
        value_builder_put_str(&b, "value", term_value(w, h->val));
    if (h->assign)
        value_builder_put_str(&b, "assign", VALUE_TRUE);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* Chains of else are as long as the text: the last branch is written first. */
static value rule_value(struct writer *w, const struct rule *first)
{
    uint32_t n = 0;
    for (const struct rule *r = first; r != NULL; r = r->els)
        n++;
    const struct rule **chain = arena_new_array(w->a, const struct rule *, n);
    if (chain == NULL)
        return VALUE_UNDEFINED;
    n = 0;
    for (const struct rule *r = first; r != NULL; r = r->els)
        chain[n++] = r;
    value v = VALUE_UNDEFINED;
    while (n > 0) {
        const struct rule *r = chain[--n];
        struct value_builder b;
        value_builder_init(&b, w->a, 4);
        if (r->is_default)
            value_builder_put_str(&b, "default", VALUE_TRUE);
        value_builder_put_str(&b, "head", head_value(w, &r->head));
        struct value_builder body;
        value_builder_init(&body, w->a, r->body->len);
        for (uint32_t i = 0; i < r->body->len; i++)
            value_builder_add(
                &body, literal_value(w, r->body->items[i], i, r->generated_body || r->is_default));
        value_builder_put_str(&b, "body", value_array_finish(&body));
        if (value_is_defined(v))
            value_builder_put_str(&b, "else", v);
        v = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    }
    return v;
}

static value imports_value(struct writer *w, const struct module *m)
{
    struct value_builder all;
    value_builder_init(&all, w->a, 4);
    for (const struct import *i = m->imports; i != NULL; i = i->next) {
        struct value_builder b;
        value_builder_init(&b, w->a, 2);
        value_builder_put_str(&b, "path", term_value(w, i->path));
        if (i->alias.len > 0)
            value_builder_put_str(&b, "alias", value_string(w->a, i->alias));
        value_builder_add(&all, value_object_finish(&b, VALUE_DUP_LAST, NULL));
    }
    return value_array_finish(&all);
}

static value comments_value(struct writer *w, const struct module *m)
{
    struct value_builder all;
    value_builder_init(&all, w->a, m->comment_count);
    for (uint32_t i = 0; i < m->comment_count; i++) {
        struct pos pos = m->comments[i].pos;
        struct str text = str_slice(m->text, pos.off + 1, pos.end - pos.off - 1);
        struct value_builder at, b;
        value_builder_init(&at, w->a, 3);
        value_builder_put_str(&at, "file", value_string(w->a, m->file));
        value_builder_put_str(&at, "row", value_small_int(pos.row));
        value_builder_put_str(&at, "col", value_small_int(pos.col));
        value_builder_init(&b, w->a, 2);
        value_builder_put_str(&b, "Text", value_string(w->a, base64_text(w->a, text, BASE64_STD)));
        value_builder_put_str(&b, "Location", value_object_finish(&at, VALUE_DUP_LAST, NULL));
        value_builder_add(&all, value_object_finish(&b, VALUE_DUP_LAST, NULL));
    }
    return value_array_finish(&all);
}

static value module_value(struct writer *w, const struct module *m)
{
    struct value_builder b, package, rules;
    value_builder_init(&b, w->a, 4);
    value_builder_init(&package, w->a, 1);
    value_builder_put_str(&package, "path", ref_value(w, m->package));
    value_builder_put_str(&b, "package", value_object_finish(&package, VALUE_DUP_LAST, NULL));
    if (m->imports != NULL)
        value_builder_put_str(&b, "imports", imports_value(w, m));
    value_builder_init(&rules, w->a, 8);
    for (const struct rule *r = m->rules; r != NULL; r = r->next)
        value_builder_add(&rules, rule_value(w, r));
    if (m->rules != NULL)
        value_builder_put_str(&b, "rules", value_array_finish(&rules));
    if (m->comment_count > 0)
        value_builder_put_str(&b, "comments", comments_value(w, m));
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* ---- the function ---- */

static enum rego_outcome refused(struct rego_call *call, const struct rego_compiler *c)
{
    struct rego_errors errors = rego_compiler_errors(c);
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    buf_add_format(&b, errors.len == 1 ? "%zu error occurred: " : "%zu errors occurred:\n",
                   errors.len);
    for (size_t i = 0; i < errors.len; i++) {
        if (i > 0)
            buf_add_byte(&b, '\n');
        rego_error_write(&b, &errors.items[i]);
    }
    if (buf_status(&b) != OK)
        return rego_call_status(call, b.failed, NULL);
    return rego_call_error(call, "%.*s", STR_ARG(buf_str(&b)));
}

enum rego_outcome rego_call_parse_module(struct rego_call *call, struct str file, struct str text,
                                         value *out)
{
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1;
    options.deadline_ns = call->ctx->limits.deadline_ns;
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
    if (c == NULL)
        return rego_call_status(call, ERR_NOMEM, NULL);
    c->arena.max = rego_call_arena(call)->max;
    enum status st = rego_compiler_add(c, file, text);
    if (st != OK && st != ERR_INVALID)
        return rego_call_status(call, st, NULL);
    if (st != OK)
        return refused(call, c);
    struct writer w = {.a = rego_call_arena(call), .text = c->modules->text};
    return give(call, module_value(&w, c->modules), out);
}

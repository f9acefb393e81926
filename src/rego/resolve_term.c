/*
 * Terms: what names and references stand for (../shared/spec/rego.md 4.1, 2.7).
 */
#include "rego/resolve.h"

struct term *resolve_root(struct resolver *r, uint32_t id, struct pos pos)
{
    struct term *head = ast_var_id(r->a, id, pos);
    return ast_list(r->a, TERM_REF, &head, 1, pos);
}

const struct term *resolve_global(struct resolver *r, struct str name)
{
    struct name_entry *e = name_get(r->globals, name);
    if (e == NULL)
        return NULL;
    if (e->id == 1) { /* an import */
        struct import *imp = e->ptr;
        imp->used = true;
        return imp->path;
    }
    return e->ptr;
}

struct term *resolve_extend(struct resolver *r, const struct term *path, const struct term *ref,
                            struct pos pos)
{
    uint32_t more = ref == NULL ? 0 : ref->len - 1;
    struct term **items = arena_new_array(r->a, struct term *, path->len + more);
    if (items == NULL)
        return NULL;
    items[0] = ast_var_id(r->a, ast_is_var(path->items[0], "input") ? VAR_INPUT : VAR_DATA, pos);
    for (uint32_t i = 1; i < path->len; i++)
        items[i] = ast_value(r->a, path->items[i]->val, pos);
    for (uint32_t i = 0; i < more; i++)
        items[path->len + i] = ref->items[i + 1];
    return ast_list(r->a, TERM_REF, items, path->len + more, pos);
}

/* What a plain name stands for: true if *t became a reference. */
static void resolve_name(struct resolver *r, struct term **t)
{
    struct term *v = *t;
    if (v->var.id != VAR_NONE)
        return;
    if (v->wildcard) {
        if (r->in_template)
            resolve_fail(r, v->pos, "var ", STR("_"), " is undeclared");
        v->var.id = scope_wildcard(r, v->pos);
        return;
    }
    struct name_entry *e = scope_declared(r, v->var.name);
    if (e != NULL) {
        v->var.id = e->id;
        e->uses++;
        return;
    }
    if (!scope_hides(r, v->var.name)) {
        struct term *ref = NULL;
        const struct term *path = resolve_global(r, v->var.name);
        if (path != NULL)
            ref = resolve_extend(r, path, NULL, v->pos);
        else if (str_is(v->var.name, "input"))
            ref = resolve_root(r, VAR_INPUT, v->pos);
        else if (str_is(v->var.name, "data"))
            ref = resolve_root(r, VAR_DATA, v->pos);
        if (ref != NULL) {
            *t = ref;
            return;
        }
    }
    scope_see(r, v->var.name);
    v->var.id = scope_variable(r, v->var.name, v->pos);
}

static void resolve_ref(struct resolver *r, struct term **t)
{
    struct term *ref = *t;
    for (uint32_t i = 0; i < ref->len; i++)
        if (i > 0 || ref->items[0]->kind != TERM_VAR)
            resolve_term(r, &ref->items[i]);
    if (ref->items[0]->kind != TERM_VAR)
        return;
    struct term *head = ref->items[0];
    resolve_name(r, &head);
    if (head == NULL)
        return;
    if (head->kind == TERM_VAR) {
        ref->items[0] = head;
        return;
    }
    /* The name stood for a path: its parts come first. */
    struct term **items = arena_new_array(r->a, struct term *, head->len + ref->len - 1);
    if (items == NULL)
        return;
    memcpy(items, head->items, head->len * sizeof(*items));
    memcpy(items + head->len, ref->items + 1, (ref->len - 1) * sizeof(*items));
    struct term *full = ast_list(r->a, TERM_REF, items, head->len + ref->len - 1, ref->pos);
    if (full != NULL)
        *t = full;
}

bool resolve_dotted(struct resolver *r, const struct term *op, struct str *out)
{
    if (op->kind == TERM_VAR) {
        *out = op->var.name;
        return true;
    }
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4096);
    buf_add(&b, op->items[0]->kind == TERM_VAR ? op->items[0]->var.name : STR_EMPTY);
    for (uint32_t i = 1; i < op->len; i++) {
        if (!ast_is_string(op->items[i]))
            return false;
        buf_add_byte(&b, '.');
        buf_add(&b, value_str(op->items[i]->val));
    }
    *out = arena_str(r->a, buf_str(&b));
    return out->ptr != NULL;
}

const struct callee *resolve_external(struct rego_compiler *c, struct str name)
{
    for (struct callee *f = c->callees; f != NULL; f = f->next)
        if (str_equal(f->name, name))
            return f;
    const struct rego_host_function *host = NULL;
    for (size_t i = 0; i < c->options.function_count; i++)
        if (str_is(name, c->options.functions[i].name))
            host = &c->options.functions[i];
    const struct rego_builtin *builtin = host == NULL ? rego_builtin_find(name) : NULL;
    if (host == NULL && builtin == NULL)
        return NULL;
    struct callee *f = arena_new(&c->arena, struct callee);
    if (f == NULL)
        return NULL;
    const char *type = host != NULL ? host->type : builtin->type;
    *f = (struct callee){
        .kind = host != NULL ? CALLEE_HOST : CALLEE_BUILTIN,
        .name = arena_str(&c->arena, name),
        .arity = rego_type_arity(type),
        .has_result = rego_type_has_result(type),
        .relation = host == NULL && (builtin->flags & REGO_NEEDS_ALL) != 0,
        .builtin = builtin,
        .host = host,
        .next = c->callees,
    };
    c->callees = f;
    return f;
}

static const struct callee *callee_of_group(struct rego_compiler *c, struct rule_group *g)
{
    if (g->callee.group == NULL) {
        struct term *ref = g->first->head.ref;
        uint32_t len = ref->len;
        ref->len = g->first->ground_len;
        g->callee = (struct callee){
            .kind = CALLEE_RULE,
            .name = ast_text(&c->arena, ref),
            .arity = (int)g->arity,
            .has_result = true,
            .group = g,
        };
        ref->len = len;
    }
    return &g->callee;
}

const struct callee *resolve_rule_function(struct resolver *r, const struct term *ref)
{
    uint32_t used;
    if (is_failed(r) || ref->items[0]->var.id != VAR_DATA)
        return NULL;
    const struct tree_node *n = tree_walk(r->c, ref, &used);
    return used == ref->len && n->group != NULL && n->group->kind == GROUP_FUNCTION
               ? callee_of_group(r->c, n->group)
               : NULL;
}

/*
 * The operator of a call, or a name in `with`.  Leaves in *t what it resolved
 * to, for error texts; NULL when there is no such function.
 */
static const struct callee *resolve_function(struct resolver *r, struct term **t, struct pos pos)
{
    struct term *op = *t;
    const struct term *head = op->kind == TERM_REF ? op->items[0] : op;
    struct str name = STR_EMPTY;
    bool dotted = head->kind == TERM_VAR && resolve_dotted(r, op, &name);
    if (op->generated && dotted)
        return resolve_external(r->c, name);
    if (!dotted) {
        resolve_term(r, t);
        return NULL;
    }
    struct name_entry *local = scope_declared(r, head->var.name);
    if (local != NULL) {
        resolve_fail(r, pos, "called function ", name, " shadowed");
        return NULL;
    }
    const struct term *path =
        scope_hides(r, head->var.name) ? NULL : resolve_global(r, head->var.name);
    if (path != NULL) {
        struct term *full = resolve_extend(r, path, op->kind == TERM_REF ? op : NULL, op->pos);
        if (full == NULL)
            return NULL;
        *t = full;
        return resolve_rule_function(r, full);
    }
    if (str_is(head->var.name, "data") && op->kind == TERM_REF) {
        resolve_term(r, t);
        return resolve_rule_function(r, *t);
    }
    return resolve_external(r->c, name);
}

static void resolve_call(struct resolver *r, struct term *call)
{
    call->callee = resolve_function(r, &call->items[0], call->pos);
    for (uint32_t i = 1; i < call->len; i++)
        resolve_term(r, &call->items[i]);
}

static void resolve_comprehension(struct resolver *r, struct term *t)
{
    struct scope s;
    bool outer = r->in_template;
    r->in_template = false; /* a body of its own: its wildcards bind there */
    scope_push(r, &s);
    scope_hide(r, t->comp.body);
    resolve_body(r, t->comp.body);
    if (t->comp.key != NULL)
        resolve_term(r, &t->comp.key);
    if (t->comp.head != NULL)
        resolve_term(r, &t->comp.head);
    scope_pop(r);
    r->in_template = outer;
}

/*
 * A template string becomes a call of internal.template_string: texts stand as
 * they are, an expression e becomes {x | x = e} (spec 2.7).
 */
static void resolve_template(struct resolver *r, struct term **t)
{
    struct term *template = *t;
    for (uint32_t i = 0; i < template->len; i++) {
        struct term *part = template->items[i];
        if (part->kind != TERM_SET_COMP)
            continue;
        struct expr *e = part->comp.body->items[0];
        if (e->kind == EXPR_TERM && e->term->kind == TERM_VALUE && e->with_count == 0) {
            template->items[i] = e->term;
            continue;
        }
        bool outer = r->in_template;
        r->in_template = true;
        struct scope s;
        scope_push(r, &s);
        resolve_body(r, part->comp.body);
        scope_pop(r);
        r->in_template = outer;
        if (e->kind == EXPR_CALL && e->term->callee != NULL && e->term->callee->relation) {
            struct str name = e->term->callee->name;
            front_error(r->c, COMPILE_ERROR, r->m, e->pos,
                        "illegal call to relation built-in '%.*s' that may cause multiple outputs",
                        STR_ARG(name));
        }
        part->in_text = true;
        part->comp.head = scope_fresh(r->c, r->vars, e->pos);
        struct term *operands[2] = {scope_fresh(r->c, r->vars, e->pos), e->term};
        if (part->comp.head == NULL || operands[0] == NULL)
            return;
        operands[0]->var.id = part->comp.head->var.id;
        e->kind = EXPR_UNIFY;
        e->term = ast_operator(r->a, "eq", operands, 2, e->pos);
    }
    if (is_failed(r))
        return;
    struct term *array = ast_list(r->a, TERM_ARRAY, template->items, template->len, template->pos);
    struct term *call =
        array == NULL ? NULL
                      : ast_operator(r->a, "internal.template_string", &array, 1, template->pos);
    if (call == NULL)
        return;
    call->callee = resolve_external(r->c, STR("internal.template_string"));
    *t = template->len == 0 ? ast_string(r->a, STR_EMPTY, template->pos)
         : template->len == 1 && ast_is_string(template->items[0]) ? template->items[0]
                                                                   : call;
}

void resolve_term(struct resolver *r, struct term **t)
{
    if (*t == NULL || is_failed(r))
        return;
    switch ((*t)->kind) {
    case TERM_VALUE:
        break;
    case TERM_VAR:
        resolve_name(r, t);
        break;
    case TERM_REF:
        resolve_ref(r, t);
        break;
    case TERM_CALL:
        resolve_call(r, *t);
        break;
    case TERM_ARRAY_COMP:
    case TERM_SET_COMP:
    case TERM_OBJECT_COMP:
        resolve_comprehension(r, *t);
        break;
    case TERM_TEMPLATE:
        resolve_template(r, t);
        break;
    default:
        for (uint32_t i = 0; i < (*t)->len; i++)
            resolve_term(r, &(*t)->items[i]);
    }
}

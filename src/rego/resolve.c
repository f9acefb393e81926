/*
 * Names: what each identifier stands for (../shared/spec/rego.md 4.1, 4.2).
 *
 * One walk over every rule does what OPA does in two (ResolveRefs,
 * RewriteLocalVars): a name is a local of some scope, or a global of the module
 * (rule or import), or else a variable of the rule.  Bodies declare the names
 * of all their `:=` and `some` up front, so that a later declaration hides a
 * global before it, too: that is then "referenced above".
 */
#include "rego/front.h"

enum occurrence { OCC_NONE, OCC_HIDDEN, OCC_SEEN, OCC_ARG, OCC_ASSIGNED, OCC_DECLARED };

struct scope {
    struct scope *outer;
    struct name_map names; /* state: enum occurrence; id: variable */
};

struct resolver {
    struct rego_compiler *c;
    struct arena *a;
    struct module *m;
    struct name_map *globals; /* of the module; ptr: struct term (reference) or struct import */
    struct scope_vars *vars;
    struct name_map free; /* undeclared variables of the rule */
    struct scope *scope;
    struct rule *rule;
    bool in_template;
};

static void resolve_body(struct resolver *r, struct body *b);
static void resolve_term(struct resolver *r, struct term **t);

static void fail_at(struct resolver *r, struct pos pos, const char *before, struct str name,
                    const char *after)
{
    front_error(r->c, COMPILE_ERROR, r->m, pos, "%s%.*s%s", before, STR_ARG(name), after);
}

/* The checks of v1 modules, spec 2.2. */
static bool is_modern(const struct resolver *r)
{
    return r->m->version == REGO_V1 || r->m->rego_v1 || r->c->options.strict;
}

/* After a failed allocation nothing is changed any more: nodes may be missing. */
static bool is_failed(const struct resolver *r)
{
    return arena_status(r->a) != OK;
}

static bool is_root_name(struct str name)
{
    return str_is(name, "input") || str_is(name, "data");
}

/* ---- scopes ---- */

static struct name_entry *declared(struct resolver *r, struct str name)
{
    for (struct scope *s = r->scope; s != NULL; s = s->outer) {
        struct name_entry *e = name_get(&s->names, name);
        if (e != NULL && e->state >= OCC_ARG)
            return e;
    }
    return NULL;
}

static bool is_hidden(struct resolver *r, struct str name)
{
    for (struct scope *s = r->scope; s != NULL; s = s->outer) {
        struct name_entry *e = name_get(&s->names, name);
        if (e != NULL && (e->state == OCC_HIDDEN || (e->state == OCC_SEEN && e->uses > 0)))
            return true;
    }
    return false;
}

static uint32_t free_variable(struct resolver *r, struct str name, struct pos pos)
{
    struct name_entry *e = name_put(r->a, &r->free, name);
    if (e == NULL)
        return VAR_FIRST;
    if (e->id == 0)
        e->id = scope_add(r->c, r->vars, name, pos);
    return e->id;
}

static void mark_seen(struct resolver *r, struct str name)
{
    struct name_entry *e = name_put(r->a, &r->scope->names, name);
    if (e == NULL || e->state > OCC_HIDDEN)
        return;
    e->uses = e->state == OCC_HIDDEN; /* stays hidden from the globals */
    e->state = OCC_SEEN;
}

static uint32_t wildcard(struct resolver *r, struct pos pos)
{
    uint32_t id = scope_add(r->c, r->vars, STR("_"), pos);
    if (id < r->vars->cap) {
        r->vars->items[id].generated = true;
        r->vars->items[id].wildcard = true;
    }
    return id;
}

/* A declaration of `name` in the innermost scope; reports what stands against it. */
static bool declare(struct resolver *r, struct str name, enum occurrence as, struct pos pos,
                    uint32_t *id)
{
    struct name_entry *e = name_put(r->a, &r->scope->names, name);
    if (e == NULL)
        return false;
    static const char *const texts[] = {
        [OCC_SEEN] = " referenced above",
        [OCC_ARG] = " redeclared",
        [OCC_ASSIGNED] = " assigned above",
        [OCC_DECLARED] = " declared above",
    };
    if (e->state >= OCC_SEEN) {
        fail_at(r, pos, e->state == OCC_ARG ? "arg " : "var ", name, texts[e->state]);
        return false;
    }
    e->state = (uint8_t)as;
    e->id = scope_add(r->c, r->vars, name, pos);
    e->pos = pos;
    e->uses = 0;
    if (e->id < r->vars->cap)
        r->vars->items[e->id].declared = true;
    *id = e->id;
    return true;
}

static void hide(struct resolver *r, struct str name)
{
    struct name_entry *e = name_put(r->a, &r->scope->names, name);
    if (e != NULL && e->state == OCC_NONE)
        e->state = OCC_HIDDEN;
}

static void hide_vars(struct resolver *r, const struct term *t);

/* Names in binding positions of a pattern: not object keys, not reference parts. */
static void hide_vars(struct resolver *r, const struct term *t)
{
    if (t->kind == TERM_VAR && !t->wildcard)
        hide(r, t->var.name);
    if (t->kind == TERM_ARRAY || t->kind == TERM_SET)
        for (uint32_t i = 0; i < t->len; i++)
            hide_vars(r, t->items[i]);
    if (t->kind == TERM_OBJECT)
        for (uint32_t i = 1; i < t->len; i += 2)
            hide_vars(r, t->items[i]);
}

/* Everything that the literals of this body declare. */
static void hide_declarations(struct resolver *r, const struct body *b)
{
    for (uint32_t i = 0; i < b->len; i++) {
        const struct expr *e = b->items[i];
        if (e->kind == EXPR_UNIFY && e->assign)
            hide_vars(r, e->term->items[1]);
        if (e->kind != EXPR_SOME)
            continue;
        for (uint32_t k = 0; k < e->symbol_count; k++) {
            const struct term *s = e->symbols[k];
            if (s->kind != TERM_CALL)
                hide_vars(r, s);
            else
                for (uint32_t n = 1; n + 1 < s->len; n++)
                    hide_vars(r, s->items[n]);
        }
    }
}

/* ---- terms ---- */

static struct term *root_ref(struct resolver *r, uint32_t id, struct pos pos)
{
    struct term *head = ast_var_id(r->a, id, pos);
    return ast_list(r->a, TERM_REF, &head, 1, pos);
}

/* The reference that a global name stands for, or NULL. */
static const struct term *global(struct resolver *r, struct str name)
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

/* `path` with the parts of `ref` behind its head (ref may be NULL). */
static struct term *extend(struct resolver *r, const struct term *path, const struct term *ref,
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
            fail_at(r, v->pos, "var ", STR("_"), " is undeclared");
        v->var.id = wildcard(r, v->pos);
        return;
    }
    struct name_entry *e = declared(r, v->var.name);
    if (e != NULL) {
        v->var.id = e->id;
        e->uses++;
        return;
    }
    if (!is_hidden(r, v->var.name)) {
        struct term *ref = NULL;
        const struct term *path = global(r, v->var.name);
        if (path != NULL)
            ref = extend(r, path, NULL, v->pos);
        else if (str_is(v->var.name, "input"))
            ref = root_ref(r, VAR_INPUT, v->pos);
        else if (str_is(v->var.name, "data"))
            ref = root_ref(r, VAR_DATA, v->pos);
        if (ref != NULL) {
            *t = ref;
            return;
        }
    }
    mark_seen(r, v->var.name);
    v->var.id = free_variable(r, v->var.name, v->pos);
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

/* A dotted name of constant parts: the operator of a call as text. */
static bool dotted_name(struct resolver *r, const struct term *op, struct str *out)
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

static const struct callee *external(struct rego_compiler *c, struct str name)
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

/* The function that a reference of constant parts from data names, or NULL. */
static const struct callee *rule_function(struct resolver *r, const struct term *ref)
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
    bool dotted = head->kind == TERM_VAR && dotted_name(r, op, &name);
    if (op->generated && dotted)
        return external(r->c, name);
    if (!dotted) {
        resolve_term(r, t);
        return NULL;
    }
    struct name_entry *local = declared(r, head->var.name);
    if (local != NULL) {
        fail_at(r, pos, "called function ", name, " shadowed");
        return NULL;
    }
    const struct term *path = is_hidden(r, head->var.name) ? NULL : global(r, head->var.name);
    if (path != NULL) {
        struct term *full = extend(r, path, op->kind == TERM_REF ? op : NULL, op->pos);
        if (full == NULL)
            return NULL;
        *t = full;
        return rule_function(r, full);
    }
    if (str_is(head->var.name, "data") && op->kind == TERM_REF) {
        resolve_term(r, t);
        return rule_function(r, *t);
    }
    return external(r->c, name);
}

static void resolve_call(struct resolver *r, struct term *call)
{
    call->callee = resolve_function(r, &call->items[0], call->pos);
    for (uint32_t i = 1; i < call->len; i++)
        resolve_term(r, &call->items[i]);
}

static void push(struct resolver *r, struct scope *s)
{
    *s = (struct scope){.outer = r->scope};
    r->scope = s;
}

/* Unused `some` variables always, unused `:=` in strict mode (spec 4.2). */
static void check_unused(struct resolver *r)
{
    if (r->c->errors.total > r->c->unused_total)
        return; /* what was not understood may have used them */
    const struct name_map *names = &r->scope->names;
    for (;;) {
        /* In order of their places: the table has none. */
        struct name_entry *first = NULL;
        for (size_t i = 0; i < names->cap; i++) {
            struct name_entry *e = &names->slots[i];
            bool unused =
                e->name.ptr != NULL && e->uses == 0 &&
                (e->state == OCC_DECLARED || (e->state == OCC_ASSIGNED && r->c->options.strict));
            if (unused && (first == NULL || e->pos.off < first->pos.off))
                first = e;
        }
        if (first == NULL)
            return;
        fail_at(r, first->pos, first->state == OCC_DECLARED ? "declared var " : "assigned var ",
                first->name, " unused");
        first->uses = 1;
        r->c->unused_total++;
        if (r->c->errors.total >= FRONT_ERRORS_MAX)
            return;
    }
}

static void pop(struct resolver *r)
{
    check_unused(r);
    r->scope = r->scope->outer;
}

static void resolve_comprehension(struct resolver *r, struct term *t)
{
    struct scope s;
    bool outer = r->in_template;
    r->in_template = false; /* a body of its own: its wildcards bind there */
    push(r, &s);
    hide_declarations(r, t->comp.body);
    resolve_body(r, t->comp.body);
    if (t->comp.key != NULL)
        resolve_term(r, &t->comp.key);
    if (t->comp.head != NULL)
        resolve_term(r, &t->comp.head);
    pop(r);
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
        push(r, &s);
        resolve_body(r, part->comp.body);
        pop(r);
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
    call->callee = external(r->c, STR("internal.template_string"));
    *t = template->len == 0 ? ast_string(r->a, STR_EMPTY, template->pos)
         : template->len == 1 && ast_is_string(template->items[0]) ? template->items[0]
                                                                   : call;
}

static void resolve_term(struct resolver *r, struct term **t)
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

/* ---- literals ---- */

/* Left side of `:=`: declares; everything else in it is an error. */
static void assign_pattern(struct resolver *r, struct term **t)
{
    struct term *p = *t;
    uint32_t id;
    switch (p->kind) {
    case TERM_VAR:
        if (p->wildcard)
            p->var.id = wildcard(r, p->pos);
        else if (p->var.id == VAR_NONE && declare(r, p->var.name, OCC_ASSIGNED, p->pos, &id))
            p->var.id = id;
        else if (p->var.id == VAR_NONE)
            p->var.id = free_variable(r, p->var.name, p->pos);
        break;
    case TERM_ARRAY:
        for (uint32_t i = 0; i < p->len; i++)
            assign_pattern(r, &p->items[i]);
        break;
    case TERM_OBJECT:
        for (uint32_t i = 0; i < p->len; i++)
            if (i % 2 == 1)
                assign_pattern(r, &p->items[i]);
            else
                resolve_term(r, &p->items[i]);
        break;
    default:
        fail_at(r, p->pos, "cannot assign to ", str_of(ast_kind_name(p)), "");
    }
}

static void resolve_withs(struct resolver *r, struct expr *e, bool targets)
{
    for (uint32_t i = 0; i < e->with_count && !is_failed(r); i++) {
        struct with *w = &e->withs[i];
        if (!targets) {
            struct term *val = w->val;
            bool plain = val->kind == TERM_VAR || val->kind == TERM_REF;
            const struct term *head = val->kind == TERM_VAR   ? val
                                      : val->kind == TERM_REF ? val->items[0]
                                                              : NULL;
            if (plain && head->kind == TERM_VAR && !head->wildcard &&
                declared(r, head->var.name) == NULL) {
                /* Perhaps a function that replaces another. */
                struct str name;
                const struct term *path =
                    is_hidden(r, head->var.name) ? NULL : global(r, head->var.name);
                if (path == NULL && !str_is(head->var.name, "data") &&
                    !str_is(head->var.name, "input") && dotted_name(r, val, &name))
                    w->replacement = external(r->c, name);
            }
            if (w->replacement == NULL) {
                resolve_term(r, &w->val);
                if (w->val != NULL && w->val->kind == TERM_REF &&
                    w->val->items[0]->kind == TERM_VAR)
                    w->replacement = rule_function(r, w->val);
            }
            continue;
        }
        struct term *target = w->target;
        const struct term *head = target->kind == TERM_VAR ? target : target->items[0];
        if (head->kind != TERM_VAR)
            continue;
        const struct term *path =
            declared(r, head->var.name) != NULL ? NULL : global(r, head->var.name);
        if (path != NULL) {
            w->target = extend(r, path, target->kind == TERM_REF ? target : NULL, target->pos);
        } else if (str_is(head->var.name, "input") || str_is(head->var.name, "data")) {
            if (target->kind == TERM_REF)
                target->items[0] = ast_var_id(
                    r->a, str_is(head->var.name, "input") ? VAR_INPUT : VAR_DATA, head->pos);
            else
                w->target =
                    root_ref(r, str_is(head->var.name, "input") ? VAR_INPUT : VAR_DATA, head->pos);
        } else {
            struct str name;
            if (declared(r, head->var.name) == NULL && dotted_name(r, target, &name))
                w->callee = external(r->c, name);
            continue;
        }
        if (w->target != NULL)
            w->callee = rule_function(r, w->target);
    }
}

static void resolve_assign(struct resolver *r, struct expr *e)
{
    if (is_failed(r))
        return;
    if (e->negated) {
        front_error(r->c, COMPILE_ERROR, r->m, e->pos,
                    "cannot assign vars inside negated expression");
        return;
    }
    const struct term *lhs = e->term->items[1];
    if (lhs->kind == TERM_VAR && is_root_name(lhs->var.name) && is_modern(r)) {
        front_error(r->c, COMPILE_ERROR, r->m, e->pos,
                    "variables must not shadow %.*s (use a different variable name)",
                    STR_ARG(lhs->var.name));
        return;
    }
    resolve_term(r, &e->term->items[2]);
    resolve_withs(r, e, false);
    assign_pattern(r, &e->term->items[1]);
    resolve_withs(r, e, true);
}

struct name_use {
    struct str name;
    bool found;
};

static bool uses_name(void *user, struct term *t)
{
    struct name_use *use = user;
    use->found = use->found || (t->kind == TERM_VAR && str_equal(t->var.name, use->name));
    return !use->found;
}

static bool occurs_in(struct term *t, struct str name)
{
    struct name_use use = {.name = name};
    walk_term(t, uses_name, &use);
    return use.found;
}

/* Variables of a pattern of `some ... in` that do not occur in the collection. */
static void declare_pattern(struct resolver *r, struct term *t, struct term *collection,
                            struct pos pos)
{
    uint32_t id;
    if (t->kind == TERM_VAR && !t->wildcard && t->var.id == VAR_NONE) {
        struct name_entry *e = name_get(&r->scope->names, t->var.name);
        bool again = e != NULL && e->state >= OCC_ARG && e->pos.off == pos.off &&
                     e->pos.row == pos.row && pos.off > 0;
        if (!again && !occurs_in(collection, t->var.name))
            (void)declare(r, t->var.name, OCC_DECLARED, pos, &id);
    }
    if (t->kind == TERM_ARRAY)
        for (uint32_t i = 0; i < t->len; i++)
            declare_pattern(r, t->items[i], collection, pos);
    if (t->kind == TERM_OBJECT)
        for (uint32_t i = 1; i < t->len; i += 2)
            declare_pattern(r, t->items[i], collection, pos);
}

/* some k, v in c  becomes  v = c[k]  with the variables of k and v declared. */
static void resolve_some_in(struct resolver *r, struct expr *e)
{
    struct term *call = e->symbols[0];
    struct term *key = call->len == 4 ? call->items[1] : NULL;
    struct term *val = call->items[call->len - 2];
    struct term *collection = call->items[call->len - 1];
    if (key != NULL)
        declare_pattern(r, key, collection, e->pos);
    declare_pattern(r, val, collection, e->pos);
    if (key == NULL)
        key = scope_fresh(r->c, r->vars, e->pos);
    else
        resolve_term(r, &key);
    resolve_term(r, &val);
    resolve_term(r, &collection);
    resolve_withs(r, e, false);
    resolve_withs(r, e, true);
    if (key == NULL || val == NULL || collection == NULL)
        return;

    struct term **parts = collection->kind == TERM_REF ? collection->items : &collection;
    uint32_t len = collection->kind == TERM_REF ? collection->len : 1;
    struct term **items = arena_new_array(r->a, struct term *, len + 1);
    if (items == NULL)
        return;
    memcpy(items, parts, len * sizeof(*items));
    items[len] = key;
    struct term *operands[2] = {val, ast_list(r->a, TERM_REF, items, len + 1, collection->pos)};
    e->kind = EXPR_UNIFY;
    e->relation = REGO_REL_IN;
    e->term = ast_operator(r->a, "eq", operands, 2, e->pos);
    e->symbol_count = 0;
}

static void resolve_some(struct resolver *r, struct expr *e)
{
    if (e->symbols[0]->kind == TERM_CALL) {
        resolve_some_in(r, e);
        return;
    }
    for (uint32_t i = 0; i < e->symbol_count; i++) {
        uint32_t id;
        if (!e->symbols[i]->wildcard)
            (void)declare(r, e->symbols[i]->var.name, OCC_DECLARED, e->pos, &id);
    }
    e->symbol_count = 0; /* dropped by resolve_body() */
}

static void declare_every(struct resolver *r, struct term **t, struct pos pos)
{
    uint32_t id;
    if (is_failed(r))
        return;
    if (*t == NULL) {
        *t = scope_fresh(r->c, r->vars, pos);
        return;
    }
    if ((*t)->wildcard)
        (*t)->var.id = wildcard(r, (*t)->pos);
    else if (declare(r, (*t)->var.name, OCC_DECLARED, (*t)->pos, &id))
        (*t)->var.id = id;
}

static void resolve_nested(struct resolver *r, struct body *b)
{
    struct scope s;
    push(r, &s);
    hide_declarations(r, b);
    resolve_body(r, b);
    pop(r);
}

/* What `not e` without braces names counts as named by the body around it: 4.2, "referenced above".
 */
static void resolve_not(struct resolver *r, struct expr *e)
{
    struct scope s;
    push(r, &s);
    hide_declarations(r, e->body);
    resolve_body(r, e->body);
    pop(r);
    for (size_t i = 0; !e->braced && i < s.names.cap; i++)
        if (s.names.slots[i].name.ptr != NULL && s.names.slots[i].state == OCC_SEEN)
            mark_seen(r, s.names.slots[i].name);
}

static void resolve_every(struct resolver *r, struct expr *e)
{
    resolve_term(r, &e->domain);
    resolve_withs(r, e, false);
    resolve_withs(r, e, true);
    struct scope s;
    push(r, &s);
    declare_every(r, &e->key, e->pos);
    declare_every(r, &e->val, e->pos);
    hide_declarations(r, e->body);
    resolve_body(r, e->body);
    pop(r);
}

static void resolve_expr(struct resolver *r, struct expr *e)
{
    if (is_failed(r))
        return;
    switch (e->kind) {
    case EXPR_UNIFY:
        if (e->assign) {
            resolve_assign(r, e);
            return;
        }
        resolve_term(r, &e->term->items[1]);
        resolve_term(r, &e->term->items[2]);
        break;
    case EXPR_SOME:
        resolve_some(r, e);
        return;
    case EXPR_EVERY:
        resolve_every(r, e);
        return;
    case EXPR_NOT:
        resolve_not(r, e);
        break;
    case EXPR_AND:
    case EXPR_OR:
        resolve_nested(r, e->body);
        if (e->right != NULL)
            resolve_nested(r, e->right);
        break;
    default:
        resolve_term(r, &e->term);
    }
    resolve_withs(r, e, false);
    resolve_withs(r, e, true);
}

/* The caller has pushed the scope and called hide_declarations(). */
static void resolve_body(struct resolver *r, struct body *b)
{
    uint32_t kept = 0;
    struct expr *last = NULL;
    for (uint32_t i = 0; i < b->len; i++) {
        struct expr *e = last = b->items[i];
        resolve_expr(r, e);
        if (e->kind != EXPR_SOME)
            b->items[kept++] = e;
    }
    if (kept == 0 && last != NULL) {
        last->kind = EXPR_TERM;
        last->term = ast_value(r->a, VALUE_TRUE, last->pos);
        last->generated = true;
        b->items[kept++] = last;
    }
    if (!is_failed(r))
        b->len = kept;
}

/* ---- rules ---- */

/* Arguments declare their variables; repeated ones are equal. */
static void declare_args(struct resolver *r, struct term *t)
{
    uint32_t id;
    if (t->kind == TERM_VAR && !t->wildcard) {
        if (is_root_name(t->var.name) && is_modern(r)) {
            front_error(r->c, COMPILE_ERROR, r->m, t->pos,
                        "args must not shadow %.*s (use a different variable name)",
                        STR_ARG(t->var.name));
            return;
        }
        if (name_get(&r->scope->names, t->var.name) == NULL)
            (void)declare(r, t->var.name, OCC_ARG, t->pos, &id);
    }
    if (t->kind == TERM_ARRAY)
        for (uint32_t i = 0; i < t->len; i++)
            declare_args(r, t->items[i]);
    if (t->kind == TERM_OBJECT)
        for (uint32_t i = 1; i < t->len; i += 2)
            declare_args(r, t->items[i]);
}

static void resolve_branch(struct resolver *r, struct rule *rule)
{
    r->free = (struct name_map){0};
    rule->vars = r->vars;
    struct scope s;
    r->scope = NULL;
    push(r, &s);
    for (uint32_t i = 0; i < rule->head.arg_count; i++)
        declare_args(r, rule->head.args[i]);
    for (uint32_t i = 0; i < rule->head.arg_count; i++)
        resolve_term(r, &rule->head.args[i]);
    hide_declarations(r, rule->body);
    resolve_body(r, rule->body);
    for (uint32_t i = rule->module->package->len + 1; i < rule->head.ref->len; i++)
        resolve_term(r, &rule->head.ref->items[i]);
    resolve_term(r, &rule->head.key);
    resolve_term(r, &rule->head.val);
    pop(r);
}

static void resolve_rule(struct resolver *r, struct rule *rule)
{
    struct str name = value_str(rule->head.ref->items[rule->module->package->len]->val);
    if (is_root_name(name) && is_modern(r)) {
        front_error(r->c, COMPILE_ERROR, r->m, rule->pos,
                    "rules must not shadow %.*s (use a different rule name)", STR_ARG(name));
        return;
    }
    r->rule = rule;
    r->vars = arena_new(r->a, struct scope_vars);
    for (struct rule *b = rule; b != NULL && r->vars != NULL && !is_failed(r); b = b->els)
        resolve_branch(r, b);
}

static struct str import_name(const struct import *imp)
{
    if (imp->alias.len > 0)
        return imp->alias;
    const struct term *last = imp->path->items[imp->path->len - 1];
    return last->kind == TERM_VAR ? last->var.name : value_str(last->val);
}

static bool is_language_import(const struct import *imp)
{
    return ast_is_var(imp->path->items[0], "future") || ast_is_var(imp->path->items[0], "rego");
}

static void check_imports(struct resolver *r)
{
    struct name_map seen = {0};
    if (!is_modern(r))
        return;
    for (struct import *imp = r->m->imports; imp != NULL; imp = imp->next) {
        struct name_entry *e = name_put(r->a, &seen, import_name(imp));
        if (e == NULL)
            return;
        const struct import *first = e->ptr;
        if (first == NULL) {
            e->ptr = imp;
            continue;
        }
        struct str path = ast_text(r->a, first->path);
        front_error(r->c, COMPILE_ERROR, r->m, imp->pos, "import must not shadow import %.*s%s%.*s",
                    STR_ARG(path), first->alias.len > 0 ? " as " : "", STR_ARG(first->alias));
    }
}

/* Rules of the package and imports; imports win. */
static void collect_globals(struct resolver *r, struct name_map *globals)
{
    struct tree_node *n = r->c->root;
    for (uint32_t i = 1; n != NULL && i < r->m->package->len; i++)
        n = tree_child(r->c, n, r->m->package->items[i]->val);
    for (struct tree_node *child = n == NULL ? NULL : n->children; child != NULL;
         child = child->sibling) {
        if (!child->names_rule)
            continue;
        struct name_entry *e = name_put(r->a, globals, value_str(child->key));
        struct term **items = arena_new_array(r->a, struct term *, r->m->package->len + 1);
        if (e == NULL || items == NULL)
            return;
        memcpy(items, r->m->package->items, r->m->package->len * sizeof(*items));
        items[r->m->package->len] = ast_value(r->a, child->key, (struct pos){0});
        e->ptr = ast_list(r->a, TERM_REF, items, r->m->package->len + 1, (struct pos){0});
        e->id = 0;
    }
    for (struct import *imp = r->m->imports; imp != NULL; imp = imp->next) {
        if (is_language_import(imp))
            continue;
        struct name_entry *e = name_put(r->a, globals, import_name(imp));
        if (e == NULL)
            return;
        e->ptr = imp;
        e->id = 1;
    }
}

static void check_unused_imports(struct resolver *r)
{
    if (!r->c->options.strict || r->c->errors.total > r->c->unused_total)
        return;
    for (struct import *imp = r->m->imports; imp != NULL; imp = imp->next) {
        if (imp->used || is_language_import(imp))
            continue;
        struct str path = ast_text(r->a, imp->path);
        front_error(r->c, COMPILE_ERROR, r->m, imp->pos, "import %.*s%s%.*s unused", STR_ARG(path),
                    imp->alias.len > 0 ? " as " : "", STR_ARG(imp->alias));
        r->c->unused_total++;
    }
}

void pass_resolve(struct rego_compiler *c)
{
    for (struct module *m = c->modules; m != NULL; m = m->next) {
        struct name_map globals = {0};
        struct resolver r = {.c = c, .a = &c->arena, .m = m, .globals = &globals};
        check_imports(&r);
        collect_globals(&r, &globals);
        for (struct rule *rule = m->rules; rule != NULL; rule = rule->next)
            resolve_rule(&r, rule);
        check_unused_imports(&r);
    }
}

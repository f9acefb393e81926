/*
 * Names: what each identifier stands for (../shared/spec/rego.md 4.1, 4.2).
 *
 * One walk over every rule does what OPA does in two (ResolveRefs,
 * RewriteLocalVars): a name is a local of some scope, or a global of the module
 * (rule or import), or else a variable of the rule.  Bodies declare the names
 * of all their `:=` and `some` up front, so that a later declaration hides a
 * global before it, too: that is then "referenced above".
 */
#include "rego/resolve.h"

void resolve_fail(struct resolver *r, struct pos pos, const char *before, struct str name,
                  const char *after)
{
    front_error(r->c, COMPILE_ERROR, r->m, pos, "%s%.*s%s", before, STR_ARG(name), after);
}

/* The checks of v1 modules, spec 2.2. */
static bool is_modern(const struct resolver *r)
{
    return r->m->version == REGO_V1 || r->m->rego_v1 || r->c->options.strict;
}

static bool is_root_name(struct str name)
{
    return str_is(name, "input") || str_is(name, "data");
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
            p->var.id = scope_wildcard(r, p->pos);
        else if (p->var.id == VAR_NONE && scope_declare(r, p->var.name, OCC_ASSIGNED, p->pos, &id))
            p->var.id = id;
        else if (p->var.id == VAR_NONE)
            p->var.id = scope_variable(r, p->var.name, p->pos);
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
        resolve_fail(r, p->pos, "cannot assign to ", str_of(ast_kind_name(p)), "");
    }
}

/* A function that replaces another, or a value. */
static void resolve_with_value(struct resolver *r, struct with *w)
{
    struct term *val = w->val;
    const struct term *head = val->kind == TERM_VAR   ? val
                              : val->kind == TERM_REF ? val->items[0]
                                                      : NULL;
    if (head != NULL && head->kind == TERM_VAR && !head->wildcard &&
        scope_declared(r, head->var.name) == NULL) {
        struct str name;
        const struct term *path =
            scope_hides(r, head->var.name) ? NULL : resolve_global(r, head->var.name);
        if (path == NULL && !is_root_name(head->var.name) && resolve_dotted(r, val, &name))
            w->replacement = resolve_external(r->c, name);
    }
    if (w->replacement != NULL)
        return;
    resolve_term(r, &w->val);
    if (w->val != NULL && w->val->kind == TERM_REF && w->val->items[0]->kind == TERM_VAR)
        w->replacement = resolve_rule_function(r, w->val);
}

static void resolve_with_target(struct resolver *r, struct with *w)
{
    struct term *target = w->target;
    const struct term *head = target->kind == TERM_VAR ? target : target->items[0];
    if (head->kind != TERM_VAR)
        return;
    bool local = scope_declared(r, head->var.name) != NULL;
    const struct term *path = local ? NULL : resolve_global(r, head->var.name);
    if (path != NULL) {
        w->target = resolve_extend(r, path, target->kind == TERM_REF ? target : NULL, target->pos);
    } else if (is_root_name(head->var.name)) {
        uint32_t root = str_is(head->var.name, "input") ? VAR_INPUT : VAR_DATA;
        if (target->kind == TERM_REF)
            target->items[0] = ast_var_id(r->a, root, head->pos);
        else
            w->target = resolve_root(r, root, head->pos);
    } else {
        struct str name;
        if (!local && resolve_dotted(r, target, &name))
            w->callee = resolve_external(r->c, name);
        return;
    }
    if (w->target != NULL)
        w->callee = resolve_rule_function(r, w->target);
}

static void resolve_with_values(struct resolver *r, struct expr *e)
{
    for (uint32_t i = 0; i < e->with_count && !is_failed(r); i++)
        resolve_with_value(r, &e->withs[i]);
}

static void resolve_with_targets(struct resolver *r, struct expr *e)
{
    for (uint32_t i = 0; i < e->with_count && !is_failed(r); i++)
        resolve_with_target(r, &e->withs[i]);
}

static void resolve_withs(struct resolver *r, struct expr *e)
{
    resolve_with_values(r, e);
    resolve_with_targets(r, e);
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
    resolve_with_values(r, e);
    assign_pattern(r, &e->term->items[1]);
    resolve_with_targets(r, e);
}

struct name_use {
    struct str name;
    bool in_closures; /* look there, too */
    bool found;
};

static bool is_closure(const struct term *t)
{
    return t->kind == TERM_ARRAY_COMP || t->kind == TERM_SET_COMP || t->kind == TERM_OBJECT_COMP;
}

static bool uses_name(void *user, struct term *t)
{
    struct name_use *use = user;
    use->found = use->found || (t->kind == TERM_VAR && str_equal(t->var.name, use->name));
    return !use->found && (use->in_closures || !is_closure(t));
}

static bool occurs_in(struct term *t, struct str name, bool in_closures)
{
    struct name_use use = {.name = name, .in_closures = in_closures};
    walk_term(t, uses_name, &use);
    return use.found;
}

/* The first name after `after` that a pattern binds: no head of a reference, no key of an object.
 */
static void next_bound(const struct term *t, struct str after, struct str *next)
{
    if (t == NULL || t->kind == TERM_VALUE || is_closure(t))
        return;
    if (t->kind == TERM_VAR) {
        struct str name = t->var.name;
        if (!t->wildcard && !is_root_name(name) && str_compare(name, after) > 0 &&
            (next->ptr == NULL || str_compare(name, *next) < 0))
            *next = name;
        return;
    }
    bool skips = t->kind == TERM_OBJECT || t->kind == TERM_REF || t->kind == TERM_CALL;
    for (uint32_t i = skips; i < t->len; i += t->kind == TERM_OBJECT ? 2 : 1)
        next_bound(t->items[i], after, next);
}

/* What `some ... in` binds is not in its collection. */
static bool check_some_in(struct resolver *r, const struct term *key, const struct term *val,
                          struct term *collection, struct pos pos)
{
    bool good = true;
    for (struct str after = STR_EMPTY;;) {
        struct str name = {NULL, 0};
        next_bound(key, after, &name);
        next_bound(val, after, &name);
        if (name.ptr == NULL)
            return good;
        if (occurs_in(collection, name, false)) {
            resolve_fail(r, pos, "var ", name, " assigned before");
            good = false;
        }
        after = name;
    }
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
        if (!again && !occurs_in(collection, t->var.name, true))
            (void)scope_declare(r, t->var.name, OCC_DECLARED, pos, &id);
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
    if (!check_some_in(r, key, val, collection, e->pos))
        return;
    if (key != NULL)
        declare_pattern(r, key, collection, e->pos);
    declare_pattern(r, val, collection, e->pos);
    if (key == NULL)
        key = scope_fresh(r->c, r->vars, e->pos);
    else
        resolve_term(r, &key);
    resolve_term(r, &val);
    resolve_term(r, &collection);
    resolve_withs(r, e);
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
            (void)scope_declare(r, e->symbols[i]->var.name, OCC_DECLARED, e->pos, &id);
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
        (*t)->var.id = scope_wildcard(r, (*t)->pos);
    else if (scope_declare(r, (*t)->var.name, OCC_DECLARED, (*t)->pos, &id))
        (*t)->var.id = id;
}

static void resolve_nested(struct resolver *r, struct body *b)
{
    struct scope s;
    scope_push(r, &s);
    scope_hide(r, b);
    resolve_body(r, b);
    scope_pop(r);
}

/* What `not e` without braces names counts as named by the body around it: 4.2, "referenced above".
 */
static void resolve_not(struct resolver *r, struct expr *e)
{
    struct scope s;
    scope_push(r, &s);
    scope_hide(r, e->body);
    resolve_body(r, e->body);
    scope_pop(r);
    for (size_t i = 0; !e->braced && i < s.names.cap; i++)
        if (s.names.slots[i].name.ptr != NULL && s.names.slots[i].state == OCC_SEEN)
            scope_see(r, s.names.slots[i].name);
}

/* Only the body makes use of what `every` declares. */
static void unused_yet(struct scope *s, const struct term *t)
{
    struct name_entry *e = t == NULL ? NULL : name_get(&s->names, t->var.name);
    if (e != NULL)
        e->uses = 0;
}

static void resolve_every(struct resolver *r, struct expr *e)
{
    resolve_term(r, &e->domain);
    struct scope s;
    scope_push(r, &s);
    declare_every(r, &e->key, e->pos);
    declare_every(r, &e->val, e->pos);
    resolve_withs(r, e); /* here, as with OPA: what they name may be declared further down */
    unused_yet(&s, e->key);
    unused_yet(&s, e->val);
    scope_hide(r, e->body);
    resolve_body(r, e->body);
    scope_pop(r);
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
    resolve_withs(r, e);
}

void resolve_body(struct resolver *r, struct body *b)
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
            (void)scope_declare(r, t->var.name, OCC_ARG, t->pos, &id);
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
    scope_push(r, &s);
    for (uint32_t i = 0; i < rule->head.arg_count; i++)
        declare_args(r, rule->head.args[i]);
    for (uint32_t i = 0; i < rule->head.arg_count; i++)
        resolve_term(r, &rule->head.args[i]);
    scope_hide(r, rule->body);
    resolve_body(r, rule->body);
    for (uint32_t i = rule->module->package->len + 1; i < rule->head.ref->len; i++)
        resolve_term(r, &rule->head.ref->items[i]);
    resolve_term(r, &rule->head.key);
    resolve_term(r, &rule->head.val);
    scope_pop(r);
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

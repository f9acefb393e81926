/*
 * Scopes: which names are declared, seen, hidden (../shared/spec/rego.md 4.2).
 */
#include "rego/resolve.h"

struct name_entry *scope_declared(struct resolver *r, struct str name)
{
    for (struct scope *s = r->scope; s != NULL; s = s->outer) {
        struct name_entry *e = name_get(&s->names, name);
        if (e != NULL && e->state >= OCC_ARG)
            return e;
    }
    return NULL;
}

bool scope_hides(struct resolver *r, struct str name)
{
    for (struct scope *s = r->scope; s != NULL; s = s->outer) {
        struct name_entry *e = name_get(&s->names, name);
        if (e != NULL && (e->state == OCC_HIDDEN || (e->state == OCC_SEEN && e->uses > 0)))
            return true;
    }
    return false;
}

uint32_t scope_variable(struct resolver *r, struct str name, struct pos pos)
{
    struct name_entry *e = name_put(r->a, &r->free, name);
    if (e == NULL)
        return VAR_FIRST;
    if (e->id == 0)
        e->id = scope_add(r->c, r->vars, name, pos);
    return e->id;
}

void scope_see(struct resolver *r, struct str name)
{
    struct name_entry *e = name_put(r->a, &r->scope->names, name);
    if (e == NULL || e->state > OCC_HIDDEN)
        return;
    e->uses = e->state == OCC_HIDDEN; /* stays hidden from the globals */
    e->state = OCC_SEEN;
}

uint32_t scope_wildcard(struct resolver *r, struct pos pos)
{
    uint32_t id = scope_add(r->c, r->vars, STR("_"), pos);
    if (id < r->vars->cap) {
        r->vars->items[id].generated = true;
        r->vars->items[id].wildcard = true;
    }
    return id;
}

bool scope_declare(struct resolver *r, struct str name, enum occurrence as, struct pos pos,
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
        resolve_fail(r, pos, e->state == OCC_ARG ? "arg " : "var ", name, texts[e->state]);
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

void scope_hide(struct resolver *r, const struct body *b)
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

void scope_push(struct resolver *r, struct scope *s)
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
        resolve_fail(r, first->pos,
                     first->state == OCC_DECLARED ? "declared var " : "assigned var ", first->name,
                     " unused");
        first->uses = 1;
        r->c->unused_total++;
        if (r->c->errors.total >= front_errors_max(r->c))
            return;
    }
}

void scope_pop(struct resolver *r)
{
    check_unused(r);
    r->scope = r->scope->outer;
}

/*
 * check_types - what the files of the type checker share.
 *
 *   check_types.c  terms, references, literals
 *   check_unify.c  unification
 *   check_rules.c  rules, in their order
 *   check_with.c   what modifiers do to the types of documents
 */
#pragma once

#include "rego/types.h"

struct binding {
    uint32_t id;
    const struct type *before;
};

struct checker {
    struct type_maker m;
    struct rego_compiler *c;
    struct module *module;
    const struct type **vars; /* of the rule's variables, by id */
    uint32_t var_cap;
    /* What to undo when a nested body ends. */
    struct binding *trail;
    uint32_t trail_len, trail_cap;
    const struct layer *layers; /* inside of literals with modifiers: what these replace */
    struct known_layer *known;  /* of targets that were met before */
    uint32_t searches;
    bool users_known; /* rule_group.users were collected */
    bool nested;      /* inside of `every` or `not`, whose literals say nothing */
    bool nil_ref;     /* a reference of the literal was refused */
    uint32_t found;   /* errors since it was reset */
    bool in_query;
};

#define TYPE_PATH_MAX 128 /* parts of a rule's path that are followed */

/* ---- check_types.c ---- */

const struct type *type_of(struct checker *k, struct term *t);
/*
 * Inside of calls and collections OPA has references and comprehensions in
 * variables of their own: of those whose type is not known it knows nothing.
 */
static inline bool is_hoisted(const struct term *t)
{
    return t->kind == TERM_REF || (t->kind >= TERM_ARRAY_COMP && t->kind <= TERM_OBJECT_COMP);
}
/* The same inside of calls and collections, where what is not known is anything. */
const struct type *part_type(struct checker *k, struct term *t);
const struct type *var_type(const struct checker *k, uint32_t id);
void put_var(struct checker *k, uint32_t id, const struct type *t);
/* Report "undefined ref"; false. */
bool undefined_ref(struct checker *k, const struct term *ref);
/* Of what parts from i on select of a value of this type; NULL: nothing. */
const struct type *select_ref(struct checker *k, const struct type *t, const struct term *ref,
                              uint32_t i);
/* From part i on; `t` is the type of what is before it.  False: an error was reported. */
bool check_parts(struct checker *k, const struct term *ref, const struct type *t, uint32_t i);
/* A variable or reference between the parts of `ref`: it may be one of these keys. */
bool check_computed_part(struct checker *k, const struct term *ref, const struct term *part,
                         const struct type *keys);
static inline bool is_computed(const struct term *part)
{
    return part->kind == TERM_REF || (part->kind == TERM_VAR && part->var.id >= VAR_FIRST);
}

/* The literals of a body, in order. */
void check_body(struct checker *k, struct body *b);

/* ---- check_unify.c ---- */

/*
 * The term may have this type; its variables get what that says about them, `join`:
 * beside what they have.  False: it cannot.
 */
bool check_infer(struct checker *k, struct term *t, const struct type *type, bool join);
/* a = b, of these types.  False: it cannot hold. */
bool check_unify(struct checker *k, struct term *a, const struct type *ta, struct term *b,
                 const struct type *tb);

/* ---- check_with.c ---- */

/*
 * Documents that modifiers replace, above those of the layers below: OPA's
 * environments of types (v1/ast/env.go).
 */
struct layer;

/* The layers for a literal with modifiers, above those that there are. */
const struct layer *layers_of(struct checker *k, const struct expr *e);

/* What the layers say of a reference from data or input: true, and *out; false: nothing. */
bool layers_type(struct checker *k, const struct term *ref, const struct type **out);
/* True: they know of it, and *ok says whether the reference can hold. */
bool layers_check(struct checker *k, const struct term *ref, bool *ok);

/* The rules at this node, or something above them, are replaced. */
bool layers_replace(const struct checker *k, const struct tree_node *at);

/* Rules that some modifier replaces get rule_group.replaced. */
void mark_replaced(struct checker *k);

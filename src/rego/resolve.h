/*
 * resolve - what the files of name resolution share.
 *
 *   resolve.c        modules, rules, literals
 *   resolve_scope.c  scopes: what is declared, and where
 *   resolve_term.c   terms: names, references, calls, comprehensions, templates
 */
#pragma once

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

/* After a failed allocation nothing is changed any more: nodes may be missing. */
static inline bool is_failed(const struct resolver *r)
{
    return arena_status(r->a) != OK;
}

/* ---- resolve.c ---- */

/* "<before><name><after>" */
void resolve_fail(struct resolver *r, struct pos pos, const char *before, struct str name,
                  const char *after);
/* The caller has pushed the scope and called scope_hide(). */
void resolve_body(struct resolver *r, struct body *b);

/* ---- resolve_scope.c ---- */

void scope_push(struct resolver *r, struct scope *s);
/* Reports what was declared and not used. */
void scope_pop(struct resolver *r);
/* The declaration that a name refers to, or NULL. */
struct name_entry *scope_declared(struct resolver *r, struct str name);
/* A declaration further down, or a use that counts as one, hides the global of this name. */
bool scope_hides(struct resolver *r, struct str name);
/* The rule's variable of a name that nothing declares. */
uint32_t scope_variable(struct resolver *r, struct str name, struct pos pos);
/* The name was used as such a variable. */
void scope_see(struct resolver *r, struct str name);
uint32_t scope_wildcard(struct resolver *r, struct pos pos);
/* A declaration of `name` in the innermost scope; reports what stands against it. */
bool scope_declare(struct resolver *r, struct str name, enum occurrence as, struct pos pos,
                   uint32_t *id);
/* Everything that the literals of this body declare. */
void scope_hide(struct resolver *r, const struct body *b);

/* ---- resolve_term.c ---- */

/* *t may become another term. */
void resolve_term(struct resolver *r, struct term **t);
/* The reference that a global name stands for, or NULL. */
const struct term *resolve_global(struct resolver *r, struct str name);
/* `path` with the parts of `ref` behind its head (ref may be NULL). */
struct term *resolve_extend(struct resolver *r, const struct term *path, const struct term *ref,
                            struct pos pos);
struct term *resolve_root(struct resolver *r, uint32_t id, struct pos pos);
/* A dotted name of constant parts: the operator of a call as text. */
bool resolve_dotted(struct resolver *r, const struct term *op, struct str *out);
/* A built-in or host function, or NULL. */
const struct callee *resolve_external(struct rego_compiler *c, struct str name);
/* The function that a reference of constant parts from data names, or NULL. */
const struct callee *resolve_rule_function(struct resolver *r, const struct term *ref);

/*
 * plan - from ordered bodies to register code.
 *
 * Every variable has its first binding at a place that is known here: binding
 * is naming an operand, later uses compare.  A literal that fails jumps to the
 * next step of the innermost loop before it, or to the end of the body; so code
 * is emitted straight down, and `fail` is the label of that place.
 */
#pragma once

#include "rego/front.h"
#include "rego/program.h"

typedef uint16_t operand;

#define GROWING(type)                                                                              \
    struct {                                                                                       \
        type *items;                                                                               \
        uint32_t len, cap;                                                                         \
    }

/* a - b, and where its operands are. */
struct plan_minus {
    const struct term *call;
    operand a, b;
    uint32_t ready;
};

struct plan {
    struct rego_compiler *c;
    struct arena *scratch; /* the compiler's arena */
    struct rego_policy *policy;
    struct arena *out; /* the policy's arena */

    struct rego_ctx *folding; /* for what is computed while compiling; NULL until needed */

    GROWING(struct insn) code;
    GROWING(value) consts;
    GROWING(struct prog_path) paths;
    GROWING(struct prog_place) places;
    GROWING(struct prog_loop) loops;
    GROWING(struct prog_external) externals;
    GROWING(struct prog_with) withs;
    GROWING(struct prog_expr) exprs;
    GROWING(struct prog_line) lines;
    GROWING(uint32_t) labels;
    GROWING(struct prog_read) reads;
    GROWING(struct prog_constant_call) constant_calls;
    GROWING(const struct prog_index *) indexes;
    uint32_t *const_slots; /* hash of scalar constants: index + 1 */
    uint32_t const_slot_count;
    bool failed;

    /* the function being planned */
    uint32_t first_pc;
    uint32_t next_reg, max_reg;
    uint32_t fail; /* label */
    struct module *m;
    struct rule *rule;
    struct scope_vars *vars;
    operand *where; /* by variable: its operand, OPERAND_NONE when unbound */
    uint32_t where_cap;
    GROWING(uint32_t) trail;            /* variables in the order they were bound */
    uint32_t *bound_at;                 /* by variable: pc of its binding */
    const struct term **origins;        /* by variable: the term that it names, or NULL */
    uint32_t expr;                      /* index in exprs of the present literal */
    bool whole;                         /* the sides of that are described from its origin */
    GROWING(struct plan_minus) minuses; /* of this rule's body */
    const struct body *body; /* the literal that is planned next is the one at `at` of it */
    uint32_t at;
    const struct term *narrowed; /* the part of its reference whose loop is narrowed, or NULL */
    uint32_t narrowed_path;
    operand narrowed_to;
    bool in_query;
    bool again;       /* what is being planned will be once more: its claims are checked then */
    bool in_document; /* the reference being planned is one into base documents */
};

/* ---- emit.c ---- */

void *plan_grow(struct plan *p, void *items, uint32_t *cap, uint32_t len, size_t size);
#define PLAN_PUSH(p, list, item)                                                                   \
    __extension__({                                                                                \
        if ((list).len == (list).cap)                                                              \
            (list).items =                                                                         \
                plan_grow((p), (list).items, &(list).cap, (list).len, sizeof(*(list).items));      \
        if (!(p)->failed)                                                                          \
            (list).items[(list).len++] = (item);                                                   \
        (list).len - 1;                                                                            \
    })

uint32_t emit(struct plan *p, enum opcode op, uint32_t n, uint32_t a, uint32_t b, uint32_t c,
              uint32_t d);
uint32_t new_label(struct plan *p);
void place_label(struct plan *p, uint32_t label);
void patch_labels(struct plan *p);
operand new_reg(struct plan *p);
operand new_regs(struct plan *p, uint32_t n); /* consecutive */
operand constant(struct plan *p, value v);
/* The operand in a register. */
operand in_register(struct plan *p, operand x);
uint32_t add_path(struct plan *p, const value *keys, uint32_t len);
/* The place of a path; false: there is no room for more of them. */
bool add_place(struct plan *p, bool data, const value *keys, uint32_t len, uint32_t *out);
uint32_t external_index(struct plan *p, const struct callee *f);
void plan_fail(struct plan *p, struct pos pos, const char *why);

/* ---- variables ---- */

bool is_bound(const struct plan *p, const struct term *var);
void bind_slot(struct plan *p, const struct term *var, operand x);
uint32_t trail_mark(const struct plan *p);
void trail_undo(struct plan *p, uint32_t mark);

/* ---- plan_term.c ---- */

/* All variables are bound, or are bound by references on the way. */
bool can_evaluate(const struct plan *p, const struct term *t);
operand plan_value(struct plan *p, struct term *t);
/* The same for one that is planned again, in its own place. */
operand plan_known(struct plan *p, struct term *t);
/* A reference into base documents, and nothing else. */
bool is_document(const struct plan *p, const struct term *t);
/* The value must match the pattern. */
void plan_match(struct plan *p, struct term *pattern, operand x);
/*
 * data.l[v] == v[2], [input[v], v], v > input[v]: a reference that binds a variable
 * which something beside it needs.  It is looped over first and *t replaced by its
 * value's variable; true when there was one.
 */
bool plan_loop_first(struct plan *p, struct term **t);
void plan_unify(struct plan *p, struct term *a, struct term *b, struct pos pos);
bool constant_value(struct plan *p, const struct term *t, value *out);
/* Compute references and comprehensions inside of `t` now; `top`: but not t itself. */
struct term *plan_hoist(struct plan *p, struct term *t, bool top);

/* ---- plan_body.c ---- */

void plan_body(struct plan *p, struct body *b);
operand plan_comprehension(struct plan *p, struct term *t);

/* ---- fold.c ---- */

/* A built-in called with constants: its result, if it has one and that is not large. */
bool fold_call(struct plan *p, const struct term *call, uint32_t n, value *out);
/* Values of rules that depend on nothing, in the finished program. */
STATUS fold_rules(struct plan *p);

/* ---- plan_loop.c ---- */

/* Look for what narrows the loop of a literal that is planned next: p->narrowed. */
void plan_narrow(struct plan *p, const struct body *body, uint32_t at);

/* ---- explain.c: what explanations need ---- */

uint32_t describe(struct plan *p, const struct expr *e);
void describe_side(struct plan *p, bool right, const struct term *t, operand x);
/* Around a literal that computes an operand of the one it came from; false: it is none. */
bool describe_begin_part(struct plan *p, const struct expr *e);
void describe_end_part(struct plan *p, const struct expr *e);
/* Before a rule's body; at a subtraction; after a literal that may test its result. */
void describe_minus_begin(struct plan *p);
void describe_minus(struct plan *p, const struct term *call, operand a, operand b);
void describe_minus_test(struct plan *p, const struct expr *e);
/* `x in s`, and the bare term s[x], of a set that is made of a list. */
void describe_member(struct plan *p, const struct term *set);
void describe_lookup(struct plan *p, const struct term *ref);
/* In `every k, v in l`, v is told as l[k]. */
void describe_item(struct plan *p, const struct expr *every);
/* `not { e }` has the sides of e. */
void describe_not_body(struct plan *p, uint32_t outer, const struct expr *e);
void mark_line(struct plan *p, uint32_t expr);

/* The parts of a reference into input, also through variables and rules that name a part of it. */
#define CLAIM_PARTS_MAX 64
bool input_path(struct plan *p, const struct term *ref, struct prog_part parts[CLAIM_PARTS_MAX],
                uint32_t *len);

/* ---- claims.c ---- */

/* Warn when the reference reads what the host's schema does not have. */
void claims_check(struct plan *p, const struct term *ref);

/* ---- plan.c ---- */

STATUS plan_program(struct rego_compiler *c, struct rego_policy **out);

/* For functions that are no rules: see query.c. */
void plan_begin(struct plan *p, uint32_t args);
void plan_start_rule(struct plan *p, struct rule *r);
void plan_end(struct plan *p, struct prog_fn *f);
/* Lookups with a known key evaluate only what gives this key. */
bool plan_has_key_entry(const struct rule_group *g);

/* ---- index.c ---- */

/* NULL: not worth it.  The entries are set by the caller. */
struct prog_index *index_build(struct plan *p, const struct rule_group *g);

/* ---- query.c ---- */

void plan_query(struct plan *p);

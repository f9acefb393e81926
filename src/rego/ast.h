/*
 * ast - what the front end of the engine works on.
 *
 * Nodes live in the compiler's arena.  The passes change them in place:
 *
 *   parser    names are text, rules have the heads that were written
 *   resolve   names are variables of their rule (ids) or references from data/input
 *   rewrite   calls stand alone, heads hold only variables and constants
 *   safety    bodies are ordered
 *
 * Trees are at most AST_DEPTH_MAX deep, so the passes may recurse.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "rego/builtin.h"
#include "value/value.h"

/* Nesting of brackets; each level costs about 600 bytes of C stack in the parser. */
#define AST_NESTING_MAX 128
/* Depth of a tree: also counts chains of operators, which do not nest in the text. */
#define AST_DEPTH_MAX 512

struct pos {
    uint32_t off, end; /* bytes of the module's text */
    uint32_t row, col; /* 1-based; columns count characters */
};

enum term_kind {
    TERM_VALUE, /* null, boolean, number, string */
    TERM_VAR,
    TERM_REF,    /* items: head, parts */
    TERM_CALL,   /* items: function (var or ref), operands */
    TERM_ARRAY,  /* items */
    TERM_SET,    /* items */
    TERM_OBJECT, /* items: key, value, key, value, ... */
    TERM_ARRAY_COMP,
    TERM_SET_COMP,
    TERM_OBJECT_COMP,
    TERM_TEMPLATE, /* items: strings and expressions (as terms of kind TERM_SET_COMP) */
};

#define VAR_NONE UINT32_MAX
/* Ids of the two roots; variables of a rule count from VAR_FIRST. */
#define VAR_INPUT 0
#define VAR_DATA 1
#define VAR_FIRST 2

struct body;
struct callee;
struct type;

struct term {
    uint8_t kind;
    bool wildcard;  /* a variable written as _ */
    bool generated; /* made by a pass */
    bool in_text;   /* TERM_SET_COMP: an expression of a template string */
    uint16_t depth;
    uint32_t len; /* of items */
    struct pos pos;
    union {
        value val;
        struct {
            struct str name;
            uint32_t id; /* VAR_NONE until resolved */
        } var;
        struct {
            struct term **items;
            const struct callee *callee; /* TERM_CALL, after resolve */
            const struct type *joined;   /* TERM_REF, by the type checker: part_type() */
        };
        struct {
            struct term *key; /* TERM_OBJECT_COMP only */
            struct term *head;
            struct body *body;
            bool typed; /* by the type checker: */
            const struct type *type;
        } comp;
    };
};

struct with {
    struct pos pos;
    struct term *target;
    struct term *val;
    const struct callee *callee; /* target is a function */
    const struct callee *replacement;
};

enum expr_kind {
    EXPR_TERM,
    EXPR_CALL,  /* call->items[0] is the operator */
    EXPR_UNIFY, /* a = b, a := b: call->items[1], call->items[2] */
    EXPR_SOME,
    EXPR_EVERY,
    EXPR_NOT, /* not { body } */
    EXPR_AND,
    EXPR_OR,
};

struct expr {
    uint8_t kind;
    bool negated;
    bool assign;      /* := */
    bool braced;      /* EXPR_NOT: was written with braces; EXPR_TERM: a parenthesised term */
    bool generated;   /* made by a pass: no line of its own in explanations */
    bool captured;    /* query: value of the expression is in `capture` */
    uint8_t relation; /* enum rego_relation of the expression as written */
    uint16_t depth;
    struct pos pos;
    struct term *term; /* EXPR_TERM; EXPR_CALL, EXPR_UNIFY: a TERM_CALL */
    struct with *withs;
    uint32_t with_count;
    uint32_t symbol_count;
    struct term **symbols;           /* EXPR_SOME */
    struct term *key, *val, *domain; /* EXPR_EVERY */
    struct body *body;               /* EXPR_EVERY, EXPR_NOT; EXPR_AND, EXPR_OR: left */
    struct body *right;              /* EXPR_AND, EXPR_OR */
    struct expr *origin;             /* of a generated expression: the one it came from */
    uint32_t capture;                /* query: variable that holds the value */
};

struct body {
    struct expr **items;
    uint32_t len, cap;
    uint16_t depth; /* of the deepest expression */
};

struct variable {
    struct str name; /* as written; generated ones have none */
    bool generated;
    bool wildcard;
    bool declared; /* by := or some */
    struct pos pos;
};

/* The variables of a rule (or query), with all its else branches. */
struct scope_vars {
    struct variable *items;
    uint32_t len, cap;
};

struct module;
struct rule_group;

struct head {
    struct term *ref; /* TERM_REF: as written; after resolve: data.package.name... */
    struct term **args;
    uint32_t arg_count;
    bool has_args;
    struct term *key; /* contains, or p[x] of v0: the element */
    struct term *val;
    bool assign;
    bool generated_val;
    bool uses_if, uses_contains;
    struct pos pos;
};

struct rule;

/* A "# METADATA" comment block; see metadata.c. */
struct annotation {
    struct pos pos;
    struct str yaml;
    value parsed;    /* undefined until somebody asks */
    uint32_t scope;  /* enum annotation_scope */
    bool on_package; /* stands before the package, else before `rule` */
    struct rule *rule;
};

enum annotation_scope { SCOPE_RULE, SCOPE_DOCUMENT, SCOPE_PACKAGE, SCOPE_SUBPACKAGES };

struct rule {
    struct module *module;
    struct pos pos;
    struct head head;
    struct body *body;
    struct rule *els;
    struct rule *next; /* of the module, in source order */
    struct rule *next_in_group;
    bool is_default;
    bool generated_body;
    bool braced;         /* a branch of else: its body was written with braces */
    bool chained;        /* a further body of the rule before it */
    uint32_t ground_len; /* parts of head.ref up to the first that is not constant */
    struct scope_vars *vars;
    struct rule_group *group;
    uint32_t index; /* over all modules, in source order */
};

struct import {
    struct pos pos;
    struct term *path; /* TERM_REF */
    struct str alias;
    bool used;
    struct import *next;
};

struct comment {
    struct pos pos; /* from the '#' to the end of the line */
};

struct module {
    struct str file;
    struct str text;
    enum rego_version version;
    bool rego_v1;     /* v0 with import rego.v1 */
    bool not_keyword; /* import future.keywords.not */
    struct pos pos;
    struct pos package_pos;
    struct term *package; /* TERM_REF data.a.b */
    struct import *imports, **imports_end;
    struct rule *rules, **rules_end;
    struct comment *comments;
    uint32_t comment_count, comment_cap;
    struct annotation *annotations;
    uint32_t annotation_count;
    struct module *next;
};

/* ---- making nodes: NULL when the arena is exhausted ---- */

struct term *ast_term(struct arena *a, enum term_kind kind, struct pos pos);
struct term *ast_value(struct arena *a, value v, struct pos pos);
struct term *ast_string(struct arena *a, struct str s, struct pos pos);
struct term *ast_var(struct arena *a, struct str name, struct pos pos);
struct term *ast_var_id(struct arena *a, uint32_t id, struct pos pos);
struct term *ast_list(struct arena *a, enum term_kind kind, struct term **items, size_t len,
                      struct pos pos);
struct term *ast_copy(struct arena *a, const struct term *t);
struct expr *ast_expr(struct arena *a, enum expr_kind kind, struct pos pos);
struct body *ast_body(struct arena *a);
bool ast_body_add(struct arena *a, struct body *b, struct expr *e);

/* A call of a built-in by name, as operators have it. */
struct term *ast_operator(struct arena *a, const char *name, struct term **operands, size_t len,
                          struct pos pos);

bool ast_is_var(const struct term *t, const char *name);
bool ast_is_name(struct str s); /* letters, digits, _; no digit at first */
bool ast_is_string(const struct term *t);
/* No variables, references, calls or comprehensions inside. */
bool ast_is_constant(const struct term *t);
/* Its value, when it is constant. */
bool ast_constant(struct arena *a, const struct term *t, value *out);
/* Of a call that was written with an operator. */
enum rego_relation ast_relation(const struct term *call);
/* OPA's words: "var", "ref", "string", "array comprehension"... */
const char *ast_kind_name(const struct term *t);

/* Source form, as OPA's String() of a term. */
void ast_write(struct buf *out, const struct term *t);
/* "data.a.b[\"x-y\"]" in the arena. */
struct str ast_text(struct arena *a, const struct term *t);

/*
 * front - the compiler's own state, shared by its passes.
 */
#pragma once

#include "base/hash.h"
#include "rego/ast.h"
#include "rego/rego.h"

#define FRONT_ERRORS_MAX 10 /* unless the options say another number */
#define FRONT_NOTES_MAX 1000

/* Names to whatever the user keeps beside them; grows by doubling. */
struct name_entry {
    struct str name; /* ptr NULL: free */
    uint64_t hash;
    uint32_t id;
    uint8_t state;
    uint32_t uses;
    void *ptr;
    struct pos pos;
};
struct name_map {
    struct name_entry *slots;
    size_t len, cap;
};
struct name_entry *name_get(const struct name_map *m, struct str name);
struct name_entry *name_put(struct arena *a, struct name_map *m,
                            struct str name); /* NULL: no memory */

struct front_errors {
    struct rego_error *items;
    size_t len, cap;
    size_t total; /* also those past the most that are kept */
};

/* What a call calls. */
struct callee {
    enum { CALLEE_BUILTIN, CALLEE_HOST, CALLEE_RULE } kind;
    struct str name; /* of the built-in or host function, or data.a.f */
    int arity;       /* -1: any number */
    bool has_result;
    bool relation; /* walk */
    const struct rego_builtin *builtin;
    const struct rego_host_function *host;
    bool mocked; /* some `with` replaces it */
    struct rule_group *group;
    bool typed; /* `type` was made */
    const struct type *type;
    struct callee *next;
};

enum group_kind { GROUP_COMPLETE, GROUP_SET, GROUP_OBJECT, GROUP_FUNCTION };

/* All rules of one path: they are evaluated together. */
struct rule_group {
    struct tree_node *node;
    enum group_kind kind;
    struct rule *first, **end; /* in source order */
    struct rule *default_rule;
    uint32_t arity;
    uint32_t index;                /* function number of the program */
    uint8_t mark;                  /* recursion check: colour */
    uint32_t seen;                 /* recursion check: search that met it */
    bool type_seen;                /* type checker: reached */
    bool replaced;                 /* type checker: some `with` replaces it */
    struct rule_group_user *users; /* type checker: groups that depend on it */
    uint32_t user_mark;            /* type checker: search that met it */
    bool absorbed;                 /* its rules belong to the group of an inner node above */
    struct callee callee;
    /* edges of the graph, for the recursion check */
    struct rule_group **deps;
    uint32_t dep_count, dep_cap;
    struct rule_group *next;
};

/* Package paths and rule paths, by constant parts. */
struct tree_node {
    value key;
    struct tree_node *parent;
    struct tree_node *children; /* in order of keys once the tree is complete */
    struct tree_node *sibling;
    struct rule_group *group;
    struct module *package; /* a module has this path as its package */
    bool names_rule;        /* first part of a rule's name: visible in its package */
    uint32_t child_count;
    struct tree_node *bucket; /* of the compiler's table */
    uint32_t pre,
        post; /* numbers of a depth-first walk: n is at or below m iff m.pre <= n.pre < m.post */
    const struct type *type; /* what rules give here, or NULL */
    bool typed;              /* something at or below has a type */
    bool lost;               /* a rule with a computed key was refused here */
};

struct rego_compiler {
    struct arena arena;
    struct rego_options options;
    struct front_errors errors;
    struct front_errors warnings;
    struct module *modules, **modules_end;
    uint32_t module_count;
    bool finished;
    struct tree_node *root;     /* of data */
    struct tree_node **buckets; /* nodes by parent and key */
    size_t bucket_count, node_count;
    struct rule_group *groups, **groups_end;
    uint32_t group_count;
    struct callee *callees;
    struct rule *rules; /* all, by index */
    uint32_t rule_count;
    size_t unused_total; /* of the errors: variables and imports that nothing uses */
    uint64_t work;       /* units spent; bounded by WORK_MAX */
    uint64_t looked;     /* units spent when the clock was looked at */
    bool late;           /* the deadline has passed, and an error says so */
    struct rule *query;  /* the pseudo rule of rego_eval_query(), or NULL */
    struct module *query_module;
    bool for_layout; /* parse everything as it stands: rego_format() */
};

/* Units of compile-time work that may grow faster than the text. */
#define FRONT_WORK_MAX 200000000ull

/* Report; the text is formatted into the compiler's arena. */
size_t front_errors_max(const struct rego_compiler *c);
void front_error(struct rego_compiler *c, const char *code, const struct module *m, struct pos pos,
                 const char *format, ...) PRINTF_LIKE(5, 6);
void front_warning(struct rego_compiler *c, const struct module *m, struct pos pos,
                   const char *format, ...) PRINTF_LIKE(4, 5);

#define PARSE_ERROR "rego_parse_error"
#define COMPILE_ERROR "rego_compile_error"
#define TYPE_ERROR "rego_type_error"
#define UNSAFE_ERROR "rego_unsafe_var_error"
#define RECURSION_ERROR "rego_recursion_error"

/* Charge compile-time work; false (with an error, once) when there was too much. */
bool front_work(struct rego_compiler *c, uint64_t units);

/* The deadline has passed (with an error, once): for what takes long without front_work(). */
bool front_late(struct rego_compiler *c);

/* ---- passes ---- */

/* Parse one module; errors are in the compiler.  NULL on failure. */
struct module *parse_module(struct rego_compiler *c, struct str file, struct str text,
                            enum rego_version version);
/* A query: one body, parsed as v1. */
struct body *parse_query_text(struct rego_compiler *c, struct module *m);

/* True when the text imports rego.v1 on a line of its own: decides REGO_V1_OR_V0. */
void pass_resolve(struct rego_compiler *c);
void pass_tree(struct rego_compiler *c);
void pass_conflicts(struct rego_compiler *c);
void pass_metadata(struct rego_compiler *c);
void pass_rewrite(struct rego_compiler *c);
void pass_calls(struct rego_compiler *c);
void pass_safety(struct rego_compiler *c);
void pass_graph(struct rego_compiler *c);
void pass_types(struct rego_compiler *c);

/* Tree lookups. */
struct tree_node *tree_child(const struct rego_compiler *c, const struct tree_node *n, value key);
/* What follows `n` in a walk over all that is below `top`, which comes first; NULL at its end. */
struct tree_node *tree_next(const struct tree_node *n, const struct tree_node *top);
/* Node at the constant parts of a reference from data; *used is how many parts led there. */
struct tree_node *tree_walk(const struct rego_compiler *c, const struct term *ref, uint32_t *used);

/* Fresh variable of a rule. */
uint32_t scope_add(struct rego_compiler *c, struct scope_vars *s, struct str name, struct pos pos);
struct term *scope_fresh(struct rego_compiler *c, struct scope_vars *s, struct pos pos);

/* Calls of `visit` for every term below, parents first; return false to skip what is below. */
typedef bool (*term_visitor)(void *user, struct term *t);
void walk_term(struct term *t, term_visitor visit, void *user);
void walk_expr(struct expr *e, term_visitor visit, void *user);
void walk_body(struct body *b, term_visitor visit, void *user);

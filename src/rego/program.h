/*
 * program - a compiled policy: register code, constants and tables.
 *
 * All of it is in one arena and never changes after planning.
 */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "rego/builtin.h"
#include "rego/rego.h"
#include "value/value.h"

enum opcode {
#define OP(name, operands, meaning) OP_##name,
#include "rego/opcodes.def"
#undef OP
    OP_COUNT
};

struct insn {
    uint8_t op;
    uint8_t n;
    uint16_t a, b, c;
    uint32_t d;
};

#define OPERAND_CONST 0x8000u
#define OPERAND_NONE 0x7fffu
#define OPERAND_MAX 0x7ff0u

struct opcode_info {
    const char *name;
    const char *operands;
};
extern const struct opcode_info rego_opcodes[OP_COUNT];

/* Where a rule or expression stands. */
struct prog_pos {
    struct str file;
    uint32_t row, col;
};

struct prog_rule {
    struct prog_pos pos;
    struct str path; /* data.policy.executables */
    bool is_default, is_function, is_else;
};

#define FN_NONE UINT32_MAX

/* As enum group_kind. */
enum fn_kind { FN_COMPLETE, FN_SET, FN_OBJECT, FN_FUNCTION };

/* All rules of one path as code. */
struct prog_fn {
    struct str name;     /* data.policy.allow */
    uint32_t entry, end; /* its code */
    uint32_t node;
    uint16_t regs;
    uint16_t args;
    uint8_t kind;    /* enum fn_kind */
    bool mocked;     /* some `with` replaces it */
    bool cheap;      /* calls are not remembered: that would cost as much */
    bool effects;    /* calls something that is more than a function of its arguments */
    bool keyed;      /* lookup of one key of a partial rule: the argument */
    uint32_t by_key; /* of a partial rule: the function for that, or FN_NONE */
    struct prog_pos pos;
};

/* A node of the tree below data; its id is its number in a depth-first walk. */
struct prog_node {
    value key;
    uint32_t parent;
    uint32_t post; /* nodes from this id up to `post` are at or below it */
    uint32_t fn;   /* FN_NONE: no rules here */
    uint32_t child_count;
    const uint32_t *children; /* in order of keys */
};

/* Something outside of the program that is called by name. */
struct prog_external {
    struct str name;
    rego_function fn; /* NULL: not there */
    unsigned flags;
    int arity; /* -1: any number of operands */
    bool mocked;
    bool host;
};

struct prog_path {
    uint32_t len;
    const value *keys;
};

/*
 * Constant paths into input and the base documents, as a tree: what one rule has
 * found, the next one need not look for (places.c).
 */
struct prog_place {
    value key;
    uint16_t parent; /* PLACE_NONE: the key is one of the document itself */
    bool data;       /* below the base documents, not input */
};
#define PLACES_MAX 1024u
#define PLACE_NONE 0xffffu

/* A loop that is narrowed by a member of its items (plan_loop.c). */
struct prog_loop {
    struct prog_path path;
    bool document; /* over something in a base document */
};

enum with_kind {
    WITH_INPUT,
    WITH_DATA,
    WITH_EXTERNAL_VALUE,
    WITH_EXTERNAL_FN,
    WITH_RULE_VALUE,
    WITH_RULE_FN
};

struct prog_target {
    uint8_t kind;
    uint32_t what;        /* replaced external or function */
    uint32_t replacement; /* WITH_..._FN: external (with REPLACEMENT_EXTERNAL) or function */
    uint32_t path_len;    /* WITH_INPUT, WITH_DATA: keys are in the registers behind the values */
    uint32_t node;        /* WITH_DATA: the tree node at the path, or FN_NONE */
};
#define REPLACEMENT_EXTERNAL 0x80000000u

struct prog_with {
    uint32_t count;
    const struct prog_target *targets;
};

enum side_root { SIDE_NONE, SIDE_INPUT, SIDE_DATA, SIDE_REFERENCE };

/* A part of a reference; it has its value when an instruction behind `ready` fails. */
struct prog_part {
    uint16_t operand;
    uint32_t ready;
};

/* One side of an expression: its value, and the reference that it came from. */
struct prog_side {
    uint16_t operand; /* OPERAND_NONE: no such side */
    uint8_t root;     /* enum side_root */
    uint8_t len;
    uint32_t ready; /* likewise */
    const struct prog_part *parts;
};

/* A literal as an explanation shows it. */
struct prog_expr {
    struct prog_pos pos;
    struct str text;
    uint8_t relation, inner;
    struct prog_side left, right;
    struct prog_side part, whole; /* of a set, for those that test one (rego.h) */
};

/* Instructions from `pc` on belong to the expression (until the next entry). */
struct prog_line {
    uint32_t pc;
    uint32_t expr;
};
#define EXPR_NONE UINT32_MAX

struct prog_source {
    struct str file, text;
    enum rego_version version;
};

/* What is read of input: constant parts up to the first that is computed. */
struct prog_read {
    uint32_t len;
    const struct str *parts; /* ptr NULL: not a string */
    bool data;               /* a base document, not input */
    bool tested; /* a bare literal: only whether it is there counts, its members do not */
};

struct prog_constant_call {
    struct str function;
    struct str arg;
};

/* Rules that may apply, by the value of one reference: see index.c. */
struct prog_index;

struct rego_policy {
    atomic_uint refs;
    struct arena arena;
    const struct insn *code;
    uint32_t code_len;
    const value *consts;
    uint32_t const_count;
    const struct prog_path *paths;
    uint32_t path_count;
    const struct prog_place *places;
    uint32_t place_count;
    const struct prog_loop *loops;
    uint32_t loop_count;
    struct prog_fn *fns;
    uint32_t fn_count;
    value *known; /* by function: values of constant rules, word 0: none; NULL: there are none */
    uint32_t named_fn_count; /* the first ones: rules; then lookups by key, then a query */
    struct prog_node *nodes;
    uint32_t node_count;
    struct prog_external *externals;
    uint32_t external_count;
    const struct prog_with *withs;
    uint32_t with_count;
    const struct prog_rule *rules;
    uint32_t rule_count;
    const struct prog_expr *exprs;
    uint32_t expr_count;
    const struct prog_line *lines;
    uint32_t line_count;
    const struct prog_index *const *indexes;
    uint32_t index_count;
    const struct prog_source *sources;
    uint32_t source_count;
    const struct str *packages;
    uint32_t package_count;
    const struct prog_read *reads;
    uint32_t read_count;
    bool reads_data;
    const struct prog_constant_call *constant_calls;
    uint32_t constant_call_count;
    uint32_t *fn_by_name; /* open addressing, FN_NONE: free */
    uint32_t fn_by_name_cap;
    struct rego_options options;
    /* of a query */
    uint32_t query_fn; /* FN_NONE: no query */
};

/*
 * Before a program is run.  ERR_INTERNAL: it would make the machine misbehave, *at is
 * where; ERR_LIMIT: it is too large to be sure of; ERR_NOMEM.
 */
STATUS program_verify(const struct rego_policy *p, uint32_t *at);

/* How many lines begin at or before `pc`. */
uint32_t program_lines_to(const struct rego_policy *p, uint32_t pc);

/* The function of a rule by its path text, as in prog_fn.name; ERR_NOT_FOUND. */
STATUS program_find(const struct rego_policy *p, struct str path, uint32_t *fn);

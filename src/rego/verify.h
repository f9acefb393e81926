/*
 * verify - what the two halves of the verifier share: bounds (verify_bounds.c) and
 * states (verify.c).
 */
#pragma once

#include "rego/program.h"

/* What a register holds: of a kind (verify.c), and above KIND_BITS what it is of. */
typedef uint32_t content;
#define KIND_BITS 8
#define PARAMETER_MAX (UINT32_MAX >> KIND_BITS)

/* What a jump back to a loop had in a register, beside what was there when it began. */
struct weaker {
    struct weaker *next;
    uint32_t r;
    content x;
};

/* An instruction as the target of jumps. */
struct place {
    struct weaker *weaker; /* found in the passes before */
    content *regs;         /* of those that came here; NULL: none did */
    uint32_t high;         /* registers from here on hold nothing */
    uint32_t view;
    uint32_t version; /* of the state that was met last */
    uint32_t last;    /* the last instruction that goes here, plus 1; 0: none */
    uint32_t outer;   /* WITH: the view around it */
};

struct spare;

struct verifier {
    const struct rego_policy *p;
    struct arena *a;
    const struct prog_fn *fn;
    struct place *places; /* by instruction of the function */
    uint32_t max_regs;
    struct spare *spare; /* of max_regs */

    content *now; /* the state before the present instruction */
    uint32_t high;
    uint32_t view;    /* innermost modifiers: number of WITH in the function, plus 1 */
    bool live;        /* the instruction can be reached */
    bool again;       /* something was weakened: another pass */
    uint32_t version; /* another one: what an earlier state had need not be there any more */
    uint32_t index;   /* the last INDEX, plus 1 */
    uint32_t work;
    enum status status; /* of memory and work */
};

/*
 * A single instruction of v->fn, wherever it is reached from: registers, constants,
 * tables and targets are there, and calls have as many operands as what they call.
 * Notes in v->places what is jumped to.
 */
bool verify_insn(struct verifier *v, uint32_t pc);

/* How many registers an 's' of the instruction stands for. */
uint32_t verify_count(const struct rego_policy *p, const struct insn *i);

/* The tables of a program refer to what is there. */
bool verify_tables(const struct rego_policy *p);

/* What explanations read of v->fn's registers is within its bounds. */
bool verify_lines(const struct verifier *v);

/*
 * What the machine relies on, proved of each function once after planning.
 *
 * First each instruction by itself: registers, constants, table indexes and jump
 * targets are within bounds, calls have as many operands as what they call.  Then
 * what registers hold: the code is gone through from the first instruction to the
 * last, with the kind of content of each register.  A jump forward hands this state
 * to its target, where what comes from several sides is met.  A jump back only asks
 * for the next item of a loop, and has to fit the state in which the loop was
 * entered.  Where it does not, for a register is used anew within the loop, there is
 * another pass, in which the loop begins with less.
 *
 * Of an accepted program:
 * - an instruction finds in each register that it reads what it expects there,
 *   whichever way it was reached: a value, the builder of a set, the state of a loop;
 * - arguments stay as they were given, for the memory of calls reads them at the end;
 * - modifiers are left as often as they are entered, and entered again only where
 *   they were entered before;
 * - evaluation ends: each way round pays a step for an item, or uses up one of the
 *   rules that an index admits, and the index is asked once;
 * - no function runs past its end.
 */
#include "rego/verify.h"

#include "rego/index.h"

/* A function with thousands of loops within one another needs more: its literals times its
 * variables. */
#define MEMORY_MAX ((size_t)64 << 20)
#define WORK_MAX (64u << 20) /* registers copied or compared: 50 ms */

/* What a register holds: one of these, and above KIND_BITS what it is of. */
enum kind {
    NOTHING,      /* nothing yet, or it differs by the way here, or it was used up */
    A_VALUE,      /* any value */
    AN_ARRAY,     /* a value: an array of so many items */
    UNDEFINED,    /* "undefined", not a value */
    PERHAPS,      /* a value or "undefined" */
    BUILDER,      /* by number of BUILD */
    LOOP,         /* by enum progress; the second register of a loop has the same + 1 */
    LOOP_AT,      /* likewise */
    TREE_LOOP,    /* likewise */
    TREE_LOOP_AT, /* likewise */
    CURSOR,       /* a node of the tree of rules, or none */
    CURSOR_AT,    /* the base document at a cursor, or undefined */
    MODIFIERS,    /* by the instruction that entered them */
    RULES,        /* that an index admits: by the number of the index */
    RULES_AT,     /* likewise */
};

/* Of a loop: whether it has given an item since it began. */
enum progress { FRESH, ADVANCED, EITHER };

struct spare {
    struct spare *next;
};

static enum kind kind_of(content x)
{
    return (enum kind)(x & ((1u << KIND_BITS) - 1));
}

static content of(enum kind k, uint32_t parameter)
{
    return (content)k | parameter << KIND_BITS;
}

static uint32_t parameter_of(content x)
{
    return x >> KIND_BITS;
}

/* ---- states ---- */

static bool is_perhaps(content x)
{
    enum kind k = kind_of(x);
    return k == A_VALUE || k == AN_ARRAY || k == UNDEFINED || k == PERHAPS;
}

/* What has `have` may go where `want` is expected. */
static bool fits(content want, content have)
{
    if (want == have || want == NOTHING)
        return true;
    enum kind k = kind_of(have);
    switch (kind_of(want)) {
    case A_VALUE:
        return k == AN_ARRAY;
    case PERHAPS:
        return is_perhaps(have);
    case LOOP:
    case LOOP_AT:
    case TREE_LOOP:
    case TREE_LOOP_AT:
        return k == kind_of(want) && parameter_of(want) == EITHER;
    default:
        return false;
    }
}

/* What is known of one that comes from two sides. */
static content meet(content a, content b)
{
    if (fits(a, b))
        return a;
    if (fits(b, a))
        return b;
    enum kind k = kind_of(a);
    if (is_perhaps(a) && is_perhaps(b))
        return k == AN_ARRAY && kind_of(b) == AN_ARRAY ? A_VALUE : PERHAPS;
    return k == kind_of(b) && k >= LOOP && k <= TREE_LOOP_AT ? of(k, EITHER) : NOTHING;
}

static bool pay(struct verifier *v, uint32_t n)
{
    v->work += n;
    if (v->work > WORK_MAX)
        v->status = ERR_LIMIT;
    return v->status == OK;
}

static content *new_regs(struct verifier *v)
{
    struct spare *s = v->spare;
    if (s != NULL) {
        v->spare = s->next;
        return (content *)s;
    }
    content *regs = arena_alloc(v->a, (v->max_regs + 2) * sizeof(*regs));
    if (regs == NULL)
        v->status = arena_status(v->a);
    return regs;
}

static void keep_spare(struct verifier *v, content *regs)
{
    struct spare *s = (struct spare *)(void *)regs;
    s->next = v->spare;
    v->spare = s;
}

static content held(const struct verifier *v, uint32_t r)
{
    return r < v->high ? v->now[r] : NOTHING;
}

static void hold(struct verifier *v, uint32_t r, content x)
{
    if (r < v->high && !fits(v->now[r], x))
        v->version++;
    while (v->high <= r)
        v->now[v->high++] = NOTHING;
    v->now[r] = x;
}

/* Arguments are read again when the function ends. */
static bool put(struct verifier *v, uint32_t r, content x)
{
    hold(v, r, x);
    return r >= v->fn->args;
}

static bool put_pair(struct verifier *v, uint32_t r, content x)
{
    return put(v, r, x) && put(v, r + 1, x + (x != NOTHING));
}

/* Two registers of one thing: a loop and where it is, a cursor and its document. */
static bool is_pair(const struct verifier *v, uint32_t r, enum kind k)
{
    content x = held(v, r);
    return kind_of(x) == k && held(v, r + 1) == x + 1;
}

static bool meet_at(struct verifier *v, struct place *to)
{
    if (to->regs == NULL) {
        to->regs = new_regs(v);
        if (to->regs == NULL || !pay(v, v->high))
            return false;
        memcpy(to->regs, v->now, v->high * sizeof(*v->now));
        to->high = v->high;
        to->view = v->view;
        to->version = v->version;
        return true;
    }
    if (to->view != v->view)
        return false;
    if (to->version == v->version) /* since then there is only more */
        return true;
    if (to->high > v->high)
        to->high = v->high;
    for (uint32_t r = 0; r < to->high; r++)
        if (to->regs[r] != v->now[r])
            to->regs[r] = meet(to->regs[r], v->now[r]);
    to->version = v->version;
    return pay(v, to->high);
}

/* ---- jumps ---- */

/*
 * Only to where a loop gives its next item, one that it has already given an item
 * before: so it was paid for.  Or to where modifiers are entered for that.
 */
static bool is_loop_head(const struct verifier *v, uint32_t target)
{
    const struct insn *i = &v->p->code[target];
    switch ((enum opcode)i->op) {
    case OP_NEXT:
        return held(v, i->a) == of(LOOP, ADVANCED);
    case OP_TREE_NEXT:
        return held(v, i->a) == of(TREE_LOOP, ADVANCED);
    case OP_INDEX_NEXT:
        return true;
    case OP_WITH_AGAIN:
        return target + 1 < v->fn->end && i[1].op == OP_JUMP && i[1].d < target;
    default:
        return false;
    }
}

/*
 * A register that held something else before the loop, and is used anew within it: in
 * another pass the loop begins with what both have in common.
 */
static bool weaken(struct verifier *v, struct place *to, uint32_t r)
{
    struct weaker *w = arena_new(v->a, struct weaker);
    if (w == NULL) {
        v->status = arena_status(v->a);
        return false;
    }
    *w = (struct weaker){.next = to->weaker, .r = r, .x = held(v, r)};
    to->weaker = w;
    to->regs[r] = meet(to->regs[r], w->x);
    v->again = true;
    return true;
}

static bool go(struct verifier *v, uint32_t pc, uint32_t target)
{
    struct place *to = &v->places[target - v->fn->entry];
    if (target > pc)
        return meet_at(v, to);
    if (target < v->index || !is_loop_head(v, target) || to->regs == NULL || to->view != v->view)
        return false;
    if (to->version != v->version) {
        for (uint32_t r = 0; r < to->high; r++)
            if (!fits(to->regs[r], held(v, r)) && !weaken(v, to, r))
                return false;
        to->version = v->version;
        if (!pay(v, to->high))
            return false;
    }
    if (to->last == pc + 1) {
        keep_spare(v, to->regs);
        to->regs = NULL;
    }
    return true;
}

/* A loop that is over is no loop any more. */
static bool go_at_end(struct verifier *v, uint32_t pc, const struct insn *i)
{
    content state = held(v, i->a), at = held(v, i->a + 1u);
    put_pair(v, i->a, NOTHING);
    bool ok = go(v, pc, i->d);
    hold(v, i->a, state);
    hold(v, i->a + 1u, at);
    return ok;
}

/* At a target: with what came here by jumps.  False: it does not go together. */
static bool arrive(struct verifier *v, uint32_t pc)
{
    struct place *at = &v->places[pc - v->fn->entry];
    if (at->last == 0)
        return true;
    if (v->live && !meet_at(v, at))
        return false;
    v->live = at->regs != NULL;
    if (!v->live)
        return true;
    v->high = at->high;
    v->view = at->view;
    v->version++;
    if (at->last <= pc) { /* nothing comes here any more */
        content *old = v->now;
        v->now = at->regs;
        at->regs = NULL;
        keep_spare(v, old);
        return true;
    }
    for (uint32_t r = 0; r < at->high; r++) { /* what may well change in a loop */
        enum kind k = kind_of(at->regs[r]);
        if (k == UNDEFINED)
            at->regs[r] = PERHAPS;
        else if (k >= LOOP && k <= TREE_LOOP_AT && parameter_of(at->regs[r]) == FRESH)
            at->regs[r] = of(k, EITHER);
    }
    for (const struct weaker *w = at->weaker; w != NULL; w = w->next)
        if (w->r < at->high)
            at->regs[w->r] = meet(at->regs[w->r], w->x);
    memcpy(v->now, at->regs, v->high * sizeof(*v->now));
    at->version = v->version;
    return pay(v, v->high);
}

/* ---- what instructions do ---- */

/* A register or constant that is a value, or may be undefined. */
static bool has_value(const struct verifier *v, uint32_t x)
{
    return (x & OPERAND_CONST) != 0 || fits(A_VALUE, held(v, x));
}

static bool has_perhaps(const struct verifier *v, uint32_t x)
{
    return (x & OPERAND_CONST) != 0 || is_perhaps(held(v, x));
}

static bool reads_ok(const struct verifier *v, const struct insn *i)
{
    const char *operands = rego_opcodes[i->op].operands;
    const uint16_t fields[3] = {i->a, i->b, i->c};
    for (int k = 0; k < 3; k++) {
        char kind = operands[k + 1];
        if ((kind == 'x' && !has_value(v, fields[k])) ||
            (kind == 'u' && !has_perhaps(v, fields[k])))
            return false;
        for (uint32_t r = 0; kind == 's' && r < verify_count(v->p, i); r++)
            if (!has_value(v, fields[k] + r))
                return false;
    }
    return true;
}

/* Fails, or goes on with a value in each register that is written. */
static bool plain(struct verifier *v, uint32_t pc, const struct insn *i)
{
    const char *operands = rego_opcodes[i->op].operands;
    if (operands[4] == 'j' && !go(v, pc, i->d))
        return false;
    const uint16_t fields[3] = {i->a, i->b, i->c};
    for (int k = 0; k < 3; k++)
        if (operands[k + 1] == 'r' && !put(v, fields[k], A_VALUE))
            return false;
    return true;
}

/* The next item of a loop: at its end there is none, otherwise a step was paid. */
static bool next_item(struct verifier *v, uint32_t pc, const struct insn *i, enum kind k)
{
    if (!is_pair(v, i->a, k) || !go_at_end(v, pc, i) || !put_pair(v, i->a, of(k, ADVANCED)))
        return false;
    if (k == TREE_LOOP)
        return put(v, i->c, A_VALUE);
    return (i->b == OPERAND_NONE || put(v, i->b, A_VALUE)) &&
           (i->c == OPERAND_NONE || put(v, i->c, A_VALUE));
}

/* INDEX_NEXT: one rule less. */
static bool next_rule(struct verifier *v, uint32_t pc, const struct insn *i)
{
    if (!is_pair(v, i->a, RULES) || !go_at_end(v, pc, i))
        return false;
    const struct prog_index *x = v->p->indexes[parameter_of(held(v, i->a))];
    for (uint32_t k = 0; k < x->all.len; k++)
        if (x->entries[k] <= pc || !go(v, pc, x->entries[k]))
            return false;
    v->live = false;
    return true;
}

static bool step_loop(struct verifier *v, uint32_t pc, const struct insn *i)
{
    switch ((enum opcode)i->op) {
    case OP_SCAN:
        return go(v, pc, i->d) && put_pair(v, i->a, of(LOOP, FRESH));
    case OP_SCAN_BY:
        return put_pair(v, i->a, NOTHING) && go(v, pc, i->d) && put_pair(v, i->a, of(LOOP, FRESH));
    case OP_NEXT:
        return next_item(v, pc, i, LOOP);
    case OP_TREE_SCAN:
        return is_pair(v, i->b, CURSOR) && put_pair(v, i->a, of(TREE_LOOP, FRESH));
    case OP_TREE_NEXT:
        return is_pair(v, i->b, CURSOR) && next_item(v, pc, i, TREE_LOOP);
    case OP_INDEX:
        v->index = pc + 1;
        return put_pair(v, i->a, of(RULES, i->d));
    default:
        return next_rule(v, pc, i);
    }
}

static bool step_builder(struct verifier *v, const struct insn *i)
{
    content b = held(v, i->op == OP_FINISH ? i->b : i->a);
    uint32_t kind = parameter_of(b);
    if (i->op == OP_BUILD)
        return put(v, i->a, of(BUILDER, i->n));
    if (kind_of(b) != BUILDER)
        return false;
    switch ((enum opcode)i->op) {
    case OP_ADD:
        return kind < 2;
    case OP_PUT:
        return kind == 2;
    case OP_FINISH:
        hold(v, i->b, NOTHING);
        return kind == (i->n == 4 ? 3 : i->n) && put(v, i->a, i->n == 4 ? PERHAPS : A_VALUE);
    default: /* NEST, NEST_ADD */
        return kind == 3;
    }
}

/*
 * Cursors in the tree of rules.  Where rules have to be evaluated first, the same
 * instruction is executed again; how far that got is in a register that was undefined.
 */
static bool step_tree(struct verifier *v, uint32_t pc, const struct insn *i)
{
    switch ((enum opcode)i->op) {
    case OP_EXTENT:
        if (held(v, i->b) != UNDEFINED)
            return false;
        return put(v, i->b, NOTHING) && go(v, pc, i->d) && put(v, i->a, A_VALUE);
    case OP_TREE:
        return put_pair(v, i->a, CURSOR);
    case OP_TREE_STEP:
        return is_pair(v, i->b, CURSOR) && put_pair(v, i->a, NOTHING) && go(v, pc, i->d) &&
               put_pair(v, i->a, CURSOR);
    default: /* TREE_END */
        if (!is_pair(v, i->b, CURSOR) || held(v, i->b + 2u) != UNDEFINED)
            return false;
        return put(v, i->b + 2u, NOTHING) && go(v, pc, i->d) && put(v, i->a, A_VALUE);
    }
}

static bool step_view(struct verifier *v, uint32_t pc, const struct insn *i)
{
    uint32_t number = pc - v->fn->entry;
    content x;
    v->version++;
    switch ((enum opcode)i->op) {
    case OP_WITH:
        v->places[number].outer = v->view;
        v->view = number + 1;
        return put(v, i->a, of(MODIFIERS, number + 1));
    case OP_WITH_END:
        if (v->view == 0)
            return false;
        v->view = v->places[v->view - 1].outer;
        return i->d > pc ? go(v, pc, i->d) : true;
    default: /* WITH_AGAIN */
        x = held(v, i->a);
        if (kind_of(x) != MODIFIERS || v->places[parameter_of(x) - 1].outer != v->view)
            return false;
        v->view = parameter_of(x);
        return true;
    }
}

/* It goes on with what is known of the register then. */
static bool step_if_defined(struct verifier *v, uint32_t pc, const struct insn *i)
{
    if (!has_perhaps(v, i->a))
        return false;
    hold(v, i->a, A_VALUE);
    v->version++;
    bool ok = go(v, pc, i->d);
    hold(v, i->a, UNDEFINED);
    return ok;
}

static bool step_array(struct verifier *v, uint32_t pc, const struct insn *i)
{
    if (i->op == OP_ITEM) {
        content x = held(v, i->b);
        return kind_of(x) == AN_ARRAY && i->c < parameter_of(x) && plain(v, pc, i);
    }
    if (!has_value(v, i->a) || !go(v, pc, i->d))
        return false;
    hold(v, i->a, of(AN_ARRAY, i->c));
    return true;
}

static bool step(struct verifier *v, uint32_t pc)
{
    const struct insn *i = &v->p->code[pc];
    if (!reads_ok(v, i))
        return false;
    switch ((enum opcode)i->op) {
    case OP_MOVE:
        return put(v, i->a, (i->b & OPERAND_CONST) != 0 ? A_VALUE : held(v, i->b));
    case OP_UNDEF:
        return put(v, i->a, UNDEFINED);
    case OP_JUMP:
    case OP_FAIL:
        v->live = false;
        return go(v, pc, i->d);
    case OP_RETURN:
        v->live = false;
        return true;
    case OP_IF_DEFINED:
        return step_if_defined(v, pc, i);
    case OP_MISS:
        return i->a == OPERAND_NONE || has_perhaps(v, i->a);
    case OP_RESULT:
        return has_perhaps(v, i->a) && put(v, i->a, A_VALUE);
    case OP_COLLECT:
        return has_value(v, i->a) && put(v, i->a, A_VALUE);
    case OP_PATH:
        return (i->n == 1 || i->n == 2 || has_value(v, i->b)) && plain(v, pc, i);
    case OP_IS_ARRAY:
    case OP_ITEM:
        return step_array(v, pc, i);
    case OP_SCAN:
    case OP_SCAN_BY:
    case OP_NEXT:
    case OP_TREE_SCAN:
    case OP_TREE_NEXT:
    case OP_INDEX:
    case OP_INDEX_NEXT:
        return step_loop(v, pc, i);
    case OP_BUILD:
    case OP_ADD:
    case OP_PUT:
    case OP_NEST:
    case OP_NEST_ADD:
    case OP_FINISH:
        return step_builder(v, i);
    case OP_EXTENT:
    case OP_TREE:
    case OP_TREE_STEP:
    case OP_TREE_END:
        return step_tree(v, pc, i);
    case OP_WITH:
    case OP_WITH_END:
    case OP_WITH_AGAIN:
        return step_view(v, pc, i);
    default:
        return plain(v, pc, i);
    }
}

/* ---- functions ---- */

/* Once through the code of the function; *at is where something is wrong with it. */
static bool pass_ok(struct verifier *v, uint32_t *at)
{
    const struct prog_fn *fn = v->fn;
    v->high = 0;
    v->view = 0;
    v->index = 0;
    v->live = true;
    v->again = false;
    for (uint32_t r = 0; r < fn->args; r++)
        hold(v, r, A_VALUE);
    for (*at = fn->entry; *at < fn->end; ++*at)
        if (!arrive(v, *at) || (v->live && !step(v, *at)))
            return false;
    for (uint32_t k = 0; k < fn->end - fn->entry; k++) { /* loops that nothing goes back to */
        if (v->places[k].regs != NULL)
            keep_spare(v, v->places[k].regs);
        v->places[k].regs = NULL;
    }
    --*at;
    return !v->live;
}

static bool function_ok(struct verifier *v, uint32_t *at)
{
    const struct prog_fn *fn = v->fn;
    memset(v->places, 0, (fn->end - fn->entry) * sizeof(*v->places));
    for (*at = fn->entry; *at < fn->end; ++*at)
        if (!verify_insn(v, *at))
            return false;
    do {
        if (!pass_ok(v, at) || !pay(v, 16 * (fn->end - fn->entry)))
            return false;
    } while (v->again);
    return true;
}

/* ---- programs ---- */

STATUS program_verify(const struct rego_policy *p, uint32_t *at)
{
    *at = 0;
    if (!verify_tables(p))
        return ERR_INTERNAL;
    uint32_t len = 0;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY_MAX);
    struct verifier v = {.p = p, .a = &a};
    for (uint32_t k = 0; k < p->fn_count; k++) {
        const struct prog_fn *f = &p->fns[k];
        len = f->end - f->entry > len ? f->end - f->entry : len;
        v.max_regs = f->regs > v.max_regs ? f->regs : v.max_regs;
    }
    v.places = arena_alloc(&a, len * sizeof(*v.places));
    v.now = new_regs(&v);
    for (uint32_t k = 0; k < p->fn_count && arena_status(&a) == OK; k++) {
        v.fn = &p->fns[k];
        *at = v.fn->entry;
        if ((!verify_lines(&v) || !function_ok(&v, at)) && v.status == OK)
            return ERR_INTERNAL;
        if (v.status != OK)
            return v.status;
    }
    return arena_status(&a);
}

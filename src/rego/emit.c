#include "rego/plan.h"

#include "base/hash.h"

void *plan_grow(struct plan *p, void *items, uint32_t *cap, uint32_t len, size_t size)
{
    uint32_t more = *cap == 0 ? 16 : *cap * 2;
    void *bigger = more < *cap ? NULL : arena_new_array(p->scratch, char, (size_t)more *size);
    if (bigger == NULL) {
        p->failed = true;
        return items;
    }
    if (len > 0)
        memcpy(bigger, items, (size_t)len * size);
    *cap = more;
    return bigger;
}

void plan_fail(struct plan *p, struct pos pos, const char *why)
{
    if (!p->failed)
        front_error(p->c, COMPILE_ERROR, p->m, pos, "%s", why);
    p->failed = true;
}

uint32_t emit(struct plan *p, enum opcode op, uint32_t n, uint32_t a, uint32_t b, uint32_t c,
              uint32_t d)
{
    if (n > UINT8_MAX || a > UINT16_MAX || b > UINT16_MAX || c > UINT16_MAX)
        plan_fail(p, p->rule == NULL ? (struct pos){0} : p->rule->pos, "rule is too complex");
    struct insn i = {.op = (uint8_t)op,
                     .n = (uint8_t)n,
                     .a = (uint16_t)a,
                     .b = (uint16_t)b,
                     .c = (uint16_t)c,
                     .d = d};
    return PLAN_PUSH(p, p->code, i);
}

uint32_t new_label(struct plan *p)
{
    return PLAN_PUSH(p, p->labels, UINT32_MAX);
}

void place_label(struct plan *p, uint32_t label)
{
    if (!p->failed)
        p->labels.items[label] = p->code.len;
}

static bool jumps(enum opcode op)
{
    return rego_opcodes[op].operands[4] == 'j';
}

/* Labels become places once a function is complete. */
void patch_labels(struct plan *p)
{
    for (uint32_t i = p->first_pc; !p->failed && i < p->code.len; i++)
        if (jumps(p->code.items[i].op))
            p->code.items[i].d = p->labels.items[p->code.items[i].d];
    p->labels.len = 0;
}

operand new_regs(struct plan *p, uint32_t n)
{
    uint32_t first = p->next_reg;
    p->next_reg += n;
    if (p->next_reg > p->max_reg)
        p->max_reg = p->next_reg;
    if (p->next_reg > OPERAND_MAX || p->next_reg < first) {
        plan_fail(p, p->rule == NULL ? (struct pos){0} : p->rule->pos, "rule is too complex");
        p->next_reg = first;
        return 0;
    }
    return (operand)first;
}

operand new_reg(struct plan *p)
{
    return new_regs(p, 1);
}

/* ---- constants ---- */

static bool is_shared_constant(value v)
{
    return !value_is_heap(v) || value_is_string(v);
}

static uint64_t constant_hash(value v)
{
    return value_is_heap(v) ? value_hash(v) : hash_mix(0x9e3779b97f4a7c15u, v.word);
}

static void grow_slots(struct plan *p)
{
    uint32_t count = p->const_slot_count == 0 ? 64 : p->const_slot_count * 2;
    uint32_t *slots = arena_new_array(p->scratch, uint32_t, count);
    if (slots == NULL) {
        p->failed = true;
        return;
    }
    p->const_slots = slots;
    p->const_slot_count = count;
    for (uint32_t i = 0; i < p->consts.len; i++) {
        if (!is_shared_constant(p->consts.items[i]))
            continue;
        uint32_t at = (uint32_t)constant_hash(p->consts.items[i]) & (count - 1);
        while (slots[at] != 0)
            at = (at + 1) & (count - 1);
        slots[at] = i + 1;
    }
}

/* Strings and words once; numbers with a text of their own and collections each time. */
static uint32_t constant_index(struct plan *p, value v)
{
    if (p->consts.len * 2 >= p->const_slot_count)
        grow_slots(p);
    if (p->failed)
        return 0;
    if (!is_shared_constant(v))
        return PLAN_PUSH(p, p->consts, value_copy(p->out, v));
    uint32_t at = (uint32_t)constant_hash(v) & (p->const_slot_count - 1);
    for (; p->const_slots[at] != 0; at = (at + 1) & (p->const_slot_count - 1))
        if (value_equal(p->consts.items[p->const_slots[at] - 1], v))
            return p->const_slots[at] - 1;
    uint32_t i = PLAN_PUSH(p, p->consts, value_copy(p->out, v));
    p->const_slots[at] = i + 1;
    return i;
}

operand constant(struct plan *p, value v)
{
    uint32_t i = constant_index(p, v);
    if (i < OPERAND_CONST)
        return (operand)(OPERAND_CONST | i);
    operand r = new_reg(p);
    emit(p, OP_LOADK, 0, r, 0, 0, i);
    return r;
}

operand in_register(struct plan *p, operand x)
{
    if ((x & OPERAND_CONST) == 0)
        return x;
    operand r = new_reg(p);
    emit(p, OP_MOVE, 0, r, x, 0, 0);
    return r;
}

uint32_t add_path(struct plan *p, const value *keys, uint32_t len)
{
    value *copy = arena_new_array(p->out, value, len);
    if (copy == NULL) {
        p->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < len; i++) {
        uint32_t k = constant_index(p, keys[i]);
        copy[i] = p->failed ? VALUE_NULL : p->consts.items[k];
    }
    for (uint32_t i = 0; i < p->paths.len; i++)
        if (p->paths.len < 256 && p->paths.items[i].len == len &&
            memcmp(p->paths.items[i].keys, copy, len * sizeof(value)) == 0)
            return i;
    return PLAN_PUSH(p, p->paths, ((struct prog_path){len, copy}));
}

static bool find_place(const struct plan *p, bool data, uint32_t parent, value key, uint32_t *out)
{
    for (uint32_t i = 0; i < p->places.len; i++) {
        const struct prog_place *have = &p->places.items[i];
        if (have->parent == parent && have->data == data && value_equal(have->key, key)) {
            *out = i;
            return true;
        }
    }
    return false;
}

bool add_place(struct plan *p, bool data, const value *keys, uint32_t len, uint32_t *out)
{
    uint32_t parent = PLACE_NONE;
    for (uint32_t i = 0; i < len; i++) {
        uint32_t at;
        if (find_place(p, data, parent, keys[i], &at)) {
            parent = at;
            continue;
        }
        if (p->failed || p->places.len == PLACES_MAX)
            return false;
        uint32_t k = constant_index(p, keys[i]);
        value key = p->failed ? VALUE_NULL : p->consts.items[k];
        parent = PLAN_PUSH(p, p->places, ((struct prog_place){key, (uint16_t)parent, data}));
    }
    *out = parent;
    return !p->failed;
}

uint32_t external_index(struct plan *p, const struct callee *f)
{
    for (uint32_t i = 0; i < p->externals.len; i++)
        if (str_equal(p->externals.items[i].name, f->name))
            return i;
    struct prog_external e = {
        .name = arena_str(p->out, f->name),
        .fn = f->host != NULL ? f->host->fn : f->builtin->fn,
        .flags = f->host != NULL ? f->host->flags : f->builtin->flags,
        .arity = f->arity,
        .mocked = f->mocked,
        .host = f->host != NULL,
    };
    return PLAN_PUSH(p, p->externals, e);
}

/* ---- variables ---- */

bool is_bound(const struct plan *p, const struct term *var)
{
    return var->var.id < p->where_cap && p->where[var->var.id] != OPERAND_NONE;
}

void bind_slot(struct plan *p, const struct term *var, operand x)
{
    uint32_t id = var->var.id;
    if (id >= p->where_cap) {
        uint32_t cap = p->where_cap == 0 ? 64 : p->where_cap;
        while (cap <= id)
            cap *= 2;
        operand *where = arena_new_array(p->scratch, operand, cap);
        uint32_t *at = arena_new_array(p->scratch, uint32_t, cap);
        const struct term **origins = arena_new_array(p->scratch, const struct term *, cap);
        if (where == NULL || at == NULL || origins == NULL) {
            p->failed = true;
            return;
        }
        for (uint32_t i = p->where_cap; i < cap; i++)
            where[i] = OPERAND_NONE;
        if (p->where_cap > 0) {
            memcpy(where, p->where, p->where_cap * sizeof(*where));
            memcpy(at, p->bound_at, p->where_cap * sizeof(*at));
            memcpy(origins, p->origins, p->where_cap * sizeof(*origins));
        }
        p->where = where;
        p->bound_at = at;
        p->origins = origins;
        p->where_cap = cap;
    }
    p->where[id] = x;
    p->bound_at[id] = p->code.len == 0 ? 0 : p->code.len - 1;
    p->origins[id] = NULL;
    PLAN_PUSH(p, p->trail, id);
}

uint32_t trail_mark(const struct plan *p)
{
    return p->trail.len;
}

void trail_undo(struct plan *p, uint32_t mark)
{
    while (p->trail.len > mark)
        p->where[p->trail.items[--p->trail.len]] = OPERAND_NONE;
}

/*
 * Warnings for policies that read claims which no evidence can have: a typing
 * mistake there makes a rule undefined for ever, silently.
 */
#include "rego/plan.h"

#define NAME_MAX_LEN 64
#define CLAIM_ANY_NAME "*"
#define STEP 2 /* cost of a letter more, less or other */

static bool is_joint(char c)
{
    return c == '-' || c == '_';
}

/* Of two letters; "-" for "_" is what people mistype most. */
static size_t change_cost(char a, char b)
{
    return a == b ? 0 : is_joint(a) && is_joint(b) ? 1 : STEP;
}

/* Levenshtein distance with these costs; names are short. */
static size_t distance(struct str a, struct str b)
{
    size_t row[NAME_MAX_LEN + 1];
    if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
        return SIZE_MAX;
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k * STEP;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i * STEP;
        for (size_t k = 1; k <= b.len; k++) {
            size_t change = diagonal + change_cost(a.ptr[i - 1], b.ptr[k - 1]);
            diagonal = row[k];
            size_t step = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + STEP;
            row[k] = change < step ? change : step;
        }
    }
    return row[b.len];
}

static struct str nearest(value object, struct str name)
{
    struct str best = STR_EMPTY;
    size_t best_distance = (name.len / 2 + 2) * STEP;
    for (size_t i = 0; i < value_len(object); i++) {
        struct str candidate = value_str(value_pairs(object)[i].key);
        if (str_is(candidate, CLAIM_ANY_NAME))
            continue;
        size_t d = distance(candidate, name);
        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

/* A literal may be planned more than once. */
static bool was_told(const struct rego_compiler *c, const struct module *m, struct pos pos)
{
    for (size_t i = 0; i < c->warnings.len; i++) {
        const struct rego_error *w = &c->warnings.items[i];
        if (w->row == pos.row && w->col == pos.col && str_equal(w->file, m->file))
            return true;
    }
    return false;
}

void claims_check(struct plan *p, const struct term *ref)
{
    value schema = p->c->options.claim_schema;
    struct prog_part parts[CLAIM_PARTS_MAX];
    uint32_t len;
    if (!value_is_object(schema) || p->failed || !input_path(p, ref, parts, &len))
        return;
    for (uint32_t i = 0; i < len && value_is_object(schema); i++) {
        if ((parts[i].operand & OPERAND_CONST) == 0)
            return;
        value key = p->consts.items[parts[i].operand & ~OPERAND_CONST];
        value below = value_get(schema, key);
        if (!value_is_defined(below))
            below = value_get_lit(schema, CLAIM_ANY_NAME);
        if (value_is_defined(below)) {
            schema = below;
            continue;
        }
        if (was_told(p->c, p->m, ref->pos))
            return;
        struct str text = ast_text(p->scratch, ref);
        struct str name = value_str(key);
        struct str other = nearest(schema, name);
        front_warning(p->c, p->m, ref->pos, "%.*s: no claim is named \"%.*s\" there%s%.*s%s",
                      STR_ARG(text), STR_ARG(name), other.len > 0 ? ", did you mean \"" : "",
                      STR_ARG(other), other.len > 0 ? "\"?" : "");
        return;
    }
}

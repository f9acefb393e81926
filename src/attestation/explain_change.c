#include "attestation/explain_internal.h"

#include "value/number.h"

#define REFERENCES "/reference-values/"

static bool is_below(struct str path, struct str parent)
{
    return str_has_prefix(path, parent) && (path.len == parent.len || path.ptr[parent.len] == '/');
}

enum place place_of(struct str path)
{
    if (str_has_prefix(path, STR(REFERENCES)))
        return PLACE_REFERENCE;
    if (str_has_prefix(path, STR("/data/")))
        return PLACE_DATA;
    return str_has_prefix(path, STR("/input/")) ? PLACE_INPUT : PLACE_NONE;
}

/* RFC 6901: ~1 is "/", ~0 is "~". */
static struct str unescape(struct arena *a, struct str token)
{
    char *out = arena_alloc(a, token.len + 1);
    size_t n = 0;
    if (out == NULL)
        return (struct str){NULL, 0};
    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];
        if (c == '~' && i + 1 < token.len)
            c = token.ptr[++i] == '1' ? '/' : '~';
        out[n++] = c;
    }
    out[n] = '\0';
    return (struct str){out, n};
}

struct str reference_name(struct arena *a, struct str path)
{
    if (!str_has_prefix(path, STR(REFERENCES)))
        return (struct str){NULL, 0};
    struct str token = str_from(path, strlen(REFERENCES));
    if (memchr(token.ptr, '/', token.len) != NULL)
        return (struct str){NULL, 0};
    return unescape(a, token);
}

struct str reference_path(struct str path)
{
    static const struct str references = {REFERENCES, sizeof(REFERENCES) - 1};
    return str_has_prefix(path, references)
               ? str_slice(path, 0, str_find(path, '/', references.len))
               : path;
}

struct str list_of(struct str path)
{
    return str_has_suffix(path, STR("/-")) ? str_slice(path, 0, path.len - 2) : path;
}

struct str path_told(struct arena *a, const struct explain_subject *s, struct str path)
{
    static const struct str reference = {"/data/reference/", 16};
    if (str_has_prefix(path, reference)) {
        struct str name = str_from(path, reference.len);
        return arena_format(a, REFERENCES "%.*s", STR_ARG(name));
    }
    for (size_t i = 0; i < s->alias_count; i++) {
        if (!is_below(path, s->aliases[i].alias))
            continue;
        struct str rest = str_from(path, s->aliases[i].alias.len);
        return arena_format(a, "%.*s%.*s", STR_ARG(s->aliases[i].real), STR_ARG(rest));
    }
    return arena_str(a, path);
}

static bool is_frozen(const struct explain_subject *s, struct str path)
{
    for (size_t i = 0; i < s->frozen_count; i++)
        if (is_below(path, s->frozen[i]))
            return true;
    return false;
}

/* ---- from an expression to an operation ---- */

/* The document and the pointer into it. */
static value root_of(const struct documents *d, struct str path, struct str *rest)
{
    static const struct {
        const char *prefix;
        size_t len;
    } roots[] = {{"/reference-values", 17}, {"/data", 5}, {"/input", 6}};
    enum place p = place_of(path);
    if (p == PLACE_NONE)
        return VALUE_UNDEFINED;
    *rest = str_from(path, roots[p].len);
    return p == PLACE_REFERENCE ? d->references : p == PLACE_DATA ? d->data : d->input;
}

static value look(const struct documents *d, struct str path)
{
    struct str rest;
    value root = root_of(d, path, &rest);
    return value_is_defined(root) ? value_pointer(root, rest) : VALUE_UNDEFINED;
}

/* Candidates for one expression, in the order in which they were found. */
struct candidates {
    struct arena *a;
    const struct explain_subject *s;
    const struct documents *d;
    struct operation *items;
    size_t len;
};

static void propose(struct candidates *c, enum edit edit, struct str path, value val)
{
    if (c->len < OPERATIONS_MAX)
        c->items[c->len++] = (struct operation){
            .edit = edit, .path = path, .val = val, .place = place_of(path), .expression = -1};
}

/* Nothing there may be changed: a constant, something computed, or frozen. */
static bool is_fixed(const struct candidates *c, struct str path)
{
    return place_of(path) == PLACE_NONE || is_frozen(c->s, path);
}

/* Without the last name; the path of a name alone is empty. */
static struct str parent_of(struct str path)
{
    while (path.len > 0 && path.ptr[path.len - 1] != '/')
        path.len--;
    path.len -= path.len > 0;
    return path;
}

/*
 * Set what is at a path: replaced where it is, added where its parent is an
 * object.  Whole members of /input are never made up: a TEE's claims cannot appear.
 */
static void propose_value(struct candidates *c, struct str path, value val)
{
    if (is_fixed(c, path) || !value_is_defined(val) || list_of(path).len < path.len)
        return;
    bool exists = value_is_defined(look(c->d, path));
    if (!exists) {
        struct str parent = parent_of(path);
        if (str_is(parent, "/input"))
            return;
        if (!str_is(parent, "/reference-values") && !str_is(parent, "/data") &&
            !value_is_object(look(c->d, parent)))
            return;
    }
    propose(c, exists ? EDIT_REPLACE : EDIT_ADD, path, val);
}

/* The list that an entry has, also an expired one. */
static value stored(const struct candidates *c, struct str name)
{
    const struct reference_value *v = name.ptr != NULL && c->s->reference_values != NULL
                                          ? rvps_entry(c->s->reference_values, name)
                                          : NULL;
    return v != NULL && value_is_array(v->val) ? v->val : VALUE_UNDEFINED;
}

/* The stored value of an expired entry, if it has the item that is looked for. */
static value expired_with(struct candidates *c, struct str path, value item)
{
    value list = stored(c, reference_name(c->a, path));
    return collection_has(list, item) ? list : VALUE_UNDEFINED;
}

/*
 * The collection at a path learns an item.  One that is not there begins with all that it lacks:
 * that is one operation.
 */
static void propose_items(struct candidates *c, struct str path, const value *items, size_t n)
{
    if (is_fixed(c, path) || n == 0 || !value_is_defined(items[0]))
        return;
    value there = look(c->d, path);
    if (value_is_array(there)) {
        struct str end = arena_format(c->a, "%.*s/-", STR_ARG(path));
        if (end.ptr != NULL)
            propose(c, EDIT_ADD, end, items[0]);
        return;
    }
    if (place_of(path) == PLACE_INPUT)
        return; /* evidence has the lists that it has */
    value list = value_is_defined(there) ? VALUE_UNDEFINED : expired_with(c, path, items[0]);
    propose_value(c, path, value_is_defined(list) ? list : value_array(c->a, items, n));
}

bool collection_has(value collection, value item)
{
    if (!value_is_array(collection) && value_kind(collection) != VALUE_KIND_SET)
        return false;
    for (size_t i = 0; i < value_len(collection); i++)
        if (value_equal(value_items(collection)[i], item))
            return true;
    return false;
}

static void propose_removal(struct candidates *c, struct str path, value item)
{
    if (!is_fixed(c, path) && value_is_defined(item) && value_is_array(look(c->d, path)) &&
        collection_has(look(c->d, path), item))
        propose(c, EDIT_REMOVE_ITEM, path, item);
}

/* ---- what a side has to be ---- */

enum goal {
    GOAL_NONE,
    GOAL_TRUE,
    GOAL_FALSE, /* or undefined */
    GOAL_EQUAL,
    GOAL_DIFFERENT,
    GOAL_LESS,
    GOAL_LESS_EQUAL,
    GOAL_GREATER,
    GOAL_GREATER_EQUAL,
    GOAL_MEMBER,
    GOAL_STRANGER, /* not a member */
};

static enum goal goal_of(const struct tried *t)
{
    static const struct {
        enum goal goal, opposite;
    } goals[] = {
        [REGO_REL_OTHER] = {GOAL_NONE, GOAL_NONE},
        [REGO_REL_DEFINED] = {GOAL_TRUE, GOAL_FALSE},
        [REGO_REL_EQUAL] = {GOAL_EQUAL, GOAL_DIFFERENT},
        [REGO_REL_NOT_EQUAL] = {GOAL_DIFFERENT, GOAL_EQUAL},
        [REGO_REL_LESS] = {GOAL_LESS, GOAL_GREATER_EQUAL},
        [REGO_REL_LESS_EQUAL] = {GOAL_LESS_EQUAL, GOAL_GREATER},
        [REGO_REL_GREATER] = {GOAL_GREATER, GOAL_LESS_EQUAL},
        [REGO_REL_GREATER_EQUAL] = {GOAL_GREATER_EQUAL, GOAL_LESS},
        [REGO_REL_IN] = {GOAL_MEMBER, GOAL_STRANGER},
        [REGO_REL_NOT] = {GOAL_NONE,
                          GOAL_NONE}, /* of a negation: nothing that one operation does */
    };
    bool negated = t->relation == REGO_REL_NOT;
    enum rego_relation r = negated ? t->inner : t->relation;
    return t->held == negated ? goals[r].goal : goals[r].opposite;
}

/* The text after this one in order, or one before it. */
static value text_beside(struct arena *a, struct str text, int step)
{
    if (step > 0)
        return value_string(a, arena_format(a, "%.*s0", STR_ARG(text)));
    if (text.len == 0)
        return VALUE_UNDEFINED; /* nothing is before the empty text */
    size_t n = text.len - 1;
    while (n > 0 && ((uint8_t)text.ptr[n] & 0xc0) == 0x80)
        n--;
    return value_string(a, str_slice(text, 0, n));
}

/* What a side has to be so that the comparison holds with the other as it is. */
static value fitting(struct arena *a, enum goal goal, value other, bool change_left)
{
    int step = goal == GOAL_LESS ? -1 : goal == GOAL_GREATER ? 1 : 0;
    if (!change_left)
        step = -step;
    if (step == 0)
        return other;
    if (value_is_string(other))
        return text_beside(a, value_str(other), step);
    value next;
    if (value_kind(other) != VALUE_KIND_NUMBER ||
        number_add(a, other, value_small_int(step), &next, NULL) != OK)
        return VALUE_UNDEFINED;
    return next;
}

/* Something of the same kind that is neither `v` nor in `collection`. */
static value different(struct arena *a, value v, value collection)
{
    value other = VALUE_UNDEFINED;
    if (value_kind(v) == VALUE_KIND_BOOLEAN) {
        other = value_bool(!value_is_true(v));
    } else if (value_is_string(v)) {
        other = value_cstring(a, "");
        if (value_equal(other, v) || collection_has(collection, other))
            other = value_cstring(a, "other");
    } else if (value_kind(v) == VALUE_KIND_NUMBER) {
        other = v;
        for (size_t i = 0; i <= value_len(collection); i++) {
            if (number_add(a, other, value_small_int(1), &other, NULL) != OK)
                return VALUE_UNDEFINED;
            if (!collection_has(collection, other))
                break;
        }
    }
    return value_equal(other, v) || collection_has(collection, other) ? VALUE_UNDEFINED : other;
}

/* ---- from an expression to operations ---- */

/* Texts and numbers: of a truth value there is only one other. */
static void propose_other(struct candidates *c, struct str path, value v, value collection)
{
    size_t before = c->len;
    propose_value(c, path, different(c->a, v, collection));
    if (c->len > before)
        c->items[before].any_other = value_kind(v) != VALUE_KIND_BOOLEAN;
}

/*
 * `some v in query_reference_value("pcr08"); v == input.tpm.pcr08`: the list learns a value; none
 * that others need is taken from it.
 */
static void propose_to_list(struct candidates *c, struct str path, value val)
{
    struct str list = parent_of(path);
    bool any = list_of(path).len < path.len, missing = !value_is_defined(look(c->d, list));
    if (reference_name(c->a, list).ptr != NULL &&
        (value_is_array(look(c->d, list)) || (any && missing)))
        propose_items(c, list, &val, 1);
}

/* The side that is preferred to change is tried first, then the other. */
static void for_comparison(struct candidates *c, enum goal goal, const struct tried *t)
{
    bool left_first = place_of(t->left_path) <= place_of(t->right_path);
    for (int i = 0; i < 2; i++) {
        bool left = left_first == (i == 0);
        value other = left ? t->right : t->left;
        struct str path = left ? t->left_path : t->right_path;
        if (!value_is_defined(other))
            continue;
        if (goal == GOAL_DIFFERENT) {
            propose_other(c, path, other, VALUE_UNDEFINED);
            continue;
        }
        if (goal == GOAL_EQUAL)
            propose_to_list(c, path, other);
        propose_value(c, path, fitting(c->a, goal, other, left));
    }
}

/* `some v in query_reference_value("x")` over nothing. */
static void propose_begin(struct candidates *c, struct str path)
{
    struct str list = list_of(path), name = reference_name(c->a, list);
    if (list.len == path.len || name.ptr == NULL)
        return;
    if (!value_is_defined(look(c->d, list)))
        propose_value(c, list, stored(c, name));
    size_t before = c->len;
    value nothing = VALUE_NULL;
    propose_items(c, list, &nothing, 1);
    if (c->len > before)
        c->items[before].seed = true;
}

/* The list that the right side is, or that it was made of. */
static struct str list_path(const struct tried *t)
{
    return t->whole_path.len > 0 ? t->whole_path : t->right_path;
}

static value members(const struct candidates *c, const struct tried *t)
{
    return value_is_defined(t->right) ? t->right : look(c->d, list_path(t));
}

/* left in right: the collection learns the item; or the item becomes one of it. */
static void for_membership(struct candidates *c, const struct tried *t)
{
    value items = members(c, t);
    if (!value_is_defined(t->left))
        propose_begin(c, t->right_path);
    propose_items(c, list_path(t), &t->left, 1);
    if ((value_is_array(items) || value_kind(items) == VALUE_KIND_SET) && value_len(items) > 0)
        propose_value(c, t->left_path, value_items(items)[0]);
}

static void for_stranger(struct candidates *c, const struct tried *t)
{
    propose_removal(c, list_path(t), t->left);
    if (value_is_defined(t->left))
        propose_other(c, t->left_path, t->left, members(c, t));
}

/* An item of one that the other lacks: one learns it, or the other loses it. */
static void for_part(struct candidates *c, const struct tried *t)
{
    value *lacking = arena_new_array(c->a, value, value_len(t->part));
    size_t n = 0;
    for (size_t i = 0; lacking != NULL && i < value_len(t->part); i++)
        if (!collection_has(t->whole, value_items(t->part)[i]))
            lacking[n++] = value_items(t->part)[i];
    if (n == 0)
        return;
    bool whole_first = place_of(t->whole_path) <= place_of(t->part_path);
    if (whole_first)
        propose_items(c, t->whole_path, lacking, n);
    propose_removal(c, t->part_path, lacking[0]);
    if (!whole_first)
        propose_items(c, t->whole_path, lacking, n);
}

size_t operations_for(struct arena *a, const struct explain_subject *s, const struct documents *d,
                      const struct tried *t, struct operation out[OPERATIONS_MAX])
{
    struct candidates c = {a, s, d, out, 0};
    enum goal goal = goal_of(t);
    switch (goal) {
    case GOAL_NONE:
        break;
    case GOAL_TRUE:
        propose_value(&c, t->left_path, VALUE_TRUE);
        break;
    case GOAL_FALSE:
        if (value_is_true(t->left))
            propose_value(&c, t->left_path, VALUE_FALSE);
        else if (!is_fixed(&c, t->left_path) && value_is_defined(look(d, t->left_path)))
            propose(&c, EDIT_REMOVE, t->left_path, VALUE_UNDEFINED);
        break;
    case GOAL_MEMBER:
        for_membership(&c, t);
        break;
    case GOAL_STRANGER:
        for_stranger(&c, t);
        break;
    case GOAL_EQUAL:
        if (value_kind(t->part) == VALUE_KIND_SET) {
            for_part(&c, t);
            break;
        }
        for_comparison(&c, goal, t);
        break;
    default:
        for_comparison(&c, goal, t);
    }
    return c.len;
}

int operation_compare(const struct operation *x, const struct operation *y)
{
    /* Data and reference values stand together, before input. */
    int px = x->place == PLACE_INPUT, py = y->place == PLACE_INPUT;
    if (px != py)
        return px - py;
    int c = str_compare(x->path, y->path);
    if (c == 0)
        c = (int)x->edit - (int)y->edit;
    return c != 0 ? c : value_compare(x->val, y->val);
}

/* ---- applying ---- */

/* An array without an item. */
static value without_item(struct arena *a, value array, value item)
{
    if (!value_is_array(array))
        return VALUE_UNDEFINED;
    struct value_builder b;
    value_builder_init(&b, a, value_len(array));
    for (size_t i = 0; i < value_len(array); i++)
        if (!value_equal(value_items(array)[i], item))
            value_builder_add(&b, value_items(array)[i]);
    return value_array_finish(&b);
}

/* The index that a part of a pointer says; false: none of an array of `n`. */
static bool read_index(struct str token, size_t n, size_t *out)
{
    size_t at = 0;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9' || at > n)
            return false;
        at = at * 10 + (size_t)(token.ptr[i] - '0');
    }
    *out = at;
    return token.len > 0 && at < n;
}

static value patched(struct arena *a, value doc, struct str pointer, const struct operation *op,
                     unsigned depth);

static value patched_member(struct arena *a, value doc, struct str token, struct str rest,
                            const struct operation *op, unsigned depth)
{
    value key = value_string(a, token);
    value old = value_get(doc, key);
    if (!value_is_defined(old) && (rest.len > 0 || op->edit != EDIT_ADD))
        return VALUE_UNDEFINED;
    if (rest.len == 0 && op->edit == EDIT_REMOVE)
        return value_object_with(a, doc, key, VALUE_UNDEFINED);
    value new = patched(a, old, rest, op, depth);
    return value_is_defined(new) ? value_object_with(a, doc, key, new) : VALUE_UNDEFINED;
}

static value patched_item(struct arena *a, value doc, struct str token, struct str rest,
                          const struct operation *op, unsigned depth)
{
    size_t n = value_len(doc), at = n;
    bool append = str_is(token, "-");
    if (append ? rest.len > 0 || op->edit != EDIT_ADD : !read_index(token, n, &at))
        return VALUE_UNDEFINED;
    struct value_builder b;
    value_builder_init(&b, a, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (i == at && rest.len == 0 && op->edit == EDIT_REMOVE)
            continue;
        value_builder_add(&b, i == at ? patched(a, value_items(doc)[i], rest, op, depth)
                                      : value_items(doc)[i]);
    }
    if (append)
        value_builder_add(&b, op->val);
    return value_array_finish(&b);
}

/* `doc` with the operation done at the pointer; undefined when the pointer leads nowhere. */
static value patched(struct arena *a, value doc, struct str pointer, const struct operation *op,
                     unsigned depth)
{
    if (pointer.len == 0)
        return op->edit == EDIT_REMOVE_ITEM ? without_item(a, doc, op->val) : op->val;
    if (depth == 0)
        return VALUE_UNDEFINED;
    size_t end = str_find(pointer, '/', 1);
    struct str rest = str_from(pointer, end);
    struct str token = unescape(a, str_slice(pointer, 1, end - 1));
    if (token.ptr == NULL)
        return VALUE_UNDEFINED;
    if (value_is_object(doc))
        return patched_member(a, doc, token, rest, op, depth - 1);
    return value_is_array(doc) ? patched_item(a, doc, token, rest, op, depth - 1) : VALUE_UNDEFINED;
}

static bool operation_apply(struct arena *a, const struct operation *op, struct documents *d)
{
    struct str rest = STR_EMPTY;
    value root = patched(a, root_of(d, op->path, &rest), rest, op, VALUE_DEPTH_MAX);
    if (!value_is_defined(root))
        return false;
    if (op->place == PLACE_REFERENCE)
        d->references = root;
    else if (op->place == PLACE_DATA)
        d->data = root;
    else
        d->input = root;
    return true;
}

bool change_apply(struct arena *a, const struct documents *d, const struct change *c,
                  struct documents *out)
{
    *out = *d;
    for (size_t i = 0; i < c->len; i++)
        if (!operation_apply(a, &c->ops[i], out))
            return false;
    return true;
}

bool change_fold(struct arena *a, const struct documents *d, struct change *c, size_t i,
                 struct change *fewer)
{
    struct operation *op = &c->ops[i];
    struct documents after;
    if (op->edit != EDIT_ADD || !value_is_array(op->val) || !change_apply(a, d, c, &after))
        return false;
    value list = look(&after, op->path);
    size_t n = i + 1, old = value_len(op->val), len = value_len(list);
    if (!value_is_array(list))
        return false;
    for (size_t k = i + 1; k < c->len; k++)
        if (!is_below(c->ops[k].path, op->path))
            c->ops[n++] = c->ops[k];
    if (n == c->len)
        return false;
    c->len = n;
    op->val = list;
    *fewer = *c;
    if (len > old)
        fewer->ops[i].val = value_array(a, value_items(list) + old, len - old);
    fewer->ops[i].seed = false;
    return value_is_defined(fewer->ops[i].val);
}

/* ---- as a JSON Patch ---- */

/* An item that stands once in its array is removed by its index, another by replacing the array. */
static struct operation told_removal(struct arena *a, const struct operation *op, value array)
{
    struct operation told = *op;
    size_t count = 0, at = 0;
    for (size_t i = 0; i < value_len(array); i++)
        if (value_equal(value_items(array)[i], op->val)) {
            at = i;
            count++;
        }
    if (count == 1) {
        told.edit = EDIT_REMOVE;
        told.path = arena_format(a, "%.*s/%zu", STR_ARG(op->path), at);
    } else {
        told.edit = EDIT_REPLACE;
        told.val = without_item(a, array, op->val);
    }
    return told;
}

value change_value(struct arena *a, const struct documents *d, const struct change *c)
{
    static const char *const names[] = {
        [EDIT_ADD] = "add", [EDIT_REPLACE] = "replace", [EDIT_REMOVE] = "remove"};
    struct documents now = *d;
    struct value_builder list;
    value_builder_init(&list, a, c->len);
    for (size_t i = 0; i < c->len; i++) {
        struct operation op = c->ops[i];
        if (op.edit == EDIT_REMOVE_ITEM)
            op = told_removal(a, &op, look(&now, op.path));
        struct value_builder b;
        value_builder_init(&b, a, 3);
        value_builder_put_str(&b, "op", value_cstring(a, names[op.edit]));
        value_builder_put_str(&b, "path", value_string(a, op.path));
        /* With a removal it is what is removed: RFC 6902, 4 has readers pass over it. */
        if (value_is_defined(op.val))
            value_builder_put_str(&b, "value", value_copy(a, op.val));
        value_builder_add(&list, value_object_finish(&b, VALUE_DUP_LAST, NULL));
        if (!operation_apply(a, &op, &now))
            return VALUE_UNDEFINED;
    }
    return value_array_finish(&list);
}

value change_examples(struct arena *a, const struct change *c)
{
    struct value_builder list;
    value_builder_init(&list, a, c->len);
    size_t n = 0;
    for (size_t i = 0; i < c->len; i++)
        if (c->ops[i].any_other && ++n > 0)
            value_builder_add(&list, value_string(a, arena_str(a, c->ops[i].path)));
    return n == 0 ? VALUE_UNDEFINED : value_array_finish(&list);
}

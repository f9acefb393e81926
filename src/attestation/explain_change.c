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

/*
 * Set what is at a path: replaced where it is, added where its parent is an
 * object.  Whole members of /input are never made up: a TEE's claims cannot appear.
 */
static bool set_at(const struct explain_subject *s, const struct documents *d, struct str path,
                   value val, struct operation *out)
{
    enum place place = place_of(path);
    if (place == PLACE_NONE || !value_is_defined(val) || is_frozen(s, path))
        return false;
    bool exists = value_is_defined(look(d, path));
    if (!exists) {
        struct str parent = path;
        while (parent.len > 0 && parent.ptr[parent.len - 1] != '/')
            parent.len--;
        parent.len -= parent.len > 0;
        if (place == PLACE_INPUT && str_is(parent, "/input"))
            return false;
        if (!str_is(parent, "/reference-values") && !str_is(parent, "/data") &&
            !value_is_object(look(d, parent)))
            return false;
    }
    *out = (struct operation){!exists, path, val, place, -1};
    return true;
}

/* The stored value of an expired entry, if it has the item that is looked for. */
static value expired_with(struct arena *a, const struct explain_subject *s, struct str path,
                          value item)
{
    struct str name = reference_name(a, path);
    const struct reference_value *v = name.ptr != NULL && s->reference_values != NULL
                                          ? rvps_entry(s->reference_values, name)
                                          : NULL;
    for (size_t i = 0; v != NULL && value_is_array(v->val) && i < value_len(v->val); i++)
        if (value_equal(value_items(v->val)[i], item))
            return v->val;
    return VALUE_UNDEFINED;
}

/* left in right: the collection learns the item; failing that, the item becomes one of it. */
static bool for_membership(struct arena *a, const struct explain_subject *s,
                           const struct documents *d, const struct failed *f, struct operation *out)
{
    enum place place = place_of(f->right_path);
    bool collection = place == PLACE_REFERENCE || place == PLACE_DATA;
    if (collection && value_is_defined(f->left)) {
        if (value_is_array(f->right)) {
            struct str end = arena_format(a, "%.*s/-", STR_ARG(f->right_path));
            if (end.ptr == NULL || is_frozen(s, f->right_path) ||
                !value_is_array(look(d, f->right_path)))
                return false;
            *out = (struct operation){true, end, f->left, place, -1};
            return true;
        }
        value list = VALUE_UNDEFINED;
        if (!value_is_defined(f->right))
            list = expired_with(a, s, f->right_path, f->left);
        if (!value_is_defined(list))
            list = value_array(a, &f->left, 1);
        return set_at(s, d, f->right_path, list, out);
    }
    bool items = value_is_array(f->right) || value_kind(f->right) == VALUE_KIND_SET;
    return items && value_len(f->right) > 0 &&
           set_at(s, d, f->left_path, value_items(f->right)[0], out);
}

/* What one side has to be so that the relation holds with the other as it is. */
static value fitting(struct arena *a, enum rego_relation relation, value other, bool change_left)
{
    int step = 0;
    if (relation == REGO_REL_LESS)
        step = change_left ? -1 : 1;
    else if (relation == REGO_REL_GREATER)
        step = change_left ? 1 : -1;
    if (step == 0)
        return other;
    value next;
    if (value_kind(other) != VALUE_KIND_NUMBER ||
        number_add(a, other, value_small_int(step), &next, NULL) != OK)
        return VALUE_UNDEFINED;
    return next;
}

/* The side that is preferred to change is tried first, then the other. */
static bool for_comparison(struct arena *a, const struct explain_subject *s,
                           const struct documents *d, const struct failed *f, struct operation *out)
{
    bool left_first = place_of(f->left_path) <= place_of(f->right_path);
    for (int i = 0; i < 2; i++) {
        bool left = left_first == (i == 0);
        value other = left ? f->right : f->left;
        if (value_is_defined(other) && set_at(s, d, left ? f->left_path : f->right_path,
                                              fitting(a, f->relation, other, left), out))
            return true;
    }
    return false;
}

bool operation_for(struct arena *a, const struct explain_subject *s, const struct documents *d,
                   const struct failed *f, struct operation *out)
{
    switch (f->relation) {
    case REGO_REL_IN:
        return for_membership(a, s, d, f, out);
    case REGO_REL_EQUAL:
    case REGO_REL_LESS:
    case REGO_REL_LESS_EQUAL:
    case REGO_REL_GREATER:
    case REGO_REL_GREATER_EQUAL:
        return for_comparison(a, s, d, f, out);
    case REGO_REL_DEFINED:
        return set_at(s, d, f->left_path, VALUE_TRUE, out);
    case REGO_REL_NOT:
        return value_is_true(f->left) && set_at(s, d, f->left_path, VALUE_FALSE, out);
    case REGO_REL_NOT_EQUAL:
    case REGO_REL_OTHER:
        return false;
    }
    return false;
}

int operation_compare(const struct operation *x, const struct operation *y)
{
    /* Data and reference values stand together, before input. */
    int px = x->place == PLACE_INPUT, py = y->place == PLACE_INPUT;
    if (px != py)
        return px - py;
    int c = str_compare(x->path, y->path);
    return c != 0 ? c : value_compare(x->val, y->val);
}

/* ---- applying ---- */

/* `doc` with the value at the pointer set; undefined when the pointer leads nowhere. */
static value patched(struct arena *a, value doc, struct str pointer, const struct operation *op,
                     unsigned depth)
{
    if (pointer.len == 0)
        return op->val;
    if (depth == 0)
        return VALUE_UNDEFINED;
    size_t end = str_find(pointer, '/', 1);
    struct str rest = str_from(pointer, end);
    struct str token = unescape(a, str_slice(pointer, 1, end - 1));
    if (token.ptr == NULL)
        return VALUE_UNDEFINED;

    if (value_is_object(doc)) {
        value key = value_string(a, token);
        value old = value_get(doc, key);
        if (!value_is_defined(old) && (rest.len > 0 || !op->add))
            return VALUE_UNDEFINED;
        value new = patched(a, old, rest, op, depth - 1);
        return value_is_defined(new) ? value_object_with(a, doc, key, new) : VALUE_UNDEFINED;
    }
    if (!value_is_array(doc))
        return VALUE_UNDEFINED;

    size_t n = value_len(doc), at = n;
    if (!str_is(token, "-")) {
        at = 0;
        for (size_t i = 0; i < token.len; i++) {
            if (token.ptr[i] < '0' || token.ptr[i] > '9' || at > n)
                return VALUE_UNDEFINED;
            at = at * 10 + (size_t)(token.ptr[i] - '0');
        }
        if (at >= n)
            return VALUE_UNDEFINED;
    } else if (rest.len > 0 || !op->add) {
        return VALUE_UNDEFINED;
    }
    struct value_builder b;
    value_builder_init(&b, a, n + 1);
    for (size_t i = 0; i < n; i++)
        value_builder_add(&b, i == at ? patched(a, value_items(doc)[i], rest, op, depth - 1)
                                      : value_items(doc)[i]);
    if (at == n)
        value_builder_add(&b, op->val);
    return value_array_finish(&b);
}

bool change_apply(struct arena *a, const struct documents *d, const struct change *c,
                  struct documents *out)
{
    *out = *d;
    for (size_t i = 0; i < c->len; i++) {
        const struct operation *op = &c->ops[i];
        struct str rest = STR_EMPTY;
        value root = patched(a, root_of(out, op->path, &rest), rest, op, VALUE_DEPTH_MAX);
        if (!value_is_defined(root))
            return false;
        if (op->place == PLACE_REFERENCE)
            out->references = root;
        else if (op->place == PLACE_DATA)
            out->data = root;
        else
            out->input = root;
    }
    return true;
}

value change_value(struct arena *a, const struct change *c)
{
    struct value_builder list;
    value_builder_init(&list, a, c->len);
    for (size_t i = 0; i < c->len; i++) {
        struct value_builder b;
        value_builder_init(&b, a, 3);
        value_builder_put_str(&b, "op", value_cstring(a, c->ops[i].add ? "add" : "replace"));
        value_builder_put_str(&b, "path", value_string(a, c->ops[i].path));
        value_builder_put_str(&b, "value", value_copy(a, c->ops[i].val));
        value_builder_add(&list, value_object_finish(&b, VALUE_DUP_LAST, NULL));
    }
    return value_array_finish(&list);
}

#include "rego/template_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "rego/builtins_internal.h"

struct variable {
    struct str name;
    struct item item;
};

#define VARIABLES_MAX 400

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

struct interpreter {
    struct rego_call *call;
    struct arena *a;
    const struct template *template;
    struct str text; /* the source */
    struct buf *out;
    struct variable variables[VARIABLES_MAX];
    size_t variable_count;
    size_t scope; /* variables of the template being executed begin here */
    unsigned depth;
    const struct pipeline *at; /* for messages */
    enum rego_outcome failed;
};

static const struct item ABSENT = {.kind = ITEM_ABSENT};

static struct item data(value v)
{
    return (struct item){.kind = value_is_defined(v) ? ITEM_DATA : ITEM_ABSENT, .v = v};
}

static struct item number(int64_t n)
{
    return (struct item){.kind = ITEM_INT, .n = n};
}

/* "line:column" of a piece of the source, columns from 0, as Go counts them. */
static const char *position(struct interpreter *in, struct str at)
{
    size_t offset = at.ptr >= in->text.ptr && at.ptr <= in->text.ptr + in->text.len
                        ? (size_t)(at.ptr - in->text.ptr)
                        : 0;
    size_t line = 1;
    size_t start = 0;
    for (size_t i = 0; i < offset; i++) {
        if (in->text.ptr[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    struct str text = arena_format(in->a, "%zu:%zu", line, offset - start);
    return text.ptr == NULL ? "" : text.ptr;
}

static bool fail_at(struct interpreter *in, struct str pos, struct str at, const char *what)
{
    if (in->failed == REGO_VALUE)
        in->failed =
            rego_call_error(in->call, "template: template:%s: executing \"template\" at <%s>: %s",
                            position(in, pos), shown(in->call, at), what);
    return false;
}

static bool fail(struct interpreter *in, struct str at, const char *what)
{
    return fail_at(in, at, at, what);
}

static bool charge(struct interpreter *in, uint64_t units)
{
    if (!rego_call_charge(in->call, units) && in->failed == REGO_VALUE)
        in->failed = REGO_FATAL;
    return in->failed == REGO_VALUE;
}

/* ---- text of values, as Go's fmt prints them ---- */

static void write_value(struct buf *out, value v, bool inside)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    switch (value_kind(v)) {
    case VALUE_KIND_UNDEFINED:
    case VALUE_KIND_NULL:
        buf_add_cstr(out, inside ? "<nil>" : "<no value>");
        break;
    case VALUE_KIND_BOOLEAN:
        buf_add_cstr(out, value_is_true(v) ? "true" : "false");
        break;
    case VALUE_KIND_NUMBER:
        buf_add(out, value_number_text(v, scratch));
        break;
    case VALUE_KIND_STRING:
        buf_add(out, value_str(v));
        break;
    case VALUE_KIND_OBJECT:
        buf_add(out, STR("map["));
        for (size_t i = 0; i < value_len(v) && out->failed == OK; i++) {
            buf_add_cstr(out, i > 0 ? " " : "");
            write_value(out, value_pairs(v)[i].key, true);
            buf_add_byte(out, ':');
            write_value(out, value_pairs(v)[i].val, true);
        }
        buf_add_byte(out, ']');
        break;
    default:
        buf_add_byte(out, '[');
        for (size_t i = 0; i < value_len(v) && out->failed == OK; i++) {
            buf_add_cstr(out, i > 0 ? " " : "");
            write_value(out, value_items(v)[i], true);
        }
        buf_add_byte(out, ']');
        break;
    }
}

static void write_item(struct buf *out, const struct item *x)
{
    switch (x->kind) {
    case ITEM_INT:
        buf_add_format(out, "%lld", (long long)x->n);
        break;
    case ITEM_FLOAT:
        buf_add_format(out, "%.15g", x->f);
        break;
    case ITEM_ABSENT:
        buf_add(out, STR("<no value>"));
        break;
    default:
        write_value(out, x->v, false);
        break;
    }
}

static bool is_nil(const struct item *x)
{
    return x->kind == ITEM_ABSENT || (x->kind == ITEM_DATA && value_kind(x->v) == VALUE_KIND_NULL);
}

/* Numbers of the data are texts: "0" is as true as any other. */
static bool is_true(const struct item *x)
{
    switch (x->kind) {
    case ITEM_INT:
        return x->n != 0;
    case ITEM_FLOAT:
        return x->f != 0;
    case ITEM_ABSENT:
        return false;
    default:
        switch (value_kind(x->v)) {
        case VALUE_KIND_NULL:
            return false;
        case VALUE_KIND_BOOLEAN:
            return value_is_true(x->v);
        case VALUE_KIND_STRING:
            return value_str(x->v).len > 0;
        case VALUE_KIND_NUMBER:
            return true;
        default:
            return value_len(x->v) > 0;
        }
    }
}

/* ---- functions ---- */

#define ARGS_MAX 32

struct args {
    struct item items[ARGS_MAX];
    size_t len;
    struct str name;
    struct str at; /* source, for messages */
};

static bool text_of(struct interpreter *in, const struct item *x, struct str *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(in->call, &b);
    write_item(&b, x);
    if (b.failed != OK && in->out->failed == OK)
        in->out->failed = b.failed;
    *out = arena_str(in->a, buf_str(&b));
    if (out->ptr == NULL && in->failed == REGO_VALUE)
        in->failed = rego_call_status(in->call, arena_status(in->a), NULL);
    return out->ptr != NULL && charge(in, 1 + out->len / BYTES_PER_UNIT);
}

/* What kind of thing Go would compare: 'b'ool, 'i'nt, 'f'loat, 's'tring, 0: nothing. */
static char basic_kind(const struct item *x)
{
    if (x->kind == ITEM_INT)
        return 'i';
    if (x->kind == ITEM_FLOAT)
        return 'f';
    if (x->kind == ITEM_ABSENT)
        return 0;
    switch (value_kind(x->v)) {
    case VALUE_KIND_BOOLEAN:
        return 'b';
    case VALUE_KIND_STRING:
    case VALUE_KIND_NUMBER:
        return 's';
    default:
        return 0;
    }
}

static const char *type_name(const struct item *x)
{
    if (x->kind != ITEM_DATA)
        return x->kind == ITEM_INT ? "int" : "float64";
    return value_kind(x->v) == VALUE_KIND_NUMBER ? "json.Number"
           : value_is_string(x->v)               ? "string"
                                                 : "bool";
}

static bool fail_types(struct interpreter *in, const struct args *a, const struct item *x,
                       const struct item *y)
{
    struct str what =
        arena_format(in->a, "error calling %.*s: incompatible types for comparison: %s and %s",
                     STR_ARG(a->name), type_name(x), type_name(y));
    return fail(in, a->at, what.ptr == NULL ? "" : what.ptr);
}

static bool compare(struct interpreter *in, const struct args *a, size_t i, size_t j, bool ordered,
                    int *order)
{
    const struct item *x = &a->items[i];
    const struct item *y = &a->items[j];
    char k = basic_kind(x);
    bool null_x = is_nil(x);
    bool null_y = is_nil(y);
    if (!ordered && ((k == 0 && null_x) || (basic_kind(y) == 0 && null_y))) {
        *order = null_x && null_y && k == 0 && basic_kind(y) == 0 ? 0 : 1;
        return true;
    }
    if (k == 0 || (ordered && k == 'b'))
        return fail(in, a->at, "error calling comparison: invalid type for comparison");
    if (k != basic_kind(y))
        return fail_types(in, a, x, y);
    struct str s;
    struct str t;
    switch (k) {
    case 'i':
        *order = (x->n > y->n) - (x->n < y->n);
        return true;
    case 'f':
        *order = (x->f > y->f) - (x->f < y->f);
        return true;
    case 'b':
        *order = value_is_true(x->v) != value_is_true(y->v);
        return true;
    default:
        if (!text_of(in, x, &s) || !text_of(in, y, &t))
            return false;
        *order = str_compare(s, t);
        return true;
    }
}

static bool call_compare(struct interpreter *in, struct str name, const struct args *a,
                         struct item *out)
{
    bool eq = str_is(name, "eq");
    bool ordered = !eq && !str_is(name, "ne");
    if (a->len < 2 || (a->len > 2 && !eq))
        return fail(in, a->at, "wrong number of args for comparison");
    bool result = false;
    for (size_t i = 1; i < a->len && !result; i++) {
        int order = 0;
        if (!compare(in, a, 0, i, ordered, &order))
            return false;
        result = eq                   ? order == 0
                 : str_is(name, "ne") ? order != 0
                 : str_is(name, "lt") ? order < 0
                 : str_is(name, "le") ? order <= 0
                 : str_is(name, "gt") ? order > 0
                                      : order >= 0;
    }
    *out = data(value_bool(result));
    return true;
}

static bool call_len(struct interpreter *in, const struct args *a, struct item *out)
{
    if (a->len != 1)
        return fail(in, a->at, "wrong number of args for len: want 1");
    const struct item *x = &a->items[0];
    if (x->kind == ITEM_DATA && (value_is_string(x->v) || value_kind(x->v) == VALUE_KIND_NUMBER)) {
        struct str s;
        if (!text_of(in, x, &s))
            return false;
        *out = number((int64_t)s.len);
        return true;
    }
    if (x->kind != ITEM_DATA || value_kind(x->v) < VALUE_KIND_ARRAY)
        return fail(in, a->at, "error calling len: len of type without a length");
    *out = number((int64_t)value_len(x->v));
    return true;
}

static bool fail_index(struct interpreter *in, const struct args *a, int64_t n)
{
    struct str what =
        arena_format(in->a, "error calling index: index out of range: %lld", (long long)n);
    return fail(in, a->at, what.ptr == NULL ? "" : what.ptr);
}

static bool index_one(struct interpreter *in, const struct args *a, const struct item *key,
                      struct item *x)
{
    if (x->kind != ITEM_DATA)
        return fail(in, a->at, "error calling index: index of untyped nil");
    if (value_is_object(x->v)) {
        if (key->kind != ITEM_DATA || !value_is_string(key->v))
            return fail(in, a->at, "error calling index: value has wrong type; should be string");
        *x = data(value_get(x->v, key->v));
        return true;
    }
    if (!value_is_array(x->v) && value_kind(x->v) != VALUE_KIND_SET)
        return fail(in, a->at, "error calling index: can't index item of this type");
    if (key->kind != ITEM_INT)
        return fail(in, a->at, "error calling index: cannot index slice/array with this type");
    if (key->n < 0 || (uint64_t)key->n >= value_len(x->v))
        return fail_index(in, a, key->n);
    *x = data(value_items(x->v)[key->n]);
    return true;
}

static bool call_index(struct interpreter *in, const struct args *a, struct item *out)
{
    if (a->len < 1)
        return fail(in, a->at, "wrong number of args for index: want at least 1");
    *out = a->items[0];
    for (size_t i = 1; i < a->len; i++)
        if (!index_one(in, a, &a->items[i], out))
            return false;
    return true;
}

static bool call_slice(struct interpreter *in, const struct args *a, struct item *out)
{
    const struct item *x = &a->items[0];
    if (a->len < 1 || a->len > 3 || x->kind != ITEM_DATA)
        return fail(in, a->at, "error calling slice: bad arguments");
    bool text = value_is_string(x->v);
    size_t len = text ? value_str(x->v).len : value_len(x->v);
    size_t bounds[2] = {0, len};
    for (size_t i = 1; i < a->len; i++) {
        if (a->items[i].kind != ITEM_INT || a->items[i].n < 0 || (uint64_t)a->items[i].n > len)
            return fail(in, a->at, "error calling slice: index out of range");
        bounds[i - 1] = (size_t)a->items[i].n;
    }
    if (bounds[0] > bounds[1] || (!text && !value_is_array(x->v)))
        return fail(in, a->at, "error calling slice: invalid slice index");
    size_t n = bounds[1] - bounds[0];
    *out = data(text ? value_string(in->a, str_slice(value_str(x->v), bounds[0], n))
                     : value_array(in->a, value_items(x->v) + bounds[0], n));
    return charge(in, 1 + n / 8);
}

/* A space between two operands neither of which is a string (print), or always (println). */
static bool call_print(struct interpreter *in, const struct args *a, bool line, struct item *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(in->call, &b);
    for (size_t i = 0; i < a->len; i++) {
        bool texts =
            i > 0 && (basic_kind(&a->items[i]) == 's' || basic_kind(&a->items[i - 1]) == 's');
        if (i > 0 && (line || !texts))
            buf_add_byte(&b, ' ');
        if (is_nil(&a->items[i]))
            buf_add(&b, STR("<nil>"));
        else
            write_item(&b, &a->items[i]);
    }
    if (line)
        buf_add_byte(&b, '\n');
    if (b.failed != OK && in->out->failed == OK)
        in->out->failed = b.failed;
    *out = data(value_string(in->a, buf_str(&b)));
    return charge(in, 1 + b.len / BYTES_PER_UNIT);
}

static bool call_printf(struct interpreter *in, const struct args *a, struct item *out)
{
    if (a->len < 1 || a->items[0].kind != ITEM_DATA || !value_is_string(a->items[0].v))
        return fail(in, a->at, "wrong type for value; expected string");
    struct value_builder b;
    value_builder_init(&b, in->a, a->len);
    for (size_t i = 1; i < a->len; i++) {
        const struct item *x = &a->items[i];
        struct str s;
        if (x->kind == ITEM_INT) {
            value_builder_add(&b, value_int(in->a, x->n));
        } else if (!text_of(in, x, &s)) {
            return false;
        } else {
            value_builder_add(&b, x->kind == ITEM_FLOAT ? value_number(in->a, s)
                                                        : value_string(in->a, s));
        }
    }
    const value args[] = {a->items[0].v, value_array_finish(&b)};
    value v = VALUE_UNDEFINED;
    enum rego_outcome o = value_is_defined(args[1])
                              ? builtin_sprintf(in->call, args, &v)
                              : rego_call_status(in->call, arena_status(in->a), NULL);
    if (o != REGO_VALUE && in->failed == REGO_VALUE)
        in->failed = o;
    *out = data(v);
    return o == REGO_VALUE;
}

static void escape_html(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        const char *as = c == '<'    ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '&'  ? "&amp;"
                         : c == '"'  ? "&#34;"
                         : c == '\'' ? "&#39;"
                         : c == '\0' ? "\xef\xbf\xbd"
                                     : NULL;
        if (as != NULL)
            buf_add_cstr(b, as);
        else
            buf_add_byte(b, c);
    }
}

static bool call_escape(struct interpreter *in, struct str name, const struct args *a,
                        struct item *out)
{
    struct item joined;
    if (!call_print(in, a, false, &joined))
        return false;
    if (str_is(name, "urlquery")) {
        value v = VALUE_UNDEFINED;
        enum rego_outcome o = builtin_urlquery_encode(in->call, &joined.v, &v);
        if (o != REGO_VALUE && in->failed == REGO_VALUE)
            in->failed = o;
        *out = data(v);
        return o == REGO_VALUE;
    }
    CLEANUP(buf_done) struct buf b;
    output_init(in->call, &b);
    escape_html(&b, value_str(joined.v));
    if (b.failed != OK && in->out->failed == OK)
        in->out->failed = b.failed;
    *out = data(value_string(in->a, buf_str(&b)));
    return true;
}

static const char *const functions[] = {"and",   "or",     "not",     "len",  "index",    "slice",
                                        "print", "printf", "println", "html", "urlquery", "eq",
                                        "ne",    "lt",     "le",      "gt",   "ge"};

bool template_is_function(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (str_is(name, functions[i]))
            return true;
    return false;
}

/* `and` and `or` are evaluated by their caller, which stops early. */
static bool call_function(struct interpreter *in, struct str name, const struct args *a,
                          struct item *out)
{
    if (str_is(name, "not")) {
        if (a->len != 1)
            return fail(in, a->at, "wrong number of args for not: want 1");
        *out = data(value_bool(!is_true(&a->items[0])));
        return true;
    }
    if (str_is(name, "len"))
        return call_len(in, a, out);
    if (str_is(name, "index"))
        return call_index(in, a, out);
    if (str_is(name, "slice"))
        return call_slice(in, a, out);
    if (str_is(name, "print") || str_is(name, "println"))
        return call_print(in, a, str_is(name, "println"), out);
    if (str_is(name, "printf"))
        return call_printf(in, a, out);
    if (str_is(name, "html") || str_is(name, "urlquery"))
        return call_escape(in, name, a, out);
    return call_compare(in, name, a, out);
}

/* ---- expressions ---- */

static bool eval_pipeline(struct interpreter *in, const struct pipeline *p, const struct item *dot,
                          struct item *out);

static struct variable *find_variable(struct interpreter *in, struct str name)
{
    for (size_t i = in->variable_count; i > in->scope; i--)
        if (str_equal(in->variables[i - 1].name, name))
            return &in->variables[i - 1];
    return NULL;
}

static bool push_variable(struct interpreter *in, struct str name, struct item item)
{
    if (in->variable_count == VARIABLES_MAX)
        return fail(in, name, "too many variables");
    in->variables[in->variable_count++] = (struct variable){name, item};
    return true;
}

/* A member of nothing is nothing; of null or of a scalar it is an error. */
static bool eval_fields(struct interpreter *in, const struct operand *o, struct item *x)
{
    for (size_t i = 0; i < o->field_count && x->kind != ITEM_ABSENT; i++) {
        struct str field = o->fields[i];
        if (x->kind != ITEM_DATA || !value_is_object(x->v)) {
            struct str what =
                is_nil(x) ? arena_format(in->a, "nil pointer evaluating interface {}.%.*s",
                                         STR_ARG(field))
                          : arena_format(in->a, "can't evaluate field %.*s in type interface {}",
                                         STR_ARG(field));
            struct str pos = {field.ptr - 1, field.len + 1}; /* with its point */
            return fail_at(in, pos, o->text, what.ptr == NULL ? "" : what.ptr);
        }
        *x = data(value_get_str(x->v, field));
    }
    return true;
}

static bool eval_operand(struct interpreter *in, const struct operand *o, const struct item *dot,
                         struct item *out)
{
    struct variable *v;
    struct args none = {.len = 0, .name = o->name, .at = o->text};
    if (!charge(in, 1))
        return false;
    switch (o->kind) {
    case OPERAND_DOT:
        *out = *dot;
        break;
    case OPERAND_VARIABLE:
        v = find_variable(in, o->name);
        if (v == NULL)
            return fail(in, o->text, "undefined variable");
        *out = v->item;
        break;
    case OPERAND_CONSTANT:
        *out = o->constant;
        break;
    case OPERAND_PIPELINE:
        if (!eval_pipeline(in, o->inner, dot, out))
            return false;
        break;
    case OPERAND_FUNCTION:
        if (!call_function(in, o->name, &none, out))
            return false;
        break;
    default:
        *out = ABSENT;
        break;
    }
    return eval_fields(in, o, out);
}

/* and: the first that is false, else the last; or: the first that is true, else the last. */
static bool eval_logic(struct interpreter *in, const struct command *c, const struct item *dot,
                       const struct item *final, struct item *out)
{
    const struct operand *function = c->operands;
    bool stop_at = str_is(function->name, "or");
    if (c->operand_count < 2 && final == NULL)
        return fail(in, function->text, "wrong number of args: want at least 1");
    for (const struct operand *o = function->next; o != NULL; o = o->next) {
        if (!eval_operand(in, o, dot, out))
            return false;
        if (is_true(out) == stop_at)
            return true;
    }
    if (final != NULL)
        *out = *final;
    return true;
}

static bool eval_command(struct interpreter *in, const struct command *c, const struct item *dot,
                         const struct item *final, struct item *out)
{
    const struct operand *first = c->operands;
    if (first->kind != OPERAND_FUNCTION) {
        if (c->operand_count > 1 || final != NULL)
            return fail(in, first->text, "can't give argument to non-function");
        if (first->kind == OPERAND_NIL)
            return fail(in, first->text, "nil is not a command");
        return eval_operand(in, first, dot, out);
    }
    if (str_is(first->name, "and") || str_is(first->name, "or"))
        return eval_logic(in, c, dot, final, out);
    struct args *a = arena_new(in->a, struct args);
    if (a == NULL) {
        in->failed = rego_call_status(in->call, arena_status(in->a), NULL);
        return false;
    }
    a->at = in->at != NULL ? in->at->text : first->text;
    a->name = first->name;
    if (c->operand_count + (final != NULL) > ARGS_MAX)
        return fail(in, first->text, "too many arguments");
    for (const struct operand *o = first->next; o != NULL; o = o->next)
        if (!eval_operand(in, o, dot, &a->items[a->len++]))
            return false;
    if (final != NULL)
        a->items[a->len++] = *final;
    return call_function(in, first->name, a, out);
}

static bool eval_pipeline(struct interpreter *in, const struct pipeline *p, const struct item *dot,
                          struct item *out)
{
    in->at = p;
    struct item last = ABSENT;
    const struct item *final = NULL;
    for (const struct command *c = p->commands; c != NULL; c = c->next) {
        struct item result = ABSENT;
        if (!eval_command(in, c, dot, final, &result))
            return false;
        last = result;
        final = &last;
    }
    *out = last;
    for (size_t i = 0; i < p->variable_count; i++) {
        struct variable *v = p->assigns ? find_variable(in, p->variables[i]) : NULL;
        if (v != NULL)
            v->item = last;
        else if (!push_variable(in, p->variables[i], last))
            return false;
    }
    return true;
}

/* ---- nodes ---- */

static enum flow run_list(struct interpreter *in, const struct node *n, const struct item *dot);

static enum flow run_body(struct interpreter *in, const struct node *body, const struct item *dot)
{
    size_t scope = in->variable_count;
    enum flow f = run_list(in, body, dot);
    in->variable_count = scope;
    return f;
}

/* One round of a range; the variables were pushed by the pipeline. */
static enum flow run_round(struct interpreter *in, const struct node *n, size_t scope,
                           struct item key, struct item item)
{
    size_t count = n->pipeline->variable_count;
    if (!charge(in, 2))
        return FLOW_FAILED;
    if (count > 0 && !n->pipeline->assigns)
        in->variables[scope + count - 1].item = item;
    if (count > 1 && !n->pipeline->assigns)
        in->variables[scope].item = key;
    return run_body(in, n->body, &item);
}

static enum flow run_range(struct interpreter *in, const struct node *n, const struct item *dot)
{
    size_t scope = in->variable_count;
    struct item over = ABSENT;
    if (!eval_pipeline(in, n->pipeline, dot, &over))
        return FLOW_FAILED;
    bool container = over.kind == ITEM_DATA && value_kind(over.v) >= VALUE_KIND_ARRAY;
    bool empty = is_nil(&over);
    if (!container && !empty && over.kind != ITEM_INT) {
        fail(in, n->pipeline->text, "range can't iterate over this value");
        return FLOW_FAILED;
    }
    uint64_t len = container                             ? value_len(over.v)
                   : over.kind == ITEM_INT && over.n > 0 ? (uint64_t)over.n
                                                         : 0;
    enum flow f = FLOW_NEXT;
    for (uint64_t i = 0; i < len && f != FLOW_FAILED && f != FLOW_BREAK && in->out->failed == OK;
         i++) {
        struct item key = number((int64_t)i);
        struct item item = key;
        if (container && value_is_object(over.v)) {
            key = data(value_pairs(over.v)[i].key);
            item = data(value_pairs(over.v)[i].val);
        } else if (container) {
            item = data(value_items(over.v)[i]);
        }
        f = run_round(in, n, scope, key, item);
    }
    if (len == 0)
        f = run_body(in, n->otherwise, dot);
    in->variable_count = scope;
    return f == FLOW_BREAK || f == FLOW_CONTINUE ? FLOW_NEXT : f;
}

static enum flow run_if_or_with(struct interpreter *in, const struct node *n,
                                const struct item *dot)
{
    size_t scope = in->variable_count;
    struct item x = ABSENT;
    if (!eval_pipeline(in, n->pipeline, dot, &x))
        return FLOW_FAILED;
    bool yes = is_true(&x);
    enum flow f = yes ? run_body(in, n->body, n->kind == NODE_WITH ? &x : dot)
                      : run_body(in, n->otherwise, dot);
    in->variable_count = scope;
    return f;
}

static enum flow run_template(struct interpreter *in, const struct node *n, const struct item *dot)
{
    struct item x = ABSENT;
    if (n->pipeline != NULL && !eval_pipeline(in, n->pipeline, dot, &x))
        return FLOW_FAILED;
    const struct definition *d = in->template->definitions;
    while (d != NULL && !str_equal(d->name, n->text))
        d = d->next;
    if (d == NULL) {
        struct str what = arena_format(in->a, "template \"%.*s\" not defined", STR_ARG(n->text));
        struct str at = arena_format(in->a, "{{template \"%.*s\"}}", STR_ARG(n->text));
        fail_at(in, n->text, at, what.ptr == NULL ? "" : what.ptr);
        return FLOW_FAILED;
    }
    if (++in->depth > TEMPLATE_DEPTH_MAX) {
        fail(in, n->text, "exceeded maximum template depth");
        return FLOW_FAILED;
    }
    size_t scope = in->scope;
    size_t count = in->variable_count;
    in->scope = count;
    enum flow f = push_variable(in, STR("$"), x) ? run_list(in, d->body, &x) : FLOW_FAILED;
    in->scope = scope;
    in->variable_count = count;
    in->depth--;
    return f;
}

static enum flow run_node(struct interpreter *in, const struct node *n, const struct item *dot)
{
    struct item x = ABSENT;
    if (!charge(in, 2))
        return FLOW_FAILED;
    switch (n->kind) {
    case NODE_TEXT:
        buf_add(in->out, n->text);
        return charge(in, n->text.len / BYTES_PER_UNIT) ? FLOW_NEXT : FLOW_FAILED;
    case NODE_ACTION:
        if (!eval_pipeline(in, n->pipeline, dot, &x))
            return FLOW_FAILED;
        if (n->pipeline->variable_count == 0) {
            size_t before = in->out->len;
            write_item(in->out, &x);
            return charge(in, (in->out->len - before) / BYTES_PER_UNIT) ? FLOW_NEXT : FLOW_FAILED;
        }
        return FLOW_NEXT;
    case NODE_IF:
    case NODE_WITH:
        return run_if_or_with(in, n, dot);
    case NODE_RANGE:
        return run_range(in, n, dot);
    case NODE_TEMPLATE:
        return run_template(in, n, dot);
    default:
        return n->kind == NODE_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
    }
}

/* Recursive over blocks (bounded by the parser) and templates (bounded by depth). */
static enum flow run_list(struct interpreter *in, const struct node *n, const struct item *dot)
{
    for (; n != NULL; n = n->next) {
        enum flow f = run_node(in, n, dot);
        if (f != FLOW_NEXT)
            return f;
        if (in->out->failed != OK)
            return FLOW_FAILED;
    }
    return FLOW_NEXT;
}

enum rego_outcome template_render(struct rego_call *call, struct str text, value root,
                                  struct buf *out)
{
    struct template t;
    enum rego_outcome o;
    if (!template_parse(call, text, &t, &o))
        return o;
    struct interpreter *in = arena_new(rego_call_arena(call), struct interpreter);
    if (in == NULL)
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    *in = (struct interpreter){.call = call,
                               .a = rego_call_arena(call),
                               .template = &t,
                               .text = text,
                               .out = out,
                               .failed = REGO_VALUE};
    struct item dot = data(root);
    if (push_variable(in, STR("$"), dot))
        run_list(in, t.body, &dot);
    if (in->failed == REGO_VALUE && arena_status(in->a) != OK)
        return rego_call_status(call, arena_status(in->a), NULL);
    return in->failed;
}

/*
 * rego explain - why a query is undefined or false: each rule that was tried,
 * the expression that did not hold, both sides; and the one value of input or
 * data that, changed, would have made it hold.
 *
 * A change is only told when the query, evaluated again with it, holds.
 */
#include "regotool/regotool_internal.h"

#include "value/json.h"

#define CHANGES_MAX 1000

struct explaining {
    const struct tool_options *o;
    struct arena *arena;
    struct rego_eval params;
    struct str query;
    struct rego_limits limits;
};

/* A trace of its own: evaluating again forgets the first one. */
struct miss {
    struct str rule, file, expression, left_path, right_path;
    uint32_t row, col;
    enum rego_relation relation;
    value left, right;
};

static bool holds(value set)
{
    for (size_t i = 0; i < value_len(set); i++) {
        value es = value_get_lit(value_at(set, i), "expressions");
        bool all = true;
        for (size_t k = 0; k < value_len(es); k++)
            all &= value_get_lit(value_at(es, k), "value").word != VALUE_FALSE.word;
        if (all)
            return true;
    }
    return false;
}

static value copy(struct arena *a, value v)
{
    return value_is_defined(v) ? value_copy(a, v) : v;
}

static struct miss *keep_trace(struct explaining *x, const struct rego_ctx *ctx, size_t *len)
{
    struct rego_trace t = rego_ctx_trace(ctx);
    struct miss *out = arena_new_array(x->arena, struct miss, t.len);
    *len = out == NULL ? 0 : t.len;
    for (size_t i = 0; i < *len; i++) {
        const struct rego_trace_rule *r = &t.items[i];
        out[i] = (struct miss){
            .rule = arena_str(x->arena, r->rule),
            .file = arena_str(x->arena, r->file),
            .expression = arena_str(x->arena, r->expression),
            .left_path = arena_str(x->arena, r->left_path),
            .right_path = arena_str(x->arena, r->right_path),
            .row = r->row,
            .col = r->col,
            .relation = r->relation,
            .left = copy(x->arena, r->left),
            .right = copy(x->arena, r->right),
        };
    }
    return out;
}

/* ---- changes ---- */

static struct str next_token(struct arena *a, struct str *path)
{
    size_t end = str_find(*path, '/', 1);
    struct str raw = str_slice(*path, 1, end - 1);
    *path = str_from(*path, end);
    char *out = arena_alloc(a, raw.len + 1);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '~' && i + 1 < raw.len)
            c = raw.ptr[++i] == '1' ? '/' : '~';
        out[n++] = c;
    }
    return (struct str){out, n};
}

/* The document with another value at a pointer; objects on the way are made. */
static value replaced(struct arena *a, value v, struct str path, value to)
{
    if (path.len == 0)
        return to;
    struct str token = next_token(a, &path);
    if (token.ptr == NULL)
        return VALUE_UNDEFINED;
    if (value_is_array(v)) {
        struct value_builder b;
        value_builder_init(&b, a, value_len(v));
        char text[24];
        for (size_t i = 0; i < value_len(v); i++) {
            snprintf(text, sizeof(text), "%zu", i);
            value item = value_at(v, i);
            value_builder_add(&b, str_is(token, text) ? replaced(a, item, path, to) : item);
        }
        return value_array_finish(&b);
    }
    value inner = value_get_str(v, token);
    if (!value_is_defined(inner) && path.len > 0)
        inner = VALUE_EMPTY_OBJECT(a);
    return value_object_with(a, value_is_object(v) ? v : VALUE_EMPTY_OBJECT(a),
                             value_string(a, token), replaced(a, inner, path, to));
}

static bool try_change(struct explaining *x, struct str path, value to)
{
    struct rego_eval p = x->params;
    if (str_has_prefix(path, STR("/input")) && (path.len == 6 || path.ptr[6] == '/'))
        p.input = replaced(x->arena, p.input, str_from(path, 6), to);
    else if (str_has_prefix(path, STR("/data/")))
        p.data = replaced(x->arena, p.data, str_from(path, 5), to);
    else
        return false;
    if (!value_is_defined(p.input) && !value_is_defined(p.data))
        return false;
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&x->limits);
    p.print = NULL;
    value set = VALUE_UNDEFINED;
    return ctx != NULL && rego_eval_query(ctx, &p, x->query, &set) == OK && holds(set);
}

static value step(struct arena *a, value v, int by)
{
    int64_t n;
    return value_get_int64(v, &n) && n > INT64_MIN / 4 && n < INT64_MAX / 4 ? value_int(a, n + by)
                                                                            : VALUE_UNDEFINED;
}

/* Values for the side with a path, likeliest first; returns how many. */
static size_t candidates(struct arena *a, const struct miss *m, bool right, value out[8])
{
    value other = right ? m->left : m->right;
    value own = right ? m->right : m->left;
    size_t n = 0;
    bool less = m->relation == REGO_REL_LESS || m->relation == REGO_REL_LESS_EQUAL;
    bool greater = m->relation == REGO_REL_GREATER || m->relation == REGO_REL_GREATER_EQUAL;
    switch (m->relation) {
    case REGO_REL_EQUAL:
        out[n++] = other;
        break;
    case REGO_REL_IN:
        for (size_t i = 0; !right && i < value_len(other) && n < 8; i++)
            out[n++] = value_is_object(other) ? value_pairs(other)[i].val : value_items(other)[i];
        break;
    case REGO_REL_NOT_EQUAL:
    case REGO_REL_NOT:
        out[n++] = VALUE_FALSE;
        out[n++] = VALUE_NULL;
        break;
    case REGO_REL_DEFINED:
        out[n++] = VALUE_TRUE;
        break;
    default:
        if (less || greater) {
            out[n++] = other;
            out[n++] = step(a, other, less != right ? -1 : 1);
        } else if (own.word == VALUE_FALSE.word || !value_is_defined(own)) {
            out[n++] = VALUE_TRUE;
        }
    }
    return n;
}

/* The first change of one value that makes the query hold. */
static bool find_change(struct explaining *x, const struct miss *misses, size_t len,
                        struct str *path, value *to)
{
    size_t tried = 0;
    for (size_t i = 0; i < len; i++) {
        const struct miss *m = &misses[i];
        for (int right = 0; right < 2; right++) {
            struct str p = right ? m->right_path : m->left_path;
            value values[8];
            size_t n = p.len == 0 ? 0 : candidates(x->arena, m, right, values);
            for (size_t k = 0; k < n && tried < CHANGES_MAX; k++) {
                if (!value_is_defined(values[k]))
                    continue;
                tried++;
                if (try_change(x, p, values[k])) {
                    *path = p;
                    *to = values[k];
                    return true;
                }
            }
        }
    }
    return false;
}

/* ---- telling ---- */

static void put_side(const char *name, value v, struct str path)
{
    printf("    %s ", name);
    if (value_is_defined(v))
        tool_write_json(stdout, v, false);
    else
        fputs("undefined", stdout);
    if (path.len > 0)
        printf("   (%.*s)", STR_ARG(path));
    putchar('\n');
}

static void tell(const struct miss *misses, size_t len, bool found, struct str path, value to)
{
    for (size_t i = 0; i < len; i++) {
        const struct miss *m = &misses[i];
        printf("%.*s  %.*s:%u:%u\n    %.*s\n", STR_ARG(m->rule), STR_ARG(m->file), (unsigned)m->row,
               (unsigned)m->col, STR_ARG(m->expression));
        if (!value_is_defined(m->left) && !value_is_defined(m->right) && m->left_path.len == 0 &&
            m->right_path.len == 0)
            continue; /* a loop over nothing, a call */
        put_side("left: ", m->left, m->left_path);
        if (m->relation != REGO_REL_DEFINED && m->relation != REGO_REL_NOT)
            put_side("right:", m->right, m->right_path);
    }
    if (!found)
        return;
    fputs("would hold with ", stdout);
    printf("%.*s = ", STR_ARG(path));
    tool_write_json(stdout, to, false);
    putchar('\n');
}

static void add_side(struct json_writer *w, const char *key, value v)
{
    if (!value_is_defined(v))
        return;
    json_key(w, key);
    json_value(w, v);
}

/* As `rules` and `change` of a decision (INTERFACES.md). */
static void tell_json(const struct miss *misses, size_t len, bool result, bool found,
                      struct str path, value to)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, TOOL_FILE_MAX);
    struct json_writer w;
    json_begin(&w, &b);
    json_object_begin(&w);
    json_key(&w, "holds");
    json_bool(&w, result);
    json_key(&w, "rules");
    json_array_begin(&w);
    for (size_t i = 0; i < len; i++) {
        const struct miss *m = &misses[i];
        json_object_begin(&w);
        json_key(&w, "rule");
        json_string(&w, m->rule);
        json_key(&w, "file");
        json_string(&w, m->file);
        json_key(&w, "row");
        json_int(&w, m->row);
        json_key(&w, "col");
        json_int(&w, m->col);
        json_key(&w, "expression");
        json_string(&w, m->expression);
        add_side(&w, "left", m->left);
        add_side(&w, "right", m->right);
        json_object_end(&w);
    }
    json_array_end(&w);
    if (found) {
        json_key(&w, "change");
        json_array_begin(&w);
        json_object_begin(&w);
        json_key(&w, "op");
        json_cstring(&w, "add");
        json_key(&w, "path");
        json_string(&w, path);
        json_key(&w, "value");
        json_value(&w, to);
        json_object_end(&w);
        json_array_end(&w);
    }
    json_object_end(&w);
    if (json_finish(&w) == OK)
        tool_write_compact(stdout, buf_str(&b));
}

static int explain(struct explaining *x)
{
    CLEANUP(rego_ctx_cleanup) struct rego_ctx *ctx = rego_ctx_new(&x->limits);
    struct rego_eval p = x->params;
    p.trace = REGO_TRACE_RULES;
    value set = VALUE_UNDEFINED;
    enum status st = ctx == NULL ? ERR_NOMEM : rego_eval_query(ctx, &p, x->query, &set);
    if (st != OK) {
        struct tool_errors errors = {.len = 0};
        if (ctx != NULL)
            tool_error_rego(&errors, x->arena, rego_ctx_error(ctx));
        return tool_show_errors(x->o, &errors);
    }
    bool result = holds(set);
    size_t len;
    struct miss *misses = keep_trace(x, ctx, &len);
    struct str path = STR_EMPTY;
    value to = VALUE_UNDEFINED;
    bool found = !result && find_change(x, misses, len, &path, &to);
    if (x->o->format == FORMAT_JSON) {
        tell_json(misses, len, result, found, path, to);
    } else {
        puts(result ? "holds" : value_len(set) == 0 ? "undefined" : "false");
        if (!result)
            tell(misses, len, found, path, to);
    }
    return EXIT_DONE;
}

int tool_explain(struct tool_options *o)
{
    CLEANUP(tool_files_done) struct tool_files f;
    tool_files_init(&f);
    CLEANUP(rego_policy_cleanup) struct rego_policy *policy = NULL;
    CLEANUP(buf_done) struct buf query;
    buf_init(&query, TOOL_SOURCE_MAX);
    struct explaining x = {.o = o, .arena = &f.arena, .limits = tool_limits(o)};
    int status = tool_prepare(o, &f, &policy, &x.params, &query);
    if (status != EXIT_DONE)
        return status;
    x.query = buf_str(&query);
    return explain(&x);
}

/*
 * Queries: a body that is compiled together with the policy's modules.
 *
 * The result set is one array of {"bindings": ..., "expressions": [...]}, one
 * element a solution, made by ordinary code.
 */
#include "base/buf.h"
#include "rego/plan.h"
#include "rego/vm.h"

/* A literal whose value is shown: `f(x)` becomes f(x, v), a term t becomes t = v. */
static bool capture(struct rego_compiler *c, struct rule *r, struct expr *e, bool check)
{
    if (e->negated)
        return true;
    struct term *v = NULL;
    if (e->kind == EXPR_TERM) {
        v = scope_fresh(c, r->vars, e->pos);
        struct term *operands[2] = {e->term, v};
        e->term = ast_operator(&c->arena, "eq", operands, 2, e->pos);
        e->kind = EXPR_UNIFY;
    } else if (e->kind == EXPR_CALL) {
        const struct callee *f = e->term->callee;
        bool plain =
            f != NULL && f->has_result && f->arity >= 0 && (uint32_t)f->arity == e->term->len - 1;
        if (!plain || str_is(f->name, "eq"))
            return true;
        v = scope_fresh(c, r->vars, e->pos);
        struct term **items = arena_new_array(&c->arena, struct term *, e->term->len + 1);
        if (items == NULL || v == NULL)
            return false;
        memcpy(items, e->term->items, e->term->len * sizeof(*items));
        items[e->term->len] = v;
        struct term *call = ast_list(&c->arena, TERM_CALL, items, e->term->len + 1, e->pos);
        if (call == NULL)
            return false;
        call->callee = f;
        e->term = call;
    } else {
        return true;
    }
    if (v == NULL || e->term == NULL)
        return false;
    e->capture = v->var.id;
    e->captured = true;
    if (!check)
        return true;
    struct expr *test = ast_expr(&c->arena, EXPR_TERM, e->pos);
    if (test == NULL || (test->term = ast_var_id(&c->arena, v->var.id, e->pos)) == NULL)
        return false;
    test->generated = true;
    return ast_body_add(&c->arena, r->body, test);
}

static bool iterates_in(void *user, struct term *t)
{
    if (t->kind == TERM_REF)
        for (uint32_t i = 1; i < t->len; i++)
            *(bool *)user |= t->items[i]->kind == TERM_VAR;
    if (t->kind == TERM_CALL && t->callee != NULL)
        *(bool *)user |= t->callee->relation;
    return !*(bool *)user && t->kind < TERM_ARRAY_COMP;
}

static bool iterates(struct body *b)
{
    bool found = false;
    walk_body(b, iterates_in, &found);
    return found;
}

/* After resolve: so that calls are known. */
static void capture_all(struct rego_compiler *c, struct rule *r)
{
    uint32_t n = r->body->len;
    bool check = n > 1 || iterates(r->body);
    for (uint32_t i = 0; i < n; i++)
        if (!capture(c, r, r->body->items[i], check))
            return;
}

/* ---- planning ---- */

struct growing_operands {
    operand *items;
    uint32_t len, cap;
};

static void move_pairs(struct plan *p, const struct growing_operands *xs, operand *first)
{
    *first = new_regs(p, xs->len);
    for (uint32_t i = 0; i < xs->len && !p->failed; i++)
        emit(p, OP_MOVE, 0, (uint32_t)*first + i, xs->items[i], 0, 0);
}

static operand string_constant(struct plan *p, const char *s)
{
    return constant(p, value_cstring(p->scratch, s));
}

static bool is_shown(const struct variable *v)
{
    return !v->generated && !v->wildcard && v->name.len > 0 && v->name.ptr[0] != '$';
}

/* {"x": ..., "y": ...} of the named variables that are bound. */
static operand plan_bindings(struct plan *p, const struct rule *r)
{
    struct growing_operands xs = {0};
    for (uint32_t id = VAR_FIRST; id < r->vars->len; id++) {
        struct term var = {.kind = TERM_VAR, .var.id = id};
        if (!is_shown(&r->vars->items[id]) || !is_bound(p, &var))
            continue;
        value name = value_string(p->scratch, r->vars->items[id].name);
        PLAN_PUSH(p, xs, constant(p, name));
        PLAN_PUSH(p, xs, p->where[id]);
    }
    operand first;
    move_pairs(p, &xs, &first);
    operand object = new_reg(p);
    emit(p, OP_OBJECT, 0, object, first, xs.len / 2, 0);
    return object;
}

/* {"value": v, "text": ..., "location": {"row": r, "col": c}} */
static operand plan_expression(struct plan *p, const struct expr *e)
{
    value pairs[4];
    pairs[0] = value_cstring(p->scratch, "col");
    pairs[1] = value_small_int(e->pos.col);
    pairs[2] = value_cstring(p->scratch, "row");
    pairs[3] = value_small_int(e->pos.row);
    value location = value_object(
        p->scratch, (const struct value_pair[]){{pairs[0], pairs[1]}, {pairs[2], pairs[3]}}, 2);
    value text =
        value_string(p->scratch, str_slice(p->m->text, e->pos.off, e->pos.end - e->pos.off));
    struct growing_operands xs = {0};
    PLAN_PUSH(p, xs, string_constant(p, "value"));
    operand v = e->captured && p->where[e->capture] != OPERAND_NONE ? p->where[e->capture]
                                                                    : constant(p, VALUE_TRUE);
    PLAN_PUSH(p, xs, v);
    PLAN_PUSH(p, xs, string_constant(p, "text"));
    PLAN_PUSH(p, xs, constant(p, text));
    PLAN_PUSH(p, xs, string_constant(p, "location"));
    PLAN_PUSH(p, xs, constant(p, location));
    operand first;
    move_pairs(p, &xs, &first);
    operand object = new_reg(p);
    emit(p, OP_OBJECT, 0, object, first, xs.len / 2, 0);
    return object;
}

static int by_offset(const struct expr *a, const struct expr *b)
{
    return a->pos.off < b->pos.off ? -1 : a->pos.off > b->pos.off;
}

static operand plan_expressions(struct plan *p, const struct rule *r)
{
    /* In source order, which reordering may have changed. */
    struct {
        const struct expr **items;
        uint32_t len, cap;
    } shown = {0};
    for (uint32_t i = 0; i < r->body->len; i++)
        if (!r->body->items[i]->generated)
            PLAN_PUSH(p, shown, r->body->items[i]);
    for (uint32_t i = 1; i < shown.len && !p->failed; i++) {
        const struct expr *e = shown.items[i];
        uint32_t k = i;
        for (; k > 0 && by_offset(shown.items[k - 1], e) > 0; k--)
            shown.items[k] = shown.items[k - 1];
        shown.items[k] = e;
    }
    struct growing_operands xs = {0};
    for (uint32_t i = 0; i < shown.len && !p->failed; i++)
        PLAN_PUSH(p, xs, plan_expression(p, shown.items[i]));
    operand first;
    move_pairs(p, &xs, &first);
    operand array = new_reg(p);
    emit(p, OP_ARRAY, 0, array, first, xs.len, 0);
    return array;
}

void plan_query(struct plan *p)
{
    struct rule *r = p->c->query;
    struct prog_fn *f = &p->policy->fns[p->policy->fn_count];
    plan_begin(p, 0);
    plan_start_rule(p, r);
    p->in_query = true;
    operand builder = new_reg(p);
    emit(p, OP_BUILD, 0, builder, 0, 0, 0);
    uint32_t end = new_label(p);
    p->fail = end;
    plan_body(p, r->body);
    struct growing_operands xs = {0};
    PLAN_PUSH(p, xs, string_constant(p, "bindings"));
    PLAN_PUSH(p, xs, plan_bindings(p, r));
    PLAN_PUSH(p, xs, string_constant(p, "expressions"));
    PLAN_PUSH(p, xs, plan_expressions(p, r));
    operand first;
    move_pairs(p, &xs, &first);
    operand object = new_reg(p);
    emit(p, OP_OBJECT, 0, object, first, 2, 0);
    emit(p, OP_ADD, 0, builder, object, 0, 0);
    emit(p, OP_JUMP, 0, 0, 0, 0, p->fail);
    place_label(p, end);
    emit(p, OP_FINISH, 0, builder, builder, 0, 0);
    emit(p, OP_RETURN, 0, builder, 0, 0, 0);
    p->in_query = false;
    f->name = STR("query");
    f->kind = FN_COMPLETE;
    f->by_key = FN_NONE;
    plan_end(p, f);
    p->policy->query_fn = p->policy->fn_count++;
}

/* ---- compiling ---- */

/* The package that the query's names belong to: `header`'s, or data itself. */
static struct rule *query_rule(struct rego_compiler *c, struct module *m, struct body *body,
                               const struct module *header)
{
    struct arena *a = &c->arena;
    struct term *root = ast_var_id(a, VAR_DATA, (struct pos){0});
    struct rule *r = arena_new(a, struct rule);
    if (r == NULL)
        return NULL;
    m->package =
        header == NULL ? ast_list(a, TERM_REF, &root, 1, (struct pos){0}) : header->package;
    m->imports = header == NULL ? NULL : header->imports;
    uint32_t len = m->package == NULL ? 0 : m->package->len;
    struct term **items = arena_new_array(a, struct term *, len + 1);
    if (items == NULL || m->package == NULL)
        return NULL;
    memcpy(items, m->package->items, len * sizeof(struct term *));
    items[len] = ast_string(a, STR("$query"), (struct pos){0});
    r->module = m;
    r->body = body;
    r->head.ref = ast_list(a, TERM_REF, items, len + 1, (struct pos){0});
    r->head.val = ast_value(a, VALUE_TRUE, (struct pos){0});
    r->ground_len = len + 1;
    m->rules = r;
    return r->head.ref == NULL || r->head.val == NULL ? NULL : r;
}

/* "package p" and imports, as a module without rules; *out stays NULL when there are none. */
static bool parse_header(struct rego_compiler *c, const struct rego_eval *params,
                         struct module **out)
{
    if (params->query_package.len == 0 && params->query_import_count == 0)
        return true;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct str package = params->query_package;
    if (str_has_prefix(package, STR("data.")))
        package = str_from(package, 5);
    /* Without a package: one that no rule is in. */
    buf_add_format(&b, "package %.*s\n", STR_ARG(package.len > 0 ? package : STR("__query__")));
    for (size_t i = 0; i < params->query_import_count; i++)
        buf_add_format(&b, "import %.*s\n", STR_ARG(params->query_imports[i]));
    struct str text =
        buf_status(&b) == OK ? arena_str(&c->arena, buf_str(&b)) : (struct str){NULL, 0};
    buf_done(&b);
    *out = text.ptr == NULL ? NULL : parse_module(c, STR_EMPTY, text, REGO_V1);
    return *out != NULL;
}

static bool may_go_on(const struct rego_compiler *c)
{
    return c->errors.total == 0 && arena_status(&c->arena) == OK;
}

/* The query's module takes part in the passes over bodies, but not in the rule tree. */
static bool run_passes(struct rego_compiler *c)
{
    struct module **end = c->modules_end;
    pass_tree(c);
    if (!may_go_on(c))
        return false;
    *end = c->query_module;
    pass_resolve(c);
    if (!may_go_on(c))
        return false;
    capture_all(c, c->query);
    *end = NULL;
    pass_conflicts(c);
    *end = c->query_module;
    if (!may_go_on(c))
        return false;
    void (*const passes[])(struct rego_compiler *) = {pass_calls, pass_metadata, pass_rewrite,
                                                      pass_safety};
    for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
        passes[i](c);
        if (!may_go_on(c))
            return false;
    }
    *end = NULL;
    pass_graph(c);
    if (c->errors.total == 0)
        pass_types(c);
    *end = c->query_module;
    return may_go_on(c);
}

static STATUS compile(struct rego_compiler *c, const struct rego_eval *params, struct str query,
                      struct rego_policy **out)
{
    const struct rego_policy *base = params->policy;
    for (uint32_t i = 0; i < base->source_count; i++) {
        const struct prog_source *s = &base->sources[i];
        enum status st = rego_compiler_add_version(c, s->file, s->text, s->version);
        if (st != OK)
            return st;
    }
    struct module *m = arena_new(&c->arena, struct module);
    if (m == NULL)
        return ERR_NOMEM;
    m->text = arena_str(&c->arena, query);
    m->file = STR_EMPTY;
    m->version = REGO_V1;
    m->not_keyword = false;
    m->imports_end = &m->imports;
    m->rules_end = &m->rules;
    struct module *header = NULL;
    struct body *body = parse_header(c, params, &header) ? parse_query_text(c, m) : NULL;
    if (body == NULL)
        return arena_status(&c->arena) != OK ? arena_status(&c->arena) : ERR_INVALID;
    c->query_module = m;
    c->module_count++;
    c->query = query_rule(c, m, body, header);
    if (c->query == NULL || !run_passes(c))
        return arena_status(&c->arena) != OK ? arena_status(&c->arena) : ERR_INVALID;
    return plan_program(c, out);
}

/* All that the compiler found; the first one is the context's error. */
static enum status keep_errors(struct rego_ctx *ctx, const struct rego_compiler *c, enum status st)
{
    struct rego_errors found = rego_compiler_errors(c);
    if (found.len == 0)
        return vm_fail(ctx, st, COMPILE_ERROR, NULL, "could not compile the query: %s",
                       status_name(st));
    struct rego_error *copies = arena_new_array(&ctx->arena, struct rego_error, found.len);
    if (copies == NULL)
        return vm_no_memory(ctx);
    for (size_t i = 0; i < found.len; i++) {
        copies[i] = found.items[i];
        copies[i].message = arena_str(&ctx->arena, found.items[i].message);
        copies[i].file = arena_str(&ctx->arena, found.items[i].file);
    }
    struct prog_pos pos = {copies[0].file, copies[0].row, copies[0].col};
    st = vm_fail(ctx, st, copies[0].code, &pos, "%.*s", STR_ARG(copies[0].message));
    ctx->errors = (struct rego_errors){copies, found.len};
    return st;
}

static bool same_query(const struct rego_ctx *ctx, const struct rego_eval *params, struct str query)
{
    return ctx->query_policy != NULL && ctx->query_of == params->policy &&
           str_equal(ctx->query_text, query) && params->query_package.len == 0 &&
           params->query_import_count == 0;
}

/* The program of policy and query; kept for the next time, if it has no package of its own. */
static STATUS query_program(struct rego_ctx *ctx, const struct rego_eval *params, struct str query)
{
    if (same_query(ctx, params, query))
        return OK;
    ctx->query_policy = rego_policy_unref(ctx->query_policy);
    struct rego_options options = params->policy->options;
    options.deadline_ns = ctx->limits.deadline_ns;
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
    if (c == NULL)
        return vm_no_memory(ctx);
    struct rego_policy *made = NULL;
    enum status st = compile(c, params, query, &made);
    if (st != OK)
        return keep_errors(ctx, c, st);
    ctx->query_policy = made;
    ctx->query_of =
        params->query_package.len == 0 && params->query_import_count == 0 ? params->policy : NULL;
    ctx->query_text = arena_str(&made->arena, query);
    if (ctx->query_text.ptr == NULL) {
        ctx->query_policy = rego_policy_unref(ctx->query_policy);
        return vm_no_memory(ctx);
    }
    return OK;
}

STATUS rego_prepare_query(struct rego_ctx *ctx, const struct rego_eval *params, struct str query,
                          struct rego_policy **out)
{
    rego_ctx_begin(ctx, params);
    ctx->query_prepared = false;
    enum status st = query_program(ctx, params, query);
    if (st != OK)
        return st;
    ctx->query_prepared = true;
    *out = ctx->query_policy;
    return OK;
}

STATUS rego_eval_query(struct rego_ctx *ctx, const struct rego_eval *params, struct str query,
                       value *out)
{
    rego_ctx_begin(ctx, params);
    enum status st = OK;
    if (!ctx->query_prepared || !str_equal(ctx->query_text, query))
        st = query_program(ctx, params, query);
    ctx->query_prepared = false;
    if (st != OK)
        return st;
    struct rego_eval own = *params;
    own.policy = ctx->query_policy;
    rego_ctx_begin(ctx, &own);
    value v = VALUE_UNDEFINED;
    st = vm_memo(ctx, own.policy->query_fn).word != 0 ? OK : vm_run(ctx, own.policy->query_fn, &v);
    if (st == OK)
        v = vm_memo(ctx, own.policy->query_fn);
    st = rego_ctx_finish(ctx, st);
    if (st == OK)
        *out = v;
    return st;
}

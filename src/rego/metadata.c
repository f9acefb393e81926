/*
 * Annotations (../shared/spec/rego.md 2.9): comment blocks that begin with
 * "# METADATA".  They are read only for rego.metadata.rule() and .chain(),
 * which become constants here.
 */
#include "rego/front.h"

#include "value/document.h"

struct metadata {
    struct rego_compiler *c;
    struct module *m;
    struct rule *rule;
    bool wanted; /* something calls rego.metadata.* */
};

static struct str comment_text(const struct module *m, const struct comment *k)
{
    struct str s = str_slice(m->text, k->pos.off, k->pos.end - k->pos.off);
    if (s.len > 0 && s.ptr[s.len - 1] == '\r')
        s.len--;
    return s;
}

static bool begins_block(const struct module *m, const struct comment *k)
{
    return k->pos.col == 1 && str_is(str_trim(str_from(comment_text(m, k), 1)), "METADATA");
}

/* The YAML of a block that begins at comment `i`; *next is the comment behind it. */
static struct str block_text(struct metadata *d, uint32_t i, uint32_t *next)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    const struct comment *k = d->m->comments;
    uint32_t n = i + 1;
    for (; n < d->m->comment_count && k[n].pos.col == 1 && k[n].pos.row == k[n - 1].pos.row + 1;
         n++) {
        struct str line = str_from(comment_text(d->m, &k[n]), 1);
        buf_add(&b, line.len > 0 && line.ptr[0] == ' ' ? str_from(line, 1) : line);
        buf_add_byte(&b, '\n');
    }
    *next = n;
    return arena_str(&d->c->arena, buf_str(&b));
}

/* "Name <mail>" as {"name", "email"}, a URL as {"ref"}. */
static value expand_author(struct arena *a, value v)
{
    struct str s = value_str(v);
    if (!value_is_string(v))
        return v;
    size_t open = str_find(s, '<', 0);
    struct value_builder b;
    value_builder_init(&b, a, 2);
    struct str name = str_trim(str_slice(s, 0, open));
    if (name.len > 0)
        value_builder_put_str(&b, "name", value_string(a, name));
    if (open < s.len) {
        struct str mail = str_from(s, open + 1);
        value_builder_put_str(&b, "email",
                              value_string(a, str_slice(mail, 0, str_find(mail, '>', 0))));
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value expand_resource(struct arena *a, value v)
{
    if (!value_is_string(v))
        return v;
    struct value_builder b;
    value_builder_init(&b, a, 1);
    value_builder_put_str(&b, "ref", v);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

static value expand_list(struct arena *a, value list, value (*each)(struct arena *, value))
{
    struct value_builder b;
    value_builder_init(&b, a, value_len(list));
    for (size_t i = 0; i < value_len(list); i++)
        value_builder_add(&b, each(a, value_at(list, i)));
    return value_array_finish(&b);
}

static const char *const scopes[] = {"rule", "document", "package", "subpackages"};

static bool read_block(struct metadata *d, struct annotation *out, bool on_package)
{
    struct arena *a = &d->c->arena;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    if (str_trim(out->yaml).len == 0) {
        front_error(d->c, PARSE_ERROR, d->m, out->pos, "expected METADATA block, found whitespace");
        return false;
    }
    if (yaml_parse(a, out->yaml, &v, NULL, &err) != OK || !value_is_object(v)) {
        front_error(d->c, PARSE_ERROR, d->m, out->pos, "yaml: %s",
                    err.text[0] != '\0' ? err.text : "not a mapping");
        return false;
    }
    struct str scope = value_str(value_get_lit(v, "scope"));
    bool entrypoint = value_is_true(value_get_lit(v, "entrypoint"));
    out->scope = on_package ? SCOPE_PACKAGE : entrypoint ? SCOPE_DOCUMENT : SCOPE_RULE;
    bool known = scope.len == 0;
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        if (str_is(scope, scopes[i])) {
            out->scope = (uint32_t)i;
            known = true;
        }
    }
    if (!known) {
        front_error(d->c, PARSE_ERROR, d->m, out->pos, "invalid annotation scope '%.*s'",
                    STR_ARG(scope));
        return false;
    }
    v = value_object_with(a, v, value_cstring(a, "scope"), value_cstring(a, scopes[out->scope]));
    value authors = value_get_lit(v, "authors");
    if (value_is_array(authors))
        v = value_object_with(a, v, value_cstring(a, "authors"),
                              expand_list(a, authors, expand_author));
    value resources = value_get_lit(v, "related_resources");
    if (value_is_array(resources))
        v = value_object_with(a, v, value_cstring(a, "related_resources"),
                              expand_list(a, resources, expand_resource));
    out->parsed = v;
    return value_is_defined(v);
}

/* The statement that begins first behind a place. */
static void attach(struct metadata *d, struct annotation *n)
{
    struct module *m = d->m;
    n->on_package = m->package_pos.off > n->pos.off;
    for (struct rule *r = m->rules; r != NULL && !n->on_package; r = r->next)
        if (r->pos.off > n->pos.off && (n->rule == NULL || r->pos.off < n->rule->pos.off))
            n->rule = r;
}

static void read_module(struct metadata *d)
{
    struct module *m = d->m;
    m->annotations = arena_new_array(&d->c->arena, struct annotation, m->comment_count);
    for (uint32_t i = 0, next; m->annotations != NULL && i < m->comment_count; i = next) {
        next = i + 1;
        if (!begins_block(m, &m->comments[i]))
            continue;
        struct annotation n = {.pos = m->comments[i].pos, .parsed = VALUE_UNDEFINED};
        n.yaml = block_text(d, i, &next);
        attach(d, &n);
        if (n.yaml.ptr != NULL && read_block(d, &n, n.on_package))
            m->annotations[m->annotation_count++] = n;
    }
}

/* ---- rule() and chain() ---- */

static value path_of(struct arena *a, const struct term *ref, uint32_t len)
{
    struct value_builder b;
    value_builder_init(&b, a, len);
    for (uint32_t i = 1; i < len; i++)
        value_builder_add(&b, ref->items[i]->val);
    return value_array_finish(&b);
}

static void add_entry(struct arena *a, struct value_builder *chain, value annotations, value path)
{
    struct value_builder b;
    value_builder_init(&b, a, 2);
    if (value_is_defined(annotations))
        value_builder_put_str(&b, "annotations", annotations);
    value_builder_put_str(&b, "path", path);
    value_builder_add(chain, value_object_finish(&b, VALUE_DUP_LAST, NULL));
}

static bool same_path(const struct term *a, uint32_t a_len, const struct term *b, uint32_t b_len)
{
    if (a_len != b_len)
        return false;
    for (uint32_t i = 1; i < a_len; i++)
        if (!value_equal(a->items[i]->val, b->items[i]->val))
            return false;
    return true;
}

/* The annotations of the rule itself, nearest first. */
static value rule_annotations(const struct rule *r, size_t n)
{
    for (uint32_t i = r->module->annotation_count; i > 0; i--) {
        const struct annotation *k = &r->module->annotations[i - 1];
        if (k->rule == r && k->scope == SCOPE_RULE && n-- == 0)
            return k->parsed;
    }
    return VALUE_UNDEFINED;
}

static value document_annotations(const struct metadata *d)
{
    const struct rule *r = d->rule;
    for (const struct module *m = d->c->modules; m != NULL; m = m->next)
        for (uint32_t i = 0; i < m->annotation_count; i++) {
            const struct annotation *k = &m->annotations[i];
            if (k->scope == SCOPE_DOCUMENT && k->rule != NULL &&
                same_path(k->rule->head.ref, k->rule->ground_len, r->head.ref, r->ground_len))
                return k->parsed;
        }
    return VALUE_UNDEFINED;
}

static value package_annotations(const struct metadata *d, uint32_t len, bool subpackages)
{
    const struct term *package = d->m->package;
    for (const struct module *m = d->c->modules; m != NULL; m = m->next)
        for (uint32_t i = 0; i < m->annotation_count; i++) {
            const struct annotation *k = &m->annotations[i];
            if (k->scope == (subpackages ? SCOPE_SUBPACKAGES : SCOPE_PACKAGE) &&
                same_path(m->package, m->package->len, package, len))
                return k->parsed;
        }
    return VALUE_UNDEFINED;
}

static value chain_of(struct metadata *d)
{
    struct arena *a = &d->c->arena;
    struct value_builder chain;
    value_builder_init(&chain, a, 4);
    value path = path_of(a, d->rule->head.ref, d->rule->ground_len);
    value own = rule_annotations(d->rule, 0);
    add_entry(a, &chain, own, path);
    for (size_t i = 1;
         value_is_defined(own) && value_is_defined(own = rule_annotations(d->rule, i)); i++)
        add_entry(a, &chain, own, path);
    value document = document_annotations(d);
    if (value_is_defined(document))
        add_entry(a, &chain, document, path);
    value package = package_annotations(d, d->m->package->len, false);
    if (value_is_defined(package))
        add_entry(a, &chain, package, path_of(a, d->m->package, d->m->package->len));
    for (uint32_t len = d->m->package->len; len >= 1; len--) {
        value above = package_annotations(d, len, true);
        if (value_is_defined(above))
            add_entry(a, &chain, above, path_of(a, d->m->package, len));
    }
    return value_array_finish(&chain);
}

static bool is_metadata_call(const struct term *t, const char *name)
{
    return t->kind == TERM_CALL && t->len == 1 && t->callee != NULL &&
           t->callee->kind == CALLEE_BUILTIN && str_is(t->callee->name, name);
}

static bool find_calls(void *user, struct term *t)
{
    struct metadata *d = user;
    d->wanted |=
        is_metadata_call(t, "rego.metadata.rule") || is_metadata_call(t, "rego.metadata.chain");
    return !d->wanted;
}

static bool replace_calls(void *user, struct term *t)
{
    struct metadata *d = user;
    value v;
    if (is_metadata_call(t, "rego.metadata.chain")) {
        v = chain_of(d);
    } else if (is_metadata_call(t, "rego.metadata.rule")) {
        v = rule_annotations(d->rule, 0);
        if (!value_is_defined(v))
            v = VALUE_EMPTY_OBJECT(&d->c->arena);
    } else {
        return true;
    }
    t->kind = TERM_VALUE;
    t->val = v;
    return false;
}

static void each_rule(struct metadata *d, term_visitor visit)
{
    for (struct rule *r = d->m->rules; r != NULL; r = r->next) {
        d->rule = r;
        for (struct rule *b = r; b != NULL; b = b->els) {
            walk_body(b->body, visit, d);
            walk_term(b->head.key, visit, d);
            walk_term(b->head.val, visit, d);
        }
    }
}

void pass_metadata(struct rego_compiler *c)
{
    struct metadata d = {.c = c};
    for (d.m = c->modules; d.m != NULL; d.m = d.m->next)
        if (d.m != c->query_module)
            each_rule(&d, find_calls);
    if (!d.wanted)
        return;
    for (d.m = c->modules; d.m != NULL; d.m = d.m->next)
        read_module(&d);
    for (d.m = c->modules; d.m != NULL && c->errors.total == 0; d.m = d.m->next)
        if (d.m != c->query_module)
            each_rule(&d, replace_calls);
}

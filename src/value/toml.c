/*
 * toml - TOML 1.0: keys and tables.
 *
 * Headers reopen tables that came before, so the document is first read into a
 * tree of nodes and turned into values at the end.  What is a value already
 * (scalars, arrays, inline tables) can never be reopened.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "value/json_internal.h"
#include "value/toml_internal.h"

/* Parts of one dotted key; nesting of arrays and inline tables. */
#define KEY_PARTS_MAX 64
#define DEPTH_MAX 128

enum node_kind {
    NODE_VALUE,
    NODE_TABLE,
    NODE_LIST, /* [[x]]: its children are the tables, in order */
};

struct toml_node {
    enum node_kind kind;
    bool defined;    /* by a header of its own: no other may name it, no dotted key extend it */
    uint32_t dotted; /* made by a dotted key in this section: extended only there */
    struct toml_node *parent;
    struct toml_node *first;
    struct toml_node *last;
    struct toml_node *next;
    size_t len; /* number of children */
    value key;
    value val;
};

struct key {
    value parts[KEY_PARTS_MAX];
    const char *at[KEY_PARTS_MAX];
    size_t len;
};

/* ---- errors ---- */

enum status toml_fail(struct toml *t, const char *at, enum status st, const char *format, ...)
{
    if (t->err == NULL)
        return st;
    char text[ERROR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);

    uint32_t line;
    uint32_t col;
    json_position(str_bytes(t->begin, (size_t)(t->end - t->begin)), (size_t)(at - t->begin), &line,
                  &col);
    error_set_at(t->err, line, col, "%s", text);
    return st;
}

enum status toml_fail_memory(struct toml *t)
{
    enum status st = arena_status(t->arena);
    if (st == OK)
        st = arena_status(&t->scratch);
    if (st == ERR_NOMEM)
        return error_nomem(t->err);
    return toml_fail(t, t->p, st == OK ? ERR_INTERNAL : st, "text needs more memory than allowed");
}

enum status toml_fail_unexpected(struct toml *t, const char *wanted)
{
    if (t->p == t->end)
        return toml_fail(t, t->p, ERR_INVALID, "unexpected end of text, expected %s", wanted);
    uint32_t rune;
    size_t n = utf8_decode(str_bytes(t->p, (size_t)(t->end - t->p)), &rune);
    return toml_fail(t, t->p, ERR_INVALID, "unexpected \"%s\", expected %s",
                     QUOTED(str_bytes(t->p, n == 0 ? 1 : n)), wanted);
}

/* ---- the tree ---- */

static size_t slot_of(const struct toml *t, const struct toml_node *parent, value key)
{
    return (size_t)hash_mix((uint64_t)(uintptr_t)parent, value_hash(key)) & (t->n_slots - 1);
}

static struct toml_node *find_child(const struct toml *t, const struct toml_node *parent, value key)
{
    if (t->n_slots == 0)
        return NULL;
    for (size_t i = slot_of(t, parent, key); t->slots[i] != NULL; i = (i + 1) & (t->n_slots - 1))
        if (t->slots[i]->parent == parent && value_equal(t->slots[i]->key, key))
            return t->slots[i];
    return NULL;
}

static void insert(struct toml *t, struct toml_node *node)
{
    size_t i = slot_of(t, node->parent, node->key);
    while (t->slots[i] != NULL)
        i = (i + 1) & (t->n_slots - 1);
    t->slots[i] = node;
}

static bool grow_slots(struct toml *t)
{
    size_t old_n = t->n_slots;
    struct toml_node **old = t->slots;
    size_t n = old_n == 0 ? 64 : old_n * 2;
    struct toml_node **slots = arena_new_array(&t->scratch, struct toml_node *, n);
    if (slots == NULL)
        return false;
    t->slots = slots;
    t->n_slots = n;
    for (size_t i = 0; i < old_n; i++)
        if (old[i] != NULL)
            insert(t, old[i]);
    return true;
}

/* A child with a key, or the next table of a list (undefined key).  NULL: no memory. */
static struct toml_node *add_child(struct toml *t, struct toml_node *parent, enum node_kind kind,
                                   value key)
{
    if (value_is_defined(key) && t->n_nodes * 2 >= t->n_slots && !grow_slots(t))
        return NULL;
    struct toml_node *node = arena_new(&t->scratch, struct toml_node);
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->parent = parent;
    node->key = key;
    node->val = VALUE_UNDEFINED;
    if (parent->last == NULL)
        parent->first = node;
    else
        parent->last->next = node;
    parent->last = node;
    parent->len++;
    if (value_is_defined(key)) {
        insert(t, node);
        t->n_nodes++;
    }
    return node;
}

static value value_of_node(struct toml *t, const struct toml_node *node)
{
    if (node->kind == NODE_VALUE)
        return node->val;

    bool list = node->kind == NODE_LIST;
    struct value_pair *pairs = NULL;
    value *items = NULL;
    if (list)
        items = arena_new_array(&t->scratch, value, node->len);
    else
        pairs = arena_new_array(&t->scratch, struct value_pair, node->len);
    if (items == NULL && pairs == NULL)
        return VALUE_UNDEFINED;

    size_t n = 0;
    for (const struct toml_node *c = node->first; c != NULL; c = c->next, n++) {
        value v = value_of_node(t, c);
        if (!value_is_defined(v))
            return v;
        if (list)
            items[n] = v;
        else
            pairs[n] = (struct value_pair){c->key, v};
    }
    return list ? value_array(t->arena, items, n) : value_object(t->arena, pairs, n);
}

/* ---- positions ---- */

static bool record(struct toml *t, const char *at)
{
    if (t->positions == NULL)
        return true;
    line_tracker_move(&t->lines, (size_t)(at - t->begin));
    if (t->pointer.failed != OK) {
        arena_fail(t->arena, t->pointer.failed);
        return false;
    }
    return positions_add(t->positions, t->arena, buf_str(&t->pointer), t->lines.line, t->lines.col);
}

static void enter_key(struct toml *t, value key)
{
    if (t->positions != NULL)
        pointer_add_key(&t->pointer, value_str(key));
}

static void enter_index(struct toml *t, size_t index)
{
    if (t->positions != NULL)
        pointer_add_index(&t->pointer, index);
}

/* ---- white space and keys ---- */

size_t toml_newline_at(const struct toml *t, const char *p)
{
    if (p < t->end && *p == '\n')
        return 1;
    return t->end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

static void skip_blanks(struct toml *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
        t->p++;
}

static void skip_comment(struct toml *t)
{
    if (t->p < t->end && *t->p == '#')
        while (t->p < t->end && toml_is_text(*t->p))
            t->p++;
}

/* What may stand between the elements of an array. */
static void skip_lines(struct toml *t)
{
    const char *before;
    do {
        before = t->p;
        skip_blanks(t);
        skip_comment(t);
        t->p += toml_newline_at(t, t->p);
    } while (t->p != before);
}

static enum status end_line(struct toml *t)
{
    skip_blanks(t);
    skip_comment(t);
    if (t->p == t->end)
        return OK;
    size_t n = toml_newline_at(t, t->p);
    if (n == 0)
        return toml_fail_unexpected(t, "the end of the line");
    t->p += n;
    return OK;
}

static bool is_bare(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
}

static enum status read_key_part(struct toml *t, value *out)
{
    if (t->p < t->end && (*t->p == '"' || *t->p == '\''))
        return toml_read_string(t, true, out);
    const char *start = t->p;
    while (t->p < t->end && is_bare(*t->p))
        t->p++;
    if (t->p == start)
        return toml_fail_unexpected(t, "a key");
    *out = value_string(t->arena, str_bytes(start, (size_t)(t->p - start)));
    return value_is_defined(*out) ? OK : toml_fail_memory(t);
}

/* A dotted key and the blanks behind it. */
static enum status read_key(struct toml *t, struct key *k)
{
    k->len = 0;
    for (;;) {
        skip_blanks(t);
        if (k->len == KEY_PARTS_MAX)
            return toml_fail(t, t->p, ERR_LIMIT, "key has more than %d parts", KEY_PARTS_MAX);
        k->at[k->len] = t->p;
        enum status st = read_key_part(t, &k->parts[k->len]);
        if (st != OK)
            return st;
        k->len++;
        skip_blanks(t);
        if (t->p == t->end || *t->p != '.')
            return OK;
        t->p++;
    }
}

static enum status fail_key(struct toml *t, const struct key *k, size_t i, const char *why)
{
    return toml_fail(t, k->at[i], ERR_INVALID, "key \"%s\" %s", QUOTED(value_str(k->parts[i])),
                     why);
}

/* ---- values ---- */

static enum status read_value(struct toml *t, value *out);

static enum status enter_bracket(struct toml *t)
{
    if (t->depth == DEPTH_MAX)
        return toml_fail(t, t->p, ERR_LIMIT, "nested deeper than %d levels", DEPTH_MAX);
    t->depth++;
    t->p++;
    return OK;
}

/* Collects in scratch memory, for its length is not known. */
static enum status read_items(struct toml *t, struct value_builder *items)
{
    for (;;) {
        skip_lines(t);
        if (t->p < t->end && *t->p == ']')
            return OK;

        size_t outer = t->pointer.len;
        enter_index(t, items->len);
        if (!record(t, t->p))
            return toml_fail_memory(t);
        value v;
        enum status st = read_value(t, &v);
        if (st != OK)
            return st;
        t->pointer.len = outer;
        value_builder_add(items, v);
        if (items->failed)
            return toml_fail_memory(t);

        skip_lines(t);
        if (t->p == t->end || (*t->p != ',' && *t->p != ']'))
            return toml_fail_unexpected(t, "\",\" or \"]\"");
        if (*t->p == ',')
            t->p++;
    }
}

static enum status read_array(struct toml *t, value *out)
{
    enum status st = enter_bracket(t);
    if (st != OK)
        return st;
    struct value_builder items;
    value_builder_init(&items, &t->scratch, 0);
    st = read_items(t, &items);
    if (st != OK)
        return st;
    t->p++;
    t->depth--;
    *out = value_array(t->arena, items.items, items.len);
    return value_is_defined(*out) ? OK : toml_fail_memory(t);
}

static enum status read_pair(struct toml *t, struct toml_node *table, uint32_t section);

/* One line, no comma at the end (TOML 1.0). */
static enum status read_inline_table(struct toml *t, value *out)
{
    enum status st = enter_bracket(t);
    if (st != OK)
        return st;
    struct toml_node *table = arena_new(&t->scratch, struct toml_node);
    if (table == NULL)
        return toml_fail_memory(t);
    table->kind = NODE_TABLE;

    skip_blanks(t);
    bool empty = t->p < t->end && *t->p == '}';
    while (!empty) {
        st = read_pair(t, table, 1);
        if (st != OK)
            return st;
        skip_blanks(t);
        if (t->p == t->end || (*t->p != ',' && *t->p != '}'))
            return toml_fail_unexpected(t, "\",\" or \"}\"");
        if (*t->p == '}')
            break;
        t->p++;
    }
    t->p++;
    t->depth--;
    *out = value_of_node(t, table);
    return value_is_defined(*out) ? OK : toml_fail_memory(t);
}

static enum status read_value(struct toml *t, value *out)
{
    if (t->p < t->end && *t->p == '[')
        return read_array(t, out);
    if (t->p < t->end && *t->p == '{')
        return read_inline_table(t, out);
    return toml_read_scalar(t, out);
}

/* ---- key = value ---- */

/* The table of a dotted key's last part: each part before it makes or extends a table. */
static enum status walk_dotted(struct toml *t, const struct key *k, uint32_t section,
                               struct toml_node **table)
{
    for (size_t i = 0; i + 1 < k->len; i++) {
        struct toml_node *child = find_child(t, *table, k->parts[i]);
        enter_key(t, k->parts[i]);
        if (child == NULL) {
            child = add_child(t, *table, NODE_TABLE, k->parts[i]);
            if (child == NULL || !record(t, k->at[i]))
                return toml_fail_memory(t);
        } else if (child->kind != NODE_TABLE) {
            return fail_key(t, k, i, "is no table");
        } else if (child->defined || (child->dotted != 0 && child->dotted != section)) {
            return fail_key(t, k, i, "is a table that is complete already");
        }
        child->dotted = section;
        *table = child;
    }
    return OK;
}

static enum status read_pair(struct toml *t, struct toml_node *table, uint32_t section)
{
    struct key k;
    enum status st = read_key(t, &k);
    if (st != OK)
        return st;
    if (t->p == t->end || *t->p != '=')
        return toml_fail_unexpected(t, "\"=\"");
    t->p++;
    skip_blanks(t);

    size_t outer = t->pointer.len;
    st = walk_dotted(t, &k, section, &table);
    if (st != OK)
        return st;
    size_t last = k.len - 1;
    if (find_child(t, table, k.parts[last]) != NULL)
        return fail_key(t, &k, last, "is there already");
    enter_key(t, k.parts[last]);
    if (!record(t, k.at[last]))
        return toml_fail_memory(t);

    value v;
    st = read_value(t, &v);
    if (st != OK)
        return st;
    t->pointer.len = outer;
    struct toml_node *node = add_child(t, table, NODE_VALUE, k.parts[last]);
    if (node == NULL)
        return toml_fail_memory(t);
    node->val = v;
    return OK;
}

/* ---- headers ---- */

/* One step down a header's path; a list stands for its last table. */
static enum status step_down(struct toml *t, const struct key *k, size_t i,
                             struct toml_node **table)
{
    struct toml_node *child = find_child(t, *table, k->parts[i]);
    enter_key(t, k->parts[i]);
    if (child == NULL) {
        child = add_child(t, *table, NODE_TABLE, k->parts[i]);
        if (child == NULL || !record(t, k->at[i]))
            return toml_fail_memory(t);
    }
    if (child->kind == NODE_VALUE)
        return fail_key(t, k, i, "is no table");
    if (child->kind == NODE_LIST) {
        enter_index(t, child->len - 1);
        child = child->last;
    }
    *table = child;
    return OK;
}

static enum status open_table(struct toml *t, const struct key *k, struct toml_node *parent)
{
    size_t last = k->len - 1;
    struct toml_node *table = find_child(t, parent, k->parts[last]);
    enter_key(t, k->parts[last]);
    if (table == NULL) {
        table = add_child(t, parent, NODE_TABLE, k->parts[last]);
        if (table == NULL || !record(t, k->at[last]))
            return toml_fail_memory(t);
    } else if (table->kind != NODE_TABLE) {
        return fail_key(t, k, last, "is there already and no table");
    } else if (table->defined || table->dotted != 0) {
        return fail_key(t, k, last, "is a table that is there already");
    }
    table->defined = true;
    t->table = table;
    return OK;
}

static enum status open_list(struct toml *t, const struct key *k, struct toml_node *parent)
{
    size_t last = k->len - 1;
    struct toml_node *list = find_child(t, parent, k->parts[last]);
    enter_key(t, k->parts[last]);
    if (list == NULL) {
        list = add_child(t, parent, NODE_LIST, k->parts[last]);
        if (list == NULL || !record(t, k->at[last]))
            return toml_fail_memory(t);
        list->defined = true;
    } else if (list->kind != NODE_LIST) {
        return fail_key(t, k, last, "is there already and no array of tables");
    }
    enter_index(t, list->len);
    struct toml_node *table = add_child(t, list, NODE_TABLE, VALUE_UNDEFINED);
    if (table == NULL || !record(t, k->at[last]))
        return toml_fail_memory(t);
    table->defined = true;
    t->table = table;
    return OK;
}

static enum status read_header(struct toml *t)
{
    bool list = t->end - t->p >= 2 && t->p[1] == '[';
    t->p += list ? 2 : 1;
    struct key k;
    enum status st = read_key(t, &k);
    if (st != OK)
        return st;
    size_t brackets = list ? 2 : 1;
    if ((size_t)(t->end - t->p) < brackets || memcmp(t->p, "]]", brackets) != 0)
        return toml_fail_unexpected(t, list ? "\"]]\"" : "\"]\"");
    t->p += brackets;

    t->section++;
    t->pointer.len = 0;
    struct toml_node *parent = t->root;
    for (size_t i = 0; st == OK && i + 1 < k.len; i++)
        st = step_down(t, &k, i, &parent);
    if (st == OK)
        st = list ? open_list(t, &k, parent) : open_table(t, &k, parent);
    return st;
}

/* ---- the document ---- */

static enum status read_document(struct toml *t)
{
    /* The only byte-order mark is one at the start; elsewhere U+FEFF is no key and no value. */
    if (str_has_prefix(str_bytes(t->p, (size_t)(t->end - t->p)), STR("\xef\xbb\xbf")))
        t->p += 3;
    while (t->p < t->end) {
        enum status st = OK;
        skip_blanks(t);
        if (t->p < t->end && *t->p == '[')
            st = read_header(t);
        else if (t->p < t->end && *t->p != '#' && toml_newline_at(t, t->p) == 0)
            st = read_pair(t, t->table, t->section);
        if (st == OK)
            st = end_line(t);
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status check_utf8(struct toml *t)
{
    struct str text = str_bytes(t->begin, (size_t)(t->end - t->begin));
    if (utf8_is_valid(text))
        return OK;
    size_t at = 0;
    uint32_t rune;
    for (size_t n; (n = utf8_decode(str_from(text, at), &rune)) > 0;)
        at += n;
    return toml_fail(t, t->begin + at, ERR_INVALID, "text is not valid UTF-8");
}

static enum status parse(struct toml *t, value *out)
{
    enum status st = check_utf8(t);
    if (st != OK)
        return st;
    t->root = arena_new(&t->scratch, struct toml_node);
    if (t->root == NULL)
        return toml_fail_memory(t);
    t->root->kind = NODE_TABLE;
    t->root->key = VALUE_UNDEFINED;
    t->table = t->root;

    st = read_document(t);
    if (st != OK)
        return st;
    value v = value_of_node(t, t->root);
    if (!value_is_defined(v))
        return toml_fail_memory(t);
    *out = v;
    return OK;
}

static enum status parse_text(struct arena *a, struct str text, bool tagged, value *out,
                              struct positions *positions, struct error *err)
{
    struct toml t = {.arena = a, .err = err, .tagged = tagged, .positions = positions};
    t.begin = t.p = text.len == 0 ? "" : text.ptr;
    t.end = t.begin + text.len;
    t.section = 1;
    if (positions != NULL)
        *positions = (struct positions){0};
    line_tracker_init(&t.lines, text);
    buf_init(&t.pointer, a->max);
    /* The tree is larger than the values: a node for each 16-byte pair. */
    arena_init(&t.scratch, a->max > SIZE_MAX / 8 ? SIZE_MAX : a->max * 8);
    t.scratch.wipe = a->wipe;
    enum status st = parse(&t, out);
    arena_done(&t.scratch);
    buf_done(&t.pointer);
    return st;
}

enum status toml_parse(struct arena *a, struct str text, value *out, struct positions *positions,
                       struct error *err)
{
    return parse_text(a, text, false, out, positions, err);
}

enum status toml_parse_tagged(struct arena *a, struct str text, value *out, struct error *err)
{
    return parse_text(a, text, true, out, NULL, err);
}

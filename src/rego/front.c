/*
 * The compiler's interface and what its passes share: diagnostics, names,
 * variables.
 */
#include "rego/front.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rego/plan.h"

/* Trees, names and variables of one compilation; the program has an arena of its own. */
#define COMPILER_MEMORY_MAX ((size_t)1 << 30)
#define SOURCE_MAX_DEFAULT ((size_t)1 << 20)
#define MODULES_MAX 1000

/* ---- diagnostics ---- */

static void add_error(struct rego_compiler *c, struct front_errors *list, size_t max,
                      const char *code, const struct module *m, struct pos pos, const char *text)
{
    list->total++;
    if (list->len >= max)
        return;
    if (list->len == list->cap) {
        size_t cap = list->cap == 0 ? FRONT_ERRORS_MAX : list->cap * 2;
        struct rego_error *items = arena_new_array(&c->arena, struct rego_error, cap);
        if (items == NULL)
            return;
        if (list->len > 0)
            memcpy(items, list->items, list->len * sizeof(*items));
        list->items = items;
        list->cap = cap;
    }
    list->items[list->len++] = (struct rego_error){
        .code = code,
        .message = arena_str(&c->arena, str_of(text)),
        .file = m == NULL ? STR_EMPTY : m->file,
        .row = pos.row,
        .col = pos.col,
    };
}

size_t front_errors_max(const struct rego_compiler *c)
{
    return c->options.errors_max != 0 ? c->options.errors_max : FRONT_ERRORS_MAX;
}

void front_error(struct rego_compiler *c, const char *code, const struct module *m, struct pos pos,
                 const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    size_t max = front_errors_max(c);
    /* As with OPA's --max-errors, which is for what comes after parsing. */
    if (c->options.errors_max != 0 && strcmp(code, PARSE_ERROR) == 0 && max < FRONT_NOTES_MAX)
        max = FRONT_NOTES_MAX;
    add_error(c, &c->errors, max, code, m, pos, text);
}

void front_warning(struct rego_compiler *c, const struct module *m, struct pos pos,
                   const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    add_error(c, &c->warnings, FRONT_NOTES_MAX, COMPILE_ERROR, m, pos, text);
}

bool front_late(struct rego_compiler *c)
{
    if (c->late || c->options.deadline_ns == 0 || clock_monotonic_ns() < c->options.deadline_ns)
        return c->late;
    c->late = true;
    front_error(c, COMPILE_ERROR, c->modules, (struct pos){0}, "policy takes too long to compile");
    return true;
}

#define LOOK_UNITS 16384 /* a fraction of a millisecond */

bool front_work(struct rego_compiler *c, uint64_t units)
{
    if (c->work > FRONT_WORK_MAX || c->late)
        return false;
    c->work += units;
    if (c->work - c->looked > LOOK_UNITS) {
        c->looked = c->work;
        if (front_late(c))
            return false;
    }
    if (c->work <= FRONT_WORK_MAX)
        return true;
    front_error(c, COMPILE_ERROR, c->modules, (struct pos){0}, "policy is too complex to compile");
    return false;
}

void rego_error_write(struct buf *out, const struct rego_error *e)
{
    if (e->file.len > 0)
        buf_add_format(out, "%.*s:%u: ", STR_ARG(e->file), (unsigned)e->row);
    else if (e->row > 0)
        buf_add_format(out, "%u:%u: ", (unsigned)e->row, (unsigned)e->col);
    buf_add_format(out, "%s: %.*s", e->code, STR_ARG(e->message));
}

/* ---- names ---- */

static uint64_t name_hash(struct str s)
{
    return hash_bytes(s.ptr, s.len, 0x6e616d65);
}

static struct name_entry *find_name(const struct name_map *m, struct str name, uint64_t hash)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct name_entry *e = &m->slots[i];
        if (e->name.ptr == NULL || (e->hash == hash && str_equal(e->name, name)))
            return e;
    }
}

struct name_entry *name_get(const struct name_map *m, struct str name)
{
    struct name_entry *e = find_name(m, name, name_hash(name));
    return e != NULL && e->name.ptr != NULL ? e : NULL;
}

struct name_entry *name_put(struct arena *a, struct name_map *m, struct str name)
{
    if (m->len * 2 >= m->cap) {
        struct name_map bigger = {.cap = m->cap == 0 ? 16 : m->cap * 2};
        bigger.slots = arena_new_array(a, struct name_entry, bigger.cap);
        if (bigger.slots == NULL)
            return NULL;
        for (size_t i = 0; i < m->cap; i++)
            if (m->slots[i].name.ptr != NULL)
                *find_name(&bigger, m->slots[i].name, m->slots[i].hash) = m->slots[i];
        bigger.len = m->len;
        *m = bigger;
    }
    uint64_t hash = name_hash(name);
    struct name_entry *e = find_name(m, name, hash);
    if (e->name.ptr == NULL) {
        e->name = name.ptr == NULL ? STR_EMPTY : name;
        e->hash = hash;
        m->len++;
    }
    return e;
}

/* ---- variables ---- */

uint32_t scope_add(struct rego_compiler *c, struct scope_vars *s, struct str name, struct pos pos)
{
    if (s->len == 0)
        s->len = VAR_FIRST;
    if (s->len >= s->cap) {
        uint32_t cap = s->cap == 0 ? 16 : s->cap * 2;
        struct variable *items = arena_new_array(&c->arena, struct variable, cap);
        if (items == NULL)
            return VAR_FIRST; /* the arena remembers */
        if (s->cap > 0)
            memcpy(items, s->items, s->len * sizeof(*items));
        s->items = items;
        s->cap = cap;
    }
    s->items[s->len] = (struct variable){.name = name, .pos = pos};
    return s->len++;
}

struct term *scope_fresh(struct rego_compiler *c, struct scope_vars *s, struct pos pos)
{
    uint32_t id = scope_add(c, s, STR_EMPTY, pos);
    if (id < s->cap)
        s->items[id].generated = true;
    return ast_var_id(&c->arena, id, pos);
}

/* ---- the interface ---- */

struct rego_compiler *rego_compiler_new(const struct rego_options *options)
{
    struct rego_compiler *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    arena_init(&c->arena, COMPILER_MEMORY_MAX);
    c->options = options == NULL ? REGO_OPTIONS_DEFAULT : *options;
    c->modules_end = &c->modules;
    c->groups_end = &c->groups;
    return c;
}

struct rego_compiler *rego_compiler_free(struct rego_compiler *c)
{
    if (c == NULL)
        return NULL;
    arena_done(&c->arena);
    free(c);
    return NULL;
}

struct rego_errors rego_compiler_errors(const struct rego_compiler *c)
{
    return (struct rego_errors){c->errors.items, c->errors.len};
}

bool rego_compiler_had_more_errors(const struct rego_compiler *c)
{
    return c->errors.total > c->errors.len;
}

struct rego_errors rego_compiler_warnings(const struct rego_compiler *c)
{
    return (struct rego_errors){c->warnings.items, c->warnings.len};
}

static STATUS failure(const struct rego_compiler *c)
{
    return arena_status(&c->arena) != OK ? arena_status(&c->arena)
           : c->late                     ? ERR_CANCELLED
                                         : ERR_INVALID;
}

/* Something imports rego.v1: then the text means v1, whatever it parses as. */
static bool imports_v1(struct str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = str_find(text, '\n', at);
        struct str line = str_trim(str_slice(text, at, end - at));
        if (str_has_prefix(line, STR("import")) && str_is(str_trim(str_from(line, 6)), "rego.v1"))
            return true;
        at = end + 1;
    }
    return false;
}

STATUS rego_compiler_add(struct rego_compiler *c, struct str file, struct str text)
{
    return rego_compiler_add_version(c, file, text, c->options.version);
}

STATUS rego_compiler_add_version(struct rego_compiler *c, struct str file, struct str text,
                                 enum rego_version version)
{
    size_t max = c->options.source_max != 0 ? c->options.source_max : SOURCE_MAX_DEFAULT;
    if (c->finished)
        return ERR_INTERNAL;
    if (text.len > max || c->module_count >= MODULES_MAX) {
        struct module m = {.file = arena_str(&c->arena, file)};
        front_error(c, PARSE_ERROR, &m, (struct pos){0},
                    "policy is larger than %zu bytes or has too many modules", max);
        return ERR_LIMIT;
    }
    struct str own_file = arena_str(&c->arena, file);
    struct str own_text = arena_str(&c->arena, text);
    if (own_file.ptr == NULL || own_text.ptr == NULL)
        return failure(c);

    struct front_errors before = c->errors;
    struct module *m = parse_module(c, own_file, own_text, version == REGO_V0 ? REGO_V0 : REGO_V1);
    if (m == NULL && version == REGO_V1_OR_V0 && !imports_v1(text)) {
        /* S11: v1 first, then v0; the errors of v1 count when both fail. */
        struct front_errors v1 = c->errors;
        c->errors = before;
        m = parse_module(c, own_file, own_text, REGO_V0);
        if (m == NULL)
            c->errors = v1;
    }
    if (m == NULL)
        return failure(c);
    *c->modules_end = m;
    c->modules_end = &m->next;
    c->module_count++;
    return OK;
}

/* Each pass may rely on what the ones before it have checked. */
static bool run_passes(struct rego_compiler *c)
{
    void (*const passes[])(struct rego_compiler *) = {
        pass_tree,    pass_resolve, pass_conflicts, pass_calls, pass_metadata,
        pass_rewrite, pass_safety,  pass_graph,     pass_types,
    };
    for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
        passes[i](c);
        (void)front_late(c);
        if (c->errors.total > 0 || arena_status(&c->arena) != OK)
            return false;
    }
    return true;
}

STATUS rego_compiler_finish(struct rego_compiler *c, struct rego_policy **out)
{
    if (c->finished || c->errors.total > 0)
        return c->finished ? ERR_INTERNAL : ERR_INVALID;
    c->finished = true;
    if (!run_passes(c))
        return failure(c);
    enum status st = plan_program(c, out);
    return st == ERR_INVALID ? failure(c) : st;
}

STATUS rego_compile_text(struct str file, struct str text, const struct rego_options *options,
                         struct rego_policy **out, struct error *err)
{
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(options);
    if (c == NULL)
        return error_nomem(err);
    enum status st = rego_compiler_add(c, file, text);
    if (st == OK)
        st = rego_compiler_finish(c, out);
    for (size_t i = 0; c->options.warn != NULL && i < c->warnings.len; i++)
        c->options.warn(c->options.warn_user, &c->warnings.items[i]);
    if (st == OK)
        return OK;
    if (c->errors.len == 0) {
        error_set(err, "could not compile policy \"%s\": %s", QUOTED(file), status_name(st));
        return st;
    }
    const struct rego_error *e = &c->errors.items[0];
    error_set_at(err, e->row, e->col, "%.*s:%u:%u: %s: %.*s", STR_ARG(e->file), (unsigned)e->row,
                 (unsigned)e->col, e->code, STR_ARG(e->message));
    return st;
}

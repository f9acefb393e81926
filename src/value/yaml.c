/*
 * yaml - YAML as a JSON document: libyaml's events become values.
 *
 * The core schema of YAML 1.2 without what JSON has no form for or what hides
 * from the reader of a file: tags, merge keys, infinities, keys that are no
 * scalars.  Integers with leading zeros are refused, because YAML 1.1 reads
 * them as octal and 1.2 does not.
 */
#include <yaml.h>

#include <stdlib.h>

#include "value/document_internal.h"
#include "value/value_internal.h"

#define DEPTH_MAX 128
#define ANCHORS_MAX 256 /* looked up one after the other */

struct anchor {
    struct str name;
    value val;
};

struct reader {
    struct arena *arena;  /* for the result */
    struct arena scratch; /* for names and collections that are not finished */
    yaml_parser_t parser;
    yaml_event_t event; /* the present one */
    bool has_event;
    struct error *err;
    struct positions *positions;
    struct buf pointer;
    unsigned depth;
    struct anchor anchors[ANCHORS_MAX];
    size_t n_anchors;
};

/* ---- errors ---- */

#define FAIL(r, st, ...) fail_at((r), (r)->event.start_mark, (st), __VA_ARGS__)

static uint32_t one_based(size_t n)
{
    return n >= UINT32_MAX ? UINT32_MAX : (uint32_t)n + 1;
}

#define fail_at(r, mark, st, ...)                                                                  \
    (error_set_at((r)->err, one_based((mark).line), one_based((mark).column), __VA_ARGS__), (st))

static enum status fail_memory(struct reader *r)
{
    enum status st = arena_status(r->arena);
    if (st == OK)
        st = arena_status(&r->scratch);
    if (st == ERR_NOMEM)
        return error_nomem(r->err);
    return FAIL(r, st == OK ? ERR_INTERNAL : st, "text needs more memory than allowed");
}

/* What libyaml found wrong. */
static enum status fail_parser(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return error_nomem(r->err);
    const char *problem = p->problem == NULL ? "malformed text" : p->problem;
    yaml_mark_t mark = p->error == YAML_READER_ERROR ? p->mark : p->problem_mark;
    return fail_at(r, mark, ERR_INVALID, "%s", problem);
}

static enum status next_event(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->parser, &r->event) != 0;
    return r->has_event ? OK : fail_parser(r);
}

/* ---- plain scalars ---- */

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (str_is(s, *words))
            return true;
    return false;
}

static size_t count_digits(struct str s, size_t from)
{
    size_t n = 0;
    while (from + n < s.len && s.ptr[from + n] >= '0' && s.ptr[from + n] <= '9')
        n++;
    return n;
}

/*
 * [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )?
 * Written to `out` as JSON wants it: no plus, a digit on both sides of the point.
 */
static bool take_decimal(struct str s, struct buf *out, bool *leading_zero)
{
    size_t i = 0;
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        if (s.ptr[0] == '-')
            buf_add_byte(out, '-');
        i++;
    }
    size_t whole = count_digits(s, i);
    *leading_zero = whole > 1 && s.ptr[i] == '0';
    buf_add(out, whole == 0 ? STR("0") : str_slice(s, i, whole));
    i += whole;
    size_t fraction = 0;
    if (i < s.len && s.ptr[i] == '.') {
        fraction = count_digits(s, i + 1);
        buf_add_byte(out, '.');
        buf_add(out, fraction == 0 ? STR("0") : str_slice(s, i + 1, fraction));
        i += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        size_t sign = i + 1 < s.len && (s.ptr[i + 1] == '-' || s.ptr[i + 1] == '+');
        size_t digits = count_digits(s, i + 1 + sign);
        if (digits == 0)
            return false;
        buf_add(out, str_slice(s, i, 1 + sign + digits));
        i += 1 + sign + digits;
    }
    return i == s.len;
}

/* 0o17 and 0x1f, of any length that fits 64 bits. */
static bool take_based(struct str s, uint64_t *out)
{
    if (s.len < 3 || s.ptr[0] != '0' || (s.ptr[1] != 'o' && s.ptr[1] != 'x'))
        return false;
    unsigned shift = s.ptr[1] == 'o' ? 3 : 4;
    uint64_t n = 0;
    for (size_t i = 2; i < s.len; i++) {
        char c = s.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit >> shift != 0 || n >> (64 - shift) != 0)
            return false;
        n = n << shift | digit;
    }
    *out = n;
    return true;
}

static enum status read_number(struct reader *r, struct str s, value *out)
{
    uint64_t n;
    if (take_based(s, &n)) {
        *out = value_uint(r->arena, n);
        return OK;
    }
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, s.len + 8);
    bool leading_zero = false;
    bool number = take_decimal(s, &text, &leading_zero);
    if (text.failed != OK)
        return error_nomem(r->err);
    if (!number) {
        *out = value_string(r->arena, s);
        return OK;
    }
    if (leading_zero)
        return FAIL(r, ERR_INVALID, "number \"%s\" begins with zero; 0o is octal, quotes make text",
                    QUOTED(s));
    if (number_check(buf_str(&text)) != OK)
        return FAIL(r, ERR_LIMIT, "number has too many digits or too large an exponent");
    *out = value_number(r->arena, buf_str(&text));
    return OK;
}

static enum status read_plain(struct reader *r, struct str s, value *out)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const special[] = {".inf",  ".Inf",  ".INF",  "-.inf", "-.Inf",
                                          "-.INF", "+.inf", "+.Inf", "+.INF", ".nan",
                                          ".NaN",  ".NAN",  NULL};
    if (is_one_of(s, nulls))
        *out = VALUE_NULL;
    else if (is_one_of(s, trues))
        *out = VALUE_TRUE;
    else if (is_one_of(s, falses))
        *out = VALUE_FALSE;
    else if (is_one_of(s, special))
        return FAIL(r, ERR_INVALID, "\"%s\" cannot be represented", QUOTED(s));
    else if ((s.ptr[0] >= '0' && s.ptr[0] <= '9') || memchr("+-.", s.ptr[0], 3) != NULL)
        return read_number(r, s, out);
    else
        *out = value_string(r->arena, s);
    return OK;
}

static enum status read_scalar(struct reader *r, value *out)
{
    struct str s = str_bytes(r->event.data.scalar.value, r->event.data.scalar.length);
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        enum status st = read_plain(r, s, out);
        if (st != OK)
            return st;
    } else {
        *out = value_string(r->arena, s);
    }
    return value_is_defined(*out) ? OK : fail_memory(r);
}

/* ---- anchors and aliases ---- */

/* The name of the present node's anchor, which must outlive the event; empty: none. */
static enum status anchor_name(struct reader *r, struct str *out)
{
    const yaml_char_t *name = NULL;
    const yaml_char_t *tag = NULL;
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        name = r->event.data.scalar.anchor;
        tag = r->event.data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        name = r->event.data.sequence_start.anchor;
        tag = r->event.data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        name = r->event.data.mapping_start.anchor;
        tag = r->event.data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (tag != NULL)
        return FAIL(r, ERR_INVALID, "tags are not supported: \"%s\"",
                    QUOTED(str_of((const char *)tag)));
    *out = STR_EMPTY;
    if (name != NULL)
        *out = arena_str(&r->scratch, str_of((const char *)name));
    return out->ptr == NULL ? fail_memory(r) : OK;
}

static enum status keep_anchor(struct reader *r, struct str name, value v)
{
    if (name.len == 0)
        return OK;
    for (size_t i = 0; i < r->n_anchors; i++) {
        if (str_equal(r->anchors[i].name, name)) { /* YAML 1.2, 7.1: the last one counts */
            r->anchors[i].val = v;
            return OK;
        }
    }
    if (r->n_anchors == ANCHORS_MAX)
        return FAIL(r, ERR_LIMIT, "more than %d anchors", ANCHORS_MAX);
    r->anchors[r->n_anchors++] = (struct anchor){name, v};
    return OK;
}

/* A copy, so that a chain of aliases costs what it stands for and the arena's limit stops it. */
static enum status read_alias(struct reader *r, value *out)
{
    struct str name = str_of((const char *)r->event.data.alias.anchor);
    for (size_t i = 0; i < r->n_anchors; i++) {
        if (str_equal(r->anchors[i].name, name)) {
            *out = value_copy(r->arena, r->anchors[i].val);
            return value_is_defined(*out) ? OK : fail_memory(r);
        }
    }
    return FAIL(r, ERR_INVALID, "alias \"%s\" has no anchor before it", QUOTED(name));
}

/* ---- collections ---- */

static enum status read_node(struct reader *r, value *out);

static enum status record(struct reader *r, yaml_mark_t mark)
{
    if (r->positions == NULL)
        return OK;
    if (r->pointer.failed != OK)
        arena_fail(r->arena, r->pointer.failed);
    bool ok = positions_add(r->positions, r->arena, buf_str(&r->pointer), one_based(mark.line),
                            one_based(mark.column));
    return ok ? OK : fail_memory(r);
}

static enum status enter(struct reader *r)
{
    if (r->depth == DEPTH_MAX)
        return FAIL(r, ERR_LIMIT, "nested deeper than %d levels", DEPTH_MAX);
    r->depth++;
    return OK;
}

static enum status read_sequence(struct reader *r, value *out)
{
    enum status st = enter(r);
    struct value_builder items;
    value_builder_init(&items, &r->scratch, 0);
    size_t outer = r->pointer.len;
    while (st == OK) {
        st = next_event(r);
        if (st != OK || r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (r->positions != NULL)
            pointer_add_index(&r->pointer, items.len);
        st = record(r, r->event.start_mark);
        value v = VALUE_UNDEFINED;
        if (st == OK)
            st = read_node(r, &v);
        r->pointer.len = outer;
        value_builder_add(&items, v);
        if (st == OK && items.failed)
            st = fail_memory(r);
    }
    if (st != OK)
        return st;
    r->depth--;
    *out = value_array(r->arena, items.items, items.len);
    return value_is_defined(*out) ? OK : fail_memory(r);
}

/* The text of a scalar, whatever it would mean as a value: `1:` is the key "1". */
static enum status read_key(struct reader *r, value *out)
{
    struct str anchor = STR_EMPTY;
    enum status st = anchor_name(r, &anchor);
    if (st != OK)
        return st;
    if (r->event.type == YAML_ALIAS_EVENT) {
        st = read_alias(r, out);
        if (st == OK && !value_is_string(*out))
            st = FAIL(r, ERR_INVALID, "a key must be text");
        return st;
    }
    if (r->event.type != YAML_SCALAR_EVENT)
        return FAIL(r, ERR_INVALID, "a key must be text");

    struct str s = str_bytes(r->event.data.scalar.value, r->event.data.scalar.length);
    if (str_is(s, "<<") && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return FAIL(r, ERR_INVALID, "merge keys are not supported");
    *out = value_string(r->arena, s);
    return value_is_defined(*out) ? keep_anchor(r, anchor, *out) : fail_memory(r);
}

/* Key, line and column of each member, for the error about a duplicate. */
struct member {
    struct member *next;
    value key;
    yaml_mark_t mark;
};

static enum status fail_duplicate(struct reader *r, const struct member *last, value key)
{
    /* The list runs backwards, so the first match is the later one. */
    while (last != NULL && !value_equal(last->key, key))
        last = last->next;
    yaml_mark_t mark = last == NULL ? r->event.start_mark : last->mark;
    return fail_at(r, mark, ERR_INVALID, "duplicate key \"%s\"", QUOTED(value_str(key)));
}

static enum status read_member(struct reader *r, struct value_builder *pairs, struct member **last)
{
    value key = VALUE_UNDEFINED;
    yaml_mark_t mark = r->event.start_mark;
    enum status st = read_key(r, &key);
    if (st != OK)
        return st;
    struct member *m = arena_new(&r->scratch, struct member);
    if (m == NULL)
        return fail_memory(r);
    *m = (struct member){*last, key, mark};
    *last = m;

    if (r->positions != NULL)
        pointer_add_key(&r->pointer, value_str(key));
    st = record(r, mark);
    if (st == OK)
        st = next_event(r);
    value v = VALUE_UNDEFINED;
    if (st == OK)
        st = read_node(r, &v);
    if (st != OK)
        return st;
    value_builder_put(pairs, key, v);
    return pairs->failed ? fail_memory(r) : OK;
}

static enum status read_mapping(struct reader *r, value *out)
{
    enum status st = enter(r);
    struct value_builder pairs;
    value_builder_init(&pairs, &r->scratch, 0);
    struct member *last = NULL;
    size_t outer = r->pointer.len;
    while (st == OK) {
        st = next_event(r);
        if (st != OK || r->event.type == YAML_MAPPING_END_EVENT)
            break;
        st = read_member(r, &pairs, &last);
        r->pointer.len = outer;
    }
    if (st != OK)
        return st;
    r->depth--;
    value duplicate = VALUE_UNDEFINED;
    *out = value_object_from(r->arena, (const struct value_pair *)(const void *)pairs.items,
                             pairs.len / 2, VALUE_DUP_REFUSE, &duplicate);
    if (value_is_defined(*out))
        return OK;
    return value_is_defined(duplicate) ? fail_duplicate(r, last, duplicate) : fail_memory(r);
}

static enum status read_node(struct reader *r, value *out)
{
    struct str anchor = STR_EMPTY;
    enum status st = anchor_name(r, &anchor);
    if (st != OK)
        return st;
    switch (r->event.type) {
    case YAML_ALIAS_EVENT:
        return read_alias(r, out);
    case YAML_SCALAR_EVENT:
        st = read_scalar(r, out);
        break;
    case YAML_SEQUENCE_START_EVENT:
        st = read_sequence(r, out);
        break;
    case YAML_MAPPING_START_EVENT:
        st = read_mapping(r, out);
        break;
    default:
        return FAIL(r, ERR_INTERNAL, "unexpected event of the YAML parser");
    }
    return st != OK ? st : keep_anchor(r, anchor, *out);
}

/* ---- the stream ---- */

static enum status read_stream(struct reader *r, value *out)
{
    value v = VALUE_NULL;
    enum status st = next_event(r); /* the start of the stream */
    if (st == OK)
        st = next_event(r);
    if (st == OK && r->event.type == YAML_DOCUMENT_START_EVENT) {
        st = next_event(r);
        if (st == OK)
            st = read_node(r, &v);
        if (st == OK)
            st = next_event(r); /* the end of the document */
        if (st == OK)
            st = next_event(r);
    }
    if (st == OK && r->event.type != YAML_STREAM_END_EVENT)
        st = FAIL(r, ERR_INVALID, "more than one document");
    if (st == OK)
        *out = v;
    return st;
}

enum status yaml_parse(struct arena *a, struct str text, value *out, struct positions *positions,
                       struct error *err)
{
    if (positions != NULL)
        *positions = (struct positions){0};
    struct reader *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return error_nomem(err);
    r->arena = a;
    r->err = err;
    r->positions = positions;
    buf_init(&r->pointer, a->max);
    arena_init(&r->scratch, a->max > SIZE_MAX / 8 ? SIZE_MAX : a->max * 8);
    r->scratch.wipe = a->wipe;

    enum status st;
    if (yaml_parser_initialize(&r->parser) == 0) {
        st = error_nomem(err);
    } else {
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&r->parser, (const unsigned char *)text.ptr, text.len);
        st = read_stream(r, out);
        if (r->has_event)
            yaml_event_delete(&r->event);
        yaml_parser_delete(&r->parser);
    }
    arena_done(&r->scratch);
    buf_done(&r->pointer);
    free(r);
    return st;
}

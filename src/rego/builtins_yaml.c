/*
 * yaml.marshal, yaml.unmarshal, yaml.is_valid: rego.md 6.8.
 *
 * YAML here is what OPA's library makes of it: YAML 1.1 with its booleans
 * ("yes", "on"), octal integers and merge keys.  That is another language than
 * the configuration files of the value module, which refuse all of these.
 * libyaml reads and writes; what a plain scalar means is decided below.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "rego/builtins_internal.h"
#include "rego/layout.h"
#include "value/json.h"

#define DEPTH_MAX 200 /* the C stack of this reader; values could be deeper */

/* ---- what a plain scalar is ---- */

enum scalar {
    SCALAR_STRING,
    SCALAR_NULL,
    SCALAR_BOOL,
    SCALAR_INT,
    SCALAR_UINT,
    SCALAR_FLOAT,
    SCALAR_DATE
};

struct resolved {
    enum scalar kind;
    bool b;
    int64_t n;
    uint64_t u;
    double f;
};

static bool one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (str_is(s, *words))
            return true;
    return false;
}

/* Digits of a base, within 64 bits. */
static bool read_digits(struct str s, unsigned base, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_digit(s.ptr[i]);
        if (digit < 0 || (unsigned)digit >= base || __builtin_mul_overflow(*out, base, out) ||
            __builtin_add_overflow(*out, (uint64_t)digit, out))
            return false;
    }
    return s.len > 0;
}

/* Go's strconv.ParseInt(s, 0, 64) and ParseUint(): prefixes 0x, 0o, 0b, and 0 for octal. */
static bool resolve_int(struct str s, struct resolved *out)
{
    bool sign = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    bool negative = sign && s.ptr[0] == '-';
    struct str digits = str_from(s, sign);
    unsigned base = 10;
    if (digits.len > 1 && digits.ptr[0] == '0') {
        char c = (char)(digits.ptr[1] | 32);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        digits = str_from(digits, c == 'x' || c == 'b' || c == 'o' ? 2 : 1);
    }
    uint64_t u;
    if (!read_digits(digits, base, &u))
        return false;
    if (u <= INT64_MAX || (negative && u == (uint64_t)INT64_MAX + 1)) {
        out->kind = SCALAR_INT;
        out->n = negative ? (int64_t)-u : (int64_t)u;
        return true;
    }
    out->kind = SCALAR_UINT;
    out->u = u;
    return !sign;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? within the range of a double */
static bool resolve_float(struct arena *a, struct str s, struct resolved *out)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1024);
    if (s.len == 0 || !normal_number(s, &b))
        return false;
    buf_add_byte(&b, '\0');
    if (!worked(a, buf_status(&b)))
        return false;
    out->f = strtod(b.ptr, NULL);
    out->kind = SCALAR_FLOAT;
    return !isinf(out->f);
}

static bool is_date(struct str s)
{
    static const char *const layouts[] = {"2006-1-2T15:4:5.999999999Z07:00",
                                          "2006-1-2t15:4:5.999999999Z07:00",
                                          "2006-1-2 15:4:5.999999999", "2006-1-2"};
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    if (n != 4 || s.len < 5 || s.len > 64 || s.ptr[4] != '-')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        int64_t unix_s;
        int ns;
        if (layout_parse(str_of(layouts[i]), s, &unix_s, &ns, NULL) == OK)
            return true;
    }
    return false;
}

static void resolve(struct arena *a, struct str s, struct resolved *out)
{
    static const char *const yes[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON",  NULL};
    static const char *const no[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                     "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const null[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const special[] = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
                                          ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
                                          "-.Inf", "-.INF", NULL};
    *out = (struct resolved){.kind = SCALAR_STRING};
    if (one_of(s, null)) {
        out->kind = SCALAR_NULL;
    } else if (one_of(s, yes) || one_of(s, no)) {
        out->kind = SCALAR_BOOL;
        out->b = one_of(s, yes);
    } else if (one_of(s, special)) {
        out->kind = SCALAR_FLOAT;
        out->f = s.ptr[s.len - 1] == 'n' || s.ptr[s.len - 1] == 'N' ? NAN
                 : s.ptr[0] == '-'                                  ? -INFINITY
                                                                    : INFINITY;
    } else if (s.len > 0 && s.len <= 512 &&
               (strchr("+-.", s.ptr[0]) != NULL || (s.ptr[0] >= '0' && s.ptr[0] <= '9'))) {
        if (is_date(s)) {
            out->kind = SCALAR_DATE;
            return;
        }
        char plain[513]; /* underscores between digits do not count */
        size_t n = 0;
        for (size_t i = 0; i < s.len; i++)
            if (s.ptr[i] != '_' || s.ptr[0] == '.')
                plain[n++] = s.ptr[i];
        struct str text = str_bytes(plain, n);
        if (!(s.ptr[0] != '.' && resolve_int(text, out)) && !resolve_float(a, text, out))
            *out = (struct resolved){.kind = SCALAR_STRING};
    }
}

/* ---- numbers in Go's forms ---- */

/* A double as encoding/json writes it. */
static void write_json_double(char *text, size_t size, double f)
{
    int digits = 0;
    char e[40];
    do {
        digits++;
        snprintf(e, sizeof(e), "%.*e", digits - 1, f);
    } while (digits < 17 && strtod(e, NULL) != f);
    double magnitude = fabs(f);
    if (magnitude == 0 || (magnitude >= 1e-6 && magnitude < 1e21)) {
        int exponent = (int)strtol(strchr(e, 'e') + 1, NULL, 10);
        snprintf(text, size, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, f);
        return;
    }
    char *p = strchr(e, 'e'); /* e-07 is written e-7 */
    int exponent = (int)strtol(p + 1, NULL, 10);
    *p = '\0';
    snprintf(text, size, "%se%c%02d", e, exponent < 0 ? '-' : '+', abs(exponent));
    if (exponent < 0 && exponent > -10)
        snprintf(text, size, "%se-%d", e, -exponent);
}

/* A double as strconv.FormatFloat(f, 'g', -1, 64) does. */
static void write_g_double(char *text, size_t size, double f)
{
    int digits = 0;
    do {
        digits++;
        snprintf(text, size, "%.*e", digits - 1, f);
    } while (digits < 17 && strtod(text, NULL) != f);
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 6)
        return;
    snprintf(text, size, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, f);
}

/* ---- reading ---- */

struct anchor {
    struct anchor *next;
    struct str name;
    value v;
};

struct reader {
    struct rego_call *call;
    struct arena *a;
    yaml_parser_t parser;
    struct anchor *anchors;
    enum rego_outcome failed; /* REGO_VALUE: nothing failed */
};

static value read_node(struct reader *r, yaml_event_t *e, unsigned depth);

static value fail(struct reader *r, enum rego_outcome o)
{
    if (r->failed == REGO_VALUE)
        r->failed = o;
    return VALUE_UNDEFINED;
}

static value parse_error(struct reader *r)
{
    yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return fail(r, rego_call_status(r->call, ERR_NOMEM, NULL));
    const char *problem = p->problem != NULL ? p->problem : "unknown problem parsing YAML content";
    size_t line = p->problem_mark.line;
    if (line != 0)
        return fail(r, rego_call_error(r->call, "yaml: line %zu: %s",
                                       line + (p->error == YAML_SCANNER_ERROR), problem));
    return fail(r, rego_call_error(r->call, "yaml: %s", problem));
}

/* False: a failure was recorded.  The event is to be deleted by the caller. */
static bool next_event(struct reader *r, yaml_event_t *e)
{
    if (!rego_call_charge(r->call, 4)) {
        fail(r, REGO_FATAL);
        return false;
    }
    if (yaml_parser_parse(&r->parser, e) == 1)
        return true;
    parse_error(r);
    return false;
}

static void remember(struct reader *r, const yaml_char_t *name, value v)
{
    if (name == NULL || !value_is_defined(v))
        return;
    struct anchor *anchor = arena_new(r->a, struct anchor);
    struct str copy = arena_str(r->a, str_of((const char *)name));
    if (anchor == NULL || copy.ptr == NULL)
        return;
    *anchor = (struct anchor){r->anchors, copy, v};
    r->anchors = anchor;
}

static value alias(struct reader *r, const yaml_event_t *e)
{
    struct str name = str_of((const char *)e->data.alias.anchor);
    for (struct anchor *a = r->anchors; a != NULL; a = a->next) {
        if (!rego_call_charge(r->call, 1))
            return fail(r, REGO_FATAL);
        if (str_equal(a->name, name))
            return a->v;
    }
    return fail(
        r, rego_call_error(r->call, "yaml: unknown anchor '%s' referenced", shown(r->call, name)));
}

static value float_value(struct reader *r, double f)
{
    char text[400];
    if (!isfinite(f))
        return fail(r, rego_call_error(r->call, "json: unsupported value: %s",
                                       isnan(f) ? "NaN"
                                       : f > 0  ? "+Inf"
                                                : "-Inf"));
    write_json_double(text, sizeof(text), f);
    return value_number(r->a, str_of(text));
}

static value binary_value(struct reader *r, struct str s)
{
    CLEANUP(buf_done) struct buf b;
    output_init(r->call, &b);
    size_t bad = 0;
    if (!read_base64(s, &b, &bad))
        return fail(r,
                    rego_call_error(r->call, "yaml: !!binary value contains invalid base64 data"));
    value v = VALUE_UNDEFINED;
    enum rego_outcome o = give_buf(r->call, &b, &v);
    return o == REGO_VALUE ? v : fail(r, o);
}

static value resolved_value(struct reader *r, struct str s)
{
    struct resolved x;
    resolve(r->a, s, &x);
    switch (x.kind) {
    case SCALAR_NULL:
        return VALUE_NULL;
    case SCALAR_BOOL:
        return value_bool(x.b);
    case SCALAR_INT:
        return value_int(r->a, x.n);
    case SCALAR_UINT:
        return value_uint(r->a, x.u);
    case SCALAR_FLOAT:
        return float_value(r, x.f);
    default:
        return value_string(r->a, s);
    }
}

#define TAG(name) "tag:yaml.org,2002:" name

/* Other tags than these say nothing to OPA either. */
static value scalar(struct reader *r, const yaml_event_t *e)
{
    struct str s = str_bytes(e->data.scalar.value, e->data.scalar.length);
    const char *tag = (const char *)e->data.scalar.tag;
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!charge_bytes(r->call, s.len * 2))
        return fail(r, REGO_FATAL);
    if (tag == NULL)
        return plain ? resolved_value(r, s) : value_string(r->a, s);
    if (strcmp(tag, TAG("binary")) == 0)
        return binary_value(r, s);
    static const struct {
        const char *tag;
        enum scalar kinds[3];
    } tags[] = {
        {TAG("null"), {SCALAR_NULL, SCALAR_NULL, SCALAR_NULL}},
        {TAG("bool"), {SCALAR_BOOL, SCALAR_BOOL, SCALAR_BOOL}},
        {TAG("int"), {SCALAR_INT, SCALAR_UINT, SCALAR_INT}},
        {TAG("float"), {SCALAR_FLOAT, SCALAR_INT, SCALAR_UINT}},
        {TAG("timestamp"), {SCALAR_DATE, SCALAR_DATE, SCALAR_DATE}},
    };
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        struct resolved x;
        resolve(r->a, s, &x);
        if (strcmp(tag, tags[i].tag) != 0)
            continue;
        if (x.kind == tags[i].kinds[0] || x.kind == tags[i].kinds[1] || x.kind == tags[i].kinds[2])
            return resolved_value(r, s);
        return fail(r, rego_call_error(r->call, "yaml: cannot decode `%s` as a !!%s",
                                       shown(r->call, s), tag + strlen(TAG(""))));
    }
    return value_string(r->a, s);
}

static value sequence(struct reader *r, unsigned depth)
{
    struct value_builder b;
    value_builder_init(&b, r->a, 0);
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return VALUE_UNDEFINED;
        bool end = e.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            value_builder_add(&b, read_node(r, &e, depth + 1));
        yaml_event_delete(&e);
        if (r->failed != REGO_VALUE)
            return VALUE_UNDEFINED;
        if (end)
            return value_array_finish(&b);
    }
}

/* JSON has only strings for keys. */
static value key_text(struct reader *r, value key)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    switch (value_kind(key)) {
    case VALUE_KIND_STRING:
        return key;
    case VALUE_KIND_NUMBER:
        return value_string(r->a, value_number_text(key, scratch));
    case VALUE_KIND_BOOLEAN:
        return value_cstring(r->a, value_is_true(key) ? "true" : "false");
    case VALUE_KIND_UNDEFINED:
        return key;
    default:
        return fail(r, rego_call_error(r->call, "unsupported map key of type: %s",
                                       value_kind_name(value_kind(key))));
    }
}

/* "<<": the members of other mappings; of a list of them the first counts most. */
static void merge(struct reader *r, struct value_builder *b, value v)
{
    if (value_is_array(v)) {
        for (size_t i = value_len(v); i > 0; i--) {
            if (!value_is_object(value_at(v, i - 1))) {
                fail(r,
                     rego_call_error(
                         r->call, "yaml: map merge requires map or sequence of maps as the value"));
                return;
            }
            merge(r, b, value_at(v, i - 1));
        }
        return;
    }
    if (!value_is_object(v)) {
        fail(r, rego_call_error(r->call,
                                "yaml: map merge requires map or sequence of maps as the value"));
        return;
    }
    if (!rego_call_charge(r->call, value_len(v))) {
        fail(r, REGO_FATAL);
        return;
    }
    for (size_t i = 0; i < value_len(v); i++)
        value_builder_put(b, value_pairs(v)[i].key, value_pairs(v)[i].val);
}

static value mapping(struct reader *r, unsigned depth)
{
    struct value_builder b;
    value_builder_init(&b, r->a, 0);
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return VALUE_UNDEFINED;
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            return value_object_finish(&b, VALUE_DUP_LAST, NULL);
        }
        bool merges = e.type == YAML_SCALAR_EVENT &&
                      e.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                      str_is(str_bytes(e.data.scalar.value, e.data.scalar.length), "<<");
        value key = key_text(r, read_node(r, &e, depth + 1));
        yaml_event_delete(&e);
        if (r->failed != REGO_VALUE || !next_event(r, &e))
            return VALUE_UNDEFINED;
        value v = read_node(r, &e, depth + 1);
        yaml_event_delete(&e);
        if (r->failed == REGO_VALUE && merges)
            merge(r, &b, v);
        else
            value_builder_put(&b, key, v);
        if (r->failed != REGO_VALUE)
            return VALUE_UNDEFINED;
    }
}

/* Recursive, bounded by DEPTH_MAX. */
static value read_node(struct reader *r, yaml_event_t *e, unsigned depth)
{
    value v;
    if (depth > DEPTH_MAX)
        return fail(r, rego_call_error(r->call, "yaml: nested deeper than %d", DEPTH_MAX));
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return alias(r, e);
    case YAML_SCALAR_EVENT:
        v = scalar(r, e);
        remember(r, e->data.scalar.anchor, v);
        return v;
    case YAML_SEQUENCE_START_EVENT:
        v = sequence(r, depth);
        remember(r, e->data.sequence_start.anchor, v);
        return v;
    case YAML_MAPPING_START_EVENT:
        v = mapping(r, depth);
        remember(r, e->data.mapping_start.anchor, v);
        return v;
    default:
        return fail(r, rego_call_error(r->call, "yaml: unexpected event"));
    }
}

/* The first document; without one, null. */
static value read_document(struct reader *r)
{
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e))
            return VALUE_UNDEFINED;
        if (e.type == YAML_STREAM_START_EVENT || e.type == YAML_DOCUMENT_START_EVENT) {
            yaml_event_delete(&e);
            continue;
        }
        value v = e.type == YAML_STREAM_END_EVENT ? VALUE_NULL : read_node(r, &e, 0);
        yaml_event_delete(&e);
        return v;
    }
}

static enum rego_outcome read_yaml(struct rego_call *call, struct str text, value *out)
{
    struct reader r = {.call = call, .a = rego_call_arena(call), .failed = REGO_VALUE};
    if (!charge_bytes(call, text.len * 8))
        return REGO_FATAL;
    if (yaml_parser_initialize(&r.parser) != 1)
        return rego_call_status(call, ERR_NOMEM, NULL);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.ptr, text.len);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    value v = read_document(&r);
    /* an error after the first node makes the whole text malformed */
    yaml_event_t e;
    if (r.failed == REGO_VALUE && next_event(&r, &e))
        yaml_event_delete(&e);
    yaml_parser_delete(&r.parser);
    return r.failed == REGO_VALUE ? give(call, v, out) : r.failed;
}

enum rego_outcome builtin_yaml_unmarshal(struct rego_call *call, const value *args, value *out)
{
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    return read_yaml(call, text, out);
}

enum rego_outcome builtin_yaml_is_valid(struct rego_call *call, const value *args, value *out)
{
    if (!value_is_string(args[0]))
        return give_bool(false, out);
    value v;
    enum rego_outcome o = read_yaml(call, value_str(args[0]), &v);
    return o == REGO_FATAL ? o : give_bool(o == REGO_VALUE, out);
}

/* ---- writing ---- */

struct writer {
    struct rego_call *call;
    yaml_emitter_t emitter;
    struct buf *out;
    bool fatal;
    bool bad_text; /* no UTF-8, or longer than libyaml can count */
};

static int write_handler(void *user, unsigned char *bytes, size_t n)
{
    struct buf *b = user;
    buf_add(b, str_bytes(bytes, n));
    return b->failed == OK;
}

static bool emit(struct writer *w, yaml_event_t *e, int made)
{
    if (!rego_call_charge(w->call, 4))
        w->fatal = true;
    return made == 1 && yaml_emitter_emit(&w->emitter, e) == 1 && !w->fatal;
}

static bool emit_text(struct writer *w, struct str s, yaml_scalar_style_t style)
{
    yaml_event_t e;
    if (s.len > INT32_MAX || !utf8_is_valid(s)) {
        w->bad_text = true;
        return false;
    }
    return emit(w, &e,
                yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)s.ptr, (int)s.len,
                                             1, 1, style));
}

/* [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?: a number to base 60 for other readers */
static bool is_base60(struct str s)
{
    size_t i = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    size_t start = i;
    while (i < s.len && ((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] == '_' && i > start)))
        i++;
    size_t groups = 0;
    while (i > start && i < s.len && s.ptr[i] == ':') {
        size_t n = 0;
        i++;
        while (n < 2 && i + n < s.len && s.ptr[i + n] >= '0' && s.ptr[i + n] <= '9')
            n++;
        if (n == 0 || (n == 2 && s.ptr[i] > '5'))
            return false;
        i += n;
        groups++;
    }
    if (groups > 0 && i < s.len && s.ptr[i] == '.')
        for (i++; i < s.len && ((s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '_'); i++)
            continue;
    return groups > 0 && i == s.len;
}

static bool emit_string(struct writer *w, struct str s)
{
    struct resolved x;
    resolve(rego_call_arena(w->call), s, &x);
    yaml_scalar_style_t style = x.kind == SCALAR_STRING && !is_base60(s)
                                    ? YAML_PLAIN_SCALAR_STYLE
                                    : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (str_find(s, '\n', 0) < s.len)
        style = YAML_LITERAL_SCALAR_STYLE;
    return emit_text(w, s, style);
}

/* Machine integers as they are, all others as doubles. */
static bool emit_number(struct writer *w, value v)
{
    char text[400];
    int64_t n;
    uint64_t u;
    char scratch[VALUE_NUMBER_SCRATCH];
    struct str s = value_number_text(v, scratch);
    bool digits = str_find(s, '.', 0) == s.len && str_find(s, 'e', 0) == s.len &&
                  str_find(s, 'E', 0) == s.len;
    if (digits && (value_get_int64(v, &n) || value_get_uint64(v, &u)))
        return emit_text(w, s, YAML_PLAIN_SCALAR_STYLE);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, s.len + 1);
    buf_add(&b, s);
    buf_add_byte(&b, '\0');
    if (b.failed != OK)
        return false;
    double f = strtod(b.ptr, NULL);
    if (isinf(f))
        return emit_text(w, s, YAML_DOUBLE_QUOTED_SCALAR_STYLE); /* no number for YAML: a string */
    write_g_double(text, sizeof(text), f);
    return emit_text(w, str_of(text), YAML_PLAIN_SCALAR_STYLE);
}

/* ---- the order of keys: digits by their number, letters after everything else ---- */

static bool is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0xaa;
}

static uint64_t number_at(struct str s, size_t *at)
{
    uint64_t n = 0;
    for (; *at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9'; (*at)++)
        n = n * 10 + (uint64_t)(s.ptr[*at] - '0');
    return n;
}

static int compare_texts(struct str a, struct str b)
{
    size_t i = 0;
    while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i])
        i++;
    if (i == a.len || i == b.len)
        return (a.len > b.len) - (a.len < b.len);
    while (i > 0 && ((unsigned char)a.ptr[i] & 0xc0) == 0x80)
        i--; /* back to the start of the code point */
    uint32_t ca;
    uint32_t cb;
    rune_at(a, i, &ca);
    rune_at(b, i, &cb);
    bool la = is_letter(ca);
    bool lb = is_letter(cb);
    if (la && lb)
        return ca < cb ? -1 : 1;
    if (la || lb)
        return lb ? -1 : 1;
    /* a zero within a number: both sides are that number's rest */
    uint64_t lead = 0;
    if (ca == '0' || cb == '0')
        for (size_t j = i; j > 0 && a.ptr[j - 1] >= '0' && a.ptr[j - 1] <= '9' && lead == 0; j--)
            lead = a.ptr[j - 1] != '0';
    size_t ai = i;
    size_t bi = i;
    uint64_t an = number_at(a, &ai);
    uint64_t bn = number_at(b, &bi);
    if (lead != 0) { /* as if a 1 stood before */
        for (size_t j = i; j < ai; j++)
            lead *= 10;
        an += lead;
        lead = 1;
        for (size_t j = i; j < bi; j++)
            lead *= 10;
        bn += lead;
    }
    if (an != bn)
        return an < bn ? -1 : 1;
    if (ai != bi)
        return ai < bi ? -1 : 1;
    return ca < cb ? -1 : 1;
}

struct member {
    struct str key;
    value v;
};

static int compare_members(const void *a, const void *b)
{
    return compare_texts(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static bool emit_value(struct writer *w, value v);

static bool emit_object(struct writer *w, value v)
{
    struct arena *a = rego_call_arena(w->call);
    size_t n = value_len(v);
    struct member *members = arena_new_array(a, struct member, n + 1);
    struct member *scratch = arena_new_array(a, struct member, n + 1);
    if (members == NULL || scratch == NULL)
        return false;
    if (!rego_call_charge(w->call, sort_cost(n))) {
        w->fatal = true;
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        value key = value_pairs(v)[i].key;
        members[i] =
            (struct member){value_is_string(key) ? value_str(key) : json_text(a, key, JSON_COMPACT),
                            value_pairs(v)[i].val};
        if (members[i].key.ptr == NULL)
            return false;
    }
    stable_sort(members, scratch, n, sizeof(*members), compare_members);
    yaml_event_t e;
    yaml_mapping_style_t style = n == 0 ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE;
    bool ok = emit(w, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, style));
    for (size_t i = 0; i < n && ok; i++)
        ok = emit_string(w, members[i].key) && emit_value(w, members[i].v);
    return ok && emit(w, &e, yaml_mapping_end_event_initialize(&e));
}

/* Recursive; the depth of values is bounded. */
static bool emit_value(struct writer *w, value v)
{
    yaml_event_t e;
    switch (value_kind(v)) {
    case VALUE_KIND_STRING:
        if (!charge_bytes(w->call, value_str(v).len * 4)) {
            w->fatal = true;
            return false;
        }
        return emit_string(w, value_str(v));
    case VALUE_KIND_NUMBER:
        return emit_number(w, v);
    case VALUE_KIND_OBJECT:
        return emit_object(w, v);
    case VALUE_KIND_ARRAY:
    case VALUE_KIND_SET: {
        yaml_sequence_style_t style =
            value_len(v) == 0 ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE;
        bool ok = emit(w, &e, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, style));
        for (size_t i = 0; i < value_len(v) && ok; i++)
            ok = emit_value(w, value_items(v)[i]);
        return ok && emit(w, &e, yaml_sequence_end_event_initialize(&e));
    }
    default:
        return emit_text(w,
                         value_kind(v) == VALUE_KIND_NULL ? STR("null")
                         : value_is_true(v)               ? STR("true")
                                                          : STR("false"),
                         YAML_PLAIN_SCALAR_STYLE);
    }
}

enum rego_outcome builtin_yaml_marshal(struct rego_call *call, const value *args, value *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    struct writer w = {.call = call, .out = &b};
    if (yaml_emitter_initialize(&w.emitter) != 1)
        return rego_call_status(call, ERR_NOMEM, NULL);
    yaml_emitter_set_output(&w.emitter, write_handler, &b);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_event_t e;
    bool ok = emit(&w, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING)) &&
              emit(&w, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1)) &&
              emit_value(&w, args[0]) && emit(&w, &e, yaml_document_end_event_initialize(&e, 1)) &&
              emit(&w, &e, yaml_stream_end_event_initialize(&e));
    /* an event that could not be made leaves no problem */
    const char *problem = w.bad_text ? "text could not be written" : w.emitter.problem;
    bool memory = w.emitter.error == YAML_MEMORY_ERROR || problem == NULL;
    enum rego_outcome o = REGO_VALUE;
    if (w.fatal)
        o = REGO_FATAL;
    else if (!ok && b.failed == OK && arena_status(rego_call_arena(call)) != OK)
        o = rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    else if (!ok && b.failed == OK)
        o = memory ? rego_call_status(call, ERR_NOMEM, NULL)
                   : rego_call_error(call, "yaml: %s", problem);
    yaml_emitter_delete(&w.emitter);
    return o == REGO_VALUE ? give_buf(call, &b, out) : o;
}

/*
 * Results and errors in OPA's forms.
 *
 * JSON is written compactly in OPA's order of members and then laid out with
 * two spaces, as Go's encoder does.
 */
#include "regotool/regotool_internal.h"

#include <stdlib.h>
#include <string.h>

#include "value/json.h"

#define OUTPUT_MAX ((size_t)4 << 30)

static void put(FILE *out, struct str s)
{
    if (s.len > 0)
        fwrite(s.ptr, 1, s.len, out);
}

static void new_line(FILE *out, unsigned depth)
{
    fputc('\n', out);
    for (unsigned i = 0; i < depth; i++)
        fputs("  ", out);
}

/* Past a string literal that begins at `i`. */
static size_t string_end(struct str text, size_t i)
{
    for (i++; i < text.len && text.ptr[i] != '"'; i++)
        if (text.ptr[i] == '\\')
            i++;
    return i + 1;
}

/* Compact JSON in lines. */
static void put_indented(FILE *out, struct str text)
{
    unsigned depth = 0;
    for (size_t i = 0; i < text.len;) {
        char c = text.ptr[i];
        if (c == '"') {
            size_t end = string_end(text, i);
            put(out, str_slice(text, i, end - i));
            i = end;
            continue;
        }
        bool empty = (c == '{' || c == '[') && i + 1 < text.len &&
                     (text.ptr[i + 1] == '}' || text.ptr[i + 1] == ']');
        if (empty) {
            put(out, str_slice(text, i, 2));
            i += 2;
            continue;
        }
        if (c == '}' || c == ']')
            new_line(out, --depth);
        fputc(c, out);
        if (c == '{' || c == '[')
            new_line(out, ++depth);
        else if (c == ',')
            new_line(out, depth);
        else if (c == ':')
            fputc(' ', out);
        i++;
    }
    fputc('\n', out);
}

void tool_write_compact(FILE *out, struct str json)
{
    put_indented(out, json);
}

static void finish_json(FILE *out, struct json_writer *w, struct buf *b)
{
    enum status st = json_finish(w);
    if (st == OK)
        put_indented(out, buf_str(b));
    else
        fprintf(stderr, "rego: could not write the result: %s\n", status_name(st));
}

static void add_value(struct json_writer *w, value v)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, OUTPUT_MAX);
    enum status st = json_write(&b, v, JSON_GO);
    if (st == OK)
        json_raw(w, buf_str(&b));
    else
        w->failed = w->failed == OK ? st : w->failed;
}

void tool_write_json(FILE *out, value v, bool pretty)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, OUTPUT_MAX);
    enum status st = json_write(&b, v, JSON_GO);
    if (st != OK)
        fprintf(stderr, "rego: could not write the result: %s\n", status_name(st));
    else if (pretty)
        put_indented(out, buf_str(&b));
    else
        put(out, buf_str(&b));
}

/* ---- errors ---- */

/* A string as Go writes it, with < > & as escapes. */
static void add_text(struct json_writer *w, struct str s)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, TOOL_FILE_MAX);
    value v = value_string(&a, s);
    if (value_is_defined(v))
        add_value(w, v);
    else
        w->failed = ERR_NOMEM;
}

static void add_error(struct json_writer *w, const struct tool_error *e)
{
    json_object_begin(w);
    json_key(w, "message");
    add_text(w, e->message);
    if (e->code != NULL) {
        json_key(w, "code");
        json_cstring(w, e->code);
    }
    if (e->has_location) {
        json_key(w, "location");
        json_object_begin(w);
        json_key(w, "file");
        json_string(w, e->file);
        json_key(w, "row");
        json_int(w, e->row);
        json_key(w, "col");
        json_int(w, e->col);
        json_object_end(w);
    }
    if (e->line.ptr != NULL) {
        json_key(w, "details");
        json_object_begin(w);
        json_key(w, "line");
        add_text(w, e->line);
        json_key(w, "idx");
        json_int(w, e->line_at);
        json_object_end(w);
    }
    json_object_end(w);
}

static void add_errors(struct json_writer *w, const struct tool_errors *errors)
{
    json_key(w, "errors");
    json_array_begin(w);
    for (size_t i = 0; i < errors->len; i++)
        add_error(w, &errors->items[i]);
    json_array_end(w);
}

void tool_write_errors_json(FILE *out, const struct tool_errors *errors)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, OUTPUT_MAX);
    struct json_writer w;
    json_begin(&w, &b);
    json_object_begin(&w);
    add_errors(&w, errors);
    json_object_end(&w);
    finish_json(out, &w, &b);
}

/* The offending line, without its indentation beyond one tab, and a mark below. */
static void put_excerpt(FILE *out, const struct tool_error *e)
{
    fprintf(out, "\t%.*s\n\t", STR_ARG(e->line));
    for (uint32_t i = 0; i < e->line_at; i++)
        fputc(e->line.ptr[i] == '\t' ? '\t' : ' ', out);
    fputs("^\n", out);
}

void tool_write_errors_text(FILE *out, const struct tool_errors *errors)
{
    const char *when = errors->loading ? " during loading" : "";
    if (errors->len == 1)
        fprintf(out, "1 error occurred%s: ", when);
    else
        fprintf(out, "%zu errors occurred%s:\n", errors->len, when);
    for (size_t i = 0; i < errors->len; i++) {
        const struct tool_error *e = &errors->items[i];
        if (e->has_location && e->file.len > 0)
            fprintf(out, "%.*s:%u: ", STR_ARG(e->file), (unsigned)e->row);
        else if (e->has_location)
            fprintf(out, "%u:%u: ", (unsigned)e->row, (unsigned)e->col);
        if (e->code != NULL)
            fprintf(out, "%s: ", e->code);
        fprintf(out, "%.*s\n", STR_ARG(e->message));
        if (e->line.ptr != NULL)
            put_excerpt(out, e);
    }
}

/* ---- result sets ---- */

static value expression_value(value result, size_t i)
{
    return value_get_lit(value_at(value_get_lit(result, "expressions"), i), "value");
}

static size_t expression_count(value result)
{
    return value_len(value_get_lit(result, "expressions"));
}

static void add_expression(struct json_writer *w, value e)
{
    value location = value_get_lit(e, "location");
    json_object_begin(w);
    json_key(w, "value");
    add_value(w, value_get_lit(e, "value"));
    json_key(w, "text");
    add_value(w, value_get_lit(e, "text"));
    json_key(w, "location");
    json_object_begin(w);
    json_key(w, "row");
    json_value(w, value_get_lit(location, "row"));
    json_key(w, "col");
    json_value(w, value_get_lit(location, "col"));
    json_object_end(w);
    json_object_end(w);
}

static const char *const timer_names[TIMER_COUNT] = {
    [TIMER_LOAD] = "timer_rego_load_files_ns",
    [TIMER_MODULE_COMPILE] = "timer_rego_module_compile_ns",
    [TIMER_MODULE_PARSE] = "timer_rego_module_parse_ns",
    [TIMER_QUERY_COMPILE] = "timer_rego_query_compile_ns",
    [TIMER_QUERY_EVAL] = "timer_rego_query_eval_ns",
};

static void add_metrics(struct json_writer *w, const int64_t *timers_ns)
{
    if (timers_ns == NULL)
        return;
    json_key(w, "metrics");
    json_object_begin(w);
    for (size_t i = 0; i < TIMER_COUNT; i++) {
        json_key(w, timer_names[i]);
        json_int(w, timers_ns[i]);
    }
    json_object_end(w);
}

static void add_coverage(struct json_writer *w, struct str coverage)
{
    if (coverage.len == 0)
        return;
    json_key(w, "coverage");
    json_raw(w, coverage);
}

static void add_results(struct json_writer *w, value set)
{
    json_key(w, "result");
    json_array_begin(w);
    for (size_t i = 0; i < value_len(set); i++) {
        value result = value_at(set, i);
        value bindings = value_get_lit(result, "bindings");
        json_object_begin(w);
        json_key(w, "expressions");
        json_array_begin(w);
        for (size_t k = 0; k < expression_count(result); k++)
            add_expression(w, value_at(value_get_lit(result, "expressions"), k));
        json_array_end(w);
        if (value_len(bindings) > 0) {
            json_key(w, "bindings");
            add_value(w, bindings);
        }
        json_object_end(w);
    }
    json_array_end(w);
}

/* OPA's orders of members: those of its report, and of the names when the result is discarded. */
static void write_report_json(FILE *out, value set, const struct tool_report *r, bool discard)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, OUTPUT_MAX);
    struct json_writer w;
    json_begin(&w, &b);
    json_object_begin(&w);
    if (discard)
        add_coverage(&w, r->coverage);
    if (r->errors != NULL && r->errors->len > 0)
        add_errors(&w, r->errors);
    if (discard)
        add_metrics(&w, r->timers_ns);
    if (value_len(set) > 0 && discard) {
        json_key(&w, "result");
        json_cstring(&w, "discarded");
    } else if (value_len(set) > 0) {
        add_results(&w, set);
    }
    if (!discard) {
        add_metrics(&w, r->timers_ns);
        add_coverage(&w, r->coverage);
    }
    json_object_end(&w);
    finish_json(out, &w, &b);
}

static void write_values(FILE *out, value result)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, OUTPUT_MAX);
    struct json_writer w;
    json_begin(&w, &b);
    json_array_begin(&w);
    for (size_t i = 0; i < expression_count(result); i++)
        add_value(&w, expression_value(result, i));
    json_array_end(&w);
    finish_json(out, &w, &b);
}

/* For shells: strings without quotes, values apart by spaces. */
static void write_raw(FILE *out, value result)
{
    for (size_t i = 0; i < expression_count(result); i++) {
        value v = expression_value(result, i);
        if (value_is_string(v))
            put(out, value_str(v));
        else
            tool_write_json(out, v, false);
        fputc(i + 1 < expression_count(result) ? ' ' : '\n', out);
    }
}

/* ---- tables ---- */

/* A column: a variable, or an expression that is no mere condition. */
struct column {
    struct str title;
    bool variable;
    size_t expression;
    size_t width;
};

#define COLUMNS_MAX 256

static size_t text_width(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static size_t list_columns(value first, struct column *columns)
{
    value bindings = value_get_lit(first, "bindings");
    size_t n = 0;
    for (size_t i = 0; i < expression_count(first) && n < COLUMNS_MAX; i++) {
        value e = value_at(value_get_lit(first, "expressions"), i);
        bool condition = value_kind(value_get_lit(e, "value")) == VALUE_KIND_BOOLEAN;
        if (!condition || value_len(bindings) == 0)
            columns[n++] =
                (struct column){.title = value_str(value_get_lit(e, "text")), .expression = i};
    }
    for (size_t i = 0; i < value_len(bindings) && n < COLUMNS_MAX; i++)
        columns[n++] =
            (struct column){.title = value_str(value_pairs(bindings)[i].key), .variable = true};
    return n;
}

static struct str cell(struct buf *b, value result, const struct column *c)
{
    value v = c->variable ? value_get_str(value_get_lit(result, "bindings"), c->title)
                          : expression_value(result, c->expression);
    buf_reset(b);
    if (!value_is_defined(v) || json_write(b, v, JSON_GO) != OK)
        return STR("null");
    return buf_str(b);
}

static void rule_line(FILE *out, const struct column *columns, size_t n, const char *const ends[3])
{
    fputs(ends[0], out);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < columns[i].width + 2; k++)
            fputs("─", out);
        fputs(i + 1 < n ? ends[1] : ends[2], out);
    }
    fputc('\n', out);
}

static void write_cell(FILE *out, struct str text, size_t width, bool centre)
{
    size_t gap = width - text_width(text);
    size_t before = centre ? gap / 2 : 0;
    fprintf(out, "│ %*s%.*s%*s ", (int)before, "", STR_ARG(text), (int)(gap - before), "");
}

static void write_table(FILE *out, value set)
{
    struct column columns[COLUMNS_MAX];
    size_t n = list_columns(value_at(set, 0), columns);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, OUTPUT_MAX);
    for (size_t c = 0; c < n; c++) {
        columns[c].width = text_width(columns[c].title);
        for (size_t i = 0; i < value_len(set); i++) {
            size_t width = text_width(cell(&b, value_at(set, i), &columns[c]));
            columns[c].width = width > columns[c].width ? width : columns[c].width;
        }
    }
    rule_line(out, columns, n, (const char *const[]){"┌", "┬", "┐"});
    for (size_t c = 0; c < n; c++)
        write_cell(out, columns[c].title, columns[c].width, true);
    fputs("│\n", out);
    rule_line(out, columns, n, (const char *const[]){"├", "┼", "┤"});
    for (size_t i = 0; i < value_len(set); i++) {
        for (size_t c = 0; c < n; c++)
            write_cell(out, cell(&b, value_at(set, i), &columns[c]), columns[c].width, false);
        fputs("│\n", out);
    }
    rule_line(out, columns, n, (const char *const[]){"└", "┴", "┘"});
}

void tool_write_pairs(FILE *out, const struct tool_pair *title, const struct tool_pair *rows,
                      size_t n, bool right)
{
    struct column columns[2] = {{.width = 0}, {.width = 0}};
    for (size_t i = 0; i < n + (title != NULL); i++) {
        const struct tool_pair *p = i < n ? &rows[i] : title;
        size_t widths[2] = {strlen(p->name), strlen(p->value)};
        for (size_t c = 0; c < 2; c++)
            columns[c].width = widths[c] > columns[c].width ? widths[c] : columns[c].width;
    }
    rule_line(out, columns, 2, (const char *const[]){"┌", "┬", "┐"});
    if (title != NULL) {
        write_cell(out, str_of(title->name), columns[0].width, true);
        write_cell(out, str_of(title->value), columns[1].width, true);
        fputs("│\n", out);
        rule_line(out, columns, 2, (const char *const[]){"├", "┼", "┤"});
    }
    for (size_t i = 0; i < n; i++) {
        write_cell(out, str_of(rows[i].name), columns[0].width, false);
        if (right)
            fprintf(out, "│ %*s │\n", (int)columns[1].width, rows[i].value);
        else
            fprintf(out, "│ %-*s │\n", (int)columns[1].width, rows[i].value);
    }
    rule_line(out, columns, 2, (const char *const[]){"└", "┴", "┘"});
}

static void write_tables(FILE *out, const struct tool_report *r)
{
    struct tool_pair rows[TIMER_COUNT];
    for (size_t i = 0; r->timers_ns != NULL && i < TIMER_COUNT; i++) {
        rows[i].name = timer_names[i];
        snprintf(rows[i].value, sizeof(rows[i].value), "%lld", (long long)r->timers_ns[i]);
    }
    if (r->timers_ns != NULL)
        tool_write_pairs(out, &(struct tool_pair){"Metric", "Value"}, rows, TIMER_COUNT, false);
    if (r->coverage.len > 0) {
        rows[0].name = "Overall Coverage";
        snprintf(rows[0].value, sizeof(rows[0].value), "%.2f", r->covered);
        tool_write_pairs(out, NULL, rows, 1, false);
    }
}

static bool all_boolean(value result)
{
    for (size_t i = 0; i < expression_count(result); i++)
        if (value_kind(expression_value(result, i)) != VALUE_KIND_BOOLEAN)
            return false;
    return true;
}

static void write_pretty(FILE *out, value set)
{
    if (value_len(set) == 0) {
        fputs("undefined\n", out);
        return;
    }
    value first = value_at(set, 0);
    bool plain = value_len(set) == 1 && value_len(value_get_lit(first, "bindings")) == 0;
    if (plain && (expression_count(first) == 1 || all_boolean(first)))
        tool_write_json(out, expression_value(first, 0), true);
    else
        write_table(out, set);
}

void tool_write_results(FILE *out, value set, enum tool_format format)
{
    tool_write_report(out, set, format, &(struct tool_report){.errors = NULL});
}

void tool_write_report(FILE *out, value set, enum tool_format format, const struct tool_report *r)
{
    if (format == FORMAT_JSON || format == FORMAT_DISCARD) {
        write_report_json(out, set, r, format == FORMAT_DISCARD);
        return;
    }
    if (r->errors != NULL && r->errors->len > 0) {
        tool_write_errors_text(stderr, r->errors); /* in the place of the result */
        return;
    }
    switch (format) {
    case FORMAT_PRETTY:
    case FORMAT_TEXT:
        write_pretty(out, set);
        write_tables(out, r);
        return;
    case FORMAT_DISCARD:
    case FORMAT_JSON:
    case FORMAT_GOBENCH:
        return;
    case FORMAT_VALUES:
    case FORMAT_BINDINGS:
    case FORMAT_RAW:
        break;
    }
    for (size_t i = 0; i < value_len(set); i++) {
        value result = value_at(set, i);
        if (format == FORMAT_VALUES)
            write_values(out, result);
        else if (format == FORMAT_RAW)
            write_raw(out, result);
        else
            tool_write_json(out, value_get_lit(result, "bindings"), true);
    }
}

#include <stdlib.h>

#include "rego/builtins_internal.h"
#include "rego/template_internal.h"

/*
 * One pass over the text: literal text up to "{{", then the tokens of an
 * action, read directly.  Nesting of blocks and parentheses is bounded.
 */
struct parser {
    struct rego_call *call;
    struct arena *a;
    struct str text;
    size_t at;
    size_t depth;
    size_t loops; /* enclosing ranges */
    struct template *template;
    enum rego_outcome failed;
    /* variables in scope, for "undefined variable" */
    struct str variables[TEMPLATE_DEPTH_MAX * 2];
    size_t variable_count;
};

static size_t line_of(const struct parser *p)
{
    size_t line = 1;
    for (size_t i = 0; i < p->at && i < p->text.len; i++)
        line += p->text.ptr[i] == '\n';
    return line;
}

static bool fail(struct parser *p, const char *what, struct str detail)
{
    if (p->failed == REGO_VALUE)
        p->failed = rego_call_error(p->call, "template: template:%zu: %s%s", line_of(p), what,
                                    detail.len == 0 ? "" : shown(p->call, detail));
    return false;
}

static bool fail_variable(struct parser *p, struct str name)
{
    struct str text = arena_format(p->a, "undefined variable \"%.*s\"", STR_ARG(name));
    return fail(p, text.ptr == NULL ? "" : text.ptr, STR_EMPTY);
}

static bool fail_memory(struct parser *p)
{
    if (p->failed == REGO_VALUE)
        p->failed = rego_call_status(p->call, arena_status(p->a), NULL);
    return false;
}

/* ---- tokens ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           ((unsigned char)c & 0x80) != 0;
}

static bool skip_spaces(struct parser *p)
{
    size_t from = p->at;
    while (p->at < p->text.len && is_space(p->text.ptr[p->at]))
        p->at++;
    return p->at > from;
}

static bool looking_at(const struct parser *p, const char *s)
{
    return str_has_prefix(str_from(p->text, p->at), str_of(s));
}

static bool take(struct parser *p, const char *s)
{
    if (!looking_at(p, s))
        return false;
    p->at += strlen(s);
    return true;
}

static struct str take_word(struct parser *p)
{
    size_t from = p->at;
    while (p->at < p->text.len && is_word(p->text.ptr[p->at]))
        p->at++;
    return str_slice(p->text, from, p->at - from);
}

/* A keyword that is not the beginning of a longer word. */
static bool take_keyword(struct parser *p, const char *word)
{
    struct str rest = str_from(p->text, p->at);
    size_t n = strlen(word);
    if (!str_has_prefix(rest, str_of(word)) || (rest.len > n && is_word(rest.ptr[n])))
        return false;
    p->at += n;
    return true;
}

/* The end of an action, with or without a trim marker. */
static bool at_end(const struct parser *p)
{
    if (looking_at(p, "}}"))
        return true;
    return looking_at(p, "-}}") && p->at > 0 && is_space(p->text.ptr[p->at - 1]);
}

static bool take_end(struct parser *p)
{
    skip_spaces(p);
    if (!at_end(p)) {
        if (p->at >= p->text.len)
            return fail(p, "unclosed action", STR_EMPTY);
        return fail(p, "unexpected text in operand: ", str_slice(p->text, p->at, 20));
    }
    if (take(p, "}}"))
        return true;
    p->at += 3;
    skip_spaces(p);
    return true;
}

/* ---- constants ---- */

/* A quoted string: JSON's escapes and Go's \xNN, \a, \v, \'. */
static bool take_string(struct parser *p, struct item *out)
{
    char quote = p->text.ptr[p->at];
    size_t from = ++p->at;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, p->text.len + 4);
    while (p->at < p->text.len && p->text.ptr[p->at] != quote) {
        char c = p->text.ptr[p->at++];
        if (c == '\n' && quote == '"')
            return fail(p, "unterminated quoted string", STR_EMPTY);
        if (c != '\\' || quote == '`') {
            buf_add_byte(&b, c);
            continue;
        }
        static const char letters[] = "abfnrtv\\'\"";
        static const char meant[] = "\a\b\f\n\r\t\v\\'\"";
        char e = p->at < p->text.len ? p->text.ptr[p->at++] : '\0';
        const char *known = e == '\0' ? NULL : strchr(letters, e);
        if (known == NULL)
            return fail(p, "invalid syntax in string: ", str_slice(p->text, from, 20));
        buf_add_byte(&b, meant[known - letters]);
    }
    if (p->at >= p->text.len)
        return fail(p,
                    quote == '`' ? "unterminated raw quoted string" : "unterminated quoted string",
                    STR_EMPTY);
    p->at++;
    *out = (struct item){.kind = ITEM_DATA, .v = value_string(p->a, buf_str(&b))};
    return value_is_defined(out->v) || fail_memory(p);
}

static bool take_number(struct parser *p, struct item *out)
{
    char text[64];
    size_t n = 0;
    while (p->at < p->text.len && n < sizeof(text) - 1 &&
           (is_word(p->text.ptr[p->at]) || strchr("+-.", p->text.ptr[p->at]) != NULL))
        text[n++] = p->text.ptr[p->at++];
    text[n] = '\0';
    char *end = NULL;
    long long whole = strtoll(text, &end, 0);
    if (*end == '\0') {
        *out = (struct item){.kind = ITEM_INT, .n = whole};
        return true;
    }
    double f = strtod(text, &end);
    *out = (struct item){.kind = ITEM_FLOAT, .f = f};
    return *end == '\0' || fail(p, "bad number syntax: ", str_of(text));
}

/* ---- operands ---- */

static struct pipeline *parse_pipeline(struct parser *p);

#define FIELDS_MAX 64

/* ".a.b" directly after an operand, or (for the dot) as the operand. */
static bool take_fields(struct parser *p, struct operand *o)
{
    struct str fields[FIELDS_MAX];
    while (looking_at(p, ".") && p->at + 1 < p->text.len && is_word(p->text.ptr[p->at + 1])) {
        p->at++;
        if (o->field_count == FIELDS_MAX)
            return fail(p, "too many fields", STR_EMPTY);
        fields[o->field_count++] = take_word(p);
    }
    o->fields = arena_new_array(p->a, struct str, o->field_count + 1);
    if (o->fields == NULL)
        return fail_memory(p);
    memcpy(o->fields, fields, o->field_count * sizeof(*fields));
    return true;
}

static bool is_variable(const struct parser *p, struct str name)
{
    for (size_t i = 0; i < p->variable_count; i++)
        if (str_equal(p->variables[i], name))
            return true;
    return str_is(name, "$");
}

static bool take_variable(struct parser *p, struct str *name)
{
    size_t from = p->at++;
    take_word(p);
    *name = str_slice(p->text, from, p->at - from);
    return true;
}

static bool take_word_operand(struct parser *p, struct operand *o)
{
    struct str word = take_word(p);
    if (str_is(word, "true") || str_is(word, "false")) {
        o->kind = OPERAND_CONSTANT;
        o->constant = (struct item){.kind = ITEM_DATA, .v = value_bool(str_is(word, "true"))};
    } else if (str_is(word, "nil")) {
        o->kind = OPERAND_NIL;
    } else {
        o->kind = OPERAND_FUNCTION;
        o->name = word;
        if (!template_is_function(word)) {
            struct str text = arena_format(p->a, "function \"%.*s\" not defined", STR_ARG(word));
            return fail(p, text.ptr == NULL ? "" : text.ptr, STR_EMPTY);
        }
    }
    return true;
}

static bool fail_character(struct parser *p)
{
    uint32_t rune;
    size_t n = rune_at(p->text, p->at, &rune);
    struct str text =
        arena_format(p->a, "bad character U+%04X '%.*s'", rune, (int)n, p->text.ptr + p->at);
    return fail(p, text.ptr == NULL ? "" : text.ptr, STR_EMPTY);
}

static bool parse_operand(struct parser *p, struct operand *o)
{
    char c = p->text.ptr[p->at];
    size_t from = p->at;
    bool ok = true;
    if (c == '.' && p->at + 1 < p->text.len && p->text.ptr[p->at + 1] >= '0' &&
        p->text.ptr[p->at + 1] <= '9') {
        o->kind = OPERAND_CONSTANT;
        ok = take_number(p, &o->constant);
    } else if (c == '.') {
        o->kind = OPERAND_DOT;
        if (p->at + 1 >= p->text.len || !is_word(p->text.ptr[p->at + 1]))
            p->at++;
    } else if (c == '$') {
        o->kind = OPERAND_VARIABLE;
        take_variable(p, &o->name);
        if (!is_variable(p, o->name))
            return fail_variable(p, o->name);
    } else if (c == '"' || c == '`') {
        o->kind = OPERAND_CONSTANT;
        ok = take_string(p, &o->constant);
    } else if ((c >= '0' && c <= '9') || c == '-' || c == '+') {
        o->kind = OPERAND_CONSTANT;
        ok = take_number(p, &o->constant);
    } else if (c == '(') {
        p->at++;
        o->kind = OPERAND_PIPELINE;
        o->inner = parse_pipeline(p);
        ok = o->inner != NULL && (take(p, ")") || fail(p, "unclosed left paren", STR_EMPTY));
    } else if (is_word(c)) {
        ok = take_word_operand(p, o);
    } else {
        return fail_character(p);
    }
    ok = ok && take_fields(p, o);
    o->text = str_slice(p->text, from, p->at - from);
    return ok;
}

static struct command *parse_command(struct parser *p)
{
    struct command *c = arena_new(p->a, struct command);
    if (c == NULL) {
        fail_memory(p);
        return NULL;
    }
    struct operand **tail = &c->operands;
    for (;;) {
        skip_spaces(p);
        if (p->at >= p->text.len) {
            fail(p, "unclosed action", STR_EMPTY);
            return NULL;
        }
        if (at_end(p) || looking_at(p, "|") || looking_at(p, ")"))
            break;
        struct operand *o = arena_new(p->a, struct operand);
        if (o == NULL) {
            fail_memory(p);
            return NULL;
        }
        if (!parse_operand(p, o))
            return NULL;
        *tail = o;
        tail = &o->next;
        c->operand_count++;
    }
    if (c->operand_count == 0) {
        fail(p, "missing value for command", STR_EMPTY);
        return NULL;
    }
    return c;
}

/* "$x :=", "$i, $v :=", "$x =" */
static bool parse_declaration(struct parser *p, struct pipeline *pipe)
{
    size_t from = p->at;
    struct str names[2];
    size_t n = 0;
    while (looking_at(p, "$") && n < 2) {
        take_variable(p, &names[n++]);
        skip_spaces(p);
        if (n == 2 || !take(p, ","))
            break;
        skip_spaces(p);
    }
    bool declares = n > 0 && take(p, ":=");
    bool assigns = n > 0 && !declares && looking_at(p, "=") && take(p, "=");
    if (!declares && !assigns) {
        p->at = from; /* a use, not a declaration */
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        pipe->variables[i] = names[i];
        if (assigns && !is_variable(p, names[i]))
            return fail_variable(p, names[i]);
        if (assigns)
            continue;
        if (p->variable_count == ARRAY_LEN(p->variables))
            return fail(p, "too many variables", STR_EMPTY);
        p->variables[p->variable_count++] = names[i];
    }
    pipe->variable_count = n;
    pipe->assigns = assigns;
    return true;
}

static struct pipeline *parse_pipeline(struct parser *p)
{
    struct pipeline *pipe = arena_new(p->a, struct pipeline);
    if (pipe == NULL) {
        fail_memory(p);
        return NULL;
    }
    if (++p->depth > TEMPLATE_DEPTH_MAX) {
        fail(p, "nested too deeply", STR_EMPTY);
        return NULL;
    }
    skip_spaces(p);
    size_t from = p->at;
    if (!parse_declaration(p, pipe))
        return NULL;
    struct command **tail = &pipe->commands;
    do {
        *tail = parse_command(p);
        if (*tail == NULL)
            return NULL;
        tail = &(*tail)->next;
    } while (take(p, "|"));
    pipe->text = str_trim(str_slice(p->text, from, p->at - from));
    p->depth--;
    return pipe;
}

/* ---- blocks ---- */

enum stop { STOP_EOF, STOP_END, STOP_ELSE, STOP_FAILED };

static enum stop parse_list(struct parser *p, struct node **out);

static struct node *new_node(struct parser *p, enum node_kind kind)
{
    struct node *n = arena_new(p->a, struct node);
    if (n == NULL)
        fail_memory(p);
    else
        n->kind = kind;
    return n;
}

/* if, range and with, from after the keyword: "pipeline}} list [else ...] {{end}}" */
static bool parse_block(struct parser *p, struct node *n)
{
    size_t scope = p->variable_count;
    if (++p->depth > TEMPLATE_DEPTH_MAX)
        return fail(p, "nested too deeply", STR_EMPTY);
    n->pipeline = parse_pipeline(p);
    if (n->pipeline == NULL || !take_end(p))
        return false;
    p->loops += n->kind == NODE_RANGE;
    enum stop stop = parse_list(p, &n->body);
    p->loops -= n->kind == NODE_RANGE;
    if (stop == STOP_ELSE) {
        skip_spaces(p);
        bool more_if = n->kind == NODE_IF && take_keyword(p, "if");
        bool more_with = n->kind == NODE_WITH && take_keyword(p, "with");
        if (more_if || more_with) { /* "else if": one more block that shares the end */
            n->otherwise = new_node(p, n->kind);
            if (n->otherwise == NULL || !parse_block(p, n->otherwise))
                return false;
            stop = STOP_END;
        } else {
            if (!take_end(p))
                return false;
            stop = parse_list(p, &n->otherwise);
            if (stop == STOP_ELSE)
                return fail(p, "expected end; found {{else}}", STR_EMPTY);
        }
    }
    if (stop == STOP_EOF)
        return fail(p, "unexpected EOF", STR_EMPTY);
    p->variable_count = scope;
    p->depth--;
    return stop == STOP_END;
}

static bool take_name(struct parser *p, struct str *name)
{
    struct item item;
    skip_spaces(p);
    if (p->at >= p->text.len || (p->text.ptr[p->at] != '"' && p->text.ptr[p->at] != '`'))
        return fail(p, "missing template name", STR_EMPTY);
    if (!take_string(p, &item))
        return false;
    *name = value_str(item.v);
    skip_spaces(p);
    return true;
}

static bool define(struct parser *p, struct str name)
{
    struct definition *d = arena_new(p->a, struct definition);
    if (d == NULL)
        return fail_memory(p);
    size_t scope = p->variable_count;
    p->variable_count = 0;
    if (++p->depth > TEMPLATE_DEPTH_MAX)
        return fail(p, "nested too deeply", STR_EMPTY);
    enum stop stop = parse_list(p, &d->body);
    p->depth--;
    if (stop != STOP_END)
        return stop == STOP_FAILED
                   ? false
                   : fail(p, "unexpected {{else}} or EOF in define clause", STR_EMPTY);
    p->variable_count = scope;
    d->name = name;
    d->next = p->template->definitions;
    p->template->definitions = d;
    return true;
}

/* template "name" [pipeline], block "name" pipeline */
static bool parse_template(struct parser *p, struct node *n, bool block)
{
    if (!take_name(p, &n->text))
        return false;
    if (!at_end(p)) {
        n->pipeline = parse_pipeline(p);
        if (n->pipeline == NULL)
            return false;
    } else if (block) {
        return fail(p, "missing value for block clause", STR_EMPTY);
    }
    return take_end(p) && (!block || define(p, n->text));
}

/* One action, from after its opening braces.  *node NULL: nothing to execute. */
static enum stop parse_action(struct parser *p, struct node **node)
{
    *node = NULL;
    skip_spaces(p);
    if (take_keyword(p, "end"))
        return take_end(p) ? STOP_END : STOP_FAILED;
    if (take_keyword(p, "else"))
        return STOP_ELSE;
    if (take_keyword(p, "define")) {
        struct str name;
        return take_name(p, &name) && take_end(p) && define(p, name) ? STOP_EOF : STOP_FAILED;
    }
    static const struct {
        const char *word;
        enum node_kind kind;
    } words[] = {{"if", NODE_IF},
                 {"range", NODE_RANGE},
                 {"with", NODE_WITH},
                 {"template", NODE_TEMPLATE},
                 {"block", NODE_TEMPLATE},
                 {"break", NODE_BREAK},
                 {"continue", NODE_CONTINUE}};
    size_t i = 0;
    while (i < ARRAY_LEN(words) && !take_keyword(p, words[i].word))
        i++;
    struct node *n = new_node(p, i < ARRAY_LEN(words) ? words[i].kind : NODE_ACTION);
    if (n == NULL)
        return STOP_FAILED;
    *node = n;
    bool ok;
    switch (n->kind) {
    case NODE_IF:
    case NODE_RANGE:
    case NODE_WITH:
        ok = parse_block(p, n);
        break;
    case NODE_TEMPLATE:
        ok = parse_template(p, n, str_is(str_of(words[i].word), "block"));
        break;
    case NODE_BREAK:
    case NODE_CONTINUE:
        ok = p->loops > 0 ? take_end(p)
                          : fail(p, "{{break}} or {{continue}} outside {{range}}", STR_EMPTY);
        break;
    default:
        n->pipeline = parse_pipeline(p);
        ok = n->pipeline != NULL && take_end(p);
        break;
    }
    return ok ? STOP_EOF : STOP_FAILED;
}

/* A comment, with its end; false: there is none here. */
static bool take_comment(struct parser *p, bool *ok)
{
    *ok = true;
    size_t from = p->at;
    skip_spaces(p);
    if (!take(p, "/*")) {
        p->at = from;
        return false;
    }
    while (p->at < p->text.len && !looking_at(p, "*/"))
        p->at++;
    *ok = take(p, "*/") ? take_end(p) : fail(p, "unclosed comment", STR_EMPTY);
    return true;
}

static bool append(struct parser *p, struct node ***tail, struct node *n)
{
    if (n == NULL)
        return true;
    if (!rego_call_charge(p->call, 4)) {
        p->failed = REGO_FATAL;
        return false;
    }
    **tail = n;
    *tail = &n->next;
    return true;
}

/* Nodes up to an {{end}}, {{else}} or the end of the text. */
static enum stop parse_list(struct parser *p, struct node **out)
{
    struct node **tail = out;
    for (;;) {
        const char *open = memmem(p->text.ptr + p->at, p->text.len - p->at, "{{", 2);
        size_t end = open == NULL ? p->text.len : (size_t)(open - p->text.ptr);
        struct str text = str_slice(p->text, p->at, end - p->at);
        p->at = end;
        if (open != NULL) {
            p->at += 2;
            if (looking_at(p, "-") && p->at + 1 < p->text.len && is_space(p->text.ptr[p->at + 1])) {
                p->at++;
                while (text.len > 0 && is_space(text.ptr[text.len - 1]))
                    text.len--;
            }
        }
        struct node *n = text.len > 0 ? new_node(p, NODE_TEXT) : NULL;
        if (n != NULL)
            n->text = text;
        if ((text.len > 0 && n == NULL) || !append(p, &tail, n))
            return STOP_FAILED;
        if (open == NULL)
            return STOP_EOF;
        bool ok;
        if (take_comment(p, &ok)) {
            if (!ok)
                return STOP_FAILED;
            continue;
        }
        enum stop stop = parse_action(p, &n);
        if (stop != STOP_EOF)
            return stop;
        if (!append(p, &tail, n))
            return STOP_FAILED;
    }
}

bool template_parse(struct rego_call *call, struct str text, struct template *out,
                    enum rego_outcome *o)
{
    struct parser *p = arena_new(rego_call_arena(call), struct parser);
    *o = REGO_VALUE;
    if (p == NULL) {
        *o = rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
        return false;
    }
    *p = (struct parser){.call = call,
                         .a = rego_call_arena(call),
                         .text = text,
                         .template = out,
                         .failed = REGO_VALUE};
    *out = (struct template){.body = NULL};
    enum stop stop = parse_list(p, &out->body);
    if (stop == STOP_END)
        fail(p, "unexpected {{end}}", STR_EMPTY);
    else if (stop == STOP_ELSE)
        fail(p, "unexpected {{else}}", STR_EMPTY);
    *o = p->failed;
    return p->failed == REGO_VALUE;
}

#include "rego/regex.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/module.h"

struct regex {
    struct re2_expression *re;
    size_t size, groups;
    struct str required; /* bytes that every match contains; empty: not known */
    bool inside;         /* \B: RE2 also finds it between the bytes of a character */
};

/* ---- the module ---- */

#define MODULE_NAME "claviger-re2.so"

static pthread_mutex_t module_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct re2_api *module; /* set once, never closed */

/* ERR_UNAVAILABLE when it is not there or of another version. */
static STATUS regex_load(struct error *err)
{
    pthread_mutex_lock(&module_lock);
    const void *found = module;
    enum status st = OK;
    if (found == NULL)
        st = module_open("rego", MODULE_NAME, CLAVIGER_RE2_SYMBOL, CLAVIGER_RE2_VERSION, &found,
                         err);
    module = found;
    pthread_mutex_unlock(&module_lock);
    if (st != OK)
        error_prefix(err, "regular expressions are not available: ");
    return st;
}

/* ---- bytes that every match contains ---- */

/*
 * The automaton needs a hundred nanoseconds to say no; looking for a text that must
 * be there says it in ten.  Only what stands outside of groups and alternatives
 * counts, and whatever is not plainly a literal ends one.
 */
struct literal {
    struct str pattern;
    size_t at;
    size_t begin, len; /* of the run that goes on */
    struct str best;
};

static void end_run(struct literal *l)
{
    if (l->len > l->best.len)
        l->best = str_slice(l->pattern, l->begin, l->len);
    l->len = 0;
}

static unsigned char byte_at(const struct literal *l, size_t at)
{
    return at < l->pattern.len ? (unsigned char)l->pattern.ptr[at] : 0;
}

/* [...], as RE2 delimits it. */
static void skip_class(struct literal *l)
{
    l->at++;
    l->at += byte_at(l, l->at) == '^';
    l->at += byte_at(l, l->at) == ']';
    for (; l->at < l->pattern.len && byte_at(l, l->at) != ']'; l->at++) {
        if (byte_at(l, l->at) == '\\') {
            l->at++;
        } else if (byte_at(l, l->at) == '[' && byte_at(l, l->at + 1) == ':') {
            size_t end = l->at + 2;
            while (end < l->pattern.len && byte_at(l, end) != ':')
                end++;
            if (byte_at(l, end + 1) == ']')
                l->at = end + 1;
        }
    }
    l->at++;
}

/* (...) with all that is in it; false: flags, which may change what letters mean. */
static bool skip_group(struct literal *l)
{
    size_t depth = 0;
    while (l->at < l->pattern.len) {
        unsigned char c = byte_at(l, l->at);
        if (c == '[') {
            skip_class(l);
            continue;
        }
        if (c == '(' && byte_at(l, l->at + 1) == '?' && byte_at(l, l->at + 2) != ':')
            return false;
        if (c == '\\' && byte_at(l, l->at + 1) == 'Q')
            return false;
        l->at += c == '\\' ? 2 : 1;
        depth += c == '(';
        if (c == ')' && --depth == 0)
            return true;
    }
    return false;
}

/* A byte that stands for itself, unless what follows makes it optional. */
static void literal_byte(struct literal *l)
{
    unsigned char next = byte_at(l, l->at + 1);
    if (next == '*' || next == '?' || next == '{') {
        end_run(l);
    } else {
        if (l->len == 0)
            l->begin = l->at;
        l->len++;
        if (next == '+')
            end_run(l);
    }
    l->at++;
}

/* {2}, {2,}, {2,3}; a brace of another kind stands for itself. */
static void skip_repeat(struct literal *l)
{
    size_t at = l->at + 1;
    while (byte_at(l, at) == ',' || (byte_at(l, at) >= '0' && byte_at(l, at) <= '9'))
        at++;
    l->at = byte_at(l, at) == '}' ? at + 1 : l->at + 1;
}

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x7f && strchr("\\.+*?()|[]{}^$", c) == NULL;
}

static struct str required_bytes(struct str pattern)
{
    struct literal l = {.pattern = pattern};
    while (l.at < pattern.len) {
        unsigned char c = byte_at(&l, l.at);
        if (is_plain(c)) {
            literal_byte(&l);
            continue;
        }
        end_run(&l);
        if (c == '(') {
            if (!skip_group(&l))
                return STR_EMPTY;
        } else if (c == '[') {
            skip_class(&l);
        } else if (c == '\\') {
            unsigned char what = byte_at(&l, l.at + 1);
            if (what >= 0x80 || what == 'Q' || what == 'x' || what == 'p' || what == 'P' ||
                (what >= '0' && what <= '9'))
                return STR_EMPTY;
            l.at += 2;
        } else if (c == '{') {
            skip_repeat(&l);
        } else if (c == '|') {
            return STR_EMPTY;
        } else {
            l.at++;
        }
    }
    end_run(&l);
    return l.best.len >= 2 ? l.best : STR_EMPTY;
}

/* ---- expressions ---- */

STATUS regex_new(struct str pattern, struct regex **out, struct error *err)
{
    enum status st = regex_load(err);
    if (st != OK)
        return st;
    if (pattern.len > REGEX_PATTERN_MAX) {
        error_set(err, "error parsing regexp: expression too large: longer than %d bytes",
                  REGEX_PATTERN_MAX);
        return ERR_INVALID;
    }

    CLEANUP(regex_cleanup) struct regex *re = calloc(1, sizeof(*re));
    if (re == NULL)
        return error_nomem(err);
    char text[ERROR_TEXT_MAX];
    re->re = module->compile(pattern.ptr, pattern.len, REGEX_MEMORY_MAX, text, sizeof(text));
    if (re->re == NULL) {
        error_set(err, "%s", text);
        return ERR_INVALID;
    }
    re->size = module->program_size(re->re);
    re->groups = module->group_count(re->re);
    if (re->size > REGEX_PROGRAM_MAX) {
        error_set(err, "error parsing regexp: expression too large: more than %d instructions",
                  REGEX_PROGRAM_MAX);
        return ERR_INVALID;
    }
    struct str required = required_bytes(pattern);
    char *copy = malloc(required.len + 1);
    if (copy == NULL)
        return error_nomem(err);
    if (required.len > 0)
        memcpy(copy, required.ptr, required.len);
    re->required = str_bytes(copy, required.len);
    re->inside = memmem(pattern.ptr, pattern.len, "\\B", 2) != NULL;
    *out = TAKE(re);
    return OK;
}

struct regex *regex_unref(struct regex *re)
{
    if (re != NULL) {
        if (re->re != NULL)
            module->destroy(re->re);
        free((char *)(uintptr_t)re->required.ptr);
        free(re);
    }
    return NULL;
}

size_t regex_groups(const struct regex *re)
{
    return re->groups;
}

size_t regex_size(const struct regex *re)
{
    return re->size;
}

size_t regex_group_index(const struct regex *re, struct str name)
{
    return module->group_index(re->re, name.ptr, name.len);
}

static bool may_match(const struct regex *re, struct str text, size_t start)
{
    return re->required.len == 0 ||
           (start <= text.len &&
            memmem(text.ptr + start, text.len - start, re->required.ptr, re->required.len) != NULL);
}

static bool is_within(struct str text, size_t at)
{
    return at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80;
}

/* What is found within a character is empty, and does not count: the next one may. */
static bool match_between(const struct regex *re, struct str text, size_t start,
                          struct re2_span *spans, size_t span_count)
{
    struct re2_span whole;
    struct re2_span *found = span_count > 0 ? spans : &whole;
    size_t count = span_count > 0 ? span_count : 1;
    while (module->match(re->re, text.ptr, text.len, start, found, count) == 1) {
        start = found[0].begin;
        if (!is_within(text, start))
            return true;
        while (is_within(text, start))
            start++;
    }
    return false;
}

bool regex_match(const struct regex *re, struct str text, size_t start, struct re2_span *spans,
                 size_t span_count)
{
    if (!may_match(re, text, start))
        return false;
    if (re->inside)
        return match_between(re, text, start, spans, span_count);
    return module->match(re->re, text.ptr, text.len, start, spans, span_count) == 1;
}

bool regex_full_match(const struct regex *re, struct str text)
{
    return may_match(re, text, 0) && module->full_match(re->re, text.ptr, text.len) == 1;
}

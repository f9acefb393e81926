#include "rego/regex.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/module.h"

struct regex {
    struct re2_expression *re;
};

/* ---- the module ---- */

#define MODULE_NAME "claviger-re2.so"

static pthread_mutex_t module_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct re2_api *module; /* set once, never closed */

STATUS regex_load(struct error *err)
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
    if (regex_size(re) > REGEX_PROGRAM_MAX) {
        error_set(err, "error parsing regexp: expression too large: more than %d instructions",
                  REGEX_PROGRAM_MAX);
        return ERR_INVALID;
    }
    *out = TAKE(re);
    return OK;
}

struct regex *regex_unref(struct regex *re)
{
    if (re != NULL) {
        if (re->re != NULL)
            module->destroy(re->re);
        free(re);
    }
    return NULL;
}

size_t regex_groups(const struct regex *re)
{
    return module->group_count(re->re);
}

size_t regex_size(const struct regex *re)
{
    return module->program_size(re->re);
}

size_t regex_group_index(const struct regex *re, struct str name)
{
    return module->group_index(re->re, name.ptr, name.len);
}

bool regex_match(const struct regex *re, struct str text, size_t start, struct re2_span *spans,
                 size_t span_count)
{
    return module->match(re->re, text.ptr, text.len, start, spans, span_count) == 1;
}

bool regex_full_match(const struct regex *re, struct str text)
{
    return module->full_match(re->re, text.ptr, text.len) == 1;
}

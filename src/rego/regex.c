#include "rego/regex.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct regex {
    struct re2_expression *re;
};

/* ---- the module ---- */

#define MODULE_NAME "claviger-re2.so"

static pthread_mutex_t module_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct re2_api *module; /* set once, never closed */

static const struct re2_api *open_module(const char *dir)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, MODULE_NAME);
    if (n < 0 || (size_t)n >= sizeof(path))
        return NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct re2_api *api = handle != NULL ? dlsym(handle, CLAVIGER_RE2_SYMBOL) : NULL;
    if (api != NULL && api->version == CLAVIGER_RE2_VERSION)
        return api;
    if (handle != NULL)
        dlclose(handle);
    return NULL;
}

/*
 * Fixed folders only: a search path from the environment would let whoever
 * sets it run code in the process.
 */
static const struct re2_api *find_module(void)
{
    static const char *const dirs[] = {
        CLAVIGER_MODULE_DIR,
#ifdef CLAVIGER_BUILD_MODULE_DIR
        CLAVIGER_BUILD_MODULE_DIR,
#endif
    };
    const struct re2_api *api = NULL;
    for (size_t i = 0; i < ARRAY_LEN(dirs) && api == NULL; i++)
        api = open_module(dirs[i]);
    return api;
}

STATUS regex_load(struct error *err)
{
    pthread_mutex_lock(&module_lock);
    if (module == NULL)
        module = find_module();
    bool found = module != NULL;
    pthread_mutex_unlock(&module_lock);
    if (!found) {
        error_set(err, "regular expressions are not available: could not load %s/%s",
                  CLAVIGER_MODULE_DIR, MODULE_NAME);
        return ERR_UNAVAILABLE;
    }
    return OK;
}

void regex_confine(struct confine *c)
{
    confine_add(c, CLAVIGER_MODULE_DIR, CONFINE_READ);
#ifdef CLAVIGER_BUILD_MODULE_DIR
    confine_add(c, CLAVIGER_BUILD_MODULE_DIR, CONFINE_READ);
#endif
    confine_add_libraries(c);
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

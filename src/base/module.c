#include "base/module.h"

#include <dlfcn.h>
#include <stdio.h>

static const void *open_in(const char *dir, const char *folder, const char *file,
                           const char *symbol, unsigned version, bool *foreign)
{
    char path[4096];
    int n =
        snprintf(path, sizeof(path), "%s%s%s/%s", dir, folder[0] == '\0' ? "" : "/", folder, file);
    if (n < 0 || (size_t)n >= sizeof(path))
        return NULL;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return NULL;
    const struct module_head *head = dlsym(handle, symbol);
    if (head != NULL && head->version == version && strcmp(head->build, CLAVIGER_VERSION) == 0)
        return head;
    *foreign = true;
    dlclose(handle);
    return NULL;
}

STATUS module_open(const char *folder, const char *file, const char *symbol, unsigned version,
                   const void **out, struct error *err)
{
    bool foreign = false;
    const void *found = open_in(CLAVIGER_MODULE_DIR, "", file, symbol, version, &foreign);
#ifdef CLAVIGER_BUILD_SRC_DIR
    if (found == NULL)
        found = open_in(CLAVIGER_BUILD_SRC_DIR, folder, file, symbol, version, &foreign);
#endif
    if (found == NULL) {
        error_set(err, foreign ? "%s/%s is of another version" : "could not load %s/%s",
                  CLAVIGER_MODULE_DIR, file);
        return ERR_UNAVAILABLE;
    }
    *out = found;
    return OK;
}

const char *const *module_folders(void)
{
    static const char *const folders[] = {
        CLAVIGER_MODULE_DIR,
#ifdef CLAVIGER_BUILD_SRC_DIR
        CLAVIGER_BUILD_SRC_DIR,
#endif
        NULL,
    };
    return folders;
}

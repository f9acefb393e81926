#include <sys/prctl.h>
#include <sys/resource.h>

#include "confine/confine.h"

void confine_process(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

enum status confine_all(const struct confine *c, enum confine_profile profile, bool required,
                        struct confined *out, struct error *err)
{
    *out = (struct confined){.lacks = ERROR_INIT};
    confine_process();
    enum status st = confine_files(c, &out->abi, &out->lacks);
    out->files = st == OK;
    /* Not the other way round: making rules takes calls that no profile has. */
    if (st == OK || st == ERR_UNSUPPORTED) {
        st = confine_calls(profile, &out->lacks);
        out->calls = st == OK;
    }
    if (st == OK && !out->files)
        st = ERR_UNSUPPORTED;
    if (st == OK || (st == ERR_UNSUPPORTED && !required))
        return OK;
    error_set(err, "could not confine the process: %s", out->lacks.text);
    return st;
}

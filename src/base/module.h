/*
 * module - shared objects of ours that are opened when they are needed
 * (DESIGN.md, "What is loaded when").
 *
 * They are looked for in the folder of the installation, then, in builds with
 * the option `uninstalled`, in the build folder of the module that makes them.
 * No search path from the environment: it would let whoever sets it run code
 * beside the keys.
 */
#pragma once

#include "base/defs.h"
#include "base/error.h"

/* What stands first in the object that a module offers under its symbol. */
struct module_head {
    unsigned version;  /* of the interface */
    const char *build; /* CLAVIGER_VERSION of the tree that it was built in */
};

/*
 * Open `file` ("claviger-x.so", made in src/`folder`) and find `symbol`, which
 * begins with a struct module_head of that version and of our own build.  It
 * stays open.  ERR_UNAVAILABLE, with the place where it should have been.
 */
STATUS module_open(const char *folder, const char *file, const char *symbol, unsigned version,
                   const void **out, struct error *err);

/* The folders below which they are looked for, NULL-terminated. */
const char *const *module_folders(void);

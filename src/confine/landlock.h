/*
 * landlock - the kernel's interface, as far as we use it.
 *
 * Debian 12's headers (Linux 6.1) are older than many kernels that our programs
 * run on, so its few constants stand here.  Documentation/userspace-api/landlock.rst
 * says which came with which version (ABI).
 */
#pragma once

#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_landlock_create_ruleset /* the same on every architecture */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define LANDLOCK_ASK_VERSION 1u /* flag of create_ruleset */
#define LANDLOCK_PATH_BENEATH 1 /* kind of rule */

#define LANDLOCK_EXECUTE (1u << 0)
#define LANDLOCK_WRITE_FILE (1u << 1)
#define LANDLOCK_READ_FILE (1u << 2)
#define LANDLOCK_READ_DIR (1u << 3)
#define LANDLOCK_REMOVE_DIR (1u << 4)
#define LANDLOCK_REMOVE_FILE (1u << 5)
#define LANDLOCK_MAKE_DIR (1u << 7)
#define LANDLOCK_MAKE_REG (1u << 8)
#define LANDLOCK_ALL_ABI1 ((1u << 13) - 1) /* EXECUTE, WRITE_FILE, ..., MAKE_SYM */
#define LANDLOCK_REFER (1u << 13)          /* ABI 2: to another folder */
#define LANDLOCK_TRUNCATE (1u << 14)       /* ABI 3 */
#define LANDLOCK_IOCTL_DEV (1u << 15)      /* ABI 5 */

#define LANDLOCK_NET_ALL 3u   /* ABI 4: bind and connect, of TCP */
#define LANDLOCK_SCOPE_ALL 3u /* ABI 6: abstract sockets of others, signals to others */

/* An older kernel takes the longer form, too, as long as what it does not know is 0. */
struct landlock_ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct landlock_path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

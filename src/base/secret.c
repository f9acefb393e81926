#include "base/secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

struct secret {
    _Atomic unsigned refs;
    size_t len;
    size_t map_len; /* with both guard pages */
    char *map;
    char bytes[];
};

static atomic_bool lock_refused;

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

enum status secret_new_empty(size_t len, struct secret **out, struct error *err)
{
    if (len > SECRET_MAX) {
        error_set(err, "a secret of %zu bytes is larger than %d", len, SECRET_MAX);
        return ERR_LIMIT;
    }
    size_t page = page_size();
    size_t body = (sizeof(struct secret) + len + page - 1) / page * page;
    size_t total = body + 2 * page;

    char *map = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return error_nomem(err);
    if (mprotect(map + page, body, PROT_READ | PROT_WRITE) != 0) {
        munmap(map, total);
        return error_nomem(err);
    }
    if (mlock(map + page, body) != 0)
        atomic_store(&lock_refused, true);
    madvise(map + page, body, MADV_DONTDUMP);
    madvise(map + page, body, MADV_WIPEONFORK);

    struct secret *s = (struct secret *)(map + page);
    atomic_init(&s->refs, 1);
    s->len = len;
    s->map_len = total;
    s->map = map;
    *out = s;
    return OK;
}

enum status secret_new(struct str bytes, struct secret **out, struct error *err)
{
    enum status st = secret_new_empty(bytes.len, out, err);
    if (st == OK && bytes.len > 0)
        memcpy((*out)->bytes, bytes.ptr, bytes.len);
    return st;
}

struct secret *secret_ref(struct secret *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

struct secret *secret_unref(struct secret *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    char *map = s->map;
    size_t total = s->map_len;
    explicit_bzero(s->bytes, s->len);
    munmap(map, total);
    return NULL;
}

struct str secret_bytes(const struct secret *s)
{
    return (struct str){s->bytes, s->len};
}

char *secret_writable(struct secret *s)
{
    return s->bytes;
}

bool bytes_equal_ct(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    uint64_t diff = 0;
    size_t i = 0;
    for (; i + 8 <= a.len; i += 8) {
        diff |= load_le64(a.ptr + i) ^ load_le64(b.ptr + i);
        __asm__ volatile("" : "+r"(diff)); /* or the compiler may leave early */
    }
    for (; i < a.len; i++) {
        diff |= (unsigned char)a.ptr[i] ^ (unsigned char)b.ptr[i];
        __asm__ volatile("" : "+r"(diff));
    }
    return diff == 0;
}

bool secret_equal(const struct secret *s, struct str other)
{
    return bytes_equal_ct(secret_bytes(s), other);
}

void bytes_wipe(void *p, size_t len)
{
    explicit_bzero(p, len);
}

bool secret_all_locked(void)
{
    return !atomic_load(&lock_refused);
}

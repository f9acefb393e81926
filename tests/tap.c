#include "tap.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/encode.h"

static int count;
static int failed;

/* On one line and without a "#", behind which TAP reads directives: "# TODO" would excuse a
 * failure. */
static void print_row(const char *before, const char *row)
{
    if (row == NULL)
        return;
    fputs(before, stdout);
    for (; *row != '\0'; row++)
        if (*row == '\n')
            fputs("\\n", stdout);
        else
            putchar(*row == '#' || (unsigned char)*row < 0x20 ? '?' : *row);
}

bool tap_check(bool ok, const char *file, int line, const char *what, const char *row)
{
    count++;
    const char *base = strrchr(file, '/');
    base = base == NULL ? file : base + 1;
    if (!ok)
        failed++;
    printf("%s %d - %s:%d", ok ? "ok" : "not ok", count, base, line);
    print_row(" ", row);
    if (!ok) {
        printf("\n# %s:%d: %s", file, line, what);
        print_row(", row ", row);
        printf(" failed");
    }
    putchar('\n');
    fflush(stdout);
    return ok;
}

void tap_skip(const char *condition, const char *why)
{
    count++;
    printf("ok %d # SKIP %s: %s\n", count, condition, why);
    fflush(stdout);
}

bool tap_str(struct str got, struct str want, const char *file, int line, const char *row)
{
    bool ok = tap_check(str_equal(got, want), file, line, "text", row);
    if (!ok) {
        printf("#   got  %zu bytes: \"%s\"\n", got.len, QUOTED(got));
        printf("#   want %zu bytes: \"%s\"\n", want.len, QUOTED(want));
    }
    return ok;
}

bool tap_hex(struct str got, const char *want, const char *file, int line, const char *row)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 64 * 1024);
    hex_write(&text, got);
    return tap_str(buf_str(&text), str_of(want), file, line, row);
}

struct str tap_bytes(struct arena *a, const char *hex)
{
    struct str bytes = STR_EMPTY;
    if (hex_bytes(a, str_of(hex), &bytes, NULL) != OK)
        abort(); /* a mistake of the test's own */
    return bytes;
}

bool tap_status(enum status got, enum status want, const struct error *err, const char *file,
                int line, const char *row)
{
    bool ok = tap_check(got == want, file, line, "status", row);
    if (!ok)
        printf("#   got %s, want %s; error text: %s\n", status_name(got), status_name(want),
               err == NULL ? "" : err->text);
    return ok;
}

const char *tap_shared(const char *relative)
{
    static char path[4096];
    const char *root = getenv("CLAVIGER_SHARED");
    const char *source = getenv("CLAVIGER_SOURCE");
    if (root == NULL || root[0] == '\0')
        root = "../shared";
    snprintf(path, sizeof(path), "%s%s%s/%s", root[0] == '/' || source == NULL ? "" : source,
             root[0] == '/' || source == NULL ? "" : "/", root, relative);
    if (access(path, R_OK) == 0)
        return path;
    tap_skip("no-shared", relative);
    return NULL;
}

const char *tap_source(const char *relative)
{
    static char path[4096];
    const char *root = getenv("CLAVIGER_SOURCE");
    snprintf(path, sizeof(path), "%s/%s", root == NULL ? "." : root, relative);
    return path;
}

static char tmpdir[4096];

const char *tap_tmpdir(void)
{
    if (tmpdir[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(tmpdir, sizeof(tmpdir), "%s/claviger-test-XXXXXX", base == NULL ? "/tmp" : base);
        if (mkdtemp(tmpdir) == NULL) {
            perror(tmpdir);
            exit(99);
        }
    }
    return tmpdir;
}

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    return remove(path);
}

int tap_done(void)
{
    if (tmpdir[0] != '\0')
        nftw(tmpdir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    printf("1..%d\n", count);
    fflush(stdout);
    return failed == 0 ? 0 : 1;
}

/*
 * malloc() of the tests: glibc's, until told to fail.  Not under a sanitizer,
 * whose own malloc must stay in place; there the sweep never fails an
 * allocation and ends after one round.
 */
static long fail_after;

void tap_fail_malloc_after(long n)
{
    fail_after = n;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
bool tap_malloc_can_fail(void)
{
    return false;
}
#else
bool tap_malloc_can_fail(void)
{
    return true;
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);

static bool refuse(void)
{
    if (fail_after == 0)
        return false;
    if (fail_after > 1) {
        fail_after--;
        return false;
    }
    return true;
}

void *malloc(size_t size)
{
    return refuse() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return refuse() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return refuse() ? NULL : __libc_realloc(p, size);
}
#endif

/*
 * replay - run a fuzz target over files instead of under a fuzzer.
 *
 * Each argument is a file or a folder of files.  Prints TAP: one line a file.
 * A property that fails aborts, which the test runner sees.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay_file(const char *path)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 16 * 1024 * 1024);
    struct error err = ERROR_INIT;
    enum status st = file_read(path, &b, &err);
    if (!CHECK_STATUS_ROW(st, OK, &err, path))
        return;

    /* A copy of the exact size, so that a sanitizer sees reads past its end. */
    uint8_t *copy = malloc(b.len > 0 ? b.len : 1);
    if (copy == NULL)
        abort();
    if (b.len > 0)
        memcpy(copy, b.ptr, b.len);
    LLVMFuzzerTestOneInput(copy, b.len);
    free(copy);
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];
    LLVMFuzzerTestOneInput(nothing, 0);

    for (int i = 1; i < argc; i++) {
        struct stat sb;
        if (!CHECK_ROW(stat(argv[i], &sb) == 0, argv[i]))
            continue;
        if (!S_ISDIR(sb.st_mode)) {
            replay_file(argv[i]);
            continue;
        }
        struct dirent **names;
        int n = scandir(argv[i], &names, NULL, alphasort);
        CHECK_ROW(n >= 0, argv[i]);
        for (int k = 0; k < n; k++) {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", argv[i], names[k]->d_name);
            if (names[k]->d_name[0] != '.')
                replay_file(path);
            free(names[k]);
        }
        free(n >= 0 ? names : NULL);
    }
    return tap_done();
}

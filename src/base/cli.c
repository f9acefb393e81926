#include "base/cli.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"

size_t cli_find(const void *table, size_t rows, size_t row_size, const char *name)
{
    for (size_t i = 0; i < rows; i++) {
        const char *row;
        memcpy(&row, (const char *)table + i * row_size, sizeof(row));
        if (strcmp(row, name) == 0)
            return i;
    }
    return rows;
}

bool cli_is_answered(int argc, char **argv, const char *help, const char *version)
{
    if (argc != 2)
        return false;
    if (strcmp(argv[1], "--help") == 0)
        fputs(help, stdout);
    else if (strcmp(argv[1], "--version") == 0)
        puts(version);
    else
        return false;
    return true;
}

static enum status read_stdin(struct buf *out, struct error *err)
{
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
        buf_add(out, str_bytes(chunk, n));
    if (ferror(stdin))
        return error_errno(err, errno, "could not read standard input");
    if (buf_status(out) == ERR_LIMIT)
        error_set(err, "standard input is longer than %zu bytes", out->max);
    return buf_status(out);
}

enum status cli_read(const char *path, struct buf *out, struct error *err)
{
    return strcmp(path, "-") == 0 ? read_stdin(out, err) : file_read(path, out, err);
}

int cli_print(const char *program, struct str text)
{
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
        return EXIT_DONE;
    fprintf(stderr, "%s: could not write: %s\n", program, strerror(errno));
    return EXIT_REFUSED;
}

int cli_print_report(const char *program, const struct report *r)
{
    if (r->troubles.len == 0)
        return cli_print(program, buf_str(&r->notes));
    fwrite(r->troubles.ptr, 1, r->troubles.len, stderr);
    return EXIT_REFUSED;
}

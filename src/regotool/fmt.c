/*
 * rego fmt - policies in their one layout.
 *
 * Without paths the text comes from standard input.  Folders are searched for
 * *.rego.  Statuses are OPA's: 2 when a file does not parse or, with --fail,
 * would change.
 */
#include "regotool/regotool_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"

static int format(const struct tool_options *o, const char *name, struct str text, struct buf *out)
{
    struct rego_options options = tool_rego_options(o);
    options.experimental_keywords =
        true; /* the layout does not depend on whether a host allows them */
    CLEANUP(rego_compiler_cleanup) struct rego_compiler *c = rego_compiler_new(&options);
    if (c == NULL) {
        fputs("rego fmt: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    struct rego_format_options f = {
        .target = o->rego_v1 ? REGO_FORMAT_BOTH
                  : o->v0    ? REGO_FORMAT_V0
                             : REGO_FORMAT_V1,
        .drop_v0_imports = o->drop_v0_imports,
    };
    enum status st = rego_format(c, str_of(name), text, &f, out);
    if (st == OK)
        return EXIT_DONE;
    struct rego_errors found = rego_compiler_errors(c);
    if (o->arguments.len > 0) /* OPA's; nothing of standard input */
        fputs("failed to format Rego source file: ", stderr);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, TOOL_FILE_MAX);
    struct tool_errors errors = {.len = 0};
    for (size_t i = 0; i < found.len; i++) {
        tool_error_rego(&errors, &a, &found.items[i]);
        if (errors.len > i)
            tool_error_excerpt(&errors.items[i], text);
    }
    if (errors.len == 0)
        tool_error_text(&errors, &a, status_name(st));
    if (errors.len == 1 && errors.items[0].row == 0 &&
        found.len > 0) { /* not in a list, with OPA */
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 65536);
        rego_error_write(&b, &found.items[0]);
        fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&b)));
        return EXIT_FAILED;
    }
    tool_write_errors_text(stderr, &errors);
    return EXIT_FAILED;
}

static size_t line_end(struct str s, size_t at)
{
    size_t lf = str_find(s, '\n', at);
    return lf < s.len ? lf + 1 : s.len;
}

static void show_lines(char sign, struct str s)
{
    for (size_t at = 0; at < s.len;) {
        size_t end = line_end(s, at);
        printf("%c%.*s%s", sign, STR_ARG(str_slice(s, at, end - at)),
               s.ptr[end - 1] == '\n' ? "" : "\n");
        at = end;
    }
}

/* The lines between the common beginning and the common end. */
static void show_difference(const char *name, struct str before, struct str after)
{
    size_t start = 0;
    for (;;) {
        size_t a = line_end(before, start);
        size_t b = line_end(after, start);
        if (start >= before.len || a != b ||
            !str_equal(str_slice(before, start, a - start), str_slice(after, start, b - start)))
            break;
        start = a;
    }
    size_t tail = 0;
    size_t most = (before.len < after.len ? before.len : after.len) - start;
    for (size_t n = 1; n <= most; n++) {
        if (before.ptr[before.len - n] != after.ptr[after.len - n])
            break;
        if (n == before.len - start || before.ptr[before.len - n - 1] == '\n')
            tail = n;
    }
    printf("--- %s\n+++ %s (formatted)\n", name, name);
    show_lines('-', str_slice(before, start, before.len - tail - start));
    show_lines('+', str_slice(after, start, after.len - tail - start));
}

static int finish(const struct tool_options *o, const char *path, struct str before,
                  struct str after)
{
    bool changed = !str_equal(before, after);
    if (o->list) {
        if (changed)
            printf("%s\n", path);
    } else if (o->diff) {
        if (changed)
            show_difference(path, before, after);
    } else if (!o->fail && !o->write) {
        fwrite(after.ptr, 1, after.len, stdout);
    }
    if (changed && o->fail) {
        fputs("unexpected diff\n", stderr);
        return EXIT_FAILED;
    }
    struct stat sb;
    struct error err = ERROR_INIT;
    if (changed && o->write && !o->list && !o->diff &&
        (stat(path, &sb) != 0 || file_write(path, after, sb.st_mode & 0777, &err) != OK)) {
        fprintf(stderr, "rego fmt: %s\n", err.text);
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static int format_file(const struct tool_options *o, const char *path)
{
    CLEANUP(buf_done) struct buf text, out;
    buf_init(&text, TOOL_SOURCE_MAX);
    buf_init(&out, TOOL_FILE_MAX);
    struct error err = ERROR_INIT;
    if (tool_read(path, &text, &err) != OK) {
        fprintf(stderr, "rego fmt: %s\n", err.text);
        return EXIT_FAILED;
    }
    int status = format(o, path, buf_str(&text), &out);
    return status != EXIT_DONE ? status : finish(o, path, buf_str(&text), buf_str(&out));
}

static int format_path(const struct tool_options *o, const char *path, bool named);

static int format_dir(const struct tool_options *o, const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) {
        fprintf(stderr, "rego fmt: %s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    int status = EXIT_DONE;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        if (status == EXIT_DONE && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            CLEANUP(buf_done) struct buf b;
            buf_init(&b, 65536);
            buf_add_format(&b, "%s/%s", path, name);
            buf_add_byte(&b, '\0');
            status = buf_status(&b) == OK ? format_path(o, b.ptr, false) : EXIT_FAILED;
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int format_path(const struct tool_options *o, const char *path, bool named)
{
    struct stat sb;
    if ((named ? stat(path, &sb) : lstat(path, &sb)) != 0) {
        fprintf(stderr, "lstat %s: %s\n", path,
                errno == ENOENT ? "no such file or directory" : strerror(errno));
        return EXIT_USAGE;
    }
    if (S_ISDIR(sb.st_mode))
        return format_dir(o, path);
    return str_has_suffix(str_of(path), STR(".rego")) ? format_file(o, path) : EXIT_DONE;
}

int tool_fmt(struct tool_options *o)
{
    for (size_t i = 0; i < o->arguments.len; i++) {
        const char *path = o->arguments.items[i];
        if (strncmp(path, "file://", 7) == 0)
            path += 7;
        int status = format_path(o, path, true);
        if (status != EXIT_DONE)
            return status;
    }
    if (o->arguments.len > 0)
        return EXIT_DONE;
    CLEANUP(buf_done) struct buf text, out;
    buf_init(&text, TOOL_SOURCE_MAX);
    buf_init(&out, TOOL_FILE_MAX);
    struct error err = ERROR_INIT;
    if (tool_read_stdin(&text, &err) != OK) {
        fprintf(stderr, "rego fmt: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (format(o, "stdin", buf_str(&text), &out) != EXIT_DONE)
        return EXIT_USAGE;
    fwrite(out.ptr, 1, out.len, stdout);
    return EXIT_DONE;
}

/*
 * initdata - a pod's init data: encoded, decoded, measured, checked
 * (../shared/INTERFACES.md, Tools).
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attestation/initdata.h"
#include "base/cli.h"
#include "base/encode.h"
#include "base/file.h"
#include "rego/rego.h"
#include "value/document.h"

#define MEMORY_MAX ((size_t)64 * 1024 * 1024)

static const char usage_text[] =
    "usage: initdata encode FILE\n"
    "       initdata decode [FILE]\n"
    "       initdata digest FILE\n"
    "       initdata pcr8 FILE\n"
    "       initdata check FILE\n"
    "\n"
    "Work on a pod's init data. FILE may be -, standard input.\n"
    "\n"
    "  encode   print gzip and base64 of the document in one line, for the annotation\n"
    "  decode   print the document of such a line\n"
    "  digest   print the document's digest in hex, by the algorithm that it names\n"
    "  pcr8     print PCR 8 of a guest that measured the document, in hex\n"
    "  check    read everything that guests will read, and say what is wrong\n"
    "\n"
    "      --help      this text\n"
    "      --version   the version\n"
    "\n"
    "Exit status: 0 done, 1 refused or failed, 2 wrong usage or an unreadable file.\n";

static int usage_error(const char *what)
{
    fprintf(stderr, "initdata: %s\ntry `initdata --help`\n", what);
    return EXIT_USAGE;
}

static int refused(const struct error *err)
{
    fprintf(stderr, "initdata: %s\n", err->text);
    return EXIT_REFUSED;
}

static int print_line(struct str s)
{
    if (fwrite(s.ptr, 1, s.len, stdout) != s.len || fputc('\n', stdout) == EOF ||
        fflush(stdout) != 0) {
        perror("initdata: could not write");
        return EXIT_REFUSED;
    }
    return EXIT_DONE;
}

/* ---- check ---- */

static int problem(const char *format, ...) PRINTF_LIKE(1, 2);

static int problem(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("initdata: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    return 1;
}

/* One member of [data], as its consumer reads it (guest-initdata.md 1). */
static int check_member(struct arena *a, struct str name, struct str text)
{
    struct error err = ERROR_INIT;
    if (str_is(name, "aa.toml") || str_is(name, "cdh.toml")) {
        value v;
        if (toml_parse(a, text, &v, NULL, &err) != OK)
            return problem("%.*s is not TOML: line %u: %s", STR_ARG(name), err.line, err.text);
        return 0;
    }
    if (str_is(name, "policy.rego")) {
        struct rego_options options = REGO_OPTIONS_DEFAULT;
        struct rego_policy *p = NULL;
        options.refuse_missing_builtins = true;
        if (rego_compile_text(name, text, &options, &p, &err) != OK)
            return problem("%s", err.text);
        bool agent = str_is(rego_policy_package(p, 0), "data.agent_policy");
        rego_policy_unref(p);
        return agent ? 0 : problem("policy.rego is not of the package agent_policy");
    }
    return problem("data.\"%s\" is read by nobody: only aa.toml, cdh.toml and policy.rego are",
                   QUOTED(name));
}

static int check(struct arena *a, struct str toml)
{
    struct error err = ERROR_INIT;
    struct init_data d;
    value root;
    enum status st = init_data_parse(a, toml, &d, &err);
    if (st == OK)
        st = toml_parse(a, toml, &root, NULL, &err);
    if (st != OK)
        return refused(&err);

    int problems = 0;
    if (!str_is(value_str(value_get_lit(root, "version")), "0.1.0"))
        problems += problem("version is not \"0.1.0\": Kata guests refuse it");
    if (d.alg == DIGEST_SM3)
        problems += problem("algorithm sm3 is unknown to Kata guests");
    else if (d.alg != DIGEST_SHA256)
        problems += problem("algorithm is not sha256: verifiers of a vTPM (Azure) take no other");
    value data = value_get_lit(root, "data");
    for (size_t i = 0; i < value_len(data); i++)
        problems += check_member(a, value_str(value_pairs(data)[i].key),
                                 value_str(value_pairs(data)[i].val));
    return problems == 0 ? EXIT_DONE : EXIT_REFUSED;
}

/* ---- commands ---- */

static int encode(struct arena *a, struct str bytes)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, INIT_DATA_TEXT_MAX);
    if (init_data_encode(bytes, &out, &err) != OK)
        return refused(&err);
    return print_line(buf_str(&out));
}

static int decode(struct arena *a, struct str bytes)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, INIT_DATA_MAX + 1);
    if (init_data_decode(bytes, &out, &err) != OK)
        return refused(&err);
    return cli_print("initdata", buf_str(&out));
}

static int print_digest(struct arena *a, const struct digest *d)
{
    struct str hex = hex_text(a, digest_str(d));
    return hex.ptr != NULL ? print_line(hex) : EXIT_REFUSED;
}

static int digest(struct arena *a, struct str bytes)
{
    struct error err = ERROR_INIT;
    struct init_data d;
    return init_data_parse(a, bytes, &d, &err) == OK ? print_digest(a, &d.digest) : refused(&err);
}

static int pcr8(struct arena *a, struct str bytes)
{
    struct error err = ERROR_INIT;
    struct init_data d;
    struct digest pcr;
    if (init_data_parse(a, bytes, &d, &err) != OK)
        return refused(&err);
    init_data_pcr8(&d.digest, &pcr);
    return print_digest(a, &pcr);
}

static const struct {
    const char *name;
    int (*run)(struct arena *a, struct str bytes);
    bool file_needed;
} commands[] = {
    {"encode", encode, true}, {"decode", decode, false}, {"digest", digest, true},
    {"pcr8", pcr8, true},     {"check", check, true},
};

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "+", longs, NULL)) != -1;) {
        if (c == 'h')
            return fputs(usage_text, stdout) == EOF ? EXIT_REFUSED : EXIT_DONE;
        if (c == 'V')
            return print_line(STR("initdata " CLAVIGER_VERSION));
        return usage_error("unknown option");
    }
    int n = argc - optind;
    if (n < 1)
        return usage_error("no command");
    size_t i = CLI_FIND(commands, argv[optind]);
    if (i == ARRAY_LEN(commands))
        return usage_error("unknown command");
    if (n > 2 || (n == 1 && commands[i].file_needed))
        return usage_error("exactly one file is needed");
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf in;
    buf_init(&in, INIT_DATA_TEXT_MAX);
    if (cli_read(n == 2 ? argv[optind + 1] : "-", &in, &err) != OK) {
        refused(&err);
        return EXIT_USAGE;
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY_MAX);
    return commands[i].run(&a, buf_str(&in));
}

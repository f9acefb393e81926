/*
 * collateral - what machines need of their makers, for sites without a network:
 * listed, packed, verified, imported, watched (../shared/INTERFACES.md, Tools).
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "collateral/disk.h"
#include "collateral/pack.h"
#include "collateral/service.h"
#include "value/document.h"
#include "value/json.h"

#define MEMORY_MAX ((size_t)256 * 1024 * 1024)
#define EVIDENCE_MAX (16 * 1024 * 1024)
#define LIST_MAX (4 * 1024 * 1024)
#define KEY_FILE_MAX (64 * 1024)
#define REPEAT_MAX 16

static const char usage_text[] =
    "usage: collateral inventory --tee TEE EVIDENCE... [--report-data HEX] [--config FILE]\n"
    "       collateral inventory --cache-dir DIR\n"
    "       collateral pack --key KEY -o FILE [--config FILE] [LIST]\n"
    "       collateral verify --public-key KEY [--time RFC3339] FILE\n"
    "       collateral import --public-key KEY --cache-dir DIR FILE\n"
    "       collateral status [--time RFC3339] [--within HOURS] [-f text|json] DIR\n"
    "\n"
    "Endorsements of AMD's and Intel's machines for sites without a network.\n"
    "\n"
    "  inventory   print the URLs of what evidence needs, or of what a folder has, one a line\n"
    "  pack        fetch what a list names (default: standard input), into one signed file\n"
    "  verify      check such a file: its signature, each item, dates\n"
    "  import      put it into the folder that servers read (verifier_config.collateral)\n"
    "  status      what is in that folder, how old, and how long it still serves\n"
    "\n"
    "      --tee TEE                   of the evidence: tdx, snp, sgx, az-tdx-vtpm, ...\n"
    "      --report-data HEX           what the evidence was made over; Azure's needs it\n"
    "      --config FILE               configuration with a table verifier_config\n"
    "      --cache-dir DIR             folder of collateral\n"
    "      --key KEY                   private key that signs the pack, PEM\n"
    "      --public-key KEY            public key that must have signed it, PEM\n"
    "  -o, --output FILE               where the pack goes\n"
    "      --extra-trust-anchors DIR   further roots of trust; repeatable\n"
    "      --time RFC3339              the moment to judge dates by (default: now)\n"
    "      --within HOURS              status 1 when an item ends within this time\n"
    "  -f, --format text|json          form of the answer (default: text)\n"
    "      --help                      this text\n"
    "      --version                   the version\n"
    "\n"
    "Exit status: 0 done, 1 refused, missing or out of date, 2 wrong usage or an unreadable "
    "file.\n";

struct options {
    const char *command, *tee, *report_data, *config, *cache_dir, *key, *public_key, *output;
    const char *anchors[REPEAT_MAX];
    size_t anchor_count;
    char *const *files;
    size_t file_count;
    int64_t now_s, within_s;
    bool json, has_within;
};

/* What every command has; made by main(). */
struct run {
    const struct options *o;
    struct arena a;
    struct anchors *anchors;
    value config; /* verifier_config, or undefined */
};

static int usage_error(const char *what, const char *arg)
{
    fprintf(stderr, "collateral: %s%s%s\ntry `collateral --help`\n", what, arg == NULL ? "" : ": ",
            arg == NULL ? "" : QUOTED(str_of(arg)));
    return EXIT_USAGE;
}

/* An unreadable file is the user's to mend; anything else is a refusal. */
static int failed(enum status st, const struct error *err)
{
    fprintf(stderr, "collateral: %s\n", err->text);
    return st == ERR_NOT_FOUND || st == ERR_IO ? EXIT_USAGE : EXIT_REFUSED;
}

static int finish(struct buf *out)
{
    if (buf_status(out) == OK)
        return cli_print("collateral", buf_str(out));
    fprintf(stderr, "collateral: the answer is too long\n");
    return EXIT_REFUSED;
}

/* ---- inventory ---- */

struct inventory {
    struct buf *out;
    struct str seen[4096];
    size_t count;
    struct arena *a;
};

static void list_url(struct inventory *inv, struct str url)
{
    url = str_slice(url, 0, str_find(url, '#', 0));
    if (collateral_kind_of(url) == COLLATERAL_UNKNOWN || inv->count == ARRAY_LEN(inv->seen))
        return;
    for (size_t i = 0; i < inv->count; i++)
        if (str_equal(inv->seen[i], url))
            return;
    inv->seen[inv->count] = arena_str(inv->a, url);
    if (inv->seen[inv->count++].ptr != NULL)
        buf_add_format(inv->out, "%.*s\n", STR_ARG(url));
}

/* Nothing is at hand, so a verifier names all that it wants. */
static bool record_need(void *user, struct str url, struct str *bytes)
{
    list_url(user, url);
    return false;
}

/* A chip's certificate is of use only together with the list of its maker. */
static void list_amd_crl(struct inventory *inv, struct str vcek)
{
    if (collateral_kind_of(vcek) != COLLATERAL_VCEK)
        return;
    size_t end = str_find(vcek, '?', 0);
    while (end > 0 && vcek.ptr[end - 1] != '/')
        end--;
    struct str url = arena_format(inv->a, "%.*scrl", STR_ARG(str_slice(vcek, 0, end)));
    if (url.ptr != NULL)
        list_url(inv, url);
}

static int inventory_of(struct run *r, struct inventory *inv, const char *path)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, EVIDENCE_MAX);
    enum status st = file_read(path, &text, &err);
    if (st != OK)
        return failed(ERR_IO, &err);
    const struct collateral nothing = {record_need, inv};
    struct verifier_request req = {.evidence = VALUE_UNDEFINED,
                                   .era = ERA_NEW,
                                   .now_s = r->o->now_s,
                                   .config = r->config,
                                   .anchors = r->anchors,
                                   .collateral = &nothing,
                                   .has_report_data = r->o->report_data != NULL};
    if (req.has_report_data &&
        hex_bytes(&r->a, str_of(r->o->report_data), &req.report_data, NULL) != OK)
        return usage_error("--report-data is not hexadecimal", r->o->report_data);
    st = json_parse(&r->a, buf_str(&text), NULL, &req.evidence, &err);
    if (st != OK) {
        error_prefix(&err, "evidence %s is not JSON: ", QUOTED(str_of(path)));
        return failed(ERR_INVALID, &err);
    }
    struct checks checks;
    checks_init(&checks, &r->a);
    struct verifier_result *result = arena_new(&r->a, struct verifier_result);
    if (result == NULL)
        return failed(error_nomem(&err), &err);
    st = verifier_run(&r->a, str_of(r->o->tee), &req, &checks, result, &err);
    for (size_t i = 0; i < result->needed_count; i++) {
        list_url(inv, result->needed[i]);
        list_amd_crl(inv, result->needed[i]);
    }
    /* Evidence that is refused before anything is asked for needs nothing but a word. */
    if (st != OK && st != ERR_UNAVAILABLE && inv->count == 0) {
        error_prefix(&err, "evidence %s: ", QUOTED(str_of(path)));
        return failed(ERR_DENIED, &err);
    }
    return EXIT_DONE;
}

static bool list_item(void *user, const struct collateral_item *item)
{
    list_url(user, item->url);
    return true;
}

/* Only an import makes the folder. */
static int open_folder(const char *dir, bool make, struct collateral_disk **out)
{
    struct error err = ERROR_INIT;
    enum status st = OK;
    if (!make && access(dir, F_OK) != 0)
        st = error_errno(&err, errno, "could not open folder \"%s\"", dir);
    if (st == OK)
        st = collateral_disk_open(dir, out, &err);
    return st == OK ? -1 : failed(st, &err);
}

static int inventory(struct run *r)
{
    const struct options *o = r->o;
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, LIST_MAX);
    struct inventory *inv = arena_new(&r->a, struct inventory);
    if (inv == NULL)
        return failed(error_nomem(&err), &err);
    *inv = (struct inventory){.out = &out, .a = &r->a};
    if (o->cache_dir != NULL) {
        CLEANUP(collateral_disk_cleanup) struct collateral_disk *d = NULL;
        int status = open_folder(o->cache_dir, false, &d);
        if (status >= 0)
            return status;
        enum status st = collateral_disk_list(d, list_item, inv, &err);
        return st == OK ? finish(&out) : failed(st, &err);
    }
    if (verifier_find(str_of(o->tee)) == NULL)
        return usage_error("no verifier is built in for this TEE", o->tee);
    for (size_t i = 0; i < o->file_count; i++) {
        int status = inventory_of(r, inv, o->files[i]);
        if (status != EXIT_DONE)
            return status;
    }
    return finish(&out);
}

/* ---- pack ---- */

static void tell(void *user, bool trouble, const char *text)
{
    fprintf(stderr, "collateral: %s\n", text);
}

static int read_list(struct run *r, struct str **urls, size_t *n)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, LIST_MAX);
    const char *path = r->o->file_count == 0 ? "-" : r->o->files[0];
    enum status st = cli_read(path, &text, &err);
    if (st != OK)
        return failed(ERR_IO, &err);
    struct str rest = arena_str(&r->a, buf_str(&text));
    *urls = arena_new_array(&r->a, struct str, COLLATERAL_PACK_ITEMS);
    for (*n = 0; rest.len > 0 && *urls != NULL;) {
        size_t end = str_find(rest, '\n', 0);
        struct str line = str_trim(str_slice(rest, 0, end));
        rest = str_from(rest, end + 1);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (*n == COLLATERAL_PACK_ITEMS || collateral_kind_of(line) == COLLATERAL_UNKNOWN) {
            error_set(&err, "%s: \"%s\"",
                      *n == COLLATERAL_PACK_ITEMS ? "the list is too long"
                                                  : "the list has what is no URL of collateral",
                      QUOTED(line));
            return failed(ERR_INVALID, &err);
        }
        (*urls)[(*n)++] = line;
    }
    return *urls == NULL ? failed(error_nomem(&err), &err) : -1;
}

/* What was fetched, out of the service's view: body and chain. */
static bool take_item(struct run *r, struct collateral_service *s, struct str url,
                      struct collateral_item *out)
{
    struct collateral_view view;
    struct str body = STR_EMPTY, chain = STR_EMPTY;
    collateral_view_open(s, r->o->now_s, &view);
    const struct collateral *c = &view.face;
    const char *header = collateral_chain_header(url);
    bool found = c->find(c->user, url, &body);
    if (found && header != NULL) {
        struct str name = arena_format(&r->a, "%.*s#%s", STR_ARG(url), header);
        found = name.ptr != NULL && c->find(c->user, name, &chain);
    }
    *out = (struct collateral_item){.url = url,
                                    .chain = arena_str(&r->a, chain),
                                    .body = arena_str(&r->a, body),
                                    .fetched_s = r->o->now_s};
    collateral_view_close(&view, true);
    return found && out->chain.ptr != NULL && out->body.ptr != NULL;
}

static int read_key(const char *path, struct privkey **private, struct pubkey **public)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf pem;
    buf_init_secret(&pem, KEY_FILE_MAX);
    enum status st = file_read(path, &pem, &err);
    if (st != OK)
        return failed(ERR_IO, &err);
    st = private != NULL ? privkey_from_pem(buf_str(&pem), private, &err)
                         : pubkey_from_pem(buf_str(&pem), public, &err);
    if (st == OK)
        return -1;
    error_prefix(&err, "key %s: ", QUOTED(str_of(path)));
    return failed(st, &err);
}

/* Of a server's configuration the addresses count here, not its folder or that it is offline. */
static value addresses(struct run *r)
{
    value own = value_get_lit(r->config, "collateral"), ca = value_get_lit(own, "ca_file");
    if (!value_is_object(own))
        return r->config;
    value kept = VALUE_EMPTY_OBJECT(&r->a);
    if (value_is_defined(ca))
        kept = value_object_with(&r->a, kept, value_cstring(&r->a, "ca_file"), ca);
    return value_object_with(&r->a, r->config, value_cstring(&r->a, "collateral"), kept);
}

static int pack(struct run *r)
{
    const struct options *o = r->o;
    struct error err = ERROR_INIT;
    struct str *urls;
    size_t n;
    CLEANUP(privkey_cleanup) struct privkey *key = NULL;
    int status = read_key(o->key, &key, NULL);
    if (status < 0)
        status = read_list(r, &urls, &n);
    if (status >= 0)
        return status;

    const struct collateral_options options = {
        .verifier_config = addresses(r), .anchors = r->anchors, .tell = tell};
    CLEANUP(collateral_service_cleanup) struct collateral_service *s = NULL;
    enum status st = collateral_service_new(&options, &s, &err);
    struct collateral_item *items = arena_new_array(&r->a, struct collateral_item, n + 1);
    if (st == OK && items == NULL)
        st = error_nomem(&err);
    for (size_t i = 0; st == OK && i < n; i++) {
        st = collateral_resolve(s, &urls[i], 1, &err);
        if (st == OK && !take_item(r, s, urls[i], &items[i])) {
            error_set(&err, "collateral %s does not serve", QUOTED(urls[i]));
            st = ERR_UNAVAILABLE;
        }
    }
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, COLLATERAL_PACK_MAX);
    if (st == OK)
        st = collateral_pack_write(&out, items, n, o->now_s, key, &err);
    if (st == OK)
        st = file_write(o->output, buf_str(&out), 0644, &err);
    if (st != OK)
        return failed(st == ERR_NOT_FOUND ? ERR_UNAVAILABLE : st, &err);
    fprintf(stderr, "collateral: %zu items in %s\n", n, o->output);
    return EXIT_DONE;
}

/* ---- verify, import ---- */

static int open_pack(struct run *r, struct buf *bytes, struct collateral_pack *out)
{
    struct error err = ERROR_INIT;
    CLEANUP(pubkey_cleanup) struct pubkey *key = NULL;
    int status = read_key(r->o->public_key, NULL, &key);
    if (status >= 0)
        return status;
    buf_init(bytes, COLLATERAL_PACK_MAX);
    enum status st = file_read(r->o->files[0], bytes, &err);
    if (st == OK)
        st = collateral_pack_open(buf_str(bytes), key, out, &err);
    if (st == OK)
        return -1;
    error_prefix(&err, "%s: ", QUOTED(str_of(r->o->files[0])));
    return failed(st, &err);
}

/* "  3 d 04:05", "out of date" or "for ever". */
static void write_left(struct buf *out, int64_t left_s)
{
    if (left_s < 0)
        buf_add_cstr(out, "out of date ");
    else
        buf_add_format(out, "%5lld d %02lld:%02lld", (long long)(left_s / 86400),
                       (long long)(left_s % 86400 / 3600), (long long)(left_s % 3600 / 60));
}

/* One line, or one object; false when the item is refused or ends within the asked time. */
static bool report(struct run *r, struct collateral_item *item, struct buf *text,
                   struct json_writer *w)
{
    struct error err = ERROR_INIT;
    bool good = collateral_item_check(r->anchors, item, &err) == OK;
    int64_t left_s = good ? item->dates.next_s - r->o->now_s : -1;
    char issued[TIME_RFC3339_LEN + 1] = "", next[TIME_RFC3339_LEN + 1] = "";
    char fetched[TIME_RFC3339_LEN + 1];
    time_write_rfc3339(item->fetched_s, fetched);
    if (good) {
        time_write_rfc3339(item->dates.issued_s, issued);
        time_write_rfc3339(item->dates.next_s, next);
    }
    const char *state = !good ? "refused" : left_s < 0 ? "expired" : "good";
    if (w != NULL) {
        json_object_begin(w);
        const char *const members[][2] = {{"kind", collateral_kind_name(item->url)},
                                          {"state", state},
                                          {"issued", issued},
                                          {"next_update", next},
                                          {"fetched", fetched},
                                          {"why", err.text}};
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            if (members[i][1][0] != '\0') {
                json_key(w, members[i][0]);
                json_cstring(w, members[i][1]);
            }
        json_key(w, "age_s");
        json_int(w, r->o->now_s - item->fetched_s);
        if (good) {
            json_key(w, "left_s");
            json_int(w, left_s);
        }
        json_key(w, "url");
        json_string(w, item->url);
        json_object_end(w);
    } else {
        buf_add_format(text, "%-8s %-14s ", state, collateral_kind_name(item->url));
        if (good)
            write_left(text, left_s);
        else
            buf_add_format(text, "%-12s", "");
        buf_add_format(text, "  age %3lld h  %.*s\n",
                       (long long)((r->o->now_s - item->fetched_s) / 3600), STR_ARG(item->url));
    }
    if (!good)
        fprintf(stderr, "collateral: %s\n", err.text);
    return good && left_s >= (r->o->has_within ? r->o->within_s : 0);
}

static int verify(struct run *r)
{
    CLEANUP(buf_done) struct buf bytes;
    CLEANUP(buf_done) struct buf out;
    struct collateral_pack p;
    struct collateral_item item;
    buf_init(&bytes, 0);
    buf_init(&out, LIST_MAX);
    int status = open_pack(r, &bytes, &p);
    if (status >= 0)
        return status;
    bool good = true;
    while (collateral_pack_next(&p, &item))
        good = report(r, &item, &out, NULL) && good;
    status = finish(&out);
    return good ? status : EXIT_REFUSED;
}

static int import(struct run *r)
{
    const struct options *o = r->o;
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf bytes;
    CLEANUP(buf_done) struct buf record;
    CLEANUP(collateral_disk_cleanup) struct collateral_disk *d = NULL;
    struct collateral_pack p;
    struct collateral_item item, present;
    size_t written = 0, kept = 0;
    buf_init(&bytes, 0);
    buf_init(&record, COLLATERAL_RECORD_MAX);
    int status = open_pack(r, &bytes, &p);
    if (status < 0)
        status = open_folder(o->cache_dir, true, &d);
    if (status >= 0)
        return status;

    struct collateral_pack all = p; /* nothing is imported unless everything is good */
    while (collateral_pack_next(&all, &item))
        if (collateral_item_check(r->anchors, &item, &err) != OK)
            return failed(ERR_DENIED, &err);
    while (collateral_pack_next(&p, &item)) {
        status_ignore(collateral_item_check(r->anchors, &item, NULL));
        bool newer = collateral_disk_read(d, item.url, &record, &present, NULL) == OK &&
                     collateral_item_check(r->anchors, &present, NULL) == OK &&
                     (present.dates.issued_s > item.dates.issued_s ||
                      (present.dates.issued_s == item.dates.issued_s &&
                       present.fetched_s >= item.fetched_s));
        enum status st = newer ? OK : collateral_disk_write(d, &item, &err);
        if (st != OK)
            return failed(st, &err);
        *(newer ? &kept : &written) += 1;
    }
    fprintf(stderr, "collateral: %zu items written, %zu at hand were newer\n", written, kept);
    return EXIT_DONE;
}

/* ---- status ---- */

struct watch {
    struct run *r;
    struct buf *out;
    struct json_writer *w;
    bool good;
};

static bool watch_item(void *user, const struct collateral_item *item)
{
    struct watch *s = user;
    struct collateral_item mine = *item;
    s->good = report(s->r, &mine, s->out, s->w) && s->good;
    return true;
}

static int status_of(struct run *r)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, LIST_MAX);
    CLEANUP(collateral_disk_cleanup) struct collateral_disk *d = NULL;
    int status = open_folder(r->o->files[0], false, &d);
    if (status >= 0)
        return status;
    struct json_writer w;
    json_begin(&w, &out);
    struct watch s = {r, &out, r->o->json ? &w : NULL, true};
    if (r->o->json)
        json_array_begin(&w);
    enum status st = collateral_disk_list(d, watch_item, &s, &err);
    if (st != OK)
        return failed(st, &err);
    if (r->o->json) {
        json_array_end(&w);
        status_ignore(json_finish(&w));
        buf_add_byte(&out, '\n');
    }
    status = finish(&out);
    return s.good ? status : EXIT_REFUSED;
}

/* ---- command line ---- */

static const struct {
    const char *name;
    int (*run)(struct run *r);
    size_t min, max; /* files */
} commands[] = {
    {"inventory", inventory, 0, SIZE_MAX},
    {"pack", pack, 0, 1},
    {"verify", verify, 1, 1},
    {"import", import, 1, 1},
    {"status", status_of, 1, 1},
};

static bool read_hours(const char *text, int64_t *out)
{
    char *end;
    long long n = strtoll(text, &end, 10);
    *out = n * 3600;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n <= 1000000;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    enum {
        TEE = 256,
        REPORT_DATA,
        CONFIG,
        CACHE_DIR,
        KEY,
        PUBLIC_KEY,
        ANCHORS,
        TIME,
        WITHIN,
        HELP,
        VERSION
    };
    static const struct option longs[] = {
        {"tee", required_argument, NULL, TEE},
        {"report-data", required_argument, NULL, REPORT_DATA},
        {"config", required_argument, NULL, CONFIG},
        {"cache-dir", required_argument, NULL, CACHE_DIR},
        {"key", required_argument, NULL, KEY},
        {"public-key", required_argument, NULL, PUBLIC_KEY},
        {"output", required_argument, NULL, 'o'},
        {"extra-trust-anchors", required_argument, NULL, ANCHORS},
        {"time", required_argument, NULL, TIME},
        {"within", required_argument, NULL, WITHIN},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, HELP},
        {"version", no_argument, NULL, VERSION},
        {NULL, 0, NULL, 0},
    };
    int64_t ns;
    for (int c; (c = getopt_long(argc, argv, "o:f:", longs, NULL)) != -1;) {
        switch (c) {
        case TEE:
            o->tee = optarg;
            break;
        case REPORT_DATA:
            o->report_data = optarg;
            break;
        case CONFIG:
            o->config = optarg;
            break;
        case CACHE_DIR:
            o->cache_dir = optarg;
            break;
        case KEY:
            o->key = optarg;
            break;
        case PUBLIC_KEY:
            o->public_key = optarg;
            break;
        case 'o':
            o->output = optarg;
            break;
        case ANCHORS:
            if (o->anchor_count == REPEAT_MAX)
                return usage_error("too many --extra-trust-anchors", NULL);
            o->anchors[o->anchor_count++] = optarg;
            break;
        case TIME:
            if (time_parse_rfc3339(str_of(optarg), &ns, NULL) != OK)
                return usage_error("--time is not in RFC 3339 form", optarg);
            o->now_s = clock_now_s(&(struct clock){clock_fixed_now, &ns});
            break;
        case WITHIN:
            o->has_within = read_hours(optarg, &o->within_s);
            if (!o->has_within)
                return usage_error("--within is no number of hours", optarg);
            break;
        case 'f':
            if (strcmp(optarg, "text") != 0 && strcmp(optarg, "json") != 0)
                return usage_error("--format is neither text nor json", optarg);
            o->json = optarg[0] == 'j';
            break;
        case HELP:
            fputs(usage_text, stdout);
            return EXIT_DONE;
        case VERSION:
            puts("collateral " CLAVIGER_VERSION);
            return EXIT_DONE;
        default:
            fputs("try `collateral --help`\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return usage_error("a command is needed", NULL);
    o->command = argv[optind];
    o->files = argv + optind + 1;
    o->file_count = (size_t)(argc - optind - 1);
    return -1;
}

/* What a command cannot do without; NULL: nothing is missing. */
static const char *missing(const struct options *o)
{
    bool list = strcmp(o->command, "inventory") == 0, make = strcmp(o->command, "pack") == 0;
    bool take = strcmp(o->command, "import") == 0, check = strcmp(o->command, "verify") == 0;
    if (list && o->cache_dir == NULL && (o->tee == NULL || o->file_count == 0))
        return "inventory needs --tee and evidence, or --cache-dir";
    if (list && o->cache_dir != NULL && (o->tee != NULL || o->file_count > 0))
        return "inventory takes evidence or --cache-dir, not both";
    if (make && (o->key == NULL || o->output == NULL))
        return "pack needs --key and --output";
    if ((take || check) && o->public_key == NULL)
        return "--public-key is needed";
    if (take && o->cache_dir == NULL)
        return "import needs --cache-dir";
    return NULL;
}

/* verifier_config of any configuration of ours: at the root, or the KBS's attestation service. */
static enum status read_config(struct run *r, struct error *err)
{
    const char *path = r->o->config;
    if (path == NULL)
        return OK;
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, LIST_MAX);
    enum document_format format = DOCUMENT_JSON;
    value root = VALUE_UNDEFINED;
    enum status st = file_read(path, &b, err);
    if (st == OK && !document_format_of(str_of(path), &format)) {
        error_set(err, "its name ends in none of .toml, .yaml, .yml and .json");
        st = ERR_IO;
    }
    if (st == OK)
        st = document_parse(&r->a, buf_str(&b), format, &root, NULL, err);
    if (st != OK) {
        error_prefix(err, "configuration %s: ", QUOTED(str_of(path)));
        return st;
    }
    r->config = value_get_lit(root, "verifier_config");
    if (!value_is_defined(r->config))
        r->config = value_get_lit(value_get_lit(root, "attestation_service"), "verifier_config");
    return OK;
}

static int run_command(const struct options *o, int (*command)(struct run *r))
{
    struct error err = ERROR_INIT;
    struct run r = {.o = o, .config = VALUE_UNDEFINED};
    arena_init(&r.a, MEMORY_MAX);
    enum status st = anchors_load(o->anchors, o->anchor_count, &r.anchors, &err);
    if (st == OK)
        st = read_config(&r, &err);
    int status = st == OK ? command(&r) : failed(ERR_IO, &err);
    anchors_unref(r.anchors);
    arena_done(&r.a);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = {.now_s = clock_now_s(&clock_system)};
    int status = read_options(argc, argv, &o);
    if (status >= 0)
        return status;
    size_t i = CLI_FIND(commands, o.command);
    if (i == ARRAY_LEN(commands))
        return usage_error("unknown command", o.command);
    if (o.file_count < commands[i].min || o.file_count > commands[i].max)
        return usage_error("wrong number of files", NULL);
    const char *what = missing(&o);
    return what != NULL ? usage_error(what, NULL) : run_command(&o, commands[i].run);
}

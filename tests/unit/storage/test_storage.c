/* Every back end: the same table of operations (kbs.md 14, "Storage"), then what is special to
 * each. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "storage/storage.h"
#include "tap.h"

enum kind { MEMORY, LOCAL_FS, LOCAL_JSON, NESTED, SQLITE };
static const char *const kind_names[] = {"memory", "local_fs", "local_json", "nested", "sqlite"};

/* The database of an open_kind() folder. */
static const char *database_in(const char *dir)
{
    static char path[4400];
    snprintf(path, sizeof(path), "%s/sub/claviger.sqlite", dir);
    return path;
}

static struct storage *open_how(enum kind kind, const char *dir, enum storage_how how)
{
    struct storage *s = NULL;
    struct error err = ERROR_INIT;
    enum status st = kind == MEMORY       ? storage_open_memory(&s, &err)
                     : kind == LOCAL_FS   ? storage_open_local_fs(dir, STR("ns"), how, &s, &err)
                     : kind == LOCAL_JSON ? storage_open_local_json(dir, STR("ns"), how, &s, &err)
                     : kind == SQLITE
                         ? storage_open_sqlite(database_in(dir), STR("ns"), how, &s, &err)
                         : storage_open_nested(dir, how, &s, &err);
    CHECK_STATUS_ROW(st, OK, &err, kind_names[kind]);
    return s;
}

static struct storage *open_kind(enum kind kind, const char *dir)
{
    return open_how(kind, dir, STORAGE_MAKE);
}

static const char *subdir(const char *name)
{
    static char path[4200];
    snprintf(path, sizeof(path), "%s/%s", tap_tmpdir(), name);
    return path;
}

static bool holds(struct storage *s, struct str key, struct str want)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, STORAGE_VALUE_MAX);
    return storage_get(s, key, &b, NULL) == OK && str_equal(buf_str(&b), want);
}

/* Looking makes nothing and says what is missing; what is there is read. */
static void test_looking(enum kind kind)
{
    const char *row = kind_names[kind];
    char dir[4300], want[4400];
    snprintf(dir, sizeof(dir), "%s-looked-at/deep", subdir(row));
    snprintf(want, sizeof(want), "%s%s", dir,
             kind == SQLITE     ? "/sub/claviger.sqlite"
             : kind == LOCAL_FS ? "/ns"
                                : "");
    CLEANUP(storage_cleanup) struct storage *s = open_how(kind, dir, STORAGE_LOOK);
    const char *missing = storage_missing(s);
    CHECK_ROW(kind == MEMORY ? missing == NULL : missing != NULL && strcmp(missing, want) == 0,
              row);
    CHECK_ROW(access(dir, F_OK) != 0, row);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 100);
    CHECK_ROW(storage_get(s, STR("k"), &b, NULL) == ERR_NOT_FOUND, row);
    s = storage_unref(s);
    if (kind == MEMORY)
        return;

    s = open_how(kind, dir, STORAGE_MAKE);
    CHECK_ROW(storage_missing(s) == NULL && storage_set(s, STR("k"), STR("v"), true, NULL) == OK,
              row);
    s = storage_unref(s);
    s = open_how(kind, dir, STORAGE_LOOK);
    CHECK_ROW(storage_missing(s) == NULL && holds(s, STR("k"), STR("v")), row);
}

static void test_operations(enum kind kind)
{
    const char *row = kind_names[kind];
    CLEANUP(storage_cleanup) struct storage *s = open_kind(kind, subdir(row));
    if (s == NULL)
        return;
    struct str binary = STR("\x00\xff\n\"binary\"");
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 1000);

    uint64_t version = storage_version(s);
    CHECK_ROW(storage_get(s, STR("a/b/c"), &b, NULL) == ERR_NOT_FOUND, row);
    CHECK_ROW(storage_set(s, STR("a/b/c"), binary, true, NULL) == OK, row);
    CHECK_ROW(holds(s, STR("a/b/c"), binary), row);
    CHECK_ROW(storage_version(s) != version, row);
    CHECK_ROW(storage_set(s, STR("a/b/c"), STR("other"), false, NULL) == ERR_EXISTS, row);
    CHECK_ROW(holds(s, STR("a/b/c"), binary), row);
    CHECK_ROW(storage_set(s, STR("a/b/c"), STR(""), true, NULL) == OK, row);
    CHECK_ROW(holds(s, STR("a/b/c"), STR("")), row);
    CHECK_ROW(storage_set(s, STR("a/b/a"), STR("x"), false, NULL) == OK, row);
    CHECK_ROW(storage_set(s, STR("z"), STR("y"), true, NULL) == OK, row);

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct str *keys = NULL;
    size_t count = 0;
    CHECK_ROW(storage_list(s, &a, &keys, &count, NULL) == OK && count == 3, row);
    if (count == 3) {
        CHECK_STR_ROW(keys[0], STR("a/b/a"), row);
        CHECK_STR_ROW(keys[1], STR("a/b/c"), row);
        CHECK_STR_ROW(keys[2], STR("z"), row);
    }

    bool existed = false;
    CHECK_ROW(storage_delete(s, STR("a/b/c"), &existed, NULL) == OK && existed, row);
    CHECK_ROW(storage_delete(s, STR("a/b/c"), &existed, NULL) == OK && !existed, row);
    CHECK_ROW(storage_get(s, STR("a/b/c"), &b, NULL) == ERR_NOT_FOUND, row);

    CLEANUP(buf_done) struct buf big;
    buf_init(&big, STORAGE_VALUE_MAX);
    for (int i = 0; i < 700 * 1000; i++)
        buf_add_byte(&big, (char)i);
    CHECK_ROW(storage_set(s, STR("big"), buf_str(&big), true, NULL) == OK, row);
    CHECK_ROW(holds(s, STR("big"), buf_str(&big)), row);
}

static void test_many_keys(enum kind kind)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "many-%s", kind_names[kind]);
    CLEANUP(storage_cleanup) struct storage *s = open_kind(kind, subdir(dir));
    int n = kind == MEMORY || kind == LOCAL_FS ? 300 : 40; /* each is flushed to the disk */
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%04d", i);
        if (storage_set(s, str_of(key), str_of(key), true, NULL) != OK) {
            CHECK_ROW(false, key);
            return;
        }
    }
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct str *keys = NULL;
    size_t count = 0;
    CHECK_ROW(storage_list(s, &a, &keys, &count, NULL) == OK && count == (size_t)n, dir);
    CHECK_ROW(count > 0 && str_is(keys[count - 1], n == 40 ? "k0039" : "k0299"), dir);
}

static void test_keys(void)
{
    const struct {
        struct str key;
        bool strict_ok;
    } rows[] = {
        {STR("a.b-c_D9/e"), true}, {STR(""), false},     {STR("a//b"), false},
        {STR("/a"), false},        {STR("a/"), false},   {STR("../x"), false},
        {STR("a/../b"), false},    {STR("."), false},    {STR("a b"), false},
        {STR("a:b"), false},       {STR("a\0b"), false}, {STR("a\\x2Fb"), false},
        {STR("\xc3\xa4"), false},
    };
    for (enum kind kind = LOCAL_FS; kind <= NESTED; kind++) {
        if (kind == LOCAL_JSON)
            continue;
        CLEANUP(storage_cleanup) struct storage *s = open_kind(kind, subdir("keys"));
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 100);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            enum status want = rows[i].strict_ok ? OK : ERR_INVALID;
            CHECK_ROW(storage_set(s, rows[i].key, STR("x"), true, NULL) == want, rows[i].key.ptr);
            CHECK_ROW((storage_get(s, rows[i].key, &b, NULL) == OK) == rows[i].strict_ok,
                      rows[i].key.ptr);
            CHECK_ROW(storage_delete(s, rows[i].key, NULL, NULL) == want, rows[i].key.ptr);
        }
    }
    static const char *const bad[] = {"", "/abs", "trailing/", "a//b", "a/../b", ".", ".."};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ROW(!storage_namespace_is_valid(str_of(bad[i])), bad[i]);
    CHECK(storage_namespace_is_valid(STR("attestation_service_policy")));

    struct storage *none = NULL;
    struct error err = ERROR_INIT;
    CHECK(storage_open_local_fs("/tmp", STR("a/../b"), STORAGE_MAKE, &none, &err) == ERR_INVALID);
    CHECK_STR(str_of(err.text), STR("invalid storage namespace: a/../b"));
}

/* The layouts that deployments write themselves. */
static void test_layouts(void)
{
    char path[8192];
    CLEANUP(storage_cleanup) struct storage *flat = open_kind(LOCAL_FS, subdir("layout"));
    snprintf(path, sizeof(path), "%s/ns/default\\x2Fsecret\\x2Fkey", subdir("layout"));
    CHECK(file_write(path, STR("by hand"), 0600, NULL) == OK);
    CHECK(holds(flat, STR("default/secret/key"), STR("by hand")));

    CLEANUP(storage_cleanup) struct storage *json = open_kind(LOCAL_JSON, subdir("layout-json"));
    snprintf(path, sizeof(path), "%s/ns", subdir("layout-json"));
    CHECK(file_write(path, STR("{\"k\":\"_-8=\"}"), 0600, NULL) == OK);
    CHECK(holds(json, STR("k"), STR("\xff\xef")));
    CHECK(file_write(path, STR("{\"k\":\"_-8\"}"), 0600, NULL) == OK); /* no padding: refused */
    CHECK(!holds(json, STR("k"), STR("\xff\xef")));
    CHECK(file_write(path, STR("[]"), 0600, NULL) == OK);
    CHECK(storage_set(json, STR("k"), STR("v"), true, NULL) == ERR_INVALID);
    CHECK(file_write(path, STR(""), 0600, NULL) == OK);
    CHECK(storage_set(json, STR("k"), STR("v"), true, NULL) == OK &&
          holds(json, STR("k"), STR("v")));

    /* A Kubernetes Secret: default/<secret> with ..data -> a folder, and a link a key. */
    CLEANUP(storage_cleanup) struct storage *nested = open_kind(NESTED, subdir("mount"));
    char dir[8000];
    snprintf(dir, sizeof(dir), "%s/default/kbsres1", subdir("mount"));
    CHECK(file_make_dirs(dir, NULL) == OK);
    snprintf(path, sizeof(path), "%s/..v1", dir);
    CHECK(file_make_dirs(path, NULL) == OK);
    snprintf(path, sizeof(path), "%s/..v1/key1", dir);
    CHECK(file_write(path, STR("one"), 0600, NULL) == OK);
    snprintf(path, sizeof(path), "%s/..data", dir);
    CHECK(symlink("..v1", path) == 0);
    snprintf(path, sizeof(path), "%s/key1", dir);
    CHECK(symlink("..data/key1", path) == 0);
    CHECK(holds(nested, STR("default/kbsres1/key1"), STR("one")));
    CHECK(!holds(nested, STR("default/kbsres1"), STR("one")));

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    struct str *keys = NULL;
    size_t count = 0;
    CHECK(storage_list(nested, &a, &keys, &count, NULL) == OK && count == 1);
    CHECK(count == 1 && str_is(keys[0], "default/kbsres1/key1"));
}

/* ---- SQLite ---- */

static void test_namespaces_of_a_database(void)
{
    const char *path = database_in(subdir("shared"));
    struct storage *a = NULL, *b = NULL, *alias = NULL;
    char other[4400];
    snprintf(other, sizeof(other), "%s/sub/../sub/claviger.sqlite", subdir("shared"));
    struct error err = ERROR_INIT;
    CHECK_STATUS(storage_open_sqlite(path, STR("kbs"), STORAGE_MAKE, &a, &err), OK, &err);
    CHECK_STATUS(storage_open_sqlite(database_in(subdir("shared")), STR("repository"), STORAGE_MAKE,
                                     &b, &err),
                 OK, &err);
    /* Another spelling of the path is another writer, as another process would be. */
    CHECK_STATUS(storage_open_sqlite(other, STR("kbs"), STORAGE_MAKE, &alias, &err), OK, &err);
    if (a == NULL || b == NULL || alias == NULL)
        return;

    CHECK(storage_set(a, STR("k"), STR("of kbs"), true, NULL) == OK);
    CHECK(storage_set(b, STR("k"), STR("of repository"), true, NULL) == OK);
    CHECK(holds(a, STR("k"), STR("of kbs")) && holds(b, STR("k"), STR("of repository")));

    uint64_t version_a = storage_version(a), version_b = storage_version(b);
    CHECK(storage_version(a) == version_a);
    CHECK(storage_set(alias, STR("k"), STR("from outside"), true, NULL) == OK);
    CHECK(storage_version(a) != version_a && storage_version(b) == version_b);
    CHECK(holds(a, STR("k"), STR("from outside")));
    version_a = storage_version(a);
    CHECK(storage_delete(alias, STR("k"), NULL, NULL) == OK);
    CHECK(storage_version(a) != version_a && !holds(a, STR("k"), STR("from outside")));

    /* Any key and any byte, as in memory: they are no file names. */
    const struct str keys[] = {STR(""),     STR("a//b"),     STR("../x"),
                               STR("a\0b"), STR("' OR 1=1"), STR("\xff\xfe")};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        CHECK(storage_set(a, keys[i], keys[i], true, NULL) == OK && holds(a, keys[i], keys[i]));
        CHECK(storage_delete(a, keys[i], NULL, NULL) == OK);
    }
    storage_unref(a);
    storage_unref(alias);
    CHECK(holds(b, STR("k"), STR("of repository")));
    storage_unref(b);
}

static bool file_has(const char *path, const char *suffix, struct str needle)
{
    char name[4500];
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 64 << 20);
    return file_read(name, &b, NULL) == OK && memmem(b.ptr, b.len, needle.ptr, needle.len) != NULL;
}

static void test_files_of_a_database(void)
{
    struct str secret = STR("TheSecretThatIsLookedForInTheFiles");
    CLEANUP(storage_cleanup) struct storage *s = open_kind(SQLITE, subdir("files"));
    char path[4300], name[4400];
    snprintf(path, sizeof(path), "%s", database_in(subdir("files")));
    CHECK(storage_set(s, STR("k"), secret, true, NULL) == OK);
    CHECK(file_has(path, "", secret) || file_has(path, "-wal", secret));

    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        struct stat sb;
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        CHECK_ROW(stat(name, &sb) == 0 && (sb.st_mode & 07777) == 0600, suffixes[i]);
    }

    /* What is deleted is in none of them any more. */
    CHECK(storage_delete(s, STR("k"), NULL, NULL) == OK);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        CHECK_ROW(!file_has(path, suffixes[i], secret), suffixes[i]);

    /* The last one out leaves one file. */
    CHECK(storage_set(s, STR("k"), STR("v"), true, NULL) == OK);
    s = storage_unref(s);
    snprintf(name, sizeof(name), "%s-wal", path);
    CHECK(access(path, F_OK) == 0 && access(name, F_OK) != 0);
    s = open_kind(SQLITE, subdir("files"));
    CHECK(holds(s, STR("k"), STR("v")));
}

static void patch(const char *path, off_t at, uint32_t big_endian)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    uint32_t bytes = htonl(big_endian);
    CHECK(fd >= 0 && pwrite(fd, &bytes, sizeof(bytes), at) == sizeof(bytes) && close(fd) == 0);
}

static void test_other_databases(void)
{
    const struct {
        const char *name;
        off_t patch_at; /* 0: no database at all */
        uint32_t with;
        enum status want;
        const char *text;
    } rows[] = {
        {"no database", 0, 0, ERR_INVALID, "file is not a database"},
        {"of another program", 68, 0x1234, ERR_INVALID, "another program"},
        {"of a later version", 60, 2, ERR_UNSUPPORTED, "later version"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct storage *s = open_kind(SQLITE, subdir(rows[i].name));
        s = storage_unref(s);
        const char *path = database_in(subdir(rows[i].name));
        if (rows[i].patch_at > 0)
            patch(path, rows[i].patch_at, rows[i].with);
        else
            CHECK(file_write(path, STR("this is a text of some length, and no more than that"),
                             0600, NULL) == OK);
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(storage_open_sqlite(path, STR("ns"), STORAGE_MAKE, &s, &err), rows[i].want,
                         &err, rows[i].name);
        CHECK_ROW(strstr(err.text, rows[i].text) != NULL && strstr(err.text, path) != NULL,
                  rows[i].name);
        CHECK_ROW(s == NULL, rows[i].name);
    }
    struct storage *s = NULL;
    struct error err = ERROR_INIT;
    CHECK_STATUS(storage_open_sqlite("/proc/none/db", STR("ns"), STORAGE_MAKE, &s, &err), ERR_IO,
                 &err);
    CHECK_STATUS(storage_open_sqlite(tap_tmpdir(), STR("ns"), STORAGE_MAKE, &s, &err), ERR_IO,
                 &err);
    CHECK(storage_open_sqlite("x", STR("a/../b"), STORAGE_MAKE, &s, &err) == ERR_INVALID &&
          s == NULL);
}

/* Each allocation fails once: no step of it is taken for done, and the old value stays. */
static void test_database_sweep(void)
{
    char path[4300];
    snprintf(path, sizeof(path), "%s", database_in(subdir("sweep")));
    CLEANUP(storage_cleanup) struct storage *keeps = open_kind(SQLITE, subdir("sweep"));
    CHECK(storage_set(keeps, STR("k"), STR("old"), true, NULL) == OK);
    keeps = storage_unref(keeps);
    bool all = false;
    for (long n = 1; !all && n < 100000; n++) {
        struct storage *s = NULL;
        struct error err = ERROR_INIT;
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 1000);
        tap_fail_malloc_after(n);
        enum status opened = storage_open_sqlite(path, STR("ns"), STORAGE_MAKE, &s, &err);
        enum status set = opened != OK ? opened : storage_set(s, STR("k"), STR("new"), true, &err);
        enum status got = set != OK ? set : storage_get(s, STR("k"), &b, &err);
        all = got == OK;
        tap_fail_malloc_after(0);
        if (!all && got != ERR_NOMEM)
            CHECK_STATUS(got, ERR_NOMEM, &err);
        s = storage_unref(s);
        s = open_kind(SQLITE, subdir("sweep"));
        if (!holds(s, STR("k"), set == OK ? STR("new") : STR("old")))
            CHECK(false);
        if (set == OK)
            CHECK(storage_set(s, STR("k"), STR("old"), true, NULL) == OK);
        s = storage_unref(s);
    }
    CHECK(all);
}

/* ---- faults ---- */

static struct fault {
    const char *call;
    int answer;
} fault;

static int inject(const char *call)
{
    return strcmp(call, fault.call) == 0 ? fault.answer : 0;
}

/* The file layer says no at each of its steps: a clear error, the old state, nothing left behind.
 */
static void test_faults(void)
{
    const struct {
        struct fault fault;
        enum status want;
    } rows[] = {
        {{"write", ENOSPC}, ERR_IO},  {{"write", EIO}, ERR_IO},
        {{"write", EDQUOT}, ERR_IO},  {{"fsync", EIO}, ERR_IO},
        {{"fsync", ENOSPC}, ERR_IO},  {{"rename", EROFS}, ERR_IO},
        {{"rename", EACCES}, ERR_IO}, {{"write", FILE_FAULT_SHORT}, OK},
    };
    for (enum kind kind = LOCAL_FS; kind <= NESTED; kind++) {
        char dir[64];
        snprintf(dir, sizeof(dir), "fault-%s", kind_names[kind]);
        CLEANUP(storage_cleanup) struct storage *s = open_kind(kind, subdir(dir));
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            const char *row = rows[i].fault.call;
            CHECK_ROW(storage_set(s, STR("r/t/k"), STR("old"), true, NULL) == OK, dir);
            struct error err = ERROR_INIT;
            fault = rows[i].fault;
            file_fault = inject;
            CHECK_STATUS_ROW(storage_set(s, STR("r/t/k"), STR("new"), true, &err), rows[i].want,
                             &err, row);
            file_fault = NULL;
            if (rows[i].want != OK) {
                CHECK_ROW(strstr(err.text, "failed to set key `r/t/k`: ") == err.text, row);
                CHECK_ROW(strstr(err.text, strerror(fault.answer)) != NULL, row);
            }
            CHECK_ROW(holds(s, STR("r/t/k"), rows[i].want == OK ? STR("new") : STR("old")), row);
            struct str *keys = NULL;
            size_t count = 0;
            CLEANUP(arena_done) struct arena a;
            arena_init(&a, 1 << 20);
            CHECK_ROW(storage_list(s, &a, &keys, &count, NULL) == OK && count == 1, row);
        }
    }
}

static int sync_calls;

static int count_syncs(const char *call)
{
    sync_calls += strcmp(call, "sync-dir") == 0;
    return 0;
}

/*
 * A power cut loses no name: the folder of a file is flushed when the file comes and when it
 * goes, and a nested key's folders in theirs when they are made.
 */
static void test_flushed_folders(void)
{
    const struct {
        enum kind kind;
        int first, second, removed, again;
    } rows[] = {{LOCAL_FS, 1, 1, 1, 0}, {NESTED, 3, 1, 1, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *row = kind_names[rows[i].kind];
        char dir[64];
        snprintf(dir, sizeof(dir), "flush-%s", row);
        CLEANUP(storage_cleanup) struct storage *s = open_kind(rows[i].kind, subdir(dir));
        int calls[4];
        file_fault = count_syncs;
        for (int step = 0; step < 4; step++) {
            sync_calls = 0;
            enum status st = step < 2 ? storage_set(s, STR("r/t/k"), STR("x"), true, NULL)
                                      : storage_delete(s, STR("r/t/k"), NULL, NULL);
            CHECK_ROW(st == OK || (step == 3 && st == ERR_NOT_FOUND), row);
            calls[step] = sync_calls;
        }
        CHECK_ROW(calls[0] == rows[i].first && calls[1] == rows[i].second, row);
        CHECK_ROW(calls[2] == rows[i].removed && calls[3] == rows[i].again, row);
        CHECK_ROW(storage_delete(s, STR("never/was/there"), NULL, NULL) == OK && sync_calls == 0,
                  row);

        CHECK_ROW(storage_set(s, STR("r/t/k"), STR("x"), true, NULL) == OK, row);
        fault = (struct fault){"sync-dir", EIO};
        file_fault = inject;
        struct error err = ERROR_INIT;
        CHECK_STATUS_ROW(storage_delete(s, STR("r/t/k"), NULL, &err), ERR_IO, &err, row);
        file_fault = NULL;
        CHECK_ROW(strstr(err.text, strerror(EIO)) != NULL, row);
    }
}

/*
 * The kernel's own: no file may grow beyond a limit, so the write that would is
 * short, and the next one is refused.  SQLite's files are under it, too.
 */
static void test_size_limit(void)
{
    CLEANUP(buf_done) struct buf big;
    buf_init(&big, 1 << 22);
    for (int i = 0; i < 1000000; i++)
        buf_add_byte(&big, (char)(i * 7));
    signal(SIGXFSZ, SIG_IGN);
    for (enum kind kind = LOCAL_FS; kind <= SQLITE; kind++) {
        const char *row = kind_names[kind];
        char dir[64];
        snprintf(dir, sizeof(dir), "limit-%s", row);
        CLEANUP(storage_cleanup) struct storage *s = open_kind(kind, subdir(dir));
        CHECK_ROW(storage_set(s, STR("r/t/k"), STR("old"), true, NULL) == OK, row);
        struct rlimit before, low;
        getrlimit(RLIMIT_FSIZE, &before);
        low = (struct rlimit){500000, before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &low);
        struct error err = ERROR_INIT;
        enum status st = storage_set(s, STR("r/t/k"), buf_str(&big), true, &err);
        bool old = holds(s, STR("r/t/k"), STR("old"));
        setrlimit(RLIMIT_FSIZE, &before);
        CHECK_STATUS_ROW(st, ERR_IO, &err, row);
        CHECK_ROW(old && err.text[0] != '\0', row);
        /* And on it goes when there is room. */
        CHECK_ROW(storage_set(s, STR("r/t/k"), buf_str(&big), true, NULL) == OK, row);
        CHECK_ROW(holds(s, STR("r/t/k"), buf_str(&big)), row);
    }
}

#define TORN_SIZE (256 * 1024)

struct torn {
    struct storage *s;
    const char *dir;
    _Atomic bool stop;
};

/* What a writer that was killed left goes when the store is opened; that of one at work stays. */
static void test_leftovers(void)
{
    for (enum kind kind = LOCAL_FS; kind <= NESTED; kind++) {
        char dir[4300], paths[2][4400];
        snprintf(dir, sizeof(dir), "%s", subdir(kind_names[kind]));
        const char *below = kind == LOCAL_FS ? "ns/" : kind == NESTED ? "a/b/" : "";
        for (int i = 0; i < 2; i++) {
            snprintf(paths[i], sizeof(paths[i]), "%s/%s" FILE_TMP_PREFIX "%016d", dir, below, i);
            CHECK_ROW(file_write(paths[i], STR("half a sec"), 0600, NULL) == OK, dir);
        }
        int fd = open(paths[1], O_WRONLY | O_CLOEXEC);
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        CHECK_ROW(fd >= 0 && fcntl(fd, F_OFD_SETLK, &whole) == 0, dir);
        CLEANUP(storage_cleanup) struct storage *s = open_kind(kind, dir);
        CHECK_ROW(access(paths[0], F_OK) != 0 && access(paths[1], F_OK) == 0, dir);
        close(fd);
        s = storage_unref(s);
        s = open_kind(kind, dir);
        CHECK_ROW(access(paths[1], F_OK) != 0, dir);
    }
}

static void *remove_all_the_time(void *arg)
{
    struct torn *t = arg;
    while (!t->stop)
        file_remove_leftovers(t->dir);
    return NULL;
}

static void test_leftovers_beside_writers(void)
{
    char dir[4300];
    snprintf(dir, sizeof(dir), "%s/ns", subdir("busy"));
    struct torn t = {.s = open_kind(LOCAL_FS, subdir("busy")), .dir = dir};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, remove_all_the_time, &t) == 0);
    int failed = 0;
    for (int i = 0; i < 100; i++)
        failed += storage_set(t.s, STR("k"), STR("value"), true, NULL) != OK;
    t.stop = true;
    pthread_join(thread, NULL);
    CHECK(failed == 0 && holds(t.s, STR("k"), STR("value")));
    storage_unref(t.s);
}

static void *overwrite(void *arg)
{
    struct torn *t = arg;
    char *bytes = malloc(TORN_SIZE);
    for (int i = 0; bytes != NULL && !t->stop; i++) {
        memset(bytes, 'a' + i % 26, TORN_SIZE);
        status_ignore(storage_set(t->s, STR("r/t/k"), str_bytes(bytes, TORN_SIZE), true, NULL));
    }
    free(bytes);
    return NULL;
}

/* Readers beside a writer in a loop see one whole value each time. */
static void test_never_torn(enum kind kind)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "torn-%s", kind_names[kind]);
    struct torn t = {.s = open_kind(kind, subdir(dir))};
    char *first = calloc(1, TORN_SIZE);
    CHECK_ROW(storage_set(t.s, STR("r/t/k"), str_bytes(first, TORN_SIZE), true, NULL) == OK, dir);
    free(first);
    pthread_t thread;
    if (!CHECK_ROW(pthread_create(&thread, NULL, overwrite, &t) == 0, dir))
        return;
    int torn = 0;
    for (int i = 0; i < 200; i++) {
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, STORAGE_VALUE_MAX);
        bool ok = storage_get(t.s, STR("r/t/k"), &b, NULL) == OK && b.len == TORN_SIZE;
        for (size_t k = 1; ok && k < b.len; k += 511)
            ok = b.ptr[k] == b.ptr[0];
        torn += !ok;
    }
    t.stop = true;
    pthread_join(thread, NULL);
    CHECK_ROW(torn == 0, dir);
    storage_unref(t.s);
}

int main(void)
{
    for (enum kind kind = MEMORY; kind <= SQLITE; kind++) {
        test_operations(kind);
        test_looking(kind);
        test_many_keys(kind);
        test_never_torn(kind);
    }
    test_keys();
    test_layouts();
    test_faults();
    test_flushed_folders();
    test_size_limit();
    test_leftovers();
    test_leftovers_beside_writers();
    test_namespaces_of_a_database();
    test_files_of_a_database();
    test_other_databases();
    test_database_sweep();
    return tap_done();
}

#include "verifier/anchors.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"

struct anchors {
    unsigned refs;
    struct arena arena;
    pthread_mutex_t lock; /* of built-in keys that are being made */
    struct anchor items[ANCHORS_MAX];
    size_t len;
};

/* A key constant: RSA has modulus and exponent in `a` and `b`, EC the coordinates. */
static const struct {
    const char *name;
    enum key_kind kind;
    const char *serial, *spki, *a, *b;
} builtin[] = {
#include "verifier/anchors_builtin.inc"
};

/* Names of files that are roots of trust of TEEs that need no key constant here. */
static const char *const other_names[] = {
    "nvidia-device-identity-ca",
    "nvidia-rim-root-ca",
    "digicert-trusted-root-g4",
};

static const char *known_name(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(builtin); i++)
        if (str_is(name, builtin[i].name))
            return builtin[i].name;
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
        if (str_is(name, other_names[i]))
            return other_names[i];
    return NULL;
}

static enum status builtin_key(size_t i, struct pubkey **out, struct error *err)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 16 * 1024);
    struct str first, second;
    enum status st = hex_bytes(&a, str_of(builtin[i].a), &first, err);
    if (st == OK)
        st = hex_bytes(&a, str_of(builtin[i].b), &second, err);
    if (st != OK)
        return st;
    return builtin[i].kind == KEY_RSA ? pubkey_from_rsa(first, second, out, err)
                                      : pubkey_from_ec(builtin[i].kind, first, second, out, err);
}

/* The key must have the fingerprint that stands beside it. */
static enum status checked_key(size_t i, const struct digest *spki, struct pubkey **out,
                               struct error *err)
{
    CLEANUP(pubkey_cleanup) struct pubkey *key = NULL;
    struct digest d;
    enum status st = builtin_key(i, &key, err);
    if (st == OK)
        st = pubkey_fingerprint(key, &d);
    if (st != OK)
        return st;
    if (!str_equal(digest_str(&d), digest_str(spki))) {
        error_set(err, "built-in key %s does not have its fingerprint", builtin[i].name);
        return ERR_INTERNAL;
    }
    *out = TAKE(key);
    return OK;
}

static enum status add_builtin(struct anchors *set, size_t i, struct error *err)
{
    struct anchor *an = &set->items[set->len++];
    *an = (struct anchor){.name = builtin[i].name, .spki = {.len = 32}};

    struct str spki;
    enum status st = hex_bytes(&set->arena, str_of(builtin[i].spki), &spki, err);
    if (st == OK && spki.len != an->spki.len) {
        error_set(err, "the fingerprint of built-in key %s is none", an->name);
        st = ERR_INTERNAL;
    }
    if (st != OK)
        return st;
    memcpy(an->spki.bytes, spki.ptr, spki.len);
    return hex_bytes(&set->arena, str_of(builtin[i].serial), &an->serial, err);
}

STATUS anchors_new(struct anchors **out, struct error *err)
{
    CLEANUP(anchors_cleanup) struct anchors *set = calloc(1, sizeof(*set));
    if (set == NULL)
        return error_nomem(err);
    set->refs = 1;
    arena_init(&set->arena, 4 * 1024 * 1024);
    pthread_mutex_init(&set->lock, NULL);

    for (size_t i = 0; i < ARRAY_LEN(builtin); i++) {
        enum status st = add_builtin(set, i, err);
        if (st != OK)
            return st;
    }
    *out = TAKE(set);
    return OK;
}

/*
 * Ten built-in keys cost 23 million instructions at a start, and a process sees
 * evidence of one or two makers: each is made when it is first looked for.  Where that
 * fails there is no such anchor, and what would have rested on it is refused.
 */
static const struct anchor *with_key(struct anchors *set, struct anchor *an)
{
    if (__atomic_load_n(&an->key, __ATOMIC_ACQUIRE) != NULL)
        return an;
    pthread_mutex_lock(&set->lock);
    struct pubkey *key = NULL;
    if (an->key == NULL && checked_key((size_t)(an - set->items), &an->spki, &key, NULL) == OK)
        __atomic_store_n(&an->key, key, __ATOMIC_RELEASE);
    bool made = an->key != NULL;
    pthread_mutex_unlock(&set->lock);
    return made ? an : NULL;
}

static enum status add_extra(struct anchors *set, const char *name, struct str pem,
                             struct error *err)
{
    if (set->len == ANCHORS_MAX) {
        error_set(err, "more than %d trust anchors", ANCHORS_MAX);
        return ERR_LIMIT;
    }
    struct anchor *an = &set->items[set->len];
    *an = (struct anchor){.name = name, .extra = true};

    /* A certificate, or the key alone. */
    enum status st = cert_from_pem(pem, &an->cert, err);
    if (st == OK)
        an->key = pubkey_ref(cert_pubkey(an->cert));
    else if (st == ERR_INVALID || st == ERR_NOT_FOUND)
        st = pubkey_from_pem(pem, &an->key, err);
    if (st != OK)
        return st;
    set->len++;

    if (an->cert != NULL) {
        an->serial = arena_str(&set->arena, cert_serial(an->cert));
        st = arena_status(&set->arena);
        if (st != OK)
            return error_nomem(err);
    }
    return pubkey_fingerprint(an->key, &an->spki);
}

static enum status add_file(struct anchors *set, const char *dir, const char *file,
                            struct error *err)
{
    struct str f = str_of(file);
    /* Hygon's root is a raw structure; its verifier is not part of this build. */
    if (f.ptr[0] == '.' || str_has_suffix(f, STR(".md")) || str_is(f, "hygon-hrk.cert"))
        return OK;

    struct str stem = {f.ptr, str_has_suffix(f, STR(".pem")) ? f.len - 4 : 0};
    const char *name = known_name(stem);
    if (name == NULL) {
        error_set(err, "trust anchor folder \"%s\": no anchor is called %s", dir, QUOTED(f));
        return ERR_INVALID;
    }

    struct str path = arena_format(&set->arena, "%s/%s", dir, file);
    if (path.ptr == NULL)
        return error_nomem(err);
    CLEANUP(buf_done) struct buf pem;
    buf_init(&pem, ANCHOR_FILE_MAX);
    enum status st = file_read(path.ptr, &pem, err);
    if (st != OK)
        return st;
    st = add_extra(set, name, buf_str(&pem), err);
    if (st != OK)
        error_prefix(err, "trust anchor \"%s\": ", path.ptr);
    return st;
}

static void dir_cleanup(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

static enum status add_folder(struct anchors *set, const char *dir, struct error *err)
{
    CLEANUP(dir_cleanup) DIR *d = opendir(dir);
    if (d == NULL)
        return error_errno(err, errno, "could not read trust anchor folder \"%s\"", dir);

    size_t before = set->len;
    errno = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_type == DT_DIR)
            continue;
        enum status st = add_file(set, dir, e->d_name, err);
        if (st != OK)
            return st;
        errno = 0;
    }
    if (errno != 0)
        return error_errno(err, errno, "could not read trust anchor folder \"%s\"", dir);
    if (set->len == before) {
        error_set(err, "trust anchor folder \"%s\" has no trust anchor in it", dir);
        return ERR_INVALID;
    }
    return OK;
}

/*
 * verifiers-azure-vtpm.md 5, step 12: the ARK signs the ASK.  For the built-in
 * pairs that was checked when the constants were made; extra ones show it here.
 */
static enum status link_issuer(struct anchors *set, struct anchor *an, struct error *err)
{
    struct str name = str_of(an->name);
    bool ask = str_has_prefix(name, STR("amd-ask-"));
    if (!an->extra || (!ask && !str_has_prefix(name, STR("amd-asvk-"))))
        return OK;
    if (an->cert == NULL) {
        error_set(err, "trust anchor %s must be a certificate", an->name);
        return ERR_INVALID;
    }

    struct str ark = arena_format(&set->arena, "amd-ark-%s", an->name + (ask ? 8 : 9));
    if (ark.ptr == NULL)
        return error_nomem(err);
    const struct anchor *root;
    for (size_t i = 0; (root = anchors_find(set, ark.ptr, i)) != NULL; i++) {
        if (cert_signed_by(an->cert, root->key, NULL) == OK) {
            an->issuer = root->extra ? root : NULL;
            return OK;
        }
    }
    error_set(err, "trust anchor %s: no %s signed it", an->name, ark.ptr);
    return ERR_INVALID;
}

STATUS anchors_load(const char *const *dirs, size_t n, struct anchors **out, struct error *err)
{
    CLEANUP(anchors_cleanup) struct anchors *set = NULL;
    enum status st = anchors_new(&set, err);
    for (size_t i = 0; st == OK && i < n; i++)
        st = add_folder(set, dirs[i], err);
    for (size_t i = 0; st == OK && i < set->len; i++)
        st = link_issuer(set, &set->items[i], err);
    if (st != OK)
        return st;
    *out = TAKE(set);
    return OK;
}

struct anchors *anchors_ref(struct anchors *a)
{
    __atomic_add_fetch(&a->refs, 1, __ATOMIC_RELAXED);
    return a;
}

struct anchors *anchors_unref(struct anchors *a)
{
    if (a == NULL || __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return NULL;
    for (size_t i = 0; i < a->len; i++) {
        pubkey_unref(a->items[i].key);
        cert_unref(a->items[i].cert);
    }
    pthread_mutex_destroy(&a->lock);
    arena_done(&a->arena);
    free(a);
    return NULL;
}

const struct anchor *anchors_find(const struct anchors *a, const char *name, size_t i)
{
    struct anchors *set = (struct anchors *)(uintptr_t)a; /* keys are made behind its lock */
    for (size_t k = 0; k < set->len; k++)
        if (strcmp(set->items[k].name, name) == 0 && i-- == 0)
            return with_key(set, &set->items[k]);
    return NULL;
}

const struct anchor *anchors_extra(const struct anchors *a, size_t i)
{
    for (size_t k = 0; k < a->len; k++)
        if (a->items[k].extra && i-- == 0)
            return &a->items[k];
    return NULL;
}

size_t anchors_extra_count(const struct anchors *a)
{
    size_t n = 0;
    for (size_t k = 0; k < a->len; k++)
        n += a->items[k].extra;
    return n;
}

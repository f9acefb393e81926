#include "mutants.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/file.h"
#include "base/random.h"

#include "tap.h"

/* ---- the table ---- */

static bool read_line(struct sweep *s, char *line)
{
    struct prediction p = {.count = 0};
    char *save = NULL;
    char *word = strtok_r(line, " \t\n", &save);
    if (word == NULL || word[0] == '#')
        return true;
    snprintf(p.name, sizeof(p.name), "%s", word);
    while ((word = strtok_r(NULL, " \t\n", &save)) != NULL) {
        enum check_id id = check_by_name(str_of(word));
        if (id == CHECK_NONE || p.count == PREDICTED_MAX)
            return false;
        p.checks[p.count++] = id;
    }
    if (p.count == 0 || s->len == PREDICTIONS_MAX)
        return false;
    s->table[s->len++] = p;
    return true;
}

static bool read_table(struct sweep *s)
{
    FILE *f = fopen(tap_source("tests/data/mutants.txt"), "r");
    if (!CHECK(f != NULL))
        return false;
    char line[256];
    bool good = true;
    while (fgets(line, sizeof(line), f) != NULL)
        good = CHECK_ROW(read_line(s, line), "a line of tests/data/mutants.txt") && good;
    fclose(f);
    return good;
}

bool sweep_init(struct sweep *s)
{
    *s = (struct sweep){.whole = getenv("CLAVIGER_LONG") != NULL};
    const char *seed = getenv("CLAVIGER_SEED");
    random_bytes(&s->seed, sizeof(s->seed));
    if (seed != NULL)
        s->seed = (uint32_t)strtoul(seed, NULL, 10);
    s->seed |= 1; /* of a generator that zero would stop */
    printf("# seed %u\n", s->seed);
    struct anchors *anchors = NULL;
    struct error err = ERROR_INIT;
    bool good = CHECK_STATUS(anchors_new(&anchors, &err), OK, &err);
    s->anchors = anchors;
    good = CHECK_STATUS(verifier_cache_new(256, &s->cache, &err), OK, &err) && good;
    return read_table(s) && good;
}

void sweep_done(struct sweep *s)
{
    anchors_unref((struct anchors *)(uintptr_t)s->anchors);
    verifier_cache_free(s->cache);
}

void sweep_report(struct sweep *s, size_t at_least, size_t at_least_whole)
{
    for (size_t i = 0; i < s->len; i++)
        if (s->table[i].mutants > 0)
            printf("# %-36s %9zu mutants, %zu other\n", s->table[i].name, s->table[i].mutants,
                   s->table[i].other);
    printf("# %zu mutants, %zu accepted, %zu refused by another check than predicted\n", s->mutants,
           s->accepted, s->other);
    CHECK(s->mutants >= (s->whole ? at_least_whole : at_least));
    CHECK(s->accepted == 0);
    CHECK(s->unpredicted == 0);
    CHECK(s->other * 100 <= s->mutants);
}

/* ---- one mutant ---- */

static struct prediction *prediction_of(struct sweep *s, const char *tee, const char *part)
{
    char name[64];
    snprintf(name, sizeof(name), "%s/%s", tee, part);
    for (size_t i = 0; i < s->len; i++)
        if (strcmp(s->table[i].name, name) == 0)
            return &s->table[i];
    return NULL;
}

static enum status run(struct sweep *s, struct arena *a, const struct subject *x, value evidence,
                       struct checks *checks, struct error *err)
{
    struct verifier_request req = {.evidence = evidence,
                                   .has_report_data = value_is_string(x->report_data),
                                   .era = x->era,
                                   .now_s = x->now_s,
                                   .config = VALUE_UNDEFINED,
                                   .anchors = s->anchors,
                                   .collateral = x->collateral,
                                   .cache = s->cache};
    if (req.has_report_data)
        status_ignore(hex_bytes(a, value_str(x->report_data), &req.report_data, NULL));
    struct verifier_result *result = arena_new(a, struct verifier_result);
    checks_init(checks, a);
    return verifier_run(a, str_of(x->tee), &req, checks, result, err);
}

bool subject_passes(struct sweep *s, const struct subject *x)
{
    for (unsigned i = 0; i < 2; i++) { /* cold and warm */
        CLEANUP(arena_done) struct arena a;
        arena_init(&a, 64 * 1024 * 1024);
        struct checks checks;
        struct error err = ERROR_INIT;
        if (!CHECK_STATUS_ROW(run(s, &a, x, x->evidence, &checks, &err), OK, &err, x->name))
            return false;
    }
    return true;
}

void judge(struct sweep *s, struct arena *a, const struct subject *x, value evidence,
           const char *part, size_t at, unsigned change)
{
    struct checks checks;
    struct error err = ERROR_INIT;
    enum status st = run(s, a, x, evidence, &checks, &err);
    struct prediction *p = prediction_of(s, x->tee, part);
    s->mutants++;
    if (p == NULL) {
        if (s->unpredicted++ == 0)
            printf("# nothing is predicted for %s/%s\n", x->tee, part);
        return;
    }
    p->mutants++;
    /* An item that is not at hand: the caller fetches it or refuses with this check. */
    enum check_id got = st == ERR_UNAVAILABLE ? CHECK_COLLATERAL : checks.reason.check;
    if (st == OK) {
        if (s->accepted++ < 20)
            printf("# %s, %s: byte %zu as %02x is accepted\n", x->name, part, at, change);
        return;
    }
    for (size_t i = 0; i < p->count; i++)
        if ((st == ERR_DENIED || st == ERR_UNAVAILABLE) && got == p->checks[i])
            return;
    s->other++;
    if (p->other++ < 5)
        printf("# %s, %s: byte %zu as %02x is refused by %s at %.*s: %s\n", x->name, part, at,
               change, check_name(got), STR_ARG(checks.reason.field), err.text);
}

/* ---- members ---- */

bool member_read(struct arena *a, value evidence, const char *pointer, enum form form,
                 struct member *out)
{
    value v = value_pointer(evidence, str_of(pointer));
    struct str bytes = STR_EMPTY;
    enum status st = ERR_INVALID;
    *out = (struct member){pointer, form, STR_EMPTY};
    switch (form) {
    case FORM_HEX:
        st = hex_bytes(a, value_str(v), &bytes, NULL);
        break;
    case FORM_BASE64:
        st = base64_bytes(a, value_str(v), BASE64_STD, &bytes, NULL);
        break;
    case FORM_BASE64_URL:
        st = base64_bytes(a, value_str(v), BASE64_URL_ANY, &bytes, NULL);
        break;
    case FORM_TEXT:
        bytes = value_str(v);
        st = value_is_string(v) ? OK : ERR_INVALID;
        break;
    case FORM_ARRAY:
        if (value_is_array(v)) {
            char *p = arena_alloc(a, value_len(v) + 1);
            for (size_t i = 0; i < value_len(v); i++)
                p[i] = (char)value_small(value_items(v)[i]);
            bytes = str_bytes(p, value_len(v));
            st = OK;
        }
        break;
    }
    out->bytes = bytes;
    return CHECK_ROW(st == OK && bytes.len > 0, pointer);
}

static value member_value(struct arena *a, enum form form, struct str bytes)
{
    switch (form) {
    case FORM_HEX:
        return value_string(a, hex_text(a, bytes));
    case FORM_BASE64:
        return value_string(a, base64_text(a, bytes, BASE64_STD));
    case FORM_BASE64_URL:
        return value_string(a, base64_text(a, bytes, BASE64_URL_PAD));
    case FORM_TEXT:
        return value_string(a, bytes);
    case FORM_ARRAY:
        break;
    }
    value *items = arena_new_array(a, value, bytes.len + 1);
    for (size_t i = 0; i < bytes.len; i++)
        items[i] = value_small_int((uint8_t)bytes.ptr[i]);
    return value_array(a, items, bytes.len);
}

/* At most the depth of a pointer in these tests. */
static value replace_at(struct arena *a, value in, struct str pointer, value with)
{
    if (pointer.len == 0)
        return with;
    size_t end = str_find(pointer, '/', 1);
    struct str name = str_slice(pointer, 1, end - 1), rest = str_from(pointer, end);
    if (!value_is_array(in))
        return value_object_with(a, in, value_string(a, name),
                                 replace_at(a, value_get_str(in, name), rest, with));
    size_t n = value_len(in), index = strtoul(arena_str(a, name).ptr, NULL, 10);
    value *items = arena_new_array(a, value, n + 1);
    memcpy(items, value_items(in), n * sizeof(*items));
    items[index] = replace_at(a, items[index], rest, with);
    return value_array(a, items, n);
}

value member_replace(struct arena *a, value evidence, const struct member *m, struct str bytes)
{
    return replace_at(a, evidence, str_of(m->pointer), member_value(a, m->form, bytes));
}

/* ---- walks ---- */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static const uint8_t bits[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
static const uint8_t few[] = {0x01, 0x02, 0x80};

static size_t changes_of(enum changes c)
{
    return c == CHANGE_ALL    ? 255
           : c == CHANGE_BITS ? ARRAY_LEN(bits)
           : c == CHANGE_FEW  ? ARRAY_LEN(few)
                              : 4;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/*
 * Letters of base64 in PEM, but not those of the lines around it, nor the last
 * one before "=", which has bits that mean nothing.
 */
static bool is_base64_letter(struct str s, size_t at)
{
    size_t from = at < 32 ? 0 : at - 32, to = at + 32 < s.len ? at + 32 : s.len;
    bool border = false;
    for (size_t i = from; i + 2 < to; i++)
        border |= memcmp(s.ptr + i, "---", 3) == 0;
    bool escape = at > 1 && (s.ptr[at - 1] == '%' || s.ptr[at - 2] == '%'); /* of headers */
    return is_letter(s.ptr[at]) && !border && !escape &&
           (at + 1 >= s.len || s.ptr[at + 1] != '=') && (at + 1 >= s.len || s.ptr[at + 1] != '%');
}

/* The k-th change of the byte; false: this byte has none. */
static bool change(const struct walk *w, size_t at, size_t k, uint8_t *out)
{
    uint8_t old = (uint8_t)w->bytes.ptr[at];
    switch (w->changes) {
    case CHANGE_ALL:
        *out = (uint8_t)(old ^ (k + 1));
        return true;
    case CHANGE_BITS:
        *out = old ^ bits[k];
        return true;
    case CHANGE_FEW:
        *out = old ^ few[k];
        return true;
    case CHANGE_LETTER:
        break;
    }
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = sizeof(letters) - 1;
    const char *p = memchr(letters, old, n);
    if (p == NULL || !is_base64_letter(w->bytes, at))
        return false;
    *out = (uint8_t)letters[((size_t)(p - letters) + 1 + k * 13) % n];
    return true;
}

void walk_init(struct walk *w, struct sweep *s, struct str bytes, size_t from, size_t to,
               enum changes changes)
{
    *w = (struct walk){.sweep = s, .bytes = bytes, .from = from, .to = to, .changes = changes};
    next_random(&s->seed); /* each part has its own */
    w->random = s->seed;
}

bool walk_next(struct walk *w)
{
    size_t len = w->to - w->from, n = changes_of(w->changes);
    while (w->sweep->whole ? w->count < len * n : w->count < SAMPLE && len > 0) {
        size_t k = w->count++;
        w->at = w->from + (w->sweep->whole ? k / n : next_random(&w->random) % len);
        if (change(w, w->at, w->sweep->whole ? k % n : next_random(&w->random) % n, &w->value))
            return true;
    }
    return false;
}

struct str walk_bytes(struct arena *a, const struct walk *w)
{
    char *p = arena_alloc(a, w->bytes.len + 1);
    memcpy(p, w->bytes.ptr, w->bytes.len);
    p[w->at] = (char)w->value;
    return str_bytes(p, w->bytes.len);
}

void sweep_member(struct sweep *s, const struct subject *x, const struct member *m,
                  const char *part, size_t from, size_t to, enum changes changes)
{
    struct walk w;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 64 * 1024 * 1024);
    walk_init(&w, s, m->bytes, from, to, changes);
    while (walk_next(&w)) {
        arena_reset(&a);
        judge(s, &a, x, member_replace(&a, x->evidence, m, walk_bytes(&a, &w)), part, w.at,
              w.value);
    }
}

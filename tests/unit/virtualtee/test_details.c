/*
 * docs/claims.md beside what verifiers say of virtual machines: each member of
 * the details is named there for its kind of evidence, and nothing is named
 * there that no machine has.
 */
#include <stdio.h>

#include "base/file.h"
#include "value/json.h"
#include "verifier/anchors.h"
#include "verifier/collateral_set.h"
#include "verifier/verifier.h"
#include "virtualtee/machine.h"

#include "tap.h" /* last: its CHECK is another than that of check.h */

#define NOW 1764028800 /* 2025-11-25T00:00:00Z */
#define ROWS_MAX 64

/* ---- the table of the document ---- */

struct row {
    struct str evidence, members, text;
};

static struct row rows[ROWS_MAX];
static size_t row_count;

static struct str cell(struct str *line)
{
    size_t end = str_find(*line, '|', 0);
    struct str c = str_slice(*line, 0, end);
    *line = str_from(*line, end < line->len ? end + 1 : end);
    return c;
}

/* `token` stands in the cell between backticks. */
static bool names(struct str in, struct str token)
{
    for (size_t at = 0; (at = str_find(in, '`', at)) < in.len;) {
        size_t end = str_find(in, '`', at + 1);
        if (str_equal(str_slice(in, at + 1, end - at - 1), token))
            return true;
        at = end + 1;
    }
    return false;
}

static void read_rows(struct str text)
{
    struct str evidence = STR_EMPTY;
    while (text.len > 0 && row_count < ROWS_MAX) {
        size_t end = str_find(text, '\n', 0);
        struct str line = str_slice(text, 0, end);
        text = str_from(text, end < text.len ? end + 1 : end);
        if (!str_has_prefix(line, STR("| ")) || str_has_prefix(line, STR("| ---")) ||
            str_has_prefix(line, STR("| evidence")))
            continue;
        line = str_from(line, 1);
        struct str first = cell(&line);
        if (first.len > 1) /* an empty one: as in the row above */
            evidence = first;
        struct row r = {.evidence = evidence};
        r.members = cell(&line);
        r.text = line;
        rows[row_count++] = r;
    }
}

static bool is_intel(const char *tee)
{
    return strcmp(tee, "sgx") == 0 || strcmp(tee, "tdx") == 0 || strcmp(tee, "az-tdx-vtpm") == 0;
}

static bool applies(const struct row *r, const char *tee)
{
    return names(r->evidence, str_of(tee)) ||
           (str_has_prefix(r->evidence, STR(" all of Intel's")) && is_intel(tee));
}

/* ---- machines ---- */

static struct machine_case {
    const char *tee, *sets[5];
    value details;
} cases[] = {
    {"snp", {NULL}, {0}},
    {"snp", {"generation=turin", "report_version=5", "tcb_fmc=3"}, {0}},
    {"snp", {"signing_key=1"}, {0}},
    {"az-snp-vtpm", {NULL}, {0}},
    {"az-snp-vtpm", {"generation=turin", "report_version=5", "tcb_fmc=3"}, {0}},
    {"tdx", {NULL}, {0}},
    {"tdx", {"quote_version=5", "padding=300"}, {0}},
    {"az-tdx-vtpm", {NULL}, {0}},
    {"az-tdx-vtpm", {"quote_version=5"}, {0}},
    {"sgx", {NULL}, {0}},
    {"sgx", {"pck_ca=processor"}, {0}},
    {"tpm", {NULL}, {0}},
};

static void evaluate(struct machine_case *c, struct arena *a, struct pki *pki,
                     const struct anchors *anchors, const struct collateral *collateral)
{
    const struct str report_data = STR("forty-eight bytes, as SHA-384 of the runtime dat");
    CLEANUP(machine_cleanup) struct machine *m = NULL;
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, EVIDENCE_MAX);
    struct error err = ERROR_INIT;
    enum status st = machine_new(machine_kind_find(str_of(c->tee)), pki, &m, &err);
    for (size_t i = 0; i < ARRAY_LEN(c->sets) && c->sets[i] != NULL && st == OK; i++)
        st = machine_set(m, str_of(c->sets[i]), &err);
    if (st == OK)
        st = machine_evidence(m, report_data, &text, &err);

    struct verifier_request req = {
        .has_report_data = true,
        .report_data = report_data,
        .era = ERA_NEW,
        .details = true,
        .now_s = NOW,
        .config = VALUE_UNDEFINED,
        .anchors = anchors,
        .collateral = collateral,
    };
    struct checks checks;
    struct verifier_result result = {.len = 0};
    checks_init(&checks, a);
    if (st == OK)
        st = json_parse(a, buf_str(&text), NULL, &req.evidence, &err);
    if (st == OK)
        st = verifier_run(a, str_of(c->tee), &req, &checks, &result, &err);
    CHECK_STATUS_ROW(st, OK, &err, c->tee);
    c->details = st == OK ? result.items[0].details : VALUE_UNDEFINED;
}

/* ---- what is said is written ---- */

static bool all_named(struct str text, value object)
{
    bool good = true;
    for (size_t i = 0; i < value_len(object); i++) {
        const struct value_pair *p = &value_pairs(object)[i];
        if (!names(text, value_str(p->key))) {
            printf("# not in docs/claims.md: %.*s\n", STR_ARG(value_str(p->key)));
            good = false;
        }
        if (value_is_object(p->val))
            good = all_named(text, p->val) && good;
    }
    return good;
}

static void check_said(const struct machine_case *c)
{
    for (size_t i = 0; i < value_len(c->details); i++) {
        const struct value_pair *p = &value_pairs(c->details)[i];
        const struct row *r = NULL;
        for (size_t k = 0; k < row_count && r == NULL; k++)
            if (applies(&rows[k], c->tee) && names(rows[k].members, value_str(p->key)))
                r = &rows[k];
        char row[96];
        snprintf(row, sizeof(row), "%s: %.*s", c->tee, STR_ARG(value_str(p->key)));
        if (CHECK_ROW(r != NULL, row) && value_is_object(p->val))
            CHECK_ROW(all_named(r->text, p->val), row);
    }
}

/* ---- what is written is said ---- */

/* A member somewhere below, or a text that one has. */
static bool found_below(value v, struct str name)
{
    if (value_is_string(v))
        return str_equal(value_str(v), name);
    for (size_t i = 0; value_is_object(v) && i < value_len(v); i++)
        if (str_equal(value_str(value_pairs(v)[i].key), name) ||
            found_below(value_pairs(v)[i].val, name))
            return true;
    return false;
}

static bool member_said(const char *tee, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (strcmp(cases[i].tee, tee) == 0 &&
            value_is_defined(value_get_str(cases[i].details, name)))
            return true;
    return false;
}

static bool text_said(const struct row *r, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t k = 0; applies(r, cases[i].tee) && k < value_len(cases[i].details); k++) {
            const struct value_pair *p = &value_pairs(cases[i].details)[k];
            if (names(r->members, value_str(p->key)) && found_below(p->val, name))
                return true;
        }
    return false;
}

static void check_written(const struct row *r)
{
    const struct str cells[] = {r->members, r->text};
    for (size_t c = 0; c < ARRAY_LEN(cells); c++)
        for (size_t at = 0; (at = str_find(cells[c], '`', at)) < cells[c].len;) {
            size_t end = str_find(cells[c], '`', at + 1);
            struct str name = str_slice(cells[c], at + 1, end - at - 1);
            at = end + 1;
            char row[96];
            snprintf(row, sizeof(row), "docs/claims.md: %.*s", STR_ARG(name));
            if (c == 1 && name.len > 0 && name.ptr[0] != '"') /* "1.55.29" is an example */
                CHECK_ROW(text_said(r, name), row);
            for (size_t i = 0; c == 0 && i < ARRAY_LEN(cases); i++)
                if (applies(r, cases[i].tee))
                    CHECK_ROW(member_said(cases[i].tee, name), row);
        }
}

int main(void)
{
    struct error err = ERROR_INIT;
    CLEANUP(arena_done) struct arena a;
    CLEANUP(buf_done) struct buf text;
    CLEANUP(pki_cleanup) struct pki *pki = NULL;
    CLEANUP(anchors_cleanup) struct anchors *anchors = NULL;
    arena_init(&a, 64 * 1024 * 1024);
    buf_init(&text, 1024 * 1024);
    struct collateral_set *set = NULL;

    const char *dir = tap_tmpdir();
    char folder[512];
    enum status st = pki_make(dir, 1u << AMD_MILAN | 1u << AMD_TURIN, &err);
    if (st == OK)
        st = pki_open(dir, &pki, &err);
    snprintf(folder, sizeof(folder), "%s/anchors", dir);
    const char *dirs[] = {folder};
    if (st == OK)
        st = anchors_load(dirs, 1, &anchors, &err);
    snprintf(folder, sizeof(folder), "%s/collateral", dir);
    if (st == OK)
        st = collateral_set_new(false, &set, &err);
    if (st == OK)
        st = collateral_set_add(set, folder, &err);
    if (st == OK)
        st = file_read(tap_source("docs/claims.md"), &text, &err);
    if (CHECK_STATUS(st, OK, &err)) {
        read_rows(buf_str(&text));
        CHECK(row_count > 10 && row_count < ROWS_MAX);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
            evaluate(&cases[i], &a, pki, anchors, collateral_set_get(set));
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
            check_said(&cases[i]);
        for (size_t i = 0; i < row_count; i++)
            check_written(&rows[i]);
    }
    collateral_set_free(set);
    return tap_done();
}

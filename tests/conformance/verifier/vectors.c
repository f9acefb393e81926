#include "vectors.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/file.h"
#include "../../claim_names.h"
#include "value/json.h"

struct str vector_read(struct arena *a, const char *relative)
{
    char name[256];
    snprintf(name, sizeof(name), "vectors/verifiers/%s", relative);
    const char *path = tap_shared(name);
    if (path == NULL)
        return (struct str){NULL, 0};
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 4 * 1024 * 1024);
    struct error err = ERROR_INIT;
    if (!CHECK_STATUS_ROW(file_read(path, &b, &err), OK, &err, relative))
        return (struct str){NULL, 0};
    return arena_str(a, buf_str(&b));
}

value vector_json(struct arena *a, const char *relative)
{
    struct str text = vector_read(a, relative);
    if (text.ptr == NULL)
        return VALUE_UNDEFINED;
    value v = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    CHECK_STATUS_ROW(json_parse(a, text, NULL, &v, &err), OK, &err, relative);
    return v;
}

bool run_passed(const struct vector_run *run, enum check_id id)
{
    for (size_t i = 0; i < run->checks.len; i++)
        if (run->checks.items[i].id == id && run->checks.items[i].outcome == CHECK_PASSED)
            return true;
    return false;
}

void vector_evaluate(struct arena *a, const char *tee, value evidence, value report_data_hex,
                     value init_data_hex, enum era era, int64_t now_s, value config,
                     const struct collateral *collateral, const struct anchors *anchors,
                     struct vector_run *out)
{
    *out = (struct vector_run){.err = ERROR_INIT};
    checks_init(&out->checks, a);
    struct verifier_request req = {
        .evidence = evidence,
        .has_report_data = value_is_string(report_data_hex),
        .has_init_data = value_is_string(init_data_hex),
        .era = era,
        .details = true,
        .now_s = now_s,
        .config = config,
        .anchors = anchors,
        .collateral = collateral,
    };
    if (req.has_report_data)
        status_ignore(hex_bytes(a, value_str(report_data_hex), &req.report_data, NULL));
    if (req.has_init_data)
        status_ignore(hex_bytes(a, value_str(init_data_hex), &req.init_data, NULL));
    out->status = verifier_run(a, str_of(tee), &req, &out->checks, &out->result, &out->err);
    if (out->status == OK)
        check_claim_names(a, tee, &out->result);
}

bool claims_contain(value got, value want, const char *name)
{
    const struct value_pair *pairs = value_pairs(want);
    for (size_t i = 0; i < value_len(want); i++) {
        value mine = value_get(got, pairs[i].key);
        if (value_equal(mine, pairs[i].val))
            continue;
        CLEANUP(buf_done) struct buf b;
        buf_init(&b, 1024 * 1024);
        json_write_string(&b, value_str(pairs[i].key));
        buf_add_cstr(&b, ": got ");
        if (value_is_defined(mine))
            status_ignore(json_write(&b, mine, JSON_COMPACT));
        buf_add_cstr(&b, " want ");
        status_ignore(json_write(&b, pairs[i].val, JSON_COMPACT));
        printf("# %s: %.*s\n", name, STR_ARG(buf_str(&b)));
        return false;
    }
    return true;
}

bool claims_equal(value got, value want, const char *name)
{
    if (!claims_contain(got, want, name))
        return false;
    if (value_len(got) != value_len(want))
        printf("# %s: %zu claims, want %zu\n", name, value_len(got), value_len(want));
    return value_len(got) == value_len(want);
}

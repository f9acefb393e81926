/*
 * Intel's signed texts, and files of collateral.  Properties: levels come out
 * in strictly descending order and the highest platform reaches the first;
 * what json_raw_member() finds is the text of the member's value.
 */
#include <stdlib.h>

#include "value/json.h"
#include "verifier/collateral_set.h"
#include "verifier/dcap/intel_url.h"
#include "verifier/dcap/raw_json.h"
#include "verifier/dcap/tcb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_levels(const struct tcb_info *t)
{
    static const uint8_t all[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                    255, 255, 255, 255, 255, 255, 255, 255};
    for (size_t i = 1; i < t->level_count; i++) {
        int c = memcmp(t->levels[i - 1].sgx, t->levels[i].sgx, 16);
        if (c < 0 || (c == 0 && t->levels[i - 1].pcesvn < t->levels[i].pcesvn))
            abort();
    }
    if (tcb_platform_level(t, all, UINT16_MAX, t->tdx ? all : NULL) != &t->levels[0])
        abort();
}

static void check_raw(struct arena *a, struct str text, value root)
{
    for (size_t i = 0; i < value_len(root); i++) {
        struct str name = value_str(value_pairs(root)[i].key), raw;
        value again;
        if (!json_raw_member(text, arena_str(a, name).ptr, &raw))
            continue; /* the name is written with escapes, or has a NUL in it */
        if (raw.ptr < text.ptr || raw.len > (size_t)(text.ptr + text.len - raw.ptr))
            abort();
        struct str compact = json_raw_compact(a, raw);
        if (compact.ptr != NULL && memchr(name.ptr, '\\', name.len) == NULL &&
            memchr(name.ptr, '\0', name.len) == NULL &&
            (json_parse(a, compact, NULL, &again, NULL) != OK ||
             !value_equal(again, value_pairs(root)[i].val)) &&
            arena_status(a) == OK)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_bytes(data, size);
    struct intel_name name;
    status_ignore(intel_url_parse(input, &name) ? OK : ERR_INVALID);

    CLEANUP(collateral_set_cleanup) struct collateral_set *set = NULL;
    if (collateral_set_new(false, &set, NULL) == OK)
        status_ignore(collateral_set_parse(set, input, NULL));

    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 32 * 1024 * 1024);
    value root = VALUE_UNDEFINED;
    if (json_parse(&a, input, NULL, &root, NULL) != OK)
        return 0;
    const char *message = NULL;
    struct tcb_info t;
    struct qe_identity q;
    if (tcb_info_parse(&a, value_get_lit(root, "tcbInfo"), &t, &message) == OK)
        check_levels(&t);
    else if (message == NULL)
        abort();
    status_ignore(qe_identity_parse(&a, value_get_lit(root, "enclaveIdentity"), &q, &message));
    if (value_is_object(root))
        check_raw(&a, input, root);
    return 0;
}

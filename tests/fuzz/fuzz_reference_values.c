/*
 * A reference value file, then a registration into it (what rvps_register() does).  Property: what
 * the change wrote can be read, has the new value, and every other value that could be read before,
 * unchanged.
 *
 * Through it: rvps_entry_read, rvps_parse_expiration, and of registrations
 * rvps_extract_swid, rvps_extract_corim, cbor_read.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "rvps/rvps_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY ((size_t)64 * 1024 * 1024)

static const struct reference_value *last(const struct rvps_entries *e, struct str name)
{
    for (size_t i = e->len; i > 0; i--)
        if (str_equal(e->items[i - 1].name, name))
            return &e->items[i - 1];
    return NULL;
}

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    struct str text = str_bytes(data, size);

    struct rvps_entries message = {0};
    status_ignore(rvps_message_read(&a, text, 0, &message, NULL));

    struct rvps_entries before = {0};
    if (rvps_container_read(&a, text, &before, NULL, NULL, NULL) != OK)
        return 0;

    struct reference_value set = {STR("fuzz"), VALUE_TRUE, 0, STR("1970-01-01T00:00:00Z")};
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, MEMORY);
    if (rvps_container_change(&a, text, &set, 1, NULL, &out, NULL) != OK)
        return 0; /* only a limit: the text was read above */

    struct rvps_entries after = {0};
    check(rvps_container_read(&a, buf_str(&out), &after, NULL, NULL, NULL) == OK);
    const struct reference_value *now = last(&after, set.name);
    check(now != NULL && value_is_true(now->val) && now->expires_s == 0);
    for (size_t i = 0; i < before.len; i++) {
        const struct reference_value *was = last(&before, before.items[i].name);
        if (str_equal(was->name, set.name))
            continue;
        now = last(&after, was->name);
        check(now != NULL && value_equal(now->val, was->val) && now->expires_s == was->expires_s);
    }
    return 0;
}

/* Fields, PCRs, versions and faults by name: what is taken and what is refused. */
#include <stdio.h>

#include "virtualtee/machine.h"

#include "tap.h"

#define ZEROS64 "0000000000000000000000000000000000000000000000000000000000000000"

static void test_set(void)
{
    const struct {
        const char *assignment;
        enum status want;
        const char *written; /* by field_write(), NULL: not looked at */
    } rows[] = {
        {"vmpl=3", OK, "3"},
        {"vmpl=0xff", OK, "255"},
        {"vmpl=4294967295", OK, "4294967295"},
        {"vmpl=4294967296", ERR_INVALID, "0"},
        {"vmpl=-1", ERR_INVALID, "0"},
        {"vmpl=", ERR_INVALID, "0"},
        {"vmpl=0x", ERR_INVALID, "0"},
        {"vmpl=1 ", ERR_INVALID, "0"},
        {"policy=18446744073709551615", OK, "18446744073709551615"},
        {"policy=18446744073709551616", ERR_INVALID, NULL},
        {"policy_debug_allowed=true", OK, "true"},
        {"policy_debug_allowed=1", OK, "true"},
        {"policy_debug_allowed=2", ERR_INVALID, "false"},
        {"policy_debug_allowed=yes", ERR_INVALID, "false"},
        {"policy_abi_minor=255", OK, "255"},
        {"policy_abi_minor=256", ERR_INVALID, "31"},
        {"secure_boot=false", OK, "false"},
        {"secure_boot=0", ERR_INVALID, "true"},
        {"family_id=ab", OK, "ab000000000000000000000000000000"},
        {"family_id=", OK, "00000000000000000000000000000000"},
        {"family_id=abc", ERR_INVALID, NULL},
        {"family_id=000102030405060708090a0b0c0d0e0f10", ERR_LIMIT, NULL},
        {"user_data=0102", OK, "0102"},
        {"vcek_microcode=7", OK, "7"},
        {"vcek_microcode=256", ERR_INVALID, ""},
        {"vcek_not_after=2024-02-29T12:00:00Z", OK, "2024-02-29T12:00:00Z"},
        {"vcek_not_after=2024-02-30T12:00:00Z", ERR_INVALID, "2045-01-01T00:00:00Z"},
        {"vm_unique_id=abc", OK, "abc"},
        {"vm_unique_id=a\"b", ERR_INVALID, NULL},
        {"pcr08=" ZEROS64, OK, NULL},
        {"pcr08=00", ERR_INVALID, NULL},
        {"generation=genoa", OK, NULL},
        {"generation=rome", ERR_INVALID, NULL},
        {"tcb_snp=9", OK, NULL},
        {"tcb_snp=900", ERR_INVALID, NULL},
        {"nothing=1", ERR_NOT_FOUND, NULL},
        {"vmpl", ERR_INVALID, NULL},
    };
    const struct machine_kind *kind = machine_kind_find(STR("az-snp-vtpm"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(machine_cleanup) struct machine *m = NULL;
        struct error err = ERROR_INIT;
        if (!CHECK(machine_new(kind, NULL, &m, &err) == OK))
            return;
        enum status st = machine_set(m, str_of(rows[i].assignment), &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].assignment);
        CHECK_ROW((st == OK) == (err.text[0] == '\0'), rows[i].assignment);
        if (rows[i].written == NULL)
            continue;

        struct str name = str_of(rows[i].assignment);
        name.len = str_find(name, '=', 0);
        struct field_table tables[MACHINE_TABLES_MAX];
        size_t n = kind->fields(tables);
        CLEANUP(buf_done) struct buf text;
        buf_init(&text, 1024);
        for (size_t k = 0; k < n; k++) {
            const struct field *f = field_find(&tables[k], name);
            if (f != NULL)
                field_write(f, (char *)machine_state(m) + tables[k].base, &text);
        }
        CHECK_STR_ROW(buf_str(&text), str_of(rows[i].written), rows[i].assignment);
    }
}

/* Each field's own text is read back as the same value; names are unique in a kind. */
static void test_tables(void)
{
    size_t count;
    const struct machine_kind *const *kinds = machine_kinds(&count);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(machine_cleanup) struct machine *m = NULL;
        struct error err = ERROR_INIT;
        if (!CHECK(machine_new(kinds[i], NULL, &m, &err) == OK))
            return;
        struct field_table tables[MACHINE_TABLES_MAX];
        size_t n = kinds[i]->fields(tables);
        for (size_t k = 0; k < n; k++) {
            for (size_t j = 0; j < tables[k].len; j++) {
                const struct field *f = &tables[k].items[j];
                char *part = (char *)machine_state(m) + tables[k].base;
                CLEANUP(buf_done) struct buf first;
                CLEANUP(buf_done) struct buf again;
                buf_init(&first, 1024);
                buf_init(&again, 1024);
                field_write(f, part, &first);
                if (f->type != FIELD_CALL && first.len > 0) {
                    enum status st = field_set(f, part, buf_str(&first), &err);
                    CHECK_STATUS_ROW(st, OK, &err, f->name);
                }
                field_write(f, part, &again);
                CHECK_STR_ROW(buf_str(&again), buf_str(&first), f->name);

                size_t found = 0;
                for (size_t t = 0; t < n; t++)
                    found += field_find(&tables[t], str_of(f->name)) != NULL;
                CHECK_ROW(found == 1 && field_find(&tables[k], str_of(f->name)) == f, f->name);
            }
        }
    }
}

static void test_pcr(void)
{
    const struct {
        const char *text;
        enum status want;
    } rows[] = {
        {"0=" ZEROS64, OK},
        {"23=" ZEROS64, OK},
        {"24=" ZEROS64, ERR_INVALID},
        {"=" ZEROS64, ERR_INVALID},
        {"8=" ZEROS64 "0", ERR_INVALID},
        {"8=g" ZEROS64, ERR_INVALID},
        {"8", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(machine_cleanup) struct machine *m = NULL;
        struct error err = ERROR_INIT;
        if (!CHECK(machine_new(machine_kind_find(STR("az-snp-vtpm")), NULL, &m, &err) == OK))
            return;
        enum status st = machine_set_pcr(m, str_of(rows[i].text), &err);
        CHECK_STATUS_ROW(st, rows[i].want, &err, rows[i].text);
        CHECK(machine_set_version(m, 3, &err) == ERR_INVALID);
        CHECK(machine_set_fault(m, STR("no such fault"), &err) == ERR_NOT_FOUND);
    }
    CLEANUP(machine_cleanup) struct machine *sample = NULL;
    struct error err = ERROR_INIT;
    if (CHECK(machine_new(machine_kind_find(STR("sample")), NULL, &sample, &err) == OK)) {
        CHECK(machine_set_pcr(sample, STR("8=" ZEROS64), &err) == ERR_UNSUPPORTED);
        CHECK(machine_set_version(sample, 1, &err) == ERR_UNSUPPORTED);
    }
}

int main(void)
{
    test_set();
    test_tables();
    test_pcr();
    return tap_done();
}

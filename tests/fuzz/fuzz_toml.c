/* The TOML reader, toml_parse(): see document_property.h. */
#include "document_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    struct str text = str_bytes(data, size);
    struct positions positions;
    struct error err = ERROR_INIT;
    value v = VALUE_UNDEFINED;
    enum status st = toml_parse(&a, text, &v, &positions, &err);
    must((st == OK) == value_is_defined(v));
    must(st == OK || err.text[0] != '\0');
    must(st != ERR_INVALID || (err.line > 0 && err.col > 0));
    if (st != OK)
        return 0;

    must(value_is_object(v));
    check_document(&a, v, &positions);
    arena_reset(&a);
    st = toml_parse_tagged(&a, text, &v, NULL);
    must(st == OK || st == ERR_LIMIT);
    return 0;
}

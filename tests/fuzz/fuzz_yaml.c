/* The YAML reader, yaml_parse(): see document_property.h. */
#include "document_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 4u << 20); /* what aliases may grow to */
    struct positions positions;
    struct error err = ERROR_INIT;
    value v = VALUE_UNDEFINED;
    enum status st = yaml_parse(&a, str_bytes(data, size), &v, &positions, &err);
    must((st == OK) == value_is_defined(v));
    must(st == OK || err.text[0] != '\0');
    must(st != ERR_INVALID || (err.line > 0 && err.col > 0));
    if (st == OK)
        check_document(&a, v, &positions);
    return 0;
}

#include "net/http.h"

enum status http_query_parse(struct arena *a, struct str query, value *out, struct error *err)
{
    struct value_builder b;
    value_builder_init(&b, a, 4);

    struct str rest = query, name, val;
    while (http_form_next(&rest, &name, &val)) {
        enum status st = http_form_decode(a, name, &name, err);
        if (st == OK)
            st = http_form_decode(a, val, &val, err);
        if (st != OK)
            return st;
        value_builder_put(&b, value_string(a, name), value_string(a, val));
    }

    value object = value_object_finish(&b, VALUE_DUP_LAST, NULL);
    if (!value_is_defined(object)) {
        enum status st = arena_status(a);
        if (st == ERR_NOMEM)
            return error_nomem(err);
        error_set(err, "query needs more memory than a request may use");
        return st == OK ? ERR_INTERNAL : st;
    }
    *out = object;
    return OK;
}

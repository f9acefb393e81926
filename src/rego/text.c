#include "rego/text.h"

#include "rego/unicode.h"

/* Recursive; the depth of values is bounded by VALUE_DEPTH_MAX. */
static void write_items(struct buf *out, value v, const char *open, const char *close)
{
    buf_add_cstr(out, open);
    for (size_t i = 0; i < value_len(v) && out->failed == OK; i++) {
        if (i > 0)
            buf_add(out, STR(", "));
        rego_text_write(out, value_items(v)[i]);
    }
    buf_add_cstr(out, close);
}

static void write_object(struct buf *out, value v)
{
    buf_add_byte(out, '{');
    for (size_t i = 0; i < value_len(v) && out->failed == OK; i++) {
        if (i > 0)
            buf_add(out, STR(", "));
        rego_text_write(out, value_pairs(v)[i].key);
        buf_add(out, STR(": "));
        rego_text_write(out, value_pairs(v)[i].val);
    }
    buf_add_byte(out, '}');
}

void rego_text_write(struct buf *out, value v)
{
    char scratch[VALUE_NUMBER_SCRATCH];
    switch (value_kind(v)) {
    case VALUE_KIND_UNDEFINED:
        buf_add(out, STR("<undefined>"));
        break;
    case VALUE_KIND_NULL:
        buf_add(out, STR("null"));
        break;
    case VALUE_KIND_BOOLEAN:
        buf_add_cstr(out, value_is_true(v) ? "true" : "false");
        break;
    case VALUE_KIND_NUMBER:
        buf_add(out, value_number_text(v, scratch));
        break;
    case VALUE_KIND_STRING:
        unicode_quote(out, value_str(v));
        break;
    case VALUE_KIND_ARRAY:
        write_items(out, v, "[", "]");
        break;
    case VALUE_KIND_OBJECT:
        write_object(out, v);
        break;
    case VALUE_KIND_SET:
        if (value_len(v) == 0)
            buf_add(out, STR("set()"));
        else
            write_items(out, v, "{", "}");
        break;
    }
}

/*
 * document - one entry for configuration files of all three formats.
 */
#include "value/document.h"

#include "value/document_internal.h"
#include "value/json_internal.h"

bool document_format_of(struct str path, enum document_format *out)
{
    static const struct {
        const char *suffix;
        enum document_format format;
    } rows[] = {
        {".toml", DOCUMENT_TOML},
        {".yaml", DOCUMENT_YAML},
        {".yml", DOCUMENT_YAML},
        {".json", DOCUMENT_JSON},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_has_suffix(path, str_of(rows[i].suffix))) {
            *out = rows[i].format;
            return true;
        }
    }
    return false;
}

static enum status parse_json(struct arena *a, struct str text, value *out,
                              struct positions *positions, struct error *err)
{
    if (positions == NULL)
        return json_parse(a, text, NULL, out, err);

    struct json_tracker t = {.arena = a, .positions = positions};
    line_tracker_init(&t.lines, text);
    buf_init(&t.pointer, a->max);
    enum status st = json_read(a, text, NULL, &t, out, NULL, err);
    buf_done(&t.pointer);
    return st;
}

enum status document_parse(struct arena *a, struct str text, enum document_format format,
                           value *out, struct positions *positions, struct error *err)
{
    if (positions != NULL)
        *positions = (struct positions){0};
    switch (format) {
    case DOCUMENT_TOML:
        return toml_parse(a, text, out, positions, err);
    case DOCUMENT_YAML:
        return yaml_parse(a, text, out, positions, err);
    default:
        return parse_json(a, text, out, positions, err);
    }
}

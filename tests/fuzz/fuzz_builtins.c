/*
 * Built-ins that read bytes from outside, called without the engine.  The first
 * byte chooses the function, the rest is its text, or two texts split at the
 * first NUL.  A value is defined and can be written and read as JSON; an error
 * has a text; nothing else happens.
 */
#include "../unit/rego/harness.c"

#include "rego/tz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

enum shape { ONE, TWO, ENCODED, WITH_OBJECT, WITH_LIST };

static const struct {
    const char *name;
    enum shape shape;
} functions[] = {
    {"crypto.x509.parse_certificates", ENCODED},
    {"crypto.x509.parse_certificate_request", ENCODED},
    {"crypto.x509.parse_certificates", ONE},
    {"crypto.parse_private_keys", ONE},
    {"crypto.x509.parse_rsa_private_key", ONE},
    {"yaml.unmarshal", ONE},
    {"json.unmarshal", ONE},
    {"strings.render_template", WITH_OBJECT},
    {"sprintf", WITH_LIST},
    {"time.parse_ns", TWO},
    {"time.parse_rfc3339_ns", ONE},
    {"time.parse_duration_ns", ONE},
    {"uri.parse", ONE},
    {"urlquery.decode_object", ONE},
    {"units.parse", ONE},
    {"units.parse_bytes", ONE},
    {"semver.compare", TWO},
    {"io.jwt.decode", ONE},
    {"io.jwt.verify_es256", TWO},
    {"json.verify_schema", ONE},
    {"json.match_schema", TWO},
    {"net.cidr_contains", TWO},
    {"regex.globs_match", TWO},
    {"regex.template_match", WITH_LIST},
    {"base64.decode", ONE},
    {"base64url.decode", ONE},
    {"to_number", ONE},
    {"uuid.parse", ONE},
};

/* JSON text of any value is JSON, if it is not too deep for a reader of requests. */
static void check_value(struct arena *a, value v)
{
    must(value_is_defined(v));
    const struct json_options options = {JSON_DUP_LAST, VALUE_DEPTH_MAX};
    struct str text = json_text(a, v, JSON_GO);
    value back = VALUE_UNDEFINED;
    must(text.ptr == NULL || json_parse(a, text, &options, &back, NULL) == OK ||
         arena_status(a) != OK);
}

static void check_zone(const uint8_t *data, size_t size)
{
    CLEANUP(tz_cleanup) struct tz *tz = NULL;
    if (tz_parse(str_bytes(data, size), &tz, NULL) != OK)
        return;
    static const int64_t times[] = {-10000000000, 0, 1700000000, 10000000000};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct tz_period p;
        tz_lookup(tz, times[i], &p);
        must(p.start <= times[i] && times[i] <= p.end && p.offset_s <= 8 * 86400 &&
             p.offset_s >= -8 * 86400);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 20000)
        return 0;
    if (data[0] % (ARRAY_LEN(functions) + 1) == ARRAY_LEN(functions)) {
        check_zone(data + 1, size - 1);
        return 0;
    }
    size_t chosen = data[0] % (ARRAY_LEN(functions) + 1);
    struct str text = str_bytes(data + 1, size - 1);
    size_t split = str_find(text, '\0', 0);

    struct harness h;
    harness_init(&h);
    h.steps_max = 300000;
    h.output_max = 1 << 20;
    struct arena *a = &h.arena;
    value whole = value_string(a, text);
    value args[4] = {whole, value_string(a, STR("x")), value_string(a, STR("<")),
                     value_string(a, STR(">"))};
    struct value_builder b;
    value_builder_init(&b, a, 2);
    switch (functions[chosen].shape) {
    case TWO:
        args[0] = value_string(a, str_slice(text, 0, split));
        args[1] = value_string(a, str_from(text, split + 1));
        break;
    case ENCODED:
        h.name = "base64.encode";
        rego_builtin_find(STR("base64.encode"))->fn((struct rego_call *)&h, &whole, &args[0]);
        break;
    case WITH_OBJECT:
        value_builder_put_str(&b, "a", value_int(a, 1));
        value_builder_put_str(&b, "b", value_array(a, args, 2));
        args[1] = value_object_finish(&b, VALUE_DUP_LAST, NULL);
        break;
    case WITH_LIST:
        if (strcmp(functions[chosen].name, "sprintf") == 0) {
            const value items[] = {value_int(a, -7), value_number(a, STR("2.5")),
                                   value_string(a, STR("é")),
                                   value_number(a, STR("123456789012345678901"))};
            args[1] = value_array(a, items, 4);
        }
        break;
    default:
        break;
    }
    const struct rego_builtin *fn = rego_builtin_find(str_of(functions[chosen].name));
    must(fn != NULL && fn->fn != NULL);
    h.name = fn->name;
    value out = VALUE_UNDEFINED;
    enum rego_outcome o = fn->fn((struct rego_call *)&h, args, &out);
    if (o == REGO_VALUE)
        check_value(a, out);
    else
        must(o == REGO_UNDEFINED || h.error[0] != '\0');
    harness_done(&h);
    return 0;
}

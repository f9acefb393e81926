/*
 * One built-in function that reads text of its own, called with arguments from the
 * fuzzer: a byte that chooses it, then a JSON array of arguments.
 *
 * Through them: layout_parse (time.parse_ns), tz_open and tz_parse (time.date),
 * template_parse (strings.render_template), private_key_parse (io.jwt.encode_sign), jwt_keys_read
 * (io.jwt.decode_verify), rego_call_parse_module, read_base64, read_base64url, read_json.
 *
 * Property: the result, or the error, is the same under another hash key, and
 * limits hold.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "rego/rego.h"
#include "value/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY ((size_t)8 << 20)

static const char *const calls[] = {
    "time.parse_ns(input[0], input[1])",
    "time.parse_rfc3339_ns(input[0])",
    "time.parse_duration_ns(input[0])",
    "time.date([input[0], input[1]])",
    "time.format([input[0], input[1], input[2]])",
    "strings.render_template(input[0], input[1])",
    "io.jwt.decode(input[0])",
    "io.jwt.decode_verify(input[0], input[1])",
    "io.jwt.encode_sign(input[0], input[1], input[2])",
    "base64.decode(input[0])",
    "base64url.decode(input[0])",
    "hex.decode(input[0])",
    "json.unmarshal(input[0])",
    "yaml.unmarshal(input[0])",
    "urlquery.decode_object(input[0])",
    "units.parse_bytes(input[0])",
    "units.parse(input[0])",
    "semver.compare(input[0], input[1])",
    "net.cidr_contains(input[0], input[1])",
    "net.cidr_expand(input[0])",
    "sprintf(input[0], input[1])",
    "uuid.parse(input[0])",
    "json.patch(input[0], input[1])",
    "crypto.x509.parse_certificates(input[0])",
    "to_number(input[0])",
    "indexof_n(input[0], input[1])",
    "rego.parse_module(input[0], input[1])",
};

/* Compiled under the hash key under which it is evaluated: tables are made with it. */
static const uint64_t keys[2] = {1, 99};
static struct rego_policy *policies[ARRAY_LEN(calls)][2];

static const struct rego_policy *policy_of(size_t i, size_t k)
{
    hash_set_key(keys[k], keys[k] + 1);
    if (policies[i][k] != NULL)
        return policies[i][k];
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 4096);
    buf_add_format(&text, "package p\nr := %s\n", calls[i]);
    struct rego_options options = REGO_OPTIONS_DEFAULT;
    options.version = REGO_V1;
    if (rego_compile_text(STR("f.rego"), buf_str(&text), &options, &policies[i][k], NULL) != OK)
        return NULL; /* no memory, or a built-in that this build has not */
    return policies[i][k];
}

static void evaluate(struct rego_ctx *ctx, const struct rego_policy *policy, struct str json,
                     struct buf *out)
{
    rego_ctx_reset(ctx);
    struct rego_eval params = {
        .policy = policy,
        .data = VALUE_UNDEFINED,
        .now_ns = 1700000000000000000,
        .random_seed = {1, 2},
    };
    value result = VALUE_UNDEFINED;
    if (json_parse(rego_ctx_arena(ctx), json, NULL, &params.input, NULL) != OK)
        return;
    enum status st = rego_eval_path(ctx, &params, STR("data.p.r"), &result);
    if (st == ERR_INTERNAL || rego_ctx_bytes(ctx) > MEMORY)
        abort();
    if (st == ERR_LIMIT || st == ERR_NOMEM)
        buf_add_cstr(out, "limited");
    else if (st != OK)
        rego_error_write(out, rego_ctx_error(ctx));
    else if (value_is_defined(result))
        status_ignore(json_write(out, result, JSON_COMPACT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 16384)
        return 0;
    size_t i = data[0] % ARRAY_LEN(calls);
    struct str json = str_bytes(data + 1, size - 1);
    CLEANUP(rego_ctx_cleanup)
    struct rego_ctx *ctx =
        rego_ctx_new(&(struct rego_limits){.steps = 20000, .memory = MEMORY, .depth = 64});
    if (ctx == NULL)
        return 0;
    struct buf results[2];
    for (size_t k = 0; k < 2; k++) {
        buf_init(&results[k], 32 << 20);
        const struct rego_policy *policy = policy_of(i, k);
        if (policy != NULL)
            evaluate(ctx, policy, json, &results[k]);
    }
    /* ECDSA and RSA-PSS signatures are drawn anew each time; that one is checked by its tests. */
    bool drawn = strncmp(calls[i], "io.jwt.encode_sign", 18) == 0;
    if (!drawn && !str_equal(buf_str(&results[0]), buf_str(&results[1])))
        abort();
    buf_done(&results[0]);
    buf_done(&results[1]);
    return 0;
}

/* Certificates, requests and private keys: rego.md 6.15. */
#include <arpa/inet.h>

#include "crypto/x509.h"
#include "rego/builtins_internal.h"
#include "rego/der.h"
#include "rego/pem.h"
#include "rego/private_key.h"
#include "rego/x509_value.h"

/* Certificates in one call; more than any chain has. */
#define CERTS_MAX 100

/* Reading costs what its output costs; checking a signature, in units: about 0.1 ms. */
#define SIGNATURE_COST 2000

struct cert_list {
    struct str der[CERTS_MAX];
    size_t len;
};

static bool is_pem(struct str s)
{
    return str_has_prefix(s, STR("-----BEGIN"));
}

/* Bytes of a text that is no PEM. */
static enum rego_outcome decode_base64_text(struct rego_call *call, struct str text,
                                            struct str *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    size_t bad = 0;
    if (!charge_bytes(call, text.len * 2))
        return REGO_FATAL;
    if (!read_base64(text, &b, &bad))
        return rego_call_error(call, "illegal base64 data at input byte %zu", bad);
    value v = VALUE_UNDEFINED;
    enum rego_outcome o = give_buf(call, &b, &v);
    *out = value_str(v);
    return o;
}

static enum rego_outcome too_many(struct rego_call *call)
{
    return rego_call_error(call, "more than %d certificates", CERTS_MAX);
}

static enum rego_outcome split_pem(struct rego_call *call, struct str text, struct cert_list *out)
{
    struct pem_block block;
    while (pem_next(rego_call_arena(call), &text, &block)) {
        if (!str_is(block.type, "CERTIFICATE"))
            return rego_call_error(call, "PEM block type is '%s', expected CERTIFICATE",
                                   shown(call, block.type));
        if (out->len == CERTS_MAX)
            return too_many(call);
        out->der[out->len++] = block.der;
    }
    return REGO_VALUE;
}

/* PEM, base64 of PEM, or base64 of DER certificates one after the other. */
static enum rego_outcome split_certificates(struct rego_call *call, struct str text,
                                            struct cert_list *out)
{
    out->len = 0;
    if (!charge_bytes(call, text.len * 4))
        return REGO_FATAL;
    if (is_pem(text))
        return split_pem(call, text, out);
    struct str bytes = STR_EMPTY;
    enum rego_outcome o = decode_base64_text(call, text, &bytes);
    if (o != REGO_VALUE)
        return o;
    if (is_pem(bytes))
        return split_pem(call, bytes, out);
    while (bytes.len > 0) {
        struct der d;
        if (!der_next(&bytes, &d) || d.tag != DER_SEQUENCE)
            return rego_call_error(call, "x509: malformed certificate");
        if (out->len == CERTS_MAX)
            return too_many(call);
        out->der[out->len++] = d.whole;
    }
    return REGO_VALUE;
}

static enum rego_outcome certificate_value(struct rego_call *call, struct str der, bool uri_strings,
                                           struct x509_parts *out)
{
    if (!charge_bytes(call, der.len * 16))
        return REGO_FATAL;
    if (der.len <= CERT_DER_MAX && x509_certificate(call, der, uri_strings, out))
        return REGO_VALUE;
    enum status st = arena_status(rego_call_arena(call));
    return st != OK ? rego_call_status(call, st, NULL)
                    : rego_call_error(call, "x509: malformed certificate");
}

enum rego_outcome builtin_crypto_x509_parse_certificates(struct rego_call *call, const value *args,
                                                         value *out)
{
    struct str text = STR_EMPTY;
    struct cert_list list;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    enum rego_outcome o = split_certificates(call, text, &list);
    if (o != REGO_VALUE)
        return o;
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), list.len);
    for (size_t i = 0; i < list.len; i++) {
        struct x509_parts parts;
        o = certificate_value(call, list.der[i], true, &parts);
        if (o != REGO_VALUE)
            return o;
        value_builder_add(&b, parts.object);
    }
    return give(call, value_array_finish(&b), out);
}

/* ---- verifying ---- */

struct verify_options {
    struct str dns_name;
    int64_t now_s;
    bool usages[14]; /* by the numbers of Go's ExtKeyUsage */
    bool any_usage;  /* some usage was asked for */
};

struct chain {
    struct cert *certs[CERTS_MAX]; /* as given: root, intermediates, leaf */
    struct x509_parts parts[CERTS_MAX];
    size_t len;
};

static void chain_done(struct chain *c)
{
    for (size_t i = 0; i < c->len; i++)
        cert_unref(c->certs[i]);
    c->len = 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* RFC 6125, 6.4.3, as Go has it: "*" stands for the whole first label. */
static bool name_matches(struct str pattern, struct str host)
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (str_has_prefix(pattern, STR("*."))) {
        size_t dot = str_find(host, '.', 0);
        if (dot == 0 || dot >= host.len)
            return false;
        host = str_from(host, dot);
        pattern = str_from(pattern, 1);
    }
    if (pattern.len != host.len || pattern.len == 0)
        return false;
    for (size_t i = 0; i < pattern.len; i++)
        if (lower(pattern.ptr[i]) != lower(host.ptr[i]))
            return false;
    return true;
}

static bool is_address(struct str s)
{
    char text[INET6_ADDRSTRLEN + 1];
    uint8_t bytes[16];
    if (s.len >= sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool host_matches(const struct x509_parts *leaf, struct str host)
{
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_slice(host, 1, host.len - 2);
    bool address = is_address(host);
    value names = address ? leaf->ip_addresses : leaf->dns_names;
    for (size_t i = 0; i < value_len(names); i++) {
        struct str name = value_str(value_at(names, i));
        if (address ? str_equal(name, host) : name_matches(name, host))
            return true;
    }
    return false;
}

/* A certificate without extended usages is for everything (RFC 5280, 4.2.1.12). */
static bool usage_fits(const struct x509_parts *c, const struct verify_options *o)
{
    if (o->usages[0] || (value_len(c->ext_key_usage) == 0 && !c->has_unknown_usage))
        return true;
    for (size_t i = 0; i < value_len(c->ext_key_usage); i++) {
        int64_t n = -1;
        value_get_int64(value_at(c->ext_key_usage, i), &n);
        if (n == 0 || (n > 0 && n < 14 && o->usages[n]))
            return true;
    }
    return false;
}

static bool read_chain(struct rego_call *call, const struct cert_list *list, bool uri_strings,
                       struct chain *c, enum rego_outcome *o)
{
    for (size_t i = 0; i < list->len; i++) {
        if (!worked(rego_call_arena(call), cert_from_der(list->der[i], &c->certs[i], NULL)))
            return false;
        c->len++;
        *o = certificate_value(call, list->der[i], uri_strings, &c->parts[i]);
        if (*o != REGO_VALUE)
            return false;
    }
    return true;
}

/*
 * From the leaf to the root, the certificates that signed each other.  Each
 * certificate is used once, so this ends.
 */
static value chain_value(struct rego_call *call, const struct chain *c,
                         const struct verify_options *options)
{
    struct arena *a = rego_call_arena(call);
    struct value_builder b;
    value_builder_init(&b, a, c->len);
    bool used[CERTS_MAX] = {false};
    size_t at = c->len - 1;
    for (;;) {
        used[at] = true;
        if (!usage_fits(&c->parts[at], options))
            return VALUE_UNDEFINED;
        value_builder_add(&b, c->parts[at].object);
        if (at == 0)
            return value_array_finish(&b);
        size_t next = 0;
        while (next < c->len &&
               (used[next] ||
                !worked(a, cert_signed_by(c->certs[at], cert_pubkey(c->certs[next]), NULL))))
            next++;
        if (next == c->len)
            return VALUE_UNDEFINED;
        at = next;
    }
}

/* The verified chain, or undefined: it does not verify. */
static enum rego_outcome verify_chain(struct rego_call *call, struct str text,
                                      const struct verify_options *options, bool uri_strings,
                                      value *out)
{
    *out = VALUE_UNDEFINED;
    struct cert_list list;
    enum rego_outcome o = split_certificates(call, text, &list);
    if (o == REGO_FATAL)
        return o;
    if (o != REGO_VALUE || list.len < 2 || list.len > CERT_CHAIN_MAX)
        return REGO_VALUE;
    if (!rego_call_charge(call, (uint64_t)list.len * list.len * SIGNATURE_COST))
        return REGO_FATAL;

    CLEANUP(chain_done) struct chain c = {.len = 0};
    o = REGO_VALUE;
    bool ok = read_chain(call, &list, uri_strings, &c, &o);
    if (o == REGO_FATAL)
        return o;
    struct cert *leaf = ok ? c.certs[c.len - 1] : NULL;
    ok = ok && worked(rego_call_arena(call), cert_verify_chain(leaf, c.certs + 1, c.len - 2,
                                                               c.certs, 1, options->now_s, NULL));
    ok = ok && (options->dns_name.len == 0 || host_matches(&c.parts[c.len - 1], options->dns_name));
    if (ok)
        *out = chain_value(call, &c, options);
    return REGO_VALUE;
}

static enum rego_outcome give_verdict(struct rego_call *call, value chain, value *out)
{
    struct arena *a = rego_call_arena(call);
    bool ok = value_is_defined(chain);
    const value pair[] = {value_bool(ok), ok ? chain : VALUE_EMPTY_ARRAY(a)};
    return give(call, value_array(a, pair, 2), out);
}

static void options_init(struct rego_call *call, struct verify_options *o)
{
    *o = (struct verify_options){.dns_name = STR_EMPTY, .now_s = rego_call_now_ns(call) / NS_PER_S};
}

/* Server authentication unless something else was asked for. */
static enum rego_outcome verified(struct rego_call *call, struct str text,
                                  struct verify_options *options, bool uri_strings, value *out)
{
    if (!options->any_usage)
        options->usages[1] = true;
    value chain = VALUE_UNDEFINED;
    enum rego_outcome o = verify_chain(call, text, options, uri_strings, &chain);
    return o == REGO_VALUE ? give_verdict(call, chain, out) : o;
}

enum rego_outcome builtin_crypto_x509_parse_and_verify_certificates(struct rego_call *call,
                                                                    const value *args, value *out)
{
    struct str text = STR_EMPTY;
    struct verify_options options;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    options_init(call, &options);
    return verified(call, text, &options, true, out);
}

static const char *const usage_names[14] = {
    "KeyUsageAny",
    "KeyUsageServerAuth",
    "KeyUsageClientAuth",
    "KeyUsageCodeSigning",
    "KeyUsageEmailProtection",
    "KeyUsageIPSECEndSystem",
    "KeyUsageIPSECTunnel",
    "KeyUsageIPSECUser",
    "KeyUsageTimeStamping",
    "KeyUsageOCSPSigning",
    "KeyUsageMicrosoftServerGatedCrypto",
    "KeyUsageNetscapeServerGatedCrypto",
    "KeyUsageMicrosoftCommercialCodeSigning",
    "KeyUsageMicrosoftKernelCodeSigning",
};

static enum rego_outcome read_usages(struct rego_call *call, value v, struct verify_options *o)
{
    if (!value_is_array(v) && value_kind(v) != VALUE_KIND_SET)
        return rego_call_error(call, "'KeyUsages' should be an Array or Set");
    CLEANUP(buf_done) struct buf wrong;
    buf_init(&wrong, SHOWN_MAX); /* shown() would cut it there */
    bool bad = false;
    for (size_t i = 0; i < value_len(v); i++) {
        value item = value_items(v)[i];
        size_t n = 0;
        while (n < ARRAY_LEN(usage_names) && !str_is(value_str(item), usage_names[n]))
            n++;
        if (n < ARRAY_LEN(usage_names)) {
            o->usages[n] = o->any_usage = true;
        } else if (value_is_string(item)) {
            bad = true;
            buf_add_cstr(&wrong, wrong.len > 0 ? " " : "");
            buf_add(&wrong, value_str(item));
        }
    }
    worked(rego_call_arena(call), buf_status(&wrong));
    if (bad)
        return rego_call_error(call, "invalid entries for 'KeyUsages' found: [%s]",
                               shown(call, buf_str(&wrong)));
    return REGO_VALUE;
}

static enum rego_outcome read_option(struct rego_call *call, struct str name, value v,
                                     struct verify_options *o)
{
    int64_t n = 0;
    if (str_is(name, "DNSName")) {
        if (!value_is_string(v))
            return rego_call_error(call, "'DNSName' should be a string");
        o->dns_name = value_str(v);
        return REGO_VALUE;
    }
    if (str_is(name, "CurrentTime")) {
        if (value_kind(v) != VALUE_KIND_NUMBER)
            return rego_call_error(call, "'CurrentTime' should be a number");
        if (!value_get_int64(v, &n))
            return rego_call_error(call, "'CurrentTime' should be a valid int64 number");
        o->now_s = n / NS_PER_S - (n % NS_PER_S < 0);
        return REGO_VALUE;
    }
    if (str_is(name, "MaxConstraintComparisons")) { /* our own limits hold whatever it says */
        if (value_kind(v) != VALUE_KIND_NUMBER)
            return rego_call_error(call, "'MaxConstraintComparisons' should be a number");
        if (!value_get_int64(v, &n))
            return rego_call_error(call, "'MaxConstraintComparisons' should be a valid number");
        return REGO_VALUE;
    }
    return str_is(name, "KeyUsages") ? read_usages(call, v, o)
                                     : rego_call_error(call, "invalid key option");
}

enum rego_outcome
builtin_crypto_x509_parse_and_verify_certificates_with_options(struct rego_call *call,
                                                               const value *args, value *out)
{
    struct str text = STR_EMPTY;
    struct verify_options options;
    if (!arg_string(call, args, 1, &text) || !arg_kind(call, args, 2, VALUE_KIND_OBJECT))
        return REGO_FAILED;
    options_init(call, &options);
    for (size_t i = 0; i < value_len(args[1]); i++) {
        const struct value_pair *p = &value_pairs(args[1])[i];
        if (!value_is_string(p->key))
            continue;
        enum rego_outcome o = read_option(call, value_str(p->key), p->val, &options);
        if (o != REGO_VALUE)
            return o;
    }
    return verified(call, text, &options, false, out);
}

/* ---- requests ---- */

enum rego_outcome builtin_crypto_x509_parse_certificate_request(struct rego_call *call,
                                                                const value *args, value *out)
{
    struct str text = STR_EMPTY;
    struct pem_block block;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    struct str bytes = text;
    if (!str_has_prefix(text, STR("-----BEGIN CERTIFICATE REQUEST-----"))) {
        enum rego_outcome o = decode_base64_text(call, text, &bytes);
        if (o != REGO_VALUE)
            return o;
    }
    if (!charge_bytes(call, bytes.len * 16))
        return REGO_FATAL;
    struct str rest = bytes;
    if (pem_next(rego_call_arena(call), &rest, &block)) {
        if (!str_is(block.type, "CERTIFICATE REQUEST"))
            return rego_call_error(call, "invalid PEM-encoded certificate signing request");
        bytes = block.der;
    }
    if (bytes.len <= CERT_DER_MAX && x509_request(call, bytes, out))
        return REGO_VALUE;
    enum status st = arena_status(rego_call_arena(call));
    return st != OK ? rego_call_status(call, st, NULL)
                    : rego_call_error(call, "asn1: structure error: malformed certificate request");
}

/* ---- private keys ---- */

static bool is_key_block(struct str type)
{
    return str_is(type, "RSA PRIVATE KEY") || str_is(type, "PRIVATE KEY") ||
           str_is(type, "EC PRIVATE KEY");
}

/* The next private key of a text of PEM blocks.  REGO_UNDEFINED: no more. */
static enum rego_outcome next_key(struct rego_call *call, struct str *text, struct private_key *out)
{
    struct pem_block block;
    while (pem_next(rego_call_arena(call), text, &block)) {
        if (!is_key_block(block.type))
            continue;
        if (!rego_call_charge(call, SIGNATURE_COST) || !charge_bytes(call, block.der.len * 16))
            return REGO_FATAL;
        if (private_key_parse(rego_call_arena(call), block.der, out))
            return REGO_VALUE;
        return rego_call_error(call, "x509: failed to parse private key");
    }
    return REGO_UNDEFINED;
}

enum rego_outcome builtin_crypto_parse_private_keys(struct rego_call *call, const value *args,
                                                    value *out)
{
    struct arena *a = rego_call_arena(call);
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    if (text.len == 0) {
        *out = VALUE_NULL;
        return REGO_VALUE;
    }
    if (!charge_bytes(call, text.len * 4))
        return REGO_FATAL;
    CLEANUP(buf_done) struct buf decoded;
    output_init(call, &decoded);
    size_t bad = 0;
    if (read_base64(text, &decoded, &bad) && decoded.failed == OK)
        text = buf_str(&decoded);

    struct value_builder b;
    value_builder_init(&b, a, 0);
    struct private_key key;
    enum rego_outcome o;
    while ((o = next_key(call, &text, &key)) == REGO_VALUE)
        value_builder_add(&b, private_key_value(a, &key));
    return o == REGO_UNDEFINED ? give(call, value_array_finish(&b), out) : o;
}

enum rego_outcome builtin_crypto_x509_parse_rsa_private_key(struct rego_call *call,
                                                            const value *args, value *out)
{
    struct str text = STR_EMPTY;
    if (!arg_string(call, args, 1, &text))
        return REGO_FAILED;
    if (text.len == 0)
        return rego_call_error(call, "input PEM data was empty");
    enum rego_outcome o = is_pem(text) ? REGO_VALUE : decode_base64_text(call, text, &text);
    struct private_key key;
    if (o == REGO_VALUE)
        o = next_key(call, &text, &key);
    if (o == REGO_VALUE)
        return give(call, private_key_jwk(rego_call_arena(call), &key), out);
    if (o != REGO_UNDEFINED)
        return o;
    *out = VALUE_NULL;
    return REGO_VALUE;
}

/* ---- key pairs ---- */

/* All blocks of the type as DER; a text that is no PEM is one DER element in base64. */
static enum rego_outcome pair_blocks(struct rego_call *call, struct str text, const char *type,
                                     struct cert_list *out)
{
    out->len = 0;
    if (!charge_bytes(call, text.len * 4))
        return REGO_FATAL;
    if (!is_pem(text)) {
        enum rego_outcome o = decode_base64_text(call, text, &text);
        if (o != REGO_VALUE)
            return o;
        if (!is_pem(text)) {
            out->der[out->len++] = text;
            return REGO_VALUE;
        }
    }
    struct pem_block block;
    while (out->len < CERT_CHAIN_MAX && pem_next(rego_call_arena(call), &text, &block))
        if (str_has_suffix(block.type, str_of(type)))
            out->der[out->len++] = block.der;
    return REGO_VALUE;
}

static enum rego_outcome check_pair(struct rego_call *call, struct str spki,
                                    const struct private_key *key)
{
    value public = VALUE_NULL;
    int algorithm = 0;
    x509_public_key(rego_call_arena(call), spki, &public, &algorithm);
    int wanted = key->kind == PRIVATE_RSA ? 1 : key->kind == PRIVATE_EC ? 3 : 4;
    if (algorithm != wanted)
        return rego_call_error(call, "tls: private key type does not match public key type");
    if (!private_key_matches(rego_call_arena(call), key, public))
        return rego_call_error(call, "tls: private key does not match public key");
    return REGO_VALUE;
}

static value pair_value(struct arena *a, const struct cert_list *certs, value leaf,
                        const struct private_key *key)
{
    struct value_builder chain;
    value_builder_init(&chain, a, certs->len);
    for (size_t i = 0; i < certs->len; i++)
        value_builder_add(&chain, der_base64(a, certs->der[i]));
    struct value_builder b;
    value_builder_init(&b, a, 6);
    value_builder_put_str(&b, "Certificate", value_array_finish(&chain));
    value_builder_put_str(&b, "PrivateKey", private_key_value(a, key));
    value_builder_put_str(&b, "Leaf", leaf);
    value_builder_put_str(&b, "OCSPStaple", VALUE_NULL);
    value_builder_put_str(&b, "SignedCertificateTimestamps", VALUE_NULL);
    value_builder_put_str(&b, "SupportedSignatureAlgorithms", VALUE_NULL);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

enum rego_outcome builtin_crypto_x509_parse_keypair(struct rego_call *call, const value *args,
                                                    value *out)
{
    struct str cert_text = STR_EMPTY;
    struct str key_text = STR_EMPTY;
    struct cert_list certs;
    struct cert_list keys;
    struct x509_parts leaf;
    struct private_key key;
    if (!arg_string(call, args, 1, &cert_text) || !arg_string(call, args, 2, &key_text))
        return REGO_FAILED;
    enum rego_outcome o = pair_blocks(call, cert_text, "CERTIFICATE", &certs);
    if (o == REGO_VALUE)
        o = pair_blocks(call, key_text, "PRIVATE KEY", &keys);
    if (o != REGO_VALUE)
        return o;
    if (certs.len == 0)
        return rego_call_error(call, "tls: failed to find any PEM data in certificate input");
    if (keys.len == 0)
        return rego_call_error(call, "tls: failed to find any PEM data in key input");
    o = certificate_value(call, certs.der[0], false, &leaf);
    if (o != REGO_VALUE)
        return o;
    if (!rego_call_charge(call, SIGNATURE_COST) || !charge_bytes(call, keys.der[0].len * 16))
        return REGO_FATAL;
    if (!private_key_parse(rego_call_arena(call), keys.der[0], &key))
        return rego_call_error(call, "tls: failed to parse private key");
    o = check_pair(call, leaf.spki, &key);
    return o == REGO_VALUE
               ? give(call, pair_value(rego_call_arena(call), &certs, leaf.object, &key), out)
               : o;
}

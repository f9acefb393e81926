/*
 * x509_value - certificates, requests and keys as the objects that Go's
 * encoding/json makes of its x509 structures (../shared/spec/rego.md 6.15).
 */
#pragma once

#include "rego/builtin.h"

/* The parts of a certificate that more than its object needs. */
struct x509_parts {
    value object;
    value dns_names, ip_addresses; /* arrays or null */
    value ext_key_usage;           /* of numbers, or null */
    bool has_unknown_usage;
    bool has_alt_names;
    struct str spki; /* SubjectPublicKeyInfo */
};

/*
 * One certificate, whole input.  `uri_strings`: with the member URIStrings.
 * False: malformed (or the arena is exhausted).
 */
bool x509_certificate(struct rego_call *call, struct str der, bool uri_strings,
                      struct x509_parts *out);

/* A PKCS#10 request.  False as above. */
bool x509_request(struct rego_call *call, struct str der, value *out);

/* A SubjectPublicKeyInfo as {"N", "E"}, {"Curve", "X", "Y"} or base64; null for other kinds. */
bool x509_public_key(struct arena *a, struct str spki, value *out, int *algorithm);

/* An URI as the object of Go's url.URL; undefined: malformed.  In builtins_uri.c. */
value uri_object(struct rego_call *call, struct str text);

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "rvps/rvps_internal.h"

/*
 * SWID tags as the TCG's reference integrity manifests use them
 * (attestation-service.md 12.3.1).  The XML signature is not checked, as by
 * no other extractor: who may register is the administrator's business.
 */
#define NS_SWID "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
#define NS_RIM                                                                                     \
    "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-" \
    "model/"
#define NS_HASH "http://www.w3.org/2001/04/xmlenc#sha384"
#define SEPARATOR '|' /* occurs in none of the namespaces */

#define ELEMENT_DEPTH_MAX 64

struct reader {
    XML_Parser parser;
    struct arena *a;
    struct rvps_entries *out;
    struct str maker, edition; /* of the first Meta; ptr NULL: not seen */
    unsigned depth, payload;   /* depth of the Payload that is open; 0: none */
    bool payload_seen;
    enum status st;
    struct error *err;
};

static void parser_cleanup(XML_Parser *p)
{
    if (*p != NULL)
        XML_ParserFree(*p);
}

static void stop(struct reader *r, enum status st)
{
    if (r->st == OK)
        r->st = st;
    XML_StopParser(r->parser, XML_FALSE);
}

static void refuse(struct reader *r, const char *what)
{
    if (r->st == OK)
        error_set(r->err, "SWID: %s", what);
    stop(r, ERR_INVALID);
}

static const char *attribute(const char **attributes, const char *name)
{
    for (size_t i = 0; attributes[i] != NULL; i += 2)
        if (strcmp(attributes[i], name) == 0)
            return attributes[i + 1];
    return NULL;
}

static bool all_zeros(const char *s)
{
    return s[strspn(s, "0")] == '\0';
}

static void read_meta(struct reader *r, const char **attributes)
{
    const char *maker = attribute(attributes, NS_RIM "|PlatformManufacturerStr");
    const char *edition = attribute(attributes, "edition");
    if (maker == NULL || edition == NULL) {
        refuse(r, "Meta lacks PlatformManufacturerStr or edition");
        return;
    }
    r->maker = arena_str(r->a, str_of(maker));
    r->edition = arena_str(r->a, str_of(edition));
    if (r->maker.ptr == NULL || r->edition.ptr == NULL)
        stop(r, arena_status(r->a));
}

/* M.E.measurement_I, blanks of the maker's name and all dashes as underscores. */
static struct str measurement_name(struct reader *r, const char *index)
{
    struct str name = arena_format(r->a, "%.*s.%.*s.measurement_%s", STR_ARG(r->maker),
                                   STR_ARG(r->edition), index);
    char *text = (char *)(uintptr_t)name.ptr; /* made above, nobody else's yet */
    for (size_t i = 0; i < name.len; i++)
        if (text[i] == '-' || (text[i] == ' ' && i < r->maker.len))
            text[i] = '_';
    return name;
}

static void read_measurement(struct reader *r, const char **attributes)
{
    const char *type = attribute(attributes, "type");
    if (type == NULL || strcmp(type, "Measurement") != 0)
        return;
    const char *index = attribute(attributes, "index");
    if (index == NULL) {
        refuse(r, "a measurement has no index");
        return;
    }

    struct value_builder b;
    value_builder_init(&b, r->a, 4);
    for (unsigned i = 0;; i++) {
        char name[128];
        snprintf(name, sizeof(name), NS_HASH "|Hash%u", i);
        const char *hash = attribute(attributes, name);
        if (hash == NULL)
            break;
        if (!all_zeros(hash))
            value_builder_add(&b, value_cstring(r->a, hash));
    }
    if (b.len == 0)
        return;
    struct reference_value v = {.name = measurement_name(r, index), .val = value_array_finish(&b)};
    if (v.name.ptr == NULL || !value_is_defined(v.val)) {
        stop(r, arena_status(r->a));
        return;
    }
    enum status st = rvps_entries_add(r->out, r->a, &v, r->err);
    if (st != OK)
        stop(r, st);
}

static void on_start(void *user, const char *name, const char **attributes)
{
    struct reader *r = user;
    if (++r->depth > ELEMENT_DEPTH_MAX) {
        refuse(r, "elements are nested too deep");
        return;
    }
    if (strcmp(name, NS_SWID "|Meta") == 0 && r->maker.ptr == NULL) {
        read_meta(r, attributes);
    } else if (strcmp(name, NS_SWID "|Payload") == 0 && !r->payload_seen) {
        r->payload_seen = true;
        r->payload = r->depth;
        if (r->maker.ptr == NULL)
            refuse(r, "there is no Meta before Payload");
    } else if (r->payload != 0 && strcmp(name, NS_SWID "|Resource") == 0) {
        read_measurement(r, attributes);
    }
}

static void on_end(void *user, const char *name)
{
    struct reader *r = user;
    if (r->payload == r->depth)
        r->payload = 0;
    r->depth--;
}

/* No tag needs a document type; without one there are no entities to expand. */
static void on_doctype(void *user, const char *name, const char *sysid, const char *pubid, int sub)
{
    refuse(user, "document types are not allowed");
}

enum status rvps_extract_swid(struct arena *a, struct str payload, struct rvps_entries *out,
                              struct error *err)
{
    struct str xml;
    enum status st = base64_bytes(a, payload, BASE64_STD, &xml, err);
    if (st != OK)
        return st;
    if (xml.len > RVPS_FILE_MAX) {
        error_set(err, "SWID: longer than %d bytes", RVPS_FILE_MAX);
        return ERR_LIMIT;
    }

    CLEANUP(parser_cleanup) XML_Parser parser = XML_ParserCreateNS("UTF-8", SEPARATOR);
    if (parser == NULL)
        return error_nomem(err);
    struct reader r = {.parser = parser, .a = a, .out = out, .err = err};
    XML_SetUserData(parser, &r);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetStartDoctypeDeclHandler(parser, on_doctype);
    if (XML_Parse(parser, xml.ptr, (int)xml.len, XML_TRUE) != XML_STATUS_OK) {
        if (r.st != OK)
            return r.st == ERR_NOMEM ? error_nomem(err) : r.st;
        enum XML_Error code = XML_GetErrorCode(parser);
        if (code == XML_ERROR_NO_MEMORY)
            return error_nomem(err);
        error_set_at(err, (uint32_t)XML_GetCurrentLineNumber(parser),
                     (uint32_t)XML_GetCurrentColumnNumber(parser) + 1, "SWID: %s",
                     XML_ErrorString(code));
        return ERR_INVALID;
    }
    if (!r.payload_seen) {
        error_set(err, "SWID: there is no Payload");
        return ERR_INVALID;
    }
    return OK;
}

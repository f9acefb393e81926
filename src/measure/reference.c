#include "measure/reference.h"

#include "base/encode.h"
#include "value/json.h"

#define MESSAGE_MAX (256 * 1024)

struct reference *references_add(struct references *refs, struct str name, const char *alg)
{
    if (refs->len == REFERENCES_MAX)
        return NULL;
    struct reference *ref = &refs->items[refs->len++];
    *ref = (struct reference){.name = name, .alg = alg};
    return ref;
}

enum status reference_add_value(struct reference *ref, struct arena *a, const struct digest *d,
                                bool base64)
{
    struct str text =
        base64 ? base64_text(a, digest_str(d), BASE64_STD) : hex_text(a, digest_str(d));
    if (text.ptr == NULL)
        return arena_status(a);
    for (size_t i = 0; i < ref->len; i++)
        if (str_equal(ref->values[i], text))
            return OK;
    if (ref->len == REFERENCE_VALUES_MAX)
        return ERR_LIMIT;
    ref->values[ref->len++] = text;
    return OK;
}

static void write_text(const struct references *refs, struct buf *out)
{
    for (size_t i = 0; i < refs->len; i++)
        for (size_t j = 0; j < refs->items[i].len; j++)
            buf_add_format(out, "%.*s %.*s\n", STR_ARG(refs->items[i].name),
                           STR_ARG(refs->items[i].values[j]));
}

static void write_value(struct json_writer *w, const struct reference *ref)
{
    if (ref->single && ref->len == 1) {
        json_string(w, ref->values[0]);
        return;
    }
    json_array_begin(w);
    for (size_t i = 0; i < ref->len; i++)
        json_string(w, ref->values[i]);
    json_array_end(w);
}

static void write_object(struct json_writer *w, const struct references *refs)
{
    json_object_begin(w);
    for (size_t i = 0; i < refs->len; i++) {
        json_key_str(w, refs->items[i].name);
        write_value(w, &refs->items[i]);
    }
    json_object_end(w);
}

/* {"alg": "sha384", "value": "..."}, the form that every value had up to v0.13. */
static void write_hash_values(struct json_writer *w, const struct reference *ref)
{
    json_array_begin(w);
    for (size_t i = 0; i < ref->len; i++) {
        json_object_begin(w);
        json_key(w, "alg");
        json_cstring(w, ref->alg);
        json_key(w, "value");
        json_string(w, ref->values[i]);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_store(struct json_writer *w, const struct references *refs, bool old,
                        struct str expiration)
{
    json_array_begin(w);
    for (size_t i = 0; i < refs->len; i++) {
        json_object_begin(w);
        json_key(w, "version");
        json_cstring(w, "0.1.0");
        json_key(w, "name");
        json_string(w, refs->items[i].name);
        json_key(w, "expiration");
        json_string(w, expiration);
        json_key(w, old ? "hash-value" : "value");
        if (old)
            write_hash_values(w, &refs->items[i]);
        else
            write_value(w, &refs->items[i]);
        json_object_end(w);
    }
    json_array_end(w);
}

static enum status write_message(struct json_writer *w, const struct references *refs)
{
    CLEANUP(buf_done) struct buf object, payload;
    buf_init(&object, MESSAGE_MAX);
    buf_init(&payload, MESSAGE_MAX);
    struct json_writer inner;
    json_begin(&inner, &object);
    write_object(&inner, refs);
    enum status st = json_finish(&inner);
    if (st != OK)
        return st;
    base64_write(&payload, buf_str(&object), BASE64_STD);
    if (buf_status(&payload) != OK)
        return buf_status(&payload);

    json_object_begin(w);
    json_key(w, "version");
    json_cstring(w, "0.1.0");
    json_key(w, "type");
    json_cstring(w, "sample");
    json_key(w, "payload");
    json_string(w, buf_str(&payload));
    json_object_end(w);
    return OK;
}

enum status references_write(const struct references *refs, enum reference_format format,
                             struct str expiration, struct buf *out)
{
    enum status st = OK;
    if (format == REFERENCE_TEXT) {
        write_text(refs, out);
        return buf_status(out);
    }
    struct json_writer w;
    json_begin(&w, out);
    if (format == REFERENCE_JSON)
        write_object(&w, refs);
    else if (format == REFERENCE_MESSAGE)
        st = write_message(&w, refs);
    else
        write_store(&w, refs, format == REFERENCE_STORE_OLD, expiration);
    if (st == OK)
        st = json_finish(&w);
    buf_add_byte(out, '\n');
    return st != OK ? st : buf_status(out);
}

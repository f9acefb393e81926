/* Claims of v0.13: the summary `ccel`, and the agent's text log (14.9). */
#include <stdlib.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "eventlog/device_path.h"
#include "eventlog/eventlog.h"
#include "eventlog/text.h"

#define EV_EVENT_TAG 0x6
#define EV_BOOT_APPLICATION 0x80000003u
#define AAEL_LINE_MIN 5 /* "a b c"; what ends it is not always there */

/* QEMU's loader of -kernel, 1428F772-B64A-441E-B8C3-9EBDD7F893C7, in storage order. */
static const uint8_t qemu_loader[16] = {0x72, 0xf7, 0x28, 0x14, 0x4a, 0xb6, 0x1e, 0x44,
                                        0xb8, 0xc3, 0x9e, 0xbd, 0xd7, 0xf8, 0x93, 0xc7};

static value first_digest(struct arena *a, const struct event *e)
{
    struct str hex = e->digest_count == 0 ? STR_EMPTY : hex_text(a, e->digests[0].bytes);
    return value_string(a, hex);
}

static bool has_mark(const struct event *e, struct str mark)
{
    return str_has_prefix(e->data, mark);
}

/* A vendor node with QEMU's GUID, then a file node "kernel". */
static bool is_qemu_kernel(struct arena *a, const struct event *e)
{
    if (e->type != EV_BOOT_APPLICATION || e->data.len < 32 + 4 + 16)
        return false;
    struct str path = str_from(e->data, 32);
    size_t len = load_le16(path.ptr + 2);
    if (path.ptr[0] != 4 || path.ptr[1] != 3 || len < 20 || len > path.len - 4 ||
        memcmp(path.ptr + 4, qemu_loader, 16) != 0)
        return false;
    struct str file = str_from(path, len);
    size_t file_len = load_le16(file.ptr + 2);
    if (file.ptr[0] != 4 || file.ptr[1] != 4 || file_len < 6 || file_len > file.len)
        return false;
    struct str name;
    return text_from_utf16(a, str_slice(file, 4, file_len - 6), true, &name) &&
           str_is(name, "kernel");
}

static bool is_tagged(struct arena *a, const struct event *e, const char *text)
{
    if (e->type != EV_EVENT_TAG || e->data.len < 8 || load_le32(e->data.ptr + 4) > e->data.len - 8)
        return false;
    struct str payload = str_slice(e->data, 8, load_le32(e->data.ptr + 4));
    return str_is(text_lossy(a, payload, TEXT_NO_NULS), text);
}

static bool is_break(char c)
{
    return c == ' ' || c == '\r' || c == '\n' || c == '\0';
}

/* 16 bytes of name, u32 length, text "a=b c". */
static value kernel_parameters(struct arena *a, const struct event *e)
{
    struct value_builder b;
    value_builder_init(&b, a, 8);
    struct str text = STR_EMPTY;
    if (e->data.len >= 20)
        text = str_slice(e->data, 20, load_le32(e->data.ptr + 16));
    if (!utf8_is_valid(text))
        text = text_lossy(a, text, TEXT_ALL);
    for (size_t i = 0; i < text.len;) {
        size_t end = i;
        while (end < text.len && !is_break(text.ptr[end]))
            end++;
        struct str word = str_slice(text, i, end - i);
        size_t equals = str_find(word, '=', 0);
        if (word.len > 0)
            value_builder_put(&b, value_string(a, str_slice(word, 0, equals)),
                              equals < word.len ? value_string(a, str_from(word, equals + 1))
                                                : VALUE_NULL);
        i = end + 1;
    }
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

value eventlog_ccel(struct arena *a, const struct eventlog *log, struct replayed replayed)
{
    value kernel = VALUE_UNDEFINED, qemu = VALUE_UNDEFINED, cmdline = VALUE_UNDEFINED;
    value initrd = VALUE_UNDEFINED, parameters = VALUE_UNDEFINED;
    for (size_t i = 0; i < log->len; i++) {
        const struct event *e = &log->events[i];
        if (e->index == 0 || !event_is_told(e, replayed))
            continue;
        if (!value_is_defined(kernel) && has_mark(e, STR("\x0btd_payload\0")))
            kernel = first_digest(a, e);
        if (!value_is_defined(qemu) && is_qemu_kernel(a, e))
            qemu = first_digest(a, e);
        if (!value_is_defined(cmdline) && is_tagged(a, e, "LOADED_IMAGE::LoadOptions"))
            cmdline = first_digest(a, e);
        if (!value_is_defined(initrd) && is_tagged(a, e, "Linux initrd"))
            initrd = first_digest(a, e);
        if (!value_is_defined(parameters) && has_mark(e, STR("td_payload_info\0")))
            parameters = kernel_parameters(a, e);
    }
    const struct {
        const char *name;
        value v;
    } members[] = {
        {"kernel", value_is_defined(qemu) ? qemu : kernel},
        {"cmdline", cmdline},
        {"initrd", initrd},
        {"kernel_parameters", parameters},
    };
    struct value_builder b;
    value_builder_init(&b, a, ARRAY_LEN(members));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (value_is_defined(members[i].v))
            value_builder_put_str(&b, members[i].name, members[i].v);
    return value_object_finish(&b, VALUE_DUP_LAST, NULL);
}

/* ---- AAEL as text ---- */

static enum status refuse(struct error *err, const char *what)
{
    error_set(err, "application event log: %s", what);
    return ERR_INVALID;
}

static struct str next_line(struct str *text)
{
    size_t end = str_find(*text, '\n', 0);
    struct str line = str_slice(*text, 0, end);
    *text = str_from(*text, end + 1);
    return line;
}

static void extend(enum digest_alg alg, struct digest *state, struct str line)
{
    struct digest event;
    digest_compute(alg, line, &event);
    const struct digest before = *state;
    const struct str parts[] = {digest_str(&before), digest_str(&event)};
    digest_parts(alg, parts, 2, state);
}

/* "INIT sha384/<hex>": the state that the log starts from. */
static enum status read_init(struct arena *a, struct str line, enum digest_alg *alg,
                             struct digest *state, struct error *err)
{
    struct str rest = str_from(line, 5), bytes;
    size_t slash = str_find(rest, '/', 0);
    if (!str_has_prefix(line, STR("INIT ")) || slash >= rest.len)
        return refuse(err, "it does not begin with INIT");
    struct str name = str_slice(rest, 0, slash);
    if (digest_by_name(name, false, alg) != OK || *alg == DIGEST_SM3)
        return refuse(err, "its digest algorithm is none of sha256, sha384 and sha512");
    if (hex_bytes(a, str_from(rest, slash + 1), &bytes, NULL) != OK ||
        bytes.len != digest_len(*alg))
        return refuse(err, "its initial state is malformed");
    state->len = bytes.len;
    memcpy(state->bytes, bytes.ptr, bytes.len);
    return OK;
}

static bool split(struct str line, struct str words[3])
{
    size_t n = 0;
    while (line.len > 0) {
        size_t end = str_find(line, ' ', 0);
        if (n == 3)
            return false;
        words[n++] = str_slice(line, 0, end);
        if (end < line.len && end + 1 == line.len)
            return false;
        line = str_from(line, end + 1);
    }
    return n == 3 && words[0].len > 0 && words[1].len > 0 && words[2].len > 0;
}

struct aael_line {
    struct str name; /* "domain/operation" */
    struct str content;
};

/* Lines of one name stay in the order of the log: contents point into its text. */
static int compare_lines(const void *x, const void *y)
{
    const struct aael_line *a = x, *b = y;
    int c = str_compare(a->name, b->name);
    return c != 0 ? c : (a->content.ptr > b->content.ptr) - (a->content.ptr < b->content.ptr);
}

/* Sorted, because looking a name up for each line would cost the square of their number. */
static value line_claims(struct arena *a, struct aael_line *lines, size_t n)
{
    qsort(lines, n, sizeof(*lines), compare_lines);
    struct value_builder names;
    value_builder_init(&names, a, 8);
    for (size_t i = 0; i < n;) {
        struct value_builder contents;
        value_builder_init(&contents, a, 8);
        size_t first = i;
        for (; i < n && str_equal(lines[i].name, lines[first].name); i++)
            value_builder_add(&contents, value_string(a, lines[i].content));
        value_builder_put(&names, value_string(a, lines[first].name),
                          value_array_finish(&contents));
    }
    return value_object_finish(&names, VALUE_DUP_REFUSE, NULL);
}

STATUS aael_parse(struct arena *a, struct str text, struct digest *rtmr, value *claims,
                  struct error *err)
{
    if (text.len > AAEL_LEN_MAX) {
        error_set(err, "application event log is longer than %d bytes", AAEL_LEN_MAX);
        return ERR_LIMIT;
    }
    if (!utf8_is_valid(text))
        return refuse(err, "it is not UTF-8");
    enum digest_alg alg;
    struct str line = str_trim(next_line(&text));
    enum status st = read_init(a, line, &alg, rtmr, err);
    if (st != OK)
        return st;
    extend(alg, rtmr, line);
    size_t count = 0;
    struct aael_line *lines = arena_new_array(a, struct aael_line, text.len / AAEL_LINE_MIN + 1);
    if (lines == NULL)
        return error_nomem(err);
    while (text.len > 0) {
        struct str words[3];
        line = next_line(&text);
        while (line.len > 0 && is_break(line.ptr[line.len - 1]))
            line.len--;
        if (!split(line, words))
            return refuse(err, "a line has not three words");
        extend(alg, rtmr, line);
        const struct str name[] = {words[0], STR("/"), words[1]};
        lines[count++] = (struct aael_line){arena_join(a, name, 3), words[2]};
        if (lines[count - 1].name.ptr == NULL)
            return error_nomem(err);
    }
    *claims = line_claims(a, lines, count);
    return value_is_defined(*claims) ? OK : error_nomem(err);
}

#include "tools/story.h"

#include "base/utf8.h"
#include "value/json.h"

#define VALUE_SHOWN 100 /* characters of a value in the text */

/*
 * Strangers choose paths, names and values: what would act on the reader's
 * terminal is written as JSON would.
 */
static void add_visible(struct buf *out, struct str s)
{
    while (s.len > 0) {
        uint32_t rune = (uint8_t)s.ptr[0];
        size_t n = utf8_decode(s, &rune);
        if (n > 0 && rune_is_visible(rune))
            buf_add(out, str_slice(s, 0, n));
        else
            buf_add_format(out, "\\u%04x", rune);
        s = str_from(s, n == 0 ? 1 : n);
    }
}

/* The first so many characters. */
static struct str first_characters(struct str s, size_t count)
{
    size_t at = 0;
    for (; count > 0 && at < s.len; count--) {
        uint32_t rune;
        size_t n = utf8_decode(str_from(s, at), &rune);
        at += n == 0 ? 1 : n;
    }
    return str_slice(s, 0, at);
}

static void shorten(struct buf *out, value v)
{
    CLEANUP(buf_done) struct buf text;
    buf_init(&text, 1024 * 1024);
    if (!value_is_defined(v)) {
        buf_add_cstr(out, "(nothing)");
        return;
    }
    if (json_write(&text, v, JSON_COMPACT) != OK) {
        buf_add_cstr(out, "(large)");
        return;
    }
    struct str s = buf_str(&text);
    struct str shown = first_characters(s, VALUE_SHOWN);
    add_visible(out, shown);
    if (shown.len < s.len)
        buf_add_format(out, "... (%zu characters)", utf8_count(s));
}

static struct str member(value v, const char *key)
{
    return value_str(value_get_str(v, str_of(key)));
}

static void line(struct buf *out, const char *indent, const char *label, struct str text)
{
    if (text.len == 0)
        return;
    buf_add_format(out, "%s%-10s", indent, label);
    add_visible(out, text);
    buf_add_byte(out, '\n');
}

static void value_line(struct buf *out, const char *indent, const char *label, value v)
{
    if (!value_is_defined(v))
        return;
    buf_add_format(out, "%s%-10s", indent, label);
    shorten(out, v);
    buf_add_byte(out, '\n');
}

/* ---- places, as policies write them ---- */

static bool is_name(struct str s)
{
    if (s.len == 0 || (s.ptr[0] >= '0' && s.ptr[0] <= '9'))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'))
            return false;
    }
    return true;
}

static bool is_number(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0;
}

/* "/input/az-snp-vtpm/tpm/pcr08" as input["az-snp-vtpm"].tpm.pcr08 */
static void place(struct buf *out, struct str path)
{
    bool first = true;
    while (path.len > 0) {
        size_t end = str_find(path, '/', 1);
        CLEANUP(buf_done) struct buf part;
        buf_init(&part, path.len + 1);
        for (size_t i = 1; i < end; i++) {
            bool escaped = path.ptr[i] == '~' && i + 1 < end;
            buf_add_byte(&part, !escaped ? path.ptr[i] : path.ptr[++i] == '1' ? '/' : '~');
        }
        struct str name = buf_str(&part);
        if (first)
            add_visible(out, name);
        else if (is_name(name))
            buf_add_format(out, ".%.*s", STR_ARG(name));
        else if (is_number(name))
            buf_add_format(out, "[%.*s]", STR_ARG(name));
        else {
            buf_add_byte(out, '[');
            CLEANUP(buf_done) struct buf quoted;
            buf_init(&quoted, name.len * 6 + 64);
            json_write_string(&quoted, name);
            add_visible(out, buf_str(&quoted));
            buf_add_byte(out, ']');
        }
        first = false;
        path = str_from(path, end);
    }
}

/* The path without its last part. */
static struct str parent_of(struct str path)
{
    while (path.len > 0 && path.ptr[path.len - 1] != '/')
        path.len--;
    path.len -= path.len > 0;
    return path;
}

/* ---- the smallest change ---- */

/* What an operation does to what stands at its path, or to the list there. */
enum deed { DEED_SET, DEED_NEW, DEED_LIST, DEED_UNLIST, DEED_REMOVE };

static enum deed deed_of(value operation)
{
    struct str op = member(operation, "op"), path = member(operation, "path");
    bool has_value = value_is_defined(value_get_lit(operation, "value"));
    if (str_is(op, "remove"))
        return has_value ? DEED_UNLIST : DEED_REMOVE;
    if (str_is(op, "add"))
        return str_has_suffix(path, STR("/-")) ? DEED_LIST : DEED_NEW;
    return DEED_SET;
}

void story_operation(struct buf *out, value operation, bool example)
{
    static const struct {
        const char *reference, *data, *input; /* with the value behind */
    } words[] = {
        [DEED_SET] = {"set to ", "set to ", "would have to be "},
        [DEED_NEW] = {"register ", "add ", "would have to be "},
        [DEED_LIST] = {"also accept ", "also list ", "would have to list, too: "},
        [DEED_UNLIST] = {"no longer list ", "no longer list ", "would have to be without "},
        [DEED_REMOVE] = {"remove it", "remove it", "would have to be absent"},
    };
    struct str path = member(operation, "path"), reference = STR("/reference-values");
    enum deed deed = deed_of(operation);
    value v = value_get_lit(operation, "value");
    if (deed == DEED_LIST || deed == DEED_UNLIST)
        path = parent_of(path);
    if (str_has_prefix(path, reference)) {
        buf_add_cstr(out, "reference value ");
        place(out, str_from(path, reference.len));
        buf_add_format(out, ": %s", words[deed].reference);
    } else if (str_is(path, "/data/resource-path") && deed == DEED_SET) {
        buf_add_cstr(out, "the request would have to be for ");
    } else {
        bool input = str_has_prefix(path, STR("/input"));
        place(out, path);
        buf_add_format(out, "%s%s", input ? " " : ": ",
                       input ? words[deed].input : words[deed].data);
    }
    if (example)
        buf_add_cstr(out, "something else, such as ");
    if (value_is_defined(v))
        shorten(out, v);
}

/* ---- expressions that did not hold ---- */

/* One past the bracket, quote or character at `i`. */
static size_t past(struct str s, size_t i, unsigned *depth)
{
    char c = s.ptr[i];
    if (c == '"' || c == '`') {
        for (i++; i < s.len && s.ptr[i] != c; i++)
            if (s.ptr[i] == '\\' && c == '"')
                i++;
        return i + 1;
    }
    if (c == '(' || c == '[' || c == '{')
        ++*depth;
    else if ((c == ')' || c == ']' || c == '}') && *depth > 0)
        --*depth;
    return i + 1;
}

/* How a comparison is written, and what the one side then has to be: by itself, and below `not`. */
static const struct relation {
    const char *sign, *wanted, *negated;
    const char *flipped, *flipped_negated; /* the same for the right side */
} relations[] = {
    {"==", "", "something else than ", "", "something else than "},
    {"!=", "something else than ", "", "something else than ", ""},
    {"<=", "at most ", "more than ", "at least ", "less than "},
    {">=", "at least ", "less than ", "at most ", "more than "},
    {":=", "", "", "", ""},
    {" in ", "one of ", "none of ", "to list ", "not to list "},
    {" in\n", "one of ", "none of ", "to list ", "not to list "},
    {"<", "less than ", "at least ", "more than ", "at most "},
    {">", "more than ", "at most ", "less than ", "at least "},
    {"=", "", "something else than ", "", "something else than "},
};

/* The two sides of a comparison as they are written; NULL when it is none. */
static const struct relation *split(struct str text, struct str *left, struct str *right)
{
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i = past(text, i, &depth)) {
        for (size_t k = 0; depth == 0 && k < ARRAY_LEN(relations); k++) {
            struct str sign = str_of(relations[k].sign);
            if (!str_has_prefix(str_from(text, i), sign))
                continue;
            *left = str_trim(str_slice(text, 0, i));
            *right = str_trim(str_from(text, i + sign.len));
            return left->len > 0 && right->len > 0 ? &relations[k] : NULL;
        }
    }
    return NULL;
}

/* The first two arguments of a call as they are written; false when it is none of two or more. */
static bool split_call(struct str text, struct str *first, struct str *second)
{
    unsigned depth = 0;
    size_t begin = 0, commas[2] = {0}, count = 0;
    if (text.len == 0 || text.ptr[text.len - 1] != ')')
        return false;
    for (size_t i = 0; i < text.len; i = past(text, i, &depth)) {
        bool name = is_name(str_slice(text, i, 1)) || text.ptr[i] == '.' ||
                    (text.ptr[i] >= '0' && text.ptr[i] <= '9');
        if (depth == 0 && (begin > 0 || !name)) {
            if (text.ptr[i] != '(' || begin > 0)
                return false; /* more than one call */
            begin = i + 1;
        } else if (text.ptr[i] == ',' && depth == 1 && count < ARRAY_LEN(commas))
            commas[count++] = i;
    }
    if (begin == 0 || count == 0)
        return false;
    size_t end = count > 1 ? commas[1] : text.len - 1;
    *first = str_trim(str_slice(text, begin, commas[0] - begin));
    *second = str_trim(str_slice(text, commas[0] + 1, end - commas[0] - 1));
    return first->len > 0 && second->len > 0;
}

/* An expression without the `not` in front of it. */
static struct str without_not(struct str text, bool *negated)
{
    *negated = str_has_prefix(text, STR("not "));
    return *negated ? str_trim(str_from(text, 4)) : text;
}

/* Written out in full: nothing but punctuation and digits outside of quotes. */
static bool is_literal(struct str text)
{
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i = past(text, i, &depth))
        if (strchr("\"`{}[](),:.+- 0123456789", text.ptr[i]) == NULL)
            return false;
    return true;
}

/* "input.t.svn is 4"; what is written as it is needs no line. */
static void side(struct buf *out, struct str text, value v)
{
    if (is_literal(text) || str_is(text, "set()"))
        return;
    CLEANUP(buf_done) struct buf shown;
    buf_init(&shown, 4096);
    shorten(&shown, v);
    if (str_equal(buf_str(&shown), text))
        return;
    buf_add_cstr(out, "        ");
    add_visible(out, text);
    buf_add_cstr(out, value_is_defined(v) ? " is " : " is undefined");
    if (value_is_defined(v))
        buf_add(out, buf_str(&shown));
    buf_add_byte(out, '\n');
}

/* An absent side was undefined; where both are, the expression was no comparison. */
static void two_sides(struct buf *out, value rule, bool held)
{
    static const char indent[] = "        ";
    bool negated;
    struct str text = without_not(str_trim(member(rule, "expression")), &negated), left, right;
    value l = value_get_lit(rule, "left"), r = value_get_lit(rule, "right");
    const struct relation *relation = split(text, &left, &right);
    bool compares = relation != NULL;
    if (compares && strcmp(relation->sign, ":=") == 0) {
        if (!held)
            side(out, right, r);
        return;
    }
    if (!value_is_defined(l) && !value_is_defined(r)) {
        if (compares) /* what the left side is about is not there, and so the right was not asked */
            side(out, left, l);
        return;
    }
    if (compares || split_call(text, &left, &right)) {
        if (str_has_prefix(left, STR("some ")))
            left = str_trim(str_from(left, 5));
        side(out, left, l);
        side(out, right, r);
    } else if (!value_is_defined(r)) {
        side(out, text, l);
    } else {
        if (value_is_defined(l))
            value_line(out, indent, "left", l);
        else
            line(out, indent, "left", STR("undefined"));
        value_line(out, indent, "right", r);
    }
}

/* What it compares, and what a set lacks that has to be part of another. */
static void sides(struct buf *out, value rule, bool held)
{
    two_sides(out, rule, held);
    value lacking = value_get_lit(rule, "lacking"), left = value_get_lit(rule, "left");
    if (value_len(lacking) > 0 && !(value_is_defined(left) && value_equal(lacking, left)))
        value_line(out, "        ", "lacking", lacking);
}

static void rule(struct buf *out, value r, bool held)
{
    int64_t row = 0;
    value_get_int64(value_get_lit(r, "row"), &row);
    buf_add_cstr(out, "    ");
    add_visible(out, member(r, "rule"));
    buf_add_cstr(out, " (");
    add_visible(out, member(r, "file"));
    buf_add_format(out, ":%lld)\n", (long long)row);
    /* One of several lines keeps them. */
    for (struct str text = member(r, "expression"); text.len > 0;) {
        size_t end = str_find(text, '\n', 0);
        buf_add_cstr(out, "      ");
        add_visible(out, str_trim(str_slice(text, 0, end)));
        buf_add_byte(out, '\n');
        text = str_from(text, end + 1);
    }
    sides(out, r, held);
}

static bool names_rule(value list, struct str name)
{
    for (size_t i = 0; i < value_len(list); i++)
        if (str_equal(member(value_at(list, i), "rule"), name))
            return true;
    return false;
}

/* Of a rule that held where it should not, the bodies that did not hold are no news. */
static void rules(struct buf *out, value failed, value held)
{
    bool titled = false;
    for (size_t i = 0; i < value_len(failed); i++) {
        if (names_rule(held, member(value_at(failed, i), "rule")))
            continue;
        if (!titled)
            buf_add_cstr(out,
                         "  rules tried, and the first expression of each that did not hold:\n");
        titled = true;
        rule(out, value_at(failed, i), false);
    }
    if (value_len(held) > 0)
        buf_add_cstr(out, "  because these hold:\n");
    for (size_t i = 0; i < value_len(held); i++)
        rule(out, value_at(held, i), true);
}

static void expired(struct buf *out, value list)
{
    for (size_t i = 0; i < value_len(list); i++) {
        value e = value_at(list, i);
        buf_add_cstr(out, "  expired   reference value ");
        add_visible(out, member(e, "name"));
        buf_add_cstr(out, ": it would have counted until ");
        add_visible(out, member(e, "expiration"));
        buf_add_byte(out, '\n');
    }
}

static bool is_example(value d, value operation)
{
    value list = value_get_lit(d, "examples");
    for (size_t i = 0; i < value_len(list); i++)
        if (str_equal(value_str(value_at(list, i)), member(operation, "path")))
            return true;
    return false;
}

/* `below`: the attestation that it rests on, which may say it. */
static void change(struct buf *out, value d, value below)
{
    value list = value_get_lit(d, "change");
    if (value_len(list) == 0) {
        if (value_len(value_get_lit(d, "rules")) == 0)
            return; /* no policy was in the way */
        bool change_below = value_len(value_get_lit(below, "change")) > 0;
        bool rules_below = value_len(value_get_lit(below, "rules")) > 0;
        buf_add_cstr(out, change_below ? "  the smallest change is to the attestation, below\n"
                          : rules_below
                              ? "  why it came to that stands with the attestation, below\n"
                              : "  no small change is known with which it would have passed\n");
        return;
    }
    buf_add_cstr(out, "  the smallest change that would have passed:\n");
    for (size_t i = 0; i < value_len(list); i++) {
        buf_add_cstr(out, "    ");
        story_operation(out, value_at(list, i), is_example(d, value_at(list, i)));
        buf_add_byte(out, '\n');
    }
}

static void strings(struct buf *out, const char *label, value list)
{
    for (size_t i = 0; i < value_len(list); i++)
        line(out, "  ", label, value_str(value_at(list, i)));
}

/* "A request for the resource a/b/c was denied": as far as it is known. */
static void subject(struct buf *out, value d)
{
    static const struct str resources = STR("/kbs/v0/resource/");
    struct str kind = member(d, "kind"), path = member(d, "path");
    bool admin = str_is(kind, "admin");
    if (str_is(kind, "attestation")) {
        buf_add_cstr(out, "An attestation was ");
        return;
    }
    buf_add_cstr(out, admin ? "A request of an administrator" : "A request");
    if (str_has_prefix(path, resources)) {
        buf_add_cstr(out, " for the resource ");
        add_visible(out, str_from(path, resources.len));
    } else if (path.len > 0) {
        buf_add_cstr(out, " for ");
        add_visible(out, path);
    } else if (str_is(kind, "resource")) {
        buf_add_cstr(out, " for a resource");
    }
    buf_add_cstr(out, " was ");
}

static void headline(struct buf *out, value d)
{
    struct str status = member(d, "status");
    subject(out, d);
    /* A token was given, and says what to think of the guest. */
    bool doubtful = status.len > 0 && !str_is(status, "affirming");
    add_visible(out, doubtful ? STR("verified, but not affirmed") : member(d, "outcome"));
    if (status.len > 0)
        buf_add_cstr(out, ": its status is ");
    add_visible(out, status);
    buf_add_cstr(out, " (");
    add_visible(out, member(d, "time"));
    buf_add_cstr(out, ", decision ");
    add_visible(out, member(d, "id"));
    buf_add_cstr(out, ")\n");
}

/* ---- what was expected ---- */

static bool is_same(value x, value y)
{
    return value_is_defined(x) == value_is_defined(y) &&
           (!value_is_defined(x) || value_equal(x, y));
}

/*
 * What the actual value had to be, from the expression that the reason is about: "at least ".
 * "" where no rule tells; NULL: it is the argument of a call, and nothing that was wanted.
 */
static const char *wanted(value d)
{
    value list = value_get_lit(d, "rules"), actual = value_get_lit(d, "actual");
    value expected = value_get_lit(d, "expected");
    for (size_t i = 0; i < value_len(list); i++) {
        value r = value_at(list, i), l = value_get_lit(r, "left"),
              right = value_get_lit(r, "right");
        bool straight = is_same(l, actual) && is_same(right, expected), negated;
        if (!straight && !(is_same(l, expected) && is_same(right, actual)))
            continue;
        struct str text = without_not(str_trim(member(r, "expression")), &negated), x, y;
        const struct relation *found = split(text, &x, &y);
        if (found == NULL)
            return NULL;
        return straight ? negated ? found->negated : found->wanted
                        : (negated ? found->flipped_negated : found->flipped);
    }
    return "";
}

static void values(struct buf *out, value d)
{
    value expected = value_get_lit(d, "expected"), actual = value_get_lit(d, "actual");
    const char *how = wanted(d);
    if (value_is_defined(expected) && how != NULL) {
        buf_add_format(out, "  %-10s%s", "expected", how);
        shorten(out, expected);
        buf_add_byte(out, '\n');
    }
    value_line(out, "  ", "actual", actual);
    bool absent = !value_is_defined(actual) && member(d, "field").len > 0;
    if (absent && value_len(value_get_lit(d, "rules")) > 0)
        line(out, "  ", "actual", STR("nothing: it is not there"));
}

/* What matters first: why, what to do about it, and then how the policy came to it. */
static void tell(struct buf *out, value d, value below)
{
    headline(out, d);
    line(out, "  ", "reason", member(d, "message"));
    line(out, "  ", "check", member(d, "check"));
    line(out, "  ", "field", member(d, "field"));
    values(out, d);
    expired(out, value_get_lit(d, "expired"));
    change(out, d, below);
    rules(out, value_get_lit(d, "rules"), value_get_lit(d, "held"));
    strings(out, "anchor", value_get_lit(d, "anchors"));
    strings(out, "note", value_get_lit(d, "notes"));
}

void story_write(struct buf *out, value decision, value cause)
{
    tell(out, decision, cause);
    if (!value_is_defined(cause))
        return;
    buf_add_cstr(out, "\nIt rests on this attestation:\n");
    tell(out, cause, VALUE_UNDEFINED);
}

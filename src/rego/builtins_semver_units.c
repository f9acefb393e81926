/* Semantic versions and units: rego.md 6.11. */
#include "rego/builtins_internal.h"
#include "value/number.h"

/* ---- semantic versions ---- */

struct version {
    int64_t parts[3];
    struct str pre; /* without the "-"; empty: none */
};

static bool is_identifier_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* Identifiers of at least one character, separated by points. */
static bool are_identifiers(struct str s)
{
    bool empty = true;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' && empty)
            return false;
        if (s.ptr[i] != '.' && !is_identifier_char(s.ptr[i]))
            return false;
        empty = s.ptr[i] == '.';
    }
    return !empty;
}

/* Takes what follows the first `c` off the end of *s; *found: there is one. */
static struct str cut_found(struct str *s, char c, bool *found)
{
    size_t at = str_find(*s, c, 0);
    *found = at < s->len;
    struct str after = str_from(*s, at + 1);
    s->len = at;
    return after;
}

static struct str cut_after(struct str *s, char c)
{
    bool found;
    return cut_found(s, c, &found);
}

static bool read_part(struct str s, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, s.ptr[i] - '0', out))
            return false;
    }
    return s.len > 0;
}

static bool parse_version(struct str s, struct version *v)
{
    if (s.len > 0 && s.ptr[0] == 'v')
        s = str_from(s, 1);
    bool has_metadata;
    bool has_pre;
    struct str metadata = cut_found(&s, '+', &has_metadata);
    v->pre = cut_found(&s, '-', &has_pre);
    if ((has_metadata && !are_identifiers(metadata)) || (has_pre && !are_identifiers(v->pre)))
        return false;
    struct str major = s;
    struct str minor = cut_after(&major, '.');
    struct str patch = cut_after(&minor, '.');
    return read_part(major, &v->parts[0]) && read_part(minor, &v->parts[1]) &&
           read_part(patch, &v->parts[2]);
}

static bool is_numeric(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return true;
}

static int sign(int64_t n)
{
    return (n > 0) - (n < 0);
}

/* Of any length: without leading zeros, longer is larger. */
static int compare_numeric(struct str a, struct str b)
{
    while (a.len > 1 && a.ptr[0] == '0')
        a = str_from(a, 1);
    while (b.len > 1 && b.ptr[0] == '0')
        b = str_from(b, 1);
    return a.len != b.len ? (a.len < b.len ? -1 : 1) : sign(str_compare(a, b));
}

static int compare_identifiers(struct str a, struct str b)
{
    bool numeric_a = is_numeric(a);
    bool numeric_b = is_numeric(b);
    if (numeric_a != numeric_b)
        return numeric_a ? -1 : 1;
    return numeric_a ? compare_numeric(a, b) : sign(str_compare(a, b));
}

static int compare_versions(const struct version *a, const struct version *b)
{
    for (size_t i = 0; i < 3; i++)
        if (a->parts[i] != b->parts[i])
            return a->parts[i] < b->parts[i] ? -1 : 1;
    struct str pre_a = a->pre;
    struct str pre_b = b->pre;
    if (pre_a.len == 0 || pre_b.len == 0)
        return (pre_a.len == 0) - (pre_b.len == 0); /* a pre-release is lower than none */
    while (pre_a.len > 0 && pre_b.len > 0) {
        struct str rest_a = cut_after(&pre_a, '.');
        struct str rest_b = cut_after(&pre_b, '.');
        int order = compare_identifiers(pre_a, pre_b);
        if (order != 0)
            return order;
        pre_a = rest_a;
        pre_b = rest_b;
    }
    return (pre_a.len > 0) - (pre_b.len > 0);
}

enum rego_outcome builtin_semver_compare(struct rego_call *call, const value *args, value *out)
{
    struct str texts[2];
    if (!arg_string(call, args, 1, &texts[0]) || !arg_string(call, args, 2, &texts[1]))
        return REGO_FAILED;
    if (!charge_bytes(call, texts[0].len + texts[1].len))
        return REGO_FATAL;
    struct version versions[2];
    for (unsigned i = 0; i < 2; i++) {
        if (!parse_version(texts[i], &versions[i]))
            return rego_call_error(call, "operand %u: string %s is not a valid SemVer", i + 1,
                                   quoted(call, texts[i]));
    }
    return give_int(call, compare_versions(&versions[0], &versions[1]), out);
}

enum rego_outcome builtin_semver_is_valid(struct rego_call *call, const value *args, value *out)
{
    struct version v;
    struct str s = value_str(args[0]);
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    return give_bool(value_is_string(args[0]) && parse_version(s, &v), out);
}

/* ---- units ---- */

#define EXPONENT_DIGITS_MAX 6

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Splits "1.5Ki" into number and unit.  An "e" belongs to the number when a
 * digit or a sign follows, else it begins a unit.  False: an exponent of more
 * than EXPONENT_DIGITS_MAX digits.
 */
static bool split_unit(struct str s, struct str *number, struct str *unit)
{
    size_t at = 0;
    for (; at < s.len; at++) {
        char c = s.ptr[at];
        if (is_digit(c) || c == '.' || c == '+' || c == '-')
            continue;
        char next = at + 1 < s.len ? s.ptr[at + 1] : '\0';
        if ((c != 'e' && c != 'E') || !(is_digit(next) || next == '+' || next == '-'))
            break;
        size_t first = at + 1 + (next == '+' || next == '-');
        size_t end = first;
        while (end < s.len && is_digit(s.ptr[end]))
            end++;
        if (end - first > EXPONENT_DIGITS_MAX)
            return false;
        at = first - 1;
    }
    *number = str_slice(s, 0, at);
    *unit = str_from(s, at);
    return true;
}

struct unit {
    const char *name; /* lower case; without the "b" that bytes may have */
    uint64_t factor;
};

static const struct unit units[] = {
    {"", 1},
    {"k", 1000},
    {"ki", 1ull << 10},
    {"m", 1000000},
    {"mi", 1ull << 20},
    {"g", 1000000000},
    {"gi", 1ull << 30},
    {"t", 1000000000000},
    {"ti", 1ull << 40},
    {"p", 1000000000000000},
    {"pi", 1ull << 50},
    {"e", 1000000000000000000},
    {"ei", 1ull << 60},
};

static bool find_unit(struct str name, uint64_t *factor)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strlen(units[i].name) == name.len &&
            (name.len == 0 || strncasecmp(units[i].name, name.ptr, name.len) == 0)) {
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

struct quantity {
    struct str number; /* as JSON writes it */
    struct str unit;
};

/* `what` is "amount" or "byte amount", as the messages say; they all begin with the function's
 * name. */
static enum rego_outcome read_quantity(struct rego_call *call, const value *args, const char *name,
                                       const char *what, struct buf *b, struct quantity *q)
{
    struct str s = STR_EMPTY;
    if (!arg_string(call, args, 1, &s))
        return REGO_FAILED;
    if (!charge_bytes(call, s.len))
        return REGO_FATAL;
    char *text = arena_alloc(rego_call_arena(call), s.len + 1);
    if (text == NULL)
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '"')
            text[len++] = s.ptr[i];
    s = str_bytes(text, len);

    struct str number;
    if (str_find(s, ' ', 0) < s.len)
        return rego_call_error(call, "%s: spaces not allowed in resource strings", name);
    if (!split_unit(s, &number, &q->unit))
        return rego_call_error(call, "%s: exponent too large", name);
    if (number.len == 0)
        return rego_call_error(call, "%s: no %s provided", name, what);
    if (!normal_number(number, b))
        return rego_call_error(call, "%s: could not parse %s to a number", name, what);
    q->number = buf_str(b);
    return buf_status(b) == OK ? REGO_VALUE : rego_call_status(call, b->failed, NULL);
}

/*
 * The number without its point and exponent: "1.5e3" is 15 times ten to the
 * *exponent.  The exponent has at most EXPONENT_DIGITS_MAX digits.
 */
static void strip_point(struct str number, struct buf *digits, int64_t *exponent)
{
    *exponent = 0;
    bool after_point = false;
    for (size_t i = 0; i < number.len; i++) {
        char c = number.ptr[i];
        if (c == 'e' || c == 'E') {
            int64_t e = 0;
            bool negative = number.ptr[i + 1] == '-';
            for (i++; i < number.len; i++)
                if (is_digit(number.ptr[i]))
                    e = e * 10 + (number.ptr[i] - '0');
            *exponent += negative ? -e : e;
            return;
        }
        if (c == '.') {
            after_point = true;
            continue;
        }
        /* leading zeros are no JSON: "0.5" is 5 */
        if (digits->len > 0 && digits->ptr[digits->len - 1] == '0' &&
            (digits->len == 1 || digits->ptr[digits->len - 2] == '-'))
            digits->len--;
        buf_add_byte(digits, c);
        *exponent -= after_point;
    }
}

#define DECIMALS 10

/* Adds one to a decimal number whose first digit is no 9. */
static void increment(char *digits, size_t n)
{
    while (n > 0 && digits[n - 1] == '9')
        digits[--n] = '0';
    if (n > 0)
        digits[n - 1]++;
}

/* digits * 10^-fraction with ten decimals, half away from zero; `digits` has no sign. */
static void write_decimals(struct buf *out, struct str digits, size_t fraction)
{
    /* first times 10^10 as an integer: a zero for the carry, at least eleven digits */
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    size_t drop = fraction > DECIMALS ? fraction - DECIMALS : 0;
    size_t keep = digits.len > drop ? digits.len - drop : 0;
    size_t zeros = fraction < DECIMALS ? DECIMALS - fraction : 0;
    buf_add_byte(&b, '0');
    for (size_t n = keep + zeros; n < DECIMALS + 1; n++)
        buf_add_byte(&b, '0');
    buf_add(&b, str_slice(digits, 0, keep));
    for (size_t i = 0; i < zeros; i++)
        buf_add_byte(&b, '0');
    if (b.failed != OK) {
        out->failed = out->failed == OK ? b.failed : out->failed;
        return;
    }
    if (drop > 0 && digits.len >= drop && digits.ptr[digits.len - drop] >= '5')
        increment(b.ptr, b.len);

    struct str whole = str_slice(buf_str(&b), 0, b.len - DECIMALS);
    while (whole.len > 1 && whole.ptr[0] == '0')
        whole = str_from(whole, 1);
    buf_add(out, whole);
    buf_add_byte(out, '.');
    buf_add(out, str_from(buf_str(&b), b.len - DECIMALS));
}

/* number * 10^exponent; as an integer when it is one, unless `decimals` insists. */
static void write_scaled(struct buf *out, struct str number, int64_t exponent, bool decimals)
{
    if (number.ptr[0] == '-') {
        number = str_from(number, 1);
        if (!str_is(number, "0"))
            buf_add_byte(out, '-');
    }
    while (exponent < 0 && number.len > 1 && number.ptr[number.len - 1] == '0') {
        number.len--;
        exponent++;
    }
    if (str_is(number, "0")) {
        buf_add_byte(out, '0');
    } else if (exponent < 0) {
        write_decimals(out, number, (size_t)-exponent);
    } else {
        buf_add(out, number);
        for (int64_t i = 0; i < exponent && out->failed == OK; i++)
            buf_add_byte(out, '0');
        if (decimals)
            buf_add(out, STR(".0000000000"));
    }
}

/* As OPA shows it, in lower case but for the first `kept` bytes. */
static enum rego_outcome unknown_unit(struct rego_call *call, const char *what, struct str unit,
                                      size_t kept)
{
    char *text = arena_alloc(rego_call_arena(call), unit.len + 1);
    if (text == NULL)
        return rego_call_status(call, arena_status(rego_call_arena(call)), NULL);
    for (size_t i = 0; i < unit.len; i++) {
        char c = unit.ptr[i];
        text[i] = i >= kept && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return rego_call_error(call, "%s %s not recognized", what,
                           shown(call, str_bytes(text, unit.len)));
}

enum rego_outcome builtin_units_parse(struct rego_call *call, const value *args, value *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    struct quantity q;
    enum rego_outcome o = read_quantity(call, args, "units.parse", "amount", &b, &q);
    if (o != REGO_VALUE)
        return o;
    uint64_t factor = 1;
    bool milli = str_is(q.unit, "m");
    if (!milli && !find_unit(q.unit, &factor))
        return unknown_unit(call, "units.parse: unit", q.unit, 1);

    CLEANUP(buf_done) struct buf digits;
    output_init(call, &digits);
    int64_t exponent = 0;
    strip_point(q.number, &digits, &exponent);
    struct arena *a = rego_call_arena(call);
    value scaled = VALUE_UNDEFINED;
    struct error err = ERROR_INIT;
    enum status st = buf_status(&digits);
    if (st == OK)
        st = number_mul(a, value_number(a, buf_str(&digits)), value_uint(a, factor), &scaled, &err);
    if (st != OK)
        return rego_call_status(call, st, &err);
    if (exponent > NUMBER_EXPONENT_MAX)
        return give_limit(call, "number has more than %d digits", NUMBER_DIGITS_MAX);
    if (!charge_bytes(call, (size_t)(exponent < 0 ? -exponent : exponent) + digits.len))
        return REGO_FATAL;

    char scratch[VALUE_NUMBER_SCRATCH];
    CLEANUP(buf_done) struct buf text;
    output_init(call, &text);
    write_scaled(&text, value_number_text(scaled, scratch), milli ? exponent - 3 : exponent, milli);
    if (buf_status(&text) != OK)
        return give_buf(call, &text, out);
    return give(call, value_number(a, buf_str(&text)), out);
}

enum rego_outcome builtin_units_parse_bytes(struct rego_call *call, const value *args, value *out)
{
    CLEANUP(buf_done) struct buf b;
    output_init(call, &b);
    struct quantity q;
    enum rego_outcome o = read_quantity(call, args, "units.parse_bytes", "byte amount", &b, &q);
    if (o != REGO_VALUE)
        return o;
    struct str name = q.unit;
    if (name.len > 1 && (name.ptr[name.len - 1] == 'b' || name.ptr[name.len - 1] == 'B'))
        name.len--;
    uint64_t factor = 1;
    if (!find_unit(name, &factor))
        return unknown_unit(call, "units.parse_bytes: byte unit", q.unit, 0);

    /* through 64-bit floats at every step, as the original; a division by one rounds to one */
    struct arena *a = rego_call_arena(call);
    value one = value_small_int(1);
    value v = value_number(a, q.number);
    struct error err = ERROR_INIT;
    enum status st = value_is_defined(v) ? number_div(a, v, one, &v, &err) : arena_status(a);
    if (st == OK)
        st = number_mul(a, v, value_uint(a, factor), &v, &err);
    if (st == OK)
        st = number_div(a, v, one, &v, &err);
    if (st == OK)
        st = number_round(a, v, NUMBER_TRUNC, &v, &err);
    return give_status(call, st, &err, v, out);
}

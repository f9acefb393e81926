/*
 * IP networks: rego.md 6.13.  Addresses are 128-bit numbers; IPv4 stands in
 * ::ffff:0:0/96, where Go's net package sees it, too.
 */
#include <arpa/inet.h>

#include "rego/builtins_internal.h"

/* rego.md 7.7 */
#define EXPAND_MAX 1000000

typedef unsigned __int128 address;

#define V4_PREFIX ((address)0xffff << 32)

struct network {
    address first;   /* host bits are zero, but see builtin_net_cidr_merge() */
    unsigned prefix; /* of 128 bits: an IPv4 /8 is 104 */
};

static bool is_v4(address a)
{
    return a >> 32 == 0xffff;
}

static address host_mask(unsigned prefix)
{
    return prefix == 0 ? ~(address)0 : prefix >= 128 ? 0 : (~(address)0) >> prefix;
}

static address last_of(const struct network *n)
{
    return n->first | host_mask(n->prefix);
}

/* ---- reading ---- */

static bool read_address(struct str s, address *out, bool *v4)
{
    char text[INET6_ADDRSTRLEN + 1];
    uint8_t bytes[16];
    if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len) != NULL)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (inet_pton(AF_INET, text, bytes) == 1) {
        *out = V4_PREFIX | load_be32(bytes);
        *v4 = true;
        return true;
    }
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return false;
    *out = (address)load_be64(bytes) << 64 | load_be64(bytes + 8);
    *v4 = false;
    return true;
}

/* "address/prefix"; *v4: written as IPv4. */
static bool read_cidr(struct str s, struct network *out)
{
    size_t slash = str_find(s, '/', 0);
    struct str digits = str_from(s, slash + 1);
    bool v4 = false;
    if (slash >= s.len || digits.len == 0 ||
        !read_address(str_slice(s, 0, slash), &out->first, &v4))
        return false;
    unsigned prefix = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || prefix > 128)
            return false;
        prefix = prefix * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    if (prefix > (v4 ? 32 : 128))
        return false;
    out->prefix = v4 ? prefix + 96 : prefix;
    out->first &= ~host_mask(out->prefix);
    return true;
}

static bool arg_cidr(struct rego_call *call, value v, struct network *out)
{
    if (!value_is_string(v)) {
        rego_call_type_error(call, 1, "string", v); /* always "operand 1", as in the original */
        return false;
    }
    if (read_cidr(value_str(v), out))
        return true;
    rego_call_error(call, "invalid CIDR address: %s", shown(call, value_str(v)));
    return false;
}

/* ---- writing ---- */

/* RFC 5952; unlike inet_ntop() without the old form ::1.2.3.4. */
static void write_v6(struct buf *b, address a)
{
    uint16_t groups[8];
    for (int i = 7; i >= 0; i--, a >>= 16)
        groups[i] = (uint16_t)a;
    int best = -1;
    int best_len = 1; /* a single zero group is not shortened */
    for (int i = 0; i < 8; i++) {
        int n = 0;
        while (i + n < 8 && groups[i + n] == 0)
            n++;
        if (n > best_len) {
            best = i;
            best_len = n;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            buf_add(b, STR("::"));
            i += best_len - 1;
            continue;
        }
        bool after_gap = best >= 0 && i == best + best_len;
        buf_add_format(b, "%s%x", i > 0 && !after_gap ? ":" : "", groups[i]);
    }
}

void net_write_v6(struct buf *b, const uint8_t bytes[16])
{
    address a = (address)load_be64(bytes) << 64 | load_be64(bytes + 8);
    if (is_v4(a))
        buf_add_format(b, "%u.%u.%u.%u", bytes[12], bytes[13], bytes[14], bytes[15]);
    else
        write_v6(b, a);
}

static void write_address(struct buf *b, address a)
{
    uint32_t v4 = (uint32_t)a;
    if (is_v4(a))
        buf_add_format(b, "%u.%u.%u.%u", v4 >> 24, v4 >> 16 & 255, v4 >> 8 & 255, v4 & 255);
    else
        write_v6(b, a);
}

static value network_text(struct rego_call *call, const struct network *n)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 64);
    write_address(&b, n->first);
    buf_add_format(&b, "/%u", is_v4(n->first) && n->prefix >= 96 ? n->prefix - 96 : n->prefix);
    struct arena *a = rego_call_arena(call);
    return worked(a, buf_status(&b)) ? value_string(a, buf_str(&b)) : VALUE_UNDEFINED;
}

/* ---- containment ---- */

/* IPv4 and IPv6 contain nothing of each other: ::/0 has no IPv4 address. */
static bool contains(const struct network *n, address a)
{
    if (is_v4(n->first) && n->prefix >= 96 ? !is_v4(a) : is_v4(a))
        return false;
    return (a & ~host_mask(n->prefix)) == n->first;
}

static enum rego_outcome cidr_contains(struct rego_call *call, value cidr, value inner, bool *out)
{
    struct network outer;
    if (!arg_cidr(call, cidr, &outer))
        return REGO_FAILED;
    if (!value_is_string(inner))
        return rego_call_type_error(call, 1, "string", inner);
    struct str s = value_str(inner);
    address a;
    bool v4;
    if (read_address(s, &a, &v4)) {
        *out = contains(&outer, a);
        return REGO_VALUE;
    }
    struct network n;
    if (!read_cidr(s, &n))
        return rego_call_error(call,
                               "not a valid textual representation of an IP address or CIDR: %s",
                               shown(call, s));
    *out = contains(&outer, n.first) && contains(&outer, last_of(&n));
    return REGO_VALUE;
}

enum rego_outcome builtin_net_cidr_contains(struct rego_call *call, const value *args, value *out)
{
    bool result = false;
    enum rego_outcome o = cidr_contains(call, args[0], args[1], &result);
    return o == REGO_VALUE ? give_bool(result, out) : o;
}

enum rego_outcome builtin_net_cidr_intersects(struct rego_call *call, const value *args, value *out)
{
    struct network a;
    struct network b;
    if (!arg_cidr(call, args[0], &a) || !arg_cidr(call, args[1], &b))
        return REGO_FAILED;
    return give_bool(contains(&a, b.first) || contains(&b, a.first), out);
}

enum rego_outcome builtin_net_cidr_is_valid(struct rego_call *call, const value *args, value *out)
{
    (void)call;
    struct network n;
    return give_bool(value_is_string(args[0]) && read_cidr(value_str(args[0]), &n), out);
}

/* The i-th text of an operand of cidr_contains_matches, and what the result calls it. */
static enum rego_outcome match_item(struct rego_call *call, const value *args, unsigned operand,
                                    size_t i, value *text, value *index)
{
    value v = args[operand - 1];
    switch (value_kind(v)) {
    case VALUE_KIND_STRING:
        *text = *index = v;
        return REGO_VALUE;
    case VALUE_KIND_ARRAY:
        *text = value_items(v)[i];
        *index = value_int(rego_call_arena(call), (int64_t)i);
        break;
    case VALUE_KIND_SET:
        *text = *index = value_items(v)[i];
        break;
    default:
        *text = value_pairs(v)[i].val;
        *index = value_pairs(v)[i].key;
        break;
    }
    if (value_is_string(*text))
        return REGO_VALUE;
    *text = value_at(*text, 0);
    if (!value_is_defined(*text))
        return rego_call_error(call, "operand %u: element must be string or non-empty array",
                               operand);
    return REGO_VALUE;
}

enum rego_outcome builtin_net_cidr_contains_matches(struct rego_call *call, const value *args,
                                                    value *out)
{
    struct value_builder b;
    value_builder_init(&b, rego_call_arena(call), 0);
    size_t n = value_is_string(args[0]) ? 1 : value_len(args[0]);
    size_t m = value_is_string(args[1]) ? 1 : value_len(args[1]);
    for (size_t i = 0; i < n; i++) {
        value texts[2];
        value pair[2];
        enum rego_outcome o = match_item(call, args, 1, i, &texts[0], &pair[0]);
        if (o != REGO_VALUE)
            return o;
        for (size_t j = 0; j < m; j++) {
            if (!rego_call_charge(call, 4))
                return REGO_FATAL;
            bool inside = false;
            o = match_item(call, args, 2, j, &texts[1], &pair[1]);
            if (o == REGO_VALUE)
                o = cidr_contains(call, texts[0], texts[1], &inside);
            if (o != REGO_VALUE)
                return o;
            if (inside)
                value_builder_add(&b, value_array(rego_call_arena(call), pair, 2));
        }
    }
    return give(call, value_set_finish(&b), out);
}

/* ---- expanding and merging ---- */

enum rego_outcome builtin_net_cidr_expand(struct rego_call *call, const value *args, value *out)
{
    struct network n;
    if (!arg_cidr(call, args[0], &n))
        return REGO_FAILED;
    address count = host_mask(n.prefix);
    if (count >= EXPAND_MAX)
        return give_limit(call, "network has more than %d addresses", EXPAND_MAX);
    if (!rego_call_charge(call, sort_cost((size_t)count + 1)))
        return REGO_FATAL;

    struct value_builder set;
    value_builder_init(&set, rego_call_arena(call), (size_t)count + 1);
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, 64);
    for (address i = 0; i <= count && !set.failed; i++) {
        buf_reset(&b);
        write_address(&b, n.first + i);
        value_builder_add(&set, value_string(rego_call_arena(call), buf_str(&b)));
    }
    if (!worked(rego_call_arena(call), buf_status(&b)))
        return rego_call_status(call, b.failed, NULL);
    return give(call, value_set_finish(&set), out);
}

struct block {
    address first, last;
    struct network network; /* as written */
    bool merged;            /* `network` does not count any more */
};

/* By last, then by first address. */
static int compare_blocks(const void *a, const void *b)
{
    const struct block *x = a;
    const struct block *y = b;
    if (x->last != y->last)
        return x->last < y->last ? -1 : 1;
    return x->first == y->first ? 0 : x->first < y->first ? -1 : 1;
}

/* A bare IPv4 address stands for its historic class, and keeps its host bits in the result. */
static enum rego_outcome read_block(struct rego_call *call, value v, struct block *out)
{
    if (!value_is_string(v))
        return rego_call_error(call, "element must be string");
    bool v4;
    address a;
    *out = (struct block){.merged = false};
    if (!read_address(value_str(v), &a, &v4)) {
        if (!arg_cidr(call, v, &out->network))
            return REGO_FAILED;
    } else if (is_v4(a)) {
        uint8_t top = (uint8_t)(a >> 24);
        out->network = (struct network){a, 96 + (top < 128 ? 8 : top < 192 ? 16 : 24)};
    } else {
        return rego_call_error(call, "IPv6 invalid: needs prefix length");
    }
    out->first = out->network.first & ~host_mask(out->network.prefix);
    out->last = out->network.first | host_mask(out->network.prefix);
    return REGO_VALUE;
}

/* The fewest networks that cover first to last. */
static void add_cover(struct rego_call *call, struct value_builder *b, address first, address last)
{
    for (;;) {
        unsigned prefix = 128;
        while (prefix > 0) {
            address mask = host_mask(prefix - 1);
            if ((first & mask) != 0 || (first | mask) > last)
                break;
            prefix--;
        }
        struct network n = {first, prefix};
        value_builder_add(b, network_text(call, &n));
        if (last_of(&n) == last)
            return;
        first = last_of(&n) + 1;
    }
}

enum rego_outcome builtin_net_cidr_merge(struct rego_call *call, const value *args, value *out)
{
    struct arena *a = rego_call_arena(call);
    if (!value_is_array(args[0]) && value_kind(args[0]) != VALUE_KIND_SET)
        return rego_call_error(call, "operand must be an array");
    size_t n = value_len(args[0]);
    if (!rego_call_charge(call, sort_cost(n) + 4 * n))
        return REGO_FATAL;
    struct block *blocks = arena_new_array(a, struct block, n + 1);
    struct block *scratch = arena_new_array(a, struct block, n + 1);
    if (blocks == NULL || scratch == NULL)
        return rego_call_status(call, arena_status(a), NULL);
    for (size_t i = 0; i < n; i++) {
        enum rego_outcome o = read_block(call, value_items(args[0])[i], &blocks[i]);
        if (o != REGO_VALUE)
            return o;
    }
    stable_sort(blocks, scratch, n, sizeof(*blocks), compare_blocks);

    struct value_builder b;
    value_builder_init(&b, a, n);
    for (size_t i = n; i > 0; i--) {
        struct block *x = &blocks[i - 1];
        struct block *before = i > 1 ? &blocks[i - 2] : NULL;
        if (before != NULL && (x->first == 0 || x->first - 1 <= before->last)) {
            before->first = before->first < x->first ? before->first : x->first;
            before->last = x->last;
            before->merged = true;
        } else if (x->merged) {
            add_cover(call, &b, x->first, x->last);
        } else {
            value_builder_add(&b, network_text(call, &x->network));
        }
    }
    return give(call, value_set_finish(&b), out);
}

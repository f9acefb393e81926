/*
 * bench_value - reading, looking up and writing a claims document; arithmetic.
 *
 * A line a figure on standard output, and with BENCH_JSON=FILE the same as JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "value/json.h"
#include "value/number.h"

#define MEMORY (256u << 20)

static struct json_writer report;

static void print_figure(const char *name, double figure, const char *unit)
{
    printf("%-40s %10.1f %s\n", name, figure, unit);
    json_key(&report, name);
    char text[32];
    snprintf(text, sizeof(text), "%.1f", figure);
    json_raw(&report, str_of(text));
}

/* Claims as a verifier writes them: registers in hexadecimal, flags, an event log; about 10 KB. */
static void write_claims(struct buf *out)
{
    static const char hex[] = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                              "e3b0c44298fc1c149afbf4c8996fb924";
    buf_add(out, STR("{\"tee\":\"az-snp-vtpm\",\"report\":{"));
    for (int i = 0; i < 24; i++)
        buf_add_format(out, "\"pcr%02d\":\"%s\",", i, hex);
    buf_add(out,
            STR("\"policy_debug_allowed\":false,\"vmpl\":0,\"tcb_snp\":23},\"uefi_event_logs\":["));
    for (int i = 0; i < 30; i++)
        buf_add_format(
            out,
            "%s{\"index\":%d,\"type_name\":\"EV_EFI_VARIABLE_BOOT\",\"digests\":[{\"alg\":"
            "\"SHA-384\",\"digest\":\"%s\"}],\"details\":{\"string\":\"boot %d\"}}",
            i == 0 ? "" : ",", i, hex, i);
    buf_add(out, STR("]}"));
}

/* Processor time: other programs on the machine disturb it less. */
static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static void bench_json(void)
{
    CLEANUP(buf_done) struct buf text;
    CLEANUP(buf_done) struct buf out;
    buf_init(&text, 1 << 20);
    buf_init(&out, 1 << 20);
    write_claims(&text);
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);

    enum { ROUNDS = 20000 };
    value v = VALUE_UNDEFINED;
    int64_t start = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        arena_reset(&a);
        status_ignore(json_parse(&a, buf_str(&text), NULL, &v, NULL));
    }
    double ns = (double)(now_ns() - start);
    print_figure("json_parse_claims_bytes", (double)text.len, "bytes");
    print_figure("json_parse_claims", (double)text.len * ROUNDS / ns * 1e3, "MB/s");

    enum { SMALL_ROUNDS = 1000000 };
    value small;
    start = now_ns();
    for (int i = 0; i < SMALL_ROUNDS; i++) {
        arena_reset(&a);
        struct str request =
            STR("{\"version\":\"0.4.0\",\"tee\":\"az-snp-vtpm\",\"extra-params\":{}}");
        status_ignore(json_parse(&a, request, NULL, &small, NULL));
    }
    print_figure("json_parse_request", (double)(now_ns() - start) / SMALL_ROUNDS, "ns");
    arena_reset(&a);
    status_ignore(json_parse(&a, buf_str(&text), NULL, &v, NULL));

    start = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        buf_reset(&out);
        status_ignore(json_write(&out, v, JSON_COMPACT));
    }
    ns = (double)(now_ns() - start);
    print_figure("json_write_claims", (double)out.len * ROUNDS / ns * 1e3, "MB/s");

    value report_value = value_get_lit(v, "report");
    value key = value_pairs(report_value)[9].key;
    enum { LOOKUPS = 20000000 };
    size_t hits = 0;
    start = now_ns();
    for (int i = 0; i < LOOKUPS; i++)
        hits += value_is_defined(value_get(report_value, key));
    ns = (double)(now_ns() - start);
    print_figure("value_get_27_keys", ns / LOOKUPS, "ns");
    value event = value_at(value_get_lit(v, "uefi_event_logs"), 5);
    key = value_pairs(event)[2].key;
    start = now_ns();
    for (int i = 0; i < LOOKUPS; i++)
        hits += value_is_defined(value_get(event, key));
    ns = (double)(now_ns() - start);
    print_figure("value_get_4_keys", ns / LOOKUPS, "ns");
    start = now_ns();
    for (int i = 0; i < LOOKUPS; i++)
        hits += value_is_defined(value_get_lit(event, "type_name"));
    ns = (double)(now_ns() - start);
    print_figure("value_get_str_4_keys", ns / LOOKUPS, "ns");
    if (hits != 3 * (size_t)LOOKUPS)
        abort();
}

static void bench_number(const char *name, const char *op, const char *x, const char *y)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, MEMORY);
    value p = value_number(&a, str_of(x));
    value q = value_number(&a, str_of(y));
    value out;
    int rounds = 0;
    int64_t start = now_ns();
    int64_t end = start;
    while (end - start < 200000000) {
        struct arena_mark mark = arena_mark(&a);
        enum status st = *op == '*'   ? number_mul(&a, p, q, &out, NULL)
                         : *op == '/' ? number_div(&a, p, q, &out, NULL)
                                      : number_add(&a, p, q, &out, NULL);
        if (st != OK)
            abort();
        arena_rollback(&a, mark);
        rounds++;
        end = now_ns();
    }
    print_figure(name, (double)(end - start) / rounds / 1e3, "us");
}

static void bench_numbers(void)
{
    static char digits[100001];
    static char half[50001];
    memset(digits, '7', 100000);
    memset(half, '7', 49990);
    bench_number("add_small", "+", "1", "2");
    bench_number("add_float", "+", "0.1", "0.2");
    bench_number("div_7_2", "/", "7", "2");
    bench_number("mul_float_e-99999", "*", "1.5e-99990", "1.1");
    bench_number("add_integers_100000_digits", "+", digits, "-1");
    bench_number("mul_integers_50000_digits", "*", half, half);
}

int main(void)
{
    CLEANUP(buf_done) struct buf json;
    buf_init(&json, 1 << 20);
    json_begin(&report, &json);
    json_object_begin(&report);
    bench_json();
    bench_numbers();
    json_object_end(&report);
    const char *path = getenv("BENCH_JSON");
    if (json_finish(&report) != OK)
        return 1;
    FILE *f = path == NULL ? NULL : fopen(path, "w");
    if (f == NULL)
        return path != NULL;
    size_t written = fwrite(json.ptr, 1, json.len, f);
    return fclose(f) != 0 || written != json.len;
}

/*
 * mutants - changed evidence and collateral, each of which must be refused by
 * the check that tests/data/mutants.txt predicts for what was changed.
 *
 * A seeded sample of each part in the usual run; every byte, every change of
 * it, with CLAVIGER_LONG in the environment.  CLAVIGER_SEED repeats a sample.
 */
#pragma once

#include "vectors.h"
#include "verifier/verifier_cache.h"

#define SAMPLE 10 /* mutants a part in the usual run */
#define PREDICTED_MAX 6

struct prediction {
    char name[64]; /* "az-snp-vtpm/pcr" */
    enum check_id checks[PREDICTED_MAX];
    size_t count;
    size_t mutants, other; /* how often it was asked, and wrong */
};

#define PREDICTIONS_MAX 128

struct sweep {
    struct prediction table[PREDICTIONS_MAX];
    size_t len;
    const struct anchors *anchors;
    struct verifier_cache *cache;
    bool whole;
    uint32_t seed;
    size_t mutants, accepted, other, unpredicted;
};

/* Reads the table and prints the seed; false after a failed CHECK. */
bool sweep_init(struct sweep *s);
void sweep_done(struct sweep *s);

/* A floor counts only where no verifier was left out of the build. */
#ifdef ALL_VERIFIERS
#define MUTANTS_AT_LEAST(n) (n)
#else
#define MUTANTS_AT_LEAST(n) 0
#endif

/* Numbers of each part, and the CHECKs on them. */
void sweep_report(struct sweep *s, size_t at_least, size_t at_least_whole);

/* What is verified. */
struct subject {
    const char *name, *tee;
    value evidence, report_data; /* report data as hexadecimal text, or null */
    enum era era;
    int64_t now_s;
    const struct collateral *collateral;
};

/* OK and its claims; for evidence that nothing was done to. */
bool subject_passes(struct sweep *s, const struct subject *x);

/* A mutant of `x`: refused as predicted for "<tee>/<part>"? `at` and `change` are printed. */
void judge(struct sweep *s, struct arena *a, const struct subject *x, value evidence,
           const char *part, size_t at, unsigned change);

/* How the bytes of a member are written. */
enum form { FORM_HEX, FORM_BASE64, FORM_BASE64_URL, FORM_ARRAY, FORM_TEXT };

struct member {
    const char *pointer; /* into the evidence */
    enum form form;
    struct str bytes;
};

/* False after a failed CHECK. */
bool member_read(struct arena *a, value evidence, const char *pointer, enum form form,
                 struct member *out);

/* The evidence with other bytes in the member's place. */
value member_replace(struct arena *a, value evidence, const struct member *m, struct str bytes);

/* Changes of one byte: all 255, each bit and all of them, three, or another letter of base64. */
enum changes { CHANGE_ALL, CHANGE_BITS, CHANGE_FEW, CHANGE_LETTER };

/*
 * Walk over the mutants of bytes [from, to): in the usual run a sample of what
 * the long run walks over whole.
 */
struct walk {
    const struct sweep *sweep;
    struct str bytes;
    size_t from, to;
    enum changes changes;
    uint32_t random;
    size_t count;
    size_t at;     /* out: the byte, */
    uint8_t value; /* and its new value */
};

void walk_init(struct walk *w, struct sweep *s, struct str bytes, size_t from, size_t to,
               enum changes changes);
bool walk_next(struct walk *w);

/* A copy with that byte changed. */
struct str walk_bytes(struct arena *a, const struct walk *w);

/* All mutants of a range of a member. */
void sweep_member(struct sweep *s, const struct subject *x, const struct member *m,
                  const char *part, size_t from, size_t to, enum changes changes);

/*
 * fmt - `opa fmt` (1.22): policies in their one layout.
 *
 * The layout follows the text: what stood on lines of its own stays so, rows of
 * nodes decide where lists break, comments stay with the line they were on.
 * Where a comment has no place in the new layout, the text of the innermost
 * term around it is kept as it was ("misplaced", OPA's unexpectedCommentError).
 *
 * fmt.c has the writer, the module and its imports; fmt_rule.c rules and bodies;
 * fmt_term.c terms and lists.
 */
#pragma once

#include "rego/front.h"

/* FMT_MISPLACED: what was written stands, but a comment did not fit. */
enum fmt_outcome { FMT_OK, FMT_MISPLACED, FMT_FAILED };

/* Comments that are not written yet, in order; immutable, so a copy is a point to go back to. */
struct fmt_comments {
    const struct pos *const *items;
    size_t len;
};

struct fmt {
    struct rego_compiler *c;
    struct arena *a;
    struct module *m;
    struct buf *out;
    unsigned level;
    bool inline_;             /* a line has begun */
    bool delay;               /* the comment at the line's end waits for one line more */
    const struct pos *at_end; /* comment for the end of this line */
    bool comment_on_final_line;
    bool failed;
    const struct term *paren_term;
    const struct expr *paren_expr;
    /* how */
    bool ifs, contains, ref_heads, v1;
    uint32_t keywords; /* of the module, as in lexer.h */
};

/* ---- fmt.c ---- */

void fmt_put(struct fmt *w, const char *s);
void fmt_put_str(struct fmt *w, struct str s);
struct str fmt_text(const struct fmt *w, struct pos pos);
void fmt_start_line(struct fmt *w);
void fmt_end_line(struct fmt *w);
void fmt_blank_line(struct fmt *w);
void fmt_up(struct fmt *w);
void fmt_down(struct fmt *w);
/* Row at which the text of `pos` ends. */
int64_t fmt_end_row(const struct fmt *w, struct pos pos);
/* Row of the bracket that closes the first `open` of the text; -1: none. */
int64_t fmt_closing_row(const struct fmt *w, struct pos pos, char skip_open, char skip_close,
                        char open, char close);
void fmt_split(struct fmt *w, struct fmt_comments cm, int64_t row, struct fmt_comments *before,
               const struct pos **at, struct fmt_comments *after);
void fmt_write_comments(struct fmt *w, struct fmt_comments cm);
enum fmt_outcome fmt_insert(struct fmt *w, struct fmt_comments *cm, int64_t row);
/* The text as it was, in place of what does not fit. */
enum fmt_outcome fmt_unformatted(struct fmt *w, struct pos pos, struct fmt_comments *cm);
void fmt_error(struct fmt *w, struct pos pos, const char *text);

/* ---- fmt_rule.c ---- */

void fmt_rules(struct fmt *w, struct rule **rules, size_t len, struct fmt_comments *cm);
enum fmt_outcome fmt_expr(struct fmt *w, const struct expr *e, struct fmt_comments *cm);
/* The body of a comprehension and the like, between the brackets. */
enum fmt_outcome fmt_inner_body(struct fmt *w, const struct body *b, char open, char close,
                                int64_t row, struct pos around, struct fmt_comments *cm);

/* ---- fmt_term.c ---- */

enum fmt_outcome fmt_term(struct fmt *w, struct term *t, struct fmt_comments *cm);
enum fmt_outcome fmt_ref(struct fmt *w, struct term *const *parts, size_t len,
                         struct fmt_comments *cm);
enum fmt_outcome fmt_list(struct fmt *w, struct term **items, size_t len, struct pos around,
                          int64_t close, struct fmt_comments *cm, bool paren_unions);
enum fmt_outcome fmt_call(struct fmt *w, const struct term *call, struct fmt_comments *cm);
enum fmt_outcome fmt_in(struct fmt *w, bool parens, struct term *const *operands, size_t len,
                        struct pos pos, struct fmt_comments *cm);
/* The operator that a call is written with, or NULL. */
const char *fmt_infix(const struct term *call);
bool fmt_is_union(const struct term *t);
/* Written, it begins with `{`. */
bool fmt_begins_with_brace(const struct term *t);

/*
 * parser - shared by parser.c (terms and bodies) and parse_module.c (rules).
 */
#pragma once

#include "rego/front.h"
#include "rego/lexer.h"

struct parse_state {
    struct lexer lx;
    struct token_at tok;
    uint32_t last_end; /* end of the last token that was not white space */
    bool skipped_newline;
    uint32_t depth;
    uint32_t keyword_end; /* end of the keyword that may begin a reference here, or 0 */
    size_t errors;
};

/* Terms that were parsed before going back: the grammar needs no second look at them. */
struct term_memo {
    struct term_memo *next; /* descending offsets */
    uint32_t off;
    struct term *term;
    struct parse_state after;
};

struct parser {
    struct rego_compiler *c;
    struct arena *a;
    struct module *m;
    struct parse_state s;
    struct term_memo *memo;
    struct term_memo *free_memo;
    uint64_t tokens;     /* read so far, also repeatedly */
    uint64_t tokens_max; /* going back must not cost more than this */
    struct rego_error *errors;
    size_t errors_cap;
    bool failed; /* out of memory or too much work */
};

void parser_scan(struct parser *p);    /* next token that is not white space */
void parser_scan_ws(struct parser *p); /* next token */
struct pos parser_pos(const struct parser *p);
/* From the start of `from` to the end of the last token. */
struct pos parser_span(const struct parser *p, struct pos from);

void parser_error(struct parser *p, struct pos pos, const char *format, ...) PRINTF_LIKE(3, 4);
/* "unexpected { token: note"; `note` may be NULL. */
void parser_illegal(struct parser *p, const char *note);

/* The present token is a keyword that begins a reference: `if.x`, `not["a"]`. */
bool parser_at_keyword_ref(const struct parser *p);
/* If it is one, take it for a variable: where literals and paths of packages begin. */
bool parser_allow_keyword_ref(struct parser *p);

struct term *parse_term(struct parser *p);
struct term *parse_infix(struct parser *p); /* with `k, v in c` */
struct term *parse_var(struct parser *p);
struct term *parse_term_finish(struct parser *p, struct term *head, bool skip_ws);
struct expr *parse_literal(struct parser *p);
/* Literals up to `end`; the end token is the present one afterwards. */
struct body *parse_body_until(struct parser *p, enum token end, bool one);

/* ---- shared by the files of the parser ---- */

/* A growing list of terms; short ones need no memory. */
struct terms {
    struct term **items;
    size_t len, cap;
    struct term *first[8];
};

bool terms_add(struct parser *p, struct terms *l, struct term *t);

/* Every recursion of the grammar passes here; false when it is too deep. */
bool parser_enter(struct parser *p);
void parser_leave(struct parser *p);
/* A node with items, from `from` to the last token; NULL after an error. */
struct term *parser_list(struct parser *p, enum term_kind kind, struct term **items, size_t len,
                         struct pos from);
/* `in` as an operator; `in.x` on the next line begins a reference. */
bool parser_at_in(const struct parser *p);

/* lhs op rhs as a call of the operator's built-in. */
struct term *parser_operator(struct parser *p, enum token op, struct pos op_pos, struct term *lhs,
                             struct term *rhs);

struct term *parse_number(struct parser *p);
struct term *parse_string(struct parser *p);
/* The opening $" is the present token. */
struct term *parse_template(struct parser *p);

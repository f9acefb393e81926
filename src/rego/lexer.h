/*
 * lexer - tokens of Rego (../shared/spec/rego.md 1).
 *
 * A struct lexer is a small value: copying it saves the place.
 */
#pragma once

#include "rego/ast.h"

enum token {
    TOK_EOF,
    TOK_ILLEGAL,
    TOK_WHITESPACE,
    TOK_COMMENT,
    TOK_IDENT,
    TOK_NUMBER,
    TOK_STRING,   /* with its quotes */
    TOK_RAW,      /* `...` with its quotes */
    TOK_TEMPLATE, /* $" or $`: the parser reads on from there */
    TOK_LBRACK,
    TOK_RBRACK,
    TOK_LBRACE,
    TOK_RBRACE,
    TOK_LPAREN,
    TOK_RPAREN,
    TOK_COMMA,
    TOK_SEMICOLON,
    TOK_COLON,
    TOK_DOT,
    TOK_ASSIGN,
    TOK_UNIFY,
    TOK_EQUAL,
    TOK_NEQ,
    TOK_LT,
    TOK_LTE,
    TOK_GT,
    TOK_GTE,
    TOK_ADD,
    TOK_SUB,
    TOK_MUL,
    TOK_QUO,
    TOK_REM,
    TOK_AND_SIGN,
    TOK_OR_SIGN,
    /* keywords, always */
    TOK_PACKAGE,
    TOK_IMPORT,
    TOK_AS,
    TOK_DEFAULT,
    TOK_ELSE,
    TOK_NOT,
    TOK_SOME,
    TOK_WITH,
    TOK_NULL,
    TOK_TRUE,
    TOK_FALSE,
    /* keywords of v1, or imported */
    TOK_IN,
    TOK_EVERY,
    TOK_IF,
    TOK_CONTAINS,
    /* experimental */
    TOK_AND,
    TOK_OR,
};

#define KEYWORD_BIT(tok) (1u << ((tok)-TOK_IN))
#define KEYWORDS_V1                                                                                \
    (KEYWORD_BIT(TOK_IN) | KEYWORD_BIT(TOK_EVERY) | KEYWORD_BIT(TOK_IF) | KEYWORD_BIT(TOK_CONTAINS))

struct lexer {
    struct str text;
    uint32_t off;
    uint32_t row;
    uint32_t line;     /* offset of the line's first byte */
    uint32_t extra;    /* continuation bytes since then: not columns */
    uint32_t keywords; /* KEYWORD_BIT()s that are on */
};

struct token_at {
    enum token kind;
    struct pos pos;
    struct str lit;
    const char *error; /* TOK_ILLEGAL: what was wrong, or NULL */
};

/* The text was checked to be UTF-8 without NUL. */
void lexer_init(struct lexer *lx, struct str text, uint32_t keywords);
void lexer_next(struct lexer *lx, struct token_at *out);

/* One byte further, with row and column; there must be one.  The parser reads template strings. */
void lexer_advance(struct lexer *lx);

/* As OPA prints a token in an error: "identifier", "{", "some", "eof". */
const char *token_name(enum token t);
static inline bool token_is_keyword(enum token t)
{
    return t >= TOK_PACKAGE;
}
/* Keyword with this text among those always reserved and those in `keywords`; else TOK_IDENT. */
enum token token_keyword(struct str s, uint32_t keywords);

#include "rego/lexer.h"

#include "base/utf8.h"

static const char *const names[] = {
    [TOK_EOF] = "eof",
    [TOK_ILLEGAL] = "illegal",
    [TOK_WHITESPACE] = "whitespace",
    [TOK_COMMENT] = "comment",
    [TOK_IDENT] = "identifier",
    [TOK_NUMBER] = "number",
    [TOK_STRING] = "string",
    [TOK_RAW] = "string",
    [TOK_TEMPLATE] = "template-string",
    [TOK_LBRACK] = "[",
    [TOK_RBRACK] = "]",
    [TOK_LBRACE] = "{",
    [TOK_RBRACE] = "}",
    [TOK_LPAREN] = "(",
    [TOK_RPAREN] = ")",
    [TOK_COMMA] = ",",
    [TOK_SEMICOLON] = ";",
    [TOK_COLON] = ":",
    [TOK_DOT] = "dot",
    [TOK_ASSIGN] = "assign",
    [TOK_UNIFY] = "eq",
    [TOK_EQUAL] = "equal",
    [TOK_NEQ] = "neq",
    [TOK_LT] = "lt",
    [TOK_LTE] = "lte",
    [TOK_GT] = "gt",
    [TOK_GTE] = "gte",
    [TOK_ADD] = "plus",
    [TOK_SUB] = "minus",
    [TOK_MUL] = "mul",
    [TOK_QUO] = "div",
    [TOK_REM] = "rem",
    [TOK_AND_SIGN] = "and",
    [TOK_OR_SIGN] = "or",
    [TOK_PACKAGE] = "package",
    [TOK_IMPORT] = "import",
    [TOK_AS] = "as",
    [TOK_DEFAULT] = "default",
    [TOK_ELSE] = "else",
    [TOK_NOT] = "not",
    [TOK_SOME] = "some",
    [TOK_WITH] = "with",
    [TOK_NULL] = "null",
    [TOK_TRUE] = "true",
    [TOK_FALSE] = "false",
    [TOK_IN] = "in",
    [TOK_EVERY] = "every",
    [TOK_IF] = "if",
    [TOK_CONTAINS] = "contains",
    [TOK_AND] = "and",
    [TOK_OR] = "or",
};

const char *token_name(enum token t)
{
    return names[t];
}

enum token token_keyword(struct str s, uint32_t keywords)
{
    if (s.len < 2 || s.len > 8)
        return TOK_IDENT;
    for (enum token t = TOK_PACKAGE; t <= TOK_OR; t++)
        if ((t < TOK_IN || (keywords & KEYWORD_BIT(t)) != 0) && str_is(s, names[t]))
            return t;
    return TOK_IDENT;
}

void lexer_init(struct lexer *lx, struct str text, uint32_t keywords)
{
    *lx = (struct lexer){.text = text, .row = 1, .keywords = keywords};
    if (str_has_prefix(text, STR("\xef\xbb\xbf"))) {
        lx->off = 3;
        lx->line = 3;
    }
}

static int peek(const struct lexer *lx, uint32_t ahead)
{
    return lx->off + ahead < lx->text.len ? (unsigned char)lx->text.ptr[lx->off + ahead] : -1;
}

void lexer_advance(struct lexer *lx)
{
    unsigned char ch = (unsigned char)lx->text.ptr[lx->off++];
    if (ch == '\n') {
        lx->row++;
        lx->line = lx->off;
        lx->extra = 0;
    } else if (ch >= 0x80 && ch < 0xc0) {
        lx->extra++;
    }
}

static bool is_letter(int ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
}

static bool is_digit(int ch)
{
    return ch >= '0' && ch <= '9';
}

/*
 * Digits of other scripts may follow the first character of a name.  Blocks of
 * ten that begin at these code points (Unicode category Nd, the common ones).
 */
static bool is_other_digit(uint32_t r)
{
    static const uint32_t zeros[] = {
        0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6,
        0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090,
        0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
        0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    };
    for (size_t i = 0; i < ARRAY_LEN(zeros); i++)
        if (r >= zeros[i] && r < zeros[i] + 10)
            return true;
    return false;
}

static void scan_ident(struct lexer *lx)
{
    for (;;) {
        int ch = peek(lx, 0);
        if (is_letter(ch) || is_digit(ch)) {
            lexer_advance(lx);
            continue;
        }
        uint32_t r;
        size_t n = ch >= 0x80 ? utf8_decode(str_from(lx->text, lx->off), &r) : 0;
        if (n == 0 || !is_other_digit(r))
            return;
        for (; n > 0; n--)
            lexer_advance(lx);
    }
}

static bool scan_digits(struct lexer *lx)
{
    bool found = is_digit(peek(lx, 0));
    while (is_digit(peek(lx, 0)))
        lexer_advance(lx);
    return found;
}

static const char *scan_number(struct lexer *lx)
{
    const char *error = NULL;
    scan_digits(lx);
    if (peek(lx, 0) == '.') {
        lexer_advance(lx);
        if (!scan_digits(lx))
            error = "expected fraction";
    }
    if (peek(lx, 0) == 'e' || peek(lx, 0) == 'E') {
        lexer_advance(lx);
        if (peek(lx, 0) == '+' || peek(lx, 0) == '-')
            lexer_advance(lx);
        if (!scan_digits(lx) && error == NULL)
            error = "expected exponent";
    }
    if (is_letter(peek(lx, 0))) {
        if (error == NULL)
            error = "illegal number format";
        scan_ident(lx);
    }
    return error;
}

static const char *scan_string(struct lexer *lx)
{
    for (;;) {
        int ch = peek(lx, 0);
        if (ch < 0 || ch == '\n')
            return "non-terminated string";
        lexer_advance(lx);
        if (ch == '"')
            return NULL;
        if (ch != '\\')
            continue;
        ch = peek(lx, 0);
        if (ch < 0 || strchr("\\\"/bfnrtu", ch) == NULL)
            return "illegal escape sequence";
        lexer_advance(lx);
    }
}

static const char *scan_raw(struct lexer *lx)
{
    for (;;) {
        int ch = peek(lx, 0);
        if (ch < 0)
            return "non-terminated string";
        lexer_advance(lx);
        if (ch == '`')
            return NULL;
    }
}

/* One character, or that and a following '='. */
static enum token pair(struct lexer *lx, enum token single, enum token with_equals)
{
    if (peek(lx, 0) != '=')
        return single;
    lexer_advance(lx);
    return with_equals;
}

static enum token scan_sign(struct lexer *lx, int ch, const char **error)
{
    switch (ch) {
    case '[':
        return TOK_LBRACK;
    case ']':
        return TOK_RBRACK;
    case '{':
        return TOK_LBRACE;
    case '}':
        return TOK_RBRACE;
    case '(':
        return TOK_LPAREN;
    case ')':
        return TOK_RPAREN;
    case ',':
        return TOK_COMMA;
    case ';':
        return TOK_SEMICOLON;
    case '.':
        return TOK_DOT;
    case '+':
        return TOK_ADD;
    case '-':
        return TOK_SUB;
    case '*':
        return TOK_MUL;
    case '/':
        return TOK_QUO;
    case '%':
        return TOK_REM;
    case '&':
        return TOK_AND_SIGN;
    case '|':
        return TOK_OR_SIGN;
    case ':':
        return pair(lx, TOK_COLON, TOK_ASSIGN);
    case '=':
        return pair(lx, TOK_UNIFY, TOK_EQUAL);
    case '<':
        return pair(lx, TOK_LT, TOK_LTE);
    case '>':
        return pair(lx, TOK_GT, TOK_GTE);
    case '!':
        if (peek(lx, 0) != '=')
            *error = "illegal ! character";
        return *error != NULL ? TOK_ILLEGAL : pair(lx, TOK_ILLEGAL, TOK_NEQ);
    case '$':
        if (peek(lx, 0) == '"' || peek(lx, 0) == '`') {
            lexer_advance(lx);
            return TOK_TEMPLATE;
        }
        *error = "illegal $ character";
        return TOK_ILLEGAL;
    default:
        while (peek(lx, 0) >= 0x80 && peek(lx, 0) < 0xc0)
            lexer_advance(lx);
        return TOK_ILLEGAL;
    }
}

void lexer_next(struct lexer *lx, struct token_at *out)
{
    uint32_t start = lx->off;
    out->error = NULL;
    out->pos = (struct pos){start, start, lx->row, start - lx->line - lx->extra + 1};

    int ch = peek(lx, 0);
    if (ch < 0) {
        out->kind = TOK_EOF;
        out->pos.col--; /* as OPA counts: the end is no character of its own */
    } else if (is_letter(ch)) {
        scan_ident(lx);
        out->kind = token_keyword(str_slice(lx->text, start, lx->off - start), lx->keywords);
    } else if (is_digit(ch)) {
        out->error = scan_number(lx);
        out->kind = out->error == NULL ? TOK_NUMBER : TOK_ILLEGAL;
    } else {
        lexer_advance(lx);
        if (ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n') {
            out->kind = TOK_WHITESPACE;
        } else if (ch == '#') {
            while (peek(lx, 0) >= 0 && peek(lx, 0) != '\n')
                lexer_advance(lx);
            out->kind = TOK_COMMENT;
        } else if (ch == '"') {
            out->error = scan_string(lx);
            out->kind = out->error == NULL ? TOK_STRING : TOK_ILLEGAL;
        } else if (ch == '`') {
            out->error = scan_raw(lx);
            out->kind = out->error == NULL ? TOK_RAW : TOK_ILLEGAL;
        } else {
            out->kind = scan_sign(lx, ch, &out->error);
        }
    }
    out->lit = str_slice(lx->text, start, lx->off - start);
    out->pos.end = lx->off;
}

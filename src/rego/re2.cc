// claviger-re2.so: see re2_api.h.  The only C++ of the product.
#include "rego/re2_api.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <re2/re2.h>

struct re2_expression {
    std::unique_ptr<RE2> re;
};

namespace
{

// Length of the bracket expression that begins at `at`, without looking into it closely.
size_t skip_class(const std::string &p, size_t at)
{
    size_t i = at + 1;
    if (i < p.size() && p[i] == '^')
        i++;
    if (i < p.size() && p[i] == ']')
        i++;
    for (; i < p.size() && p[i] != ']'; i++) {
        if (p[i] == '\\')
            i++;
        else if (p.compare(i, 2, "[:") == 0 && p.find(":]", i) != std::string::npos)
            i = p.find(":]", i) + 1;
    }
    return i < p.size() ? i + 1 - at : p.size() - at;
}

// What Go accepts and this RE2 does not, and the other way round: (?<name> is
// the newer spelling of (?P<name>, and \C (one byte) would break code points:
// false then.
bool to_re2_syntax(const std::string &p, std::string *out)
{
    for (size_t i = 0; i < p.size();) {
        size_t n = 1;
        if (p[i] == '\\') {
            n = 2;
            if (p.compare(i, 2, "\\C") == 0)
                return false;
            if (p.compare(i, 2, "\\Q") == 0) {
                size_t end = p.find("\\E", i);
                n = end == std::string::npos ? p.size() - i : end + 2 - i;
            }
        } else if (p[i] == '[') {
            n = skip_class(p, i);
        } else if (p.compare(i, 3, "(?<") == 0) {
            *out += "(?P<";
            i += 3;
            continue;
        }
        out->append(p, i, n);
        i += n;
    }
    return true;
}

// Go's words for the same mistakes (regexp/syntax).
const char *go_words(RE2::ErrorCode code)
{
    switch (code) {
    case RE2::ErrorBadEscape:
        return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
        return "invalid character class";
    case RE2::ErrorBadCharRange:
        return "invalid character class range";
    case RE2::ErrorMissingBracket:
        return "missing closing ]";
    case RE2::ErrorMissingParen:
        return "missing closing )";
    case RE2::ErrorUnexpectedParen:
        return "unexpected )";
    case RE2::ErrorTrailingBackslash:
        return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
        return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
        return "invalid repeat count";
    case RE2::ErrorRepeatOp:
        return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
        return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
        return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
        return "invalid named capture";
    case RE2::ErrorPatternTooLarge:
        return "expression too large";
    default:
        return "internal error";
    }
}

void write_error(char *error, size_t size, const char *what, const std::string &where)
{
    snprintf(error, size, "error parsing regexp: %s: `%s`", what, where.c_str());
}

re2_expression *compile(const char *pattern, size_t len, size_t memory_max, char *error,
                        size_t error_size)
{
    try {
        std::string text(pattern, len);
        std::string syntax;
        if (!to_re2_syntax(text, &syntax)) {
            write_error(error, error_size, "invalid escape sequence", "\\C");
            return nullptr;
        }
        RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(static_cast<int64_t>(memory_max));
        std::unique_ptr<RE2> re(new RE2(syntax, options));
        if (!re->ok()) {
            bool whole = re->error_code() == RE2::ErrorMissingParen ||
                         re->error_code() == RE2::ErrorUnexpectedParen;
            std::string where = whole ? text : re->error_arg();
            if (where.compare(0, 4, "(?P<") == 0 && text.find(where) == std::string::npos)
                where.erase(2, 1); // it was (?< before
            write_error(error, error_size, go_words(re->error_code()), where);
            return nullptr;
        }
        std::unique_ptr<re2_expression> out(new re2_expression);
        out->re = std::move(re);
        return out.release();
    } catch (const std::exception &) {
        snprintf(error, error_size, "error parsing regexp: out of memory");
    }
    return nullptr;
}

void destroy(re2_expression *re)
{
    delete re;
}

size_t program_size(const re2_expression *re)
{
    return static_cast<size_t>(re->re->ProgramSize());
}

size_t group_count(const re2_expression *re)
{
    return static_cast<size_t>(re->re->NumberOfCapturingGroups());
}

size_t group_index(const re2_expression *re, const char *name, size_t len)
{
    try {
        const auto &groups = re->re->NamedCapturingGroups();
        auto it = groups.find(std::string(name, len));
        return it == groups.end() ? 0 : static_cast<size_t>(it->second);
    } catch (const std::exception &) {
        return 0;
    }
}

int full_match(const re2_expression *re, const char *text, size_t len)
{
    try {
        return re->re->Match(re2::StringPiece(text, len), 0, len, RE2::ANCHOR_BOTH, nullptr, 0) ? 1
                                                                                                : 0;
    } catch (const std::exception &) {
        return 0;
    }
}

int match(const re2_expression *re, const char *text, size_t len, size_t start, re2_span *spans,
          size_t span_count)
{
    try {
        std::vector<re2::StringPiece> pieces(span_count);
        re2::StringPiece subject(text, len);
        if (!re->re->Match(subject, start, len, RE2::UNANCHORED, pieces.data(),
                           static_cast<int>(span_count)))
            return 0;
        for (size_t i = 0; i < span_count; i++) {
            bool took_part = pieces[i].data() != nullptr;
            size_t begin = took_part ? static_cast<size_t>(pieces[i].data() - text) : SIZE_MAX;
            spans[i].begin = begin;
            spans[i].end = took_part ? begin + pieces[i].size() : SIZE_MAX;
        }
        return 1;
    } catch (const std::exception &) {
        return 0;
    }
}

} // namespace

extern "C" __attribute__((visibility("default"))) const struct re2_api claviger_re2;

const struct re2_api claviger_re2 = {
    CLAVIGER_RE2_VERSION, CLAVIGER_VERSION, compile,    destroy, program_size,
    group_count,          group_index,      full_match, match,
};

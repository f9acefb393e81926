#include "rego/builtin.h"

/* Every function of builtins.def; they are spread over builtins_*.c. */
#define BUILTIN(name, type, fn, flags)                                                             \
    enum rego_outcome builtin_##fn(struct rego_call *call, const value *args, value *out);
#include "rego/builtins.def"
#undef BUILTIN

#define builtin_NULL NULL
#define BUILTIN(name, type, fn, flags) {name, type, builtin_##fn, flags},
static const struct rego_builtin table[] = {
#include "rego/builtins.def"
};
#undef BUILTIN
#undef builtin_NULL

const struct rego_builtin *rego_builtin_table(size_t *count)
{
    *count = ARRAY_LEN(table);
    return table;
}

const struct rego_builtin *rego_builtin_find(struct str name)
{
    size_t lo = 0;
    size_t hi = ARRAY_LEN(table);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = str_compare(name, str_of(table[mid].name));
        if (order == 0)
            return &table[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* Index of the parenthesis that closes the operands. */
static size_t operands_end(const char *type)
{
    size_t depth = 0;
    for (size_t i = 0; type[i] != '\0'; i++) {
        if (type[i] == '(' || type[i] == '[' || type[i] == '<' || type[i] == '{')
            depth++;
        if ((type[i] == ')' || type[i] == ']' || type[i] == '>' || type[i] == '}') && --depth == 0)
            return i;
    }
    return strlen(type);
}

int rego_type_arity(const char *type)
{
    size_t end = operands_end(type);
    if (end <= 1 || strncmp(type, "(...)", 5) == 0)
        return end <= 1 ? 0 : -1;
    int arity = 1;
    size_t depth = 0;
    for (size_t i = 0; i < end; i++) {
        if (type[i] == '(' || type[i] == '[' || type[i] == '<' || type[i] == '{')
            depth++;
        if (type[i] == ')' || type[i] == ']' || type[i] == '>' || type[i] == '}')
            depth--;
        if (type[i] == ',' && depth == 1)
            arity++;
    }
    return arity;
}

bool rego_type_has_result(const char *type)
{
    const char *rest = type + operands_end(type);
    if (*rest == ')')
        rest++;
    while (*rest == ' ')
        rest++;
    return *rest != '\0';
}

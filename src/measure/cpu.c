#include "measure/snp.h"

/* Versions of a processor in QEMU ("-v2") differ in features, not in the signature. */
static const struct {
    const char *name;
    uint32_t family, model, stepping;
} cpus[] = {
    {"EPYC", 23, 1, 2},           {"EPYC-v1", 23, 1, 2},        {"EPYC-v2", 23, 1, 2},
    {"EPYC-v3", 23, 1, 2},        {"EPYC-v4", 23, 1, 2},        {"EPYC-v5", 23, 1, 2},
    {"EPYC-IBPB", 23, 1, 2},      {"EPYC-Rome", 23, 49, 0},     {"EPYC-Rome-v1", 23, 49, 0},
    {"EPYC-Rome-v2", 23, 49, 0},  {"EPYC-Rome-v3", 23, 49, 0},  {"EPYC-Rome-v4", 23, 49, 0},
    {"EPYC-Rome-v5", 23, 49, 0},  {"EPYC-Milan", 25, 1, 1},     {"EPYC-Milan-v1", 25, 1, 1},
    {"EPYC-Milan-v2", 25, 1, 1},  {"EPYC-Milan-v3", 25, 1, 1},  {"EPYC-Genoa", 25, 17, 0},
    {"EPYC-Genoa-v1", 25, 17, 0}, {"EPYC-Genoa-v2", 25, 17, 0}, {"EPYC-Turin", 26, 0, 0},
    {"EPYC-Turin-v1", 26, 0, 0},
};

uint32_t cpu_signature(uint32_t family, uint32_t model, uint32_t stepping)
{
    uint32_t low = family > 15 ? 15 : family;
    uint32_t high = family > 15 ? (family - 15) & 0xff : 0;
    return high << 20 | (model >> 4 & 15) << 16 | low << 8 | (model & 15) << 4 | (stepping & 15);
}

enum status cpu_signature_by_name(struct str name, uint32_t *out)
{
    for (size_t i = 0; i < ARRAY_LEN(cpus); i++)
        if (str_is(name, cpus[i].name)) {
            *out = cpu_signature(cpus[i].family, cpus[i].model, cpus[i].stepping);
            return OK;
        }
    return ERR_NOT_FOUND;
}

const char *cpu_name_at(size_t i)
{
    return i < ARRAY_LEN(cpus) ? cpus[i].name : NULL;
}

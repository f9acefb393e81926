/*
 * Places: constant paths into input and the base documents.
 *
 * Policies read the same few members again and again, input.snp.tpm.pcr03 beside
 * input.snp.tpm.pcr08.  What an evaluation has found, it remembers, each step of a
 * path on its own, so that paths share their beginnings.  Only for the documents
 * that the evaluation began with: what `with` changes is looked up each time.
 */
#include "rego/vm.h"

/* As deep as paths are long: PATH_MAX_KEYS. */
static value find(struct rego_ctx *ctx, value *known, uint32_t at)
{
    const struct prog_place *place = &ctx->policy->places[at];
    value v;
    if (place->parent == PLACE_NONE)
        v = place->data ? ctx->view->data : ctx->view->input;
    else if (known != NULL && known[place->parent].word != 0)
        v = known[place->parent];
    else
        v = find(ctx, known, place->parent);
    if (value_is_defined(v))
        v = place->data ? vm_document_lookup(ctx, v, place->key, NEAR_PLACE(at))
                        : vm_lookup(ctx, v, place->key, NEAR_PLACE(at));
    if (known != NULL)
        known[at] = v;
    return v;
}

value place_find(struct rego_ctx *ctx, uint32_t place)
{
    if (ctx->view != &ctx->root)
        return find(ctx, NULL, place);
    if (ctx->places == NULL)
        ctx->places = arena_new_array(&ctx->arena, value, ctx->policy->place_count);
    return ctx->places == NULL ? (value){0} : find(ctx, ctx->places, place);
}

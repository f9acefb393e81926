/*
 * What the collateral service reads from outside: records of its folder
 * (collateral_item_parse; collateral_disk_read hands them over), packs of them
 * (collateral_pack_open), names of AMD's
 * items that evidence chose (amd_url_parse) and Intel's sgx_default_qcnl.conf
 * (qcnl_parse).  A record has one text: what is read and written again is the
 * same bytes.  A name that is understood is of hexadecimal and decimal digits
 * only, is asked for on the host that it names, and means what it says when
 * the verifier writes it (HARDEN ver-3).
 */
#include <stdlib.h>

#include "collateral/item.h"
#include "collateral/pack.h"
#include "collateral/sources.h"
#include "net/fetch.h"
#include "verifier/dcap/intel_url.h"
#include "verifier/snp/amd_item.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

static void try_pack(struct str in, const struct collateral_item *item);

static void try_record(struct str in)
{
    struct collateral_item item;
    if (collateral_item_parse(in, &item, NULL) != OK) {
        try_pack(in, NULL);
        return;
    }
    try_pack(in, &item);
    CLEANUP(buf_done) struct buf again;
    buf_init(&again, in.len + 1);
    collateral_item_write(&again, &item);
    PROPERTY(buf_status(&again) == OK && str_equal(buf_str(&again), in));
    PROPERTY(item.url.len <= COLLATERAL_URL_MAX && item.chain.len <= COLLATERAL_CHAIN_MAX &&
             item.body.len <= COLLATERAL_BODY_MAX);
}

/* A pack opens with what was put into it, and with no byte of it changed. */
static void try_pack(struct str in, const struct collateral_item *item)
{
    static struct privkey *key; /* for the life of the process */
    uint8_t seed[32] = {1};
    if (key == NULL &&
        privkey_from_raw(KEY_ED25519, str_bytes(seed, sizeof(seed)), &key, NULL) != OK)
        abort();
    const struct pubkey *public = privkey_public(key);
    struct collateral_pack p;
    PROPERTY(collateral_pack_open(in, public, &p, NULL) != OK); /* whoever wrote it has no key */
    if (item == NULL)
        return;
    CLEANUP(buf_done) struct buf pack;
    buf_init(&pack, COLLATERAL_PACK_MAX);
    const struct collateral_item items[] = {*item, *item};
    PROPERTY(collateral_pack_write(&pack, items, 2, item->fetched_s, key, NULL) == OK);
    PROPERTY(collateral_pack_open(buf_str(&pack), public, &p, NULL) == OK && p.count == 2);
    struct collateral_item back;
    for (int i = 0; i < 2; i++)
        PROPERTY(collateral_pack_next(&p, &back) && str_equal(back.url, item->url) &&
                 str_equal(back.chain, item->chain) && str_equal(back.body, item->body));
    PROPERTY(!collateral_pack_next(&p, &back));
    pack.ptr[in.len * 7919 % pack.len] ^= 1;
    PROPERTY(collateral_pack_open(buf_str(&pack), public, &p, NULL) != OK);
}

static void try_name(struct str url)
{
    struct amd_name n, back;
    if (!amd_url_parse(url, &n) || n.item != AMD_VCEK)
        return;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 65536);
    uint8_t chip[64] = {0};
    memcpy(chip, n.chip_id, n.chip_id_len);
    const struct snp_report r = {.chip_id = str_bytes(chip, 64), .reported = n.tcb};
    struct str written = amd_vcek_url(&a, STR("https://k"), &r, n.generation);
    PROPERTY(amd_url_parse(written, &back));
    PROPERTY(fetch_url_allowed(written, STR("https://k/")));
    PROPERTY(back.generation == n.generation && back.chip_id_len == n.chip_id_len &&
             memcmp(back.chip_id, n.chip_id, n.chip_id_len) == 0 &&
             memcmp(&back.tcb, &n.tcb, sizeof(n.tcb)) == 0);
    PROPERTY(collateral_kind_of(url) == COLLATERAL_VCEK);
}

static void try_qcnl(struct str text)
{
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1024 * 1024);
    struct str service = STR_EMPTY;
    bool secure = true;
    if (qcnl_parse(&a, text, &service, &secure, NULL) == OK && service.len > 0)
        PROPERTY(str_has_prefix(service, STR("file:///")) ||
                 fetch_url_is_valid(intel_url_base(service)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_bytes(data, size > 65536 ? 65536 : size);
    try_record(in);
    try_name(in);
    try_qcnl(in);
    return 0;
}

/*
 * kbs_config_parse() on any text, as TOML, YAML or JSON by its first byte.
 *
 * Through it: document_parse().
 *
 * Property: a refusal names the file; what is accepted has listeners, a known
 * admin mode with what that mode needs, and reads the same a second time.
 */
#include <stdlib.h>

#include "kbs/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"f.toml", "f.yaml", "f.json"};

static void warn(void *user, const char *text)
{
    if (text[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *name = names[data[0] % 3];
    struct str text = str_bytes(data + 1, size - 1);
    struct error err = ERROR_INIT;
    CLEANUP(kbs_config_cleanup) struct kbs_config *c = NULL;
    enum status st = kbs_config_parse(str_of(name), text, warn, NULL, &c, &err);
    if (st != OK) {
        if (c != NULL || strstr(err.text, name) == NULL)
            abort();
        return 0;
    }
    if (c->sockets.len == 0 || c->protocols.len == 0)
        abort();
    if (c->admin_mode == ADMIN_OLD_KEY && c->auth_public_key.len == 0)
        abort();
    if (c->admin_mode == ADMIN_BEARER && c->provider_count == 0)
        abort();
    CLEANUP(kbs_config_cleanup) struct kbs_config *again = NULL;
    if (kbs_config_parse(str_of(name), text, NULL, NULL, &again, NULL) != OK ||
        again->era != c->era || again->admin_mode != c->admin_mode ||
        !value_equal(again->root, c->root))
        abort();
    return 0;
}

/*
 * URLs and the list of allowed ones.  Input: a prefix, a line feed, a URL.  An
 * allowed URL has the prefix's scheme and host in front, byte for byte but for
 * case and a default port; what is below it is allowed as well; and nothing
 * that is allowed holds a dot segment or a byte that parsers take differently.
 */
#include <stdlib.h>

#include "net/fetch.h"
#include "net/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROPERTY(cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

/* "https://host" in front of the port or the path. */
static struct str origin(struct str url)
{
    size_t start = str_find(url, ':', 0) + 3;
    size_t end = start;
    bool v6 = start < url.len && url.ptr[start] == '[';
    while (end < url.len && url.ptr[end] != '/' && (v6 || url.ptr[end] != ':')) {
        v6 = v6 && url.ptr[end] != ']';
        end++;
    }
    return str_slice(url, 0, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_bytes(data, size > 4096 ? 4096 : size);
    size_t lf = str_find(in, '\n', 0);
    struct str prefix = str_slice(in, 0, lf), url = str_from(in, lf + 1);
    PROPERTY(!fetch_url_allowed(prefix, prefix) || fetch_url_is_valid(prefix));
    if (!fetch_url_allowed(url, prefix))
        return 0;

    PROPERTY(fetch_url_is_valid(url) && fetch_url_is_valid(prefix));
    PROPERTY(fetch_url_allowed(prefix, prefix));
    PROPERTY(http_equal_nocase(origin(url), origin(prefix)));
    for (size_t i = 0; i < url.len; i++)
        PROPERTY(url.ptr[i] > 0x20 && url.ptr[i] < 0x7f && url.ptr[i] != '\\' && url.ptr[i] != '#');
    PROPERTY(memchr(origin(url).ptr, '@', origin(url).len) == NULL);

    struct str path = str_slice(url, 0, str_find(url, '?', 0));
    PROPERTY(memmem(path.ptr, path.len, "/../", 4) == NULL);
    PROPERTY(!str_has_suffix(path, STR("/..")) && !str_has_suffix(path, STR("/.")));

    CLEANUP(buf_done) struct buf below;
    buf_init(&below, FETCH_URL_MAX);
    buf_add(&below, path);
    buf_add(&below, STR("/x"));
    PROPERTY(buf_status(&below) != OK || fetch_url_allowed(buf_str(&below), prefix));
    return 0;
}

#include "virtualtee/fault.h"

void edit_replace(struct buf *b, const char *text)
{
    buf_reset(b);
    buf_add_cstr(b, text);
}

void edit_flip(struct buf *b, size_t offset)
{
    if (offset < b->len)
        b->ptr[offset] = (char)(b->ptr[offset] ^ 1);
}

void edit_store_le32(struct buf *b, size_t offset, uint32_t n)
{
    if (offset + 4 <= b->len)
        store_le32(b->ptr + offset, n);
}

char *edit_behind(struct buf *b, const char *mark)
{
    size_t n = strlen(mark);
    char *at = b->len > 0 ? memmem(b->ptr, b->len, mark, n) : NULL;
    return at != NULL && at + n < b->ptr + b->len ? at + n : NULL;
}

void edit_exchange(struct buf *b, const char *from, const char *to)
{
    size_t old = strlen(from), new = strlen(to);
    char *at = b->len > 0 ? memmem(b->ptr, b->len, from, old) : NULL;
    if (at == NULL)
        return;
    size_t offset = (size_t)(at - b->ptr);
    if (new > old && !buf_reserve(b, new - old))
        return;
    at = b->ptr + offset;
    memmove(at + new, at + old, b->len - offset - old);
    memcpy(at, to, new);
    b->len = b->len - old + new;
}

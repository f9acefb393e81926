#include "virtualtee/plain_http.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/http_head.h"

#define HEAD_MAX (64 * 1024)
#define READ_STEP (16 * 1024)

/* ---- URL ---- */

static STATUS take(struct str s, char **out, struct error *err)
{
    *out = strndup(s.ptr, s.len);
    return *out == NULL ? error_nomem(err) : OK;
}

/* http://HOST[:PORT][/PREFIX], HOST perhaps in brackets. */
static STATUS parse_url(struct plain_http *h, struct str url, struct error *err)
{
    if (!str_has_prefix(url, STR("http://"))) {
        error_set(err, "URL \"%s\" is not http://", QUOTED(url));
        return str_has_prefix(url, STR("https://")) ? ERR_UNSUPPORTED : ERR_INVALID;
    }
    url = str_from(url, strlen("http://"));
    size_t slash = str_find(url, '/', 0);
    struct str authority = str_slice(url, 0, slash), prefix = str_from(url, slash);
    while (str_has_suffix(prefix, STR("/")))
        prefix.len--;

    struct str host = authority, port = STR("80");
    size_t from = str_has_prefix(authority, STR("[")) ? str_find(authority, ']', 0) : 0;
    size_t colon = str_find(authority, ':', from);
    if (colon < authority.len) {
        host = str_slice(authority, 0, colon);
        port = str_from(authority, colon + 1);
    }
    if (from > 0 && host.len >= 2)
        host = str_slice(host, 1, host.len - 2);
    if (host.len == 0 || port.len == 0) {
        error_set(err, "URL has no host or an empty port");
        return ERR_INVALID;
    }

    enum status st = take(host, &h->host, err);
    if (st == OK)
        st = take(port, &h->port, err);
    return st == OK ? take(prefix, &h->prefix, err) : st;
}

/* ---- connection ---- */

static void disconnect(struct plain_http *h)
{
    if (h->connected)
        close(h->fd);
    h->connected = h->used = false;
    buf_reset(&h->in);
}

static STATUS connect_to(struct plain_http *h, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(h->host, h->port, &hints, &list);
    if (rc != 0) {
        error_set(err, "could not resolve \"%s\": %s", QUOTED(str_of(h->host)), gai_strerror(rc));
        return ERR_UNAVAILABLE;
    }

    int saved = 0;
    for (const struct addrinfo *ai = list; ai != NULL && !h->connected; ai = ai->ai_next) {
        int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
        const struct timeval timeout = {.tv_sec = PLAIN_TIMEOUT_S};
        if (fd >= 0) {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        }
        if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
            h->fd = fd;
            h->connected = true;
        } else {
            saved = errno;
            if (fd >= 0)
                close(fd);
        }
    }
    freeaddrinfo(list);
    if (h->connected)
        return OK;
    status_ignore(error_errno(err, saved, "could not connect to %s port %s", h->host, h->port));
    return ERR_UNAVAILABLE;
}

/* True when everything left; a peer that has gone is for the reader to find out. */
static bool send_all(int fd, struct str head, struct str body)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)head.ptr, head.len},
                             {(void *)(uintptr_t)body.ptr, body.len}};
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        const struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        for (int i = 0; i < 2 && n > 0; i++) {
            size_t step = (size_t)n < parts[i].iov_len ? (size_t)n : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + step;
            parts[i].iov_len -= step;
            n -= (ssize_t)step;
        }
    }
    return true;
}

/* More bytes into h->in; false at the end or after an error. */
static bool receive(struct plain_http *h)
{
    if (!buf_reserve(&h->in, READ_STEP))
        return false;
    ssize_t n;
    do {
        n = recv(h->fd, h->in.ptr + h->in.len, READ_STEP, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        h->in.len += (size_t)n;
    return n > 0;
}

/* ---- answer ---- */

/* Take the cookie of that name out of the jar. */
static void drop_cookie(struct plain_http *h, struct str name)
{
    char *p = h->cookies;
    while (*p != '\0') {
        char *end = strstr(p, "; ");
        char *next = end != NULL ? end + 2 : p + strlen(p);
        if (strncmp(p, name.ptr, name.len) == 0 && p[name.len] == '=') {
            memmove(p, next, strlen(next) + 1);
            break;
        }
        p = next;
    }
    size_t len = strlen(h->cookies);
    if (len >= 2 && strcmp(h->cookies + len - 2, "; ") == 0)
        h->cookies[len - 2] = '\0';
}

/* "name=value; attributes": attributes are not looked at, a session is shorter than any. */
static void take_cookie(struct plain_http *h, struct str cookie)
{
    cookie.len = str_find(cookie, ';', 0);
    size_t eq = str_find(cookie, '=', 0);
    if (eq == 0 || eq == cookie.len)
        return;
    drop_cookie(h, str_slice(cookie, 0, eq));
    size_t len = strlen(h->cookies), separator = len > 0 ? 2 : 0;
    if (len + separator + cookie.len >= sizeof(h->cookies))
        return;
    memcpy(h->cookies + len, "; ", separator);
    memcpy(h->cookies + len + separator, cookie.ptr, cookie.len);
    h->cookies[len + separator + cookie.len] = '\0';
}

static void take_headers(struct plain_http *h, const struct http_head *head,
                         struct guest_answer *out)
{
    out->status = head->status;
    struct str id = http_head_get(head, "x-decision-id");
    if (id.ptr != NULL && id.len == GUEST_DECISION_LEN)
        memcpy(out->decision, id.ptr, id.len);
    for (size_t i = 0; i < head->field_count; i++) {
        struct str name = head->fields[i].name;
        if (name.len == strlen("set-cookie") && strncasecmp(name.ptr, "set-cookie", name.len) == 0)
            take_cookie(h, head->fields[i].value);
    }
}

static bool read_body(struct plain_http *h, const struct http_head *head, size_t used,
                      struct guest_answer *out)
{
    if (head->chunked) {
        struct http_chunked chunked;
        http_chunked_init(&chunked);
        for (;;) {
            size_t n = 0;
            enum http_parse p =
                http_chunked_feed(&chunked, str_from(buf_str(&h->in), used), &n, &out->body);
            used += n;
            if (p == HTTP_PARSE_DONE)
                return true;
            if (p != HTTP_PARSE_MORE || !receive(h))
                return false;
        }
    }

    uint64_t length = head->has_length ? head->length : 0;
    if (length > GUEST_ANSWER_MAX)
        return false;
    while (h->in.len - used < length) {
        if (!receive(h))
            return false;
    }
    buf_add(&out->body, str_slice(buf_str(&h->in), used, (size_t)length));
    return buf_status(&out->body) == OK;
}

/* One request and its answer on the present connection. */
static bool exchange(struct plain_http *h, struct str body, struct guest_answer *out)
{
    buf_reset(&h->in);
    if (!send_all(h->fd, buf_str(&h->head), body))
        return false;

    struct http_head head;
    size_t scan = 0, used = 0;
    enum http_parse p;
    while ((p = http_head_parse_response(buf_str(&h->in), &scan, &head, &used)) ==
           HTTP_PARSE_MORE) {
        if (!receive(h))
            return false;
    }
    if (p != HTTP_PARSE_DONE)
        return false;
    take_headers(h, &head, out); /* before the body: reading it may move the buffer */
    if (!read_body(h, &head, used, out))
        return false;
    h->used = true;
    if (!head.keep_alive)
        disconnect(h);
    return true;
}

static void write_head(struct plain_http *h, const char *method, const char *path,
                       struct str bearer, struct str body)
{
    struct buf *b = &h->head;
    buf_reset(b);
    buf_add_format(b, "%s %s%s HTTP/1.1\r\nHost: %s:%s\r\nAccept: */*\r\n", method, h->prefix, path,
                   h->host, h->port);
    if (h->cookies[0] != '\0')
        buf_add_format(b, "Cookie: %s\r\n", h->cookies);
    if (bearer.len > 0) {
        buf_add_cstr(b, "Authorization: Bearer ");
        buf_add(b, bearer);
        buf_add_cstr(b, "\r\n");
    }
    if (body.ptr != NULL)
        buf_add_format(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    buf_add_cstr(b, "\r\n");
}

static enum status send_plain(void *user, const char *method, const char *path, struct str bearer,
                              struct str body, struct guest_answer *out, struct error *err)
{
    struct plain_http *h = user;
    write_head(h, method, path, bearer, body);
    enum status st = buf_status(&h->head);
    if (st != OK) {
        error_set(err, "could not write the request: %s", status_name(st));
        return st;
    }

    /* A kept connection may have been closed meanwhile: then once more on a new one. */
    for (;;) {
        bool kept = h->connected && h->used;
        if (!h->connected) {
            st = connect_to(h, err);
            if (st != OK)
                return st;
        }
        if (exchange(h, body.ptr == NULL ? STR_EMPTY : body, out))
            return OK;
        bool silent = h->in.len == 0;
        disconnect(h);
        if (!kept || !silent) {
            error_set(err, "no whole answer from %s port %s", h->host, h->port);
            return ERR_UNAVAILABLE;
        }
        buf_reset(&out->body);
    }
}

STATUS plain_http_init(struct plain_http *h, const char *url, struct error *err)
{
    *h = (struct plain_http){.connected = false};
    buf_init(&h->in, GUEST_ANSWER_MAX + HEAD_MAX);
    buf_init(&h->head, HEAD_MAX);
    enum status st = parse_url(h, str_of(url), err);
    if (st != OK) {
        plain_http_done(h);
        return st;
    }
    h->transport = (struct guest_transport){.send = send_plain, .user = h};
    return OK;
}

void plain_http_done(struct plain_http *h)
{
    disconnect(h);
    buf_done(&h->in);
    buf_done(&h->head);
    free(h->host);
    free(h->port);
    free(h->prefix);
    *h = (struct plain_http){.connected = false};
}

void plain_http_forget(struct plain_http *h)
{
    h->cookies[0] = '\0';
}

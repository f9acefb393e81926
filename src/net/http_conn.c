#include <stdlib.h>
#include <unistd.h>

#include "net/server_internal.h"

/*
 *                 +------------------- next request -------------------+
 *                 v                                                    |
 *  HANDSHAKE -> READ -> BODY -> (quick) ---------------------------> WRITE -> CLOSE -> freed
 *                 |       |        +--> WORK -- worker -- inbox -------^
 *                 +-------+ refused: 400, 408, 413, 431, 501, 503, 505 +
 *
 * conn_drive() steps through the states until it has to wait.  Each step says
 * what comes next; only the driver and conn_close() free a connection.
 */
enum step {
    STEP_ON,    /* another step */
    STEP_WAIT,  /* for the event that has been asked for */
    STEP_CLOSE, /* it is over */
};

/* A read takes no more than READ_AHEAD beyond what is needed: a pipelined request moves what is
 * behind it. */
#define READ_MIN 4096 /* room for one read */
#define READ_AHEAD 16384
#define REQUESTS_A_TURN 32 /* pipelined ones; then the others of the loop have theirs */

static void end_request(struct conn *c, bool answered);

/* ---- waiting ---- */

static void set_reading(struct conn *c, bool on)
{
    if (c->read_on == on)
        return;
    c->read_on = on;
    if (on)
        event_add(&c->read_event, NULL);
    else
        event_del(&c->read_event);
}

static enum step wait_readable(struct conn *c)
{
    set_reading(c, true);
    return STEP_WAIT;
}

static enum step wait_writable(struct conn *c)
{
    return event_add(&c->write_event, NULL) == 0 ? STEP_WAIT : STEP_CLOSE;
}

static enum step wait_for(struct conn *c, enum io io, bool reading)
{
    switch (io) {
    case IO_OK:
        return STEP_ON;
    case IO_AGAIN:
        return reading ? wait_readable(c) : wait_writable(c);
    case IO_WANT_READ:
        return wait_readable(c);
    case IO_WANT_WRITE:
        return wait_writable(c);
    default:
        return STEP_CLOSE;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    struct conn *c = user;
    c->drained = false;
    if (c->state == CONN_WORK || c->state == CONN_WRITE) {
        /* More than we asked for: it waits in the socket, and the loop need not tell us again.
         * A TLS write that waits for the peer's message goes on, though. */
        set_reading(c, false);
        if (c->state == CONN_WORK || c->ssl == NULL)
            return;
    }
    conn_drive(c);
}

static void on_writable(evutil_socket_t fd, short what, void *user)
{
    conn_drive(user);
}

/* ---- answers ---- */

static enum step begin_answer(struct conn *c)
{
    answer_prepare(c->ex, c->reactor);
    c->state = CONN_WRITE;
    return STEP_ON;
}

static enum step refuse(struct conn *c, int status)
{
    answer_refuse(c->ex, status);
    atomic_fetch_add_explicit(&c->reactor->refused, 1, memory_order_relaxed);
    return begin_answer(c);
}

static enum step begin_close(struct conn *c)
{
    /*
     * Not close() at once: it would send a reset if bytes of the peer are
     * unread, and a reset may overtake the answer (RFC 9112, 9.6).
     */
    io_shutdown(c);
    c->state = CONN_CLOSE;
    reactor_arm(c->reactor, &c->deadline, DEADLINE_CLOSE);
    return STEP_ON;
}

static enum step step_write(struct conn *c)
{
    struct exchange *ex = c->ex;
    bool progress = c->deadline.kind != DEADLINE_WRITE;
    for (;;) {
        struct str head = str_from(buf_str(&ex->wire), ex->sent);
        struct str body = buf_str(&ex->x.out);
        if (ex->sent > ex->wire.len)
            body = str_from(body, ex->sent - ex->wire.len);
        if (head.len + body.len == 0)
            break;

        size_t n = 0;
        enum io io = io_write(c, head.len > 0 ? head : body, head.len > 0 ? body : STR_EMPTY, &n);
        if (io != IO_OK) {
            /* Most answers fit the socket's buffer and never come here. */
            if (progress)
                reactor_arm(c->reactor, &c->deadline, DEADLINE_WRITE);
            return wait_for(c, io, false);
        }
        ex->sent += n;
        progress = true;
    }

    bool closing = ex->x.close;
    end_request(c, true);
    if (closing)
        return begin_close(c);
    c->state = CONN_READ;
    return STEP_ON;
}

static enum step step_close(struct conn *c)
{
    enum io io = io_discard(c);
    return io == IO_OK ? wait_readable(c) : wait_for(c, io, true);
}

/* ---- requests ---- */

/* What the head said, for whoever looks at the exchange; valid while `in` stays where it is. */
static void show_head(struct conn *c)
{
    struct http_exchange *x = &c->ex->x;
    x->head = &c->ex->head;
    x->method = http_method_of(x->head->method);
    x->target = x->head->target;
    size_t mark = str_find(x->target, '?', 0);
    x->path = str_slice(x->target, 0, mark);
    x->query = str_from(x->target, mark + 1);
    x->peer = (struct str){c->peer, c->peer_len};
    x->tls = c->ssl != NULL;
}

static void tell_refused(struct conn *c)
{
    const struct http_handler *h = &c->reactor->server->handler;
    struct exchange *ex = c->ex;
    size_t scan = 0, used;
    if (h->refused == NULL)
        return;
    /* Read once more: `in` may have moved since, and most that is refused was not read at all. */
    if (ex->head_len > 0 && http_head_parse_request(str_slice(buf_str(&ex->in), 0, ex->head_len),
                                                    &scan, &ex->head, &used) == HTTP_PARSE_DONE) {
        show_head(c);
    } else {
        ex->x.head = NULL;
        ex->x.peer = (struct str){c->peer, c->peer_len};
        ex->x.tls = c->ssl != NULL;
    }
    h->refused(h->user, &ex->x);
}

/* Tell the handler that its exchange is over, and make room for the next. */
static void end_request(struct conn *c, bool answered)
{
    struct exchange *ex = c->ex;
    const struct http_handler *h = &c->reactor->server->handler;
    if (ex->refused)
        tell_refused(c);
    else if (ex->x.status != 0 && h->done != NULL)
        h->done(h->user, &ex->x, ex->sent);

    size_t rest = ex->in.len - ex->taken;
    if (!answered || ex->x.close || rest == 0) {
        c->ex = NULL;
        reactor_give_exchange(c->reactor, ex);
        if (answered)
            reactor_arm(c->reactor, &c->deadline, DEADLINE_IDLE);
        return;
    }

    /* What was pipelined moves to the front; what it leaves behind is wiped. */
    memmove(ex->in.ptr, ex->in.ptr + ex->taken, rest);
    explicit_bzero(ex->in.ptr + rest, ex->taken);
    ex->in.len = rest;
    exchange_reset(ex);
    reactor_disarm(&c->deadline); /* that of writing, perhaps; step_read() sets its own */
}

static enum step dispatch(struct conn *c, struct str body)
{
    struct exchange *ex = c->ex;
    struct http_exchange *x = &ex->x;

    /* Slices of the head point into `in`, which may have moved while the body came. */
    if (ex->parsed_at != ex->in.ptr) {
        size_t scan = 0, used;
        if (http_head_parse_request(buf_str(&ex->in), &scan, &ex->head, &used) != HTTP_PARSE_DONE)
            return refuse(c, 400);
        ex->parsed_at = ex->in.ptr;
    }
    reactor_disarm(&c->deadline);

    show_head(c);
    x->body = body;
    x->status = 500; /* of a handler that sets none */
    atomic_fetch_add_explicit(&c->reactor->requests, 1, memory_order_relaxed);

    const struct http_handler *h = &c->reactor->server->handler;
    if (h->quick(h->user, x) == HTTP_ANSWER)
        return begin_answer(c);
    c->state = CONN_WORK;
    workers_push(c->reactor->server->workers, ex);
    return STEP_WAIT;
}

/* RFC 9110, 10.1.1: the client waits for this before it sends the body. */
static enum step send_continue(struct conn *c)
{
    static const struct str text = STR("HTTP/1.1 100 Continue\r\n\r\n");
    size_t n;
    if (io_write(c, text, STR_EMPTY, &n) != IO_OK || n != text.len)
        return STEP_CLOSE; /* 25 bytes do not fit: the peer has not read what it asked for before */
    return STEP_ON;
}

static enum step head_complete(struct conn *c, size_t used)
{
    struct exchange *ex = c->ex;
    const struct http_limits *limits = &c->reactor->server->limits;
    ex->head_len = ex->taken = used;
    ex->parsed_at = ex->in.ptr;
    ex->x.start_ns = clock_monotonic_ns();

    if (used > limits->head_max)
        return refuse(c, 431);
    if (!ex->head.chunked && ex->head.length > limits->body_max)
        return refuse(c, 413); /* without reading it */
    if (!ex->head.chunked && ex->head.length == 0)
        return dispatch(c, STR_EMPTY);

    http_chunked_init(&ex->chunked);
    c->state = CONN_BODY;
    reactor_arm(c->reactor, &c->deadline, DEADLINE_BODY);
    if (ex->head.expect_continue && ex->in.len == used)
        return send_continue(c);
    return STEP_ON;
}

/* Read into `in`; `want` is a hint.  STEP_ON: there is more now, or the end is reached. */
static enum step read_more(struct conn *c, size_t want)
{
    struct exchange *ex = c->ex;
    if (c->drained)
        return wait_readable(c);
    if (!buf_reserve(&ex->in, want < READ_MIN ? READ_MIN : want))
        return STEP_CLOSE;
    if (!exchange_charge(ex, c->reactor->server))
        return refuse(c, 503);

    size_t n = 0, room = ex->in.cap - ex->in.len;
    size_t most = want < READ_AHEAD ? READ_AHEAD : want;
    enum io io = io_read(c, ex->in.ptr + ex->in.len, room < most ? room : most, &n);
    ex->in.len += n;
    if (io != IO_OK)
        c->drained = io == IO_AGAIN;
    return wait_for(c, io, true); /* an end in the middle of a request: nobody to answer */
}

static enum step body_by_length(struct conn *c)
{
    struct exchange *ex = c->ex;
    size_t have = ex->in.len - ex->head_len, length = (size_t)ex->head.length;
    if (have >= length) {
        ex->taken = ex->head_len + length;
        return dispatch(c, str_slice(buf_str(&ex->in), ex->head_len, length));
    }
    /* Memory grows with what has come, not with what was announced. */
    size_t want = length - have;
    return read_more(c, want > ex->in.len ? ex->in.len : want);
}

static enum step body_by_chunks(struct conn *c)
{
    struct exchange *ex = c->ex;
    size_t used = 0;
    enum http_parse st = HTTP_PARSE_MORE;
    if (ex->in.len > ex->head_len) {
        st = http_chunked_feed(&ex->chunked, str_from(buf_str(&ex->in), ex->head_len), &used,
                               &ex->body);
        /* The head stays in front, since slices point into it. */
        size_t rest = ex->in.len - ex->head_len - used;
        memmove(ex->in.ptr + ex->head_len, ex->in.ptr + ex->head_len + used, rest);
        explicit_bzero(ex->in.ptr + ex->head_len + rest, used);
        ex->in.len = ex->head_len + rest;
    }
    switch (st) {
    case HTTP_PARSE_DONE:
        return dispatch(c, buf_str(&ex->body));
    case HTTP_PARSE_MORE:
        return read_more(c, READ_MIN);
    case HTTP_PARSE_LARGE:
        return refuse(c, 413);
    case HTTP_PARSE_NOMEM:
        return refuse(c, 500);
    default:
        return refuse(c, 400);
    }
}

static enum step step_read(struct conn *c)
{
    struct exchange *ex = c->ex;
    if (ex == NULL) {
        if (c->drained && !c->reactor->draining)
            return wait_readable(c);
        ex = c->ex = reactor_take_exchange(c->reactor);
        if (ex == NULL)
            return STEP_CLOSE;
        ex->conn = c;
    }

    if (ex->in.len > ex->scan_from) {
        size_t used = 0;
        switch (http_head_parse_request(buf_str(&ex->in), &ex->scan_from, &ex->head, &used)) {
        case HTTP_PARSE_DONE:
            return head_complete(c, used);
        case HTTP_PARSE_MORE:
            if (c->deadline.kind != DEADLINE_HEAD) /* its first bytes */
                reactor_arm(c->reactor, &c->deadline, DEADLINE_HEAD);
            break;
        case HTTP_PARSE_VERSION:
            return refuse(c, 505);
        case HTTP_PARSE_METHOD:
            return refuse(c, 501);
        case HTTP_PARSE_LARGE:
            return refuse(c, 431);
        default:
            return refuse(c, 400);
        }
        if (ex->in.len >= c->reactor->server->limits.head_max)
            return refuse(c, 431);
    }

    if (ex->in.len == 0 && c->reactor->draining)
        c->drained = false; /* a request may have come at the last moment: one look */
    enum step next = read_more(c, ex->in.len);
    if (next == STEP_WAIT && ex->in.len == 0) {
        /* Idle after all: the exchange, and its memory, are for others. */
        c->ex = NULL;
        reactor_give_exchange(c->reactor, ex);
        if (c->reactor->draining)
            return STEP_CLOSE;
    }
    return next;
}

static enum step step_handshake(struct conn *c)
{
    enum io io = io_handshake(c);
    if (io != IO_OK)
        return wait_for(c, io, true);
    c->state = CONN_READ;
    return STEP_ON;
}

static enum step step(struct conn *c)
{
    switch (c->state) {
    case CONN_HANDSHAKE:
        return step_handshake(c);
    case CONN_READ:
        return step_read(c);
    case CONN_BODY:
        return c->ex->head.chunked ? body_by_chunks(c) : body_by_length(c);
    case CONN_WORK:
        return STEP_WAIT;
    case CONN_WRITE:
        return step_write(c);
    case CONN_CLOSE:
        return step_close(c);
    }
    return STEP_CLOSE;
}

void conn_drive(struct conn *c)
{
    int answers = 0;
    for (;;) {
        enum conn_state before = c->state;
        switch (step(c)) {
        case STEP_WAIT:
            return;
        case STEP_CLOSE:
            conn_close(c);
            return;
        case STEP_ON:
            break;
        }
        if (before == CONN_WRITE && c->state == CONN_READ && ++answers == REQUESTS_A_TURN) {
            event_active(&c->write_event, EV_WRITE, 0);
            return;
        }
    }
}

/* ---- beginning and end ---- */

void conn_start(struct conn *c, struct reactor *r)
{
    c->reactor = r;
    c->prev = NULL;
    c->next = r->conns;
    if (r->conns != NULL)
        r->conns->prev = c;
    r->conns = c;
    r->conn_count++;
    if (r->conn_count > r->conn_peak)
        r->conn_peak = r->conn_count;
    atomic_fetch_add_explicit(&r->accepted, 1, memory_order_relaxed);

    c->deadline.kind = DEADLINE_NONE;
    event_assign(&c->read_event, r->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->write_event, r->base, c->fd, EV_WRITE, on_writable, c);
    reactor_arm(r, &c->deadline, DEADLINE_HEAD);
    c->state = c->ssl != NULL ? CONN_HANDSHAKE : CONN_READ;
    conn_drive(c);
}

void conn_close(struct conn *c)
{
    struct reactor *r = c->reactor;
    reactor_disarm(&c->deadline);
    set_reading(c, false);
    event_del(&c->write_event);
    if (c->ex != NULL)
        end_request(c, false);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        r->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    r->conn_count--;
    atomic_fetch_add_explicit(&r->closed, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&r->active, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&r->server->active, 1, memory_order_relaxed);

    SSL_free(c->ssl);
    close(c->fd);
    free(c);
    reactor_left(r);
}

void conn_expired(struct conn *c)
{
    enum deadline_kind kind = c->deadline.kind;
    reactor_disarm(&c->deadline); /* or the caller would find it again */
    if (kind == DEADLINE_HEAD && c->state == CONN_READ) {
        /* kbs.md 2.1: also where not one byte came since the connection was accepted. */
        if (c->ex == NULL) {
            c->ex = reactor_take_exchange(c->reactor);
            if (c->ex != NULL)
                c->ex->conn = c;
        }
    }
    bool told = c->ex != NULL && (c->state == CONN_READ || c->state == CONN_BODY);
    if (!told || refuse(c, 408) != STEP_ON) {
        conn_close(c);
        return;
    }
    conn_drive(c);
}

void conn_worked(struct conn *c)
{
    begin_answer(c);
    conn_drive(c);
}

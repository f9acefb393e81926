#include "virtualtee/guest_http.h"

#include <stdlib.h>

#define HEADERS_MAX (256 * 1024) /* a sealed session cookie is 4 KiB */

static enum status send_http(void *user, const char *method, const char *path, struct str bearer,
                             struct str body, struct guest_answer *out, struct error *err)
{
    struct guest_http *h = user;
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1024 * 1024);
    struct str url = arena_format(&a, "%s%s", h->base, path);
    struct str authorization = arena_format(&a, "Authorization: Bearer %.*s", STR_ARG(bearer));
    if (url.ptr == NULL || authorization.ptr == NULL)
        return error_nomem(err);

    const char *headers[3] = {NULL};
    size_t n = 0;
    if (body.ptr != NULL)
        headers[n++] = "Content-Type: application/json";
    if (bearer.len > 0)
        headers[n++] = authorization.ptr;

    struct http_answer answer = {.status = 0};
    buf_init(&answer.body, GUEST_ANSWER_MAX);
    buf_init(&answer.headers, HEADERS_MAX);
    enum status st = http_client_request(h->client, method, url.ptr, headers,
                                         body.ptr == NULL ? STR_EMPTY : body, &answer, err);
    if (st == OK) {
        struct str id = http_answer_header(&answer, "x-decision-id");
        if (id.ptr != NULL && id.len == GUEST_DECISION_LEN)
            memcpy(out->decision, id.ptr, id.len);
        out->status = answer.status;
        buf_add(&out->body, buf_str(&answer.body));
        st = buf_status(&out->body);
    }
    buf_done(&answer.body);
    buf_done(&answer.headers);
    return st;
}

STATUS guest_http_init(struct guest_http *h, const char *url,
                       const struct http_client_options *options, struct error *err)
{
    *h = (struct guest_http){.client = NULL};
    h->https = str_has_prefix(str_of(url), STR("https://"));
    if (!h->https) {
        enum status st = plain_http_init(&h->plain, url, err);
        h->transport = h->plain.transport;
        return st;
    }

    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    h->base = strndup(url, len);
    if (h->base == NULL)
        return error_nomem(err);
    struct http_client_options own =
        options != NULL ? *options : (struct http_client_options){.ca_file = NULL};
    own.cookies = true;
    enum status st = http_client_new(&own, &h->client, err);
    if (st != OK) {
        guest_http_done(h);
        return st;
    }
    h->transport = (struct guest_transport){.send = send_http, .user = h};
    return OK;
}

void guest_http_done(struct guest_http *h)
{
    plain_http_done(&h->plain);
    h->client = http_client_free(h->client);
    free(h->base);
    h->base = NULL;
}

void guest_http_forget(struct guest_http *h)
{
    if (!h->https)
        plain_http_forget(&h->plain);
}

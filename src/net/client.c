#include "net/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/http_head.h"

#define SYSTEM_ROOTS "/etc/ssl/certs" /* beside a CA file of the caller's */
#define REDIRECTS_MAX 5
#define CONNECT_MS 10000

struct http_client {
    CURL *curl;
    struct http_client_options options;
    char *ca_file, *user_agent;
    bool any_certificate;
    struct http_answer *answer; /* of the request under way */
    char error[CURL_ERROR_SIZE];
};

static size_t on_body(char *data, size_t size, size_t count, void *user);
static size_t on_header(char *data, size_t size, size_t count, void *user);

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static char *copy_or_null(const char *s)
{
    return s == NULL ? NULL : strdup(s);
}

struct http_client *http_client_free(struct http_client *c)
{
    if (c == NULL)
        return NULL;
    curl_easy_cleanup(c->curl);
    free(c->ca_file);
    free(c->user_agent);
    free(c);
    return NULL;
}

static void set_up(struct http_client *c)
{
    CURL *h = c->curl;
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, c->options.follow ? 1L : 0L);
    curl_easy_setopt(h, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h, CURLOPT_USERAGENT, c->user_agent);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    if (c->options.cookies)
        curl_easy_setopt(h, CURLOPT_COOKIEFILE, "");
    if (c->ca_file != NULL) {
        curl_easy_setopt(h, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(h, CURLOPT_CAPATH, SYSTEM_ROOTS);
    }
}

enum status http_client_new(const struct http_client_options *options, struct http_client **out,
                            struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);

    CLEANUP(http_client_cleanup) struct http_client *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return error_nomem(err);
    c->options = *options;
    c->ca_file = copy_or_null(options->ca_file);
    c->user_agent = copy_or_null(options->user_agent == NULL ? "claviger/" CLAVIGER_VERSION
                                                             : options->user_agent);
    c->curl = curl_easy_init();
    if (c->curl == NULL || c->user_agent == NULL ||
        (c->ca_file == NULL && options->ca_file != NULL))
        return error_nomem(err);
    set_up(c);
    *out = TAKE(c);
    return OK;
}

void http_client_set_timeout(struct http_client *c, int timeout_ms)
{
    c->options.timeout_ms = timeout_ms;
}

void http_client_check_server(struct http_client *c, bool check)
{
    c->any_certificate = !check;
}

/* ---- what comes back ---- */

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct http_client *c = user;
    buf_add(&c->answer->body, str_bytes(data, size * count));
    return buf_status(&c->answer->body) == OK ? size * count : 0;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct http_client *c = user;
    struct str line = str_bytes(data, size * count);
    if (str_has_prefix(line, STR("HTTP/"))) {
        /* After a 100 or a redirect another answer begins. */
        buf_reset(&c->answer->headers);
        buf_reset(&c->answer->body);
    }
    buf_add(&c->answer->headers, line);
    return buf_status(&c->answer->headers) == OK ? line.len : 0;
}

struct str http_answer_header(const struct http_answer *a, const char *name)
{
    return http_lines_get(buf_str(&a->headers), name);
}

const char *http_client_redirect(const struct http_client *c)
{
    char *url = NULL;
    return curl_easy_getinfo(c->curl, CURLINFO_REDIRECT_URL, &url) == CURLE_OK ? url : NULL;
}

int64_t http_client_retry_after(const struct http_client *c)
{
    curl_off_t seconds = 0;
    if (curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds < 0)
        return 0;
    return seconds;
}

/* ---- requests ---- */

/* What was asked for, without a query, which may hold what logs must not. */
static struct str url_shown(const char *url)
{
    struct str s = str_of(url);
    return str_slice(s, 0, str_find(s, '?', 0));
}

static enum status explain(struct http_client *c, CURLcode code, const char *url, struct error *err)
{
    const char *why = c->error[0] != '\0' ? c->error : curl_easy_strerror(code);
    enum status st = ERR_UNAVAILABLE;
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        st = ERR_DENIED;
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        st = ERR_INVALID;
        break;
    case CURLE_OUT_OF_MEMORY:
        return error_nomem(err);
    case CURLE_WRITE_ERROR:
        st = buf_status(&c->answer->body) != OK ? buf_status(&c->answer->body)
                                                : buf_status(&c->answer->headers);
        if (st == ERR_NOMEM)
            return error_nomem(err);
        why = "the answer is too large";
        break;
    default:
        break;
    }
    error_set(err, "%s: %s", QUOTED(url_shown(url)), why);
    return st == OK ? ERR_UNAVAILABLE : st;
}

static bool names_field(const char *line, const char *name)
{
    struct str s = str_of(line);
    return http_equal_nocase(str_slice(s, 0, str_find(s, ':', 0)), str_of(name));
}

static void free_list(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

static bool append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

/* The caller's headers; what curl would add of its own accord is taken away. */
static enum status make_headers(const char *const *headers, struct curl_slist **out,
                                struct error *err)
{
    bool typed = false, ok = append(out, "Expect:");
    for (size_t i = 0; ok && headers != NULL && headers[i] != NULL; i++) {
        struct str line = str_of(headers[i]);
        if (!http_is_field_value(line) || str_find(line, ':', 0) == line.len) {
            error_set(err, "malformed header in a request");
            return ERR_INVALID;
        }
        typed |= names_field(headers[i], "content-type");
        ok = append(out, headers[i]);
    }
    if (ok && !typed)
        ok = append(out, "Content-Type:");
    return ok ? OK : error_nomem(err);
}

/* For each request; what never changes is set_up()'s. */
static void set_request(struct http_client *c, const char *method, const char *url, struct str body)
{
    CURL *h = c->curl;
    long timeout = c->options.timeout_ms > 0 ? c->options.timeout_ms : 60000;
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, c->any_certificate ? 0L : 1L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, c->any_certificate ? 0L : 2L);
    curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR,
                     strncmp(url, "https:", 6) == 0 ? "https" : "http");
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_MS ? timeout : CONNECT_MS);

    bool sends = body.len > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;
    curl_easy_setopt(h, CURLOPT_NOBODY, 0L);
    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    } else if (sends) {
        curl_easy_setopt(h, CURLOPT_POST, 1L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, body.len > 0 ? body.ptr : "");
    } else {
        curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
}

enum status http_client_request(struct http_client *c, const char *method, const char *url,
                                const char *const *headers, struct str body,
                                struct http_answer *answer, struct error *err)
{
    CLEANUP(free_list) struct curl_slist *lines = NULL;
    enum status st = make_headers(headers, &lines, err);
    if (st != OK)
        return st;

    buf_reset(&answer->body);
    buf_reset(&answer->headers);
    answer->status = 0;
    c->answer = answer;
    c->error[0] = '\0';
    set_request(c, method, url, body);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, lines);

    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    if (code != CURLE_OK)
        return explain(c, code, url, err);
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    answer->status = (int)status;
    return OK;
}

#include "virtualtee/swtpm.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CTRL_INIT 0x02u /* of swtpm's control channel */

/* TPM 2.0 Library, part 2: tags, handles, algorithms, command codes. */
#define ST_NO_SESSIONS 0x8001u
#define ST_SESSIONS 0x8002u
#define RH_OWNER 0x40000001u
#define RS_PASSWORD 0x40000009u
#define ALG_RSA 0x0001u
#define ALG_SHA256 0x000Bu
#define ALG_NULL 0x0010u
#define ALG_RSASSA 0x0014u
#define RC_INITIALIZE 0x100u
#define CC_EVICT_CONTROL 0x120u
#define CC_NV_UNDEFINE_SPACE 0x122u
#define CC_NV_DEFINE_SPACE 0x12Au
#define CC_CREATE_PRIMARY 0x131u
#define CC_NV_WRITE 0x137u
#define CC_STARTUP 0x144u
#define CC_FLUSH_CONTEXT 0x165u
#define CC_PCR_EXTEND 0x182u

#define NV_PIECE 512 /* MAX_NV_BUFFER_SIZE is 1024 */
#define NV_ATTRIBUTES                                                                              \
    (1u << 1 | 1u << 2 | 1u << 17 | 1u << 18 | 1u << 25) /* owner and auth write and read, no DA   \
                                                          */
#define AK_ATTRIBUTES (1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 10 | 1u << 16 | 1u << 18)
/* fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign */

/* ---- sockets ---- */

static STATUS connect_to(const char *path, int *out, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path)) {
        error_set(err, "path of the swtpm socket is longer than %zu bytes",
                  sizeof(address.sun_path) - 1);
        return ERR_LIMIT;
    }
    memcpy(address.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, errno, "socket");
    const struct timeval timeout = {.tv_sec = 60}; /* making a key takes seconds */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int saved = errno;
        close(fd);
        return error_errno(err, saved, "could not connect to \"%s\"", path);
    }
    *out = fd;
    return OK;
}

static STATUS exchange(int fd, struct str request, uint8_t *response, size_t head, size_t max,
                       size_t *len, struct error *err)
{
    ssize_t n = send(fd, request.ptr, request.len, MSG_NOSIGNAL);
    if (n < 0 || (size_t)n != request.len)
        return error_errno(err, n < 0 ? errno : EPIPE, "could not write to swtpm");

    /* The head says how long the whole is (TPM: bytes 2 to 5; control answers are a head only). */
    size_t want = head;
    *len = 0;
    while (*len < want) {
        n = recv(fd, response + *len, want - *len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(err, n < 0 ? errno : EPIPE, "no whole answer from swtpm");
        *len += (size_t)n;
        if (*len == head && head >= 10)
            want = load_be32(response + 2);
        if (want > max || want < head) {
            error_set(err, "swtpm's answer says that it has %zu bytes", want);
            return ERR_INVALID;
        }
    }
    return OK;
}

/* ---- commands ---- */

static void add_be(struct buf *out, uint64_t n, unsigned bytes)
{
    uint8_t be[8];
    store_be64(be, n);
    buf_add(out, str_bytes(be + 8 - bytes, bytes));
}

static STATUS run(struct swtpm *t, uint32_t code, struct str handles, unsigned auths,
                  struct str parameters, struct buf *out, uint32_t *rc, struct error *err)
{
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, SWTPM_MESSAGE_MAX);
    size_t auth_len = 9 * (size_t)auths;
    size_t total = 10 + handles.len + (auths > 0 ? 4 + auth_len : 0) + parameters.len;
    add_be(&b, auths > 0 ? ST_SESSIONS : ST_NO_SESSIONS, 2);
    add_be(&b, total, 4);
    add_be(&b, code, 4);
    buf_add(&b, handles);
    if (auths > 0)
        add_be(&b, auth_len, 4);
    for (unsigned i = 0; i < auths; i++) { /* handle, no nonce, no attributes, no password */
        add_be(&b, RS_PASSWORD, 4);
        add_be(&b, 0, 5);
    }
    buf_add(&b, parameters);
    enum status st = buf_status(&b);
    if (st != OK) {
        error_set(err, "TPM command is too long");
        return st;
    }

    uint8_t response[SWTPM_MESSAGE_MAX];
    size_t len = 0;
    st = exchange(t->fd, buf_str(&b), response, 10, sizeof(response), &len, err);
    if (st != OK)
        return st;
    *rc = load_be32(response + 6);
    if (out != NULL)
        buf_add(out, str_bytes(response + 10, len - 10));
    return out == NULL ? OK : buf_status(out);
}

STATUS swtpm_command(struct swtpm *t, uint32_t code, struct str handles, unsigned auths,
                     struct str parameters, struct buf *out, struct error *err)
{
    uint32_t rc = 0;
    enum status st = run(t, code, handles, auths, parameters, out, &rc, err);
    if (st == OK && rc != 0) {
        error_set(err, "TPM command 0x%x failed with response code 0x%x", code, rc);
        return ERR_DENIED;
    }
    return st;
}

STATUS swtpm_connect(struct swtpm *t, const char *path, struct error *err)
{
    return connect_to(path, &t->fd, err);
}

STATUS swtpm_open(struct swtpm *t, const char *path, struct error *err)
{
    char ctrl[256];
    int n = snprintf(ctrl, sizeof(ctrl), "%s.ctrl", path), fd = -1;
    if (n < 0 || (size_t)n >= sizeof(ctrl)) {
        error_set(err, "path of the swtpm socket is too long");
        return ERR_LIMIT;
    }
    enum status st = connect_to(ctrl, &fd, err);
    if (st != OK)
        return st;

    /* INIT without flags: a power cycle, so PCRs are at their reset values. */
    uint8_t init[8], answer[4];
    size_t len = 0;
    store_be32(init, CTRL_INIT);
    store_be32(init + 4, 0);
    st = exchange(fd, str_bytes(init, sizeof(init)), answer, sizeof(answer), sizeof(answer), &len,
                  err);
    close(fd);
    if (st == OK && load_be32(answer) != 0) {
        error_set(err, "swtpm did not initialise: 0x%x", load_be32(answer));
        st = ERR_DENIED;
    }
    if (st == OK)
        st = swtpm_connect(t, path, err);
    if (st != OK)
        return st;

    uint32_t rc = 0; /* Startup(CLEAR); swtpm may have been told to do that itself */
    st = run(t, CC_STARTUP, STR_EMPTY, 0, STR("\0\0"), NULL, &rc, err);
    if (st == OK && rc != 0 && rc != RC_INITIALIZE) {
        error_set(err, "TPM did not start up: 0x%x", rc);
        st = ERR_DENIED;
    }
    if (st != OK)
        swtpm_done(t);
    return st;
}

void swtpm_done(struct swtpm *t)
{
    close(t->fd);
    t->fd = -1;
}

/* ---- attestation key ---- */

static void write_ak_template(struct buf *out)
{
    add_be(out, ALG_RSA, 2);
    add_be(out, ALG_SHA256, 2);
    add_be(out, AK_ATTRIBUTES, 4);
    add_be(out, 0, 2);        /* policy */
    add_be(out, ALG_NULL, 2); /* symmetric */
    add_be(out, ALG_RSASSA, 2);
    add_be(out, ALG_SHA256, 2);
    add_be(out, 2048, 2);
    add_be(out, 0, 4); /* exponent 65537 */
    add_be(out, 0, 2); /* unique */
}

/* TPMT_PUBLIC of the template above: the modulus stands behind 24 bytes. */
static STATUS read_ak(struct str response, struct pubkey **out, struct error *err)
{
    /* handle (4), parameter size (4), public size (2), 22 bytes of template, modulus size (2) */
    const size_t at = 4 + 4 + 2 + 22;
    if (response.len < at + 2 + 256 || load_be16(response.ptr + at) != 256) {
        error_set(err, "TPM made a key of another kind");
        return ERR_INVALID;
    }
    return pubkey_from_rsa(str_slice(response, at + 2, 256), STR("\x01\x00\x01"), out, err);
}

static STATUS evict(struct swtpm *t, uint32_t object, struct error *err)
{
    uint8_t handles[8], persistent[4];
    store_be32(handles, RH_OWNER);
    store_be32(handles + 4, object);
    store_be32(persistent, SWTPM_AK_HANDLE);
    return swtpm_command(t, CC_EVICT_CONTROL, str_bytes(handles, sizeof(handles)), 1,
                         str_bytes(persistent, sizeof(persistent)), NULL, err);
}

STATUS swtpm_make_ak(struct swtpm *t, struct pubkey **out, struct error *err)
{
    CLEANUP(buf_done) struct buf template;
    CLEANUP(buf_done) struct buf parameters;
    CLEANUP(buf_done) struct buf response;
    buf_init(&template, 256);
    buf_init(&parameters, 512);
    buf_init(&response, SWTPM_MESSAGE_MAX);
    write_ak_template(&template);
    add_be(&parameters, 4, 2); /* no password, no data */
    add_be(&parameters, 0, 4);
    add_be(&parameters, template.len, 2);
    buf_add(&parameters, buf_str(&template));
    add_be(&parameters, 0, 2); /* outside info */
    add_be(&parameters, 0, 4); /* creation PCRs */

    uint8_t owner[4];
    store_be32(owner, RH_OWNER);
    enum status st = swtpm_command(t, CC_CREATE_PRIMARY, str_bytes(owner, 4), 1,
                                   buf_str(&parameters), &response, err);
    if (st == OK)
        st = read_ak(buf_str(&response), out, err);
    if (st != OK)
        return st;

    uint32_t transient = load_be32(response.ptr);
    status_ignore(evict(t, SWTPM_AK_HANDLE, NULL)); /* one of an earlier run, perhaps */
    st = evict(t, transient, err);
    uint8_t flush[4];
    store_be32(flush, transient);
    if (st == OK)
        st = swtpm_command(t, CC_FLUSH_CONTEXT, STR_EMPTY, 0, str_bytes(flush, 4), NULL, err);
    if (st != OK)
        *out = pubkey_unref(*out);
    return st;
}

/* ---- NV index, PCRs ---- */

STATUS swtpm_write_nv(struct swtpm *t, uint32_t index, struct str bytes, struct error *err)
{
    if (bytes.len > SWTPM_NV_MAX) {
        error_set(err, "%zu bytes do not fit into an NV index of swtpm, which holds %d", bytes.len,
                  SWTPM_NV_MAX);
        return ERR_LIMIT;
    }
    uint8_t handles[8];
    store_be32(handles, RH_OWNER);
    store_be32(handles + 4, index);
    struct str both = str_bytes(handles, sizeof(handles));
    status_ignore(swtpm_command(t, CC_NV_UNDEFINE_SPACE, both, 1, STR_EMPTY, NULL, NULL));

    CLEANUP(buf_done) struct buf p;
    buf_init(&p, SWTPM_MESSAGE_MAX);
    add_be(&p, 0, 2);  /* no password */
    add_be(&p, 14, 2); /* TPM2B_NV_PUBLIC */
    add_be(&p, index, 4);
    add_be(&p, ALG_SHA256, 2);
    add_be(&p, NV_ATTRIBUTES, 4);
    add_be(&p, 0, 2);
    add_be(&p, bytes.len, 2);
    enum status st =
        swtpm_command(t, CC_NV_DEFINE_SPACE, str_slice(both, 0, 4), 1, buf_str(&p), NULL, err);

    for (size_t at = 0; st == OK && at < bytes.len; at += NV_PIECE) {
        struct str piece = str_slice(bytes, at, NV_PIECE);
        buf_reset(&p);
        add_be(&p, piece.len, 2);
        buf_add(&p, piece);
        add_be(&p, at, 2);
        st = swtpm_command(t, CC_NV_WRITE, both, 1, buf_str(&p), NULL, err);
    }
    return st;
}

STATUS swtpm_extend(struct swtpm *t, unsigned pcr, struct str digest, struct error *err)
{
    CLEANUP(buf_done) struct buf p;
    buf_init(&p, 64);
    add_be(&p, 1, 4);
    add_be(&p, ALG_SHA256, 2);
    buf_add(&p, digest);
    uint8_t handle[4];
    store_be32(handle, pcr);
    return swtpm_command(t, CC_PCR_EXTEND, str_bytes(handle, 4), 1, buf_str(&p), NULL, err);
}

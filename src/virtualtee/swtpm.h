/*
 * swtpm - a running swtpm made to look like the vTPM of an Azure confidential
 * VM: attestation key at 0x81000003, HCL report at NV index 0x01400001, PCRs as
 * after a boot (../shared/spec/verifiers-azure-vtpm.md 2, guest-aa.md 5.4).
 *
 * Raw TPM 2.0 commands over its Unix sockets (data at PATH, control at
 * PATH.ctrl, as the TCTI of tpm2-tss has it): eight commands need no library.
 */
#pragma once

#include "base/buf.h"
#include "crypto/crypto.h"

#define SWTPM_AK_HANDLE 0x81000003u
#define SWTPM_HCL_INDEX 0x01400001u
#define SWTPM_NV_MAX 2048 /* bytes of an NV index: HCL report with one key */
#define SWTPM_MESSAGE_MAX 4096

struct swtpm {
    int fd;
};

/* The data socket of a TPM that runs. */
STATUS swtpm_connect(struct swtpm *t, const char *path, struct error *err);

/* Reset the TPM through its control socket, then connect and start it up. */
STATUS swtpm_open(struct swtpm *t, const char *path, struct error *err);
void swtpm_done(struct swtpm *t);

/*
 * One command: tag 0x8002 with an empty password for each of `auths` handles
 * when there are any, else 0x8001.  `handles` and `parameters` are the bytes of
 * both areas.  The response's bytes behind its header are put into `out`.
 * ERR_DENIED: a response code other than success.
 */
STATUS swtpm_command(struct swtpm *t, uint32_t code, struct str handles, unsigned auths,
                     struct str parameters, struct buf *out, struct error *err);

/* A restricted RSA-2048 signing key, RSASSA with SHA-256, made persistent at SWTPM_AK_HANDLE. */
STATUS swtpm_make_ak(struct swtpm *t, struct pubkey **out, struct error *err);

/* Define the index anew and write it; readable by owner and by itself. */
STATUS swtpm_write_nv(struct swtpm *t, uint32_t index, struct str bytes, struct error *err);

/* Extend the SHA-256 bank with 32 bytes. */
STATUS swtpm_extend(struct swtpm *t, unsigned pcr, struct str digest, struct error *err);

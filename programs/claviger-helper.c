/* claviger-helper - starts programs for a server that may not (src/net/helper.h). */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cli.h"
#include "net/helper.h"

static const char help[] =
    "Usage: claviger-helper [--ca-file FILE]... URL...\n"
    "       claviger-helper --help | --version\n"
    "\n"
    "Starts claviger-fetch for a Claviger server that has given up the right to\n"
    "start programs.  The server starts it and speaks to it over the socket that it\n"
    "inherits as file descriptor 3.  It is of no use by itself.\n"
    "\n"
    "  URL                what may be fetched: these and everything below them\n"
    "      --ca-file FILE further certification authorities, PEM, that may be read\n"
    "      --help         show this text\n"
    "      --version      show the version\n";

int main(int argc, char **argv)
{
    if (cli_is_answered(argc, argv, help, "claviger-helper " CLAVIGER_VERSION))
        return 0;

    struct helper_options o = {0};
    int at = 1;
    for (size_t n = 0; n < HELPER_CA_FILES_MAX && at + 1 < argc; n++) {
        if (strcmp(argv[at], "--ca-file") != 0)
            break;
        o.ca_files[n] = argv[at + 1];
        at += 2;
    }
    o.allow = (const char *const *)argv + at;
    int type = 0;
    socklen_t len = sizeof(type);
    if (argc <= at || getsockopt(FETCH_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        type != SOCK_SEQPACKET) {
        fprintf(stderr, "claviger-helper: started by a server only; see --help\n");
        return 2;
    }
    return helper_serve(FETCH_FD, &o);
}

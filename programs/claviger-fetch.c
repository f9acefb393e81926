/* claviger-fetch - outbound HTTP for a server of ours (src/net/fetch.h). */
#include <stdio.h>
#include <sys/socket.h>

#include "base/cli.h"
#include "net/fetch.h"

static const char help[] =
    "Usage: claviger-fetch [URL...]\n"
    "       claviger-fetch --help | --version\n"
    "\n"
    "Fetches collateral and key sets for a Claviger server, which starts it and\n"
    "speaks to it over the socket that it inherits as file descriptor 3.  It is of\n"
    "no use by itself.\n"
    "\n"
    "  URL            nothing but these and what is below them, whatever the server says\n"
    "      --help     show this text\n"
    "      --version  show the version\n";

int main(int argc, char **argv)
{
    if (cli_is_answered(argc, argv, help, "claviger-fetch " CLAVIGER_VERSION))
        return 0;

    int type = 0;
    socklen_t len = sizeof(type);
    if (getsockopt(FETCH_FD, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM) {
        fprintf(stderr, "claviger-fetch: started by a server only; see --help\n");
        return 2;
    }
    return fetch_serve_within(FETCH_FD, argc > 1 ? (const char *const *)argv + 1 : NULL);
}

/*
 * command - the command line of virtual-tee (../shared/INTERFACES.md).
 */
#pragma once

/* As main(); returns the exit status: 0, 1 refused or failed, 2 usage and names. */
int virtualtee_main(int argc, char **argv);

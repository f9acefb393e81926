/* virtual-tee - see src/virtualtee/command.h and man/virtual-tee.1. */
#include "virtualtee/command.h"

int main(int argc, char **argv)
{
    return virtualtee_main(argc, argv);
}

/*
 * rego - OPA's commands on our own engine (../shared/INTERFACES.md, Tools).
 */
#include "regotool/regotool.h"

int main(int argc, char **argv)
{
    return regotool_main(argc, argv, CLAVIGER_VERSION);
}

#!/usr/bin/env python3
"""Print a C file with the content of text files as string constants.

usage: embed.py OUTPUT NAME=FILE...
"""
import sys


def literal(line):
    out = ""
    for c in line:
        if c in '"\\':
            out += "\\" + c
        elif c == "\n":
            out += "\\n"
        elif c == "\t":
            out += "\\t"
        elif 32 <= ord(c) < 127:
            out += c
        else:
            sys.exit("embed.py: not plain ASCII: %r" % line)
    return '"' + out + '"'


with open(sys.argv[1], "w", encoding="ascii") as f:
    f.write('/* Made by embed.py; do not edit. */\n#include "attestation/attestation_internal.h"\n\n')
    for pair in sys.argv[2:]:
        name, path = pair.split("=", 1)
        with open(path, encoding="utf-8") as source:
            lines = "\n    ".join(literal(line) for line in source)
        f.write("const char %s[] =\n    %s;\n\n" % (name, lines))

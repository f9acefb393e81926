#!/bin/bash
# Each check of tools/ finds what it is there for: a copy of the tree, one thing broken in it,
# and the check must say so; with nothing broken it must pass.
set -u
no_pki=1
. "$(dirname "$0")/lib.sh"
command -v git >/dev/null && git -C "$source_dir" rev-parse --git-dir >/dev/null 2>&1 || skip_all no-git "the checks ask git which files there are"
export CLAVIGER_SHARED=$shared
tree=$work/tree
mkdir "$tree"
(cd "$source_dir" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do [ ! -f "$f" ] || printf '%s\0' "$f"; done |
    xargs -0 cp --parents -t "$tree") || exit 99
cd "$tree" || exit 99
git init -q . && git add -A && git -c user.name=t -c user.email=t@t commit -qm t || exit 99

finds() { # NAME WHAT-IT-SAYS CHECK...; the tree is broken before, and made whole after
    local name=$1 says=$2 status
    shift 2
    "$@" >"$work/out" 2>&1
    status=$?
    git checkout -q . && git clean -qfd
    if [ "$status" = 77 ]; then
        count=$((count + 1))
        echo "ok $count # $(grep -m1 -o 'SKIP .*' "$work/out")"
        return
    fi
    check "$name" sh -c "[ $status != 0 ] && grep -qF -- '$says' '$work/out' || { echo status $status; cat '$work/out'; false; }"
}
passes() { # CHECK...
    "$@" >"$work/out" 2>&1
    local status=$?
    check "$* passes" sh -c "[ $status = 0 ] || [ $status = 77 ] || { cat '$work/out'; false; }"
}

for c in layers shared notes fuzz config; do passes tools/check-$c; done

include() { sed -i "1i $1" "src/$2"; }
include '#include "kbs/kbs.h"' base/str.c
finds "an include of a higher module" "src/base/str.c:1: base includes kbs" tools/check-layers
include '#include "../kbs/kbs.h"' base/str.c
finds "by way of the folder above" "src/base/str.c:1: an include that is neither" tools/check-layers
include '#include <kbs/kbs.h>' base/str.c
finds "in angle brackets" "src/base/str.c:1: a header of ours" tools/check-layers
include '\	#	include "kbs/kbs.h"' base/str.c
finds "behind a tab" "base includes kbs" tools/check-layers
for header in openssl/evp.h event2/event.h curl/curl.h yaml.h zlib.h expat.h seccomp.h sys/socket.h sqlite3.h dlfcn.h; do
    include "#include <$header>" jose/jws.c
    finds "$header outside of its place" "  src/jose/jws.c" tools/check-layers
done
include '#include "virtualtee/rcar.h"' kbs/admin.c
finds "a server that includes virtualtee" "kbs includes virtualtee" tools/check-layers

if [ -r "$shared/workshop/resource-policy.rego" ]; then
    cp "$shared/workshop/resource-policy.rego" examples/x.rego
    finds "a copy of other people's file that git does not know yet" "examples/x.rego is a copy" tools/check-shared
    cp "$shared/workshop/resource-policy.rego" examples/azure-snp/resource-policy.rego
    finds "one that git knows" "examples/azure-snp/resource-policy.rego is a copy" tools/check-shared
fi
mkdir "$work/bin"
printf '#!/bin/sh\nexit 128\n' >"$work/bin/git"
chmod +x "$work/bin/git"
for c in shared format; do
    if command -v clang-format-14 >/dev/null || [ $c = shared ]; then
        PATH=$work/bin:$PATH tools/check-$c >"$work/out" 2>&1
        status=$?
        check "a git that refuses ends check-$c" sh -c "[ $status != 0 ]"
    fi
done

# A page of our own with a note that nobody cites (not written out, or this file would).
harden="HARDEN" bug="BUG"
mkdir -p "$work/shared/spec"
for page in $(cat docs/spec-pages.txt); do echo "$harden kbs-2" >"$work/shared/spec/$page"; done
echo "$bug az-b99 and $harden snp-98" >>"$work/shared/spec/kbs.md"
CLAVIGER_SHARED=$work/shared finds "a note of hardening that no test cites" "$harden snp-98: no test cites it" tools/check-notes
echo "$bug az-b99" >"$work/shared/spec/kbs.md"
CLAVIGER_SHARED=$work/shared finds "a note of a bug that no test cites" "$bug az-b99: no test cites it" tools/check-notes

echo 'STATUS thing_parse(struct str text, int *out);' >>src/base/hash.h
finds "a parser without a fuzz target" "thing_parse (src/base/hash.h): no fuzz target names it" tools/check-fuzz
rm -r tests/fuzz/corpus/jwt
finds "a target without a corpus" "fuzz_jwt: no corpus" tools/check-fuzz
printf '/* Its property is that it has none: json_parse(). */\nint LLVMFuzzerTestOneInput(void);\n' >tests/fuzz/fuzz_json.c
finds "a target without a property" "fuzz_json: no property" tools/check-fuzz

sed -i 's/claviger\.seal_keys/claviger.seal_kyes/' docs/configuration.md
finds "a key that no page names" "does not name claviger.seal_keys" tools/check-config

record() { printf '%s\n' "$@" >"$work/record"; }
record "kbs/test_routes no-shared"
finds "a skip that is not declared" "kbs/test_routes was skipped on no-shared, which tests/skips.txt does not give" tools/check-skips "$work/record"
record "format debian14"
finds "a condition that nobody knows" "debian14" tools/check-skips "$work/record"
result() { # TAP: what tools/test-results makes of it
    python3 -c 'import json, sys; print(json.dumps({"name": "s / t", "result": sys.argv[2], "stdout": sys.argv[1]}))' "$1" "${2:-OK}" >"$work/log.json"
    : >"$work/record"
    tools/test-results "$work/log.json" "$work/record" && cat "$work/record"
}
lines() { tr '\n' '|'; }
check "a test that passed" equal "$(result $'ok 1 - a # not a skip\n1..1' | lines)" "1 0 0|t -|"
check "a skip with its condition" equal "$(result 'ok 1 # SKIP no-shared: x' | lines)" "1 0 1|t no-shared|"
check "a skip without one" equal "$(result 'ok 1 # SKIP' | lines)" "1 0 1|t without-a-condition|"
check "a skip in words" equal "$(result 'ok 1 - a # skip Not today' | lines)" "1 0 1|t without-a-condition|"
check "a plan of nothing" equal "$(result '1..0 # SKIP no-swtpm: x' SKIP | lines)" "0 0 1|t no-swtpm|"
check "a failure that is excused" equal "$(result 'not ok 1 - a # TODO later' EXPECTEDFAIL | lines)" "0 1 0|t (TODO)|t -|"
finish

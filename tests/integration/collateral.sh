#!/bin/bash
# Collateral from the network: kbs and restful-as against a PCCS and a KDS of our own, over
# HTTPS: cold, warm, 404, 429, time-outs, wrong content, expired, revoked, offline, two processes.
set -u
. "$(dirname "$0")/lib.sh"

python=$(command -v python3) || skip_all no-python "a PCCS"
service=$work/service
mkdir -p "$service/vcek" "$work/store/kbs" "$work/store/repository" "$work/cache"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$service/tls.key" -out "$service/tls.crt" \
    -days 2 -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" 2>/dev/null
cp -r "$pki/collateral" "$service/collateral"
mode() { printf '%s' "$1" >"$service/mode.new" && mv "$service/mode.new" "$service/mode"; }
mode ok
: >"$service/asked"
"$python" "$(dirname "$0")/collateral-server.py" "$service" 2>"$work/service.log" &
service_pid=$!
trap 'stop_kbs; kill $service_pid ${second_pid:-} 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 1500); do [ -s "$service/port" ] && break; sleep 0.02; done
[ -s "$service/port" ] || { cat "$work/service.log"; exit 99; }
at=https://localhost:$(cat "$service/port")

asked() { grep -c "${1:-.}" "$service/asked"; }
forget() { : >"$service/asked"; }
until_true() { # COMMAND...: as long as it takes, within reason
    for _ in $(seq 3000); do "$@" >/dev/null 2>&1 && return 0; sleep 0.02; done
    "$@"
}

printf 'package policy\nallow := true\n' >"$work/store/kbs/resource-policy.rego"
printf 'secret' >"$work/store/repository/r\\x2Ft\\x2Fk"
openssl genpkey -algorithm ed25519 -out "$work/admin.key" 2>/dev/null
openssl pkey -in "$work/admin.key" -pubout -out "$work/admin.pub" 2>/dev/null
config() { # FILE TABLES: more tables of verifier_config
    cat >"$1" <<TOML
[http_server]
sockets = ["127.0.0.1:0"]
insecure_http = true
[admin]
type = "Simple"
[[admin.personas]]
id = "ops"
public_key_path = "$work/admin.pub"
[attestation_service]
type = "coco_as_builtin"
[attestation_service.verifier_config.dcap_verifier]
collateral_service = "$at/sgx/certification/v4/"
[attestation_service.verifier_config.snp_verifier]
vcek_sources = [{ type = "KDS", base_url = "$at" }]
$2
[storage_backend]
storage_type = "LocalFs"
[storage_backend.backends.local_fs]
dir_path = "$work/store"
[[plugins]]
name = "resource"
TOML
}
own() { printf '[attestation_service.verifier_config.collateral]\nca_file = "%s"\n%s' "$service/tls.crt" "$1"; }
guest() { virtual-tee get-resource --pki "$pki" --url "$url" "$@" r/t/k 2>"$work/stderr"; }
refused() { # what a guest without its secret sees, and the decision
    local out
    out=$(guest "$@")
    [ "$?:$out" = "1:" ] || { echo "not refused: $out"; return 1; }
}
story() {
    kbs-client --url "$url" config --auth-private-key "$work/admin.key" explain -f json \
        "$(sed -n 's/^decision: //p' "$work/stderr" | tail -1)"
}
start() { start_kbs "$1" --extra-trust-anchors "$pki/anchors"; }

# ---- cold and warm ----
config "$work/memory.toml" "$(own '')"
check "kbs starts" start "$work/memory.toml"
check "nothing is asked before evidence comes" equal "$(asked)" 0
check "cold: tdx gets its secret" equal "$(guest --tee tdx)" secret
check "each item was asked for once" equal "$(asked):$(sort -u "$service/asked" | wc -l)" 4:4
forget
for tee in tdx az-tdx-vtpm; do
    check "warm: $tee" equal "$(guest --tee $tee)" secret
done
check "warm: nothing is asked" equal "$(asked)" 0
check "sgx: only what it has of its own" equal "$(guest --tee sgx):$(asked)" "secret:2"
forget
mode hang
check "warm: a service that hangs is of no matter" equal "$(guest --tee tdx)" secret
mode ok
stop_kbs

# ---- wrong answers: each refused, and said why ----
wrong() { # MODE TEXT
    check "$1: kbs starts" start "$work/memory.toml"
    mode "$1"
    check "$1: refused" refused --tee tdx
    check "$1: by the check collateral" has "$(story)" '"check":"collateral"'
    check "$1: and says why" has "$(story)" "$2"
    mode ok
    stop_kbs
}
wrong 404 "collateral not available from"
wrong garbage "it is no TCB information"
wrong unsigned "collateral"
wrong swapped "it is of another platform than was asked for"
wrong huge "too large"

# ---- 429: asked once, and then not before the service wants ----
forget
mode 429
check "429: kbs starts" start "$work/memory.toml"
check "429: refused" refused --tee tdx
mode ok
check "429: Retry-After is kept" refused --tee tdx
check "429: so it was asked once" equal "$(asked)" 1
check "429: and that is said" has "$(story)" "is not asked again for"
check "429: another machine, which needs nothing from there" equal "$(guest --tee az-snp-vtpm)" secret
stop_kbs

# ---- a failure that passes ----
mode 500
check "500: kbs starts" start "$work/memory.toml"
guest --tee tdx >"$work/patient" &
patient=$!
until_true [ "$(asked)" -ge 2 ]
mode ok
wait $patient
out=$(cat "$work/patient")
[ "$out" = secret ] || until_true eval '[ "$(guest --tee tdx)" = secret ]'
check "500: released once it is well again" equal "$(guest --tee tdx)" secret
stop_kbs

# ---- the folder: shared by processes, read after a restart and without a network ----
config "$work/disk.toml" "$(own "cache_dir = \"$work/cache\"")"
forget
check "with a folder: kbs starts" start "$work/disk.toml"
check "with a folder: cold" equal "$(guest --tee tdx)" secret
check "with a folder: four records" equal "$(ls "$work/cache" | grep -c 'item$')" 4
stop_kbs
forget
check "after a restart: kbs starts" start "$work/disk.toml"
check "after a restart: warm from the folder" equal "$(guest --tee tdx):$(asked)" secret:0
stop_kbs
config "$work/offline.toml" "$(own "cache_dir = \"$work/cache\"
offline = true")"
check "offline: kbs starts" start "$work/offline.toml"
check "offline: what is there serves" equal "$(guest --tee tdx)" secret
check "offline: what is not there is refused" refused --tee sgx
check "offline: and said" has "$(story)" "collateral"
check "offline: nothing was asked" equal "$(asked)" 0
stop_kbs

# A record that somebody changed is as bad as a wrong answer, and is replaced by a good one.
for f in "$work/cache"/*.item; do sed -i 's/UpToDate/UpToDatf/' "$f"; done
check "a changed record: kbs starts" start "$work/disk.toml"
check "a changed record: not believed, fetched anew" equal "$(guest --tee tdx):$(asked '/tcb?')" secret:1
stop_kbs

# ---- two processes at once: one of them asks ----
rm -rf "$work/cache"
forget
mode slow
check "two processes: the first starts" start "$work/disk.toml"
first_pid=$kbs_pid first_url=$url
kbs_pid=""
check "two processes: the second starts" start "$work/disk.toml"
second_pid=$kbs_pid second_url=$url
url=$first_url && guest --tee tdx >"$work/one" &
one=$!
url=$second_url && virtual-tee get-resource --pki "$pki" --url "$second_url" --tee tdx r/t/k >"$work/two" 2>&1 &
two=$!
until_true [ -s "$service/asked" ]
sleep 0.3 # for the second to come to the same point; the outcome does not hang on it
mode ok
wait $one $two
check "two processes: both have their secret" equal "$(cat "$work/one") $(cat "$work/two")" "secret secret"
check "two processes: each item was asked for once" equal "$(asked):$(sort -u "$service/asked" | wc -l)" 4:4
kill -INT "$first_pid" 2>/dev/null
wait "$first_pid"
stop_kbs

# ---- the host is trusted by its certificate only ----
config "$work/strange.toml" ""
check "a certificate of nobody's: kbs starts" start "$work/strange.toml"
check "a certificate of nobody's: refused" refused --tee tdx
stop_kbs
finish

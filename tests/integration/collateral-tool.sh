#!/bin/bash
# The program `collateral`: from evidence seen to a kbs that works without a network.
set -u
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/collateral-setup.sh"
start_service DNS:localhost
ours="--extra-trust-anchors $pki/anchors"
status() { "$@" >/dev/null 2>&1; echo $?; }
evidence() { virtual-tee evidence --pki "$pki" --report-data 00 "$@"; }
for tee in tdx sgx az-snp-vtpm; do evidence --tee $tee >"$work/$tee.json"; done
evidence --tee snp --set cert_chain=none >"$work/snp.json"
add_vcek || exit 99

mkdir -p "$work/store/kbs" "$work/store/repository"
printf 'package policy\nallow := true\n' >"$work/store/kbs/resource-policy.rego"
printf 'secret' >"$work/store/repository/r\\x2Ft\\x2Fk"
cat >"$work/kbs.toml" <<TOML
[http_server]
sockets = ["127.0.0.1:0"]
insecure_http = true
[admin]
type = "DenyAll"
[attestation_service]
type = "coco_as_builtin"
[attestation_service.verifier_config.dcap_verifier]
collateral_service = "$at/sgx/certification/v4/"
[attestation_service.verifier_config.snp_verifier]
vcek_sources = [{ type = "KDS", base_url = "$at" }]
crl = "required"
[attestation_service.verifier_config.collateral]
ca_file = "$service/tls.crt"
cache_dir = "$work/cache"
offline = true
[storage_backend]
storage_type = "LocalFs"
[storage_backend.backends.local_fs]
dir_path = "$work/store"
[[plugins]]
name = "resource"
TOML
config="--config $work/kbs.toml"

# ---- inventory ----
list() { collateral inventory $config $ours "$@"; }
check "inventory: tdx needs four items" equal "$(list --tee tdx "$work/tdx.json")" "$at/tdx/certification/v4/tcb?fmspc=FF906ED50000&update=early
$at/tdx/certification/v4/qe/identity?update=early
$at/sgx/certification/v4/pckcrl?ca=platform&encoding=der
$at/sgx/certification/v4/rootcacrl"
check "inventory: the same machine twice needs the same" equal "$(list --tee tdx "$work/tdx.json" "$work/tdx.json" | wc -l)" 4
check "inventory: snp without a certificate, and its list" equal "$(list --tee snp "$work/snp.json" | sed 's/[0-9a-f]\{128\}/CHIP/')" \
    "$at/vcek/v1/Milan/CHIP?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219
$at/vcek/v1/Milan/crl"
check "inventory: Azure's brings the certificate" equal "$(list --tee az-snp-vtpm --report-data 00 "$work/az-snp-vtpm.json")" "$at/vcek/v1/Milan/crl"
check "inventory: which is found behind the nonce only" equal "$(status list --tee az-snp-vtpm "$work/az-snp-vtpm.json")" 1
check "inventory: under the makers' roots it is nobody's" equal "$(status collateral inventory --tee tdx "$work/tdx.json")" 1
check "inventory: nothing was asked" equal "$(asked)" 0
for tee in tdx sgx snp; do list --tee $tee "$work/$tee.json"; done | sort -u >"$work/list"
check "inventory: of a fleet" equal "$(wc -l <"$work/list")" 8

# ---- pack ----
openssl genpkey -algorithm ed25519 -out "$work/pack.key" 2>/dev/null
openssl pkey -in "$work/pack.key" -pubout -out "$work/pack.pub"
openssl genpkey -algorithm ed25519 2>/dev/null | openssl pkey -pubout -out "$work/other.pub"
packs() { collateral pack --key "$work/pack.key" -o "$work/pack" $config $ours "$@"; }
check "pack: fetches, though the server of this configuration must not" packs "$work/list"
check "pack: each item once" equal "$(asked):$(sort -u "$service/asked" | wc -l)" 8:8
check "pack: the list may come from standard input" sh -c "collateral inventory --tee snp $config $ours $work/snp.json | collateral pack --key $work/pack.key -o $work/pack2 $config $ours"
mode 404
check "pack: 1 when an item cannot be had" equal "$(status collateral pack --key "$work/pack.key" -o "$work/pack3" $config $ours "$work/list")" 1
check "pack: and there is no file then" [ ! -e "$work/pack3" ]
mode ok
echo "https://elsewhere.example/sgx/certification/v4/rootcacrl" >"$work/elsewhere"
check "pack: only the services of the configuration" equal "$(status packs "$work/elsewhere")" 1
echo "file:///etc/passwd" >"$work/elsewhere"
check "pack: only collateral" equal "$(status packs "$work/elsewhere")" 1
packs "$work/list" 2>/dev/null

# ---- verify ----
v="collateral verify --public-key $work/pack.pub $ours"
check "verify: good" equal "$(status $v "$work/pack")" 0
check "verify: a line an item" equal "$($v "$work/pack" | grep -c '^good ')" 8
check "verify: another key" equal "$(status collateral verify --public-key "$work/other.pub" $ours "$work/pack")" 1
check "verify: the makers' roots did not sign it" equal "$(status collateral verify --public-key "$work/pack.pub" "$work/pack")" 1
check "verify: past its date" equal "$(status $v --time 2045-01-02T00:00:00Z "$work/pack")" 1
check "verify: and which" has "$($v --time 2045-01-02T00:00:00Z "$work/pack" 2>/dev/null)" "expired  tcb"
sed 's/UpToDate/UpToDatf/' "$work/pack" >"$work/changed"
check "verify: one byte changed" equal "$(status $v "$work/changed")" 1
head -c -1 "$work/pack" >"$work/cut"
check "verify: cut short" equal "$(status $v "$work/cut")" 1
check "verify: no such file is 2" equal "$(status $v "$work/nothing")" 2

# ---- import, and a server that has nothing else ----
check "import: not what another key signed" equal "$(status collateral import --public-key "$work/other.pub" --cache-dir "$work/cache" $ours "$work/pack"):$(ls "$work/cache" 2>/dev/null | wc -l)" 1:0
check "import" collateral import --public-key "$work/pack.pub" --cache-dir "$work/cache" $ours "$work/pack"
check "import: eight records" equal "$(ls "$work/cache" | grep -c 'item$')" 8
check "import: once more changes nothing" has "$(collateral import --public-key "$work/pack.pub" --cache-dir "$work/cache" $ours "$work/pack" 2>&1)" "0 items written, 8 at hand were newer"
kill $service_pid
wait $service_pid 2>/dev/null
service_pid=""
check "kbs starts, with revocation required and no network" start_kbs "$work/kbs.toml" $ours
guest() { virtual-tee get-resource --pki "$pki" --url "$url" "$@" r/t/k 2>"$work/stderr"; }
for tee in tdx sgx az-snp-vtpm; do
    check "offline: $tee gets its secret" equal "$(guest --tee $tee)" secret
done
check "offline: snp without a certificate" equal "$(guest --tee snp --set cert_chain=none)" secret
check "offline: a chip that nobody packed" equal "$(guest --tee snp --set cert_chain=none --set chip_id=0102)" ""
stop_kbs

# ---- status ----
s="collateral status $ours"
check "status: good" equal "$($s "$work/cache" | grep -c '^good ')" 8
check "status: 0" equal "$(status $s "$work/cache")" 0
check "status: how long it serves" has "$($s --time 2044-12-30T22:58:00Z "$work/cache")" "    1 d 01:02"
check "status: 1 when something ends soon" equal "$(status $s --within 48 --time 2044-12-31T00:00:00Z "$work/cache")" 1
check "status: not sooner" equal "$(status $s --within 24 --time 2044-12-31T00:00:00Z "$work/cache")" 0
check "status: 1 when something has ended" equal "$(status $s --time 2045-01-01T00:00:01Z "$work/cache")" 1
check "status: JSON" equal "$($s -f json --time 2044-12-31T00:00:00Z "$work/cache" | "$python" -c '
import json, sys
items = json.load(sys.stdin)
print(len(items), sorted({i["state"] for i in items}), {i["left_s"] for i in items if i["kind"] == "tcb"})')" "8 ['good'] {86400}"
check "status: what was altered is refused" sh -c "f=\$(grep -l UpToDate $work/cache/*.item | head -1); sed -i s/UpToDate/UpToDatf/ \$f; $s $work/cache 2>&1 | grep -q '^refused  '; "
check "inventory of a folder" equal "$(collateral inventory --cache-dir "$work/cache" | sort)" "$(cat "$work/list")"

# ---- usage ----
check "2: no command" equal "$(status collateral)" 2
check "2: unknown command" equal "$(status collateral fetch)" 2
check "2: unknown TEE" equal "$(status collateral inventory --tee vax "$work/tdx.json")" 2
check "2: no key" equal "$(status collateral verify "$work/pack")" 2
check "2: a folder that is none" equal "$(status $s "$work/nowhere"):$(ls -d "$work/nowhere" 2>/dev/null)" "2:"
finish

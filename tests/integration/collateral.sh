#!/bin/bash
# Collateral from the network: kbs and restful-as against a PCCS and a KDS of our own, over
# HTTPS: cold, warm, 404, 429, time-outs, wrong content, expired, revoked, offline, two processes.
set -u
. "$(dirname "$0")/lib.sh"

. "$(dirname "$0")/collateral-setup.sh"
mkdir -p "$work/store/kbs" "$work/store/repository"
start_service DNS:localhost,IP:127.0.0.1

printf 'package policy\nallow := true\n' >"$work/store/kbs/resource-policy.rego"
printf 'secret' >"$work/store/repository/r\\x2Ft\\x2Fk"
make_admin_key
config() { # FILE TABLES: more tables of verifier_config
    cat >"$1" <<TOML
$(config_head)
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

config "$work/impatient.toml" "$(own 'timeout_s = 1')"
forget
mode hang
check "hang: kbs starts" start "$work/impatient.toml"
check "hang: refused in the end" refused --tee tdx
check "hang: by the check collateral" has "$(story)" '"check":"collateral"'
check "hang: and says why" has "$(story)" "could not fetch"
check "hang: others are served" equal "$(guest --tee az-snp-vtpm)" secret
mode ok
stop_kbs

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
forget
mode 429-once
check "429, for a second: kbs starts" start "$work/memory.toml"
check "429, for a second: waited for, and released" equal "$(guest --tee tdx)" secret
check "429, for a second: one question more than items" equal "$(asked)" 5
stop_kbs

# ---- a failure that passes ----
forget
mode 500
check "500: kbs starts" start "$work/memory.toml"
guest --tee tdx >"$work/patient" &
patient=$!
until_true asked_some
mode ok
wait $patient
released() { [ "$(guest --tee tdx)" = secret ]; }
check "500: released once it is well again" until_true released
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
until_true asked_some
sleep 0.3 # for the second to come to the same point; the outcome does not hang on it
mode ok
wait $one $two
check "two processes: both have their secret" equal "$(cat "$work/one") $(cat "$work/two")" "secret secret"
check "two processes: each item was asked for once" equal "$(asked):$(sort -u "$service/asked" | wc -l)" 4:4
kill -INT "$first_pid" 2>/dev/null
wait "$first_pid"
stop_kbs

# ---- what the makers issue anew: revoked, out of date ----
reissue=$build/tests/integration/reissue
date_in() { date -u -d "@$(($(date +%s) + $1))" +%FT%TZ; } # SECONDS from now
issue() { # OPTION...: the service has this from now on
    rm -rf "$work/issued"
    "$reissue" "$pki" "$work/issued" "$@" && cp "$work/issued"/* "$service/collateral/"
}
back() { cp "$pki/collateral"/* "$service/collateral/"; }

issue --issued "$(date_in -60)" --revoke 6101 || exit 99
check "revoked PCK: kbs starts" start "$work/memory.toml"
check "revoked PCK: refused" refused --tee tdx
check "revoked PCK: by the check revocation" has "$(story)" '"check":"revocation"'
check "revoked PCK: on Azure, too" refused --tee az-tdx-vtpm
check "revoked PCK: the other CA's list has its number, too" equal "$(guest --tee tdx --set pck_ca=processor)" ""
stop_kbs
issue --issued "$(date_in -60)" --root-revoke 6002
check "revoked CA: kbs starts" start "$work/memory.toml"
check "revoked CA: refused" refused --tee tdx
check "revoked CA: by the check revocation" has "$(story)" '"check":"revocation"'
check "revoked CA: the other CA's machine is well" equal "$(guest --tee tdx --set pck_ca=processor)" secret
stop_kbs

for what in --tcb-next --next; do
    issue --issued 2024-01-01T00:00:00Z $what 2025-01-01T00:00:00Z
    check "expired ($what): kbs starts" start "$work/memory.toml"
    check "expired ($what): refused, fail closed" refused --tee tdx
    check "expired ($what): and said since when" has "$(story)" "is out of date since 2025-01-01T00:00:00Z"
    stop_kbs
done
config "$work/grace.toml" "$(own 'grace_hours = 1')"
issue --issued 2024-01-01T00:00:00Z --tcb-next "$(date_in -600)"
check "a grace time: kbs starts" start "$work/grace.toml"
check "a grace time: serves a while longer" equal "$(guest --tee tdx)" secret
stop_kbs
issue --issued 2024-01-01T00:00:00Z --tcb-next "$(date_in -7200)"
check "past the grace time: kbs starts" start "$work/grace.toml"
check "past the grace time: refused" refused --tee tdx
stop_kbs

# Renewed while it is used: asked for again before it ends, without any evidence.  (The grace time is
# for a machine on which even this takes longer.)
forget
issue --issued "$(date_in -60)" --tcb-next "$(date_in 20)"
check "renewal: kbs starts" start "$work/grace.toml"
check "renewal: cold" equal "$(guest --tee tdx)" secret
issue --issued "$(date_in -30)"
renewed() { [ "$(asked '/tcb?')" -ge 2 ]; }
check "renewal: asked again before it ends" until_true renewed
until_true released
check "renewal: the new one serves" equal "$(guest --tee tdx)" secret
stop_kbs
back

# ---- AMD: a VCEK that the guest did not send ----
add_vcek || exit 99
forget
check "KDS: kbs starts" start "$work/disk.toml"
check "KDS: a guest with its certificate needs nothing" equal "$(guest --tee snp):$(asked)" secret:0
check "KDS: cold" equal "$(guest --tee snp --set cert_chain=none):$(asked)" secret:1
check "KDS: warm" equal "$(guest --tee snp --set cert_chain=none):$(asked)" secret:1
check "KDS: an unknown chip is refused" refused --tee snp --set cert_chain=none --set chip_id=01020304
check "KDS: and asked for once" equal "$(refused --tee snp --set cert_chain=none --set chip_id=01020304; asked)" 2
check "KDS: a TCB that AMD knows nothing of" refused --tee snp --set cert_chain=none --set reported_tcb_snp=25
written() { grep -qs '/vcek/v1/Milan/' "$work/cache"/*.item; }
check "KDS: the certificate that proved itself is in the folder" until_true written
check "KDS: that of strangers is not" equal "$(grep -ls '/vcek/v1/Milan/' "$work/cache"/*.item | wc -l)" 1
stop_kbs
forget
check "KDS, after a restart: kbs starts" start "$work/disk.toml"
check "KDS, after a restart: warm from the folder" equal "$(guest --tee snp --set cert_chain=none):$(asked)" secret:0
stop_kbs
# Offline: what is in the folder serves, nothing else does, nobody is asked.
sed 's/^cache_dir.*/&\noffline = true/' "$work/disk.toml" >"$work/offline.toml"
forget
check "KDS, offline: kbs starts" start "$work/offline.toml"
check "KDS, offline: what is there serves" equal "$(guest --tee snp --set cert_chain=none)" secret
check "KDS, offline: another chip is refused" refused --tee snp --set cert_chain=none --set chip_id=01020304
check "KDS, offline: by the check collateral" has "$(story)" '"check":"collateral"'
check "KDS, offline: nothing was asked" equal "$(asked)" 0
stop_kbs

# What the service may answer instead of a certificate.  One second is for an answer that never
# comes: on a busy machine the others may take as long.
config "$work/brief.toml" "$(own 'timeout_s = 5')"
kds_wrong() { # MODE TEXT [CONFIGURATION]
    forget
    mode "$1"
    check "KDS, $1: kbs starts" start "$work/${3:-brief}.toml"
    check "KDS, $1: refused" refused --tee snp --set cert_chain=none
    check "KDS, $1: by the check collateral" has "$(story)" '"check":"collateral"'
    check "KDS, $1: and says why" has "$(story)" "$2"
    check "KDS, $1: a guest with its certificate is served" equal "$(guest --tee snp)" secret
    mode ok
    stop_kbs
}
kds_wrong 404 "collateral not available from"
kds_wrong 500 "unexpected HTTP response 500"
kds_wrong hang "could not fetch" impatient
kds_wrong garbage "it is no certificate"
kds_wrong unsigned "collateral"
kds_wrong huge "too large"
forget
mode 429
check "KDS, 429: kbs starts" start "$work/memory.toml"
check "KDS, 429: refused" refused --tee snp --set cert_chain=none
check "KDS, 429: and says why" has "$(story)" "unexpected HTTP response 429"
mode ok
check "KDS, 429: Retry-After is kept" refused --tee snp --set cert_chain=none
check "KDS, 429: so it was asked once" equal "$(asked)" 1
check "KDS, 429: and that is said" has "$(story)" "is not asked again for"
stop_kbs
# Nobody waits on behalf of a chip that nothing vouches for; the guest asks again.
mode 429-once
check "KDS, 429 for a second: kbs starts" start "$work/memory.toml"
check "KDS, 429 for a second: refused" refused --tee snp --set cert_chain=none
released_chip() { [ "$(guest --tee snp --set cert_chain=none)" = secret ]; }
check "KDS, 429 for a second: released once that is over" until_true released_chip
stop_kbs
rm -rf "$service/vcek"/*
add_vcek --fault vcek-expired || exit 99
check "KDS, an expired certificate: kbs starts" start "$work/memory.toml"
check "KDS, an expired certificate: refused" refused --tee snp --set cert_chain=none
check "KDS, an expired certificate: said" has "$(story)" '"check":"certificate-validity"'
stop_kbs
rm -rf "$service/vcek"/*
add_vcek || exit 99

# Two processes at once.  The folder has no certificate that has not proved itself, so each may ask.
rm -rf "$work/cache"
forget
mode slow
check "KDS, two processes: the first starts" start "$work/disk.toml"
first_pid=$kbs_pid first_url=$url
kbs_pid=""
check "KDS, two processes: the second starts" start "$work/disk.toml"
second_url=$url
for at_url in "$first_url" "$second_url"; do
    virtual-tee get-resource --pki "$pki" --url "$at_url" --tee snp --set cert_chain=none r/t/k >"$work/${at_url##*:}" 2>&1 &
done
until_true asked_some
sleep 0.3 # for the second to come to the same point; the outcome does not hang on it
mode ok
wait $(jobs -p | grep -vx -e "$service_pid" -e "$kbs_pid" -e "$first_pid")
check "KDS, two processes: both have their secret" equal "$(cat "$work/${first_url##*:}") $(cat "$work/${second_url##*:}")" "secret secret"
check "KDS, two processes: neither asked twice" [ "$(asked)" -le 2 ]
check "KDS, two processes: it is written down" until_true written
kill -INT "$first_pid" 2>/dev/null
wait "$first_pid"
stop_kbs
forget
check "KDS, a third process: kbs starts" start "$work/disk.toml"
check "KDS, a third process: has it from the folder" equal "$(guest --tee snp --set cert_chain=none):$(asked)" secret:0
stop_kbs

cp "$(ls "$service/vcek"/* | head -1)" "$service/vcek/other"
virtual-tee evidence --pki "$pki" --tee snp --report-data 00 --set chip_id=0a0b >/dev/null
mode swapped
check "KDS, another chip's certificate: kbs starts" start "$work/memory.toml"
check "KDS, another chip's certificate: refused" refused --tee snp --set cert_chain=none --set chip_id=0a0b
check "KDS, another chip's certificate: said" has "$(story)" "it is of another chip or TCB than was asked for"
mode ok
stop_kbs

# Revocation lists of AMD's: required, and if there is one.
crl() { sed "s|^vcek_sources.*|&\ncrl = \"$1\"|" "$work/memory.toml" >"$work/crl.toml"; }
crl required
check "crl = required: kbs starts" start "$work/crl.toml"
check "crl = required: fetched first" equal "$(guest --tee snp)" secret
stop_kbs
issue --amd-revoke 00
check "crl = required, revoked: kbs starts" start "$work/crl.toml"
check "crl = required, revoked: refused" refused --tee snp
check "crl = required, revoked: by the check revocation" has "$(story)" '"check":"revocation"'
check "crl = required, revoked: on Azure, too" refused --tee az-snp-vtpm
stop_kbs
issue --issued 2024-01-01T00:00:00Z --next 2025-01-01T00:00:00Z
check "crl = required, out of date: kbs starts" start "$work/crl.toml"
check "crl = required, out of date: refused" refused --tee snp
check "crl = required, out of date: said" has "$(story)" "revocation list is out of date"
stop_kbs
mode 404
check "crl = required, none: kbs starts" start "$work/crl.toml"
check "crl = required, none: refused" refused --tee snp
stop_kbs
crl if-available
check "crl = if-available, none: kbs starts" start "$work/crl.toml"
check "crl = if-available, none: not waited for" equal "$(guest --tee snp)" secret
stop_kbs
mode ok
issue --amd-revoke 00
check "crl = if-available, revoked: kbs starts" start "$work/crl.toml"
guest --tee snp >/dev/null # the first one asks for it
denied() { [ -z "$(guest --tee snp)" ]; }
check "crl = if-available, revoked: refused once the list is there" until_true denied
check "crl = if-available, revoked: by the check revocation" has "$(story)" '"check":"revocation"'
stop_kbs
back

# ---- a cold fetch holds up nobody else ----
mode slow
check "a slow service: kbs starts" start "$work/memory.toml"
forget
guest --tee tdx >"$work/slow" &
slow=$!
until_true asked_some
check "a slow service: others are served meanwhile" equal "$(guest --tee az-snp-vtpm)" secret
check "a slow service: and the one waits" [ ! -s "$work/slow" ]
mode ok
wait $slow
check "a slow service: until it has what it needs" equal "$(cat "$work/slow")" secret
stop_kbs

# ---- the host is trusted by its certificate only ----
config "$work/strange.toml" ""
check "a certificate of nobody's: kbs starts" start "$work/strange.toml"
check "a certificate of nobody's: refused" refused --tee tdx
stop_kbs
sed 's|^collateral_service.*|&\nuse_secure_cert = false|' "$work/strange.toml" >"$work/lax.toml"
check "use_secure_cert = false: kbs starts" start "$work/lax.toml"
check "use_secure_cert = false: Intel's signatures are what counts" equal "$(guest --tee tdx)" secret
mode unsigned
check "use_secure_cert = false: and they do count" refused --tee sgx
mode ok
stop_kbs

# ---- verify-evidence --online is the same service ----
virtual-tee evidence --pki "$pki" --tee tdx --report-data 00 >"$work/tdx.json"
v="verify-evidence --tee tdx --evidence $work/tdx.json --extra-trust-anchors $pki/anchors --config $work/memory.toml"
forget
check "verify-evidence alone asks nobody" equal "$($v >/dev/null 2>&1; echo "$?:$(asked)")" 1:0
check "verify-evidence --online" equal "$($v --online 2>/dev/null | tail -1):$(asked)" verified:4
mode unsigned
$v --online -f json >"$work/answer" 2>/dev/null
check "verify-evidence --online, altered answers: refused" has "$(cat "$work/answer")" '"result":"fail","reason":{"check":"collateral"'
mode ok

# ---- through a proxy, as the environment says ----
"$python" "$(dirname "$0")/connect-proxy.py" "$work/proxy" &
proxy_pid=$!
service_pid="$service_pid $proxy_pid" # both end with the test
proxy_is_there() { [ -s "$work/proxy.port" ]; }
until_true proxy_is_there
export https_proxy=http://127.0.0.1:$(cat "$work/proxy.port")
check "proxy: kbs starts" start "$work/memory.toml"
check "proxy: cold" equal "$(guest --tee tdx)" secret
check "proxy: by way of it" has "$(cat "$work/proxy.asked")" "CONNECT ${at#https://} HTTP/1.1"
stop_kbs
unset https_proxy

# ---- the attestation service alone ----
cat >"$work/as.json" <<JSON
{"verifier_config": {"collateral": {"ca_file": "$service/tls.crt", "timeout_s": 5}}}
JSON
printf '{"pccs_url": "%s/sgx/certification/v4/"}' "$at" >"$work/qcnl.conf"
virtual-tee evidence --pki "$pki" --tee tdx --report-data "$(printf '00%.0s' {1..64})" >"$work/tdx.json"
b64url() { base64 -w0 | tr '+/' '-_' | tr -d =; }
printf '{"verification_requests":[{"tee":"tdx","evidence":"%s"}]}' "$(b64url <"$work/tdx.json")" >"$work/body"
start_as() {
    : >"$work/kbs.log"
    QCNL_CONF_PATH=$work/qcnl.conf restful-as -s 127.0.0.1:0 -c "$work/as.json" --extra-trust-anchors "$pki/anchors" >"$work/kbs.log" 2>&1 &
    kbs_pid=$!
    started() { grep -q 'Attestation Service at' "$work/kbs.log"; }
    until_true started && url=http://$(sed -n 's/.*Attestation Service at //p' "$work/kbs.log")
}
verdict() { curl -s -o "$work/answer" -w '%{http_code}' -H 'Content-Type: application/json' --data-binary "@$work/body" "$url/attestation"; }
forget
check "restful-as starts" start_as
check "restful-as: cold, with the address of sgx_default_qcnl.conf" equal "$(verdict):$(asked)" 200:4
check "restful-as: warm" equal "$(verdict):$(asked)" 200:4
stop_kbs
mode hang
check "restful-as, a service that hangs: starts" start_as
check "restful-as, a service that hangs: refused in the end" equal "$(verdict)" 500
check "restful-as, a service that hangs: and says why" has "$(cat "$work/answer")" "could not fetch collateral"
check "restful-as, a service that hangs: in the log, with the check" has "$(cat "$work/kbs.log")" "(check collateral,"
mode ok
stop_kbs
finish

#!/bin/bash
# Kill switches in whole programs: kbs, restful-as and verify-evidence, with the file changing under
# them (docs/deny-list.md).
set -u
. "$(dirname "$0")/lib.sh"

mkdir -p "$work/store/kbs" "$work/store/repository"
printf 'package policy\nallow := true\n' >"$work/store/kbs/resource-policy.rego"
printf 'secret' >"$work/store/repository/r\\x2Ft\\x2Fk"
make_admin_key
cat >"$work/kbs.toml" <<TOML
$(config_head)
[attestation_service.verifier_config]
deny_list = "$work/deny.toml"
[attestation_service.verifier_config.dcap_verifier]
collateral_service = "file://$pki/collateral/platform_collaterals.json"
[storage_backend]
storage_type = "LocalFs"
[storage_backend.backends.local_fs]
dir_path = "$work/store"
[[plugins]]
name = "resource"
TOML
chip=$(printf '0123456789abcdef%.0s' {1..8})
head='reason = "INC-4711: host stolen"
expires = 2100-01-01T00:00:00Z'
write() { printf '%s\n' "$1" >"$work/deny.new" && mv "$work/deny.new" "$work/deny.toml"; }
guest() { virtual-tee get-resource --pki "$pki" --url "$url" "$@" r/t/k 2>"$work/stderr"; }
story() {
    kbs-client --url "$url" config --auth-private-key "$work/admin.key" explain -f json \
        "$(sed -n 's/^decision: //p' "$work/stderr" | tail -1)"
}
until_log() { # TEXT FILE: the file is followed within a second; the log says so
    for _ in $(seq 500); do
        grep -qF "$1" "$2" && return 0
        sleep 0.02
    done
    return 1
}

# ---- verify-evidence ----

virtual-tee evidence --pki "$pki" --tee snp --report-data 00 --set chip_id="$chip" >"$work/snp.json" || exit 99
write "[[deny]]
$head
chip_id = \"$chip\""
v="verify-evidence --tee snp --evidence $work/snp.json --report-data 00 --extra-trust-anchors $pki/anchors -f json"
out=$($v --config "$work/kbs.toml" 2>"$work/err")
check "verify-evidence: refused" has "$out" '{"result":"fail","reason":{"check":"kill-switch","field":"/evidence/attestation_report/chip_id"'
check "verify-evidence: expected and actual" has "$out" "\"expected\":{\"not\":\"$chip\"},\"actual\":\"$chip\""
check "verify-evidence: the reason" has "$out" 'entry 1 of the deny list refuses it until 2100-01-01T00:00:00Z: INC-4711: host stolen'
out=$($v 2>/dev/null)
check "without the configuration it passes" has "$out" '"result":"pass"'
check "and says that there is no list" has "$out" '{"name":"kill-switch","outcome":"skipped","why":"verifier_config.deny_list is not set"}'
check "what upstream's claims leave out stands beside them" has "$out" '"alias_check_complete":true'
write '[[deny]]
reason = "r"'
$v --config "$work/kbs.toml" >/dev/null 2>"$work/err"
check "a broken list: status 2" equal $? 2
check "with its place" has "$(cat "$work/err")" "deny.toml\": line 1, column 3: entry 1: it has no expires"

# ---- kbs ----

check "kbs starts with a broken list" start_kbs "$work/kbs.toml" --extra-trust-anchors "$pki/anchors"
health() { curl -s -o /dev/null -w '%{http_code}' "$url/healthz"; }
guest --tee snp >"$work/stdout"
check "and refuses everything" equal "$? $(cat "$work/stdout")" "1 "
check "naming the list" has "$(story)" '"field":"/data/verifier_config/deny_list"'
if command -v curl >/dev/null; then
    check "and is not healthy" equal "$(health)" 503
fi
write ''
check "a list without entries is read" until_log '0 entries in the deny list' "$work/kbs.log"
check "the secret is released" equal "$(guest --tee snp --set chip_id="$chip")" secret
if command -v curl >/dev/null; then
    check "and it is healthy" equal "$(health)" 200
fi

write "[[deny]]
$head
chip_id = \"$chip\"
[[deny]]
$head
tee = \"tdx\"
advisory = \"INTEL-SA-90001\"
[[deny]]
$head
cpu_stepping = 7
[[deny]]
$head
tcb_component = \"committed.snp\"
tcb_below = 20"
check "four entries are read" until_log '4 entries in the deny list' "$work/kbs.log"
guest --tee snp --set chip_id="$chip" >"$work/stdout"
check "the chip is refused" equal "$? $(cat "$work/stdout")" "1 "
check "the guest is not told why" lacks "$(cat "$work/stderr")" INC-4711
check "the decision: check and field" has "$(story)" '"check":"kill-switch","field":"/evidence/attestation_report/chip_id"'
check "the decision: both sides" has "$(story)" "\"expected\":{\"not\":\"$chip\"},\"actual\":\"$chip\""
check "the decision: the reason" has "$(story)" "INC-4711: host stolen"
check "another chip is served" equal "$(guest --tee snp)" secret
guest --tee az-snp-vtpm --set cpuid_stepping=7 >"$work/stdout"
check "the stepping is refused on Azure" equal "$? $(cat "$work/stdout")" "1 "
check "by its field" has "$(story)" '"field":"/evidence/hcl_report/hardware_report/cpuid_step"'
guest --tee snp --set committed_tcb_snp=19 >"$work/stdout"
check "the old firmware is refused" equal "$? $(cat "$work/stdout")" "1 "
check "with the bound" has "$(story)" '"expected":{"at_least":20},"actual":19'
guest --tee tdx --set tcb_svn_all=7 >"$work/stdout"
check "the advisory is refused" equal "$? $(cat "$work/stdout")" "1 "
check "by its name" has "$(story)" '"actual":"INTEL-SA-90001"'
check "an up-to-date TDX machine is served" equal "$(guest --tee tdx)" secret

write '[[deny]]
reason = "r"
expires = 2100-01-01T00:00:00Z
cpu_familiy = 25'
check "a broken list is refused with its place" until_log \
    'deny.toml": line 4, column 1: entry 1: "cpu_familiy" is no member of an entry' "$work/kbs.log"
guest --tee snp --set chip_id="$chip" >"$work/stdout"
check "and the older one serves on" equal "$? $(cat "$work/stdout")" "1 "
check "for others, too" equal "$(guest --tee snp)" secret
write "[[deny]]
reason = \"long ago\"
expires = 2020-01-01T00:00:00Z
chip_id = \"$chip\""
check "an entry that has come to its end is named" until_log 'have expired and refuse nothing' "$work/kbs.log"
check "and refuses nothing" equal "$(guest --tee snp --set chip_id="$chip")" secret
stop_kbs

# ---- restful-as ----

command -v curl >/dev/null || { echo "ok $((count += 1)) # SKIP no-curl: the REST part needs it"; finish; }
cat >"$work/as.json" <<JSON
{"verifier_config": {"deny_list": "$work/deny.toml"}, "storage_backend": {"storage_type": "Memory"}}
JSON
write "[[deny]]
$head
chip_id = \"$chip\""
restful-as -c "$work/as.json" -s 127.0.0.1:0 --extra-trust-anchors "$pki/anchors" 2>"$work/as.log" &
pid=$!
trap 'kill -INT $pid 2>/dev/null; rm -rf "$work"' EXIT
check "restful-as starts" until_log 'Starting RESTful Attestation Service at' "$work/as.log"
as=http://$(sed -n 's/.*Starting RESTful Attestation Service at \(.*\)/\1/p' "$work/as.log")
b64u() { base64 -w0 | tr '+/' '-_' | tr -d =; }
request="{\"verification_requests\":[{\"tee\":\"snp\",\"evidence\":\"$(b64u <"$work/snp.json")\"}],\"policy_ids\":[]}"
post() {
    curl -s -o "$work/body" -w '%{http_code}' -H 'Content-Type: application/json' -d "$request" "$as/attestation"
}
check "restful-as: refused" equal "$(post)" 500
check "restful-as: the log says why" has "$(cat "$work/as.log")" "check kill-switch, field /evidence/attestation_report/chip_id"
write ''
check "restful-as: the file is followed" until_log '0 entries in the deny list' "$work/as.log"
check "restful-as: served" equal "$(post)" 200
kill -INT $pid
wait $pid
check "ends with status 0" equal $? 0
finish

#!/bin/bash
# virtual-tee's command line, and its machines against a real kbs: each protocol and key gets the
# secret, each fault is refused with the check that it declares.
. "$(dirname "$0")/lib.sh"

status() { # WANT COMMAND...: exit status, nothing on standard output unless it is 0
    local want=$1 got
    shift
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    cat "$work/err"
    [ "$got" = "$want" ] || { echo "status $got, not $want"; return 1; }
    [ "$got" = 0 ] || [ ! -s "$work/out" ] || { echo "wrote to standard output"; return 1; }
}

# ---- command line ----
zeros=$(printf '0%.0s' $(seq 64))
evidence() { virtual-tee evidence --pki "$pki" --report-data 00ff "$@"; }
check "help" status 0 virtual-tee --help
check "version" status 0 virtual-tee --version
check "no command" status 2 virtual-tee
check "an unknown command" status 2 virtual-tee attest
check "an unknown option" status 2 virtual-tee faults --nothing
check "an option of another command" status 2 virtual-tee faults --pki "$pki"
check "an option without its value" status 2 virtual-tee faults --tee
check "an argument too many" status 2 virtual-tee faults more
check "an unknown TEE" status 2 virtual-tee faults --tee az-snp
check "no PKI there" status 2 virtual-tee evidence --pki "$work" --report-data 00
check "no PKI given" status 2 virtual-tee evidence --report-data 00
check "report data is missing" status 2 virtual-tee evidence --pki "$pki"
check "report data is no hex" status 2 virtual-tee evidence --pki "$pki" --report-data 0g
check "report data of 64 bytes" status 0 virtual-tee evidence --pki "$pki" --report-data "$zeros$zeros"
check "report data of 65 bytes" status 2 virtual-tee evidence --pki "$pki" --report-data "$zeros${zeros}00"
check "an unknown field" status 2 evidence --set nothing=1
check "a value out of range" status 2 evidence --set policy_abi_minor=256
check "an unknown fault" status 2 evidence --fault nothing
check "a PCR that does not exist" status 2 evidence --pcr 24=$zeros
check "an evidence version that does not exist" status 2 evidence --evidence-version 3
check "init data that is not there" status 2 evidence --initdata "$work/none"
check "an event log that is not there" status 2 evidence --tee tdx --event-log "$work/none"
printf 'no log' >"$work/log"
check "an event log that is none" status 2 evidence --tee tdx --event-log "$work/log"
# A specification event, one event (EV_SEPARATOR of register 2), the end.
{
    printf '\0\0\0\0\3\0\0\0%020d' 0 | tr 0 '\0'
    printf '\041\0\0\0Spec ID Event03\0\0\0\0\0\0\2\0\2\1\0\0\0\014\0\060\0\0'
    printf '\2\0\0\0\4\0\0\0\1\0\0\0\014\0'
    printf '\0\0\0\0' | openssl dgst -sha384 -binary
    printf '\4\0\0\0\0\0\0\0\377\377\377\377\377\377\377\377'
} >"$work/log"
evidence --tee tdx --event-log "$work/log" >"$work/td.json" || exit 99
td="verify-evidence --tee tdx --evidence $work/td.json --report-data 00ff --extra-trust-anchors $pki/anchors --collateral $pki/collateral"
check "an event log travels, and its replay gives the registers" has "$($td 2>/dev/null)" '"type_name": "EV_SEPARATOR"'
evidence --tee tdx --event-log "$work/log" --set rtmr_1="$zeros${zeros:32}" >"$work/td.json" || exit 99
check "registers that are set win over it" has "$($td 2>/dev/null)" 'refused by event-log at /evidence/quote/body/rtmr_1'
check "evidence without an event log" status 2 evidence --tee sgx --event-log "$work/log"
check "options with =" status 0 evidence --evidence-version=1 --set=vmpl=1
pcr9() { evidence "$@" | tr '"' '\n' | grep -cx "${zeros:1}7"; }
check "of two --pcr the last wins" equal "$(pcr9 --pcr 9=$zeros --pcr 9="${zeros:1}7")" 1
check "and it is the last" equal "$(pcr9 --pcr 9="${zeros:1}7" --pcr 9=$zeros)" 0
for tee in az-snp-vtpm snp az-tdx-vtpm tdx sgx tpm sample; do
    check "$tee has fields and faults of three columns" \
        sh -c "virtual-tee fields --tee $tee | grep -q . && virtual-tee faults --tee $tee | awk -F'\t' 'NF != 3 { exit 1 }'"
done
check "az-snp-vtpm has at least 35 faults" test "$(virtual-tee faults | wc -l)" -ge 35
check "no server there: no exchange" status 2 virtual-tee get-resource --tee sample --url http://127.0.0.1:1 a/b/c
check "an unknown protocol" status 2 virtual-tee get-resource --tee sample --url http://127.0.0.1:1 --protocol 0.3.0 a/b/c
check "an unknown kind of key" status 2 virtual-tee get-resource --tee sample --url http://127.0.0.1:1 --tee-key ed25519 a/b/c
check "the name of a resource is missing" status 2 virtual-tee get-resource --tee sample --url http://127.0.0.1:1

# ---- against a server ----
mkdir -p "$work/policies/opa" "$work/repository/default/kbsres1"
printf 'Confidential_Secret!' >"$work/repository/default/kbsres1/key1"
openssl genpkey -algorithm ed25519 -out "$work/admin.key" 2>/dev/null
openssl pkey -in "$work/admin.key" -pubout -out "$work/admin.pub" 2>/dev/null
echo '[]' >"$work/reference-values.json"
printf 'package policy\nimport rego.v1\ndefault hardware := 97\nhardware := 2 if input\n' >"$work/policies/opa/default.rego"
printf 'package policy\nimport rego.v1\ndefault allow := false\nallow if input\n' >"$work/resource-policy.rego"
sed "s|@DIR@|$work|g; s|@OPEN@|true|" "$source_dir/examples/azure-snp/kbs-config.toml.in" >"$work/kbs.toml"
printf '\n[claviger]\nprotocols = ["0.1.1", "0.2.0", "0.4.0"]\n' >>"$work/kbs.toml"
printf '\n[attestation_service.verifier_config.sample_verifier]\n' >>"$work/kbs.toml"
check "kbs starts" start_kbs "$work/kbs.toml" --extra-trust-anchors "$pki/anchors"

guest() { virtual-tee get-resource --pki "$pki" --url "$url" "$@" default/kbsres1/key1; }
for tee in az-snp-vtpm snp sample; do
    for protocol in 0.1.1 0.2.0 0.4.0; do
        check "$tee, $protocol" equal "$(guest --tee $tee --protocol $protocol 2>&1)" 'Confidential_Secret!'
    done
    for key in ec256 ec521 rsa; do
        check "$tee, $key" equal "$(guest --tee $tee --tee-key $key 2>&1)" 'Confidential_Secret!'
    done
done
for version in 0 1 2; do
    check "evidence version $version" equal "$(guest --evidence-version $version 2>&1)" 'Confidential_Secret!'
done
check "kbs:/// address" equal "$(virtual-tee get-resource --pki "$pki" --url "$url/" kbs:///default/kbsres1/key1 2>&1)" \
    'Confidential_Secret!'
check "init data is measured and sent" equal "$(guest --initdata "$source_dir/examples/azure-snp/initdata.toml" 2>&1)" \
    'Confidential_Secret!'
check "the old name with 0.4.0" equal "$(guest --tee azsnpvtpm 2>&1)" 'Confidential_Secret!'
check "load" virtual-tee load --pki "$pki" --url "$url" --connections 4 --seconds 1 -f json default/kbsres1/key1

# The check of the decision, or of its cause.
explained() {
    kbs-client --url "$url" config --auth-private-key "$work/admin.key" explain -f json "$1" |
        sed -n 's/.*"check":"\([^"]*\)".*/\1/p' | head -1
}
refused_with() { # CHECK OPTIONS...
    local want=$1 id
    shift
    guest "$@" >"$work/out" 2>"$work/err"
    [ $? = 1 ] && [ ! -s "$work/out" ] || { cat "$work/err"; return 1; }
    id=$(tail -1 "$work/err" | sed -n 's/^decision: \([0-9a-f]\{32\}\)$/\1/p')
    [ -n "$id" ] || { echo "no decision id on the last line"; cat "$work/err"; return 1; }
    equal "$(explained "$id")" "$want"
}
for tee in az-snp-vtpm snp sample; do
    while IFS=$'\t' read -r fault name what; do
        check "$tee $fault: $what" refused_with "$name" --tee $tee --fault "$fault"
    done < <(virtual-tee faults --tee $tee)
done
stop_kbs
finish

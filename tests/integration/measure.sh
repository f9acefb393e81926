#!/bin/bash
# measure as a program, and what it prints at a real kbs: a virtual machine made of the measured
# files is accepted, one of other files is not.
set -u
. "$(dirname "$0")/lib.sh"

make_image() { "$build/tests/unit/measure/measure_make_image" "$1"; }
for name in ovmf ovmf-without-hashes uki uki-257 kernel initrd; do
    make_image $name >"$work/$name" || exit 99
done
status() { # WANT COMMAND...: exit status, nothing on standard output unless it is 0
    local want=$1 got
    shift
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    cat "$work/err"
    [ "$got" = "$want" ] || { echo "status $got, not $want"; return 1; }
    [ "$got" = 0 ] || [ ! -s "$work/out" ] || { echo "wrote to standard output"; return 1; }
    [ "$got" = 0 ] || [ -s "$work/err" ] || { echo "gave no reason"; return 1; }
}
snp="measure snp --firmware $work/ovmf --vcpus 2 --cpu EPYC-Milan"
initdata=$source_dir/examples/azure-snp/initdata.toml

# ---- command line ----
check "help" status 0 measure --help
check "version" status 0 measure --version
check "no command" status 2 measure
check "an unknown command" status 2 measure sgx
check "two commands" status 2 measure snp tdx
check "an unknown option" status 2 measure snp --nothing
check "an option of another command" status 2 $snp --uki "$work/uki"
check "no firmware" status 2 measure snp --vcpus 1 --cpu EPYC
check "a firmware that is not there" status 2 measure snp --firmware "$work/none" --vcpus 1 --cpu EPYC
check "no number of processors" status 2 measure snp --firmware "$work/ovmf" --cpu EPYC
check "0x in a number" status 0 $snp --guest-features 0x1
for n in -1 '' ' 1' 1x 4097 99999999999999999999; do
    check "--vcpus '$n'" status 2 measure snp --firmware "$work/ovmf" --cpu EPYC --vcpus "$n"
done
check "no processor at all" status 1 measure snp --firmware "$work/ovmf" --cpu EPYC --vcpus 0
check "no kind of processor" status 2 measure snp --firmware "$work/ovmf" --vcpus 1
check "EC2 needs none" status 0 measure snp --firmware "$work/ovmf" --vcpus 1 --vmm ec2
check "an unknown kind of processor" status 2 measure snp --firmware "$work/ovmf" --vcpus 1 --cpu Xeon
check "kinds of processors" has "$(measure snp --cpu help)" EPYC-Genoa
check "name and signature" status 2 $snp --cpu-signature 1
check "by its signature" equal "$($snp)" "$(measure snp --firmware "$work/ovmf" --vcpus 2 --cpu-signature 0xa00f11)"
check "an unknown host" status 2 $snp --vmm xen
check "an initrd without a kernel" status 2 $snp --initrd "$work/initrd"
check "a kernel that would not be measured" status 1 measure snp --firmware "$work/ovmf-without-hashes" --vcpus 1 \
    --cpu EPYC --kernel "$work/kernel"
check "a firmware that is none" status 1 measure snp --firmware "$work/kernel" --vcpus 1 --cpu EPYC
check "tdx without anything" status 2 measure tdx
check "tdx with log and kernel" status 2 measure tdx --event-log "$work/ovmf" --kernel "$work/kernel"
check "a log that is none" status 1 measure tdx --event-log "$work/ovmf"
check "a kernel that is none" status 1 measure tdx --kernel "$work/ovmf"
check "an unknown order" status 2 measure tdx --firmware "$work/ovmf" --page-order none
check "vtpm without an image" status 2 measure vtpm
check "an image that is none" status 1 measure vtpm --uki "$work/ovmf"
check "init data that is none" status 1 measure vtpm --uki "$work/uki" --initdata "$work/kernel"
check "a stub that is not known" status 1 measure vtpm --uki "$work/uki" --stub 9
check "an unknown form" status 2 $snp -f yaml
check "an unknown era" status 2 $snp --era ancient
check "a time that is none" status 2 $snp -f reference-values --expires soon
check "a time where a server sets it" status 2 $snp -f message --expires 2027-01-31T00:00:00Z

# ---- answers ----
launch_digest() { $snp "$@" | head -1 | cut -d' ' -f2; }
check "text" equal "$($snp | cut -d' ' -f1 | tr '\n' ' ')" "snp_launch_measurement snp_launch_measurement "
check "servers up to v0.17 compare base64" equal "$($snp --era old)" "$($snp | tail -1)"
check "of the same bytes" equal "$($snp --era old | cut -d' ' -f2 | base64 -d | od -An -v -tx1 | tr -d ' \n')" "$(launch_digest)"
check "names in order" equal "$(measure vtpm --uki "$work/uki" --initdata "$initdata" | cut -d' ' -f1 | tr '\n' ' ')" \
    "pcr03 pcr08 pcr09 pcr11 pcr12 "
check "with a prefix" has "$(measure vtpm --uki "$work/uki" --prefix snp_)" "snp_pcr11 "
check "PCR 8 as initdata computes it" has "$(measure vtpm --uki "$work/uki" --initdata "$initdata")" \
    "pcr08 $(initdata pcr8 "$initdata")"
check "a value for each path of phases" equal \
    "$(measure vtpm --uki "$work/uki" --phases '' --phases enter-initrd --phases enter-initrd | grep -c ^pcr11)" 2
check "an expiration" has "$($snp -f reference-values --expires 2027-01-31T00:00:00Z)" '"expiration":"2027-01-31T00:00:00Z"'
check "of twelve months" has "$($snp -f reference-values)" "\"expiration\":\"$(($(date -u +%Y) + 1))-"
check "the older form" has "$($snp -f reference-values --era old)" '"hash-value":[{"alg":"sha384","value":"'
boot="measure tdx --firmware $work/ovmf --kernel $work/kernel --initrd $work/initrd --cmdline quiet"
check "MRTD and a direct boot" equal "$($boot | cut -d' ' -f1 | uniq | tr '\n' ' ')" "mr_td rtmr_1 rtmr_2 tdvfkernel "
check "one place of the word" equal "$($boot --initrd-word front | cut -d' ' -f1 | tr '\n' ' ')" \
    "mr_td rtmr_1 rtmr_1 rtmr_2 tdvfkernel tdvfkernelparams "
check "a string where policies compare with ==" has "$($boot -f json)" '"tdvfkernel":"'
check "not for older servers" lacks "$($boot --era old)" tdvfkernel

# ---- at a server of today ----
mkdir -p "$work/store/repository" "$work/store/kbs"
make_admin_key
cat >"$work/new.toml" <<TOML
$(config_head)
[storage_backend]
storage_type = "LocalFs"
[storage_backend.backends.local_fs]
dir_path = "$work/store"
[[plugins]]
name = "resource"
TOML
cat >"$work/policy.rego" <<'REGO'
package policy

import rego.v1

default executables := 33

executables := 3 if {
	every name in ["pcr03", "pcr08", "pcr09", "pcr11", "pcr12"] {
		input["az-snp-vtpm"].tpm[name] in query_reference_value(name)
	}
}

executables := 3 if input.snp.measurement in query_reference_value("snp_launch_measurement")

default hardware := 2

default configuration := 2
REGO
admin() { kbs-client --url "$url" config --auth-private-key "$work/admin.key" "$@"; }
guest() { virtual-tee get-resource --pki "$pki" --url "$url" "$@" default/kbsres1/key1; }
pcrs() { # IMAGE: what a machine that booted it has
    measure vtpm --uki "$1" --initdata "$initdata" | sed -n 's/^pcr0*\([0-9]*\) \([0-9a-f]*\)$/--pcr \1=\2/p'
}
check "kbs starts" start_kbs "$work/new.toml" --extra-trust-anchors "$pki/anchors"
printf 'Confidential_Secret!' >"$work/secret"
check "a secret" admin set-resource --path default/kbsres1/key1 --resource-file "$work/secret"
check "for affirmed guests" admin set-resource-policy --affirming
check "the policy" admin set-attestation-policy --id default_cpu --policy-file "$work/policy.rego"
check "without reference values nobody gets it" status 1 guest --tee az-snp-vtpm $(pcrs "$work/uki")
measure vtpm --uki "$work/uki" --initdata "$initdata" -f json >"$work/values.json"
check "registered" admin set-reference-values "$work/values.json"
check "the machine is accepted" equal "$(guest --tee az-snp-vtpm $(pcrs "$work/uki") 2>&1)" 'Confidential_Secret!'
check "with its init data, too" equal \
    "$(guest --tee az-snp-vtpm $(pcrs "$work/uki") --initdata "$initdata" 2>&1)" 'Confidential_Secret!'
check "one that booted another image is not" status 1 guest --tee az-snp-vtpm $(pcrs "$work/uki-257")
check "nor one with another PCR 9" status 1 guest --tee az-snp-vtpm $(pcrs "$work/uki") --pcr "9=$(printf '0%.0s' {1..64})"

digest=$(launch_digest --kernel "$work/kernel" --initrd "$work/initrd" --cmdline quiet)
check "an SNP machine is not, yet" status 1 guest --tee snp --set measurement="$digest"
$snp --kernel "$work/kernel" --initrd "$work/initrd" --cmdline quiet -f message >"$work/message.json"
token=$(python3 - "$work/message.json" <<'PY'
import base64, json, sys
m = json.load(open(sys.argv[1]))
assert m["version"] == "0.1.0" and m["type"] == "sample"
print(json.dumps(json.loads(base64.b64decode(m["payload"]))))
PY
)
printf '%s' "$token" >"$work/payload.json"
check "a message's payload is what -f json prints" admin set-reference-values "$work/payload.json"
check "the SNP machine is accepted" equal "$(guest --tee snp --set measurement="$digest" 2>&1)" 'Confidential_Secret!'
check "one with another command line is not" status 1 guest --tee snp \
    --set measurement="$(launch_digest --kernel "$work/kernel" --initrd "$work/initrd" --cmdline loud)"
check "a file that is none is refused" status 1 admin set-reference-values "$work/secret"
check "and one without a member" sh -c "echo '{}' >$work/empty.json; ! kbs-client --url $url config --auth-private-key $work/admin.key set-reference-values $work/empty.json"
stop_kbs

# ---- at a server of v0.12: a file of reference values ----
mkdir -p "$work/policies/opa" "$work/repository/default/kbsres1"
cp "$work/secret" "$work/repository/default/kbsres1/key1"
for name in attestation-policy resource-policy; do cp "$source_dir/examples/azure-snp/$name.rego" "$work/"; done
mv "$work/attestation-policy.rego" "$work/policies/opa/default.rego"
sed "s|@DIR@|$work|g; s|@OPEN@|true|" "$source_dir/examples/azure-snp/kbs-config.toml.in" >"$work/old.toml"
for era in old new; do
    measure vtpm --uki "$work/uki" --initdata "$initdata" -f reference-values --era $era >"$work/reference-values.json"
    check "kbs starts ($era form)" start_kbs "$work/old.toml" --extra-trust-anchors "$pki/anchors"
    check "the machine is accepted ($era form)" equal \
        "$(guest --tee az-snp-vtpm --protocol 0.1.1 $(pcrs "$work/uki") 2>&1)" 'Confidential_Secret!'
    check "another image is not ($era form)" status 1 guest --tee az-snp-vtpm --protocol 0.1.1 $(pcrs "$work/uki-257")
    stop_kbs
done
measure vtpm --uki "$work/uki" --initdata "$initdata" -f reference-values --expires 2025-01-31T00:00:00Z >"$work/reference-values.json"
check "kbs starts with expired values" start_kbs "$work/old.toml" --extra-trust-anchors "$pki/anchors"
check "which it does not take" status 1 guest --tee az-snp-vtpm --protocol 0.1.1 $(pcrs "$work/uki")
finish

#!/bin/bash
# verify-evidence as a program: answers, statuses, options (../shared/INTERFACES.md, Tools).
set -u
. "$(dirname "$0")/lib.sh"

status() { "$@" >/dev/null 2>&1; echo $?; }
nonce=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
virtual-tee evidence --pki "$pki" --tee az-snp-vtpm --report-data $nonce >"$work/az.json" || exit 99
v="verify-evidence --tee az-snp-vtpm --evidence $work/az.json --report-data $nonce"
ours="--extra-trust-anchors $pki/anchors"

out=$($v $ours -f json 2>"$work/err")
check "status 0 when it is verified" equal "$(status $v $ours)" 0
check "JSON: result" has "$out" '{"result":"pass","reason":null,"checks":['
check "JSON: a check" has "$out" '{"name":"quote-signature","outcome":"pass"}'
check "JSON: a skipped check says why" has "$out" '"outcome":"skipped","why":"'
check "JSON: claims" has "$out" '"claims":[{"class":"cpu","claims":{'
check "claims name the extra anchors" has "$out" '"extra_trust_anchors":["'
check "extra anchors are warned about" has "$(cat "$work/err")" "extra trust anchors"
check "text: a line a check" has "$($v $ours 2>/dev/null)" "pass     report-signature"
check "text: the last line" equal "$($v $ours 2>/dev/null | tail -1)" verified
check "the older spelling" equal "$(status ${v/az-snp-vtpm/azsnpvtpm} $ours)" 0

check "status 1: roots that nobody told us of" equal "$(status $v)" 1
check "with its reason" has "$($v --format json 2>/dev/null)" \
    '"reason":{"check":"certificate-chain","field":"/evidence/vcek","expected":"amd-ask-milan"'
out=$($v $ours --report-data 00 -f json 2>"$work/err")
check "the reason of another nonce" has "$out" \
    '"check":"nonce","field":"/evidence/tpm_quote/message/extra_data","expected":"00","actual":"'$nonce
check "no claims beside a refusal" has "$out" '"claims":[]}'
check "the reason on standard error, too" equal "$(cat "$work/err")" \
    "$(printf 'verify-evidence: warning: %s\nverify-evidence: %s' "$(sed -n 's/.*warning: //p' "$work/err")" \
        "TPM quote nonce doesn't match expected report_data")"
check "status 1: init data that it does not hold" equal \
    "$(status $v $ours --init-data-hash "$(printf '0%.0s' {1..64})")" 1
check "status 1: a moment before the VCEK" equal "$(status $v $ours --time 1999-01-01T00:00:00Z)" 1

# Collateral and configuration.
check "a revocation list is looked at" has "$($v $ours --collateral "$pki/collateral" -f json 2>/dev/null)" '"crl_status":"checked"'
printf '[verifier_config.snp_verifier]\ncrl = "required"\n' >"$work/c.toml"
check "a list that is required" equal "$(status $v $ours --config "$work/c.toml")" 1
check "names what is missing" has "$($v $ours --config "$work/c.toml" -f json 2>/dev/null)" \
    'https://kdsintf.amd.com/vcek/v1/Milan/crl'
check "and is satisfied" equal "$(status $v $ours --config "$work/c.toml" --collateral "$pki/collateral")" 0


# Bundles of Intel's collateral.
bundle=$pki/collateral/intel-tdx.json
t="verify-evidence --tee tdx --evidence $work/td.json --report-data $nonce $ours -f json"
virtual-tee evidence --pki "$pki" --tee tdx --report-data $nonce >"$work/td.json" || exit 99
check "a bundle" equal "$(status $t --collateral "$bundle")" 0
sed 's/"pck_crl_issuer_chain"/"nothing"/' "$bundle" >"$work/bundle.json"
check "a bundle without the chain of its list" equal "$(status $t --collateral "$work/bundle.json")" 0
for member in tcb_info tcb_info_issuer_chain qe_identity qe_identity_issuer_chain pck_crl root_ca_crl; do
    sed "s/\"$member\"/\"nothing\"/" "$bundle" >"$work/bundle.json"
    check "a bundle without $member: missing, not unreadable" has \
        "$(status $t --collateral "$work/bundle.json")$($t --collateral "$work/bundle.json" 2>/dev/null)" \
        '1{"result":"fail","reason":{"check":"collateral","field":"/data/collateral"'
done
sed 's/"fmspc"/"nothing"/' "$bundle" >"$work/bundle.json"
check "the only bundle needs no fmspc of its own" equal "$(status $t --collateral "$work/bundle.json")" 0
for member in pck_crl root_ca_crl; do
    sed "s/\"$member\" *: *\"[^\"]*\"/\"$member\":\"no list\"/" "$bundle" >"$work/bundle.json"
    check "a bundle whose $member is no list: refused by name" has "$($t --collateral "$work/bundle.json" 2>/dev/null)" \
        '"check":"collateral","field":"/data/collateral/'$member'"'
done
printf '[verifier_config.dcap_verifier]\ncollateral_service = "file://%s"\n' "$pki/collateral/platform_collaterals.json" >"$work/file.toml"
check "a file:// of the configuration" has "$($t --config "$work/file.toml" 2>/dev/null)" '"collateral_expiration_status":"0"'
check "serves whatever its age, and the claim says so" has \
    "$($t --config "$work/file.toml" --time 2046-01-01T00:00:00Z 2>/dev/null)" '"collateral_expiration_status":"1"'
check "without one, all that is missing is named in full" has "$($t 2>/dev/null)" \
    '"expected":["https://api.trustedservices.intel.com/tdx/certification/v4/tcb?fmspc='
virtual-tee evidence --pki "$pki" --tee tdx --report-data $nonce --set fmspc=00a06d080000 >"$work/td.json" || exit 99
check "a bundle of another platform: says what does not fit" has "$($t --collateral "$bundle" 2>/dev/null)" \
    '"check":"tcb-info","field":"/evidence/quote/signature/pck_chain/0/fmspc"'
check "of several bundles, none is taken for it" has "$($t --collateral "$pki/collateral" 2>/dev/null)" \
    '"check":"collateral","field":"/data/collateral"'

printf '[attestation_service.verifier_config.snp_verifier]\nenforce_vek_dates = "true"\n' >"$work/c.toml"
check "status 2: a switch in words" equal "$(status $v $ours --config "$work/c.toml")" 2
check "with file, line and key" has "$($v $ours --config "$work/c.toml" 2>&1)" \
    "c.toml:2:1: attestation_service.verifier_config.snp_verifier.enforce_vek_dates: expected true or false, got a string"
printf '[verifier_config]\ndeny_lists = "x"\n' >"$work/c.toml"
check "a misspelt key is told" has "$($v $ours --config "$work/c.toml" 2>&1)" "did you mean verifier_config.deny_list"
printf '[verifier_config]\ndeny_list = 5\n' >"$work/c.toml"
check "status 2: a deny list that names no file" equal "$(status $v $ours --config "$work/c.toml")" 2

# Bad input.
for text in '' '{' '{"a":1,"a":2}' '[]' 'null' '{"version":2}' '"x"'; do
    printf '%s' "$text" >"$work/bad.json"
    check "malformed evidence <$text>: status 1" equal \
        "$(status verify-evidence --tee az-snp-vtpm --evidence "$work/bad.json" --report-data 00)" 1
    check "malformed evidence <$text>: JSON" has \
        "$(verify-evidence --tee az-snp-vtpm --evidence "$work/bad.json" --report-data 00 -f json 2>/dev/null)" \
        '{"result":"fail","reason":{"check":"evidence-'
done
check "status 2: no such TEE" equal "$(status verify-evidence --tee sgxx --evidence "$work/az.json")" 2
check "status 2: a TEE without a verifier here" equal "$(status verify-evidence --tee csv --evidence "$work/az.json")" 2
check "status 2: no evidence" equal "$(status verify-evidence --tee snp --evidence "$work/none")" 2
check "status 2: no option" equal "$(status verify-evidence)" 2
check "status 2: an unknown option" equal "$(status $v --frobnicate)" 2
check "status 2: report data that is no hex" equal "$(status $v --report-data xyz)" 2
check "status 2: a time that is none" equal "$(status $v --time yesterday)" 2
check "status 2: an era that is none" equal "$(status $v --era ancient)" 2
check "status 2: a folder that is none" equal "$(status $v --extra-trust-anchors "$work/none")" 2
check "status 2: collateral that is none" equal "$(status $v --collateral "$work/az.json")" 2
check "status 2: a configuration that is none" equal "$(status $v --config "$work/none.toml")" 2

echo '{"svn":"1","report_data":"AAA="}' >"$work/sample.json"
check "sample evidence is refused" equal "$(status verify-evidence --tee sample --evidence "$work/sample.json")" 1
printf 'verifier_config:\n  sample_verifier: {}\n' >"$work/s.yaml"
check "unless the configuration names it" equal \
    "$(status verify-evidence --tee sample --evidence "$work/sample.json" --config "$work/s.yaml")" 0
finish

#!/bin/bash
# Intel machines against a whole kbs, with endorsements out of a local file; and what
# is said when there are none.
set -u
. "$(dirname "$0")/lib.sh"

mkdir -p "$work/store/kbs" "$work/store/repository"
printf 'package policy\nallow := true\n' >"$work/store/kbs/resource-policy.rego"
printf 'secret' >"$work/store/repository/r\\x2Ft\\x2Fk"
make_admin_key
config() { # URL of the collateral service
    cat >"$work/kbs.toml" <<TOML
$(config_head)
[attestation_service.verifier_config.dcap_verifier]
collateral_service = "$1"
[storage_backend]
storage_type = "LocalFs"
[storage_backend.backends.local_fs]
dir_path = "$work/store"
[[plugins]]
name = "resource"
TOML
}
guest() { virtual-tee get-resource --pki "$pki" --url "$url" "$@" r/t/k 2>"$work/stderr"; }
check_of() {
    kbs-client --url "$url" config --auth-private-key "$work/admin.key" explain -f json \
        "$(sed -n 's/^decision: //p' "$work/stderr" | tail -1)"
}

config "file://$pki/collateral/platform_collaterals.json"
check "kbs starts" start_kbs "$work/kbs.toml" --extra-trust-anchors "$pki/anchors"
for tee in tdx az-tdx-vtpm sgx snp az-snp-vtpm; do
    check "$tee: the secret is released" equal "$(guest --tee $tee)" secret
done
check "tdx, once more: the collateral is at hand" equal "$(guest --tee tdx)" secret
for protocol in 0.1.1 0.2.0; do
    check "az-tdx-vtpm in $protocol" equal "$(guest --tee az-tdx-vtpm --protocol $protocol)" secret
done
fault=$(virtual-tee faults --tee tdx | grep -m1 'report-signature\|quote-signature' | cut -f1)
guest --tee tdx --fault "$fault" >"$work/stdout"
check "tdx with the fault $fault: refused" equal "$? $(cat "$work/stdout")" "1 "
stop_kbs

config "file://$work/nothing.json"
check "kbs starts without collateral" start_kbs "$work/kbs.toml" --extra-trust-anchors "$pki/anchors"
guest --tee tdx >"$work/stdout"
check "tdx without collateral: refused" equal "$? $(cat "$work/stdout")" "1 "
check "and the decision says what is missing" has "$(check_of)" '"check":"collateral"'
check "snp needs none" equal "$(guest --tee snp)" secret
finish

# Sourced by the workshop's tests, inside `sandbox`: the guide's files at their places, its
# reference values, a guest, the story of a refusal.
files=$shared/workshop
[ -r "$files/kbs-config.toml" ] || skip_all no-shared "$files"

coco=/opt/confidential-containers
host=http://kbs-service-trustee-operator-system.apps.example.com
mkdir -p /etc/kbs-config /etc/auth-secret "$coco/attestation-service/policies/opa" "$coco/opa" \
    "$coco/rvps/reference-values"
cp "$files/kbs-config.toml" /etc/kbs-config/kbs-config.toml
cp "$files/attestation-policy.rego" "$coco/attestation-service/policies/opa/default.rego"
cp "$files/resource-policy.rego" "$coco/opa/policy.rego"
cp "$files/sgx_default_qcnl.conf" /etc/sgx_default_qcnl.conf
openssl genpkey -algorithm ed25519 >"$work/privateKey" 2>/dev/null
openssl pkey -in "$work/privateKey" -pubout -out /etc/auth-secret/publicKey

# A Secret's mount: a folder that is swapped by a link, and a link for each key.
mount_secret() { # NAME KEY FILE...
    local dir=$coco/kbs/repository/default/$1
    shift
    mkdir -p "$dir/..2025"
    ln -sfn ..2025 "$dir/..data"
    while [ $# -gt 0 ]; do
        cp "$2" "$dir/..2025/$1"
        ln -sfn "..data/$1" "$dir/$1"
        shift 2
    done
}
printf 'Confidential_Secret!' >"$work/key1"
openssl rand 128 >"$work/key2"
mount_secret kbsres1 key1 "$work/key1" key2 "$work/key2"
mount_secret security-policy osc "$files/security-policy-config.json"

TRUSTEE_HOST=$host
export TRUSTEE_HOST
sed "s|\${TRUSTEE_HOST}|$host|g" "$files/initdata.toml.in" >"$work/initdata.toml"
PCR8_HASH=$(initdata pcr8 "$work/initdata.toml")

values=$coco/rvps/reference-values/reference-values.json
fill_values() { sed "s|\${PCR8_HASH}|$PCR8_HASH|g; $1" "$files/reference-values.json.in" >"$values.new" && mv "$values.new" "$values"; }
pcr() { sed -n "/\"pcr$1\"/,/\"value\":/p" "$files/reference-values.json.in" | sed -n 's/.*"value": *"\([0-9a-f]*\)".*/\1/p'; }
guest() {
    virtual-tee get-resource --pki "$pki" --tee "${tee:-az-snp-vtpm}" --url "$url" --pcr 3="$(pcr 03)" --pcr 9="$(pcr 09)" \
        --pcr 11="$(pcr 11)" --pcr 12="$(pcr 12)" --initdata "$work/initdata.toml" "$@" 2>"$work/stderr"
}
explain() {
    kbs-client --url "$url" config --auth-private-key "$work/privateKey" explain -f json "$1"
}
last_decision() { sed -n 's/^decision: //p' "$work/stderr" | tail -1; }
# The decision of the attestation below the last refusal.
cause() { explain "$(explain "$(last_decision)" | sed -n 's/.*"cause":"\([0-9a-f]*\)".*/\1/p')"; }


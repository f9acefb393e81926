#!/bin/bash
# The operator guide's workshop with its own files, unchanged, at the absolute
# paths that they name (../shared/workshop, spec/workshop-walk.md).  Runs inside
# `sandbox`: /opt is empty, /etc is a layer of ours, the network is loopback.
set -u
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/workshop-setup.sh"

by_shell=$(sha256sum "$work/initdata.toml" | cut -c1-64)
by_shell=$( (printf '%064d' 0; printf '%s' "$by_shell") | xxd -r -p 2>/dev/null | sha256sum | cut -c1-64) ||
    by_shell=""
if command -v xxd >/dev/null; then
    check "initdata pcr8 is the shell's value" equal "$PCR8_HASH" "$by_shell"
fi
check "the known value of the walk" equal "$PCR8_HASH" 4efea496bc67630505fc37c405deae596a0b6904a92341bd68ace78067d78cf9
check "initdata check accepts it" initdata check "$work/initdata.toml"
gzip <"$work/initdata.toml" | base64 -w0 >"$work/encoded"
check "initdata decode gives the file" sh -c "initdata decode '$work/encoded' | cmp - '$work/initdata.toml'"

check "kbs --check-config accepts the configuration and names the era" \
    sh -c 'kbs --config-file /etc/kbs-config/kbs-config.toml --check-config | grep -q "era old"'

fill_values 's/2025-12-12/2099-12-12/'
check "kbs starts" start_kbs /etc/kbs-config/kbs-config.toml --extra-trust-anchors "$pki/anchors"
log=$(cat "$work/kbs.log")
check "the log names the configuration" has "$log" "Using config file /etc/kbs-config/kbs-config.toml"
check "the built-in RVPS" has "$log" "launch a built-in RVPS"
check "the token signer" has "$log" "made an ephemeral one"
check "the workers" has "$log" " workers"
check "and the socket" has "$log" "Starting HTTP server at [0.0.0.0:8080]"
for warning in insecure_http "INSECURE ADMINISTRATION" insecure_key "EXTRA TRUST ANCHORS" attestation_token_type policy_engine; do
    check "and warns about $warning" has "$log" "$warning"
done

check "a request without anything is 401 with the JSON error" \
    sh -c "curl -s -o '$work/body' -w '%{http_code}' $url/kbs/v0/resource/default/kbsres1/key1 | grep -q 401 && grep -q TokenNotFound '$work/body'"
for protocol in 0.1.1 0.2.0 0.4.0; do
    key=ec256
    [ $protocol = 0.1.1 ] && key=rsa
    check "$protocol: key1 is released" equal "$(guest --protocol $protocol --tee-key $key default/kbsres1/key1)" "Confidential_Secret!"
done
check "key2, binary" sh -c "$(declare -f guest pcr); work='$work' pki='$pki' url='$url' files='$files'; guest --protocol 0.2.0 default/kbsres1/key2 | cmp - '$work/key2'"
check "the image policy" sh -c "$(declare -f guest pcr); work='$work' pki='$pki' url='$url' files='$files'; guest --protocol 0.2.0 default/security-policy/osc | cmp - '$files/security-policy-config.json'"

for n in 3 8 9 11 12; do
    wrong=$(printf '%064d' "$n")
    options="--protocol 0.2.0 --pcr $n=$wrong"
    out=$(guest $options default/kbsres1/key1)
    check "PCR $n changed: refused" equal "$? $out" "1 "
    check "PCR $n changed: the story says so" has "$(cause)" "/input/azsnpvtpm/tpm/pcr$(printf '%02d' "$n")"
done
sed 's/sha256/sha256 /' "$work/initdata.toml" >"$work/changed.toml"
guest --protocol 0.2.0 --initdata "$work/changed.toml" default/kbsres1/key1 >/dev/null
check "initdata changed by one byte: refused" equal "$?" 1

# The dates as they are: refused, and why can be read.
fill_values ''
sleep 1.2
guest --protocol 0.2.0 default/kbsres1/key1 >"$work/stdout"
check "expired values: refused" equal "$? $(cat "$work/stdout")" "1 "
story=$(cause)
check "expired values: named with their date" has "$story" "2025-12-12T00:00:00Z"
check "expired values: the check is their own" has "$story" '"check":"reference-value-expired"'
check "expired values: named in the log" has "$(cat "$work/kbs.log")" "pcr08"

# Mended without a restart.
fill_values 's/2025-12-12/2099-12-12/'
sleep 1.2
check "values renewed: released again, without a restart" equal "$(guest --protocol 0.2.0 default/kbsres1/key1)" "Confidential_Secret!"
printf 'rotated' >"$coco/kbs/repository/default/kbsres1/..2025/key1"
check "a secret changed by hand is served at once" equal "$(guest --protocol 0.2.0 default/kbsres1/key1)" "rotated"
log=$(cat "$work/kbs.log")
check "no secret is in the log" lacks "$log" "Confidential_Secret!"
check "no cookie is in the log" lacks "$log" "kbs-session-id"
finish

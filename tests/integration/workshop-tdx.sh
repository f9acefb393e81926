#!/bin/bash
# The workshop on TDX: its files unchanged, sgx_default_qcnl.conf among them, and a virtual Azure
# TDX machine.  Inside `sandbox` the names of Intel's service are those of a stand-in; then the
# file points at a local PCCS, as the guide's step for TDX has it (spec/operator.md 5.4, W8).
set -u
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/workshop-setup.sh"
. "$(dirname "$0")/collateral-setup.sh"

intel="api.trustedservices.intel.com certificates.trustedservices.intel.com"
echo "127.0.0.1 localhost $intel" >>/etc/hosts
start_service "DNS:localhost,DNS:${intel/ /,DNS:}" 443
mkdir -p /etc/ssl/certs
cp /etc/ssl/certs/ca-certificates.crt "$work/roots.crt" 2>/dev/null
cat "$service/tls.crt" >>"$work/roots.crt"
cp --remove-destination "$work/roots.crt" /etc/ssl/certs/ca-certificates.crt
fill_values 's/2025-12-12/2099-12-12/'
tee=az-tdx-vtpm
conf=/etc/sgx_default_qcnl.conf
start() { start_kbs /etc/kbs-config/kbs-config.toml --extra-trust-anchors "$pki/anchors"; }
key1() { guest "$@" default/kbsres1/key1; }

check "kbs starts" start
check "key1 is released" equal "$(key1 --protocol 0.2.0)" "Confidential_Secret!"
check "with what Intel's service has" equal "$(sort "$service/asked")" "$(sort <<URLS
/tdx/certification/v4/tcb?fmspc=FF906ED50000&update=early
/tdx/certification/v4/qe/identity?update=early
/sgx/certification/v4/pckcrl?ca=platform&encoding=der
/IntelSGXRootCA.der
URLS
)"
forget
for protocol in 0.1.1 0.4.0; do
    check "$protocol: key1 is released" equal "$(key1 --protocol $protocol)" "Confidential_Secret!"
done
check "and nothing is asked again" equal "$(asked)" 0
for n in 3 8 9 11 12; do
    out=$(key1 --protocol 0.2.0 --pcr "$n=$(printf '%064d' "$n")")
    check "PCR $n changed: refused" equal "$? $out" "1 "
    check "PCR $n changed: the story says so" has "$(cause)" "/input/aztdxvtpm/tpm/pcr$(printf '%02d' "$n")"
done
stop_kbs

# A PCCS of one's own, as the guide says: the same file, another address.
kill $service_pid
wait $service_pid 2>/dev/null
rm -rf "$service"
start_service DNS:localhost
cat "$service/tls.crt" >>/etc/ssl/certs/ca-certificates.crt
sed "s|https://api.trustedservices.intel.com|$at|" "$files/sgx_default_qcnl.conf" >$conf
check "with a PCCS: kbs starts" start
check "with a PCCS: key1 is released" equal "$(key1 --protocol 0.2.0)" "Confidential_Secret!"
check "with a PCCS: the root's list is its own, too" equal "$(asked):$(asked /rootcacrl)" 4:1
stop_kbs

# The quote provider library's other names, and its comments.
forget
printf '{ // local PCCS\n  "pccs_url": "%s/sgx/certification/v4/" // "pccs_url": "https://elsewhere/"\n , "retry_times": 6\n}\n' "$at" >$conf
check "pccs_url: kbs starts" start
check "pccs_url: key1 is released" equal "$(key1 --protocol 0.2.0):$(asked)" "Confidential_Secret!:4"
stop_kbs

# A PCCS as it installs itself has a certificate of its own making.
cp "$work/roots.crt" /etc/ssl/certs/ca-certificates.crt
kill $service_pid
wait $service_pid 2>/dev/null
rm -rf "$service"
start_service DNS:localhost
for secure in true false; do
    printf '{ "pccs_url": "%s/sgx/certification/v4/", "use_secure_cert": %s }\n' "$at" $secure >$conf
    check "use_secure_cert $secure: kbs starts" start
    want=""
    [ $secure = true ] || want="Confidential_Secret!"
    check "use_secure_cert $secure: key1" equal "$(key1 --protocol 0.2.0)" "$want"
    stop_kbs
done

# Unreadable: a warning, and Intel's own service, which is not there any more.
echo "PCCS_URL=$at" >$conf
forget
check "malformed: kbs starts" start
check "malformed: a warning names the file" has "$(cat "$work/kbs.log")" "$conf"
out=$(key1 --protocol 0.2.0)
check "malformed: refused, and nothing asked there" equal "$? $out $(asked)" "1  0"
check "malformed: the story says what is missing" has "$(explain "$(last_decision)")" '"check":"collateral"'
stop_kbs

# SNP machines need none of it.
check "without TDX: kbs starts" start
tee=az-snp-vtpm
check "without TDX: key1 is released" equal "$(key1 --protocol 0.2.0)" "Confidential_Secret!"
stop_kbs
finish

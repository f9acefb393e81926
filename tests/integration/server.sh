#!/bin/bash
# The server as an operator meets it: TLS, reload, broken files, SIGTERM, kill -9.
set -u
. "$(dirname "$0")/lib.sh"
export RUST_LOG=trace # whatever the level, no secret in it

kills=${CLAVIGER_KILLS:-12}
openssl genpkey -algorithm ed25519 -out "$work/admin.key" 2>/dev/null
openssl pkey -in "$work/admin.key" -pubout -out "$work/admin.pub" 2>/dev/null
certificate() { # CN NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$2.key" -out "$work/$2.crt" \
        -days 2 -subj "/CN=$1" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" 2>/dev/null
}
certificate first tls
certificate second next
# The client in the loop trusts both: the file changes a moment before the server does.
cat "$work/tls.crt" "$work/next.crt" >"$work/roots.crt"
mkdir -p "$work/store"
config() { # extra lines of [http_server]
    cat >"$work/kbs.toml.new" <<TOML
[http_server]
sockets = ["127.0.0.1:0"]
private_key = "$work/tls.key"
certificate = "$work/tls.crt"
payload_request_size = 1
$1
[admin]
type = "Simple"
[[admin.personas]]
id = "ops"
public_key_path = "$work/admin.pub"
[attestation_service]
type = "coco_as_builtin"
[attestation_service.verifier_config.sample_verifier]
[storage_backend]
storage_type = "LocalFs"
[storage_backend.backends.local_fs]
dir_path = "$work/store"
[[plugins]]
name = "resource"
TOML
    mv "$work/kbs.toml.new" "$work/kbs.toml"
}
config ""
client() { kbs-client --url "$url" --cert-file "$work/tls.crt" "$@"; }
admin() { client config --auth-private-key "$work/admin.key" "$@"; }
code() { curl -s -o /dev/null -w '%{http_code}' --cacert "$work/roots.crt" "$@"; }

check "kbs starts with TLS" start_kbs "$work/kbs.toml"
url=${url/127.0.0.1/localhost}
check "/healthz" equal "$(code "$url/healthz")" 200
check "the certificate is checked by clients" sh -c "! curl -s $url/healthz"
check "plain HTTP on a TLS port gets nothing" sh -c "! curl -s -m 5 http://${url#https://}/healthz"
check "TLS 1.2 and 1.3, nothing older" sh -c "for v in 1.2 1.3; do curl -s --tlsv\$v --tls-max \$v --cacert '$work/tls.crt' $url/healthz || exit 1; done
    ! curl -s --tls-max 1.1 --cacert '$work/tls.crt' $url/healthz"

printf 'a secret' >"$work/secret"
check "a guest attests, a token is given" has "$(client attest)" eyJ
check "an administrator stores a secret" admin set-resource --path a/b/c --resource-file "$work/secret"
check "and a policy" admin set-resource-policy --allow-all
check "a guest gets it" equal "$(client get-resource --path a/b/c)" "$(base64 <"$work/secret")"
check "the store has upstream's layout" cmp "$work/store/repository/a\\x2Fb\\x2Fc" "$work/secret"

head -c 1100000 /dev/zero >"$work/large"
check "a body over the limit is 413" equal "$(code -X POST --data-binary "@$work/large" "$url/kbs/v0/auth")" 413
check "and says so" has "$(curl -s --cacert "$work/tls.crt" -X POST --data-binary "@$work/large" "$url/kbs/v0/auth")" "payload reached size limit"

curl -s --cacert "$work/tls.crt" -X POST -d '{}' "$url/kbs/v0/auth" >/dev/null
check "an access line has the size of the answer" sh -c "grep -q '\"POST /kbs/v0/auth HTTP/1.1\" 401 [1-9][0-9]* ' '$work/kbs.log' &&
    ! grep 'HTTP/1.1\" 401 0 ' '$work/kbs.log'"
check "so has one that no handler saw" sh -c "grep -q '\"POST /kbs/v0/auth HTTP/1.1\" 413 26 \"-\" \"curl' '$work/kbs.log'"
# A head that cannot be read leaves nothing of itself in the log.
printf 'GET /\033[31mred?key=abc HTTP/1.1\nX: y\n\n' | openssl s_client -quiet -connect "127.0.0.1:${url##*:}" >"$work/refused.txt" 2>/dev/null
check "what is no request is refused" has "$(cat "$work/refused.txt")" "HTTP/1.1 400 Bad Request"
check "and has an access line without a byte of it" \
    sh -c "grep -qE 'logger: 127.0.0.1:[0-9]+ \"-\" 400 0 \"-\" \"-\" 0\.000000\$' '$work/kbs.log' && ! grep -q 31mred '$work/kbs.log'"
check "and so has /metrics" sh -c "curl -s --cacert '$work/tls.crt' $url/metrics | grep -q '^kbs_http_response_size_bytes_sum [1-9]'"

# Reload: a client in a loop sees no failed request.
(
    failures=0
    for _ in $(seq 150); do
        [ "$(code "$url/healthz")" = 200 ] || failures=$((failures + 1))
    done
    echo $failures >"$work/failures"
) &
loop=$!
for _ in 1 2 3 4 5; do
    kill -HUP "$kbs_pid"
    sleep 0.2
done
config 'tls_profile = "moden"'
kill -HUP "$kbs_pid"
sleep 0.3
check "a broken configuration is refused with file, line and key" \
    has "$(grep 'reload refused' "$work/kbs.log")" "kbs.toml:6:1: http_server.tls_profile: expected one of"
check "and the old state serves on" equal "$(client get-resource --path a/b/c)" "$(base64 <"$work/secret")"
config ""
mv "$work/next.key" "$work/tls.key"
mv "$work/next.crt" "$work/tls.crt"
kill -HUP "$kbs_pid"
sleep 0.3
wait $loop
check "no request failed meanwhile" equal "$(cat "$work/failures")" 0
check "a new certificate is served after a reload" \
    has "$(echo | openssl s_client -connect "127.0.0.1:${url##*:}" 2>/dev/null | openssl x509 -noout -subject)" second

# Files are followed within a second.
printf 'package policy\nallow if {\n' >"$work/store/kbs/resource-policy.rego"
sleep 1.2
check "a broken policy file: the old policy serves on" equal "$(client get-resource --path a/b/c)" "$(base64 <"$work/secret")"
check "and the log says where it is broken" has "$(cat "$work/kbs.log")" "resource-policy.rego:"
printf 'package policy\ndefault allow := false\n' >"$work/store/kbs/resource-policy.rego"
sleep 1.2
check "a new policy file is in force" sh -c "! kbs-client --url $url --cert-file $work/tls.crt get-resource --path a/b/c"
printf 'changed' >"$work/store/repository/a\\x2Fb\\x2Fc"
printf 'package policy\nallow if input.submods.cpu["ear.veraison.annotated-evidence"].az_snp_vtpm.tpm.pcr08 == "x"\n' >"$work/mistyped.rego"
check "a policy with a mistyped claim is taken" admin set-resource-policy --policy-file "$work/mistyped.rego"
check "and the log says what it should be" has "$(cat "$work/kbs.log")" 'no claim is named "az_snp_vtpm" there, did you mean "az-snp-vtpm"'
check "an administrator opens again" admin set-resource-policy --allow-all
check "a resource changed by hand is served at once" equal "$(client get-resource --path a/b/c)" "$(printf changed | base64)"

# Every acknowledged write is there after kill -9, and none is half there.
lost=0
for round in $(seq "$kills"); do
    (
        n=0
        while :; do
            n=$((n + 1))
            { printf '%s-%s ' "$round" "$n"; head -c 60000 /dev/zero | tr '\0' x; echo " $round-$n"; } >"$work/value.$round"
            admin set-resource --path w/r/k --resource-file "$work/value.$round" >/dev/null 2>&1 || break
            echo "$round-$n" >"$work/acknowledged"
        done
    ) &
    writer=$!
    sleep 0.$((RANDOM % 3 + 1))
    kill -9 "$kbs_pid"
    wait "$kbs_pid" 2>/dev/null
    wait $writer
    kbs_pid=""
    start_kbs "$work/kbs.toml" >/dev/null
    url=${url/127.0.0.1/localhost}
    file=$work/store/repository/w\\x2Fr\\x2Fk
    [ -f "$file" ] || continue
    first=$(head -c 20 "$file" | cut -d' ' -f1)
    last=$(tail -c 20 "$file" | awk '{print $NF}')
    want=$(cat "$work/acknowledged" 2>/dev/null)
    if [ "$first" != "$last" ]; then lost=$((lost + 1)); fi
    # The one after the last acknowledged may have been written, too.
    if [ "${want%-*}" = "$round" ] && [ "${first#*-}" -lt "${want#*-}" ]; then lost=$((lost + 1)); fi
done
check "$kills times kill -9: nothing lost, nothing torn" equal "$lost" 0
check "no temporary file is listed as a resource" sh -c "! kbs-client --url $url --cert-file $work/tls.crt get-resource --path .claviger-tmp/x/y"

# SIGTERM: 503 on /healthz, requests are served for a while, then the end.
kill -TERM "$kbs_pid"
sleep 0.3
check "after SIGTERM /healthz is 503" equal "$(code "$url/healthz")" 503
check "and requests are served on" equal "$(client get-resource --path a/b/c)" "$(printf changed | base64)"
start=$SECONDS
wait "$kbs_pid"
check "the process ends with status 0" equal "$?" 0
kbs_pid=""
check "within seven seconds" [ $((SECONDS - start)) -le 7 ]

# A broken file at start: the server starts, /healthz is 503, requests get the policy engine's error.
printf 'package policy\nallow if {\n' >"$work/store/kbs/resource-policy.rego"
check "--check-config refuses a broken policy" \
    sh -c "! kbs -c $work/kbs.toml --check-config >$work/check.stdout && [ ! -s $work/check.stdout ]"
check "kbs starts with a broken policy" start_kbs "$work/kbs.toml"
url=${url/127.0.0.1/localhost}
check "/healthz is 503" equal "$(code "$url/healthz")" 503
check "a request gets the policy engine's error" has "$(client get-resource --path a/b/c 2>&1)" PolicyEngineError

# --check-config says what is wrong in the files that it names, and writes nothing.
check_dir=$work/check-config
mkdir -p "$check_dir"
checked() { # STORAGE_TYPE DENY_LIST [LINES...]: a configuration of which nothing is there yet
    cat >"$work/checked.toml" <<TOML
$(config_head)
[attestation_service.attestation_token_broker]
policy_dir = "$check_dir/policies"
[attestation_service.rvps_config.storage]
type = "LocalFs"
file_path = "$check_dir/values"
[attestation_service.verifier_config]
deny_list = "$2"
[attestation_service.verifier_config.collateral]
cache_dir = "$check_dir/cache/collateral"
[storage_backend]
storage_type = "$1"
[storage_backend.backends.local_fs]
dir_path = "$check_dir/store/files"
[storage_backend.backends.local_json]
file_dir_path = "$check_dir/store/json"
[storage_backend.backends.sqlite]
path = "$check_dir/db/claviger.sqlite"
[[plugins]]
name = "resource"
TOML
    check_answer=$(kbs -c "$work/checked.toml" --check-config 2>"$work/check.err")
    check_status=$?
}
make_admin_key
: >"$work/deny.toml"
for type in LocalFs LocalJson Sqlite; do
    checked $type "$work/deny.toml"
    check "--check-config, $type: usable" equal "$check_status $(tail -1 <<<"$check_answer")" \
        "0 $work/checked.toml: the configuration is usable, era new"
    check "--check-config, $type: nothing is made" equal "$(find "$check_dir" -mindepth 1)" ""
    check "--check-config, $type: the folder of collateral is named" has "$check_answer" \
        "\"$check_dir/cache/collateral\" does not exist yet and would be made"
    case $type in
    LocalFs) made=store/files/kbs ;;
    LocalJson) made=store/json ;;
    Sqlite) made=db/claviger.sqlite ;;
    esac
    check "--check-config, $type: so is the store" has "$check_answer" "\"$check_dir/$made\" does not exist yet and would be made"
done
: >"$check_dir/db" # a file where a folder should be made
checked Sqlite "$work/deny.toml"
check "--check-config: what could not be made is an error" has "$check_status $(cat "$work/check.err")" \
    "could not create directory \"$check_dir/db\": Not a directory"
rm "$check_dir/db"
printf '[[deny]]\nreason = "r"\nexpires = 2100-01-01T00:00:00Z\nchip_if = "00"\n' >"$work/deny.toml"
checked LocalFs "$work/deny.toml"
check "--check-config: a broken deny list, by its place" equal "$check_status $(grep ^Error "$work/check.err")" \
    "1 Error: could not read the kill switches: deny list \"$work/deny.toml\": line 4, column 1: entry 1: \"chip_if\" is no member of an entry"
checked LocalFs "$work/absent.toml"
check "--check-config: a deny list that is not there" has "$check_status $(grep ^Error "$work/check.err")" \
    "1 Error: could not read the kill switches: "
mkdir -p "$check_dir/policies/opa"
printf 'package policy\n\nexecutables := (\n' >"$check_dir/policies/opa/default.rego"
checked LocalFs "$work/absent.toml"
check "--check-config: every trouble is told" equal "$(grep -c ^Error "$work/check.err")" 2
check "--check-config: a policy that does not compile, by its place" has "$(cat "$work/check.err")" 'Error: policy "default": default.rego:'
check "--check-config: still nothing is made" equal "$(find "$check_dir" -mindepth 1 | sort | tr '\n' ' ')" \
    "$check_dir/policies $check_dir/policies/opa $check_dir/policies/opa/default.rego "

printf '[http_server]\ninsecure_htp = true\n[admin]\ninsecure_api = true\n' >"$work/typo.toml"
check "a misspelt key is named beside the error that it leads to" \
    has "$(kbs -c "$work/typo.toml" --check-config 2>&1)" "did you mean http_server.insecure_http"

check "--log-format json: an object a line" sh -c "kbs -c '$work/typo.toml' --check-config --log-format json 2>&1 | grep -v ^Error: >'$work/json.log'
    [ \$(grep -c '^{\"timestamp\":\"2.*\",\"level\":\"[a-z]*\",\"target\":\"[a-z:_]*\",\"message\":\".*\"}\$' '$work/json.log') = \$(wc -l <'$work/json.log') ]
    [ -s '$work/json.log' ]"
check "--log-format of another kind is wrong usage" equal "$(kbs -c "$work/kbs.toml" --log-format xml 2>/dev/null; echo $?)" 2

# A path with a typing error is no deployment without policies.
printf '[http_server]\ninsecure_http = true\n[admin]\ninsecure_api = true\n[policy_engine]\npolicy_path = "%s/absent.rego"\n' \
    "$work" >"$work/typo.toml"
# Claims that no verifier gives.
"$build/programs/kbs" --claims resource >"$work/claims.json"
check "rego check knows the claims of a resource policy" \
    has "$("$build/programs/rego" check --claims "$work/claims.json" "$work/mistyped.rego" 2>&1)" 'no claim is named "az_snp_vtpm" there, did you mean "az-snp-vtpm"?'
check "--claims of something else is wrong usage" sh -c "'$build/programs/kbs' --claims x 2>/dev/null; [ \$? = 2 ]"
check "a policy_path that does not exist is named" \
    has "$(kbs -c "$work/typo.toml" --check-config 2>&1)" "absent.rego\" does not exist: the built-in resource policy applies"

log=$(cat "$work/all.log" "$work/kbs.log")
check "the logs of all starts are here" has "$log" "the resource policy was replaced"
check "no secret is in the log" lacks "$log" "a secret"
check "no session id" lacks "$log" kbs-session-id
check "no token" lacks "$log" eyJ
finish

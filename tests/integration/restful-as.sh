#!/bin/bash
# The attestation service behind REST, and the initdata tool, as programs.
set -u
no_pki=1
. "$(dirname "$0")/lib.sh"

# ---- initdata ----

cat >"$work/id.toml" <<'TOML'
algorithm = "sha256"
version = "0.1.0"
[data]
"aa.toml" = "[token_configs.kbs]\nurl = 'http://kbs.example'\n"
"policy.rego" = '''
package agent_policy
default ExecProcessRequest := false
'''
TOML
status() { "$@" >/dev/null 2>&1; echo $?; }
check "digest is that of the bytes" equal "$(initdata digest "$work/id.toml")" "$(sha256sum <"$work/id.toml" | cut -d' ' -f1)"
check "PCR 8 as the operator guide computes it" equal "$(initdata pcr8 "$work/id.toml")" \
    "$( (head -c 32 /dev/zero; sha256sum <"$work/id.toml" | cut -d' ' -f1 | sed 's/../\\x&/g' | xargs -0 printf '%b' | tr -d '\n') | head -c 64 | sha256sum | cut -d' ' -f1)"
check "encode is one line" equal "$(initdata encode "$work/id.toml" | wc -l)" 1
check "encode and decode" sh -c "initdata encode '$work/id.toml' | initdata decode | cmp - '$work/id.toml'"
check "decode of gzip and base64" sh -c "gzip <'$work/id.toml' | base64 | initdata decode | cmp - '$work/id.toml'"
check "a shell decodes ours" sh -c "initdata encode '$work/id.toml' | base64 -d | gunzip | cmp - '$work/id.toml'"
check "check says nothing when all is well" equal "$(initdata check "$work/id.toml" 2>&1)" ""
sed 's/url = /url /' "$work/id.toml" >"$work/bad.toml"
check "check reads the files inside" has "$(initdata check "$work/bad.toml" 2>&1)" "aa.toml is not TOML"
check "status 1: refused" equal "$(status initdata check "$work/bad.toml")" 1
check "status 2: unreadable file" equal "$(status initdata digest "$work/none")" 2
check "status 2: wrong usage" equal "$(status initdata frobnicate)" 2

# ---- restful-as ----

command -v curl >/dev/null || { echo "ok $((count += 1)) # SKIP no-curl: the REST part needs it"; finish; }
cat >"$work/as.json" <<JSON
{"verifier_config": {"sample_verifier": {}},
 "attestation_token_broker": {"type": "Ear", "policy_dir": "$work/policies"},
 "rvps_config": {"type": "BuiltIn", "storage": {"type": "LocalJson", "file_path": "$work/values.json"}}}
JSON
: >"$work/as.log"
restful-as -c "$work/as.json" -s 127.0.0.1:0 -r http://page.example 2>"$work/as.log" &
pid=$!
trap 'kill -INT $pid 2>/dev/null; rm -rf "$work"' EXIT
as=""
for _ in $(seq 500); do
    as=$(sed -n 's/.*Starting RESTful Attestation Service at \(.*\)/\1/p' "$work/as.log")
    [ -n "$as" ] && break
    sleep 0.02
done
check "restful-as starts" [ -n "$as" ]
as=http://$as
b64u() { base64 -w0 | tr '+/' '-_' | tr -d =; }
post() { curl -s -o "$work/body" -D "$work/headers" -w '%{http_code}' -H 'Content-Type: application/json' -d "$2" "$as$1"; }
payload() { cut -d. -f2 "$work/body" | tr '_-' '/+' | sed 's/$/===/' | base64 -d 2>/dev/null; }

evidence=$(printf '{"svn":"1","report_data":"%s"}' "$(printf aaaaa | base64)" | b64u)
raw=$(printf aaaaa | b64u)
new="{\"verification_requests\":[{\"tee\":\"sample\",\"evidence\":\"$evidence\",\"runtime_data\":{\"raw\":\"$raw\"}}],\"policy_ids\":[]}"
old="{\"tee\":\"sample\",\"evidence\":\"$evidence\",\"runtime_data\":{\"raw\":\"$raw\"},\"policy_ids\":[\"default\"]}"
check "a request of today" equal "$(post /attestation "$new")" 200
check "the era of the configuration is old: cpu, and no issuer" has "$(payload)" '"submods":{"cpu":'
check "without issuer" lacks "$(payload)" '"iss"'
check "a decision id" grep -qi '^x-decision-id: [0-9a-f]\{32\}' "$work/headers"
id=$(sed -n 's/^x-decision-id: \([0-9a-f]*\).*/\1/ip' "$work/headers")
check "the log tells why the status is not affirming" has "$(grep "$id" "$work/as.log")" "check reference-value"
check "a request of v0.13" equal "$(post /attestation "$old")" 200
check "another report data" equal "$(post /attestation "${new/$raw/YmJiYmI}")" 500
check "says so as upstream" has "$(cat "$work/body")" "An internal error occured"
check "not JSON" equal "$(post /attestation "{")" 400
check "not called JSON" equal "$(curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: text/plain' -d "$new" "$as/attestation")" 400
check "another method" equal "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$as/policy")" 405
check "another path" equal "$(curl -s -o /dev/null -w '%{http_code}' "$as/nothing")" 404

policy=$(printf 'package policy\nimport rego.v1\nexecutables := 3 if input.sample.svn in data.reference.svn\ndefault executables := 33\n' | b64u)
check "a policy is set" equal "$(post /policy "{\"type\":\"rego\",\"policy_id\":\"default\",\"policy\":\"$policy\"}")" 200
check "and can be read" has "$(curl -s "$as/policy/default")" "data.reference.svn"
check "and is listed with its hash" has "$(curl -s "$as/policy")" '"policy-hash":"'
check "one that does not compile is refused" equal "$(post /policy "{\"policy_id\":\"default\",\"policy\":\"$(printf 'package policy\nx :=' | b64u)\"}")" 500
check "with its place" has "$(cat "$work/body")" "default.rego:2"
check "the old one stays" equal "$(post /attestation "$new")" 200
check "and judges" has "$(payload)" '"executables":33'
printf '[{"name":"svn","expiration":"2100-01-01T00:00:00Z","hash-value":[{"alg":"sha384","value":"1"}]}]' >"$work/values.json"
for _ in $(seq 100); do
    post /attestation "$new" >/dev/null
    payload | grep -q '"executables":3[,}]' && break
    sleep 0.05
done
check "a changed file of reference values counts within a second or so" has "$(payload)" '"ear.status":"affirming"'
check "the key set" has "$(curl -s "$as/.well-known/jwks.json")" '"crv":"P-256"'
check "CORS for the page that is allowed" has "$(curl -si -H 'Origin: http://page.example' "$as/healthz")" "Access-Control-Allow-Origin: http://page.example"
check "and for no other" lacks "$(curl -si -H 'Origin: http://other.example' "$as/healthz")" "Access-Control-Allow-Origin"
check "healthy" equal "$(curl -s -o /dev/null -w '%{http_code}' "$as/healthz")" 200
kill -INT $pid
wait $pid
check "ends with status 0" equal $? 0
check "no evidence, no token in the log" sh -c "! grep -qE '$evidence|eyJ' '$work/as.log'"
check "status 2 without a socket" equal "$(status restful-as)" 2
printf '{' >"$work/broken.json"
check "status 1 with a broken configuration" equal "$(status restful-as -c "$work/broken.json" -s 127.0.0.1:0)" 1

# ---- --check-config ----

cat >"$work/check.json" <<JSON
{"verifier_config": {"deny_list": "$work/deny.toml"},
 "storage_backend": {"storage_type": "LocalFs", "backends": {"local_fs": {"dir_path": "$work/none/store"}}}}
JSON
: >"$work/deny.toml"
check "--check-config needs no socket, and names what would be made" \
    equal "$(restful-as -c "$work/check.json" --check-config 2>/dev/null)" \
    "\"$work/none/store/attestation_service_policy\" does not exist yet and would be made
\"$work/none/store/reference_value\" does not exist yet and would be made
$work/check.json: the configuration is usable"
check "and makes nothing" [ ! -e "$work/none" ]
printf '[[deny]]\nreason = 7\n' >"$work/deny.toml"
check "a broken deny list, by its place" equal \
    "$(restful-as -c "$work/check.json" --check-config 2>&1 >/dev/null | grep ^Error; status restful-as -c "$work/check.json" --check-config)" \
    "Error: could not read the kill switches: deny list \"$work/deny.toml\": line 2, column 1: entry 1: reason is not text of 1 to 512 bytes
1"
: >"$work/deny.toml"
check "a certificate that is not there" equal \
    "$(status restful-as -c "$work/check.json" --check-config -t "$work/none.crt" -k "$work/none.key")" 1
check "an address that is none" equal "$(status restful-as -c "$work/check.json" --check-config -s nowhere)" 1
finish

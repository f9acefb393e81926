#!/bin/bash
# A server that an attacker has taken over (planted.c): what he tries is refused, and
# what the server is for goes on, through reloads, swapped folders, new certificates and
# keys that are fetched.
set -u
no_pki=1
. "$(dirname "$0")/lib.sh"
# Programs of ours are looked for beside the running one.
mkdir "$work/bin"
cp "$build/tests/integration/kbs-planted" "$build/programs/claviger-helper" "$build/programs/claviger-fetch" "$work/bin"
kbs() { PLANTED_LOG=$work/swap/res1/planted.log exec "$work/bin/kbs-planted" "$@"; }

openssl genpkey -algorithm ed25519 -out "$work/admin.key" 2>/dev/null
openssl pkey -in "$work/admin.key" -pubout -out "$work/admin.pub" 2>/dev/null
certificate() { # CN FOLDER
    mkdir -p "$2"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$2/tls.key" -out "$2/tls.crt" \
        -days 2 -subj "/CN=$1" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" 2>/dev/null
}
# As Kubernetes mounts a secret: tls.key -> ..data/tls.key, ..data -> ..v1.
mount=$work/mount
certificate first "$mount/..v1"
ln -s ..v1 "$mount/..data"
ln -s ..data/tls.key "$mount/tls.key"
ln -s ..data/tls.crt "$mount/tls.crt"
mkdir -p "$work/store" "$work/conf" "$work/outside" "$work/swap/res1" "$work/swap/res2/one/key"
echo "not for the server" >"$work/outside/file"
ln -s res1 "$work/swap/resources"
printf 'second state' >"$work/swap/res2/one/key/value"
cat >"$work/conf/kbs.toml" <<TOML
[http_server]
sockets = ["127.0.0.1:0"]
private_key = "$mount/tls.key"
certificate = "$mount/tls.crt"
[admin]
type = "Simple"
[[admin.personas]]
id = "ops"
public_key_path = "$work/conf/admin.pub"
[[admin.roles]]
id = "ops"
allowed_endpoints = "^/kbs/v0/.*$"
[attestation_service]
type = "coco_as_builtin"
[attestation_service.verifier_config.sample_verifier]
[storage_backend]
storage_type = "LocalFs"
[storage_backend.backends.local_fs]
dir_path = "$work/store"
[[plugins]]
name = "resource"
storage_backend_type = "LocalFs"
dir_path = "$work/swap/resources"
TOML
cp "$work/admin.pub" "$work/conf/admin.pub"

# Without sanitizers, and with a kernel that has Landlock: otherwise the log says so.
start_kbs "$work/conf/kbs.toml" || exit 1
url=${url/127.0.0.1/localhost}
if grep -q 'has a sanitizer' "$work/kbs.log"; then
    check "a build with a sanitizer says that it is not confined" grep -q 'NOT FULLY CONFINED' "$work/kbs.log"
    finish
fi
grep -q 'no Landlock for us' "$work/kbs.log" && skip_all no-landlock "$(sed -n 's/.*NOT FULLY CONFINED: //p' "$work/kbs.log")"
get() { curl -s --cacert "$mount/tls.crt" "$url$1"; }
client() { kbs-client --url "$url" --cert-file "$mount/tls.crt" "$@"; }
admin() { client config --auth-private-key "$work/admin.key" "$@"; }

check "the log says what holds" grep -q 'confined by seccomp and Landlock' "$work/kbs.log"
for thread in planted planted-work; do
    while read -r what path want; do
        [ "$path" = - ] && path=""
        check "$thread: $what $path: $want" equal "$(get "/$thread/$what?$path")" "$want"
    done <<TRIES
execve /bin/true EPERM
execve $build/programs/claviger-fetch EPERM
fork - EPERM
socket - EPERM
datagram - EPERM
local-socket - EPERM
ptrace - EPERM
attach - EPERM
kill - EPERM
code - EPERM
dumpable - EPERM
is-dumpable - ESRCH
read $work/conf/kbs.toml done
read $work/outside/file EACCES
read /etc/shadow EACCES
read /proc/self/mem EACCES
read /proc/self/environ EACCES
write $work/outside/file EACCES
write $work/conf/kbs.toml EACCES
write $work/conf/admin.pub EACCES
write $mount/tls.key EACCES
create $work/outside/new EACCES
create $work/conf/new EACCES
create /tmp/claviger-planted EACCES
create $work/store/kbs/new done
TRIES
done
sleep 0.6
check "the supervising thread is confined, too" equal "$(tr '\n' ' ' <"$work/swap/res1/planted.log")" \
    "execve EPERM socket EPERM read EACCES ptrace EPERM create EACCES "
check "keys are in locked memory, or the log says that they are not" \
    sh -c "grep -q 'not all keys are in locked memory' $work/kbs.log || ! grep -q '^VmLck:[[:space:]]*0 kB' /proc/$kbs_pid/status"
check "there is no core dump" grep -qE '^Max core file size +0 +0 ' "/proc/$kbs_pid/limits"
check "no thread has gained what another has not" equal \
    "$(grep -h -E '^(NoNewPrivs|Seccomp):' /proc/"$kbs_pid"/task/*/status | sort -u | tr -s '\t\n' ' ')" "NoNewPrivs: 1 Seccomp: 2 "
rm -f "$work/store/kbs/new"

# The server does its work.
printf 'a secret' >"$work/secret"
check "an administrator stores a secret" admin set-resource --path one/key/value --resource-file "$work/secret"
check "and a policy with a regular expression, whose module is loaded now" admin set-resource-policy --policy-file <(
    printf 'package policy\nimport rego.v1\ndefault allow := false\nallow if regex.match(`^on[a-z]$`, data["resource-path"][0])\n')
check "a guest gets the secret" equal "$(client get-resource --path one/key/value)" "$(base64 <"$work/secret")"

# Reloads: the volume of the certificate, the folder of resources, the configuration.
certificate second "$mount/..v2"
cat "$mount/..v1/tls.crt" >>"$mount/..v2/tls.crt.old"
ln -sfn ..v2 "$mount/..data.new" && mv -T "$mount/..data.new" "$mount/..data"
kill -HUP "$kbs_pid"
sleep 0.4
check "the new certificate is served" \
    has "$(echo | openssl s_client -connect "127.0.0.1:${url##*:}" 2>/dev/null | openssl x509 -noout -subject)" second
ln -sfn res2 "$work/swap/resources.new" && mv -T "$work/swap/resources.new" "$work/swap/resources"
check "the new folder of resources is served" equal "$(client get-resource --path one/key/value)" "$(printf 'second state' | base64)"
check "what the name meant at the start is written, its successor after a restart" \
    sh -c "! kbs-client --url $url --cert-file $mount/tls.crt config --auth-private-key $work/admin.key set-resource --path one/key/other --resource-file $work/secret"
cp "$work/conf/kbs.toml" "$work/conf/new.toml"
echo 'extra_teekey_paths = ["/x"]' | sed '1i[attestation_token]' >>"$work/conf/new.toml"
mv "$work/conf/new.toml" "$work/conf/kbs.toml"
kill -HUP "$kbs_pid"
sleep 0.4
check "a configuration file that was replaced is read" equal "$(grep -c 'configuration was loaded anew' "$work/kbs.log")" 2
check "and the server serves on" equal "$(client get-resource --path one/key/value)" "$(printf 'second state' | base64)"

# A configuration that insists.
stop_kbs
printf '[claviger]\nconfinement = "required"\n' >>"$work/conf/kbs.toml"
rm -f "$work/swap/res1/planted.log"
check "confinement can be required" start_kbs "$work/conf/kbs.toml"
url=${url/127.0.0.1/localhost}
check "after which the successor is written" admin set-resource --path one/key/other --resource-file "$work/secret"
check "and read" equal "$(client get-resource --path one/key/other)" "$(base64 <"$work/secret")"
stop_kbs

# An identity provider whose keys are at a URL: fetched by a process that a process without keys starts.
mkdir -p "$work/idp"
identity() { # NAME: a key pair, and the set with it
    openssl genpkey -algorithm ed25519 -out "$work/idp/$1.pem" 2>/dev/null
    printf '{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"%s","x":"%s"}]}' "$1" \
        "$(openssl pkey -in "$work/idp/$1.pem" -pubout -outform DER 2>/dev/null | tail -c 32 | base64url)" >"$work/idp/keys.new"
    mv "$work/idp/keys.new" "$work/idp/keys.json"
}
base64url() { base64 -w0 | tr '+/' '-_' | tr -d =; }
token() { # NAME: a JWT of that key
    local text
    text=$(printf '{"alg":"EdDSA","typ":"JWT","kid":"%s"}' "$1" | base64url).$(printf '{"role":"ops","exp":%s}' $(($(date +%s) + 600)) | base64url)
    printf '%s' "$text" >"$work/signed"
    printf '%s.%s' "$text" "$(openssl pkeyutl -sign -rawin -in "$work/signed" -inkey "$work/idp/$1.pem" | base64url)"
}
certificate idp "$work/idp"
identity first
(cd "$work/idp" && exec openssl s_server -accept 127.0.0.1:0 -key tls.key -cert tls.crt -WWW >"$work/idp.log" 2>&1) &
idp_pid=$!
trap 'stop_kbs; kill "$idp_pid" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 250); do grep -q 'ACCEPT.*:' "$work/idp.log" && break; sleep 0.02; done
idp=https://127.0.0.1:$(sed -n 's/^ACCEPT.*:\([0-9]*\)$/\1/p' "$work/idp.log" | head -1)
sed '/^\[admin\]/,/^\[attestation_service\]/{/^\[attestation_service\]/!d}; /^\[claviger\]/,$d' "$work/conf/kbs.toml" >"$work/conf/idp.toml"
cat >>"$work/conf/idp.toml" <<TOML
[admin]
authorization_mode = "AuthenticatedAuthorization"
[[admin.authentication.bearer_jwt.identity_providers]]
jwk_set_uri = "$idp/keys.json"
[admin.authorization.regex_acl]
acls = [{ role = "ops", allowed_endpoints = "^/kbs/v0/.*$" }]
[claviger]
fetch_ca = "$work/idp/tls.crt"
TOML
policy() { # NAME: ask for the policy as an administrator
    curl -s -o /dev/null -w '%{http_code}' --cacert "$mount/tls.crt" -H "Authorization: Bearer $(token "$1")" "$url/kbs/v0/resource-policy"
}
check "--check-config fetches" "$build/programs/kbs" -c "$work/conf/idp.toml" --check-config
check "and says what is wrong" sh -c "sed 's/keys.json/other.json/' $work/conf/idp.toml >$work/conf/other.toml
    ! $build/programs/kbs -c $work/conf/other.toml --check-config 2>$work/other.err && grep -q 'could not fetch .*other.json' $work/other.err"
check "kbs starts with a URL in its configuration" start_kbs "$work/conf/idp.toml"
url=${url/127.0.0.1/localhost}
check "it is confined all the same" grep -q 'confined by seccomp and Landlock' "$work/kbs.log"
check "a token of the provider is good" equal "$(policy first)" 200
helper=$(cat /proc/"$kbs_pid"/task/*/children | tr -d ' ')
fetcher=$(cat /proc/"$helper"/task/*/children | tr -d ' ')
check "its one child is the helper" equal "$(tr '\0' ' ' <"/proc/$helper/cmdline" | cut -d' ' -f1)" claviger-helper
check "whose child is the fetcher, with its bounds" has "$(tr '\0' ' ' <"/proc/$fetcher/cmdline")" "claviger-fetch $idp/ "
for pid in "$helper" "$fetcher"; do
    check "$(tr -d '\0' <"/proc/$pid/comm") is confined, too" equal \
        "$(grep -h -E '^(NoNewPrivs|Seccomp):' "/proc/$pid"/task/*/status | sort -u | tr -s '\t\n' ' ')" "NoNewPrivs: 1 Seccomp: 2 "
done
check "the server has still no execve" equal "$(get "/planted/execve?$work/bin/claviger-fetch")" EPERM
check "and no socket" equal "$(get "/planted-work/socket?")" EPERM
check "nor may it kill the helper" equal "$(get "/planted/kill?")" EPERM
identity second
kill -9 "$fetcher"
check "a key of before is good without asking" equal "$(policy first)" 200
for _ in $(seq 40); do [ "$(policy second)" = 200 ] && break; sleep 0.5; done
check "a new key is fetched, by a new fetcher" equal "$(policy second)" 200
check "the old one is gone from the set" equal "$(policy first)" 401
mv "$work/idp/keys.json" "$work/idp/gone.json"
kill -HUP "$kbs_pid"
sleep 0.4
check "a reload keeps what was fetched" equal "$(policy second)" 200
sed "s|$idp/keys.json|https://127.0.0.1:1/keys.json|" "$work/conf/idp.toml" >"$work/conf/next.toml"
mv "$work/conf/next.toml" "$work/conf/idp.toml"
kill -HUP "$kbs_pid"
sleep 0.4
check "another URL needs a restart" has "$(grep 'reload refused' "$work/kbs.log")" "https://127.0.0.1:1/ was not in the configuration"
check "and the old state serves on" equal "$(policy second)" 200
sed -i "s|https://127.0.0.1:1/keys.json|$idp/keys.json|; s|$work/idp/tls.crt|/nowhere/tls.crt|" "$work/conf/idp.toml"
mkdir -p "$work/elsewhere" && cp "$work/idp/tls.crt" "$work/elsewhere/ca.crt"
sed -i "s|/nowhere/tls.crt|$work/elsewhere/ca.crt|" "$work/conf/idp.toml"
kill -HUP "$kbs_pid"
sleep 0.4
check "so does another folder" has "$(grep 'reload refused' "$work/kbs.log")" "is outside of the folders that the process was confined to"
stop_kbs
check "with the server end the helper and the fetcher" sh -c "for _ in \$(seq 100); do [ -e /proc/$helper ] || exit 0; sleep 0.05; done; exit 1"
check "the values are checked" sh -c "sed 's/\"required\"/\"off\"/' $work/conf/kbs.toml >$work/conf/off.toml
    ! $build/programs/kbs -c $work/conf/off.toml --check-config 2>$work/off.err && grep -q 'claviger.confinement: expected one of' $work/off.err"
finish

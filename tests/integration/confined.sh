#!/bin/bash
# A server that an attacker has taken over (planted.c): what he tries is refused, and
# what the server is for goes on, through reloads, swapped folders and new certificates.
set -u
no_pki=1
. "$(dirname "$0")/lib.sh"
kbs() { PLANTED_LOG=$work/store/kbs/planted.log exec "$build/tests/integration/kbs-planted" "$@"; }

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
check "the supervising thread is confined, too" equal "$(tr '\n' ' ' <"$work/store/kbs/planted.log")" \
    "execve EPERM socket EPERM read EACCES ptrace EPERM create EACCES "
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
rm -f "$work/store/kbs/planted.log"
check "confinement can be required" start_kbs "$work/conf/kbs.toml"
url=${url/127.0.0.1/localhost}
check "after which the successor is written" admin set-resource --path one/key/other --resource-file "$work/secret"
check "and read" equal "$(client get-resource --path one/key/other)" "$(base64 <"$work/secret")"
check "the values are checked" sh -c "sed 's/\"required\"/\"off\"/' $work/conf/kbs.toml >$work/conf/off.toml
    ! $build/programs/kbs -c $work/conf/off.toml --check-config 2>$work/off.err && grep -q 'claviger.confinement: expected one of' $work/off.err"
finish

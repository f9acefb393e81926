# Sourced by the integration tests: TAP lines, a kbs on a free port, cleaning up.
build=${CLAVIGER_BUILD:?}
source_dir=${CLAVIGER_SOURCE:?}
shared=$(cd "$source_dir" && realpath -m "${CLAVIGER_SHARED:-../shared}")
export PATH=$build/programs:$PATH NO_COLOR=1
work=$(mktemp -d "${TMPDIR:-/tmp}/claviger-test-XXXXXX")
count=0
bad=0
kbs_pid=""
url=""
trap 'stop_kbs; rm -rf "$work"' EXIT

check() { # NAME COMMAND...: one line
    local name=$1
    shift
    count=$((count + 1))
    if "$@" >"$work/check.out" 2>&1; then
        echo "ok $count - $name"
    else
        bad=$((bad + 1))
        echo "not ok $count - $name"
        sed 's/^/# /' "$work/check.out" | head -20
    fi
}
equal() { [ "$1" = "$2" ] || { echo "got:  $1"; echo "want: $2"; return 1; }; }
has() { case "$1" in *"$2"*) ;; *) echo "no \"$2\" in: $1"; return 1 ;; esac; }
lacks() { case "$1" in *"$2"*) echo "\"$2\" in: $1"; return 1 ;; esac; }
skip_all() { # CONDITION WHY
    echo "1..0 # SKIP $1: $2"
    exit 0
}
finish() {
    echo "1..$count"
    exit $((bad > 0))
}

# The virtual machines' test PKI: made once a build.
pki=$build/demo-pki
[ -n "${no_pki:-}" ] || [ -d "$pki/anchors" ] || virtual-tee pki "$pki" >/dev/null || exit 99

make_admin_key() { # $work/admin.key and admin.pub
    openssl genpkey -algorithm ed25519 -out "$work/admin.key" 2>/dev/null
    openssl pkey -in "$work/admin.key" -pubout -out "$work/admin.pub" 2>/dev/null
}
# How a configuration of the new era begins, up to the tables of the attestation service.
config_head() {
    cat <<TOML
[http_server]
sockets = ["127.0.0.1:0"]
insecure_http = true
[admin]
type = "Simple"
[[admin.personas]]
id = "ops"
public_key_path = "$work/admin.pub"
[attestation_service]
type = "coco_as_builtin"
TOML
}

start_kbs() { # CONFIG [OPTION...]
    local config=$1
    shift
    cat "$work/kbs.log" >>"$work/all.log" 2>/dev/null
    : >"$work/kbs.log" # or the address of the last one might be read
    kbs -c "$config" "$@" >"$work/kbs.log" 2>&1 &
    kbs_pid=$!
    url=""
    for _ in $(seq 500); do
        url=$(sed -n 's/.*Starting HTTPS\{0,1\} server at \[\([^],]*\).*/\1/p' "$work/kbs.log" | head -1)
        [ -n "$url" ] && break
        kill -0 "$kbs_pid" 2>/dev/null || break
        sleep 0.02
    done
    [ -n "$url" ] || { echo "# kbs did not start:"; sed 's/^/# /' "$work/kbs.log"; return 1; }
    grep -q 'Starting HTTPS' "$work/kbs.log" && url=https://$url || url=http://$url
    url=${url/0.0.0.0/127.0.0.1}
}
stop_kbs() {
    [ -n "$kbs_pid" ] || return 0
    kill -INT "$kbs_pid" 2>/dev/null
    wait "$kbs_pid" 2>/dev/null
    kbs_pid=""
}

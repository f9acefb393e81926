#!/bin/bash
# A disk that is really full, and one that turned read-only, under a whole kbs: a clear error, the
# old state, and on it goes once there is room.  Runs in tests/integration/sandbox.c, where it may mount.
set -u
no_pki=1
. "$(dirname "$0")/lib.sh"

disk=$work/disk
mkdir "$disk"
trap 'stop_kbs; umount "$disk" 2>/dev/null; rm -rf "$work"' EXIT
mount -t tmpfs -o size=3m none "$disk" 2>/dev/null || skip_all no-namespaces "cannot mount a tmpfs"

config() { # TYPE TABLE
    cat >"$work/kbs.toml" <<TOML
[http_server]
sockets = ["127.0.0.1:0"]
insecure_http = true
[admin]
authorization_mode = "InsecureAllowAll"
[attestation_service]
type = "coco_as_builtin"
[attestation_service.verifier_config.sample_verifier]
[storage_backend]
storage_type = "$1"
[storage_backend.backends.$2]
[[plugins]]
name = "resource"
TOML
    sed -i "s,\[storage_backend.backends.\([a-z_]*\) \(.*\)\],[storage_backend.backends.\1]\n\2," "$work/kbs.toml"
}
code() { curl -s -o "$work/answer" -w '%{http_code}' "$@"; }
post() { code -X POST --data-binary "@$2" "$url/kbs/v0/resource/$1"; }
policy() { # TEXT
    printf '{"policy":"%s"}' "$(printf '%s' "$1" | base64 -w0 | tr '+/' '-_' | tr -d =)" >"$work/policy.json"
    code -X POST --data-binary "@$work/policy.json" "$url/kbs/v0/resource-policy"
}
secret() { # PATH: the digest of what a guest gets, or the error
    kbs-client --url "$url" get-resource --path "$1" >"$work/secret.b64" 2>"$work/secret.err" || { cat "$work/secret.err"; return; }
    base64 -d <"$work/secret.b64" | sha256sum
}
values() { # NAME VALUE: register a reference value
    printf '{"version":"0.1.0","type":"sample","payload":"%s"}' "$(printf '{"%s":["%s"]}' "$1" "$2" | base64 -w0)" >"$work/values.json"
    code -X POST --data-binary "@$work/values.json" "$url/kbs/v0/reference-value"
}
value() { curl -s "$url/kbs/v0/reference-value/$1"; }
digest() { sha256sum <"$1"; }

head -c 200000 /dev/urandom >"$work/old"
head -c 200000 /dev/urandom >"$work/new"
{ printf 'package policy\ndefault allow := false\n'; head -c 100000 /dev/zero | tr '\0' '#'; } >"$work/deny.rego"
for kind in "LocalFs:local_fs dir_path = \"$disk/fs\":No space left on device" \
    "LocalJson:local_json file_dir_path = \"$disk/json\":No space left on device" \
    "Sqlite:sqlite path = \"$disk/db/claviger.sqlite\":database or disk is full"; do
    IFS=: read -r type table text <<<"$kind"
    rm -rf "${disk:?}"/*
    config "$type" "$table"
    check "$type: kbs starts" start_kbs "$work/kbs.toml"
    check "$type: a policy" equal "$(policy 'package policy
allow = true')" 200
    check "$type: a secret" equal "$(post a/b/c "$work/old")" 200
    check "$type: a reference value" equal "$(values launch old)" 200

    # Others fill the disk.
    cat /dev/zero >"$disk/ballast" 2>/dev/null
    : >"$work/new.codes"
    for _ in 1 2 3; do
        post a/b/c "$work/new" >>"$work/new.codes"
        echo >>"$work/new.codes"
    done
    check "$type, full: a secret is refused" equal "$(tail -1 "$work/new.codes")" 401
    check "$type, full: as a failure of the plugin" has "$(cat "$work/answer")" PluginInternalError
    check "$type, full: the client is not told what is on the disk" lacks "$(cat "$work/answer")" "$disk"
    check "$type, full: the log says why" has "$(cat "$work/kbs.log")" "$text"
    check "$type, full: the old secret is there" equal "$(secret a/b/c)" "$(digest "$work/old")"
    check "$type, full: a policy is refused" equal "$(policy "$(cat "$work/deny.rego")")" 401
    check "$type, full: the old policy is in force" equal "$(secret a/b/c)" "$(digest "$work/old")"
    check "$type, full: a reference value is refused" equal "$(values launch "$(head -c 30000 /dev/zero | tr '\0' n)")" 401
    check "$type, full: the old one is there" equal "$(value launch)" '["old"]'
    check "$type, full: nothing was left behind" equal "$(find "$disk" -name '.claviger-tmp*')" ""
    kill -9 "$kbs_pid"
    wait "$kbs_pid" 2>/dev/null
    kbs_pid=""

    rm "$disk/ballast"
    check "$type: starts again" start_kbs "$work/kbs.toml"
    check "$type, with room: the old secret is there" equal "$(secret a/b/c)" "$(digest "$work/old")"
    check "$type, with room: the old reference value is there" equal "$(value launch)" '["old"]'
    check "$type, with room: a new one" equal "$(values launch new)" 200
    check "$type, with room: and it is there" equal "$(value launch)" '["new"]'
    check "$type, with room: a new secret" equal "$(post a/b/c "$work/new")" 200
    check "$type, with room: and it is there" equal "$(secret a/b/c)" "$(digest "$work/new")"

    # A file can be deleted, which makes room.  (A JSON file is written anew for that, a database's log grows.)
    [ "$type" != LocalFs ] && stop_kbs && continue
    cat /dev/zero >"$disk/ballast" 2>/dev/null
    check "$type, full: a secret can be deleted" equal "$(code -X DELETE "$url/kbs/v0/resource/a/b/c")" 200
    check "$type, full: and is gone" has "$(secret a/b/c)" PluginInternalError
    stop_kbs
done

# Read-only: what is there is served, a change is refused.
rm -rf "${disk:?}"/*
config LocalFs "local_fs dir_path = \"$disk/fs\""
check "kbs starts" start_kbs "$work/kbs.toml"
check "a policy" equal "$(policy 'package policy
allow = true')" 200
check "a secret" equal "$(post a/b/c "$work/old")" 200
check "the disk turns read-only" mount -o remount,ro "$disk"
check "read-only: a secret is refused" equal "$(post a/b/c "$work/new")" 401
check "read-only: the log says why" has "$(cat "$work/kbs.log")" "Read-only file system"
check "read-only: the old one is served" equal "$(secret a/b/c)" "$(digest "$work/old")"
check "read-only: nothing is deleted" equal "$(code -X DELETE "$url/kbs/v0/resource/a/b/c")" 401
stop_kbs
check "read-only: kbs starts on files" start_kbs "$work/kbs.toml"
check "read-only: and serves" equal "$(secret a/b/c)" "$(digest "$work/old")"
stop_kbs
config Sqlite "sqlite path = \"$disk/db/claviger.sqlite\""
check "read-only: a database that cannot be made is named" \
    has "$(kbs -c "$work/kbs.toml" --check-config 2>&1)" "Error: could not create directory \"$disk/db\": Read-only file system"
finish

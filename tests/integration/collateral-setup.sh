# Sourced by the tests of collateral from the network: a PCCS and a KDS of ours, over HTTPS.
python=$(command -v python3) || exit 99 # Meson runs on it: it is there
unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY # the machine's own are not for this
service=$work/service
service_pid=""
trap 'stop_kbs; [ -z "$service_pid" ] || kill $service_pid 2>/dev/null; rm -rf "$work"' EXIT

start_service() { # NAMES [PORT]: names of its certificate, "DNS:localhost,IP:127.0.0.1"
    mkdir -p "$service/vcek"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$service/tls.key" \
        -out "$service/tls.crt" -days 2 -subj "/CN=stand-in" -addext "subjectAltName=$1" 2>/dev/null
    cp -r "$pki/collateral" "$service/collateral"
    mode ok
    forget
    rm -f "$service/port"
    "$python" "$(dirname "$0")/collateral-server.py" "$service" ${2:-} 2>"$work/service.log" &
    service_pid=$!
    for _ in $(seq 3000); do
        [ -s "$service/port" ] && break
        kill -0 $service_pid 2>/dev/null || break
        sleep 0.02
    done
    [ -s "$service/port" ] || { echo "# the stand-in did not start:"; sed 's/^/# /' "$work/service.log"; exit 99; }
    at=https://localhost:$(cat "$service/port")
}
mode() { printf '%s' "$1" >"$service/mode.new" && mv "$service/mode.new" "$service/mode"; }
asked() { grep -c "${1:-.}" "$service/asked"; }
forget() { : >"$service/asked"; }
asked_some() { [ -s "$service/asked" ]; }
until_true() { # COMMAND...: as long as it takes, within reason
    for _ in $(seq 3000); do "$@" >/dev/null 2>&1 && return 0; sleep 0.02; done
    "$@"
}
# The VCEK of the virtual chip, as AMD's service has it; options are --set ... of the machine.
add_vcek() {
    virtual-tee evidence --pki "$pki" --tee snp --report-data 00 "$@" >"$work/vcek.json" &&
        "$python" - "$work/vcek.json" "$service/vcek" <<'PY'
import json, sys
e = json.load(open(sys.argv[1]))
r = e["attestation_report"]
t = r["reported_tcb"]
chip = bytes(r["chip_id"]).hex()
turin = r["cpuid_fam_id"] == 0x1a
query = ("fmcSPL=%02d&" % t["fmc"] if turin else "") + "blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d" % (
    t["bootloader"], t["tee"], t["snp"], t["microcode"])
der = bytes(next(c["data"] for c in e["cert_chain"] if c["cert_type"] == "VCEK"))
open("%s/%s_%s" % (sys.argv[2], chip[:16] if turin else chip, query), "wb").write(der)
PY
}

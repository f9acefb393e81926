#!/usr/bin/env python3
"""A PCCS and a KDS over HTTPS, with the collateral of a virtual TEE's PKI.

    collateral-server.py DIR

DIR has: tls.crt, tls.key; `collateral`, a folder as virtual-tee makes it; `vcek/`,
answers for VCEKs by the name CHIP_QUERY.  The server writes its port to DIR/port
when it listens, a line to DIR/asked for each request, and does what DIR/mode says
at that moment:

    ok | 404 | 429 | 429-once | 500 | hang | garbage | swapped | unsigned | huge | slow

429 is said with Retry-After: 600; 429-once to one request only, with Retry-After: 1.
"""
import http.server
import json
import os
import re
import ssl
import sys
import threading
import time
import urllib.parse

base = sys.argv[1]
lock = threading.Lock()


def read(name, mode="rb"):
    with open(os.path.join(base, name), mode) as f:
        return f.read()


def set_mode(mode):
    with open(os.path.join(base, "mode.next"), "w") as f:
        f.write(mode)
    os.rename(os.path.join(base, "mode.next"), os.path.join(base, "mode"))


def bundle(tee, ca="platform"):
    name = "intel-%s%s.json" % (tee, "-processor" if ca == "processor" else "")
    return json.loads(read("collateral/" + name))


def find(url):
    """(body, {header: value}) or None."""
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    if parts.path == "/IntelSGXRootCA.der":
        return bytes.fromhex(bundle("tdx")["root_ca_crl"]), {}
    m = re.match(r"/(sgx|tdx)/certification/v4/(tcb|qe/identity|pckcrl|rootcacrl)$", parts.path)
    if m:
        tee, what = m.groups()
        b = bundle(tee, query.get("ca", "platform"))
        quote = urllib.parse.quote
        if what == "tcb":
            if query.get("fmspc") != b["fmspc"]:
                return None
            return b["tcb_info"].encode(), {"TCB-Info-Issuer-Chain": quote(b["tcb_info_issuer_chain"])}
        if what == "qe/identity":
            return b["qe_identity"].encode(), {
                "SGX-Enclave-Identity-Issuer-Chain": quote(b["qe_identity_issuer_chain"])}
        if what == "pckcrl":
            return bytes.fromhex(b["pck_crl"]), {"SGX-PCK-CRL-Issuer-Chain": quote(b["pck_crl_issuer_chain"])}
        return b["root_ca_crl"].encode(), {}  # a PCCS answers in hexadecimal
    m = re.match(r"/vcek/v1/(\w+)/crl$", parts.path)
    if m:
        return read("collateral/amd-%s.crl" % m.group(1).lower()), {}
    m = re.match(r"/vcek/v1/\w+/([0-9a-f]+)$", parts.path)
    if m:
        name = "vcek/%s_%s" % (m.group(1), parts.query)
        return (read(name), {}) if os.path.exists(os.path.join(base, name)) else None
    return None


def swapped(url):
    """What is signed as well, but of something else."""
    if "/tcb?" in url:
        return find(url.replace("/tdx/", "/sgx/") if "/tdx/" in url else url.replace("/sgx/", "/tdx/"))
    if "/pckcrl" in url:
        return find(url.replace("ca=platform", "ca=processor"))
    if "/vcek/" in url and "?" in url:
        return read("vcek/other"), {}
    return find(url)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers={}):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        mode = read("mode", "r").strip()
        with lock, open(os.path.join(base, "asked"), "a") as f:
            f.write(self.path + "\n")
        if mode == "429":
            return self.answer(429, b"", {"Retry-After": "600"})
        if mode == "429-once":
            set_mode("ok")
            return self.answer(429, b"", {"Retry-After": "1"})
        if mode in ("404", "500"):
            return self.answer(int(mode))
        if mode == "hang":
            time.sleep(3600)
        if mode == "huge":
            return self.answer(200, b" " * (2 << 20))
        if mode == "slow":  # until somebody says that it is enough
            while read("mode", "r").strip() == "slow":
                time.sleep(0.02)
        found = swapped(self.path) if mode == "swapped" else find(self.path)
        if found is None:
            return self.answer(404)
        body, headers = found
        if mode == "garbage":
            body = b"<html>maintenance</html>"
        if mode == "unsigned":
            body = body[:len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1:]
        self.answer(200, body, headers)


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(base, "tls.crt"), os.path.join(base, "tls.key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(os.path.join(base, "port.new"), "w") as f:
    f.write(str(server.server_address[1]))
os.rename(os.path.join(base, "port.new"), os.path.join(base, "port"))
server.serve_forever()

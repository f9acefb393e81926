#!/usr/bin/env python3
"""A proxy that knows CONNECT only: connect-proxy.py FILE.

Writes its port to FILE.port when it listens, and the first line of each request to FILE.asked.
"""
import os
import socket
import socketserver
import sys
import threading

name = sys.argv[1]


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline(4096).decode("latin-1").strip()
        with open(name + ".asked", "a") as f:
            f.write(line + "\n")
        while self.rfile.readline(4096).strip():
            pass
        method, target, _ = line.split(" ")
        port = target.rsplit(":", 1)[1]
        if method != "CONNECT":
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        # Every name of the tests is this machine's; a bare one has no /etc/hosts to say so.
        with socket.create_connection(("127.0.0.1", int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=pump, args=(there, self.connection), daemon=True).start()
            pump(self.connection, there)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
with open(name + ".new", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(name + ".new", name + ".port")
server.serve_forever()

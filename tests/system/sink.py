# SPDX-License-Identifier: Apache-2.0
"""
sink.py ADDR4 ADDR6 PORT FOLDER: a backend that takes bodies and gives files.

POST or PUT: reads the body (Content-Length or chunked) and answers its length and SHA-256 in JSON.
GET /files/NAME: the file, with its length; ?rate=BYTES per second paces the answer.
GET /status/N: that status. GET /sleep/S: answers after S seconds. Threads, keep-alive; with ?close
the connection ends with the answer.
"""
import hashlib
import http.server
import json
import os
import socket
import socketserver
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    rbufsize = 1 << 18

    def log_message(self, *args):
        pass

    def end_headers(self):
        if "close" in parse_qs(urlsplit(self.path).query, keep_blank_values=True):
            self.send_header("Connection", "close")
            self.close_connection = True
        super().end_headers()

    def reply(self, status, body, ctype="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", ctype)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                if size == 0:
                    while self.rfile.readline() not in (b"\r\n", b""):
                        pass
                    return
                while size:
                    part = self.rfile.read1(min(size, 1 << 18))
                    if not part:
                        raise ConnectionError("body ended early")
                    size -= len(part)
                    yield part
                self.rfile.readline()
        left = int(self.headers.get("Content-Length", 0))
        while left:
            part = self.rfile.read1(min(left, 1 << 18))
            if not part:
                raise ConnectionError("body ended early")
            left -= len(part)
            yield part

    def do_POST(self):
        h, n = hashlib.sha256(), 0
        for part in self.body():
            h.update(part)
            n += len(part)
        self.reply(200, json.dumps({"length": n, "sha256": h.hexdigest()}).encode() + b"\n")

    do_PUT = do_POST

    def do_GET(self):
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if parts[0] == "status":
            return self.reply(int(parts[1]), b"status\n", "text/plain")
        if parts[0] == "sleep":
            time.sleep(float(parts[1]))
            return self.reply(200, b"slept\n", "text/plain")
        if parts[0] == "headers":
            return self.reply(200, json.dumps(list(self.headers.items())).encode())
        if parts[0] == "files":
            return self.file(parts[1], float(parse_qs(url.query).get("rate", ["0"])[0]))
        return self.reply(200, b"sink\n", "text/plain")

    def file(self, name, rate):
        path = os.path.join(sys.argv[4], os.path.basename(name))
        with open(path, "rb") as f:
            self.send_response(200)
            self.send_header("Content-Length", str(os.path.getsize(path)))
            self.end_headers()
            self.wfile.flush()
            if not rate:
                self.connection.sendfile(f)
                return
            start, sent = time.monotonic(), 0
            while part := f.read(16384):
                self.wfile.write(part)
                sent += len(part)
                time.sleep(max(0, start + sent / rate - time.monotonic()))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass  # a client that went away


class Server6(Server):
    address_family = socket.AF_INET6


def main():
    port = int(sys.argv[3])
    servers = [Server((sys.argv[1], port), Handler), Server6((sys.argv[2], port), Handler)]
    for s in servers:
        threading.Thread(target=s.serve_forever, daemon=True).start()
    threading.Event().wait()


main()

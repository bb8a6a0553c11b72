# SPDX-License-Identifier: Apache-2.0
"""
kube_server.py: an API server for tests that behaves as badly as it is told: real sockets, TLS, and
a function per request that writes whatever bytes it likes.
"""
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

OPENSSL_CNF = """[req]
distinguished_name=dn
[dn]
[ext]
subjectAltName=DNS:api.lab,IP:127.0.0.1
"""


def sh(*args, **kw):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)


class Certificates:
    """A CA, and server certificates that are good or ended long ago."""

    def __init__(self, folder):
        self.dir = folder
        self.ca = os.path.join(folder, "ca.crt")
        with open(os.path.join(folder, "cnf"), "w") as f:
            f.write(OPENSSL_CNF)
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
           "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca",
           cwd=folder)
        open(os.path.join(folder, "index"), "w").close()
        self.make("good", "20200101000000Z", "20990101000000Z")
        self.make("expired", "20200101000000Z", "20210101000000Z")

    def make(self, name, begin, end):
        sh("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
           "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=self.dir)
        conf = (f"[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n"
                "default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
                "[ext]\nsubjectAltName=DNS:api.lab,IP:127.0.0.1\n")
        with open(os.path.join(self.dir, "ca.cnf"), "w") as f:
            f.write(conf)
        sh("openssl", "ca", "-batch", "-config", "ca.cnf", "-extensions", "ext", "-cert", "ca.crt",
           "-keyfile", "ca.key", "-in", f"{name}.csr", "-out", f"{name}.crt", "-startdate", begin,
           "-enddate", end, "-rand_serial", "-notext", cwd=self.dir)

    def context(self, name):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(os.path.join(self.dir, name + ".crt"),
                          os.path.join(self.dir, name + ".key"))
        return c


class Request:
    def __init__(self, conn, method, target, headers, body):
        self.conn, self.method, self.headers, self.body = conn, method, headers, body
        self.path, _, query = target.partition("?")
        self.query = dict(p.partition("=")[::2] for p in query.split("&") if p)
        self.open = False
        self.token = headers.get("authorization", "").replace("Bearer ", "")
        stream = "sendInitialEvents" in self.query
        self.kind = "stream" if stream else "watch" if "watch" in self.query else \
            "verify" if self.query.get("limit") == "1" else "list" if method == "GET" else "write"

    def raw(self, data):
        self.conn.sendall(data)

    def answer(self, status, doc, headers=""):
        body = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        self.raw(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
                 + body)

    def begin(self):
        self.open = True
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def chunk(self, data):
        data = data if isinstance(data, bytes) else (json.dumps(data) + "\n").encode()
        self.raw(b"%x\r\n" % len(data) + data + b"\r\n")

    def end(self):
        self.open = False
        self.raw(b"0\r\n\r\n")

    def event(self, kind, obj):
        self.chunk({"type": kind, "object": obj})


def obj(name, rv, uid=None, **more):
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "d", "uid": uid or "u-" + name,
                         "resourceVersion": str(rv)}, **more}


def bookmark(rv, end=False):
    m = {"resourceVersion": str(rv)}
    if end:
        m["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": m}


def status(code, reason=""):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": f"so says the test: {code}"}


def listing(rv, items, cont=""):
    m = {"resourceVersion": str(rv)}
    if cont:
        m["continue"] = cont
    return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": m, "items": items}


RESOURCES = {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
    {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["list", "watch"]}]}


class Server:
    """handler(request) answers; without one for it, discovery is answered as it should be."""

    def __init__(self, certs, handler, cert="good"):
        self.certs, self.handler, self.tls = certs, handler, certs.context(cert)
        self.requests = []  # (time, kind, path)
        self.conns = set()
        self.listen(0)

    def listen(self, port):
        self.sock = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.sock,), daemon=True).start()

    def accept(self, sock):
        while True:
            try:
                conn, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            conn.settimeout(120)
            conn = self.tls.wrap_socket(conn, server_side=True)
            self.conns.add(conn)
            with conn:
                while self.one(conn):
                    pass
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self.conns.discard(conn)
            conn.close()

    def one(self, conn):
        data = b""
        while b"\r\n\r\n" not in data:
            got = conn.recv(65536)
            if not got:
                return False
            data += got
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {k.lower(): v.strip() for k, v in (x.split(":", 1) for x in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += conn.recv(65536)
        r = Request(conn, method, target, headers, body)
        discovery = re.fullmatch(r"/api/[^/]+|/apis/[^/]+/[^/]+", r.path)
        self.requests.append((time.monotonic(), "discover" if discovery else r.kind, target))
        if discovery:
            doc = self.discover(r)
            if doc is not None:
                r.answer(200, doc) if isinstance(doc, dict) else r.answer(doc, status(doc))
            return True
        return self.handler(self, r) is not False

    def discover(self, r):
        return RESOURCES

    def count(self, kind):
        return sum(1 for _, k, _ in self.requests if k == kind)

    def deaf(self):
        """Nobody listens any more."""
        self.sock.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.sock.close()

    def drop_all(self):
        """Every connection ends without a word, as when a machine loses its power."""
        for c in list(self.conns):
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.deaf()
        self.drop_all()

# SPDX-License-Identifier: Apache-2.0
"""
hostile_api.py: API servers that answer wrongly, over real sockets with TLS: no crash, no object that
never was, none lost that is there, each mischief with its counter and its line in the log.
"""
import base64
import concurrent.futures
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from common import TOP, check, finish
from kube_server import (Certificates, RESOURCES, Server, bookmark, listing, obj, status)

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(TOP, "build-asan"))
SLOW = 3  # of all patience: the machine may be busy


class Client:
    """kubewatch, and the view that a consumer of it has."""

    def __init__(self, folder, port, user='token: secret', cluster="", args=("-/v1/configmaps",),
                 env=None):
        self.config = os.path.join(folder, f"kc-{port}-{time.monotonic_ns()}")
        with open(self.config, "w") as f:
            f.write(f"""apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters:
- name: k
  cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: ca.crt{cluster}}}
users:
- name: u
  user: {{{user}}}
""")
        self.view, self.lines, self.state, self.why, self.counters = {}, [], "", "", None
        self.done, self.lock = [], threading.Condition()
        self.p = subprocess.Popen(
            [os.path.join(BUILD, "tests/tools/kubewatch"), self.config, *args], text=True,
            bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=env)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.p.stdout:
            with self.lock:
                self.take(line.rstrip("\n"))
                self.lock.notify_all()

    def take(self, line):
        self.lines.append(line)
        w = line.split(" ")
        if w[0] == "replace":
            if w[3] == "whole":
                self.view = {}
        elif w[0] in ("item", "upsert"):
            self.view[w[2]] = (w[3], w[4])
        elif w[0] == "delete":
            self.view.pop(w[2], None)
        elif w[0] == "state":
            self.state, self.why = w[2], line.split('"', 1)[1]
        elif w[0] == "counters":
            self.counters = json.loads(line.split(" ", 1)[1])
        elif w[0] == "done":
            self.done.append((int(w[1]), w[2]))

    def wait(self, fn, seconds=15):
        with self.lock:
            return self.lock.wait_for(fn, seconds * SLOW)

    def names(self):
        return sorted(k.split("/")[1] + ":" + v[1] for k, v in self.view.items())

    def sees(self, *names, seconds=15):
        return self.wait(lambda: self.names() == sorted(names), seconds)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()

    def count(self, name):
        with self.lock:
            self.counters = None
        self.ask("state")
        self.wait(lambda: self.counters is not None)
        return self.counters["counters"][name]

    def counts(self, name, least=1, seconds=15):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            if self.count(name) >= least:
                return True
            time.sleep(0.1)
        return False

    def logged(self, *words):
        return self.wait(lambda: any("mod=kube" in x and all(w in x for w in words)
                                     for x in self.lines), 5)

    def close(self):
        self.p.stdin.close()
        code = self.p.wait(30)
        text = "\n".join(self.lines)
        if os.environ.get("HOSTILE_API_LINES"):
            print(text, flush=True)
        return code == 0 and "ERROR:" not in text and "runtime error" not in text


class Script:
    """The usual good behaviour; a scenario replaces parts of it."""

    def __init__(self):
        self.rv, self.objects = 10, {"a": obj("a", 5), "b": obj("b", 6)}
        self.stop = threading.Event()

    def stream(self, s, r):
        r.begin()
        for o in self.objects.values():
            r.event("ADDED", o)
        r.event("BOOKMARK", bookmark(self.rv, True))
        return self.watching(s, r)

    def watch(self, s, r):
        r.begin()
        return self.watching(s, r)

    def watching(self, s, r):
        self.stop.wait(100)
        return False

    def list(self, s, r):
        r.answer(200, listing(self.rv, list(self.objects.values())))

    def verify(self, s, r):
        r.answer(200, listing(self.rv, []))

    def write(self, s, r):
        r.answer(200, {"kind": "ConfigMap"})

    def __call__(self, s, r):
        return getattr(self, r.kind)(s, r)


def once(script, name, first):
    """Only the first request of a kind gets <first>; the next ones the usual."""
    usual, used = getattr(script, name), []

    def fn(s, r):
        if not used:
            used.append(1)
            return first(s, r)
        return usual(s, r)
    setattr(script, name, fn)


class World:
    def __init__(self, folder, certs, script=None, cert="good", **kw):
        self.script = script or Script()
        self.server = Server(certs, self.script, cert)
        self.client = Client(folder, self.server.port, **kw)

    def close(self):
        self.script.stop.set()
        ok = self.client.close()
        self.server.close()
        return ok


# --- scenarios: yield (what, ok) ---

def plain(folder, certs):
    script = Script()

    def watching(s, r):
        r.event("MODIFIED", obj("a", 11))
        r.event("ADDED", obj("c", 12))
        r.event("DELETED", obj("b", 13))
        r.event("BOOKMARK", bookmark(20))
        return Script.watching(script, s, r)
    script.watching = watching
    w = World(folder, certs, script)
    yield "a list as a stream, then changes", w.client.sees("a:11", "c:12")
    yield "it says that it is in step", w.client.wait(lambda: w.client.state == "synced")
    yield "and nothing was asked twice", w.server.count("stream") == 1 and not w.server.count("list")
    yield "no crash", w.close()


def truncated(folder, certs):
    script = Script()

    def cut(s, r):
        r.chunk(json.dumps({"type": "MODIFIED", "object": obj("a", 11)}).encode()[:-20])
        time.sleep(1.2)
        r.end()

    def reset(s, r):
        r.begin()
        r.chunk(b'{"type":"MODIFIED","object":{"apiVersion":"v1","ki')
        time.sleep(0.2)
        return False

    def whole(s, r):
        r.begin()
        r.event("MODIFIED", obj("a", 11))
        return Script.watching(script, s, r)
    script.watching = cut
    answers = [reset, whole, whole]
    script.watch = lambda s, r: answers.pop(0)(s, r)
    w = World(folder, certs, script)
    yield "an event cut off comes whole from the version before it", w.client.sees("a:11", "b:6")
    yield "counter bad_frame", w.client.counts("bad_frame")
    yield "counter broken", w.client.counts("broken")
    yield "log", w.client.logged("resource=configmaps", "the answer ended within an object")
    yield "taken up from the version that was known", all(
        "resourceVersion=10" in t for _, k, t in w.server.requests if k == "watch")
    yield "no crash", w.close()


def huge(folder, certs):
    script = Script()

    def watching(s, r):
        r.event("MODIFIED", obj("a", 11, data={"x": "y" * (5 << 20)}))
        r.event("MODIFIED", obj("b", 12))
        r.event("ERROR", status(410, "Expired"))
        return False
    script.watching = watching

    def stream(s, r):
        if s.count("stream") == 1:
            return Script.stream(script, s, r)
        script.watching = lambda s, r: Script.watching(script, s, r)
        r.begin()
        r.event("ADDED", obj("a", 13, data={"x": "y" * (5 << 20)}))
        r.event("ADDED", obj("c", 14))
        r.event("BOOKMARK", bookmark(20, True))
        return Script.watching(script, s, r)
    script.stream = stream
    w = World(folder, certs, script)
    yield "what is too large keeps its last good state, in watch and list", \
        w.client.sees("a:5", "b:12", "c:14", seconds=30)
    yield "the list is said to be in part", any(
        "replace configmaps 1 part" in x for x in w.client.lines)
    yield "counter too_large", w.client.counts("too_large", 2)
    yield "log", w.client.logged("larger than 4 MiB")
    yield "no crash", w.close()


def storm_410(folder, certs):
    script = Script()

    def watching(s, r):
        r.event("ERROR", status(410, "Expired"))
        return False
    script.watching = watching
    script.watch = lambda s, r: r.answer(410, status(410, "Gone"))
    once(script, "stream", lambda s, r: r.answer(422, status(422)))
    w = World(folder, certs, script)
    w.client.sees("a:5", "b:6")
    began = len(w.server.requests)
    time.sleep(8)
    yield "a storm of 410 is answered with patience: " \
        f"{len(w.server.requests) - began} requests in 8 s", \
        len(w.server.requests) - began < 16
    yield "nothing was lost", w.client.names() == ["a:5", "b:6"]
    yield "counter status_410", w.client.counts("status_410", 2)
    yield "no crash", w.close()


def slow(folder, certs):
    script = Script()

    def stream(s, r):
        doc = json.dumps({"type": "ADDED", "object": obj("a", 5)}).encode()
        r.raw(b"HTTP/1.1 200 OK\r\n\r\n")
        for i in range(len(doc)):
            r.raw(doc[i:i + 1])
            time.sleep(0.005)
        r.raw(json.dumps({"type": "BOOKMARK", "object": bookmark(10, True)}).encode())
        return Script.watching(script, s, r)
    script.stream = stream
    w = World(folder, certs, script)
    yield "byte by byte is still a list", w.client.sees("a:5")
    yield "no crash", w.close()


def wrong_types(folder, certs):
    script = Script()
    bad = [{"type": 7, "object": {}}, {"type": "ADDED"}, {"type": "ADDED", "object": []},
           {"type": "PLAIN", "object": obj("a", 11)}, {"type": "BOOKMARK", "object": {}},
           {"type": "MODIFIED", "object": {"metadata": {"name": 7}}},
           {"type": "MODIFIED", "object": {"metadata": "a"}},
           {"type": "MODIFIED", "object": {**obj("a", 12), "kind": "Secret"}},
           {"type": "MODIFIED", "object": obj("a", 13, uid=["u"])},
           {"type": "DELETED", "object": {"metadata": {"name": "a"}}},
           {"type": "ADDED", "object": obj("../../secrets/x", 14)}]

    def watching(s, r):
        for e in bad:
            r.chunk(e)
        r.chunk(b'{"type":"MODIFIED","object":{"kind":"ConfigMap","kind":"Secret"}}')
        r.chunk(b'{"type":"MODIFIED","type":"DELETED","object":' +
                json.dumps(obj("b", 15)).encode() + b'}')
        r.chunk(b'{"type":"MODIFIED","object":{"metadata":{"name":"\\u0000"}}}')
        r.chunk(b'{"a":' * 3000 + b'1' + b'}' * 3000)
        r.event("MODIFIED", obj("b", 16))
        return Script.watching(script, s, r)
    script.watching = watching
    w = World(folder, certs, script)
    yield "nonsense is left out, what follows it is not", w.client.sees("a:5", "b:16")
    yield "counter bad_event", w.client.counts("bad_event", 5)
    yield "counter bad_object", w.client.counts("bad_object", 6)
    yield "counter bad_json (keys twice, NUL, too deep)", w.client.counts("bad_json", 4)
    yield "log names the object", w.client.logged("object=d/a", "kind is Secret instead of")
    yield "log names the key", w.client.logged("duplicate object key")
    yield "no crash", w.close()


def garbage(folder, certs):
    script = Script()
    once(script, "watching", lambda s, r: r.chunk(b"]]>") or False)
    w = World(folder, certs, script)
    yield "a stream of garbage", w.client.sees("a:5", "b:6") and w.client.counts("bad_frame")
    w.script.objects["a"] = obj("a", 9)
    yield "is followed by a list", w.client.wait(
        lambda: w.server.count("stream") + w.server.count("watch") >= 2)
    yield "no crash", w.close()


def bad_lists(folder, certs):
    good = listing(9, [])
    yield from bad_list(folder, certs, "bad_frame", lambda r: r.answer(200, b"<html>hello</html>"))
    yield from bad_list(folder, certs, "bad_list", lambda r: r.answer(
        200, {"kind": "ConfigMapList", "items": []}))
    yield from bad_list(folder, certs, "bad_list", lambda r: r.answer(
        200, {**good, "kind": "SecretList"}))
    yield from bad_list(folder, certs, "bad_list", lambda r: r.answer(
        200, {**good, "items": {"a": 1}}))
    yield from bad_list(folder, certs, "bad_list", lambda r: r.answer(
        200, json.dumps(good).encode()[:-1] + b',"items":[{}]}'))
    yield from bad_list(folder, certs, "status_other", lambda r: r.answer(
        302, b"", "Location: https://127.0.0.1:1/\r\n"))
    yield from bad_list(folder, certs, "bad_object", lambda r: r.answer(
        200, listing(10, [obj("a", 7), {"metadata": {}}, 3, None, obj("c", 8)])),
        ("a:7", "b:6", "c:8"))


def bad_list(folder, certs, counter, answer, after=("a:5", "b:6")):
    """The second list is bad: nothing changes, or only what could be read."""
    script = Script()
    script.stream = lambda s, r: r.answer(422, status(422))
    once(script, "watch", lambda s, r: r.answer(410, status(410)))
    usual = script.list
    script.list = lambda s, r: usual(s, r) if s.count("list") == 1 else answer(r)
    w = World(folder, certs, script)
    yield f"counter {counter}", w.client.counts(counter, seconds=30)
    yield f"the view is {after}", w.client.sees(*after)
    yield "no crash", w.close()


def pages(folder, certs):
    script = Script()
    script.stream = lambda s, r: r.answer(422, status(422))
    steps = []

    def page(s, r):
        n = int(r.query.get("continue", "0"))
        steps.append(n)
        if len(steps) == 2:
            return r.answer(410, {**status(410, "Expired"), "metadata": {"continue": "7"}})
        r.answer(200, listing(10, [obj(f"o{n}", 5)] if n != 1 else [], str(n + 1) if n < 3 else ""))
    script.list = page
    w = World(folder, certs, script)
    yield "pages, one of them empty, one token expired", w.client.sees("o0:5", "o2:5", "o3:5")
    yield f"begun anew after 410: {steps}", steps == [0, 1, 0, 1, 2, 3]
    yield "counter status_410", w.client.counts("status_410")
    yield "no crash", w.close()


def expired(folder, certs):
    w = World(folder, certs, cert="expired")
    yield "counter tls_failed", w.client.counts("tls_failed", 2)
    yield "the reason is said", w.client.wait(
        lambda: w.client.state == "listing" and "certificate has expired" in w.client.why)
    yield "log", w.client.logged("certificate has expired")
    w.server.tls = certs.context("good")
    yield "a new certificate heals it", w.client.sees("a:5", "b:6", seconds=60)
    yield "no crash", w.close()


def wrong_name(folder, certs):
    w = World(folder, certs, cluster=", tls-server-name: other.lab")
    yield "a certificate of another name", w.client.counts("tls_failed")
    yield "nothing was shown to it", not w.server.requests
    yield "no crash", w.close()
    w = World(folder, certs, cluster=", tls-server-name: api.lab")
    yield "tls-server-name is what is verified", w.client.sees("a:5", "b:6")
    yield "no crash with a name", w.close()


def token(folder, certs):
    path = os.path.join(folder, "token")
    script = Script()
    good = ["one"]

    def guard(fn):
        def guarded(s, r):
            if r.token != good[0]:
                return r.answer(401, status(401, "Unauthorized"))
            return fn(s, r)
        return guarded

    def watching(s, r):
        while not script.stop.wait(0.05):
            if r.token != good[0]:
                r.event("ERROR", status(401, "Unauthorized"))
                return False
        return False
    script.watching = watching
    script.watch, script.stream = guard(script.watch), guard(script.stream)
    with open(path, "w") as f:
        f.write("one\n")
    w = World(folder, certs, script, user="tokenFile: token")
    w.client.sees("a:5", "b:6")
    with open(path + ".new", "w") as f:
        f.write("two\n")
    os.rename(path + ".new", path)
    good[0] = "two"
    yield "a token refused half-way is read again", w.client.wait(
        lambda: any(k == "watch" for _, k, _ in w.server.requests))
    time.sleep(1)
    yield "without a list", w.server.count("stream") == 1 and w.server.count("list") == 0
    yield "and nothing was lost", w.client.names() == ["a:5", "b:6"]
    good[0] = "three"
    yield "a token that nobody accepts is stale, with all objects kept", w.client.wait(
        lambda: w.client.state == "stale" and "401" in w.client.why) and \
        w.client.names() == ["a:5", "b:6"]
    os.unlink(path)
    time.sleep(2)
    with open(path, "w") as f:
        f.write("three")
    yield "until there is one", w.client.wait(lambda: w.client.state == "synced", 60)
    yield "counter status_401", w.client.counts("status_401")
    yield "counter credential_failed", w.client.counts("credential_failed")
    yield "no crash", w.close()


def went_back(folder, certs):
    w = World(folder, certs)
    w.client.sees("a:5", "b:6")
    w.script.rv, w.script.objects = 8, {"a": obj("a", 4), "c": obj("c", 7, uid="x")}
    w.server.drop_all()
    yield "a server restored from an older backup is listed again", w.client.sees("a:4", "c:7")
    yield "counter went_back", w.client.counts("went_back")
    yield "log", w.client.logged("before 10: all is listed again")
    w.script.objects["a"] = obj("a", 9, uid="another")
    w.script.rv = 7
    w.server.drop_all()
    yield "an object made again is deleted first", w.client.wait(
        lambda: "delete configmaps d/a u-a -" in w.client.lines) and w.client.sees("a:9", "c:7")
    yield "counter recreated", w.client.counts("recreated")
    yield "no crash", w.close()


def backwards(folder, certs):
    script = Script()

    def watching(s, r):
        if s.count("stream") == 1:
            r.event("MODIFIED", obj("a", 20))
            r.event("DELETED", obj("b", 12))
        return Script.watching(script, s, r)
    script.watching = watching
    w = World(folder, certs, script)
    yield "an event from the past is not applied: all is listed again", \
        w.client.counts("bad_version") and w.client.sees("a:5", "b:6")
    yield "no crash", w.close()


def kinds(folder, certs):
    served = {"now": {**RESOURCES, "resources": []}}
    script = Script()
    w = World(folder, certs, script)
    w.close()
    script = Script()
    server = Server(certs, script)
    server.discover = lambda r: 404 if r.path.endswith("/v2") else served["now"]
    script.gone = False
    for name in ("stream", "watch", "list"):
        usual = getattr(script, name)
        setattr(script, name, lambda s, r, usual=usual: r.answer(404, status(404))
                if script.gone else usual(s, r))
    c = Client(folder, server.port, args=("-/v2,v1/configmaps",))
    yield "a kind that is not served is absent", c.wait(lambda: c.state == "absent", 20)
    served["now"] = RESOURCES
    c.ask("look")
    yield "it appears, in the second best version", c.sees("a:5", "b:6")
    served["now"] = 500
    script.gone = True
    server.drop_all()
    yield "a server that talks nonsense about it takes nothing away", c.wait(
        lambda: c.state == "stale") and (time.sleep(4) or c.names() == ["a:5", "b:6"])
    served["now"] = 404
    yield "it goes away", c.sees(seconds=60) and c.wait(lambda: c.state == "absent", 60)
    script.stop.set()
    yield "no crash", c.close()
    server.close()


def dead(folder, certs):
    w = World(folder, certs)
    w.client.sees("a:5", "b:6")
    w.server.deaf()
    w.server.drop_all()
    yield "a server that is gone: stale, with all objects kept", w.client.wait(
        lambda: w.client.state == "stale") and w.client.names() == ["a:5", "b:6"]
    yield "counter connect_failed", w.client.counts("connect_failed")
    w.client.ask("GET /api/v1/namespaces/d/configmaps/a")
    yield "a request to it ends, without an answer", w.client.wait(
        lambda: w.client.done and w.client.done[0][0] == 0, 30)
    w.server.listen(w.server.port)
    yield "it is back: taken up without a list", w.client.wait(
        lambda: w.client.state == "synced", 60) and w.server.count("stream") == 1
    yield "no crash", w.close()


def writes(folder, certs):
    script = Script()
    seen = []

    def write(s, r):
        n = int(r.path.rsplit("/", 1)[1])
        seen.append(n)
        if n == 3:
            return r.answer(409, status(409, "Conflict"))
        if n == 20 and seen.count(20) == 1:
            return r.answer(429, status(429), "Retry-After: 1\r\n")
        if n == 30 and seen.count(30) == 1:
            return r.answer(401, status(401))
        r.answer(200, {"kind": "ConfigMap"})
    script.write = write
    w = World(folder, certs, script)
    w.client.sees("a:5", "b:6")
    began = time.monotonic()
    for n in range(1000):
        w.client.ask(f'PUT /api/v1/x/{n} {{"n": {n}}}')
    yield "1000 writes are answered", w.client.wait(lambda: len(w.client.done) == 1000, 30)
    took = time.monotonic() - began
    yield f"within 15 s, one of them refused for a second: {took:.1f} s", took < 15
    got = [d for d in w.client.done if d[0] != 200]
    yield f"a conflict is the caller's: {got}", got == [(409, "Conflict")]
    yield "429 and 401 were sent again", seen.count(20) == 2 and seen.count(30) == 2
    yield "each of the others once", len(seen) == 1002
    w.client.ask("GET no-path")
    yield "a path that is none is refused", w.client.wait(lambda: w.client.done[-1][0] == 0)
    yield "no crash", w.close()


def flood(folder, certs):
    script = Script()

    def stream(s, r):
        r.raw(b"HTTP/1.1 200 OK\r\n")
        for i in range(20000):
            r.raw(b"X-%d: %s\r\n" % (i, b"y" * 100))
        return False
    once(script, "stream", stream)

    def endless(s, r):
        r.begin()
        while not script.stop.is_set():
            r.chunk(b'{"type":"ADDED","object":{"x":"' + b"y" * 65536)
        return False
    once(script, "list", endless)
    w = World(folder, certs, script)
    yield "a flood of header lines and one of bytes", w.client.sees("a:5", "b:6", seconds=60)
    with open(f"/proc/{w.client.p.pid}/status") as f:
        peak = [int(x.split()[1]) for x in f if x.startswith("VmHWM")][0]
    yield f"memory stays bounded (under ASan): {peak >> 10} MiB", peak < 400 << 10
    yield "no crash", w.close()


class Proxy:
    """CONNECT, and what came with it."""

    def __init__(self, tls=None):
        self.heads, self.tls = [], tls
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.sock.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        head = b""
        if self.tls is not None:
            try:
                conn = self.tls.wrap_socket(conn, server_side=True)
            except OSError:
                return
        while b"\r\n\r\n" not in head:
            head += conn.recv(4096)
        self.heads.append(head.decode())
        host, port = head.split(b" ")[1].decode().rsplit(":", 1)
        other = socket.create_connection((host, int(port)))
        conn.sendall(b"HTTP/1.1 200 Fine\r\nX-From: proxy\r\n\r\n")
        threading.Thread(target=self.copy, args=(conn, other), daemon=True).start()
        self.copy(other, conn)

    def copy(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def proxy(folder, certs):
    p = Proxy()
    w = World(folder, certs, cluster=f", proxy-url: 'http://127.0.0.1:{p.port}'",
              env={**os.environ, "no_proxy": "127.0.0.1", "https_proxy": "http://127.0.0.1:9"})
    yield "through a proxy", w.client.sees("a:5", "b:6") and len(p.heads) > 0
    yield "which never sees the token", not any("secret" in h for h in p.heads)
    w.client.ask("GET /api/v1/x/1")
    yield "requests too", w.client.wait(lambda: w.client.done == [(200, "-")])
    yield "no crash", w.close()
    for cert, fine in (("good", True), ("expired", False)):
        p = Proxy(certs.context(cert))
        w = World(folder, certs, cluster=f", proxy-url: 'https://127.0.0.1:{p.port}'")
        yield f"a proxy with TLS and a {cert} certificate of the cluster's authority", \
            w.client.sees("a:5", "b:6") if fine else \
            w.client.wait(lambda: "certificate" in w.client.why) and not p.heads
        yield f"no crash with {cert}", w.close()


def client_certificate(folder, certs):
    files = [os.path.join(certs.dir, "good" + end) for end in (".crt", ".key")]
    script = Script()
    server = Server(certs, script)
    server.tls.load_verify_locations(certs.ca)
    server.tls.verify_mode = ssl.CERT_REQUIRED
    c = Client(folder, server.port, user=f"client-certificate: {files[0]}, client-key: {files[1]}")
    yield "a client certificate in files", c.sees("a:5", "b:6")
    yield "no crash", c.close()
    data = [base64.b64encode(open(f, "rb").read()).decode() for f in files]
    c = Client(folder, server.port,
               user=f"client-certificate-data: {data[0]}, client-key-data: {data[1]}")
    yield "and as data", c.sees("a:5", "b:6")
    yield "no crash with data", c.close()
    c = Client(folder, server.port, user=f"client-certificate: {files[0]}, client-key: "
               f"{os.path.join(certs.dir, 'expired.key')}")
    yield "a key of another certificate is refused by line and field", c.p.wait(20) == 1 and \
        c.wait(lambda: any(":10: users.user.client-key: is not the key" in x for x in c.lines))
    c = Client(folder, server.port)
    yield "without one nothing is shown", c.counts("connect_failed", 0) and \
        c.wait(lambda: c.state == "listing" and c.why != "") and not c.view
    script.stop.set()
    yield "no crash without one", c.close()
    server.close()


def many(folder, certs):
    script = Script()
    script.objects = {n: obj(f"o{n}", 5, data={"x": "y" * 2000}) for n in range(5000)}
    w = World(folder, certs, script)
    began = time.monotonic()
    ok = w.client.wait(lambda: len(w.client.view) == 5000, 30)
    with open(f"/proc/{w.client.p.pid}/status") as f:
        peak = [int(x.split()[1]) for x in f if x.startswith("VmHWM")][0]
    yield f"5000 objects of 2 KB in {time.monotonic() - began:.1f} s, {peak >> 10} MiB", ok
    yield "no crash", w.close()


SCENARIOS = [plain, truncated, huge, storm_410, slow, wrong_types, garbage, bad_lists, pages, expired,
             wrong_name, token, went_back, backwards, kinds, dead, writes, flood, proxy,
             client_certificate, many]


def run(fn, top, certs):
    folder = os.path.join(top, fn.__name__)
    os.mkdir(folder)
    os.link(certs.ca, os.path.join(folder, "ca.crt"))
    try:
        return [(fn.__name__, what, ok) for what, ok in fn(folder, certs)]
    except Exception as e:  # noqa: B902: a scenario must not take the others with it
        return [(fn.__name__, f"ended early: {type(e).__name__} {e}", False)]


def main():
    chosen = [f for f in SCENARIOS if not sys.argv[1:] or f.__name__ in sys.argv[1:]
              or sys.argv[1:] == ["--long"]]
    with tempfile.TemporaryDirectory(prefix="hostile-api-") as top:
        certs = Certificates(top)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for rows in pool.map(lambda f: run(f, top, certs), chosen):
                for name, what, ok in rows:
                    check(ok, f"{name}: {what}")
    finish()


main()

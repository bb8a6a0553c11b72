# SPDX-License-Identifier: Apache-2.0
"""
hostile_peer.py: what a peer or a stranger may try is refused under its own counter and log line, and
changes nothing.

Two real controls, east and west, are in step; `attic` is a configured peer of east whose keys the
test holds. tests/tools/hostile_peer connects as attic and misbehaves, one way after the other; raw
sockets do what it cannot. Each time the counter that names it has grown, east has said so in its
log, its weights are what they were, and west is connected as before. Once attic behaves, and is
heard. Under ASan and UBSan, to the very end.
"""
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from common import Clock, check, finish, lab, say

BUILD = os.path.join(lab.TOP, "build-asan")
TOOL = os.path.join(BUILD, "tests", "tools", "hostile_peer")
STILL = 1.0  # seconds in which nobody ran: then heartbeats may be late, three of which may be missing

# (case, what the counter is called, how the connection is at the end)
CASES = [
    ("unknown-name", "name_unknown", "closed"),
    ("in-the-middle", "direction", "closed"),
    ("altered-hello", "signature", "closed"),
    ("replayed-hello", "replayed", "closed"),
    ("clock-ahead", "clock", "closed"),
    ("noise", "format", "closed"),
    ("out-of-turn", "unexpected", "closed"),
    ("silent", "late", "closed"),
    ("unknown-type", "type", "closed"),
    ("other-version", "version", "closed"),
    ("too-long", "length", "closed"),
    ("forged-record", "record_forged", "open"),
    ("record-scope", "record_scope", "open"),
    ("stranger-record", "record_site", "open"),
    ("record-ahead", "record_ahead", "open"),
    ("many-records", "record_many", "open"),
    ("flood", "flood_long", "closed"),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Control:
    def __init__(self, folder, name, port, peers):
        self.name, self.port, self.folder = name, port, os.path.join(folder, name)
        self.sock = os.path.join(self.folder, "c.sock")
        os.makedirs(os.path.join(self.folder, "state"))
        os.makedirs(os.path.join(self.folder, "m"))
        listed = "".join(f"  - {{name: {n}, url: 'tls+tcp://127.0.0.1:{p}', "
                         f"signingKey: ../keys/{n}.pub}}\n" for n, p in peers)
        with open(os.path.join(self.folder, "control.yaml"), "w") as f:
            f.write(f"""clusters:
- {{name: us-east, directory: m}}
- {{name: us-west, directory: m}}
api: {{socket: c.sock}}
stateDirectory: state
user: root
site:
  name: {name}
  listen: tls+tcp://127.0.0.1:{port}
  certificate: ../keys/{name}.crt
  key: ../keys/{name}.key
  ca: ../keys/ca.crt
  signingKey: ../keys/{name}.sign
  peers:
{listed}""")
        self.proc = lab.Proc(name, [os.path.join(BUILD, "sluice-control"), "-c",
                                    os.path.join(self.folder, "control.yaml")],
                             os.path.join(folder, f"{name}.log"))

    def get(self, path):
        out = lab.run("curl", "-sf", "--max-time", "20", "--unix-socket", self.sock,
                      f"http://sluice{path}")
        return json.loads(out)

    def refusals(self):
        return self.get("/api/v1/sites")["refusals"]

    def weights(self):
        return sorted((w["cluster"], w["weight"]) for w in self.get("/api/v1/weights")["items"]
                      if w["cluster"] in ("us-east", "us-west"))

    def log(self):
        with open(self.proc.log, errors="replace") as f:
            return f.read()

    def knows(self, peer):
        return next(s for s in self.get("/api/v1/sites")["items"] if s["name"] == peer)["peer"]


def attack(folder, east, case, pair="attic", sign="attic", ca="keys"):
    """What the tool printed, and how its connection was after three seconds."""
    p = subprocess.Popen([TOOL, f"tls+tcp://127.0.0.1:{east.port}", f"{folder}/{ca}/ca.crt",
                          f"{folder}/{ca}/{pair}.pem", f"{folder}/keys/{sign}.sign", "attic", "east",
                          "west", case], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    there = lab.run("ss", "-Htn", "state", "established", f"( sport = :{east.port} )").strip()
    out, err = p.communicate(timeout=60)
    if p.returncode != 0:
        return f"exit {p.returncode}: {err.strip()}"
    return f"{out.strip()} {'open' if there else 'closed'}"


def judge(east, still, west_before, weights, before, log_before, what, counter, said):
    lab.wait_until(f"{what}: counted", lambda: east.refusals()[counter] > before[counter], 30)
    lines = east.log()[log_before:]
    check(f"refused={counter} " in lines and lines.count("refused=") <= 12,
          f"{what}: counted as {counter} and logged, {lines.count('refused=')} lines ({said})")
    # Sites that did not run, for the machine stood still, meet again.
    lab.wait_until(f"{what}: east and west are connected", lambda: east.knows("west")["connected"])
    met = east.knows("west")["connects"] - west_before["connects"]
    check(east.weights() == weights and (met == 0 or still.lost > STILL),
          f"{what}: nothing has changed: {east.weights()}, {met} new connections, "
          f"nobody ran for {still.lost:.1f} s")


def one(folder, east, what, counter, act):
    before, weights, west = east.refusals(), east.weights(), east.knows("west")
    at, still = len(east.log()), Clock()
    said = act()
    judge(east, still, west, weights, before, at, what, counter, said)
    still.stop.set()
    time.sleep(1.1)  # one line a second of each kind
    return said


def raw(east, data):
    """A stranger without TLS."""
    def act():
        with socket.create_connection(("127.0.0.1", east.port), 5) as s:
            s.sendall(data)
            s.settimeout(5)
            try:
                while s.recv(4096):
                    pass
            except OSError:
                pass
        return "raw bytes"
    return act


def long_frame(folder, east):
    """A good certificate, then a frame that announces a gibibyte."""
    def act():
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname = False
        ctx.load_verify_locations(f"{folder}/keys/ca.crt")
        ctx.load_cert_chain(f"{folder}/keys/attic.pem")
        with ctx.wrap_socket(socket.create_connection(("127.0.0.1", east.port), 5)) as s:
            s.sendall(b"\0SP\0\0\x11\0\0" + b"\x01" + (1 << 30).to_bytes(8, "big") + b"\0\0\0\x01")
            s.settimeout(5)
            try:
                while s.recv(4096):
                    pass
            except OSError:
                pass
        return "a gibibyte announced"
    return act


def keys(folder):
    for name, sites in (("keys", ("attic", "east", "west")), ("others", ("attic",))):
        lab.run(os.path.join(lab.TOP, "scripts", "site-keys"), f"{folder}/{name}", *sites)
        with open(f"{folder}/{name}/attic.pem", "w") as out:
            for part in ("crt", "key"):
                with open(f"{folder}/{name}/attic.{part}") as f:
                    out.write(f.read())


def main():
    with tempfile.TemporaryDirectory(prefix="sluice-hostile-") as folder:
        keys(folder)
        ports = {"east": free_port(), "west": free_port()}
        east = Control(folder, "east", ports["east"], [("west", ports["west"]), ("attic", 9)])
        west = Control(folder, "west", ports["west"], [("east", ports["east"])])
        try:
            run(folder, east, west)
        finally:
            codes = [c.proc.stop() for c in (east, west)]
        check(codes == [0, 0], f"both controls ended as they should, nothing found: {codes}")
        for c in (east, west):
            check("ERROR: AddressSanitizer" not in c.log() and "runtime error" not in c.log(),
                  f"{c.name}: nothing found by the sanitizers")
    finish()


def run(folder, east, west):
    lab.wait_until("both are in step", lambda: east.knows("west")["connected"] and
                   west.knows("east")["connected"], 20)
    lab.run(os.path.join(BUILD, "sluicectl"), "--socket", east.sock, "weight", "set", "us-west", "40")
    lab.wait_until("west has it", lambda: west.weights() == [("us-west", 40)])
    one(folder, east, "no TLS at all", "certificate", raw(east, b"GET / HTTP/1.1\r\n\r\n"))
    one(folder, east, "a certificate of another CA", "certificate",
        lambda: attack(folder, east, "honest", ca="others"))
    one(folder, east, "another site's signing key", "signature",
        lambda: attack(folder, east, "honest", sign="west"))
    one(folder, east, "a frame beyond all bounds", "length", long_frame(folder, east))
    said = attack(folder, east, "honest")
    check("welcome" in said and east.weights() == [("us-west", 1)],
          f"the same peer behaves and is heard: {east.weights()} ({said})")
    for case, counter, end in CASES:
        said = one(folder, east, case, counter, lambda: attack(folder, east, case))
        check(said.endswith(end), f"{case}: the connection is {end} ({said})")
    say(f"{len(CASES) + 4} ways to misbehave, each with its counter: "
        f"{ {k: v for k, v in east.refusals().items() if v} }")


if __name__ == "__main__":
    sys.exit(main())

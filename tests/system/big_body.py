# SPDX-License-Identifier: Apache-2.0
"""
big_body.py: bodies far beyond memory pass in order and bounded, slow ones hold nobody else.

With the per-exchange limit set to 256 KiB: a file of 2 GiB (short: a tenth) down and up with equal
SHA-256; then one reader at 1 MB/s and one that stalls for 30 s (short: 5 s), beside 50 connections
paced to half of what this machine carries, which must keep 90 % of that rate. No exchange may ever
have held more than the limit, and afterwards every pool is back at its resting count.
"""
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time

from common import LONG, at_rest, check, counters, file_of, finish, gateway, lab, \
    load_manifests, packets_free, route, say, service

SIZE = (2 << 30) if LONG else (2 << 30) // 10
STALL = 30 if LONG else 5
LIMIT = 256 * 1024


def sha_of(argv):
    p = subprocess.Popen(argv, stdout=subprocess.PIPE)
    h = hashlib.sha256()
    n = 0
    while part := p.stdout.read(1 << 20):
        h.update(part)
        n += len(part)
    return p.wait(), n, h.hexdigest()


def transfers(box, path, want, v6):
    family = "v6" if v6 else "v4"
    url = f"http://[{lab.VIP6}]" if v6 else f"http://{lab.VIP4}"
    ns = ["ip", "netns", "exec", box.ns("client")]
    start = time.monotonic()
    code, n, got = sha_of(ns + ["curl", "-sg", "--max-time", "600", f"{url}/files/blob"])
    took = time.monotonic() - start
    check(code == 0 and n == SIZE and got == want, f"{family} down: {n} bytes, SHA-256 equal")
    say(f"{family} down {SIZE / took / 1e6:.0f} MB/s")
    start = time.monotonic()
    for how, header in (("Content-Length", "Expect:"), ("chunked", "Transfer-Encoding: chunked")):
        out = lab.run(*ns, "curl", "-sg", "--max-time", "600", "-H", header, "-T", path,
                      f"{url}/up/", timeout=700)
        d = json.loads(out)
        check(d == {"length": SIZE, "sha256": want}, f"{family} up, {how}: SHA-256 equal")
    say(f"{family} up {2 * SIZE / (time.monotonic() - start) / 1e6:.0f} MB/s")


def load(box, rate, seconds):
    out = box.exec("client", os.path.join(box.build, "tests/tools/load"), lab.VIP4, "80", "--conns",
                   "50", "--rate", str(rate), "--seconds", str(seconds), "--host", "app.demo.lab",
                   timeout=seconds + 30, check=False)
    return json.loads(out.strip().splitlines()[-1])


def stalled_reader(box, out):
    """Asks for the file, reads nothing for STALL seconds, then reads it all."""
    code = f"""
import hashlib, socket, time
s = socket.create_connection(('{lab.VIP4}', 80))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.sendall(b'GET /files/mid HTTP/1.1\\r\\nHost: files.demo.lab\\r\\nConnection: close\\r\\n\\r\\n')
time.sleep({STALL})
b = b''
while part := s.recv(1 << 16):
    b += part
head, body = b.split(b'\\r\\n\\r\\n', 1)
print(hashlib.sha256(body).hexdigest())
"""
    out["stalled"] = box.exec("client", "/usr/bin/python3", "-c", code, timeout=STALL + 60).strip()


def slow_reader(box, out):
    ns = ["ip", "netns", "exec", box.ns("client")]
    out["slow"] = sha_of(ns + ["curl", "-s", "--max-time", "120", "--limit-rate", "1M", "-H",
                               "Host: files.demo.lab", f"http://{lab.VIP4}/files/slow"])[2]


def beside_slow_ones(box):
    want = {"slow": file_of(os.path.join(box.dir, "slow"), STALL * 1000000, 7),
            "stalled": file_of(os.path.join(box.dir, "mid"), 20 << 20, 8)}
    full = load(box, 0, 3)
    half = full["rate"] / 2
    got = {}
    readers = [threading.Thread(target=f, args=(box, got)) for f in (slow_reader, stalled_reader)]
    for r in readers:
        r.start()
    time.sleep(0.5)
    beside = load(box, half, max(3, STALL - 2))
    for r in readers:
        r.join()
    say(f"50 connections: {full['rate']:.0f}/s alone and unpaced, {beside['rate']:.0f}/s of "
        f"{half:.0f}/s beside the slow ones")
    check(beside["failed"] == 0 and beside["rate"] >= 0.9 * half,
          f"50 others keep {beside['rate'] / half:.2f} of their rate (want >= 0.90)")
    check(got == want, "the slow and the stalled reader got every byte")


def limit_256k(name, text):
    if name == "gateway.yaml":
        text = re.sub(r"(?m)^(\s*exchangeBytes:).*", r"\g<1> 256Ki", text)
    return text


def main():
    with lab.Lab() as box:
        path = os.path.join(box.dir, "blob")
        want = file_of(path, SIZE)
        say(f"file of {SIZE} bytes, {SIZE / (2 << 30):.2f} of 2 GiB")
        box.start_backends()
        box.spawn("us-east", "sink", "/usr/bin/python3",
                  os.path.join(lab.TOP, "tests/system/sink.py"), "10.203.0.2", "fd00:203::2",
                  "9000", box.dir)
        load_manifests(box, {
            "gw.yaml": gateway(), "route.yaml": route("r", [("sink", 1)]),
            "app.yaml": route("app", [("app-v1", 1)], host="app.demo.lab"),
            "v1.yaml": service("app-v1", ["10.203.0.11"], 8080),
            "sink.yaml": service("sink", ["10.203.0.2"], 9000),
        }, 2, limit_256k)
        box.start_dataplane()
        box.start_control()
        box.wait_ready()
        free = packets_free(box)
        for v6 in (False, True):
            transfers(box, path, want, v6)
        beside_slow_ones(box)
        flat = counters(box)
        high = {k: v for k, v in flat.items() if "high_water" in k}
        check(high and max(high.values()) <= LIMIT and max(high.values()) > 0,
              f"no exchange held more than {LIMIT} bytes: high water {high}")
        at_rest(box, free)
    finish()


if __name__ == "__main__":
    sys.exit(main())

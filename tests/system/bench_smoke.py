# SPDX-License-Identifier: Apache-2.0
"""
bench_smoke.py: the benchmark works: its client takes no wrong answer; a second of a few rows gives
JSON of the promised schema and no error; nothing is left behind, neither at the end nor after Ctrl-C.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import xml.dom.minidom

from common import check, finish, lab, say  # knows where the driver's modules are

import bench_machine

BENCH = os.path.join(lab.TOP, "scripts", "lib", "bench.py")
HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
BODY = (b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_" * 2)[:100]
KEYS = {"case": str, "port": str, "subject": str, "variant": str, "offered_per_s": (float, type(None)),
        "poll": str, "workers": int, "connections": int, "routes": int, "requests_per_s": dict,
        "gbit_per_s": float, "cpu_s_per_1e6": float, "cycles_per_request": float,
        "cycles_outside_rxtx": (float, type(None)), "packets_in_per_request": float,
        "packets_out_per_request": float, "p50_us": float, "p99_us": float, "errors": int,
        "memory_mib": float}


def left_behind(pid):
    """Namespaces, processes and files of a run by its pid."""
    found = [x for x in lab.run("ip", "netns", "list").split() if x.startswith(f"slb{pid}-")]
    mark = f"slb{pid}"
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                with open(f"/proc/{p}/cmdline") as f:
                    if mark in f.read():
                        found.append(f"process {p}")
            except OSError:
                pass
    return found


def folders(pid):
    return [f for f in os.listdir(tempfile.gettempdir()) if f.startswith(f"sluice-bench-{pid}-")]


def pool():
    with open(HUGE) as f:
        return int(f.read())


def given_back(pages, pid):
    """The pool of hugepages is as large as before, unless somebody else's run has made it larger."""
    others = [x for x in lab.run("ip", "netns", "list").split()
              if x.startswith("slb") and not x.startswith(f"slb{pid}-")]
    return pool() <= pages or bool(others)


def start(*args):
    return subprocess.Popen(["/usr/bin/python3", BENCH, *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def check_row(row):
    name = f"{row['port']} {row['case']} {row['subject']}"
    wrong = [k for k, t in KEYS.items() if k not in row or not isinstance(row[k], t)]
    check(not wrong and set(row) == set(KEYS), f"{name}: the schema's keys and types {wrong}")
    if wrong:
        return
    rate = row["requests_per_s"]
    check(row["errors"] == 0 and rate["median"] and rate["min"] <= rate["median"] <= rate["max"],
          f"{name}: {rate['median']}/s, {row['errors']} errors")
    if row["subject"] == "sluice":
        inside = row["cycles_outside_rxtx"]
        check(inside is not None and inside > 0,
              f"{name}: {inside} of {row['cycles_per_request']} cycles outside rx and tx")


WRONG = {  # what a server says, and what the client has to count
    "status": b"HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\n" + BODY,
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + BODY[:99],
    "content": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + BODY[:50] + b"!" + BODY[51:],
    "reset": b"",
}


def serve(listener, answer):
    """Gives every request this answer; an empty one closes the connection."""
    def one(conn):
        with conn:
            while conn.recv(4096) and answer:
                conn.sendall(answer)
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(conn,), daemon=True).start()


def client(build, port):
    p = subprocess.run([os.path.join(build, "tests/bench/bench_client"), "127.0.0.1", str(port),
                        "--connections", "2", "--warmup", "0.1", "--duration", "0.3"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    return p.returncode, json.loads(p.stdout.splitlines()[-1])


def client_forgives_nothing():
    build = os.path.join(lab.TOP, "build")
    good = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + BODY
    for kind, answer in [("good", good)] + list(WRONG.items()):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
            code, got = client(build, listener.getsockname()[1])
            listener.shutdown(socket.SHUT_RDWR)
        if kind == "good":
            check(code == 0 and got["requests"] > 0 and got["errors"] == 0, "the client: good answers")
        else:
            check(code == 3 and got["requests"] == 0 and got["error"][kind] > 0 and
                  got["errors"] == got["error"][kind], f"the client: wrong {kind}: {got['error']}")
    code, got = client(build, 9)
    check(code == 3 and got["error"]["connect"] > 0, f"the client: nobody there: {got['error']}")


def whole_run(folder):
    out, plot = os.path.join(folder, "b.json"), os.path.join(folder, "b.svg")
    pages = pool()
    p = start("--smoke", "--json", out, "--plot", plot)
    text, err = p.communicate(timeout=200)
    check(p.returncode == 0, f"exit {p.returncode}\n{err[-2000:] if p.returncode else ''}")
    print(text)
    with open(out) as f:
        doc = json.load(f)
    check(doc["machine"].get("tsc_hz", 0) > 1e8, "the machine's facts")
    for row in doc["rows"]:
        check_row(row)
    subjects = {(r["port"], r["subject"]) for r in doc["rows"]}
    for s in ("sluice", "haproxy", "nginx", "testpmd"):
        check(("veth", s) in subjects, f"{s} on the veth path")
    check(xml.dom.minidom.parse(plot).documentElement.tagName == "svg", "the plot is SVG")
    check("what a run is held to" in text, "comparisons are printed")
    check(not left_behind(p.pid), f"nothing is left: {left_behind(p.pid)}")
    check(not folders(p.pid) and given_back(pages, p.pid), "folders and hugepages are given back")


def interrupted(port):
    """Ctrl-C in the middle of a row, twice."""
    pages = pool()
    p = start("--smoke", "--port", port, "--subject", "sluice", "--duration", "20")
    time.sleep(6)
    for _ in range(2):
        p.send_signal(signal.SIGINT)
        time.sleep(0.1)
    text, err = p.communicate(timeout=30)
    check(p.returncode == 130 and "interrupted" in err, f"{port}: Ctrl-C ends it: {p.returncode}")
    check(re.search(r"case +subject", text) is not None, f"{port}: what there is, is printed")
    left = left_behind(p.pid) + folders(p.pid)
    check(not left and given_back(pages, p.pid), f"{port}: nothing is left after Ctrl-C: {left}")


def killed():
    """What a run that was killed has taken, the next one gives back before it begins."""
    pages = pool()
    p = start("--smoke", "--port", "fast", "--subject", "sluice", "--duration", "20")
    lab.wait_until("its hugepages", lambda: os.path.exists(f"/run/sluice-bench-{p.pid}.hugepages"), 20)
    p.kill()
    p.communicate(timeout=30)
    taken = pool() - pages
    lab.wait_until("its children's end", lambda: not [x for x in left_behind(p.pid)
                                                      if x.startswith("process")], 20)
    p2 = start("--smoke", "--port", "fast", "--subject", "testpmd", "--duration", "0.5")
    err = p2.communicate(timeout=120)[1]
    left = left_behind(p.pid) + folders(p.pid)
    check(taken > 0 and p2.returncode == 0 and not left and given_back(pages, p.pid),
          f"SIGKILL leaves {taken} hugepages, and the next run ({p2.returncode}) nothing: {left}"
          f"{err[-400:] if p2.returncode else ''}")


def a_note_is_taken_once(folder):
    """Two runs that find the same killed run's note, the second one while the first reads the pool."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    note, sizes, reads = os.path.join(folder, f"{gone.pid}.hugepages"), [], []

    class Pages(bench_machine.Hugepages):
        @staticmethod
        def _pool():
            reads.append(1)
            if len(reads) == 1:
                bench_machine.Hugepages.sweep()
            return 100

    real, notes = bench_machine.Hugepages, bench_machine.NOTES
    Pages._resize = staticmethod(sizes.append)
    bench_machine.Hugepages, bench_machine.NOTES = Pages, os.path.join(folder, "")
    try:
        with open(note, "w") as f:
            f.write("8 1\n")
        Pages.sweep()
    except FileNotFoundError:
        sizes.append("the second one failed")
    finally:
        bench_machine.Hugepages, bench_machine.NOTES = real, notes
    check(sizes == [92] and not os.listdir(folder), f"pages are given back once: {sizes}")


def main():
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        a_note_is_taken_once(folder)
    client_forgives_nothing()
    with tempfile.TemporaryDirectory() as folder:
        whole_run(folder)
    interrupted("veth")
    interrupted("fast")
    killed()
    say(f"took {time.monotonic() - start_s:.0f} s")
    finish()


if __name__ == "__main__":
    sys.exit(main())

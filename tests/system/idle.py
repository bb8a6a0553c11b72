# SPDX-License-Identifier: Apache-2.0
"""
idle.py: an appliance with nothing to do leaves the machine alone and still answers at once.

Adaptive mode, one and two workers: CPU time of the dataplane over 10 s of rest at most 5 % of a
core; then the first request (a new connection: two round trips and the backend's) within 5 ms, the
median of three rests.
"""
import sys
import time

from common import check, cpu_seconds, finish, lab, say

FIRST = """
import socket, time
s = socket.socket(socket.{family})
t = time.monotonic()
s.connect(('{addr}', 80))
s.sendall(b'GET / HTTP/1.1\\r\\nHost: app.demo.lab\\r\\n\\r\\n')
b = s.recv(4096)
print((time.monotonic() - t) * 1e3, b[9:12].decode())
"""


def main():
    for workers in (1, 2):
        with lab.Lab() as box:
            box.start("canary", workers)
            for v6 in (False, True):
                box.curl(v6=v6)
                time.sleep(2)
                cpu, start = cpu_seconds(box.dataplane.pid), time.monotonic()
                time.sleep(10)
                share = (cpu_seconds(box.dataplane.pid) - cpu) / (time.monotonic() - start)
                check(share <= 0.05, f"idle at {share * 100:.1f} % of a core (want <= 5)")
                code = FIRST.format(family="AF_INET6" if v6 else "AF_INET",
                                    addr=lab.VIP6 if v6 else lab.VIP4)
                first = []
                for rest in (0, 10, 10):
                    time.sleep(rest)
                    ms, status = box.exec("client", "/usr/bin/python3", "-c", code).split()
                    check(status == "200", f"the first request is answered: {status}")
                    first.append(float(ms))
                first.sort()
                say(f"{workers} workers, {'v6' if v6 else 'v4'}: {share * 100:.1f} % of a core, "
                    f"first requests {', '.join(f'{ms:.2f}' for ms in first)} ms")
                check(first[1] <= 5, f"first request after 10 s: in {first[1]:.2f} ms (want <= 5)")
    finish()


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""
bench_net.py: the benchmark's veth path.

   client  c0 10.1.0.2 ──── pc 10.1.0.1  proxy  10.2.0.1 pb ──── b0 10.2.0.2  backend (nginx)
           core 0                        core 1                               core 0

Three network namespaces. All offloads are off at all four ends: frames are what a wire carries, and
a dataplane that reads them raw sees whole checksums. reno, because the congestion control that a
host happens to prefer decides large bodies. No RPS: it halves veth. In the proxy's namespace stand
HAProxy, nginx, the gateway or testpmd in turn; only then does the address of the VIP differ: kernel
proxies own it, the gateway takes it from the wire, behind testpmd the backend has it itself.
"""
import json
import os
import re

import lab

VIP, WIRE = "203.0.113.10", "10.1.0.3"
SOURCES = "10.205.0.0/24"
PORTS = {100: 8080, 10000: 8081, 1 << 20: 8082, "mixed": 8083}
PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
SYSCTLS = {
    "net.ipv6.conf.all.disable_ipv6": 1,
    "net.ipv6.conf.default.disable_ipv6": 1,
    "net.ipv4.tcp_congestion_control": "reno",
    "net.core.somaxconn": 16384,
    "net.ipv4.tcp_max_syn_backlog": 16384,
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv4.tcp_tw_reuse": 1,
    "net.ipv4.tcp_max_tw_buckets": 200000,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}


class VethPath:
    def __init__(self, name):
        self.name, self.made = name, []

    def ns(self, box):
        return f"{self.name}-{box}"

    def ip(self, box, *argv):
        lab.run("ip", "-n", self.ns(box), *argv)

    def exec(self, box, *argv, check=True):
        return lab.run("ip", "netns", "exec", self.ns(box), *argv, check=check)

    def _box(self, box):
        self.made.append(box)
        lab.run("ip", "netns", "add", self.ns(box))
        self.ip(box, "link", "set", "lo", "up")
        for key, value in SYSCTLS.items():
            self.exec(box, "sysctl", "-qw", f"{key}={value}", check=key.endswith("control"))

    def _veth(self, a, a_dev, a_addr, b, b_dev, b_addr):
        lab.run("ip", "link", "add", a_dev, "netns", self.ns(a), "type", "veth",
                "peer", "name", b_dev, "netns", self.ns(b))
        for box, dev, addr in ((a, a_dev, a_addr), (b, b_dev, b_addr)):
            self.exec(box, "ethtool", "-K", dev, "tx", "off", "rx", "off", "tso", "off", "gso", "off",
                      "gro", "off", check=False)
            self.ip(box, "addr", "add", f"{addr}/24", "dev", dev)
            self.ip(box, "link", "set", dev, "up")

    def _links_up(self):
        """The kernel says so up to a second late; a gateway started before drops its first answers."""
        rows = json.loads(self.exec("proxy", "ip", "-j", "link", "show", "type", "veth"))
        return len(rows) == 2 and all(r["operstate"] == "UP" for r in rows)

    def __enter__(self):
        try:
            for box in ("client", "proxy", "backend"):
                self._box(box)
            self._veth("client", "c0", "10.1.0.2", "proxy", "pc", "10.1.0.1")
            self._veth("proxy", "pb", "10.2.0.1", "backend", "b0", "10.2.0.2")
            lab.wait_until("the links of the veth path", self._links_up)
            self.ip("client", "route", "add", f"{VIP}/32", "via", "10.1.0.1")
            self.ip("backend", "route", "add", SOURCES, "via", "10.2.0.1")
            # what the client speaks to when the proxy's place is only a wire
            self.ip("backend", "addr", "add", f"{WIRE}/32", "dev", "b0")
            self.ip("backend", "route", "add", "10.1.0.2/32", "dev", "b0", "src", WIRE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        for box in reversed(self.made):
            lab.run("ip", "netns", "del", self.ns(box), check=False)
        self.made = []

    def vip_of_kernel(self, wanted):
        """Kernel proxies bind the VIP; the gateway must find it nowhere in the kernel."""
        self.exec("proxy", "ip", "addr", "add" if wanted else "del", f"{VIP}/32", "dev", "lo",
                  check=wanted)

    def packets(self):
        """(in, out) packets of the proxy's namespace so far, both sides together."""
        rows = json.loads(self.exec("proxy", "ip", "-j", "-s", "link"))
        both = [r["stats64"] for r in rows if r["ifname"] in ("pc", "pb")]
        return (sum(s["rx"]["packets"] for s in both), sum(s["tx"]["packets"] for s in both))


def fill(template, folder, **words):
    """Writes a committed configuration with its @WORDS@ replaced; returns the new file's path."""
    with open(os.path.join(lab.TOP, "tests", "bench", template)) as f:
        text = f.read()
    words = {"DIR": folder, **words}
    text = re.sub(r"@([A-Z0-9_]+)@", lambda m: str(words[m.group(1)]), text)
    path = os.path.join(folder, template)
    with open(path, "w") as f:
        f.write(text)
    return path


def write_bodies(folder):
    """The backend's files: the same 64 bytes again and again, which the client compares."""
    www = os.path.join(folder, "www")
    os.makedirs(www, exist_ok=True)
    for name, size in (("100", 100), ("10k", 10000), ("1m", 1 << 20)):
        with open(os.path.join(www, name), "wb") as f:
            f.write((PATTERN * (size // 64 + 1))[:size])
    os.chmod(folder, 0o755)
    os.chmod(www, 0o755)

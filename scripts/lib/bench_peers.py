# SPDX-License-Identifier: Apache-2.0
"""
bench_peers.py: who stands in the proxy's place on the veth path: HAProxy and nginx by their
committed configurations, testpmd as a plain wire, the gateway. All have start, stop, pids and the
address that the client speaks to.
"""
import os
import shutil
import time

import bench_gateway
import bench_net
import lab
from bench_machine import BenchError, Process, children

CORE = "1"
READY_S = 10


class Kernel:
    """A proxy on kernel sockets."""

    def __init__(self, path, folder, build, row, profile=False):
        self.path, self.dir, self.row = path, folder, row
        self.target = bench_net.VIP

    def start(self):
        if shutil.which(self.program) is None:
            raise BenchError(f"{self.program} is not installed; scripts/setup does that")
        self.path.vip_of_kernel(True)
        try:
            self.p = Process(self.program, self.argv(), os.path.join(self.dir, f"{self.program}.log"),
                             CORE, self.path.ns("proxy"))
            lab.wait_until(self.program, self._listens, READY_S)
        except BaseException:
            self.stop()
            raise

    def _listens(self):
        if not self.p.alive():
            raise BenchError(f"{self.program} ended: {self.p.tail()}")
        return f"{self.target}:80" in self.path.exec("proxy", "ss", "-Hltn")

    def stop(self):
        if getattr(self, "p", None) is not None:
            self.p.stop(timeout=3)
        self.path.vip_of_kernel(False)

    def pids(self):
        return children(self.p.pid)

    def turns(self):
        return None

    @property
    def large(self):
        return self.row.body == 1 << 20 or self.row.body == "mixed"

    @property
    def port(self):
        return bench_net.PORTS[self.row.body]


class Haproxy(Kernel):
    program = "haproxy"

    def argv(self):
        conf = bench_net.fill("haproxy.cfg", self.dir, VIP=self.target, PORT=self.port,
                              BUFSIZE=131072 if self.large else 16384)
        return ["haproxy", "-db", "-f", conf]


class Nginx(Kernel):
    program = "nginx"

    def argv(self):
        conf = bench_net.fill("nginx.conf", self.dir, VIP=self.target, PORT=self.port,
                              BUFFERS="8 128k" if self.large else "8 4k")
        return ["nginx", "-e", "stderr", "-c", conf, "-p", self.dir]


class Testpmd:
    """testpmd in the proxy's place: frames from one interface go to the other, nothing else."""

    def __init__(self, path, folder, build, row, profile=False):
        self.path, self.dir = path, folder
        self.target = bench_net.WIRE

    def start(self):
        if shutil.which("dpdk-testpmd") is None:
            raise BenchError("dpdk-testpmd is not installed; scripts/setup does that")
        ring = "qdisc_bypass=1,framecnt=2048,blocksz=4096,framesz=2048"
        argv = ["dpdk-testpmd", "--lcores", "0@0,1@1", "--no-pci", "--no-huge", "-m", "256",
                "--no-shconf", "--no-telemetry", "--file-prefix", f"slb{os.getpid()}",
                "--log-level", "error"]
        for i, dev in enumerate(("pc", "pb")):
            argv += ["--vdev", f"net_af_packet{i},iface={dev},{ring}"]
        argv += ["--", "--forward-mode=io", "--port-topology=paired", "--total-num-mbufs=16384",
                 "--auto-start", "--no-lsc-interrupt", "--stats-period", "3600"]
        self.p = Process("testpmd", argv, os.path.join(self.dir, "testpmd.log"), None,
                         self.path.ns("proxy"))
        try:
            lab.wait_until("testpmd", self._forwards, READY_S, 0.2)
        except BaseException:
            self.stop()
            raise

    def _forwards(self):
        if not self.p.alive():
            raise BenchError(f"testpmd ended: {self.p.tail()}")
        self.path.exec("client", "ping", "-c", "1", "-W", "1", self.target)
        return True

    def stop(self):
        if getattr(self, "p", None) is not None:
            self.p.stop(timeout=3)
            time.sleep(0.1)  # what the kernel still holds of its rings

    def pids(self):
        return children(self.p.pid)

    def turns(self):
        return None


class Sluice:
    """The gateway with a port on either interface."""

    def __init__(self, path, folder, build, row, profile=False):
        self.path, self.row = path, row
        self.target = bench_net.VIP
        ports = [f"{{name: {n}, profile: af_packet, iface: {i}}}"
                 for n, i in (("front", "pc"), ("back", "pb"))]
        self.gw = bench_gateway.Gateway(
            os.path.join(folder, "gateway"), build, ports, ["10.205.0.1", "10.205.0.2"],
            self.target, ["10.2.0.2"], bench_net.PORTS[row.body], ns=path.ns("proxy"),
            routes=row.routes, workers=row.workers, poll=row.poll, profile=profile)

    def start(self):
        self.gw.start()

    def stop(self):
        self.gw.stop()
        shutil.rmtree(self.gw.dir, ignore_errors=True)

    def pids(self):
        return self.gw.pids()

    def turns(self):
        return self.gw.counters()


SUBJECTS = {"sluice": Sluice, "haproxy": Haproxy, "nginx": Nginx, "testpmd": Testpmd}

# SPDX-License-Identifier: Apache-2.0
"""
operators.py: configs/nic/README.md does what it says: its commands are taken from its text and run,
in order and in one environment, and what it shows is what they print.

A fence's words behind the language say what is done with the block:
   run       a shell runs it to its end, which is good
   start     each line is a process that stays
   testpmd   a session: the command line, then what is typed; drops=NAME: the counter at which every
             packet that testpmd says it sent stands in the gateway
   shows     the block before printed these lines, in this order; numbers may be others
   nic       needs a NIC: only its syntax is checked
   end       run at the end, whatever happened
"""
import os
import re
import shlex
import subprocess
import tempfile
import time

from common import check, finish, lab, say

import bench_wire  # noqa: E402  (its path is lab's)
from bench_machine import signals_as_interrupt  # noqa: E402

PAGE = os.path.join(lab.TOP, "configs", "nic", "README.md")
WORDS = {"run", "start", "testpmd", "shows", "nic", "end"}
FLOOD_S = 1.5
ENOUGH = 1000  # packets; a machine with other work still sends a hundred times as many


class Block:
    def __init__(self, line, words, text):
        self.line, self.text = line, text
        self.kind = next((w for w in words if w in WORDS), None)
        self.drops = next((w[6:] for w in words if w.startswith("drops=")), None)


def blocks():
    with open(PAGE) as f:
        text = f.read()
    out, unknown = [], []
    for m in re.finditer(r"(?ms)^```(\w*)([^\n]*)\n(.*?)^```$", text):
        b = Block(text.count("\n", 0, m.start()) + 2, m.group(2).split(), m.group(3))
        unknown += [f"line {b.line}: {w}" for w in m.group(2).split()
                    if w not in WORDS and not w.startswith("drops=")]
        if b.kind:
            out.append(b)
    check(not unknown, f"the fences' words are known {unknown}")
    return out


def pattern(line):
    """A line shown as a pattern: numbers and the width of gaps are free; it may stand inside one."""
    words = [re.sub(r"(?<![\w.])\d+(?=,?$)", "NUMBER", w) for w in line.split()]
    return r"\s+".join(re.escape(w).replace("NUMBER", r"\d+") for w in words)


def missing(shown, printed):
    """The first line shown that was not printed behind the one before it, or None."""
    at = 0
    for line in filter(str.strip, shown.splitlines()):
        m = re.search(pattern(line), printed[at:])
        if not m:
            return line
        at += m.end()
    return None


class Session:
    """The page's environment, processes and last words."""

    def __init__(self, folder):
        self.folder, self.printed, self.procs = folder, "", []
        self.env = dict(os.environ, LAB=os.path.join(folder, "lab"), NS=f"op{os.getpid()}")
        self.env["PATH"] += ":/sbin:/usr/sbin"

    def shell(self, b, timeout=30):
        """Variables that a block sets are there in the next."""
        keep = os.path.join(self.folder, "env")
        script = f"set -ea\n{b.text}\nenv -0 >{keep}\n"
        try:
            p = subprocess.run(["/bin/sh", "-c", script], cwd=lab.TOP, env=self.env, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=timeout)
            code, self.printed = p.returncode, p.stdout
        except subprocess.TimeoutExpired as e:
            code, self.printed = "time-out", (e.stdout or b"").decode(errors="replace")
        print(self.printed, end="", flush=True)
        if not check(code == 0, f"line {b.line}: {title(b)} (exit {code})"):
            return
        with open(keep) as f:
            self.env = dict(v.split("=", 1) for v in f.read().split("\0") if "=" in v)

    def start(self, b):
        for line in b.text.splitlines():
            argv = shlex.split(self.expand(line))
            log = os.path.join(self.folder, f"{len(self.procs)}.log")
            argv[0] = self.which(argv[0])
            self.procs.append(lab.Proc(line, argv, log, self.env))
        lab.wait_until("readiness", self.ready, 30, 0.2)
        check(True, f"line {b.line}: gateway and control are ready")

    def ready(self):
        out = lab.run("curl", "-s", "--max-time", "2", "--unix-socket",
                      self.expand("$LAB/run/control.sock"), "-o", "/dev/null", "-w", "%{http_code}",
                      "http://sluice/readyz", check=False)
        return out == "200"

    def which(self, name):
        for folder in self.env["PATH"].split(":"):
            if os.access(os.path.join(folder, name), os.X_OK):
                return os.path.join(folder, name)
        return name

    def expand(self, text):
        return re.sub(r"\$(\w+)", lambda m: self.env.get(m.group(1), m.group(0)), text)

    def counters(self):
        out = lab.run(self.which("sluicectl"), "counters", env=self.env)
        rows = (line.split() for line in out.splitlines()[1:])
        return {r[0].split(".", 1)[1]: int(r[1]) for r in rows if len(r) == 2}

    def testpmd(self, b):
        command, *typed = b.text.split("testpmd> ")
        argv = shlex.split(self.expand(command))
        before = self.counters()
        t = bench_wire.Testpmd(argv[2:], os.path.join(self.folder, "testpmd.log"))
        try:
            t.wait()
            said = {}
            for line in map(str.strip, typed):
                said[line] = t.say(line)
                time.sleep(FLOOD_S if line == "start" else 0)
            self.compare(b, before, said)
        finally:
            t.stop()

    def compare(self, b, before, said):
        """What testpmd sent, the port received, and one drop counts, are one number."""
        m = re.search(r"TX-packets:\s*(\d+)", said["show port stats 0"])
        lost = re.search(r"TX-dropped:\s*(\d+)", said["stop"])
        sent = int(m.group(1)) if m else 0
        grown = {}

        def all_in():
            now = self.counters()
            grown.update((k, v - before.get(k, 0)) for k, v in now.items())
            return grown["port.wan.rx_packets"] >= sent
        try:
            lab.wait_until("the ring", all_in, 5, 0.1)
        except lab.LabError:
            pass
        got, dropped = grown["port.wan.rx_packets"], grown.get(b.drops)
        turns = grown["worker.turns_working"] or 1
        say(f"{b.drops}: sent {sent}, not taken by the ring {lost.group(1) if lost else '?'}; "
            f"received {got}, counted {dropped}; {got / turns:.0f} packets per working turn")
        check(sent >= ENOUGH, f"line {b.line}: testpmd sent packets: {sent}")
        check(got == sent, f"line {b.line}: received {got} of {sent} that testpmd sent")
        check(dropped == sent, f"line {b.line}: {b.drops} grew by {dropped} of {sent}")
        wrong = {k: v for k, v in grown.items() if v and k != b.drops and is_input_drop(k)}
        check(not wrong, f"line {b.line}: no other drop of what came in grew {wrong}")
        check(all(p.alive() for p in self.procs), f"line {b.line}: gateway and control live on")

    def stop(self):
        for p in self.procs:
            alive = p.alive()
            code = p.stop()
            check(alive and code == 0, f"{p.name}: alive to the end, SIGTERM ends it with {code}")
            if not alive or code != 0:
                print(p.tail())


def is_input_drop(name):
    return re.match(r"net\.(eth|ip4|ip6|udp4|udp6|icmp4|icmp6|tcp)_(drop|host)", name) is not None \
        or name == "port.wan.rx_drop_chained"


def title(b):
    return next((x for x in b.text.splitlines() if x.strip()), "").strip()[:70]


def syntax(b):
    p = subprocess.run(["/bin/sh", "-n", "-c", b.text], stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, f"line {b.line}: is shell, not run: {title(b)} {p.stderr.strip()}")


def shows(s, b):
    line = missing(b.text, s.printed)
    check(line is None, f"line {b.line}: the page shows what was printed{': ' + line if line else ''}")


def walk(s, page):
    """Up to the first exception; the end is run by main."""
    for b in page:
        if b.kind == "run":
            s.shell(b)
        elif b.kind == "start":
            s.start(b)
        elif b.kind == "testpmd":
            s.testpmd(b)
        elif b.kind == "shows":
            shows(s, b)
        elif b.kind == "nic":
            syntax(b)


def pool():
    with open("/proc/meminfo") as f:
        return int(re.search(r"HugePages_Total:\s*(\d+)", f.read()).group(1))


def main():
    page = blocks()
    kinds = [b.kind for b in page]
    check(kinds.count("testpmd") >= 3 and kinds.count("run") >= 8 and kinds[-1] == "end",
          f"the page has its blocks: {len(page)}")
    before = pool()
    with tempfile.TemporaryDirectory(prefix="sluice-op-") as folder:
        os.chmod(folder, 0o755)
        s = Session(folder)
        try:
            walk(s, page)
        except Exception as e:  # named, and then everything is given back
            check(False, f"{type(e).__name__}: {e}")
        finally:
            s.stop()
            for b in page:
                if b.kind == "end" and "HUGE" in s.env:
                    s.shell(b)
        left = lab.run("ip", "netns", "list")
        check(s.env["NS"] not in left, "no namespace is left")
        check(not os.path.exists(s.env["LAB"]), "no folder is left")
    say(f"hugepages before and after: {before}, {pool()} (others may take theirs meanwhile)")
    finish()


if __name__ == "__main__":
    with signals_as_interrupt():
        main()

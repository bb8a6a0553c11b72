# SPDX-License-Identifier: Apache-2.0
"""
operate.py: what an operator does and sees: check, status, metrics, trace, connections, the access
log, privileges, bad manifests, drain and stop.
"""
import json
import os
import re
import signal
import sys
import time

from common import check, finish, lab, put_manifest, route, say, service, start_app


def privileges(box):
    for p, allowed in ((box.control, 0), (box.dataplane, (1 << 12) | (1 << 13))):
        with open(f"/proc/{p.pid}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        uid = status["Uid"].split()
        eff = int(status["CapEff"], 16)
        check("0" not in uid, f"{p.name} runs without root: uid {uid}")
        check(eff & ~allowed == 0, f"{p.name} keeps only what its profile needs: {eff:#x}")
        check(status["NoNewPrivs"].strip() == "1", f"{p.name} can gain no new privileges")


def seeing(box):
    box.curl_many(20)
    out = box.ctl("status", check=False)
    check("demo/gw" in out and "Programmed" in out, "sluicectl status names the Gateway")
    code, text = box.get("/metrics", code=True)
    names = set(re.findall(r"(?m)^# TYPE (\S+)", text))
    check(code == 200 and any(n.startswith("sluice_") for n in names),
          f"/metrics: {len(names)} families")
    bad = [line for line in text.splitlines() if line and not line.startswith("#") and
           not re.match(r'^[a-zA-Z_:][\w:]*(\{([a-zA-Z_]\w*="([^"\\]|\\.)*",?)*\})? \S+$', line)]
    check(not bad, f"every sample is Prometheus text format: {bad[:3]}")
    check(re.search(r"(?m)^sluice_\w*requests_total\{[^}]*app-v1[^}]*\} [1-9]", text) is not None,
          "requests are counted per backend")
    doc = box.get("/openapi.json")
    check("/readyz" in doc["paths"] and "/metrics" in doc["paths"], "the REST API is described")
    check(box.get("/api/v1/nothing", code=True)[0] == 404, "an unknown path is 404")


def connections_and_trace(box):
    hold = box.spawn("client", "hold", os.path.join(box.build, "tests/tools/load"), lab.VIP4, "80",
                     "--conns", "3", "--rate", "30", "--seconds", "6")
    time.sleep(1)
    out = box.ctl("conns")
    check("ESTABLISHED" in out and "10.201.0.2" in out, "sluicectl conns shows the client's leg")
    check(re.search(r"cwnd|CWND", out) is not None, "sluicectl conns shows the congestion window")
    out = box.ctl("cycles", "--seconds", "1")
    check(re.search(r"dp0/\d: [1-9]\d* requests", out) is not None,
          "sluicectl cycles counts each worker's requests")
    check(re.search(r"(?m)^http +[1-9]\d* ", out) is not None,
          "sluicectl cycles says what the http stage took")
    trace = box.ctl("trace", "--client", "10.201.0.2", "--count", "1")
    stages = [s for s in ("eth_input", "ip4_input", "tcp_input", "http_route", "http_response",
                          "ip_output") if s in trace]
    check(len(stages) >= 5, f"sluicectl trace: one packet's walk names its stages: {stages}")
    hold.p.wait(20)


def bad_manifests(box):
    before = box.curl_many(10)
    put_manifest(box, "broken.yaml", "kind: [this is\n  not: yaml\n")
    put_manifest(box, "badweight.yaml", route("badweight", [("app-v1", -1)], host="b.demo.lab"))

    def reported():
        text = json.dumps(box.get("/api/v1/status")) + box.ctl("status", check=False)
        return "broken.yaml" in text and "badweight" in text
    try:
        lab.wait_until("errors", reported, 5)
        ok = True
    except lab.LabError:
        ok = False
    check(ok, "a malformed file and a bad weight are named with their file")
    check(len(box.curl_many(10)) == len(before), "and hurt only themselves")
    p = lab.subprocess.run([os.path.join(box.build, "sluice-control"), "--check", box.conf],
                           stdout=-1, stderr=-2, text=True)
    check(p.returncode == 1 and re.search(r"badweight\.yaml:\d+: HTTPRoute demo/badweight: "
                                          r"\S*weight", p.stdout) is not None,
          f"--check says file:line: kind namespace/name: field (exit {p.returncode})")
    put_manifest(box, "broken.yaml", None)
    put_manifest(box, "badweight.yaml", None)
    p = lab.subprocess.run([os.path.join(box.build, "sluice-control"), "--check", box.conf],
                           stdout=-1, stderr=-2, text=True)
    check(p.returncode == 0 and "Accepted" in p.stdout, f"--check of a good one exits 0 "
          f"({p.returncode}) and prints conditions")


def statuses(box):
    """404, 500 by share, 503, 502: what the tables of the Gateway API promise."""
    put_manifest(box, "none.yaml", service("none", [], 8080).split("---")[0])
    put_manifest(box, "refused.yaml", service("refused", ["10.203.0.11"], 1))
    put_manifest(box, "more.yaml", "---\n".join([
        route("share", [("app-v1", 50), ("missing", 50)], host="share.demo.lab"),
        route("none", [("none", 1)], host="none.demo.lab"),
        route("zero", [("app-v1", 0)], host="zero.demo.lab"),
        route("refused", [("refused", 1)], host="refused.demo.lab")]))
    lab.wait_until("routes", lambda: box.curl(host="none.demo.lab")[0] == 503, 5)
    got = [box.curl(host="share.demo.lab")[0] for _ in range(20)]
    check(sorted(set(got)) == [200, 500] and abs(got.count(500) - 10) <= 2,
          f"a missing backend answers 500 for its share: {got.count(500)} of 20")
    for host, want in (("none", 503), ("zero", 500), ("refused", 502), ("nobody", 404)):
        status, _ = box.curl(host=f"{host}.demo.lab")
        check(status == want, f"{host}: {status} (want {want})")
    log = os.path.join(box.dir, "log", "access.log")

    def logged():
        with open(log) as f:
            lines = {d["host"]: d for d in map(json.loads, f)}
        return lines if "nobody.demo.lab" in lines else None
    lines = lab.wait_until("access log", logged, 5)
    reasons = {h: lines[f"{h}.demo.lab"]["reason"] for h in ("none", "zero", "refused", "nobody")}
    check(len(set(reasons.values())) == 4 and lines["app.demo.lab"]["backend"] != "",
          f"the access log has a line per request with its reason: {reasons}")
    put_manifest(box, "more.yaml", None)


def drain(box):
    """SIGTERM: what is under way ends well, nothing new begins, then the process is gone."""
    box.spawn("us-east", "sink", "/usr/bin/python3", os.path.join(lab.TOP, "tests/system/sink.py"),
              "10.203.0.2", "fd00:203::2", "9000", box.dir)
    put_manifest(box, "sink.yaml", service("sink", ["10.203.0.2"], 9000) + "---\n" +
                 route("sink", [("sink", 1)], host="sink.demo.lab"))
    lab.wait_until("sink", lambda: box.curl(host="sink.demo.lab")[0] == 200, 5)
    slow = box.spawn("client", "slow", "curl", "-si", "--max-time", "10", "-H",
                     "Host: sink.demo.lab", f"http://{lab.VIP4}/sleep/2")
    time.sleep(0.7)
    start = time.monotonic()
    box.dataplane.kill(signal.SIGTERM)
    time.sleep(0.3)
    status, _ = box.curl("/", "sink.demo.lab", False, 80, "--connect-timeout", "0.5", check=False)
    check(status == 0, f"draining: no new connection ({status})")
    slow.p.wait(15)
    text = slow.tail(50)
    check("200" in text and "slept" in text and re.search(r"(?i)connection: close", text),
          "draining: the request under way got its answer, with Connection: close")
    code = box.dataplane.p.wait(40)
    say(f"drained in {time.monotonic() - start:.1f} s")
    check(code == 0, f"the dataplane ended with exit {code}")
    check(box.control.stop() == 0, "control ends on SIGTERM with exit 0")


def count_cycles(name, text):
    return text + "\nprofileStages: true\n" if name == "gateway.yaml" else text


def main():
    with lab.Lab() as box:
        start_app(box, 2, edit=count_cycles)
        privileges(box)
        seeing(box)
        connections_and_trace(box)
        bad_manifests(box)
        statuses(box)
        drain(box)
    finish()


if __name__ == "__main__":
    sys.exit(main())

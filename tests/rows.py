# SPDX-License-Identifier: Apache-2.0
"""
rows.py: the table of test rows, simplest tier first. A row is a name, a claim and a command.
Unit tests are found by themselves: every tests/unit/<area>/*_test.c is a row.
"""
import glob
import os
import re

ASAN, REL, TSAN = ("asan",), ("release",), ("tsan",)
ROOT = ("root",)


def claim_of(source):
    """The first sentence of a test file's essay."""
    with open(source, errors="replace") as f:
        m = re.search(r"\.c: (.*?)(?:\.\s|:|\*/|\n \*\n)", f.read(4096), re.S)
    return re.sub(r"\s*\n \*\s*", " ", m.group(1)) if m else ""


def inner(row, top):
    """The claims inside a row, for --list: the test functions of its source, or its pages."""
    if row.name == "tcp-pages":
        pages = os.path.join(top, "tests/scenario/tcp")
        return [os.path.relpath(p, pages)[:-4] for p in sorted(glob.glob(pages + "/*/*.pkt"))]
    if row.name in ("http-vectors", "gateway"):
        kind = "vectors/h1/*.txt" if row.name == "http-vectors" else "scenario/gateway/*.scn"
        out = []
        for path in sorted(glob.glob(os.path.join(top, "tests", kind))):
            with open(path, errors="replace") as f:
                out += re.findall(r"^claim: (.*)", f.read(), re.M)
        return out
    if row.name == "runner":
        with open(os.path.join(top, "tests/tools/runner_test.py")) as f:
            return re.findall(r"def test_(\w+)", f.read())
    m = re.match(r"unit/(\w+)/(\w+)$", row.name)
    if not m:
        return []
    with open(os.path.join(top, "tests/unit", m.group(1), m.group(2) + ".c")) as f:
        return re.findall(r"cmocka_unit_test(?:_setup_teardown)?\(\s*(\w+)", f.read())


def make(Row, top):
    def system(script, *args):
        return ["/usr/bin/python3", os.path.join(top, "tests/system", script), *args]

    out = [Row("check", "check", "layers, style, spelling; gcc and clang without a warning",
               ["scripts/check"], timeout=1200),
           Row("check", "runner", "what is skipped is said and counted; a closed pipe is no error",
               ["/usr/bin/python3", os.path.join(top, "tests/tools/runner_test.py")])]
    for src in sorted(glob.glob(os.path.join(top, "tests/unit/*/*_test.c"))):
        area, base = src.split(os.sep)[-2], os.path.basename(src)[:-2]
        out.append(Row("unit", f"unit/{area}/{base}", claim_of(src),
                       [os.path.join(top, "build-asan/tests/unit", area, base)], build=ASAN))
    pkt = os.path.join(top, "build-asan/tests/tools/pkt/pkt_run")
    out += [
        Row("unit", "rss-port", "100 000 upstream connections, tables of 64, 128, 512: none on the "
            "wrong lcore", [os.path.join(top, "build-asan/tests/unit/port/rss_test")], build=ASAN),
        Row("pages", "pkt-red", "the page runner fails where it must",
            [pkt, "--red", os.path.join(top, "tests/tools/pkt/red")], build=ASAN),
        Row("pages", "tcp-pages", "TCP against pages named by RFC clause, v4 and v6",
            [pkt, os.path.join(top, "tests/scenario/tcp")], build=ASAN),
        Row("pages", "tcp-pages-parked", "the same pages, every connection at rest parked and "
            "brought back after every turn",
            [pkt, "--park", os.path.join(top, "tests/scenario/tcp")], build=ASAN),
        Row("pages", "tcp-pages-chained", "the same pages, every segment with text in several "
            "buffers", [pkt, "--chain", os.path.join(top, "tests/scenario/tcp")], build=ASAN),
    ]
    http = os.path.join(top, "build-asan/tests/unit/http")
    out += [
        Row("vectors", "http-vectors", "framing and smuggling vectors, parsers and gateway, from "
            "both sides, at every split point; scenarios",
            ["/bin/sh", "-ec", 'for t; do "$t"; done', "sh",
             http + "/h1_vectors_test", http + "/smuggling_test",
             http + "/gateway_test"], build=ASAN),
        Row("gateway", "gateway", "requests through HTTP over the real TCP, v4, v6 and in pieces",
            [http + "/gateway_test"], build=ASAN),
        Row("gateway", "gateway-chaos", "whatever peers do, the gateway neither dies nor keeps "
            "anything", [http + "/chaos_test"], build=ASAN),
    ]
    for corpus in sorted(glob.glob(os.path.join(top, "tests/fuzz/corpus/*"))):
        name = os.path.basename(corpus)
        long = "500000" if name in ("frame", "packet", "yaml") else "2000000"  # minutes of one core
        run = [os.path.join(top, "build-asan/tests/fuzz", "fuzz_" + name), "--mutate"]
        out.append(Row("fuzz", f"fuzz-{name}", "replays its corpus and seeded mutations of it",
                       run + ["20000", corpus], run + [long, corpus], build=ASAN))
    sim = [os.path.join(top, "build-asan/tests/sim/site_sim"), "--seeds"]
    out.append(Row("sim", "site-sim", "2 to 32 sites, bad wires, restarts, clocks, forgers: one result, "
                   "and only what its site said", sim + ["200"], sim + ["10000"], build=ASAN))
    for test in ("agent/contract_test", "agent/contract_restart_test", "agent/contract_damage_test",
                 "agent/contract_disk_test", "agent/contract_hang_test", "agent/link_test",
                 "api/control_test", "api/request_test", "control/cache_test", "loop/loop_test"):
        out.append(Row("tsan", f"tsan/{test}", "the programs' threads under ThreadSanitizer",
                       [os.path.join(top, "build-tsan/tests/unit", test)], build=TSAN))
    # A compiler may break in the optimised build what is right in the others: one of gcc 12 did.
    fast = [os.path.join(top, "build/tests/unit", area, "*_test")
            for area in ("base", "http", "route", "snapshot", "tcp", "upstream")]
    out.append(Row("release", "unit-release", "the packet path's unit tests and pages as shipped, "
                   "without sanitizers",
                   ["/bin/sh", "-ec", f'for t in {" ".join(fast)}; do "$t"; done; '
                    "build/tests/tools/pkt/pkt_run tests/scenario/tcp"], build=REL, timeout=900))
    out.append(Row("bench", "instructions", "instructions per request and connection within "
                   "tests/bench/bounds.json", ["scripts/profile", "--check"], build=REL))
    demo = ["/bin/sh", os.path.join(top, "scripts/demo"), "--check"]
    out += [
        Row("system", "demo", "200 requests split 160/40, mesh 495/5, 404, 500 without the grant; "
            "1 and 2 workers, v4 and v6", demo, build=REL, needs=ROOT),
        Row("system", "operate", "check, status, metrics, trace, conns, log, privileges, drain",
            system("operate.py"), build=REL, needs=ROOT),
        Row("system", "stop", "drain time-out, second SIGTERM, a stuck worker named with its stage",
            system("stop.py"), build=REL, needs=ROOT),
        Row("system", "flip", "weights, backends, routes, listeners change under load: none fails",
            system("flip.py"), build=REL, needs=ROOT),
        Row("system", "cluster-dies", "a cluster is killed, falls silent, answers 503s: its requests "
            "are answered by the others in 1.2 s; it comes back, and drains, by steps; 70/30, 99/1",
            system("cluster_dies.py"), system("cluster_dies.py", "--long"), build=REL, needs=ROOT),
        Row("system", "shares", "weights and states of clusters: shares right within 2 per worker, "
            "drained ones get nothing, none fails", system("shares.py"), build=REL, needs=ROOT),
        Row("system", "restart", "control and dataplane killed under load",
            system("restart.py"), build=REL, needs=ROOT),
        Row("system", "ping", "beside the kernel: echo, unreachable, routes, link, rules, tap",
            system("ping.py"), build=REL, needs=ROOT),
    ]
    for profile, claim in (
            ("memif", "canary over memif; all sums right, harmed frames dropped by name"),
            ("virtio-user", "the same, checksums and segmentation left to the port, or not"),
            ("vhost-user", "the same as the vhost side, checksums left to the port, or not"),
            ("af-xdp", "the same on the queues of a veth, in copy mode")):
        out.append(Row("system", "port-" + profile, claim,
                       system("ports.py", profile.replace("-", "_")), build=REL, needs=ROOT))
    out += [
        Row("system", "idle", "at rest <= 5 % of a core, first request within 5 ms",
            system("idle.py"), build=REL, needs=ROOT),
        Row("system", "big-body", "2 GiB up and down, slow and stalled readers, bounded",
            system("big_body.py"), system("big_body.py", "--long"), build=REL, needs=ROOT),
        Row("system", "tcp-wire", "loss, reorder, dup, corruption: equal bytes, >= 60 % of kernel",
            system("tcp_wire.py"), system("tcp_wire.py", "--long"), build=REL, needs=ROOT,
            timeout=900),
        Row("system", "bench-smoke", "the benchmark's driver: rows, schema, no errors, nothing left "
            "behind, also after Ctrl-C", system("bench_smoke.py"), build=REL, needs=ROOT),
        Row("system", "bench-gen", "the load generator: right answers only, a bad wire, and an end by "
            "itself: gateway down, wrong, silent, slow; Ctrl-C", system("bench_gen.py"), build=REL,
            needs=ROOT),
        Row("system", "operators", "the page on real NICs: its commands run, testpmd's packets are "
            "counted to the last", system("operators.py"), build=REL, needs=ROOT),
        Row("system", "hostile-api", "API servers that answer wrongly: each mischief is counted and "
            "logged, no object is invented or lost", system("hostile_api.py"), build=ASAN),
        Row("system", "server-answers", "409, 403, 422, 429 and 5xx to writes, clusters that come and "
            "go, Secrets that are late, kinds that appear and vanish", system("server_answers.py"),
            build=ASAN, needs=ROOT, timeout=900),
        Row("system", "kube-rights", "accounts that may not see everything, roles given while control "
            "runs: what works goes on, no plan is made of half", system("kube_rights.py"),
            build=ASAN, needs=ROOT, timeout=900),
        Row("system", "same-objects", "manifests mean the same by directory and by API server, through "
            "stops, lost CRDs, REST and RemoteClusterConfigurations", system("same_objects.py"),
            build=ASAN, needs=ROOT, timeout=3600),
        Row("system", "kubectl-canary", "the canary tutorial as typed: get, patch, describe and the "
            "Service's VIP say what requests see; others' status stays", system("kubectl_canary.py"),
            build=REL, needs=ROOT, timeout=3600),
        Row("system", "kubectl-mesh", "us-west's API server stopped, slow, taken back in time, without "
            "CRDs, its pods scaled and rolled: 99 to 1, none fails", system("kubectl_mesh.py"),
            system("kubectl_mesh.py", "--long"), build=REL, needs=ROOT, timeout=3600),
        Row("system", "kube-restart", "control killed and started while API servers are down: none of "
            "their objects is missed, none outlives its deletion", system("kube_restart.py"),
            build=REL, needs=ROOT, timeout=3600),
        Row("system", "propagation", "from the API server's answer to a PATCH to the first request by "
            "it: p50 <= 20 ms, p99 <= 100 ms, none fails", system("propagation.py"),
            system("propagation.py", "--long"), build=REL, needs=ROOT, timeout=3600),
        Row("system", "demo-kubernetes", "the demo's canary and mesh on two real API servers",
            demo + ["--kubernetes"], build=REL, needs=ROOT, timeout=3600),
        Row("system", "status-rows", "every condition and reason, every rule of conflicts and answers, "
            "on a real API server", system("status_rows.py"), build=ASAN, needs=ROOT,
            timeout=3600),
        Row("system", "minicluster", "two real API servers up; pods answer, log, end in their grace; "
            "down leaves nothing, also after a crash", system("clusters.py"), needs=ROOT,
            timeout=3600),
        Row("system", "minicluster-faults", "an API server stopped, paused, slow, deaf, taken back in "
            "time, without CRDs or node: the harness does each", system("cluster_faults.py"),
            needs=ROOT, timeout=3600),
        Row("system", "scale", "routes by the hundred on a real API server: few writes and right "
            "counts, none answers wrongly from creation on, memory bounded", system("kube_scale.py"),
            system("kube_scale.py", "--long"), build=REL, needs=ROOT, timeout=3600),
        Row("system", "demo-sites", "the demo of two sites: a weight set at one counts at both",
            demo + ["--sites"], build=REL, needs=ROOT),
        Row("system", "sites-lab", "a weight set at one site is live at both within 250 ms, by sluicectl, "
            "seen by whom, why and until when", system("sites_lab.py"), build=REL, needs=ROOT),
        Row("system", "partition", "two sites cut apart, edited on both sides, clocks off: none fails, "
            "one result within 5 s; a wrong clock is refused", system("partition.py"),
            system("partition.py", "--long"), build=REL, needs=ROOT),
        Row("system", "self-suspect", "both remote clusters fall silent at once: the site suspects itself, "
            "judges nobody, serves from its own", system("self_suspect.py"), build=REL, needs=ROOT),
        Row("system", "hostile-peer", "wrong certificates, names, hellos, lengths, types, clocks and floods: "
            "each its counter and log line, nothing changes", system("hostile_peer.py"), build=ASAN,
            timeout=600),
        Row("system", "churn", "everything changes, API servers restart, control is killed: none fails, "
            "memory flat, status right, a fresh control wants the same", system("churn.py"),
            system("churn.py", "--long"), build=REL, needs=ROOT, timeout=3600),
        Row("system", "soak-asan", "a million requests on two workers under ASan and UBSan",
            system("soak.py"), system("soak.py", "--long"), build=ASAN, needs=ROOT),
    ]
    return out

# SPDX-License-Identifier: Apache-2.0
"""
demo.py: behind scripts/demo: the canary across two clusters, seen by curl from a client.

With --check the same runs with one and with two workers, over IPv4 and IPv6, canary and mesh, and
what an operator would look at is asserted: the split, 404 for a foreign Host, 500 while the
ReferenceGrant is gone, and that everything heals without a restart. With --kubernetes it is the same
on two real API servers (demo_kube.py); with --sites two sites and two clusters (demo_sites.py).
"""
import argparse
import collections
import json
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

WEIGHTS = {"canary": (80, 20), "mesh": (99, 1)}  # of each example's route
failures = []


def check(ok, what):
    print(f"{'ok  ' if ok else 'FAIL'}  {what}", flush=True)
    if not ok:
        failures.append(what)


def uniq(lines):
    """As `sort | uniq -c` prints it."""
    count = collections.Counter(lines)
    for line in sorted(count):
        print(f"{count[line]:7d} {line}")
    return count


def split(box, requests, first, want, slack, title, **kw):
    count = collections.Counter(box.curl_many(requests, **kw))
    got = sum(n for line, n in count.items() if first in line)
    check(sum(count.values()) == requests and abs(got - want) <= slack,
          f"{title}: {got} of {requests} to {first!r} (want {want} ± {slack}): {dict(count)}")


def grant_path(box):
    """The file that holds the canary's ReferenceGrant, and the text of that document."""
    top = os.path.join(box.conf, "clusters")
    for folder, _, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            with open(path) as f:
                text = f.read()
            if re.search(r"(?m)^kind: ReferenceGrant", text):
                return path
    raise lab.LabError("no ReferenceGrant in the example")


def without_grants(text):
    docs = re.split(r"(?m)^---\s*$", text)
    return "---".join(d for d in docs if not re.search(r"(?m)^kind: ReferenceGrant", d))


def check_canary(box, workers, v6):
    family = "v6" if v6 else "v4"
    title = f"canary, {workers} worker{'s' * (workers > 1)}, {family}"
    split(box, 200, "App Version 1", 160, 2 if workers == 1 else 4, title, v6=v6,
          keepalive=workers == 1)
    status, _ = box.curl(host="other.demo.lab", v6=v6)
    check(status == 404, f"{title}: a foreign Host gives 404 (got {status})")
    path = grant_path(box)
    with open(path) as f:
        whole = f.read()
    box.edit_manifest(path, without_grants)
    status = wait_status(box, 500, v6)
    check(status == 500, f"{title}: without the ReferenceGrant 500 (got {status})")
    box.edit_manifest(path, lambda _: whole)
    status = wait_status(box, 200, v6)
    check(status == 200, f"{title}: the grant restored, 200 again without a restart (got {status})")


def wait_status(box, want, v6):
    """Status of requests until three in a row are as wanted, for at most 3 seconds."""
    seen = [0]

    def three():
        seen[:] = [box.curl(v6=v6)[0] for _ in range(3)]
        return all(s == want for s in seen)
    try:
        lab.wait_until(f"status {want}", three, 3)
    except lab.LabError:
        return next(s for s in seen if s != want)
    return want


def check_mesh(box, workers, v6):
    split(box, 500, "backend-us-east", 495, 2 if workers == 1 else 4,
          f"mesh, {workers} worker{'s' * (workers > 1)}, {'v6' if v6 else 'v4'}",
          host="mesh.demo.lab", v6=v6, port=box.mesh_port, keepalive=workers == 1)


def run_check(args):
    for workers in (1, 2):
        for example in ("canary", "mesh"):
            with lab.Lab() as box:
                box.mesh_port = 80
                box.start(example, workers)
                for v6 in (False, True):
                    {"canary": check_canary, "mesh": check_mesh}[example](box, workers, v6)
    print(f"{'demo --check: all as it should be' if not failures else 'demo --check: FAILED'}")
    return 1 if failures else 0


def show(args):
    print("demo: client, router, gateway, cluster us-east, cluster us-west (network namespaces)")
    with lab.Lab(name="sluice-demo") as box:
        box.start(args.example, args.workers)
        host = lab.HOST[args.example]
        old, rest = WEIGHTS[args.example]
        print(f"\n200 requests for Host: {host} to {lab.VIP4}, as `sort | uniq -c` sees them:\n")
        uniq(box.curl_many(200, host))
        route = os.path.join(box.conf, "clusters", "us-east")
        print(f"""
Now try, in another terminal:
  a request     ip netns exec {box.ns('client')} curl -s -H 'Host: {host}' http://{lab.VIP4}/
  over IPv6     ip netns exec {box.ns('client')} curl -s -H 'Host: {host}' 'http://[{lab.VIP6}]/'
  edit a weight sed -i -E 's/weight: ({old}|{rest})\\b/weight: 50/' $(grep -rl 'weight: {old}' {route})
  kill backends ip netns exec {box.ns('us-west')} ip link set eth0 down
  counters      {box.build}/sluicectl --socket {box.api} counters --nonzero
  status        {box.build}/sluicectl --socket {box.api} status
  connections   {box.build}/sluicectl --socket {box.api} conns

Ctrl-C ends the demo and removes everything.""", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("\ndemo: ending")
    return 0


def run_kubernetes(args):
    import demo_kube  # what it needs is built when it is first asked for
    if not args.check:
        return demo_kube.show(args, uniq, WEIGHTS)
    demo_kube.check_all(args, check, uniq)
    return 1 if failures else 0


def run_sites(args):
    import demo_sites
    args.build = os.path.join(lab.TOP, "build")
    if not args.check:
        return demo_sites.show(args)
    demo_sites.check_all(args, check)
    return 1 if failures else 0


def main():
    ap = argparse.ArgumentParser(prog="demo")
    ap.add_argument("--check", action="store_true", help="assert the split and exit")
    ap.add_argument("--example", default="canary", choices=["canary", "mesh"])
    ap.add_argument("--workers", type=int, default=1)
    ap.add_argument("--kubernetes", action="store_true",
                    help="on two real API servers (the first time builds them: minutes)")
    ap.add_argument("--sites", action="store_true",
                    help="two sites that keep operators' weights in step")
    args = ap.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("demo: must be root to make network namespaces")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.kubernetes:
        return run_kubernetes(args)
    if args.sites:
        return run_sites(args)
    return run_check(args) if args.check else show(args)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""
scripts/minicluster: real Kubernetes API servers on this machine, for kubectl and for Sluice.

  scripts/minicluster up [--clusters N] [--names A,B] [--dir D] [--channel standard|experimental]
                         [--router NETNS]
  scripts/minicluster down [--dir D]
  scripts/minicluster status [--dir D]
  scripts/minicluster build

up      builds what is not built yet (minutes, once), then starts N clusters (default 2: us-east and
        us-west) and says how to reach them. Each has its own etcd, kube-apiserver,
        kube-controller-manager and a small kubelet that runs a few known images in network
        namespaces (tests/cluster/README.md). Gateway API and MCS CRDs are installed.
        --router: pods are reached through this namespace, as "sluice-router" of scripts/lab.
down    ends the processes, removes the namespaces and the folder.
status  says what runs.
build   only builds.
"""
import argparse
import hashlib
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import minicluster  # noqa: E402
import minicluster_build  # noqa: E402
from minicluster_build import say  # noqa: E402

DEFAULT_DIR = "/run/sluice-minicluster"


def prefix_of(folder):
    """Namespaces are named after the folder: two folders never meet."""
    return "mc" + hashlib.sha256(folder.encode()).hexdigest()[:6]


def up(args):
    state = minicluster.load(args.dir)
    if state is not None:
        if state["complete"] and minicluster.living(state):
            raise SystemExit(f"minicluster: is up already in {args.dir}; "
                             "end it with: scripts/minicluster down")
        say("cleaning what an earlier run left")
        minicluster.clean(args.dir)
    elif os.path.isdir(args.dir) and os.listdir(args.dir):
        raise SystemExit(f"minicluster: {args.dir} is not empty and not ours")
    programs = minicluster_build.Programs()
    start = time.monotonic()
    group = minicluster.Group(args.dir, prefix_of(args.dir), args.names, args.channel, args.router,
                              programs)
    say(f"starting {', '.join(args.names)} in {args.dir}")
    try:
        group.up()
    except BaseException:
        group.report(sys.stderr)
        group.down()
        raise
    say(f"up in {time.monotonic() - start:.1f} s")
    show(group)


def show(group):
    first = next(iter(group))
    print(f"  export KUBECONFIG={group.dir}/kubeconfig PATH={group.dir}/bin:$PATH")
    for c in group:
        print(f"  kubectl --context {c.name} get nodes     # {c.url}, {c.kubeconfig}")
    where = group.router or first.netns
    print(f"  ip netns exec {where} curl http://POD-IP:PORT/     # pods: "
          + ", ".join(c.pods4 for c in group))
    where = "" if group.dir == DEFAULT_DIR else f" --dir {group.dir}"
    print(f"  scripts/minicluster down{where}")


def down(args):
    if minicluster.load(args.dir) is None:
        raise SystemExit(f"minicluster: nothing is up in {args.dir}")
    minicluster.clean(args.dir)
    say("down")


def status(args):
    state = minicluster.load(args.dir)
    if state is None:
        raise SystemExit(f"minicluster: nothing is up in {args.dir}")
    alive = {(cluster, name) for cluster, name, _ in minicluster.living(state)}
    dead = 0
    for name, cluster in state["clusters"].items():
        print(f"{name}  https://{cluster['address']}:{minicluster.PORTS['api']}  "
              f"{cluster['kubeconfig']}  pods behind {cluster['netns']}")
        for owner, program, pid, _ in state["procs"]:
            if owner == name:
                ok = (owner, program) in alive
                dead += not ok
                print(f"    {program:<26} {f'runs, pid {pid}' if ok else 'has ended'}")
    return 1 if dead or not state["complete"] else 0


def parse(argv):
    ap = argparse.ArgumentParser(usage=__doc__, add_help=False)
    ap.add_argument("verb", choices=("up", "down", "status", "build"))
    ap.add_argument("--clusters", type=int)
    ap.add_argument("--names")
    ap.add_argument("--dir", default=DEFAULT_DIR)
    ap.add_argument("--channel", choices=("standard", "experimental"), default="standard")
    ap.add_argument("--router")
    args = ap.parse_args(argv)
    args.dir = os.path.abspath(args.dir)
    names = args.names.split(",") if args.names else list(minicluster.NAMES[:args.clusters or 2])
    if not 1 <= len(names) <= len(minicluster.NAMES) or len(set(names)) != len(names) or \
            args.clusters and args.clusters != len(names):
        ap.error(f"1 to {len(minicluster.NAMES)} clusters of different names")
    args.names = names
    return args


def main(argv):
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(__doc__.strip())
        return 0 if argv else 2
    args = parse(argv)
    if args.verb == "build":
        minicluster_build.Programs()
        return 0
    if os.geteuid() != 0:
        raise SystemExit("minicluster: needs root for network namespaces")
    return {"up": up, "down": down, "status": status}[args.verb](args) or 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (lab.LabError, minicluster_build.BuildError) as e:
        sys.exit(f"minicluster: {e}")
    except KeyboardInterrupt:
        sys.exit(130)

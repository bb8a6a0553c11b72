# SPDX-License-Identifier: Apache-2.0
"""
minicluster_build.py: the programs of the mini-clusters, built from Go modules pinned in
tests/cluster/*/go.sum and kept outside the tree, by content: whoever has built them once, in
whichever clone, has them. Nothing is vendored and nothing but the Go module proxy is asked.

    ${XDG_CACHE_HOME:-~/.cache}/sluice/minicluster/<module>-<hash>/   programs, CRDs
"""
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCE = os.path.join(TOP, "tests", "cluster")
TOOLCHAIN = "go1.27.0"  # fetched as a module by any Go >= 1.21
KUBERNETES = ("1", "36", "3")
KEEP = 3  # builds of each module
BUILD_TIMEOUT = 5400  # of one program; a slow machine without any cache

_COMPONENT = "k8s.io/component-base/version"
_VERSION = " ".join(f"-X {_COMPONENT}.{key}={value}" for key, value in (
    ("gitVersion", "v" + ".".join(KUBERNETES)), ("gitMajor", KUBERNETES[0]),
    ("gitMinor", KUBERNETES[1]), ("gitTreeState", "clean")))

# module: [(program, package)]
PROGRAMS = {
    "control-plane": [
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ("etcd", "go.etcd.io/etcd/server/v3"),
    ],
    "node": [("kubelet", "./kubelet"), ("pages", "./pages")],
    "images": [("echo-basic", "sigs.k8s.io/gateway-api-conformance-images/echo-basic")],
}
# CRDs come from the modules that define them: (module, folder in it, folder here). Only files
# whose names start with a group: one of the folders holds a kustomization too.
CRDS = {"images": [
    ("sigs.k8s.io/gateway-api", "config/crd/standard", "crds/standard"),
    ("sigs.k8s.io/gateway-api", "config/crd/experimental", "crds/experimental"),
    ("sigs.k8s.io/mcs-api", "config/crd", "crds/mcs"),
]}
CRD_NAMES = ("gateway.networking.", "multicluster.")


class BuildError(Exception):
    pass


def say(text):
    print(f"minicluster: {text}", file=sys.stderr, flush=True)


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "sluice", "minicluster")


def find_go():
    """A Go that can fetch the toolchain that the modules ask for; scripts/setup sees to one."""
    places = [shutil.which("go"), "/usr/local/go/bin/go"]
    places += [f"/usr/lib/go-1.{minor}/bin/go" for minor in range(40, 20, -1)]
    for go in places:
        if not go or not os.path.exists(go):
            continue
        out = subprocess.run([go, "env", "GOVERSION"], stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL, timeout=60,
                             env=dict(os.environ, GOTOOLCHAIN="local")).stdout.strip()
        number = out.removeprefix("go").split(".")
        if len(number) >= 2 and number[0] == "1" and number[1].isdigit() and int(number[1]) >= 21:
            return go
    raise BuildError("no Go of at least 1.21: run scripts/setup")


def key_of(module):
    """Hash of everything that the module's build depends on."""
    h = hashlib.sha256()
    h.update(repr((TOOLCHAIN, _VERSION, PROGRAMS[module], CRDS.get(module))).encode())
    folder = os.path.join(SOURCE, module)
    for base, dirs, files in os.walk(folder):
        dirs.sort()
        for name in sorted(files):
            path = os.path.join(base, name)
            with open(path, "rb") as f:
                h.update(os.path.relpath(path, folder).encode() + b"\0" + f.read() + b"\0")
    return h.hexdigest()[:16]


def _go(go, module, *argv, timeout=BUILD_TIMEOUT):
    env = dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN=TOOLCHAIN,
               GOFLAGS="-p=2 -trimpath -mod=readonly -buildvcs=false")
    p = subprocess.run(["nice", go, *argv], cwd=os.path.join(SOURCE, module), env=env,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    if p.returncode != 0:
        raise BuildError(f"go {' '.join(argv)}: {p.stderr.strip()[-2000:]}")
    return p.stdout.strip()


def _build(module, out):
    go = find_go()
    os.makedirs(os.path.join(out, "bin"))
    for program, package in PROGRAMS[module]:
        start = time.monotonic()
        say(f"building {program} ...")
        _go(go, module, "build", "-ldflags", f"-s -w {_VERSION}",
            "-o", os.path.join(out, "bin", program), package)
        say(f"built {program} in {time.monotonic() - start:.0f} s")
    for source, folder, to in CRDS.get(module, ()):
        _go(go, module, "mod", "download", source)
        where = os.path.join(_go(go, module, "list", "-m", "-f", "{{.Dir}}", source), folder)
        os.makedirs(os.path.join(out, to))
        for name in sorted(os.listdir(where)):
            if name.startswith(CRD_NAMES):
                shutil.copyfile(os.path.join(where, name), os.path.join(out, to, name))


def _prune(cache, module, keep):
    builds = [os.path.join(cache, d) for d in os.listdir(cache)
              if d.startswith(module + "-") and d != os.path.basename(keep)]
    builds.sort(key=os.path.getmtime, reverse=True)
    for old in builds[KEEP - 1:]:
        shutil.rmtree(old, ignore_errors=True)


def module(name):
    """The folder with a module's build; builds it if nobody has."""
    cache = cache_dir()
    out = os.path.join(cache, f"{name}-{key_of(name)}")
    if os.path.isdir(out):
        os.utime(out)
        return out
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, f".{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(out):  # somebody built it while this one waited
            return out
        tmp = tempfile.mkdtemp(prefix=".new-", dir=cache)
        try:
            os.chmod(tmp, 0o755)
            _build(name, tmp)
            os.rename(tmp, out)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
        _prune(cache, name, out)
    return out


class Programs:
    """Where everything is; building what is missing."""

    def __init__(self):
        self.control, self.node, self.images = (module(m) for m in PROGRAMS)

    def path(self, program):
        for folder in (self.control, self.node, self.images):
            path = os.path.join(folder, "bin", program)
            if os.path.exists(path):
                return path
        raise BuildError(f"no program {program}")

    def crds(self, name):
        """Folder of the CRDs "standard", "experimental" or "mcs"."""
        return os.path.join(self.images, "crds", name)


if __name__ == "__main__":
    try:
        print(Programs().path("kubectl"))
    except BuildError as e:
        sys.exit(f"minicluster: {e}")

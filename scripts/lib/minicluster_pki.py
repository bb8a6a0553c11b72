# SPDX-License-Identifier: Apache-2.0
"""
minicluster_pki.py: a cluster's certificate authority, the certificates under it, and kubeconfigs.
Every key is new and of this cluster alone; nothing here is worth stealing after `down`.
"""
import base64
import json
import os
import subprocess

_CONFIG = "[req]\ndistinguished_name = dn\n[dn]\n"


class Pki:
    def __init__(self, folder):
        self.dir = folder
        os.makedirs(folder, mode=0o700)
        with open(self.path("openssl.cnf"), "w") as f:
            f.write(_CONFIG)

    def path(self, name):
        return os.path.join(self.dir, name)

    def _openssl(self, *argv):
        p = subprocess.run(["openssl", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=60)
        if p.returncode != 0:
            raise OSError(f"openssl {argv[0]}: {p.stderr.strip()}")

    def _cert(self, name, subject, days, extensions, issuer=None):
        argv = ["req", "-x509", "-config", self.path("openssl.cnf"), "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days", str(days), "-subj",
                subject, "-keyout", self.path(name + ".key"), "-out", self.path(name + ".crt")]
        if issuer:
            argv += ["-CA", self.path(issuer + ".crt"), "-CAkey", self.path(issuer + ".key")]
        for e in extensions:
            argv += ["-addext", e]
        self._openssl(*argv)

    def authority(self, name, subject):
        self._cert(name, subject, 3650, ["basicConstraints=critical,CA:TRUE",
                                         "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"])

    def server(self, name, subject, names, days=365):
        """names: as openssl writes them, "IP:127.0.0.1", "DNS:kubernetes"."""
        self._cert(name, subject, days, ["basicConstraints=critical,CA:FALSE",
                                         "keyUsage=critical,digitalSignature",
                                         "extendedKeyUsage=serverAuth",
                                         "subjectAltName=" + ",".join(names)], "ca")

    def client(self, name, subject, days=365):
        self._cert(name, subject, days, ["basicConstraints=critical,CA:FALSE",
                                         "keyUsage=critical,digitalSignature",
                                         "extendedKeyUsage=clientAuth"], "ca")

    def key_pair(self, name):
        """A bare key for signing tokens, and its public half."""
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                      "-out", self.path(name + ".key"))
        self._openssl("pkey", "-in", self.path(name + ".key"), "-pubout",
                      "-out", self.path(name + ".pub"))

    def data(self, name):
        with open(self.path(name), "rb") as f:
            return base64.b64encode(f.read()).decode()


def user_of_cert(pki, name):
    return {"client-certificate-data": pki.data(name + ".crt"),
            "client-key-data": pki.data(name + ".key")}


def kubeconfig(clusters):
    """A kubeconfig of [(name, url, CA as base64, user)]; the first context is the current one."""
    return {
        "apiVersion": "v1", "kind": "Config", "preferences": {},
        "current-context": clusters[0][0],
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority-data": ca}}
                     for name, url, ca, _ in clusters],
        "users": [{"name": name, "user": user} for name, _, _, user in clusters],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}
                     for name, _, _, _ in clusters],
    }


def write_kubeconfig(path, config):
    """JSON, which is YAML; readable by its owner alone."""
    tmp = path + ".tmp"
    with open(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")
    os.rename(tmp, path)

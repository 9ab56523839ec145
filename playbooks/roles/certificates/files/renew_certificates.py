#!/usr/bin/python3
"""Renews the certificates of a control plane that run out soon, and restarts what uses them, one part at a time.

A certificate is due with fewer than 90 days left, or with less than a quarter of its life. Interrupted, the next run
goes on: a part is restarted where it is older than what it uses. Exit code 1, with one line, when a part stays away.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

KUBERNETES = Path("/etc/kubernetes")
CONFIG = KUBERNETES / "kubeadm.yaml"
DUE, SHARE = timedelta(days=90), 4
#: Seconds that a part has to end by itself: an API server waits up to a minute for requests that have no end.
GRACE = 15
#: Seconds that a restarted part has until it is healthy.
PATIENCE = 180
#: kubeadm's name of a certificate -> its file below /etc/kubernetes, and the parts that read it at their start.
CERTIFICATES = {
    "etcd-server": ("pki/etcd/server.crt", ("etcd",)),
    "etcd-peer": ("pki/etcd/peer.crt", ("etcd",)),
    "etcd-healthcheck-client": ("pki/etcd/healthcheck-client.crt", ()),
    "apiserver": ("pki/apiserver.crt", ("kube-apiserver",)),
    "apiserver-etcd-client": ("pki/apiserver-etcd-client.crt", ("kube-apiserver",)),
    "apiserver-kubelet-client": ("pki/apiserver-kubelet-client.crt", ("kube-apiserver",)),
    "front-proxy-client": ("pki/front-proxy-client.crt", ("kube-apiserver",)),
    "controller-manager.conf": ("controller-manager.conf", ("kube-controller-manager",)),
    "scheduler.conf": ("scheduler.conf", ("kube-scheduler",)),
    "admin.conf": ("admin.conf", ()),
    "super-admin.conf": ("super-admin.conf", ()),
}
#: Part -> where it says that it is healthy. etcd comes first: the API server needs it.
HEALTH = {
    "etcd": "http://127.0.0.1:2381/health",
    "kube-apiserver": "https://127.0.0.1:6443/readyz",
    "kube-controller-manager": "https://127.0.0.1:10257/healthz",
    "kube-scheduler": "https://127.0.0.1:10259/healthz",
}


def run(*argv: str, stdin: bytes = b"") -> str:
    """Returns standard output. Ends the program with one line where the command fails."""
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {(done.stderr.decode().strip().splitlines() or ['failed'])[-1]}")
    return done.stdout.decode()


def life(path: Path) -> tuple[datetime, datetime]:
    """Returns the first and last moment that a certificate, or that in a kubeconfig, is valid."""
    content = path.read_bytes()
    if embedded := re.search(rb"client-certificate-data: (\S+)", content):
        content = base64.b64decode(embedded[1])
    shown = run("openssl", "x509", "-noout", "-startdate", "-enddate", stdin=content).splitlines()
    first, last = (
        datetime.strptime(line.partition("=")[2], "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC) for line in shown
    )
    return first, last


def due(path: Path, now: datetime) -> bool:
    """Returns whether the certificate should be renewed now."""
    first, last = life(path)
    return last - now < min(DUE, (last - first) / SHARE)


def processes(part: str) -> list[int]:
    """Returns the processes of a static pod."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if Path((folder / "cmdline").read_text().split("\0", 1)[0]).name == part:
                found.append(int(folder.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def started(pid: int) -> float:
    """Returns when the process started, in seconds since the epoch."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def stale(part: str) -> list[int]:
    """Returns the part's processes that started before a certificate which they read was written."""
    files = [KUBERNETES / file for file, parts in CERTIFICATES.values() if part in parts]
    newest = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    return [pid for pid in processes(part) if started(pid) < newest]


def healthy(part: str) -> bool:
    """Returns whether a part answers on this machine. Its certificate is not judged: it has just been replaced."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unverified)
    )
    try:
        with opener.open(HEALTH[part], timeout=5):
            return True
    except OSError:
        return False


def stop(part: str, number: signal.Signals) -> None:
    """Sends a signal to the part's processes that run with older certificates."""
    for pid in stale(part):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def restart(part: str) -> None:
    """Ends the part, so that the kubelet starts it again, and waits until it is healthy."""
    stop(part, signal.SIGTERM)
    begun = time.monotonic()
    while stale(part) or not processes(part) or not healthy(part):
        if time.monotonic() - begun > GRACE:
            stop(part, signal.SIGKILL)
        if time.monotonic() - begun > PATIENCE:
            sys.exit(f"{part}: not healthy {PATIENCE} s after its restart with renewed certificates")
        time.sleep(1)
    print(f"restarted {part}", flush=True)


def main() -> None:
    """Prints a line for each certificate renewed and each part restarted; nothing where nothing is due."""
    now = datetime.now(UTC)
    for name, (file, _) in CERTIFICATES.items():
        path = KUBERNETES / file
        if path.exists() and due(path, now):
            run("kubeadm", "certs", "renew", name, "--config", str(CONFIG))
            print(f"renewed {name}", flush=True)
    for part in HEALTH:
        if stale(part):
            restart(part)


if __name__ == "__main__":
    main()

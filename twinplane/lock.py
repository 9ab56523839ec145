"""The lock of a stack's machines: a Lease in their cluster, held while a playbook changes them."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from twinplane.errors import UsageError
from twinplane.live.ssh import Machine, Session

NAME, NAMESPACE = "twinplane-machines", "kube-system"
PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{NAME}"
#: Seconds without a renewal after which others take the lock. A single control plane may reboot for that long: its
#: holder cannot renew meanwhile, and nobody else can ask.
DURATION = 180
#: Seconds between two renewals, and after one that failed.
RENEW, AGAIN = 20.0, 3.0
#: Seconds that the API has to answer, where a cluster is there.
PATIENCE = 60.0
KUBECONFIG = "/etc/kubernetes/admin.conf"
BOOT = Path("/proc/sys/kernel/random/boot_id")
_HOLDER = re.compile(r"(?P<verb>\S+) by \S+@(?P<host>\S+) \(process (?P<pid>\d+)\)")


class Unreachable(Exception):
    """There is a cluster, and its API does not answer: the reason, in one line."""


class Lock:
    """Held from `with` to its end, and renewed meanwhile. A cluster that does not exist yet needs none.

    Raises UsageError where somebody else holds it: named, with the age of the lock. A lock whose holder is dead is
    taken over. `lost` says who has taken ours, once somebody has.
    """

    def __init__(
        self, session: Session, machines: Sequence[Machine], verb: str, progress: Callable[[str], None]
    ) -> None:
        self.session, self.verb, self.progress = session, verb, progress
        self.control_planes = [machine for machine in machines if machine["role"] == "control-plane"]
        self.holder = f"{verb} by {getpass.getuser()}@{here()} (process {os.getpid()})"
        self.lost = ""
        self._held = False
        #: When we took the lock, as the Lease has it.
        self._acquired = ""
        self._stop = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lock", daemon=True)

    def __enter__(self) -> Lock:
        self._held = self._take()
        if self._held:
            self._renewing.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._held:
            return
        self._stop.set()
        self._renewing.join()
        try:
            found = self._read()
            if found and _spec(found).get("holderIdentity") == self.holder:
                self._write({**_spec(found), "holderIdentity": None}, found)
        except Unreachable:
            return  # it runs out by itself, and at once for who sees that this process ended

    def _take(self) -> bool:
        """Returns False where there is no cluster to be locked."""
        end, told = time.monotonic() + PATIENCE, False
        while True:
            try:
                found = self._read()
                if found is None:
                    return False
                spec = _spec(found)
                if alive := holder(spec):
                    raise UsageError(f"{self.verb}: {alive}")
                if spec.get("holderIdentity"):
                    self.progress(
                        f"taking over the machines' lock: {spec['holderIdentity']} ended without giving it back"
                    )
                if self._write(self._own(), found):
                    return True
            except Unreachable as error:
                if time.monotonic() > end:
                    self.progress(f"going on without the lock of the machines: {error}")
                    return False
                if not told:
                    self.progress(f"waiting at most {PATIENCE:.0f} s for the API, which keeps the lock: {error}")
                    told = True
            time.sleep(1)

    def _renew(self) -> None:
        pause = RENEW
        while not self._stop.wait(pause):
            try:
                found = self._read()
                if found is None:
                    return  # the playbook `reset` has taken the cluster back, and its Lease with it
                spec = _spec(found)
                # A Lease of before we took it, and nobody's: etcd was restored from a snapshot.
                restored = spec.get("renewTime", "") < self._acquired and not holder(spec)
                if spec.get("holderIdentity") != self.holder and not restored:
                    self.lost = f"the lock of the machines is lost to {spec.get('holderIdentity') or 'nobody'}"
                    return
                renewed = self._own() if restored else {**spec, "renewTime": _now()}
                pause = RENEW if self._write(renewed, found) else AGAIN
            except Unreachable:
                pause = AGAIN

    def _own(self) -> dict[str, Any]:
        self._acquired = now = _now()
        taken = {"holderIdentity": self.holder, "acquireTime": now, "renewTime": now}
        return {**taken, "leaseDurationSeconds": DURATION}

    def _read(self) -> dict[str, Any] | None:
        """Returns the Lease, without `metadata` where there is none yet; None where there is no cluster."""
        answer = self._kubectl("get", "lease", NAME, "--namespace", NAMESPACE, "--ignore-not-found", "--output=json")
        if answer is None:
            return None
        return dict(json.loads(answer)) if answer.strip() else {}

    def _write(self, spec: dict[str, Any], found: dict[str, Any]) -> bool:
        """Returns False where somebody else wrote meanwhile."""
        known = found.get("metadata", {}).get("resourceVersion")
        metadata = {"name": NAME, "namespace": NAMESPACE, **({"resourceVersion": known} if known else {})}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        verb = "replace" if known else "create"
        return self._kubectl(verb, "--filename=-", stdin=json.dumps(lease), conflicts=True) is not None

    def _kubectl(self, *arguments: str, stdin: str = "", conflicts: bool = False) -> str | None:
        """Returns what kubectl prints on the first control plane that has an answer.

        Returns None where no control plane has a cluster, and for a conflict. Raises Unreachable.
        """
        reasons = []
        for machine in self.control_planes:
            done = self.session.run(
                machine,
                *("sudo", "sh", "-c", f'test -e {KUBECONFIG} || exit 3; exec kubectl --kubeconfig {KUBECONFIG} "$@"'),
                *("kubectl", "--request-timeout=10s", *arguments),
                stdin=stdin,
            )
            if done.returncode == 0:
                return done.stdout
            if conflicts and ("(Conflict)" in done.stderr or "(AlreadyExists)" in done.stderr):
                return None
            if done.returncode != 3:
                reasons.append(f"{machine['name']}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
        if reasons:
            raise Unreachable("; ".join(reasons))
        return None


def holder(spec: Mapping[str, Any]) -> str:
    """Returns a line that names the living holder of a Lease with this `spec`; empty where there is none."""
    identity = spec.get("holderIdentity")
    if not identity:
        return ""
    renewed, acquired = (datetime.fromisoformat(spec[each]) for each in ("renewTime", "acquireTime"))
    age = (datetime.now(UTC) - renewed).total_seconds()
    if age > spec.get("leaseDurationSeconds", DURATION) or ended(identity):
        return ""
    since = int((datetime.now(UTC) - acquired).total_seconds())
    return (
        f"the machines are locked: {identity}, since {since // 60} min {since % 60} s; wait for its end "
        f"(a holder that died is noticed {DURATION} s after its last sign, {max(age, 0):.0f} s ago)"
    )


def here() -> str:
    """Returns the name of this machine, with its boot where it tells: two may share a name, and none a boot."""
    boot = BOOT.read_text()[:8] if BOOT.exists() else ""
    return f"{socket.gethostname()}{boot and '/' + boot}"


def ended(identity: str) -> bool:
    """Returns whether the holder is a process of this machine that is gone. False for those of other machines."""
    found = _HOLDER.fullmatch(identity)
    if not found or found["host"] != here():
        return False
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _spec(lease: dict[str, Any]) -> dict[str, Any]:
    return dict(lease.get("spec") or {})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

"""Observations -> one row of cells per control-plane component. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from twinplane.compare.etcd import new_and_empty
from twinplane.compare.evidence import Cell, Evidence, Row, State
from twinplane.compare.machines import Machine, instance_evidence, machines
from twinplane.compare.observe import Observed
from twinplane.compare.probes.leases import Lease
from twinplane.compare.probes.machines import Process
from twinplane.compare.probes.pods import Pod

APISERVER, ETCD, SCHEDULER = "kube-apiserver", "etcd", "kube-scheduler"
CONTROLLERS, CLOUD_CONTROLLERS = "kube-controller-manager", "cloud-controller-manager"
COMPONENTS = (APISERVER, ETCD, SCHEDULER, CONTROLLERS, CLOUD_CONTROLLERS)

#: Names that componentstatuses uses (k8s.io/kubernetes, pkg/registry/core/rest/storage_core.go).
STATUS_NAMES = {ETCD: "etcd-0", SCHEDULER: "scheduler", CONTROLLERS: "controller-manager"}


@dataclass(frozen=True)
class Component:
    """One component of one cluster, and everything seen of it."""

    name: str
    observed: Observed

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Its pods in kube-system."""
        return tuple(pod for pod in self.observed.pods.fact or () if self.name in pod.roles)

    @cached_property
    def leases(self) -> tuple[Lease, ...]:
        """Its leader lease; of the API servers, the identity leases."""
        every = self.observed.leases.fact or ()
        if self.name == APISERVER:
            return tuple(lease for lease in every if lease.name.startswith("apiserver-"))
        return tuple(lease for lease in every if lease.name == self.name)

    @cached_property
    def processes(self) -> tuple[tuple[Machine, Process], ...]:
        """Its processes on machines that we could log in to."""
        return tuple(
            (machine, process)
            for machine in machines(self.observed)
            if machine.inside
            for process in machine.inside.processes
            if process.name == self.name
        )

    @cached_property
    def hosts(self) -> tuple[Machine, ...]:
        """Machines that it runs on, or that its static pod belongs to."""
        nodes = {pod.node for pod in self.pods} | {machine.name for machine, _ in self.processes}
        answering = set(self.observed.api_endpoints.fact or ()) if self.name == APISERVER else set()
        return tuple(
            machine for machine in machines(self.observed) if machine.name in nodes or machine.address in answering
        )

    @cached_property
    def homes(self) -> tuple[Machine, ...]:
        """Where it runs, or would: the control-plane machines, when it must exist or has left a lease behind."""
        if self.hosts or not (self.leases or self.name in (APISERVER, ETCD)):
            return self.hosts
        return tuple(machine for machine in machines(self.observed) if machine.control_plane)

    @cached_property
    def by_eks(self) -> bool:
        """EKS says that the API endpoint is one of its clusters, and none of our machines runs the component."""
        cluster = self.observed.eks_cluster.fact
        return not self.homes and cluster is not None and cluster.endpoint == self.observed.outputs.api_endpoint

    # Evidence, the part of each answer that is about this component.

    def _seen_pods(self) -> Evidence:
        return self.observed.pods.evidence(self.pods)

    def _seen_leases(self) -> Evidence:
        return self.observed.leases.evidence(self.leases)

    def _seen_processes(self) -> Evidence:
        found = [{"machine": machine.name, **vars(process)} for machine, process in self.processes]
        seen = self.observed.machines
        return seen.evidence({"processes": found, "failures": seen.fact.failures if seen.fact else ()})

    def _seen_etcd(self) -> Evidence:
        return self.observed.machines.evidence({p.name: p.inside.etcd for p in machines(self.observed) if p.inside})

    def _seen_eks(self) -> Evidence:
        return self.observed.eks_cluster.evidence(self.observed.eks_cluster.fact)

    def _seen_instances(self) -> tuple[Evidence, ...]:
        return tuple(instance_evidence(self.observed, host) for host in self.homes or (None,))

    # The cells.

    def running(self) -> Cell:
        """Does it work now? The strictest witness wins: its process, its lease, its health check, its pod."""
        seen = [self._seen_pods(), self._seen_leases(), self._seen_processes()]
        good: list[str] = []
        gone: list[str] = []
        ill = [f"pod {pod.name} not ready" for pod in self.pods if not pod.ready]
        if self.name in (APISERVER, ETCD):
            name, health = "ping" if self.name == APISERVER else "etcd", self.observed.api_health
            healthy = bool((health.fact or {}).get(name))
            refused = health.error.startswith(("401 ", "403 "))  # it answers, and tells us nothing
            (good if healthy else ill).extend([f"/readyz {name} {'ok' if healthy else 'fails'}"] * (not refused))
            seen.append(health.evidence({name: healthy}))
        for lease in self.leases if self.name != APISERVER else ():  # identities of gone API servers stay for an hour
            age = (self.observed.leases.at - lease.renewed).total_seconds() if lease.renewed else None
            if not lease.holder:
                gone.append("lease given up")
            elif age is None or age > lease.duration:
                gone.append(f"lease not renewed for {age or 0:.0f} s")
            else:
                good.append(f"lease renewed {max(age, 0):.0f} s ago")
        for machine, process in self.processes:
            where = f"process {process.pid} on {machine.name}"
            good.append(where) if process.working else gone.append(f"{where} is in state {process.state}")
        if self._must_be_inside() and not self.processes:
            gone.append(f"no process on {', '.join(machine.name for machine in self.homes)}")
        if status := (self.observed.component_statuses.fact or {}).get(STATUS_NAMES.get(self.name, "")):
            seen.append(self.observed.component_statuses.evidence(status))
            ill += [] if status.healthy else ["componentstatus unhealthy"]
        ill += self._lost_manifests()
        if self.name == ETCD and new_and_empty(self.observed):
            seen += [self.observed.kubeadm_config.evidence(self.observed.kubeadm_config.fact), self._seen_etcd()]
            bucket = self.observed.outputs.backups_bucket
            return Cell(f"new and empty: restore it from a snapshot in the bucket {bucket}", tuple(seen), "bad")
        if gone:
            return Cell(f"stopped: {'; '.join(gone + ill)}", tuple(seen), "bad")
        if ill:
            return Cell(f"unhealthy: {'; '.join(ill)}", tuple(seen), "bad")
        if good:
            return Cell(f"running: {'; '.join(good)}", tuple(seen), "good")
        return Cell("not found", tuple(seen), "unknown")

    def _lost_manifests(self) -> list[str]:
        bare = [machine.name for machine in machines(self.observed) if machine.lacks_manifest(self.name)]
        return [f"its manifest is gone from /etc/kubernetes/manifests on {', '.join(bare)}"] if bare else []

    def _must_be_inside(self) -> bool:
        """Its machines are ours and open: then its process must be there."""
        return bool(self.homes) and all(machine.reached for machine in self.homes)

    def visible(self) -> Cell:
        """What of it the Kubernetes API shows."""
        shown = []
        if self.pods:
            shown.append("static pod" if all(pod.source == "file" for pod in self.pods) else "pod")
        if self.leases:
            shown.append("lease")
        evidence = [self._seen_pods(), self._seen_leases()]
        if self.name == APISERVER:
            addresses = self.observed.api_endpoints.fact
            shown += [f"endpoints {', '.join(addresses)}"] if addresses else []
            evidence.append(self.observed.api_endpoints.evidence(addresses))
        if status := (self.observed.component_statuses.fact or {}).get(STATUS_NAMES.get(self.name, "")):
            shown.append("componentstatus")
            evidence.append(self.observed.component_statuses.evidence(status))
        return Cell(", ".join(shown) or "no", tuple(evidence), "plain" if self.pods else "unknown")

    def machine(self) -> Cell:
        """The machine of yours that it runs on."""
        seen = (self._seen_pods(), self._seen_processes(), *self._seen_instances())
        if self.homes:
            lost = [host.name for host in self.homes if host.instance is None]
            note = f"; not an EC2 instance of this account: {', '.join(lost)}" if lost else ""
            where = "yours" if self.hosts else "yours, not running there"
            return Cell(f"{where}: {', '.join(host.title() for host in self.homes)}{note}", seen)
        count = len(self.observed.instances.fact or ())
        return Cell(f"none of your {count} EC2 instances" if count else "none seen", seen)

    def ssh(self) -> Cell:
        """Can you log in where it runs?"""
        if not self.homes:
            host = self.observed.api_host
            port = self.observed.ssh_ports[host]
            value = f"no: API endpoint {host}, {port.error or 'port 22 answers'}"
            return Cell(value, (port.evidence(port.fact), self._seen_pods()))
        seen = (*(host.ssh.evidence(host.ssh.fact) for host in self.homes), self._seen_processes())
        if all(host.reached for host in self.homes):
            user = self.observed.outputs.ssh_user
            return Cell(f"yes: {', '.join(f'{user}@{host.address}' for host in self.homes)}", seen)
        closed = [f"{host.address} {host.ssh.error or 'answers, no key'}" for host in self.homes if not host.reached]
        return Cell(f"no: {', '.join(closed)}", seen)

    def version(self) -> Cell:
        """The version that runs."""
        if self.name == APISERVER:
            answered = self.observed.api_version
            return Cell(answered.fact or answered.error, (answered.evidence(answered.fact),))
        tags = {pod.image.partition("@")[0].rpartition(":")[2] for pod in self.pods}
        said = {f"v{process.version}" for _, process in self.processes if process.version}
        if found := sorted(said or tags):  # the running file knows better than its image's tag
            return Cell(", ".join(found), (self._seen_processes(), self._seen_pods()))
        cluster = self.observed.eks_cluster.fact
        if self.by_eks and cluster and self._exists():
            value = f"not shown (EKS {cluster.version}, {cluster.platform_version})"
            return Cell(value, (self._seen_pods(), self._seen_eks()), "unknown")
        return Cell("not seen", (self._seen_pods(), self._seen_eks()), "unknown")

    def restarted_by(self) -> Cell:
        """Who starts it again when it ends."""
        seen = sorted({f"{process.restarted_by} on {machine.name}" for machine, process in self.processes})
        static = sorted({pod.node for pod in self.pods if pod.source == "file"})
        owned = sorted({pod.owner for pod in self.pods if pod.source != "file" and pod.owner})
        evidence = (self._seen_pods(), self._seen_processes(), self._seen_eks())
        if static:
            return Cell(f"kubelet on {', '.join(static)} (static pod)", evidence)
        if owned:
            return Cell(f"Kubernetes ({', '.join(owned)})", evidence)
        if seen:
            return Cell(", ".join(seen), evidence)
        if self.by_eks and self._exists():
            return Cell("AWS (EKS)", evidence)
        return Cell("nobody: not found", evidence, "bad" if self.homes else "unknown")

    def _exists(self) -> bool:
        """The API shows a trace of it, or could not work without it."""
        return bool(self.pods or self.leases or self.processes) or self.name in (APISERVER, ETCD)

    # Ownership is four questions.

    def builds(self) -> Cell:
        """Who puts it together."""
        images = sorted({pod.image for pod in self.pods})
        yours = f"you, from {', '.join(images)}"
        return self._owned(yours, "AWS: EKS platform {platform}", (self._seen_pods(), self._seen_eks()), bool(images))

    def triggers(self) -> Cell:
        """Who decides that it changes."""
        theirs = "you choose the minor version; AWS applies patches (support {support})"
        return self._owned("you, every version", theirs, (self._seen_pods(), self._seen_eks()))

    def executes(self) -> Cell:
        """Who carries the change out."""
        yours = "you, over SSH" if any(host.reached for host in self.homes) else "you"
        return self._owned(yours, "AWS", (self._seen_processes(), self._seen_eks()))

    def pays(self) -> Cell:
        """Who pays for what it runs on."""
        yours = f"you: EC2 {', '.join(host.instance.type for host in self.homes if host.instance) or 'not seen'}"
        return self._owned(yours, "you: EKS, per cluster and hour", (*self._seen_instances(), self._seen_eks()))

    def _owned(self, yours: str, theirs: str, evidence: tuple[Evidence, ...], known: bool = True) -> Cell:
        if self.homes and known:
            return Cell(yours, evidence)
        cluster = self.observed.eks_cluster.fact
        if self.by_eks and cluster and self._exists():
            return Cell(theirs.format(platform=cluster.platform_version, support=cluster.support or "?"), evidence)
        state: State = "unknown"
        return Cell("not found", evidence, state)

    def cells(self) -> dict[str, Cell]:
        """Returns aspect -> cell, in the order of the report."""
        return {row.aspect: row.how(self) for row in ROWS}


#: The aspect that says whether a component works.
RUNNING = "running"
OPERATION, OWNERSHIP = "Control plane", "Who owns it"
ROWS = (
    Row(RUNNING, OPERATION, Component.running),
    Row("visible in the API", OPERATION, Component.visible),
    Row("machine", OPERATION, Component.machine),
    Row("SSH", OPERATION, Component.ssh),
    Row("version", OPERATION, Component.version),
    Row("restarted by", OPERATION, Component.restarted_by),
    Row("built by", OWNERSHIP, Component.builds),
    Row("upgrade decided by", OWNERSHIP, Component.triggers),
    Row("upgrade carried out by", OWNERSHIP, Component.executes),
    Row("paid by", OWNERSHIP, Component.pays),
)

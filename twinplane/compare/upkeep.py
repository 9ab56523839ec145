"""Observations -> one row of cells per cluster: nodes, versions, certificates, and where replicas run. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from twinplane.compare.evidence import Cell, Row
from twinplane.compare.expiry import authorities, certificates
from twinplane.compare.machines import machines
from twinplane.compare.observe import Observed
from twinplane.compare.probes.deployments import Deployment
from twinplane.compare.probes.pods import Pod
from twinplane.compare.probes.probe import Seen

COREDNS = "coredns"
#: Of kubernetes-sigs, which acts on NetworkPolicy objects with any pod network.
ENFORCER = "kube-network-policies"
#: Processes that have the version of Kubernetes; the kubelet's is in its Node.
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def nodes(observed: Observed) -> Cell:
    """Returns how many nodes there are: none is trouble in itself."""
    found = observed.nodes.fact
    if found is None:
        return Cell(f"not shown: {observed.nodes.error}", (observed.nodes.evidence(),), "bad")
    ready = sum(node.ready for node in found)
    evidence = (observed.nodes.evidence({node.name: node.ready for node in found}),)
    return Cell(f"{ready} of {len(found)} Ready", evidence) if found else Cell("none", evidence, "bad")


def versions(observed: Observed) -> Cell:
    """Returns the version that the stack wants, and what runs in another one."""
    wanted, api = observed.outputs.kubernetes_version, observed.api_version.fact
    running = dict(_running(observed))
    evidence = (
        observed.api_version.evidence(api),
        observed.nodes.evidence({node.name: node.kubelet for node in observed.nodes.fact or ()}),
        observed.pods.evidence({pod.name: pod.image for pod in observed.pods.fact or () if "kube-proxy" in pod.roles}),
        observed.machines.evidence([" ".join(each) for each in running if each[0] in CONTROL_PLANE]),
    )
    if not running:
        return Cell(f"{wanted} wanted, none seen", evidence, "unknown")
    forbidden = {
        (part, version): f"{part} {version}{where}, newer than the API server's {api}: Kubernetes forbids it"
        for (part, version), where in running.items()
        if api and part == "kubelet" and _numbers(version)[:2] > _numbers(api)[:2]
    }
    size = len(_numbers(wanted))
    other = {
        each: f"{' '.join(each)}{where}"
        for each, where in running.items()
        if _numbers(each[1])[:size] != _numbers(wanted)
    }
    if lines := [*{**other, **forbidden}.values()]:
        return Cell(f"{wanted} wanted; {'; '.join(lines)}", evidence, "bad" if forbidden else "warning")
    return Cell(f"{wanted}, as wanted", evidence, "good")


def _running(observed: Observed) -> Iterator[tuple[tuple[str, str], str]]:
    """Yields part and version, and " on ..." the machines that run it so; "" for the API server that answered."""
    if observed.api_version.fact:
        yield ("API server", observed.api_version.fact), ""
    seen = [("kubelet", node.kubelet, node.name) for node in observed.nodes.fact or ()]
    for pod in observed.pods.fact or ():
        if "kube-proxy" in pod.roles and (tag := pod.image.partition("@")[0].rpartition(":")[2]):
            seen.append(("kube-proxy", tag, pod.node))
    for machine in machines(observed):
        for process in machine.inside.processes if machine.inside else ():
            if process.name in CONTROL_PLANE and process.version:
                seen.append((process.name, f"v{process.version}", machine.name))
    for part, version in dict.fromkeys((part, version) for part, version, _ in seen):
        names = sorted({name for *each, name in seen if each == [part, version]})
        yield (part, version), f" on {', '.join(names)}"


def _numbers(version: str) -> list[int]:
    """Returns e.g. [1, 36, 3] for "v1.36.3-eks-0ab"."""
    plain = version.removeprefix("v").partition("-")[0].partition("+")[0]
    return [int(each) for each in plain.split(".") if each.isdecimal()]


def network_policies(observed: Observed) -> Cell:
    """Returns who acts on NetworkPolicy objects: that nobody does is trouble where there are any."""
    policies, cni = observed.network_policies, observed.vpc_cni_policies
    where = sorted({pod.node for pod in observed.pods.fact or () if ENFORCER in pod.roles and pod.ready})
    evidence = (policies.evidence(policies.fact), cni.evidence(cni.fact), observed.pods.evidence(where))
    count = f"{len(policies.fact)} of them" if policies.fact is not None else f"not shown: {policies.error}"
    if where:
        return Cell(f"{ENFORCER} on {', '.join(where)}; {count}", evidence, "good")
    if cni.fact:
        return Cell(f"the VPC CNI; {count}", evidence, "good")
    if policies.fact:
        return Cell(f"nobody acts on them: {', '.join(policies.fact)}", evidence, "bad")
    return Cell(f"nobody would act on them; {count}", evidence, "unknown")


def replicas(observed: Observed) -> Iterator[tuple[str, Cell]]:
    """Yields a cell for CoreDNS and for each Deployment of two or more replicas, of kube-system and the sample app."""
    auto = observed.eks_cluster.fact is not None and observed.eks_cluster.fact.auto_mode
    system = observed.deployments
    if system.fact is not None and not auto and not any(each.name == COREDNS for each in system.fact):
        yield COREDNS, Cell("no such Deployment: no name is resolved", (system.evidence([]),), "bad")
    app = observed.outputs.sample_app.deployment
    if observed.app_deployments.fact is not None and app not in (each.name for each in observed.app_deployments.fact):
        yield app, Cell("no such Deployment", (observed.app_deployments.evidence([]),), "warning")
    for deployments, pods in ((system, observed.pods), (observed.app_deployments, observed.app_pods)):
        for each in deployments.fact or ():
            if each.replicas > 1 or each.name in (COREDNS, app):
                yield each.name, _replicas(observed, each, deployments, pods)


def _replicas(
    observed: Observed,
    deployment: Deployment,
    deployments: Seen[tuple[Deployment, ...]],
    pods: Seen[tuple[Pod, ...]],
) -> Cell:
    own = [
        pod
        for pod in pods.fact or ()
        if pod.owner.rpartition("-")[0] == f"ReplicaSet/{deployment.name}" and pod.node and not pod.ending
    ]
    count = Counter(pod.node for pod in own)
    open_nodes = [
        node.name
        for node in observed.nodes.fact or ()
        if node.ready and node.schedulable and ("" in deployment.tolerates or {*node.taints} <= {*deployment.tolerates})
    ]
    where = [f"{number} on {name}" for name, number in sorted(count.items())]
    if empty := [name for name in open_nodes if not count[name]]:
        where.append(f"none on {', '.join(empty) if len(empty) < 4 else f'{len(empty)} others'}")
    evidence = (
        deployments.evidence(deployment),
        pods.evidence({pod.name: pod.node for pod in own}),
        observed.nodes.evidence(open_nodes),
    )
    spread = ", ".join(where) or "nowhere"
    if deployment.name == COREDNS and not deployment.replicas:
        return Cell("scaled to 0: no name is resolved", evidence, "bad")
    if not deployment.replicas:
        return Cell("scaled to 0", evidence, "warning")
    if deployment.ready < deployment.replicas:
        value = f"{deployment.ready} of {deployment.replicas} ready: {spread}"
        return Cell(value, evidence, "bad" if deployment.name == COREDNS and not deployment.ready else "warning")
    numbers = [count[name] for name in open_nodes]
    if numbers and max(numbers) - min(numbers) > 1:
        return Cell(f"not spread: {spread}", evidence, "warning")
    return Cell(spread, evidence, "good")


UPKEEP = "Upkeep"
ROWS = (
    Row("nodes", UPKEEP, nodes),
    Row("versions", UPKEEP, versions),
    Row("certificates", UPKEEP, certificates),
    Row("authorities", UPKEEP, authorities),
    Row("network policies", UPKEEP, network_policies),
)


def upkeep(observed: Observed) -> dict[str, Cell]:
    """Returns aspect -> cell, in the order of the report. Deployments are aspects, by name."""
    return {row.aspect: row.how(observed) for row in ROWS} | dict(replicas(observed))

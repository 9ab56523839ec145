"""Which machine is which: a Node, an EC2 instance and a machine that the stack exports are one thing seen thrice."""

from __future__ import annotations

from dataclasses import dataclass

from twinplane import outputs
from twinplane.compare.evidence import Evidence
from twinplane.compare.observe import Observed
from twinplane.compare.probes.instances import Instance
from twinplane.compare.probes.machines import Inside
from twinplane.compare.probes.nodes import Node
from twinplane.compare.probes.probe import Seen

#: What kubeadm has the kubelet of every control plane run from manifests.
STATIC_PODS = ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager")


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster. `node`, `instance` and `inside` are None where nobody shows or opens it to us."""

    name: str
    address: str
    control_plane: bool
    node: Node | None
    instance: Instance | None
    inside: Inside | None
    ssh: Seen[str]
    #: As the stack exports it; None for what the cloud made.
    exported: outputs.Machine | None

    def lacks_manifest(self, component: str) -> bool:
        """Returns whether the kubelet of this control plane is no longer asked to run the component."""
        if self.inside is None or not self.control_plane:
            return False
        return component in STATIC_PODS and component not in self.inside.manifests

    @property
    def reached(self) -> bool:
        """Logged in by SSH."""
        return self.inside is not None

    def title(self) -> str:
        """Name and instance, e.g. "cp-0 (i-0ab, t3.medium)"."""
        if self.instance is None:
            return self.name
        return f"{self.name} ({self.instance.id}, {self.instance.type})"


def machines(observed: Observed) -> tuple[Machine, ...]:
    """Every Node of the cluster and every machine that the stack exports, by name."""
    instances = {each.address: each for each in observed.instances.fact or ()}
    inside = observed.machines.fact.machines if observed.machines.fact else {}
    nodes = {node.address: node for node in observed.nodes.fact or ()}
    exports = {machine.private_ip: machine for machine in observed.outputs.machines}
    found = []
    for address in sorted(nodes.keys() | exports.keys()):
        node, exported = nodes.get(address), exports.get(address)
        found.append(
            Machine(
                name=node.name if node else exported.name if exported else address,
                address=address,
                control_plane=bool((node and node.control_plane) or (exported and exported.role == "control-plane")),
                node=node,
                instance=instances.get(address),
                inside=inside.get(exported.name) if exported else None,
                ssh=observed.ssh_ports[address],
                exported=exported,
            )
        )
    return tuple(sorted(found, key=lambda machine: (not machine.control_plane, machine.name)))


def instance_evidence(observed: Observed, machine: Machine | None) -> Evidence:
    """That the account has this instance; without a machine, all that it has."""
    if machine is None:
        return observed.instances.evidence([each.id for each in observed.instances.fact or ()])
    return observed.instances.evidence(machine.instance)

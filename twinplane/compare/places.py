"""Which machine is which: a Node, an EC2 instance and a machine that the stack exports are one thing seen thrice."""

from __future__ import annotations

from dataclasses import dataclass

from twinplane import outputs
from twinplane.compare.evidence import Evidence
from twinplane.compare.observe import Observed
from twinplane.compare.probes import Instance, Machine, Node, Seen

#: What kubeadm has the kubelet of every control plane run from manifests.
STATIC_PODS = ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager")


@dataclass(frozen=True)
class Place:
    """A machine of the cluster. `node`, `instance` and `inside` are None where nobody shows or opens it to us."""

    name: str
    address: str
    control_plane: bool
    node: Node | None
    instance: Instance | None
    inside: Machine | None
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


def places(observed: Observed) -> tuple[Place, ...]:
    """Every Node of the cluster and every machine that the stack exports, by name."""
    instances = {each.address: each for each in observed.instances.fact or ()}
    inside = observed.machines.fact.machines if observed.machines.fact else {}
    nodes = {node.address: node for node in observed.nodes.fact or ()}
    exported = {machine.private_ip: machine for machine in observed.outputs.machines}
    found = []
    for address in sorted(nodes.keys() | exported.keys()):
        node, machine = nodes.get(address), exported.get(address)
        found.append(
            Place(
                name=node.name if node else machine.name if machine else address,
                address=address,
                control_plane=bool((node and node.control_plane) or (machine and machine.role == "control-plane")),
                node=node,
                instance=instances.get(address),
                inside=inside.get(machine.name) if machine else None,
                ssh=observed.ssh_ports[address],
                exported=machine,
            )
        )
    return tuple(sorted(found, key=lambda place: (not place.control_plane, place.name)))


def instance_evidence(observed: Observed, place: Place | None) -> Evidence:
    """That the account has this instance; without a place, all that it has."""
    if place is None:
        return observed.instances.evidence([each.id for each in observed.instances.fact or ()])
    return observed.instances.evidence(place.instance)

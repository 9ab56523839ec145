"""SecurityGroups: who reaches which port of a self-managed cluster's machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.machines.opening import API, ETCD, KUBELET, NODE_PORTS, PODS, SSH, VXLAN, Opening


@dataclass(frozen=True)
class SecurityGroupsArgs:
    """What SecurityGroups are made from."""

    vpc_id: pulumi.Input[str]
    #: IPv4 blocks that reach the API.
    api_cidrs: Sequence[str]
    #: IPv4 blocks that reach SSH.
    ssh_cidrs: Sequence[str]
    #: Range of pods that the VPC's routes lead to; None: they reach each other in a tunnel between the machines.
    routed_pod_cidr: IPv4Network | None = None
    #: True: `api_cidrs` reach a public load balancer, which machines do not use; False: the machines' own.
    api_public: bool = False
    #: Of the group of every machine, besides.
    machine_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Group:
    """A security group, and its name in the names of rules."""

    name: str
    id: pulumi.Output[str]


class SecurityGroups(pulumi.ComponentResource):
    """A group for every machine, one more for control planes, and one for each load balancer of the API.

    Opened from group to group; people come by CIDR.
    """

    #: Of every machine.
    machine_id: pulumi.Output[str]
    #: Of control planes, besides.
    control_plane_id: pulumi.Output[str]
    #: Of the load balancer by which machines reach the API.
    balancer_id: pulumi.Output[str]
    #: Of the public one; None where there is none.
    public_balancer_id: pulumi.Output[str] | None
    #: What they let through. Who is to be reached from its start on depends on these.
    rules: list[pulumi.CustomResource]

    def __init__(self, name: str, args: SecurityGroupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:network:SecurityGroups", name, None, opts)
        self._prefix, self._vpc_id, self._child = name, args.vpc_id, pulumi.ResourceOptions(parent=self)
        machine = self._group("machine", "machines", "Machines of the cluster", args.machine_tags)
        control_plane = self._group("control-plane", "control-planes", "Control planes of the cluster")
        balancer = public = self._group("balancer", "balancer", "Load balancer of the API")
        if args.api_public:
            public = self._group("public-balancer", "public-balancer", "Public load balancer of the API")
        balancers = dict.fromkeys((balancer, public))

        self.rules = [
            *(self._ingress(machine, SSH, cidr) for cidr in args.ssh_cidrs),
            *self._between(machine, args.routed_pod_cidr),
            *(self._ingress(public, API, cidr, whose=f"{public.name}-") for cidr in args.api_cidrs),
            self._ingress(balancer, API, machine, whose=f"{balancer.name}-"),
            *(self._ingress(control_plane, API, each) for each in balancers),
            # Pods find API servers by their own addresses, as endpoints of the Service `kubernetes`.
            self._ingress(control_plane, API, machine),
            self._ingress(control_plane, ETCD, control_plane),
            self._egress(machine, "out", "packages, images, AWS", cidr_ipv4="0.0.0.0/0", ip_protocol="-1"),
            *(self._to_control_planes(each, control_plane) for each in balancers),
        ]
        self.machine_id, self.control_plane_id = machine.id, control_plane.id
        self.balancer_id = balancer.id
        self.public_balancer_id = public.id if args.api_public else None
        outputs = ("machine_id", "control_plane_id", "balancer_id", "public_balancer_id")
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _group(self, role: str, name: str, description: str, more: Mapping[str, str] | None = None) -> Group:
        full = f"{self._prefix}-{role}"
        own = tags.named(full, more)
        made = aws.ec2.SecurityGroup(full, vpc_id=self._vpc_id, description=description, tags=own, opts=self._child)
        return Group(name, made.id)

    def _between(self, machine: Group, routed_pod_cidr: IPv4Network | None) -> list[pulumi.CustomResource]:
        """Makes what machines reach of each other, and their pods."""
        if routed_pod_cidr is not None:  # packets with a pod's address come from no group
            return [self._ingress(machine, PODS, machine), self._ingress(machine, PODS, str(routed_pod_cidr))]
        # Pods of any machine ask all kubelets for what they use: metrics-server. Their packets come from the machine.
        return [self._ingress(machine, opening, machine) for opening in (KUBELET, VXLAN, NODE_PORTS)]

    def _ingress(self, group: Group, opening: Opening, source: Group | str, whose: str = "") -> pulumi.CustomResource:
        """Lets a group or a block reach an opening. `whose` names the group where others have the same opening."""
        cidr, peer = (source, None) if isinstance(source, str) else (None, source)
        who = cidr or (peer.name if peer else "")
        full = f"{self._prefix}-{whose}{opening.purpose}-from-{who.replace('/', '-')}"
        return aws.vpc.SecurityGroupIngressRule(
            full,
            security_group_id=group.id,
            referenced_security_group_id=peer.id if peer else None,
            cidr_ipv4=cidr,
            description=f"{opening.purpose} from {who}",
            tags=tags.named(full),
            opts=self._child,
            **opening.ports,
        )

    def _egress(self, group: Group, suffix: str, description: str, **to: Any) -> pulumi.CustomResource:
        full = f"{self._prefix}-{suffix}"
        return aws.vpc.SecurityGroupEgressRule(
            full, security_group_id=group.id, description=description, tags=tags.named(full), opts=self._child, **to
        )

    def _to_control_planes(self, balancer: Group, control_plane: Group) -> pulumi.CustomResource:
        behind = {"referenced_security_group_id": control_plane.id, **API.ports}
        return self._egress(balancer, f"{balancer.name}-out", "control planes", **behind)

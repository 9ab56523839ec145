"""SecurityGroups: who reaches which port of a self-managed cluster's machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import pulumi
import pulumi_aws as aws

from components.base import tags


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


@dataclass(frozen=True)
class Opening:
    """Ports of one protocol."""

    purpose: str
    protocol: str
    first: int
    last: int

    @property
    def ports(self) -> dict[str, Any]:
        """As the rules of security groups take them."""
        ports = {} if self.protocol == "-1" else {"from_port": self.first, "to_port": self.last}
        return {"ip_protocol": self.protocol, **ports}


SSH = Opening("ssh", "tcp", 22, 22)
API = Opening("api", "tcp", 6443, 6443)
ETCD = Opening("etcd", "tcp", 2379, 2380)
#: Ports of https://kubernetes.io/docs/reference/networking/ports-and-protocols/, and of the pod network.
KUBELET = Opening("kubelet", "tcp", 10250, 10250)
VXLAN = Opening("vxlan", "udp", 4789, 4789)
NODE_PORTS = Opening("node-ports", "tcp", 30000, 32767)
#: A machine's group is its pods', too: it cannot tell their ports from the machine's.
PODS = Opening("pods", "-1", 0, 0)


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
        child = pulumi.ResourceOptions(parent=self)

        def group(role: str, description: str, more: Mapping[str, str] | None = None) -> aws.ec2.SecurityGroup:
            full = f"{name}-{role}"
            return aws.ec2.SecurityGroup(
                full, vpc_id=args.vpc_id, description=description, tags=tags.named(full, more), opts=child
            )

        machine = group("machine", "Machines of the cluster", args.machine_tags)
        control_plane = group("control-plane", "Control planes of the cluster")
        balancers = {"balancer": group("balancer", "Load balancer of the API")}
        if args.api_public:
            balancers["public-balancer"] = group("public-balancer", "Public load balancer of the API")
        names = {id(each): role for role, each in balancers.items()}
        names |= {id(machine): "machines", id(control_plane): "control-planes"}
        *_, entrance = balancers.values()

        def opening(
            group: aws.ec2.SecurityGroup, what: Opening, source: aws.ec2.SecurityGroup | str
        ) -> pulumi.CustomResource:
            cidr, peer = (source, None) if isinstance(source, str) else (None, source.id)
            who = cidr or names[id(source)]
            # What reaches the API is said of each: the balancers, and the control planes behind them.
            whose = f"{names[id(group)]}-" if group in balancers.values() else ""
            full = f"{name}-{whose}{what.purpose}-from-{who.replace('/', '-')}"
            return aws.vpc.SecurityGroupIngressRule(
                full,
                security_group_id=group.id,
                referenced_security_group_id=peer,
                cidr_ipv4=cidr,
                description=f"{what.purpose} from {who}",
                tags=tags.named(full),
                opts=child,
                **what.ports,
            )

        # Pods of any machine ask all kubelets for what they use: metrics-server. Their packets come from the machine.
        between: list[tuple[Opening, aws.ec2.SecurityGroup | str]] = [
            (KUBELET, machine),
            (VXLAN, machine),
            (NODE_PORTS, machine),
        ]
        if args.routed_pod_cidr is not None:
            # Packets with a pod's address come from no group.
            between = [(PODS, machine), (PODS, str(args.routed_pod_cidr))]
        rules = [
            *(opening(machine, SSH, cidr) for cidr in args.ssh_cidrs),
            *(opening(machine, what, source) for what, source in between),
            *(opening(entrance, API, cidr) for cidr in args.api_cidrs),
            opening(balancers["balancer"], API, machine),
            *(opening(control_plane, API, each) for each in balancers.values()),
            # Pods find API servers by their own addresses, as endpoints of the Service `kubernetes`.
            opening(control_plane, API, machine),
            opening(control_plane, ETCD, control_plane),
        ]

        def leaving(group: aws.ec2.SecurityGroup, full: str, description: str, **to: Any) -> pulumi.CustomResource:
            own = tags.named(full)
            return aws.vpc.SecurityGroupEgressRule(
                full, security_group_id=group.id, description=description, tags=own, opts=child, **to
            )

        out = leaving(machine, f"{name}-out", "packages, images, AWS", cidr_ipv4="0.0.0.0/0", ip_protocol="-1")
        behind = {"referenced_security_group_id": control_plane.id, **API.ports}
        passed = [leaving(each, f"{name}-{role}-out", "control planes", **behind) for role, each in balancers.items()]

        self.machine_id, self.control_plane_id = machine.id, control_plane.id
        self.balancer_id = balancers["balancer"].id
        self.public_balancer_id = entrance.id if args.api_public else None
        self.rules = [*rules, out, *passed]
        told = ("machine_id", "control_plane_id", "balancer_id", "public_balancer_id")
        self.register_outputs({each: getattr(self, each) for each in told})

"""The guards of who reaches what: security groups, the API's endpoint, load balancers of Services and Ingresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from policies.inputs import Inputs, listed

#: A range with a shorter prefix is the world, or as good: who needs more than 10.0.0.0/8 names several.
SHORTEST = 8
#: SSH, and the API server as kubeadm and as EKS serve it.
GUARDED_PORTS = {22: "SSH", 443: "the Kubernetes API", 6443: "the Kubernetes API"}
#: Every protocol, as the provider takes it.
ALL = ("-1", "all")
#: Security groups with their rules inside.
GROUPS = ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
LISTS = (
    "aws:ec2/managedPrefixList:ManagedPrefixList",
    "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry",
)
#: Controllers whose Ingresses are application load balancers: the AWS Load Balancer Controller, and EKS Auto Mode's.
ALB_CONTROLLERS = ("ingress.k8s.aws/alb", "eks.amazonaws.com/alb")
ALB = "alb.ingress.kubernetes.io/"
#: What says in an Ingress who reaches its balancer. Security groups have guards of their own.
REACHED_BY = (f"{ALB}inbound-cidrs", f"{ALB}security-group-prefix-lists", f"{ALB}security-groups")


@dataclass(frozen=True)
class Rule:
    """One ingress rule, whichever resource says it."""

    cidrs: Sequence[str]
    first: int
    last: int
    protocol: str

    def opens(self, port: int) -> bool:
        """Returns True where it lets packets through to the port. Port -1 is all of them."""
        return self.protocol in ALL or -1 in (self.first, self.last) or self.first <= port <= self.last

    @property
    def alone(self) -> bool:
        """True where it is about one port."""
        return self.protocol not in ALL and self.first == self.last != -1


def no_world_open_access(kind: str, inputs: Inputs) -> Iterator[str]:
    """SSH and the API are open to named ranges only, and load balancers to the world only where asked."""
    for rule in _rules(kind, inputs):
        if not world(rule.cidrs):
            continue
        for port, service in GUARDED_PORTS.items():
            # 443 is also what a load balancer serves; there it may face the world.
            if rule.opens(port) and not (port == 443 and rule.alone):
                yield f"{service} (port {port}) is open to the world: name the ranges in sshCidrs or apiCidrs"
    if kind in LISTS:
        entries = [inputs] if kind == LISTS[1] else listed(inputs.get("entries"))
        if world(entry["cidr"] for entry in entries if entry.get("cidr")):
            yield "the prefix list has the world in it, and no rule that names the list would show it: name the ranges"
    if kind == "aws:eks/cluster:Cluster":
        vpc = inputs.get("vpcConfig") or {}
        ranges = vpc.get("publicAccessCidrs")
        if vpc.get("endpointPublicAccess", True) and (not ranges or world(ranges)):
            yield "the public endpoint answers the world: set publicAccessCidrs (apiCidrs in the stack's config)"
    if kind == "aws:eks/nodeGroup:NodeGroup":
        access = inputs.get("remoteAccess") or {}
        # https://docs.aws.amazon.com/eks/latest/APIReference/API_RemoteAccessConfig.html
        if access.get("ec2SshKey") and not access.get("sourceSecurityGroupIds"):
            yield "EKS would open SSH (port 22) of all nodes to the world: set remoteAccess.sourceSecurityGroupIds"
    yield from _balancers(kind, inputs)


def _balancers(kind: str, inputs: Inputs) -> Iterator[str]:
    """The same of what the cluster's controllers make load balancers of."""
    api, _, name = kind.removesuffix("Patch").partition("/")
    spec = (inputs.get("spec") or {}) if api.startswith("kubernetes:") else {}
    what = name.rpartition(":")[2]
    if api == "kubernetes:core" and what == "Service":
        annotated = _annotations(inputs).get("service.beta.kubernetes.io/load-balancer-source-ranges")
        if spec.get("type") == "LoadBalancer" and not (spec.get("loadBalancerSourceRanges") or annotated):
            yield "the load balancer answers the world: set loadBalancerSourceRanges (appCidrs in the stack's config)"
    if what == "IngressClass" and spec.get("controller") in ALB_CONTROLLERS and not spec.get("parameters"):
        yield (
            "load balancers of the class would answer the world: "
            "give it parameters, IngressClassParams with inboundCIDRs (appCidrs in the stack's config)"
        )
    if what == "IngressClassParams" and not (spec.get("inboundCIDRs") or spec.get("prefixListsIDs")):
        yield "load balancers of the class would answer the world: set inboundCIDRs (appCidrs in the stack's config)"


def ingress_of_a_guarded_class(resources: Sequence[tuple[str, str, Inputs]]) -> Iterator[str]:
    """An Ingress for application load balancers says who reaches it, or is of a class of this stack, which does.

    `resources` are the names, types and inputs of all that the stack has.
    """
    kinds: dict[str, list[tuple[str, Inputs]]] = {"Ingress": [], "IngressClass": []}
    for name, kind, inputs in resources:
        if kind.startswith("kubernetes:networking.k8s.io/"):
            kinds.get(kind.removesuffix("Patch").rpartition(":")[2], []).append((name, inputs))
    classes = {(inputs.get("metadata") or {}).get("name") for _, inputs in kinds["IngressClass"]}
    for name, inputs in kinds["Ingress"]:
        annotations = _annotations(inputs)
        chosen = (inputs.get("spec") or {}).get("ingressClassName") or annotations.get("kubernetes.io/ingress.class")
        ours = chosen == "alb" or any(key.startswith(ALB) for key in annotations)
        if ours and chosen not in classes and not any(annotations.get(key) for key in REACHED_BY):
            yield (
                f"{name}: its load balancer may answer the world, for class {chosen or 'unset'} is not of this stack: "
                f"set the annotation {REACHED_BY[0]}"
            )


def world(ranges: Iterable[str]) -> bool:
    """Halves of the world are no less open than the whole, nor is 2000::/3, all of IPv6 that is in use."""
    return any(ip_network(each, strict=False).prefixlen < SHORTEST for each in ranges)


def _annotations(inputs: Inputs) -> Inputs:
    found: Inputs = (inputs.get("metadata") or {}).get("annotations") or {}
    return found


def _rules(kind: str, inputs: Inputs) -> Iterator[Rule]:
    if kind in GROUPS:
        yield from (_rule(rule) for rule in listed(inputs.get("ingress")))
    if kind == "aws:ec2/securityGroupRule:SecurityGroupRule" and inputs.get("type") == "ingress":
        yield _rule(inputs)
    if kind == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
        # Not all of the inputs: during a preview, reading one that is not known yet ends the guard.
        ports = {"fromPort": inputs.get("fromPort"), "toPort": inputs.get("toPort")}
        cidrs = [inputs[key] for key in ("cidrIpv4", "cidrIpv6") if inputs.get(key)]
        yield _rule({**ports, "cidrBlocks": cidrs, "protocol": inputs.get("ipProtocol")})


def _rule(rule: Inputs) -> Rule:
    cidrs = [*listed(rule.get("cidrBlocks")), *listed(rule.get("ipv6CidrBlocks"))]
    first, last = (int(rule.get(key) or 0) for key in ("fromPort", "toPort"))
    protocol: Any = rule.get("protocol")
    # Numbers come as text or as numbers, which are floats.
    text = str(int(protocol)) if isinstance(protocol, int | float) else str(protocol).lower()
    return Rule(cidrs, first, last, text)

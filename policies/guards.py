"""The guards. Each is a pure function from a resource's type and inputs to sentences that say what to change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy

Inputs = Mapping[str, Any]
Rule = Callable[[str, Inputs], Iterable[str]]

#: A range with a shorter prefix is the world, or as good: who needs more than 10.0.0.0/8 names several.
SHORTEST = 8
#: SSH, and the API server as kubeadm and as EKS serve it.
GUARDED_PORTS = {22: "SSH", 443: "the Kubernetes API", 6443: "the Kubernetes API"}
#: Resource types that take tags and cost money or outlive a stack: a scan by tag must find them.
TAGGED = {
    "aws:ec2/instance:Instance",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/eip:Eip",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:ec2transitgateway/instanceConnectEndpoint:InstanceConnectEndpoint",
    "aws:ec2/flowLog:FlowLog",
    "aws:ec2/launchTemplate:LaunchTemplate",
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:ecr/repository:Repository",
    "aws:eks/cluster:Cluster",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:kms/key:Key",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:lb/targetGroup:TargetGroup",
    "aws:acm/certificate:Certificate",
    "aws:s3/bucket:Bucket",
    "aws:ebs/volume:Volume",
}
#: What anyone may get of a bucket: who signs a cluster's tokens, and the public keys to them.
ISSUER_DOCUMENTS = {".well-known/openid-configuration", "openid/v1/jwks"}
REQUIRED_TAGS = ("Project", "Stack", "ManagedBy")


def no_world_open_access(kind: str, inputs: Inputs) -> Iterator[str]:
    """SSH and the API are open to named ranges only, and load balancers of Services to the world only where asked."""
    for rule in _ingress(kind, inputs):
        if not _world(rule["cidrs"]):
            continue
        for port, service in GUARDED_PORTS.items():
            # 443 is also what a load balancer serves; there it may face the world.
            if port == 443 and rule["first"] == rule["last"]:
                continue
            if rule["all"] or rule["first"] <= port <= rule["last"]:
                yield f"{service} (port {port}) is open to the world: name the ranges in sshCidrs or apiCidrs"
    if kind == "aws:eks/cluster:Cluster":
        vpc = inputs.get("vpcConfig") or {}
        ranges = vpc.get("publicAccessCidrs")
        if vpc.get("endpointPublicAccess", True) and (not ranges or _world(ranges)):
            yield "the public endpoint answers the world: set publicAccessCidrs (apiCidrs in the stack's config)"
    if kind == "kubernetes:core/v1:Service":
        spec = inputs.get("spec") or {}
        if spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerSourceRanges"):
            yield "the load balancer answers the world: set loadBalancerSourceRanges (appCidrs in the stack's config)"


def _world(ranges: Iterable[str]) -> bool:
    """Halves of the world are no less open than the whole, nor is 2000::/3, all of IPv6 that is in use."""
    return any(ip_network(each, strict=False).prefixlen < SHORTEST for each in ranges)


def _ingress(kind: str, inputs: Inputs) -> Iterator[dict[str, Any]]:
    if kind == "aws:ec2/securityGroup:SecurityGroup":
        yield from (_rule(rule, "protocol") for rule in inputs.get("ingress") or [])
    if kind == "aws:ec2/securityGroupRule:SecurityGroupRule" and inputs.get("type") == "ingress":
        yield _rule(inputs, "protocol")
    if kind == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
        # Not all of the inputs: during a preview, reading one that is not known yet ends the guard.
        ports = {key: inputs.get(key) for key in ("fromPort", "toPort", "ipProtocol")}
        cidrs = [inputs[key] for key in ("cidrIpv4", "cidrIpv6") if inputs.get(key)]
        yield _rule({**ports, "cidrBlocks": cidrs}, "ipProtocol")


def _rule(rule: Inputs, protocol: str) -> dict[str, Any]:
    return {
        "cidrs": [*(rule.get("cidrBlocks") or []), *(rule.get("ipv6CidrBlocks") or [])],
        "first": int(rule.get("fromPort") or 0),
        "last": int(rule.get("toPort") or 0),
        "all": str(rule.get(protocol)) == "-1",
    }


def imdsv2_only(kind: str, inputs: Inputs) -> Iterator[str]:
    """Instance metadata answers only to a session token."""
    if kind not in {"aws:ec2/instance:Instance", "aws:ec2/launchTemplate:LaunchTemplate"}:
        return
    if (inputs.get("metadataOptions") or {}).get("httpTokens") != "required":
        yield "instance metadata answers without a token (IMDSv1): set metadataOptions.httpTokens to required"


def encrypted_at_rest(kind: str, inputs: Inputs) -> Iterator[str]:
    """Disks, repositories and the cluster's Secrets are encrypted. Buckets are anyway.

    S3 encrypts all that is written, and it cannot be turned off:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html
    """
    if kind == "aws:ec2/instance:Instance":
        disks = [inputs.get("rootBlockDevice") or {}, *(inputs.get("ebsBlockDevices") or [])]
        if not all(disk.get("encrypted") for disk in disks):
            yield "a volume is not encrypted: set encrypted on rootBlockDevice and on every ebsBlockDevice"
    if kind == "aws:ec2/launchTemplate:LaunchTemplate":
        disks = [mapping.get("ebs") or {} for mapping in inputs.get("blockDeviceMappings") or [{}]]
        # The EC2 API takes this one as text.
        if not all(str(disk.get("encrypted")).lower() == "true" for disk in disks):
            yield "nodes would get an unencrypted volume: set ebs.encrypted in every blockDeviceMapping"
    if kind == "aws:ebs/volume:Volume" and not inputs.get("encrypted"):
        yield "the volume is not encrypted: set encrypted"
    if kind == "aws:eks/cluster:Cluster" and not inputs.get("encryptionConfig"):
        yield "Secrets are not encrypted with a key of yours: set encryptionConfig"
    if kind == "aws:ecr/repository:Repository":
        kinds = {each.get("encryptionType") for each in inputs.get("encryptionConfigurations") or []}
        if kinds != {"KMS"}:
            yield "images are not encrypted with KMS: set encryptionConfigurations"


def tagged(kind: str, inputs: Inputs) -> Iterator[str]:
    """What costs money or can be left behind carries the tags of components/tags.py."""
    if kind in TAGGED:
        missing = [tag for tag in REQUIRED_TAGS if not (inputs.get("tags") or {}).get(tag)]
        if missing:
            yield f"tags missing: {', '.join(missing)}; take them from components/tags.py"


def standard_support_only(kind: str, inputs: Inputs) -> Iterator[str]:
    """No cluster drifts into extended support, which costs six times as much an hour."""
    if kind == "aws:eks/cluster:Cluster" and (inputs.get("upgradePolicy") or {}).get("supportType") != "STANDARD":
        yield "the cluster would go into extended support by itself: set upgradePolicy.supportType to STANDARD"


def no_public_nodes(kind: str, inputs: Inputs) -> Iterator[str]:
    """No subnet and no node group hands out public addresses.

    A node in a public subnet has one only where the subnet or the launch template says so; which subnets a group is in
    says nothing, and a guard sees their ids alone.
    """
    if kind == "aws:ec2/subnet:Subnet" and inputs.get("mapPublicIpOnLaunch"):
        yield "machines of this subnet would get public addresses unasked: leave mapPublicIpOnLaunch false"
    if kind == "aws:ec2/launchTemplate:LaunchTemplate" and any(
        each.get("associatePublicIpAddress") in (True, "true") for each in inputs.get("networkInterfaces") or []
    ):
        yield "nodes would get public addresses: leave associatePublicIpAddress out of the launch template"


def private_machines(kind: str, inputs: Inputs) -> Iterator[str]:
    """Machines have no public address."""
    if kind == "aws:ec2/instance:Instance" and inputs.get("associatePublicIpAddress"):
        yield (
            "the machine would get a public address: put it in a private subnet (machineSubnets: private); where it is "
            "to have one, lower private-machines with --policy-pack-config"
        )


def no_public_buckets(kind: str, inputs: Inputs) -> Iterator[str]:
    """Nobody reads a bucket without rights, but for what an OpenID Connect issuer shows the world: its public keys."""
    if kind == "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock" and not (
        inputs.get("blockPublicAcls") and inputs.get("ignorePublicAcls")
    ):
        yield "access lists could open the bucket: set blockPublicAcls and ignorePublicAcls"
    if kind != "aws:s3/bucketPolicy:BucketPolicy":
        return
    for statement in _listed(json.loads(inputs["policy"])["Statement"]):
        if statement["Effect"] == "Allow" and _anyone(statement):
            objects = [each.partition("/")[2] for each in _listed(statement.get("Resource", []))]
            documents = bool(objects) and ISSUER_DOCUMENTS.issuperset(objects)
            if _listed(statement.get("Action")) != ["s3:GetObject"] or not documents:
                yield "its policy lets anyone in: name who may, or let them get an issuer's two documents alone"


def _anyone(statement: Mapping[str, Any]) -> bool:
    """True where a statement is about all the world, or about all of it but some."""
    principal = statement.get("Principal", {})
    named = principal.get("AWS", []) if isinstance(principal, dict) else principal
    return "NotPrincipal" in statement or "*" in _listed(named)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


RULES: tuple[Rule, ...] = (
    no_world_open_access,
    imdsv2_only,
    encrypted_at_rest,
    tagged,
    standard_support_only,
    no_public_nodes,
    private_machines,
    no_public_buckets,
)


def _policy(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for sentence in rule(args.resource_type, args.props):
            report(f"{args.name}: {sentence}", None)

    return ResourceValidationPolicy(
        name=rule.__name__.replace("_", "-"),
        description=(rule.__doc__ or "").splitlines()[0],
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


GUARDS: tuple[ResourceValidationPolicy, ...] = tuple(_policy(rule) for rule in RULES)

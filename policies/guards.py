"""The guards. Each is a pure function from a resource's type and inputs to sentences that say what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from policies.inputs import Inputs, listed
from policies.machines import encrypted_at_rest, imdsv2_only, no_public_nodes, private_machines
from policies.openings import ingress_of_a_guarded_class, no_world_open_access
from policies.sharing import immutable_tags, no_public_buckets, no_public_images

Rule = Callable[[str, Inputs], Iterable[str]]

#: Resource types that take tags and cost money or outlive a stack: a scan by tag must find them.
TAGGED = {
    "aws:ec2/instance:Instance",
    "aws:ec2/spotInstanceRequest:SpotInstanceRequest",
    "aws:ec2/networkInterface:NetworkInterface",
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
    "aws:eks/fargateProfile:FargateProfile",
    "aws:eks/addon:Addon",
    "aws:kms/key:Key",
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:lb/targetGroup:TargetGroup",
    "aws:alb/loadBalancer:LoadBalancer",
    "aws:alb/targetGroup:TargetGroup",
    "aws:elb/loadBalancer:LoadBalancer",
    "aws:acm/certificate:Certificate",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketV2:BucketV2",
    "aws:ebs/volume:Volume",
    "aws:ebs/snapshot:Snapshot",
    "aws:ebs/snapshotCopy:SnapshotCopy",
}
REQUIRED_TAGS = ("Project", "Stack", "ManagedBy")


def tagged(kind: str, inputs: Inputs) -> Iterator[str]:
    """What costs money or can be left behind carries the tags of components/base/tags.py."""
    if kind in TAGGED:
        missing = [tag for tag in REQUIRED_TAGS if not (inputs.get("tags") or {}).get(tag)]
        if missing:
            yield f"tags missing: {', '.join(missing)}; take them from components/base/tags.py"
    for what, tags in _brought(kind, inputs):
        if not all(tags.get(tag) for tag in REQUIRED_TAGS):
            yield f"what the machine brings has no tags, its {what}: take them from components/base/tags.py"


def _brought(kind: str, inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    """What comes with a machine and costs money, with its tags."""
    if kind == "aws:ec2/instance:Instance":
        yield "volume", inputs.get("volumeTags") or (inputs.get("rootBlockDevice") or {}).get("tags") or {}
    if kind == "aws:ec2/launchTemplate:LaunchTemplate":
        found = {each["resourceType"]: each.get("tags") or {} for each in listed(inputs.get("tagSpecifications"))}
        yield from ((what, found.get(what, {})) for what in ("instance", "volume", "network-interface"))


def standard_support_only(kind: str, inputs: Inputs) -> Iterator[str]:
    """No cluster drifts into extended support, which costs six times as much an hour."""
    if kind == "aws:eks/cluster:Cluster" and (inputs.get("upgradePolicy") or {}).get("supportType") != "STANDARD":
        yield "the cluster would go into extended support by itself: set upgradePolicy.supportType to STANDARD"


RULES: tuple[Rule, ...] = (
    no_world_open_access,
    imdsv2_only,
    encrypted_at_rest,
    tagged,
    standard_support_only,
    no_public_nodes,
    private_machines,
    no_public_buckets,
    no_public_images,
    immutable_tags,
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


def _ingresses(args: StackValidationArgs, report: ReportViolation) -> None:
    resources = [(each.name, each.resource_type, each.props) for each in args.resources]
    for sentence in ingress_of_a_guarded_class(resources):
        report(sentence, None)


#: An Ingress alone does not say what its class says.
INGRESSES = StackValidationPolicy(
    name="ingress-of-a-guarded-class",
    description=(ingress_of_a_guarded_class.__doc__ or "").splitlines()[0],
    validate=_ingresses,
    enforcement_level=EnforcementLevel.MANDATORY,
)
GUARDS: tuple[Policy, ...] = (*(_policy(rule) for rule in RULES), INGRESSES)

"""What the one who runs `pulumi up` must be allowed to do, asked of IAM's policy simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stacks.settings import ManagedSettings, SelfManagedSettings
from twinplane.check import Check
from twinplane.live.unanswered import Unanswered

NAME = "permissions"
Call = Callable[..., dict[str, Any]]

#: Resource that each is asked of, `{name}` being the stack's -> actions that make something; docs/aws.md has them all.
BOTH: Mapping[str, str] = {
    "*": "ec2:CreateVpc ec2:CreateSubnet ec2:CreateInternetGateway ec2:CreateRouteTable ec2:CreateRoute "
    "ec2:CreateNatGateway ec2:AllocateAddress ec2:CreateVpcEndpoint ec2:CreateSecurityGroup "
    "ec2:AuthorizeSecurityGroupIngress ec2:CreateTags ec2:RunInstances kms:CreateKey kms:CreateAlias "
    "logs:CreateLogGroup ecr:CreateRepository",
    "arn:{partition}:iam::{account}:role/{name}-a": "iam:CreateRole iam:PutRolePolicy iam:AttachRolePolicy "
    "iam:TagRole iam:GetRole iam:PassRole",
}
MANAGED: Mapping[str, str] = {
    "*": "ec2:CreateLaunchTemplate eks:DescribeAddonVersions",
    "arn:{partition}:eks:{region}:{account}:cluster/{name}": "eks:CreateCluster eks:DescribeCluster "
    "eks:CreateNodegroup eks:CreateAddon eks:CreateAccessEntry eks:CreatePodIdentityAssociation",
}
SELF_MANAGED: Mapping[str, str] = {
    "*": "ec2:ImportKeyPair ec2:CreateVolume ec2:AttachVolume elasticloadbalancing:CreateLoadBalancer "
    "elasticloadbalancing:CreateTargetGroup elasticloadbalancing:CreateListener s3:CreateBucket s3:PutBucketPolicy "
    "s3:PutObject",
    "arn:{partition}:iam::{account}:instance-profile/{name}-a": "iam:CreateInstanceProfile "
    "iam:AddRoleToInstanceProfile",
    "arn:{partition}:iam::{account}:oidc-provider/{name}-issuer.s3.{region}.amazonaws.com": (
        "iam:CreateOpenIDConnectProvider"
    ),
}
#: With sshVia: endpoint.
ENDPOINT = {"*": "ec2:CreateInstanceConnectEndpoint ec2-instance-connect:OpenTunnel"}


def check(settings: ManagedSettings | SelfManagedSettings, caller: str, region: str, project: str, call: Call) -> Check:
    """Asks the simulator for whoever runs it. What an organization's own policies forbid, it does not tell."""
    partition, account = caller.split(":")[1], caller.split(":")[4]
    if caller.endswith(":root"):
        return Check(NAME, "ok", "the account's root user may do everything", "better: a role of your own")
    try:
        principal = _principal(caller, call)
        denied = [
            action
            for resource, actions in _needed(settings).items()
            for action in _denied(
                principal,
                actions.split(),
                resource.format(partition=partition, account=account, region=region, name=settings.name),
                project,
                call,
            )
        ]
    except Unanswered as error:
        return Check(
            NAME, "unknown", f"IAM does not say what {caller} may do ({error})", "docs/aws.md lists what is needed"
        )
    if denied:
        return Check(NAME, "problem", f"{caller} may not {', '.join(denied)}", "allow it: docs/aws.md lists all")
    return Check(NAME, "ok", f"{caller} may make what the stack is made of")


def _needed(settings: ManagedSettings | SelfManagedSettings) -> dict[str, str]:
    """Resource -> actions."""
    parts = [BOTH, MANAGED if isinstance(settings, ManagedSettings) else SELF_MANAGED]
    if isinstance(settings, SelfManagedSettings) and settings.ssh_via == "endpoint":
        parts.append(ENDPOINT)
    if settings.ingress_hosts and settings.ingress_certificate is None:
        parts.append({"*": "acm:ImportCertificate"})
    needed: dict[str, str] = {}
    for part in parts:
        for resource, actions in part.items():
            needed[resource] = f"{needed[resource]} {actions}" if resource in needed else actions
    return needed


def _denied(principal: str, actions: list[str], resource: str, project: str, call: Call) -> list[str]:
    tag = {"ContextKeyName": "aws:RequestTag/Project", "ContextKeyValues": [project], "ContextKeyType": "string"}
    answer = call(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=principal,
        ActionNames=actions,
        ResourceArns=[resource],
        ContextEntries=[tag],
    )
    return [each["EvalActionName"] for each in answer["EvaluationResults"] if each["EvalDecision"] != "allowed"]


def _principal(caller: str, call: Call) -> str:
    """The ARN that IAM knows: of the role, for a session of it, whose own ARN has no path."""
    if ":assumed-role/" not in caller:
        return caller
    role = caller.split(":assumed-role/")[1].split("/", maxsplit=1)[0]
    return str(call("iam", "get_role", RoleName=role)["Role"]["Arn"])

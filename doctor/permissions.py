"""What whoever runs `pulumi up` and the verbs must be allowed to do: the IAM policies in docs/, and the doctor's check.

docs/policy-managed.json and docs/policy-self-managed.json are made from STATEMENTS; tests/test_docs.py holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stacks.settings import ManagedSettings, SelfManagedSettings
from twinplane.check import Check
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import KINDS, Kind

NAME = "permissions"
#: Stands for the project's name in the policies.
PROJECT = "PROJECT"
Call = Callable[..., dict[str, Any]]
Settings = ManagedSettings | SelfManagedSettings


@dataclass(frozen=True)
class Statement:
    """Actions on the same resources. Where AWS names a thing by a number of its own, the resource is `*`."""

    sid: str
    #: Separated by spaces, without the service.
    actions: Mapping[str, str]
    resources: Sequence[str] = ("*",)
    kinds: tuple[Kind, ...] = KINDS
    condition: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    #: Whether a stack with these settings needs it; the doctor asks for no other.
    needed: Callable[[Any], bool] = lambda _settings: True

    @property
    def full(self) -> list[str]:
        """The actions with their service."""
        return [f"{service}:{name}" for service, names in self.actions.items() for name in names.split()]


def _named(*paths: str) -> tuple[str, ...]:
    return tuple(f"arn:aws:{path}" for path in paths)


_CLUSTER, _NODE_GROUP, _ADD_ON = f"cluster/{PROJECT}-*", f"nodegroup/{PROJECT}-*/*/*", f"addon/{PROJECT}-*/*/*"
_TAGS = "TagResource UntagResource ListTagsForResource"
#: Services that the stacks' roles are for.
_TAKERS = ["ec2.amazonaws.com", "eks.amazonaws.com", "pods.eks.amazonaws.com", "vpc-flow-logs.amazonaws.com"]

STATEMENTS = (
    Statement(
        "Look",
        {
            "ec2": "Describe*",
            "elasticloadbalancing": "Describe*",
            "ecr": "GetAuthorizationToken",
            "iam": "GetRole SimulatePrincipalPolicy",
            "kms": "ListAliases",
            "cloudwatch": "GetMetricStatistics",
            "logs": "DescribeLogGroups",
            "servicequotas": "GetServiceQuota",
            "tag": "GetResources",
        },
    ),
    Statement(
        "Network",
        {
            "ec2": "CreateVpc ModifyVpcAttribute DeleteVpc CreateSubnet ModifySubnetAttribute DeleteSubnet "
            "CreateInternetGateway AttachInternetGateway DetachInternetGateway DeleteInternetGateway "
            "CreateRouteTable AssociateRouteTable DisassociateRouteTable ReplaceRouteTableAssociation DeleteRouteTable "
            "CreateRoute ReplaceRoute DeleteRoute AllocateAddress DisassociateAddress ReleaseAddress "
            "CreateNatGateway DeleteNatGateway CreateVpcEndpoint ModifyVpcEndpoint DeleteVpcEndpoints "
            "CreateSecurityGroup DeleteSecurityGroup AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress "
            "RevokeSecurityGroupIngress RevokeSecurityGroupEgress ModifySecurityGroupRules CreateTags DeleteTags",
        },
    ),
    Statement(
        "Roles",
        {
            "iam": "CreateRole DeleteRole UpdateRole UpdateAssumeRolePolicy TagRole UntagRole PutRolePolicy "
            "GetRolePolicy DeleteRolePolicy AttachRolePolicy DetachRolePolicy ListRolePolicies "
            "ListAttachedRolePolicies ListInstanceProfilesForRole",
        },
        _named(f"iam::*:role/{PROJECT}-*"),
    ),
    Statement(
        "GiveRoles",
        {"iam": "PassRole"},
        _named(f"iam::*:role/{PROJECT}-*"),
        condition={"StringEquals": {"iam:PassedToService": _TAKERS}},
    ),
    # An account that has had a cluster, a load balancer and an endpoint has them.
    Statement(
        "ServiceRoles",
        {"iam": "CreateServiceLinkedRole"},
        _named("iam::*:role/aws-service-role/*"),
        needed=lambda _settings: False,
    ),
    Statement(
        "Registry",
        {
            "ecr": "CreateRepository DeleteRepository DescribeRepositories DescribeImages PutImageTagMutability "
            "PutImageScanningConfiguration PutLifecyclePolicy GetLifecyclePolicy DeleteLifecyclePolicy "
            "SetRepositoryPolicy GetRepositoryPolicy DeleteRepositoryPolicy TagResource UntagResource "
            "ListTagsForResource BatchCheckLayerAvailability BatchGetImage InitiateLayerUpload UploadLayerPart "
            "CompleteLayerUpload PutImage",
        },
        _named(f"ecr:*:*:repository/{PROJECT}-*"),
        needed=lambda settings: bool(settings.registry_images),
    ),
    Statement(
        "Keys",
        {
            "kms": "CreateKey DescribeKey GetKeyPolicy PutKeyPolicy GetKeyRotationStatus EnableKeyRotation "
            "DisableKeyRotation UpdateKeyDescription TagResource UntagResource ListResourceTags ScheduleKeyDeletion "
            "CreateAlias UpdateAlias DeleteAlias CreateGrant RetireGrant",
        },
    ),
    Statement(
        "Logs",
        {
            "logs": "CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy AssociateKmsKey "
            "TagResource UntagResource ListTagsForResource",
        },
        _named(f"logs:*:*:log-group:{PROJECT}-*", f"logs:*:*:log-group:/aws/eks/{PROJECT}-*"),
        needed=lambda settings: settings.kind == "managed" or bool(settings.flow_log_days),
    ),
    Statement(
        "FlowLogs",
        {"ec2": "CreateFlowLogs DeleteFlowLogs", "logs": "CreateLogDelivery DeleteLogDelivery"},
        needed=lambda settings: bool(settings.flow_log_days),
    ),
    Statement(
        "Certificates",
        {
            "acm": "ImportCertificate DescribeCertificate DeleteCertificate AddTagsToCertificate "
            "RemoveTagsFromCertificate ListTagsForCertificate",
        },
        needed=lambda settings: bool(settings.ingress_hosts) and settings.ingress_certificate is None,
    ),
    # `twinplane destroy` deletes what the controllers of a cluster that is gone have left.
    Statement("LeftBalancers", {"elasticloadbalancing": "DeleteLoadBalancer DeleteTargetGroup"}),
    Statement(
        "Cluster",
        {
            "eks": "CreateCluster DescribeCluster UpdateClusterConfig UpdateClusterVersion DeleteCluster "
            "AssociateEncryptionConfig ListUpdates CreateNodegroup ListNodegroups CreateAddon ListAddons "
            "CreateAccessEntry ListAccessEntries CreatePodIdentityAssociation ListPodIdentityAssociations "
            f"{_TAGS}",
        },
        _named(f"eks:*:*:{_CLUSTER}"),
        ("managed",),
    ),
    Statement(
        "Updates",
        {"eks": "DescribeUpdate"},
        _named(*(f"eks:*:*:{each}" for each in (_CLUSTER, _NODE_GROUP, _ADD_ON))),
        ("managed",),
    ),
    Statement(
        "NodeGroups",
        {
            "eks": f"DescribeNodegroup UpdateNodegroupConfig UpdateNodegroupVersion DeleteNodegroup {_TAGS}",
        },
        _named(f"eks:*:*:{_NODE_GROUP}"),
        ("managed",),
    ),
    Statement(
        "AddOns",
        {"eks": f"DescribeAddon UpdateAddon DeleteAddon {_TAGS}"},
        _named(f"eks:*:*:{_ADD_ON}"),
        ("managed",),
    ),
    Statement(
        "AccessEntries",
        {
            "eks": "DescribeAccessEntry UpdateAccessEntry DeleteAccessEntry AssociateAccessPolicy "
            f"DisassociateAccessPolicy ListAssociatedAccessPolicies {_TAGS}",
        },
        _named(f"eks:*:*:access-entry/{PROJECT}-*/*/*/*/*"),
        ("managed",),
    ),
    Statement(
        "PodIdentities",
        {
            "eks": f"DescribePodIdentityAssociation UpdatePodIdentityAssociation DeletePodIdentityAssociation {_TAGS}",
        },
        _named(f"eks:*:*:podidentityassociation/{PROJECT}-*/*"),
        ("managed",),
    ),
    Statement(
        "Nodes",
        {
            "ec2": "CreateLaunchTemplate CreateLaunchTemplateVersion ModifyLaunchTemplate DeleteLaunchTemplate "
            "RunInstances",
            "eks": "DescribeAddonVersions DescribeClusterVersions ListClusters",
        },
        kinds=("managed",),
    ),
    Statement("NodeReleases", {"ssm": "GetParameter"}, _named("ssm:*::parameter/aws/service/eks/*"), ("managed",)),
    Statement(
        "Machines",
        {
            "ec2": "RunInstances TerminateInstances StopInstances StartInstances ModifyInstanceAttribute "
            "ModifyInstanceMetadataOptions AssociateIamInstanceProfile ReplaceIamInstanceProfileAssociation "
            "DisassociateIamInstanceProfile CreateVolume ModifyVolume AttachVolume DetachVolume DeleteVolume "
            "ImportKeyPair DeleteKeyPair",
        },
        kinds=("self-managed",),
    ),
    Statement(
        "MachineProfiles",
        {
            "iam": "CreateInstanceProfile GetInstanceProfile DeleteInstanceProfile AddRoleToInstanceProfile "
            "RemoveRoleFromInstanceProfile TagInstanceProfile UntagInstanceProfile",
        },
        _named(f"iam::*:instance-profile/{PROJECT}-*"),
        ("self-managed",),
    ),
    Statement(
        "SshEndpoint",
        {
            "ec2": "CreateInstanceConnectEndpoint ModifyInstanceConnectEndpoint DeleteInstanceConnectEndpoint "
            "CreateNetworkInterface"
        },
        kinds=("self-managed",),
        needed=lambda settings: settings.ssh_via == "endpoint",
    ),
    Statement(
        "Ssh",
        {"ec2-instance-connect": "OpenTunnel"},
        _named("ec2:*:*:instance-connect-endpoint/*"),
        ("self-managed",),
        condition={
            "StringEquals": {"aws:ResourceTag/Project": [PROJECT]},
            "NumericEquals": {"ec2-instance-connect:remotePort": ["22"]},
        },
        needed=lambda settings: settings.ssh_via == "endpoint",
    ),
    Statement(
        "ApiBalancers",
        {
            "elasticloadbalancing": "CreateLoadBalancer ModifyLoadBalancerAttributes SetSecurityGroups SetSubnets "
            "CreateTargetGroup ModifyTargetGroup ModifyTargetGroupAttributes RegisterTargets DeregisterTargets "
            "CreateListener ModifyListener ModifyListenerAttributes DeleteListener AddTags RemoveTags",
        },
        kinds=("self-managed",),
    ),
    Statement(
        "Issuer",
        {
            "iam": "CreateOpenIDConnectProvider GetOpenIDConnectProvider DeleteOpenIDConnectProvider "
            "TagOpenIDConnectProvider UntagOpenIDConnectProvider",
        },
        _named(f"iam::*:oidc-provider/{PROJECT}-*"),
        ("self-managed",),
    ),
    # The provider reads all that a bucket can have.
    Statement(
        "Buckets",
        {
            "s3": "CreateBucket DeleteBucket DeleteBucketPolicy ListBucket ListBucketVersions GetBucket* "
            "PutBucketTagging PutBucketVersioning PutBucketPublicAccessBlock PutBucketOwnershipControls "
            "PutBucketPolicy GetEncryptionConfiguration PutEncryptionConfiguration GetLifecycleConfiguration "
            f"PutLifecycleConfiguration GetAccelerateConfiguration GetReplicationConfiguration {_TAGS}",
        },
        _named(f"s3:::{PROJECT}-*"),
        ("self-managed",),
    ),
    Statement(
        "Objects",
        {
            "s3": "PutObject GetObject DeleteObject DeleteObjectVersion GetObjectTagging PutObjectTagging "
            "AbortMultipartUpload",
        },
        _named(f"s3:::{PROJECT}-*/*"),
        ("self-managed",),
    ),
    Statement("AccountBuckets", {"s3": "GetAccountPublicAccessBlock"}, kinds=("self-managed",)),
)


def policy(kind: Kind) -> dict[str, Any]:
    """Returns the IAM policy for all stacks of a kind in a project."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": each.sid,
                "Effect": "Allow",
                "Action": each.full,
                "Resource": list(each.resources),
                **({"Condition": each.condition} if each.condition else {}),
            }
            for each in STATEMENTS
            if kind in each.kinds
        ],
    }


def check(settings: Settings, caller: str, region: str, project: str, call: Call) -> Check:
    """Asks IAM's policy simulator about whoever runs it. It does not know what an organization's policies forbid."""
    partition, account = caller.split(":")[1], caller.split(":")[4]
    all_of_it = f"docs/policy-{settings.kind}.json has all that it needs"
    if caller.endswith(":root"):
        return Check(NAME, "ok", "the account's root user may do everything", "better: a role of your own")
    try:
        principal = _principal(caller, call)
        denied = [
            action
            for each in STATEMENTS
            if settings.kind in each.kinds and each.needed(settings)
            for resource in each.resources
            for action in _denied(
                principal, each, concrete(resource, partition, region, account, settings.name), project, call
            )
        ]
    except Unanswered as error:
        return Check(NAME, "unknown", f"IAM does not say what {caller} may do ({error})", all_of_it)
    if denied:
        return Check(NAME, "problem", f"{caller} may not {', '.join(denied)}", f"allow it: {all_of_it}")
    return Check(NAME, "ok", f"{caller} may make what the stack is made of")


def concrete(pattern: str, partition: str, region: str, account: str, name: str) -> str:
    """Returns an ARN that a stack called `name` could have, for a resource of a policy."""
    if pattern == "*":
        return pattern
    _, _, service, of_region, of_account, path = pattern.split(":", 5)
    path = path.replace(f"{PROJECT}-*", f"{name}-a").replace("*", "a")
    return ":".join(
        ["arn", partition, service, region if of_region == "*" else "", account if of_account == "*" else "", path]
    )


def _denied(principal: str, statement: Statement, resource: str, project: str, call: Call) -> Iterator[str]:
    """Yields the actions that are not allowed, of those that the simulator knows: it takes no wildcards."""
    actions = [each for each in statement.full if "*" not in each]
    if not actions:
        return
    answer = call(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=principal,
        ActionNames=actions,
        ResourceArns=[resource],
        ContextEntries=list(_context(statement, project)),
    )
    yield from (each["EvalActionName"] for each in answer["EvaluationResults"] if each["EvalDecision"] != "allowed")


def _context(statement: Statement, project: str) -> Iterator[dict[str, Any]]:
    """Yields what a request of the stack has: its tag, and what the statement's conditions ask for."""
    asked: list[tuple[str, str, Sequence[str]]] = [("String", "aws:RequestTag/Project", [PROJECT])]
    asked += [(operator, key, of) for operator, keys in statement.condition.items() for key, of in keys.items()]
    for operator, key, values in asked:
        yield {
            "ContextKeyName": key,
            "ContextKeyValues": [values[0].replace(PROJECT, project)],
            "ContextKeyType": "numeric" if operator.startswith("Numeric") else "string",
        }


def _principal(caller: str, call: Call) -> str:
    """The ARN that IAM knows: of the role, for a session of it, whose own ARN has no path."""
    if ":assumed-role/" not in caller:
        return caller
    role = caller.split(":assumed-role/")[1].split("/", maxsplit=1)[0]
    return str(call("iam", "get_role", RoleName=role)["Role"]["Arn"])

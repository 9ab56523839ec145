"""What the AWS cloud-controller-manager may do in AWS, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.base.policy_document import policy

#: The actions that cloud-provider-aws v1.36.1 calls in its node, service and route controllers, of those that its
#: documents ask for (https://cloud-provider-aws.sigs.k8s.io/prerequisites/#iam-policies): volumes are the CSI driver's.
READ = (
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceTopology",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancerPolicies",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
)
#: What it makes, with the cluster's tag in the same call.
MAKE = ("CreateListener", "CreateLoadBalancer", "CreateTargetGroup")
#: What it does to load balancers, listeners and target groups that are there; a listener is made on a balancer. Tags
#: narrow each (https://docs.aws.amazon.com/service-authorization/latest/reference/list_elasticloadbalancingv2.html).
BALANCE = (
    "AddTags",
    "ApplySecurityGroupsToLoadBalancer",
    "AttachLoadBalancerToSubnets",
    "ConfigureHealthCheck",
    "CreateListener",
    "CreateLoadBalancerListeners",
    "CreateLoadBalancerPolicy",
    "DeleteListener",
    "DeleteLoadBalancer",
    "DeleteLoadBalancerListeners",
    "DeleteTargetGroup",
    "DeregisterInstancesFromLoadBalancer",
    "DeregisterTargets",
    "DetachLoadBalancerFromSubnets",
    "ModifyListener",
    "ModifyLoadBalancerAttributes",
    "ModifyTargetGroup",
    "ModifyTargetGroupAttributes",
    "RegisterInstancesWithLoadBalancer",
    "RegisterTargets",
    "SetLoadBalancerPoliciesForBackendServer",
    "SetLoadBalancerPoliciesOfListener",
)


def cluster_tag(cluster: str) -> dict[str, str]:
    """The tag by which the controller knows what belongs to a cluster."""
    return {f"kubernetes.io/cluster/{cluster}": "owned"}


def cloud_controller_policy(cluster: str, *, partition: str, region: str, account: str, routed: bool) -> str:
    """IAM policy document. What it changes carries the cluster's tag. `routed`: it writes pods' routes."""
    ec2 = f"arn:{partition}:ec2:{region}:{account}"
    [(tag, value)] = cluster_tag(cluster).items()
    ours = {"StringEquals": {f"aws:ResourceTag/{tag}": value}}
    asked = {"StringEquals": {f"aws:RequestTag/{tag}": value}}
    groups = f"{ec2}:security-group/*"
    balancers = f"arn:{partition}:elasticloadbalancing:{region}:{account}:*"

    def allow(
        actions: list[str],
        resources: str | list[str],
        condition: Mapping[str, Mapping[str, str | Sequence[str]]] | None = None,
    ) -> dict[str, object]:
        statement: dict[str, object] = {"Effect": "Allow", "Action": actions, "Resource": resources}
        return statement | ({"Condition": condition} if condition else {})

    statements = [
        allow(list(READ), "*"),
        allow(["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"], balancers, asked),
        allow(
            ["elasticloadbalancing:AddTags"], balancers, {"StringEquals": {"elasticloadbalancing:CreateAction": MAKE}}
        ),
        allow([f"elasticloadbalancing:{action}" for action in BALANCE], balancers, ours),
        allow(
            ["iam:CreateServiceLinkedRole"],
            "*",
            {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}},
        ),
        # The tag comes with the group; the VPC it lies in has none.
        allow(["ec2:CreateSecurityGroup"], f"{ec2}:vpc/*"),
        allow(["ec2:CreateSecurityGroup"], groups, asked),
        allow(["ec2:CreateTags"], groups, {"StringEquals": {"ec2:CreateAction": "CreateSecurityGroup"}}),
        allow(
            ["ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup", "ec2:RevokeSecurityGroupIngress"],
            groups,
            ours,
        ),
    ]
    if routed:
        statements += [
            allow(["ec2:CreateRoute", "ec2:DeleteRoute"], f"{ec2}:route-table/*", ours),
            # A node that forwards for its pods must not have the check of sources.
            allow(["ec2:ModifyInstanceAttribute"], f"{ec2}:instance/*", ours),
        ]
    return policy(*statements)

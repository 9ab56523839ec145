"""PodIdentity: an IAM role that the pods of one service account have, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.base.policy_document import policy

#: Whom a token of a pod is for, when AWS is asked with it.
AUDIENCE = "sts.amazonaws.com"
#: Where a pod finds its token; seconds that one lives, of which the kubelet renews it in the last fifth.
FOLDER, LIFE = "/var/run/secrets/eks.amazonaws.com/serviceaccount", 86400
VOLUME = "aws-identity"


@dataclass(frozen=True)
class EksIdentity:
    """A managed cluster: EKS tells its agent on the nodes (add-on eks-pod-identity-agent) which pod has which role."""

    cluster: pulumi.Input[str]


@dataclass(frozen=True)
class OidcIdentity:
    """A cluster whose API server signs its service accounts' tokens as an OpenID Connect issuer that IAM trusts."""

    #: "https://...", as in the tokens (--service-account-issuer).
    issuer: pulumi.Input[str]
    #: Of the aws.iam.OpenIdConnectProvider, with `AUDIENCE` among its clients.
    provider_arn: pulumi.Input[str]


@dataclass(frozen=True)
class PodIdentityArgs:
    """What a PodIdentity is made from."""

    identity: EksIdentity | OidcIdentity
    namespace: str
    service_account: str
    #: Name of a permission -> IAM policy document.
    policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    #: Name of a permission -> ARN of a managed policy.
    managed_policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class PodIdentity(pulumi.ComponentResource):
    """The role, and what ties it to the service account.

    With an `OidcIdentity` a pod must also show its token: `projection`, since no webhook adds it here.
    """

    #: Pods that shall have it from their start on depend on this component.
    role_arn: pulumi.Output[str]
    #: Annotations that its pods are to have: where another association gives them the role, others start. Those that
    #: run would stay as they are, without credentials, for EKS hands them out as pods start.
    annotations: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: PodIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:identity:PodIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        identity = args.identity
        document: pulumi.Input[str] = eks_trust()
        if isinstance(identity, OidcIdentity):
            document = pulumi.Output.all(identity.issuer, identity.provider_arn).apply(
                lambda known: oidc_trust(known[0], known[1], args.namespace, args.service_account)
            )
        role = aws.iam.Role(name, assume_role_policy=document, tags=tags.named(name), opts=child)
        for purpose, document in args.policies.items():
            aws.iam.RolePolicy(f"{name}-{purpose}", name=purpose, role=role.name, policy=document, opts=child)
        for purpose, arn in args.managed_policies.items():
            aws.iam.RolePolicyAttachment(f"{name}-{purpose}", role=role.name, policy_arn=arn, opts=child)
        self.annotations = {}
        if isinstance(identity, EksIdentity):
            association = aws.eks.PodIdentityAssociation(
                name,
                cluster_name=identity.cluster,
                namespace=args.namespace,
                service_account=args.service_account,
                role_arn=role.arn,
                tags=tags.named(name),
                opts=child,
            )
            self.annotations = {"twinplane.dev/pod-identity": association.association_id}
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})


def eks_trust() -> str:
    """Trust policy: EKS hands out the role to the pods that an association names
    (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html)."""
    principal = {"Service": "pods.eks.amazonaws.com"}
    return policy({"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"]})


def oidc_trust(issuer: str, provider_arn: str, namespace: str, service_account: str) -> str:
    """Trust policy: whoever shows a token of the issuer, made for AWS and for this very service account."""
    host = issuer.removeprefix("https://")
    claims = {f"{host}:aud": AUDIENCE, f"{host}:sub": f"system:serviceaccount:{namespace}:{service_account}"}
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Federated": provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": claims},
        }
    )


def projection(role_arn: pulumi.Input[str]) -> dict[str, Any]:
    """What a pod's spec needs to be known by its token, in Kubernetes' own names: `env` and `volumeMounts` of the
    container, `volumes` of the pod. Every AWS SDK looks at these two variables."""
    token = {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": LIFE, "path": "token"}}
    return {
        "env": [
            {"name": "AWS_ROLE_ARN", "value": role_arn},
            {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{FOLDER}/token"},
        ],
        "volumeMounts": [{"name": VOLUME, "mountPath": FOLDER, "readOnly": True}],
        "volumes": [{"name": VOLUME, "projected": {"sources": [token]}}],
    }

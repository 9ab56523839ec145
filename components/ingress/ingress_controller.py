"""IngressController: the AWS Load Balancer Controller, which makes an ALB of each Ingress of class `alb`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.base import tags
from components.base.chart_source import ChartSource
from components.identity.pod_identity import EksIdentity, OidcIdentity, PodIdentity, PodIdentityArgs, projection
from components.identity.self_signed_certificate import SelfSignedCertificate, SelfSignedCertificateArgs

NAME = "aws-load-balancer-controller"
NAMESPACE = "kube-system"
#: The service account that its role is for.
SERVICE_ACCOUNT = NAME
#: What Ingresses name as theirs.
CLASS = "alb"
#: As the chart names its Service: the chart's name without "-controller".
WEBHOOK = "aws-load-balancer-webhook-service"
#: Permissions of the controller's release v2.17.1, as listed at
#: https://github.com/kubernetes-sigs/aws-load-balancer-controller/blob/v2.17.1/docs/install/iam_policy.json
POLICY = Path(__file__).with_name("ingress_controller_policy.json")
CHART = ChartSource(NAME, "https://aws.github.io/eks-charts", "1.17.1")


@dataclass(frozen=True)
class IngressControllerArgs:
    """What an IngressController is made from."""

    #: Value of the tag `elbv2.k8s.aws/cluster` on all that it makes.
    cluster: str
    region: pulumi.Input[str]
    vpc_id: pulumi.Input[str]
    #: How the controller gets a role of its own, with `policy`.
    identity: EksIdentity | OidcIdentity
    #: IPv4 blocks that reach the balancers, whatever their Ingresses ask for. At least one: none would be all.
    cidrs: Sequence[str]
    chart: ChartSource = CHART
    #: Repository and tag; None: the chart's own.
    image: str | None = None
    #: "internet-facing": balancers have public addresses; "internal": addresses of the VPC only.
    scheme: str = "internet-facing"
    replicas: int = 2
    #: More of the chart's values, over all others.
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.cidrs:
            raise ValueError("cidrs: name at least one block: with none, the controller lets in the world")


class IngressController(pulumi.ComponentResource):
    """The controller, ready: whoever makes Ingresses takes `ingress_class`, known when the webhook answers.

    The chart is rendered, not released, so its own certificate would be another at every update: it gets one of ours.
    Its IngressClass and parameters are made here, after it: its webhook checks them.
    """

    #: What an Ingress names as its class.
    ingress_class: pulumi.Output[str]

    def __init__(self, name: str, args: IngressControllerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:ingress:IngressController", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self)).partition
        allowed = {"controller": partition.apply(policy)}
        role = PodIdentity(name, PodIdentityArgs(args.identity, NAMESPACE, SERVICE_ACCOUNT, allowed), child)
        service = f"{WEBHOOK}.{NAMESPACE}"
        tls = SelfSignedCertificate(f"{name}-webhook", SelfSignedCertificateArgs([f"{service}.svc", service]), child)
        # A pod gets what its association says as it starts.
        after_role = pulumi.ResourceOptions(parent=self, depends_on=[role])
        chart = args.chart.release(name, NAME, NAMESPACE, values(args, tls, role), after_role)
        after = pulumi.ResourceOptions(parent=self, depends_on=[chart])
        parameters = kubernetes.apiextensions.CustomResource(
            name,
            api_version="elbv2.k8s.aws/v1beta1",
            kind="IngressClassParams",
            metadata={"name": CLASS},
            # The class's word is over an Ingress's own: who may make one opens it to nobody else.
            spec={"scheme": args.scheme, "inboundCIDRs": list(args.cidrs)},
            opts=after,
        )
        made = kubernetes.networking.v1.IngressClass(
            name,
            metadata={"name": CLASS},
            spec={
                "controller": "ingress.k8s.aws/alb",
                "parameters": {"api_group": "elbv2.k8s.aws", "kind": "IngressClassParams", "name": CLASS},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[chart, parameters]),
        )
        self.ingress_class = made.metadata.name
        self.register_outputs({"ingress_class": self.ingress_class})


def values(args: IngressControllerArgs, tls: SelfSignedCertificate, role: PodIdentity) -> dict[str, Any]:
    """The chart's values. On EKS its pods are told their role by the agent, elsewhere by what stands here."""
    shown = projection(role.role_arn) if isinstance(args.identity, OidcIdentity) else {}
    environment = {each["name"]: each["value"] for each in shown.get("env", [])}
    repository, _, tag = (args.image or "").rpartition(":")
    return {
        "clusterName": args.cluster,
        "region": args.region,
        "vpcId": args.vpc_id,
        "replicaCount": args.replicas,
        "defaultTags": tags.common(),
        "serviceAccount": {"create": True, "name": SERVICE_ACCOUNT},
        "podAnnotations": role.annotations,
        "extraVolumes": shown.get("volumes", []),
        "extraVolumeMounts": shown.get("volumeMounts", []),
        "webhookTLS": {"caCert": tls.certificate, "cert": tls.certificate, "key": tls.private_key},
        "createIngressClassResource": False,
        "ingressClassParams": {"create": False},
        # Services stay the cloud controller's, unless they name a class of this one.
        "enableServiceMutatorWebhook": False,
        **({"image": {"repository": repository, "tag": tag}} if args.image else {}),
        **args.values,
        "env": {**environment, **args.values.get("env", {})},
    }


def policy(partition: str = "aws") -> str:
    """IAM policy of the controller's role."""
    statements = json.loads(POLICY.read_text().replace("arn:aws:", f"arn:{partition}:"))
    return json.dumps(statements, sort_keys=True)

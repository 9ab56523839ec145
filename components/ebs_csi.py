"""EbsCsi: the EBS CSI driver, and the class of encrypted volumes that claims get by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.helm.v4 import Chart

from components import tags
from components.pod_identity import EksIdentity, OidcIdentity, PodIdentity, PodIdentityArgs, projection

DRIVER = "ebs.csi.aws.com"
NAME = "aws-ebs-csi-driver"
NAMESPACE = "kube-system"
#: As the add-on and the chart name it.
SERVICE_ACCOUNT = "ebs-csi-controller-sa"
#: AWS keeps its policy up to date with the driver (https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html).
POLICY = "service-role/AmazonEBSCSIDriverPolicy"


@dataclass(frozen=True)
class DriverChart:
    """Where a chart of the driver's shape comes from."""

    #: A chart's name, a folder (from the project's), or oci://...
    chart: str = NAME
    #: URL of the repository that has the name; None for a folder or oci://.
    repository: str | None = "https://kubernetes-sigs.github.io/aws-ebs-csi-driver"
    #: None: as the folder has it, or the newest.
    version: str | None = None
    #: More of the chart's values, over all others: the image of a registry of one's own.
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EbsCsiArgs:
    """What an EbsCsi is made from."""

    #: EKS gets its add-on; another cluster the chart.
    identity: EksIdentity | OidcIdentity
    #: Of the add-on; None: EKS' default for the cluster's version.
    addon_version: str | None = None
    chart: DriverChart = field(default_factory=DriverChart)
    #: Name of the storage class.
    storage_class: str = "gp3"
    #: ARN of the KMS key of volumes; None: the account's own for EBS.
    kms_key_arn: pulumi.Input[str] | None = None


class EbsCsi(pulumi.ComponentResource):
    """The driver with a role of its own. Claims that name no class get a gp3 volume, encrypted, where their pod is."""

    #: Of the storage class, known when the driver is there.
    storage_class: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: EbsCsiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:storage:EbsCsi", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self)).partition
        policy = pulumi.Output.concat("arn:", partition, ":iam::aws:policy/", POLICY)
        identity = PodIdentity(
            name,
            PodIdentityArgs(args.identity, NAMESPACE, SERVICE_ACCOUNT, managed_policies={"driver": policy}),
            child,
        )
        driver: pulumi.Resource
        if isinstance(args.identity, EksIdentity):
            driver = aws.eks.Addon(
                name,
                cluster_name=args.identity.cluster,
                addon_name=NAME,
                addon_version=args.addon_version,
                resolve_conflicts_on_update="PRESERVE",
                tags=tags.named(name),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[identity]),
            )
        else:
            driver = Chart(
                name,
                name=NAME,
                namespace=NAMESPACE,
                chart=args.chart.chart,
                version=args.chart.version,
                repository_opts={"repo": args.chart.repository} if args.chart.repository else None,
                values={"controller": projection(identity.role_arn), **args.chart.values},
                opts=child,
            )
        parameters: dict[str, pulumi.Input[str]] = {"type": "gp3", "encrypted": "true"}
        if args.kms_key_arn is not None:
            parameters["kmsKeyId"] = args.kms_key_arn
        made = kubernetes.storage.v1.StorageClass(
            name,
            metadata={
                "name": args.storage_class,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            provisioner=DRIVER,
            parameters=parameters,
            # A volume is of one zone: the scheduler chooses it first.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[driver]),
        )
        self.storage_class = made.metadata.name
        self.role_arn = identity.role_arn
        self.register_outputs({"storage_class": self.storage_class, "role_arn": self.role_arn})

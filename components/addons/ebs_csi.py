"""EbsCsi: the EBS CSI driver, and the class of encrypted volumes that claims get by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.base import tags
from components.base.chart_source import ChartSource
from components.base.interpreter import interpreter
from components.eks.add_on import AddOn, AddOnArgs
from components.identity.pod_identity import EksIdentity, OidcIdentity, PodIdentity, PodIdentityArgs, projection

DRIVER = "ebs.csi.aws.com"
#: Of EKS Auto Mode, whose nodes have a driver built in
#: (https://docs.aws.amazon.com/eks/latest/userguide/create-storage-class.html).
AUTO_DRIVER = "ebs.csi.eks.amazonaws.com"
NAME = "aws-ebs-csi-driver"
NAMESPACE = "kube-system"
#: As the add-on and the chart name it.
SERVICE_ACCOUNT = "ebs-csi-controller-sa"
#: AWS keeps its policy up to date with the driver. This one, other than AmazonEBSCSIDriverPolicy, lets it change only
#: volumes that it made, or that somebody gave its tag (https://github.com/kubernetes-sigs/aws-ebs-csi-driver/issues/2918).
POLICY = "AmazonEBSCSIDriverPolicyV2"
CHART = ChartSource(NAME, "https://kubernetes-sigs.github.io/aws-ebs-csi-driver", "2.66.0")


@dataclass(frozen=True)
class EbsCsiArgs:
    """What an EbsCsi is made from."""

    #: EKS gets its add-on; another cluster the chart; None: EKS Auto Mode, which has a driver.
    identity: EksIdentity | OidcIdentity | None
    #: Its volumes carry the tag `kubernetes.io/cluster/<cluster>`, as those of EKS's add-on do by themselves.
    cluster: str
    #: Of an administrator, who sees at the end that the volumes are gone. A secret.
    kubeconfig: pulumi.Input[str]
    #: Of the add-on; None: EKS's default for the cluster's version.
    addon_version: str | None = None
    chart: ChartSource = CHART
    #: More of the chart's values, over all others: the image of a registry of one's own.
    values: Mapping[str, Any] = field(default_factory=dict)
    #: Name of the storage class.
    storage_class: str = "gp3"


class EbsCsi(pulumi.ComponentResource):
    """The driver with a role of its own. Claims that name no class get a gp3 volume, encrypted, where their pod is.

    It goes when all its volumes are gone, which is a while after their claims. The chart's pods ask for labels that the
    cloud controller gives to nodes: where there is one, this component depends on it.
    """

    #: Of the storage class: who has claims of it goes before the driver.
    storage_class: pulumi.Output[str]

    def __init__(self, name: str, args: EbsCsiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:storage:EbsCsi", name, None, opts)
        driver = [] if args.identity is None else [self._driver(name, args, args.identity)]
        provisioner = DRIVER if driver else AUTO_DRIVER
        volumes = command.local.Command(
            f"{name}-volumes",
            interpreter=interpreter("volumes"),
            delete=provisioner,
            stdin=pulumi.Output.secret(args.kubeconfig),
            logging=command.local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self, depends_on=driver),
        )
        made = kubernetes.storage.v1.StorageClass(
            name,
            metadata={
                "name": args.storage_class,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            provisioner=provisioner,
            parameters={"type": "gp3", "encrypted": "true"},  # by the account's own key for EBS
            # A volume is of one zone: the scheduler chooses it first.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*driver, volumes]),
        )
        self.storage_class = made.metadata.name
        self.register_outputs({"storage_class": self.storage_class})

    def _driver(self, name: str, args: EbsCsiArgs, identity: EksIdentity | OidcIdentity) -> pulumi.Resource:
        """The driver, after its role."""
        child, of_child = pulumi.ResourceOptions(parent=self), pulumi.InvokeOptions(parent=self)
        partition = aws.get_partition_output(opts=of_child).partition
        policy = pulumi.Output.concat("arn:", partition, ":iam::aws:policy/", POLICY)
        role = PodIdentity(
            name,
            PodIdentityArgs(identity, NAMESPACE, SERVICE_ACCOUNT, managed_policies={"driver": policy}),
            child,
        )
        after = pulumi.ResourceOptions(parent=self, depends_on=[role])
        if isinstance(identity, EksIdentity):
            settings = {"controller": {"extraVolumeTags": tags.common(), "podAnnotations": role.annotations}}
            return AddOn(name, AddOnArgs(identity.cluster, NAME, args.addon_version, settings), after).resource
        controller = {
            # The instance metadata, which would say it, answers no pod.
            "region": aws.get_region_output(opts=of_child).region,
            "extraVolumeTags": tags.common(),
            "k8sTagClusterId": args.cluster,
            **projection(role.role_arn),
            **args.values.get("controller", {}),
        }
        return args.chart.release(name, NAME, NAMESPACE, {**args.values, "controller": controller}, after)

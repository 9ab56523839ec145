"""AddOn: software in a cluster that EKS installs and updates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from components.base import tags

#: Minor -> add-on -> version, as public configurations of clusters of that minor had them, looked up in 2026-11. What
#: there is says `aws eks describe-addon-versions --kubernetes-version 1.36`; an update is a change here, or in config.
VERSIONS: Mapping[str, Mapping[str, str]] = {
    "1.35": {
        "aws-ebs-csi-driver": "v1.59.0-eksbuild.1",
        "coredns": "v1.14.2-eksbuild.4",
        "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
        "kube-proxy": "v1.35.3-eksbuild.5",
        "metrics-server": "v0.9.0-eksbuild.5",
        "vpc-cni": "v1.21.1-eksbuild.8",
    },
    "1.36": {
        "aws-ebs-csi-driver": "v1.62.0-eksbuild.1",
        "coredns": "v1.14.2-eksbuild.4",
        "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
        "kube-proxy": "v1.36.0-eksbuild.7",
        "metrics-server": "v0.9.0-eksbuild.5",
        "vpc-cni": "v1.21.2-eksbuild.2",
    },
}
NAMES = tuple(VERSIONS["1.36"])


@dataclass(frozen=True)
class AddOnArgs:
    """What an AddOn is made from."""

    cluster_name: pulumi.Input[str]
    #: "coredns".
    add_on: str
    #: "v1.14.2-eksbuild.4". None: EKS's default for the cluster's minor when it is made, which then stays.
    version: str | None
    #: Its settings, as `aws eks describe-addon-configuration` lists them; none: EKS's own.
    configuration: Mapping[str, Any] = field(default_factory=dict)


class AddOn(pulumi.ComponentResource):
    """One add-on; what somebody changed in it by hand goes back to what EKS has."""

    #: There when the add-on works: a Deployment of it needs nodes for that.
    resource: aws.eks.Addon

    def __init__(self, name: str, args: AddOnArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:AddOn", name, None, opts)
        self.resource = aws.eks.Addon(
            name,
            cluster_name=args.cluster_name,
            addon_name=args.add_on,
            addon_version=args.version,
            configuration_values=pulumi.Output.json_dumps(args.configuration, sort_keys=True)
            if args.configuration
            else None,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"version": self.resource.addon_version})


def version_of(add_on: str, minor: str, chosen: Mapping[str, str]) -> str | None:
    """The version that was chosen for the add-on, else the pinned one for the minor, else None."""
    return chosen.get(add_on) or VERSIONS.get(minor, {}).get(add_on)


def configuration_of(add_on: str) -> dict[str, Any]:
    """The settings of an add-on that every cluster has, where they are not EKS's own."""
    if add_on == "vpc-cni":
        # Tags of the network interfaces that pods need besides, as JSON in an environment variable
        # (https://github.com/aws/amazon-vpc-cni-k8s/blob/v1.21.1/README.md#additional_eni_tags-v160); and without this
        # word NetworkPolicy objects are taken, and nobody acts on them
        # (https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy-configure.html).
        own = json.dumps(tags.common(), sort_keys=True)
        return {"env": {"ADDITIONAL_ENI_TAGS": own}, "enableNetworkPolicy": "true"}
    return {}

"""Add-ons of a cluster."""

import json

import pulumi

from lab.plugins.eks.inputs import Inputs, given
from lab.plugins.eks.resources import Resource, function

#: What pulumi-eks configures the VPC CNI with when it is asked for nothing.
VPC_CNI = {
    "env": {
        "AWS_VPC_ENI_MTU": "9001",
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "false",
        "AWS_VPC_K8S_CNI_EXTERNALSNAT": "false",
        "AWS_VPC_K8S_CNI_LOGLEVEL": "DEBUG",
        "AWS_VPC_K8S_CNI_LOG_FILE": "/host/var/log/aws-routed-eni/ipamd.log",
        "AWS_VPC_K8S_CNI_VETHPREFIX": "eni",
        "AWS_VPC_K8S_PLUGIN_LOG_FILE": "/var/log/aws-routed-eni/plugin.log",
        "AWS_VPC_K8S_PLUGIN_LOG_LEVEL": "DEBUG",
        "ENABLE_POD_ENI": "false",
        "WARM_ENI_TARGET": "1",
    },
    "init": {"env": {"DISABLE_TCP_EARLY_DEMUX": "false"}},
}


class VpcCniAddon(pulumi.ComponentResource):
    """The VPC CNI as an add-on."""

    def __init__(self, name: str, cluster: Resource, options: Inputs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("eks:index:VpcCniAddon", name, None, opts)
        values = json.dumps(VPC_CNI, separators=(",", ":"))
        settings = {"addonName": "vpc-cni", "configurationValues": values, **options}
        addon(name, cluster, settings, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


def addon(name: str, cluster: Resource, settings: Inputs, opts: pulumi.ResourceOptions) -> Resource:
    """The add-on `settings["addonName"]` in the version of the settings, or the newest for the cluster's."""
    version = settings.get("version") or settings.get("addonVersion")
    if version is None:
        asked = {"addonName": settings["addonName"], "kubernetesVersion": cluster.output("version"), "mostRecent": True}
        found = function("aws:eks/getAddonVersion:getAddonVersion", asked, opts.parent or cluster)
        version = found.apply(lambda answer: answer["version"])
    values = settings.get("configurationValues")
    inputs = given(
        clusterName=cluster.output("name"),
        addonName=settings["addonName"],
        addonVersion=version,
        preserve=True,
        resolveConflictsOnCreate=settings.get("resolveConflictsOnCreate", "OVERWRITE"),
        resolveConflictsOnUpdate=settings.get("resolveConflictsOnUpdate", "OVERWRITE"),
        configurationValues=json.dumps(values) if isinstance(values, dict) else values,
        tags=settings.get("tags"),
    )
    return Resource("aws:eks/addon:Addon", name, inputs, opts)

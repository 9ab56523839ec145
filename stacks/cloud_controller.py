"""The cloud controller that a self-managed stack has, unless its settings say none."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.kubeadm.cloud_controller import RELEASES, REPOSITORY, CloudController, CloudControllerArgs
from components.kubeadm.cloud_controller_policy import cloud_controller_policy
from stacks import parsers
from stacks.settings import SelfManagedSettings


def policies(settings: SelfManagedSettings) -> dict[str, pulumi.Input[str]]:
    """Returns what control planes may do for it, by its name."""
    if settings.cloud_controller == "none":
        return {}
    partition, account, region = aws.get_partition_output(), aws.get_caller_identity_output(), aws.get_region_output()
    known = pulumi.Output.all(partition=partition.partition, account=account.account_id, region=region.region)
    routed = settings.pod_network == "routed"
    return {"cloud-controller": known.apply(lambda of: cloud_controller_policy(settings.name, routed=routed, **of))}


def variables(settings: SelfManagedSettings) -> dict[str, str]:
    """Returns Ansible's: nodes wait to be initialized by it."""
    return {} if settings.cloud_controller == "none" else {"kubelet_cloud_provider": "external"}


def build(settings: SelfManagedSettings, provider: kubernetes.Provider) -> list[CloudController]:
    """Makes it. Returns it alone, or nothing where there is none."""
    if settings.cloud_controller == "none":
        return []
    image = f"{REPOSITORY}:{RELEASES[parsers.minor(settings.kubernetes_version)]}"
    made = CloudController(
        f"{settings.name}-cloud-controller",
        CloudControllerArgs(
            cluster=settings.name,
            region=aws.get_region_output().region,
            image=settings.cloud_controller_image or image,
            routed_pod_cidr=settings.pod_cidr if settings.pod_network == "routed" else None,
            environment=settings.cloud_controller_environment,
        ),
        pulumi.ResourceOptions(providers={"kubernetes": provider}),
    )
    return [made]

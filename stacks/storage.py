"""The storage outside the nodes that both kinds of stack have, unless their settings say none."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import ebs_csi
from components.add_on import version_of
from components.ebs_csi import EbsCsi, EbsCsiArgs
from components.pod_identity import EksIdentity, OidcIdentity
from stacks import checks
from stacks.settings import ManagedSettings, Settings


def build(
    settings: Settings,
    identity: EksIdentity | OidcIdentity,
    kubeconfig: pulumi.Input[str],
    provider: kubernetes.Provider,
    *controller: pulumi.Output[str],
) -> dict[str, Any]:
    """Makes the driver, and returns what a SampleApp takes of it: the class of its volumes. Nothing, where there is
    none. `controller` is known when there is a cloud controller, where the stack makes its own.

    The chart comes after that controller: the driver asks for labels that it gives to nodes, and crashes until then.
    """
    if settings.storage == "none":
        return {}
    version, needed = None, True
    if isinstance(settings, ManagedSettings):
        version = version_of(ebs_csi.NAME, checks.minor(settings.kubernetes_version), settings.add_on_versions)
        needed = settings.node_mode == "managed"
    driver = EbsCsi(
        f"{settings.name}-storage",
        EbsCsiArgs(
            identity=identity if needed else None,
            cluster=pulumi.Output.all(*controller).apply(lambda _: settings.name),
            kubeconfig=kubeconfig,
            addon_version=version,
        ),
        pulumi.ResourceOptions(providers={"kubernetes": provider}),
    )
    return {"storage_class": driver.storage_class}

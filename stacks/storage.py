"""The storage outside the nodes that both kinds of stack have, unless their settings say none."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from components.addons import ebs_csi
from components.addons.ebs_csi import EbsCsi, EbsCsiArgs
from components.eks.add_on import version_of
from components.identity.pod_identity import EksIdentity, OidcIdentity
from stacks import parsers
from stacks.settings import ManagedSettings, Settings


def build(
    settings: Settings,
    identity: EksIdentity | OidcIdentity,
    kubeconfig: pulumi.Input[str],
    provider: kubernetes.Provider,
    needs: Sequence[pulumi.Resource],
) -> pulumi.Output[str] | None:
    """Makes the driver, and returns the class of its volumes; None where there is none.

    The driver comes after `needs`: the nodes, and where the stack makes its own, the cloud controller, without whose
    labels on the nodes it crashes.
    """
    if settings.storage == "none":
        return None
    version, needed = None, True
    if isinstance(settings, ManagedSettings):
        version = version_of(ebs_csi.NAME, parsers.minor(settings.kubernetes_version), settings.add_on_versions)
        needed = settings.node_mode == "managed"
    driver = EbsCsi(
        f"{settings.name}-storage",
        EbsCsiArgs(
            identity=identity if needed else None,
            cluster=settings.name,
            kubeconfig=kubeconfig,
            addon_version=version,
        ),
        pulumi.ResourceOptions(providers={"kubernetes": provider}, depends_on=list(needs)),
    )
    return driver.storage_class

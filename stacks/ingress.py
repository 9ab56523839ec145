"""The way in by host name that both kinds of stack have, where their settings name hosts."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.identity.pod_identity import EksIdentity, OidcIdentity
from components.identity.self_signed_certificate import SelfSignedCertificate, SelfSignedCertificateArgs
from components.ingress.ingress_controller import IngressController, IngressControllerArgs
from components.network.network import Network
from components.sample_app.sample_app import Hosts
from stacks.settings import Settings


def build(
    settings: Settings,
    network: Network,
    identity: EksIdentity | OidcIdentity,
    provider: kubernetes.Provider,
    needs: Sequence[pulumi.Resource] = (),
) -> Hosts | None:
    """Makes the controller, and returns that part of the sample app: hosts, their certificate, and the class that says
    the controller is ready. None where there are no hosts. The controller's pods come after `needs`."""
    if not settings.ingress_hosts:
        return None
    controller = IngressController(
        f"{settings.name}-ingress",
        IngressControllerArgs(
            cluster=settings.name,
            region=aws.get_region_output().region,
            vpc_id=network.vpc_id,
            identity=identity,
            cidrs=settings.app_cidrs,
            chart=settings.ingress_controller_chart,
            image=settings.ingress_controller_image,
            scheme=settings.ingress_scheme,
            values=settings.ingress_controller_values,
        ),
        pulumi.ResourceOptions(providers={"kubernetes": provider}, depends_on=list(needs)),
    )
    arn: pulumi.Input[str] | None = settings.ingress_certificate
    if arn is None:
        names = SelfSignedCertificateArgs(settings.ingress_hosts, imported=True)
        arn = SelfSignedCertificate(f"{settings.name}-hosts", names).arn
    return Hosts(settings.ingress_hosts, controller.ingress_class, arn, settings.ingress_scheme)

"""How pods get roles of their own in AWS: by the agent of EKS, or by tokens of an issuer that IAM trusts."""

from __future__ import annotations

import pulumi

from components.eks.managed_cluster import ManagedCluster
from components.identity.oidc_issuer import OidcIssuer
from components.identity.pod_identity import EksIdentity


def of_managed(cluster: ManagedCluster) -> EksIdentity:
    """Returns that of the cluster."""
    return EksIdentity(cluster.cluster_name)


def variables(issuer: OidcIssuer) -> dict[str, pulumi.Input[str]]:
    """Returns Ansible's: the API server signs as the issuer."""
    return {
        "control_plane_issuer": issuer.url,
        "control_plane_signing_key": issuer.signing_key,
        "control_plane_public_key": issuer.public_key,
    }

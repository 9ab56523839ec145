"""How pods get rights of their own in AWS."""

from __future__ import annotations

import pulumi

from components.oidc_issuer import OidcIssuer


def variables(issuer: OidcIssuer) -> dict[str, pulumi.Input[str]]:
    """-> Ansible's: the API server signs as the issuer."""
    return {
        "control_plane_issuer": issuer.url,
        "control_plane_signing_key": issuer.signing_key,
        "control_plane_public_key": issuer.public_key,
    }

"""The public parameters in which AWS tells the newest EKS node image, and Debian its own."""

from __future__ import annotations

import json
from datetime import datetime

from lab.cloud.ec2 import machine_images
from lab.constants import ACCOUNT, BASE_RELEASE, REGION, UPDATED_RELEASE


def parameters() -> dict[str, str]:
    """Returns name and value of each public parameter."""
    image = machine_images.eks_node(UPDATED_RELEASE)
    minor = machine_images.KUBERNETES.rpartition(".")[0]
    node = f"/aws/service/eks/optimized-ami/{minor}/amazon-linux-2023/x86_64/standard/recommended"
    version = f"{machine_images.KUBERNETES}-{image.release}"
    return {
        node: json.dumps({"image_id": image.id, "image_name": image.name, "release_version": version}),
        f"{node}/image_id": image.id,
        f"{node}/image_name": image.name,
        f"{node}/release_version": version,
        "/aws/service/debian/release/12/latest/amd64": machine_images.debian(BASE_RELEASE).id,
    }


def register() -> None:
    """Publishes the parameters."""

    from moto.ssm.models import Parameter, ssm_backends

    backend = ssm_backends[ACCOUNT][REGION]
    for name, value in parameters().items():
        backend._parameters[name].append(
            Parameter(  # type: ignore[abstract]
                account_id=ACCOUNT,
                name=name,
                value=value,
                parameter_type="String",
                description=None,
                allowed_pattern=None,
                keyid=None,
                last_modified_date=datetime.strptime(UPDATED_RELEASE, "%Y%m%d"),
                version=1,
                data_type="text",
            )
        )

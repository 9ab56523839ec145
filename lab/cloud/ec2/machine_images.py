"""The machine images that the lab offers under the names and owners that AWS has them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lab.constants import BASE_RELEASE, UPDATED_RELEASE

#: The AWS account in which Debian publishes (https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm), and that of EKS
#: node images in us-east-1 (https://docs.aws.amazon.com/eks/latest/userguide/add-ons-images.html).
DEBIAN, EKS = "136693071363", "602401143452"
KUBERNETES = "1.36.3"


@dataclass(frozen=True)
class Image:
    """One machine image: the release of the host image it boots, and what DescribeImages tells of it."""

    release: str
    name: str
    owner: str
    root_device: str

    @property
    def id(self) -> str:
        """The same in every lab, as an AMI of AWS is in its region."""
        return "ami-" + hashlib.sha256(self.name.encode()).hexdigest()[:17]


def debian(release: str) -> Image:
    """Returns Debian 12 of that release."""
    return Image(release, f"debian-12-amd64-{release}-2268", DEBIAN, "/dev/xvda")


def eks_node(release: str) -> Image:
    """Returns the EKS node image of that release, found by `1.36.3-<release>` in EKS."""
    minor = KUBERNETES.rpartition(".")[0]
    return Image(release, f"amazon-eks-node-al2023-x86_64-standard-{minor}-v{release}", EKS, "/dev/xvda")


IMAGES = {image.id: image for image in (debian(BASE_RELEASE), eks_node(BASE_RELEASE), eks_node(UPDATED_RELEASE))}


def release(image_id: str) -> str:
    """Returns the release that an image boots; "" for an image that someone registered, which has none."""
    return IMAGES[image_id].release if image_id in IMAGES else ""


def register(backend: Any) -> None:
    """Adds the images to a moto EC2 backend that has none."""
    from moto.ec2.models.amis import Ami

    for image in IMAGES.values():
        backend.amis[image.id] = Ami(
            backend,
            image.id,
            name=image.name,
            description=f"Lab host image {image.release}",
            owner_id=image.owner,
            owner_alias="amazon" if image.owner == EKS else None,
            public=True,
            virtualization_type="hvm",
            architecture="x86_64",
            creation_date=datetime.strptime(image.release, "%Y%m%d"),
            image_location=f"{image.owner}/{image.name}",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=image.root_device,
            boot_mode="uefi-preferred",
        )

"""EtcdVolume: the disk that a control plane's etcd has for itself."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags


@dataclass(frozen=True)
class EtcdVolumeArgs:
    """What an EtcdVolume is made from."""

    instance_id: pulumi.Input[str]
    #: That of the instance.
    availability_zone: pulumi.Input[str]
    #: GiB. etcd's own limit is 8, its default 2 (https://etcd.io/docs/v3.6/dev-guide/limit/).
    size: int


class EtcdVolume(pulumi.ComponentResource):
    """An encrypted volume: no image or log takes etcd's writes or its space, and it outlives its machine."""

    #: The machine sees it as the disk's serial number.
    volume_id: pulumi.Output[str]

    def __init__(self, name: str, args: EtcdVolumeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:machine:EtcdVolume", name, None, opts)
        volume = aws.ebs.Volume(
            name,
            availability_zone=args.availability_zone,
            size=args.size,
            type="gp3",  # 3,000 writes a second at any size
            encrypted=True,
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.ec2.VolumeAttachment(
            name,
            device_name="/dev/sdf",  # AWS wants one; Nitro machines see an NVMe disk
            instance_id=args.instance_id,
            volume_id=volume.id,
            stop_instance_before_detaching=True,  # else a mounted file system would be torn away
            # A volume is attached to one machine: a replaced one gives it up first.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.volume_id = volume.id
        self.register_outputs({"volume_id": self.volume_id})

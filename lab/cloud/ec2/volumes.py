"""EBS volumes, made real: what is attached to an instance is a disk of its host, with its data wherever it goes next.

Only what AttachVolume or RunInstances gave beside the root device; the root file systems of hosts are their own. A
volume has its file from the first time on until DeleteVolume.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError, VolumeInUseError
from moto.ec2.models.elastic_block_store import EBSBackend

from lab.cloud import api, replay
from lab.cloud.ec2 import ec2
from lab.machines.host import Host
from lab.machines.volume import Volume

#: Of the root volume that moto gives an instance that asked for none, whatever its image calls it.
ROOT = "/dev/sda1"

_attach_once = EBSBackend.attach_volume


def install() -> None:
    """Readies moto: a volume is attached to one instance at most, of its own zone."""
    EBSBackend.attach_volume = _attach  # type: ignore[method-assign]


def make() -> None:
    """Makes what is wanted, and removes what was. A volume that moves is open in one place alone: it waits until
    nothing mounts it in the other."""
    known, attached = wanted()
    for host in Host.all():
        for volume in host.disks:
            if attached.get(volume.id) != host.name:
                host.unplug(volume)
    for volume in Volume.all():
        if volume.id not in attached:
            volume.close()
        if volume.id not in known:
            volume.delete()
    for id, instance in attached.items():
        if (host := Host(instance)).exists:
            volume = Volume(id)
            volume.make(known[id])
            host.plug(volume)


def wanted() -> tuple[dict[str, int], dict[str, str]]:
    """Returns size in GiB of every volume; volume -> instance that it is attached to, root devices left out."""
    with api.lock:
        volumes = ec2.backend().volumes.values()
        places = {each.id: each.attachment for each in volumes if each.attachment}
        return {each.id: int(each.size) for each in volumes}, {
            id: str(place.instance.id)
            for id, place in places.items()
            if place.device not in {ROOT, place.instance.root_device_name}
        }


def _attach(self: Any, volume_id: str, instance_id: str, device_path: str, delete_on_termination: bool = False) -> Any:
    volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
    if held := volume.attachment:
        raise VolumeInUseError(volume_id, held.instance.id)
    if volume.zone.name != instance.placement.zone and not replay.replaying():
        where = f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'"
        raise EC2ClientError("InvalidVolume.ZoneMismatch", where)
    return _attach_once(self, volume_id, instance_id, device_path, delete_on_termination)

"""Machines of a stack's outputs -> Ansible's inventory and the pinned host keys. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from twinplane.errors import UsageError

#: Role of a machine -> its group.
GROUPS = {"control-plane": "control_plane", "worker": "workers"}
FIELDS = ("name", "role", "instanceId", "zone", "privateIp", "sshAddress", "hostKey")
#: What an instance has of addresses; the first always.
ADDRESSES = ("privateIp", "publicIp")
#: A node's name is a DNS label, and stands in a known_hosts file and on command lines.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INSTANCE = re.compile(r"i-[0-9a-z]+")
_ZONE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*")
_HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( \S+)?")
FORMS = {"name": _NAME, "instanceId": _INSTANCE, "zone": _ZONE, "sshAddress": _ADDRESS, "hostKey": _HOST_KEY}
#: Regions look as zones do.
OPTIONAL_FORMS = {"sshTunnel": _ZONE}


def inventory(machines: Sequence[Mapping[str, Any]], user: str) -> dict[str, Any]:
    """Returns an inventory in Ansible's YAML form: groups control_plane and workers, and kubernetes, which is both.

    `machines` as exported; each host has `node_ip`, its private address, `node_addresses`, that and its public one, and
    what ties its node to the EC2 instance: `node_provider_id`, as the AWS cloud provider writes it, and `node_zone`;
    `host_key_pinned` is the key that SSH knows it by. Control planes have `etcd_disk_volume` where etcd has a volume of
    its own. The order of machines is kept.
    Raises UsageError that names the machine and the field.
    """
    check(machines)
    if not any(machine["role"] == "control-plane" for machine in machines):
        raise UsageError("no machine has the role control-plane; a cluster needs one")
    hosts: dict[str, dict[str, Any]] = {group: {} for group in GROUPS.values()}
    for machine in machines:
        hosts[GROUPS[machine["role"]]][machine["name"]] = {
            "ansible_host": machine["sshAddress"],
            "ansible_user": user,
            "host_key_pinned": machine["hostKey"],
            "node_ip": machine["privateIp"],
            "node_addresses": [machine[each] for each in ADDRESSES if machine.get(each)],
            "node_provider_id": f"aws:///{machine['zone']}/{machine['instanceId']}",
            "node_zone": machine["zone"],
            **({"etcd_disk_volume": machine["etcdVolume"]} if machine.get("etcdVolume") else {}),
        }
    groups = {group: {"hosts": members} for group, members in hosts.items()}
    return {"all": {"children": {"kubernetes": {"children": groups}}}}


def known_hosts(machines: Sequence[Mapping[str, Any]]) -> str:
    """Returns an OpenSSH known_hosts file: each machine's address with its pinned key."""
    return "".join(f"{machine['sshAddress']} {machine['hostKey']}\n" for machine in machines)


def check(machines: Sequence[Mapping[str, Any]]) -> None:
    """Raises UsageError that names a machine which is not as exported, and the field."""
    names: set[str] = set()
    for number, machine in enumerate(machines):
        where = f"machine {machine.get('name') or number + 1}"
        for field in FIELDS:
            if not isinstance(machine.get(field), str) or not machine[field]:
                raise UsageError(f"{where}: {field} is missing; give the machines as the stack exports them")
        if machine["role"] not in GROUPS:
            raise UsageError(f"{where}: role {machine['role']!r} is none of {', '.join(GROUPS)}")
        for field, form in FORMS.items():
            if not form.fullmatch(machine[field].strip()):
                raise UsageError(f"{where}: {field} {machine[field]!r} is not one")
        for field, form in OPTIONAL_FORMS.items():
            if machine.get(field) and not form.fullmatch(machine[field]):
                raise UsageError(f"{where}: {field} {machine[field]!r} is not one")
        for field in filter(machine.get, ADDRESSES):
            try:
                IPv4Address(machine[field])
            except ValueError:
                raise UsageError(f"{where}: {field} {machine[field]!r} is not an IPv4 address") from None
        if machine["name"] in names:
            raise UsageError(f"{where}: the name is there twice")
        names.add(machine["name"])

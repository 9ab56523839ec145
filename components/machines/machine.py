"""Machine: one EC2 instance that is known at the first connection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.machines.etcd_volume import EtcdVolume, EtcdVolumeArgs
from components.machines.ssh_key import SshKey, SshKeyArgs


@dataclass(frozen=True)
class MachineArgs:
    """What a Machine is made from."""

    #: "control-plane" or "worker".
    role: str
    #: Its name in the system and in the cluster.
    hostname: str
    #: Of the machine's birth: a newer image later replaces nothing, machines are patched in place.
    image_id: pulumi.Input[str]
    instance_type: str
    subnet_id: pulumi.Input[str]
    #: True: it gets a public address.
    public: bool
    security_group_ids: Sequence[pulumi.Input[str]]
    #: EC2 key pair that logs in.
    key_name: pulumi.Input[str]
    #: What it may do in AWS.
    instance_profile: pulumi.Input[str]
    #: Region of the EC2 Instance Connect Endpoint that SSH goes through; None: it goes to the machine's address.
    ssh_tunnel: pulumi.Input[str] | None = None
    #: True: it takes and sends packets of addresses that are not its own, those of its pods.
    forwards: bool = False
    #: GiB. Images of a control plane and its etcd, with room for an upgrade.
    root_volume_size: int = 30
    #: GiB of a volume for etcd alone; 0: none.
    etcd_volume_size: int = 0
    #: Neither EC2 nor Pulumi ends it, nor Pulumi its volume for etcd, until both are told to.
    protected: bool = False
    #: Of the instance, besides.
    tags: Mapping[str, str] = field(default_factory=dict)


class Machine(pulumi.ComponentResource):
    """An instance that is up to its first boot; what runs on it is Ansible's."""

    hostname: str
    instance_id: pulumi.Output[str]
    private_ip: pulumi.Output[str]
    #: Empty where it has none.
    public_ip: pulumi.Output[str]
    #: Where SSH reaches it: the public address, the private one where it has none, the instance's id through a tunnel.
    ssh_address: pulumi.Output[str]
    #: "ecdsa-sha2-nistp256 AAAA...", for the first connection alone: a HostKey knows the machine from then on.
    host_key: pulumi.Output[str]
    #: All of it as plain data; with the key of a HostKey an entry of the stack's `machines` output.
    exported: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:machine:Machine", name, None, opts)
        first = SshKeyArgs(args.hostname, "ecdsa")
        host_key = SshKey(f"{name}-host-key", first, pulumi.ResourceOptions(parent=self))
        instance = aws.ec2.Instance(
            name,
            ami=args.image_id,
            instance_type=args.instance_type,
            subnet_id=args.subnet_id,
            associate_public_ip_address=args.public,
            vpc_security_group_ids=args.security_group_ids,
            key_name=args.key_name,
            iam_instance_profile=args.instance_profile,
            user_data=pulumi.Output.all(host_key.private, host_key.public).apply(
                lambda pair: user_data(args.hostname, private=pair[0], public=pair[1])
            ),
            source_dest_check=not args.forwards,
            disable_api_termination=args.protected,
            # IMDSv2 only, and one hop: the machine itself, no pod.
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            root_block_device={
                "encrypted": True,
                "volume_type": "gp3",
                "volume_size": args.root_volume_size,
                "tags": tags.named(name),
            },
            tags=tags.named(name, {"Role": args.role, **args.tags}),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["ami"], protect=args.protected),
        )
        for key, value in tags.common().items():
            aws.ec2.Tag(
                f"{name}-interface-{key}",
                resource_id=instance.primary_network_interface_id,
                key=key,
                value=value,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.hostname = args.hostname
        self.instance_id = instance.id
        self.private_ip = instance.private_ip
        self.public_ip = instance.public_ip
        address = instance.public_ip if args.public else instance.private_ip
        self.ssh_address = address if args.ssh_tunnel is None else instance.id
        etcd_volume: pulumi.Output[str] = pulumi.Output.from_input("")
        if args.etcd_volume_size:
            placed = EtcdVolumeArgs(instance.id, instance.availability_zone, args.etcd_volume_size)
            kept = pulumi.ResourceOptions(parent=self, protect=args.protected)
            etcd_volume = EtcdVolume(f"{name}-etcd", placed, kept).volume_id
        self.host_key = host_key.public.apply(without_comment)
        self.exported = pulumi.Output.all(
            name=args.hostname,
            role=args.role,
            instanceId=self.instance_id,
            zone=instance.availability_zone,
            privateIp=self.private_ip,
            publicIp=self.public_ip if args.public else "",
            sshAddress=self.ssh_address,
            hostKey=self.host_key,
            etcdVolume=etcd_volume,
            sshTunnel=args.ssh_tunnel or "",
        ).apply(lambda fields: {key: str(value) for key, value in fields.items()})
        told = ("instance_id", "private_ip", "public_ip", "ssh_address", "host_key", "exported")
        self.register_outputs({each: getattr(self, each) for each in told})


def user_data(hostname: str, *, private: str, public: str) -> str:
    """cloud-config, as JSON, which is YAML: the host's name and its first SSH host key.

    A machine that was made when all keys were ed25519 keeps such user data: EC2 changes those of stopped machines only.
    """
    kind = "ed25519" if public.startswith("ssh-ed25519 ") else "ecdsa"
    config = {
        "hostname": hostname,
        "manage_etc_hosts": False,  # Debian's image would undo, at each boot, what Ansible writes there
        "ssh_deletekeys": True,
        "ssh_keys": {f"{kind}_private": private, f"{kind}_public": public},
    }
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"


def without_comment(public_key: str) -> str:
    """Type and key alone, as known_hosts has them."""
    return " ".join(public_key.split()[:2])

"""The export contract: what a stack gives to inventory, compare and the day-2 verbs. Imports no pulumi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from twinplane.errors import UsageError

Kind = Literal["managed", "self-managed"]
KINDS: tuple[Kind, ...] = ("managed", "self-managed")
Role = Literal["control-plane", "worker"]
ROLES: tuple[Role, ...] = ("control-plane", "worker")


@dataclass(frozen=True)
class Machine:
    """A machine that the stack's owner logs in to."""

    name: str
    role: Role
    instance_id: str
    #: Availability zone, "us-east-1a".
    zone: str
    private_ip: str
    #: Where SSH reaches it from the operator's side: its public address, the private one where there is none; its
    #: instance's id, where SSH goes through a tunnel.
    ssh_address: str
    #: The pinned SSH host key, as in known_hosts: "ssh-ed25519 AAAA...".
    host_key: str
    #: Id of the EBS volume for etcd; empty where etcd is on the root volume.
    etcd_volume: str = ""
    #: Region of the EC2 Instance Connect Endpoint that SSH goes through; empty: it goes to the address.
    ssh_tunnel: str = ""
    #: Empty where it has none.
    public_ip: str = ""

    @classmethod
    def from_export(cls, machine: Mapping[str, Any]) -> Machine:
        """Reads one entry of the `machines` output. Raises UsageError where a field is missing."""
        role = _text(machine, "role")
        if role not in ROLES:
            raise UsageError(f"output machines: role {role!r} is none of {', '.join(ROLES)}")
        return cls(
            name=_text(machine, "name"),
            role=role,
            instance_id=_text(machine, "instanceId"),
            zone=_text(machine, "zone"),
            private_ip=_text(machine, "privateIp"),
            ssh_address=_text(machine, "sshAddress"),
            host_key=_text(machine, "hostKey"),
            etcd_volume=machine.get("etcdVolume") or "",
            ssh_tunnel=machine.get("sshTunnel") or "",
            public_ip=machine.get("publicIp") or "",
        )

    def export(self) -> dict[str, str]:
        """The same as plain data: one entry of the `machines` output, and of the request to twinplane.ansible."""
        return {
            "name": self.name,
            "role": self.role,
            "instanceId": self.instance_id,
            "zone": self.zone,
            "privateIp": self.private_ip,
            "sshAddress": self.ssh_address,
            "hostKey": self.host_key,
            "etcdVolume": self.etcd_volume,
            "sshTunnel": self.ssh_tunnel,
            "publicIp": self.public_ip,
        }


@dataclass(frozen=True)
class SampleApp:
    """Where the sample app runs in the cluster."""

    namespace: str
    deployment: str
    service: str
    #: The TCP port on every node that reaches the Service.
    node_port: int
    #: DNS name of its network load balancer; empty where it has none.
    balancer_address: str = ""

    @property
    def url(self) -> str:
        """Where the app answers outside the cluster; empty where nobody reaches it."""
        return f"http://{self.balancer_address}/" if self.balancer_address else ""

    @classmethod
    def from_export(cls, exported: Mapping[str, Any]) -> SampleApp:
        """Reads the output `workload`; the name stays for those who read it already. Raises UsageError for a missing
        field."""
        return cls(
            namespace=_text(exported, "namespace"),
            deployment=_text(exported, "deployment"),
            service=_text(exported, "service"),
            node_port=int(_required(exported, "nodePort")),  # the engine's numbers are floats
            balancer_address=exported.get("balancerAddress") or "",
        )


@dataclass(frozen=True)
class StackOutputs:
    """All exports of one stack. Fields of the other kind are None, or empty."""

    kind: Kind
    cluster_name: str
    #: AWS account, 12 digits.
    account: str
    region: str
    vpc_id: str
    #: "1.36.3" on self-managed; on managed what EKS knows, the minor "1.36".
    kubernetes_version: str
    #: URL of the API server, with scheme and port.
    api_endpoint: str
    #: Text, YAML or JSON. A secret.
    kubeconfig: str
    sample_app: SampleApp
    # self-managed
    machines: tuple[Machine, ...] = ()
    ssh_user: str | None = None
    #: OpenSSH private key, PEM. A secret.
    ssh_private_key: str | None = None
    #: S3 bucket of etcd's snapshots.
    backups_bucket: str | None = None
    #: PEM; decrypts them. A secret. Empty on a stack of before there were any.
    backups_key: str = ""
    # managed
    #: "managed" or "auto"; with "auto" the two below are None.
    node_mode: str | None = None
    node_group_name: str | None = None
    node_release_version: str | None = None

    @classmethod
    def from_exports(cls, exports: Mapping[str, Any]) -> StackOutputs:
        """Reads `pulumi stack output --json --show-secrets`. Raises UsageError where an output is missing."""
        kind = _text(exports, "kind")
        if kind not in KINDS:
            raise UsageError(f"output kind: {kind!r} is none of {', '.join(KINDS)}")
        managed = kind == "managed"
        # Stacks from before there was a choice do not say it.
        mode = str(exports.get("nodeMode") or "managed") if managed else None
        return cls(
            kind=kind,
            cluster_name=_text(exports, "clusterName"),
            account=_text(exports, "account"),
            region=_text(exports, "region"),
            vpc_id=_text(exports, "vpcId"),
            kubernetes_version=_text(exports, "kubernetesVersion"),
            api_endpoint=_text(exports, "apiEndpoint"),
            kubeconfig=_text(exports, "kubeconfig"),
            sample_app=SampleApp.from_export(_required(exports, "workload")),
            machines=() if managed else tuple(Machine.from_export(m) for m in _required(exports, "machines")),
            ssh_user=None if managed else _text(exports, "sshUser"),
            ssh_private_key=None if managed else _text(exports, "sshPrivateKey"),
            backups_bucket=None if managed else _text(exports, "backupsBucket"),
            backups_key=str(exports.get("backupsKey") or ""),
            node_mode=mode,
            node_group_name=_text(exports, "nodeGroupName") if mode == "managed" else None,
            node_release_version=_text(exports, "nodeReleaseVersion") if mode == "managed" else None,
        )


def _required(exports: Mapping[str, Any], key: str) -> Any:
    if exports.get(key) is None:
        raise UsageError(f"output {key}: missing; the stack is not up, run pulumi up")
    return exports[key]


def _text(exports: Mapping[str, Any], key: str) -> str:
    return str(_required(exports, key))

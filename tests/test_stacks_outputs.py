"""The export contract."""

import subprocess
import sys
from typing import Any

import pytest

from twinplane.errors import UsageError
from twinplane.outputs import Machine, SampleApp, StackOutputs

COMMON: dict[str, Any] = {
    "clusterName": "twinplane-test",
    "account": "123456789012",
    "region": "us-east-1",
    "vpcId": "vpc-1",
    "kubernetesVersion": "1.36",
    "apiEndpoint": "https://api:443",
    "kubeconfig": "{}",
    "workload": {"namespace": "n", "deployment": "d", "service": "s", "nodePort": 30080.0},
}
MACHINE = {
    "name": "worker-1",
    "role": "worker",
    "instanceId": "i-1",
    "zone": "us-east-1a",
    "privateIp": "10.0.0.1",
    "sshAddress": "192.0.2.1",
    "hostKey": "ssh-ed25519 AAAA",
    "etcdVolume": "vol-1",
    "sshTunnel": "eu-west-1",
    "publicIp": "203.0.113.1",
}
MANAGED = {**COMMON, "kind": "managed", "nodeGroupName": "g", "nodeReleaseVersion": "1.36.3-20260901"}
SELF_MANAGED = {**COMMON, "kind": "self-managed", "machines": [MACHINE], "sshUser": "admin", "sshPrivateKey": "k"}
SELF_MANAGED |= {"backupsBucket": "b"}


def test_managed() -> None:
    outputs = StackOutputs.from_exports(MANAGED)
    assert (outputs.kind, outputs.node_group_name, outputs.node_release_version) == ("managed", "g", "1.36.3-20260901")
    assert (outputs.machines, outputs.ssh_user, outputs.ssh_private_key) == ((), None, None)
    assert outputs.sample_app == SampleApp("n", "d", "s", 30080)


def test_auto_mode_has_no_node_group() -> None:
    exports = {key: value for key, value in MANAGED.items() if not key.startswith("node")}
    outputs = StackOutputs.from_exports({**exports, "nodeMode": "auto"})
    assert (outputs.node_mode, outputs.node_group_name, outputs.node_release_version) == ("auto", None, None)
    assert StackOutputs.from_exports(MANAGED).node_mode == "managed"


def test_self_managed() -> None:
    outputs = StackOutputs.from_exports(SELF_MANAGED)
    assert outputs.machines == (
        Machine(
            name="worker-1",
            role="worker",
            instance_id="i-1",
            zone="us-east-1a",
            private_ip="10.0.0.1",
            ssh_address="192.0.2.1",
            host_key="ssh-ed25519 AAAA",
            etcd_volume="vol-1",
            ssh_tunnel="eu-west-1",
            public_ip="203.0.113.1",
        ),
    )
    # As stacks from before exported it.
    before = Machine.from_export({key: text for key, text in MACHINE.items() if key not in {"sshTunnel", "publicIp"}})
    assert (before.ssh_tunnel, before.public_ip) == ("", "")
    assert outputs.machines[0].export() == MACHINE
    assert (outputs.ssh_user, outputs.ssh_private_key, outputs.node_group_name) == ("admin", "k", None)
    assert outputs.backups_bucket == "b"


@pytest.mark.parametrize(
    ("exports", "missing"),
    [(exports, key) for exports in (MANAGED, SELF_MANAGED) for key in exports],
)
def test_a_missing_output_is_named(exports: dict[str, Any], missing: str) -> None:
    with pytest.raises(UsageError, match=f"output {missing}: missing"):
        StackOutputs.from_exports({key: value for key, value in exports.items() if key != missing})


def test_unknown_kind_and_role_are_named() -> None:
    with pytest.raises(UsageError, match="output kind: 'eks' is none of managed, self-managed"):
        StackOutputs.from_exports({**MANAGED, "kind": "eks"})
    with pytest.raises(UsageError, match="role 'boss' is none of control-plane, worker"):
        Machine.from_export({**MACHINE, "role": "boss"})


def test_reading_needs_no_pulumi() -> None:
    code = "import sys, twinplane.outputs; sys.exit('pulumi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""What is written on the hosts of a cluster and into its API, word for word."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lab.cloud.ec2 import ec2
from lab.cloud.eks import control_plane, kube, metrics_server, node_bootstrap, pki, system
from lab.cloud.eks.state import Cluster, Node, Nodegroup
from tests import golden_files

CLUSTER = Cluster(
    {
        "name": "demo",
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "198.19.0.0/20"},
        "resourcesVpcConfig": {"vpcId": "vpc-1", "subnetIds": ["subnet-a", "subnet-b"]},
        "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "arn:key"}}],
        "identity": {"oidc": {"issuer": "https://oidc.eks.us-east-1.amazonaws.com/id/0123"}},
    },
    id="0123abcd",
    address="198.19.240.2",
    pods="198.18.128.0/21",
)
GROUP = Nodegroup(
    {
        "nodegroupName": "ng",
        "capacityType": "ON_DEMAND",
        "labels": {"team": "blue"},
        "taints": [{"key": "dedicated", "value": "blue", "effect": "NO_SCHEDULE"}],
    }
)
NODE = Node("t-0", "20260901", "198.18.128.64/26", "subnet-a")
MACHINE = ec2.Machine(
    id="i-0123456789abcdef0", wanted="running", state="pending", release="20260901", address="198.18.0.10",
    hostname="ip-198-18-0-10.ec2.internal", zone="us-east-1a", subnet_id="subnet-a", instance_type="t3.medium",
    user_data=b"", authorized_keys=(), tags={}, token="t-0",
)  # fmt: skip


def _text(files: dict[str, tuple[bytes, int]]) -> str:
    shown = []
    for path, (content, mode) in sorted(files.items()):
        body = "(PEM)\n" if content.startswith(b"-----BEGIN") else content.decode()
        shown.append(f"=== {path} {mode:o}\n{body}")
    return "\n".join(shown)


def test_control_plane() -> None:
    files = control_plane.files(CLUSTER, authority=b"certificate", data_key=bytes(32))
    golden_files.check("eks_control_plane.txt", _text(files))


def test_without_a_key_nothing_is_encrypted() -> None:
    plain = replace(CLUSTER, api=CLUSTER.api | {"encryptionConfig": []})
    files = control_plane.files(plain, authority=b"certificate", data_key=bytes(32))
    assert control_plane.ENCRYPTION not in files
    assert "encryption" not in _text(files)


def test_node() -> None:
    golden_files.check(
        "eks_node.txt", _text(node_bootstrap.files(CLUSTER, GROUP, NODE, MACHINE, pki.authority("kubernetes")))
    )


def test_objects() -> None:
    manifests = [*system.access(), *system.kube_proxy(CLUSTER), *system.coredns(CLUSTER), *metrics_server.objects()]
    golden_files.check("eks_objects.json", json.dumps(manifests, indent=1) + "\n")


def test_auto_mode_has_dns_on_every_node() -> None:
    *others, _, deployment = system.coredns(CLUSTER)
    *same, made = system.node_coredns(CLUSTER)
    assert same == others, "all but the disruption budget"
    assert (made["kind"], made["metadata"]) == ("DaemonSet", deployment["metadata"])
    assert set(made["spec"]) == {"selector", "template"}
    pod, before = made["spec"]["template"]["spec"], deployment["spec"]["template"]["spec"]
    assert pod["containers"] == before["containers"]
    assert pod["tolerations"] == [{"operator": "Exists"}]


def test_a_nodes_private_keys_are_for_root_alone() -> None:
    files = node_bootstrap.files(CLUSTER, GROUP, NODE, MACHINE, pki.authority("kubernetes"))
    secret = {path for path, (content, _) in files.items() if b"PRIVATE KEY" in content}
    assert secret == {f"{node_bootstrap.PKI}/kubelet.key", f"{node_bootstrap.PKI}/kubelet-client.key"}
    assert {files[path][1] for path in secret} == {0o600}


def test_no_secret_is_in_what_the_control_planes_host_is_made_with() -> None:
    assert not any(
        b"PRIVATE" in content for content, _ in control_plane.files(CLUSTER, authority=b"", data_key=b"").values()
    )


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"}},
            "/api/v1/namespaces/b/services/a",
        ),
        (
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "a", "namespace": "b"}},
            "/apis/apps/v1/namespaces/b/daemonsets/a",
        ),
        (
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:a"}},
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a",
        ),
    ],
)
def test_where_objects_are(manifest: dict[str, Any], path: str) -> None:
    assert kube.path_of(manifest) == path

"""A self-managed cluster with three control planes outlives the loss of any one machine."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.machines.host import Host
from tests.support import ha, replicas
from tests.support.live import Cluster, Shell, brought_up

#: Of the requests while a machine is gone, beside those that are sent to the pods it had.
TOLERATED = 0.05
#: Of the questions to the API. A balancer that went on asking a lost control plane would lose as many, for good.
UNANSWERED = 1 / 3
#: Of the API's target group; the sample app's have ports of nodes.
API_PORT = 6443


@pytest.fixture(scope="module")
def config(secrets_folder: Path) -> tuple[str, ...]:
    return ha.config(secrets_folder)


@pytest.fixture(scope="module")
def cluster(shell: Shell, config: tuple[str, ...], secrets_folder: Path) -> Iterator[Cluster]:
    with brought_up(shell, ha.STACK, config, secrets_folder) as made:
        yield made


def test_three_control_planes_share_etcd(cluster: Cluster) -> None:
    pods = cluster.get("pods", "-n", "kube-system")["items"]
    running = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]
    for component in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert {name for name in running if name.startswith(component)} == {
            f"{component}-control-plane-{number}" for number in (1, 2, 3)
        }


def test_replicas_are_apart_at_the_end_of_up(cluster: Cluster) -> None:
    assert replicas.apart(cluster, replicas.APP, replicas.DNS)


def test_each_control_plane_stands_in_a_zone_of_its_own(cluster: Cluster) -> None:
    nodes = cluster.get("nodes", "-l", "node-role.kubernetes.io/control-plane")["items"]
    zones = {each["metadata"]["labels"]["topology.kubernetes.io/zone"] for each in nodes}
    assert len(zones) == len(nodes) == 3
    exported = [each for each in cluster.outputs["machines"] if each["role"] == "control-plane"]
    assert {each["zone"] for each in exported} == zones


def test_people_and_machines_reach_the_api_by_names_of_their_own(cluster: Cluster) -> None:
    [people] = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"]
    [machines] = yaml.safe_load(cluster.get("configmap", "-n", "kube-public", "cluster-info")["data"]["kubeconfig"])[
        "clusters"
    ]
    schemes = {
        f"https://{each['DNSName']}:{API_PORT}".lower(): each.get("Scheme")
        for each in cluster.shell.json("aws", "elbv2", "describe-load-balancers")["LoadBalancers"]
    }
    servers = {who: entry["cluster"]["server"] for who, entry in (("people", people), ("machines", machines))}
    assert {who: schemes[server] for who, server in servers.items()} == {
        "people": "internet-facing",
        "machines": "internal",
    }
    for machine in cluster.outputs["machines"]:
        kubelet = yaml.safe_load(Host(machine["instanceId"]).run("cat", "/etc/kubernetes/kubelet.conf").stdout)
        assert [each["cluster"]["server"] for each in kubelet["clusters"]] == [servers["machines"]], (
            "not the one beside it"
        )
    for server in servers.values():  # the certificate is for both
        assert ha.answers(cluster, "get", "--raw", "/readyz", "--server", server)


def test_a_second_up_changes_nothing(cluster: Cluster, config: tuple[str, ...]) -> None:
    cluster.shell.run("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", *config)


def test_refresh_finds_no_drift(cluster: Cluster, config: tuple[str, ...]) -> None:
    cluster.shell.run("pulumi", "refresh", "--yes", "--skip-preview", "--expect-no-changes", *config)


def test_the_playbook_changes_nothing_where_all_is_done(cluster: Cluster) -> None:
    state = cluster.shell.json("pulumi", "stack", "export", "--show-secrets", "-s", ha.STACK)
    [site] = [each for each in state["deployment"]["resources"] if each.get("inputs", {}).get("create") == "site"]
    request = json.loads(site["inputs"]["stdin"]["plaintext"])
    done = cluster.shell.run(sys.executable, "-m", "twinplane.ansible", "site", stdin=request)
    stats = json.loads(done.stdout)["stats"]
    assert {host: counts["changed"] for host, counts in stats.items()} == {
        each["name"]: 0 for each in cluster.outputs["machines"]
    }, done.stderr


def disk_of_etcd(cluster: Cluster, name: str) -> tuple[str, str]:
    """Returns the file system that etcd's log is written to, and the serial number of its disk."""
    [machine] = [each for each in cluster.outputs["machines"] if each["name"] == name]
    host = Host(machine["instanceId"])
    kind, device = host.run("findmnt", "-no", "FSTYPE,SOURCE", "--target", "/var/lib/etcd/member/wal").stdout.split()
    return kind, host.run("lsblk", "-dno", "SERIAL", device).stdout.strip()


def volume_of_etcd(cluster: Cluster, name: str) -> tuple[str, str]:
    """Returns what `disk_of_etcd` is to be."""
    [machine] = [each for each in cluster.outputs["machines"] if each["name"] == name]
    assert machine["etcdVolume"].startswith("vol-")
    return "ext4", machine["etcdVolume"].replace("-", "")


def test_etcd_has_a_disk_of_its_own(cluster: Cluster) -> None:
    found = {f"control-plane-{n}": disk_of_etcd(cluster, f"control-plane-{n}") for n in (1, 2, 3)}
    assert found == {name: volume_of_etcd(cluster, name) for name in found}
    assert len(set(found.values())) == 3


def test_health_of_the_load_balancers_targets(cluster: Cluster) -> None:
    groups = [
        each["TargetGroupArn"]
        for each in cluster.shell.json("aws", "elbv2", "describe-target-groups")["TargetGroups"]
        if each["Port"] == API_PORT
        and {"Key": "Stack", "Value": ha.STACK} in tags(cluster.shell, each["TargetGroupArn"])
    ]
    assert len(groups) == 2
    for group in groups:
        told = cluster.shell.json("aws", "elbv2", "describe-target-health", "--target-group-arn", group)
        assert [each["TargetHealth"]["State"] for each in told["TargetHealthDescriptions"]] == ["healthy"] * 3


def tags(shell: Shell, arn: str) -> list[dict[str, str]]:
    return list(shell.json("aws", "elbv2", "describe-tags", "--resource-arns", arn)["TagDescriptions"][0]["Tags"])


def check(loss: ha.Loss, tolerated: float = TOLERATED) -> None:
    """Fails where a client noticed more of a loss than it must."""
    assert loss.healed, loss
    assert loss.unanswered <= UNANSWERED * loss.asked, loss
    assert loss.requests >= ha.RATE * loss.heal / 2, loss  # else too little was sent to tell
    assert loss.failed <= (loss.share + tolerated) * loss.requests, loss


# One after the other, so that the leader is among them, wherever it is.
@pytest.mark.parametrize("machine", ["control-plane-1", "control-plane-2", "control-plane-3"])
def test_a_control_plane_is_lost(cluster: Cluster, machine: str) -> None:
    check(ha.lose(cluster, machine))
    assert disk_of_etcd(cluster, machine) == volume_of_etcd(cluster, machine), "mounted again"


@pytest.mark.parametrize("machine", ["worker-1", "worker-2"])
def test_a_worker_is_lost(cluster: Cluster, machine: str) -> None:
    """Until its pods are known to be gone, the other worker sends them their share: benchmarks/ha.py."""
    check(ha.lose(cluster, machine), tolerated=0.2)  # those sent to dead pods take longer, too

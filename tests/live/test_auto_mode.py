"""EKS Auto Mode: a managed stack on nodes that come for pods, and go when they have none."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from lab.machines import network
from lab.machines.host import Host
from tests.support.live import Cluster, Shell, brought_up, derived, inside, kill_daemon, pod, until

#: Its values are managed-lab's but for these.
STACK, BASE = "auto-lab", "managed-lab"
NAME = f"twinplane-{STACK}"
OTHER = {
    "twinplane:nodeReleaseVersion": None,
    "twinplane:nodeMode": "auto",
    "twinplane:vpcCidr": "198.19.128.0/20",
    "twinplane:serviceCidr": "198.19.144.0/20",
}
#: Asks a DNS server for the address of the API's Service.
ASK = """
import socket, sys
name = b"".join(bytes([len(part)]) + part for part in b"kubernetes.default.svc.cluster.local".split(b"."))
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(5)
asking.sendto(bytes([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + name + bytes([0, 0, 1, 0, 1]), (sys.argv[1], 53))
print(socket.inet_ntoa(asking.recv(512)[-4:]))
"""
#: Seconds until a node has come, and until one without pods has gone.
COME, GO = 120, 150


@pytest.fixture(scope="module")
def config(secrets_folder: Path) -> tuple[str, ...]:
    return derived(secrets_folder, STACK, BASE, OTHER)


@pytest.fixture(scope="module")
def cluster(shell: Shell, config: tuple[str, ...], secrets_folder: Path) -> Iterator[Cluster]:
    with brought_up(shell, STACK, config, secrets_folder) as found:
        yield found


def instances(shell: Shell) -> dict[str, dict[str, Any]]:
    """Returns private DNS name -> instance, of those that Auto Mode has running."""
    filters = [
        {"Name": "tag:eks:eks-cluster-name", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    answer = shell.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return {each["PrivateDnsName"]: each for reservation in answer for each in reservation["Instances"]}


def test_the_app_runs_on_nodes_that_nobody_asked_for(cluster: Cluster) -> None:
    assert cluster.get("deployment", "-n", "twinplane", "sample-app")["status"]["availableReplicas"] == 3
    eks = cluster.shell.client("eks")
    assert eks.list_nodegroups(clusterName=NAME)["nodegroups"] == []
    assert eks.describe_cluster(name=NAME)["cluster"]["computeConfig"] == {
        "enabled": True,
        "nodePools": ["general-purpose", "system"],
        "nodeRoleArn": "arn:aws:iam::123456789012:role/" + _role(cluster),
    }
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in cluster.ready_nodes()}
    machines = instances(cluster.shell)
    assert nodes.keys() == machines.keys()
    for name, labels in nodes.items():
        assert labels["eks.amazonaws.com/compute-type"] == "auto"
        assert labels["karpenter.sh/nodepool"] == "general-purpose"
        assert labels["node.kubernetes.io/instance-type"] == machines[name]["InstanceType"]
        assert labels["topology.kubernetes.io/zone"] == machines[name]["Placement"]["AvailabilityZone"]


def _role(cluster: Cluster) -> str:
    [role] = [
        each["RoleName"]
        for each in cluster.shell.client("iam").list_roles()["Roles"]
        if each["RoleName"].startswith(f"{NAME}-auto-nodes")
    ]
    return str(role)


def test_names_resolve_and_the_app_is_reached(cluster: Cluster) -> None:
    services = {each["metadata"]["name"]: each["spec"]["clusterIP"] for each in cluster.get("services", "-A")["items"]}
    for machine in instances(cluster.shell).values():
        ask = inside(Host(machine["InstanceId"]).leader, sys.executable, "-c", ASK, services["kube-dns"])

        def answer(ask: list[str] = ask) -> str:
            return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()

        assert until("an answer", answer, 60) == services["kubernetes"]
    workload = cluster.outputs["workload"]
    pods = {each["metadata"]["name"] for each in cluster.get("pods", "-n", "twinplane")["items"]}
    until("the app, by its balancer", lambda: pod(f"http://{workload['balancerAddress']}/") in pods, 60)
    # Its controller has its role from Pod Identity's agent, which the nodes have without an add-on.
    assert cluster.shell.client("eks").list_addons(clusterName=NAME)["addons"] == []
    assert workload["ingressAddress"].endswith(".elb.amazonaws.com")


def test_a_second_up_changes_nothing_and_nothing_has_drifted(cluster: Cluster, config: tuple[str, ...]) -> None:
    for verb in (("up", "--skip-preview"), ("refresh", "--skip-preview")):
        cluster.shell.run("pulumi", *verb, "--yes", "--expect-no-changes", *config)


def test_a_node_comes_for_a_pod_that_waits_and_goes_after_it(cluster: Cluster) -> None:
    before = instances(cluster.shell).keys()
    free = min(cpus(node["status"]["allocatable"]["cpu"]) for node in cluster.ready_nodes())
    container = {
        "name": "app",
        "image": cluster.get("deployment", "-n", "twinplane", "sample-app")["spec"]["template"]["spec"]["containers"][
            0
        ]["image"],
        # All that kube-proxy and CoreDNS leave on a node, and so more than there is where the app runs.
        "resources": {"requests": {"cpu": f"{free - 210}m"}},
    }
    labels = {"app": "large"}
    large = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "large", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }
    argv = ("kubectl", "--kubeconfig", str(cluster.kubeconfig), "apply", "-f", "-")
    cluster.shell.run(*argv, stdin=yaml.safe_dump(large))
    [more] = until("another instance", lambda: instances(cluster.shell).keys() - before, COME)
    kill_daemon()
    cluster.kubectl("rollout", "status", "deployment/large", f"--timeout={COME}s", timeout=COME + 10)
    [found] = cluster.get("pods", "-l", "app=large")["items"]
    assert found["spec"]["nodeName"] == more
    assert instances(cluster.shell).keys() == before | {more}, "one was enough"
    cluster.kubectl("delete", "deployment", "large")
    until("it goes", lambda: instances(cluster.shell).keys() == before, GO)
    until("its Node, too", lambda: {each["metadata"]["name"] for each in cluster.get("nodes")["items"]} == before, GO)
    assert cluster.get("deployment", "-n", "twinplane", "sample-app")["status"]["availableReplicas"] == 3


def cpus(text: str) -> int:
    """Returns thousandths of a CPU, of Kubernetes's text."""
    return int(text[:-1]) if text.endswith("m") else int(text) * 1000


def test_a_destroy_leaves_nothing(cluster: Cluster, config: tuple[str, ...]) -> None:
    shell, machines = cluster.shell, instances(cluster.shell).values()
    assert machines, "the nodes end with their cluster"
    shell.run("pulumi", "destroy", "--yes", "--skip-preview", *config)
    with pytest.raises(ClientError, match="No cluster found"):
        shell.client("eks").describe_cluster(name=NAME)
    assert instances(shell) == {}
    assert not {each["InstanceId"] for each in machines} & {each.name for each in Host.all()}
    profiles = shell.client("iam").list_instance_profiles()["InstanceProfiles"]
    assert not [each for each in profiles for role in each["Roles"] if role["RoleName"].startswith(NAME)]
    vpcs = shell.client("ec2").describe_vpcs()["Vpcs"]
    assert OTHER["twinplane:vpcCidr"] not in {each["CidrBlock"] for each in vpcs}
    routed = set(network.marked(network.UNMARKED).values())
    assert not {each["PrivateIpAddress"] for each in machines} & routed

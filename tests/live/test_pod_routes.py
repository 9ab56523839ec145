"""A cluster whose pods are reached by routes of the VPC, made by the real route controller."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.constants import FABRIC
from lab.machines import network
from lab.machines.host import Host
from tests.support.live import Cluster, Shell, brought_up, derived, inside, until

#: Its values are ha-lab's but for these: one control plane is enough.
STACK, BASE = "routed-lab", "ha-lab"
OTHER = {"twinplane:podNetwork": "routed", "twinplane:controlPlanes": 1, "twinplane:workers": 2}
APP = "app.kubernetes.io/name=sample-app"
#: Prints who comes, once.
SERVE = "import socket; s = socket.create_server(('', 7007)); print('up', flush=True); print(s.accept()[1][0])"
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 7007), 20)"
#: Seconds until the route controller has looked again; it does every 10.
LOOK = 40


@pytest.fixture(scope="module")
def config(secrets_folder: Path) -> tuple[str, ...]:
    return derived(secrets_folder, STACK, BASE, OTHER)


@pytest.fixture(scope="module")
def cluster(shell: Shell, config: tuple[str, ...], secrets_folder: Path) -> Iterator[Cluster]:
    with brought_up(shell, STACK, config, secrets_folder) as found:
        yield found


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> list[tuple[int, str, str]]:
    """(process, address, node) of two pods on two nodes."""
    # The first ones came when one worker was initialized, maybe; others are spread.
    cluster.kubectl("delete", "pods", "-n", "twinplane", "-l", APP)
    cluster.kubectl("rollout", "status", "-n", "twinplane", "deploy/sample-app", "--timeout", "60s")
    found = {each["spec"]["nodeName"]: each for each in cluster.get("pods", "-n", "twinplane", "-l", APP)["items"]}
    assert len(found) >= 2
    return [(process(each["metadata"]["name"]), each["status"]["podIP"], node) for node, each in found.items()][:2]


def process(pod: str) -> int:
    """Returns a process of the pod, as this machine knows it."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"POD_NAME={pod}".encode() in environ.read_bytes().split(b"\0"):
                return int(environ.parent.name)
        except OSError:  # it ended meanwhile
            continue
    pytest.fail(f"no process of {pod}")


def init(cluster: Cluster, node: str) -> int | None:
    """Returns the first process of a machine, which no other's end takes away."""
    [machine] = [each for each in cluster.outputs["machines"] if each["name"] == node]
    return Host(machine["instanceId"]).leader


def seen(client: int | None, server: int | None, address: str) -> str:
    """Returns with which address a connection from one network arrives in another."""
    with subprocess.Popen(inside(server, sys.executable, "-c", SERVE), stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout
        try:
            assert serving.stdout.readline() == "up\n"
            subprocess.run(inside(client, sys.executable, "-c", CONNECT, address), check=True, timeout=30)
            return serving.stdout.readline().strip()
        finally:
            serving.kill()


def routes(shell: Shell) -> dict[str, tuple[str, str]]:
    """Returns range -> (instance, state) of the routes to instances in the cluster's table."""
    tables = shell.json("aws", "ec2", "describe-route-tables")["RouteTables"]
    tag = f"kubernetes.io/cluster/twinplane-{STACK}"
    [table] = [each for each in tables if tag in {one["Key"] for one in each["Tags"]}]
    return {
        route["DestinationCidrBlock"]: (route.get("InstanceId", ""), route["State"])
        for route in table["Routes"]
        if route.get("NetworkInterfaceId")
    }


def test_the_controller_makes_one_route_a_node(cluster: Cluster) -> None:
    ranges = {each["metadata"]["name"]: each["spec"]["podCIDR"] for each in cluster.get("nodes")["items"]}
    wanted = {ranges[each["name"]]: (each["instanceId"], "active") for each in cluster.outputs["machines"]}
    until("a route a node", lambda: routes(cluster.shell) == wanted, LOOK)

    def unavailable() -> list[str]:
        """Returns nodes of which the controller does not say that their network is there."""
        states = {
            node["metadata"]["name"]: {each["type"]: each["status"] for each in node["status"]["conditions"]}
            for node in cluster.get("nodes")["items"]
        }
        return [node for node, told in states.items() if told.get("NetworkUnavailable") != "False"]

    until("a network on every node", lambda: not unavailable(), LOOK)


def test_no_machine_has_a_tunnel(cluster: Cluster) -> None:
    for machine in cluster.outputs["machines"]:
        pid = init(cluster, machine["name"])
        shown = subprocess.run(
            inside(pid, "ip", "-json", "link", "show", "type", "vxlan"), capture_output=True, check=True
        )
        assert [each for each in json.loads(shown.stdout or "[]") if each] == []


def test_pods_and_nodes_see_a_pod_s_own_address_and_nobody_else_does(
    cluster: Cluster, pods: list[tuple[int, str, str]]
) -> None:
    (one, address, node), (other, other_address, other_node) = pods
    addresses = {each["name"]: each["privateIp"] for each in cluster.outputs["machines"]}
    assert seen(one, other, other_address) == address
    assert seen(other, one, address) == other_address
    assert seen(one, init(cluster, other_node), addresses[other_node]) == address
    assert seen(one, os.getpid(), str(FABRIC)) == addresses[node]


def test_a_service_answers(cluster: Cluster, pods: list[tuple[int, str, str]]) -> None:
    service = cluster.get("service", "-n", "twinplane", "sample-app-internal")["spec"]
    url = f"http://{service['clusterIP']}:{service['ports'][0]['port']}/"
    ask = inside(pods[0][0], "curl", "-sS", "--fail", "--max-time", "2", url)
    nodes: set[str] = set()

    def answers() -> int:
        """Returns nodes whose pods have answered so far; kube-proxy knows new pods a second or two after they are
        ready."""
        done = subprocess.run(ask, capture_output=True, check=False)
        nodes.update([json.loads(done.stdout)["node"]] if done.returncode == 0 else [])
        return len(nodes)

    until("pods on two nodes answer", lambda: answers() >= 2, 60)


def test_what_the_controller_wrote_is_no_drift(cluster: Cluster, config: tuple[str, ...]) -> None:
    cluster.shell.run("pulumi", "up", "--refresh", "--yes", "--skip-preview", "--expect-no-changes", *config)
    assert len(routes(cluster.shell)) == len(cluster.outputs["machines"])


def test_the_route_of_a_machine_that_is_gone_goes(cluster: Cluster) -> None:
    gone = cluster.get("node", "worker-2")["spec"]["podCIDR"]
    assert gone in network.marked(network.TABLES)
    [machine] = [each for each in cluster.outputs["machines"] if each["name"] == "worker-2"]
    cluster.shell.run("aws", "ec2", "terminate-instances", "--instance-ids", machine["instanceId"])
    until("this machine routes there no more", lambda: gone not in network.marked(network.TABLES), 30)
    # The controller would, a minute later; until then it makes the route again.
    cluster.kubectl("delete", "node", "worker-2")
    until("the controller takes it out of the table", lambda: gone not in routes(cluster.shell), LOOK)


def test_a_destroy_leaves_nothing(cluster: Cluster, config: tuple[str, ...]) -> None:
    cluster.shell.run("pulumi", "destroy", "--yes", "--skip-preview", *config)
    ours = {(f"kubernetes.io/cluster/twinplane-{STACK}", "owned"), ("Stack", STACK)}
    for table in cluster.shell.json("aws", "ec2", "describe-route-tables")["RouteTables"]:
        assert not ours & {(tag["Key"], tag["Value"]) for tag in table["Tags"]}
    until("no route to a pod", lambda: not network.marked(network.TABLES), 30)

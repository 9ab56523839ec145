"""`make demo`: both clusters live from one program, and what a user does with them next."""

import json
import re
import subprocess
import time
import urllib.request
from typing import Any

import pytest

from tests.support.live import MANAGED, SELF_MANAGED, Cluster, Shell

STACKS = (MANAGED, SELF_MANAGED)


def test_the_demo_ends_with_one_screen_and_addresses_that_answer(demo: subprocess.CompletedProcess[str]) -> None:
    lines = demo.stdout.splitlines()
    assert len(lines) <= 30  # off a terminal, 80 columns wide
    urls = [line.strip() for line in lines if re.fullmatch(r" +http://\S+/", line)]
    assert len(urls) == 2
    for url in urls:
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer)["pod"].startswith("sample-app-")


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("stack", STACKS)
def test_a_second_up_changes_nothing(shell: Shell, stack: str) -> None:
    shell.run("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", "-s", stack)


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("stack", STACKS)
def test_refresh_finds_no_drift(shell: Shell, stack: str) -> None:
    shell.run("pulumi", "refresh", "--yes", "--skip-preview", "--expect-no-changes", "-s", stack)


def test_nodes_are_ready_in_the_pinned_version(cluster: Cluster) -> None:
    ready = cluster.ready_nodes()
    assert len(ready) == (3 if cluster.outputs["kind"] == "self-managed" else 2)
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in ready} == {"v1.36.3"}


def test_control_plane_is_in_the_api_only_where_it_is_yours(managed: Cluster, self_managed: Cluster) -> None:
    def components(cluster: Cluster) -> set[str]:
        pods = cluster.get("pods", "-n", "kube-system", "-l", "tier=control-plane")["items"]
        return {pod["metadata"]["labels"]["component"] for pod in pods}

    assert components(managed) == set()
    assert components(self_managed) == {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}


def test_the_service_balances_over_pods_from_every_node(cluster: Cluster) -> None:
    port = cluster.outputs["workload"]["nodePort"]
    for node in cluster.ready_nodes():
        address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
        pods = set()
        for _ in range(40):
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=5) as answer:
                pods.add(json.load(answer)["pod"])
        assert len(pods) == 3, f"{node['metadata']['name']} reached only {pods}"


def test_names_resolve_in_the_cluster(cluster: Cluster) -> None:
    service = cluster.get("service", "kube-dns", "-n", "kube-system")
    assert service["spec"]["clusterIP"].endswith(".10")
    slices = cluster.get("endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns")["items"]
    assert any(endpoint["conditions"]["ready"] for each in slices for endpoint in each["endpoints"])


@pytest.mark.usefixtures("demo")
def test_no_secret_is_in_a_plain_output(shell: Shell) -> None:
    for stack in STACKS:
        shown: dict[str, Any] = shell.json("pulumi", "stack", "output", "--json", "-s", stack)
        assert shown["kubeconfig"] == "[secret]"
        assert "PRIVATE KEY" not in json.dumps(shown)
        assert "client-key-data" not in shell.run("pulumi", "stack", "export", "-s", stack).stdout


def test_a_killed_pod_is_replaced(cluster: Cluster) -> None:
    pods = cluster.get("pods", "-n", "twinplane")["items"]
    cluster.kubectl("delete", "pod", "-n", "twinplane", pods[0]["metadata"]["name"], "--wait=false")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        status = cluster.get("deployment", "sample-app", "-n", "twinplane")["status"]
        names = {pod["metadata"]["name"] for pod in cluster.get("pods", "-n", "twinplane")["items"]}
        if status.get("readyReplicas") == 3 and pods[0]["metadata"]["name"] not in names:
            return
        time.sleep(1)
    pytest.fail(f"not healed: {status}")

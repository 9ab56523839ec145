"""A damaged cluster is said to be damaged, and mended by `pulumi up`; nodes leave only when their pods can."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.machines.host import Host
from tests.lab.conftest import PROJECT, SELF_MANAGED, Cluster, Shell, until

UP = ("pulumi", "up", "--yes", "--skip-preview", "-s", SELF_MANAGED)
PRECIOUS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: precious, namespace: default}
spec:
  selector: {matchLabels: {app: precious}}
  template:
    metadata: {labels: {app: precious}}
    spec:
      nodeName: worker-3
      containers: [{name: it, image: IMAGE}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: gold, namespace: default}
spec: {minAvailable: 1, selector: {matchLabels: {app: precious}}}
"""


@pytest.fixture(autouse=True)
def _whole_again(shell: Shell, self_managed: Cluster) -> Iterator[None]:  # noqa: ARG001
    yield
    shell.run(*UP)


def host(cluster: Cluster, name: str) -> Host:
    """Returns the lab's host of a node, also of one that has no Node."""
    [machine] = [each for each in cluster.outputs["machines"] if each["name"] == name]
    return next(each for each in Host.all() if each.spec.address == machine["privateIp"])


def ready(cluster: Cluster) -> set[str]:
    return {node["metadata"]["name"] for node in cluster.ready_nodes()}


def test_what_was_removed_from_machines_is_written_again(shell: Shell, self_managed: Cluster) -> None:
    control_plane, worker = host(self_managed, "control-plane-1"), host(self_managed, "worker-1")
    assert control_plane.run("rm", "/etc/kubernetes/manifests/kube-scheduler.yaml").returncode == 0
    assert worker.run("rm", "/etc/kubernetes/kubelet.conf").returncode == 0
    assert worker.run("systemctl", "restart", "kubelet").returncode == 0
    until("worker-1 is lost", lambda: "worker-1" not in ready(self_managed), 120)
    said = shell.run(*UP).stdout
    assert "the playbook runs again: " in said
    assert "worker-1 is not Ready" in said
    assert "control-plane-1 runs no kube-scheduler" in said
    assert ready(self_managed) == {"control-plane-1", "worker-1", "worker-2"}
    until("the scheduler runs", lambda: "kube-scheduler-control-plane-1" in pods(self_managed), 60)
    shell.run(*UP, "--expect-no-changes")


def pods(cluster: Cluster) -> set[str]:
    found = cluster.get("pods", "-n", "kube-system")["items"]
    return {pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"}


def test_a_deleted_node_comes_back_with_its_network(shell: Shell, self_managed: Cluster) -> None:
    self_managed.kubectl("delete", "node", "worker-2")
    assert "worker-2 has no Node" in shell.run(*UP).stdout
    ranges = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in self_managed.ready_nodes()}
    assert set(ranges) == {"control-plane-1", "worker-1", "worker-2"}
    network = json.loads(host(self_managed, "worker-2").run("cat", "/etc/cni/net.d/10-pods.conflist").stdout)
    assert network["plugins"][0]["ipam"]["subnet"] == ranges["worker-2"]
    routes = host(self_managed, "worker-1").run("ip", "route", "show", "dev", "pods").stdout
    assert ranges["worker-2"] in routes

    def reached() -> bool:
        """Every pod of the app has an address of its node's range."""
        found = self_managed.get("pods", "-n", "twinplane")["items"]
        return all(
            ip_address(pod["status"].get("podIP", "0.0.0.0")) in ip_network(ranges[pod["spec"]["nodeName"]])
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
        )

    until("the pods of before have new addresses", reached, 60)
    shell.run(*UP, "--expect-no-changes")


def test_certificates_that_ran_out_are_renewed_by_the_timers_service(self_managed: Cluster) -> None:
    control_plane = host(self_managed, "control-plane-1")
    short = (
        "sed 's/certificateValidityPeriod:.*/certificateValidityPeriod: 1m0s/' /etc/kubernetes/kubeadm.yaml > /run/k"
    )
    assert control_plane.run("sh", "-c", f"{short} && kubeadm certs renew all --config /run/k").returncode == 0
    expired = "openssl x509 -noout -checkend 0 -in /etc/kubernetes/pki/apiserver.crt"
    until("they ran out", lambda: control_plane.run("sh", "-c", expired).returncode == 1, 120)
    done = control_plane.run("systemctl", "start", "renew-certificates", timeout=300)
    assert done.returncode == 0, control_plane.run("journalctl", "-u", "renew-certificates", "-n", "20").stdout
    said = control_plane.run("journalctl", "-u", "renew-certificates", "-o", "cat", "-n", "40").stdout
    order = [line.removeprefix("restarted ") for line in said.splitlines() if line.startswith("restarted ")]
    assert order[:2] == ["etcd", "kube-apiserver"]  # the others end by themselves when the API is away for long
    month = "openssl x509 -noout -checkend 2592000 -in"
    for name in ("apiserver.crt", "etcd/server.crt", "front-proxy-client.crt"):
        assert control_plane.run("sh", "-c", f"{month} /etc/kubernetes/pki/{name}").returncode == 0, name
    timers = control_plane.run("systemctl", "list-timers", "--all", "renew-certificates.timer").stdout
    assert "renew-certificates.service" in timers
    until("all nodes are Ready", lambda: len(ready(self_managed)) == 3, 60)


@pytest.fixture
def three_workers(tmp_path: Path) -> tuple[str, ...]:
    """Returns the arguments of pulumi that make it three workers."""
    config = yaml.safe_load((PROJECT / "stacks" / f"Pulumi.{SELF_MANAGED}.yaml").read_text())
    config["config"]["twinplane:workers"] = 3
    # The update fails with the pod that stays, so a short limit is enough.
    config["config"]["twinplane:playbookVars"]["node_drain_timeout"] = 20
    file = tmp_path / "three.yaml"
    file.write_text(yaml.safe_dump(config))
    return (*UP, "--config-file", str(file))


def with_workers(command: tuple[str, ...], count: int) -> tuple[str, ...]:
    file = Path(command[-1])
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    config["config"]["twinplane:workers"] = count
    file.write_text(yaml.safe_dump(config))
    return command


def test_a_worker_leaves_only_when_its_pods_can(
    shell: Shell, self_managed: Cluster, three_workers: tuple[str, ...]
) -> None:
    shell.run(*three_workers)
    assert "worker-3" in ready(self_managed)
    taints = self_managed.get("node", "worker-3")["spec"].get("taints", [])
    assert "twinplane/joining" not in [each["key"] for each in taints]
    image = self_managed.get("deployment", "sample-app", "-n", "twinplane")["spec"]["template"]["spec"]["containers"][0]
    apply = ("kubectl", "--kubeconfig", str(self_managed.kubeconfig), "apply", "-f", "-")
    shell.run(*apply, stdin=PRECIOUS.replace("IMAGE", image["image"]))
    try:
        self_managed.kubectl("wait", "--for=condition=Available", "deployment/precious", "--timeout=60s")
        fewer = with_workers(three_workers, 2)
        failed = shell.run(*fewer, check=False)
        assert failed.returncode != 0
        said = failed.stdout + failed.stderr
        assert "default/precious" in said
        assert "default/gold" in said
        node = self_managed.get("node", "worker-3")
        assert not node["spec"].get("unschedulable"), "it takes pods again"
        assert self_managed.get("pods", "-l", "app=precious")["items"][0]["status"]["phase"] == "Running"
    finally:
        self_managed.kubectl("delete", "deployment/precious", "pdb/gold", "--wait")
    shell.run(*fewer)
    assert {node["metadata"]["name"] for node in self_managed.get("nodes")["items"]} == {
        "control-plane-1",
        "worker-1",
        "worker-2",
    }


def test_a_second_verb_is_refused_while_a_playbook_runs(shell: Shell, self_managed: Cluster) -> None:
    self_managed.kubectl("delete", "node", "worker-2")  # so that `up` has something to do
    due = host(self_managed, "worker-1")
    due.run("touch", "/run/reboot-required")  # and patch
    with subprocess.Popen(
        UP, cwd=PROJECT, env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as first:
        until("the lock is held", lambda: holder(self_managed), 60)
        second = shell.run("twinplane", "patch", SELF_MANAGED, "--force", check=False)
        assert first.communicate(timeout=300)[0]
    due.run("rm", "/run/reboot-required")
    assert second.returncode == 2
    assert "the machines are locked: site by " in second.stderr
    assert first.returncode == 0
    assert holder(self_managed) == ""


def holder(cluster: Cluster) -> str:
    path = "jsonpath={.spec.holderIdentity}"
    return cluster.kubectl("-n", "kube-system", "get", "lease", "twinplane-machines", "-o", path, check=False)


def test_a_replaced_host_key_stops_every_verb_before_the_first_machine(shell: Shell, self_managed: Cluster) -> None:
    worker, key = host(self_managed, "worker-2"), "/etc/ssh/ssh_host_ed25519_key"
    worker.run("sh", "-c", f"cp -a {key} /run/key && rm {key} && ssh-keygen -q -t ed25519 -N '' -f {key}")
    worker.run("systemctl", "restart", "ssh")
    self_managed.kubectl("delete", "node", "worker-1")  # so that `up` has something to do
    try:
        alarm = "its SSH host key is not the pinned one"
        compared = shell.run("twinplane", "compare", check=False)
        assert compared.returncode == 1
        assert [alarm in line for line in compared.stdout.splitlines() if line.startswith("trouble: ")].count(True) == 1
        patched = shell.run("twinplane", "patch", SELF_MANAGED, "--force", check=False)
        assert patched.returncode == 2
        updated = shell.run(*UP, check=False)
        assert updated.returncode != 0
        for said in (patched.stderr, updated.stdout + updated.stderr):
            assert f"worker-2 at {worker.spec.address}: {alarm}" in said
        assert "worker-1" not in {node["metadata"]["name"] for node in self_managed.get("nodes")["items"]}, "untouched"
    finally:
        worker.run("sh", "-c", f"mv -f /run/key {key} && ssh-keygen -y -f {key} > {key}.pub")
        worker.run("systemctl", "restart", "ssh")

"""Backups of a live cluster: taken, listed, proved, and gone back to."""

import json

from tests.support.live import SELF_MANAGED, Cluster, Shell, until


def test_the_cluster_goes_back_to_a_snapshot(shell: Shell, self_managed: Cluster) -> None:
    self_managed.kubectl("create", "namespace", "precious")
    self_managed.kubectl("create", "secret", "generic", "word", "-n", "precious", "--from-literal=word=kept")
    saved = shell.json("twinplane", "backup", SELF_MANAGED, "--json")
    listed = shell.json("twinplane", "backups", SELF_MANAGED, "--json")
    assert {each["id"]: (each["revision"], each["keys"]) for each in listed}[saved["id"]] == (
        saved["revision"],
        saved["keys"],
    )
    checked = shell.json("twinplane", "restore", SELF_MANAGED, "--drill", "--json")
    assert checked["id"] == saved["id"]
    assert int(checked["keys"]) == saved["keys"] > 100

    self_managed.kubectl("delete", "namespace", "precious")
    self_managed.kubectl("create", "namespace", "late")
    nodes = {node["metadata"]["uid"] for node in self_managed.ready_nodes()}
    shell.run("twinplane", "restore", SELF_MANAGED, "--from", saved["id"], "--yes")
    assert json.loads(self_managed.kubectl("get", "secret", "word", "-n", "precious", "-o", "json"))["data"]
    assert (
        "NotFound"
        in shell.run(
            *("kubectl", "--kubeconfig", str(self_managed.kubeconfig), "get", "namespace", "late"), check=False
        ).stderr
    )
    assert {node["metadata"]["uid"] for node in self_managed.ready_nodes()} == nodes
    [control_plane] = self_managed.get("nodes", "-l", "node-role.kubernetes.io/control-plane")["items"]
    assert self_managed.host(control_plane).run("find", "/var/lib/etcd", "!", "-user", "etcd").stdout == "", (
        "what is kept is etcd's, too"
    )
    # Controllers have noticed that time went back: what is new is run.
    self_managed.kubectl("create", "deployment", "new", "-n", "precious", "--image=registry.k8s.io/pause:3.10.2")
    until(
        "a new pod runs",
        lambda: self_managed.get("deployment", "new", "-n", "precious")["status"].get("readyReplicas"),
        90,
    )
    self_managed.kubectl("delete", "namespace", "precious")
    shell.run("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", "-s", SELF_MANAGED)

"""Self-managed clusters are hardened, seen where it takes effect: sshd, etcd, audit log, logind, kubelets' TLS."""

import base64
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.machines.host import Host
from tests import ROOT
from tests.support.live import Cluster, Shell, until

WORD = "open-sesame"
ENCODED = base64.b64encode(WORD.encode()).decode()
#: Of systemd-logind, on the bus.
LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
#: What playbooks/roles/control_plane gives pods to end in at a reboot, in microseconds.
GRACE = 30_000_000
#: What kubelets serve on.
PORT = 10250


@pytest.fixture(scope="module")
def secret(self_managed: Cluster) -> Iterator[str]:
    """A Secret of WORD, made and read by the API."""
    name = "hidden-by-hardening"
    self_managed.kubectl("create", "secret", "generic", name, f"--from-literal=word={WORD}")
    assert self_managed.get("secret", name)["data"] == {"word": ENCODED}
    yield name
    self_managed.kubectl("delete", "secret", name)


@pytest.fixture(scope="module")
def control_plane(self_managed: Cluster) -> Host:
    [node] = self_managed.get("nodes", "-l", "node-role.kubernetes.io/control-plane")["items"]
    return self_managed.host(node)


def test_machines_are_known_by_host_keys_that_are_not_in_user_data(
    shell: Shell, self_managed: Cluster, secrets_folder: Path
) -> None:
    login, known = secrets_folder / "login", secrets_folder / "known_hosts"
    login.touch(0o600)
    login.write_text(self_managed.outputs["sshPrivateKey"])
    options = (f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes")
    options += ("BatchMode=yes", "IdentitiesOnly=yes")
    for machine in self_managed.outputs["machines"]:
        address, own = machine["sshAddress"], machine["hostKey"]
        asked = {"InstanceId": machine["instanceId"], "Attribute": "userData"}
        data = shell.client("ec2").describe_instance_attribute(**asked)["UserData"]["Value"]
        [first] = [key for kind, key in yaml.safe_load(base64.b64decode(data))["ssh_keys"].items() if "public" in kind]

        def ssh(pinned: str, address: str = address) -> subprocess.CompletedProcess[str]:
            known.write_text(f"{address} {pinned}\n")
            flags = [part for option in options for part in ("-o", option)]
            command = ["ssh", "-i", str(login), *flags, f"{self_managed.outputs['sshUser']}@{address}", "true"]
            return subprocess.run(command, capture_output=True, text=True, check=False)

        assert ssh(own).returncode == 0
        assert "Host key verification failed" in ssh(first).stderr
        scanned = subprocess.run(["ssh-keyscan", address], capture_output=True, text=True, check=True).stdout
        assert {line.partition(" ")[2] for line in scanned.splitlines()} == {own}
        # As at its next boot.
        host = next(each for each in Host.all() if each.spec.address == machine["privateIp"])
        again = host.run("cloud-init", "single", "--name", "ssh")
        assert again.returncode == 0, again.stderr
        keys = host.run("sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub").stdout
        assert own in keys
        assert first.split()[1] not in keys


def test_containers_run_by_the_pinned_runc(self_managed: Cluster) -> None:
    wanted = yaml.safe_load((ROOT / "playbooks" / "group_vars" / "all.yml").read_text())["containerd_runc_version"]
    # As containerd's shim finds it: Debian's, if there is any, comes later in PATH.
    first = 'PATH="$(tr "\\0" "\\n" < /proc/$(pidof containerd)/environ | sed -n s/^PATH=//p)"; runc --version'
    for node in self_managed.ready_nodes():
        assert self_managed.host(node).run("sh", "-c", first).stdout.startswith(f"runc version {wanted}\n")


def test_secrets_are_ciphertext_in_etcd_and_nothing_else_is(
    self_managed: Cluster, control_plane: Host, secret: str
) -> None:
    pki = "/etc/kubernetes/pki/etcd"
    client = ("--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key")

    def stored(kind: str, namespace: str, name: str) -> bytes:
        """From etcd itself, by its gateway."""
        request = json.dumps({"key": base64.b64encode(f"/registry/{kind}/{namespace}/{name}".encode()).decode()})
        told = control_plane.run("curl", "-sS", *client, "https://127.0.0.1:2379/v3/kv/range", "-d", request)
        assert told.returncode == 0, told.stderr
        return base64.b64decode(json.loads(told.stdout)["kvs"][0]["value"])

    assert stored("secrets", "default", secret).startswith(b"k8s:enc:secretbox:v1:first:")
    assert WORD.encode() not in stored("secrets", "default", secret)
    plain = self_managed.get("configmap", "-n", "kube-public", "cluster-info")["data"]["kubeconfig"].encode()
    assert plain in stored("configmaps", "kube-public", "cluster-info")
    for file in ("encryption.key", "encryption.yaml"):
        assert control_plane.run("stat", "-c", "%a %U", f"/etc/kubernetes/api-server/{file}").stdout == "600 root\n"


def test_the_audit_log_tells_of_secrets_and_not_what_they_are(control_plane: Host, secret: str) -> None:
    log = "/var/log/kubernetes/audit.log"
    lines = control_plane.run("grep", "--fixed-strings", f'"name":"{secret}"', log).stdout.splitlines()
    about = [json.loads(line) for line in lines]
    assert {"create", "get"} <= {each["verb"] for each in about if each["objectRef"]["resource"] == "secrets"}
    assert {each["user"]["username"] for each in about} == {"kubernetes-admin"}
    for word in (WORD, ENCODED):
        assert control_plane.run("grep", "--fixed-strings", "--count", word, log).stdout == "0\n"


def processes(host: Host, name: str) -> list[tuple[str, list[str]]]:
    """Returns user and arguments of each process of that name."""
    pids = host.run("pgrep", "--exact", name).stdout.split()
    return [
        (
            host.run("stat", "-c", "%U", f"/proc/{pid}").stdout.strip(),
            host.run("cat", f"/proc/{pid}/cmdline").stdout.split("\0"),
        )
        for pid in pids
    ]


def test_nobody_profiles_the_control_plane(self_managed: Cluster, control_plane: Host) -> None:
    for component in ("kube-apiserver", "kube-controller", "kube-scheduler"):  # names of processes end after 15 letters
        [(_, arguments)] = processes(control_plane, component)
        assert "--profiling=false" in arguments
    for path in ("/debug/pprof/", "/debug/pprof/profile"):
        refused = self_managed.kubectl("get", "--raw", path, check=False)
        assert not refused


def test_a_token_of_a_service_account_ends_when_it_says(self_managed: Cluster) -> None:
    """API servers give pods tokens of a year otherwise, in place of the hour that the pod asked for."""
    [pod, *_] = self_managed.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"]
    [node] = [
        each for each in self_managed.get("nodes")["items"] if each["metadata"]["name"] == pod["spec"]["nodeName"]
    ]
    [file] = (
        self_managed.host(node)
        .run("sh", "-c", f"echo /var/lib/kubelet/pods/{pod['metadata']['uid']}/volumes/*/kube-api-access-*/token")
        .stdout.split()
    )
    payload = self_managed.host(node).run("cat", file).stdout.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] - claims["iat"] <= 2 * 3600
    assert "warnafter" not in claims["kubernetes.io"]


def test_etcd_runs_as_a_user_of_its_own_and_its_data_are_that_users(control_plane: Host) -> None:
    [(user, _)] = processes(control_plane, "etcd")
    assert user == "etcd"
    found = control_plane.run("find", "/var/lib/etcd", "-printf", "%U:%G:%m %p\n").stdout.splitlines()
    ids = ":".join(control_plane.run("id", flag, "etcd").stdout.strip() for flag in ("-u", "-g"))
    assert found
    assert {line.rpartition(":")[0] for line in found} == {ids}
    assert f"{ids}:700 /var/lib/etcd" in found
    keys = "/etc/kubernetes/pki/etcd"
    for key, owner in {"server": "etcd", "peer": "etcd", "ca": "root", "healthcheck-client": "root"}.items():
        assert control_plane.run("stat", "-c", "%a %U", f"{keys}/{key}.key").stdout == f"600 {owner}\n"


def test_the_audit_log_is_kept_as_the_cis_benchmark_asks(control_plane: Host) -> None:
    [(_, arguments)] = processes(control_plane, "kube-apiserver")
    kept = dict(
        each.removeprefix("--audit-log-").split("=") for each in arguments if each.startswith("--audit-log-max")
    )
    assert kept == {"maxage": "30", "maxbackup": "10", "maxsize": "100"}


def test_what_a_kubelet_starts_with_is_roots_alone(self_managed: Cluster) -> None:
    files = ("/etc/systemd/system/kubelet.service", "/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet.conf")
    files += ("/etc/kubernetes/kubelet.d/machine.conf", "/etc/kubernetes/image-credentials.yaml")
    for host in map(self_managed.host, self_managed.ready_nodes()):
        assert host.run("stat", "-c", "%a %U", *files).stdout.splitlines() == ["600 root"] * len(files)


def asked(host: Host, *question: str) -> Any:
    """Returns what systemd-logind answers on a host."""
    told = host.run("busctl", "--json=short", *question)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)["data"]


def test_a_shutdown_waits_for_the_kubelet(self_managed: Cluster) -> None:
    for host in map(self_managed.host, self_managed.ready_nodes()):
        [locks] = asked(host, "call", *LOGIND, "ListInhibitors")
        assert [(what, mode) for what, who, _, mode, *_ in locks if who == "kubelet"] == [("shutdown", "delay")]
        assert asked(host, "get-property", *LOGIND, "InhibitDelayMaxUSec") >= GRACE


def test_no_kubelet_waits_for_its_certificate(self_managed: Cluster) -> None:
    def waiting() -> list[str]:
        requests = self_managed.get("csr", "--field-selector=spec.signerName=kubernetes.io/kubelet-serving")["items"]
        return [each["spec"]["username"] for each in requests if "certificate" not in each["status"]]

    until("none waits", lambda: not waiting(), 30)


def certificate(cluster: Cluster, node: dict[str, Any]) -> Any:
    """Returns what a node's kubelet serves with, checked by the cluster's authority alone."""
    [entry] = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"]
    authority = base64.b64decode(entry["cluster"]["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    address = cluster.host(node).spec.address
    with (
        socket.create_connection((address, PORT), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname=address) as tls,
    ):
        return tls.getpeercert()


def test_kubelets_serve_with_certificates_of_the_cluster(self_managed: Cluster) -> None:
    nodes = self_managed.ready_nodes()
    assert len(nodes) == 3
    for node in nodes:
        assert certificate(self_managed, node)["subject"] == (
            (("organizationName", "system:nodes"),),
            (("commonName", f"system:node:{node['metadata']['name']}"),),
        )


def test_kubelets_serve_with_the_names_that_the_cloud_gave(self_managed: Cluster) -> None:
    """They ask anew for a certificate when the cloud controller has named their nodes, long after the playbook."""

    def served(node: dict[str, Any]) -> set[str]:
        return {name for _, name in certificate(self_managed, node)["subjectAltName"]}

    for node in self_managed.get("nodes")["items"]:
        names = {each["address"] for each in node["status"]["addresses"]}
        until(f"{names}", lambda names=names, node=node: names <= served(node), 60)

    def pending() -> list[Any]:
        return [each for each in self_managed.get("csr")["items"] if not each["status"].get("conditions")]

    until("none pending", lambda: not pending(), 30)

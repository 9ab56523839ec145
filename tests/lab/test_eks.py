"""The lab's EKS by itself, through boto3, while its daemon is killed at every stage."""

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import daemon_control
from lab.constants import STATE
from lab.machines.host import Host
from tests.lab.conftest import Shell, until

NAME = "test-eks"
GROUP = {"clusterName": NAME, "nodegroupName": "ng"}
PODS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: one, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: one}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector: {matchLabels: {app: one}}
      containers: [{name: app, image: "registry.test/sample-app:v1.0.0"}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: one, namespace: default}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: one}}}
"""


class Eks:
    """A cluster of its own, in a VPC of its own, called as a user would."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self.shell = shell
        self.ec2, self.iam, self.eks, self.kms = (shell.client(each) for each in ("ec2", "iam", "eks", "kms"))
        self.kubeconfig = folder / "test-eks.kubeconfig"
        self.vpc = self.ec2.create_vpc(CidrBlock="198.18.48.0/22")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc, CidrBlock=f"198.18.{48 + n}.0/24", AvailabilityZone=f"us-east-1{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ab")
        ]

    def role(self, name: str, service: str) -> str:
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": [service]}}
        ]}  # fmt: skip
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        return str(made["Role"]["Arn"])

    def status(self) -> str:
        return str(self.eks.describe_cluster(name=NAME)["cluster"]["status"])

    def group(self) -> str:
        return str(self.eks.describe_nodegroup(**GROUP)["nodegroup"]["status"])

    def instances(self, *states: str) -> list[dict[str, Any]]:
        filters = [
            {"Name": "tag:eks:cluster-name", "Values": [NAME]},
            {"Name": "instance-state-name", "Values": list(states)},
        ]
        answer = self.ec2.describe_instances(Filters=filters)
        return [instance for each in answer["Reservations"] for instance in each["Instances"]]

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        return self.shell.run("kubectl", "--kubeconfig", str(self.kubeconfig), *argv, stdin=stdin).stdout

    def get(self, *argv: str) -> Any:
        return json.loads(self.kubectl("get", *argv, "-o", "json"))

    def kill_daemon(self) -> None:
        before = daemon_control.health()
        assert before
        os.kill(before["pid"], signal.SIGKILL)
        until(
            "the daemon", lambda: (now := daemon_control.health()) and now["ready"] and now["pid"] != before["pid"], 180
        )


@pytest.fixture(scope="module")
def eks(shell: Shell, secrets_folder: Path) -> Iterator[Eks]:
    made = Eks(shell, secrets_folder)
    yield made
    for name in ("test-eks-cluster", "test-eks-node"):
        made.iam.delete_role(RoleName=name)
    for subnet in made.subnets:
        made.ec2.delete_subnet(SubnetId=subnet)
    made.ec2.delete_vpc(VpcId=made.vpc)


def test_a_cluster_comes_up_though_the_daemon_is_killed(eks: Eks) -> None:
    key = eks.kms.create_key()["KeyMetadata"]["Arn"]
    encryption = {"resources": ["secrets"], "provider": {"keyArn": key}}
    eks.eks.create_cluster(
        name=NAME,
        encryptionConfig=[encryption],
        roleArn=eks.role("test-eks-cluster", "eks.amazonaws.com"),
        resourcesVpcConfig={"subnetIds": eks.subnets},
        accessConfig={"authenticationMode": "API"},
    )
    assert eks.status() == "CREATING"
    eks.kill_daemon()
    until("cluster", lambda: eks.status() == "ACTIVE", 180)
    described = eks.eks.describe_cluster(name=NAME)["cluster"]
    assert described["encryptionConfig"] == [encryption]
    assert b"BEGIN CERTIFICATE" in base64.b64decode(described["certificateAuthority"]["data"])
    eks.shell.run("aws", "eks", "update-kubeconfig", "--name", NAME, "--kubeconfig", str(eks.kubeconfig))


def test_its_control_plane_is_hidden(eks: Eks) -> None:
    assert eks.get("nodes")["items"] == []
    assert eks.instances("running", "pending") == []

    def leases() -> set[str]:
        return {lease["metadata"]["name"] for lease in eks.get("leases", "-n", "kube-system")["items"]}

    until("leases of the hidden components", lambda: {"kube-scheduler", "kube-controller-manager"} <= leases(), 180)
    host = _control_plane(eks)
    assert host.run("systemctl", "is-active", "ssh").stdout.strip() != "active"


def test_secrets_are_encrypted_in_its_etcd_and_nothing_else_is(eks: Eks) -> None:
    eks.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=open-sesame")
    eks.kubectl("create", "configmap", "shown", "--from-literal=word=open-sesame")
    host = _control_plane(eks)

    def stored(kind: str, name: str) -> bytes:
        """From etcd itself, by its gateway."""
        key = base64.b64encode(f"/registry/{kind}/default/{name}".encode()).decode()
        answer = host.run("curl", "-sS", "http://127.0.0.1:2379/v3/kv/range", "-d", json.dumps({"key": key}))
        return base64.b64decode(json.loads(answer.stdout)["kvs"][0]["value"])

    assert stored("secrets", "hidden").startswith(b"k8s:enc:secretbox:v1:")
    assert b"open-sesame" not in stored("secrets", "hidden")
    assert b"open-sesame" in stored("configmaps", "shown")
    assert base64.b64decode(eks.get("secret", "hidden")["data"]["word"]) == b"open-sesame"
    modes = host.run("stat", "-c", "%a %U", "/etc/kubernetes/encryption.json").stdout
    assert modes.split() == ["600", "root"]


def _control_plane(eks: Eks) -> Host:
    return next(host for host in Host.all() if host.name.startswith("eks-") and _serves(host, eks))


def _serves(host: Host, eks: Eks) -> bool:
    endpoint = eks.eks.describe_cluster(name=NAME)["cluster"]["endpoint"]
    return bool(endpoint == f"https://{host.spec.address}")


def test_nodes_join_though_the_daemon_is_killed(eks: Eks) -> None:
    eks.eks.create_nodegroup(
        **GROUP,
        subnets=eks.subnets,
        nodeRole=eks.role("test-eks-node", "ec2.amazonaws.com"),
        scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 2},
        releaseVersion="1.36.3-20260901",
    )
    eks.kill_daemon()
    until("node group", lambda: eks.group() == "ACTIVE", 180)
    instances = eks.instances("running")
    assert len(instances) == 2
    providers = {node["spec"]["providerID"] for node in eks.get("nodes")["items"]}
    assert providers == {f"aws:///{i['Placement']['AvailabilityZone']}/{i['InstanceId']}" for i in instances}
    eks.kubectl("apply", "-f", "-", stdin=PODS)
    eks.kubectl("rollout", "status", "deployment/one", "--timeout=120s")
    eks.kubectl("rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=120s")


def test_running_nodes_get_what_their_group_gets(eks: Eks) -> None:
    taint = {"key": "team", "value": "blue"}
    eks.eks.update_nodegroup_config(
        **GROUP,
        labels={"addOrUpdateLabels": {"team": "blue"}},
        taints={"addOrUpdateTaints": [taint | {"effect": "PREFER_NO_SCHEDULE"}]},
    )

    def given() -> bool:
        nodes = eks.get("nodes")["items"]
        return all(
            taint | {"effect": "PreferNoSchedule"} in node["spec"].get("taints", [])
            and node["metadata"]["labels"].get("team") == "blue"
            for node in nodes
        )

    until("label and taint", given, 30)
    until("node group", lambda: eks.group() == "ACTIVE", 30)


def test_an_update_waits_for_the_disruption_budget_and_survives_the_daemon(eks: Eks) -> None:
    old = {instance["InstanceId"] for instance in eks.instances("running")}
    update = eks.eks.update_nodegroup_version(**GROUP)["update"]["id"]

    def state() -> str:
        return str(eks.eks.describe_update(name=NAME, nodegroupName="ng", updateId=update)["update"]["status"])

    def cordoned() -> bool:
        return any(node["spec"].get("unschedulable") for node in eks.get("nodes")["items"])

    until("a drain", cordoned, 180)
    eks.kill_daemon()
    time.sleep(3)  # A few looks of the new daemon: the budget allows nothing.
    assert state() == "InProgress"
    assert old <= {instance["InstanceId"] for instance in eks.instances("running")}
    assert eks.get("deployment", "one")["status"]["readyReplicas"] == 2
    eks.kubectl("patch", "pdb", "one", "--type=merge", "-p", '{"spec": {"maxUnavailable": 1}}')
    until("update", lambda: state() == "Successful", 180)
    until("two instances", lambda: len(eks.instances("pending", "running")) == 2, 180)
    assert not old & {instance["InstanceId"] for instance in eks.instances("running")}
    assert len(eks.get("nodes")["items"]) == 2
    assert eks.eks.describe_nodegroup(**GROUP)["nodegroup"]["releaseVersion"] == "1.36.3-20261101"


def test_deletion_drains_and_leaves_nothing_though_the_daemon_is_killed(eks: Eks) -> None:
    def gone(call: Callable[[], str]) -> bool:
        try:
            call()
        except eks.eks.exceptions.ResourceNotFoundException:
            return True
        return False

    def pods() -> list[Any]:
        return list(eks.get("pods", "-l", "app=one")["items"])

    folders = {path.name for path in (STATE / "aws" / "eks").iterdir()}
    host = next(host for host in Host.all() if host.name.startswith("eks-") and _serves(host, eks))
    address = host.spec.address
    instances = {instance["InstanceId"] for instance in eks.instances("pending", "running")}
    eks.eks.delete_nodegroup(**GROUP)
    # Evicted under the budget, one of two: for what waits for a new node there is none.
    until("a drain", lambda: [pod["status"]["phase"] for pod in pods()].count("Pending") == 1, 60)
    eks.kill_daemon()
    time.sleep(3)  # a few looks of the new daemon
    assert sorted(pod["status"]["phase"] for pod in pods()) == ["Pending", "Running"]
    eks.kubectl("delete", "poddisruptionbudgets", "--all", "--all-namespaces")
    until("node group", lambda: gone(eks.group), 180)
    eks.eks.delete_cluster(name=NAME)
    eks.kill_daemon()
    until("cluster", lambda: gone(eks.status), 180)
    assert not {each.name for each in Host.all()} & {host.name, *instances}
    assert {path.name for path in (STATE / "aws" / "eks").iterdir()} == folders - {host.name.removeprefix("eks-")}
    groups = eks.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [eks.vpc]}])["SecurityGroups"]
    assert [group["GroupName"] for group in groups] == ["default"]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert f"{address} " not in routes

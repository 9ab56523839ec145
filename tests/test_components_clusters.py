"""AnsibleRun, SelfManagedCluster, ManagedCluster and NodeGroup."""

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.base.policy_document import policy
from components.base.protection import protection_of
from components.eks.managed_cluster import ManagedCluster, ManagedClusterArgs
from components.eks.node_group import NodeGroup, NodeGroupArgs
from components.eks.nodes import ManagedNodes
from components.kubeadm.ansible_run import AnsibleRun, AnsibleRunArgs, LastRun, digest
from components.kubeadm.self_managed_cluster import SelfManagedCluster, SelfManagedClusterArgs
from components.machines.machine_image import MachineImage
from components.machines.machine_role import trust
from tests import golden_files
from tests.pulumi_mocks import SECRET, Graph, contains_secret, leaks, run

SELF_MANAGED: dict[str, Any] = {
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-1", "subnet-2"],
    "public": True,
    "api_subnet_ids": ["subnet-3", "subnet-4"],
    "public_api_subnet_ids": ["subnet-5", "subnet-6"],
    "kubernetes_version": "1.36.3",
    "pod_cidr": IPv4Network("10.244.0.0/16"),
    "service_cidr": IPv4Network("172.20.0.0/16"),
    "api_cidrs": ["198.51.100.0/24"],
    "ssh_cidrs": ["192.0.2.0/24"],
}
MANAGED: dict[str, Any] = {
    "vpc_id": "vpc-1",
    "private_subnet_ids": ["subnet-1", "subnet-2"],
    "kubernetes_version": "1.36",
    "service_cidr": IPv4Network("172.20.0.0/16"),
    "api_cidrs": ["198.51.100.0/24"],
}


def self_managed(**changes: Any) -> Graph:
    def program() -> None:
        made = SelfManagedCluster("c", SelfManagedClusterArgs(**{**SELF_MANAGED, **changes}))
        pulumi.export("endpoint", made.endpoint)
        pulumi.export("kubeconfig", made.kubeconfig)
        pulumi.export("machines", made.machines)
        pulumi.export("roles", made.role_arns)

    return run(program)


def managed(**changes: Any) -> Graph:
    def program() -> None:
        made = ManagedCluster("c", ManagedClusterArgs(**{**MANAGED, **changes}))
        pulumi.export("endpoint", made.endpoint)
        pulumi.export("kubeconfig", made.kubeconfig)
        pulumi.export("nodeGroupName", made.node_group_name)
        pulumi.export("nodeReleaseVersion", made.node_release_version)

    return run(program)


def request(graph: Graph) -> dict[str, Any]:
    """What the site playbook was told."""
    told: dict[str, Any] = json.loads(graph.one("Command", "c-site").inputs["stdin"])
    return told


def test_a_self_managed_clusters_name_is_its_own() -> None:
    for name, graph in {"c": self_managed(), "old": self_managed(cluster_name="old")}.items():
        assert request(graph)["variables"]["kubernetes_cluster_name"] == name
        machines = [graph.one("Instance", f"c-{each}") for each in ("control-plane-1", "worker-1")]
        tagged = [key for each in machines for key in each.inputs["tags"] if key.startswith("kubernetes.io/cluster/")]
        assert tagged == [f"kubernetes.io/cluster/{name}"] * 2


# AnsibleRun


def ansible_run(**changes: Any) -> Graph:
    args = {
        "playbook": "site",
        "machines": [{"name": "worker-1"}],
        "ssh_user": "admin",
        "ssh_private_key": f"{SECRET} key",
        "variables": {"kubernetes_version": "1.36.3"},
        **changes,
    }

    def program() -> None:
        secret = {"ssh_private_key": pulumi.Output.secret(args["ssh_private_key"])}
        pulumi.export("result", AnsibleRun("r", AnsibleRunArgs(**{**args, **secret})).result)

    return run(program)


def test_ansible_runs_the_playbook_and_resets_at_the_end() -> None:
    inputs = ansible_run(playbook="other").one("Command").inputs
    assert inputs["interpreter"] == ["sh", "twinplane/run", "ansible"]
    assert (inputs["create"], inputs["update"], inputs["delete"]) == ("other", "other", "reset")


def test_ansible_is_told_through_stdin() -> None:
    graph = ansible_run(machines=[{"name": "w"}], ssh_user="me", variables={"a": 1})
    assert json.loads(graph.one("Command").inputs["stdin"]) == {
        "machines": [{"name": "w"}],
        "sshUser": "me",
        "sshPrivateKey": f"{SECRET} key",
        "variables": {"a": 1},
    }
    changed = ansible_run(ssh_private_key="another")
    assert '"sshPrivateKey": "another"' in changed.one("Command").inputs["stdin"]


def test_ansible_secrets_are_only_in_stdin_and_the_result() -> None:
    graph = ansible_run()
    command = graph.one("Command")
    assert contains_secret(command.raw["stdin"])
    assert command.inputs["logging"] == "stderr"
    assert command.inputs["addPreviousOutputInEnv"] is False
    assert contains_secret(graph.raw_exports["result"])
    assert not list(leaks(command.raw)) + list(leaks(graph.raw_exports))


def test_ansible_runs_again_when_a_playbook_changes(tmp_path: Path) -> None:
    task = tmp_path / "roles" / "node" / "main.yml"
    task.parent.mkdir(parents=True)
    task.write_text("a")
    before = digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("compiled")
    (tmp_path / ".hidden").write_text("an editor's")
    assert digest(tmp_path) == before
    task.write_text("b")
    changed = digest(tmp_path)
    task.rename(task.with_name("other.yml"))
    assert len({before, changed, digest(tmp_path)}) == 3
    [trigger] = ansible_run().one("Command").inputs["triggers"]
    assert len(trigger) == 64


def test_ansible_runs_again_for_a_repair() -> None:
    [same, token] = ansible_run(last=LastRun("worker-1 has no Node")).one("Command").inputs["triggers"]
    assert same == ansible_run().one("Command").inputs["triggers"][0]
    assert token == "worker-1 has no Node"


def test_a_preview_knows_what_a_run_will_answer_where_the_last_one_did() -> None:
    """Else the kubeconfig is unknown, and every object in the cluster is foretold to be replaced."""

    def program(answer: str | None) -> None:
        made = SelfManagedCluster("c", SelfManagedClusterArgs(**SELF_MANAGED, last_run=LastRun(answer=answer)))
        pulumi.export("kubeconfig", made.kubeconfig)

    def previewed(answer: str | None) -> Any:
        graph = run(lambda: program(answer), preview=True)
        return graph.one("pulumi:providers:kubernetes").inputs.get("kubeconfig")

    assert previewed('{"kubeconfig": "the last one"}') == "the last one"
    assert previewed(None) != "the last one"
    now = self_managed(last_run=LastRun(answer='{"kubeconfig": "the last one"}'))
    assert now.exports["kubeconfig"] == f"{SECRET} kubeconfig of c-site", "an update takes what the run answers"


def test_self_managed_machines_and_the_playbook_come_after_what_they_need() -> None:
    graph = self_managed(etcd_volume_size=1, control_plane_policies={"more": "{}"})
    rules = {each.urn for each in graph.all("SecurityGroupIngressRule") + graph.all("SecurityGroupEgressRule")}
    for instance in graph.all("Instance"):
        role = "control-plane" if "control-plane" in instance.name else "worker"
        policies = {each.urn for each in graph.all("RolePolicy") if f"c-{role}-" in each.name}
        assert policies
        assert rules | policies <= graph.before(instance)
    needed = ("TargetGroupAttachment", "Listener", "VolumeAttachment")
    made = {each.urn for kind in needed for each in graph.all(kind)}
    assert len(made) == 5
    assert made <= graph.before(graph.one("Command", "c-site"))


# SelfManagedCluster


@pytest.mark.parametrize(
    ("argument", "value", "variable", "told"),
    [
        ("kubernetes_version", "1.35.4", "kubernetes_version", "1.35.4"),
        ("pod_cidr", IPv4Network("10.1.0.0/16"), "kubernetes_pod_cidr", "10.1.0.0/16"),
        ("service_cidr", IPv4Network("10.2.0.0/16"), "kubernetes_service_cidr", "10.2.0.0/16"),
        ("pods_routed", True, "pod_network_routed", True),
        ("variables", {"kubelet_cgroup_driver": "cgroupfs"}, "kubelet_cgroup_driver", "cgroupfs"),
        ("variables", {"kubernetes_cluster_name": "mine"}, "kubernetes_cluster_name", "mine"),
    ],
)
def test_self_managed_arguments_that_ansible_is_told(argument: str, value: Any, variable: str, told: Any) -> None:
    assert request(self_managed(**{argument: value}))["variables"][variable] == told
    assert request(self_managed())["variables"].get(variable) != told


def test_self_managed_machines() -> None:
    graph = self_managed(control_planes=3, workers=1, instance_type="m7i.large")
    machines = request(graph)["machines"]
    assert [each["name"] for each in machines] == ["control-plane-1", "control-plane-2", "control-plane-3", "worker-1"]
    assert machines == graph.exports["machines"]
    assert {each.inputs["instanceType"] for each in graph.all("Instance")} == {"m7i.large"}
    assert len(self_managed().all("Instance")) == 3
    assert {each.inputs["instanceType"] for each in self_managed().all("Instance")} == {"t3.medium"}


def test_self_managed_machines_take_the_subnets_in_turn() -> None:
    graph = self_managed(control_planes=3, subnet_ids=["subnet-8", "subnet-9"])
    subnets = {each.name: each.inputs["subnetId"] for each in graph.all("Instance")}
    assert subnets == {
        "c-control-plane-1": "subnet-8",
        "c-control-plane-2": "subnet-9",
        "c-control-plane-3": "subnet-8",
        "c-worker-1": "subnet-8",
        "c-worker-2": "subnet-9",
    }


def test_self_managed_only_control_planes_are_in_the_control_planes_group() -> None:
    graph = self_managed()
    assert graph.one("Instance", "c-control-plane-1").inputs["vpcSecurityGroupIds"] == [
        "c-machine-id",
        "c-control-plane-id",
    ]
    assert graph.one("Instance", "c-worker-1").inputs["vpcSecurityGroupIds"] == ["c-machine-id"]


def test_self_managed_network_arguments() -> None:
    graph = self_managed(vpc_id="vpc-9", api_cidrs=["192.0.2.1/32"], ssh_cidrs=["192.0.2.2/32"])
    assert {group.inputs["vpcId"] for group in graph.all("SecurityGroup")} == {"vpc-9"}
    assert "c-public-balancer-api-from-192.0.2.1-32" in graph
    assert "c-ssh-from-192.0.2.2-32" in graph


def test_self_managed_machines_let_packets_of_routed_pods_through() -> None:
    graph = self_managed(pods_routed=True, pod_cidr=IPv4Network("10.1.0.0/16"))
    assert {each.inputs["sourceDestCheck"] for each in graph.all("Instance")} == {False}
    assert "10.1.0.0/16" in {rule.inputs.get("cidrIpv4") for rule in graph.all("SecurityGroupIngressRule")}
    assert {each.inputs["sourceDestCheck"] for each in self_managed().all("Instance")} == {True}


def test_self_managed_only_control_planes_have_a_volume_for_etcd() -> None:
    volumes = self_managed(etcd_volume_size=12, control_planes=3).all("aws:ebs/volume:Volume")
    assert {each.name: each.inputs["size"] for each in volumes} == {f"c-control-plane-{n}-etcd": 12 for n in (1, 2, 3)}
    assert not self_managed().all("aws:ebs/volume:Volume")


def test_self_managed_roles_are_those_of_the_machines() -> None:
    graph = self_managed(control_plane_policies={"backups": policy({"Effect": "Allow"})})
    for each in graph.all("Instance"):
        role = each.inputs["tags"]["Role"]
        assert each.inputs["iamInstanceProfile"] == f"c-{role}-0123abc"
    assert {each.name for each in graph.all("RolePolicy")} == {
        "c-control-plane-pull-images",
        "c-control-plane-backups",
        "c-worker-pull-images",
    }
    assert graph.exports["roles"] == [f"arn:test:iam::1:role/c-{role}" for role in ("control-plane", "worker")]


def test_self_managed_image() -> None:
    graph = self_managed(image=MachineImage("42", "mine-*"))
    assert {each.inputs["ami"] for each in graph.all("Instance")} == {"ami-of-42-mine-*"}
    assert {each.inputs["ami"] for each in self_managed().all("Instance")} == {"ami-of-136693071363-debian-13-amd64-*"}


def test_self_managed_machines_and_people_reach_the_api_by_balancers_of_their_own() -> None:
    graph = self_managed()
    variables = request(graph)["variables"]
    assert variables["control_plane_endpoint"] == "c-api-internal.elb.test:6443"
    assert variables["kubeconfig_server"] == graph.exports["endpoint"] == "https://c-api-public.elb.test:6443"
    internal, public = (
        graph.one("LoadBalancer", "c-api-internal").inputs,
        graph.one("LoadBalancer", "c-api-public").inputs,
    )
    assert (internal["internal"], public["internal"]) == (True, False)
    assert (internal["subnets"], internal["securityGroups"]) == (["subnet-3", "subnet-4"], ["c-balancer-id"])
    assert (public["subnets"], public["securityGroups"]) == (["subnet-5", "subnet-6"], ["c-public-balancer-id"])


def test_self_managed_people_of_a_private_api_come_by_the_machines_balancer() -> None:
    graph = self_managed(public_api_subnet_ids=(), api_subnet_ids=["subnet-8"])
    assert graph.one("LoadBalancer").inputs["internal"] is True
    assert graph.one("LoadBalancer").inputs["subnets"] == ["subnet-8"]
    variables = request(graph)["variables"]
    assert variables["control_plane_endpoint"] == "c-api-internal.elb.test:6443"
    assert variables["kubeconfig_server"] == graph.exports["endpoint"] == "https://c-api-internal.elb.test:6443"


def test_self_managed_load_balancers_pass_to_every_control_plane() -> None:
    graph = self_managed(control_planes=3)
    machines = {f"c-control-plane-{n}-id" for n in (1, 2, 3)}
    for balancer in ("c-api-internal", "c-api-public"):
        arn = f"arn:test:group/{balancer}"
        targets = [each.inputs for each in graph.all("TargetGroupAttachment") if each.inputs["targetGroupArn"] == arn]
        assert {each["targetId"] for each in targets} == machines
        listener = graph.one("Listener", balancer).inputs
        assert listener["defaultActions"] == [{"type": "forward", "targetGroupArn": arn}]
        assert graph.one("TargetGroup", balancer).inputs["vpcId"] == "vpc-1"


def test_self_managed_api_is_open_to_people_and_machines_alone() -> None:
    """No machine comes to it with a public address, of its own or of a gateway."""
    for changes in ({}, {"public": False}, {"public_api_subnet_ids": ()}):
        rules = self_managed(**changes).all("SecurityGroupIngressRule")
        api = [each.inputs for each in rules if each.inputs.get("fromPort") == 6443]
        assert {each["cidrIpv4"] for each in api if "cidrIpv4" in each} == {"198.51.100.0/24"}


def test_self_managed_ssh_goes_through_an_endpoint_where_no_block_is_given() -> None:
    graph = self_managed(ssh_cidrs=[], public=False)
    assert graph.one("InstanceConnectEndpoint").inputs["subnetId"] == "subnet-1"
    assert "c-ssh-from-192.0.2.0-24" not in graph
    machines = request(graph)["machines"]
    assert {each["sshTunnel"] for each in machines} == {"us-east-1"}
    assert all(each["sshAddress"] == each["instanceId"] for each in machines)
    # Machines can be reset before the endpoint goes.
    assert graph.one("InstanceConnectEndpoint").urn in graph.before(graph.one("Command", "c-site"))
    assert not self_managed().all("InstanceConnectEndpoint")


def test_control_planes_are_protected_and_workers_come_and_go() -> None:
    graph = self_managed(protected=True, etcd_volume_size=1)
    for instance in graph.all("Instance"):
        assert instance.inputs["disableApiTermination"] is ("control-plane" in instance.name)
        assert instance.protect is ("control-plane" in instance.name)
    assert graph.one("Volume").protect
    assert not [each for each in self_managed(etcd_volume_size=1).resources if each.protect]
    assert not any(each.inputs["disableApiTermination"] for each in self_managed().all("Instance"))


def test_the_eks_cluster_alone_is_protected() -> None:
    assert managed(protected=True).one("eks:index:Cluster").inputs["deletionProtection"] is True
    assert managed().one("eks:index:Cluster").inputs["deletionProtection"] is False
    protect: Any = protection_of("aws:eks/cluster:Cluster")

    def of(kind: str) -> Any:
        return pulumi.ResourceTransformArgs(True, kind, "n", {"a": 1}, pulumi.ResourceOptions(version="1"))

    result = protect(of("aws:eks/cluster:Cluster"))
    assert (result.props, result.opts.protect, result.opts.version) == ({"a": 1}, True, "1")
    assert protect(of("aws:eks/accessEntry:AccessEntry")) is None


def test_self_managed_login_key_opens_every_machine() -> None:
    graph = self_managed()
    assert graph.one("KeyPair").inputs["publicKey"] == "ssh-ed25519 AAAAc-login c"
    assert {each.inputs["keyName"] for each in graph.all("Instance")} == {"c-login-0123abc"}
    assert request(graph)["sshPrivateKey"] == f"{SECRET} c-login"
    assert request(graph)["sshUser"] == "admin"


def test_self_managed_kubeconfig_is_ansibles_and_secret() -> None:
    graph = self_managed()
    assert graph.exports["kubeconfig"] == f"{SECRET} kubeconfig of c-site"
    assert graph.one("pulumi:providers:kubernetes").inputs["kubeconfig"] == f"{SECRET} kubeconfig of c-site"
    assert not [leak for each in graph.resources for leak in leaks(each.raw)]
    assert not list(leaks(graph.raw_exports))


# ManagedCluster and NodeGroup


@pytest.mark.parametrize(
    ("argument", "value", "wire_name", "sent"),
    [
        ("vpc_id", "vpc-2", "vpcId", "vpc-2"),
        ("private_subnet_ids", ["subnet-8", "subnet-9"], "privateSubnetIds", ["subnet-8", "subnet-9"]),
        ("kubernetes_version", "1.35", "version", "1.35"),
        ("service_cidr", IPv4Network("10.2.0.0/16"), "kubernetesServiceIpAddressRange", "10.2.0.0/16"),
        ("api_cidrs", ["192.0.2.1/32"], "publicAccessCidrs", ["192.0.2.1/32"]),
    ],
)
def test_managed_arguments(argument: str, value: Any, wire_name: str, sent: Any) -> None:
    assert managed(**{argument: value}).one("eks:index:Cluster").inputs[wire_name] == sent
    assert managed().one("eks:index:Cluster").inputs[wire_name] != sent


@pytest.mark.parametrize(
    ("argument", "value", "wire_name", "sent"),
    [
        ("private_subnet_ids", ["subnet-8", "subnet-9"], "subnetIds", ["subnet-8", "subnet-9"]),
        ("nodes", ManagedNodes(5), "scalingConfig", {"desiredSize": 5, "minSize": 5, "maxSize": 5}),
        ("nodes", ManagedNodes(release_version="1.36.3-20260901"), "releaseVersion", "1.36.3-20260901"),
    ],
)
def test_managed_arguments_of_the_nodes(argument: str, value: Any, wire_name: str, sent: Any) -> None:
    assert managed(**{argument: value}).one("aws:eks/nodeGroup:NodeGroup").inputs[wire_name] == sent
    assert managed().one("aws:eks/nodeGroup:NodeGroup").inputs.get(wire_name) != sent


def test_the_instance_type_is_in_the_launch_template_so_that_eks_rolls_the_nodes() -> None:
    graph = managed(nodes=ManagedNodes(instance_type="m7i.large"))
    assert graph.one("aws:ec2/launchTemplate:LaunchTemplate").inputs["instanceType"] == "m7i.large"
    assert "instanceTypes" not in graph.one("aws:eks/nodeGroup:NodeGroup").inputs


def test_managed_admins_get_an_access_entry_each() -> None:
    arn = "arn:aws:iam::123456789012:role/platform"
    assert managed().one("eks:index:Cluster").inputs["accessEntries"] == {}
    assert managed(admin_arns=[arn]).one("eks:index:Cluster").inputs["accessEntries"] == {
        arn: {
            "principalArn": arn,
            "accessPolicies": {
                "admin": {
                    "policyArn": "arn:aws-test:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                    "accessScope": {"type": "cluster"},
                }
            },
        }
    }


def test_viewers_see_everything_and_change_nothing() -> None:
    arn = "arn:aws:iam::123456789012:role/preview"
    entries = managed(viewer_arns=[arn], admin_arns=[f"{arn}-2"]).one("eks:index:Cluster").inputs["accessEntries"]
    policies = {key: list(entry["accessPolicies"].values()) for key, entry in entries.items()}
    assert [policies[arn][0]["policyArn"].rpartition("/")[2], list(policies)] == [
        "AmazonEKSAdminViewPolicy",
        [f"{arn}-2", arn],
    ]


def test_managed_cluster_is_as_a_platform_team_wants_it() -> None:
    inputs = managed().one("eks:index:Cluster").inputs
    assert inputs["name"] == "c"
    assert inputs["authenticationMode"] == "API"
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}
    assert inputs["skipDefaultNodeGroup"] is True
    assert (inputs["endpointPrivateAccess"], inputs["endpointPublicAccess"]) == (True, True)
    assert set(inputs["enabledClusterLogTypes"]) == {"api", "audit", "authenticator", "controllerManager", "scheduler"}


def test_managed_outputs() -> None:
    graph = managed(nodes=ManagedNodes(release_version="1.36.3-20260901"))
    assert graph.exports == {
        "endpoint": "https://c.eks.test",
        "kubeconfig": f"{SECRET} kubeconfig of c",
        "nodeGroupName": "c-nodes-group-0123abc",
        "nodeReleaseVersion": "1.36.3-20260901",
    }
    assert contains_secret(graph.raw_exports["kubeconfig"])
    assert not list(leaks(graph.raw_exports))


def test_node_group_by_itself() -> None:
    def program() -> None:
        group = NodeGroup("g", NodeGroupArgs("other", "1.35", ["subnet-5"], 4, "m7i.large", None, max_unavailable=2))
        pulumi.export("release", group.release_version)

    graph = run(program)
    inputs = graph.one("aws:eks/nodeGroup:NodeGroup").inputs
    assert (inputs["clusterName"], inputs["version"]) == ("other", "1.35")
    assert inputs["amiType"] == "AL2023_x86_64_STANDARD"
    assert inputs["updateConfig"] == {"maxUnavailable": 2}
    assert "releaseVersion" not in inputs
    assert graph.exports["release"] == "newest"


def test_node_group_of_a_release() -> None:
    args = NodeGroupArgs("c", "1.36", ["subnet-1"], 1, "t3.medium", release_version="1.36.3-20260901")
    inputs = run(lambda: NodeGroup("g", args)).one("aws:eks/nodeGroup:NodeGroup").inputs
    assert inputs["releaseVersion"] == "1.36.3-20260901"


def test_nodes_wait_for_their_permissions() -> None:
    graph = managed()
    attachments = graph.all("RolePolicyAttachment")
    assert {each.inputs["policyArn"] for each in attachments} == {
        "arn:aws-test:iam::aws:policy/AmazonEKSWorkerNodePolicy",
        "arn:aws-test:iam::aws:policy/AmazonEKS_CNI_Policy",
        "arn:aws-test:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
    }
    assert {each.inputs["role"] for each in attachments} == {"c-nodes-0123abc"}
    group = graph.one("aws:eks/nodeGroup:NodeGroup")
    assert group.inputs["nodeRoleArn"] == "arn:test:iam::1:role/c-nodes"
    assert {each.urn for each in attachments} <= group.dependencies


def test_nodes_role_is_for_ec2_of_the_partition() -> None:
    assert json.loads(managed().one("Role").inputs["assumeRolePolicy"]) == json.loads(trust("test.example"))
    golden_files.check("node_trust.json", json.dumps(json.loads(trust("amazonaws.com")), indent=1) + "\n")

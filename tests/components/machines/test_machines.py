"""SshKey, Machine, MachineImage and SecurityGroups."""

import json
from ipaddress import IPv4Network
from typing import Any

import pulumi
import pytest

from components.machines.etcd_volume import EtcdVolume, EtcdVolumeArgs
from components.machines.host_key import HostKey, HostKeyArgs
from components.machines.machine import Machine, MachineArgs, user_data
from components.machines.machine_image import DEBIAN_13, MachineImage
from components.machines.security_groups import SecurityGroups, SecurityGroupsArgs
from components.machines.ssh_endpoint import SshEndpoint, SshEndpointArgs
from components.machines.ssh_key import SshKey, SshKeyArgs
from tests.support import golden_files
from tests.support.pulumi_mocks import SECRET, Graph, contains_secret, leaks, run

MACHINE: dict[str, Any] = {
    "role": "worker",
    "hostname": "worker-1",
    "image_id": "ami-1",
    "instance_type": "t3.medium",
    "subnet_id": "subnet-1",
    "public": False,
    "security_group_ids": ["sg-1"],
    "key_name": "login",
    "instance_profile": "profile",
}


def machine(**changes: Any) -> Graph:
    def program() -> None:
        made = Machine("m", MachineArgs(**{**MACHINE, **changes}))
        pulumi.export("machine", made.exported)

    return run(program)


def groups(**changes: Any) -> Graph:
    args = {"vpc_id": "vpc-1", "api_cidrs": ["198.51.100.0/24"], "ssh_cidrs": ["192.0.2.0/24"], **changes}

    def program() -> None:
        made = SecurityGroups("g", SecurityGroupsArgs(**args))
        pulumi.export("ids", [made.machine_id, made.control_plane_id])
        pulumi.export("balancers", [made.balancer_id, made.public_balancer_id])

    return run(program)


def reach(graph: Graph) -> set[tuple[str, str, str, int, int]]:
    """Who reaches what: (group, source, protocol, first port, last port)."""
    return {
        (
            rule.inputs["securityGroupId"],
            rule.inputs.get("cidrIpv4") or rule.inputs["referencedSecurityGroupId"],
            rule.inputs["ipProtocol"],
            int(rule.inputs.get("fromPort", 0)),
            int(rule.inputs.get("toPort", 0)),
        )
        for rule in graph.all("SecurityGroupIngressRule")
    }


@pytest.mark.parametrize(
    ("argument", "value", "wire_name"),
    [
        ("image_id", "ami-2", "ami"),
        ("instance_type", "m7i.large", "instanceType"),
        ("subnet_id", "subnet-2", "subnetId"),
        ("public", True, "associatePublicIpAddress"),
        ("security_group_ids", ["sg-1", "sg-2"], "vpcSecurityGroupIds"),
        ("key_name", "other", "keyName"),
        ("instance_profile", "other", "iamInstanceProfile"),
    ],
)
def test_machine_arguments(argument: str, value: Any, wire_name: str) -> None:
    assert machine(**{argument: value}).one("Instance").inputs[wire_name] == value
    assert machine().one("Instance").inputs[wire_name] != value


def test_machine_role_hostname_and_size() -> None:
    graph = machine(role="control-plane", hostname="control-plane-1", root_volume_size=55)
    instance = graph.one("Instance")
    assert instance.inputs["tags"]["Role"] == "control-plane"
    assert '"hostname": "control-plane-1"' in instance.inputs["userData"]
    assert instance.inputs["rootBlockDevice"]["volumeSize"] == 55
    assert graph.exports["machine"]["role"] == "control-plane"
    assert graph.exports["machine"]["name"] == "control-plane-1"
    assert graph.exports["machine"]["zone"] == "us-east-1a"


def test_a_control_plane_has_a_volume_for_etcd_where_it_is_given_a_size() -> None:
    graph = machine(etcd_volume_size=12)
    volume, attachment = graph.one("aws:ebs/volume:Volume").inputs, graph.one("VolumeAttachment").inputs
    assert (volume["size"], volume["encrypted"], volume["availabilityZone"]) == (12, True, "us-east-1a")
    assert (attachment["instanceId"], attachment["volumeId"]) == ("m-id", "m-etcd-id")
    assert attachment["stopInstanceBeforeDetaching"] is True
    assert graph.exports["machine"]["etcdVolume"] == "m-etcd-id"
    assert machine().exports["machine"]["etcdVolume"] == ""
    assert not machine().all("aws:ebs/volume:Volume")


@pytest.mark.parametrize(("zone", "size"), [("us-east-1a", 12), ("eu-west-1b", 8)])
def test_a_volume_for_etcd_by_itself(zone: str, size: int) -> None:
    graph = run(lambda: EtcdVolume("v", EtcdVolumeArgs("i-1", zone, size)) and None)
    volume = graph.one("aws:ebs/volume:Volume").inputs
    assert (volume["availabilityZone"], volume["size"]) == (zone, size)
    assert graph.one("VolumeAttachment").inputs["instanceId"] == "i-1"


def test_machine_is_guarded() -> None:
    inputs = machine().one("Instance").inputs
    assert inputs["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    assert inputs["rootBlockDevice"]["encrypted"] is True
    assert inputs["sourceDestCheck"] is True
    assert machine(forwards=True).one("Instance").inputs["sourceDestCheck"] is False


def test_a_newer_image_replaces_no_machine() -> None:
    assert machine().one("Instance").ignore_changes == ["ami"]


def test_ssh_goes_to_the_public_address_where_there_is_one() -> None:
    private, public = machine().exports["machine"], machine(public=True).exports["machine"]
    assert private["sshAddress"] == private["privateIp"]
    assert public["sshAddress"].startswith("203.0.113.")
    assert (private["publicIp"], public["publicIp"]) == ("", public["sshAddress"])


def test_ssh_goes_to_the_instance_through_a_tunnel() -> None:
    for public in (False, True):
        told = machine(ssh_tunnel="eu-west-1", public=public).exports["machine"]
        assert (told["sshAddress"], told["sshTunnel"]) == (told["instanceId"], "eu-west-1")
    assert machine().exports["machine"]["sshTunnel"] == ""


def endpoint(**changes: Any) -> Graph:
    args = {"vpc_id": "vpc-1", "subnet_id": "subnet-1", "machine_group_id": "sg-1", **changes}

    def program() -> None:
        made = SshEndpoint("e", SshEndpointArgs(**args))
        pulumi.ComponentResource("twinplane:test:User", "user", {"region": made.region})

    return run(program)


def test_an_ssh_endpoint_reaches_one_port_of_the_machines() -> None:
    graph = endpoint(machine_group_id="sg-9")
    assert reach(graph) == {("sg-9", "e-id", "tcp", 22, 22)}
    [out] = [each.inputs for each in graph.all("SecurityGroupEgressRule")]
    assert (out["securityGroupId"], out["referencedSecurityGroupId"]) == ("e-id", "sg-9")
    assert (out["ipProtocol"], out["fromPort"], out["toPort"]) == ("tcp", 22, 22)
    made = graph.one("InstanceConnectEndpoint").inputs
    assert made["securityGroupIds"] == ["e-id"]
    assert made["preserveClientIp"] is False


def test_an_ssh_endpoint_is_where_it_is_told() -> None:
    graph = endpoint(vpc_id="vpc-9", subnet_id="subnet-9")
    made = graph.one("InstanceConnectEndpoint")
    assert made.inputs["subnetId"] == "subnet-9"
    assert graph.one("SecurityGroup").inputs["vpcId"] == "vpc-9"
    assert graph.one("User").inputs["region"] == "us-east-1"
    rules = [*graph.all("SecurityGroupIngressRule"), *graph.all("SecurityGroupEgressRule")]
    assert len(rules) == 2


def test_host_key_of_user_data_is_pinned_and_its_private_half_secret() -> None:
    graph = machine()
    assert graph.exports["machine"]["hostKey"] == "ecdsa-sha2-nistp256 AAAAm-host-key"
    instance = graph.one("Instance")
    assert SECRET in instance.inputs["userData"]
    assert contains_secret(instance.raw["userData"])
    assert not list(leaks(graph.raw_exports))


def test_user_data() -> None:
    made = user_data("worker-1", private="PRIVATE\nKEY\n", public="ecdsa-sha2-nistp256 AAAA worker-1")
    golden_files.check("user_data.txt", made)


def test_a_machine_of_before_keeps_its_user_data() -> None:
    """Others would stop it."""
    kept = user_data("worker-1", private="PRIVATE\nKEY\n", public="ssh-ed25519 AAAA worker-1")
    golden_files.check("user_data_ed25519.txt", kept)


def host_key(**changes: Any) -> Graph:
    args = {
        "machine": {"name": "worker-1", "instanceId": "i-1", "hostKey": "ecdsa-sha2-nistp256 AAAA"},
        "ssh_user": "admin",
        "ssh_private_key": f"{SECRET} login",
        **changes,
    }

    def program() -> None:
        secret = {"ssh_private_key": pulumi.Output.secret(args["ssh_private_key"])}
        pulumi.export("machine", HostKey("k", HostKeyArgs(**{**args, **secret})).machine)

    return run(program)


def test_a_machine_is_known_by_the_host_key_that_it_has_made() -> None:
    graph = host_key()
    assert graph.exports["machine"] == {"name": "worker-1", "instanceId": "i-1", "hostKey": "ssh-ed25519 AAAAk"}
    assert not contains_secret(graph.raw_exports)
    assert not list(leaks(graph.one("Command").raw))
    assert contains_secret(graph.one("Command").raw["stdin"])


def test_a_machine_is_asked_for_its_host_key_through_stdin() -> None:
    made = host_key(machine={"name": "w"}, ssh_user="me", ssh_private_key="mine").one("Command").inputs
    assert json.loads(made["stdin"]) == {"machine": {"name": "w"}, "sshUser": "me", "sshPrivateKey": "mine"}
    assert made["interpreter"] == ["sh", "twinplane/run", "host_key"]
    assert made["create"] == "make"
    # So that an instance whose user data's key is no longer good is not asked again.
    assert made["addPreviousOutputInEnv"] is True
    assert not {"update", "triggers"} & set(made), "any other request updates, and keeps the answer of before"


def test_ssh_key_is_made_once_and_never_logged() -> None:
    def program() -> None:
        key = SshKey("k", SshKeyArgs("someone"))
        pulumi.export("private", key.private)
        pulumi.export("public", key.public)

    graph = run(program)
    command = graph.one("Command")
    assert command.inputs["interpreter"] == ["sh", "twinplane/run", "keys", "ed25519"]
    assert command.inputs["create"] == "someone"
    assert command.inputs["logging"] == "none"
    assert set(command.ignore_changes) == {"interpreter", "create"}
    assert graph.exports["public"] == "ssh-ed25519 AAAAk someone"
    assert contains_secret(graph.raw_exports["private"])
    assert not contains_secret(graph.raw_exports["public"])


def test_ssh_key_has_a_kind() -> None:
    def program() -> None:
        pulumi.export("public", SshKey("k", SshKeyArgs("someone", "ecdsa")).public)

    assert run(program).exports["public"] == "ecdsa-sha2-nistp256 AAAAk someone"


def test_image_is_the_newest_of_its_owner() -> None:
    asked = {"owner": "42", "name": "mine-*"}

    def program() -> None:
        pulumi.export("id", MachineImage(**asked).find(pulumi.InvokeOptions()))

    graph = run(program)
    assert graph.exports["id"] == "ami-of-42-mine-*"
    [(_, args)] = graph.calls
    assert args == {"mostRecent": True, "owners": ["42"], "filters": [{"name": "name", "values": ["mine-*"]}]}
    assert DEBIAN_13.owner == "136693071363"


def test_ports_are_open_by_role() -> None:
    assert reach(groups()) == {
        ("g-machine-id", "192.0.2.0/24", "tcp", 22, 22),
        ("g-machine-id", "g-machine-id", "tcp", 10250, 10250),
        ("g-machine-id", "g-machine-id", "udp", 4789, 4789),
        ("g-machine-id", "g-machine-id", "tcp", 30000, 32767),
        ("g-balancer-id", "198.51.100.0/24", "tcp", 6443, 6443),
        ("g-balancer-id", "g-machine-id", "tcp", 6443, 6443),
        ("g-control-plane-id", "g-balancer-id", "tcp", 6443, 6443),
        ("g-control-plane-id", "g-machine-id", "tcp", 6443, 6443),
        ("g-control-plane-id", "g-control-plane-id", "tcp", 2379, 2380),
    }


def test_people_reach_a_public_api_by_a_balancer_that_machines_do_not_use() -> None:
    alone, beside = groups(), groups(api_public=True)
    assert alone.exports["balancers"] == ["g-balancer-id", None]
    assert beside.exports["balancers"] == ["g-balancer-id", "g-public-balancer-id"]
    assert reach(alone) - reach(beside) == {("g-balancer-id", "198.51.100.0/24", "tcp", 6443, 6443)}
    assert reach(beside) - reach(alone) == {
        ("g-public-balancer-id", "198.51.100.0/24", "tcp", 6443, 6443),
        ("g-control-plane-id", "g-public-balancer-id", "tcp", 6443, 6443),
    }
    out = {each.inputs["securityGroupId"]: each.inputs for each in beside.all("SecurityGroupEgressRule")}
    for balancer in ("g-balancer-id", "g-public-balancer-id"):
        assert out[balancer]["referencedSecurityGroupId"] == "g-control-plane-id"


def test_pods_by_routes_reach_machines_with_addresses_of_their_own() -> None:
    tunnelled, routed = reach(groups()), reach(groups(routed_pod_cidr=IPv4Network("10.244.0.0/16")))
    assert routed - tunnelled == {
        ("g-machine-id", "g-machine-id", "-1", 0, 0),
        ("g-machine-id", "10.244.0.0/16", "-1", 0, 0),
    }
    assert tunnelled - routed == {
        ("g-machine-id", "g-machine-id", "tcp", 10250, 10250),
        ("g-machine-id", "g-machine-id", "udp", 4789, 4789),
        ("g-machine-id", "g-machine-id", "tcp", 30000, 32767),
    }


def test_security_group_arguments() -> None:
    graph = groups(vpc_id="vpc-2", api_cidrs=["198.51.100.0/24", "192.0.2.7/32"], ssh_cidrs=["203.0.113.0/24"])
    assert {group.inputs["vpcId"] for group in graph.all("SecurityGroup")} == {"vpc-2"}
    people = {(source, first) for _, source, _, first, _ in reach(graph) if "/" in source}
    assert people == {("198.51.100.0/24", 6443), ("192.0.2.7/32", 6443), ("203.0.113.0/24", 22)}


def test_who_depends_on_the_rules_is_reached() -> None:
    def program() -> None:
        made = SecurityGroups("g", SecurityGroupsArgs("vpc-1", ["198.51.100.0/24"], ["192.0.2.0/24"]))
        after = pulumi.ResourceOptions(depends_on=made.rules)
        pulumi.ComponentResource("twinplane:test:User", "user", None, after)

    graph = run(program)
    needed = graph.one("User").dependencies
    assert {rule.urn for rule in graph.all("SecurityGroupIngressRule")} <= needed
    assert graph.one("SecurityGroupEgressRule", "g-out").urn in needed


def test_user_data_is_cloud_config_in_json() -> None:
    head, body = user_data("h", private="p", public="q").split("\n", 1)
    assert head == "#cloud-config"
    assert json.loads(body)["ssh_keys"] == {"ecdsa_private": "p", "ecdsa_public": "q"}


def test_tags_besides() -> None:
    assert machine(tags={"a": "b"}).one("Instance").inputs["tags"]["a"] == "b"
    made = groups(machine_tags={"a": "b"})
    assert [each.name for each in made.all("SecurityGroup") if "a" in each.inputs["tags"]] == ["g-machine"]

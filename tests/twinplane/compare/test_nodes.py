"""The conclusions on nodes, above all: what is pending, and who patches it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.compare_cases import FACTS, NODES, RECOMMENDED, cluster, observed
from twinplane.compare.differences import Cluster


def test_a_self_managed_node() -> None:
    cells = cluster("self-managed").nodes["w-1"]
    assert {aspect: cell.value for aspect, cell in cells.items()} == {
        "status": "Ready",
        "OS": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.1.0-30-amd64",
        "kubelet": "v1.36.3",
        "runtime": "containerd://2.4.2",
        "image release": "20260901",
        "pending updates": "2 (1 security)",
        "free space": "/ 22.4 GiB (80%)",
        "pods' range": "198.18.193.0/24",
        "last boot": "2026-11-24 20:01 UTC",
        "patched by": "you: apt and reboot over SSH, node by node",
        "paid by": "you: EC2 t3.medium",
    }


def test_a_managed_node() -> None:
    cells = cluster("managed").nodes["ip-198-18-0-20.ec2.internal"]
    assert cells["image release"].value == "1.36.3-20260901"
    assert cells["pending updates"].value == "newer image 1.36.3-20261101"
    assert cells["pending updates"].state == "bad"
    assert cells["last boot"].value == "2026-11-24 20:00 UTC"
    assert cells["patched by"].value == "AWS, when you raise the release: new nodes replace old ones"


def test_a_managed_node_of_the_newest_image_has_nothing_pending() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[RECOMMENDED]["Parameter"]["Value"] = "1.36.3-20260901"

    cell = cluster("managed", change).nodes["ip-198-18-0-20.ec2.internal"]["pending updates"]
    assert (cell.value, cell.state) == ("0: newest image", "good")


def test_a_node_of_auto_mode_is_patched_by_aws() -> None:
    def change(answers: dict[str, Any]) -> None:
        for node in answers[NODES]["items"]:
            node["metadata"]["labels"].pop("eks.amazonaws.com/nodegroup", None)

    seen = observed("managed", change)
    outputs = replace(seen.outputs, node_mode="auto", node_group_name=None, node_release_version=None)
    cells = Cluster.from_observed(replace(seen, outputs=outputs)).nodes["ip-198-18-0-20.ec2.internal"]
    assert cells["pending updates"].value == "come with a newer image, after 21 days at the latest"
    assert cells["patched by"].value == "AWS, by itself: new nodes replace old ones, after 21 days at the latest"
    assert {cells[aspect].state for aspect in ("pending updates", "patched by")} == {"plain"}


def test_security_updates_and_a_needed_reboot_are_bad_others_are_not() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS]["facts"]["w-1"]["updates"] = [
            {"package": "tzdata", "installed": "1", "candidate": "2", "security": False, "held": False}
        ]
        answers[FACTS]["facts"]["w-2"]["reboot_reasons"] = ["a package asks for it"]
        answers[FACTS]["facts"]["cp-1"]["unattended_upgrades"] = True

    nodes = cluster("self-managed", change).nodes
    assert (nodes["w-1"]["pending updates"].value, nodes["w-1"]["pending updates"].state) == ("1 (0 security)", "good")
    assert nodes["w-2"]["pending updates"].value == "0 (0 security), reboot required: a package asks for it"
    assert nodes["w-2"]["pending updates"].state == "bad"
    assert nodes["cp-1"]["patched by"].value.endswith("by itself too (unattended-upgrades)")


def test_a_node_that_is_not_ready_is_trouble_a_cordoned_one_is_not() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"][1]["status"]["conditions"][1]["status"] = "Unknown"
        answers[NODES]["items"][2]["spec"]["unschedulable"] = True

    found = cluster("self-managed", change)
    assert found.nodes["w-2"]["status"].value == "Ready, cordoned"
    assert list(found.troubles()) == ["self-managed-lab: w-1: NotReady"]


def test_where_nobody_tells_the_answer_is_unknown() -> None:
    def change(answers: dict[str, Any]) -> None:
        for node in answers[NODES]["items"]:
            node["metadata"]["labels"].pop("eks.amazonaws.com/nodegroup")

    cells = cluster("managed", change).nodes["ip-198-18-0-20.ec2.internal"]
    assert cells["pending updates"].value == "unknown"
    assert cells["patched by"].value == "unknown"
    assert cells["image release"].value == "amazon-eks-node-al2023-x86_64-standard-1.36-v20260901"


def test_the_control_plane_node_comes_first() -> None:
    assert list(cluster("self-managed").nodes) == ["cp-1", "w-1", "w-2"]


def test_a_machine_that_lets_nobody_in_says_why() -> None:
    def change(answers: dict[str, Any]) -> None:
        del answers[FACTS]["facts"]["w-1"]
        answers[FACTS]["failures"] = ["w-1 198.18.64.11: no route"]

    cell = cluster("self-managed", change).nodes["w-1"]["pending updates"]
    assert cell.value == "unknown"
    assert cell.evidence[0].answer == {"error": ("w-1 198.18.64.11: no route",)}


def test_held_and_half_installed_packages_and_reasons_to_reboot_are_pending_not_trouble() -> None:
    def change(answers: dict[str, Any]) -> None:
        facts = answers[FACTS]["facts"]
        facts["cp-1"]["updates"][1]["held"] = True
        facts["w-1"]["updates"] = []
        facts["w-1"]["unfinished"] = ["man-db"]
        facts["w-2"]["reboot_reasons"] = [f"{name} runs with replaced libraries" for name in ("cron", "sshd")]

    found = cluster("self-managed", change)
    cells = {name: cells["pending updates"] for name, cells in found.nodes.items()}
    assert cells["cp-1"].value == "2 (1 security), 1 held"
    assert cells["w-1"].value == "0 (0 security), half installed: man-db"
    assert cells["w-2"].value == "0 (0 security), reboot required: cron runs with replaced libraries (and 1 more)"
    assert {cell.state for cell in cells.values()} == {"bad"}
    assert list(found.troubles()) == []


def test_an_archive_that_is_away_hides_the_updates_only() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS]["facts"]["w-2"]["updates_error"] = "apt-get update: E: Could not resolve 'deb.debian.org'"

    found = cluster("self-managed", change)
    line = "pending updates: not known: apt-get update: E: Could not resolve 'deb.debian.org'"
    assert list(found.warnings()) == [f"self-managed-lab: w-2: {line}"]
    assert list(found.troubles()) == []


UNREACHED = "w-1 at 198.18.64.11: no SSH ([Errno 113] No route to host): check that the machine runs"
REPLACED = "w-1 at 198.18.64.11: its SSH host key is not the pinned one: another machine answers there"


@pytest.mark.parametrize("failure", [UNREACHED, REPLACED])
def test_a_machine_that_lets_nobody_in_is_trouble_once_with_its_reason(failure: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        del answers[FACTS]["facts"]["w-1"]
        answers[FACTS]["failures"] = [failure]

    (trouble,) = cluster("self-managed", change).troubles()
    assert trouble == f"self-managed-lab: w-1: Ready, but not reached: {failure.removeprefix('w-1 ')}"


def test_when_nothing_could_be_asked_each_machine_says_why() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS] = {"error": "ansible-playbook: not found"}

    troubles = list(cluster("self-managed", change).troubles())
    lines = [f"self-managed-lab: {name}: Ready, but not reached: ansible-playbook: not found" for name in MACHINES]
    assert troubles == lines


MACHINES = ("cp-1", "w-1", "w-2")
INSTANCES = (
    'ec2 describe_instances {"Filters": [{"Name": "instance-state-name", '
    '"Values": ["pending", "running", "stopping", "stopped"]}]}'
)


def instance(answers: dict[str, Any], name: str) -> Any:
    reservations = answers[INSTANCES]["Reservations"]
    return next(i for each in reservations for i in each["Instances"] if i["InstanceId"] == name)


@pytest.mark.parametrize("ready", ["True", "Unknown"])
def test_a_stopped_instance_is_the_cause_before_its_nodes_lease_ends_and_after(ready: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        del answers[FACTS]["facts"]["w-1"]
        answers[FACTS]["failures"] = [UNREACHED]
        instance(answers, "i-0b")["State"]["Name"] = "stopped"
        answers[NODES]["items"][1]["status"]["conditions"][1]["status"] = ready

    (trouble,) = cluster("self-managed", change).troubles()
    word = "Ready, but" if ready == "True" else "NotReady:"
    assert trouble == f"self-managed-lab: w-1: {word} its instance i-0b is stopped in EC2"


def test_a_stopped_instance_of_a_managed_node_is_trouble_too() -> None:
    def change(answers: dict[str, Any]) -> None:
        instance(answers, "i-1a")["State"]["Name"] = "stopping"

    (trouble,) = cluster("managed", change).troubles()
    assert trouble.endswith(": Ready, but its instance i-1a is stopping in EC2")


def test_an_instance_that_is_gone_is_the_cause() -> None:
    def change(answers: dict[str, Any]) -> None:
        del answers[FACTS]["facts"]["w-2"]
        answers[FACTS]["failures"] = ["w-2 at 198.18.64.12: no SSH (timed out)"]
        for each in answers[INSTANCES]["Reservations"]:
            each["Instances"] = [i for i in each["Instances"] if i["InstanceId"] != "i-0c"]

    (trouble,) = cluster("self-managed", change).troubles()
    assert trouble == "self-managed-lab: w-2: Ready, but its instance i-0c does not exist in EC2"


STOPPED = {"load": "loaded", "active": "activating", "sub": "auto-restart", "result": "exit-code", "status": "1"}


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        (STOPPED, "systemd: activating (auto-restart, exit-code, status 1)"),
        ({**STOPPED, "active": "inactive", "sub": "dead", "result": "success"}, "systemd: inactive (dead)"),
        ({**STOPPED, "load": "not-found", "active": "inactive"}, "systemd: not-found"),
        ({**STOPPED, "active": "active"}, "no such process"),
    ],
)
def test_a_kubelet_that_does_not_run_is_named_with_systemds_reason(unit: dict[str, str], reason: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        facts = answers[FACTS]["facts"]["w-1"]
        facts["kubelet"] = unit
        facts["processes"] = [each for each in facts["processes"] if each["name"] != "kubelet"]
        answers[NODES]["items"][1]["status"]["conditions"][1]["status"] = "Unknown"

    (trouble,) = cluster("self-managed", change).troubles()
    assert trouble == f"self-managed-lab: w-1: NotReady: the kubelet does not run ({reason})"


def test_a_deleted_node_is_trouble_beside_a_machine_that_is_well() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"].pop(1)

    assert "self-managed-lab: w-1: no Node" in cluster("self-managed", change).troubles()


GIB = 2**30


@pytest.mark.parametrize(
    ("size", "free", "state", "value"),
    [
        (100 * GIB, 11 * GIB, "good", "/ 11.0 GiB (11%)"),
        (100 * GIB, 9 * GIB, "warning", "/ 9.0 GiB (9%)"),
        (5 * GIB, GIB - 1, "warning", "/ 1.0 GiB (20%)"),
        (100 * GIB, 2 * GIB, "bad", "/ 2.0 GiB (2%)"),
        (2 * GIB, GIB // 4, "bad", "/ 0.2 GiB (12%)"),
    ],
)
def test_little_space_is_a_warning_and_hardly_any_is_trouble(size: int, free: int, state: str, value: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS]["facts"]["w-1"]["disks"]["/"] = {"size": size, "free": free}

    found = cluster("self-managed", change)
    line = [f"self-managed-lab: w-1: free space: {value}"]
    assert found.nodes["w-1"]["free space"].value == value
    assert list(found.warnings()) == (line if state == "warning" else [])
    assert list(found.troubles()) == (line if state == "bad" else [])


def test_the_disk_of_etcd_counts_on_control_planes_only() -> None:
    def change(answers: dict[str, Any]) -> None:
        for name in ("cp-1", "w-1"):
            answers[FACTS]["facts"][name]["disks"]["/var/lib/etcd"] = {"size": 10 * GIB, "free": 0}

    (trouble,) = cluster("self-managed", change).troubles()
    assert trouble == "self-managed-lab: cp-1: free space: / 22.4 GiB (80%), etcd 0.0 GiB (0%)"


def test_disk_pressure_is_what_a_managed_node_tells_of_its_disk() -> None:
    def change(answers: dict[str, Any]) -> None:
        conditions = answers[NODES]["items"][0]["status"]["conditions"]
        next(each for each in conditions if each["type"] == "DiskPressure")["status"] = "True"

    (warning,) = cluster("managed", change).warnings()
    assert warning.endswith(": free space: disk pressure")


def test_a_node_that_came_back_with_another_range_is_trouble() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"][1]["spec"]["podCIDR"] = "198.18.197.0/24"

    (trouble,) = cluster("self-managed", change).troubles()
    ranges = "its Node has 198.18.197.0/24, its machine gives out 198.18.193.0/24: run `pulumi up`"
    assert trouble == f"self-managed-lab: w-1: pods' range: {ranges}"


def test_a_range_that_another_machine_still_gives_out_is_trouble() -> None:
    """w-1 came back with a new range, and a new node got the one that w-1's machine still has."""

    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"][1]["spec"]["podCIDR"] = "198.18.197.0/24"
        answers[NODES]["items"][2]["spec"]["podCIDR"] = "198.18.193.0/24"
        answers[FACTS]["facts"]["w-2"]["pod_range"] = "198.18.193.0/24"

    _, trouble = cluster("self-managed", change).troubles()
    assert trouble == "self-managed-lab: w-2: pods' range: 198.18.193.0/24, overlaps that of w-1"


def test_overlapping_ranges_are_trouble_on_managed_nodes_too() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"][0]["spec"]["podCIDR"] = "198.18.128.0/20"
        answers[NODES]["items"][1]["spec"]["podCIDR"] = "198.18.130.0/24"

    first, second = cluster("managed", change).troubles()
    assert first.endswith(": pods' range: 198.18.128.0/20, overlaps that of ip-198-18-0-21.ec2.internal")
    assert second.endswith(": pods' range: 198.18.130.0/24, overlaps that of ip-198-18-0-20.ec2.internal")


def test_without_a_node_nobody_asks_for_all_images_of_ec2() -> None:
    def none(answers: dict[str, Any]) -> None:
        answers[NODES]["items"] = []
        assert 'ec2 describe_images {"ImageIds": []}' not in answers  # the question would fail the test

    assert cluster("managed", none).nodes == {}

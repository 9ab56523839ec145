"""The conclusions on nodes, above all: what is pending, and who patches it."""

from typing import Any

from tests.compare_cases import FACTS, NODES, cluster

RECOMMENDED = (
    'ssm get_parameter {"Name": "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard'
    '/recommended/release_version"}'
)


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
        "last boot": "2026-11-24 20:01 UTC",
        "patched by": "you: apt and reboot over SSH, node by node",
        "pays": "you: EC2 t3.medium",
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


def test_security_updates_and_a_needed_reboot_are_bad_others_are_not() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS]["facts"]["w-1"]["updates"] = [
            {"package": "tzdata", "installed": "1", "candidate": "2", "security": False}
        ]
        answers[FACTS]["facts"]["w-2"]["reboot_required"] = True
        answers[FACTS]["facts"]["cp-1"]["unattended_upgrades"] = True

    nodes = cluster("self-managed", change).nodes
    assert (nodes["w-1"]["pending updates"].value, nodes["w-1"]["pending updates"].state) == ("1 (0 security)", "good")
    assert nodes["w-2"]["pending updates"].value == "0 (0 security), reboot required"
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

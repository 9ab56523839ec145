"""What a destroy does first: the protection against deletion is taken from what the stack's state says has it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from twinplane.errors import Failed
from twinplane.operate import protection
from twinplane.stack import Stack

CLUSTER = {
    "type": "aws:eks/cluster:Cluster",
    "urn": "urn:pulumi:s::p::aws:eks/cluster:Cluster::c",
    "protect": True,
    "outputs": {"name": "tp", "region": "us-east-1", "deletionProtection": True},
}
MACHINE = {
    "type": "aws:ec2/instance:Instance",
    "urn": "urn:pulumi:s::p::aws:ec2/instance:Instance::m",
    "id": "i-1",
    "protect": True,
    "outputs": {"region": "us-east-1", "disableApiTermination": True},
}
WORKER = {**MACHINE, "id": "i-2", "protect": False, "outputs": {"disableApiTermination": False}}


class Aws:
    """A session and its clients: writes down what is asked, and refuses it with `code`."""

    def __init__(self, code: str) -> None:
        self.code, self.asked = code, list[tuple[str, dict[str, Any]]]()

    def client(self, _: str) -> Aws:
        return self

    def get_waiter(self, name: str) -> Aws:
        assert name == "cluster_active"
        return self

    def wait(self, **given: Any) -> None:
        self.asked.append(("wait", {"name": given["name"]}))

    def __getattr__(self, operation: str) -> Any:
        def ask(**given: Any) -> None:
            self.asked.append((operation, given))
            if self.code:
                raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, operation)

        return ask


def lifted(monkeypatch: pytest.MonkeyPatch, *resources: dict[str, Any], code: str = "") -> list[Any]:
    """Returns what AWS was asked, and at the end whether Pulumi's protection went."""
    aws, went = Aws(code), list[str]()
    monkeypatch.setattr(protection, "client", lambda *_: aws)
    monkeypatch.setattr(Stack, "resources", lambda _: list(resources))
    monkeypatch.setattr(Stack, "unprotect", lambda stack: went.append(stack.name))
    protection.lift(Stack("some", {}), lambda _: None)
    return [*aws.asked, *went]


def test_eks_and_pulumi_let_the_cluster_go(monkeypatch: pytest.MonkeyPatch) -> None:
    change = ("update_cluster_config", {"name": "tp", "deletionProtection": False})
    assert lifted(monkeypatch, CLUSTER) == [change, ("wait", {"name": "tp"}), "some"]


def test_ec2_and_pulumi_let_the_control_planes_go(monkeypatch: pytest.MonkeyPatch) -> None:
    change = ("modify_instance_attribute", {"InstanceId": "i-1", "DisableApiTermination": {"Value": False}})
    assert lifted(monkeypatch, MACHINE, WORKER) == [change, "some"]


def test_a_stack_without_protection_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lifted(monkeypatch, {**CLUSTER, "protect": False}, WORKER) == []
    assert lifted(monkeypatch) == []


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidInstanceID.NotFound"])
def test_what_went_before_needs_no_lifting(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    assert lifted(monkeypatch, CLUSTER, MACHINE, code=code)[-1] == "some"


def test_a_refusal_is_told_and_nothing_is_unprotected(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match="c: its protection stays: AccessDeniedException"):
        lifted(monkeypatch, CLUSTER, code="AccessDeniedException")

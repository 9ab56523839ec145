"""The pulumi command, wrapped: what it is asked, and what its answers become."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from twinplane import stack as module
from twinplane.errors import Failed, UsageError
from twinplane.stack import Stack, orphaned

OUTPUTS = {
    "kind": "managed",
    "clusterName": "c",
    "account": "123456789012",
    "region": "us-east-1",
    "vpcId": "vpc-1",
    "kubernetesVersion": "1.36",
    "apiEndpoint": "https://198.19.240.2",
    "kubeconfig": "{}",
    "workload": {"namespace": "n", "deployment": "d", "service": "s", "nodePort": 30080},
    "nodeGroupName": "workers",
    "nodeReleaseVersion": "1.36.3-20260901",
}


class Fake:
    """A `pulumi` that writes down what it was asked, and answers as told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer()

    def answer(self, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        (self.folder / "stdout").write_text(stdout)
        (self.folder / "stderr").write_text(stderr)
        script = self.folder / "pulumi"
        script.write_text(
            f'#!/bin/sh\ncd {self.folder}\necho "$PWD_OF_CALLER $@" >> asked\ncat stdout\ncat stderr >&2\nexit {code}\n'
        )
        script.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return [line.strip() for line in (self.folder / "asked").read_text().splitlines()]


@pytest.fixture
def pulumi(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


@pytest.fixture
def stack(tmp_path: Path, pulumi: Fake, monkeypatch: pytest.MonkeyPatch) -> Stack:  # noqa: ARG001
    (tmp_path / "stacks").mkdir()
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    return Stack("dev", {"PATH": f"{tmp_path}:/usr/bin:/bin"})


def test_what_the_state_knows_is_what_it_has_and_is_to_delete(stack: Stack, pulumi: Fake) -> None:
    group = {"id": "c:ng-1", "outputs": {"nodeGroupName": "ng-1"}}
    old = {"id": "i-1", "delete": True, "outputs": {}}
    pulumi.answer(json.dumps({"deployment": {"resources": [group, old, {"urn": "component"}]}}))
    assert stack.known() == {"c:ng-1", "ng-1", "i-1"}
    pulumi.answer(json.dumps({"deployment": {}}))
    assert stack.known() == set()


def test_outputs_are_read_with_secrets(stack: Stack, pulumi: Fake) -> None:
    pulumi.answer(json.dumps(OUTPUTS))
    assert stack.outputs().node_group_name == "workers"
    assert pulumi.asked == [
        "stack output --json --show-secrets --stack dev --non-interactive --color=never",
    ]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"code": 6, "stderr": "error: no stack named 'dev' found\n"}, "stack dev: unknown"),
        (
            {"code": 1, "stderr": "error: getting secrets manager: passphrase must be set with PULUMI_CONFIG\n"},
            "stack dev: set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
        ),
        (
            {"code": 1, "stderr": "error: PULUMI_ACCESS_TOKEN must be set for login\n"},
            "stack dev: log in with `pulumi login`, or set PULUMI_BACKEND_URL",
        ),
        ({"code": 1, "stderr": "note\nerror: the sky fell\nmore\n"}, "stack dev: the sky fell"),
        ({"stdout": "{}"}, "stack dev: has no outputs; bring it up with `pulumi up -s dev`"),
        ({"stdout": '{"kind": "managed"}'}, "stack dev: output clusterName: missing"),
        ({"stdout": '{"kind": "pet"}'}, "stack dev: output kind: 'pet' is none of managed, self-managed"),
    ],
)
def test_each_failure_is_one_line_that_says_what_to_do(
    stack: Stack, pulumi: Fake, answer: dict[str, Any], line: str
) -> None:
    pulumi.answer(**answer)
    with pytest.raises(UsageError) as caught:
        stack.outputs()
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_without_pulumi_it_says_how_to_get_it() -> None:
    with pytest.raises(UsageError, match="pulumi: not on PATH; `twinplane doctor`"):
        Stack("dev", {"PATH": "/nowhere"}).outputs()


def test_exists(stack: Stack, pulumi: Fake) -> None:
    pulumi.answer("{}")
    assert stack.exists()
    pulumi.answer(code=6, stderr="error: no stack named 'dev' found")
    assert not stack.exists()
    pulumi.answer(code=1, stderr="error: unable to open bucket")
    with pytest.raises(UsageError, match="unable to open bucket"):
        stack.exists()


def test_updates_ask_nothing_and_tell_every_line(stack: Stack, pulumi: Fake) -> None:
    pulumi.answer("Updating (dev):\n\nwarning: using pulumi-resource-aws from $PATH at /x\n@ updating...\n + created\n")
    told: list[str] = []
    stack.up(told.append)
    stack.refresh(told.append)
    stack.destroy(told.append)
    tail = "--yes --skip-preview --suppress-outputs --stack dev --non-interactive --color=never"
    assert pulumi.asked == [f"up {tail}", f"refresh {tail}", f"destroy {tail}"]
    assert told == ["  Updating (dev):", "   + created"] * 3


def test_a_failed_update_repeats_its_first_error(stack: Stack, pulumi: Fake) -> None:
    pulumi.answer("Updating\nerror: aws:ec2/vpc: boom\nerror: update failed\n", code=1)
    with pytest.raises(Failed, match=r"^pulumi up -s dev: aws:ec2/vpc: boom$"):
        stack.up(lambda _: None)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("error: update failed\nerror: aws:ec2/vpc: boom\n", "aws:ec2/vpc: boom"),
        ("error: 1 error occurred:\n* VpcInUse: it has subnets\nerror: update failed\n", "VpcInUse: it has subnets"),
        ("error: update failed\n", "update failed"),
        (
            "error: the stack is currently locked by 1 lock(s). Either wait\n"
            "  file:///s/a.json: created by ada@elsewhere (pid 7) at 2026-11-24T22:00:00Z\n",
            "another update runs; if it was killed, run `pulumi cancel` "
            "(its lock: ada@elsewhere (pid 7) at 2026-11-24T22:00:00Z)",
        ),
    ],
)
def test_a_failed_update_tells_the_cause_not_its_wrapper(stack: Stack, pulumi: Fake, output: str, told: str) -> None:
    pulumi.answer(output, code=1)
    with pytest.raises(Failed) as caught:
        stack.up(lambda _: None)
    assert str(caught.value) == f"pulumi up -s dev: {told}"


URN = "urn:pulumi:dev::p::eks:index:Cluster$aws:eks/cluster:Cluster::p-dev"
V2 = "operation error EKS: DeleteCluster, https response error StatusCode: 409, RequestID: 0a-1b, "
WORDS = "ResourceInUseException: Cluster has nodegroups attached"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (  # the official AWS provider's
            f"""Destroying (dev):
 -  aws:eks:Cluster p-dev deleting (2s) error: deleting {URN}: 1 error occurred:
Diagnostics:
  pulumi:pulumi:Stack (p-dev):
    error: update failed

  aws:eks:Cluster (p-dev):
    error:   sdk-v2/provider2.go:572: sdk.helper_schema: deleting EKS Cluster (p-dev): {V2}{WORDS}: provider=aws@7.51.1
    error: deleting {URN}: 1 error occurred:
    \t* deleting EKS Cluster (p-dev): {V2}{WORDS}

Resources:
    12 deleted
""",
            f"aws:eks:Cluster p-dev: deleting EKS Cluster (p-dev): {WORDS}; "
            "remove what uses it, if it is not the stack's, and run it again",
        ),
        (
            f"""Diagnostics:
  aws:eks:Cluster (p-dev):
    error: deleting {URN}: 1 error occurred:
    \t* deleting EKS Cluster (p-dev): {V2}{WORDS}
    \tstatus code: 409, request id: 1b40
""",
            f"aws:eks:Cluster p-dev: deleting EKS Cluster (p-dev): {WORDS}; "
            "remove what uses it, if it is not the stack's, and run it again",
        ),
        (
            """Diagnostics:
  aws:ec2:Vpc (net):
    error: 1 error occurred:
    \t* creating EC2 VPC: operation error EC2: CreateVpc, https response error StatusCode: 400, RequestID: a, """
            """api error VpcLimitExceeded: The maximum number of VPCs has been reached.
  pulumi:pulumi:Stack (p-dev):
    error: update failed
""",
            "aws:ec2:Vpc net: creating EC2 VPC: VpcLimitExceeded: The maximum number of VPCs has been reached.; "
            "ask for a higher quota (AWS Service Quotas), and run it again",
        ),
        (  # the program's own
            "Diagnostics:\n  pulumi:pulumi:Stack (p-dev):\n    error: config p:workers: '0' is not a whole number\n"
            "    error: update failed\n",
            "config p:workers: '0' is not a whole number",
        ),
    ],
)
def test_the_one_line_is_resource_code_words_and_what_to_do(stack: Stack, pulumi: Fake, output: str, told: str) -> None:
    pulumi.answer(output, code=1)
    for verb in (stack.up, stack.refresh, stack.destroy):
        with pytest.raises(Failed) as caught:
            verb(lambda _: None)
        assert str(caught.value) == f"pulumi {verb.__name__} -s dev: {told}"


def test_an_update_of_an_unknown_stack_is_wrong_use(stack: Stack, pulumi: Fake) -> None:
    pulumi.answer("error: no stack named 'dev' found\n", code=6)
    with pytest.raises(UsageError, match="stack dev: unknown"):
        stack.up(lambda _: None)


def test_config_is_set_in_the_stacks_file(stack: Stack, pulumi: Fake) -> None:
    stack.set_config("nodeReleaseVersion", "1.36.3-20261101")
    assert pulumi.asked[0].startswith("config set nodeReleaseVersion 1.36.3-20261101 --stack dev")
    pulumi.answer(code=1, stderr="error: incorrect passphrase")
    with pytest.raises(UsageError, match="is not the one that this stack was made with"):
        stack.set_config("a", "b")


def test_a_new_stack_drops_the_salt_of_another_backend(stack: Stack, pulumi: Fake) -> None:
    stack.file.write_text("encryptionsalt: v1:old\nconfig:\n  twinplane:kind: managed # why\n")
    stack.create()
    assert stack.file.read_text() == "config:\n  twinplane:kind: managed # why\n"
    assert pulumi.asked == ["stack init dev --no-select --non-interactive --color=never"]
    stack.file.write_text("config:\n  twinplane:x:\n    secure: v1:abc\n")
    with pytest.raises(UsageError, match="has secrets of another backend"):
        stack.create()


def test_a_stack_with_endpoints_of_its_own_is_known_by_its_file(stack: Stack) -> None:
    assert not stack.endpoint
    stack.file.write_text("config:\n  aws:region: us-east-1\n")
    assert not stack.endpoint
    stack.file.write_text("config:\n  aws:endpoints:\n    - ec2: http://127.0.0.1:4515\n")
    assert stack.endpoint


def test_no_environment_is_in_its_representation(stack: Stack) -> None:
    assert "PATH" not in repr(stack)


def test_only_a_dead_holder_on_this_machine_leaves_an_orphaned_lock() -> None:
    here, dead = socket.gethostname(), 2**22 + 1  # above Linux's largest pid
    refusal = "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end"

    def line(host: str, pid: int) -> str:
        return f"file:///state/.pulumi/locks/a.json: created by root@{host} (pid {pid}) at 2026-11-24T22:00:00Z"

    assert orphaned([refusal, line(here, dead)])
    assert not orphaned([refusal, line(here, os.getpid())])
    assert not orphaned([refusal, line("elsewhere", dead)])
    assert not orphaned([refusal, line(here, dead), line(here, os.getpid())])
    assert not orphaned(["error: something else", line(here, dead)])
    assert not orphaned([refusal])

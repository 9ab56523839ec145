"""A cluster that is gone from AWS is said at once, with the command that builds it anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from stacks import gone
from tests import pulumi_mocks
from tests.pulumi_mocks import run

CLUSTER = {"type": "aws:eks/cluster:Cluster", "outputs": {"name": "c"}}
EXPORTS = {
    "type": "pulumi:pulumi:Stack",
    "outputs": {"machines": [{"role": "control-plane", "instanceId": "i-1"}, {"role": "worker", "instanceId": "i-2"}]},
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is warned of."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lines.append)
    return lines


class Aws:
    """What AWS has: clusters and instances."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clusters, self.instances = ["c"], ["i-1", "i-2"]
        for name, answer in {
            "aws:eks/getClusters:getClusters": lambda _: {"names": self.clusters},
            "aws:ec2/getInstances:getInstances": self._instances,
        }.items():
            monkeypatch.setitem(pulumi_mocks.CALLS, name, answer)

    def _instances(self, args: Mapping[str, Any]) -> dict[str, Any]:
        assert "terminated" not in args["instanceStateNames"]
        return {"ids": [each for each in self.instances if each in args["filters"][0]["values"]]}


@pytest.mark.parametrize("state", [[CLUSTER], [EXPORTS]])
def test_a_cluster_that_is_gone_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch, said: list[str], state: list[dict[str, Any]]
) -> None:
    monkeypatch.delenv("PULUMI_K8S_DELETE_UNREACHABLE", raising=False)
    aws = Aws(monkeypatch)
    run(lambda: gone.check(state))
    aws.clusters, aws.instances = ["other"], ["i-2"]
    with pytest.raises(pulumi.RunError) as told:
        run(lambda: gone.check(state))
    what = {CLUSTER["type"]: "EKS has no cluster c any more"}.get(
        state[0]["type"], "EC2 has none of the control planes any more (i-1)"
    )
    assert str(told.value) == (
        f"{what}: `PULUMI_K8S_DELETE_UNREACHABLE=true pulumi up --refresh` builds the cluster anew, without what was "
        "in it; `twinplane destroy test` removes what is left of the stack"
    )
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")
    run(lambda: gone.check(state))
    assert said == [f"{what}; with --refresh it is built anew"]


def test_nothing_is_asked_where_nothing_lives_and_no_answer_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run(lambda: gone.check([]))
    aws = Aws(monkeypatch)
    aws.clusters, aws.instances = [], []

    def refuse(**_: Any) -> Any:
        raise RuntimeError("AccessDenied")

    monkeypatch.setattr(gone.aws.eks, "get_clusters", refuse)
    monkeypatch.setattr(gone.aws.ec2, "get_instances", refuse)
    run(lambda: gone.check([CLUSTER, EXPORTS]))

"""Until when a minor of Kubernetes is supported, and what the owner of a cluster is told."""

from collections.abc import Mapping
from datetime import date, timedelta

import grpc
import pulumi
import pytest

from stacks import support
from stacks.settings import ConfigErrors, read
from stacks.surroundings import Surroundings, reason
from tests.support.pulumi_mocks import CALLS, run

BASE = {"apiCidrs": '["10.0.0.0/8"]', "appImage": "registry.test/sample-app:v1.0.0"}
END = support.ENDS["1.35"]
DAY = timedelta(days=1)


def errors(version: str, today: date, kind: str = "managed", alive: Mapping[str, str] | None = None) -> list[str]:
    config = {**BASE, "kind": kind, "kubernetesVersion": version}
    try:
        read(config, project="mine", stack="test", around=Surroundings(today=today), alive=alive)
    except ConfigErrors as error:
        return error.lines
    return []


def test_a_new_cluster_gets_no_minor_whose_support_has_ended() -> None:
    assert errors("1.35.4", END - DAY) == []
    [line] = errors("1.35.4", END)
    assert line.startswith(f"config mine:kubernetesVersion: standard support of 1.35 ended on {END}: ")
    assert errors("1.35.4", END, "self-managed") == [], "EKS's dates are EKS'"


def test_a_minor_that_is_not_tested_is_for_clusters_that_have_it() -> None:
    [line] = errors("1.34.4", END - DAY)
    assert line == "config mine:kubernetesVersion: 1.34.4 is not supported; minors that are: 1.35, 1.36"
    for kind in ("managed", "self-managed"):
        assert errors("1.34.4", END - DAY, kind, {"kind": kind, "kubernetesVersion": "1.34.4"}) == []


def test_an_owner_goes_up_through_a_minor_whose_support_has_ended() -> None:
    alive = {"kind": "managed", "kubernetesVersion": "1.34"}
    assert errors("1.35.4", END + DAY, alive=alive) == []
    [line] = errors("1.36.3", END + DAY, alive=alive)
    assert "EKS goes up by one minor at a time" in line


def test_a_cluster_that_eks_has_raised_is_told_what_to_set() -> None:
    alive = {"kind": "managed", "kubernetesVersion": "1.36", "lastVersion": "1.35.4"}
    [line] = errors("1.35.4", END, alive=alive)
    assert line == (
        "config mine:kubernetesVersion: EKS has raised the cluster to 1.36, as it does when standard support ends, and "
        "never goes back: pulumi config set mine:kubernetesVersion 1.36.0, unset nodeReleaseVersion and the kube-proxy "
        "of addOnVersions where they are set, and pulumi up --refresh"
    )
    assert errors("1.36.0", END, alive=alive) == []
    lowered = {"kind": "managed", "kubernetesVersion": "1.36", "lastVersion": "1.36.3"}
    assert "cannot change on a living cluster" in errors("1.35.4", END - DAY, alive=lowered)[0]


@pytest.mark.parametrize(
    ("version", "days", "line"),
    [
        ("1.35.4", -91, ""),
        ("1.35.4", -90, f"standard support of Kubernetes 1.35 ends on {END}, in 90 days: EKS then raises the cluster"),
        ("1.35.4", 1, f"standard support of Kubernetes 1.35 ended on {END}: "),
        ("1.34.4", -91, "standard support of Kubernetes 1.34 "),
    ],
)  # fmt: skip
def test_a_warning_from_90_days_before(version: str, days: int, line: str) -> None:
    found = support.warning("managed", version, support.ENDS, END + timedelta(days=days))
    assert found.startswith(line)
    assert bool(found) == bool(line)
    if found:
        assert "set kubernetesVersion to 1.3" in found


def test_self_managed_clusters_are_told_of_untested_minors_alone() -> None:
    assert support.warning("self-managed", "1.35.4", support.ENDS, END) == ""
    assert "1.34 is no longer tested" in support.warning("self-managed", "1.34.4", support.ENDS, END)


class Refused(grpc.RpcError):  # type: ignore[misc]  # gRPC has no types
    """As the engine hands on what a plugin says."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return str(self)


def asked(function: str, answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(_: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setitem(CALLS, function, call)


VERSIONS = "aws:eks/getClusterVersions:getClusterVersions"
CLUSTER = "aws:eks/getCluster:getCluster"


def within(what: object) -> list[object]:
    """What a function returns inside a program."""
    found: list[object] = []
    run(lambda: found.append(what()))  # type: ignore[operator]
    return found


def test_eks_says_its_dates_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"clusterVersion": "1.35", "endOfStandardSupportDate": "2027-05-01T00:00:00Z"}
    asked(VERSIONS, {"clusterVersions": [one]}, monkeypatch)
    assert within(support.ends) == [{**support.ENDS, "1.35": date(2027, 5, 1)}]
    asked(VERSIONS, Refused("not yours"), monkeypatch)
    assert within(support.ends) == [support.ENDS]


def test_eks_says_that_it_has_raised_a_cluster_before_the_state_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = {"kind": "managed", "name": "mine-test", "kubernetesVersion": "1.35", "lastVersion": "1.35.4"}
    asked(CLUSTER, {"version": "1.36"}, monkeypatch)
    assert within(lambda: support.actual(alive)) == [{**alive, "kubernetesVersion": "1.36"}]
    asked(CLUSTER, {"version": "1.35"}, monkeypatch)
    assert within(lambda: support.actual(alive)) == [alive]
    asked(CLUSTER, Refused("no such cluster"), monkeypatch)
    assert within(lambda: support.actual(alive)) == [alive]
    assert support.actual(None) is None


def test_without_credentials_the_program_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacks.surroundings import look

    words = "invalid request\nconfiguring: api error InvalidClientTokenId: The security token is invalid.\n"
    asked("aws:index/getCallerIdentity:getCallerIdentity", Refused(words), monkeypatch)
    with pytest.raises(pulumi.RunError) as caught:
        run(look)
    assert str(caught.value) == (
        "AWS takes no credentials from here: InvalidClientTokenId: The security token is invalid; "
        "`aws sts get-caller-identity` must answer: log in again, or set AWS_PROFILE"
    )


def test_the_running_program_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    from stacks import settings

    warned: list[str] = []
    monkeypatch.setattr("pulumi.warn", warned.append)
    monkeypatch.setattr(settings.living, "living", lambda: {"kind": "managed", "kubernetesVersion": "1.34"})
    monkeypatch.setattr(settings, "look", Surroundings)
    monkeypatch.setattr(support, "actual", lambda alive: alive)
    config = {"kind": "managed", "kubernetesVersion": "1.34.4", **BASE}

    def program() -> None:
        pulumi.runtime.set_all_config({f"{pulumi.get_project()}:{key}": value for key, value in config.items()})
        settings.load()

    run(program)
    [line] = warned
    assert line.startswith("standard support of Kubernetes 1.34 end")
    assert "set kubernetesVersion to 1.35.0" in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "An error occurred (ExpiredToken) when calling the X operation: The token is expired.",
            "ExpiredToken: The token is expired",
        ),
        ("x\nSignatureDoesNotMatch: It does not match.\n", "SignatureDoesNotMatch: It does not match"),
        ("failed:\nNo valid credential sources found.\nSee a.test.", "No valid credential sources found"),
        ("boom\nlast line.", "last line"),
        ("", "no reason given"),
    ],
)  # fmt: skip
def test_the_reason_is_the_line_that_tells(text: str, told: str) -> None:
    assert reason(text) == told

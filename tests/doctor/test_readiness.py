"""doctor STACK: what an account that is not ready is told, by AWS's answers."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.eks import add_on
from doctor import readiness
from doctor.pins import Image, Unreachable
from twinplane import cli, command
from twinplane import stack as stack_module
from twinplane.check import Check
from twinplane.errors import UsageError
from twinplane.live import aws_call
from twinplane.live.unanswered import Unanswered, Unreached
from twinplane.stack import Stack

CALLER = "arn:aws:sts::123456789012:assumed-role/platform/me"
ROLE = "arn:aws:iam::123456789012:role/team/platform"
OWN = [{"Key": "Project", "Value": "twinplane"}, {"Key": "Stack", "Value": "mine"}]
QUOTAS = {"L-1216C47A": 5.0, "L-0263D0A3": 5.0, "L-F678F1CE": 5.0}
MANAGED = {"kind": "managed", "apiCidrs": ["10.0.0.0/8"]}
MANAGED |= {"appImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/twinplane-mine/sample-app:v1"}
SELF_MANAGED = {**MANAGED, "kind": "self-managed"}


def machine(**more: Any) -> dict[str, Any]:
    return {"InstanceType": "m5.large", "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2}, **more}


def offered(addonName: str, kubernetesVersion: str) -> dict[str, Any]:
    return {"addons": [{"addonVersions": [{"addonVersion": add_on.VERSIONS[kubernetesVersion][addonName]}]}]}


def zones(*names: str) -> dict[str, Any]:
    return {"AvailabilityZones": [{"ZoneName": each, "ZoneId": f"id-{each}"} for each in names]}


#: A ready account's answers, by operation: a value, an exception, or what makes one of the parameters.
READY: dict[str, Any] = {
    "get_caller_identity": {"Arn": CALLER},
    "describe_availability_zones": zones("us-east-1a", "us-east-1b", "us-east-1c"),
    "describe_instance_type_offerings": {
        "InstanceTypeOfferings": [{"Location": f"us-east-1{letter}"} for letter in "abc"]
    },
    "describe_instance_types": {"InstanceTypes": [{"VCpuInfo": {"DefaultVCpus": 2}}]},
    "describe_instances": {"Reservations": []},
    "describe_addresses": {"Addresses": [{"Tags": OWN}]},
    "describe_vpcs": {"Vpcs": [{"Tags": []}]},
    "get_service_quota": lambda ServiceCode, QuotaCode: {"Quota": {"Value": QUOTAS[QuotaCode]}},  # noqa: ARG005
    "describe_images": lambda **asked: (
        {"Images": [{"ImageId": "ami-1", "Name": "debian", "CreationDate": "2026"}]} if "Owners" in asked else {}
    ),
    "describe_cluster_versions": {
        "clusterVersions": [{"endOfStandardSupportDate": datetime(2099, 1, 1, tzinfo=UTC)}],
    },
    "describe_addon_versions": offered,
    "get_public_access_block": Unanswered("none", "NoSuchPublicAccessBlockConfiguration"),
    "get_role": {"Role": {"Arn": ROLE}},
    "simulate_principal_policy": lambda ActionNames, **_: {
        "EvaluationResults": [{"EvalActionName": each, "EvalDecision": "allowed"} for each in ActionNames]
    },
}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: twinplane\n")
    monkeypatch.setattr("twinplane.stack.PROJECT", tmp_path)
    monkeypatch.setattr(Image, "ask", lambda _: pytest.fail("every image of these tests is in ECR"))


def look(
    monkeypatch: pytest.MonkeyPatch, config: Mapping[str, Any], changed: Mapping[str, Any] | None = None
) -> dict[str, Check]:
    """What the doctor says, by name, of a stack "mine" where AWS answers as READY, but for `changed`."""
    answers = {**READY, **(changed or {})}

    def call(_: Any, __: Any, ___: str, operation: str, **parameters: Any) -> Any:
        answer = answers[operation]
        if isinstance(answer, Exception):
            raise answer
        return answer(**parameters) if callable(answer) else answer

    monkeypatch.setattr(aws_call, "call", call)
    stack = Stack("mine", {})
    keys = {f"twinplane:{key}": value for key, value in config.items()}
    stack.file.write_text(yaml.safe_dump({"config": {"aws:region": "us-east-1", **keys}}))
    return {each.name: each for each in readiness.checks(stack)}


@pytest.mark.parametrize("config", [MANAGED, SELF_MANAGED])
def test_a_ready_account(monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]) -> None:
    quotas = {"get_service_quota": {"Quota": {"Value": 32.0}}}
    found = look(monkeypatch, config, quotas)
    assert {each.state for each in found.values()} == {"ok"}, found
    needed = 4 if config is MANAGED else 6
    assert found["vCPU quota"].detail == f"{needed} vCPUs needed, 0 of 32 used by others"
    assert found["Elastic IP quota"].detail == "1 addresses of NAT gateways needed, 0 of 32 used by others"
    assert found["VPC quota"].detail == "1 VPC needed, 1 of 32 used by others"
    assert found["zones"].detail == "us-east-1a, us-east-1b in us-east-1"
    if config is MANAGED:
        assert found["EKS, Kubernetes 1.36"].detail == "standard support until 2099-01-01"
        assert "EKS add-on aws-ebs-csi-driver" in found
    else:
        assert found["AMI debian-13-amd64-*"].detail == "newest: ami-1, debian"


def test_a_new_account_has_5_vcpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, MANAGED)["vCPU quota"].state == "ok"
    found = look(monkeypatch, SELF_MANAGED)["vCPU quota"]
    assert (found.state, found.detail) == ("problem", "6 vCPUs needed, 0 of 5 used by others")
    assert "request-service-quota-increase --service-code ec2 --quota-code L-1216C47A --desired-value 6" in found.advice


def test_what_others_use_counts_and_what_is_ours_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    running = [machine(), machine(Tags=OWN), machine(InstanceType="g5.xlarge")]
    found = look(monkeypatch, MANAGED, {"describe_instances": {"Reservations": [{"Instances": running}]}})
    assert found["vCPU quota"].detail == "4 vCPUs needed, 2 of 5 used by others"
    assert found["vCPU quota"].state == "problem"


@pytest.mark.parametrize(
    ("config", "changed", "name", "words"),
    [
        (MANAGED, {"describe_availability_zones": zones("us-west-1a")}, "zones", "2 wanted, there are us-west-1a"),
        (
            MANAGED,
            {"describe_instance_type_offerings": {"InstanceTypeOfferings": [{"Location": "us-east-1a"}]}},
            "instance type",
            "t3.medium is not offered in us-east-1b",
        ),
        (MANAGED, {"describe_addresses": {"Addresses": [{}] * 5}}, "Elastic IP quota", "5 of 5 used by others"),
        (MANAGED, {"describe_vpcs": {"Vpcs": [{}] * 5}}, "VPC quota", "5 of 5 used by others"),
        (MANAGED, {"describe_cluster_versions": {"clusterVersions": []}}, "EKS, Kubernetes 1.36", "EKS has no 1.36"),
        (
            MANAGED,
            {"describe_cluster_versions": {
                "clusterVersions": [{"endOfStandardSupportDate": datetime(2026, 1, 1, tzinfo=UTC)}]}},
            "EKS, Kubernetes 1.36",
            "standard support ended on 2026-01-01",
        ),
        (
            MANAGED,
            {"describe_addon_versions": {"addons": [{"addonVersions": [{"addonVersion": "v9"}]}]}},
            "EKS add-on coredns",
            "v1.14.2-eksbuild.4 is not offered for Kubernetes 1.36",
        ),
        (SELF_MANAGED, {"describe_images": {"Images": []}}, "AMI debian-13-amd64-*", "has none of that name here"),
        (
            SELF_MANAGED,
            {"get_public_access_block": {"PublicAccessBlockConfiguration": {"BlockPublicPolicy": True}}},
            "public bucket policies",
            "S3 refuses all in this account",
        ),
        (
            MANAGED,
            {"describe_images": Unanswered("ImageNotFoundException: none", "ImageNotFoundException")},
            f"image {MANAGED['appImage']}",
            "ImageNotFoundException",
        ),
        (
            MANAGED,
            {"simulate_principal_policy": {
                "EvaluationResults": [{"EvalActionName": "eks:CreateCluster", "EvalDecision": "implicitDeny"}]}},
            "permissions",
            f"{CALLER} may not eks:CreateCluster",
        ),
    ],
)  # fmt: skip
def test_a_problem_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], changed: dict[str, Any], name: str, words: str
) -> None:
    found = look(monkeypatch, config, changed)[name]
    assert found.state == "problem"
    assert words in found.detail
    assert found.advice


def test_what_aws_does_not_answer_is_unknown_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = Unanswered("AccessDenied: not yours", "AccessDenied")
    changed = {name: denied for name in READY if name != "get_caller_identity"}
    found = look(monkeypatch, SELF_MANAGED, changed)
    assert {each.state for name, each in found.items() if name not in ("config", "credentials")} == {"unknown"}
    assert found["zones"].detail == "the endpoint does not answer this (AccessDenied: not yours)"
    assert found["permissions"].detail == f"IAM does not say what {CALLER} may do (AccessDenied: not yours)"
    gone = look(monkeypatch, MANAGED, {"describe_vpcs": Unreached("timed out")})
    assert gone["VPC quota"].detail == "nobody answers (timed out)"


def test_the_stack_s_own_repository_comes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Unanswered("RepositoryNotFoundException: none", "RepositoryNotFoundException")
    found = look(monkeypatch, MANAGED, {"describe_images": absent})[f"image {MANAGED['appImage']}"]
    assert (found.state, found.advice) == ("unknown", "push it while `pulumi up` runs")
    other = {**MANAGED, "appImage": str(MANAGED["appImage"]).replace("twinplane-mine", "other")}
    assert look(monkeypatch, other, {"describe_images": absent})[f"image {other['appImage']}"].state == "problem"


def test_another_registry_is_asked_by_its_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(image: Image) -> Any:
        asked.append(image.where)
        if image.registry.startswith("https:"):
            raise Unreachable(f"{image.where}: [SSL] record layer failure")
        return type("Answer", (), {"there": True})

    monkeypatch.setattr(Image, "ask", ask)
    config = {**MANAGED, "appImage": "10.0.0.1:5000/sample-app:v1", "deschedulerImage": "me/descheduler:v1"}
    found = look(monkeypatch, config)
    assert found["image 10.0.0.1:5000/sample-app:v1"].state == "ok"
    assert {f"{way}://10.0.0.1:5000/v2/sample-app/manifests/v1" for way in ("https", "http")} <= set(asked)
    assert "https://registry-1.docker.io/v2/me/descheduler/manifests/v1" in asked


def test_wrong_config_and_wrong_credentials_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(monkeypatch, {"kind": "managed", "apiCidrs": ["192.0.2.0/24"], "appImage": "sample-app:v1.0.0"})
    assert found["config"].state == "problem"
    assert found["account"].state == "unknown"
    expired = Unanswered("ExpiredToken: The security token included in the request is expired.", "ExpiredToken")
    found = look(monkeypatch, MANAGED, {"get_caller_identity": expired})
    assert list(found) == ["config", "credentials"]
    assert found["credentials"].state == "problem"
    assert (
        "ExpiredToken: The security token included in the request is expired; `aws sts" in found["credentials"].detail
    )


def test_a_session_is_simulated_as_its_role_with_the_project_s_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def simulate(**parameters: Any) -> dict[str, Any]:
        asked.append(parameters)
        return {"EvaluationResults": []}

    look(monkeypatch, SELF_MANAGED, {"simulate_principal_policy": simulate})
    assert {each["PolicySourceArn"] for each in asked} == {ROLE}
    actions = {(each["ResourceArns"][0], name) for each in asked for name in each["ActionNames"]}
    assert ("arn:aws:iam::123456789012:role/twinplane-mine-a", "iam:PassRole") in actions
    tunnels = "arn:aws:ec2:us-east-1:123456789012:instance-connect-endpoint/a"
    assert (tunnels, "ec2-instance-connect:OpenTunnel") in actions
    assert {each["ContextEntries"][0]["ContextKeyValues"][0] for each in asked} == {"twinplane"}


@pytest.mark.parametrize("verb", [("compare", "mine", "mine"), ("patch", "mine"), ("destroy", "mine", "--yes")])
def test_every_verb_begins_with_credentials(monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]) -> None:
    from typer.testing import CliRunner

    expired = Unanswered("ExpiredToken: The security token included in the request is expired.", "ExpiredToken")
    look(monkeypatch, MANAGED)
    monkeypatch.setattr(command, "PROJECT", stack_module.PROJECT)
    monkeypatch.setattr(Stack, "exists", lambda _: True)

    def call(*_: Any, **__: Any) -> Any:
        raise expired

    monkeypatch.setattr(aws_call, "call", call)
    error = CliRunner().invoke(cli.app, verb).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith("AWS takes no credentials from here: ExpiredToken: ")


def test_doctor_of_a_stack_exits_1_for_a_problem_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console
    from typer.testing import CliRunner

    monkeypatch.setattr("doctor.command.out", Console(soft_wrap=True, highlight=False))
    monkeypatch.setattr(command, "PROJECT", stack_module.PROJECT)
    look(monkeypatch, MANAGED)
    done = CliRunner().invoke(cli.app, ["doctor", "mine"])
    assert (done.exit_code, "ok: zones: us-east-1a, us-east-1b in us-east-1" in done.stdout) == (0, True)
    look(monkeypatch, SELF_MANAGED)
    done = CliRunner().invoke(cli.app, ["doctor", "mine", "--json"])
    assert done.exit_code == 1
    assert {each["state"] for each in json.loads(done.stdout)} == {"ok", "problem"}
    assert isinstance(CliRunner().invoke(cli.app, ["doctor", "mine", "--pins"]).exception, UsageError)

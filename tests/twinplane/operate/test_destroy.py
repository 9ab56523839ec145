"""Destroy forgets what is in a cluster only where AWS says that the cluster is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes.client import ApiClient

from tests.support.compare_cases import GOLDEN
from twinplane.errors import UsageError
from twinplane.live import aws_call
from twinplane.live.unanswered import Unanswered
from twinplane.operate import destroy as module
from twinplane.operate import leftovers, orphans, protection, strays
from twinplane.outputs import StackOutputs
from twinplane.questions import Access
from twinplane.stack import Stack

NOT_FOUND = Unanswered("ResourceNotFoundException: No cluster found for name: tp-eks.")
NO_ANSWER = Unanswered("Could not connect to the endpoint URL")
#: PATH of the stack, not of this process: there is no AWS CLI in it.
NOWHERE = "/nowhere"


def reservation(*ids: str) -> dict[str, Any]:
    each = {
        "InstanceType": "t3.medium",
        "ImageId": "ami-1",
        "LaunchTime": "2026-11-24T00:00:00+00:00",
        "State": {"Name": "running"},
    }
    return {"Reservations": [{"Instances": [{"InstanceId": one, **each} for one in ids]}]}


@pytest.fixture
def outputs() -> dict[str, StackOutputs]:
    def read(kind: str) -> StackOutputs:
        return StackOutputs.from_exports(json.loads((GOLDEN / "compare" / f"{kind}.json").read_text())["outputs"])

    return {kind: read(kind) for kind in ("managed", "self-managed")}


def forgets(
    monkeypatch: pytest.MonkeyPatch, found: StackOutputs | Exception, answer: Any, account: str = "123456789012"
) -> bool:
    """Returns whether the destroy of a stack with these outputs may forget, when AWS answers `answer`. Where it may,
    what
    the cluster left was deleted before."""
    seen: list[Stack] = []
    left: list[str] = []
    ended: list[str] = []
    checked: list[tuple[str, ...]] = []

    def say_to(_: Access, question: Any) -> Any:
        return {"Account": account} if question.service == "sts" else say(answer)

    def say(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(Stack, "outputs", lambda _: say(found))
    monkeypatch.setattr(protection, "lift", lambda *_: None)
    monkeypatch.setattr(orphans, "delete", lambda of, _: left.append(of.cluster_name))
    monkeypatch.setattr(strays, "end", lambda _stack, of, _: ended.append(of.cluster_name))
    monkeypatch.setattr(leftovers, "end_logs", lambda *_: None)
    monkeypatch.setattr(leftovers, "check", lambda *of: checked.append(of[:3]))
    monkeypatch.setattr(Stack, "destroy", lambda stack, _: seen.append(stack))
    monkeypatch.setattr(Access, "answer", say_to)
    module.destroy(Stack("some", {"PATH": NOWHERE}), lambda _: None)
    (stack,) = seen
    assert stack.name == "some"
    cluster = found.cluster_name if isinstance(found, StackOutputs) else "twinplane-some"
    assert ended == [cluster]
    assert checked == [("twinplane", "some", cluster)]
    assert stack.environment["PATH"] == NOWHERE
    assert bool(left) == (stack.environment.get("PULUMI_K8S_DELETE_UNREACHABLE") == "true")
    return bool(left)


def test_managed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]) -> None:
    alive = {"cluster": {"name": "tp-eks", "status": "ACTIVE", "version": "1.36"}}
    assert forgets(monkeypatch, outputs["managed"], NOT_FOUND)
    assert not forgets(monkeypatch, outputs["managed"], alive)
    assert not forgets(monkeypatch, outputs["managed"], NO_ANSWER)


def of_kind(spec: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    namespace, name = name.split("/")
    return {"metadata": {"namespace": namespace, "name": name, **more.pop("metadata", {})}, "spec": spec, **more}


OURS = of_kind(
    {"type": "LoadBalancer"},
    "twinplane/app",
    status={"loadBalancer": {"ingress": [{"hostname": "App-1.elb.us-east-1.amazonaws.com"}]}},
)
#: Of a controller that keeps nothing in AWS.
NGINX = of_kind({}, "b/site", status={"loadBalancer": {"ingress": [{"hostname": "app-1.elb.example"}]}})
PLAIN = of_kind({"type": "ClusterIP"}, "b/inside", metadata={"finalizers": ["x"]})
#: No controller has taken it up.
PENDING = of_kind({"type": "LoadBalancer"}, "b/waits")
THEIRS = {
    "/api/v1/services": of_kind({"type": "LoadBalancer"}, "a/shop", metadata={"finalizers": ["service/x"]}),
    "/apis/networking.k8s.io/v1/ingresses": of_kind({}, "a/web", metadata={"finalizers": ["ingress.k8s.aws/x"]}),
    "/apis/gateway.networking.k8s.io/v1/gateways": of_kind({}, "a/door", metadata={"finalizers": ["gateway/x"]}),
}


@pytest.mark.parametrize("theirs", [[], *([path] for path in THEIRS), [*THEIRS]])
def test_balancers_of_others_are_named_and_nothing_is_deleted(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs], theirs: list[str]
) -> None:
    def get(_: Any, path: str) -> bytes:
        if "gateways" in path and path not in theirs:
            raise Unanswered("404 Not Found")
        items = {"/api/v1/services": [OURS, PLAIN, PENDING], "/apis/networking.k8s.io/v1/ingresses": [NGINX]}.get(
            path, []
        )
        return json.dumps({"items": [*items, *([THEIRS[path]] if path in theirs else [])]}).encode()

    deleted: list[Any] = []
    monkeypatch.setattr(module, "kubernetes_client", lambda *_: None)
    monkeypatch.setattr("twinplane.operate.balanced.get", get)
    monkeypatch.setattr(orphans, "delete", lambda _outputs, _access, alive: deleted.append(alive))
    access = Access(outputs["managed"], ApiClient(), {}, lambda _: None)
    if not theirs:
        module.balancers(outputs["managed"], access)
        assert deleted == [{"app-1.elb.us-east-1.amazonaws.com"}], "of an earlier cluster, all but what lives"
        return
    with pytest.raises(UsageError) as refused:
        module.balancers(outputs["managed"], access)
    names = {"services": "Service a/shop", "ingresses": "Ingress a/web", "gateways": "Gateway a/door"}
    expected = ", ".join(names[path.rsplit("/", 1)[-1]] for path in theirs)
    assert str(refused.value) == (
        f"destroy: {expected}: of others, with a load balancer that would stay behind: delete them first"
    )
    assert deleted == []


def test_self_managed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]) -> None:
    machines = outputs["self-managed"].machines
    workers = [each.instance_id for each in machines if each.role == "worker"]
    assert workers
    assert forgets(monkeypatch, outputs["self-managed"], reservation())
    assert forgets(monkeypatch, outputs["self-managed"], reservation("i-other", *workers))
    assert not forgets(monkeypatch, outputs["self-managed"], reservation(*(each.instance_id for each in machines)))
    assert not forgets(monkeypatch, outputs["self-managed"], NO_ANSWER)


def test_without_an_aws_cli_everything_is_left_whole(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    found = outputs["self-managed"]
    tunnelled = replace(found, machines=tuple(replace(each, ssh_tunnel="eu-west-1") for each in found.machines))
    for answer in (NO_ANSWER, reservation()):
        with pytest.raises(UsageError, match="install version 2"):
            forgets(monkeypatch, tunnelled, answer)


@pytest.mark.parametrize("kind", ["managed", "self-managed"])
def test_in_another_account_nothing_is_gone(
    kind: str, monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    with pytest.raises(UsageError, match="is in account 123456789012, and the AWS credentials are of 210987654321"):
        forgets(monkeypatch, outputs[kind], NOT_FOUND, account="210987654321")


def test_a_stack_that_never_came_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not forgets(monkeypatch, UsageError("has no outputs"), NO_ANSWER)


@pytest.mark.parametrize(("holder", "refused"), [("patch by ada@elsewhere (process 7)", True), (None, False)])
def test_a_stack_whose_machines_are_locked_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs], holder: str | None, refused: bool
) -> None:
    now = datetime.now(UTC).isoformat()
    lease = {"spec": {"holderIdentity": holder, "renewTime": now, "acquireTime": now}}
    monkeypatch.setattr(module, "kubernetes_client", lambda *_: None)
    monkeypatch.setattr(module, "get", lambda *_: json.dumps(lease).encode())
    monkeypatch.setattr(module, "balancers", lambda *_: None)
    machines = [machine.instance_id for machine in outputs["self-managed"].machines]
    if refused:
        with pytest.raises(UsageError, match=r"destroy: the machines are locked: patch by ada@elsewhere \(process 7\)"):
            forgets(monkeypatch, outputs["self-managed"], reservation(*machines))
    else:
        assert not forgets(monkeypatch, outputs["self-managed"], reservation(*machines))


class Known(Stack):
    def known(self) -> set[str]:
        return {"c:ng-1", "ng-1", "i-1", "nat-1"}

    def resources(self) -> list[dict[str, Any]]:
        return [{"type": "aws:ec2/vpc:Vpc", "id": "vpc-1"}]


class Cloud:
    """EKS and EC2 with node groups by their tags, machines, NAT gateways and load balancers, all in one VPC."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, groups: dict[str, dict[str, str]], *things: str) -> None:
        self.groups, self.things = groups, list(things)
        self.done: list[str] = []
        monkeypatch.setattr(
            aws_call, "call", lambda _environment, _region, *asked, **given: self.answer(*asked, **given)
        )

    def answer(self, service: str, operation: str, **given: Any) -> Any:
        if service == "ec2" and operation.startswith("describe_"):
            assert [*given.values()] == [[{"Name": "vpc-id", "Values": ["vpc-1"]}]]
        match operation:
            case "list_nodegroups":
                return {"nodegroups": list(self.groups)}
            case "describe_nodegroup":
                return {"nodegroup": {"status": "ACTIVE", "tags": self.groups[given["nodegroupName"]]}}
            case "delete_nodegroup":
                self.done.append(given["nodegroupName"])
                del self.groups[given["nodegroupName"]]
            case "describe_instances":
                return {"Reservations": [{"Instances": self._listed("i-", "InstanceId")}]}
            case "describe_nat_gateways":
                return {"NatGateways": self._listed("nat-", "NatGatewayId")}
            case "terminate_instances" | "delete_nat_gateway":
                (names,) = given.values()
                (name,) = [names] if isinstance(names, str) else names
                self.done.append(name)
                self.things.remove(name)
        return {"LoadBalancers": [], "VpcEndpoints": [], "InstanceConnectEndpoints": []}

    def _listed(self, begins: str, key: str) -> list[dict[str, Any]]:
        tags = [{"Key": name, "Value": value} for name, value in OWN.items()]
        return [{key: name, "State": "available", "Tags": tags} for name in self.things if name.startswith(begins)]


OWN = {"Project": "twinplane", "Stack": "some", "Name": "x"}


def test_strays_end_before_the_stack(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]) -> None:
    for kind, ends in (("managed", ["nat-2", "ng-2"]), ("self-managed", ["i-2", "nat-2"])):
        cloud = Cloud(monkeypatch, {"ng-1": OWN, "ng-2": OWN}, "i-1", "i-2", "nat-1", "nat-2")
        strays.end(Known("some", {}), outputs[kind], lambda _: None)
        assert cloud.done == ends
        monkeypatch.setattr(Known, "resources", lambda _: [])
        cloud.things.append("nat-3")
        strays.end(Known("some", {}), outputs[kind], lambda _: None)
        assert cloud.done == ends, "a stack without a network has nothing that could stand in one"
        monkeypatch.undo()


def test_a_node_group_of_others_is_named_before_anything_ends(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    cloud = Cloud(monkeypatch, {"ng-1": OWN, "ng-2": OWN, "by-hand": {}}, "nat-2")
    with pytest.raises(UsageError, match="destroy: node group by-hand of others is in cluster tp-eks, which EKS keeps"):
        strays.end(Known("some", {}), outputs["managed"], lambda _: None)
    assert cloud.done == []


def test_a_stack_without_outputs_is_known_by_its_config() -> None:
    known = module.unfinished(Stack("self-managed-lab", {}))
    assert (known.kind, known.cluster_name, known.region) == (
        "self-managed",
        "twinplane-self-managed-lab",
        "us-east-1",
    )
    assert module.unfinished(Stack("none", {"AWS_REGION": "eu-west-1"})).region == "eu-west-1"

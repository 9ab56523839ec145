"""Descheduler: what each argument does, its rights, its policy."""

from typing import Any

from components.addons.descheduler import IMAGE, RULES, Descheduler, DeschedulerArgs
from components.addons.descheduler_policy import policy
from lab.toolchain.tool import DESCHEDULER
from tests.support import golden_files
from tests.support.pulumi_mocks import SECRET, Graph, run

ARGS: dict[str, Any] = {"kubeconfig": f"{SECRET} kubeconfig"}


def descheduler(**changes: Any) -> Graph:
    return run(lambda: Descheduler("d", DeschedulerArgs(**{**ARGS, **changes})))


def container(graph: Graph) -> dict[str, Any]:
    [only] = graph.one("Deployment").inputs["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_image() -> None:
    assert container(descheduler())["image"] == IMAGE
    assert container(descheduler(image="mirror/descheduler:v1"))["image"] == "mirror/descheduler:v1"
    assert f":v{DESCHEDULER}" in IMAGE, "the lab builds the release that AWS runs"


def test_the_look_at_the_nodes_begins_when_the_descheduler_runs() -> None:
    graph = descheduler(kubeconfig=f"{SECRET} other")
    look = graph.one("Command")
    assert look.inputs["stdin"] == f"{SECRET} other"
    assert look.inputs["interpreter"] == ["sh", "twinplane/run", "spread"]
    assert graph.one("Deployment").urn in look.dependencies


def test_another_machine_is_looked_at_again_and_nothing_is_replaced() -> None:
    look = descheduler(machines=["i-1", "i-2"]).one("Command").inputs
    assert look["triggers"] == ["i-1", "i-2"]
    assert look["update"] == look["create"], "with update, the provider replaces nothing for a trigger"


def test_evicts_and_never_deletes() -> None:
    graph = descheduler()
    rules = graph.one("ClusterRole").inputs["rules"]
    assert {(rule["apiGroups"][0], rule["resources"][0]): " ".join(rule["verbs"]) for rule in rules} == RULES
    verbs = {verb for rule in rules for verb in rule["verbs"]}
    assert verbs <= {"get", "list", "watch", "create", "update", "patch"}
    assert not any("secrets" in rule["resources"] for rule in rules)
    assert graph.one("ClusterRoleBinding").urn in graph.one("Deployment").dependencies, "it starts with its rights"


def test_its_pod_may_nothing_on_the_node() -> None:
    spec = descheduler().one("Deployment").inputs["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    may = container(descheduler())["securityContext"]
    assert (may["allowPrivilegeEscalation"], may["capabilities"]) == (False, {"drop": ["ALL"]})
    assert not spec.get("hostNetwork")


def test_the_policy() -> None:
    golden_files.check("descheduler_policy.json", policy())
    assert descheduler().one("ConfigMap").inputs["data"] == {"policy.yaml": policy()}


def test_another_policy_starts_another_pod(monkeypatch: Any) -> None:
    def annotations() -> Any:
        return descheduler().one("Deployment").inputs["spec"]["template"]["metadata"]["annotations"]

    before = annotations()
    monkeypatch.setattr("components.addons.descheduler.policy", lambda: "{}")
    assert annotations() != before

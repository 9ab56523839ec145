"""A cluster's answers from a golden file, with changes, in place of a live one."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests import GOLDEN
from twinplane.compare.differences import Cluster
from twinplane.compare.observe import Observed, observe
from twinplane.compare.probes import probe
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import StackOutputs
from twinplane.questions import Question

#: When the golden answers were given.
TIME = datetime(2026, 11, 24, 22, 0, 0, tzinfo=UTC)

PODS = "GET /api/v1/namespaces/kube-system/pods"
LEASES = "GET /apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
STATUSES = "GET /api/v1/componentstatuses"
HEALTH = "GET /readyz?verbose"
NODES = "GET /api/v1/nodes"
FACTS = "ansible-playbook facts.yml"
RECOMMENDED = (
    'ssm get_parameter {"Name": "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard'
    '/recommended/release_version"}'
)


class Answers:
    """Answers as twinplane.questions.Access does; a question without an answer fails the test."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def answer(self, question: Question) -> Any:
        answer = self.answers[str(question)]
        if isinstance(answer, dict) and answer.keys() == {"error"}:
            raise Unanswered(answer["error"])
        return answer


def observed(kind: str, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Observed:
    """Returns what compare observes of the golden cluster after `change` to its answers."""
    case = json.loads((GOLDEN / "compare" / f"{kind}.json").read_text())
    answers = copy.deepcopy(case["answers"])
    change(answers)
    outputs = StackOutputs.from_exports(case["outputs"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "now", lambda: TIME)
        return observe(f"{kind}-lab", outputs, Answers(answers))  # type: ignore[arg-type]


def cluster(kind: str, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Cluster:
    """Returns the conclusions that compare draws of it."""
    return Cluster.from_observed(observed(kind, change))


def without_scheduler(answers: dict[str, Any]) -> None:
    """Its manifest moved away: the pod and the process go, the lease is given up."""
    answers[PODS]["items"] = [each for each in answers[PODS]["items"] if "scheduler" not in each["metadata"]["name"]]
    facts = answers[FACTS]["facts"]["cp-1"]
    facts["processes"] = [each for each in facts["processes"] if each["name"] != "kube-scheduler"]
    del facts["static_pods"]["kube-scheduler"]
    lease = next(each for each in answers[LEASES]["items"] if each["metadata"]["name"] == "kube-scheduler")
    lease["spec"]["holderIdentity"] = ""

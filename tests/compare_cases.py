"""A cluster's answers from a golden file, with changes, in place of a live one."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from twinplane.compare.differences import Cluster
from twinplane.compare.observe import Observed, observe
from twinplane.compare.probes import probe
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import StackOutputs
from twinplane.questions import Question

GOLDEN = Path(__file__).parent / "golden"
#: When the golden answers were given.
TIME = datetime(2026, 11, 24, 22, 0, 0, tzinfo=UTC)

PODS = "GET /api/v1/namespaces/kube-system/pods"
LEASES = "GET /apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
STATUSES = "GET /api/v1/componentstatuses"
HEALTH = "GET /readyz?verbose"
NODES = "GET /api/v1/nodes"
FACTS = "ansible-playbook facts.yml"


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
    """-> what compare observes of the golden cluster after `change` to its answers."""
    case = json.loads((GOLDEN / "compare" / f"{kind}.json").read_text())
    answers = copy.deepcopy(case["answers"])
    change(answers)
    outputs = StackOutputs.from_exports(case["outputs"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "now", lambda: TIME)
        return observe(f"{kind}-lab", outputs, Answers(answers))  # type: ignore[arg-type]


def cluster(kind: str, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Cluster:
    """-> the conclusions that compare draws of it."""
    return Cluster.from_observed(observed(kind, change))

"""Every probe: its question, and what it makes of an answer, by the cases in tests/golden/probes."""

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import GOLDEN
from twinplane.compare import probes

CASES = sorted((GOLDEN / "probes").glob("*.json"))


def plain(fact: Any) -> Any:
    """-> the fact as JSON data, times as text."""
    if isinstance(fact, dict):
        return {key: plain(value) for key, value in fact.items()}
    if isinstance(fact, list | tuple):
        return [plain(each) for each in fact]
    return json.loads(json.dumps(asdict(fact) if is_dataclass(fact) else fact, default=str))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_probe_asks_and_understands(path: Path) -> None:
    case = json.loads(path.read_text())
    name = path.name.split(".")[0]
    arguments = [tuple(each) if isinstance(each, list) else each for each in case["arguments"]]
    probe = getattr(probes, name)(*arguments)
    assert probe.name == name
    assert str(probe.question) == case["question"]
    assert plain(probe.process(case["answer"])) == case["fact"]


def test_every_probe_has_a_case() -> None:
    functions = {name for name in probes.__all__ if name.islower()}
    assert functions == {path.name.split(".")[0] for path in CASES}

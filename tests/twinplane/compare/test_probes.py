"""Every probe: its question, and what it makes of an answer, by the cases in tests/golden/probes."""

import json
from dataclasses import asdict, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from tests import GOLDEN
from twinplane.compare import probes

CASES = sorted((GOLDEN / "probes").glob("*.json"))


def plain(fact: Any) -> Any:
    """Returns the fact as JSON data, times as text."""
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
    probe = import_module(f"{probes.__name__}.{name}").probe(*arguments)
    assert probe.name == name
    assert str(probe.question) == case["question"]
    assert plain(probe.process(case["answer"])) == case["fact"]


def test_every_probe_has_a_case() -> None:
    modules = {module.name for module in iter_modules(probes.__path__) if module.name not in ("certificate", "probe")}
    assert modules == {path.name.split(".")[0] for path in CASES}

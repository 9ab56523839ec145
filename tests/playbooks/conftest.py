"""Fixtures that run one of the playbooks' own modules in this process."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from tests.support.playbook_modules import Run, load


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Returns a module of the library, loaded as Ansible would."""
    for each in ("debian", "kubectl"):
        name = f"ansible.module_utils.{each}"
        monkeypatch.setitem(sys.modules, name, load(f"module_utils/{each}.py", name))
    return lambda name: load(f"library/{name}.py", f"library_{name}")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a module with arguments. Returns what it answers."""

    def call(loaded: ModuleType, check: bool = False, **arguments: Any) -> dict[str, Any]:
        capsys.readouterr()
        with patch_module_args({**arguments, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            loaded.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call

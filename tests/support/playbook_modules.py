"""The playbooks' own modules, loaded into this process."""

import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tests import ROOT

PLAYBOOKS = ROOT / "playbooks"
Run = Callable[..., dict[str, Any]]


def load(path: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PLAYBOOKS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

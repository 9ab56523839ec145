"""How a guard reads a resource's inputs: the synonyms that the providers take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Inputs = Mapping[str, Any]


def yes(value: Any) -> bool:
    """Returns True for each spelling of true: some inputs of EC2 are text."""
    return value is True or str(value).lower() in ("true", "1")


def listed(value: Any) -> list[Any]:
    """Returns a list of what may be a list, one item, or nothing."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def statements(policy: Any) -> list[dict[str, Any]]:
    """Returns the statements of a policy, which is text or an object."""
    document = json.loads(policy) if isinstance(policy, str) else policy or {}
    return listed(document.get("Statement"))


def anyone(statement: Mapping[str, Any]) -> bool:
    """Returns True where a statement is about all the world, or about all of it but some."""
    principal = statement.get("Principal", {})
    named = principal.get("AWS", []) if isinstance(principal, Mapping) else principal
    return "NotPrincipal" in statement or "*" in listed(named)

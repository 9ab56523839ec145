"""When two values mean the same to AWS, whatever order or layout they are in."""

import json
from collections.abc import Mapping
from typing import Any

from lab.plugins.values import UNKNOWN


def same(one: Any, other: Any) -> bool:
    """Whether AWS makes no difference between the two: lists are sets, policies are JSON, nothing is empty."""
    if one is UNKNOWN or other is UNKNOWN:
        return False
    return bool(_canonical(one) == _canonical(other))


def project(live: Any, like: Any) -> Any:
    """`live` with only the parts that `like` has: AWS answers with more than it was given."""
    if isinstance(live, Mapping) and isinstance(like, Mapping):
        return {name: project(live[name], like[name]) for name in like if name in live}
    if isinstance(live, list) and isinstance(like, list) and len(live) == len(like):
        return [project(item, part) for item, part in zip(live, like, strict=True)]
    return live


def settle(live: Any, before: Any) -> Any:
    """`before` when `live` means the same: so that a refresh shows no change of order or layout."""
    if same(project(live, before), before):
        if isinstance(live, Mapping) and isinstance(before, Mapping):
            return {name: settle(item, before.get(name)) for name, item in live.items()}
        return before if before is not None else live
    return live


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        parts = {name: _canonical(item) for name, item in value.items()}
        return {name: item for name, item in parts.items() if item is not None} or None
    if isinstance(value, list):
        items = [_canonical(item) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True, default=str)) or None
    if isinstance(value, str) and value[:1] in "{[" and value:
        try:
            return ("json", json.dumps(json.loads(value), sort_keys=True))
        except ValueError:
            return value
    return None if value == "" else value

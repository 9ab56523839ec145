"""The `pulumi.com/waitFor` annotation: conditions of the author's own instead of the kind's rule.

`condition=Ready`, `condition=Ready=False`, `jsonpath={.status.phase}=Running`, `jsonpath={.status.address}`, or a JSON
list of these, all of which must hold.
"""

import json
import re
from typing import Any

from lab.plugins.kubernetes.readiness import READY, Object, Rule, Verdict, condition, missing

_STEP = re.compile(r"""\.([\w-]+)|\['([^']+)'\]|\[(\d+)\]""")


def rule(annotation: str) -> Rule:
    """The rule that the annotation describes. Raises ValueError."""
    texts = json.loads(annotation) if annotation.lstrip().startswith("[") else [annotation]
    return _all([_one(str(text).strip()) for text in texts])


def _all(rules: list[Rule]) -> Rule:
    def verdict(obj: Object, related: list[Object]) -> Verdict:
        return next((found for each in rules if not (found := each(obj, related)).ready), READY)

    return verdict


def _one(text: str) -> Rule:
    if text.startswith("condition="):
        name, _, wanted = text.removeprefix("condition=").partition("=")
        return _condition(name, wanted or "True")
    if found := re.fullmatch(r"jsonpath=\{(.+?)\}(?:=(.*))?", text):
        return _path(found[1], found[2])
    raise ValueError(f"{text!r} is neither condition=TYPE[=STATUS] nor jsonpath={{PATH}}[=VALUE]")


def _condition(name: str, wanted: str) -> Rule:
    def verdict(obj: Object, _related: list[Object]) -> Verdict:
        found = condition(obj, name).get("status", "absent")
        return READY if found.lower() == wanted.lower() else missing(f"condition {name} is {found}, not {wanted}")

    return verdict


def _path(path: str, wanted: str | None) -> Rule:
    steps = [name or quoted or int(index) for name, quoted, index in _STEP.findall(path)]
    if not steps or _STEP.sub("", path):
        raise ValueError(f"{path!r} is no plain JSON path")

    def verdict(obj: Object, _related: list[Object]) -> Verdict:
        found: Any = obj
        for step in steps:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return missing(f"{path} is absent")
        text = found if isinstance(found, str) else json.dumps(found)
        return READY if wanted is None or text == wanted else missing(f"{path} is {text}, not {wanted}")

    return verdict

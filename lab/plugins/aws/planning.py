"""What a resource will be: its automatic name, what changes, and the outputs that a preview can tell."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.plugins.aws.compare import project, same
from lab.plugins.aws.types import Type
from lab.plugins.provider import Change, Resource
from lab.plugins.values import UNKNOWN, Values


@dataclass(frozen=True)
class Defaults:
    """What the provider's configuration adds to every resource."""

    region: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def expected(kind: Type, inputs: Values, unknown: set[str], defaults: Defaults) -> Values:
    """The outputs that `inputs` lead to, with UNKNOWN for those of `unknown`."""
    values = {name: value for name, value in inputs.items() if name != "__defaults"}
    outputs: dict[str, Any] = dict.fromkeys(unknown, UNKNOWN) | values
    for name in unknown & kind.inputs.blocks.keys() & values.keys():
        if isinstance(values[name], Mapping):  # AWS adds to what was given
            outputs[name] = dict.fromkeys(kind.inputs.blocks[name].names, UNKNOWN) | values[name]
    if kind.tagging:
        tags = values.get("tags", {})
        outputs["tagsAll"] = UNKNOWN if tags is UNKNOWN else {**defaults.tags, **tags}
    if kind.service != "iam":
        outputs.setdefault("region", defaults.region)
    return outputs


def changed(kind: Type, change: Change, defaults: Defaults) -> list[str]:
    """The inputs that `change` makes other than they were, or than AWS has them where they were not given. Of a block
    that changes in its tags alone, "<block>.tags"."""
    found = []
    for name in sorted(kind.inputs.names | {"region"}):
        before, after = change.old_inputs.get(name), change.inputs.get(name)
        if after is None and (before is None or name in kind.outputs.split()):
            continue  # what AWS chooses when it is not given stays as it is
        if before is None and name in change.state:
            before = project(change.state[name], after)
        if name == "region" and after is None:
            after = defaults.region
        if not same(before, after):
            found.append(f"{name}.tags" if name in kind.inputs.blocks and _in_tags(before, after) else name)
    if kind.tagging and "tags" not in found and "tagsAll" in change.state:
        wanted = {**defaults.tags, **change.inputs.get("tags", {})}
        found += [] if same(wanted, change.state["tagsAll"]) else ["tagsAll"]
    return found


def _in_tags(before: Any, after: Any) -> bool:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return False
    return same({**before, "tags": None}, {**after, "tags": None})


def automatic_name(resource: Resource, kind: Type, old: Values, new: Values, seed: bytes) -> str:
    """The resource's name, or its `namePrefix`, and 7 digits; once given, kept."""
    prefix_input = kind.inputs.auto + "Prefix"
    prefix = new.get(prefix_input)
    if kind.inputs.auto in old.get("__defaults", []) and old.get(prefix_input) == prefix:
        return str(old[kind.inputs.auto])
    digits = hashlib.sha256(seed + resource.urn.encode()).hexdigest()[:7]
    name = f"{(prefix or resource.name + '-')[: kind.inputs.auto_length - 7]}{digits}"
    return name.lower() if kind.inputs.auto_lower else name

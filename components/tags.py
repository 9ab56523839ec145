"""The one place that tags come from."""

from collections.abc import Mapping

import pulumi


def common() -> dict[str, str]:
    """What every taggable resource carries: by these, a scan finds what a stack left behind."""
    return {"Project": pulumi.get_project(), "Stack": pulumi.get_stack(), "ManagedBy": "pulumi"}


def named(name: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The common tags, the Name that consoles show, and `more`."""
    return {**common(), "Name": name, **(more or {})}

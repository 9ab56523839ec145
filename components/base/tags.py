"""The one place that tags come from."""

from collections.abc import Mapping

import pulumi


def common() -> dict[str, str]:
    """What every taggable resource carries: by these, a scan finds what a stack left behind.

    The stack's own, `aws:defaultTags`, are among them: the provider puts them on what it makes itself, but not on what
    machines bring and what controllers make of Services, Ingresses and claims.
    """
    return {**chosen(), "Project": pulumi.get_project(), "Stack": pulumi.get_stack(), "ManagedBy": "pulumi"}


def named(name: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The common tags, the Name that consoles show, and `more`."""
    return {**common(), "Name": name, **(more or {})}


def chosen() -> dict[str, str]:
    """What the stack's config says in `aws:defaultTags`."""
    return dict((pulumi.Config("aws").get_object("defaultTags") or {}).get("tags") or {})

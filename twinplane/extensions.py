"""What other distributions add to the command, found by their entry points.

- `twinplane.verbs`: takes the command's Typer application and adds verbs to it.
- `twinplane.checks`: yields the checks of this machine for `twinplane doctor`.
- `twinplane.environments`: takes the AWS endpoint of a stack. Returns the environment of those who call it, or None
  where the endpoint is another's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any


def extensions(group: str) -> list[Callable[..., Any]]:
    """Returns what the group has, in the order of the names."""
    return [entry.load() for entry in sorted(entry_points(group=group), key=lambda entry: entry.name)]

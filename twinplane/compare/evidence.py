"""What a cell of the comparison says, and why: nothing in it is assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, TypeVar

Subject = TypeVar("Subject")

#: What a reader should see at a glance: works, will soon not, does not work, could not be found out, or none of these.
State = Literal["plain", "good", "warning", "bad", "unknown"]


@dataclass(frozen=True)
class Evidence:
    """One question put to a live system, and the part of its answer that a cell rests on."""

    probe: str
    question: str
    #: A JSON value; {"error": text} where the question got no answer.
    answer: Any
    #: When it answered: UTC, ISO 8601, seconds.
    time: str


@dataclass(frozen=True)
class Cell:
    """One value of the comparison. Every cell has evidence."""

    value: str
    evidence: tuple[Evidence, ...]
    state: State = "plain"

    def export(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Row(Generic[Subject]):
    """One row of the report: its aspect, the section that it stands in, and how its cell comes from a subject."""

    aspect: str
    section: str
    how: Callable[[Subject], Cell]

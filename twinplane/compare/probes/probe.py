"""A probe: what to ask, and a pure function from the answer to a fact. Tested by JSON files in tests/golden/probes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from twinplane.compare.evidence import Evidence
from twinplane.live.unanswered import Unanswered
from twinplane.questions import Access, Question

Fact = TypeVar("Fact")


def now() -> datetime:
    """The time that evidence carries."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Probe(Generic[Fact]):
    """`process` gets the answer as JSON data."""

    name: str
    question: Question
    process: Callable[[Any], Fact]

    def ask(self, access: Access) -> Seen[Fact]:
        """Asks once. Never raises for a system that does not answer: that is a fact, too."""
        try:
            fact, error = self.process(access.answer(self.question)), ""
        except Unanswered as reason:
            fact, error = None, str(reason)
        return Seen(self.name, str(self.question), fact, error, now().isoformat(timespec="seconds"))

    def unasked(self, fact: Fact) -> Seen[Fact]:
        """Returns a fact that is known without asking."""
        return Seen(self.name, str(self.question), fact, "", now().isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Seen(Generic[Fact]):
    """A fact as it was seen: `fact` is None where the question got no answer, and `error` says why."""

    probe: str
    question: str
    fact: Fact | None
    error: str
    time: str

    def evidence(self, answer: Any = None) -> Evidence:
        """Evidence that rests on `answer`, the part of the fact that matters."""
        return Evidence(self.probe, self.question, {"error": self.error} if self.error else answer, self.time)

    @property
    def at(self) -> datetime:
        """The time as a time."""
        return datetime.fromisoformat(self.time)

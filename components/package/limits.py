"""What an argument of a component may be, beyond its type: for callers whose data no type checker sees."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Protocol


class Limit(Protocol):
    """Stands in the argument's type: `zones: Annotated[int, Between(1, 4)]`."""

    def wrong(self, value: Any) -> str:
        """Returns why the value is not one; "" for one that is."""


@dataclass(frozen=True)
class Between:
    """A number, bounds included."""

    least: int
    most: int

    def wrong(self, value: int) -> str:
        return "" if self.least <= value <= self.most else f"{value} is not from {self.least} to {self.most}"


@dataclass(frozen=True)
class Prefix:
    """A block of addresses, by the length of its prefix."""

    largest: int
    smallest: int

    def wrong(self, value: IPv4Network) -> str:
        fits = self.largest <= value.prefixlen <= self.smallest
        return "" if fits else f"{value} is not from /{self.largest} to /{self.smallest}"


@dataclass(frozen=True)
class OneOf:
    """One of a few."""

    values: Sequence[int | str]

    def wrong(self, value: int | str) -> str:
        return "" if value in self.values else f"{value!r} is none of {', '.join(map(str, self.values))}"


@dataclass(frozen=True)
class Like:
    """A text of a form. What is known only later is not looked at."""

    form: str
    example: str

    def wrong(self, value: Any) -> str:
        fits = not isinstance(value, str) or re.fullmatch(self.form, value)
        return "" if fits else f"{value!r} is not of the form of {self.example}"


@dataclass(frozen=True)
class AtLeast:
    """A list with so many items."""

    count: int

    def wrong(self, value: Sequence[Any]) -> str:
        return "" if len(value) >= self.count else f"has {len(value)}, and needs at least {self.count}"


@dataclass(frozen=True)
class Each:
    """A list, or an object's names, each within a limit."""

    limit: Limit

    def wrong(self, value: Any) -> str:
        return next((line for each in value if (line := self.limit.wrong(each))), "")


BLOCK = Like(r"(\d{1,3}\.){3}\d{1,3}/([0-9]|[12][0-9]|3[0-2])", "10.0.0.0/8")
#: Days that CloudWatch can keep logs
#: (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

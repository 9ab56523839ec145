"""What every client raises that gets no answer: why, in one line."""

from __future__ import annotations


class Unanswered(Exception):
    """No answer: why, in one line. `code` is AWS's own, where AWS gave one."""

    def __init__(self, line: str, code: str = "") -> None:
        super().__init__(line)
        self.code = code


class Unreached(Unanswered):
    """Nobody was there to ask."""


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says; its type's name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]

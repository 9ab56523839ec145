"""Check: one line of a doctor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do where it is not well."""

    name: str
    state: str
    detail: str
    advice: str = ""

"""Check: one line of a doctor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do where it is not well."""

    name: str
    state: str
    detail: str
    advice: str = ""


def needed(name: str, here: bool, detail: str, advice: str) -> Check:
    """Returns the check of what a machine must have; `advice` says how to get it."""
    return Check(name, "here", detail) if here else Check(name, "missing", detail, advice)

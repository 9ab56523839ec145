"""Surroundings: what the program knows besides its config before it makes anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pulumi
import pulumi_aws as aws

from components.base import tags
from stacks import support

#: AWS's code and words, as the SDKs of the plugins print them.
_SAID = re.compile(
    r"\b([A-Z]\w+(?:Exception|Failure|Token\w*|Credential\w*|Denied\w*|Expired|Match))\b\)?"
    r"(?: when calling [^:]*)?: (.+)"
)


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True)
class Surroundings:
    """Where, when and by whom a stack is made."""

    #: None where AWS's own configuration names it.
    region: str | None = None
    #: True where AWS's API is called at endpoints of one's own: what they need of the network is not known here.
    endpoints: bool = False
    #: ARN of whoever runs the program, as STS says it; "" where nobody asked.
    caller: str = ""
    #: Tags that the AWS provider gives to everything (`aws:defaultTags`).
    default_tags: Mapping[str, str] = field(default_factory=dict)
    #: Minor of Kubernetes -> end of EKS's standard support.
    ends: Mapping[str, date] = field(default_factory=lambda: support.ENDS)
    today: date = field(default_factory=_today)

    @property
    def account(self) -> str:
        """Its number, or a word for it."""
        return self.caller.split(":")[4] if self.caller else "ACCOUNT"


def look() -> Surroundings:
    """Asks AWS. Raises pulumi.RunError, of one line, where it takes no credentials: that is asked first, so that
    nothing else fails for it."""
    try:
        caller = str(aws.get_caller_identity().arn)
    except Exception as error:
        raise pulumi.RunError(
            f"AWS takes no credentials from here: {reason(str(error))}; "
            "`aws sts get-caller-identity` must answer: log in again, or set AWS_PROFILE"
        ) from None
    return Surroundings(aws.config.region, bool(aws.config.endpoints), caller, tags.chosen(), support.ends())


def reason(text: str) -> str:
    """Returns AWS's code and words out of a plugin's message; else its line about credentials, or its last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if found := next((match for line in lines if (match := _SAID.search(line))), None):
        return f"{found[1]}: {found[2].rstrip('. ')}"
    telling = [line for line in lines if "credential" in line.lower()][:1] or lines[-1:] or ["no reason given"]
    return telling[0].rstrip(". ")

"""What the policy of a bucket says, as S3 reads it."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult


def permission(self: Any, action: str, resource: str) -> PermissionResult:
    """What a bucket's policy says."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    return judged(json.loads(self.policy)["Statement"], action, resource)


def judged(statements: list[dict[str, Any]], action: str, resource: str) -> PermissionResult:
    """What statements of a bucket's policy say. moto takes a denial whose condition is not met for a denial, so what is
    denied without TLS is left out: the lab's own loopback counts as TLS.
    """
    met = [
        each for each in statements if each.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") != "false"
    ]
    return IAMPolicy(json.dumps({"Statement": met})).is_action_permitted(action, resource)

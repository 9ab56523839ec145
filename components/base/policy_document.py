"""The form of IAM's policy documents."""

import json
from collections.abc import Mapping


def policy(*statements: Mapping[str, object]) -> str:
    """An IAM policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, sort_keys=True)

"""The config of a stack's file."""

import json

import yaml

from tests import ROOT


def config(stack: str) -> dict[str, str]:
    """A stack's file as the engine hands it to the program, with the owner's values in place of the placeholders."""
    values = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    if not stack.endswith("-lab"):
        values |= {"twinplane:apiCidrs": ["10.0.0.0/8"], "twinplane:appImage": "registry.test/sample-app:v1.0.0"}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}

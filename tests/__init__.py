"""Tests mirror the project: `components`, `stacks`, `playbooks`, `policies`, `twinplane` and `lab` run in seconds.

`processes` starts real processes, `engine` runs Pulumi's engine against moto, `live` needs the lab, `support` helps.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"

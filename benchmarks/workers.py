"""What more workers cost: `python -m benchmarks.workers`. Needs root, and a lab that is up with nothing in it.

One line for 1, 2 and 4 workers: seconds of `pulumi up` of a self-managed cluster, the ratio to the first, and what each
further worker added, as a share of the first. Machines are made ready side by side: the shares stay small.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.__main__ import STACK
from benchmarks.engine import pulumi, select
from lab import lifecycle
from lab.constants import PROJECT

WORKERS = (1, 2, 4)


def bring_up(workers: int, folder: Path) -> float:
    """Returns seconds of `pulumi up` from nothing. All of it is gone again afterwards."""
    values = yaml.safe_load((PROJECT / "stacks" / f"Pulumi.{STACK}.yaml").read_text())
    values["config"]["twinplane:workers"] = workers
    config = folder / f"{workers}.yaml"
    config.write_text(yaml.safe_dump(values))

    given = ("--config-file", str(config), "--yes", "--skip-preview")
    try:
        return pulumi(STACK, "up", *given)
    finally:
        pulumi(STACK, "destroy", *given)


def main() -> None:
    """Prints the lines as they are known."""
    lifecycle.up(lambda line: print(line, file=sys.stderr))
    select(STACK)
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))  # mode 0700
    first = 0.0
    try:
        for workers in WORKERS:
            took = bring_up(workers, folder)
            first = first or took
            more = f"{(took / first - 1) / (workers - 1):+.2f} each further one" if workers > 1 else ""
            print(f"pulumi up with {workers} workers {took:7.1f} s  {took / first:5.2f}  {more}", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""What a client loses when a self-managed cluster loses a machine: `python -m benchmarks.ha`, with the lab up.

One line for each kind of machine: seconds without API, failed requests, time to heal; below it, what the machine had
again after how many seconds. Brings up three control planes and takes them down again.
"""

import os
import shutil
import tempfile
from pathlib import Path

from lab.environment import environment
from tests.lab import ha
from tests.lab.conftest import Shell


def main() -> None:
    """Prints the lines as they are known."""
    shell = Shell({**os.environ, **environment()})
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))  # mode 0700
    try:
        cluster = ha.up(shell, folder)
        for machine in ("control-plane-1", "control-plane-2", "control-plane-3", "worker-1"):
            print(ha.lose(cluster, machine), flush=True)
    finally:
        shell.run("pulumi", "destroy", "--yes", "--skip-preview", "-s", ha.STACK)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

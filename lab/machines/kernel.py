"""The machine's kernel, which all hosts share: limits that are wider while the lab is up.

systemd, containerd and the kubelet of every host take inotify instances, all as the same user; with the kernel's
default of 128 the fourth node's containerd comes up without its CRI service.
"""

import json
from pathlib import Path

from lab import whole_file
from lab.constants import STATE

#: Below /proc/sys: about 50 instances a node, of every node the lab has addresses for.
LIMITS = {"fs/inotify/max_user_instances": 8192}


def up(root: Path = Path("/proc/sys"), kept: Path = STATE / "kernel.json") -> None:
    """Raises what is lower, and keeps on disk what it was before. Idempotent. Needs root."""
    before = {name: int((root / name).read_text()) for name in LIMITS}
    lower = {name: value for name, value in before.items() if value < LIMITS[name]}
    if lower and not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole_file.write(kept, json.dumps(lower))
    for name in lower:
        (root / name).write_text(str(LIMITS[name]))


def down(root: Path = Path("/proc/sys"), kept: Path = STATE / "kernel.json") -> None:
    """Sets what `up` had raised to what it was. Idempotent."""
    if kept.exists():
        for name, value in json.loads(kept.read_text()).items():
            (root / name).write_text(str(value))
        kept.unlink()

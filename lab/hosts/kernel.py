"""The machine's kernel, which all hosts share: limits that are wider while the lab is up, and what it can.

systemd, containerd and the kubelet of every host take inotify instances, all as the same user; with the kernel's
default of 128 the fourth node's containerd comes up without its CRI service.
"""

import json
import subprocess
from functools import cache
from pathlib import Path

from lab import whole_file
from lab.constants import STATE

#: Below /proc/sys: about 50 instances a node, of every node the lab has addresses for.
LIMITS = {"fs/inotify/max_user_instances": 8192}
#: Rules of nftables: that of kube-network-policies, by its end.
RULE = "table inet probe { chain postrouting { type filter hook postrouting priority 0; %s; }; }"
QUEUE = "queue num 98 bypass"


def up(root: Path = Path("/proc/sys"), kept: Path = STATE / "kernel.json") -> None:
    """Raises what is lower, and keeps on disk what it was before. Idempotent. Needs root."""
    before = {name: int((root / name).read_text()) for name in LIMITS}
    lower = {name: value for name, value in before.items() if value < LIMITS[name]}
    if lower and not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole_file.write(kept, json.dumps(lower))
    for name in lower:
        (root / name).write_text(str(LIMITS[name]))


@cache
def refuses(rule: str = QUEUE) -> str:
    """Returns why the kernel takes no such rule of nftables; "" where it does. Needs root.

    It is tried, in a network namespace that ends with the try. Of the queue, kernels without CONFIG_NFT_QUEUE say that
    there is no such file or directory.
    """
    argv = ["unshare", "--net", "nft", "--file", "-"]
    try:
        done = subprocess.run(argv, input=RULE % rule, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    told = (done.stderr.strip().splitlines() or ["no words"])[0]
    return told.rpartition("Error: ")[2] if done.returncode else ""


def down(root: Path = Path("/proc/sys"), kept: Path = STATE / "kernel.json") -> None:
    """Sets what `up` had raised to what it was. Idempotent."""
    if kept.exists():
        for name, value in json.loads(kept.read_text()).items():
            (root / name).write_text(str(value))
        kept.unlink()

"""A disk found by its EBS volume, with a file system: made where there is nothing, and only there."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: disk
short_description: A disk found by its EBS volume, with an ext4 file system
description:
  - udev links the disk by the volume's id, whatever order the disks were found in.
  - A disk that holds anything is left as it is; anything but ext4 is an error.
options:
  volume: {description: Id of the volume., required: true, type: str}
  folder: {description: Where it will be mounted., required: true, type: path}
  timeout: {description: Seconds until the disk must be there., required: true, type: int}
"""


BY_ID = Path("/dev/disk/by-id")


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Returns the finished process."""
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def link(volume: str) -> Path:
    """Returns udev's link to the disk: named by the model and the serial number, which is the volume's id, of NVMe
    disks."""
    return BY_ID / f"nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"


def contents(path: str) -> dict[str, str]:
    """Returns what blkid sees on the disk itself: TYPE of a file system, PTTYPE of partitions, and more; empty for
    nothing.

    Raises OSError when the disk cannot be read: that is not nothing.
    """
    probe = run("blkid", "--probe", "--output", "export", path)
    if probe.returncode not in {0, 2}:
        raise OSError(f"blkid {path}: {probe.stderr.strip() or f'exit code {probe.returncode}'}")
    return dict(
        line.split("=", 1) for line in probe.stdout.splitlines() if "=" in line and not line.startswith("DEVNAME")
    )


def main() -> None:
    """Answers `device`, the link to the disk."""
    options = {
        "volume": {"type": "str", "required": True},
        "folder": {"type": "path", "required": True},
        "timeout": {"type": "int", "required": True},
    }
    module = AnsibleModule(options, supports_check_mode=True)
    volume, folder = module.params["volume"], Path(module.params["folder"])
    if not os.path.ismount(folder) and folder.is_dir() and any(folder.iterdir()):
        module.fail_json(msg=f"{folder} has data on another disk, which {volume} would hide: move it first")
    end = time.monotonic() + module.params["timeout"]
    while not (device := link(volume)).exists():
        if time.monotonic() > end:
            module.fail_json(msg=f"there is no {device}: see that the volume is attached")
        time.sleep(1)
    try:
        found = contents(str(device))
    except OSError as error:
        module.fail_json(msg=str(error))
    if found and found.get("TYPE") != "ext4":
        module.fail_json(msg=f"{device} holds {found.get('TYPE') or found.get('PTTYPE')}, not ext4: empty it")
    if not found and not module.check_mode:
        done = run("mkfs.ext4", "-q", str(device))
        if done.returncode:
            module.fail_json(msg=f"mkfs.ext4 {device}: {done.stderr.strip()}")
    module.exit_json(changed=not found, device=str(device))


if __name__ == "__main__":
    main()

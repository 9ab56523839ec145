"""A disk found by its EBS volume, with a file system: made where there is nothing, and only there."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: disk
short_description: A disk found by its EBS volume, with an ext4 file system
description:
  - The serial number of an NVMe disk is the volume's id, whatever order the disks were found in.
  - A disk that holds anything is left as it is; anything but ext4 is an error.
options:
  volume: {description: Id of the volume., required: true, type: str}
  folder: {description: Where it will be mounted., required: true, type: path}
  timeout: {description: Seconds until the disk must be there., required: true, type: int}
"""


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """-> the finished process."""
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def device(volume: str) -> str:
    """-> path of the disk; nothing while it is not there."""
    shown = json.loads(run("lsblk", "--json", "--nodeps", "--output", "PATH,SERIAL").stdout or "{}")
    wanted = volume.replace("-", "")
    return next((each["path"] for each in shown.get("blockdevices", []) if each["serial"] == wanted), "")


def contents(path: str) -> dict[str, str]:
    """-> what blkid sees on the disk itself: TYPE and UUID of a file system, PTTYPE of partitions; empty for nothing.

    Raises OSError when the disk cannot be read: that is not nothing.
    """
    probe = run("blkid", "--probe", "--output", "export", path)
    if probe.returncode not in {0, 2}:
        raise OSError(f"blkid {path}: {probe.stderr.strip() or f'exit code {probe.returncode}'}")
    return dict(
        line.split("=", 1) for line in probe.stdout.splitlines() if "=" in line and not line.startswith("DEVNAME")
    )


def main() -> None:
    """Answers `device` and `uuid`, empty in check mode where the file system would be made."""
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
    while not (path := device(volume)):
        if time.monotonic() > end:
            module.fail_json(msg=f"no disk has the serial number of {volume}: see that the volume is attached")
        time.sleep(1)
    made = False
    try:
        found = contents(path)
        if not found:
            made = True
            if not module.check_mode:
                done = run("mkfs.ext4", "-q", path)
                if done.returncode:
                    module.fail_json(msg=f"mkfs.ext4 {path}: {done.stderr.strip()}")
                found = contents(path)
    except OSError as error:
        module.fail_json(msg=str(error))
    if found and found.get("TYPE") != "ext4":
        module.fail_json(msg=f"{path} ({volume}) holds {found.get('TYPE') or found.get('PTTYPE')}, not ext4: empty it")
    module.exit_json(changed=made, device=path, uuid=found.get("UUID", ""))


if __name__ == "__main__":
    main()

"""Small files and links, all in one call, and the systemd unit that reads them."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: files
short_description: Small files and links, and the systemd unit that reads them
description:
  - One call where copy, file and systemd_service would be a dozen.
  - The unit is enabled and running, and started after the last change of its files. That is seen from the machine, not
    remembered by the run that made the change, so an interrupted run leaves nothing undone.
options:
  files:
    description: Each a path with its O(files[].content), or a path that is a link.
    required: true
    type: list
    elements: dict
    suboptions:
      path: {description: Absolute., required: true, type: path}
      content: {description: All of the file., type: str}
      mode: {description: Of a file., type: str, default: "0644"}
      link: {description: What the path points to., type: path}
      validate: {description: Command that must accept the new file in place of its %s., type: str}
  unit:
    description: The systemd unit.
    type: str
"""

LARGE = 1 << 20


def text(path: Path) -> str | None:
    """Returns what a file says, or where a link points; None if it is missing."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if not path.is_file():
        return None
    # No file of ours is that large: a program in its place is only named, not read into the answer.
    size = path.stat().st_size
    return path.read_text(errors="replace") if size < LARGE else f"({size} bytes)"


def differs(entry: dict[str, Any]) -> bool:
    """Returns whether the path is not yet as wanted."""
    path = Path(entry["path"])
    if entry["link"]:
        return text(path) != f"-> {entry['link']}"
    return text(path) != entry["content"] or path.stat().st_mode & 0o7777 != int(entry["mode"], 8)


def write(entry: dict[str, Any]) -> None:
    """Puts the file or link there in one rename."""
    path = Path(entry["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        new = Path(folder) / "new"
        if entry["link"]:
            new.symlink_to(entry["link"])
        else:
            new.write_text(entry["content"])
            new.chmod(int(entry["mode"], 8))
            if entry["validate"]:
                run(*(part.replace("%s", str(new)) for part in shlex.split(entry["validate"])))
        new.replace(path)


def run(*argv: str) -> str:
    """Returns standard output. Raises CalledProcessError."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


class Unit:
    """A systemd unit, as it stands."""

    PROPERTIES = (
        "ActiveState",
        "UnitFileState",
        "ActiveEnterTimestampMonotonic",
        "ConditionTimestampMonotonic",
        "ConditionResult",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        shown = run("systemctl", "show", name, f"--property={','.join(self.PROPERTIES)}").splitlines()
        self.properties = dict(line.split("=", 1) for line in shown if "=" in line)

    def enabled(self) -> bool:
        return self.properties["UnitFileState"] in {"enabled", "static"}

    def current(self, changed: float) -> bool:
        """Returns whether it started, or found its condition unmet, after that time (seconds since the epoch)."""
        waits = self.properties["ActiveState"] == "inactive" and self.properties["ConditionResult"] == "no"
        if not waits and self.properties["ActiveState"] not in {"active", "activating", "reloading"}:
            return False
        since = int(self.properties["ConditionTimestampMonotonic" if waits else "ActiveEnterTimestampMonotonic"])
        return since > 0 and time.time() - time.monotonic() + since / 1e6 > changed


def main() -> None:
    """Writes what differs, then starts the unit if it is not current."""
    entry = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "mode": {"type": "str", "default": "0644"},
        "link": {"type": "path"},
        "validate": {"type": "str"},
    }
    files = {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": entry,
        "required_one_of": [["content", "link"]],
        "mutually_exclusive": [["content", "link"]],
    }
    module = AnsibleModule({"files": files, "unit": {"type": "str"}}, supports_check_mode=True)
    wanted = module.params["files"]
    changed = [each for each in wanted if differs(each)]
    diff = [
        {
            "before_header": each["path"],
            "after_header": each["path"],
            "before": text(Path(each["path"])) or "",
            "after": each["content"] if each["link"] is None else f"-> {each['link']}",
        }
        for each in changed
    ]
    restarted = False
    try:
        if not module.check_mode:
            for each in changed:
                write(each)
        if name := module.params["unit"]:
            newest = max(
                (os.lstat(each["path"]).st_mtime for each in wanted if os.path.lexists(each["path"])), default=0
            )
            unit = Unit(name)
            restarted = bool(changed) or not unit.enabled() or not unit.current(newest)
            if restarted and not module.check_mode:
                # Enabling reads all units again by itself.
                run("systemctl", *(["daemon-reload"] if unit.enabled() else ["enable", name]))
                run("systemctl", "restart", name)
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"{' '.join(error.cmd)}: {error.stderr.strip()}")
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(changed) or restarted, written=[each["path"] for each in changed], restarted=restarted, diff=diff
    )


if __name__ == "__main__":
    main()

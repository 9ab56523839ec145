"""What a machine says of itself: system, updates, and who runs which part of Kubernetes. Changes nothing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.debian import Unavailable, pending, refresh

DOCUMENTATION = """
module: node_facts
short_description: System, updates and Kubernetes processes of a machine
description: Read only, the refreshed package lists apart. Each fact is of this moment.
options: {}
"""
PARTS = (
    "kube-apiserver",
    "etcd",
    "kube-scheduler",
    "kube-controller-manager",
    "cloud-controller-manager",
    "kubelet",
    "containerd",
)
MANIFESTS = Path("/etc/kubernetes/manifests")
STATIC_PODS = "kubelet, from a static pod manifest"
PODS = "kubelet, as the cluster asks"


def read(path: str | Path) -> str:
    """-> the file's text, empty where there is none."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def release() -> str:
    """-> the image's release, `serial` in the build.info of Debian's cloud images. Empty if unknown."""
    found = re.search(r"^\s*(?:serial|build_id)\s*:\s*\"?([\w.-]+)", read("/etc/cloud/build.info"), re.MULTILINE)
    return found[1] if found else ""


def stat(pid: int) -> list[str]:
    """-> the fields of /proc/PID/stat from the state on."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def started(pid: int) -> str:
    """-> when the process started, ISO 8601, UTC."""
    ticks = int(stat(pid)[19])
    # Both clocks count from the kernel's boot: right in a container too.
    epoch = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


def version(pid: int) -> str:
    """-> what the running file itself answers to --version."""
    try:
        argv = [f"/proc/{pid}/exe", "--version"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\bv?(\d+\.\d+\.\d+\S*)", done.stdout)
    return found[1] if found else ""


def process(pid: int, name: str, manifests: dict[str, str]) -> dict[str, Any]:
    """-> one running part and who starts it again."""
    # cgroup v2's one line, or systemd's own hierarchy of v1.
    lines = read(f"/proc/{pid}/cgroup").splitlines()
    cgroup = next((line.split(":", 2)[2] for line in lines if line.startswith("0::/") or ":name=systemd:" in line), "")
    unit = next((part for part in reversed(cgroup.split("/")) if part.endswith(".service")), "")
    contained = "kubepods" in cgroup
    static = contained and name in manifests
    return {
        "name": name,
        "pid": pid,
        "state": stat(pid)[0],
        "started": started(pid),
        "version": version(pid),
        "cgroup": cgroup,
        "unit": "kubelet.service" if contained else unit,
        "restarted_by": STATIC_PODS if static else PODS if contained else f"systemd, unit {unit}" if unit else "",
        "manifest": str(MANIFESTS / f"{name}.yaml") if static else "",
    }


def part(program: str) -> str:
    """-> the part of Kubernetes that a program is; clouds put their name before that of their controller."""
    name = Path(program).name
    return "cloud-controller-manager" if name.endswith("-cloud-controller-manager") else name


def processes(manifests: dict[str, str]) -> list[dict[str, Any]]:
    """-> the parts of Kubernetes that run, each once."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        name = part(read(folder / "cmdline").split("\0", 1)[0])
        if name in PARTS and stat(int(folder.name)):
            found.append(process(int(folder.name), name, manifests))
    return sorted(found, key=lambda each: (PARTS.index(each["name"]), each["pid"]))


def static_pods() -> dict[str, str]:
    """-> name of each static pod manifest and its image."""
    images = {}
    for file in sorted(MANIFESTS.glob("*.yaml")):
        image = re.search(r"^\s*(?:- )?image:\s*(\S+)", read(file), re.MULTILINE)
        images[file.stem] = image[1] if image else ""
    return images


def main() -> None:
    """Answers `facts`."""
    module = AnsibleModule({}, supports_check_mode=True)
    try:
        refresh()
        updates = pending()
    except Unavailable as error:
        module.fail_json(msg=str(error))
    system = dict(line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
    manifests = static_pods()
    timer = ["systemctl", "is-enabled", "--quiet", "apt-daily-upgrade.timer"]
    facts = {
        "hostname": platform.node(),
        "os": system.get("PRETTY_NAME", "").strip('"'),
        "kernel": platform.release(),
        "booted": started(1),
        "image_release": release(),
        "updates": updates,
        "reboot_required": Path("/run/reboot-required").exists(),
        "unattended_upgrades": Path("/usr/bin/unattended-upgrade").exists()
        and subprocess.run(timer, capture_output=True, check=False).returncode == 0,
        "static_pods": manifests,
        "processes": processes(manifests),
    }
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()

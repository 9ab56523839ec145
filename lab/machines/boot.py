"""`python -m lab.machines.boot NAME`: one boot of a host. Becomes systemd-nspawn, run by the host's supervisor.

Everything that a boot makes lives in namespaces and control groups of its own, so nothing is left on the machine when
its processes end, even by SIGKILL. Each boot first ends what an earlier one may have left running.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from lab.machines import network
from lab.machines.cgroup import Cgroup
from lab.machines.host import Host

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
#: On a file system of this boot alone: what is shown of the host's disks before its init looks for them.
DISKS = Path("/run/systemd/disks")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_NSPAWN_USE_CGNS": "1",
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
    "SYSTEMD_LOG_LEVEL": "warning",
}


def main(name: str) -> None:
    """Does not return."""
    host = Host(name)
    cgroup = Cgroup(name)
    cgroup.kill()
    # A real machine boots without the groups of its last life, each of which a kubelet looks at for seconds.
    cgroup.remove()
    cgroup.enter(os.getpid())
    machine = os.open("/proc/self/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    network.attach(host.spec.address, host.link, machine)
    os.close(machine)
    _mount(host)
    os.execvpe("systemd-nspawn", command(host, _show(host)), ENVIRONMENT)


def command(host: Host, binds: Iterable[str] = ()) -> list[str]:
    """The command line of systemd-nspawn for a host whose root file system is mounted. `binds` are below DISKS."""
    spec = host.spec
    return [
        "systemd-nspawn", "--quiet", "--boot", f"--directory={host.root}", f"--machine={host.name}",
        f"--hostname={spec.hostname}", "--register=no", "--keep-unit", "--capability=all",
        "--network-namespace-path=/proc/self/ns/net", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
        "--console=read-only", "--bind=/dev/kmsg", "--system-call-filter=@keyring bpf perf_event_open",
        *(f"--bind={host.volume(path)}:{path}" for path in host.VOLUMES),
        *(f"--bind={DISKS}{path}:{path}" for path in binds),
        *(f"--bind-ro={source}:{target}" for source, target in sorted(spec.binds.items())),
    ]  # fmt: skip


def _show(host: Host) -> list[str]:
    """Makes the host's disks visible below DISKS. -> what has to be bound from there."""
    loops = {volume: loop for volume in host.disks if (loop := volume.open())}
    for volume, loop in loops.items():
        volume.show(DISKS, loop)
    return [*(f"/dev/{loop}" for loop in loops.values()), "/dev/disk", "/run/udev"] if loops else []


def _mount(host: Host) -> None:
    """Mounts the root file system where only this process and its children see it."""
    layers = ":".join(host.spec.layers)
    options = f"lowerdir={layers},upperdir={host.upper},workdir={host.directory / 'work'}"
    for arguments in (
        ["--make-rprivate", "/"],
        ["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run/systemd"],
        ["-t", "overlay", "overlay", "-o", options, str(host.root)],
    ):
        subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(sys.argv[1])

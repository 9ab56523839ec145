"""`make benchmark`: prints the table. Needs root, and a lab that is up with nothing in it."""

import json
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from benchmarks.engine import output, pulumi, select
from benchmarks.floor import Ssh, bring_up
from lab import lifecycle
from lab.constants import BASE_RELEASE
from lab.machines.host import Host

STACK = "self-managed-lab"
ADDRESSES = ("198.18.200.11", "198.18.200.12", "198.18.200.13")


def floor(folder: Path) -> float:
    """Returns seconds from booted hosts to all Ready, by raw shell."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    hosts = []
    for number, address in enumerate(ADDRESSES):
        name = f"floor-{number}"
        hosts.append(Host.create(name, address=address, image=BASE_RELEASE, hostname=name, authorized_keys=(public,)))
    try:
        for host in hosts:
            host.start()
        while any(host.state != "running" for host in hosts):
            time.sleep(0.2)
        known_hosts = folder / "known_hosts"
        known_hosts.write_text("".join(f"{host.spec.address} {host.host_key}\n" for host in hosts))
        started = time.monotonic()
        bring_up(Ssh(key, known_hosts), ADDRESSES)
        return time.monotonic() - started
    finally:
        for host in hosts:
            host.delete()


def preview(stack: str) -> float:
    """Returns seconds of a `pulumi preview` of all there is to make."""
    select(stack)
    return pulumi(stack, "preview")


def product() -> tuple[float, float, float]:
    """Returns seconds of the site step (booted hosts to all Ready), of the whole `pulumi up`, of a second one."""
    whole = pulumi(STACK, "up", "--yes", "--skip-preview")
    site = _site_seconds()
    second = pulumi(STACK, "up", "--yes", "--skip-preview")
    pulumi(STACK, "destroy", "--yes", "--skip-preview")
    return site, whole, second


def _site_seconds() -> float:
    """From the last machine that is up to the cluster that is Ready, by the times that the engine keeps."""
    resources = json.loads(output(STACK, "stack", "export"))["deployment"]["resources"]

    def created(kind: str, name: str = "") -> datetime:
        return max(
            datetime.fromisoformat(each["created"])
            for each in resources
            if each["type"] == kind and each["urn"].endswith(name)
        )

    return (created("command:local:Command", "-site") - created("aws:ec2/instance:Instance")).total_seconds()


def main() -> None:
    """Prints one line a figure."""
    lifecycle.up(lambda line: print(line, file=sys.stderr))
    folder = Path("/dev/shm/twinplane-benchmark")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        previews = {stack: preview(stack) for stack in ("managed-lab", STACK)}
        raw = floor(folder)
        site, whole, second = product()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for stack, seconds in previews.items():
        print(
            f"{f'pulumi preview of {stack}, nothing there':52} {seconds:7.1f} s   {seconds / raw:.2f}  (at most 15 s)"
        )
    print(f"{'raw shell: booted hosts to all Ready':52} {raw:7.1f} s   1.00")
    print(f"{'Ansible in pulumi up: booted hosts to all Ready':52} {site:7.1f} s   {site / raw:.2f}  (at most 2.5)")
    print(f"{'pulumi up, machines included':52} {whole:7.1f} s   {whole / raw:.2f}")
    print(f"{'second pulumi up':52} {second:7.1f} s   {second / raw:.2f}")


if __name__ == "__main__":
    main()

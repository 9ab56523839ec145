"""The last test of the lab: `lab down` leaves nothing, also when everything was killed before."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab import supervisor
from lab.aws import api, images
from lab.constants import BASE_RELEASE, STATE
from lab.hosts import names, volume
from lab.lab import mounts
from tests.lab.conftest import Shell, processes, until

pytestmark = pytest.mark.lab

#: What the lab's processes have in their command lines.
SIGNS = ("lab.daemon", "lab.supervisor", "lab.hosts", str(STATE))


def traces() -> list[str]:
    """-> every process, mount, disk, link, route, name, cgroup and file of the lab that the machine still has."""
    found = [f"file {path}" for path in STATE.glob("*")] if STATE.is_mount() else [f"file {STATE}"] * STATE.exists()
    found += [f"process {pid} {line}" for pid, line in processes().items() if any(sign in line for sign in SIGNS)]
    found += [f"mount {path}" for path in mounts()]
    found += [f"disk {name} {file}" for name, file in volume.loops() if file.startswith(f"{STATE}/")]
    for command in ("link", "-4 route show table all"):
        shown = subprocess.run(["ip", "-o", *command.split()], capture_output=True, text=True, check=True).stdout
        signs = (" twinplane0", " tpc6", "198.18.", "198.19.")
        found += [f"{command} {line}" for line in shown.splitlines() if any(sign in f" {line}" for sign in signs)]
    found += [f"name {name}" for name in names.known()]
    found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob("**/twinplane-*")]
    return found


def an_instance() -> str:
    """-> an instance with its host running and a volume, in a subnet that no stack uses."""
    client = api.client("ec2")
    vpc = client.create_vpc(CidrBlock="198.19.209.0/24")["Vpc"]["VpcId"]
    subnet = client.create_subnet(VpcId=vpc, CidrBlock="198.19.209.0/24")["Subnet"]["SubnetId"]
    made = client.run_instances(
        ImageId=images.debian(BASE_RELEASE).id, InstanceType="t3.medium", SubnetId=subnet, MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    client.get_waiter("instance_running").wait(InstanceIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 240})
    disk = client.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    client.attach_volume(VolumeId=disk, InstanceId=made, Device="/dev/sdf")
    until("the volume is a disk", lambda: volume.Volume(disk).loop, 10)
    return made


def test_down_leaves_nothing_when_everything_was_killed(shell: Shell) -> None:
    an_instance()
    assert {trace.split()[0] for trace in traces()} >= {"file", "process", "disk", "link", "-4", "cgroup"}
    records = [supervisor.Record.read(path.stem) for path in (STATE / "run").glob("*.pid")]
    for record in records:
        for process in (record.supervisor, record.child):
            if process:
                process.signal(signal.SIGKILL)
    shell.run("twinplane", "lab", "down")
    assert traces() == []


def test_a_killed_down_is_finished_by_the_next(shell: Shell) -> None:
    shell.run("twinplane", "lab", "up")
    an_instance()
    down = subprocess.Popen(["twinplane", "lab", "down"], env=shell.environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while api.health() is not None:
        assert time.monotonic() < deadline, "the daemon still answers after 60 s"
        time.sleep(0.05)
    time.sleep(0.3)
    down.kill()
    down.wait()
    shell.run("twinplane", "lab", "down")
    assert traces() == []
    shell.run("twinplane", "lab", "down")


def test_a_lab_whose_files_were_deleted_is_removed(shell: Shell) -> None:
    shell.run("twinplane", "lab", "up")
    an_instance()
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shell.run("twinplane", "lab", "down")
    assert traces() == []


def test_what_is_down_says_so(shell: Shell) -> None:
    assert shell.run("twinplane", "lab", "status", check=False).returncode == 1
    refused = shell.run("twinplane", "lab", "env", check=False)
    assert refused.returncode == 2
    assert "twinplane lab up" in refused.stderr

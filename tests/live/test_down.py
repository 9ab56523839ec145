"""The end of the lab, a step of its own after all its other tests.

`twinplane destroy` leaves nothing, nor does `lab down` after everything was killed.
"""

import json
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jmespath

from lab import daemon_control, supervisor
from lab.cloud import api
from lab.cloud.ec2 import machine_images
from lab.cloud.elb import load_balancers
from lab.constants import BASE_RELEASE, STATE
from lab.lifecycle import mounts
from lab.machines import names, volume
from lab.machines.host import Host
from tests.support.live import MANAGED, SELF_MANAGED, Shell, processes, until

#: What the lab's processes have in their command lines.
SIGNS = ("lab.daemon", "lab.supervisor", "lab.machines", str(STATE))
#: What a stack makes in AWS: kind -> service, operation, and where the answer has them.
KINDS = {
    "network": ("ec2", "describe_vpcs", "Vpcs[]"),
    "instance": ("ec2", "describe_instances", "Reservations[].Instances[] | [?State.Name != 'terminated']"),
    "volume": ("ec2", "describe_volumes", "Volumes[]"),
    "security group": ("ec2", "describe_security_groups", "SecurityGroups[]"),
    "load balancer": ("elbv2", "describe_load_balancers", "LoadBalancers[]"),
    "target group": ("elbv2", "describe_target_groups", "TargetGroups[]"),
    "cluster": ("eks", "list_clusters", "clusters[]"),
    "role": ("iam", "list_roles", "Roles[]"),
    "instance profile": ("iam", "list_instance_profiles", "InstanceProfiles[]"),
    "identity provider": ("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList[]"),
    "key": ("kms", "list_aliases", "Aliases[]"),
    "bucket": ("s3", "list_buckets", "Buckets[]"),
    "repository": ("ecr", "describe_repositories", "repositories[]"),
    "launch template": ("ec2", "describe_launch_templates", "LaunchTemplates[]"),
    "key pair": ("ec2", "describe_key_pairs", "KeyPairs[]"),
    "log group": ("logs", "describe_log_groups", "logGroups[]"),
}


def traces() -> list[str]:
    """Returns every process, mount, disk, link, route, name, cgroup and file of the lab that the machine still has."""
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


def those_with(shell: Shell, kind: str, marks: set[str]) -> list[str]:
    """Returns all of a kind that AWS has and that has one of the marks anywhere: in its name, its tags, where it is."""
    service, operation, path = KINDS[kind]
    client = shell.client(service)
    pages = (
        client.get_paginator(operation).paginate() if client.can_paginate(operation) else [getattr(client, operation)()]
    )
    told = [json.dumps(each, default=str) for page in pages for each in jmespath.search(path, page) or []]
    return [each for each in told if any(mark in each for mark in marks)]


def test_a_destroy_of_both_stacks_leaves_nothing(shell: Shell, demo: object) -> None:  # noqa: ARG001
    stacks = {MANAGED, SELF_MANAGED}
    networks = {json.loads(each)["VpcId"] for each in those_with(shell, "network", stacks)}
    instances = {json.loads(each)["InstanceId"] for each in those_with(shell, "instance", networks)}
    assert (len(networks), len(instances)) == (2, 5)
    marks = stacks | networks | instances
    assert [kind for kind in KINDS if not those_with(shell, kind, marks)] == []
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda stack: shell.run("twinplane", "destroy", stack, "--yes"), stacks))
    assert [each for kind in KINDS for each in those_with(shell, kind, marks)] == []
    assert not instances & {host.name for host in Host.all()}
    for stack in stacks:
        assert shell.json("pulumi", "stack", "export", "-s", stack)["deployment"].get("resources", []) == []


def a_load_balancer(shell: Shell) -> None:
    """Its process runs, and its name is known."""
    ec2, elb = shell.client("ec2"), shell.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="198.19.208.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="198.19.208.0/24")["Subnet"]["SubnetId"]
    made = elb.create_load_balancer(Name="last", Type="network", Scheme="internal", Subnets=[subnet])
    group = elb.create_target_group(Name="last", Protocol="TCP", Port=80, VpcId=vpc)["TargetGroups"][0]
    elb.create_listener(
        LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="TCP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    until("its process", lambda: any((STATE / "run").glob(f"{load_balancers.PREFIX}*.pid")), 30)


def an_instance() -> str:
    """Returns an instance with its host running and a volume, in a subnet that no stack uses."""
    client = api.client("ec2")
    vpc = client.create_vpc(CidrBlock="198.19.209.0/24")["Vpc"]["VpcId"]
    answer = client.create_subnet(VpcId=vpc, CidrBlock="198.19.209.0/24", AvailabilityZone="us-east-1a")
    subnet = answer["Subnet"]["SubnetId"]
    made = client.run_instances(
        ImageId=machine_images.debian(BASE_RELEASE).id,
        InstanceType="t3.medium",
        SubnetId=subnet,
        MinCount=1,
        MaxCount=1,
    )["Instances"][0]["InstanceId"]
    client.get_waiter("instance_running").wait(InstanceIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 240})
    disk = client.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    client.attach_volume(VolumeId=disk, InstanceId=made, Device="/dev/sdf")
    until("the volume is a disk", lambda: volume.Volume(disk).loop, 30)
    return made


def test_down_leaves_nothing_when_everything_was_killed(shell: Shell) -> None:
    an_instance()
    a_load_balancer(shell)
    assert {trace.split()[0] for trace in traces()} >= {"file", "process", "disk", "link", "-4", "name", "cgroup"}
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
    while daemon_control.health() is not None:
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
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    shell.run("twinplane", "lab", "down")
    assert traces() == []


def test_what_is_down_says_so(shell: Shell) -> None:
    assert shell.run("twinplane", "lab", "status", check=False).returncode == 1
    refused = shell.run("twinplane", "lab", "env", check=False)
    assert refused.returncode == 2
    assert "twinplane lab up" in refused.stderr

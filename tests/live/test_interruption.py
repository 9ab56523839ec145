"""kill -9: of what stands before the API, and in the middle of `make demo`. All is well again afterwards."""

import os
import signal
import subprocess
import time

from lab import supervisor
from lab.cloud.elb import load_balancers
from lab.constants import STATE
from tests import ROOT
from tests.support.live import SELF_MANAGED, Cluster, Shell, processes


def running(*words: str) -> list[int]:
    """Returns pids whose command line has all the words."""
    return [pid for pid, line in processes().items() if all(word in line for word in words)]


def test_the_api_answers_again_when_daemon_and_load_balancers_were_killed(self_managed: Cluster) -> None:
    balancers = [path.stem for path in (STATE / "run").glob(f"{load_balancers.PREFIX}*.pid")]
    assert balancers
    before = {name: supervisor.Record.read(name) for name in ["daemon", *balancers]}
    for name, record in before.items():
        victims = [record.child] if name == "daemon" else [record.supervisor, record.child]
        for process in victims:
            assert process
            process.signal(signal.SIGKILL)
    deadline = time.monotonic() + 120
    while not all((now := supervisor.Record.read(name)).child and now.child != before[name].child for name in before):
        assert time.monotonic() < deadline, "not started again"
        time.sleep(0.5)
    while self_managed.kubectl("get", "--raw", "/readyz", check=False) != "ok":
        assert time.monotonic() < deadline, "the API does not answer"
        time.sleep(0.5)
    shell = self_managed.shell
    for group in shell.json("aws", "elbv2", "describe-target-groups")["TargetGroups"]:
        arn = group["TargetGroupArn"]
        assert shell.json("aws", "elbv2", "describe-target-health", "--target-group-arn", arn)[
            "TargetHealthDescriptions"
        ], "its targets are still registered"


def test_the_next_demo_finishes_what_kill_9_stopped(shell: Shell, self_managed: Cluster) -> None:
    shell.run("twinplane", "destroy", SELF_MANAGED, "--yes")
    networks = {each["VpcId"] for each in shell.json("aws", "ec2", "describe-vpcs")["Vpcs"]}
    for listed, key in (("load-balancers", "LoadBalancers"), ("target-groups", "TargetGroups")):
        left = {each["VpcId"] for each in shell.json("aws", "elbv2", f"describe-{listed}")[key]}
        assert left <= networks, "what the Ingress was made of went with it"
    demo = subprocess.Popen(
        ["twinplane", "lab", "demo"],
        cwd=ROOT,
        env=shell.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not running("ansible-playbook", "site.yml"):
        assert demo.poll() is None, "the demo ended before its playbook ran"
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(3)
    daemon = supervisor.Record.read("daemon").child
    victims = [demo.pid, *running("pulumi", "up", SELF_MANAGED), *running("ansible-playbook", "site.yml")]
    assert len(victims) >= 3
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # ended with its parent
    if daemon:
        daemon.signal(signal.SIGKILL)
    demo.wait()

    shell.run("twinplane", "lab", "demo", timeout=1200)
    self_managed.outputs.update(shell.outputs(SELF_MANAGED))  # new machines, for the tests that follow
    self_managed.kubeconfig.write_text(self_managed.outputs["kubeconfig"])
    shell.run("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", "-s", SELF_MANAGED)
    assert len(self_managed.ready_nodes()) == 3

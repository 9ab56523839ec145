"""kill -9 in the middle of `make demo`: the next `make demo` converges."""

import os
import signal
import subprocess
import time

from lab import supervisor
from tests.lab.conftest import PROJECT, SELF_MANAGED, Cluster, Shell, processes


def running(*words: str) -> list[int]:
    """-> pids whose command line has all the words."""
    return [pid for pid, line in processes().items() if all(word in line for word in words)]


def test_the_next_demo_finishes_what_kill_9_stopped(shell: Shell, self_managed: Cluster) -> None:
    shell.run("twinplane", "destroy", SELF_MANAGED, "--yes")
    demo = subprocess.Popen(
        ["twinplane", "lab", "demo"],
        cwd=PROJECT,
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

    shell.run("twinplane", "lab", "demo", timeout=1200, check=False)
    shell.run("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", "-s", SELF_MANAGED)
    self_managed.outputs.update(shell.outputs(SELF_MANAGED))  # new machines, for the tests that follow
    self_managed.kubeconfig.write_text(self_managed.outputs["kubeconfig"])
    assert len(self_managed.ready_nodes()) == 3

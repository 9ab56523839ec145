"""Hosts for real: boots, logins, reboots, crashes, updates, and nothing left after."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import supervisor
from lab.constants import BASE_RELEASE, BRIDGE, FABRIC, UPDATED_RELEASE
from lab.errors import Failed, UsageError
from lab.machines import apt_proxy, network
from lab.machines.cgroup import Cgroup
from lab.machines.host import Host
from tests import ROOT
from tests.support.live import until

#: No stack uses these.
ADDRESSES = [f"198.19.200.{number}" for number in (1, 2, 3)]


def boot_id(host: Host) -> str:
    """Of the running host; empty while it is not."""
    try:
        return host.run("cat", "/proc/sys/kernel/random/boot_id").stdout if host.state == "running" else ""
    except Failed:  # It ended in between.
        return ""


def booted_again(host: Host, before: str) -> bool:
    return boot_id(host) not in ("", before)


def settled(host: Host) -> str:
    """Waits until the host runs, whatever the last test did to it. Returns its boot id."""
    until("a boot", lambda: boot_id(host), 60)
    return boot_id(host)


@dataclass
class Keys:
    """A key pair for logins and one as the host's own, and the file that pins the latter."""

    directory: Path

    def make(self, name: str) -> str:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.directory / name)]
        subprocess.run(command, check=True)
        return (self.directory / f"{name}.pub").read_text().strip()

    def ssh(self, address: str, *command: str) -> subprocess.CompletedProcess[str]:
        options = ["-i", f"{self.directory}/login", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        options += ["-o", f"UserKnownHostsFile={self.directory}/known_hosts", "-o", "IdentitiesOnly=yes"]
        options += ["-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=5"]
        return subprocess.run(
            ["ssh", *options, f"admin@{address}", *command], capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    keys = Keys(tmp_path_factory.mktemp("keys"))
    keys.make("login")
    host_key = keys.make("host")
    (keys.directory / "known_hosts").write_text("".join(f"{address} {host_key}\n" for address in ADDRESSES))
    return keys


@pytest.fixture(scope="module")
def hosts(keys: Keys) -> Iterator[list[Host]]:
    """Three hosts, started at the same time: two of the base release and an updated one."""
    private = textwrap.indent((keys.directory / "host").read_text(), "    ")
    user_data = f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{private}  ed25519_public: "
    user_data += (keys.directory / "host.pub").read_text() + "runcmd:\n- touch /root/user-data-ran\n"
    made = [
        Host.create(
            f"test-{number}", address=address, image=UPDATED_RELEASE if number == 3 else BASE_RELEASE,
            hostname=f"test-{number}.example.internal", user_data=user_data.encode(),
            authorized_keys=[(keys.directory / "login.pub").read_text()],
            files={"/opt/given/file": (b"given", 0o640)}, binds={"/usr/bin/env": "/opt/bound"},
        )
        for number, address in enumerate(ADDRESSES, 1)
    ]  # fmt: skip
    with ThreadPoolExecutor() as pool:
        list(pool.map(Host.start, made))
    apt_proxy.up()  # on the hosts' network
    try:
        for host in made:
            until("a boot", lambda host=host: host.state == "running", 60)
        yield made
    finally:
        for host in made:
            host.delete()


def traces(name: str) -> str:
    """Whatever of a host can be seen on the machine."""
    commands = [
        "ip -o link",
        "ip -4 route show table all",
        "ip netns",
        "cat /proc/mounts",
        "ls /run/systemd/nspawn /tmp",
    ]
    commands += ["ps -eo args", "find /sys/fs/cgroup -name 'twinplane-*'", "find /var/lib/twinplane -maxdepth 2"]
    shown = [subprocess.run(["sh", "-c", c], capture_output=True, text=True, check=False).stdout for c in commands]
    number = name.rpartition("-")[2]
    signs = (name, f"198.19.200.{number}", f"tpc613c80{number}", "nspawn-root-")
    return "\n".join(line for text in shown for line in text.splitlines() if any(sign in line for sign in signs))


def test_login_with_pinned_host_key_and_key_pair(hosts: list[Host], keys: Keys) -> None:
    for host in hosts:
        done = keys.ssh(host.spec.address, "sudo id -u; hostname -f; sudo cat /opt/given/file")
        assert (done.returncode, done.stdout) == (0, f"0\n{host.spec.hostname}\ngiven"), done.stderr
        assert host.host_key == (keys.directory / "host.pub").read_text().strip()


def test_user_data_files_and_binds(hosts: list[Host]) -> None:
    until("user data", lambda: hosts[0].run("test", "-e", "/root/user-data-ran").returncode == 0, 60)
    shown = hosts[0].run("sh", "-c", "stat -c '%a %U' /opt/given/file; touch /opt/bound; /opt/bound echo bound")
    assert shown.stdout == "640 root\nbound\n"
    assert "Read-only file system" in shown.stderr
    until("all units", lambda: hosts[0].run("systemctl", "is-system-running").stdout == "running\n", 60)


def test_hosts_reach_each_other_and_nothing_else(hosts: list[Host]) -> None:
    ping = ["ping", "-c1", "-W2"]
    assert hosts[0].run(*ping, ADDRESSES[1]).returncode == 0
    assert hosts[0].run(*ping, ADDRESSES[2]).returncode == 0
    assert hosts[0].run(*ping, "198.19.200.99").returncode == 1
    assert "Network is unreachable" in hosts[0].run(*ping, "192.0.2.1").stderr
    begun = time.monotonic()
    assert hosts[0].run("getent", "hosts", "deb.example").returncode == 2
    assert hosts[0].run("getent", "hosts", "ip-198-19-200-2.ec2.internal").stdout.startswith("198.19.200.2 ")
    assert time.monotonic() - begun < 4.5, "a resolver that does not answer is waited for 5 s"


def test_a_pod_network_is_routed_to_its_node(hosts: list[Host]) -> None:
    hosts[1].run("ip", "address", "add", "198.19.201.1/32", "dev", "lo")
    network.route("198.19.201.0/24", via=ADDRESSES[1])
    assert hosts[0].run("ping", "-c1", "-W2", "198.19.201.1").returncode == 0
    network.unroute("198.19.201.0/24")
    network.unroute("198.19.201.0/24")
    assert hosts[0].run("ping", "-c1", "-W2", "198.19.201.1").returncode == 1


def test_the_newer_release_has_security_updates_that_the_base_lacks(hosts: list[Host]) -> None:
    pending, update = [], ("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
    for host in (hosts[0], hosts[2]):
        until("package lists", lambda host=host: host.run(*update, timeout=300).returncode == 0, 300)
        lines = host.run("apt-get", "-s", "upgrade").stdout.splitlines()
        pending.append(sum(line.startswith("Inst") and "Debian-Security" in line for line in lines))
    # What Debian published since the image was made, it lacks as well.
    assert pending[0] > pending[1]


def test_containers_can_have_cgroups_mounts_and_messages(hosts: list[Host]) -> None:
    script = """
    mkdir /sys/fs/cgroup/pids/probe /sys/fs/cgroup/memory/probe 2>/dev/null || mkdir /sys/fs/cgroup/probe
    rmdir /sys/fs/cgroup/pids/probe /sys/fs/cgroup/memory/probe 2>/dev/null || rmdir /sys/fs/cgroup/probe
    test -c /dev/kmsg && findmnt -no PROPAGATION / && echo 1 >/proc/sys/net/ipv4/ip_forward
    mkdir -p /var/lib/containerd/lower /var/lib/containerd/upper /var/lib/containerd/work /var/lib/containerd/merged
    cd /var/lib/containerd
    mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
    umount merged
    """
    done = hosts[0].run("sh", "-euc", script)
    assert (done.returncode, done.stdout) == (0, "shared\n"), done.stderr


def test_a_guest_reboots_and_comes_back(hosts: list[Host], keys: Keys) -> None:
    host, before = hosts[0], settled(hosts[0])
    host.write("/root/kept", b"kept")
    keys.ssh(host.spec.address, "sudo systemctl reboot")
    until("another boot", lambda: booted_again(host, before), 60)
    assert keys.ssh(host.spec.address, "sudo cat /root/kept").stdout == "kept"
    host.reboot()
    assert host.state == "booting"
    until("a boot", lambda: host.state == "running", 60)


@pytest.mark.parametrize("victim", ["nspawn", "init"])
def test_a_crashed_host_comes_back(hosts: list[Host], victim: str) -> None:
    host, before = hosts[1], settled(hosts[1])
    nspawn, leader = supervisor.child(host.unit), host.leader
    assert nspawn
    assert leader
    os.kill(nspawn.pid if victim == "nspawn" else leader, signal.SIGKILL)
    until("another boot", lambda: booted_again(host, before), 60)
    assert Cgroup(host.name).processes()
    until("its end", lambda: not Path(f"/proc/{leader}").exists(), 60)


def test_a_crashed_host_boots_without_the_groups_of_its_last_life(hosts: list[Host]) -> None:
    host, before = hosts[1], settled(hosts[1])
    left = Cgroup(host.name).groups()[-1] / "left"
    left.mkdir()
    assert host.leader
    os.kill(host.leader, signal.SIGKILL)
    until("another boot", lambda: booted_again(host, before), 60)
    assert not left.exists()


def test_a_host_outlives_its_supervisor_and_gets_a_new_one(hosts: list[Host]) -> None:
    host, before = hosts[1], settled(hosts[1])
    record = supervisor.Record.read(host.unit).supervisor
    assert record
    record.signal(signal.SIGKILL)
    assert record.wait(5)
    assert host.state == "running"
    host.start()
    assert (supervisor.alive(host.unit), settled(host)) == (True, before)
    host.reboot()
    until("another boot", lambda: booted_again(host, before), 60)


def test_all_processes_killed_at_once(hosts: list[Host]) -> None:
    host, before = hosts[1], settled(hosts[1])
    record = supervisor.Record.read(host.unit)
    for process in (record.supervisor, record.child):
        assert process
        process.signal(signal.SIGKILL)
    until("a stop", lambda: host.state == "stopped", 60)
    host.start()
    until("another boot", lambda: booted_again(host, before), 60)


def test_stop_keeps_the_disk_and_leaves_no_process(hosts: list[Host]) -> None:
    host = hosts[1]
    settled(host)
    host.write("/root/kept", b"kept")
    host.stop()
    host.stop()
    assert host.state == "stopped"
    with pytest.raises(Failed, match="test-2 is stopped"):
        host.run("true")
    host.write("/root/new", b"written while stopped", 0o600)
    host.start()
    until("a boot", lambda: host.state == "running", 60)
    assert host.run("cat", "/root/kept", "/root/new").stdout == "keptwritten while stopped"
    assert host.run("sh", "-c", "poweroff").returncode == 0
    until("a stop", lambda: host.state == "stopped", 60)
    host.start()


def test_create_is_idempotent_and_refuses_what_cannot_be(hosts: list[Host]) -> None:
    spec = hosts[2].spec
    given = {"image": UPDATED_RELEASE, "hostname": spec.hostname, "binds": spec.binds}
    assert Host.create("test-3", address=spec.address, **given).spec == spec  # type: ignore[arg-type]
    with pytest.raises(Failed, match="other properties"):
        Host.create("test-3", address=spec.address, image=BASE_RELEASE, hostname="other")
    with pytest.raises(UsageError, match=r"belongs to host test-3"):
        Host.create("test-4", address=spec.address, image=BASE_RELEASE, hostname="test-4")
    with pytest.raises(UsageError, match=r"10\.0\.0\.1 is not in 198\.18\.0\.0/15"):
        Host.create("test-4", address="10.0.0.1", image=BASE_RELEASE, hostname="test-4")
    assert Host("test-4").state == "absent"


def test_delete_leaves_nothing_even_while_booting(hosts: list[Host]) -> None:
    assert traces("test-1")
    hosts[0].delete()
    hosts[0].delete()
    assert traces("test-1") == ""
    host = Host.create("test-1", address=ADDRESSES[0], image=BASE_RELEASE, hostname="test-1", ssh=False)
    host.start()
    time.sleep(0.3)
    host.delete()
    assert (host.state, traces("test-1")) == ("absent", "")


def test_a_killed_image_build_leaves_no_process() -> None:
    build = "from lab.machines import host_image; host_image._run('exec sleep 4242')"
    builder = subprocess.Popen([sys.executable, "-c", build], cwd=ROOT)
    shown = ["pgrep", "--full", "--exact", "sleep 4242"]
    until("a build", lambda: subprocess.run(shown, capture_output=True, check=False).returncode == 0, 60)
    builder.kill()
    builder.wait()
    until("its end", lambda: subprocess.run(shown, capture_output=True, check=False).returncode == 1, 5)


def test_the_bridge_belongs_to_nobody_outside() -> None:
    shown = subprocess.run(["ip", "-o", "address", "show", "dev", BRIDGE], capture_output=True, text=True, check=True)
    assert f"{FABRIC}/32" in shown.stdout
    assert "inet6" not in shown.stdout
    assert subprocess.run(["ip", "route", "get", "198.19.200.99"], capture_output=True, check=False).returncode != 0

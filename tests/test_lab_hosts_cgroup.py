"""Control groups on stand-ins for the kernel's files: hybrid, version 2, and what a host left."""

from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.machines.cgroup import Cgroup, Hierarchy

HYBRID = """\
30 25 0:26 / {root}/pids rw,relatime - cgroup cgroup rw,pids
31 25 0:27 / {root}/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 / {root}/cpuset rw,relatime - cgroup cgroup rw,cpuset
33 25 0:29 / {root}/systemd rw,relatime - cgroup cgroup rw,name=systemd
34 25 0:30 / {root}/unified rw,relatime - cgroup2 cgroup2 rw
35 25 0:31 / /home rw,relatime - ext4 /dev/vda rw
"""
HYBRID_OWN = "5:pids:/session/1\n4:cpu,cpuacct:/\n3:cpuset:/session/1\n2:name=systemd:/\n1:net_cls:/\n0::/session/1\n"


def machine(folder: Path, mountinfo: str, own: str) -> list[Hierarchy]:
    (folder / "proc").mkdir()
    (folder / "proc/mountinfo").write_text(mountinfo.format(root=folder))
    (folder / "proc/cgroup").write_text(own)
    return Hierarchy.all(folder / "proc")


def test_on_a_hybrid_machine_groups_lie_below_the_current_ones(tmp_path: Path) -> None:
    hierarchies = machine(tmp_path, HYBRID, HYBRID_OWN)
    for hierarchy in hierarchies:
        hierarchy.own.mkdir(parents=True)
    (tmp_path / "cpuset/session/1/cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset/session/1/cpuset.mems").write_text("0\n")
    cgroup = Cgroup("x", hierarchies)
    cgroup.enter(7)
    entered = {
        str(file.parent.relative_to(tmp_path)) for file in tmp_path.rglob("cgroup.procs") if file.read_text() == "7"
    }
    below = ("pids/session/1", "cpu,cpuacct", "cpuset/session/1", "systemd", "unified/session/1")
    assert entered == {f"{place}/twinplane-x" for place in below}
    assert (tmp_path / "cpuset/session/1/twinplane-x/cpuset.cpus").read_text() == "0-1\n"


def test_on_version_2_groups_lie_at_the_root_which_hands_controllers_down(tmp_path: Path) -> None:
    line = "34 25 0:30 / {root} rw,relatime - cgroup2 cgroup2 rw\n"
    hierarchies = machine(tmp_path, line, "0::/user.slice/session-1.scope\n")
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma\n")
    Cgroup("x", hierarchies).enter(7)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpuset +cpu +io +memory +pids"
    assert (tmp_path / "twinplane-x/cgroup.procs").read_text() == "7"


def test_a_version_2_container_is_told_why_it_cannot(tmp_path: Path) -> None:
    hierarchies = machine(tmp_path, "34 25 0:30 / {root} rw - cgroup2 cgroup2 rw\n", "0::/\n")
    (tmp_path / "cgroup.controllers").write_text("cpu\n")
    (tmp_path / "cgroup.subtree_control").mkdir()  # Stands for a file that cannot be written.
    with pytest.raises(UsageError, match="cannot hand cgroup controllers down"):
        Cgroup("x", hierarchies).enter(7)


def test_a_machine_without_cgroups_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no control groups are mounted"):
        machine(tmp_path, "35 25 0:31 / /home rw,relatime - ext4 /dev/vda rw\n", "0::/\n")


def test_a_host_is_found_whoever_made_it_and_removed_deepest_first(tmp_path: Path) -> None:
    hierarchies = [Hierarchy(tmp_path, tmp_path / "session/2")]
    mine, other = tmp_path / "session/1/twinplane-x", tmp_path / "session/2/twinplane-y"
    (mine / "kubepods/pod1").mkdir(parents=True)
    (other / "twinplane-x").mkdir(parents=True)  # A guest's own group of the same name is the guest's.
    cgroup = Cgroup("x", hierarchies)
    assert Cgroup.names(hierarchies) == {"x", "y"}
    assert cgroup.groups() == [mine / "kubepods/pod1", mine / "kubepods", mine]
    (mine / "kubepods/cgroup.procs").write_text("11\n12\n")
    (mine / "cgroup.procs").write_text("0\n10\n")
    assert cgroup.processes() == {10, 11, 12}
    (mine / "kubepods/cgroup.procs").unlink()
    (mine / "cgroup.procs").unlink()
    cgroup.remove()
    assert cgroup.groups() == []
    assert other.exists()

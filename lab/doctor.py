"""What this machine has, what it lacks and how to get it, and which parts of the lab are real or stand-ins on it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from lab import constants, nftables, toolchain
from lab.machines import packages
from lab.plugins import STAND_INS, official
from twinplane.check import Check, needed

#: Bytes after a first demo: Go's build cache 11 GB, Go's modules 5 GB, hosts 5 GB, tools and images 3 GB.
DISK = 25_000_000_000
#: Bytes: both clusters with their hosts, and the largest Go build beside them.
MEMORY = 6_000_000_000

State = Literal["here", "missing", "real", "stand-in"]

#: Parts of the lab that are the same on every machine.
PARTS: dict[str, tuple[State, str]] = {
    "Pulumi engine, state and secrets": ("real", "the pulumi command with a file backend"),
    "Ansible": ("real", "over SSH with pinned host keys"),
    "machines": ("real", "Debian 12 with systemd, sshd and cloud-init in systemd-nspawn; they share this kernel"),
    "Kubernetes": ("real", "kubeadm, kubelet, containerd, etcd, control plane: upstream versions"),
    "cloud-controller-manager": ("real", "AWS's own, on both clusters, against the lab's EC2 and load balancers"),
    "descheduler": ("real", "the project's own, on both clusters"),
    "security updates": ("real", "Debian's own, through a proxy on the bridge"),
    "EC2, IAM, STS, SSM": ("stand-in", "moto; a reconciler boots a host for every instance"),
    "EBS volumes": ("real", "attached ones, as loop devices; neither encrypted nor of a given speed"),
    "Network load balancers": ("real", "HAProxy with the target group's health checks; the API side is moto's"),
    "Application load balancers": ("stand-in", "moto: as the controller makes them, and no traffic"),
    "AWS Load Balancer Controller": ("stand-in", "the lab's own, of the real one's chart, flags and webhook"),
    "ECR, KMS, CloudWatch Logs": ("stand-in", "moto: the API's answers only; images come from the lab's own registry"),
    "EKS's add-ons": ("stand-in", "kube-proxy, coredns and metrics-server are real; of the others the API answers"),
    "EKS Auto Mode": ("stand-in", "a node of one type comes for pods that wait, and goes when it is empty"),
    "EKS's encryption of Secrets": ("stand-in", "real in etcd, with a key of the lab's in place of the one in KMS"),
    "EKS": ("stand-in", "the lab's own API; the control plane and the nodes behind it are real"),
    "security groups, VPC isolation": ("stand-in", "stored, not enforced"),
}


def checks() -> Iterator[Check]:
    """Every check, in the order in which a new machine needs it."""
    yield needed("root", os.geteuid() == 0, f"uid {os.geteuid()}", "the lab boots machines: run it as root")
    yield needed(
        "Linux", sys.platform == "linux", sys.platform, "Linux, for AWS stacks too: a virtual machine or WSL 2 will do"
    )
    yield _cgroups()
    yield _loops()
    yield _memory()
    yield _disk()
    yield from _commands()
    yield from _tools()
    yield from _images()
    for name in STAND_INS:
        path = official(name)
        yield Check(name, "real", str(path)) if path else Check(name, "stand-in", STAND_INS[name])
    for name, (state, detail) in PARTS.items():
        yield Check(name, state, detail)
    yield _network_policies()


def _cgroups() -> Check:
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    hybrid = Path("/sys/fs/cgroup/pids").exists()
    detail = "v2" if unified else "v1 hybrid" if hybrid else "not mounted"
    return needed("cgroups", unified or hybrid, detail, "mount /sys/fs/cgroup")


def _loops() -> Check:
    control = Path("/dev/loop-control")
    return needed(
        "loop devices", control.exists(), str(control), "modprobe loop: volumes of ha-lab's machines need them"
    )


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return needed("memory", total >= MEMORY, f"{total / 1e9:.1f} GB", f"both clusters need {MEMORY / 1e9:.0f} GB")


def _disk() -> Check:
    place = next(path for path in (constants.CACHE, *constants.CACHE.parents) if path.exists())
    free = shutil.disk_usage(place).free
    # What is cached already needs no room a second time.
    enough = free >= (DISK if toolchain.missing() else DISK // 3)
    return needed("disk", enough, f"{free / 1e9:.1f} GB free in {place}", f"{DISK / 1e9:.0f} GB for a first build")


def _commands() -> Iterator[Check]:
    lacking = packages.missing()
    detail = f"missing: {' '.join(lacking)}" if lacking else ", ".join(sorted(set(packages.COMMANDS.values())))
    yield needed("Debian packages", not lacking, detail, "`twinplane lab up` installs them, or apt-get install")
    there = find_spec("moto") is not None
    yield needed("Python moto", there, "installed" if there else "not installed", "make setup")


def _network_policies() -> Check:
    """What becomes of NetworkPolicy objects is the kernel's to say."""
    told = "stored, not enforced: the VPC CNI does not run here, and "
    if why := nftables.refuses():
        return Check("NetworkPolicy", "stand-in", f"{told}this kernel refuses kube-network-policies its queue ({why})")
    told += (
        "self-managed-lab takes kube-network-policies, for which this kernel has a queue, by `networkPolicies: true`"
    )
    return Check("NetworkPolicy", "stand-in", told)


def _tools() -> Iterator[Check]:
    lacking = {each.name for each in toolchain.missing()}
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    how = "`twinplane lab prepare` gets it" if go else "install Go 1.26, then `twinplane lab prepare`"
    for each in toolchain.useful():
        here = each.name not in lacking
        detail = f"{each.version}, {(toolchain.BIN / each.name).resolve()}" if here else f"{each.version} not built"
        yield needed(each.name, here, detail, f"{how} (a build takes about {each.seconds} s)")


def _images() -> Iterator[Check]:
    folder = constants.CACHE / "images"
    for release in (constants.BASE_RELEASE, constants.UPDATED_RELEASE):
        found = next(folder.glob(f"debian-12-{release}-*"), None)
        detail = str(found) if found else f"not in {folder}"
        yield needed(f"host image {release}", found is not None, detail, "`twinplane lab prepare` makes it")

"""What a machine says of itself: system, updates, and who runs which part of Kubernetes. Changes nothing."""

from __future__ import annotations

import base64
import http.client
import json
import os
import platform
import re
import ssl
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.debian import Unavailable, pending, reboot_reasons, refresh, unfinished

DOCUMENTATION = """
module: node_facts
short_description: System, updates, certificates, disks and Kubernetes processes of a machine
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
KUBERNETES = Path("/etc/kubernetes")
MANIFESTS = KUBERNETES / "manifests"
KUBELET_PKI = Path("/var/lib/kubelet/pki")
ETCD_PKI = KUBERNETES / "pki" / "etcd"
ETCD_DATA = Path("/var/lib/etcd")
#: The address that kubeadm's etcd serves clients of its own machine at.
ETCD = ("127.0.0.1", 2379)
#: Where the API server keeps the ConfigMap that `kubeadm init` writes: an etcd without it holds no cluster of kubeadm.
KUBEADM_CONFIG = b"/registry/configmaps/kube-system/kubeadm-config"
POD_NETWORK = Path("/etc/cni/net.d/10-pods.conflist")
#: The rules of kube-network-policies, and the queues that processes read packets from.
POLICY_RULES = ("nft", "list", "table", "inet", "kube-network-policies")
QUEUES = Path("/proc/net/netfilter/nfnetlink_queue")
STATIC_PODS = "kubelet, from a static pod manifest"
PODS = "kubelet, as the cluster asks"


def read(path: str | Path) -> str:
    """Returns the file's text, empty where there is none."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def release() -> str:
    """Returns the image's release, `serial` in the build.info of Debian's cloud images. Empty if unknown."""
    found = re.search(r"^\s*(?:serial|build_id)\s*:\s*\"?([\w.-]+)", read("/etc/cloud/build.info"), re.MULTILINE)
    return found[1] if found else ""


def stat(pid: int) -> list[str]:
    """Returns the fields of /proc/PID/stat from the state on."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def started(pid: int) -> str:
    """Returns when the process started, ISO 8601, UTC."""
    ticks = int(stat(pid)[19])
    # Both clocks count from the kernel's boot: right in a container too.
    epoch = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


def version(pid: int) -> str:
    """Returns what the running file itself answers to --version."""
    try:
        argv = [f"/proc/{pid}/exe", "--version"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\bv?(\d+\.\d+\.\d+\S*)", done.stdout)
    return found[1] if found else ""


def process(pid: int, name: str, manifests: dict[str, str]) -> dict[str, Any]:
    """Returns one running part and who starts it again."""
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
    """Returns the part of Kubernetes that a program is; clouds put their name before that of their controller."""
    name = Path(program).name
    return "cloud-controller-manager" if name.endswith("-cloud-controller-manager") else name


def processes(manifests: dict[str, str]) -> list[dict[str, Any]]:
    """Returns the parts of Kubernetes that run, each once."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        name = part(read(folder / "cmdline").split("\0", 1)[0])
        if name in PARTS and stat(int(folder.name)):
            found.append(process(int(folder.name), name, manifests))
    return sorted(found, key=lambda each: (PARTS.index(each["name"]), each["pid"]))


def static_pods() -> dict[str, str]:
    """Returns name of each static pod manifest and its image."""
    images = {}
    for file in sorted(MANIFESTS.glob("*.yaml")):
        image = re.search(r"^\s*(?:- )?image:\s*(\S+)", read(file), re.MULTILINE)
        images[file.stem] = image[1] if image else ""
    return images


def kubelet() -> dict[str, str]:
    """Returns what systemd says of the kubelet's unit: load, active, sub, result, and the exit status."""
    names = {"LoadState": "load", "ActiveState": "active", "SubState": "sub", "Result": "result"}
    names["ExecMainStatus"] = "status"
    argv = ["systemctl", "show", "kubelet.service", f"--property={','.join(names)}"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return {ours: found.get(theirs, "") for theirs, ours in names.items()}


def certificate(path: str, pem: bytes) -> dict[str, Any]:
    """Returns the first certificate of `pem`: whose it is, when it expires, if it is a CA. "": unreadable."""
    argv = ["openssl", "x509", "-noout", "-subject", "-enddate", "-ext", "basicConstraints"]
    try:
        shown = subprocess.run(argv, input=pem, capture_output=True, check=False).stdout.decode()
    except OSError:
        shown = ""
    subject = re.search(r"^subject=\s*(.+)$", shown, re.MULTILINE)
    end = re.search(r"^notAfter=(.+)$", shown, re.MULTILINE)
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(end[1]), UTC).isoformat() if end else ""
    return {
        "path": path,
        "subject": subject[1] if subject else "",
        "expires": expires,
        "authority": "CA:TRUE" in shown,
    }


def certificates() -> list[dict[str, Any]]:
    """Returns every certificate that Kubernetes uses on this machine, by path."""
    # The kubelet keeps those that it replaced, and serves with a self-signed one where it has no other.
    own = [*KUBELET_PKI.glob("*-current.pem")]
    if not any(file.name.startswith("kubelet-server") for file in own):
        own += KUBELET_PKI.glob("kubelet.crt")
    found = [certificate(str(file), file.read_bytes()) for file in (*(KUBERNETES / "pki").rglob("*.crt"), *own)]
    for file in KUBERNETES.glob("*.conf"):
        if inside := re.search(r"client-certificate-data:\s*(\S+)", read(file)):
            found.append(certificate(str(file), base64.b64decode(inside[1])))
    return sorted(found, key=lambda each: each["path"])


def disks() -> dict[str, dict[str, int]]:
    """Returns bytes in all and bytes free of the file systems under / and etcd's data, by path."""
    found = {}
    for path in (Path("/"), ETCD_DATA):
        if path.is_dir():
            seen = os.statvfs(path)
            found[str(path)] = {"size": seen.f_blocks * seen.f_frsize, "free": seen.f_bavail * seen.f_frsize}
    return found


def pod_range() -> str:
    """Returns the range that this machine gives its pods addresses from; "" where none is set up."""
    try:
        plugins = json.loads(read(POD_NETWORK) or "{}").get("plugins", [])
    except ValueError:
        return ""
    return next((each["ipam"]["subnet"] for each in plugins if "subnet" in each.get("ipam", {})), "")


def network_policies() -> bool:
    """Returns whether the kernel asks somebody about pods' packets: a rule queues them, and a process reads the queue.

    The rules stay when that process ends, and packets pass; a kernel without nftables' queue takes no such rule.
    """
    try:
        rules = subprocess.run(POLICY_RULES, capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    queued = set(re.findall(r"\bqueue\b\D*(\d+)", rules))
    return any(line.split()[0] in queued for line in read(QUEUES).splitlines())


def etcd() -> dict[str, Any]:
    """Returns what this machine's etcd says of itself, past the API server: its cluster's id and revision.

    `initialized`: it holds what `kubeadm init` wrote. Empty where no etcd answers, or too few members agree.
    """
    asked = json.dumps({"key": base64.b64encode(KUBEADM_CONFIG).decode(), "count_only": True})
    try:
        context = ssl.create_default_context(cafile=str(ETCD_PKI / "ca.crt"))
        context.load_cert_chain(ETCD_PKI / "healthcheck-client.crt", ETCD_PKI / "healthcheck-client.key")
        connection = http.client.HTTPSConnection(*ETCD, timeout=5, context=context)
        connection.request("POST", "/v3/kv/range", asked)
        answer = json.loads(connection.getresponse().read())
        header = answer["header"]
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return {}
    initialized = int(answer.get("count", 0)) > 0
    return {"cluster": header["cluster_id"], "revision": int(header["revision"]), "initialized": initialized}


def updates() -> dict[str, Any]:
    """Returns the pending updates; `updates_error` says why they are not known: an archive may be away."""
    try:
        refresh()
        return {"updates": pending(), "updates_error": ""}
    except Unavailable as error:
        return {"updates": [], "updates_error": " ".join(str(error).split())}


def main() -> None:
    """Answers `facts`."""
    module = AnsibleModule({}, supports_check_mode=True)
    system = dict(line.split("=", 1) for line in read("/etc/os-release").splitlines() if "=" in line)
    manifests = static_pods()
    timer = ["systemctl", "is-enabled", "--quiet", "apt-daily-upgrade.timer"]
    facts = {
        "hostname": platform.node(),
        "os": system.get("PRETTY_NAME", "").strip('"'),
        "kernel": platform.release(),
        "booted": started(1),
        "image_release": release(),
        **updates(),
        "unfinished": unfinished(),
        "reboot_reasons": reboot_reasons(),
        "unattended_upgrades": Path("/usr/bin/unattended-upgrade").exists()
        and subprocess.run(timer, capture_output=True, check=False).returncode == 0,
        "static_pods": manifests,
        "processes": processes(manifests),
        "kubelet": kubelet(),
        "certificates": certificates(),
        "disks": disks(),
        "pod_range": pod_range(),
        "network_policies": network_policies(),
        "etcd": etcd(),
    }
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()

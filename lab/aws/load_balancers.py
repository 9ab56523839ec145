"""Network load balancers made real: one HAProxy for each, on an address of its own, with the health checks asked for.

moto keeps load balancers, listeners, target groups and who is registered; `DNSName` is the address itself, since the
lab's names are private ones of EC2. Application load balancers are only kept: nothing serves them here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import constants, supervisor
from lab.aws import api, ec2
from lab.hosts import network
from twinplane.errors import Failed

#: Beginning of the supervised processes' names; the rest is the load balancer's id.
PREFIX = "nlb-"
#: Seconds between two looks when nothing is asked.
LATER = 3.0
#: Seconds for which a connection may be silent: AWS's fixed default for TCP.
IDLE = 350

#: End of the name of a server that is used when no target is healthy.
OPEN = "-open"

#: Set when a load balancer may want something else than it did.
changed = threading.Event()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Balancer:
    """One network load balancer, ready to be run."""

    name: str  # of its process
    address: str
    config: str  # HAProxy's

    @property
    def generation(self) -> str:
        """What a process says that has read this config."""
        return _generation(self.config)


def address(arn: str) -> str:
    """-> the address of a load balancer: the lowest that none has, kept on disk until `release`."""
    path = api.directory() / "load-balancers.json"
    taken: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if arn not in taken:
        free = (str(each) for each in constants.LOAD_BALANCERS.hosts() if str(each) not in taken.values())
        _write(path, json.dumps({**taken, arn: next(free)}))
        return address(arn)
    return taken[arn]


def release(living: set[str]) -> None:
    """Frees the addresses of all but the `living` ARNs."""
    path = api.directory() / "load-balancers.json"
    taken: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if not taken.keys() <= living:
        _write(path, json.dumps({arn: where for arn, where in taken.items() if arn in living}))


def wanted() -> list[Balancer]:
    """-> every network load balancer as moto has it now."""
    with api.lock:
        addresses = {machine.id: machine.address for machine in ec2.machines() if machine.wanted != "terminated"}
        found = backend()
        balancers = [each for each in found.load_balancers.values() if each.type == "network"]
        release({each.arn for each in balancers})
        return [
            Balancer(process(each.arn), address(each.arn), _config(each, found.target_groups, addresses))
            for each in balancers
        ]


def health(target_group: Any, target_id: str) -> tuple[str, str, str] | None:
    """-> state, reason and description of a registered target, as DescribeTargetHealth tells; None where moto's own
    answer is right (it is not registered, or not of a network load balancer)."""
    kinds = {backend().load_balancers[arn].type for arn in target_group.load_balancer_arns}
    if target_id not in target_group.targets or "application" in kinds:
        return None
    if not kinds:
        return "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
    for arn in target_group.load_balancer_arns:
        for line in _statistics(process(arn)):
            if (line["# pxname"], line["svname"]) == (_id(target_group.arn), target_id) and line["check_status"]:
                if line["status"].startswith("UP") and line["check_status"].startswith("L"):
                    return "healthy", "", ""
                if line["status"].startswith("DOWN"):
                    return "unhealthy", "Target.FailedHealthChecks", f"Health checks failed: {line['last_chk']}"
    return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"


def process(arn: str) -> str:
    """-> the name of a load balancer's supervised process."""
    return PREFIX + _id(arn)


def backend() -> Any:
    """-> moto's load balancers of the lab's account and region."""
    from moto.elbv2.models import elbv2_backends

    return elbv2_backends[constants.ACCOUNT][constants.REGION]


def _id(arn: str) -> str:
    return arn.rsplit("/", 1)[1]


def _config(balancer: Any, groups: Any, addresses: dict[str, str]) -> str:
    lines = [
        "global",
        "  nbthread 1",
        "  maxconn 2000",
        f"  stats socket {_socket(process(balancer.arn))} mode 600",
        "defaults",
        "  mode tcp",
        "  timeout connect 2s",
        f"  timeout client {IDLE}s",
        f"  timeout server {IDLE}s",
        "  retries 3",
        "  option redispatch 1",
    ]
    used = []
    for listener in balancer.listeners.values():
        group = next(arn for action in listener.default_actions for arn in _targets_of(action.data))
        used.append(group)
        lines += [f"frontend {_id(listener.arn)}", f"  bind {address(balancer.arn)}:{listener.port}"]
        lines += [f"  default_backend {_id(group)}"]
    for arn in dict.fromkeys(used):
        lines += _backend(groups[arn], addresses)
    generation = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    lines.insert(1, f"  node {generation}")
    return "\n".join(lines) + "\n"


def _targets_of(action: dict[str, Any]) -> Iterator[str]:
    if action.get("TargetGroupArn"):
        yield action["TargetGroupArn"]
    for group in (action.get("ForwardConfig") or {}).get("TargetGroups") or []:
        yield group["TargetGroupArn"]


def _backend(group: Any, addresses: dict[str, str]) -> list[str]:
    lines = [f"backend {_id(group.arn)}", "  balance roundrobin"]
    check = [
        f"check inter {group.health_check_interval_seconds}s",
        f"rise {group.healthy_threshold_count}",
        f"fall {group.unhealthy_threshold_count}",
        "on-marked-down shutdown-sessions",  # as AWS's, unless its target group says otherwise
    ]
    lines += [f"  timeout check {group.health_check_timeout_seconds}s"]
    if group.health_check_protocol in {"HTTP", "HTTPS"}:
        expected = (group.matcher or {}).get("HttpCode", "200")
        lines += [f"  option httpchk GET {group.health_check_path or '/'}", f"  http-check expect status {expected}"]
        check += ["check-ssl verify none"] if group.health_check_protocol == "HTTPS" else []
    if str(group.health_check_port) != "traffic-port":
        check += [f"port {group.health_check_port}"]
    # While no target is healthy, all get requests, as with AWS: there the last resort is a second, unchecked entry.
    lines += ["  option allbackups"]
    for target in group.targets.values():
        where = addresses.get(target["Id"], None if target["Id"].startswith("i-") else target["Id"])
        if where:
            server = f"{where}:{target.get('Port') or group.port}"
            lines += [f"  server {target['Id']} {server} {' '.join(check)}"]
            lines += [f"  server {target['Id']}{OPEN} {server} backup"]
    return lines


def _socket(name: str) -> Path:
    return constants.STATE / "run" / f"{name}.sock"


def _generation(config: str) -> str:
    return config.split("  node ", 1)[1].split("\n", 1)[0]


def _statistics(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_asked(name, "show stat")))


def _asked(name: str, question: str) -> list[str]:
    """-> the lines that a process answers; none where it does not."""
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(1)
            asked.connect(str(_socket(name)))
            asked.sendall(f"{question}\n".encode())
            return b"".join(iter(lambda: asked.recv(65536), b"")).decode().splitlines()
    except OSError:
        return []


def running(name: str) -> str:
    """-> the generation of the config that a process works by; "" where none answers."""
    told = (line.partition(": ") for line in _asked(name, "show info"))
    return next((value for key, _, value in told if key == "node"), "")


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(text)
    fresh.rename(path)


class Balancers:
    """Keeps a supervised HAProxy for every network load balancer, in a thread of the daemon."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load balancers", daemon=True)

    def start(self) -> None:
        """Begins. What an earlier daemon started runs on, and is brought up to date."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the looking; load balancers run on."""
        self._over.set()
        changed.set()
        self._thread.join()

    def step(self) -> None:
        """Looks once, and starts, reloads and stops what has to be."""
        balancers = {each.name: each for each in wanted()}
        for made in _file("").parent.glob("*.cfg"):
            if made.stem not in balancers:
                self._remove(made.stem)
        for each in balancers.values():
            # Also again where a process did not hear it, as while it was busy with the last.
            if running(each.name) != each.generation:
                self._apply(each)

    def _apply(self, balancer: Balancer) -> None:
        network.own(balancer.address)
        path = _file(balancer.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, balancer.config)
        if (child := supervisor.child(balancer.name)) and supervisor.alive(balancer.name):
            child.signal(signal.SIGUSR2)  # a new worker listens before the old one lets go
        else:
            supervisor.start(balancer.name, ["/usr/sbin/haproxy", "-W", "-db", "-f", str(path)])

    def _remove(self, name: str) -> None:
        supervisor.stop(name, grace=2)
        for line in _file(name).read_text().splitlines() if _file(name).exists() else ():
            if line.startswith("  bind "):
                network.disown(line.split()[1].split(":")[0])
        _file(name).unlink(missing_ok=True)
        _socket(name).unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._over.is_set():
            changed.clear()
            try:
                self.step()
            except (OSError, Failed):
                log.exception("load balancers")
            changed.wait(LATER)


def _file(name: str) -> Path:
    return constants.STATE / "aws" / "haproxy" / f"{name}.cfg"

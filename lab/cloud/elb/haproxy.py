"""HAProxy as one network load balancer: its configuration, and what a running process says of itself."""

from __future__ import annotations

import csv
import hashlib
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lab import constants

#: Seconds for which a connection may be silent: AWS's fixed default for TCP.
IDLE = 350
#: Seconds for which connections of before a change may go on.
DRAIN = 60
#: End of the name of a server that is used when no target is healthy.
OPEN = "-open"


def config(name: str, address: str, listeners: Iterable[Any], groups: Any, machines: Mapping[str, str]) -> str:
    """Returns the configuration of the process `name`, which listens on `address`.

    `listeners` and `groups` (by ARN) are moto's, `machines` the addresses of instances by their ids.
    """
    lines = [
        "global",
        f"  description {address}",  # also where nothing listens on it
        "  nbthread 1",
        "  maxconn 2000",
        f"  hard-stop-after {DRAIN}s",
        f"  stats socket {socket_file(name)} mode 600 expose-fd listeners",
        "defaults",
        "  mode tcp",
        "  timeout connect 2s",
        f"  timeout client {IDLE}s",
        f"  timeout server {IDLE}s",
        "  retries 3",
        "  option redispatch 1",
    ]
    used = []
    for listener in listeners:
        group = next(arn for action in listener.default_actions for arn in targets_of(action.data))
        used.append(group)
        lines += [f"frontend {tail(listener.arn)}", f"  bind {address}:{listener.port}"]
        # What failed, one line for each connection; it goes where the supervisor keeps its log.
        lines += ["  log stdout format raw local0", "  option tcplog", "  option dontlog-normal"]
        lines += [f"  default_backend {tail(group)}"]
    for arn in dict.fromkeys(used):
        lines += _backend(groups[arn], machines)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    lines.insert(1, f"  node {digest}")
    return "\n".join(lines) + "\n"


def targets_of(action: dict[str, Any]) -> Iterator[str]:
    """Returns ARNs of the target groups that an action of a listener leads to."""
    if action.get("TargetGroupArn"):
        yield action["TargetGroupArn"]
    for group in (action.get("ForwardConfig") or {}).get("TargetGroups") or []:
        yield group["TargetGroupArn"]


def _backend(group: Any, machines: Mapping[str, str]) -> list[str]:
    lines = [f"backend {tail(group.arn)}", "  balance roundrobin"]
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
        where = machines.get(target["Id"], None if target["Id"].startswith("i-") else target["Id"])
        if where:
            server = f"{where}:{target.get('Port') or group.port}"
            lines += [f"  server {target['Id']} {server} {' '.join(check)}"]
            lines += [f"  server {target['Id']}{OPEN} {server} backup"]
    return lines


def tail(arn: str) -> str:
    """Returns the last part of an ARN: the name of a section, and of a server's backend in `statistics`."""
    return arn.rsplit("/", 1)[1]


def socket_file(name: str) -> Path:
    """Returns where a process answers questions. A short path: it has at most 107 bytes."""
    return constants.STATE / "run" / f"{name}.sock"


def address(config: str) -> str:
    """Returns the address that a configuration was made for."""
    return config.split("  description ", 1)[1].split("\n", 1)[0]


def generation(config: str) -> str:
    """Returns what a process says that has read this configuration."""
    return config.split("  node ", 1)[1].split("\n", 1)[0]


def statistics(name: str) -> list[dict[str, str]]:
    """Returns what a process counts, one line for each frontend, server and backend."""
    return list(csv.DictReader(_asked(name, "show stat")))


def _asked(name: str, question: str) -> list[str]:
    """Returns the lines that a process answers; none where it does not."""
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(1)
            asked.connect(str(socket_file(name)))
            asked.sendall(f"{question}\n".encode())
            return b"".join(iter(lambda: asked.recv(65536), b"")).decode().splitlines()
    except OSError:
        return []


def running(name: str) -> str:
    """Returns the generation of the config that a process works by; "" where none answers."""
    told = (line.partition(": ") for line in _asked(name, "show info"))
    return next((value for key, _, value in told if key == "node"), "")

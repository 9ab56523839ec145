"""Network load balancers as the lab sees them in moto: each with an address and a DNS name of its own, and true health.

moto keeps load balancers, listeners, target groups and who is registered. controller.py makes them real. Application
load balancers are only kept: nothing serves them here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab import constants, whole_file
from lab.cloud import api
from lab.cloud.ec2 import ec2
from lab.cloud.elb import haproxy
from lab.machines import names

#: Beginning of the supervised processes' names; the rest is the load balancer's id.
PREFIX = "nlb-"


@dataclass(frozen=True)
class Balancer:
    """One network load balancer, ready to be run."""

    name: str  # of its process
    address: str
    config: str  # HAProxy's

    @property
    def generation(self) -> str:
        """What a process says that has read this config."""
        return haproxy.generation(self.config)


def address(arn: str) -> str:
    """Returns the address of a load balancer: the lowest that none has, kept on disk until `free` or `release`."""
    taken = _taken()
    if arn not in taken:
        free = (str(each) for each in constants.LOAD_BALANCERS.hosts() if str(each) not in taken.values())
        taken[arn] = next(free)
        _keep(taken)
    return taken[arn]


def dns_name(arn: str) -> str:
    """Returns the name that leads to its address, also on this machine, in AWS's form:
    `api-0123456789abcdef.elb...`."""
    address(arn)
    return _name(arn)


def free(arn: str) -> None:
    """Frees the address of a load balancer that was deleted. With the request, not at the next look: a replay has no
    looks, and would run out of addresses."""
    taken = _taken()
    if arn in taken and arn not in backend().load_balancers:
        del taken[arn]
        _keep(taken)


def release(living: set[str]) -> None:
    """Frees the addresses of all but the `living` ARNs, and tells the others' names again: they may be lost."""
    taken = _taken()
    kept = {arn: where for arn, where in taken.items() if arn in living}
    if kept != taken:
        _keep(kept)
    else:
        _tell(kept)


def _taken() -> dict[str, str]:
    path = api.directory() / "load-balancers.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _keep(taken: dict[str, str]) -> None:
    whole_file.write(api.directory() / "load-balancers.json", json.dumps(taken))
    _tell(taken)


def _tell(taken: dict[str, str]) -> None:
    names.tell({_name(arn): where for arn, where in taken.items()})


def _name(arn: str) -> str:
    name, number = arn.split("/")[-2:]
    return f"{name}-{number}{names.DOMAIN}{constants.REGION}.amazonaws.com".lower()


def wanted() -> list[Balancer]:
    """Returns every network load balancer as moto has it now."""
    with api.lock:
        addresses = {machine.id: machine.address for machine in ec2.machines() if machine.wanted != "terminated"}
        found = backend()
        balancers = [each for each in found.load_balancers.values() if each.type == "network"]
        release({each.arn for each in balancers})
        return [_balancer(each, found.target_groups, addresses) for each in balancers]


def health(target_group: Any, target_id: str) -> tuple[str, str, str] | None:
    """Returns state, reason and description of a registered target, as DescribeTargetHealth tells; None where moto's
    own
    answer is right (it is not registered, or not of a network load balancer)."""
    kinds = {backend().load_balancers[arn].type for arn in target_group.load_balancer_arns}
    if target_id not in target_group.targets or "application" in kinds:
        return None
    if not kinds:
        return "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
    for arn in target_group.load_balancer_arns:
        for line in statistics(process(arn)):
            if (line["# pxname"], line["svname"]) == (haproxy.tail(target_group.arn), target_id) and line[
                "check_status"
            ]:
                if line["status"].startswith("UP") and line["check_status"].removeprefix("* ").startswith("L"):
                    return "healthy", "", ""
                if line["status"].startswith("DOWN"):
                    return "unhealthy", "Target.FailedHealthChecks", f"Health checks failed: {line['last_chk']}"
    return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"


@cache
def statistics(name: str) -> list[dict[str, str]]:
    """Returns what a process counts, asked once for all targets of a request, at whose end it is forgotten: one that is
    slow to answer would be waited for at each."""
    return haproxy.statistics(name)


def leading_to(target_group: Any) -> list[str]:
    """Returns ARNs of the load balancers that lead to a target group, by a rule of a listener, as they are now:
    moto's own
    list knows listeners as they were made."""
    return [
        balancer.arn
        for balancer in backend().load_balancers.values()
        if any(
            target_group.arn in haproxy.targets_of(action.data)
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for action in rule.actions
        )
    ]


def process(arn: str) -> str:
    """Returns the name of a load balancer's supervised process."""
    return PREFIX + haproxy.tail(arn)


def backend() -> Any:
    """Returns moto's load balancers of the lab's account and region."""
    from moto.elbv2.models import elbv2_backends

    return elbv2_backends[constants.ACCOUNT][constants.REGION]


def _balancer(found: Any, groups: Any, machines: dict[str, str]) -> Balancer:
    name, where = process(found.arn), address(found.arn)
    return Balancer(name, where, haproxy.config(name, where, found.listeners.values(), groups, machines))


def config_file(name: str) -> Path:
    """Returns where HAProxy's configuration of a process is."""
    return constants.STATE / "aws" / "haproxy" / f"{name}.cfg"

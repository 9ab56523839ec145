"""Routes to instances, made real: what a route table sends to an instance goes through its host.

The machine is the router of all VPCs of the lab, so one table speaks for all. Which routes are of tables, the machine's
own routes tell: nothing else is kept, and a daemon that was killed goes on from what it finds.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from moto.ec2.models.route_tables import Route

from lab.cloud import api
from lab.cloud.ec2 import ec2
from lab.constants import ACCOUNT, RANGE
from lab.machines import network


def install() -> None:
    """Readies moto: a route tells the instance and the interface that it leads to, and whether they are still there."""
    Route.instance_id = property(_instance_id)  # type: ignore[assignment, method-assign]
    Route.instance_owner_id = property(lambda route: ACCOUNT if _instance(route) else None)  # type: ignore[attr-defined]
    Route.network_interface_id = property(_interface_id)  # type: ignore[assignment, method-assign]
    Route.state = property(_state)  # type: ignore[assignment, method-assign]


def wanted() -> dict[str, str]:
    """Returns network -> address of the host that it goes through. An instance that checks who packets are for gets
    none but
    its own, and networks outside the lab lead nowhere."""
    with api.lock:
        return {
            route.destination_cidr_block: str(instance.private_ip)
            for table in ec2.backend().route_tables.values()
            for route in table.routes
            if (instance := _instance(route)) and not _checks(instance) and _inside(route.destination_cidr_block)
        }


def make() -> None:
    """Makes what is wanted, and removes what was."""
    now, then = network.marked(network.TABLES), wanted()
    for cidr in now.keys() - then.keys():
        network.unroute(cidr)
    for cidr, address in then.items():
        if now.get(cidr) != address:
            network.route(cidr, address, mark=network.TABLES)


def _instance(route: Any) -> Any | None:
    """Returns the living instance at the end of a route, asked for by itself or by its network interface."""
    found = route.instance or (route.interface and route.interface.instance)
    return found if found and found._state.wanted != "terminated" else None


def _checks(instance: Any) -> bool:
    return str(instance.source_dest_check).lower() == "true"  # moto keeps the word that was sent


def _inside(cidr: str | None) -> bool:
    return cidr is not None and IPv4Network(cidr).subnet_of(RANGE)


def _instance_id(route: Any) -> str | None:
    instance = _instance(route)
    return instance.id if instance else None


def _interface_id(route: Any) -> str | None:
    if route.interface:
        return str(route.interface.id)
    return str(route.instance.nics[0].id) if route.instance else None


def _state(route: Any) -> str:
    """As EC2 tells: a route to what is gone stays, and swallows packets."""
    leads_to_instance = route.instance or route.interface
    return "blackhole" if leads_to_instance and _instance(route) is None else "active"

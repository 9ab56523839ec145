"""Makes network load balancers real: one HAProxy for each, with the health checks asked for."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence

from lab import supervisor, whole_file
from lab.cloud.controller import Controller
from lab.cloud.elb import haproxy
from lab.cloud.elb.load_balancers import config_file, wanted
from lab.machines import network


class BalancerController(Controller):
    """Keeps a supervised HAProxy for every network load balancer."""

    LATER = 3.0

    def __init__(self) -> None:
        super().__init__("load balancers")

    def noticed(self, action: str, form: Mapping[str, Sequence[str]], status: int) -> None:  # noqa: ARG002
        """Takes in a request of Elastic Load Balancing that may have changed something."""
        self.wake()

    def step(self) -> bool:
        """Looks once, and starts, reloads and stops what has to be."""
        balancers = {each.name: each for each in wanted()}
        for made in config_file("").parent.glob("*.cfg"):
            if made.stem not in balancers:
                self._remove(made.stem)
        for each in balancers.values():
            path = config_file(each.name)
            told = path.exists() and path.read_text() == each.config
            if not told:
                path.parent.mkdir(parents=True, exist_ok=True)
                whole_file.write(path, each.config)
            if not supervisor.alive(each.name):
                network.own(each.address)
                supervisor.start(each.name, ["/usr/sbin/haproxy", "-W", "-db", "-f", str(path)])
            # Also again where it did not hear it, as while it was busy with the last. One that is silent is busy.
            elif not told or haproxy.running(each.name) not in {each.generation, ""}:
                network.own(each.address)
                if child := supervisor.child(each.name):
                    child.signal(signal.SIGUSR2)  # a new worker listens before the old one lets go
        return False

    def _remove(self, name: str) -> None:
        supervisor.stop(name, grace=2)
        network.disown(haproxy.address(config_file(name).read_text()))
        config_file(name).unlink(missing_ok=True)
        haproxy.socket_file(name).unlink(missing_ok=True)

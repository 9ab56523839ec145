"""The lab's AWS API in this process, fresh for one test, without any host."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import moto.ec2.models.instances
import pytest
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.route_tables import Route
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses.general import General
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX
from moto.elbv2.models import ELBv2Backend, FakeListener, FakeLoadBalancer, FakeTargetGroup
from moto.moto_api._internal.models import moto_api_backend
from moto.s3.models import FakeBucket

from lab import constants
from lab.cloud import api
from lab.cloud.ec2 import instance_connect
from lab.cloud.endpoint.endpoint import Endpoint
from lab.cloud.endpoint.journal import Journal
from lab.machines import names

#: What the lab changes of moto's code, but for its clock, which goes as before where no request is answered.
CORRECTED: dict[Any, tuple[str, ...]] = {
    moto.ec2.models.instances: ("InstanceState",),
    Instance: ("terminate",),
    SubnetBackend: ("delete_subnet",),
    VPCBackend: ("delete_vpc",),
    InstanceBackend: ("get_reservations_by_instance_ids",),
    General: (
        "get_console_output",
        "describe_instance_topology",
        "create_instance_connect_endpoint",
        "delete_instance_connect_endpoint",
        "describe_instance_connect_endpoints",
    ),
    EBSBackend: ("attach_volume",),
    Route: ("instance_id", "network_interface_id", "state", "instance_owner_id"),
    ELBv2Backend: ("create_load_balancer",),
    FakeLoadBalancer: ("dns_name",),
    FakeListener: ("ssl_policy",),
    FakeTargetGroup: ("health_for", "load_balancer_arns"),
    FakeBucket: ("get_permission",),
}


def keep_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lab changes of moto from here on is as before, when the patches are undone."""
    for owner, corrected in CORRECTED.items():
        for name in corrected:
            monkeypatch.setattr(owner, name, getattr(owner, name, None), raising=False)
    monkeypatch.setitem(EC2_RESOURCE_TO_PREFIX, instance_connect.KIND, instance_connect.PREFIX)
    monkeypatch.setitem(EC2_PREFIX_TO_RESOURCE, instance_connect.PREFIX, instance_connect.KIND)


@contextmanager
def fresh(state: Path, monkeypatch: pytest.MonkeyPatch, **wiring: Any) -> Iterator[Endpoint]:
    """Yields an endpoint with its state below `state`. `wiring` is Endpoint's; moto is as it was when this ends."""
    # AWS's thousand policies take a second each time, and no test of this process asks for one.
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
    moto_api_backend.reset()
    monkeypatch.setattr(constants, "STATE", state)
    keep_moto(monkeypatch)
    monkeypatch.setattr(names, "HOSTS", state / "hosts")
    state.mkdir(parents=True, exist_ok=True)
    names.HOSTS.write_text("127.0.0.1 localhost\n")
    endpoint = Endpoint(Journal(api.directory() / "journal.jsonl"), **wiring)
    monkeypatch.setattr(api, "endpoint", endpoint)
    yield endpoint
    moto_api_backend.reset()

"""The lab's AWS API in this process, fresh for one test, without any host."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import moto.ec2.models.instances
import pytest
from moto.ec2.models.instances import Instance
from moto.ec2.models.route_tables import Route
from moto.ec2.responses.general import General
from moto.elbv2.models import FakeListener, FakeLoadBalancer, FakeTargetGroup
from moto.moto_api._internal.models import moto_api_backend
from moto.s3.models import FakeBucket

from lab import constants
from lab.aws import api, ec2
from lab.aws.front import Front
from lab.aws.journal import Journal
from lab.hosts import names


@contextmanager
def fresh(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """-> a front with its state below `state`; moto is as it was before when it ends."""
    # AWS's thousand policies take a second each time, and no test of this process asks for one.
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
    moto_api_backend.reset()
    monkeypatch.setattr(constants, "STATE", state)
    monkeypatch.setattr(moto.ec2.models.instances, "InstanceState", moto.ec2.models.instances.InstanceState)
    monkeypatch.setattr(Instance, "terminate", Instance.terminate)
    for name in ("instance_id", "network_interface_id", "state"):
        monkeypatch.setattr(Route, name, getattr(Route, name))
    monkeypatch.setattr(Route, "instance_owner_id", None, raising=False)
    monkeypatch.setattr(General, "get_console_output", General.get_console_output)
    monkeypatch.setattr(FakeTargetGroup, "health_for", FakeTargetGroup.health_for)
    monkeypatch.setattr(FakeLoadBalancer, "dns_name", "", raising=False)
    monkeypatch.setattr(FakeListener, "ssl_policy", "", raising=False)
    monkeypatch.setattr(names, "HOSTS", state / "hosts")
    state.mkdir(parents=True, exist_ok=True)
    names.HOSTS.write_text("127.0.0.1 localhost\n")
    monkeypatch.setattr(FakeBucket, "get_permission", FakeBucket.get_permission)
    for name, empty in (("bootstraps", []), ("reboots", set()), ("console", lambda _: "")):
        monkeypatch.setattr(ec2, name, empty)
    front = Front(Journal(api.directory() / "journal.jsonl"))
    monkeypatch.setattr(api, "front", front)
    yield front
    moto_api_backend.reset()

"""Where moto differs from AWS, and what a replay needs beyond the request itself."""

from __future__ import annotations

import base64
import copy
import dataclasses
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import moto.ec2.models.instances
from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses.general import General
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeListener, FakeLoadBalancer, FakeTargetGroup
from moto.s3.models import FakeBucket

from lab.cloud.ec2 import ec2, instance_connect, machine_images, routes, volumes
from lab.cloud.elb import load_balancers
from lab.cloud.endpoint.journal import Entry
from lab.cloud.identity import bucket_policy

_terminate_once = Instance.terminate
_subnet_deleted_once = SubnetBackend.delete_subnet
_vpc_deleted_once = VPCBackend.delete_vpc
_described_once = InstanceBackend.get_reservations_by_instance_ids
_health_for = FakeTargetGroup.health_for
_balancer_once = ELBv2Backend.create_load_balancer


def prepare(console: Callable[[str], str]) -> None:
    """Readies moto: states that are true, consoles that are real, and the lab's images. `console` returns what an
    instance has printed."""
    moto.ec2.models.instances.InstanceState = ec2.State  # type: ignore[assignment,misc]
    Instance.terminate = _terminate  # type: ignore[method-assign]
    SubnetBackend.delete_subnet = _subnet_deleted  # type: ignore[method-assign]
    VPCBackend.delete_vpc = _vpc_deleted  # type: ignore[method-assign]
    InstanceBackend.get_reservations_by_instance_ids = _described  # type: ignore[method-assign]
    General.get_console_output = _console_output(console)  # type: ignore[method-assign]
    General.describe_instance_topology = _no_topology  # type: ignore[attr-defined]
    ELBv2Backend.create_load_balancer = _balancer  # type: ignore[method-assign]
    FakeLoadBalancer.dns_name = property(_dns_name, _set_dns_name)  # type: ignore[assignment]
    FakeTargetGroup.load_balancer_arns = property(load_balancers.leading_to, lambda *_: None)  # type: ignore[assignment]
    FakeListener.ssl_policy = property(_ssl_policy, _set_ssl_policy)  # type: ignore[assignment]
    FakeTargetGroup.health_for = _true_health  # type: ignore[method-assign]
    FakeBucket.get_permission = bucket_policy.permission  # type: ignore[method-assign]
    instance_connect.install()
    routes.install()
    volumes.install()
    machine_images.register(ec2.backend())


def correct(action: str, body: bytes) -> None:
    """Where moto differs from EC2: corrected after each request, live and replayed."""
    load_balancers.statistics.cache_clear()
    backend = ec2.backend()
    if action == "RunInstances" and not re.search(rb"NetworkInterface\.\d+\.DeleteOnTermination", body):
        # The interface that comes with an instance goes with it.
        for instance in backend.all_instances():
            for interface in instance.nics.values():
                interface.delete_on_termination = True
    if action == "RunInstances":
        # The groups of an instance are those of its first interface, also where they were asked for there.
        for instance in backend.all_instances():
            instance.security_groups = instance.security_groups or list(instance.nics[0].group_set)
    freeing = {"TerminateInstances", "DeleteNetworkInterface", "UnassignPrivateIpAddresses"}
    if action in freeing | {"DeleteInstanceConnectEndpoint"}:
        # moto would give a freed address to the next instance, in an order that no replay repeats, while the old host
        # still has it.
        for subnets in backend.subnets.values():
            for subnet in subnets.values():
                subnet._unused_ips.clear()
    if action == "DeleteLoadBalancer":
        load_balancers.free(parse_qs(body.decode("latin-1")).get("LoadBalancerArn", [""])[0])


def lasting(entry: Entry) -> Entry:
    """Returns the request that has the same effect when it is replayed: a generated key pair is kept by its public
    half,
    and who showed a token without it."""
    form = {key: values[0] for key, values in parse_qs(entry.body.decode("latin-1")).items()}
    key = ec2.backend().key_pairs.get(form.get("KeyName"))
    if form.get("Action") == "AssumeRoleWithWebIdentity":
        return dataclasses.replace(entry, body=urlencode(form | {"WebIdentityToken": "checked"}).encode())
    if form.get("Action") != "CreateKeyPair" or key is None:
        return entry
    form |= {"Action": "ImportKeyPair", "PublicKeyMaterial": base64.b64encode(key.public_key.encode()).decode()}
    return dataclasses.replace(entry, body=urlencode(form).encode())


def _terminate(self: Any) -> Any:
    """EC2 ends an instance again without an error."""
    return copy.copy(self._state) if self._state.wanted == "terminated" else _terminate_once(self)


def _subnet_deleted(self: Any, subnet_id: str) -> Any:
    """EC2 keeps a subnet that a load balancer stands in."""
    standing = (place.id for each in load_balancers.backend().load_balancers.values() for place in each.subnets)
    if subnet_id in standing:
        raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    return _subnet_deleted_once(self, subnet_id)


def _vpc_deleted(self: Any, vpc_id: str) -> Any:
    """EC2 keeps a VPC that has another security group than its own."""
    if any(group.name != "default" for group in self.groups.get(vpc_id, {}).values()):
        raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    return _vpc_deleted_once(self, vpc_id)


def _described(self: Any, instance_ids: list[str], filters: Any = None) -> Any:
    """EC2 takes an id given twice as given once; cloud controllers put such questions together."""
    return _described_once(self, list(dict.fromkeys(instance_ids)), filters)


def _balancer(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The ARN says of which type a load balancer is; moto says `app` of all. One has a scheme, asked for or not."""
    made = _balancer_once(self, *args, **kwargs)
    made.scheme = made.scheme or "internet-facing"
    if made.type == "network":
        old, made.arn = made.arn, made.arn.replace(":loadbalancer/app/", ":loadbalancer/net/")
        self.load_balancers[made.arn] = self.load_balancers.pop(old)
        self.tagging_service.copy_tags(old, made.arn)
        self.tagging_service.delete_all_tags_for_resource(old)
    return made


def _dns_name(self: Any) -> str:
    """A network load balancer's name leads somewhere; any other has no address here."""
    return load_balancers.dns_name(self.arn) if self.type == "network" else str(self._dns_name)


def _set_dns_name(self: Any, value: str) -> None:
    self._dns_name = value


def _ssl_policy(self: Any) -> str | None:
    """Listeners without TLS have none: cloud controllers would take it away, again and again."""
    return self._ssl_policy if self.protocol in {"HTTPS", "TLS"} else None


def _set_ssl_policy(self: Any, value: str) -> None:
    self._ssl_policy = value


def _true_health(self: Any, target: dict[str, Any], ec2_backend: Any) -> FakeHealthStatus:
    """What the health checks say, not moto's `healthy`."""
    seen = load_balancers.health(self, target["Id"])
    if seen is None:
        return _health_for(self, target, ec2_backend)
    registered = self.targets[target["Id"]]
    return FakeHealthStatus(target["Id"], registered["Port"], self.health_check_port, *seen)


def _console_output(console: Callable[[str], str]) -> Any:
    def get_console_output(self: Any) -> Any:
        instance = ec2.backend().get_instance(self._get_param("InstanceId"))
        output = Base64EncodedString.from_raw_string(console(instance.id))
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": output})

    return get_console_output


def _no_topology(_: Any) -> Any:
    """Where an instance stands in its data center, EC2 tells of large types alone."""
    return ActionResult({"Instances": []})

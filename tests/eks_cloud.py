"""EC2, IAM and clusters as the EKS stand-in meets them, in memory."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from werkzeug.test import create_environ

from lab.cloud import api, callers, wsgi
from lab.cloud.ec2 import ec2
from lab.cloud.eks import cluster, endpoint, nodegroup, nodes
from lab.cloud.eks.kube import KubeError
from lab.cloud.eks.model import Json
from lab.cloud.eks.state import Cluster, Store
from lab.machines import network

USER = "arn:aws:iam::123456789012:user/twinplane"
ROLE = "arn:aws:iam::123456789012:role/"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
#: By id, each with data that EKS takes or refuses.
TEMPLATES: dict[str, Json] = {"lt-1": {}, "lt-2": {"InstanceType": "m7i.large"}, "lt-3": {"ImageId": "ami-1"}}
URL = "http://eks.test"
ZONES = {"subnet-a": "us-east-1a", "subnet-b": "us-east-1b", "subnet-c": "us-east-1a"}


#: Of a pod that the scheduler finds no node for.
WAITS = {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}}


class Account:
    """What the checks of requests ask EC2 and IAM."""

    def __init__(self) -> None:
        self.profiles: dict[str, list[str]] = {}  # instance profile -> its roles

    def describe_subnets(self, *, SubnetIds: list[str]) -> Json:
        unknown = [each for each in SubnetIds if each not in ZONES]
        if unknown:
            raise refused("InvalidSubnetID.NotFound", f"The subnet ID '{unknown[0]}' does not exist")
        vpc = {"subnet-a": "vpc-1", "subnet-b": "vpc-1", "subnet-c": "vpc-2"}
        return {"Subnets": [{"SubnetId": s, "AvailabilityZone": ZONES[s], "VpcId": vpc[s]} for s in SubnetIds]}

    def describe_security_groups(self, **_: Any) -> Json:
        return {"SecurityGroups": []}

    def describe_launch_template_versions(self, *, LaunchTemplateId: str, Versions: list[str]) -> Json:
        if LaunchTemplateId not in TEMPLATES:
            raise refused("InvalidLaunchTemplateId.NotFound", f"{LaunchTemplateId} does not exist")
        data = TEMPLATES[LaunchTemplateId] | {"MetadataOptions": {"HttpPutResponseHopLimit": int(Versions[0])}}
        found = {"LaunchTemplateId": LaunchTemplateId, "LaunchTemplateName": "its-name", "LaunchTemplateData": data}
        return {"LaunchTemplateVersions": [found | {"VersionNumber": int(Versions[0])}]}

    def describe_key(self, *, KeyId: str) -> Json:
        if not KeyId.startswith(KEY):
            raise refused("NotFoundException", f"Key '{KeyId}' does not exist")
        kind = "SYMMETRIC_DEFAULT" if KeyId in (KEY, KEY + "-disabled") else "RSA_2048"
        return {"KeyMetadata": {"Arn": KeyId, "Enabled": KeyId != KEY + "-disabled", "KeySpec": kind}}

    def get_role(self, *, RoleName: str) -> Json:
        services = {"eks": "eks.amazonaws.com", "node": "ec2.amazonaws.com"}
        services |= dict.fromkeys(("pods", "other-pods"), "pods.eks.amazonaws.com")
        if RoleName not in services:
            raise refused("NoSuchEntity", f"The role with name {RoleName} cannot be found.")
        return {"Role": {"Arn": ROLE + RoleName, "AssumeRolePolicyDocument": {"Service": services[RoleName]}}}

    def assume_role(self, *, RoleArn: str, RoleSessionName: str, DurationSeconds: int) -> Json:
        end = datetime.now(UTC) + timedelta(seconds=DurationSeconds)
        keys = {"AccessKeyId": f"key of {RoleArn}", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end}
        return {"Credentials": keys, "AssumedRoleUser": {"Arn": RoleSessionName, "AssumedRoleId": "AROA"}}

    def create_instance_profile(self, *, InstanceProfileName: str) -> None:
        if InstanceProfileName in self.profiles:
            raise refused("EntityAlreadyExists", InstanceProfileName)
        self.profiles[InstanceProfileName] = []

    def add_role_to_instance_profile(self, *, InstanceProfileName: str, RoleName: str) -> None:
        if self.profiles[InstanceProfileName]:
            raise refused("LimitExceeded", "InstanceSessionsPerInstanceProfile: 1")
        self.profiles[InstanceProfileName].append(RoleName)

    def remove_role_from_instance_profile(self, *, InstanceProfileName: str, RoleName: str) -> None:
        if RoleName not in self.profiles.get(InstanceProfileName, []):
            raise refused("NoSuchEntity", InstanceProfileName)
        self.profiles[InstanceProfileName].remove(RoleName)

    def delete_instance_profile(self, *, InstanceProfileName: str) -> None:
        if InstanceProfileName not in self.profiles:
            raise refused("NoSuchEntity", InstanceProfileName)
        assert not self.profiles.pop(InstanceProfileName), "IAM refuses while it holds a role"


def refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Anything")


class Cloud:
    """Instances that run and join when told to."""

    def __init__(self) -> None:
        self.instances: dict[str, ec2.Machine] = {}
        self.routes: dict[str, str] = {}
        self.launches = 0
        self.templates: list[Json] = []
        self.profiles: set[str] = set()

    def machines(self) -> list[ec2.Machine]:
        return list(self.instances.values())

    def launch(
        self,
        *,
        release: str,
        subnet_id: str,
        instance_type: str,
        tags: dict[str, str],
        token: str,
        security_group: str,
        template: Json,
        profile: str,
    ) -> str:
        assert security_group == "sg-1"
        self.templates.append(template)
        self.profiles.add(profile)
        for machine in self.machines():
            if machine.token == token and machine.wanted != "terminated":
                return machine.id
        self.launches += 1
        number = self.launches
        name = f"i-{number:017x}"
        self.instances[name] = ec2.Machine(
            id=name, wanted="running", state="pending", release=release, address=f"198.18.0.{number}",
            hostname=f"ip-198-18-0-{number}.ec2.internal", zone=ZONES[subnet_id], subnet_id=subnet_id,
            instance_type=instance_type, user_data=b"", authorized_keys=(), tags=tags, token=token,
        )  # fmt: skip
        return name

    def terminate(self, name: str) -> None:
        self.become(name, wanted="terminated", state="shutting-down")

    def become(self, name: str, **changes: Any) -> None:
        self.instances[name] = replace(self.instances[name], **changes)

    def settle(self) -> None:
        """Whatever is on its way arrives."""
        for machine in self.machines():
            arrived = "terminated" if machine.wanted == "terminated" else "running"
            self.become(machine.id, state=arrived)


class Api:
    """A cluster's API server with nodes and pods. `locked` pods are held by a PodDisruptionBudget."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.joined: dict[str, bool] = {}  # Node name -> Ready
        self.unschedulable: set[str] = set()
        self.pods: dict[str, str] = {}  # pod name -> Node name
        self.waiting: list[str] = []  # pods that fit on no node
        self.locked: set[str] = set()
        self.applied: list[Json] = []
        self.changes: dict[str, Json] = {}
        self.down = False

    def get(self, path: str) -> Json:
        if self.down:
            raise KubeError(0, "no answer")
        if path == "/api/v1/nodes":
            ready = [{"type": "Ready", "status": str(each)} for each in self.joined.values()]
            return {
                "items": [
                    {"metadata": {"name": name, "labels": {}}, "spec": {}, "status": {"conditions": [condition]}}
                    for name, condition in zip(self.joined, ready, strict=True)
                ]
            }
        if path == "/api/v1/pods":
            placed = [{"metadata": {"name": pod}, "spec": {"nodeName": node}} for pod, node in self.pods.items()]
            return {"items": placed + [{"metadata": {"name": pod}, "spec": {}, **WAITS} for pod in self.waiting]}
        found = re.fullmatch(r"/api/v1/pods\?fieldSelector=spec.nodeName=(.*)", path)
        if found:
            metadata = [{"name": pod, "namespace": "t"} for pod, node in self.pods.items() if node == found[1]]
            return {"items": [{"metadata": each, "status": {"phase": "Running"}} for each in metadata]}
        raise KubeError(404, path)

    def patch(self, path: str, change: Json) -> Json:
        name = path.removeprefix("/api/v1/nodes/")
        if "metadata" in change:
            self.changes[name] = change
        if "unschedulable" not in change.get("spec", {}):
            return {}
        (self.unschedulable.add if change["spec"].get("unschedulable") else self.unschedulable.discard)(name)
        return {}

    def apply(self, manifest: Json) -> Json:
        self.applied.append(manifest)
        return manifest

    def delete(self, path: str) -> None:
        if self.down:
            raise KubeError(0, "no answer")
        self.joined.pop(path.removeprefix("/api/v1/nodes/"), None)

    def evict(self, namespace: str, pod: str) -> bool:
        assert namespace == "t"
        if pod in self.locked:
            return False
        free = [name for name, ready in self.joined.items() if ready and name not in self.unschedulable]
        self.pods[pod] = free[0] if free else ""
        return True

    def settle(self) -> None:
        """Every instance that runs joins; one that is gone is not Ready any more."""
        for machine in self.cloud.machines():
            if machine.state == "running":
                self.joined[machine.hostname] = True
            elif machine.hostname in self.joined:
                self.joined[machine.hostname] = False


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account()
    monkeypatch.setattr(api, "client", lambda _: made)
    monkeypatch.setattr(callers, "caller", lambda _: USER)
    return made


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    for name in ("machines", "launch", "terminate"):
        monkeypatch.setattr(nodes.ec2, name, getattr(made, name))
    monkeypatch.setattr(network, "route", made.routes.__setitem__)
    monkeypatch.setattr(network, "unroute", lambda cidr: made.routes.pop(cidr, None))
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "eks.json")


@cache
def _client() -> tuple[Any, list[endpoint.App]]:
    """A boto3 client without a network, made once, and the application that it calls."""
    app: list[endpoint.App] = []

    def send(request: Any, **_: Any) -> Any:
        environ = create_environ(method=request.method, base_url=URL, data=request.body or b"")
        environ["RAW_URI"] = request.url.removeprefix(URL)
        status, headers, chunks = wsgi.respond(cast(Any, app[0]), environ)
        return AWSResponse(request.url, status, headers, api._Raw(b"".join(chunks)))

    session = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    # What boto3 would refuse by itself shall arrive.
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    client = session.client("eks", endpoint_url=URL, config=config)
    client.meta.events.register("before-send", send)
    return client, app


@pytest.fixture
def eks(account: Account, store: Store) -> Any:  # noqa: ARG001
    """A boto3 client of the API."""
    client, app = _client()
    app[:] = [endpoint.App(store, lambda: None)]
    return client


def make_cluster(store: Store, name: str = "demo", status: str = "ACTIVE") -> Cluster:
    given = {
        "name": name,
        "roleArn": ROLE + "eks",
        "resourcesVpcConfig": {"subnetIds": ["subnet-a", "subnet-b"]},
        "accessConfig": {"authenticationMode": "API"},
    }
    cluster.create(store, given, USER)
    with store.change() as clusters:
        clusters[name].api["status"] = status
        clusters[name].api["resourcesVpcConfig"]["clusterSecurityGroupId"] = "sg-1"
    return store.cluster(name)


def make_group(store: Store, size: int = 2, **more: Any) -> None:
    given = {
        "clusterName": "demo",
        "nodegroupName": "ng",
        "subnets": ["subnet-a", "subnet-b"],
        "nodeRole": ROLE + "node",
        "scalingConfig": {"minSize": 1, "maxSize": 5, "desiredSize": size},
        "releaseVersion": "1.36.3-20260901",
    }
    nodegroup.create(store, given | more)


def steps(limit: int = 200) -> Iterator[int]:
    """Counts steps; a test that needs more never ends."""
    yield from itertools.islice(itertools.count(), limit)
    pytest.fail("does not come to an end")

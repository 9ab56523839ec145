"""The metadata service: who learns what, and what its credentials are good for."""

import json
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
import pytest

from lab import constants
from lab.cloud import api
from lab.cloud.ec2 import metadata
from tests import aws_front

#: Of who is no instance.
OTHER = "arn:aws:iam::123456789012:role/deep/cluster"
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    with aws_front.fresh(tmp_path, monkeypatch):
        server = metadata.serve(
            {"127.0.0.1": OTHER}.get, lambda who, token: (403, f"{token} from {who}"), "127.0.0.1", 0
        )
        yield server
        server.shutdown()
        server.server_close()


def instance(address: str, *, role: str = "") -> str:
    """Runs one with that address, at which no host has to answer."""
    ec2, iam = api.client("ec2"), api.client("iam")
    more: dict[str, Any] = {}
    if role:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="profile")
        iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName=role)
        more["IamInstanceProfile"] = {"Name": "profile"}
    vpc = ec2.create_vpc(CidrBlock=f"{address.rpartition('.')[0]}.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"{address.rpartition('.')[0]}.0/24")["Subnet"]["SubnetId"]
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    made = ec2.run_instances(
        ImageId=image,
        InstanceType="t3.medium",
        SubnetId=subnet,
        MinCount=1,
        MaxCount=1,
        PrivateIpAddress=address,
        **more,
    )
    return str(made["Instances"][0]["InstanceId"])


def ask(server: ThreadingHTTPServer, path: str, method: str = "GET", **headers: str) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.server_port}/latest/{path}",
        method=method,
        headers={key.replace("_", "-"): value for key, value in headers.items()},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return str(answer.read().decode())


def session(server: ThreadingHTTPServer) -> dict[str, str]:
    return {TOKEN: ask(server, "api/token", "PUT", **{TTL: "60"})}


def test_an_instance_learns_of_itself(service: ThreadingHTTPServer) -> None:
    name = instance("127.0.0.1")
    token = session(service)
    assert ask(service, "meta-data/instance-id", **token) == name
    assert ask(service, "meta-data/local-ipv4", **token) == "127.0.0.1"
    zone = ask(service, "meta-data/placement/availability-zone", **token)
    document = json.loads(ask(service, "dynamic/instance-identity/document", **token))
    assert (document["instanceId"], document["availabilityZone"], document["region"]) == (name, zone, "us-east-1")


def test_no_answer_without_a_session_of_one_s_own(service: ThreadingHTTPServer) -> None:
    instance("127.0.0.1")
    with pytest.raises(HTTPError, match="401"):
        ask(service, "meta-data/instance-id")
    with pytest.raises(HTTPError, match="400"):
        ask(service, "api/token", "PUT", **{TTL: "999999"})
    one = metadata.Metadata({}.get)
    token = one.token("198.18.0.1", 60)
    assert one.open("198.18.0.1", token)
    assert not one.open("198.18.0.2", token), "of another address"


def test_a_pod_s_address_is_no_instance_s(service: ThreadingHTTPServer) -> None:
    instance("198.18.0.9")
    with pytest.raises(HTTPError, match="404"):
        ask(service, "meta-data/instance-id", **session(service))


def test_the_token_of_a_pod_needs_no_session(service: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{service.server_port}/v1/credentials"
    request = urllib.request.Request(url, headers={"Authorization": "a token"})
    with pytest.raises(HTTPError, match="403") as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10)
    assert refused.value.read() == b"a token from 127.0.0.1"


def test_no_credentials_without_a_role(service: ThreadingHTTPServer) -> None:
    instance("127.0.0.1")
    with pytest.raises(HTTPError, match="404"):
        ask(service, "meta-data/iam/security-credentials/", **session(service))


def test_credentials_are_the_role_s(service: ThreadingHTTPServer) -> None:
    name = instance("127.0.0.1", role="control-plane")
    token = session(service)
    assert ask(service, "meta-data/iam/security-credentials/", **token) == "control-plane"
    with pytest.raises(HTTPError, match="404"):
        ask(service, "meta-data/iam/security-credentials/another", **token)
    keys = json.loads(ask(service, "meta-data/iam/security-credentials/control-plane", **token))
    assert keys == json.loads(ask(service, "meta-data/iam/security-credentials/control-plane", **token)), "kept"
    sts = boto3.session.Session().client(
        "sts",
        region_name=constants.REGION,
        endpoint_url=constants.API_URL,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )
    sts.meta.events.register("before-send", api._inside)
    assert sts.get_caller_identity()["Arn"].endswith(f":assumed-role/control-plane/{name}")


def test_credentials_for_a_control_plane_of_eks(service: ThreadingHTTPServer) -> None:
    api.client("iam").create_role(RoleName="cluster", Path="/deep/", AssumeRolePolicyDocument="{}")
    token = session(service)
    assert ask(service, "meta-data/iam/security-credentials/", **token) == "cluster"
    keys = json.loads(ask(service, "meta-data/iam/security-credentials/cluster", **token))
    assert keys["AccessKeyId"].startswith("ASIA")
    with pytest.raises(HTTPError, match="404"):
        ask(service, "meta-data/instance-id", **token)


def test_no_topology_of_small_instances(service: ThreadingHTTPServer) -> None:  # noqa: ARG001
    assert api.client("ec2").describe_instance_topology(InstanceIds=[instance("198.18.0.9")])["Instances"] == []

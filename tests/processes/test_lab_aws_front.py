"""The AWS API in another process, killed and started again."""

import json
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from components.kubeadm.etcd_backups import tls_only

#: Servers are forks of one process that has read moto's modules: each still has a memory of its own, to be killed with.
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(
    [__name__, "lab.cloud.endpoint.endpoint", "lab.cloud.endpoint.moto_patches", "moto.iam.models", "moto.sts.models"]
)


def serve(state: Path, port: Connection) -> None:
    """The front alone on a free port; what a daemon is without hosts, mirror and EKS."""
    from werkzeug.serving import make_server

    from lab import constants
    from lab.cloud import api
    from lab.cloud.endpoint.endpoint import Endpoint
    from lab.cloud.endpoint.journal import Journal

    sys.stderr = (state / "log").open("a")
    constants.STATE = state
    server = make_server("127.0.0.1", 0, Endpoint(Journal(api.directory() / "journal.jsonl")), threaded=True)
    server.daemon_threads = True
    port.send(server.port)
    server.serve_forever()


class Server:
    def __init__(self, state: Path) -> None:
        self.state = state
        self.start()

    def start(self) -> None:
        receiver, sender = forks.Pipe(duplex=False)
        self.process = forks.Process(target=serve, args=(self.state, sender), daemon=True)
        self.process.start()
        sender.close()
        self.url = f"http://127.0.0.1:{receiver.recv()}"

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def client(self, service: str, secret: str = "", region: str = "us-east-1") -> Any:
        keys = json.loads((self.state / "aws" / "credentials.json").read_text())
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=keys["access_key"],
            aws_secret_access_key=secret or keys["secret_key"],
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("state"))
    yield made
    made.kill()


def network(ec2: Any, cidr: str) -> str:
    vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock=cidr)["Subnet"]["SubnetId"])


def debian(ec2: Any) -> str:
    images = ec2.describe_images(Owners=["136693071363"], Filters=[{"Name": "name", "Values": ["debian-12-amd64-*"]}])[
        "Images"
    ]
    assert len(images) == 1
    return str(images[0]["ImageId"])


def run(ec2: Any, subnet: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = ec2.run_instances(
        ImageId=debian(ec2), InstanceType="t3.medium", SubnetId=subnet, MinCount=1, MaxCount=1, **more
    )["Instances"][0]
    return made


def everything(server: Server) -> dict[str, Any]:
    """What callers can see, all with its ids and times."""
    ec2, iam = server.client("ec2"), server.client("iam")
    seen: dict[str, Callable[[], Any]] = {
        "Reservations": ec2.describe_instances,
        "Vpcs": ec2.describe_vpcs,
        "Subnets": ec2.describe_subnets,
        "NetworkInterfaces": ec2.describe_network_interfaces,
        "SecurityGroups": ec2.describe_security_groups,
        "SecurityGroupRules": ec2.describe_security_group_rules,
        "KeyPairs": ec2.describe_key_pairs,
        "Volumes": ec2.describe_volumes,
        "Tags": ec2.describe_tags,
        "Roles": iam.list_roles,
    }
    return {name: ask()[name] for name, ask in seen.items()}


def test_registry_keys_and_logs_survive_kill_9_with_the_same_ids(server: Server) -> None:
    ec2, ecr, kms, logs = (server.client(service) for service in ("ec2", "ecr", "kms", "logs"))
    key = kms.create_key(Description="images")["KeyMetadata"]
    kms.create_alias(AliasName="alias/images", TargetKeyId=key["KeyId"])
    ecr.create_repository(repositoryName="a/b", encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key["Arn"]})
    logs.create_log_group(logGroupName="flows")
    vpc = ec2.create_vpc(CidrBlock="198.18.48.0/20")["Vpc"]["VpcId"]
    service = "com.amazonaws.us-east-1.s3"
    tables = [
        table["RouteTableId"]
        for table in ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ]
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, RouteTableIds=tables)
    role = "arn:aws:iam::123456789012:role/x"
    ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogGroupName="flows",
        DeliverLogsPermissionArn=role,
    )

    def seen() -> list[Any]:
        ec2, ecr, kms, logs = (server.client(each) for each in ("ec2", "ecr", "kms", "logs"))
        return [
            kms.list_keys()["Keys"],
            kms.list_aliases()["Aliases"],
            ecr.describe_repositories()["repositories"],
            logs.describe_log_groups()["logGroups"],
            ec2.describe_vpc_endpoints()["VpcEndpoints"],
            ec2.describe_flow_logs()["FlowLogs"],
        ]

    before = seen()
    assert all(before)
    server.kill()
    server.start()
    assert seen() == before


def test_a_bucket_denies_what_its_policy_denies(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="closed")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::closed/*"}
    s3.put_bucket_policy(Bucket="closed", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket="closed", Key="a", Body=b"a")


def test_buckets_and_objects_survive_kill_9(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="snapshots")
    s3.put_bucket_policy(Bucket="snapshots", Policy=tls_only("arn:aws:s3:::snapshots"))
    s3.put_bucket_versioning(Bucket="snapshots", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", bytes(range(256)) * 1000):
        s3.put_object(Bucket="snapshots", Key="etcd/today one.db", Body=body)

    def seen() -> list[Any]:
        s3 = server.client("s3")
        return [
            s3.get_bucket_versioning(Bucket="snapshots")["Status"],
            [each["VersionId"] for each in s3.list_object_versions(Bucket="snapshots")["Versions"]],
            s3.get_object(Bucket="snapshots", Key="etcd/today one.db")["Body"].read(),
        ]

    before = seen()
    server.kill()
    server.start()
    assert seen() == before


def test_survives_kill_9_with_the_same_ids(server: Server) -> None:
    ec2, iam = server.client("ec2"), server.client("iam")
    subnet = network(ec2, "198.18.0.0/20")
    ec2.import_key_pair(
        KeyName="mine",
        PublicKeyMaterial=b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfYtFx0ZOOWPLs8sWQ0bbM0x3UGCzCxqC0RTz5jFhbK",
    )
    group = ec2.create_security_group(
        GroupName="nodes", Description="x", VpcId=ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    )
    ec2.authorize_security_group_ingress(
        GroupId=group["GroupId"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.18.0.0/20"}]}],
    )
    first = run(ec2, subnet, KeyName="mine", UserData="#cloud-config\n", SecurityGroupIds=[group["GroupId"]])
    run(ec2, subnet)
    with pytest.raises(ClientError):
        run(ec2, "subnet-0123456789abcdef0")
    ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
    third = run(ec2, subnet)
    assert third["PrivateIpAddress"] != first["PrivateIpAddress"], "an address is not reused while its host may live"
    iam.create_role(RoleName="node", AssumeRolePolicyDocument="{}")
    threads = [
        threading.Thread(target=lambda: (ec2.create_volume(AvailabilityZone="us-east-1a", Size=1), ec2.describe_vpcs()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = everything(server)
    assert len(before["Reservations"]) == 3

    server.kill()
    with (server.state / "aws" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"sequence": 99, "cut')
    server.start()
    assert everything(server) == before
    # And what is made after differs from what was made before.
    assert run(server.client("ec2"), subnet)["PrivateIpAddress"] not in {
        first["PrivateIpAddress"],
        third["PrivateIpAddress"],
    }


def test_another_attempt_of_a_call_has_the_first_one_s_answer_after_kill_9_too(server: Server) -> None:
    def ec2(call: str) -> Any:
        """Returns a client whose next call is an attempt of that one."""
        made = server.client("ec2")

        def named(request: Any, **_: Any) -> None:
            request.context["retries"]["invocation-id"] = call

        made.meta.events.register("before-sign.ec2", named)
        return made

    vpc = ec2("one").create_vpc(CidrBlock="198.18.9.0/24")["Vpc"]["VpcId"]
    assert ec2("one").create_vpc(CidrBlock="198.18.9.0/24")["Vpc"]["VpcId"] == vpc
    ec2("two").delete_vpc(VpcId=vpc)
    server.kill()
    server.start()
    ec2("two").delete_vpc(VpcId=vpc)
    with pytest.raises(ClientError, match="NotFound"):
        ec2("two").delete_vpc(VpcId="vpc-another")
    with pytest.raises(ClientError, match="NotFound"):
        ec2("three").delete_vpc(VpcId=vpc)


def test_a_generated_key_pair_survives_without_its_private_half(server: Server) -> None:
    ec2 = server.client("ec2")
    made = ec2.create_key_pair(KeyName="generated", KeyType="ed25519")
    assert made["KeyMaterial"].splitlines()[1] not in (server.state / "aws" / "journal.jsonl").read_text()

    def public() -> Any:
        return server.client("ec2").describe_key_pairs(KeyNames=["generated"], IncludePublicKey=True)["KeyPairs"][0]

    before = public()
    server.kill()
    server.start()
    after = public()
    assert (after["PublicKey"].split()[:2], after["KeyPairId"]) == (
        before["PublicKey"].split()[:2],
        before["KeyPairId"],
    )


def test_the_interface_of_an_instance_goes_with_it(server: Server) -> None:
    ec2 = server.client("ec2")
    subnet = network(ec2, "198.18.32.0/20")
    made = run(ec2, subnet)
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    assert (
        ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["NetworkInterfaces"] == []
    )


def test_an_instance_has_the_groups_of_its_interface(server: Server) -> None:
    ec2 = server.client("ec2")
    subnet = network(ec2, "198.18.40.0/21")
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": False}
    ec2.run_instances(ImageId=image, InstanceType="t3.medium", MinCount=1, MaxCount=1, NetworkInterfaces=[interface])
    [told] = ec2.describe_instances(Filters=[{"Name": "subnet-id", "Values": [subnet]}])["Reservations"]
    assert [each["GroupId"] for each in told["Instances"][0]["SecurityGroups"]] == [group]


def test_an_instance_is_pending_until_its_host_runs(server: Server) -> None:
    ec2 = server.client("ec2")
    assert run(ec2, network(ec2, "198.18.48.0/20"))["State"] == {"Name": "pending", "Code": 0}


def test_an_instance_asked_for_twice_is_told_once(server: Server) -> None:
    ec2 = server.client("ec2")
    made = run(ec2, network(ec2, "198.18.80.0/20"))["InstanceId"]
    [told] = ec2.describe_instances(InstanceIds=[made, made])["Reservations"]
    assert [each["InstanceId"] for each in told["Instances"]] == [made]
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        ec2.describe_instances(InstanceIds=[made, "i-0123456789abcdef0"])


def test_what_terminated_cannot_be_started(server: Server) -> None:
    ec2 = server.client("ec2")
    made = run(ec2, network(ec2, "198.18.64.0/20"))["InstanceId"]
    ec2.terminate_instances(InstanceIds=[made])
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.start_instances(InstanceIds=[made])


def test_refuses_an_unknown_image_key_and_type(server: Server) -> None:
    ec2 = server.client("ec2")
    with pytest.raises(ClientError, match=r"InvalidKeyPair\.NotFound"):
        run(ec2, network(ec2, "198.18.80.0/20"), KeyName="unknown")
    with pytest.raises(ClientError, match=r"InvalidAMIID\.NotFound"):
        ec2.run_instances(ImageId="ami-0123456789abcdef0", InstanceType="t3.medium", MinCount=1, MaxCount=1)
    with pytest.raises(ClientError, match="InvalidInstanceType"):
        ec2.run_instances(ImageId=debian(ec2), InstanceType="t3.imaginary", MinCount=1, MaxCount=1)


def test_public_parameters(server: Server) -> None:
    ssm = server.client("ssm")
    prefix = "/aws/service/eks/optimized-ami/1.36/amazon-linux-2023/x86_64/standard/recommended"

    def value(name: str) -> str:
        return str(ssm.get_parameter(Name=f"{prefix}/{name}")["Parameter"]["Value"])

    assert value("release_version") == "1.36.3-20261101"
    image = server.client("ec2").describe_images(ImageIds=[value("image_id")])["Images"][0]
    assert image["OwnerId"] == "602401143452"
    assert "al2023-x86_64-standard-1.36-v20261101" in image["Name"]


def test_the_caller_is_a_user(server: Server) -> None:
    assert server.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/twinplane"


@pytest.mark.parametrize("service", ["ec2", "iam", "sts", "ssm"])
def test_refuses_a_wrong_secret_in_the_shape_of_the_service(server: Server, service: str) -> None:
    call = {"ec2": "describe_vpcs", "iam": "list_roles", "sts": "get_caller_identity", "ssm": "describe_parameters"}[
        service
    ]
    with pytest.raises(ClientError) as caught:
        getattr(server.client(service, secret="wrong"), call)()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_has_one_region(server: Server) -> None:
    with pytest.raises(ClientError, match="The lab has one region: us-east-1, not eu-central-1"):
        server.client("ec2", region="eu-central-1").describe_vpcs()


def test_keys_that_the_api_makes_are_good(server: Server) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="someone")
    key = iam.create_access_key(UserName="someone")["AccessKey"]
    other = boto3.session.Session().client(
        "sts",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    assert other.get_caller_identity()["Arn"].endswith(":user/someone")

"""The aws plugin against moto: every EC2 and IAM type from preview to delete, and what holds for all types."""

import importlib
import json
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from moto.ec2.models import instances
from pulumi._types import resource_types
from pulumi.runtime import rpc

from lab.cloud.ec2 import instance_connect
from lab.plugins.aws.compare import project
from lab.plugins.aws.provider import TYPES, Aws
from lab.plugins.aws.session import Session
from lab.plugins.aws.types import Type
from lab.plugins.provider import Change, Invalid, PartialFailure, ProviderError, Resource
from lab.plugins.values import UNKNOWN, Secret, known
from tests.aws_front import keep_moto
from twinplane.generate.certificates import self_signed

SEED = b"seed"
CERTIFICATES = [self_signed([name]) for name in ("one.test", "two.test")]
#: Kept while this is imported: the lab puts its own in its place.
PLAIN_STATE = instances.InstanceState


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One cloud for all tests, which make all that they use: loading botocore's models takes longer than any test."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
            environment.delenv(name, raising=False)
        environment.setenv("AWS_REGION", "us-east-1")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        # Plain moto, also where the lab's own AWS was tested before in this process.
        environment.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "true")
        environment.setenv("MOTO_ENABLE_AMI_VALIDATION", "false")
        environment.setenv("MOTO_ENABLE_KEYPAIR_VALIDATION", "false")
        environment.setattr(instances, "InstanceState", PLAIN_STATE)
        keep_moto(environment)
        instance_connect.install()
        with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
            yield Session({})


@pytest.fixture
def aws(session: Session) -> Aws:
    return plugin(session)


def plugin(session: Session) -> Aws:
    """A plugin process of its own, on the same cloud."""
    provider = Aws(lambda *_, **__: None)  # type: ignore[arg-type]
    provider.session = session
    return provider


class Made:
    """A resource as the engine would keep it."""

    def __init__(self, aws: Aws, token: str, inputs: dict[str, Any], name: str = "it") -> None:
        self.aws, self.resource = aws, Resource(f"urn:pulumi:s::p::{token}::{name}", token, name)
        self.inputs = aws.check(self.resource, {}, inputs, secrets.token_bytes(8))
        self.id, self.state = aws.create(Change(self.resource, inputs=self.inputs))

    def change(self, **new: Any) -> Change:
        inputs = {name: value for name, value in {**self.inputs, **new}.items() if value is not None}
        inputs.pop("__defaults", None)
        for name in self.inputs.get("__defaults", []):  # the program never gave them
            inputs.pop(name) if name not in new else None
        checked = self.aws.check(self.resource, self.inputs, inputs, SEED)
        return Change(self.resource, self.id, checked, self.inputs, self.state)

    def update(self, **new: Any) -> None:
        change = self.change(**new)
        self.state = self.aws.update(change)
        self.inputs = change.inputs

    def read(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        return self.aws.read(Change(self.resource, self.id, old_inputs=self.inputs, state=self.state))

    def delete(self) -> None:
        self.aws.delete(Change(self.resource, self.id, old_inputs=self.inputs, state=self.state))


def trust(service: str = "ec2") -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": f"{service}.amazonaws.com"}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def policy(action: str = "s3:*") -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


def expiry(keep: int) -> str:
    """A lifecycle policy."""
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


def old_versions(days: int) -> dict[str, Any]:
    """A rule of a bucket's lifecycle."""
    gone = {"expiration": {"days": days}, "noncurrentVersionExpiration": {"noncurrentDays": 7}}
    return {"id": "old", "status": "Enabled", "filter": {"prefix": "etcd/"}, **gone}


def pull(actions: list[str]) -> str:
    """A repository policy."""
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": actions}
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "pull", **statement}]})


class World:
    """What resources refer to, made on demand."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.made: dict[str, Made] = {}

    def __call__(self, token: str, name: str = "it") -> Made:
        if f"{token}{name}" not in self.made:
            self.made[f"{token}{name}"] = Made(self.aws, token, self.inputs(token), name)
        return self.made[f"{token}{name}"]

    def inputs(self, token: str) -> dict[str, Any]:  # noqa: PLR0911, PLR0912, PLR0915
        match token.split("/", maxsplit=1)[0] + ":" + token.rsplit(":", 1)[1]:
            case "aws:ec2:Vpc":
                return {"cidrBlock": "198.18.0.0/18", "enableDnsHostnames": True}
            case "aws:ec2:Subnet":
                return {"vpcId": self(VPC).id, "cidrBlock": "198.18.1.0/24", "mapPublicIpOnLaunch": True}
            case "aws:ec2:InternetGateway":
                return {"vpcId": self(VPC).id}
            case "aws:ec2:RouteTable":
                gateway = self("aws:ec2/internetGateway:InternetGateway")
                return {"vpcId": self(VPC).id, "routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": gateway.id}]}
            case "aws:ec2:Route":
                gateway = self("aws:ec2/internetGateway:InternetGateway")
                table = Made(self.aws, "aws:ec2/routeTable:RouteTable", {"vpcId": self(VPC).id}, "bare")
                return {"routeTableId": table.id, "destinationCidrBlock": "10.0.0.0/8", "gatewayId": gateway.id}
            case "aws:ec2:RouteTableAssociation":
                table = self("aws:ec2/routeTable:RouteTable")
                return {"routeTableId": table.id, "subnetId": self("aws:ec2/subnet:Subnet").id}
            case "aws:ec2:SecurityGroup":
                rule = {
                    "protocol": "tcp",
                    "fromPort": 22,
                    "toPort": 22,
                    "cidrBlocks": ["198.18.2.0/24", "198.18.1.0/24"],
                }
                return {"vpcId": self(VPC).id, "ingress": [rule]}
            case "aws:ec2:SecurityGroupRule":
                rule = {"type": "ingress", "protocol": "tcp", "fromPort": 443, "toPort": 443, "description": "first"}
                return {**rule, "securityGroupId": self(GROUP).id, "cidrBlocks": ["198.18.0.0/15"]}
            case "aws:vpc:SecurityGroupIngressRule" | "aws:vpc:SecurityGroupEgressRule":
                rule = {"securityGroupId": self(GROUP).id, "ipProtocol": "tcp", "fromPort": 80, "toPort": 80}
                return {**rule, "cidrIpv4": "198.18.0.0/15", "description": "web"}
            case "aws:ec2:KeyPair":
                key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBWHkMaEDtlVNr1XU1VBXKOeVjjSTyE+1EpMH9AsxYfB a@b"
                return {"publicKey": key}
            case "aws:ec2:Instance":
                return {
                    "ami": "ami-12c6146b",
                    "instanceType": "t3.medium",
                    "subnetId": self("aws:ec2/subnet:Subnet").id,
                    "privateIp": "198.18.1.10",
                    "keyName": self("aws:ec2/keyPair:KeyPair").id,
                    "vpcSecurityGroupIds": [self(GROUP).id],
                    "iamInstanceProfile": self("aws:iam/instanceProfile:InstanceProfile").id,
                    "userData": "#cloud-config",
                    "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 2},
                    "rootBlockDevice": {"volumeSize": 20, "volumeType": "gp3"},
                    "sourceDestCheck": False,
                }
            case "aws:ec2:LaunchTemplate":
                device = {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 20, "encrypted": "true"}}
                marked = {"resourceType": "volume", "tags": {"a": "b"}}
                more = {"metadataOptions": {"httpTokens": "required"}, "tagSpecifications": [marked]}
                return {"instanceType": "t3.medium", "blockDeviceMappings": [device], **more}
            case "aws:ec2:Eip":
                return {"domain": "vpc"}
            case "aws:ec2:NatGateway":
                address = self("aws:ec2/eip:Eip")
                return {"subnetId": self("aws:ec2/subnet:Subnet").id, "allocationId": address.id}
            case "aws:ec2:VpcEndpoint":
                table = Made(self.aws, "aws:ec2/routeTable:RouteTable", {"vpcId": self(VPC).id}, "bare")
                service = "com.amazonaws.us-east-1.s3"
                return {"vpcId": self(VPC).id, "serviceName": service, "routeTableIds": [table.id]}
            case "aws:ec2transitgateway:InstanceConnectEndpoint":
                where = {"subnetId": self("aws:ec2/subnet:Subnet").id, "securityGroupIds": [self(GROUP).id]}
                return {**where, "preserveClientIp": False}
            case "aws:ec2:DefaultSecurityGroup":
                return {"vpcId": self(VPC).id}
            case "aws:ec2:FlowLog":
                group = self("aws:cloudwatch/logGroup:LogGroup")
                role = self("aws:iam/role:Role")
                log = {"logDestination": group.state["arn"], "iamRoleArn": role.state["arn"], "trafficType": "ALL"}
                return {"vpcId": self(VPC).id, **log, "maxAggregationInterval": 60}
            case "aws:cloudwatch:LogGroup":
                return {"retentionInDays": 30}
            case "aws:acm:Certificate":
                pair = CERTIFICATES[0]
                return {"certificateBody": pair["certificate"], "privateKey": pair["private_key"]}
            case "aws:kms:Key":
                return {"description": "first", "enableKeyRotation": True, "deletionWindowInDays": 7}
            case "aws:kms:Alias":
                return {"name": f"alias/{secrets.token_hex(4)}", "targetKeyId": self("aws:kms/key:Key").id}
            case "aws:ecr:Repository":
                kms = {"encryptionType": "KMS", "kmsKey": self("aws:kms/key:Key").state["arn"]}
                scan = {"imageScanningConfiguration": {"scanOnPush": True}, "imageTagMutability": "IMMUTABLE"}
                return {"name": f"lab/{secrets.token_hex(4)}", "encryptionConfigurations": [kms], **scan}
            case "aws:ecr:LifecyclePolicy":
                return {"repository": self("aws:ecr/repository:Repository").id, "policy": expiry(5)}
            case "aws:ecr:RepositoryPolicy":
                return {"repository": self("aws:ecr/repository:Repository").id, "policy": pull(["ecr:BatchGetImage"])}
            case "aws:lb:LoadBalancer":
                return {
                    "namePrefix": "api-",
                    "internal": True,
                    "loadBalancerType": "network",
                    "subnets": [self("aws:ec2/subnet:Subnet").id],
                    "securityGroups": [self(GROUP).id],
                    "enableCrossZoneLoadBalancing": True,
                }
            case "aws:lb:TargetGroup":
                check = {"protocol": "HTTPS", "path": "/readyz", "port": "6443", "interval": 10, "matcher": "200"}
                return {"port": 6443, "protocol": "TCP", "vpcId": self(VPC).id, "healthCheck": check,
                        "preserveClientIp": "false", "deregistrationDelay": 60}  # fmt: skip
            case "aws:lb:Listener":
                action = {"type": "forward", "targetGroupArn": self("aws:lb/targetGroup:TargetGroup").id}
                balancer = self("aws:lb/loadBalancer:LoadBalancer").id
                return {"loadBalancerArn": balancer, "port": 6443, "protocol": "TCP", "defaultActions": [action]}
            case "aws:lb:TargetGroupAttachment":
                group, instance = self("aws:lb/targetGroup:TargetGroup"), self("aws:ec2/instance:Instance")
                return {"targetGroupArn": group.id, "targetId": instance.id, "port": 6443}
            case "aws:ec2:Tag":
                interface = self("aws:ec2/instance:Instance").state["primaryNetworkInterfaceId"]
                return {"resourceId": interface, "key": "Stack", "value": "a"}
            case "aws:ebs:Volume":
                return {"availabilityZone": "us-east-1a", "size": 10, "type": "gp3", "encrypted": True}
            case "aws:ec2:VolumeAttachment":
                instance = self("aws:ec2/instance:Instance")
                place = {"availabilityZone": instance.state["availabilityZone"], "size": 10}
                volume = Made(self.aws, "aws:ebs/volume:Volume", place, "attached")
                return {"deviceName": "/dev/sdf", "instanceId": instance.id, "volumeId": volume.id}
            case "aws:s3:Bucket":
                return {"forceDestroy": True}
            case "aws:s3:BucketVersioning":
                return {"bucket": self(BUCKET).id, "versioningConfiguration": {"status": "Enabled"}}
            case "aws:s3:BucketServerSideEncryptionConfiguration":
                by_default = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
                return {"bucket": self(BUCKET).id, "rules": [by_default]}
            case "aws:s3:BucketPublicAccessBlock":
                return {"bucket": self(BUCKET).id, "blockPublicAcls": True, "blockPublicPolicy": True}
            case "aws:s3:BucketOwnershipControls":
                return {"bucket": self(BUCKET).id, "rule": {"objectOwnership": "BucketOwnerEnforced"}}
            case "aws:s3:BucketPolicy":
                return {"bucket": self(BUCKET).id, "policy": policy("s3:GetObject")}
            case "aws:s3:BucketObject":
                return {"bucket": self(BUCKET).id, "key": "a/b", "content": "{}", "contentType": "application/json"}
            case "aws:s3:BucketLifecycleConfiguration":
                return {"bucket": self(BUCKET).id, "rules": [old_versions(30)]}
            case "aws:iam:Role":
                return {"assumeRolePolicy": trust(), "description": "first"}
            case "aws:iam:RolePolicy":
                return {"role": self("aws:iam/role:Role").id, "policy": policy()}
            case "aws:iam:RolePolicyAttachment":
                arn = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
                return {"role": self("aws:iam/role:Role").id, "policyArn": arn}
            case "aws:iam:InstanceProfile":
                return {"role": self("aws:iam/role:Role").id}
            case "aws:iam:OpenIdConnectProvider":
                thumb = ["0" * 40]
                return {
                    "url": "https://issuer.test/c",
                    "clientIdLists": ["sts.amazonaws.com"],
                    "thumbprintLists": thumb,
                }
            case "aws:iam:Policy":
                return {"policy": policy()}
        raise AssertionError(f"no inputs for {token}: add them here")


VPC = "aws:ec2/vpc:Vpc"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
BUCKET = "aws:s3/bucket:Bucket"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
#: Type -> an input that changes in place.
UPDATES: dict[str, dict[str, Any]] = {
    VPC: {"enableDnsHostnames": False},
    "aws:ec2/subnet:Subnet": {"mapPublicIpOnLaunch": False},
    GROUP: {"ingress": [{"protocol": "tcp", "fromPort": 23, "toPort": 23, "cidrBlocks": ["198.18.1.0/24"]}]},
    "aws:ec2/routeTable:RouteTable": {"routes": []},
    "aws:ec2/securityGroupRule:SecurityGroupRule": {"description": "second"},
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {"toPort": 81},
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {"cidrIpv4": "198.19.0.0/16"},
    "aws:ec2/instance:Instance": {"sourceDestCheck": True, "instanceType": "t3.large"},
    "aws:ec2/launchTemplate:LaunchTemplate": {"instanceType": "t3.large"},
    "aws:ec2/vpcEndpoint:VpcEndpoint": {"policy": policy("s3:GetObject")},
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": {
        "ingress": [{"protocol": "tcp", "fromPort": 23, "toPort": 23, "cidrBlocks": ["198.18.1.0/24"]}]
    },
    "aws:cloudwatch/logGroup:LogGroup": {"retentionInDays": 7},
    "aws:acm/certificate:Certificate": {
        "certificateBody": CERTIFICATES[1]["certificate"],
        "privateKey": CERTIFICATES[1]["private_key"],
    },
    "aws:kms/key:Key": {"description": "second", "enableKeyRotation": False, "isEnabled": False},
    "aws:ecr/repository:Repository": {
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
    },
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": {"policy": expiry(9)},
    "aws:ecr/repositoryPolicy:RepositoryPolicy": {"policy": pull(["ecr:BatchGetImage", "ecr:GetAuthorizationToken"])},
    "aws:lb/loadBalancer:LoadBalancer": {"enableCrossZoneLoadBalancing": False},
    "aws:lb/targetGroup:TargetGroup": {
        "healthCheck": {"protocol": "HTTPS", "path": "/livez", "port": "6443", "interval": 5, "matcher": "200"},
        "preserveClientIp": "true",
        "deregistrationDelay": 30,
        "connectionTermination": True,
    },
    "aws:lb/listener:Listener": {"port": 443},
    "aws:ec2/tag:Tag": {"value": "b"},
    "aws:ebs/volume:Volume": {"size": 20},
    "aws:ec2/volumeAttachment:VolumeAttachment": {"stopInstanceBeforeDetaching": True},
    BUCKET: {"forceDestroy": False},
    "aws:s3/bucketVersioning:BucketVersioning": {"versioningConfiguration": {"status": "Suspended"}},
    ENCRYPTION: {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "k"}}]},
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {"blockPublicAcls": False, "ignorePublicAcls": True},
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {"rule": {"objectOwnership": "ObjectWriter"}},
    "aws:s3/bucketPolicy:BucketPolicy": {"policy": policy("s3:PutObject")},
    "aws:s3/bucketObject:BucketObject": {"content": "[]"},
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {"rules": [old_versions(60)]},
    "aws:iam/role:Role": {"description": "second", "assumeRolePolicy": trust("eks")},
    "aws:iam/rolePolicy:RolePolicy": {"policy": policy("ec2:*")},
    "aws:iam/policy:Policy": {"policy": policy("ec2:*")},
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
        "thumbprintLists": ["1" * 40],
    },
}
#: What AWS keeps as long as what it belongs to.
STAYS = {"aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "aws:s3/bucketVersioning:BucketVersioning"}
HERE = [token for token, kind in TYPES.items() if kind.service != "eks"]


def sdk_takes(token: str, state: dict[str, Any]) -> None:
    """The SDK can make its own types of the outputs. If not, a program that refers to the resource waits for ever."""
    _, module, name = token.split(":")
    kind = getattr(importlib.import_module(f"pulumi_aws.{module.split('/')[0]}"), name)
    types = resource_types(kind)
    for output, value in state.items():
        rpc.translate_output_properties(value, lambda text: text, types.get(output), True)


@pytest.mark.parametrize("token", HERE)
def test_life_of_a_resource(aws: Aws, token: str) -> None:
    world = World(aws)
    inputs = world.inputs(token)
    resource = Resource(f"urn:pulumi:s::p::{token}::it", token, "it")
    checked = aws.check(resource, {}, inputs, SEED)
    _, preview = aws.create(Change(resource, inputs=checked, preview=True))

    it = Made(aws, token, inputs)
    assert set(it.state) <= set(preview) | set(TYPES[token].inputs.names), "a preview announces every output"
    for name, value in inputs.items():
        assert it.state[name] == value or isinstance(value, dict), name
    assert not aws.diff(it.change()).changed, "the same inputs change nothing"
    assert it.read() == (it.inputs, it.state), "a refresh finds no drift"

    if new := UPDATES.get(token):
        diff = aws.diff(it.change(**new))
        assert (sorted(diff.changed), list(diff.replaces)) == (sorted(new), [])
        it.update(**new)
        assert not aws.diff(it.change()).changed
        assert it.read() == (it.inputs, it.state)
        for name, value in new.items():
            assert project(it.state[name], value) == value

    sdk_takes(token, it.state)
    it.delete()
    assert (it.read() is None) == (token not in STAYS)
    it.delete()


#: moto keeps the tags that a launch template was made with.
RETAGGED = [token for token in HERE if TYPES[token].tagging and "launchTemplate" not in token]


@pytest.mark.parametrize("token", RETAGGED)
def test_tags_with_default_tags(aws: Aws, token: str) -> None:
    aws.default_tags = {"team": "platform", "env": "lab"}
    it = Made(aws, token, {**World(aws).inputs(token), "tags": {"a": "1", "env": "own"}})
    assert it.state["tags"] == {"a": "1", "env": "own"}
    assert it.state["tagsAll"] == {"a": "1", "env": "own", "team": "platform"}
    assert list(aws.diff(it.change(tags={"b": "2"})).changed) == ["tags"]
    assert not aws.diff(it.change(tags={"b": "2"})).replaces
    it.update(tags={"b": "2"})
    assert it.state["tagsAll"] == {"b": "2", "team": "platform", "env": "lab"}
    assert it.read() == (it.inputs, it.state)
    aws.default_tags = {"team": "other"}
    assert list(aws.diff(it.change()).changed) == ["tagsAll"]
    it.update()
    assert it.state["tagsAll"] == {"b": "2", "team": "other"}


def test_an_endpoint_moves_between_route_tables_in_place(aws: Aws) -> None:
    it = World(aws)("aws:ec2/vpcEndpoint:VpcEndpoint")
    [first] = it.state["routeTableIds"]
    second = Made(aws, "aws:ec2/routeTable:RouteTable", {"vpcId": it.state["vpcId"]}, "second").id

    def led() -> list[str]:
        """Tables with a route to the service's addresses."""
        tables = aws.session.client("ec2").describe_route_tables(RouteTableIds=[first, second])["RouteTables"]
        return [t["RouteTableId"] for t in tables if any(r.get("GatewayId") == it.id for r in t["Routes"])]

    assert led() == [first]
    assert it.state["prefixListId"].startswith("pl-")
    assert not aws.diff(it.change(routeTableIds=[second])).replaces
    it.update(routeTableIds=[first, second])
    assert sorted(it.state["routeTableIds"]) == sorted([first, second])
    it.update(routeTableIds=[second])
    assert it.state["routeTableIds"] == [second]
    assert it.read() == (it.inputs, it.state)


def test_an_interface_endpoint_has_an_interface_in_each_subnet(aws: Aws) -> None:
    world = World(aws)
    subnet, group = world("aws:ec2/subnet:Subnet"), world(GROUP)
    service = {"serviceName": "com.amazonaws.us-east-1.ecr.api", "vpcEndpointType": "Interface"}
    where = {"vpcId": subnet.state["vpcId"], "subnetIds": [subnet.id], "securityGroupIds": [group.id]}
    it = Made(aws, "aws:ec2/vpcEndpoint:VpcEndpoint", {**service, **where, "privateDnsEnabled": True})
    assert len(it.state["networkInterfaceIds"]) == 1
    assert it.state["privateDnsEnabled"] is True
    assert it.state["securityGroupIds"] == [group.id]
    assert not aws.diff(it.change()).changed
    assert it.read() == (it.inputs, it.state)
    it.delete()
    assert it.read() is None


def test_a_default_group_is_closed_and_a_rule_of_another_hand_is_drift(aws: Aws) -> None:
    it = World(aws)("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    api = aws.session.client("ec2")
    [group] = api.describe_security_groups(GroupIds=[it.id])["SecurityGroups"]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])
    open_ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.100.0/24"}]}
    api.authorize_security_group_ingress(GroupId=it.id, IpPermissions=[open_ssh])
    found = it.read()
    assert found is not None
    assert found[1]["ingress"] == [{"protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["198.51.100.0/24"]}]


def test_a_deleted_key_is_gone_though_aws_keeps_it_for_the_window(aws: Aws) -> None:
    it = World(aws)("aws:kms/key:Key")
    it.delete()
    kept = aws.session.client("kms").describe_key(KeyId=it.id)["KeyMetadata"]
    assert kept["KeyState"] == "PendingDeletion"
    assert (kept["DeletionDate"] - kept["CreationDate"]).days in (6, 7)


def test_an_alias_moves_to_another_key_in_place(aws: Aws) -> None:
    it = World(aws)("aws:kms/alias:Alias")
    other = Made(aws, "aws:kms/key:Key", {}, "other")
    assert not aws.diff(it.change(targetKeyId=other.id)).replaces
    it.update(targetKeyId=other.id)
    assert it.state["targetKeyId"] == other.id
    assert it.state["targetKeyArn"] == other.state["arn"]


def test_a_disks_tags_change_in_place_and_its_size_does_not(aws: Aws) -> None:
    disk = {"volumeSize": 20, "volumeType": "gp3"}
    inputs = World(aws).inputs("aws:ec2/instance:Instance")
    it = Made(aws, "aws:ec2/instance:Instance", {**inputs, "rootBlockDevice": {**disk, "tags": {"a": "1", "b": "2"}}})
    new = {"rootBlockDevice": {**disk, "tags": {"b": "3"}}}
    diff = aws.diff(it.change(**new))
    assert (diff.changed, diff.replaces) == (["rootBlockDevice.tags"], [])
    it.update(**new)
    assert it.state["rootBlockDevice"]["tags"] == {"b": "3"}
    assert it.read() == (it.inputs, it.state)
    larger = {"rootBlockDevice": {**new["rootBlockDevice"], "volumeSize": 21, "tags": {}}}
    assert aws.diff(it.change(**larger)).replaces == ["rootBlockDevice"]


@pytest.mark.parametrize(
    ("token", "new"),
    [
        ("aws:ec2/natGateway:NatGateway", {"allocationId": "eipalloc-1"}),
        ("aws:ec2transitgateway/instanceConnectEndpoint:InstanceConnectEndpoint", {"securityGroupIds": ["sg-1"]}),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {"serviceName": "com.amazonaws.us-east-1.dynamodb"}),
        ("aws:ec2/flowLog:FlowLog", {"trafficType": "REJECT"}),
        ("aws:kms/key:Key", {"keyUsage": "SIGN_VERIFY"}),
        ("aws:ecr/repository:Repository", {"encryptionConfigurations": [{"encryptionType": "AES256"}]}),
        ("aws:ecr/repository:Repository", {"name": "lab/other"}),
        ("aws:ecr/lifecyclePolicy:LifecyclePolicy", {"repository": "lab/other"}),
    ],
)
def test_what_means_another_resource(aws: Aws, token: str, new: dict[str, Any]) -> None:
    it = World(aws)(token)
    assert list(aws.diff(it.change(**new)).replaces) == list(new)


def test_a_repository_with_images_goes_only_when_told(aws: Aws) -> None:
    made = World(aws)("aws:ecr/repository:Repository")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    manifest |= {"config": {"digest": "sha256:1"}}
    aws.session.client("ecr").put_image(repositoryName=made.id, imageManifest=json.dumps(manifest), imageTag="v1")
    with pytest.raises(ProviderError, match="RepositoryNotEmptyException"):
        made.delete()
    assert not aws.diff(made.change(forceDelete=True)).replaces
    made.update(forceDelete=True)
    made.delete()
    assert made.read() is None


def test_what_no_update_covers_makes_a_new_resource(aws: Aws) -> None:
    vpc = Made(aws, VPC, {"cidrBlock": "198.18.0.0/18"})
    diff = aws.diff(vpc.change(cidrBlock="198.18.64.0/18", enableDnsSupport=False))
    assert (list(diff.changed), list(diff.replaces)) == (["cidrBlock", "enableDnsSupport"], ["cidrBlock"])
    assert list(aws.diff(vpc.change(cidrBlock=UNKNOWN)).replaces) == ["cidrBlock"]


def test_user_data_replaces_only_when_asked(aws: Aws) -> None:
    it = Made(aws, "aws:ec2/instance:Instance", World(aws).inputs("aws:ec2/instance:Instance"))
    assert not aws.diff(it.change(userData="other")).replaces
    assert list(aws.diff(it.change(userData="other", userDataReplaceOnChange=True)).replaces) == ["userData"]


def test_what_aws_chose_is_no_change_when_it_is_given_or_left_out(aws: Aws) -> None:
    world = World(aws)
    subnet = world("aws:ec2/subnet:Subnet")
    zone = subnet.state["availabilityZone"]
    assert not aws.diff(subnet.change(availabilityZone=zone)).changed
    other = "us-east-1f" if zone != "us-east-1f" else "us-east-1a"
    assert list(aws.diff(subnet.change(availabilityZone=other)).replaces) == ["availabilityZone"]


def test_automatic_names(aws: Aws) -> None:
    role = Made(aws, "aws:iam/role:Role", {"assumeRolePolicy": trust()}, "worker")
    assert role.id.startswith("worker-")
    assert len(role.id) == len("worker-") + 7
    assert role.change().inputs["name"] == role.id, "kept from then on"
    prefixed = Made(aws, "aws:iam/role:Role", {"assumeRolePolicy": trust(), "namePrefix": "tp-"}, "worker")
    assert prefixed.id.startswith("tp-")
    long = Made(aws, "aws:iam/role:Role", {"assumeRolePolicy": trust()}, "w" * 80)
    assert len(long.id) == 64


def test_own_name_is_freed_before_it_is_used_again(aws: Aws) -> None:
    named = Made(aws, "aws:iam/role:Role", {"assumeRolePolicy": trust(), "name": secrets.token_hex(4)})
    assert aws.diff(named.change(path="/x/")).delete_first
    automatic = Made(aws, "aws:iam/role:Role", {"assumeRolePolicy": trust()})
    assert not aws.diff(automatic.change(path="/x/")).delete_first


@pytest.mark.parametrize(
    ("token", "inputs", "failure"),
    [
        (VPC, {"cidrBlok": "x"}, ("cidrBlok", "did you mean cidrBlock?")),
        ("aws:ec2/subnet:Subnet", {}, ("vpcId", "is required")),
        ("aws:ec2/instance:Instance", {"ami": "a", "instanceType": "b", "metadataOptions": {"tokens": 1}},
         ("metadataOptions.tokens", "is no input")),
        (GROUP, {"ingress": [{"protocol": "tcp", "fromPort": 1, "toPort": 2, "port": 1}]},
         ("ingress[0].port", "is no input")),
    ],
)  # fmt: skip
def test_wrong_inputs_are_named(aws: Aws, token: str, inputs: dict[str, Any], failure: tuple[str, str]) -> None:
    with pytest.raises(Invalid) as told:
        aws.check(Resource("urn", token, "it"), {}, inputs, SEED)
    path, reason = told.value.failures[0]
    assert path == failure[0]
    assert failure[1] in reason


def test_unknown_types_functions_and_configuration_are_errors(aws: Aws) -> None:
    with pytest.raises(Invalid, match="aws:sqs/queue:Queue is no resource type that the lab's aws plugin knows"):
        aws.check(Resource("urn", "aws:sqs/queue:Queue", "q"), {}, {}, SEED)
    with pytest.raises(Invalid, match="unknown function aws:ec2/getVpn:getVpn"):
        aws.invoke("aws:ec2/getVpn:getVpn", {})
    with pytest.raises(Invalid, match=r"aws:endpoint: .*did you mean endpoints\?"):
        aws.check_config({"endpoint": "x"})
    with pytest.raises(Invalid, match=r"aws:endpoints\[0\]\.ec3"):
        aws.check_config({"endpoints": '[{"ec3": "http://127.0.0.1"}]'})


def test_an_aws_error_tells_what_was_done_to_what(aws: Aws) -> None:
    with pytest.raises(
        ProviderError, match=r"creating aws:ec2/subnet:Subnet it: InvalidVpcID.NotFound: .*CreateSubnet"
    ):
        Made(aws, "aws:ec2/subnet:Subnet", {"vpcId": "vpc-12345678", "cidrBlock": "198.18.1.0/24"})


def test_what_was_made_before_a_failure_stays_in_the_state(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = TYPES[VPC]

    def never(_: Any) -> None:
        raise ProviderError("not within the time given")

    monkeypatch.setitem(TYPES, VPC, Type(**{**vars_of(kind), "ready": never}))  # type: ignore[misc]
    with pytest.raises(PartialFailure, match=r"creating aws:ec2/vpc:Vpc it: not within") as told:
        Made(aws, VPC, {"cidrBlock": "198.18.0.0/18"})
    assert told.value.id.startswith("vpc-")
    assert told.value.state["cidrBlock"] == "198.18.0.0/18"


def vars_of(kind: Type) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in Type.__dataclass_fields__}


def test_instance_of_an_interrupted_run_is_found_again(aws: Aws) -> None:
    inputs = World(aws).inputs("aws:ec2/instance:Instance")
    first = Made(aws, "aws:ec2/instance:Instance", inputs)
    again = plugin(aws.session)
    assert Made(again, "aws:ec2/instance:Instance", inputs).id == first.id
    # In a run that knows the resource from the state, the same inputs mean a replacement, which is another instance.
    del inputs["privateIp"]
    other = Made(again, "aws:ec2/instance:Instance", inputs)
    other.change()
    assert Made(again, "aws:ec2/instance:Instance", inputs).id != other.id


def test_secret_inputs_reach_aws_and_unknown_ones_stay_unknown(aws: Aws) -> None:
    resource = Resource("urn", "aws:ec2/subnet:Subnet", "it")
    inputs = aws.check(resource, {}, {"vpcId": UNKNOWN, "cidrBlock": "198.18.1.0/24", "tags": UNKNOWN}, SEED)
    resource_id, outputs = aws.create(Change(resource, inputs=inputs, preview=True))
    assert resource_id == ""
    assert outputs["cidrBlock"] == "198.18.1.0/24"
    assert not any(known(outputs[name]) for name in ("vpcId", "arn", "tagsAll", "availabilityZone"))


def test_import_takes_inputs_from_aws(aws: Aws) -> None:
    vpc = Made(aws, VPC, {"cidrBlock": "198.18.0.0/18", "tags": {"a": "b"}})
    found = aws.read(Change(vpc.resource, vpc.id))
    assert found is not None
    assert found[0]["cidrBlock"] == "198.18.0.0/18"
    assert found[0]["tags"] == {"a": "b"}


def test_drift_is_found_and_put_right(aws: Aws) -> None:
    vpc = Made(aws, VPC, {"cidrBlock": "198.18.0.0/18", "enableDnsHostnames": True})
    aws.session.client("ec2").modify_vpc_attribute(VpcId=vpc.id, EnableDnsHostnames={"Value": False})
    found = vpc.read()
    assert found is not None
    assert found[0]["enableDnsHostnames"] is False
    change = Change(vpc.resource, vpc.id, vpc.inputs, *found)
    assert list(aws.diff(change).changed) == ["enableDnsHostnames"]
    assert aws.update(change)["enableDnsHostnames"] is True


def test_many_at_once(aws: Aws) -> None:
    made: list[Made] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(Made(aws, VPC, {"cidrBlock": f"10.{n}.0.0/16"}, f"v{n}")))
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({vpc.id for vpc in made}) == 16


def test_functions(aws: Aws) -> None:
    assert aws.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"] == "123456789012"
    assert aws.invoke("aws:index/getRegion:getRegion", {})["region"] == "us-east-1"
    assert aws.invoke("aws:index/getPartition:getPartition", {})["dnsSuffix"] == "amazonaws.com"
    zones = aws.invoke("aws:index/getAvailabilityZones:getAvailabilityZones", {"excludeNames": ["us-east-1a"]})
    assert zones["names"][0] == "us-east-1b"
    aws.session.client("ssm").put_parameter(Name="/x", Value="v", Type="String")
    found = aws.invoke("aws:ssm/getParameter:getParameter", {"name": "/x"})
    assert found["value"] == Secret("v")
    assert found["insecureValue"] == "v"
    with pytest.raises(Invalid, match="name is required"):
        aws.invoke("aws:ssm/getParameter:getParameter", {})


def test_one_image_or_an_error(aws: Aws) -> None:
    several = {"owners": ["amazon"], "filters": [{"name": "name", "values": ["amzn2-ami-hvm-2.0*"]}]}
    with pytest.raises(ProviderError, match="no image matches"):
        aws.invoke("aws:ec2/getAmi:getAmi", {"owners": ["self"]})
    newest = aws.invoke("aws:ec2/getAmi:getAmi", {**several, "mostRecent": True})
    assert newest["id"] == newest["imageId"]
    assert newest["architecture"]
    with pytest.raises(ProviderError, match="images match: narrow"):
        aws.invoke("aws:ec2/getAmi:getAmi", several)

"""The policy pack under the real engine: what holds passes, what breaks a guard is refused with what to change."""

from collections.abc import Iterator

import pytest

from tests.support import engine

PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
tags = {"Project": "guards", "Stack": "dev", "ManagedBy": "pulumi"}
vpc = aws.ec2.Vpc("net", cidr_block="198.18.0.0/18", tags=tags)
subnet = aws.ec2.Subnet(
    "a",
    vpc_id=vpc.id,
    cidr_block="198.18.1.0/24",
    map_public_ip_on_launch=config.get_bool("mapped") or False,
    tags=tags if not config.get("untagged") else {},
)
group = aws.ec2.SecurityGroup("ssh", vpc_id=vpc.id)
aws.vpc.SecurityGroupIngressRule(
    "ssh",
    security_group_id=group.id,
    ip_protocol="tcp",
    from_port=22,
    to_port=22,
    cidr_ipv4=config.get("from") or "198.18.0.0/15",
)
aws.ec2.Instance(
    "machine",
    ami="ami-12c6146b",
    instance_type="t3.medium",
    subnet_id=subnet.id,
    associate_public_ip_address=config.get_bool("public") or False,
    vpc_security_group_ids=[group.id],
    metadata_options={"http_tokens": config.get("tokens") or "required"},
    root_block_device={"encrypted": not config.get_bool("plain"), "volume_size": 8, "tags": tags},
    user_data=pulumi.Output.secret("hush-hush"),
    tags=tags,
)
# Nobody makes these: they are refused.
everyone = {"from_port": 0, "to_port": 0, "cidr_blocks": ["0.0.0.0/0"]}
if protocol := config.get("protocol"):
    aws.ec2.SecurityGroupRule("wide", type="ingress", security_group_id=group.id, protocol=protocol, **everyone)
if config.get_bool("opened"):
    aws.ec2.DefaultSecurityGroup("default", vpc_id=vpc.id, ingress=[{"protocol": "-1", **everyone}])
if config.get_bool("pulled"):
    encrypted = [{"encryption_type": "KMS"}]
    aws.ecr.Repository("images", image_tag_mutability="MUTABLE", encryption_configurations=encrypted, tags=tags)
if support := config.get("support"):
    aws.eks.Cluster(
        "cluster",
        role_arn="arn:aws:iam::123456789012:role/cluster",
        vpc_config={"subnet_ids": ["subnet-1", "subnet-2"], "endpoint_public_access": False},
        encryption_config={"resources": ["secrets"], "provider": {"key_arn": "arn:aws:kms:us-east-1:1:key/1"}},
        upgrade_policy={"support_type": support},
        tags=tags,
    )
if readers := config.get("readers"):
    allowed = {"Effect": "Allow", "Principal": readers, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shown/*"}
    aws.s3.BucketPolicy("shown", bucket="shown", policy=json.dumps({"Version": "2012-10-17", "Statement": allowed}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.Project]:
    with engine.moto() as url:
        yield engine.project(tmp_path_factory.mktemp("guards"), url, PROGRAM, "guards")


def test_what_holds_passes(project: engine.Project) -> None:
    text = project("up", "--yes", *engine.PACK)
    assert "twinplane" in text.split("Policies:")[1]
    assert "hush-hush" not in text
    project("up", "--yes", "--skip-preview", "--expect-no-changes", *engine.PACK)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("from", "0.0.0.0/0", "ssh: SSH (port 22) is open to the world: name the ranges in sshCidrs or apiCidrs"),
        ("protocol", "all", "wide: SSH (port 22) is open to the world: name the ranges in sshCidrs or apiCidrs"),
        ("opened", "true", "default: SSH (port 22) is open to the world: name the ranges in sshCidrs or apiCidrs"),
        ("pulled", "true", "images: a tag could become another image: set imageTagMutability to IMMUTABLE"),
        ("tokens", "optional", "machine: instance metadata answers without a token (IMDSv1): set metadataOptions"),
        ("public", "true", "machine: the machine would get a public address: put it in a private subnet"),
        ("untagged", "1", "a: tags missing: Project, Stack, ManagedBy; take them from components/base/tags.py"),
        ("plain", "true", "machine: a volume is not encrypted: set encrypted on rootBlockDevice and on every"),
        ("mapped", "true", "a: machines of this subnet would get public addresses unasked: leave mapPublicIpOnLaunch"),
        ("support", "EXTENDED", "cluster: the cluster would go into extended support by itself: set upgradePolicy"),
        ("readers", "*", "shown: its policy lets anyone in: name who may, or let them get an issuer's two documents"),
    ],
)
@pytest.mark.parametrize("verb", [("preview",), ("up", "--yes", "--skip-preview")])
def test_what_breaks_a_guard_is_refused(
    project: engine.Project, verb: tuple[str, ...], key: str, value: str, told: str
) -> None:
    project("config", "set", key, value)
    try:
        text = project(*verb, *engine.PACK, code=1)
    finally:
        project("config", "rm", key)
    assert told in text
    assert "[mandatory]" in text


def test_what_was_refused_was_not_made(project: engine.Project) -> None:
    project("preview", "--expect-no-changes", *engine.PACK)


def test_public_machines_are_let_through_where_that_guard_is_lowered(project: engine.Project) -> None:
    lowered = project.folder / "lowered.json"
    lowered.write_text('{"private-machines": "advisory"}')
    project("config", "set", "public", "true")
    try:
        text = project("preview", *engine.PACK, "--policy-pack-config", str(lowered))
    finally:
        project("config", "rm", "public")
    assert "the machine would get a public address" in text
    assert "[advisory]" in text


def test_a_guard_that_is_misspelt_in_the_pack_s_config_is_an_error(project: engine.Project) -> None:
    misspelt = project.folder / "misspelt.json"
    misspelt.write_text('{"private-machine": "advisory"}')
    told = project("preview", *engine.PACK, "--policy-pack-config", str(misspelt), code=1)
    assert "private-machine: no such guard; did you mean private-machines?" in told

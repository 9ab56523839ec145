"""Values that are each right, and not together: one line that names the key, and what to do."""

import json

import pytest

from stacks.contradictions import arm, same_principal
from stacks.settings import ConfigErrors, read
from stacks.surroundings import Surroundings

BASE = {"apiCidrs": '["10.0.0.0/8"]', "appImage": "registry.test/sample-app:v1.0.0"}
MANAGED, SELF_MANAGED = {**BASE, "kind": "managed"}, {**BASE, "kind": "self-managed"}
ROLE = "arn:aws:iam::123456789012:role/team/platform"
SESSION = "arn:aws:sts::123456789012:assumed-role/platform/ci"
ENDPOINTS = '["ec2", "ecr.api", "ecr.dkr", "eks-auth"]'


def errors(config: dict[str, str], around: Surroundings | None = None, **more: dict[str, str]) -> list[str]:
    try:
        read(config, project="twinplane", stack="test", around=around, **more)
    except ConfigErrors as error:
        return [line.removeprefix("config twinplane:") for line in error.lines]
    return []


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({**MANAGED, "instanceType": "t4g.medium"}, "instanceType: t4g.medium is ARM, and machines get an x86-64 "),
        ({**SELF_MANAGED, "instanceType": "m7g.large"}, "instanceType: m7g.large is ARM, "),
        (
            {**SELF_MANAGED, "machineImage": '{"owner": "1", "name": "debian-12-arm64-*"}'},
            "machineImage: debian-12-arm64-* is for ARM, ",
        ),
        (
            {**MANAGED, "addOnVersions": '{"kube-proxy": "v1.35.3-eksbuild.5"}'},
            "addOnVersions: kube-proxy v1.35.3-eksbuild.5 is not of Kubernetes 1.36 (kubernetesVersion); change both",
        ),
        ({**MANAGED, "nat": "none"}, "nat: none: nodes need endpoints of ec2, ecr.api, ecr.dkr, eks-auth: set it to "),
        (
            {**MANAGED, "nat": "none", "interfaceEndpoints": ENDPOINTS, "ingressHosts": '["a.test"]'},
            "nat: none: nodes need endpoints of elasticloadbalancing: ",
        ),
        ({**SELF_MANAGED, "nat": "none"}, "nat: none: private machines cannot download Kubernetes and containerd: "),
        (
            {**MANAGED, "vpcCidr": "10.20.0.0/22", "workers": "20"},
            "workers: 20: 10 in a zone, of 12 addresses or more each, for pods have their own; a subnet, an eighth of "
            "vpcCidr 10.20.0.0/22, has 117: take fewer, or a larger block",
        ),
        (
            {**MANAGED, "apiCidrs": json.dumps([f"10.{n}.0.0/16" for n in range(41)])},
            "apiCidrs: 41 blocks: EKS takes 40; ",
        ),
        ({**SELF_MANAGED, "instanceType": "m4.large"}, "etcdVolumeSize: m4.large is no Nitro type, "),
        (
            {**MANAGED, "adminArns": json.dumps([ROLE]), "viewerArns": json.dumps([ROLE])},
            f"viewerArns: {ROLE} is in adminArns, too",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_is_one_line(config: dict[str, str], line: str) -> None:
    [found] = errors(config)
    assert found.startswith(line)


@pytest.mark.parametrize(
    "config",
    [
        {**MANAGED, "nat": "none", "interfaceEndpoints": ENDPOINTS},
        {**MANAGED, "nat": "none", "storage": "none", "interfaceEndpoints": '["ec2", "ecr.api", "ecr.dkr"]'},
        {**MANAGED, "vpcCidr": "10.20.0.0/22", "workers": "18"},
        {**MANAGED, "vpcCidr": "10.20.0.0/22", "workers": "28", "instanceType": "t3.small"},
        {**MANAGED, "nodeMode": "auto", "instanceType": "t4g.medium", "workers": "100", "vpcCidr": "10.20.0.0/22"},
        {**MANAGED, "addOnVersions": '{"kube-proxy": "v1.36.3-eksbuild.1", "coredns": "v1.14.2-eksbuild.4"}'},
        {**MANAGED, "apiCidrs": json.dumps([f"10.{n}.0.0/16" for n in range(40)])},
        {**SELF_MANAGED, "apiCidrs": json.dumps([f"10.{n}.0.0/16" for n in range(41)])},
        {**SELF_MANAGED, "instanceType": "m4.large", "etcdVolumeSize": "0"},
        {**SELF_MANAGED, "machineSubnets": "public", "sshCidrs": '["10.0.0.0/8"]'},
    ],
)
def test_what_goes_together_is_taken(config: dict[str, str]) -> None:
    assert errors(config) == []


def test_a_certificate_is_of_the_load_balancer_s_region() -> None:
    config = {**MANAGED, "ingressHosts": '["a.test"]'}
    config["ingressCertificate"] = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    [line] = errors(config, Surroundings(region="us-east-1"))
    assert "is of region eu-central-1, and the load balancer in us-east-1, which takes " in line
    assert errors(config, Surroundings(region="eu-central-1")) == []
    assert errors(config) == [], "AWS's own configuration names the region"


def test_endpoints_of_one_s_own_may_be_inside_the_network() -> None:
    around = Surroundings(endpoints=True)
    assert errors({**MANAGED, "nat": "none"}, around) == errors({**SELF_MANAGED, "nat": "none"}, around) == []


@pytest.mark.parametrize("key", ["adminArns", "viewerArns"])
def test_who_creates_a_cluster_is_in_it_already(key: str) -> None:
    config = {**MANAGED, key: json.dumps([ROLE])}
    [line] = errors(config, Surroundings(caller=SESSION))
    assert line == f"{key}: {ROLE} is who creates the cluster, and administers it without being named: take it out"
    alive = {"kind": "managed", "kubernetesVersion": "1.36"}
    assert errors(config, Surroundings(caller=SESSION), alive=alive) == [], "somebody else created it"
    assert errors(config, Surroundings(caller=SESSION.replace("platform", "other"))) == []


def test_a_session_is_of_its_role_and_a_user_is_itself() -> None:
    user = "arn:aws:iam::123456789012:user/team/ann"
    assert same_principal(user, user)
    assert same_principal(ROLE, SESSION)
    assert not same_principal(ROLE, SESSION.replace("123456789012", "210987654321"))
    assert not same_principal(user.replace("user", "role"), user)
    assert not same_principal(user, "arn:aws:sts::123456789012:assumed-role/ann/s")


@pytest.mark.parametrize("kind", ["a1.large", "t4g.small", "c6gn.large", "x2gd.metal", "im4gn.large", "g5g.xlarge"])
def test_arm_types(kind: str) -> None:
    assert arm(kind)


@pytest.mark.parametrize("kind", ["t3.medium", "g5.xlarge", "m7i-flex.large", "u-6tb1.112xlarge", "gr6.4xlarge", ""])
def test_other_types(kind: str) -> None:
    assert not arm(kind)

"""The config reader: values, defaults, and every error of a reading at once."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.base.chart_source import ChartSource
from components.machines.machine_image import DEBIAN_13, MachineImage
from stacks.keys import KEYS
from stacks.settings import ConfigErrors, ManagedSettings, SelfManagedSettings, load, read
from stacks.surroundings import Surroundings
from twinplane.secret_tmpdir import check

ACM = "arn:aws:acm:us-east-1:123456789012:certificate/1"
BLOCK = '["198.18.0.0/24"]'
MANAGED = {"kind": "managed", "apiCidrs": BLOCK, "appImage": "registry.test/sample-app:v1.0.0"}
SELF_MANAGED = {**MANAGED, "kind": "self-managed"}
WITHOUT_NAT = {**MANAGED, "interfaceEndpoints": '["ec2", "ecr.api", "ecr.dkr", "eks-auth"]'}
WITHOUT_STORAGE = {**SELF_MANAGED, "storage": "none"}
FROM_BLOCKS = {**SELF_MANAGED, "sshVia": "cidrs", "sshCidrs": '["198.19.2.0/24"]'}


def settings(config: dict[str, str], **changes: str) -> Any:
    return read({**config, **changes}, project="twinplane", stack="test")


def errors(config: dict[str, str], *, project: str = "twinplane", stack: str = "test", **changes: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        read({**config, **changes}, project=project, stack=stack)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return caught.value.lines


def test_defaults() -> None:
    managed, self_managed = settings(MANAGED), settings(SELF_MANAGED)
    assert isinstance(managed, ManagedSettings)
    assert isinstance(self_managed, SelfManagedSettings)
    assert managed.name == "twinplane-test"
    assert (managed.nat, self_managed.nat) == ("single", "single")
    assert (self_managed.machine_subnets, self_managed.api_subnets) == ("private", "public")
    assert (self_managed.ssh_via, self_managed.ssh_cidrs) == ("endpoint", ())
    assert (managed.workers, managed.availability_zones, managed.kubernetes_version) == (2, 2, "1.36.3")
    assert managed.node_release_version is None
    assert (self_managed.control_planes, self_managed.machine_image) == (1, DEBIAN_13)


@pytest.mark.parametrize(
    ("kind", "key", "text", "field", "value"),
    [
        (MANAGED, "kubernetesVersion", "1.35.4", "kubernetes_version", "1.35.4"),
        (MANAGED, "vpcCidr", "10.9.0.0/22", "vpc_cidr", IPv4Network("10.9.0.0/22")),
        (MANAGED, "serviceCidr", "10.9.0.0/24", "service_cidr", IPv4Network("10.9.0.0/24")),
        (MANAGED, "availabilityZones", "3", "availability_zones", 3),
        (WITHOUT_NAT, "nat", "none", "nat", "none"),
        (MANAGED, "nat", "per_zone", "nat", "per_zone"),
        (MANAGED, "interfaceEndpoints", '["ecr.api", "sts", "sts"]', "interface_endpoints", ("ecr.api", "sts")),
        (MANAGED, "flowLogDays", "30", "flow_log_days", 30),
        (MANAGED, "registryImages", '["sample-app", "other"]', "registry_images", ("sample-app", "other")),
        (MANAGED, "registryImages", "[]", "registry_images", ()),
        (MANAGED, "registryKeepReleases", "5", "registry_keep_releases", 5),
        (SELF_MANAGED, "etcdVolumeSize", "0", "etcd_volume_size", 0),
        (WITHOUT_STORAGE, "cloudController", "none", "cloud_controller", "none"),
        (SELF_MANAGED, "cloudControllerImage", "ccm:v1", "cloud_controller_image", "ccm:v1"),
        (MANAGED, "deschedulerImage", "mirror/descheduler:v1", "descheduler_image", "mirror/descheduler:v1"),
        (SELF_MANAGED, "cloudControllerEnvironment", '{"A": "b"}', "cloud_controller_environment", {"A": "b"}),
        (MANAGED, "ingressControllerValues", '{"a": {"b": 1}}', "ingress_controller_values", {"a": {"b": 1}}),
        (SELF_MANAGED, "networkPolicies", "false", "network_policies", False),
        (SELF_MANAGED, "backupDays", "7", "backup_days", 7),
        (SELF_MANAGED, "backupsOnDestroy", "delete", "backups_on_destroy", "delete"),
        (
            SELF_MANAGED,
            "registryPullRoles",
            '["arn:aws:iam::123456789012:role/a"]',
            "registry_pull_roles",
            ("arn:aws:iam::123456789012:role/a",),
        ),
        (MANAGED, "workers", "7", "workers", 7),
        (MANAGED, "instanceType", "m7i-flex.large", "instance_type", "m7i-flex.large"),
        (MANAGED, "apiCidrs", '["198.19.2.1/32", "198.19.2.1/32"]', "api_cidrs", ("198.19.2.1/32",)),
        (MANAGED, "appImage", "198.19.255.254:5000/a/b:v2", "app_image", "198.19.255.254:5000/a/b:v2"),
        (MANAGED, "nodeReleaseVersion", "1.36.3-20260901", "node_release_version", "1.36.3-20260901"),
        (
            MANAGED,
            "adminArns",
            '["arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/a"]',
            "admin_arns",
            ("arn:aws:iam::123456789012:role/a",),
        ),
        (MANAGED, "ingressHosts", '["a.test", "b.test", "a.test"]', "ingress_hosts", ("a.test", "b.test")),
        (MANAGED, "ingressCertificate", ACM, "ingress_certificate", ACM),
        (MANAGED, "ingressScheme", "internal", "ingress_scheme", "internal"),
        (MANAGED, "appCidrs", '["0.0.0.0/0"]', "app_cidrs", ("0.0.0.0/0",)),
        (SELF_MANAGED, "appCidrs", "[]", "app_cidrs", ()),
        (WITHOUT_STORAGE, "cloudController", "none", "app_cidrs", ()),
        (
            SELF_MANAGED,
            "ingressControllerChart",
            '{"chart": "lbc", "repository": "https://charts.test", "version": "1.2.3"}',
            "ingress_controller_chart",
            ChartSource("lbc", "https://charts.test", "1.2.3"),
        ),
        (
            SELF_MANAGED,
            "ingressControllerChart",
            '{"chart": "./c"}',
            "ingress_controller_chart",
            ChartSource("./c", None, None),
        ),
        (MANAGED, "ingressControllerImage", "host:5000/lbc:v2", "ingress_controller_image", "host:5000/lbc:v2"),
        (SELF_MANAGED, "storage", "none", "storage", "none"),
        (
            MANAGED,
            "addOnVersions",
            '{"coredns": "v1.2.3-eksbuild.4"}',
            "add_on_versions",
            {"coredns": "v1.2.3-eksbuild.4"},
        ),
        (MANAGED, "nodeMode", "auto", "node_mode", "auto"),
        (MANAGED, "controlPlaneLogDays", "7", "control_plane_log_days", 7),
        (SELF_MANAGED, "podCidr", "10.9.0.0/20", "pod_cidr", IPv4Network("10.9.0.0/20")),
        (SELF_MANAGED, "podNetwork", "routed", "pod_network", "routed"),
        (SELF_MANAGED, "controlPlanes", "3", "control_planes", 3),
        (FROM_BLOCKS, "machineSubnets", "public", "machine_subnets", "public"),
        (FROM_BLOCKS, "machineSubnets", "public", "nat", "none"),
        (SELF_MANAGED, "apiSubnets", "private", "api_subnets", "private"),
        ({**FROM_BLOCKS, "sshCidrs": BLOCK}, "sshCidrs", '["10.0.0.0/8"]', "ssh_cidrs", ("10.0.0.0/8",)),
        (SELF_MANAGED, "machineImage", '{"owner": "1", "name": "n*"}', "machine_image", MachineImage("1", "n*")),
        (SELF_MANAGED, "playbookVars", '{"a": [1]}', "playbook_vars", {"a": [1]}),
    ],
)
def test_values(kind: dict[str, str], key: str, text: str, field: str, value: Any) -> None:
    assert getattr(settings(kind, **{key: text}), field) == value
    assert getattr(settings(kind), field) != value


def test_each_control_plane_has_by_default_a_zone_of_its_own() -> None:
    assert settings(SELF_MANAGED, controlPlanes="3").availability_zones == 3
    assert settings(SELF_MANAGED, controlPlanes="1").availability_zones == settings(MANAGED).availability_zones == 2


def test_ssh_is_by_default_what_the_machines_need() -> None:
    assert settings(FROM_BLOCKS).ssh_via == "cidrs"
    assert settings(SELF_MANAGED, machineSubnets="public", sshVia="endpoint").ssh_via == "endpoint"
    assert settings(SELF_MANAGED, workers="9").ssh_via == "endpoint"
    [found] = errors(SELF_MANAGED, machineSubnets="public")
    assert "sshCidrs: missing" in found


@pytest.mark.parametrize(
    ("kind", "key", "text", "line"),
    [
        (MANAGED, "kind", "eks", "'eks' is none of managed, self-managed"),
        (MANAGED, "kubernetesVersion", "1.36", "'1.36' is not an exact release such as 1.36.3"),
        (MANAGED, "kubernetesVersion", "1.33.1", "1.33.1 is not supported; minors that are: 1.35, 1.36"),
        (MANAGED, "vpcCidr", "10.0.0.0/23", "10.0.0.0/23 is too small: /22 or larger is needed"),
        (MANAGED, "vpcCidr", "10.0.0.0/8", "10.0.0.0/8 is too large: /16 or smaller is needed"),
        (MANAGED, "vpcCidr", "10.0.0.1/16", "'10.0.0.1/16' is not an IPv4 block: 10.0.0.1/16 has host bits set"),
        (MANAGED, "vpcCidr", "fd00::/64", "'fd00::/64' is not an IPv4 block: "),
        (MANAGED, "serviceCidr", "10.20.128.0/20", "10.20.128.0/20 overlaps vpcCidr 10.20.0.0/16"),
        (
            MANAGED,
            "serviceCidr",
            "100.64.0.0/16",
            "100.64.0.0/16 is not private: EKS takes 10.0.0.0/8, 172.16.0.0/12 or",
        ),
        (SELF_MANAGED, "podCidr", "10.20.0.0/16", "10.20.0.0/16 overlaps vpcCidr 10.20.0.0/16"),
        (SELF_MANAGED, "podCidr", "172.16.0.0/12", "172.20.0.0/16 overlaps podCidr 172.16.0.0/12"),
        (SELF_MANAGED, "podCidr", "10.9.0.0/23", "10.9.0.0/23 is too small: each of 3 machines takes a /24 of it"),
        (MANAGED, "availabilityZones", "1", "'1' is not a whole number from 2 to 3"),
        (
            {**SELF_MANAGED, "controlPlanes": "3"},
            "availabilityZones",
            "2",
            "2 for 3 control planes: with one zone, two of",
        ),
        (MANAGED, "workers", "0", "'0' is not a whole number from 1 to 100"),
        (MANAGED, "workers", "two", "'two' is not a whole number from 1 to 100"),
        (MANAGED, "nat", "yes", "'yes' is none of none, single"),
        (
            {**FROM_BLOCKS, "machineSubnets": "public"},
            "nat",
            "single",
            "a gateway that no machine would use: machineSubnets is public",
        ),
        (SELF_MANAGED, "apiSubnets", "dmz", "'dmz' is none of public, private"),
        (SELF_MANAGED, "sshVia", "bastion", "'bastion' is none of endpoint, cidrs"),
        (SELF_MANAGED, "sshVia", "cidrs", "missing: the blocks that SSH comes from"),
        (SELF_MANAGED, "sshCidrs", BLOCK, "not with sshVia: endpoint, which lets in who IAM says"),
        (SELF_MANAGED, "workers", "10", "one endpoint has connections for 10 machines, not for 11: set it to cidrs"),
        (MANAGED, "instanceType", "large", "'large' is not an instance type such as t3.medium"),
        (MANAGED, "apiCidrs", '["0.0.0.0/0"]', "0.0.0.0/0 opens it to the Internet; "),
        (MANAGED, "apiCidrs", '["0.0.0.0/1", "128.0.0.0/1"]', "0.0.0.0/1 opens it to the Internet; "),
        (FROM_BLOCKS, "sshCidrs", '["0.0.0.0/0"]', "0.0.0.0/0 opens it to the Internet; "),
        (MANAGED, "appCidrs", '["all"]', "'all' is not an IPv4 block: "),
        (MANAGED, "flowLogDays", "2", "'2' is none of 0, 1, 3, 5, "),
        (MANAGED, "addOnVersions", '["coredns"]', "is not an object such as"),
        (MANAGED, "addOnVersions", '{"core-dns": "v1.2.3-eksbuild.4"}', "'core-dns' is none of aws-ebs-csi-driver, "),
        (MANAGED, "addOnVersions", '{"coredns": "1.2.3"}', "coredns: '1.2.3' is no version such as v1.14.2-eksbuild.4"),
        (MANAGED, "nodeMode", "fargate", "'fargate' is none of managed, auto"),
        (MANAGED, "controlPlaneLogDays", "0", "'0' is none of 1, 3, 5, "),
        (MANAGED, "interfaceEndpoints", '["com.amazonaws.us-east-1.sts"]', "is no service such as ecr.api"),
        (MANAGED, "interfaceEndpoints", '["s3"]', "s3 has a gateway endpoint always"),
        (MANAGED, "registryImages", '["Sample:v1"]', "'Sample:v1' is no image's name such as sample-app"),
        (FROM_BLOCKS, "sshCidrs", "[]", "empty: at least one block is needed"),
        (FROM_BLOCKS, "sshCidrs", "198.19.2.0/24", "'198.19.2.0/24' is not JSON such as "),
        (FROM_BLOCKS, "sshCidrs", '"198.19.2.0/24"', "is not a list such as "),
        (SELF_MANAGED, "podNetwork", "vxlan", "'vxlan' is none of overlay, routed"),
        (MANAGED, "podNetwork", "routed", "only for kind self-managed"),
        ({**WITHOUT_STORAGE, "cloudController": "none"}, "podNetwork", "routed", "routed needs cloudController: aws, "),
        ({**SELF_MANAGED, "nat": "per_zone"}, "podNetwork", "routed", "routed needs nat: single, or none: "),
        (SELF_MANAGED, "controlPlanes", "2", "2 is even: etcd needs a majority"),
        (SELF_MANAGED, "controlPlanes", "5", "'5' is neither 1 nor 3"),
        (SELF_MANAGED, "machineSubnets", "dmz", "'dmz' is none of public, private"),
        (SELF_MANAGED, "machineImage", '{"owner": "1"}', "must have owner and name, nothing else"),
        (SELF_MANAGED, "ingressControllerValues", "[]", "is not an object of a chart's values"),
        (SELF_MANAGED, "ingressControllerValues", '{"env": null}', "env is not an object of environment variables"),
        (SELF_MANAGED, "playbookVars", "[]", "is not an object of Ansible variables"),
        (MANAGED, "appImage", "sample-app", "'sample-app' names no release"),
        (MANAGED, "appImage", "sample-app:latest", "'sample-app:latest' names no release"),
        (MANAGED, "appImage", "ACCOUNT.test/app:v1.0.0-RC", "has capital letters before its tag"),
        (MANAGED, "nodeReleaseVersion", "1.36.3", "'1.36.3' is not a release of the EKS node image"),
        (MANAGED, "nodeReleaseVersion", "1.35.4-20260901", "1.35.4-20260901 is not of Kubernetes 1.36"),
        (MANAGED, "adminArns", '["root"]', "'root' is not the ARN of an IAM role or user"),
        (
            MANAGED,
            "adminArns",
            '["arn:aws:sts::123456789012:assumed-role/ops/ada"]',
            "name the session's role, arn:aws:iam::123456789012:role/ops",
        ),
        (MANAGED, "ingressHosts", '["*.test"]', "'*.test' is no host name such as app.example.test"),
        ({**MANAGED, "appCidrs": "[]"}, "ingressHosts", '["a.test"]', "nobody would reach the hosts: name who does"),
        (MANAGED, "ingressCertificate", "mine", "'mine' is not the ARN of a certificate in Certificate Manager"),
        (MANAGED, "ingressScheme", "open", "'open' is none of internet-facing, internal"),
        (MANAGED, "ingressControllerChart", '{"version": "1"}', "must have chart, may have repository and version"),
        (MANAGED, "ingressControllerChart", '{"chart": 1}', "its parts must be texts"),
        (MANAGED, "ingressControllerImage", "lbc", "'lbc' names no release"),
        (MANAGED, "storage", "efs", "'efs' is none of ebs, none"),
        (MANAGED, "sshCidrs", BLOCK, "only for kind self-managed"),
        (SELF_MANAGED, "nodeReleaseVersion", "1.36.3-20260901", "only for kind managed"),
        (MANAGED, "worker", "3", "unknown key; did you mean workers?"),
        (MANAGED, "zzz", "3", "unknown key; known: kind, kubernetesVersion, "),
    ],
)
def test_one_error_is_one_line(kind: dict[str, str], key: str, text: str, line: str) -> None:
    [found] = errors(kind, **{key: text})
    assert line in found
    assert found.startswith("config twinplane:")
    assert "\n" not in found


def test_all_errors_are_reported_together() -> None:
    lines = errors(
        {"kind": "self-managed", "apiCidrs": '["0.0.0.0/0"]'},
        vpcCidr="10.0.0.0/28",
        controlPlanes="4",
        kubernetesVersion="1.20.0",
        sshCidr=BLOCK,
    )
    assert [line.split(":")[1] for line in lines] == [
        "sshCidr",
        "vpcCidr",
        "apiCidrs",
        "appImage",
        "controlPlanes",
        "kubernetesVersion",
    ]


def test_missing_says_how_to_set_it() -> None:
    assert errors({}) == [
        "config twinplane:kind: missing: pulumi config set twinplane:kind VALUE",
        "config twinplane:apiCidrs: missing: pulumi config set --path 'twinplane:apiCidrs[0]' $(curl -s https://checkip.amazonaws.com)/32",
        "config twinplane:appImage: missing: pulumi config set twinplane:appImage VALUE",
    ]


@pytest.mark.parametrize(
    ("project", "stack"),
    [
        ("twinplane", "a" * 33),
        ("p" * 41, "a"),
        ("twinplane", "with.dot"),
        ("with.dot", "test"),
        ("under_score", "test"),
        ("2planes", "test"),
        ("twinplane", "a--b"),
        ("twinplane", "a-"),
        ("a-", "b"),
        ("SG", "test"),
    ],
)
def test_names_that_aws_would_refuse(project: str, stack: str) -> None:
    wrong, other = errors(MANAGED, project=project, stack=stack, workers="0")
    assert "workers: '0' is not a whole number" in wrong
    assert other.startswith(f"project {project}, stack {stack}: {project}-{stack}, which all is named after, must be ")
    assert "at most 42" in other


@pytest.mark.parametrize(
    ("project", "stack"), [("twinplane", "a" * 32), ("p" * 40, "a"), ("p", "9lives"), ("sgx", "a-b")]
)
def test_names_that_aws_takes(project: str, stack: str) -> None:
    assert read(MANAGED, project=project, stack=stack).name == f"{project}-{stack}"


def test_load_reads_the_running_stacks_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pulumi.get_project", lambda: "twinplane")
    monkeypatch.setattr("pulumi.get_stack", lambda: "mine")
    monkeypatch.setattr("stacks.living.living", lambda: None)
    monkeypatch.setattr("stacks.settings.look", Surroundings)
    pulumi.runtime.set_all_config({"aws:region": "us-east-1", **{f"twinplane:{k}": v for k, v in MANAGED.items()}})
    try:
        assert load().name == "twinplane-mine"
        assert load().app_image == "registry.test/sample-app:v1.0.0"
    finally:
        pulumi.runtime.set_all_config({})


def test_a_machine_that_cannot_keep_secrets_in_memory_is_refused_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("stacks.settings.secret_tmpdir.check", lambda: check(tmp_path / "shm"))
    monkeypatch.setattr("stacks.settings.look", lambda: pytest.fail("AWS is asked later"))
    with pytest.raises(pulumi.RunError, match="shm: missing, and secrets are kept there"):
        load()


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mapping[str, str]], list[str]]]:
    """Loads the config of the stack dev of a project mine. Returns its errors"""
    for name, value in {"pulumi.get_project": "mine", "pulumi.get_stack": "dev", "stacks.living.living": None}.items():
        monkeypatch.setattr(name, lambda value=value: value)
    monkeypatch.setattr("stacks.settings.look", Surroundings)

    def lines(config: Mapping[str, str]) -> list[str]:
        pulumi.runtime.set_all_config(dict(config))
        with pytest.raises(ConfigErrors) as told:
            load()
        return told.value.lines

    yield lines
    pulumi.runtime.set_all_config({})


OURS = {"aws:region": "us-east-1", **{f"mine:{key}": value for key, value in MANAGED.items()}}


def test_a_key_of_another_projects_namespace_is_an_error(mine: Callable[[Mapping[str, str]], list[str]]) -> None:
    rename = "not read, for this project is named mine: sed -i 's/^  twinplane:/  mine:/' stacks/Pulumi.dev.yaml"
    wrong = {"kubernetes:namespace": "x", "twinplane:workers": "0", "twinplane:appImage": "x:1", "mine:workerz": "3"}
    assert mine(OURS | wrong) == [
        f"config twinplane:workers: {rename}",
        "config twinplane:appImage: not read, for mine:appImage is set: pulumi config rm twinplane:appImage",
        "config mine:workerz: unknown key; did you mean workers?",
        "config mine:workers: '0' is not a whole number from 1 to 100",
    ]
    assert mine({f"twinplane:{key}": value for key, value in MANAGED.items()}) == [
        f"config twinplane:{key}: {rename}" for key in MANAGED
    ]


@pytest.mark.parametrize("key", ["profile", "accessKey", "secretKey", "token", "assumeRole", "assumeRoles"])
def test_credentials_that_only_half_of_it_would_use_are_refused(
    mine: Callable[[Mapping[str, str]], list[str]], key: str
) -> None:
    assert mine(OURS | {f"aws:{key}": "x", "aws:endpoints": "[]", "aws:s3UsePathStyle": "true"}) == [
        f"config aws:{key}: would reach AWS, but neither the Kubernetes API nor `twinplane`: set AWS_PROFILE, or the "
        f"keys, in the environment, and: pulumi config rm aws:{key}"
    ]


@given(st.dictionaries(st.sampled_from([*KEYS, "other"]), st.text(max_size=12) | st.sampled_from([BLOCK, "{}", "[0]"])))
def test_no_text_makes_a_traceback(config: dict[str, str]) -> None:
    for kind in ({}, {"kind": "managed"}, {"kind": "self-managed"}):
        with contextlib.suppress(ConfigErrors):
            read({**config, **kind}, project="twinplane", stack="test")


@given(
    vpc=st.integers(16, 22),
    pods=st.integers(12, 22),
    services=st.integers(12, 24),
    places=st.tuples(*[st.integers(0, 2**24 - 1)] * 3),
)
def test_overlap_is_found_exactly_where_there_is_one(
    vpc: int, pods: int, services: int, places: tuple[int, int, int]
) -> None:
    blocks = [
        IPv4Network(((10 << 24 | place) >> (32 - length) << (32 - length), length))
        for place, length in zip(places, (vpc, pods, services), strict=True)
    ]
    overlap = any(a.overlaps(b) for i, a in enumerate(blocks) for b in blocks[:i])
    texts = dict(zip(("vpcCidr", "podCidr", "serviceCidr"), map(str, blocks), strict=True))
    if overlap:
        assert all("overlaps" in line for line in errors(SELF_MANAGED, **texts))
    else:
        assert settings(SELF_MANAGED, **texts).pod_cidr == blocks[1]


def test_every_key_has_a_field() -> None:
    fields = set(ManagedSettings.__dataclass_fields__) | set(SelfManagedSettings.__dataclass_fields__)
    snake = json.loads(json.dumps(list(KEYS)))
    assert {"".join(f"_{c.lower()}" if c.isupper() else c for c in key) for key in snake} == fields - {"name", "record"}


def test_who_reaches_the_api_reaches_the_app_where_config_says_nothing() -> None:
    assert settings(MANAGED).app_cidrs == settings(SELF_MANAGED).app_cidrs == tuple(json.loads(BLOCK))
    [line] = errors(WITHOUT_STORAGE, cloudController="none", appCidrs=BLOCK)
    assert "appCidrs: nobody makes a load balancer: cloudController is none" in line


def test_the_driver_of_volumes_needs_the_labels_of_the_cloud_controller() -> None:
    for config in (SELF_MANAGED, {**SELF_MANAGED, "storage": "ebs"}):
        [line] = errors(config, cloudController="none")
        assert line == (
            "config twinplane:storage: ebs needs cloudController: aws, "
            "which labels the nodes that the driver asks for; or storage: none"
        )
    assert settings(SELF_MANAGED, storage="ebs").cloud_controller == "aws"
    assert settings(MANAGED, storage="ebs").storage == "ebs"


def test_auto_mode_takes_no_release() -> None:
    with pytest.raises(ConfigErrors, match="nodeReleaseVersion: nodeMode is auto: EKS chooses the release"):
        settings(MANAGED, nodeMode="auto", nodeReleaseVersion="1.36.3-20260901")


def test_tags_that_controllers_would_misread_are_errors() -> None:
    def wrong(**tags: str) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            read(MANAGED, project="twinplane", stack="test", around=Surroundings(default_tags=tags))
        return caught.value.lines

    assert wrong(**{"a=b": "1"})[0].startswith("config aws:defaultTags: 'a=b': a key has letters")
    assert wrong(team="a,b")[0].startswith("config aws:defaultTags: team: 'a,b': a value has letters")
    fine = {"cost/centre:1": "a=b c@d", "empty": ""}
    assert read(MANAGED, project="twinplane", stack="test", around=Surroundings(default_tags=fine))

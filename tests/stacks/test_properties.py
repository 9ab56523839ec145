"""What holds for any valid config, of either kind: subnets fit, names fit, all is tagged and owned, nothing leaks."""

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from components.eks import add_on
from components.package.limits import LOG_DAYS
from policies.guards import RULES
from stacks import managed, self_managed
from stacks.keys import KEYS
from stacks.parsers import SUPPORTED_MINORS
from stacks.settings import MAX_NAME, ManagedSettings, SelfManagedSettings, read
from tests.support.pulumi_mocks import PROJECT, Graph, leaks, run
from twinplane.outputs import KINDS, Kind

pytestmark = pytest.mark.usefixtures("tunnels")
AnySettings = ManagedSettings | SelfManagedSettings
#: Types that AWS tags in no way.
UNTAGGED = {
    "aws:ec2/route:Route",
    "aws:ec2/tag:Tag",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ec2/volumeAttachment:VolumeAttachment",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:kms/alias:Alias",
    "aws:lb/targetGroupAttachment:TargetGroupAttachment",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:s3/bucketObject:BucketObject",  # could have tags; it ends with its bucket, which has them
}
#: Type -> longest name AWS takes; the provider appends a hyphen and 7 digits where the program gives none.
LIMITS = {
    "aws:iam/role:Role": 64,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:ec2/keyPair:KeyPair": 255,
    "aws:cloudwatch/logGroup:LogGroup": 512,
    "aws:kms/alias:Alias": 256,
    "aws:lb/loadBalancer:LoadBalancer": 32,
    "aws:lb/targetGroup:TargetGroup": 32,
    "aws:s3/bucket:Bucket": 63,
    "aws:ecr/repository:Repository": 256,
    "eks:index:Cluster": 64 - len("-eksRole-role-0123abc"),  # 100 themselves, but for the role that pulumi-eks makes
    "aws:eks/nodeGroup:NodeGroup": 63,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
}


def blocks(first: int, largest: int, smallest: int) -> st.SearchStrategy[str]:
    """A block within `first`.0.0.0/8."""

    def block(prefix: int, position: int) -> str:
        return str(IPv4Network(((first << 24) + (position >> (32 - prefix) << (32 - prefix)), prefix)))

    return st.builds(block, st.integers(largest, smallest), st.integers(0, 2**24 - 1))


def texts(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return values.map(json.dumps)


def whole(least: int, most: int) -> st.SearchStrategy[str]:
    return st.integers(least, most).map(str)


def options(*known: str) -> st.SearchStrategy[str]:
    return st.sampled_from(known)


def some(*known: str) -> st.SearchStrategy[str]:
    return texts(st.lists(st.sampled_from(known), max_size=3))


def objects(*keys: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return texts(st.dictionaries(st.sampled_from(keys), values))


#: What JSON has.
ANYTHING = st.sampled_from([None, True, 1, "a", ["a"], {"a": "b"}])
KUBERNETES = [f"{minor}.{patch}" for minor in SUPPORTED_MINORS for patch in (0, 3)]
DAYS = [str(days) for days in LOG_DAYS]
CHARTS = [
    {"chart": "./charts/a"},
    {"chart": "oci://registry.test/a", "version": "1.2.3"},
    {"chart": "a", "repository": "https://charts.test"},
]
ROLES = [f"arn:aws-us-gov:iam::123456789012:{each}" for each in ("role/a", "role/path/b", "user/c")]

#: Key -> texts that the reader takes by themselves; None: config does not have it.
STRATEGIES: dict[str, st.SearchStrategy[str | None]] = {
    "kubernetesVersion": options(*KUBERNETES),
    "vpcCidr": blocks(11, 16, 22),
    "availabilityZones": whole(2, 3),
    "machineSubnets": options("public", "private"),
    "nat": options("none", "single", "per_zone"),
    "interfaceEndpoints": some("ecr.api", "ecr.dkr", "sts", "kms-fips"),
    "flowLogDays": options("0", *DAYS),
    "serviceCidr": blocks(10, 12, 24),
    "workers": options("1", "2", "5"),
    "instanceType": options("t3.medium", "m7i-flex.large", "u-6tb1.112xlarge"),
    "apiCidrs": texts(st.lists(blocks(13, 8, 32), min_size=1, max_size=3)),
    "appImage": options("registry.test/sample-app:v1.0.0", "registry.test:5000/a/b:1"),
    "registryImages": some("sample-app", "a", "b.c", "b-c", "l" * 100),
    "registryPullRoles": some(*ROLES),
    "registryKeepReleases": whole(1, 1000),
    "ingressHosts": some("a.test", "b.c.test", f"{'l' * 63}.test"),
    "ingressCertificate": st.none() | st.just("arn:aws-cn:acm:cn-north-1:123456789012:certificate/a"),
    "ingressScheme": options("internet-facing", "internal"),
    "ingressControllerChart": st.none() | texts(st.sampled_from(CHARTS)),
    "ingressControllerImage": st.none() | st.just("registry.test:5000/a:v1"),
    "ingressControllerValues": objects("image", "replicaCount", values=ANYTHING)
    | st.just('{"env": {"AWS_REGION": "b"}}'),
    "deschedulerImage": st.none() | st.just("registry.test:5000/a:v1"),
    "storage": options("ebs", "none"),
    "deletionProtection": options("true", "false"),
    "networkPolicies": options("true", "false"),
    "allowReplacement": options("true", "false"),
    "nodeMode": options("managed", "auto"),
    "nodeReleaseVersion": st.none() | options(*(f"{each}-20260901" for each in KUBERNETES)),
    "adminArns": some(*ROLES),
    "viewerArns": some(*(f"{role}-viewer" for role in ROLES)),
    "controlPlaneLogDays": options(*DAYS),
    "addOnVersions": objects(*add_on.NAMES, values=st.just("v1.2.3-eksbuild.4")),
    "podCidr": blocks(12, 8, 20),
    "podNetwork": options("overlay", "routed"),
    "controlPlanes": options("1", "3"),
    "apiSubnets": options("public", "private"),
    "sshVia": options("endpoint", "cidrs"),
    "sshCidrs": texts(st.lists(blocks(13, 8, 32), min_size=1, max_size=3)),
    "machineImage": st.none() | st.just('{"owner": "123456789012", "name": "a-*"}'),
    "etcdVolumeSize": whole(0, 1024),
    "backupDays": whole(1, 3650),
    "backupsOnDestroy": options("keep", "delete"),
    "cloudController": options("aws", "none"),
    "appCidrs": texts(st.lists(blocks(13, 8, 32) | st.just("0.0.0.0/0"), max_size=2)),
    "cloudControllerImage": st.none() | st.just("registry.test:5000/a:v1"),
    "cloudControllerEnvironment": objects("AWS_ENDPOINT_URL", "A", values=st.sampled_from(["", "b"])),
    "playbookVars": objects("kubernetes_version", "a", values=ANYTHING),
}


def configs(kind: Kind) -> st.SearchStrategy[dict[str, str]]:
    """Every key of that kind. One without a strategy is an error here."""
    own = {name: STRATEGIES[name] for name, key in KEYS.items() if name != "kind" and kind in key.kinds}
    drawn = st.fixed_dictionaries({**own, "kind": st.just(kind)})
    return drawn.map(lambda config: {name: text for name, text in config.items() if text is not None}).map(settled)


#: What lets EKS's nodes do without a way out.
NO_WAY_OUT = {"interfaceEndpoints": json.dumps(["ec2", "ecr.api", "ecr.dkr", "eks-auth", "elasticloadbalancing"])}


def settled(config: dict[str, str]) -> dict[str, str]:
    """The same without what the reader refuses together: a value gives way to the one that it does not go with."""
    if release := config.get("nodeReleaseVersion"):
        config |= {"kubernetesVersion": release.partition("-")[0], "nodeMode": "managed"}
    if config.get("machineSubnets") == "public":
        config |= {"nat": "none"}
    if config.get("controlPlanes") == "3":
        config |= {"availabilityZones": "3"}
    if config.get("cloudController") == "none":
        config |= {"storage": "none", "appCidrs": "[]", "podNetwork": "overlay"}
    if config["appCidrs"] == "[]":
        config.pop("ingressHosts", None)  # nobody would reach them
    if config["nat"] == "none" and config.get("machineSubnets") != "public":
        config |= NO_WAY_OUT if config["kind"] == "managed" else {"nat": "single"}
    add_ons = json.loads(config.get("addOnVersions", "{}"))
    if "kube-proxy" in add_ons:
        add_ons["kube-proxy"] = f"v{config['kubernetesVersion']}-eksbuild.4"
        config |= {"addOnVersions": json.dumps(add_ons)}
    if config["nat"] == "per_zone":
        config.pop("podNetwork", None)  # pods' routes are in one table
    if config.get("sshVia") == "endpoint":
        del config["sshCidrs"]
    return config


def named(first: int, parts: int) -> st.SearchStrategy[str]:
    """A name of at most `first` characters, and so many parts of 5 after it."""
    return st.from_regex(rf"[A-Za-z][A-Za-z0-9]{{0,{first - 1}}}(-[A-Za-z0-9]{{1,5}}){{0,{parts}}}", fullmatch=True)


def build(settings: AnySettings) -> Callable[[], Any]:
    return lambda: managed.build(settings) if isinstance(settings, ManagedSettings) else self_managed.build(settings)


def of(config: dict[str, str], names: tuple[str, str]) -> tuple[AnySettings, str, str]:
    project, stack = names
    return read(config, project=project, stack=stack), project, stack


#: Project and stack; longest names at times, which chance alone would not give.
NAMES = st.one_of(
    st.tuples(named(10, 2).filter(lambda name: not name.lower().startswith("sg-")), named(6, 2)),
    st.sampled_from([(PROJECT, "L" * (MAX_NAME - 1 - len(PROJECT))), ("L" * (MAX_NAME - 2), "s")]),
)
#: Each kind as often as the other.
ANY = st.builds(of, st.one_of(configs("managed"), configs("self-managed")), NAMES)
# A failure is shown as it was found: to look for a smaller one takes minutes.
few = hypothesis_settings(max_examples=8, phases=[Phase.generate])


@given(ANY)
@few
def test_any_valid_config_gives_a_sound_graph(drawn: tuple[AnySettings, str, str]) -> None:
    settings, project, stack = drawn
    graph = run(build(settings), project=project, stack=stack)
    check_subnets(graph, settings)
    check_owned_and_tagged(graph)
    check_names(graph)
    assert not list(leaks(graph.raw_exports))
    for resource in graph.resources:
        assert not list(leaks(resource.raw)), resource.name
        assert not list(leaks(resource.outputs or {})), resource.name


@given(ANY, ANY)
@hypothesis_settings(few, max_examples=4)
def test_any_two_instances_coexist(a: tuple[AnySettings, str, str], b: tuple[AnySettings, str, str]) -> None:
    one, other = a[0], b[0]
    if one.name.lower() == other.name.lower():
        return

    def both() -> None:
        build(one)()
        build(other)()

    graph = run(both)
    assert len({each.urn for each in graph.resources}) == len(graph.resources)
    for kind in ("Repository", "Alias", "eks:index:Cluster"):
        names = [each.inputs["name"] for each in graph.all(kind)]
        assert len(set(names)) == len(names)


def check_subnets(graph: Graph, settings: AnySettings) -> None:
    subnets = [IPv4Network(each.inputs["cidrBlock"]) for each in graph.all("Subnet")]
    assert len(subnets) == 2 * settings.availability_zones
    assert all(subnet.subnet_of(settings.vpc_cidr) for subnet in subnets)
    assert not any(a.overlaps(b) for index, a in enumerate(subnets) for b in subnets[:index])
    assert all(16 <= subnet.prefixlen <= 28 for subnet in subnets), "what AWS takes"


def check_owned_and_tagged(graph: Graph) -> None:
    urns = {each.urn for each in graph.resources}
    for each in graph.resources:
        top = each.type.startswith("twinplane:") and "pulumi:pulumi:Stack" in each.parent
        assert top or each.parent in urns, each.name
        if each.type.startswith(("aws:", "eks:")) and each.type not in UNTAGGED:
            tags = each.inputs.get("tags", {})
            assert {"Project", "Stack", "ManagedBy"} <= set(tags), each.name
            assert all(len(key) <= 128 and len(value) <= 256 for key, value in tags.items()), each.name


def check_names(graph: Graph) -> None:
    for each in graph.resources:
        limit = LIMITS.get(each.type)
        # To a prefix the provider appends 26 digits.
        name = each.inputs["namePrefix"] + "0" * 26 if "namePrefix" in each.inputs else None
        name = name or each.inputs.get("name") or f"{each.name}-0123abc"
        assert limit is None or len(name) <= limit, f"{each.type} {name}"
        if each.type in {"eks:index:Cluster", "aws:s3/bucket:Bucket"}:  # of which the provider makes lower case
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", name), name
        if each.type == "aws:kms/alias:Alias":
            assert re.fullmatch(r"alias/[A-Za-z0-9/_-]+", name), name
        if each.type == "aws:ec2/securityGroup:SecurityGroup":
            assert not name.lower().startswith("sg-"), name
        if each.type == "aws:ecr/repository:Repository":
            assert re.fullmatch(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*", name), name


@pytest.mark.parametrize("kind", KINDS)
def test_policies_hold_without_public_machines(kind: Kind) -> None:
    @given(configs(kind))
    @hypothesis_settings(few, max_examples=3)
    def holds(config: dict[str, str]) -> None:
        if kind == "self-managed":
            config = settled({"sshCidrs": '["198.19.2.0/24"]', **config, "machineSubnets": "private"})
        for each in run(build(read(config, project=PROJECT, stack="s"))).resources:
            for rule in RULES:
                assert not list(rule(each.type, each.inputs)), each.name

    holds()

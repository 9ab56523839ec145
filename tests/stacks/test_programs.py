"""Whole stacks on mocks, from their config files on: `python __main__.py` as the engine runs it."""

import json
import runpy
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml

from policies.guards import RULES
from policies.openings import ingress_of_a_guarded_class
from stacks.keys import KEYS
from stacks.settings import read
from stacks.surroundings import Surroundings
from tests import ROOT
from tests.support import golden_files
from tests.support.pulumi_mocks import PROJECT, PUBLIC_KEY, SECRET, Graph, leaks, masked, run
from tests.support.stack_config import config
from twinplane.errors import UsageError
from twinplane.live import tunnel
from twinplane.outputs import StackOutputs

pytestmark = pytest.mark.usefixtures("tunnels")
NLB = "service.beta.kubernetes.io/aws-load-balancer"
STACKS = ["managed", "self-managed", "managed-lab", "self-managed-lab"]
#: Resource types without tags.
UNTAGGED = (":Route", "RouteTableAssociation", "RolePolicy", "RolePolicyAttachment")
UNTAGGED += ("Alias", "LifecyclePolicy", "RepositoryPolicy", "TargetGroupAttachment")
UNTAGGED += ("BucketVersioning", "Configuration", "BucketPublicAccessBlock", "BucketOwnershipControls", "BucketPolicy")
UNTAGGED += ("VolumeAttachment", "BucketObject", "tag:Tag")


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest) -> tuple[str, Graph]:
    return request.param, run_stack(request.param)


def run_stack(name: str, *, preview: bool = False) -> Graph:
    def program() -> None:
        pulumi.runtime.set_all_config(config(name))
        runpy.run_path(str(ROOT / "__main__.py"))

    return run(program, preview=preview, stack=name)


def test_exports_keep_the_contract(stack: tuple[str, Graph]) -> None:
    name, made = stack
    outputs = StackOutputs.from_exports(made.exports)
    assert outputs.cluster_name == f"twinplane-{name}"
    assert outputs.kind == name.removesuffix("-lab")
    assert outputs.region == "us-east-1"
    assert outputs.sample_app.node_port == 30080
    assert SECRET in outputs.kubeconfig
    if outputs.kind == "self-managed":
        assert [machine.name for machine in outputs.machines] == ["control-plane-1", "worker-1", "worker-2"]
        assert outputs.ssh_private_key
        assert SECRET in outputs.ssh_private_key


def test_no_secret_is_in_a_plain_input_or_output(stack: tuple[str, Graph]) -> None:
    _, made = stack
    assert not list(leaks(made.raw_exports))
    for resource in made.resources:
        assert not list(leaks(resource.raw)), resource.name
        assert not list(leaks(resource.outputs or {})), resource.name


def test_every_resource_has_a_parent_and_its_prefix(stack: tuple[str, Graph]) -> None:
    name, made = stack
    urns = {resource.urn for resource in made.resources}
    for resource in made.resources:
        assert resource.name.startswith(f"twinplane-{name}"), resource.name
        if resource.type.startswith("twinplane:") and "pulumi:pulumi:Stack" in resource.parent.split("::")[2]:
            continue
        assert resource.parent in urns, resource.name


def test_every_taggable_resource_is_tagged(stack: tuple[str, Graph]) -> None:
    name, made = stack
    ours = {"Project": "twinplane", "Stack": name, "ManagedBy": "pulumi"}
    for resource in made.resources:
        if resource.type.startswith(("aws:", "eks:")) and not resource.type.endswith(UNTAGGED):
            assert ours.items() <= resource.inputs["tags"].items(), resource.name


@pytest.mark.parametrize("name", STACKS)
def test_tags_of_the_stack_reach_everything_that_costs_money(name: str) -> None:
    own = {"CostCenter": "42"}

    def program() -> None:
        tagging = {"aws:defaultTags": json.dumps({"tags": own})}
        pulumi.runtime.set_all_config({**config(name), **tagging, "twinplane:ingressHosts": '["a.test"]'})
        runpy.run_path(str(ROOT / "__main__.py"))

    graph = run(program, stack=name)
    wanted = {**own, "Project": "twinplane", "Stack": name, "ManagedBy": "pulumi"}

    def has(tags: Mapping[str, str], what: str) -> None:
        assert wanted.items() <= tags.items(), what

    for template in graph.all("aws:ec2/launchTemplate:LaunchTemplate"):
        for each in template.inputs["tagSpecifications"]:
            has(each["tags"], each["resourceType"])
    for machine in graph.all("aws:ec2/instance:Instance"):
        has(machine.inputs["tags"], machine.name)
        has(machine.inputs["rootBlockDevice"]["tags"], machine.name)
        interface = f"{machine.name}-interface-"
        tags = [each.inputs for each in graph.all("aws:ec2/tag:Tag") if each.name.startswith(interface)]
        assert len({tag["resourceId"] for tag in tags}) == 1
        has({tag["key"]: tag["value"] for tag in tags}, f"interface of {machine.name}")
    [public] = [each for each in graph.all("Service") if each.inputs["spec"]["type"] == "LoadBalancer"]
    text = public.inputs["metadata"]["annotations"][f"{NLB}-additional-resource-tags"]
    has(dict(pair.split("=") for pair in text.split(",")), "network load balancer")
    has(graph.one("Chart", f"twinplane-{name}-ingress").inputs["values"]["defaultTags"], "application load balancer")
    for add_on in graph.all("aws:eks/addon:Addon"):
        settings = json.loads(add_on.inputs.get("configurationValues") or "{}")
        if add_on.inputs["addonName"] == "aws-ebs-csi-driver":
            has(settings["controller"]["extraVolumeTags"], "volumes")
        if add_on.inputs["addonName"] == "vpc-cni":
            has(json.loads(settings["env"]["ADDITIONAL_ENI_TAGS"]), "network interfaces of pods")
    for chart in graph.all("Chart"):
        if chart.inputs["chart"] == "aws-ebs-csi-driver":
            has(chart.inputs["values"]["controller"]["extraVolumeTags"], "volumes")
    for resource in graph.resources:
        if resource.type.startswith("aws:") and not resource.type.endswith(UNTAGGED):
            has(resource.inputs["tags"], resource.name)


def test_every_component_says_its_outputs(stack: tuple[str, Graph]) -> None:
    _, made = stack
    for resource in made.resources:
        if resource.type.startswith("twinplane:"):
            assert resource.outputs, resource.name


def test_policies_hold(stack: tuple[str, Graph]) -> None:
    _, made = stack
    broken = {
        (rule.__name__, resource.name)
        for resource in made.resources
        for rule in RULES
        if list(rule(resource.type, resource.inputs))
    }
    assert not broken
    assert not list(ingress_of_a_guarded_class([(each.name, each.type, each.inputs) for each in made.resources]))


def test_everything_in_the_cluster_uses_its_provider(stack: tuple[str, Graph]) -> None:
    name, made = stack
    provider = made.one("pulumi:providers:kubernetes")
    inside = [each for each in made.resources if each.type.startswith("kubernetes:")]
    ingress = 4 if made.all("IngressController") else 0
    policies = 4 if made.all("NetworkPolicies") else 0
    without_storage = len([each for each in inside if "-storage" not in each.name])
    assert without_storage == (27 if name.startswith("self") else 11) + ingress + policies
    assert all(provider.urn in each.provider for each in inside)


def test_graph(stack: tuple[str, Graph]) -> None:
    name, made = stack
    inputs = {f"{each.type} {each.name}": masked(each.raw) for each in made.resources}
    golden_files.check(f"stack-{name}.yaml", yaml.safe_dump(inputs, width=120))


@pytest.mark.parametrize("name", STACKS)
def test_preview_with_everything_unknown(name: str) -> None:
    made, up = run_stack(name, preview=True), run_stack(name)
    assert {each.urn for each in made.resources} == {each.urn for each in up.resources}


def test_both_kinds_coexist_in_one_program() -> None:
    from stacks import managed, self_managed

    def settings(name: str) -> Any:
        ours = {key.removeprefix("twinplane:"): v for key, v in config(name).items() if key.startswith("twinplane:")}
        around = Surroundings(endpoints="aws:endpoints" in config(name))
        return read(ours, project=PROJECT, stack=name, around=around)

    def program() -> None:
        managed.build(settings("managed"))
        managed.build(settings("managed-lab"))
        self_managed.build(settings("self-managed"))
        self_managed.build(settings("self-managed-lab"))

    names = [resource.urn for resource in run(program).resources]
    assert len(names) == len(set(names))


def test_settings_reach_their_resources() -> None:  # noqa: PLR0915
    from stacks import managed, self_managed

    base = {
        "apiCidrs": '["10.9.0.1/32"]',
        "appImage": "registry.test/sample-app:v9",
        "availabilityZones": "3",
        "workers": "4",
    }
    base |= {"instanceType": "m7i.large", "vpcCidr": "10.9.0.0/20", "serviceCidr": "10.10.0.0/20"}
    base |= {"kubernetesVersion": "1.35.4"}
    arn = "arn:aws:iam::123456789012:role/a"
    its = {"nodeReleaseVersion": "1.35.4-20260901", "adminArns": json.dumps([arn]), "nat": "none", "flowLogDays": "7"}
    its |= {
        "interfaceEndpoints": '["ecr.api", "ecr.dkr", "ec2", "eks-auth"]',
        "registryImages": '["a", "b"]',
        "registryKeepReleases": "3",
    }
    its |= {"registryPullRoles": json.dumps([arn]), "controlPlaneLogDays": "5"}
    its |= {"deschedulerImage": "descheduler:v9"}
    its |= {"addOnVersions": '{"coredns": "v1.2.3-eksbuild.4"}', "appCidrs": '["10.9.0.8/32"]'}
    made = run(lambda: managed.build(read({**base, **its, "kind": "managed"}, project=PROJECT, stack="s")))  # type: ignore[arg-type]
    cluster = made.one("eks:index:Cluster").inputs
    group = made.one("aws:eks/nodeGroup:NodeGroup").inputs
    assert made.one("Vpc").inputs["cidrBlock"] == "10.9.0.0/20"
    assert len(made.all("Subnet")) == 6
    assert not made.all("NatGateway")
    assert [each.name for each in made.all("VpcEndpoint")] == [
        f"twinplane-s-{each}" for each in ("s3", "ecr-api", "ecr-dkr", "ec2", "eks-auth")
    ]
    days = {each.name: each.inputs["retentionInDays"] for each in made.all("LogGroup")}
    assert days == {"twinplane-s-flow-logs": 7, "twinplane-s-control-plane": 5}
    assert [each.inputs["name"] for each in made.all("Repository")] == ["twinplane-s/a", "twinplane-s/b"]
    assert json.loads(made.all("LifecyclePolicy")[0].inputs["policy"])["rules"][1]["selection"]["countNumber"] == 3
    [statement] = json.loads(made.all("RepositoryPolicy")[0].inputs["policy"])["Statement"]
    assert statement["Principal"] == {"AWS": [arn, "arn:test:iam::1:role/twinplane-s-nodes"]}
    assert cluster["version"] == "1.35"
    versions = {each.inputs["addonName"]: each.inputs["addonVersion"] for each in made.all("aws:eks/addon:Addon")}
    assert (versions["coredns"], versions["kube-proxy"]) == ("v1.2.3-eksbuild.4", "v1.35.3-eksbuild.5")
    assert cluster["publicAccessCidrs"] == ["10.9.0.1/32"]
    assert cluster["kubernetesServiceIpAddressRange"] == "10.10.0.0/20"
    assert list(cluster["accessEntries"]) == [arn]
    assert cluster["privateSubnetIds"] == group["subnetIds"]
    assert all("private" in subnet for subnet in group["subnetIds"])
    assert group["scalingConfig"]["desiredSize"] == 4
    assert made.one("aws:ec2/launchTemplate:LaunchTemplate").inputs["instanceType"] == "m7i.large"
    assert group["releaseVersion"] == "1.35.4-20260901"
    app = made.one("Deployment", "twinplane-s-sample-app").inputs["spec"]["template"]["spec"]["containers"][0]
    assert app["image"] == "registry.test/sample-app:v9"
    [process] = made.one("Deployment", "twinplane-s-descheduler").inputs["spec"]["template"]["spec"]["containers"]
    assert process["image"] == "descheduler:v9"
    public = made.one("Service", "twinplane-s-sample-app-public").inputs
    assert public["spec"]["loadBalancerSourceRanges"] == ["10.9.0.8/32"]

    its = {"podCidr": "10.11.0.0/20", "controlPlanes": "3", "machineSubnets": "private", "nat": "per_zone"}
    its |= {"etcdVolumeSize": "12", "backupDays": "9", "backupsOnDestroy": "delete"}
    its |= {"ingressScheme": "internal", "cloudControllerImage": "ccm:v9", "cloudControllerEnvironment": '{"A": "b"}'}
    its |= {"flowLogDays": "14", "interfaceEndpoints": '["sts"]', "registryImages": "[]"}
    its |= {"sshVia": "cidrs", "apiSubnets": "private", "networkPolicies": "false"}
    its |= {"sshCidrs": '["10.9.0.2/32"]', "machineImage": '{"owner": "1", "name": "n"}', "playbookVars": '{"a": 1}'}
    made = run(lambda: self_managed.build(read({**base, **its, "kind": "self-managed"}, project=PROJECT, stack="s")))  # type: ignore[arg-type]
    told = json.loads(made.one("Command", "twinplane-s-site").inputs["stdin"])
    assert len(told["machines"]) == 7
    assert told["variables"] == {
        "kubernetes_version": "1.35.4",
        "kubernetes_cluster_name": "twinplane-s",
        "kubernetes_pod_cidr": "10.11.0.0/20",
        "kubernetes_service_cidr": "10.10.0.0/20",
        "pod_network_routed": False,
        "control_plane_endpoint": "twinplane-s-api-internal.elb.test:6443",
        "kubeconfig_server": "https://twinplane-s-api-internal.elb.test:6443",
        "control_plane_issuer": "https://twinplane-s-issuer-id.s3.us-east-1.test.example",
        "control_plane_signing_key": f"{SECRET} twinplane-s-issuer",
        "control_plane_public_key": PUBLIC_KEY,
        "kubelet_cloud_provider": "external",
        "etcd_backup_bucket": "twinplane-s-backups-id",
        "etcd_backup_region": "us-east-1",
        "etcd_backup_certificate": "certificate of twinplane-s-backups",
        "a": 1,
    }
    assert not made.all("NetworkPolicies")
    controller = made.one("DaemonSet")
    [process] = controller.inputs["spec"]["template"]["spec"]["containers"]
    assert (process["image"], process["env"]) == ("ccm:v9", [{"name": "A", "value": "b"}])
    public = made.one("Service", "twinplane-s-sample-app-public")
    assert public.inputs["spec"]["loadBalancerSourceRanges"] == ["10.9.0.1/32"], "who reaches the API"
    assert "internal" in public.inputs["metadata"]["annotations"].values()
    assert controller.urn in made.before(public), "it comes after the controller, and goes before it"
    assert any("cloud-controller" in each.name for each in made.all("RolePolicy"))
    owned = [made.one("SecurityGroup", "twinplane-s-machine"), *made.all("Instance"), *made.all("Subnet")]
    assert all(each.inputs["tags"]["kubernetes.io/cluster/twinplane-s"] == "owned" for each in owned)
    for instance in made.all("Instance"):
        assert "private" in instance.inputs["subnetId"]
        assert instance.inputs["associatePublicIpAddress"] is False
        assert instance.inputs["ami"] == "ami-of-1-n"
        assert instance.inputs["instanceType"] == "m7i.large"
    people = {rule.inputs["cidrIpv4"] for rule in made.all("SecurityGroupIngressRule") if "cidrIpv4" in rule.inputs}
    assert people == {"10.9.0.1/32", "10.9.0.2/32", "10.9.0.0/20"}
    assert len(made.all("NatGateway")) == 3
    assert all("private" in subnet for subnet in made.one("LoadBalancer").inputs["subnets"])
    assert made.one("LogGroup").inputs["retentionInDays"] == 14
    assert not made.all("Repository")
    assert made.one("Bucket", "twinplane-s-backups").inputs["forceDestroy"] is True
    assert [each.inputs["size"] for each in made.all("aws:ebs/volume:Volume")] == [12, 12, 12]
    assert made.one("BucketLifecycleConfiguration").inputs["rules"][0]["expiration"] == {"days": 9}
    writers = [each for each in made.all("RolePolicy") if "etcd-backups" in each.name]
    assert [each.inputs["role"] for each in writers] == ["twinplane-s-control-plane-0123abc"]
    assert "registry" not in made.exports
    assert [each.name for each in made.all("VpcEndpoint")] == ["twinplane-s-s3", "twinplane-s-sts"]
    app = made.one("Deployment", "twinplane-s-sample-app").inputs["spec"]["template"]["spec"]["containers"][0]
    assert app["image"] == "registry.test/sample-app:v9"


@pytest.mark.parametrize("stack", ["managed", "self-managed"])
def test_hosts_bring_their_controller_and_a_certificate(stack: str) -> None:
    from stacks import managed, self_managed

    ours = {key.removeprefix("twinplane:"): v for key, v in config(stack).items() if key.startswith("twinplane:")}
    build: Any = {"managed": managed, "self-managed": self_managed}[stack].build

    def made(**more: str) -> Graph:
        hosts = {"ingressHosts": '["a.test", "b.test"]'}
        return run(lambda: build(read({**ours, **hosts, **more}, project=PROJECT, stack="s")))

    graph = made()
    assert [rule["host"] for rule in graph.one("Ingress").inputs["spec"]["rules"]] == ["a.test", "b.test"]
    assert graph.one("Ingress").dependencies >= {graph.one("IngressClass").urn}, "made after the controller answers"
    values = graph.one("Chart", "twinplane-s-ingress").inputs["values"]
    assert (values["clusterName"], values["region"], values["vpcId"]) == ("twinplane-s", "us-east-1", "twinplane-s-id")
    certificate = graph.one("aws:acm/certificate:Certificate")
    prefix = "alb.ingress.kubernetes.io/"
    assert graph.one("Ingress").inputs["metadata"]["annotations"][f"{prefix}certificate-arn"].endswith(certificate.name)
    assert {each.provider for each in graph.resources if each.type.startswith("kubernetes:")} == {
        graph.one("Ingress").provider
    }

    acm = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    parameters = made(appCidrs='["10.9.0.0/24"]').one("IngressClassParams").inputs["spec"]
    assert parameters["inboundCIDRs"] == ["10.9.0.0/24"], "as the network load balancer of the same app"
    graph = made(
        ingressCertificate=acm,
        ingressScheme="internal",
        ingressControllerChart='{"chart": "./c"}',
        ingressControllerImage="lbc:v1",
        ingressControllerValues='{"env": {"A": "b"}}',
    )
    assert graph.one("Ingress").inputs["metadata"]["annotations"][f"{prefix}certificate-arn"] == acm
    assert not graph.all("aws:acm/certificate:Certificate")
    assert graph.one("IngressClassParams").inputs["spec"]["scheme"] == "internal"
    chart = graph.one("Chart", "twinplane-s-ingress").inputs
    assert chart["chart"] == "./c"
    assert chart["values"]["image"] == {"repository": "lbc", "tag": "v1"}
    assert bool(graph.all("PodIdentityAssociation")) == (stack == "managed")
    assert chart["values"]["env"]["A"] == "b"
    assert ("AWS_ROLE_ARN" in chart["values"]["env"]) == (stack == "self-managed")


def test_workloads_are_made_when_every_node_takes_them(stack: tuple[str, Graph]) -> None:
    name, made = stack
    look = made.one("Command", f"twinplane-{name}-descheduler-nodes")
    for kind in ("SampleApp", "IngressController"):
        assert all(look.urn in each.dependencies for each in made.all(kind)), kind
    assert made.all("SampleApp")
    if name.startswith("self"):
        before = made.one("Descheduler").dependencies
        assert made.one("DaemonSet", f"twinplane-{name}-cloud-controller").urn in before, "it opens the nodes"
        assert len(look.inputs["triggers"]) == 3, "a new machine's node is waited for"


def test_policies_are_enforced_before_the_first_workload(stack: tuple[str, Graph]) -> None:
    name, made = stack
    agents = [each.urn for each in made.all("DaemonSet") if each.name.endswith("-network-policies")]
    assert len(agents) == (name == "self-managed"), "EKS has its own, and not every kernel of a lab can"
    assert set(agents) <= made.before(made.one("SampleApp"))


def test_auto_mode_moves_its_pods_itself() -> None:
    from stacks import managed

    ours = {key.removeprefix("twinplane:"): v for key, v in config("managed").items() if key.startswith("twinplane:")}
    made = run(lambda: managed.build(read({**ours, "nodeMode": "auto"}, project=PROJECT, stack="s")))  # type: ignore[arg-type]
    assert not made.all("Descheduler")
    assert made.all("SampleApp")


@pytest.mark.parametrize("stack", ["managed", "self-managed"])
def test_storage_outside_the_nodes(stack: str) -> None:
    made = run_stack(stack)
    claims = made.one("StatefulSet").inputs["spec"]["volumeClaimTemplates"]
    assert [claim["spec"]["storageClassName"] for claim in claims] == ["gp3"]
    assert made.one("StorageClass").urn in made.one("StatefulSet").dependencies
    if stack == "managed":
        [association] = made.all("PodIdentityAssociation")
        assert association.inputs["clusterName"] == "twinplane-managed"
        dns, nodes = made.one("Addon", "twinplane-managed-coredns"), made.one("aws:eks/nodeGroup:NodeGroup")
        driver = made.one("Addon", "twinplane-managed-storage")
        assert {dns.urn, association.urn} <= made.before(driver), "the agent is on the nodes, and DNS on them too"
        assert nodes.urn in made.before(dns)
        assert made.one("Addon", "twinplane-managed-eks-pod-identity-agent").urn in made.before(nodes)
        assert driver.inputs["addonVersion"] == "v1.62.0-eksbuild.1"
    else:
        driver = made.one("Chart", "twinplane-self-managed-storage")
        controller = made.one("DaemonSet", "twinplane-self-managed-cloud-controller")
        assert controller.urn in made.before(driver), "it asks for labels of the cloud controller"
        chart = driver.inputs
        assert chart["values"]["controller"]["k8sTagClusterId"] == "twinplane-self-managed"
        role = made.one("aws:iam/role:Role", "twinplane-self-managed-storage")
        assert chart["values"]["controller"]["env"][0]["value"] == f"arn:test:iam::1:role/{role.name}"
    assert not run_stack(f"{stack}-lab").all("StorageClass")


def test_node_mode_auto_exports_no_node_group() -> None:
    from stacks import managed

    ours = {key.removeprefix("twinplane:"): v for key, v in config("managed").items() if key.startswith("twinplane:")}
    auto = read({**ours, "nodeMode": "auto"}, project=PROJECT, stack="managed")

    def program() -> None:
        for name, value in managed.build(auto).items():  # type: ignore[arg-type]
            pulumi.export(name, value)

    made = run(program)
    assert StackOutputs.from_exports(made.exports).node_mode == "auto"
    told, nodes_told = (
        each.one("Service", "twinplane-managed-sample-app-public").inputs["metadata"]["annotations"]
        for each in (made, run_stack("managed"))
    )
    tags = "service.beta.kubernetes.io/aws-load-balancer-additional-resource-tags"
    assert (tags in told, tags in nodes_told) == (False, True), "Auto Mode refuses them"
    [statement] = json.loads(made.all("RepositoryPolicy")[0].inputs["policy"])["Statement"]
    assert statement["Principal"] == {"AWS": ["arn:test:iam::1:role/twinplane-managed-auto-nodes"]}


def test_three_control_planes_stand_in_three_zones() -> None:
    made = run_stack("ha-lab")
    zones = {f"{each.name}-id": each.inputs["availabilityZone"] for each in made.all("Subnet")}
    machines = [each.inputs for each in made.all("Instance") if each.inputs["tags"]["Role"] == "control-plane"]
    assert len({zones[each["subnetId"]] for each in machines}) == len(machines) == 3


@pytest.mark.parametrize("where", ["public", "private"])
def test_a_public_machine_is_in_a_public_subnet_and_a_private_one_in_a_private_one(where: str) -> None:
    from stacks import self_managed

    config = {"apiCidrs": '["10.9.0.1/32"]', "appImage": "registry.test/sample-app:v9", "sshCidrs": '["10.9.0.2/32"]'}
    config |= {"kind": "self-managed", "machineSubnets": where, "sshVia": "cidrs"}
    made = run(lambda: self_managed.build(read(config, project=PROJECT, stack="s")))  # type: ignore[arg-type]
    for instance in made.all("Instance"):
        assert where in instance.inputs["subnetId"]
        assert instance.inputs["associatePublicIpAddress"] is (where == "public")


@pytest.mark.parametrize(("where", "table"), [("public", "public"), ("private", "private-1")])
def test_pods_by_routes(where: str, table: str) -> None:
    from stacks import self_managed

    config = {"apiCidrs": '["10.9.0.1/32"]', "appImage": "registry.test/sample-app:v9", "sshCidrs": '["10.9.0.2/32"]'}
    config |= {"kind": "self-managed", "machineSubnets": where, "sshVia": "cidrs"}

    def made(pod_network: str) -> Graph:
        given = {**config, "podNetwork": pod_network}
        return run(lambda: self_managed.build(read(given, project=PROJECT, stack="s")))  # type: ignore[arg-type]

    routed, overlay = made("routed"), made("overlay")
    tag = "kubernetes.io/cluster/twinplane-s"
    assert [each.name for each in routed.all("RouteTable") if tag in each.inputs["tags"]] == [f"twinplane-s-{table}"]
    tied = {each.inputs["subnetId"]: each.inputs["routeTableId"] for each in routed.all("RouteTableAssociation")}
    assert {tied[each.inputs["subnetId"]] for each in routed.all("Instance")} == {f"twinplane-s-{table}-id"}
    for graph, yes in ((routed, True), (overlay, False)):
        assert {each.inputs["sourceDestCheck"] for each in graph.all("Instance")} == {not yes}
        site = json.loads(graph.one("Command", "twinplane-s-site").inputs["stdin"])
        assert site["variables"]["pod_network_routed"] is yes
        controller = graph.one("DaemonSet", "twinplane-s-cloud-controller").inputs
        [process] = controller["spec"]["template"]["spec"]["containers"]
        assert ("--cluster-cidr=10.244.0.0/16" in process["args"]) is yes
        [allowed] = [each for each in graph.all("RolePolicy") if "cloud-controller" in each.name]
        assert ("ec2:CreateRoute" in allowed.inputs["policy"]) is yes
        sources = {rule.inputs.get("cidrIpv4") for rule in graph.all("SecurityGroupIngressRule")}
        assert ("10.244.0.0/16" in sources) is yes
    assert not any(tag in each.inputs["tags"] for each in overlay.all("RouteTable"))


def test_an_unmocked_call_or_resource_fails() -> None:
    import pulumi_aws as aws

    with pytest.raises(AssertionError, match="aws:ec2/getVpc:getVpc is not mocked"):
        run(lambda: aws.ec2.get_vpc_output(id="vpc-1"))
    with pytest.raises(AssertionError, match="aws:ec2/placementGroup:PlacementGroup p is not mocked"):
        run(lambda: aws.ec2.PlacementGroup("p", strategy="spread"))


def test_project_file_declares_defaults_that_the_reader_has() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert {key: str(entry["default"]) for key, entry in declared.items()} == {
        key: str(KEYS[key].default) for key in declared
    }


def test_playbook_vars_are_variables_of_a_role() -> None:
    known = {
        variable
        for file in (ROOT / "playbooks" / "roles").glob("*/meta/argument_specs.yml")
        for variable in yaml.safe_load(file.read_text())["argument_specs"]["main"]["options"]
    }
    ours = json.loads(config("self-managed-lab")["twinplane:playbookVars"])
    site = json.loads(run_stack("self-managed").one("Command", "twinplane-self-managed-site").inputs["stdin"])
    assert set(ours) | set(site["variables"]) <= known


def test_the_program_is_short() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 40
    for file in (ROOT / "components").rglob("*.py"):
        assert len(file.read_text().splitlines()) <= 150, file.name


def test_the_issuer_s_documents_are_opened_minutes_after_the_block_of_public_access() -> None:
    made = run_stack("self-managed")
    site = made.one("Command", "twinplane-self-managed-site")
    trusted = made.one("OpenIdConnectProvider")
    assert site.urn in made.one("OidcTrust").dependencies
    assert made.one("BucketPolicy", "twinplane-self-managed-issuer").parent == made.one("OidcTrust").urn
    assert trusted.urn in made.one("aws:iam/role:Role", "twinplane-self-managed-storage").dependencies


def test_without_a_cloud_controller_nodes_wait_for_none() -> None:
    from stacks import self_managed

    config = {"apiCidrs": '["10.9.0.1/32"]', "appImage": "registry.test/sample-app:v9"}
    config |= {"kind": "self-managed", "cloudController": "none", "storage": "none"}
    made = run(lambda: self_managed.build(read(config, project=PROJECT, stack="s")))  # type: ignore[arg-type]
    assert not made.all("CloudController")
    assert not any("cloud-controller" in each.name for each in made.resources)
    assert not any(each.inputs["spec"]["type"] == "LoadBalancer" for each in made.all("Service"))
    assert "kubelet_cloud_provider" not in made.one("Command", "twinplane-s-site").inputs["stdin"]


def test_without_an_aws_cli_that_opens_tunnels_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise UsageError("install version 2")

    monkeypatch.setattr(tunnel, "program", missing)
    with pytest.raises(pulumi.RunError, match="install version 2"):
        run_stack("self-managed")
    assert run_stack("self-managed-lab").all("Instance")


def test_the_lab_differs_from_aws_in_the_ways_in_and_out_alone() -> None:
    private, lab = run_stack("self-managed"), run_stack("self-managed-lab")
    balancers = {each.name.split("-api-")[1]: each.inputs for each in private.all("LoadBalancer")}
    assert {name: inputs["internal"] for name, inputs in balancers.items()} == {"internal": True, "public": False}
    for name, inputs in balancers.items():
        side = {"internal": "private"}.get(name, name)
        assert inputs["subnets"] == [f"twinplane-self-managed-{side}-{zone}-id" for zone in (1, 2)]
    assert lab.one("LoadBalancer").inputs["internal"] is True
    assert private.one("InstanceConnectEndpoint").inputs["subnetId"] == "twinplane-self-managed-private-1-id"
    assert not lab.all("InstanceConnectEndpoint")

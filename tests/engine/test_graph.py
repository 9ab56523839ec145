"""The stacks' graphs under the real engine: the order of a destroy, previews from nothing, changed keys, renames, a
cluster gone."""

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests import ROOT
from tests.support import engine, recorder
from tests.support.engine import Project
from tests.support.kubernetes_api import api_server

STACKS = ("managed-lab", "self-managed-lab", "managed", "self-managed")


class Healthy(BaseHTTPRequestHandler):
    """A cluster's endpoint as pulumi-eks waits for it, and EKS's own, as far as it tells of node groups."""

    #: Name of each, and its tags.
    groups: ClassVar[dict[str, dict[str, str]]] = {}

    def do_GET(self) -> None:
        path, _, name = self.path.partition("?")[0].partition("/node-groups")
        told = b"ok"
        if name:
            told = json.dumps({"nodegroup": {"status": "ACTIVE", "tags": self.groups[name.removeprefix("/")]}}).encode()
        elif path.startswith("/clusters/"):
            told = json.dumps({"nodegroups": list(self.groups)}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told)

    def do_POST(self) -> None:
        self.send_error(404)  # of the rest of AWS there is nothing

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def healthy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Healthy.groups.clear()
    server.shutdown()
    server.server_close()


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest, tmp_path: Path, healthy: str) -> Project:
    """Each stack of this project, recorded."""
    return recorded(tmp_path, healthy, request.param)


def recorded(folder: Path, healthy: str, name: str) -> Project:
    """A stack of this project whose providers make nothing and write down everything."""
    made = engine.stack(folder, healthy, name)
    recording(made, healthy)
    if name == "self-managed":
        made("config", "set", "storage", "none")  # the driver's chart would be fetched
    made("config", "set", "deletionProtection", "false")
    return made


def recording(project: Project, healthy: str) -> None:
    recorder.install(project.folder / "plugins")
    project.environment["RECORDER_LOG"] = str(project.folder / "log")
    project.environment["RECORDER_HEALTH"] = healthy


def moments(project: Project, verb: str) -> list[tuple[str, str, str]]:
    """(begins or ends, type, name) of each operation of that kind, as they came."""
    lines = (line.split(" ", 2) for line in Path(project.environment["RECORDER_LOG"]).read_text().splitlines())
    return [
        (moment, urn.split("::")[2].split("$")[-1], urn.split("::")[3]) for each, moment, urn in lines if each == verb
    ]


def check_order(deletes: list[tuple[str, str, str]], first: str, then: str) -> None:
    """All of types (or names) that contain `first` have ended before any that contains `then` begins."""
    ends = [at for at, (moment, kind, name) in enumerate(deletes) if moment == "ends" and first in f"{kind} {name}"]
    begins = [at for at, (moment, kind, name) in enumerate(deletes) if moment == "begins" and then in f"{kind} {name}"]
    assert ends, f"no {first} was deleted"
    assert begins, f"no {then} was deleted"
    assert max(ends) < min(begins), f"{deletes[min(begins)][1:]} went before {deletes[max(ends)][1:]}"


def test_preview_from_nothing_and_destroy_from_the_workload_down(stack: Project) -> None:
    foreseen = stack.changes(*engine.PACK)  # with everything unknown
    assert "twinplane" in stack("up", "--yes", "--skip-preview", *engine.PACK).split("Policies:")[1]
    # Less what nobody registers: the providers that the engine makes by itself.
    made_here = [each for each in stack.resources() if "::default" not in each["urn"]]
    # And less what a chart is rendered to, where its values are not known before.
    assert foreseen == {"create": len([each for each in made_here if "helm.sh/v4:Chart$" not in each["urn"]])}
    stack("up", "--yes", "--skip-preview", "--expect-no-changes")
    # Where in the program a resource was registered, the SDK notes by itself, for nobody to act on.
    noted = {"sourcePosition", "stackTrace"}
    state = json.loads(stack("stack", "export", "--show-secrets"))["deployment"]["resources"]
    text = json.dumps([{key: each[key] for key in each.keys() - noted} for each in state])
    for place in {str(stack.folder), str(ROOT), sys.prefix, str(Path(sys.executable).resolve()), str(Path.home())}:
        assert place not in text, "the state is for every machine"
    # What ends with another resource, by itself, is deleted by no call.
    by_itself = {(each["type"], each["urn"].split("::")[3]) for each in made_here if "deletedWith" in each}
    stack("destroy", "--yes", "--skip-preview")
    assert stack.resources() == []
    deletes = moments(stack, "delete")
    made, gone = moments(stack, "create"), {each[1:] for each in deletes}
    assert {each[1:] for each in made} == gone | by_itself

    # Load balancers stand in the subnets, behind the gateway: what they are made of goes before.
    for kind in {kind for _, kind, name in deletes if "sample-app" in name and kind.endswith((":Service", ":Ingress"))}:
        check_order(deletes, f"{kind} ", "aws:ec2/")
    if any("eks/cluster" in each[1] for each in deletes):
        check_order(deletes, "kubernetes:", "aws:eks/nodeGroup")
        check_order(deletes, "aws:eks/nodeGroup", "aws:eks/cluster:Cluster")
        check_order(deletes, "aws:eks/cluster:Cluster", "aws:ec2/subnet")
    else:
        check_order(deletes, "sample-app-public", ":DaemonSet ")  # which removes the balancer
        check_order(deletes, "kubernetes:", "-site")
        check_order(deletes, "-site", "aws:ec2/instance:Instance")
        check_order(deletes, "aws:ec2/instance:Instance", "aws:ec2/subnet")
    check_order(deletes, "aws:ec2/subnet", "aws:ec2/vpc:Vpc")


BROKEN = f"""
import runpy

import pulumi


def broken(args):
    if args.type_ == "aws:eks/cluster:Cluster":
        props = {{each: args.props[each] for each in args.props if each not in ("tags", "encryptionConfig")}}
        vpc = {{**props["vpcConfig"], "publicAccessCidrs": ["0.0.0.0/1", "128.0.0.0/1"]}}
        changed = {{"vpcConfig": vpc, "upgradePolicy": {{"supportType": "EXTENDED"}}}}
        return pulumi.ResourceTransformResult({{**props, **changed}}, args.opts)


pulumi.runtime.register_resource_transform(broken)
runpy.run_path({str(ROOT / "__main__.py")!r})
"""


def test_the_guards_see_the_cluster_that_the_stack_makes(tmp_path: Path, healthy: str) -> None:
    stack = recorded(tmp_path, healthy, "managed")
    (stack.folder / "__main__.py").unlink()  # a link
    (stack.folder / "__main__.py").write_text(BROKEN)
    told = stack("preview", *engine.PACK, code=1)
    for sentence in ("answers the world", "Secrets are not encrypted", "tags missing", "go into extended support"):
        assert sentence in told


def test_a_preview_says_what_a_kill_left_and_that_a_cluster_is_gone(tmp_path: Path, healthy: str) -> None:
    stack = recorded(tmp_path, healthy, "managed")
    stack("up", "--yes", "--skip-preview")
    log = Path(stack.environment["RECORDER_LOG"])
    urns = {each["type"]: each["urn"] for each in stack.resources()}
    group = urns["aws:eks/nodeGroup:NodeGroup"].rpartition("::")[2]
    own = {"Project": "twinplane", "Stack": "managed"}
    Healthy.groups.update({f"{group}-0123abc": own, f"{group}-killed-0123abc": own})
    named = f"{group}-killed-0123abc is tagged as this stack's, whose state does not know it"
    assert named in stack("preview")
    foreseen = stack.changes()
    assert foreseen.keys() == {"create", "same"}
    assert foreseen["create"] == 1, "the step that removes it"
    stack("up", "--yes", "--skip-preview")
    del Healthy.groups[f"{group}-killed-0123abc"]
    stack("up", "--yes", "--skip-preview", "--expect-no-changes")

    with log.open("a") as lines:
        lines.write(f"delete ends {urns['aws:eks/cluster:Cluster']}\n")
    gone = "EKS has no cluster twinplane-managed any more"
    assert f"{gone}: `PULUMI_K8S_DELETE_UNREACHABLE=true pulumi up --refresh`" in stack("preview", code=1)
    stack.environment["PULUMI_K8S_DELETE_UNREACHABLE"] = "true"
    assert f"{gone}; with --refresh it is built anew" in stack("preview")


CONTROLLER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller}
spec:
  selector: {matchLabels: {app: c}}
  template:
    metadata: {labels: {app: c}}
    spec: {containers: [{name: c, image: c}]}
"""


def test_an_ingress_goes_before_its_controller(tmp_path: Path, healthy: str) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: controller\nversion: 0.1.0\n")
    (chart / "templates" / "controller.yaml").write_text(CONTROLLER)
    stack = recorded(tmp_path, healthy, "self-managed")
    stack("config", "set", "ingressHosts", '["a.example.org"]')
    stack("config", "set", "ingressControllerChart", json.dumps({"chart": str(chart)}))
    stack("up", "--yes", "--skip-preview", *engine.PACK)
    stack("destroy", "--yes", "--skip-preview")
    assert stack.resources() == []
    deletes = moments(stack, "delete")
    check_order(deletes, "networking.k8s.io/v1:Ingress ", "networking.k8s.io/v1:IngressClass ")
    check_order(deletes, "networking.k8s.io/v1:Ingress ", "controller")


def refused(stack: Project, *argv: str) -> set[str]:
    """The lines about config that the command fails with; a preview and an update name each more than once."""
    return {line[line.index("config ") :] for line in stack(*argv, code=1).splitlines() if "config twinplane:" in line}


def test_a_living_cluster_refuses_what_would_do_it_harm(tmp_path: Path, healthy: str) -> None:
    stack = recorded(tmp_path, healthy, "self-managed")
    stack("up", "--yes", "--skip-preview")
    before, log = stack.outputs(), Path(stack.environment["RECORDER_LOG"]).read_text()
    stack("config", "set", "podCidr", "10.245.0.0/16")
    stack("config", "set", "kubernetesVersion", "1.36.1")
    expected = {
        "config twinplane:kubernetesVersion: cannot change on a living cluster (is 1.36.3, would be 1.36.1): a living "
        "cluster's version cannot be changed yet; leave it, or make another stack with the new version",
        "config twinplane:podCidr: cannot change on a living cluster (is 10.244.0.0/16, would be 10.245.0.0/16): "
        "every node has its part of it; leave it, or make another stack",
    }
    assert refused(stack, "preview") == expected
    assert refused(stack, "up", "--yes", "--skip-preview") == expected
    assert Path(stack.environment["RECORDER_LOG"]).read_text() == log
    assert stack.outputs() == before
    stack("destroy", "--yes", "--skip-preview")
    assert set(stack.changes()) == {"create"}, "where no cluster lives, every key is free"


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("managed", "interfaceEndpoints", '["sts"]'),
        ("managed", "kubernetesVersion", "1.36.3"),
        ("self-managed", "interfaceEndpoints", '["sts"]'),
    ],
)
def test_a_preview_foretells_no_replacement_that_does_not_come(
    tmp_path: Path, healthy: str, name: str, key: str, value: str
) -> None:
    stack = recorded(tmp_path, healthy, name)
    if key == "kubernetesVersion":
        stack("config", "set", key, "1.35.4")
    stack("up", "--yes", "--skip-preview")
    stack("config", "set", key, value)
    foretold = stack.changes()
    assert set(foretold) <= {"same", "create", "update"}
    assert foretold["same"] < sum(foretold.values())


def test_what_a_controller_reads_once_is_replaced(tmp_path: Path, healthy: str) -> None:
    stack = recorded(tmp_path, healthy, "managed")
    stack("up", "--yes", "--skip-preview")
    stack("config", "set", "ingressScheme", "internal")
    assert {op: count for op, count in stack.changes().items() if op != "same"} == {"replace": 1}
    stack("up", "--yes", "--skip-preview")
    assert [name for _, _, name in moments(stack, "delete")] == ["twinplane-managed-sample-app-public"] * 2


@pytest.mark.parametrize(
    ("name", "protected"),
    [
        ("managed", {"aws:eks/cluster:Cluster"}),
        ("self-managed", {"aws:ec2/instance:Instance", "aws:ebs/volume:Volume"}),
    ],
)
def test_a_protected_cluster_is_not_deleted(tmp_path: Path, healthy: str, name: str, protected: set[str]) -> None:
    stack = recorded(tmp_path, healthy, name)
    stack("config", "set", "deletionProtection", "true")
    stack("up", "--yes", "--skip-preview")
    assert protected <= {each["type"] for each in stack.resources() if each.get("protect")}
    stack("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert "protect" in stack("destroy", "--yes", code=1)
    assert moments(stack, "delete") == []


def test_a_cluster_is_replaced_where_config_allows_it(tmp_path: Path, healthy: str) -> None:
    stack = recorded(tmp_path, healthy, "managed")
    stack("up", "--yes", "--skip-preview")
    stack("config", "set", "serviceCidr", "172.21.0.0/16")
    [line] = refused(stack, "preview")
    assert line.endswith("or lose all that is in the cluster by allowReplacement: true")
    stack("config", "set", "allowReplacement", "true")
    stack("up", "--yes", "--skip-preview")
    assert "twinplane-managed-eksCluster" in {name for _, _, name in moments(stack, "delete")}
    stack("up", "--yes", "--skip-preview", "--expect-no-changes")


def test_another_image_replaces_no_machine(tmp_path: Path, healthy: str) -> None:
    stack = recorded(tmp_path, healthy, "self-managed")
    stack("up", "--yes", "--skip-preview")
    stack("config", "set", "machineImage", '{"owner": "136693071363", "name": "debian-13-amd64-*"}')
    assert set(stack.changes()) == {"same"}


HALF = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi
import pulumi_aws as aws
from components.base.record import Record, RecordArgs
from stacks.living import living

pulumi.log.warn(f"living: {{living()}}")
Record("record", RecordArgs({{"podCidr": "198.18.192.0/18"}}))
machine = aws.ec2.Instance("machine", ami="ami-1", instance_type="t3.medium")


def fail(_):
    raise pulumi.RunError("half way")


pulumi.export("never", machine.id.apply(fail))
"""


def test_a_first_update_that_failed_half_way_has_left_a_living_cluster(tmp_path: Path, healthy: str) -> None:
    project = engine.project(tmp_path, "http://127.0.0.1:1", HALF, "half")
    recording(project, healthy)
    assert "living: None" in project("preview")
    assert "half way" in project("up", "--yes", "--skip-preview", code=1)
    assert project.outputs() == {}
    assert "living: {'podCidr': '198.18.192.0/18'}" in project("preview", code=1)


RENAMED = f"""
import sys
from ipaddress import IPv4Network

sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.eks.managed_cluster import ManagedCluster, ManagedClusterArgs
from components.network.network import Network, NetworkArgs
from components.kubeadm.self_managed_cluster import SelfManagedCluster, SelfManagedClusterArgs

config = pulumi.Config()
MADE = {{
    "network": (Network, lambda: NetworkArgs(IPv4Network("198.18.0.0/18"), nat="single")),
    "managed": (
        ManagedCluster,
        lambda: ManagedClusterArgs(
            vpc_id="vpc-1",
            private_subnet_ids=["subnet-1", "subnet-2"],
            kubernetes_version="1.36",
            service_cidr=IPv4Network("198.19.0.0/20"),
            api_cidrs=["192.0.2.0/24"],
            cluster_name=config.get("clusterName"),
        ),
    ),
    "self-managed": (
        SelfManagedCluster,
        lambda: SelfManagedClusterArgs(
            vpc_id="vpc-1",
            subnet_ids=["subnet-1", "subnet-2"],
            public=False,
            kubernetes_version="1.36.3",
            pod_cidr=IPv4Network("198.19.16.0/20"),
            service_cidr=IPv4Network("198.19.32.0/20"),
            api_subnet_ids=["subnet-3", "subnet-4"],
            public_api_subnet_ids=config.get_object("publicSubnets") or (),
            api_cidrs=["192.0.2.0/24"],
            cluster_name=config.get("clusterName"),
            etcd_volume_size=10,
        ),
    ),
}}
component, args = MADE[config.require("component")]
component(config.require("name"), args(), pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")]))
"""


@pytest.mark.parametrize("component", ["network", "managed", "self-managed"])
def test_a_rename_with_an_alias_keeps_every_resource(tmp_path: Path, healthy: str, component: str) -> None:
    project = engine.project(tmp_path, "http://127.0.0.1:1", RENAMED, "renamed")
    recording(project, healthy)
    project("config", "set", "component", component)
    project("config", "set", "name", "old")
    project("up", "--yes", "--skip-preview")
    before = {each["id"] for each in project.resources() if "id" in each}
    project("config", "set", "name", "new")
    if component == "managed":
        assert "replace" in project.changes(), "under the new name it would be another cluster"
    project("config", "set", "clusterName", "old")
    assert set(project.changes()) <= {"same", "update"}
    project("up", "--yes", "--skip-preview")
    after = project.resources()
    assert {each["id"] for each in after if "id" in each} == before
    assert not [each["urn"] for each in after if each["urn"].split("::")[3].startswith("old")]
    project("up", "--yes", "--skip-preview", "--expect-no-changes")


@pytest.mark.parametrize(("side", "subnets"), [("internal", "[]"), ("public", '["subnet-5"]')])
def test_a_load_balancer_of_before_there_were_two_goes_on(
    tmp_path: Path, healthy: str, side: str, subnets: str
) -> None:
    project = engine.project(tmp_path, "http://127.0.0.1:1", RENAMED, "balancers")
    recording(project, healthy)
    for key, value in {"component": "self-managed", "name": "c", "publicSubnets": subnets}.items():
        project("config", "set", key, value)
    project("up", "--yes", "--skip-preview")
    state = tmp_path / "before.json"
    state.write_text(project("stack", "export").replace(f"c-api-{side}", "c-api"))
    project("stack", "import", "--file", str(state))
    assert set(project.changes()) <= {"same", "update"}


CLUSTER = """
import pulumi
import pulumi_kubernetes as kubernetes

provider = kubernetes.Provider("c", kubeconfig=pulumi.Config().require_secret("kubeconfig"))
kubernetes.core.v1.ConfigMap("a", metadata={"name": "a"}, data={"a": "b"}, opts=pulumi.ResourceOptions(provider))
"""


def test_a_destroy_that_finds_the_cluster_gone(tmp_path: Path) -> None:
    project = engine.project(
        tmp_path, "http://127.0.0.1:1", CLUSTER.replace("(provider)", "(provider=provider)"), "gone"
    )
    with api_server() as api:
        project("config", "set", "--secret", "kubeconfig", api.kubeconfig())
        project("up", "--yes", "--skip-preview")
        assert any(path.endswith("/configmaps/a") for path in api.objects)
    text = project("destroy", "--yes", "--skip-preview", code=1)
    assert "cluster unreachable" in text
    assert "set PULUMI_K8S_DELETE_UNREACHABLE=true and run this again" in text
    assert project.resources(), "nothing is forgotten unasked"
    project.environment["PULUMI_K8S_DELETE_UNREACHABLE"] = "true"
    project("destroy", "--yes", "--skip-preview")
    assert project.resources() == []


ELSEWHERE = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi_command as command
from components.base.interpreter import interpreter

command.local.Command("a", interpreter=[*interpreter("keys"), "ed25519"], create="made", delete="ended")
"""


def test_what_was_brought_up_in_one_folder_is_destroyed_from_another(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    project = engine.project(first, "http://127.0.0.1:1", ELSEWHERE, "moved")
    for name in (".venv", "twinplane"):
        (first / name).symlink_to(ROOT / name)
    settings = first / "Pulumi.yaml"
    settings.write_text(settings.read_text().replace(sys.prefix, '".venv"'))
    project("up", "--yes", "--skip-preview")
    shutil.copytree(first, second, symlinks=True)
    shutil.rmtree(first)
    state = {"PULUMI_BACKEND_URL": f"file://{second / 'state'}"}
    path = project.environment["PATH"].replace(str(first), str(second))
    moved = Project(second, project.environment | state | {"PATH": path})
    moved("stack", "select", "dev")
    assert set(moved.changes()) == {"same"}
    (second / "twinplane").unlink()
    told = moved("destroy", "--yes", "--skip-preview", code=1)
    assert "twinplane/run" in told, "a destroy runs what is there"
    (second / "twinplane").symlink_to(ROOT / "twinplane")
    moved("destroy", "--yes", "--skip-preview")
    assert moved.resources() == []

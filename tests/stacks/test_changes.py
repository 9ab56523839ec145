"""What another value of a key does to a living cluster: each key of both kinds, tried."""

import json
import re
import runpy
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml

from components.kubeadm.ansible_run import PLAYBOOKS
from stacks.changes import CHANGES, VARIABLES
from stacks.keys import KEYS
from stacks.living import of_state
from stacks.settings import ConfigErrors, read
from stacks.surroundings import Surroundings
from tests import ROOT
from tests.support.pulumi_mocks import CALLS, run
from tests.support.stack_config import config
from twinplane.outputs import KINDS, Kind

BASE = {"apiCidrs": '["198.18.0.0/24"]', "appImage": "registry.test/sample-app:v1.0.0"}
ARN = '["arn:aws:iam::123456789012:role/a"]'
CIDRS = {"sshVia": "cidrs", "sshCidrs": '["198.19.2.0/24"]'}
MIRRORS = {"kubernetes_binaries_url": "https://10.0.0.1/k", "containerd_download_url": "https://10.0.0.1/c"}
WITHOUT_NAT = {
    "nat": "none",
    "interfaceEndpoints": '["ec2", "ecr.api", "ecr.dkr", "eks-auth", "sts", "elasticloadbalancing"]',
}
INSIDE = {**CIDRS, **WITHOUT_NAT, "apiSubnets": "private", "playbookVars": json.dumps(MIRRORS)}
NO_CLOUD = {"storage": "none", "cloudController": "none"}
#: Key -> a value of the living cluster and another one, or all that config says of both.
Pair = tuple[str | dict[str, str], str | dict[str, str]]
BOTH: dict[str, Pair] = {
    "vpcCidr": ("10.20.0.0/16", "10.30.0.0/16"),
    "availabilityZones": ("2", "3"),
    "nat": ("single", "per_zone"),
    "interfaceEndpoints": ("[]", '["sts"]'),
    "flowLogDays": ("0", "30"),
    "serviceCidr": ("172.20.0.0/16", "172.21.0.0/16"),
    "workers": ("3", "2"),
    "instanceType": ("t3.medium", "m7i.large"),
    "apiCidrs": ('["198.18.0.0/24"]', '["198.19.2.0/24"]'),
    "appImage": ("registry.test/sample-app:v1.0.0", "registry.test/sample-app:v1.1.0"),
    "registryImages": ("[]", '["sample-app"]'),
    "registryPullRoles": ("[]", ARN),
    "registryKeepReleases": ("20", "5"),
    "ingressHosts": ("[]", '["app.example.test"]'),
    "ingressCertificate": (
        "arn:aws:acm:us-east-1:123456789012:certificate/1",
        "arn:aws:acm:us-east-1:123456789012:certificate/2",
    ),
    "ingressScheme": ("internal", "internet-facing"),
    "ingressControllerChart": ('{"chart": "./a"}', '{"chart": "./b"}'),
    "ingressControllerImage": ("lbc:v1", "lbc:v2"),
    "ingressControllerValues": ("{}", '{"a": 1}'),
    "deschedulerImage": ("descheduler:v1", "descheduler:v2"),
    "appCidrs": ("[]", '["0.0.0.0/0"]'),
    "storage": ("ebs", "none"),
    "deletionProtection": ("true", "false"),
}
#: Control planes, each in a zone of its own.
ONE, THREE = ({"availabilityZones": "3", "controlPlanes": count} for count in ("1", "3"))
PAIRS: dict[Kind, dict[str, Pair]] = {
    "managed": {
        **BOTH,
        "kind": ({"kind": "self-managed"}, {"kind": "managed"}),
        "kubernetesVersion": ("1.35.4", "1.36.3"),
        "nodeMode": ("managed", "auto"),
        "nodeReleaseVersion": ("1.36.3-20260901", "1.36.3-20261001"),
        "allowReplacement": ("false", "true"),
        "adminArns": (ARN, "[]"),
        "viewerArns": ("[]", ARN),
        "controlPlaneLogDays": ("30", "7"),
        "addOnVersions": ("{}", '{"coredns": "v1.2.3-eksbuild.4"}'),
    },
    "self-managed": {
        **BOTH,
        "kind": ({"kind": "managed"}, {"kind": "self-managed"}),
        "kubernetesVersion": ("1.36.3", "1.36.4"),
        "machineSubnets": (INSIDE, {**INSIDE, "machineSubnets": "public"}),
        "podCidr": ("10.244.0.0/16", "10.245.0.0/16"),
        "podNetwork": ("overlay", "routed"),
        "controlPlanes": (ONE, THREE),
        "apiSubnets": ("public", "private"),
        "sshVia": ({}, CIDRS),
        "sshCidrs": (CIDRS, {**CIDRS, "sshCidrs": '["10.0.0.0/8"]'}),
        "machineImage": ('{"owner": "1", "name": "debian-12-*"}', '{"owner": "1", "name": "debian-13-*"}'),
        "etcdVolumeSize": ("10", "20"),
        "backupDays": ("30", "7"),
        "backupsOnDestroy": ("keep", "delete"),
        "cloudController": ({**NO_CLOUD, "cloudController": "aws"}, NO_CLOUD),
        "cloudControllerImage": ("ccm:v1", "ccm:v2"),
        "cloudControllerEnvironment": ("{}", '{"A": "b"}'),
        "networkPolicies": ("true", "false"),
        "playbookVars": ("{}", '{"containerd_registry_mirror": "http://192.0.2.1:5000"}'),
    },
}
#: Ways of a key that is refused another way, or the other way round.
MORE: list[tuple[Kind, str, str | dict[str, str], str | dict[str, str], bool]] = [
    ("managed", "kubernetesVersion", "1.36.3", "1.36.9", False),
    ("managed", "kubernetesVersion", "1.36.3", "1.35.4", True),
    ("self-managed", "kubernetesVersion", "1.36.3", "1.36.1", True),
    ("self-managed", "kubernetesVersion", "1.35.4", "1.36.3", True),
    ("self-managed", "controlPlanes", THREE, ONE, True),
    ("self-managed", "etcdVolumeSize", "0", "10", True),
    ("self-managed", "workers", "2", "3", False),
    ("managed", "nat", {**WITHOUT_NAT, "nat": "single"}, WITHOUT_NAT, True),
    ("managed", "nat", WITHOUT_NAT, {**WITHOUT_NAT, "nat": "single"}, False),
]


def settings(kind: Kind, key: str, value: str | dict[str, str], **more: Any) -> Any:
    given = {**BASE, "kind": kind, **(value if isinstance(value, dict) else {key: value})}
    return read(given, project="twinplane", stack="test", **more)


def refused(kind: Kind, key: str, before: str | dict[str, str], after: str | dict[str, str]) -> list[str]:
    """The lines that another value of a living cluster is refused with; none: it is taken."""
    record = settings(kind, key, before).record
    assert settings(kind, key, before, alive=record), "what a cluster was made with is never refused"
    assert settings(kind, key, after), "nothing is refused where no cluster lives"
    try:
        settings(kind, key, after, alive=record)
    except ConfigErrors as error:
        return error.lines
    return []


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_has_an_effect_and_is_tried(kind: Kind) -> None:
    keys = {name for name, key in KEYS.items() if kind in key.kinds}
    assert set(CHANGES[kind]) == keys
    assert set(PAIRS[kind]) == keys
    assert all(each.effect or each.refused for each in CHANGES[kind].values())


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind in KINDS for key in PAIRS[kind]])
def test_a_change_of_each_key_is_taken_or_refused_in_one_line(kind: Kind, key: str) -> None:
    before, after = PAIRS[kind][key]
    lines = refused(kind, key, before, after)
    if CHANGES[kind][key].effect:
        assert lines == []
        return
    [line] = lines
    was = settings(kind, key, before).record[key]
    assert line.startswith(f"config twinplane:{key}: cannot change on a living cluster (is {was}, would be ")
    assert line.endswith(f"): {CHANGES[kind][key].refused}; {CHANGES[kind][key].instead}")


@pytest.mark.parametrize(("kind", "key", "before", "after", "harms"), MORE)
def test_some_keys_go_one_way_alone(
    kind: Kind, key: str, before: str | dict[str, str], after: str | dict[str, str], harms: bool
) -> None:
    lines = refused(kind, key, before, after)
    assert [f"config twinplane:{key}: cannot change on a living cluster" in line for line in lines] == [True] * harms


def test_a_cluster_may_be_replaced_where_config_says_so() -> None:
    before = settings("managed", "serviceCidr", "172.20.0.0/16")
    wanted = {"serviceCidr": "172.21.0.0/16", "vpcCidr": "10.30.0.0/16"}
    assert len(refused("managed", "serviceCidr", "172.20.0.0/16", wanted)) == 2
    assert settings("managed", "", {**wanted, "allowReplacement": "true"}, alive=before.record)
    more = {"allowReplacement": "true", "nodeMode": "auto"}
    assert "nodeMode" in refused("managed", "nodeMode", "managed", more)[0], "which replaces no cluster"


def test_all_errors_come_together() -> None:
    record = settings("self-managed", "podCidr", "10.244.0.0/16").record
    with pytest.raises(ConfigErrors) as caught:
        settings(
            "self-managed", "", {"podCidr": "10.245.0.0/16", "serviceCidr": "10.9.0.0/16", "workers": "0"}, alive=record
        )
    assert [line.split(": ")[0] for line in caught.value.lines] == [
        "config twinplane:workers",
        "config twinplane:serviceCidr",
        "config twinplane:podCidr",
    ]


@pytest.mark.parametrize("name", VARIABLES)
def test_no_playbook_variable_goes_round_a_refusal(name: str) -> None:
    [line] = refused("self-managed", "playbookVars", "{}", json.dumps({name: "other"}))
    assert line.startswith(f"config twinplane:playbookVars.{name}: cannot change on a living cluster (is ")


def test_a_variable_may_say_what_is_pinned_anyway() -> None:
    pins = yaml.safe_load((PLAYBOOKS / "group_vars" / "all.yml").read_text())
    same = {name: pins[name] for name in ("containerd_version", "kubelet_eviction_hard", "kubelet_fail_swap_on")}
    assert refused("self-managed", "playbookVars", "{}", json.dumps(same)) == []


def test_what_kubeadm_takes_once_is_among_the_refused_variables() -> None:
    template = (PLAYBOOKS / "roles/control_plane/templates/kubeadm.yaml.j2").read_text()
    specs = yaml.safe_load((PLAYBOOKS / "roles/control_plane/meta/argument_specs.yml").read_text())
    known = set(specs["argument_specs"]["main"]["options"])
    used = known & set(re.findall(r"\w+", template))
    # The machine's own facts; what is asked again at each join; and what the next certificates take.
    others = {"node_ip", "node_provider_id", "kubeadm_ignore_preflight_errors", "control_plane_certificate_validity"}
    assert used - others <= set(VARIABLES)
    roles = "".join(path.read_text() for path in PLAYBOOKS.rglob("argument_specs.yml"))
    assert all(f" {name}:" in roles for name in VARIABLES)


def test_another_name_or_region_is_refused() -> None:
    record = settings("managed", "workers", "2", around=Surroundings(region="us-east-1")).record
    again = {**BASE, "kind": "managed"}
    assert read(again, project="twinplane", stack="test", alive=record)
    moved = Surroundings(region="eu-central-1")
    with pytest.raises(ConfigErrors) as caught:
        read(again, project="twinplane", stack="renamed", around=moved, alive=record)
    name, region = caught.value.lines
    assert "the living cluster is named twinplane-test, not twinplane-renamed: all would be replaced; " in name
    assert region.startswith(
        "config aws:region: cannot change on a living cluster (is us-east-1, would be eu-central-1)"
    )


def resource(token: str, /, **outputs: Any) -> dict[str, Any]:
    return {"type": token, "outputs": outputs}


def test_a_cluster_lives_when_there_is_something_that_carries_it() -> None:
    record = resource("twinplane:stack:Record", entries={"podCidr": "10.244.0.0/16"})
    machine, vpc = resource("aws:ec2/instance:Instance"), resource("aws:ec2/vpc:Vpc")
    assert of_state([]) is None
    assert of_state([record, vpc]) is None
    assert of_state([record, vpc, machine]) == {"podCidr": "10.244.0.0/16"}


def test_eks_itself_tells_its_version() -> None:
    record = resource("twinplane:stack:Record", entries={"kubernetesVersion": "1.36.3", "nodeMode": "auto"})
    cluster = resource("aws:eks/cluster:Cluster", version="1.35")
    told = {"kubernetesVersion": "1.35", "lastVersion": "1.36.3", "nodeMode": "auto"}
    assert of_state([record, cluster]) == told


def test_a_stack_from_before_the_record_tells_what_it_exports() -> None:
    machines = [{"role": "control-plane"}, {"role": "control-plane"}, {"role": "control-plane"}, {"role": "worker"}]
    exports = {"kind": "self-managed", "kubernetesVersion": "1.36.3", "clusterName": "a-b", "machines": machines}
    found = of_state([resource("pulumi:pulumi:Stack", **exports), resource("aws:ec2/instance:Instance")])
    assert found == {"kind": "self-managed", "kubernetesVersion": "1.36.3", "name": "a-b", "controlPlanes": "3"}


@pytest.mark.usefixtures("tunnels")
@pytest.mark.parametrize("preview", [True, False])
def test_the_program_refuses_before_its_first_resource(preview: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = {"name": "twinplane-self-managed-lab", "kubernetesVersion": "1.36.1", "podCidr": "10.244.0.0/16"}
    state = {"a": resource("twinplane:stack:Record", entries=alive), "b": resource("aws:ec2/instance:Instance")}
    asked: list[Mapping[str, Any]] = []
    monkeypatch.setitem(
        CALLS, "pulumi:pulumi:readStackResourceOutputs", lambda args: asked.append(args) or {"outputs": state}
    )

    def program() -> None:
        pulumi.runtime.set_all_config(config("self-managed-lab"))
        runpy.run_path(str(ROOT / "__main__.py"))

    with pytest.raises(ConfigErrors) as caught:
        run(program, preview=preview, stack="self-managed-lab")
    assert [line.split(" (")[0] for line in caught.value.lines] == [
        "config twinplane:kubernetesVersion: cannot change on a living cluster",
        "config twinplane:podCidr: cannot change on a living cluster",
    ]
    assert [each["stackName"].split("/")[1:] for each in asked] == [["twinplane", "self-managed-lab"]]

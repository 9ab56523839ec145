"""The playbooks as text: arguments, pins, sizes, syntax, and what the templates render."""

import base64
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
import pytest
import yaml

from lab.toolchain.tool import CONTAINERD, KUBERNETES, RUNC
from tests import ROOT
from tests.support import golden_files

PLAYBOOKS = ROOT / "playbooks"
ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir())
VARIABLES: dict[str, Any] = yaml.safe_load((PLAYBOOKS / "group_vars" / "all.yml").read_text())


def role(name: str, part: str) -> Any:
    path = PLAYBOOKS / "roles" / name / part
    return yaml.safe_load(path.read_text()) if path.exists() else {}


@pytest.mark.parametrize("name", ROLES)
def test_every_role_says_what_it_takes(name: str) -> None:
    options = role(name, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = role(name, "defaults/main.yml")
    shared = set(VARIABLES) | {"node_ip", "node_addresses", "node_provider_id", "node_zone"}
    for option, spec in options.items():
        assert spec["description"].endswith("."), option
        assert option.startswith(f"{name}_") or option in shared, option
        assert spec.get("required", False) or option in defaults, option
    assert set(defaults) <= set(options)
    used = set(re.findall(r"\b(?:node|kube\w*|containerd|control_plane|join|pod_network)_\w+", text_of(name)))
    assert (used & shared) <= set(options) | {"control_plane_endpoint"}


def text_of(name: str) -> str:
    folder = PLAYBOOKS / "roles" / name
    return "".join(p.read_text() for p in folder.rglob("*") if p.is_file() and p.parent.name in {"tasks", "templates"})


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.rglob("*.yml")), ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_task_files_are_short(path: Path) -> None:
    limit = 90 if "tasks" in path.parts or path.parent == PLAYBOOKS else 120
    assert len(path.read_text().splitlines()) <= limit


def test_versions_are_those_that_the_lab_builds() -> None:
    assert VARIABLES["kubernetes_version"] == KUBERNETES
    assert VARIABLES["containerd_version"] == CONTAINERD
    assert VARIABLES["containerd_runc_version"] == RUNC


def test_runc_has_the_fixes_of_cve_2025_31133_and_is_pinned() -> None:
    assert tuple(map(int, VARIABLES["containerd_runc_version"].split("."))) >= (1, 3, 3)
    assert re.fullmatch("[0-9a-f]{64}", VARIABLES["containerd_runc_checksum"])
    packages = yaml.safe_load((PLAYBOOKS / "roles" / "node" / "defaults" / "main.yml").read_text())["node_packages"]
    assert "runc" not in packages, "Debian's lacks them"


def test_secrets_are_not_logged() -> None:
    secret = re.compile(
        r"token create|kubeadm join|admin\.conf\n|kubeconfig_admin\.content|encryption\.(key\"|yaml)|signing_key"
    )
    for path in PLAYBOOKS.rglob("tasks/*.yml"):
        for task in flat(yaml.safe_load(path.read_text())):
            words = json.dumps(
                {key: value for key, value in task.items() if key not in {"environment", "block", "rescue"}}
            )
            if secret.search(words.replace("\\n", "\n")) and "ansible.builtin.fail" not in task:
                assert task.get("no_log"), f"{path}: {task['name']}"


def flat(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [inner for task in tasks for inner in [task, *flat(task.get("block", []))]]


def test_syntax() -> None:
    books = sorted(str(path) for path in PLAYBOOKS.glob("*.yml"))
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "--syntax-check", *books]
    inventory = ROOT / "tests" / "golden" / "inventory.json"
    done = subprocess.run(
        [*argv, "-i", str(inventory)],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def render(name: str, template: str, host: str, control_planes: int = 1, tunnels: bool = False, **changes: Any) -> str:
    """Returns what Ansible would write on the host of a cluster with two workers, which `tunnels` lead to or
    addresses."""
    names = [f"control-plane-{n + 1}" for n in range(control_planes)] + ["worker-1", "worker-2"]
    hostvars = {
        each: {
            "node_ip": f"10.0.0.{n + 1}",
            "ansible_host": f"i-{n}" if tunnels else f"203.0.113.{n + 1}",
            "node_provider_id": f"aws:///us-east-1a/i-{n}",
            "node_zone": "us-east-1a",
        }
        for n, each in enumerate(names)
    }
    variables = {
        **VARIABLES,
        **role(name, "defaults/main.yml"),
        **hostvars[host],
        "control_plane_endpoint": "10.0.0.1:6443",
        "kubeconfig_server": f"https://{hostvars[host]['ansible_host']}:6443",
        "inventory_hostname": host,
        "hostvars": hostvars,
        "groups": {"kubernetes": names, "control_plane": names[:control_planes], "workers": names[control_planes:]},
        "group_names": ["control_plane" if host.startswith("control") else "workers", "kubernetes"],
        "node_machine": {"hostname": "ip-10-0-0-1", "fqdn": "ip-10-0-0-1.ec2.internal"},
        "pod_network_ranges": {each: f"10.244.{n}.0/24" for n, each in enumerate(names)},
        "pod_network_routed": False,
        "pod_network_mtu": 8951,
        "static_pods_etcd": {"uid": 997, "group": 996},
        "api_server_key": {"content": "c2VjcmV0Cg=="},
        "etcd_disk_found": {"device": "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol1"},
        "join_token": {"stdout_lines": ["abcdef.0123456789abcdef", "Q0E=", "CERTIFICATE-KEY"]},
        **changes,
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PLAYBOOKS / "roles" / name / "templates"),
        trim_blocks=True,  # as Ansible
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["b64decode"] = lambda text: base64.b64decode(text).decode()
    environment.filters["to_json"] = json.dumps
    environment.filters["extract"] = lambda key, container, part: container[key][part]
    environment.filters["basename"] = os.path.basename
    environment.filters["urlsplit"] = lambda url, part: getattr(urlsplit(url), part)
    environment.filters["unique"] = lambda values: list(dict.fromkeys(values))
    return environment.get_template(template).render(variables)


def test_the_certificate_has_no_ids_of_instances() -> None:
    made = list(yaml.safe_load_all(render("control_plane", "kubeadm.yaml.j2", "control-plane-1", 3, tunnels=True)))
    [cluster] = [each for each in made if each["kind"] == "ClusterConfiguration"]
    assert cluster["apiServer"]["certSANs"] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_certificates_are_renewed_at_a_machine_s_own_hour_also_where_another_is_skipped() -> None:
    def hour(host: str, *left_out: str) -> str:
        groups = {"control_plane": [f"control-plane-{n}" for n in (1, 2, 3) if f"control-plane-{n}" not in left_out]}
        return next(
            line
            for line in render("certificates", "renew-certificates.timer.j2", host, 3, groups=groups).splitlines()
            if line.startswith("OnCalendar=")
        )

    assert len({hour(f"control-plane-{n}") for n in (1, 2, 3)}) == 3
    assert hour("control-plane-2", "control-plane-1") == hour("control-plane-2")


CASES = [
    ("node", "hosts.j2", "worker-1", 1),
    ("containerd", "config.toml.j2", "worker-1", 1),
    ("containerd", "containerd.service.j2", "worker-1", 1),
    ("kubernetes_binaries", "kubelet.service.j2", "worker-1", 1),
    ("api_server", "encryption.yaml.j2", "control-plane-1", 1),
    ("kubernetes_binaries", "machine.conf.j2", "worker-1", 1),
    ("kubernetes_binaries", "image-credentials.yaml.j2", "worker-1", 1),
    ("control_plane", "kubeadm.yaml.j2", "control-plane-1", 1),
    ("control_plane", "kubeadm.yaml.j2", "control-plane-1", 3),
    ("join", "join.yaml.j2", "worker-1", 1),
    ("join", "join.yaml.j2", "control-plane-2", 3),
    ("join", "cluster.conf.j2", "worker-1", 1),
    ("etcd_disk", "var-lib-etcd.mount.j2", "control-plane-1", 1),
    ("static_pods", "etcd.yaml.j2", "control-plane-1", 1),
    ("pod_network", "pods-network.j2", "worker-1", 1),
    ("pod_network", "pods.conflist.j2", "worker-1", 1),
]


def test_rendered_files_are_the_golden_ones() -> None:
    parts = (
        f"### {host} of {count}: {name}/{file}\n{render(name, file, host, count)}" for name, file, host, count in CASES
    )
    golden_files.check("playbooks.txt", "\n".join(parts))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]}-{case[3]}")
def test_each_template_is_rendered_to_its_own_form(case: tuple[str, str, str, int]) -> None:
    text = render(*case[:3], control_planes=case[3])
    if ".yaml" in case[1] or case[1].endswith(".conf.j2"):
        assert all(document["apiVersion"] for document in yaml.safe_load_all(text))
    if ".conflist" in case[1]:
        assert json.loads(text)["plugins"][0]["ipam"]["subnet"] == "10.244.1.0/24"


CHANGES = [
    ("containerd", "config.toml.j2", "containerd_restrict_oom_score_adj", True, "restrict_oom_score_adj = true"),
    ("containerd", "config.toml.j2", "kubelet_cgroup_driver", "cgroupfs", "SystemdCgroup = false"),
    ("containerd", "containerd.service.j2", "containerd_version", "9.9.9", "/opt/containerd-9.9.9/bin/containerd"),
    ("kubernetes_binaries", "kubelet.service.j2", "kubernetes_version", "9.9.9", "/opt/kubernetes-9.9.9/bin/kubelet"),
    (
        "kubernetes_binaries",
        "kubelet.service.j2",
        "node_zone",
        "zone-9",
        "--node-labels=topology.kubernetes.io/zone=zone-9",
    ),
    ("kubernetes_binaries", "kubelet.service.j2", "kubelet_cloud_provider", "external", "--cloud-provider=external"),
    ("kubernetes_binaries", "machine.conf.j2", "node_provider_id", "aws:///z/i", "providerID: aws:///z/i"),
    (
        "kubernetes_binaries",
        "kubelet.service.j2",
        "ecr_credential_provider_version",
        "9.9.9",
        "--image-credential-provider-bin-dir=/opt/ecr-credential-provider-9.9.9",
    ),
    (
        "kubernetes_binaries",
        "image-credentials.yaml.j2",
        "kubernetes_binaries_credential_provider_environment",
        {"AWS_ENDPOINT_URL": "http://cloud.test"},
        '      - name: AWS_ENDPOINT_URL\n        value: "http://cloud.test"\n',
    ),
    ("control_plane", "kubeadm.yaml.j2", "kubernetes_version", "9.9.9", "kubernetesVersion: v9.9.9"),
    ("control_plane", "kubeadm.yaml.j2", "kubernetes_cluster_name", "mine", "clusterName: mine"),
    ("control_plane", "kubeadm.yaml.j2", "kubernetes_pod_cidr", "10.1.0.0/16", "podSubnet: 10.1.0.0/16"),
    ("control_plane", "kubeadm.yaml.j2", "kubernetes_service_cidr", "10.2.0.0/16", "serviceSubnet: 10.2.0.0/16"),
    ("control_plane", "kubeadm.yaml.j2", "control_plane_endpoint", "lb:6443", "controlPlaneEndpoint: lb:6443"),
    ("control_plane", "kubeadm.yaml.j2", "control_plane_certificate_sans", ["api.example"], '"api.example"'),
    ("control_plane", "kubeadm.yaml.j2", "kubeconfig_server", "https://people.example:6443", '"people.example"'),
    ("control_plane", "kubeadm.yaml.j2", "control_plane_issuer", "https://i", "value: https://i/openid/v1/jwks"),
    ("control_plane", "kubeadm.yaml.j2", "kubelet_cgroup_driver", "cgroupfs", "cgroupDriver: cgroupfs"),
    ("control_plane", "kubeadm.yaml.j2", "kubelet_fail_cgroup_v1", False, "failCgroupV1: false"),
    ("control_plane", "kubeadm.yaml.j2", "kubelet_fail_swap_on", False, "failSwapOn: false"),
    (
        "control_plane",
        "kubeadm.yaml.j2",
        "kubelet_eviction_hard",
        {"nodefs.available": "1Gi"},
        'evictionHard: {"nodefs.available": "1Gi"}',
    ),
    (
        "control_plane",
        "kubeadm.yaml.j2",
        "kubeadm_ignore_preflight_errors",
        ["Swap"],
        'ignorePreflightErrors: ["Swap"]',
    ),
    ("control_plane", "kubeadm.yaml.j2", "kube_proxy_conntrack_max_per_core", 0, "maxPerCore: 0"),
    ("join", "join.yaml.j2", "kubeadm_ignore_preflight_errors", ["Swap"], 'ignorePreflightErrors: ["Swap"]'),
    ("join", "cluster.conf.j2", "control_plane_endpoint", "lb:6443", "server: https://lb:6443"),
    (
        "pod_network",
        "pods-network.j2",
        "kubernetes_pod_cidr",
        "10.1.0.0/16",
        "ip saddr 10.1.0.0/16 ip daddr != { 10.1.0.0/16 }",
    ),
    (
        "pod_network",
        "pods-network.j2",
        "pod_network_routed",
        True,
        "ip daddr != { 10.244.0.0/16, 10.0.0.1, 10.0.0.2, 10.0.0.3 } masquerade",
    ),
    ("static_pods", "etcd.yaml.j2", "static_pods_etcd", {"uid": 9, "group": 8}, "runAsUser: 9\n    runAsGroup: 8"),
    ("pod_network", "pods.conflist.j2", "pod_network_mtu", 1450, '"mtu": 1450'),
]


@pytest.mark.parametrize(("name", "template", "variable", "value", "line"), CHANGES, ids=lambda value: str(value)[:24])
def test_each_variable_has_its_effect(name: str, template: str, variable: str, value: Any, line: str) -> None:
    assert line not in render(name, template, "control-plane-1")
    assert line in render(name, template, "control-plane-1", **{variable: value})


def test_audit_policy_keeps_the_contents_of_secrets_out() -> None:
    policy = yaml.safe_load((PLAYBOOKS / "roles/api_server/files/audit-policy.yaml").read_text())
    first = next(
        rule
        for rule in policy["rules"]
        if rule["level"] != "None" or ("secrets" in str(rule.get("resources")) and "users" not in rule)
    )
    assert first["level"] == "Metadata"
    assert "secrets" in first["resources"][0]["resources"]
    assert policy["rules"][-1] == {"level": "Request"}


def test_secrets_are_encrypted_before_they_may_be_plain() -> None:
    config = yaml.safe_load(render("api_server", "encryption.yaml.j2", "control-plane-1"))
    [rule] = config["resources"]
    assert rule["resources"] == ["secrets"]
    assert [next(iter(provider)) for provider in rule["providers"]] == ["secretbox", "identity"]
    arguments = yaml.safe_load_all(render("control_plane", "kubeadm.yaml.j2", "control-plane-1"))
    server = next(each for each in arguments if each["kind"] == "ClusterConfiguration")["apiServer"]
    told = {each["name"]: each["value"] for each in server["extraArgs"]}
    mounted = [volume["mountPath"] for volume in server["extraVolumes"]]
    for name in ("encryption-provider-config", "audit-policy-file", "audit-log-path"):
        assert str(Path(told[name]).parent) in mounted


def test_swap_goes_off_only_where_the_kubelet_minds() -> None:
    texts = [
        render("kubernetes_binaries", "kubelet.service.j2", "worker-1", kubelet_fail_swap_on=minds)
        for minds in (True, False)
    ]
    assert ["swapoff" in text for text in texts] == [True, False]


def test_every_node_reaches_every_other_and_only_once() -> None:
    hosts = ["control-plane-1", "worker-1", "worker-2"]
    for host, peer in itertools.permutations(hosts, 2):
        text = render("pod_network", "pods-network.j2", host)
        number = hosts.index(peer)
        assert text.count(f"route replace 10.244.{number}.0/24 via 10.244.{number}.0 dev pods onlink") == 1
        assert text.count(f"dst 10.0.0.{number + 1} self permanent") == 1


def test_a_routed_node_has_no_tunnel_and_its_pods_the_machine_s_own_packets() -> None:
    text = render("pod_network", "pods-network.j2", "worker-1", pod_network_routed=True)
    assert "vxlan" not in text
    assert "bridge" not in text
    mtu = jinja2.Template(role("pod_network", "defaults/main.yml")["pod_network_mtu"])
    assert [mtu.render(node_machine={"mtu": 9001}, pod_network_routed=each) for each in (True, False)] == [
        "9001",
        "8951",
    ]


def test_tokens_name_the_issuer_first_and_those_of_the_cluster_s_own_go_on() -> None:
    def arguments(issuer: str) -> list[str]:
        text = render("control_plane", "kubeadm.yaml.j2", "control-plane-1", control_plane_issuer=issuer)
        server = next(each for each in yaml.safe_load_all(text) if each["kind"] == "ClusterConfiguration")["apiServer"]
        return [each["value"] for each in server["extraArgs"] if each["name"] == "service-account-issuer"]

    assert arguments("https://i") == ["https://i", "https://kubernetes.default.svc.cluster.local"]
    assert arguments("") == []

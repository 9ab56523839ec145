"""Services of type LoadBalancer on both clusters: made by the cloud's controller, reached by name, gone with it."""

import json
import socket
from pathlib import Path
from typing import Any

import yaml

from lab.machines import names
from tests import ROOT
from tests.support.live import MANAGED, Cluster, Shell, kill_daemon, pod, until

PREFIX = "service.beta.kubernetes.io/aws-load-balancer"
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "second",
        "namespace": "twinplane",
        "annotations": {f"{PREFIX}-type": "nlb", f"{PREFIX}-healthcheck-interval": "10"},
    },
    "spec": {
        "type": "LoadBalancer",
        "loadBalancerSourceRanges": ["198.18.0.0/15"],
        "selector": {"app.kubernetes.io/name": "sample-app"},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
    },
}


def service(cluster: Cluster, name: str) -> dict[str, Any]:
    return dict(cluster.get("service", "-n", "twinplane", name))


def host(cluster: Cluster, name: str) -> str:
    told = service(cluster, name)["status"].get("loadBalancer", {}).get("ingress", [])
    return str(told[0]["hostname"]) if told else ""


def line(address: str) -> str:
    with socket.create_connection((address, 9000), timeout=5) as connection:
        return connection.makefile().readline().strip()


def made_for(shell: Shell, cluster: Cluster, name: str) -> list[str]:
    """Returns all that AWS has of a Service: balancers, target groups, rules."""
    owner = {"kubernetes.io/service-name": f"twinplane/{name}"}
    owner[f"kubernetes.io/cluster/{cluster.outputs['clusterName']}"] = "owned"
    found: list[str] = []
    for kind, key in (("load-balancers", "LoadBalancer"), ("target-groups", "TargetGroup")):
        listed = shell.json("aws", "elbv2", f"describe-{kind}", "--output", "json")[f"{key}s"]
        for each in (one[f"{key}Arn"] for one in listed):
            told = shell.json("aws", "elbv2", "describe-tags", "--resource-arns", each, "--output", "json")
            tags = {tag["Key"]: tag["Value"] for tag in told["TagDescriptions"][0]["Tags"]}
            found += [each] if owner.items() <= tags.items() else []
    return found


def rules(shell: Shell, balancer: str) -> list[str]:
    """Returns blocks that reach the nodes for a balancer."""
    groups = shell.json("aws", "ec2", "describe-security-groups", "--output", "json")["SecurityGroups"]
    blocks = [block for group in groups for rule in group["IpPermissions"] for block in rule["IpRanges"]]
    return [each["CidrIp"] for each in blocks if each.get("Description", "").endswith(f"={balancer}")]


def test_the_app_is_reached_by_its_balancers_name(cluster: Cluster, shell: Shell) -> None:
    address = host(cluster, "sample-app-public")
    assert address.endswith(".elb.us-east-1.amazonaws.com")
    pods = {each["metadata"]["name"] for each in cluster.get("pods", "-n", "twinplane")["items"]}
    answered = {pod(f"http://{address}/") for _ in range(20)}
    assert answered <= pods
    assert len(answered) > 1, "it balances"
    assert line(address) in pods
    # The cloud's controller did it, and it is no pod on EKS.
    fields = cluster.shell.json(
        "kubectl", "--kubeconfig", str(cluster.kubeconfig), "get", "service", "-n", "twinplane", "sample-app-public",
        "-o", "json", "--show-managed-fields",
    )["metadata"]["managedFields"]  # fmt: skip
    assert {each["manager"] for each in fields if each.get("subresource") == "status"} == {
        "aws-cloud-controller-manager"
    }
    controllers = [
        each["metadata"]["name"]
        for each in cluster.get("pods", "-n", "kube-system")["items"]
        if "cloud-controller" in each["metadata"]["name"]
    ]
    assert bool(controllers) == (cluster.outputs["kind"] == "self-managed")
    # Who reaches the API reaches it; nodes that no pod runs on are no targets of it.
    balancer = address.partition("-")[0]
    assert "198.18.0.0/15" in rules(shell, balancer)
    assert "0.0.0.0/0" not in rules(shell, balancer)


def test_nodes_have_what_the_clouds_controller_says(cluster: Cluster) -> None:
    for node in cluster.get("nodes")["items"]:
        labels = node["metadata"]["labels"]
        assert labels["topology.kubernetes.io/zone"] in node["spec"]["providerID"]
        assert labels["topology.kubernetes.io/region"] == "us-east-1"
        assert labels["node.kubernetes.io/instance-type"] == "t3.medium"
        assert not any("uninitialized" in taint["key"] for taint in node["spec"].get("taints", []))


def test_services_stay_when_kube_proxy_looks_at_everything_again(cluster: Cluster) -> None:
    nodes = cluster.get("nodes", "--selector", "!node-role.kubernetes.io/control-plane")["items"]
    name, node = nodes[0]["metadata"]["name"], cluster.host(nodes[0])
    api = cluster.get("service", "kubernetes")["spec"]["clusterIP"]

    def looks() -> float:
        """Returns how often it was at it, counted by itself."""
        metrics = node.run("curl", "-sS", "http://127.0.0.1:10249/metrics").stdout.splitlines()
        count = "kubeproxy_sync_full_proxy_rules_duration_seconds_count"
        return sum(float(each.split()[-1]) for each in metrics if each.startswith(count) and "IPv6" not in each)

    def zone() -> str:
        return str(cluster.get("node", name)["metadata"]["labels"]["topology.kubernetes.io/zone"])

    own, before = zone(), looks()
    cluster.kubectl("label", "node", name, f"topology.kubernetes.io/zone={own}-moved", "--overwrite")
    until("another look", lambda: looks() != before, 60)
    answered = node.run("curl", "-sSk", "--max-time", "5", "--output", "/dev/null", f"https://{api}/livez")
    assert answered.returncode == 0, answered.stderr
    # Only the cloud's controller puts it back: a label of ours could come after it and would change nothing.
    until("the zone that the cloud says", lambda: zone() == own, 60)


def test_another_scheme_is_another_load_balancer_of_the_app(managed: Cluster, shell: Shell, tmp_path: Path) -> None:
    """Neither controller changes that of one that is there; the outputs say the new names."""

    def balancers() -> dict[str, str]:
        """Returns scheme of each that the outputs name."""
        workload, elb = shell.outputs(MANAGED)["workload"], shell.client("elbv2")
        made = {each["DNSName"]: each["Scheme"] for each in elb.describe_load_balancers()["LoadBalancers"]}
        return {made[workload[key]]: workload[key] for key in ("balancerAddress", "ingressAddress")}

    def serves() -> bool:
        return bool(pod(f"http://{host(managed, 'sample-app-public')}/"))

    up = ("pulumi", "up", "--yes", "--skip-preview", "-s", MANAGED)
    config = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{MANAGED}.yaml").read_text())
    config["config"]["twinplane:ingressScheme"] = "internal"
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(config))
    before = balancers()
    shell.run(*up, "--config-file", str(other))
    assert set(balancers()) == {"internal"}
    until("an answer", serves, 120)
    shell.run(*up)
    assert set(balancers()) == set(before) == {"internet-facing"}
    until("an answer", serves, 120)


def test_it_comes_and_goes_with_its_service_also_when_the_daemon_dies(
    cluster: Cluster, shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "service.json"
    file.write_text(json.dumps(SERVICE))
    cluster.kubectl("apply", "-f", str(file))
    until("something is made", lambda: made_for(shell, cluster, "second"), 120)
    kill_daemon()
    address = until("a name", lambda: host(cluster, "second"), 120)
    until("an answer", lambda: pod(f"http://{address}/"), 120)
    assert len(made_for(shell, cluster, "second")) == 2
    balancer = address.partition("-")[0]
    until("the nodes are open to it", lambda: rules(shell, balancer), 120)

    cluster.kubectl("delete", "-f", str(file), "--wait=false")
    kill_daemon()
    until("the Service is gone", lambda: not cluster.kubectl("get", "-f", str(file), "--ignore-not-found"), 120)
    assert made_for(shell, cluster, "second") == []
    assert rules(shell, balancer) == []
    until("its name is gone", lambda: address not in names.known(), 120)
    assert pod(f"http://{address}/") == ""


def test_destroy_names_the_balancers_of_others_and_leaves_all_whole(
    cluster: Cluster, shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "service.json"
    others = {**SERVICE, "metadata": {**SERVICE["metadata"], "namespace": "default"}}
    file.write_text(json.dumps(others))
    cluster.kubectl("apply", "-f", str(file))
    try:
        until("the controller has taken it up", lambda: cluster.get("-f", str(file))["metadata"].get("finalizers"), 120)
        stack = f"{cluster.outputs['kind']}-lab"
        done = shell.run("twinplane", "destroy", stack, "--yes", check=False)
        assert done.returncode == 2
        assert "destroy: Service default/second: of others, with a load balancer that would stay behind" in done.stderr
        assert pod(f"http://{host(cluster, 'sample-app-public')}/")
    finally:
        cluster.kubectl("delete", "-f", str(file))

"""Ingress on both clusters: the load balancer of the sample app's, and of one that changes and goes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from lab import constants
from tests.support.live import Cluster, Shell, until

HOSTS = ["app.twinplane.test", "www.twinplane.test"]


@pytest.fixture(name="elb", scope="module")
def _elb(shell: Shell) -> Any:
    return shell.client("elbv2")


@pytest.fixture
def other(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """A namespace with a Service, and an Ingress for it that is yet to be applied."""
    port = {"name": "web", "port": 80, "targetPort": 8080, "nodePort": 30081}
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    where = {"namespace": "other", "name": "web"}
    spec = {"type": "NodePort", "selector": {"app": "none"}, "ports": [port]}
    apply(cluster, {"apiVersion": "v1", "kind": "Service", "metadata": where, "spec": spec})
    yield ingress("alb", "one.test", **where)
    cluster.kubectl("delete", "namespace", "other")


def ingress(of: str, *hosts: str, **metadata: str) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    http = {"paths": [{"path": "/a", "pathType": "Prefix", "backend": backend}]}
    spec = {"ingressClassName": of, "rules": [{"host": host, "http": http} for host in hosts]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def apply(cluster: Cluster, obj: dict[str, Any]) -> str:
    done = cluster.shell.run(
        "kubectl", "--kubeconfig", str(cluster.kubeconfig), "apply", "-f", "-", stdin=json.dumps(obj), check=False
    )
    return done.stdout + done.stderr


def address(cluster: Cluster, *where: str) -> str:
    told = cluster.get("ingress", *where)["status"]["loadBalancer"].get("ingress") or [{"hostname": ""}]
    return str(told[0]["hostname"])


def balancer(elb: Any, name: str) -> dict[str, Any]:
    [found] = [each for each in elb.describe_load_balancers()["LoadBalancers"] if each["DNSName"] == name]
    return dict(found)


def rules(elb: Any, listener: dict[str, Any]) -> list[tuple[list[str], list[str], str]]:
    """Returns hosts, paths and target group, by priority."""
    made = []
    for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
        if not rule["IsDefault"]:
            by = {each["Field"]: each for each in rule["Conditions"]}
            hosts, paths = by["host-header"]["HostHeaderConfig"], by["path-pattern"]["PathPatternConfig"]
            made.append((hosts["Values"], paths["Values"], rule["Actions"][0]["TargetGroupArn"]))
    return made


def test_what_the_controller_makes_of_an_ingress() -> None:
    """Its own tests, built as it is itself."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    subprocess.run(
        [go, "test", "-mod=readonly", "-trimpath", "./..."],
        cwd=constants.PROJECT / "lab" / "ingress_controller", env={**os.environ, "CGO_ENABLED": "0"}, check=True,
    )  # fmt: skip


def test_the_sample_app_has_a_load_balancer_with_its_hosts_and_certificate(
    cluster: Cluster, elb: Any, shell: Shell
) -> None:
    made = balancer(elb, address(cluster, "-n", "twinplane", "sample-app"))
    assert (made["Type"], made["Scheme"]) == ("application", "internet-facing")
    assert len({zone["ZoneName"] for zone in made["AvailabilityZones"]}) == 2
    [group] = shell.client("ec2").describe_security_groups(GroupIds=made["SecurityGroups"])["SecurityGroups"]
    assert {block["CidrIp"] for rule in group["IpPermissions"] for block in rule["IpRanges"]} == {"198.18.0.0/15"}
    arn = made["LoadBalancerArn"]
    [tags] = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    assert {tag["Key"]: tag["Value"] for tag in tags["Tags"]}["elbv2.k8s.aws/cluster"] == cluster.outputs["clusterName"]
    http, https = sorted(elb.describe_listeners(LoadBalancerArn=arn)["Listeners"], key=lambda each: each["Port"])
    assert (http["Port"], https["Port"], https["Protocol"]) == (80, 443, "HTTPS")
    assert http["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert ":certificate/" in https["Certificates"][0]["CertificateArn"]
    group, other = (found[2] for found in rules(elb, https))
    assert rules(elb, https) == [([host], ["/*"], group) for host in HOSTS]
    assert group == other
    targets = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    excluded = "node.kubernetes.io/exclude-from-external-load-balancers"
    nodes = [node for node in cluster.ready_nodes() if excluded not in node["metadata"]["labels"]]
    assert {each["Target"]["Id"] for each in targets} == {node["spec"]["providerID"][-19:] for node in nodes}
    assert {each["Target"]["Port"] for each in targets} == {cluster.outputs["workload"]["nodePort"]}


def test_tags_of_the_stack_reach_what_costs_money(cluster: Cluster, elb: Any, shell: Shell) -> None:
    ec2, ours = shell.client("ec2"), {"Key": "CostCenter", "Value": "lab"}
    networks = [{"Name": "vpc-id", "Values": [cluster.outputs["vpcId"]]}]
    running = [*networks, {"Name": "instance-state-name", "Values": ["running"]}]
    machines = [
        each for found in ec2.describe_instances(Filters=running)["Reservations"] for each in found["Instances"]
    ]
    assert len(machines) == len(cluster.ready_nodes())
    for machine in machines:
        interfaces = [each["NetworkInterfaceId"] for each in machine["NetworkInterfaces"]]
        tagged = ec2.describe_network_interfaces(NetworkInterfaceIds=interfaces)["NetworkInterfaces"]
        assert all(ours in each["TagSet"] for each in tagged)
        disks = [each["Ebs"]["VolumeId"] for each in machine["BlockDeviceMappings"]]
        assert all(ours in each["Tags"] for each in ec2.describe_volumes(VolumeIds=disks)["Volumes"])
        assert ours in machine["Tags"]
    balancers = [
        each for each in elb.describe_load_balancers()["LoadBalancers"] if each["VpcId"] == networks[0]["Values"][0]
    ]
    assert {each["Type"] for each in balancers} == {"application", "network"}
    arns = [each["LoadBalancerArn"] for each in balancers]
    assert all(ours in each["Tags"] for each in elb.describe_tags(ResourceArns=arns)["TagDescriptions"])


def test_the_webhook_refuses_what_no_controller_could_serve(cluster: Cluster) -> None:
    nowhere = apply(cluster, ingress("nothing", "a.test", name="web", namespace="default"))
    assert 'admission webhook "vingress.elbv2.k8s.aws" denied the request: invalid ingress class' in nowhere
    spec = {"inboundCIDRs": ["10.0.0.1/8"]}
    wrong = {"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "IngressClassParams", "metadata": {"name": "wrong"}}
    assert 'webhook "vingressclassparams.elbv2.k8s.aws" denied' in apply(cluster, {**wrong, "spec": spec})


def test_a_load_balancer_follows_its_ingress_and_goes_with_it(
    cluster: Cluster, other: dict[str, Any], elb: Any, shell: Shell
) -> None:
    apply(cluster, other)
    name = until("an address", lambda: address(cluster, "-n", "other", "web"), 60)
    arn = balancer(elb, name)["LoadBalancerArn"]
    [listener] = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    [(hosts, paths, group)] = rules(elb, listener)
    assert (hosts, paths, listener["Protocol"]) == (["one.test"], ["/a", "/a/*"], "HTTP")

    apply(cluster, ingress("alb", "two.test", "three.test", name="web", namespace="other"))
    wanted = [(["two.test"], paths, group), (["three.test"], paths, group)]
    until("its rules", lambda: rules(elb, listener) == wanted, 60)
    groups = len(elb.describe_target_groups()["TargetGroups"])
    port = '[{"op": "replace", "path": "/spec/ports/0/nodePort", "value": 30082}]'
    cluster.kubectl("patch", "service", "-n", "other", "web", "--type", "json", "-p", port)

    def ports() -> set[int]:
        found = elb.describe_target_health(TargetGroupArn=rules(elb, listener)[0][2])["TargetHealthDescriptions"]
        return {each["Target"]["Port"] for each in found}

    until("its targets", lambda: ports() == {30082}, 60)
    changed = ingress("alb", "two.test", name="web", namespace="other")
    changed["metadata"]["annotations"] = {"alb.ingress.kubernetes.io/listen-ports": '[{"HTTP": 8080}]'}
    apply(cluster, changed)
    [security] = balancer(elb, name)["SecurityGroups"]

    def opened() -> list[int]:
        [found] = shell.client("ec2").describe_security_groups(GroupIds=[security])["SecurityGroups"]
        return [each["FromPort"] for each in found["IpPermissions"]]

    until("its security group to be open for that port alone", lambda: opened() == [8080], 60)
    cluster.kubectl("delete", "ingress", "-n", "other", "web")
    assert arn not in {each["LoadBalancerArn"] for each in elb.describe_load_balancers()["LoadBalancers"]}
    assert len(elb.describe_target_groups()["TargetGroups"]) == groups - 1

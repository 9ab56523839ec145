"""Network load balancers of the lab: what moto keeps becomes HAProxy's configuration, and its checks become health."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.moto_api._internal.models import moto_api_backend

from lab import constants, supervisor
from lab.cloud import api
from lab.cloud.ec2 import ec2
from lab.cloud.elb import haproxy, load_balancers
from lab.cloud.elb.controller import BalancerController
from lab.cloud.endpoint.endpoint import Endpoint
from lab.cloud.endpoint.journal import Journal
from lab.machines import names, network, resolver
from tests.aws_front import fresh


@pytest.fixture
def elb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with fresh(tmp_path / "state", monkeypatch):
        yield client()


def client() -> Any:
    key = api.credentials()
    made = boto3.session.Session(key.access_key, key.secret_key, region_name=constants.REGION).client(
        "elbv2", endpoint_url=constants.API_URL
    )
    made.meta.events.register("before-send", api._inside)
    return made


def subnet() -> str:
    client = api.client("ec2")
    vpc = client.create_vpc(CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
    return client.create_subnet(VpcId=vpc, CidrBlock="198.18.1.0/24")["Subnet"]["SubnetId"]


def balancer(elb: Any, name: str = "api", kind: str = "network") -> dict[str, Any]:
    made = elb.create_load_balancer(Name=name, Type=kind, Scheme="internal", Subnets=[subnet()])
    return dict(made["LoadBalancers"][0])


def test_the_network_stays_while_a_balancer_stands_in_it(elb: Any) -> None:
    ec2 = api.client("ec2")
    made = balancer(elb, kind="application")
    vpc, place = made["VpcId"], made["AvailabilityZones"][0]["SubnetId"]
    with pytest.raises(ClientError, match=f"DependencyViolation.*The subnet '{place}' has dependencies and cannot be"):
        ec2.delete_subnet(SubnetId=place)
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_vpc(VpcId=vpc)
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    ec2.delete_subnet(SubnetId=place)
    group = ec2.create_security_group(GroupName="left", Description="left", VpcId=vpc)["GroupId"]
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_vpc(VpcId=vpc)
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=vpc)


def listening(elb: Any, arn: str, targets: list[dict[str, Any]], port: int = 6443, **check: Any) -> str:
    vpc = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["VpcId"]
    group = elb.create_target_group(
        Name=f"g{port}", Protocol="TCP", Port=port, VpcId=vpc,
        **{
            "TargetType": "ip", "HealthCheckIntervalSeconds": 10, "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2, **check,
        },
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=port, DefaultActions=forward)
    if targets:
        elb.register_targets(TargetGroupArn=group, Targets=targets)
    return str(group)


def states(elb: Any, group: str) -> list[str]:
    told = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return [each["TargetHealth"]["State"] for each in told]


def test_the_name_leads_to_an_address_of_its_own(elb: Any) -> None:
    first, second = balancer(elb, "One"), balancer(elb, "two")
    number = first["LoadBalancerArn"].rpartition("/")[2]
    assert first["DNSName"] == f"one-{number}.elb.us-east-1.amazonaws.com"
    assert names.known() == {first["DNSName"]: "198.19.241.1", second["DNSName"]: "198.19.241.2"}
    elb.delete_load_balancer(LoadBalancerArn=first["LoadBalancerArn"])
    assert [each.address for each in load_balancers.wanted()] == ["198.19.241.2"]
    assert names.known() == {second["DNSName"]: "198.19.241.2"}
    third = balancer(elb, "three")["DNSName"]
    assert names.known()[third] == "198.19.241.1", "freed addresses are used again"
    assert resolver._address(third.upper()) == IPv4Address("198.19.241.1"), "hosts of the lab find it, too"
    assert resolver._address("other.elb.us-east-1.amazonaws.com") is None


def test_names_are_lines_of_their_own_in_a_file_of_others(elb: Any) -> None:  # noqa: ARG001
    names.HOSTS.write_text("127.0.0.1 localhost\n")
    names.tell({"b.test": "198.19.241.2", "a.test": "198.19.241.1"})
    names.HOSTS.write_text(f"{names.HOSTS.read_text()}192.0.2.1 other\n")
    names.tell({"a.test": "198.19.241.1"})
    assert names.HOSTS.read_text().splitlines() == [
        "127.0.0.1 localhost", "192.0.2.1 other", names.BEGIN.strip(), "198.19.241.1 a.test", names.END.strip(),
    ]  # fmt: skip
    names.tell({})
    assert names.HOSTS.read_text() == "127.0.0.1 localhost\n192.0.2.1 other\n"
    names.HOSTS.write_text(f"127.0.0.1 localhost\n{names.BEGIN}198.19.241.1 a.elb.test\n192.0.2.1 other\n")
    names.tell({})
    assert names.HOSTS.read_text() == "127.0.0.1 localhost\n192.0.2.1 other\n", "ours had lost its end"


def test_the_arn_says_of_which_type_it_is(elb: Any) -> None:
    subnets, tags = [subnet()], [{"Key": "a", "Value": "b"}]
    made = elb.create_load_balancer(Name="api", Type="network", Subnets=subnets, Tags=tags)["LoadBalancers"][0]
    arn, other = made["LoadBalancerArn"], balancer(elb, "web", "application")["LoadBalancerArn"]
    assert ":loadbalancer/net/api/" in arn
    assert made["Scheme"] == "internet-facing", "as AWS says where nobody asked for one"
    assert ":loadbalancer/app/web/" in other
    assert elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == tags
    listening(elb, arn, [])
    [listener] = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    assert listener["ListenerArn"].startswith(arn.replace(":loadbalancer/", ":listener/"))
    moto_api_backend.reset()
    Endpoint(Journal(api.directory() / "journal.jsonl"))
    assert {each.arn for each in load_balancers.backend().load_balancers.values()} == {arn, other}
    assert list(load_balancers.backend().load_balancers[arn].listeners) == [listener["ListenerArn"]]


def test_others_may_write_between_the_names(elb: Any) -> None:  # noqa: ARG001
    names.tell({"a.elb.test": "198.19.241.1"})
    text = names.HOSTS.read_text()
    names.HOSTS.write_text(text.replace(names.END, f"\n# by hand\n192.0.2.1 b.test c.test # two\n{names.END}"))
    assert names.known() == {"a.elb.test": "198.19.241.1", "b.test": "192.0.2.1", "c.test": "192.0.2.1"}


def test_a_replay_gives_again_what_was_freed(elb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "LOAD_BALANCERS", IPv4Network("198.19.241.0/29"))  # six of them
    first = balancer(elb, "first")
    for number in range(7):
        arn = balancer(elb, f"b{number}")["LoadBalancerArn"]
        elb.delete_load_balancer(LoadBalancerArn=arn)
    last = balancer(elb, "last")
    elb.delete_load_balancer(LoadBalancerArn=first["LoadBalancerArn"])
    given = {last["DNSName"]: "198.19.241.2"}
    assert names.known() == given
    for file in ("kept", "lost"):
        if file == "lost":
            (api.directory() / "load-balancers.json").unlink()
        moto_api_backend.reset()
        Endpoint(Journal(api.directory() / "journal.jsonl"))
        assert names.known() == given, file


def test_a_lost_name_comes_back(elb: Any) -> None:
    balancer(elb)
    names.HOSTS.write_text("127.0.0.1 localhost\n")
    load_balancers.wanted()
    assert "198.19.241.1 " in names.HOSTS.read_text()


def test_a_listener_without_tls_has_no_policy_of_it(elb: Any) -> None:
    """As AWS has it: the cloud controller would change the listener at each look."""
    arn = balancer(elb)["LoadBalancerArn"]
    listening(elb, arn, [])
    [listener] = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    assert "SslPolicy" not in listener


def test_targets_outlive_the_daemon(elb: Any) -> None:
    """moto registers running instances only, and while the journal is replayed no host has been looked at."""
    made, client = balancer(elb), api.client("ec2")
    images = client.describe_images(Owners=["136693071363"])["Images"]
    started = client.run_instances(ImageId=images[0]["ImageId"], SubnetId=subnet(), MinCount=1, MaxCount=1)
    instance = started["Instances"][0]["InstanceId"]
    group = listening(elb, made["LoadBalancerArn"], [], TargetType="instance")
    target = {"TargetGroupArn": group, "Targets": [{"Id": instance}]}
    with pytest.raises(ClientError, match="InvalidTarget"):
        elb.register_targets(**target)
    ec2.observe({instance: "running"})
    elb.register_targets(**target)
    before = load_balancers.wanted()
    assert f"server {instance} {started['Instances'][0]['PrivateIpAddress']}:6443 check" in before[0].config
    moto_api_backend.reset()
    Endpoint(Journal(api.directory() / "journal.jsonl"))
    assert load_balancers.wanted() == before
    assert [machine.state for machine in ec2.machines()] == ["pending"], "until its host is looked at"


def test_an_application_load_balancer_has_no_address(elb: Any) -> None:
    assert balancer(elb, kind="application")["DNSName"] == "api-1.us-east-1.elb.amazonaws.com"
    assert load_balancers.wanted() == []


def test_configuration_says_what_the_target_group_says(elb: Any) -> None:
    arn = balancer(elb)["LoadBalancerArn"]
    listening(
        elb, arn, [{"Id": "198.18.1.10"}, {"Id": "198.18.1.11", "Port": 7443}],
        HealthCheckProtocol="HTTPS", HealthCheckPath="/readyz", HealthCheckPort="6444",
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=3, HealthyThresholdCount=4, UnhealthyThresholdCount=3,
    )  # fmt: skip
    [wanted] = load_balancers.wanted()
    for line in (
        "  bind 198.19.241.1:6443",
        "  server 198.18.1.11 198.18.1.11:7443 check inter 5s rise 4 fall 3 on-marked-down shutdown-sessions "
        "check-ssl verify none port 6444",
        "  server 198.18.1.10-open 198.18.1.10:6443 backup",
        "  option httpchk GET /readyz",
        "  http-check expect status 200",
        "  timeout check 3s",
    ):
        assert line in wanted.config.splitlines()


def test_a_request_wakes_the_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = BalancerController()
    with fresh(tmp_path / "state", monkeypatch, observers={"elasticloadbalancing": controller.noticed}):
        elb = client()
        elb.describe_load_balancers()
        assert not controller.woken.is_set()
        balancer(elb)
        assert controller.woken.is_set()


def test_health_before_anything_runs(elb: Any) -> None:
    made = balancer(elb)
    group = listening(elb, made["LoadBalancerArn"], [{"Id": "198.18.1.10"}])
    assert states(elb, group) == ["initial"]
    unused = elb.create_target_group(Name="u", Protocol="TCP", Port=1, VpcId=made["VpcId"], TargetType="ip")
    arn = unused["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "198.18.1.10"}])
    assert states(elb, arn) == ["unused"]


def test_a_process_is_asked_once_a_request(elb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(haproxy, "statistics", lambda name: asked.append(name) or [])
    arn = balancer(elb)["LoadBalancerArn"]
    group = listening(elb, arn, [{"Id": f"198.18.1.{each}"} for each in range(10, 13)])
    for times in (1, 2):
        assert states(elb, group) == ["initial"] * 3
        assert asked == [load_balancers.process(arn)] * times


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin"), reason="haproxy comes with the lab")
def test_haproxy(elb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the loopback: one target answers, one does not, a request goes to the one that does.

    A short name: a socket's path has 107 bytes.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(load_balancers, "address", lambda _: "127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arn = balancer(elb)["LoadBalancerArn"]
    targets = [{"Id": "127.0.0.1", "Port": server.server_port}, {"Id": "127.0.0.2", "Port": server.server_port}]
    group = listening(
        elb,
        arn,
        targets,
        port,
        HealthCheckProtocol="HTTP",
        HealthCheckPath="/",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
    )
    (constants.STATE / "run").mkdir(parents=True)
    [wanted] = load_balancers.wanted()
    path = tmp_path / "haproxy.cfg"
    path.write_text(wanted.config.replace("inter 5s", "inter 100ms"))
    run = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(path)])
    try:
        deadline = time.monotonic() + 60
        while (seen := states(elb, group)) != ["healthy", "unhealthy"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert seen == ["healthy", "unhealthy"]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(64).startswith(b"HTTP/1.0 200")
        assert haproxy.running(wanted.name) == wanted.generation
    finally:
        run.terminate()
        run.wait()
        server.shutdown()


class Recorder:
    """In place of supervisor and network: what was asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.running: set[str] = set()
        self.orphans: set[str] = set()
        self.deaf = self.silent = False
        monkeypatch.setattr(haproxy, "running", self.generation)
        monkeypatch.setattr(supervisor, "start", lambda name, _: (self.done.append("start"), self.running.add(name)))
        monkeypatch.setattr(
            supervisor, "stop", lambda name, **_: (self.done.append("stop"), self.running.discard(name))
        )
        monkeypatch.setattr(supervisor, "alive", lambda name: name in self.running)
        monkeypatch.setattr(supervisor, "child", lambda name: self if name in self.running else None)
        monkeypatch.setattr(network, "own", lambda address: self.done.append(f"own {address}"))
        monkeypatch.setattr(network, "disown", lambda address: self.done.append(f"disown {address}"))

    def generation(self, name: str) -> str:
        """Of the file, as the process read it last."""
        if name in self.running and self.done[-1:] in (["start"], ["reload"]) and not self.deaf:
            self.read = haproxy.generation(load_balancers.config_file(name).read_text())
        return self.read if name in self.running | self.orphans and not self.silent else ""

    def signal(self, _: int) -> None:
        self.done.append("reload")

    read = ""

    def take(self) -> list[str]:
        done, self.done = self.done, []
        return done


def test_started_reloaded_and_removed(elb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, controller = Recorder(monkeypatch), BalancerController()
    arn = balancer(elb)["LoadBalancerArn"]
    group = listening(elb, arn, [{"Id": "198.18.1.10"}])
    controller.step()
    controller.step()
    assert seen.take() == ["own 198.19.241.1", "start"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "198.18.1.11"}])
    seen.deaf = True
    controller.step()
    assert seen.take() == ["own 198.19.241.1", "reload"]
    seen.deaf = False
    controller.step()
    controller.step()
    assert seen.take() == ["own 198.19.241.1", "reload"], "asked again, since it did not hear"
    seen.silent = True
    controller.step()
    assert seen.take() == [], "it is busy: asked again and again it would never get done"
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "198.18.1.12"}])
    controller.step()
    controller.step()
    assert seen.take() == ["own 198.19.241.1", "reload"], "it is told once what is new"
    seen.running.clear()
    controller.step()
    assert seen.take() == ["own 198.19.241.1", "start"]
    listening(elb, arn, [{"Id": "198.18.1.10"}], 9000)
    controller.step()
    seen.take()
    elb.delete_load_balancer(LoadBalancerArn=arn)
    controller.step()
    assert seen.take() == ["stop", "disown 198.19.241.1"], "once, however many listeners it had"


def test_an_address_goes_also_where_the_listeners_went_first(elb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, controller = Recorder(monkeypatch), BalancerController()
    arn = balancer(elb)["LoadBalancerArn"]
    listening(elb, arn, [{"Id": "198.18.1.10"}])
    controller.step()
    for listener in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
        elb.delete_listener(ListenerArn=listener["ListenerArn"])
    controller.step()
    seen.take()
    elb.delete_load_balancer(LoadBalancerArn=arn)
    controller.step()
    assert seen.take() == ["stop", "disown 198.19.241.1"]


def test_a_new_controller_leaves_alone_what_is_right(elb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the daemon was killed; and it takes care of a process whose supervisor was killed too."""
    seen = Recorder(monkeypatch)
    listening(elb, balancer(elb)["LoadBalancerArn"], [{"Id": "198.18.1.10"}])
    BalancerController().step()
    seen.take()
    BalancerController().step()
    assert seen.take() == []
    seen.orphans, seen.running = seen.running, set()
    BalancerController().step()
    assert seen.take() == ["own 198.19.241.1", "start"], "lab.supervisor takes over what runs"


def test_a_target_group_knows_the_load_balancers_that_lead_to_it_now(elb: Any) -> None:
    arn = balancer(elb, "web", "application")["LoadBalancerArn"]
    vpc = elb.describe_load_balancers()["LoadBalancers"][0]["VpcId"]
    old, new = (
        elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
        for name in ("old", "new")
    )

    def led_to() -> list[list[str]]:
        told = elb.describe_target_groups(TargetGroupArns=[old, new])["TargetGroups"]
        return [
            each["LoadBalancerArns"] for each in sorted(told, key=lambda each: each["TargetGroupName"], reverse=True)
        ]

    nothing = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    listener = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=nothing)
    assert led_to() == [[], []]
    made = []
    for priority, host in enumerate(("a.test", "b.test"), 1):
        made += elb.create_rule(
            ListenerArn=listener["Listeners"][0]["ListenerArn"],
            Priority=priority,
            Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": [host]}}],
            Actions=[{"Type": "forward", "TargetGroupArn": old}],
        )["Rules"]
    assert led_to() == [[arn], []], "once, however many rules there are"
    for rule in made:
        elb.modify_rule(RuleArn=rule["RuleArn"], Actions=[{"Type": "forward", "TargetGroupArn": new}])
    assert led_to() == [[], [arn]]
    elb.delete_target_group(TargetGroupArn=old)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    [left] = elb.describe_target_groups()["TargetGroups"]
    assert left["LoadBalancerArns"] == []

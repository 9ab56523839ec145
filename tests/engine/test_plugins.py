"""The plugins under the real engine, against moto: up, nothing to do, refresh, replace, destroy, errors, kills."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi.runtime.proto import language_pb2

from lab.plugins.language_python import LanguageHost
from tests.support import engine
from tests.support.engine import Project
from tests.support.language_host import Call, info

PROGRAM = """
import json
import kubernetes, pulumi
import pulumi_aws as aws
from pulumi_command import local

assert "site-packages" in kubernetes.__file__, "the program's own library, not a plugin of ours"
config = pulumi.Config()
print("hello from the program")
vpc = aws.ec2.Vpc("net", cidr_block="198.18.0.0/18", tags={"Name": config.get("tag") or "net"})
subnet = aws.ec2.Subnet("a", vpc_id=vpc.id, cidr_block="198.18.1.0/24", availability_zone="us-east-1a")
group = aws.ec2.SecurityGroup("ssh", vpc_id=vpc.id)
aws.vpc.SecurityGroupIngressRule(
    "ssh", security_group_id=group.id, ip_protocol="tcp", from_port=22, to_port=22, cidr_ipv4="198.18.0.0/15"
)
trust = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
role = aws.iam.Role("node", assume_role_policy=json.dumps(trust))
machine = aws.ec2.Instance(
    "machine", ami="ami-12c6146b", instance_type="t3.medium", subnet_id=subnet.id, vpc_security_group_ids=[group.id],
    user_data=pulumi.Output.secret("#cloud-config: hush-hush"),
)
step = local.Command(
    "step", create=machine.private_ip.apply(lambda ip: f"echo at {ip}; cat"), delete="echo bye >&2",
    stdin=pulumi.Output.secret("hush-hush"), triggers=[config.get("trigger")], logging=local.Logging.STDERR,
)
pulumi.export("address", machine.private_ip)
pulumi.export("account", aws.get_caller_identity().account_id)
pulumi.export("step", step.stdout)
if config.get("wait"):
    local.Command("wait", create="echo $$ > $PID; sleep 120")
if config.get("wrong"):
    aws.ec2.Vpc("wrong", cidr_block="198.18.64.0/18", ipv4_ipam_pool_id="x")
if config.get("fail"):
    raise ValueError("the program's own fault")
if config.get("refuse"):
    raise pulumi.RunError("workers: must be at least 1")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("plugins")
    with engine.moto() as url:
        yield engine.project(folder, url, PROGRAM, "plugins", {"PID": str(folder / "pid")})


def test_from_nothing_to_nothing(project: Project) -> None:
    assert project.changes() == {"create": 8}
    text = project("up", "--yes", "--skip-preview")
    assert "hello from the program" in text
    outputs = project.outputs()
    assert outputs["account"] == "123456789012"
    assert outputs["step"] == f"at {outputs['address']}\nhush-hush"
    assert "hush-hush" not in project.state()
    assert "hush-hush" not in text

    assert project.changes() == {"same": 8}
    project("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    project("config", "set", "tag", "other")
    assert project.changes() == {"same": 7, "update": 1}
    project("config", "set", "trigger", "again")
    assert project.changes() == {"same": 6, "update": 1, "replace": 1}
    project("up", "--yes", "--skip-preview")
    assert project.changes() == {"same": 8}


@pytest.mark.parametrize(
    ("key", "told", "hidden"),
    [
        ("fail", "ValueError: the program's own fault", "runpy"),
        ("refuse", "error: workers: must be at least 1", "Traceback"),
        (
            "wrong",
            "property ipv4IpamPoolId value {x} has a problem: is no input that the lab's aws plugin",
            "Traceback",
        ),
    ],
)
def test_errors_are_told_once_and_clearly(project: Project, key: str, told: str, hidden: str) -> None:
    project("config", "set", key, "1")
    try:
        text = project("preview", code=1)
    finally:
        project("config", "rm", key)
    assert told in text
    assert hidden not in text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sudden_end_leaves_no_process_and_the_next_run_goes_on(project: Project, number: signal.Signals) -> None:
    project("config", "set", "wait", "1")
    pid = Path(project.environment["PID"])
    pid.unlink(missing_ok=True)
    running = project.start("up", "--yes", "--skip-preview")
    try:
        deadline = time.monotonic() + 90
        while not (pid.exists() and pid.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        running.send_signal(number)
        running.communicate(timeout=60)
    finally:
        running.kill()
    command = Path(f"/proc/{pid.read_text().strip()}")
    deadline = time.monotonic() + 15
    while command.exists():
        assert time.monotonic() < deadline, "the command outlives its engine"
        time.sleep(0.1)
    project("config", "rm", "wait")
    project("cancel", "--yes")
    project("up", "--yes", "--skip-preview")


def test_destroy(project: Project) -> None:
    project("destroy", "--yes", "--skip-preview")
    assert '"resources"' not in project.state() or '"aws:' not in project.state()


def test_install_makes_the_virtual_environment_and_fills_it(tmp_path: Path) -> None:
    request = language_pb2.InstallDependenciesRequest(info=info(tmp_path, virtualenv="env"))

    def said() -> str:
        return b"".join(
            each.stdout + each.stderr
            for each in LanguageHost("").InstallDependencies(request, Call())  # type: ignore[arg-type]
        ).decode()

    assert said() == "", "nothing is required"
    (tmp_path / "requirements.txt").write_text("pip\n")  # which every virtual environment has: nothing is fetched
    assert "Requirement already satisfied: pip in ./env" in said().replace(f"{tmp_path}/", "./")
    (tmp_path / "requirements.txt").write_text("no such line\n")
    with pytest.raises(RuntimeError, match=r"env/bin/python -m pip install -r .* ended with exit code 1"):
        said()

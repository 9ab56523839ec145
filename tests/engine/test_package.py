"""components/ as a Pulumi package: its schema, and a program that knows nothing of ours but that."""

import json
from collections.abc import Iterator

import pytest

from tests import ROOT
from tests.support import engine
from tests.support.engine import Project

PROGRAM = """
import pulumi

config = pulumi.Config()


class Network(pulumi.ComponentResource):
    def __init__(self, name, **inputs):
        outputs = {"vpcId": None, "privateSubnetIds": None}
        super().__init__("twinplane:index:Network", name, {**outputs, **inputs}, None, remote=True)
        self.vpc_id, self.private_subnet_ids = (pulumi.get(self, each) for each in outputs)


class FlowLogs(pulumi.ComponentResource):
    def __init__(self, name, **inputs):
        super().__init__("twinplane:index:FlowLogs", name, {"logGroupName": None, **inputs}, None, remote=True)


network = Network("theirs", cidr=config.get("cidr") or "198.18.0.0/18", zones=config.get_int("zones") or 2)
FlowLogs("theirs", vpcId=network.vpc_id, days=7)
pulumi.export("vpc", network.vpc_id)
pulumi.export("private", network.private_subnet_ids)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with engine.moto() as url:
        made = engine.project(tmp_path_factory.mktemp("package"), url, PROGRAM, "theirs")
        with (made.folder / "Pulumi.yaml").open("a") as settings:
            settings.write(f"plugins:\n  providers:\n    - name: twinplane\n      path: {ROOT / 'components'}\n")
        yield made


def test_schema(project: Project) -> None:
    text = project("package", "get-schema", str(ROOT / "components"))
    schema = json.loads(text[text.index("{") :])
    assert schema["name"] == "twinplane"
    network = schema["resources"]["twinplane:index:Network"]
    assert network["isComponent"]
    assert network["requiredInputs"] == ["cidr"]
    assert network["inputProperties"]["cidr"]["type"] == "string"
    assert network["inputProperties"]["zones"]["type"] == "integer"
    assert network["properties"]["privateSubnetIds"] == {"type": "array", "items": {"type": "string"}}
    assert set(schema["resources"]) == {
        f"twinplane:index:{name}" for name in ("ContainerRegistry", "FlowLogs", "ManagedCluster", "Network")
    }


def test_another_program_uses_it(project: Project) -> None:
    project("up", "--yes", "--skip-preview")
    outputs = project.outputs()
    assert outputs["vpc"].startswith("vpc-")
    assert len(outputs["private"]) == 2
    project("up", "--yes", "--skip-preview", "--expect-no-changes")
    vpc = next(each for each in project.resources() if each["type"] == "aws:ec2/vpc:Vpc")
    assert vpc["inputs"]["tags"]["Project"] == "theirs"
    assert vpc["parent"].endswith("Network::theirs")

    project("config", "set", "zones", "3")
    project("up", "--yes", "--skip-preview")
    assert len(project.outputs()["private"]) == 3
    project("destroy", "--yes", "--skip-preview")
    assert project.resources() == []


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [("cidr", "198.18.0.0/40", "cidr: 198.18.0.0/40: '40' is not a valid netmask"),
     ("zones", "9", "zones: 9 is not from 1 to 4")],
)  # fmt: skip
def test_wrong_input_is_told(project: Project, key: str, value: str, line: str) -> None:
    project("config", "set", key, value)
    try:
        text = project("preview", code=1)
    finally:
        project("config", "rm", key)
    assert line in text
    assert "Traceback" not in text
    assert "package.py" not in text

"""The lab leaves the stacks' config files as it found them."""

from pathlib import Path

import pytest
import yaml

from lab import stack_config
from lab.constants import PROJECT, RANGE
from lab.stack_files import adopt, reset
from stacks.keys import KEYS
from tests import ROOT

BEFORE = """config:
  twinplane:kind: managed
  twinplane:nodeReleaseVersion: 1.36.3-20260901 # a comment
  twinplane:workers: 5
"""


def test_salt_and_release_go_and_a_users_edit_stays(tmp_path: Path) -> None:
    lab, real = tmp_path / "Pulumi.managed-lab.yaml", tmp_path / "Pulumi.managed.yaml"
    after = BEFORE.replace("20260901", "20261101") + "encryptionsalt: v1:abc=\n"
    lab.write_text(after)
    real.write_text(after)
    reset(tmp_path)
    assert lab.read_text() == BEFORE
    assert real.read_text() == after
    assert sorted(tmp_path.iterdir()) == [lab, real]


@pytest.mark.parametrize("name", stack_config.STACKS)
def test_the_files_are_the_template_with_the_lab_s_constants(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"Pulumi.{name}.yaml"
    file.write_text((PROJECT / "stacks" / file.name).read_text())
    reset(tmp_path)
    assert file.read_text() == stack_config.render(name), "python -m lab.stack_config"


def test_the_range_of_addresses_is_written_once() -> None:
    first = str(RANGE.network_address).rpartition(".")[0]
    named = {
        path.name
        for path in (PROJECT / "lab").rglob("*")
        if path.suffix in {".py", ".j2"} and first in path.read_text()
    }
    assert named == {"constants.py"}


@pytest.mark.parametrize("name", ["mine", "twinplane", "a.b-c"])
def test_the_keys_are_those_of_the_project(tmp_path: Path, name: str) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text(f"name: {name}\n")
    for file in (ROOT / "stacks").glob("Pulumi.*.yaml"):
        (tmp_path / "stacks" / file.name).write_text(file.read_text())
    adopt(tmp_path)
    for file in (ROOT / "stacks").glob("Pulumi.*.yaml"):
        old = yaml.safe_load(file.read_text())["config"]
        text = (tmp_path / "stacks" / file.name).read_text()
        new = yaml.safe_load(text)["config"]
        if file.name.endswith("-lab.yaml"):
            spaces = {key.split(":")[0] for key in new if key.split(":")[1] in KEYS}
            assert spaces == {name}
            assert text.count("#") == file.read_text().count("#")
        assert list(new.values()) == list(old.values())
        assert [key.split(":")[1] for key in new] == [key.split(":")[1] for key in old]

"""`pulumi new` from a fresh clone: a project of one's own, whose first preview says what to set."""

import subprocess
from pathlib import Path

import yaml

from stacks.keys import KEYS
from tests import ROOT
from tests.support import engine
from tests.support.engine import Project

#: Moto's.
ACCOUNT = "123456789012"
TEMPLATE = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["template"]


def test_a_project_from_the_template(tmp_path: Path) -> None:
    for each in ("state", "mine"):
        (tmp_path / each).mkdir()
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    with engine.moto() as url:
        mine = Project(tmp_path / "mine", engine.environment(tmp_path, url))
        # What `pulumi install` makes is here already, so that it finds every requirement and fetches nothing.
        (mine.folder / ".venv").symlink_to(ROOT / ".venv")
        mine("new", str(tmp_path / "clone"), "--force", "--offline", "--yes", "--name", "mine", "--generate-only")
        assert yaml.safe_load((mine.folder / "Pulumi.yaml").read_text())["name"] == "mine"
        text = mine("install", "--no-plugins")
        assert "Requirement already satisfied: pulumi" in text

        # What `pulumi new` asks for and writes where it may fetch the official plugins, too.
        mine("stack", "init", "dev")
        for key, asked in TEMPLATE["config"].items():
            mine("config", "set", key, asked["default"])
        text = mine("preview", code=1)
        own = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/mine-dev/sample-app:v1.0.0"
        assert "pulumi config set --path 'mine:apiCidrs[0]' $(curl -s https://checkip.amazonaws.com)/32" in text
        assert f"sample-app:v1.0.0 is in no registry: pulumi config set mine:appImage {own}" in text
        mine("config", "set", "--path", "mine:apiCidrs[0]", "198.18.0.1/32")
        mine("config", "set", "mine:appImage", own)
        text = mine("preview")
        assert "mine-dev-nodes" in text


def test_what_the_template_asks_for_is_config_with_a_description() -> None:
    assert TEMPLATE["description"]
    for key, asked in TEMPLATE["config"].items():
        assert key in KEYS or key == "aws:region"
        assert asked["description"]

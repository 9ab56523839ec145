"""The real engine in a folder of its own, with the lab's plugins, against plain moto. No lab, no root, no lock."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import yaml

from lab import plugins
from lab.toolchain import tool
from tests import ROOT

#: Has the engine ask the guards, at a preview or an update.
PACK = ("--policy-pack", str(ROOT / "policies"))


@dataclass(frozen=True)
class Project:
    """A Pulumi project in a folder of its own, with a state of its own."""

    folder: Path
    environment: dict[str, str]

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["pulumi", *argv, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, *argv: str, code: int = 0) -> str:
        """Returns what the command printed; fails on another exit code than `code`."""
        process = self.start(*argv)
        text, _ = process.communicate(timeout=240)
        assert process.returncode == code, text
        return text

    def changes(self, *argv: str) -> dict[str, int]:
        """Operation -> number of resources, of a preview."""
        events = json.loads(self("preview", "--json", *argv).split("warning:", 1)[-1].split("\n", 1)[-1])
        return dict(events["changeSummary"])

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self("stack", "output", "--json", "--show-secrets")))

    def resources(self) -> list[dict[str, Any]]:
        """The state's resources, in the order in which they were made."""
        state = json.loads(self("stack", "export"))
        return list(state["deployment"].get("resources", []))

    def state(self) -> str:
        """The state as it is on the disk."""
        (file,) = (self.folder / "state/.pulumi/stacks").glob("*/*.json")
        return file.read_text()


@contextmanager
def moto(**variables: str) -> Iterator[str]:
    """Returns the URL of a fresh moto, in a process of its own: the lab's corrections of moto stay out of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # AWS's thousand managed policies take a second each time, and no program here attaches one that is not ours.
    # Nor what the lab's own AWS asks of moto, where it was imported into this process.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MOTO_")}
    environment = {**plain, "MOTO_IAM_LOAD_MANAGED_POLICIES": "false", **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urlopen(f"{url}/moto-api/data.json", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, "moto did not start"
                assert time.monotonic() < deadline, "moto does not answer"
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def project(folder: Path, url: str, program: str, name: str, variables: Mapping[str, str] | None = None) -> Project:
    """A project with `program` as its `__main__.py` and an empty stack `dev`, whose AWS is at `url`."""
    (folder / "state").mkdir()
    (folder / "Pulumi.yaml").write_text(
        f"name: {name}\nruntime:\n  name: python\n  options:\n    virtualenv: {sys.prefix}\n"
    )
    (folder / "__main__.py").write_text(program)
    made = Project(folder, environment(folder, url) | dict(variables or {}))
    made("stack", "init", "dev")
    return made


def environment(folder: Path, url: str) -> dict[str, str]:
    """The variables of an engine that keeps state and plugins in `folder`, and finds AWS at `url`."""
    (folder / "plugins").mkdir()
    found = [str(plugins.directory(folder / "plugins")), str(Path(sys.prefix) / "bin"), str(tool("pulumi").parent)]
    return {
        **os.environ,
        "PATH": os.pathsep.join([*found, os.environ["PATH"]]),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


def stack(folder: Path, url: str, name: str) -> Project:
    """This project's own program, in `folder`, with its empty stack `name`, whose endpoints are all `url`; with an
    owner's values in place of the placeholders."""
    for each in ("__main__.py", ".venv", "lab", "twinplane"):
        (folder / each).symlink_to(ROOT / each)
    for each in ("state", "config"):
        (folder / each).mkdir()
    settings = (ROOT / "Pulumi.yaml").read_text()
    (folder / "Pulumi.yaml").write_text(settings.replace("stackConfigDir: stacks", "stackConfigDir: config"))
    config = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{name}.yaml").read_text())
    config.pop("encryptionsalt", None)
    if endpoints := config["config"].get("aws:endpoints"):
        config["config"]["aws:endpoints"] = [dict.fromkeys(endpoints[0], url)]
    else:
        config["config"] |= {"twinplane:apiCidrs": ["10.0.0.0/8"], "twinplane:appImage": "registry.test/sample-app:v1"}
    (folder / "config" / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(config))
    made = Project(folder, environment(folder, url))
    made("stack", "init", name)
    return made


def client(project: Project, service: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.session.Session().client(service, endpoint_url=project.environment["AWS_ENDPOINT_URL"], **keys)  # type: ignore[call-overload]

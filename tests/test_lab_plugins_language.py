"""The language host without an engine: which Python, how programs end, which wrappers there are."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2

from lab import plugins
from lab.plugins import launch, program
from lab.plugins.language_python import Environment, LanguageHost, ending
from lab.plugins.values import UNKNOWN, Secret, from_struct, known, reveal, secret, to_struct


def info(root: Path, **options: str) -> language_pb2.ProgramInfo:
    struct = struct_pb2.Struct()
    struct.update(options)
    return language_pb2.ProgramInfo(
        root_directory=str(root), program_directory=str(root), entry_point=".", options=struct
    )


def virtualenv(root: Path, name: str) -> Path:
    (root / name / "bin").mkdir(parents=True)
    (root / name / "bin" / "python").symlink_to(sys.executable)
    return root / name


@pytest.mark.parametrize(
    ("options", "name"), [({"virtualenv": "env"}, "env"), ({"toolchain": "uv"}, ".venv"), ({"toolchain": "pip"}, None)]
)
def test_python_is_the_project_s_own(tmp_path: Path, options: dict[str, str], name: str | None) -> None:
    for each in ("env", ".venv"):
        virtualenv(tmp_path, each)
    environment = Environment(info(tmp_path, **options))
    if name is None:
        assert environment.root is None
        assert "VIRTUAL_ENV" not in environment.variables or environment.variables["VIRTUAL_ENV"] != str(tmp_path)
        return
    assert environment.python == str(tmp_path / name / "bin" / "python")
    assert environment.variables["VIRTUAL_ENV"] == str(tmp_path / name)
    assert environment.variables["PATH"].startswith(f"{tmp_path / name}/bin:")


def test_missing_virtual_environment_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no Python in .*/gone: make the virtual environment"):
        _ = Environment(info(tmp_path, virtualenv="gone")).python


def test_required_packages_are_the_installed_provider_sdks(tmp_path: Path) -> None:
    site = virtualenv(tmp_path, "env") / "lib" / "python3.11" / "site-packages"
    for name, content in (
        ("pulumi_aws", {"resource": True, "name": "aws", "version": "7.51.1"}),
        ("pulumi_policy", {"resource": False}),
    ):
        (site / name).mkdir(parents=True)
        (site / name / "pulumi-plugin.json").write_text(json.dumps(content))
    request = language_pb2.GetRequiredPackagesRequest(info=info(tmp_path, virtualenv="env"))
    packages = LanguageHost("").GetRequiredPackages(request, None).packages  # type: ignore[arg-type]
    assert [(each.name, each.kind, each.version) for each in packages] == [("aws", "resource", "7.51.1")]


@pytest.mark.parametrize(
    ("code", "told"),
    [(0, ""), (3, "Program exited with non-zero exit code: 3"), (-9, "Program was ended by SIGKILL")],
)
def test_how_a_program_ended(code: int, told: str) -> None:
    assert ending(code) == told


class Call:
    """The gRPC call of the engine that asked: what to do when it hangs up."""

    def __init__(self) -> None:
        self.at_end: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> None:
        self.at_end.append(callback)

    def abort(self, code: Any, details: str) -> None:  # noqa: ARG002
        raise RuntimeError(details)


def plugin(root: Path, source: str, kind: str = "resource") -> language_pb2.RunPluginRequest:
    virtualenv(root, "env")
    (root / "__main__.py").write_text(source)
    return language_pb2.RunPluginRequest(
        info=info(root, virtualenv="env"), kind=kind, args=["127.0.0.1:1"], env=["GREETING=hello=you"], pwd=str(root)
    )


def test_plugin_tells_what_it_writes_and_how_it_ends(tmp_path: Path) -> None:
    source = """
import os, sys
print(os.environ["GREETING"], os.environ["VIRTUAL_ENV"], sys.argv[1])
print("mind the step", file=sys.stderr)
sys.exit(3)
"""
    said = list(LanguageHost("").RunPlugin(plugin(tmp_path, source), Call()))  # type: ignore[arg-type]
    assert b"".join(each.stdout for each in said).decode() == f"hello=you {tmp_path}/env 127.0.0.1:1\n"
    assert b"".join(each.stderr for each in said) == b"mind the step\n"
    assert said[-1].WhichOneof("output") == "exitcode"
    assert said[-1].exitcode == 3


def test_plugin_ends_when_the_engine_hangs_up(tmp_path: Path) -> None:
    host, call = LanguageHost(""), Call()
    source = "import os, time; os.write(1, b'1\\n'); time.sleep(600)"
    said = host.RunPlugin(plugin(tmp_path, source), call)  # type: ignore[arg-type]
    assert next(said).stdout == b"1\n"
    assert len(host.programs) == 1
    for each in call.at_end:
        each()
    assert [each.exitcode for each in said] == [-15]
    assert not host.programs


def test_policy_pack_is_started_by_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def popen(argv: list[str], **_: Any) -> Any:
        started.append(argv)
        raise OSError("not in this test")

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(OSError, match="not in this test"):
        list(LanguageHost("").RunPlugin(plugin(tmp_path, "", kind="analyzer"), Call()))  # type: ignore[arg-type]
    assert started == [[str(tmp_path / "env/bin/python"), "-m", "pulumi.policy", "127.0.0.1:1", str(tmp_path)]]


def test_traceback_begins_in_the_program(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("def deep():\n    raise ValueError('why')\ndeep()\n")
    try:
        program.runpy.run_path(str(tmp_path), run_name="__main__")
    except ValueError as error:
        text = program.program_traceback(error, str(tmp_path))
    lines = text.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{tmp_path}/__main__.py", line 3, in <module>'
    assert lines[-1] == "ValueError: why"


def test_an_engine_that_left_is_no_news() -> None:
    assert program.engine_left(Exception("resource monitor shut down"))
    assert not program.engine_left(Exception("boom"))


def test_wrappers_for_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    on_path = tmp_path / "bin" / "pulumi-resource-command"
    cached = tmp_path / "home" / "plugins" / "resource-aws-v7.51.1" / "pulumi-resource-aws"
    for official in (on_path, cached):
        official.parent.mkdir(parents=True)
        official.write_text("#!/bin/sh\n")
        official.chmod(0o755)
    stale = tmp_path / "cache" / "plugins" / "pulumi-resource-aws"
    stale.parent.mkdir(parents=True)
    stale.write_text("from before")

    mine = plugins.directory(tmp_path / "mine")
    assert len(list(mine.iterdir())) == 3
    assert stale.exists(), "a place of one's own leaves the cache's alone"
    place = plugins.directory()
    assert sorted(path.name for path in place.iterdir()) == [
        "pulumi-language-python",
        "pulumi-resource-eks",
        "pulumi-resource-kubernetes",
    ]
    assert f"{plugins.LAUNCH} lab.plugins.eks" in (place / "pulumi-resource-eks").read_text()
    assert plugins.LAUNCH.exists()
    assert (place / "pulumi-resource-eks").stat().st_mode & 0o111
    assert plugins.official("pulumi-resource-aws") == cached
    monkeypatch.setenv("PATH", str(place))
    assert plugins.official("pulumi-language-python") is None, "our own wrapper is not official"


def test_start_without_the_sdk() -> None:
    """What the light plugins import does not run `import pulumi`, which takes longer than all the rest."""
    probe = (
        f"import sys, runpy; names = runpy.run_path({launch.__file__!r}); names['without_sdk']();"
        "import lab.plugins.aws.provider, lab.plugins.command, lab.plugins.language_python;"
        "print(sorted(set(sys.modules) & {'pulumi.output', 'pulumi.automation', 'pulumi_aws', 'botocore', 'yaml'}))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_values_there_and_back() -> None:
    values = {
        "text": "a",
        "whole": 3,
        "part": 2.5,
        "flag": False,
        "list": [1, {"deep": Secret("s")}],
        "secret": Secret({"x": [1]}),
    }
    assert from_struct(to_struct({**values, "absent": None})) == values
    assert from_struct(to_struct({"u": UNKNOWN}))["u"] is UNKNOWN
    assert reveal(values)["list"] == [1, {"deep": "s"}]
    assert secret(values)
    assert not secret({"a": [1]})
    assert known(values)
    assert not known({"a": [Secret({"b": UNKNOWN})]})
    assert UNKNOWN != UNKNOWN  # noqa: PLR0124
    assert "hidden" not in repr(Secret("hidden"))

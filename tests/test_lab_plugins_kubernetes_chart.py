"""Charts: what helm is asked for, and what becomes of its answer. The real helm: tests/lab/test_charts.py."""

from pathlib import Path
from typing import Any

import pytest

from lab import toolchain
from lab.errors import Failed, UsageError
from lab.plugins.kubernetes import chart

PLAIN = ["template", "web", "./web", "--namespace", "default", "--no-hooks", "--skip-tests", "--values", "-"]


@pytest.mark.parametrize(
    ("inputs", "more"),
    [
        ({}, ["--include-crds"]),
        ({"skipCrds": True}, []),
        ({"version": "1.2.3"}, ["--include-crds", "--version", "1.2.3"]),
        ({"repositoryOpts": {"repo": "https://charts.test"}}, ["--include-crds", "--repo", "https://charts.test"]),
        ({"dependencyUpdate": True}, ["--include-crds", "--dependency-update"]),
        ({"devel": True}, ["--include-crds", "--devel"]),
        ({"plainHttp": True}, ["--include-crds", "--plain-http"]),
    ],
)
def test_what_helm_is_asked_for(inputs: dict[str, Any], more: list[str]) -> None:
    assert chart.arguments("web", {"chart": "./web", **inputs}, "default") == [*PLAIN, *more]


def test_the_release_has_its_own_name() -> None:
    assert chart.arguments("web", {"chart": "c", "name": "shop"}, "apps")[1:5] == ["shop", "c", "--namespace", "apps"]


@pytest.fixture(name="helm")
def _helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helm that keeps what it is given, and whose words are in `answer`."""
    helm = tmp_path / "helm"
    helm.write_text(f'#!/bin/sh\ncat > {tmp_path}/values\necho "$@" > {tmp_path}/argv\n. {tmp_path}/answer\n')
    helm.chmod(0o755)
    monkeypatch.setattr(toolchain, "tool", lambda _name: helm)
    return tmp_path


def test_values_go_through_a_pipe_and_objects_get_the_namespace(helm: Path) -> None:
    (helm / "answer").write_text("echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}'")
    found = chart.rendered("web", {"chart": "c", "namespace": "apps", "values": {"password": "hush"}})
    assert found == [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "apps"}}]
    assert (helm / "values").read_text() == "password: hush\n"
    assert "hush" not in (helm / "argv").read_text()


def test_helms_reason_in_one_line(helm: Path) -> None:
    (helm / "answer").write_text("printf 'Error: no such\\nchart\\n' >&2; exit 1")
    with pytest.raises(Failed, match=r"^chart c: no such chart$"):
        chart.rendered("web", {"chart": "c"})
    (helm / "answer").write_text("echo 'a: ['")
    with pytest.raises(UsageError, match="chart c is not YAML"):
        chart.rendered("web", {"chart": "c"})


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"chart": "c", "postRenderer": {"command": "x"}}, "postRenderer"),
        ({"chart": "c", "repositoryOpts": {"repo": "r", "password": "x"}}, "repositoryOpts.password"),
        ({}, "chart"),
    ],
)
def test_unknown_inputs_are_errors(inputs: dict[str, Any], told: str) -> None:
    assert [name for name, _ in chart.problems(inputs)] == [told]


def test_known_inputs_are_none() -> None:
    assert list(chart.problems({"chart": "c", "repositoryOpts": {"repo": "r"}, "values": {}, "skipAwait": True})) == []

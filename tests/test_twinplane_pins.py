"""doctor --pins: each publisher is a server on this machine, or boto3's stubs."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components.base.chart_source import ChartSource
from components.machines.machine_image import MachineImage
from doctor import pins
from doctor.pins import Ami, Chart, Download, EksAddOn, Image, Pin
from twinplane import cli

TOKEN = "for-anybody"


@pytest.fixture(autouse=True)
def _out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctor.command.out", Console(soft_wrap=True, highlight=False))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, arguments)


@contextmanager
def publisher(pages: dict[str, str], *, login: bool = False) -> Iterator[str]:
    """A server of `pages`, by path; 404 for others. With `login`, it wants the token that it hands out itself."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"http://127.0.0.1:{self.server.server_address[1]}"
            path = self.path.partition("?")[0]
            if login and path != "/token" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.send_response(401)
                challenge = f'Bearer realm="{url}/token",service="here",scope="repository:a/b:pull"'
                self.send_header("WWW-Authenticate", challenge)
                self.end_headers()
                return
            body = json.dumps({"token": TOKEN}) if path == "/token" else pages.get(path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            if body is not None and self.command == "GET":
                self.wfile.write(body.encode())

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


TAGS = json.dumps({"tags": ["v1.36.0", "v1.36.1", "v1.36.3", "v1.36.4-rc.0", "v1.37.0", "latest"]})


@pytest.mark.parametrize("login", [False, True])
def test_an_image_is_there_when_its_manifest_is(login: bool) -> None:
    with publisher({"/v2/a/b/manifests/v1.36.1": "{}", "/v2/a/b/tags/list": TAGS}, login=login) as url:
        here = Pin("image", "v1.36.1", Image(url, "a/b", "v1.36.1"), line=2)
        gone = Pin("image", "v1.36.2", Image(url, "a/b", "v1.36.2"), line=2)
        found = pins.checks([here, gone])
    assert [each.state for each in found] == ["there", "not there"]
    assert (found[0].detail, found[0].advice) == ("1 behind the newest of its line", "newest: v1.36.3")
    assert found[1].detail == f"its publisher has none: {url}/v2/a/b/manifests/v1.36.2"
    assert found[1].advice == "pin another, e.g. v1.36.3"


def test_a_chart_is_in_its_repository_s_index() -> None:
    index = {"entries": {"c": [{"version": "1.17.1"}, {"version": "1.18.0"}, {"version": "2.0.0"}], "other": []}}
    with publisher({"/index.yaml": json.dumps(index)}) as url:
        asked = [Pin("chart", version, Chart(ChartSource("c", url, version))) for version in ("1.17.1", "1.17.2")]
        found = pins.checks(asked)
    assert [each.state for each in found] == ["there", "not there"]
    assert found[0].advice == "newest: 1.18.0"


def test_a_binary_needs_its_checksum() -> None:
    pages = {"/v1.36.3/tool": "", "/v1.36.3/tool.sha256": "", "/v1.36.9/tool": "", "/stable": "v1.36.5\n"}
    with publisher(pages) as url:

        def pin(version: str) -> Pin:
            file = f"{url}/v{version}/tool"
            return Pin("tool", version, Download(file, f"{file}.sha256", f"{url}/stable"), line=2)

        found = pins.checks([pin("1.36.3"), pin("1.36.9")])
    assert [each.state for each in found] == ["there", "not there"]
    assert found[0].advice == "newest: v1.36.5"


def test_a_publisher_that_cannot_be_reached_is_said_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    (found,) = pins.checks([Pin("image", "v1.0.0", Image(url, "a/b", "v1.0.0"))])
    assert found.state == "not asked"
    assert found.detail.startswith(f"its publisher gives no answer: {url}/v2/a/b/manifests/v1.0.0: ")
    assert "refused" in found.detail


def test_aws_is_asked_for_add_ons_and_machine_images(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [{"addonVersion": "v1.14.2-eksbuild.4"}, {"addonVersion": "v1.14.2-eksbuild.6"}]
    answers = {"eks": {"addons": [{"addonVersions": versions}]}, "ec2": {"Images": []}}
    asked = []

    def call(service: str, operation: str, **parameters: Any) -> Any:
        asked.append((operation, parameters))
        return answers[service]

    monkeypatch.setattr(pins, "_call", call)
    add_on = Pin("add-on", "v1.14.2-eksbuild.4", EksAddOn("coredns", "1.36", "v1.14.2-eksbuild.4"))
    ami = Pin("machines", "debian-*", Ami(MachineImage("1", "debian-*")))
    found = pins.checks([add_on, ami])
    assert [(each.state, each.advice) for each in found] == [
        ("there", "newest: v1.14.2-eksbuild.6"),
        ("not there", "pin another"),
    ]
    assert ("describe_addon_versions", {"addonName": "coredns", "kubernetesVersion": "1.36"}) in asked


def test_without_credentials_aws_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (found,) = pins.checks([Pin("add-on", "v1", EksAddOn("coredns", "1.36", "v1"))])
    assert found.state == "not asked"
    assert found.detail == "its publisher gives no answer: AWS: Unable to locate credentials"


def test_every_pin_of_the_tree_is_asked() -> None:
    """A new image, chart or download needs a line in pins.py."""
    where = " ".join(pin.publisher.where for pin in pins.pins())
    tree = pins.PLAYBOOKS.parent
    files = [path for room in ("components", "stacks", "playbooks") for path in (tree / room).rglob("*.*")]
    texts = {path: path.read_text() for path in files if path.suffix in {".py", ".yml", ".j2"}}
    for path, text in texts.items():
        for host, name in re.findall(r'"((?:registry\.k8s\.io|public\.ecr\.aws|quay\.io|docker\.io))/([\w./-]+)', text):
            assert f"https://{host}/v2/{name}/manifests/" in where, f"{path}: {host}/{name}"
        for url in re.findall(r'ChartSource\(\w+, "([^"]+)"', text):
            assert f"{url}/index.yaml" in where, f"{path}: {url}"
        if path.match("roles/*/defaults/main.yml"):
            for url in re.findall(r"_url: (https://[^\s{]+)", text):
                assert url in where, f"{path}: {url}"


def test_pins_are_those_that_stacks_take() -> None:
    versions = {(pin.what, pin.version) for pin in pins.pins()}
    assert ("image of the cloud controller, Kubernetes 1.36", "v1.36.1") in versions
    assert ("kubeadm", "1.36.3") in versions
    assert all(pin.version and "{{" not in pin.publisher.where for pin in pins.pins())


def test_exit_code_is_1_for_a_pin_that_is_not_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with publisher({"/there": "", "/there.sum": ""}) as url:
        there = Pin("a", "1.0.0", Download(f"{url}/there", f"{url}/there.sum"))
        away = Pin("b", "1.0.0", Download("http://127.0.0.1:1/b", "http://127.0.0.1:1/b.sum"))
        gone = Pin("c", "1.0.0", Download(f"{url}/gone", f"{url}/gone.sum"))
        monkeypatch.setattr(pins, "pins", lambda: iter([there, away]))
        done = run("doctor", "--pins")
        assert done.exit_code == 0
        assert "not asked: b 1.0.0" in done.stdout
        monkeypatch.setattr(pins, "pins", lambda: iter([there, away, gone]))
        done = run("doctor", "--pins", "--json")
    assert done.exit_code == 1
    assert [each["state"] for each in json.loads(done.stdout)] == ["there", "not asked", "not there"]

"""Tools: found, downloaded or built; cached by what goes into them."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.errors import Failed
from lab.toolchain.provision import download, on_path, provision
from lab.toolchain.tool import TOOLS, Download, Tool

GO_MAIN = 'package main\n\nvar version = "none"\n\nfunc main() { print(version) }\n'


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module example.test/hello\n\ngo 1.21\n")
    (module / "main.go").write_text(GO_MAIN)
    return Tool("hello", "1.2.3", module, ".", 1, ldflags="-X main.version=v1.2.3", probe=())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    root = tmp_path / "site"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", root
    server.shutdown()


def test_build_then_cached(tool: Tool, tmp_path: Path) -> None:
    path, how = provision(tool, tmp_path / "store", "")
    assert how == "built"
    assert path.stat().st_mode & 0o111
    assert provision(tool, tmp_path / "store", "") == (path, "cached")


def test_a_changed_pin_rebuilds_only_that_tool(tool: Tool) -> None:
    before = {each.name: each.key for each in TOOLS}
    assert replace(tool, version="1.2.4").key != tool.key
    key = tool.key
    (tool.module / "go.mod").write_text("module example.test/hello\n\ngo 1.22\n")
    assert tool.key != key
    assert {each.name: each.key for each in TOOLS} == before


def test_an_interrupted_build_leaves_nothing_that_looks_whole(tool: Tool, tmp_path: Path) -> None:
    (tool.module / "main.go").write_text("package main\n\nfunc main() { broken }\n")
    with pytest.raises(Failed, match=r"hello 1.2.3: go build failed"):
        provision(tool, tmp_path / "store", "")
    assert list((tmp_path / "store").iterdir()) == []


def test_path_only_in_the_pinned_version(tool: Tool, tmp_path: Path) -> None:
    installed = tmp_path / "bin" / "hello"
    installed.parent.mkdir()
    installed.write_text("#!/bin/sh\necho hello version v1.2.3\n")
    installed.chmod(0o755)
    probed = replace(tool, probe=("version",))
    assert on_path(probed, str(installed.parent)) == installed
    assert on_path(replace(probed, version="1.2"), str(installed.parent)) is None
    assert on_path(tool, str(installed.parent)) is None


def test_download_is_verified(tool: Tool, tmp_path: Path, site: tuple[str, Path]) -> None:
    url, root = site
    (root / "hello").write_bytes(b"binary")
    (root / "hello.sha256").write_text(hashlib.sha256(b"binary").hexdigest())
    published = replace(tool, download=Download(f"{url}/hello", f"{url}/hello.sha256"))
    path, how = provision(published, tmp_path / "store", "")
    assert (path.read_bytes(), how) == (b"binary", "download")
    (root / "hello").write_bytes(b"tampered")
    with pytest.raises(Failed, match="does not match"):
        download(published, tmp_path)


def test_an_unreachable_publisher_means_build(tool: Tool, tmp_path: Path) -> None:
    closed = replace(tool, download=Download("http://127.0.0.1:9/hello", "http://127.0.0.1:9/hello.sha256"))
    assert provision(closed, tmp_path / "store", "")[1] == "built"

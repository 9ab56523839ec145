"""Images and mirror: OCI layouts from binaries, served as a registry and as the publishers' download sites."""

import hashlib
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import mirror
from lab.container_images import Image, make


@pytest.fixture
def image(tmp_path: Path) -> Image:
    binary = tmp_path / "app"
    binary.write_bytes(b"\x7fELF static")
    return Image("team/app", "v1", {"/app": binary}, ("/app", "--serve"), "65532:65532")


def test_layout_is_content_addressed_and_made_once(image: Image, tmp_path: Path) -> None:
    layout = make(image, tmp_path / "store")
    for blob in (layout / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    made = layout.stat().st_mtime_ns
    assert make(image, tmp_path / "store") == layout
    assert layout.stat().st_mtime_ns == made


def test_another_binary_is_another_image(image: Image, tmp_path: Path) -> None:
    first = make(image, tmp_path / "store")
    image.files["/app"].write_bytes(b"\x7fELF longer than before")
    assert make(image, tmp_path / "store") != first


@pytest.fixture
def registry(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    layout = make(image, tmp_path / "store")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "file").write_text("content")
    monkeypatch.setattr(mirror, "downloads", lambda: tmp_path / "downloads")
    monkeypatch.setattr(mirror.container_images, "ensure", lambda: {"team/app:v1": layout})
    files, images = mirror.serve("127.0.0.1", (0, 0))
    yield f"http://127.0.0.1:{images.server_port}"
    for server in (files, images):
        server.shutdown()
        server.server_close()


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        content: bytes = answer.read()
    return content


@pytest.mark.parametrize("repository", ["team/app", "registry.example/team/app"])
def test_pull_by_tag_and_digest(registry: str, repository: str, tmp_path: Path) -> None:
    manifest = fetch(f"{registry}/v2/{repository}/manifests/v1")
    by_digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert fetch(f"{registry}/v2/{repository}/manifests/{by_digest}") == manifest
    described = json.loads(manifest)
    config = json.loads(fetch(f"{registry}/v2/{repository}/blobs/{described['config']['digest']}"))
    assert config["config"]["Entrypoint"] == ["/app", "--serve"]
    layer = tmp_path / "layer.tar"
    layer.write_bytes(fetch(f"{registry}/v2/{repository}/blobs/{described['layers'][0]['digest']}"))
    with tarfile.open(layer) as tar:
        assert {"app", "etc/passwd"} <= set(tar.getnames())
        protocols = tar.extractfile("etc/protocols")
        assert protocols
        assert {line.split()[0] for line in protocols.read().splitlines()} >= {b"tcp", b"udp", b"sctp"}


@pytest.mark.parametrize(
    "path",
    ["/v2/team/other/manifests/v1", "/v2/team/app/manifests/v2", "/v2/team/app/blobs/sha256:../index.json", "/x"],
)
def test_what_is_not_there_is_404(registry: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(registry + path)

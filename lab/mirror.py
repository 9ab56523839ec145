"""What lab hosts download: the publishers' binaries in the publishers' layout, and a read-only OCI registry.

Both listen on the bridge alone. The files are the lab's own builds, so their checksum files are the lab's too.
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from lab import container_images, toolchain
from lab.constants import CACHE, FABRIC, MIRROR_PORT, REGISTRY_PORT
from lab.toolchain.tool import CLOUD_CONTROLLER, CONTAINERD, KUBERNETES, TOOLS


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _lay(tool: str, path: Path) -> None:
    """Puts the tool there, its checksum beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(toolchain.tool(tool), path)
    path.with_name(f"{path.name}.sha256").write_text(_sum(path))


def downloads(root: Path = CACHE / "mirror") -> Path:
    """Lays out what `https://dl.k8s.io`, `https://artifacts.k8s.io` and the release pages of containerd and runc would
    serve. Returns the folder to serve."""
    pins = hashlib.sha256("".join(f"{each.name}{each.key}" for each in TOOLS).encode()).hexdigest()[:12]
    kept = root / pins
    if kept.exists():
        return kept
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
    binaries = folder / "kubernetes" / f"v{KUBERNETES}" / "bin" / "linux" / "amd64"
    for name in ("kubeadm", "kubelet", "kubectl"):
        _lay(name, binaries / name)
    provider = folder / "cloud-provider-aws" / f"v{CLOUD_CONTROLLER}" / "linux" / "amd64"
    _lay("ecr-credential-provider", provider / "ecr-credential-provider-linux-amd64")
    _lay("runc", folder / "runc" / "runc.amd64")
    archive = folder / "containerd" / f"containerd-{CONTAINERD}-linux-amd64.tar.gz"
    archive.parent.mkdir()
    # Level 1: three hosts unpack it at once on two cores, and nothing leaves the machine.
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
            tar.add(toolchain.tool(name).resolve(), f"bin/{name}")
    Path(f"{archive}.sha256sum").write_text(f"{_sum(archive)}  {archive.name}\n")
    folder.rename(kept)
    return kept


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Silent: a pull is a hundred requests."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        raise NotImplementedError

    def _send(self, path: Path, kind: str, digest: str = "") -> None:
        with path.open("rb") as content:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(os.fstat(content.fileno()).st_size))
            if digest:
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if self.command == "GET":
                self.wfile.flush()
                self.connection.sendfile(content)

    def _refuse(self, status: HTTPStatus, code: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": self.path}]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _downloads_handler(root: Path) -> type[_Handler]:
    class Downloads(_Handler):
        def do_GET(self) -> None:
            path = (root / urlsplit(self.path).path.lstrip("/")).resolve()
            if not path.is_relative_to(root) or not path.is_file():
                self._refuse(HTTPStatus.NOT_FOUND, "NOT_FOUND")
                return
            self._send(path, "application/octet-stream")

    return Downloads


def _registry_handler(layouts: dict[str, Path]) -> type[_Handler]:
    """OCI distribution, pull only. A repository may carry any prefix: the last parts name the image."""

    def find(repository: str) -> dict[str, Path]:
        tags = {}
        for reference, layout in layouts.items():
            name, tag = reference.rsplit(":", 1)
            if repository == name or repository.endswith(f"/{name}"):
                tags[tag] = layout
        return tags

    class Registry(_Handler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path in {"/v2", "/v2/"}:
                self._refuse(HTTPStatus.OK, "OK")
                return
            for middle in ("/manifests/", "/blobs/"):
                if path.startswith("/v2/") and middle in path:
                    repository, reference = path.removeprefix("/v2/").split(middle, 1)
                    break
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "UNSUPPORTED")
                return
            tags = find(repository)
            kind = "application/octet-stream"
            if middle == "/manifests/":
                kind = "application/vnd.oci.image.manifest.v1+json"
                if reference in tags:
                    index = json.loads((tags[reference] / "index.json").read_text())
                    reference = index["manifests"][0]["digest"]
            for layout in tags.values():
                blob = layout / "blobs" / "sha256" / reference.removeprefix("sha256:")
                if blob.parent == layout / "blobs" / "sha256" and blob.is_file():
                    self._send(blob, kind, reference)
                    return
            unknown = "MANIFEST_UNKNOWN" if middle == "/manifests/" else "BLOB_UNKNOWN"
            self._refuse(HTTPStatus.NOT_FOUND, unknown)

    return Registry


def serve(
    address: str = str(FABRIC), ports: tuple[int, int] = (MIRROR_PORT, REGISTRY_PORT)
) -> list[ThreadingHTTPServer]:
    """Starts both servers in threads of this process. Returns the servers, running."""
    handlers = (_downloads_handler(downloads()), _registry_handler(container_images.ensure()))
    servers = []
    for port, handler in zip(ports, handlers, strict=True):
        server = ThreadingHTTPServer((address, port), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name=f"mirror-{port}", daemon=True).start()
        servers.append(server)
    return servers


if __name__ == "__main__":
    serve()
    threading.Event().wait()

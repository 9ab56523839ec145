"""Container images of the lab: what kubeadm and the sample app pull, made from the lab's own binaries.

One layer an image, as an OCI layout folder that `lab.mirror` serves. Upstream's names and tags, so that nothing
above knows the difference; the contents are the lab's builds of the same sources.
"""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lab import nftables, toolchain
from lab.constants import CACHE
from lab.toolchain.tool import (
    CLOUD_CONTROLLER,
    DESCHEDULER,
    INGRESS_CONTROLLER,
    KUBERNETES,
    METRICS_SERVER,
    NETWORK_POLICIES,
    SAMPLE_APP,
)

#: Bump when the way an image is put together changes.
RECIPE = "2"
OCI = "application/vnd.oci.image"
#: As in upstream's base image. Without names for protocols, nft tells kube-proxy 6 for what it wrote as tcp, and
#: kube-proxy takes the rules of all Services away at its next full look.
ETC = {
    "etc/passwd": b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n",
    "etc/protocols": b"icmp\t1\tICMP\ntcp\t6\tTCP\nudp\t17\tUDP\nipv6-icmp\t58\tIPv6-ICMP\nsctp\t132\tSCTP\n",
}


@dataclass(frozen=True)
class Image:
    """`files` maps a path in the image to the file that goes there; libraries it links to come along."""

    name: str
    tag: str
    files: dict[str, Path]
    entrypoint: tuple[str, ...] = ()
    user: str = ""
    libraries: tuple[Path, ...] = field(default=())

    @property
    def key(self) -> str:
        recipe = hashlib.sha256(repr((RECIPE, self.name, self.tag, self.entrypoint, self.user)).encode())
        for path, source in sorted(self.files.items()):
            real = source.resolve()
            recipe.update(f"{path} {real} {real.stat().st_size} {real.stat().st_mtime_ns}".encode())
        return recipe.hexdigest()[:12]


def _libraries(binary: Path) -> list[Path]:
    """The shared objects that `binary` links to, the loader among them; none for a static one."""
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
    return [Path(word) for line in listed.splitlines() for word in line.split() if word.startswith("/")]


def images() -> list[Image]:
    """Every image that a lab node pulls, tagged as `kubeadm config images list` of 1.36.3 names them."""
    control_plane = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    made = [Image(name, f"v{KUBERNETES}", {f"/usr/local/bin/{name}": toolchain.tool(name)}) for name in control_plane]
    packet_filter = {path: Path(path) for path in ("/usr/sbin/nft", "/usr/sbin/xtables-nft-multi")}
    made.append(
        Image(
            "kube-proxy",
            f"v{KUBERNETES}",
            {"/usr/local/bin/kube-proxy": toolchain.tool("kube-proxy"), **packet_filter},
            libraries=tuple(sorted({lib for path in packet_filter.values() for lib in _libraries(path)})),
        )
    )
    etcd = {f"/usr/local/bin/{name}": toolchain.tool(name) for name in ("etcd", "etcdctl", "etcdutl")}
    made.append(Image("etcd", "3.6.8-0", etcd))
    made.append(Image("coredns/coredns", "v1.14.2", {"/coredns": toolchain.tool("coredns")}, ("/coredns",)))
    made.append(Image("pause", "3.10.2", {"/pause": Path("/usr/bin/catatonit")}, ("/pause", "-P"), "65535:65535"))
    controller = "/bin/aws-cloud-controller-manager"
    made.append(
        Image(
            "provider-aws/cloud-controller-manager",
            f"v{CLOUD_CONTROLLER}",
            {controller: toolchain.tool("aws-cloud-controller-manager")},
            (controller,),
        )
    )
    made.append(
        Image(
            "descheduler/descheduler",
            f"v{DESCHEDULER}",
            {"/bin/descheduler": toolchain.tool("descheduler")},
            (),
            "1000",
        )
    )
    server = "/metrics-server"
    made.append(
        Image(
            "metrics-server/metrics-server",
            f"v{METRICS_SERVER}",
            {server: toolchain.tool("metrics-server")},
            (server,),
            "1000",
        )
    )
    if not nftables.refuses():
        agent = {"/bin/netpol": toolchain.tool("kube-network-policies")}
        made.append(Image("networking/kube-network-policies", f"v{NETWORK_POLICIES}", agent))
    made.append(
        Image(
            "ingress-controller",
            f"v{INGRESS_CONTROLLER}",
            {"/ingress-controller": toolchain.tool("ingress-controller")},
            ("/ingress-controller",),
            "65532:65532",
        )
    )
    made.append(
        Image(
            "sample-app",
            f"v{SAMPLE_APP}",
            {"/sample-app": toolchain.tool("sample-app")},
            ("/sample-app",),
            "65532:65532",
        )
    )
    return made


def _layer(image: Image, target: Path) -> None:
    with tarfile.open(target, "w") as tar:
        for path, source in sorted(image.files.items()):
            tar.add(source.resolve(), path.lstrip("/"), filter=_as_root)
        for library in image.libraries:
            tar.add(library.resolve(), str(library).lstrip("/"), filter=_as_root)
        if "/usr/sbin/xtables-nft-multi" in image.files:
            for name in ("iptables", "iptables-save", "iptables-restore", "ip6tables"):
                link = tarfile.TarInfo(f"usr/sbin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "xtables-nft-multi"
                tar.addfile(link)
        for path, content in ETC.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        temporary = tarfile.TarInfo("tmp")
        temporary.type, temporary.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(temporary)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    entry.mode = 0o755
    return entry


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def make(image: Image, store: Path) -> Path:
    """Returns the OCI layout folder of `image` below `store`, made if it is not there."""
    kept = store / f"{image.name.replace('/', '_')}-{image.tag}-{image.key}"
    if kept.exists():
        return kept
    store.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=store))
    try:
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def keep(content: bytes) -> dict[str, str | int]:
            digest = hashlib.sha256(content).hexdigest()
            (blobs / digest).write_bytes(content)
            return {"digest": f"sha256:{digest}", "size": len(content)}

        layer = folder / "layer"
        _layer(image, layer)
        digest, size = _digest(layer), layer.stat().st_size
        layer.rename(blobs / digest.removeprefix("sha256:"))
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": list(image.entrypoint),
                "User": image.user,
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": {"mediaType": f"{OCI}.config.v1+json", **keep(json.dumps(config).encode())},
            "layers": [{"mediaType": f"{OCI}.layer.v1.tar", "digest": digest, "size": size}],
        }
        index = {
            "schemaVersion": 2,
            "manifests": [{"mediaType": f"{OCI}.manifest.v1+json", **keep(json.dumps(manifest).encode())}],
        }
        (folder / "index.json").write_text(json.dumps(index))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        folder.rename(kept)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return kept


def ensure(store: Path = CACHE / "images-oci") -> dict[str, Path]:
    """Makes what is missing, removes what is old. Returns `name:tag` to OCI layout folder."""
    made = {f"{image.name}:{image.tag}": make(image, store) for image in images()}
    for folder in store.iterdir():
        if folder not in made.values():
            shutil.rmtree(folder, ignore_errors=True)
    return made

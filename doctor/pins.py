"""Every artefact that this program pins, and whether its publisher has it: images, charts, binaries, add-ons, AMIs."""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import yaml

from components.addons import descheduler, ebs_csi, metrics_server
from components.base.chart_source import ChartSource
from components.eks import add_on
from components.ingress import ingress_controller
from components.kubeadm import cloud_controller
from components.kubeadm.ansible_run import PLAYBOOKS
from components.machines.machine_image import DEBIAN_13, MachineImage
from twinplane.check import Check
from twinplane.live import aws_call
from twinplane.live.unanswered import Unanswered

#: Seconds that a publisher has for one answer.
TIMEOUT = 10.0
#: A release; what has more after it is none.
RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-eksbuild\.(\d+))?")
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
#: What kubeadm pulls in the cluster's own version.
PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


class Unreachable(Exception):
    """The publisher gave no answer: why, in one line."""


@dataclass(frozen=True)
class Answer:
    """What a publisher says: whether it has the pinned version, and which others of the same line."""

    there: bool
    others: tuple[str, ...] = ()


class Publisher(Protocol):
    """Who can be asked for one pinned artefact."""

    @property
    def where(self) -> str:
        """What is asked: a URL, or a call of AWS's API."""

    def ask(self) -> Answer:
        """Raises Unreachable."""


@dataclass(frozen=True)
class Pin:
    """One artefact in one version."""

    what: str
    version: str
    publisher: Publisher
    #: So many numbers of the version make its line: 2 where it follows Kubernetes' minor.
    line: int = 1


@dataclass(frozen=True)
class Image:
    """A container image: `registry` is a URL, without a path."""

    registry: str
    repository: str
    tag: str

    @classmethod
    def of(cls, reference: str) -> Image:
        """The image of "host/repository:tag"."""
        host, _, path = reference.partition("/")
        repository, _, tag = path.rpartition(":")
        return cls(f"https://{host}", repository, tag)

    @property
    def where(self) -> str:
        """The manifest."""
        return f"{self.registry}/v2/{self.repository}/manifests/{self.tag}"

    def ask(self) -> Answer:
        """The manifest proves the image; the list of tags is all that a registry says of newer ones."""
        there = self._get(self.where, "HEAD", Accept=MANIFESTS) is not None
        try:
            listed = self._get(f"{self.registry}/v2/{self.repository}/tags/list")
        except Unreachable:
            listed = None
        return Answer(there, tuple(json.loads(listed).get("tags") or ()) if listed else ())

    def _get(self, url: str, method: str = "GET", **headers: str) -> bytes | None:
        """As `_get` below, with the token that the registry hands to anybody, where it wants one."""
        try:
            return _get(url, method, **headers)
        except _Unauthorized as error:
            challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.challenge))
            if "realm" not in challenge:
                raise Unreachable(f"{url}: wants a login") from None
        asked = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        token = json.loads(_get(f"{challenge['realm']}?{urllib.parse.urlencode(asked)}") or b"{}")
        bearer = token.get("token") or token.get("access_token")
        try:
            return _get(url, method, **headers, Authorization=f"Bearer {bearer}")
        except _Unauthorized:
            raise Unreachable(f"{url}: wants a login") from None


@dataclass(frozen=True)
class Chart:
    """A chart of a Helm repository."""

    source: ChartSource

    @property
    def where(self) -> str:
        """The repository's index."""
        return f"{self.source.repository}/index.yaml"

    def ask(self) -> Answer:
        """Raises Unreachable."""
        index = _get(self.where)
        if index is None:
            return Answer(False)
        entries = yaml.load(index, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["entries"]
        versions = tuple(str(each["version"]) for each in entries.get(self.source.chart, ()))
        return Answer(self.source.version in versions, versions)


@dataclass(frozen=True)
class Download:
    """A file and its checksum. `newest` is a URL whose answer has releases in it; none: its publisher lists none."""

    url: str
    checksum: str
    newest: str = ""

    @property
    def where(self) -> str:
        """The file."""
        return self.url

    def ask(self) -> Answer:
        """Raises Unreachable."""
        there = all(_get(url, "HEAD") is not None for url in (self.url, self.checksum))
        try:
            text = (_get(self.newest) or b"").decode() if self.newest else ""
        except Unreachable:
            text = ""
        return Answer(there, tuple(dict.fromkeys(re.findall(r"\bv\d+\.\d+\.\d+\b(?![-+.])", text))))


@dataclass(frozen=True)
class EksAddOn:
    """An add-on of EKS, for a minor of Kubernetes."""

    name: str
    minor: str
    version: str

    @property
    def where(self) -> str:
        """The call."""
        return f"aws eks describe-addon-versions --addon-name {self.name} --kubernetes-version {self.minor}"

    def ask(self) -> Answer:
        """Raises Unreachable."""
        answer = _call("eks", "describe_addon_versions", addonName=self.name, kubernetesVersion=self.minor)
        offered = tuple(
            version["addonVersion"] for each in answer["addons"] for version in each.get("addonVersions", ())
        )
        return Answer(self.version in offered, offered)


@dataclass(frozen=True)
class Ami:
    """Machine images by their owner and the pattern of their names."""

    image: MachineImage

    @property
    def where(self) -> str:
        """The call."""
        return f"aws ec2 describe-images --owners {self.image.owner} --filters Name=name,Values={self.image.name}"

    def ask(self) -> Answer:
        """Raises Unreachable."""
        filters = [{"Name": "name", "Values": [self.image.name]}]
        found = _call("ec2", "describe_images", Owners=[self.image.owner], Filters=filters)["Images"]
        return Answer(bool(found))


def pins() -> Iterator[Pin]:
    """Every pinned artefact of the program, the playbooks' among them."""
    for minor, release in cloud_controller.RELEASES.items():
        image = Image.of(f"{cloud_controller.REPOSITORY}:{release}")
        yield Pin(f"image of the cloud controller, Kubernetes {minor}", release, image, line=2)
    for what, named in (("descheduler", descheduler.IMAGE), ("metrics-server", metrics_server.IMAGE)):
        image = Image.of(named)
        yield Pin(f"image of the {what}", image.tag, image, line=2)
    for chart in (ingress_controller.CHART, ebs_csi.CHART):
        yield Pin(f"chart {chart.chart}", chart.version or "", Chart(chart))
    yield from _binaries()
    for minor, versions in add_on.VERSIONS.items():
        for name, version in versions.items():
            yield Pin(f"EKS add-on {name}, Kubernetes {minor}", version, EksAddOn(name, minor, version))
    yield Pin("image of machines", DEBIAN_13.name, Ami(DEBIAN_13))


def _binaries() -> Iterator[Pin]:
    """What the playbooks download, from where their roles say."""
    of = _variables("group_vars/all.yml", "roles/kubernetes_binaries/defaults/main.yml")
    kubernetes, site = of["kubernetes_version"], of["kubernetes_binaries_url"]
    for part in PARTS:
        yield Pin(f"image {part}", f"v{kubernetes}", Image.of(f"registry.k8s.io/{part}:v{kubernetes}"), line=2)
    stable = f"{site}/stable-{kubernetes.rpartition('.')[0]}.txt"
    for name in ("kubeadm", "kubelet", "kubectl"):
        url = f"{site}/v{kubernetes}/bin/linux/amd64/{name}"
        yield Pin(name, kubernetes, Download(url, f"{url}.sha256", stable), line=2)
    provider, site = of["ecr_credential_provider_version"], of["kubernetes_binaries_credential_provider_url"]
    url = f"{site}/v{provider}/linux/amd64/ecr-credential-provider-linux-amd64"
    yield Pin("ecr-credential-provider", provider, Download(url, f"{url}.sha256"))
    containerd = of["containerd_version"]
    sites = _variables("roles/containerd/defaults/main.yml")
    runc, site = of["containerd_runc_version"], sites["containerd_runc_url"]
    site = site.replace("{{ containerd_runc_version }}", runc)
    releases = "https://api.github.com/repos/opencontainers/runc/releases?per_page=100"
    yield Pin("runc", runc, Download(f"{site}/runc.amd64", f"{site}/runc.sha256sum", releases))
    site = sites["containerd_download_url"]
    url = f"{site.replace('{{ containerd_version }}', containerd)}/containerd-{containerd}-linux-amd64.tar.gz"
    releases = "https://api.github.com/repos/containerd/containerd/releases?per_page=100"
    yield Pin("containerd", containerd, Download(url, f"{url}.sha256sum", releases))


def _variables(*files: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in files:
        found |= yaml.safe_load((PLAYBOOKS / file).read_text())
    return found


def checks(asked: Iterable[Pin]) -> list[Check]:
    """Asks every publisher, all at the same time. States: "there", "not there", "not asked"."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(_check, asked))


def _check(pin: Pin) -> Check:
    name = f"{pin.what} {pin.version}"
    try:
        answer = pin.publisher.ask()
    except Unreachable as error:
        return Check(name, "not asked", f"its publisher gives no answer: {error}", "try again where it can be reached")
    if not answer.there:
        of_line = _line(pin, answer.others)
        instead = f"pin another, e.g. {of_line[-1]}" if of_line else "pin another"
        return Check(name, "not there", f"its publisher has none: {pin.publisher.where}", instead)
    newer = [each for each in _line(pin, answer.others) if _key(each) > _key(pin.version)]
    if newer:
        return Check(name, "there", f"{len(newer)} behind the newest of its line", f"newest: {newer[-1]}")
    return Check(name, "there", "the newest of its line" if answer.others else "its publisher lists no others")


def _line(pin: Pin, versions: Iterable[str]) -> list[str]:
    """Of `versions`, the releases of the pin's line, oldest first."""
    line = _key(pin.version)[: pin.line]
    same = {each for each in versions if RELEASE.fullmatch(each) and _key(each)[: pin.line] == line}
    return sorted(same, key=_key)


def _key(version: str) -> tuple[int, ...]:
    found = RELEASE.fullmatch(version)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


class _Unauthorized(Exception):
    def __init__(self, challenge: str) -> None:
        super().__init__(challenge)
        self.challenge = challenge


def _get(url: str, method: str = "GET", **headers: str) -> bytes | None:
    """The body; None where the publisher says that there is no such thing. Raises Unreachable, _Unauthorized."""
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "twinplane", **headers})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return None
        if error.code == HTTPStatus.UNAUTHORIZED:
            raise _Unauthorized(error.headers.get("WWW-Authenticate", "")) from None
        raise Unreachable(f"{url}: {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"{url}: {str(reason) or type(error).__name__}") from None


def _call(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    try:
        return aws_call.call(os.environ, None, service, operation, **parameters)
    except Unanswered as error:
        raise Unreachable(f"AWS: {error}") from None

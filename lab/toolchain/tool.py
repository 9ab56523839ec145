"""The tools that the lab needs, each with its pinned version and the ways to get it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lab.constants import PROJECT
from lab.hosts import kernel

KUBERNETES = "1.36.3"
PULUMI = "3.259.0"
ETCD = "3.6.16"
COREDNS = "1.14.0"
CONTAINERD = "2.4.2"
RUNC = "1.4.3"
HELM = "3.22.0"
CLOUD_CONTROLLER = "1.36.1"
DESCHEDULER = "0.36.0"
METRICS_SERVER = "0.9.0"
NETWORK_POLICIES = "1.1.1"
SAMPLE_APP = "1.0.0"
INGRESS_CONTROLLER = "0.1.0"

MODULES = Path(__file__).parent


@dataclass(frozen=True)
class Download:
    """An official binary: `url` of a file or .tar.gz, `sums` its checksum file, `member` the path inside."""

    url: str
    sums: str
    member: str = ""


@dataclass(frozen=True)
class Tool:
    """One binary.

    `module` is the folder whose go.mod pins it, `package` what to build there. `probe` are the arguments that make
    an installed binary print its version (empty: never taken from PATH). `seconds` is a cold build on 2 cores with
    Go 1.26, for the estimate only. `c`: part of it is C, which gcc links statically. `rule`: of nftables, without
    which a kernel has no use for it.
    """

    name: str
    version: str
    module: Path
    package: str
    seconds: int
    ldflags: str = ""
    tags: str = ""
    probe: tuple[str, ...] = ()
    download: Download | None = None
    c: bool = False
    rule: str = ""

    @property
    def key(self) -> str:
        """Changes when anything that goes into the binary changes, and only then."""
        recipe = hashlib.sha256(repr((self.version, self.package, self.ldflags, self.tags)).encode())
        recipe.update(b"c" * self.c)
        for pin in sorted(self.module.glob("*")):
            if pin.suffix in {".mod", ".sum", ".go"}:
                recipe.update(pin.read_bytes())
        return recipe.hexdigest()[:12]


def _kubernetes(name: str, seconds: int, probe: tuple[str, ...] = ()) -> Tool:
    _, minor, _ = KUBERNETES.split(".")
    stamp = {
        "k8s.io/component-base/version.gitVersion": f"v{KUBERNETES}",
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": f"v{KUBERNETES}",
    }
    url = f"https://dl.k8s.io/v{KUBERNETES}/bin/linux/amd64/{name}"
    return Tool(
        name,
        KUBERNETES,
        MODULES / "kubernetes",
        f"k8s.io/kubernetes/cmd/{name}",
        seconds,
        ldflags=" ".join(f"-X {variable}={value}" for variable, value in stamp.items()),
        probe=probe,
        download=Download(url, f"{url}.sha256"),
    )


def _containerd(name: str, seconds: int) -> Tool:
    release = f"https://github.com/containerd/containerd/releases/download/v{CONTAINERD}"
    archive = f"{release}/containerd-static-{CONTAINERD}-linux-amd64.tar.gz"
    return Tool(
        name,
        CONTAINERD,
        MODULES / "containerd",
        f"github.com/containerd/containerd/v2/cmd/{name}",
        seconds,
        ldflags=f"-X github.com/containerd/containerd/v2/version.Version=v{CONTAINERD}",
        tags="no_btrfs,no_devmapper,no_zfs",
        download=Download(archive, f"{archive}.sha256sum", f"bin/{name}"),
    )


def _etcd(name: str, package: str, seconds: int) -> Tool:
    release = f"https://github.com/etcd-io/etcd/releases/download/v{ETCD}"
    return Tool(
        name,
        ETCD,
        MODULES / "etcd",
        package,
        seconds,
        download=Download(
            f"{release}/etcd-v{ETCD}-linux-amd64.tar.gz",
            f"{release}/SHA256SUMS",
            f"etcd-v{ETCD}-linux-amd64/{name}",
        ),
    )


#: In the order in which the lab needs them.
TOOLS: tuple[Tool, ...] = (
    Tool(
        "pulumi",
        PULUMI,
        MODULES / "pulumi",
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        216,
        ldflags=f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}",
        probe=("version",),
        # No download: the release archive has no checksum beside it on the same host.
    ),
    _containerd("containerd", 46),
    _containerd("containerd-shim-runc-v2", 2),
    _containerd("ctr", 7),
    Tool(
        "runc",
        RUNC,
        MODULES / "runc",
        "github.com/opencontainers/runc",
        25,
        ldflags=f"-X main.version={RUNC} -extldflags -static",
        tags="seccomp,netgo,osusergo",
        download=Download(
            f"https://github.com/opencontainers/runc/releases/download/v{RUNC}/runc.amd64",
            f"https://github.com/opencontainers/runc/releases/download/v{RUNC}/runc.sha256sum",
        ),
        c=True,
    ),
    _kubernetes("kubeadm", 104, ("version", "-o", "short")),
    _kubernetes("kubelet", 114, ("--version",)),
    _kubernetes("kube-apiserver", 68),
    _kubernetes("kube-controller-manager", 31),
    _kubernetes("kube-scheduler", 5),
    _kubernetes("kube-proxy", 7),
    _kubernetes("kubectl", 15, ("version", "--client", "-o", "yaml")),
    _etcd("etcd", "go.etcd.io/etcd/server/v3", 32),
    _etcd("etcdctl", "go.etcd.io/etcd/etcdctl/v3", 10),
    _etcd("etcdutl", "go.etcd.io/etcd/etcdutl/v3", 10),
    Tool(
        "coredns",
        COREDNS,
        MODULES / "coredns",
        "github.com/coredns/coredns",
        109,
        download=Download(
            f"https://github.com/coredns/coredns/releases/download/v{COREDNS}/coredns_{COREDNS}_linux_amd64.tgz",
            f"https://github.com/coredns/coredns/releases/download/v{COREDNS}/coredns_{COREDNS}_linux_amd64.tgz.sha256",
            "coredns",
        ),
    ),
    Tool(
        "helm",
        HELM,
        MODULES / "helm",
        "helm.sh/helm/v3/cmd/helm",
        90,
        ldflags=f"-X helm.sh/helm/v3/internal/version.version=v{HELM}",
        probe=("version", "--template", "{{.Version}}"),
        download=Download(
            f"https://get.helm.sh/helm-v{HELM}-linux-amd64.tar.gz",
            f"https://get.helm.sh/helm-v{HELM}-linux-amd64.tar.gz.sha256sum",
            "linux-amd64/helm",
        ),
    ),
    Tool(
        "aws-cloud-controller-manager",
        CLOUD_CONTROLLER,
        MODULES / "cloud-controller",
        "k8s.io/cloud-provider-aws/cmd/aws-cloud-controller-manager",
        300,
        ldflags=f"-X k8s.io/component-base/version.gitVersion=v{CLOUD_CONTROLLER}",
    ),
    Tool(
        "ecr-credential-provider",
        CLOUD_CONTROLLER,
        MODULES / "cloud-controller",
        "k8s.io/cloud-provider-aws/cmd/ecr-credential-provider",
        20,
        ldflags=f"-X main.gitVersion=v{CLOUD_CONTROLLER}",
        # No download: the publisher's newest is 1.31.7.
    ),
    Tool(
        "descheduler",
        DESCHEDULER,
        MODULES / "descheduler",
        "sigs.k8s.io/descheduler/cmd/descheduler",
        125,
        ldflags=f"-X sigs.k8s.io/descheduler/pkg/version.version=v{DESCHEDULER}",
    ),
    Tool(
        "metrics-server",
        METRICS_SERVER,
        MODULES / "metrics-server",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
        246,
        ldflags=f"-X sigs.k8s.io/metrics-server/pkg/version.gitVersion=v{METRICS_SERVER}",
    ),
    Tool(
        "kube-network-policies",
        NETWORK_POLICIES,
        MODULES / "kube-network-policies",
        "sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard",
        100,
        rule=kernel.QUEUE,
    ),
    Tool("ingress-controller", INGRESS_CONTROLLER, PROJECT / "lab" / "ingress_controller", ".", 20),
    Tool("sample-app", SAMPLE_APP, PROJECT / "workload", ".", 8, ldflags=f"-X main.version=v{SAMPLE_APP}"),
)

"""A cluster's control plane: etcd and four Kubernetes components as systemd units of one host that no API shows.

EKS runs at least two API servers and three etcd members; the lab runs one of each.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network

from lab import toolchain
from lab.cloud import webhooks
from lab.cloud.eks.kube import Kube
from lab.cloud.eks.model import Json
from lab.cloud.eks.pki import Pki
from lab.cloud.eks.state import Cluster
from lab.cloud.identity import authenticator
from lab.constants import BASE_RELEASE, FABRIC, FABRIC_API_URL, METADATA_PORT, REGION, STATE

PKI = "/etc/kubernetes/pki"
ENCRYPTION = "/etc/kubernetes/encryption.json"
CLOUD = "aws-cloud-controller-manager"
BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", CLOUD)
#: Of the host image: nobody logs in, the smallest does.
RELEASE = BASE_RELEASE


def service_address(cidr: str, number: int) -> str:
    """Returns the number-th address of the service range: 1 is `kubernetes`, 10 is `kube-dns`, as everywhere."""
    return str(IPv4Network(cidr)[number])


def kubeconfig(server: str, user: Mapping[str, str], *, ca: str = f"{PKI}/ca.crt") -> bytes:
    """Returns a kubeconfig with file paths. `user` are the members of its user."""
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "eks", "cluster": {"server": server, "certificate-authority": ca}}],
            "users": [{"name": "eks", "user": dict(user)}],
            "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "eks"}}],
            "current-context": "eks",
        }
    )


def unit(description: str, argv: list[str], *, kind: str, after: str, more: tuple[str, ...] = ()) -> bytes:
    """Returns a systemd service that is started again for ever. `more` are further lines of its [Service]."""
    command = " \\\n  ".join(argv)
    further = "".join(line + "\n" for line in more)
    return f"""[Unit]
Description={description}
After={after}
StartLimitIntervalSec=0

[Service]
Type={kind}
ExecStart={command}
Restart=always
RestartSec=1
LimitNOFILE=65536
{further}""".encode()


def files(cluster: Cluster, *, authority: bytes, data_key: bytes) -> dict[str, tuple[bytes, int]]:
    """Returns path to contents and mode of what the host needs beside binaries and certificates.

    `authority` is the PEM certificate of the lab's webhooks, `data_key` the 32 bytes that
    encrypt Secrets if the cluster has a KMS key.
    """
    # A target's drop-in enables the units without links.
    units = [f"{name}.service" for name in BINARIES]
    made = {
        "/etc/systemd/system/multi-user.target.d/eks.conf": f"[Unit]\nWants={' '.join(units)}\n".encode(),
        # Nothing here is for cloud-init to do, which the first units would wait for.
        "/etc/cloud/cloud-init.disabled": b"",
        "/etc/kubernetes/authenticator.json": _authenticator(cluster.name, authority),
        "/etc/systemd/system/etcd.service": unit("etcd", _etcd(), kind="notify", after="network.target"),
        "/etc/systemd/system/kube-apiserver.service": unit(
            "Kubernetes API server", _api_server(cluster), kind="notify", after="network.target etcd.service"
        ),
    }
    for name in ("controller-manager", "scheduler"):
        user = {"client-certificate": f"{PKI}/{name}.crt", "client-key": f"{PKI}/{name}.key"}
        made[f"/etc/kubernetes/{name}.json"] = kubeconfig(cluster.endpoint, user)
        made[f"/etc/systemd/system/kube-{name}.service"] = unit(
            f"Kubernetes {name.replace('-', ' ')}", _client(name), kind="exec", after="kube-apiserver.service"
        )
    user = {"client-certificate": f"{PKI}/{CLOUD}.crt", "client-key": f"{PKI}/{CLOUD}.key"}
    made["/etc/kubernetes/cloud.json"] = kubeconfig(cluster.endpoint, user)
    made["/etc/kubernetes/cloud.conf"] = _cloud(cluster).encode()
    made[f"/etc/systemd/system/{CLOUD}.service"] = unit(
        "Kubernetes cloud controller manager", _cloud_controller(), kind="exec", after="kube-apiserver.service",
        more=(
            f"Environment=AWS_ENDPOINT_URL={FABRIC_API_URL}",
            f"Environment=AWS_EC2_METADATA_SERVICE_ENDPOINT=http://{FABRIC}:{METADATA_PORT}",
            # A daemon of the lab that was killed is back in seconds; a deletion that is not answered is not finished.
            "Environment=AWS_MAX_ATTEMPTS=10",
        ),
    )  # fmt: skip
    secret = {ENCRYPTION: _encryption(data_key)} if cluster.api["encryptionConfig"] else {}
    return {path: (content, 0o644) for path, content in made.items()} | {
        path: (content, 0o600) for path, content in secret.items()
    }


def _etcd() -> list[str]:
    # On the loopback of a host that nobody can log in to; EKS does not show how it talks to its own etcd either.
    return [
        "/usr/local/bin/etcd",
        "--name=eks",
        "--data-dir=/var/lib/etcd/data",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=eks=http://127.0.0.1:2380",
    ]


def _encryption(data_key: bytes) -> bytes:
    """Returns the API server's EncryptionConfiguration.

    On EKS the KMS key encrypts the data key; the lab's KMS holds no real keys, so that this one lies on the host, which
    nobody can log in to, and lives as long as its etcd.
    """
    key = {"name": "lab", "secret": base64.b64encode(data_key).decode()}
    return _json(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": [key]}}, {"identity": {}}]}],
        }
    )


def _api_server(cluster: Cluster) -> list[str]:
    encryption = [f"--encryption-provider-config={ENCRYPTION}"] if cluster.api["encryptionConfig"] else []
    return [
        "/usr/local/bin/kube-apiserver",
        f"--advertise-address={cluster.address}",
        f"--bind-address={cluster.address}",
        "--secure-port=443",
        "--etcd-servers=http://127.0.0.1:2379",
        *encryption,
        f"--service-cluster-ip-range={cluster.api['kubernetesNetworkConfig']['serviceIpv4Cidr']}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--authentication-token-webhook-config-file=/etc/kubernetes/authenticator.json",
        "--authentication-token-webhook-version=v1",
        # Short, so that a changed access entry counts soon; the default is 2 minutes.
        "--authentication-token-webhook-cache-ttl=10s",
        f"--service-account-issuer={cluster.api['identity']['oidc']['issuer']}",
        "--api-audiences=https://kubernetes.default.svc",
        f"--service-account-key-file={PKI}/service-account.crt",
        f"--service-account-signing-key-file={PKI}/service-account.key",
        # Pods are routed, Services are not: aggregated APIs and webhooks are called at their endpoints.
        "--enable-aggregator-routing=true",
        f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
        f"--proxy-client-key-file={PKI}/front-proxy-client.key",
    ]


def _client(name: str) -> list[str]:
    config = f"/etc/kubernetes/{name}.json"
    argv = [f"/usr/local/bin/kube-{name}", f"--kubeconfig={config}", "--bind-address=127.0.0.1", "--profiling=false"]
    if name == "controller-manager":
        argv += [
            # The VPC's stand-in gives nodes their pod addresses, as the VPC gives them on EKS.
            "--allocate-node-cidrs=false",
            "--use-service-account-credentials=true",
            f"--root-ca-file={PKI}/ca.crt",
            f"--service-account-private-key-file={PKI}/service-account.key",
            f"--cluster-signing-cert-file={PKI}/ca.crt",
            f"--cluster-signing-key-file={PKI}/ca.key",
        ]
    return argv


def _cloud_controller() -> list[str]:
    return [
        f"/usr/local/bin/{CLOUD}",
        "--kubeconfig=/etc/kubernetes/cloud.json",
        "--bind-address=127.0.0.1",
        "--cloud-provider=aws",
        "--cloud-config=/etc/kubernetes/cloud.conf",
        "--configure-cloud-routes=false",  # the VPC CNI gives pods addresses of the VPC
    ]


def _cloud(cluster: Cluster) -> str:
    """Returns cloud.conf: it works in the cluster's VPC, and on no machine of it."""
    vpc = cluster.api["resourcesVpcConfig"]
    return f"""[Global]
Region = {REGION}
VPC = {vpc["vpcId"]}
SubnetID = {vpc["subnetIds"][0]}
KubernetesClusterID = {cluster.name}
"""


def _authenticator(cluster: str, authority: bytes) -> bytes:
    server = webhooks.url(authenticator.WHAT, cluster)
    data = base64.b64encode(authority).decode()
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "iam", "cluster": {"server": server, "certificate-authority-data": data}}],
            "users": [{"name": "apiserver", "user": {}}],
            "contexts": [{"name": "iam", "context": {"cluster": "iam", "user": "apiserver"}}],
            "current-context": "iam",
        }
    )


def _json(value: Json) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"


class ControlPlane:
    """The host of one cluster's control plane, and the folder of its certificates."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.host = f"eks-{cluster.id}"
        self.folder = STATE / "aws" / "eks" / cluster.id
        self.pki = Pki(self.folder / "pki")
        self.services = str(cluster.api["kubernetesNetworkConfig"]["serviceIpv4Cidr"])

    def ensure(self) -> None:
        """Makes and starts what is missing; returns before it is up. Raises twinplane.errors."""
        from lab.machines.host import Host

        self.pki.ensure(address=self.cluster.address, service_address=service_address(self.services, 1))
        binds = {str(toolchain.tool(name).resolve()): f"/usr/local/bin/{name}" for name in BINARIES}
        host = Host(self.host)
        if not host.exists:
            Host.create(
                self.host,
                address=self.cluster.address,
                image=RELEASE,
                hostname=self.host,
                ssh=False,
                files=files(self.cluster, authority=webhooks.authority(), data_key=secrets.token_bytes(32)),
                binds=binds | {str(self.pki.folder): PKI},
            )
        host.start()

    def delete(self) -> None:
        """Removes the host and the certificates; what is gone already is fine."""
        from lab.machines.host import Host

        Host(self.host).delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    @cached_property
    def kube(self) -> Kube:
        """Returns the API server, called as administrator over connections that are kept."""
        return Kube(self.cluster.address, self.pki)

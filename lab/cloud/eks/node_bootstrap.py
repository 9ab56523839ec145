"""What makes a host a node of a cluster: containerd, kubelet and a CNI configuration, given before its first boot.

EKS's image fetches this from the instance's user data and logs in with the node's IAM role; the lab gives the node a
certificate instead. Pod addresses come in a block a node, routed by the machine as the VPC would: the stand-in for the
VPC CNI's prefixes (no aws-node pods, no podCIDR on the Node, as on EKS).
"""

from __future__ import annotations

import json

from lab import toolchain
from lab.cloud.ec2.ec2 import Bootstrap, Machine
from lab.cloud.eks import pki, pod_identity_units
from lab.cloud.eks.control_plane import ControlPlane, kubeconfig, service_address, unit
from lab.cloud.eks.model import Json
from lab.cloud.eks.state import Cluster, Node, Nodegroup
from lab.constants import FABRIC, REGISTRY_PORT

BINARIES = ("containerd", "containerd-shim-runc-v2", "ctr", "kubelet")
PKI = "/etc/kubernetes/pki"
AWS_NODE = "/usr/local/bin/aws-node"
#: A block of 64 addresses a node, less the network's, the gateway's and the broadcast's, and three to spare.
BLOCK, PODS = 26, 58
#: Of taints: EKS's name to Kubernetes's.
EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}

CONTAINERD = """version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'registry.k8s.io/pause:3.10.2'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'
[plugins.'io.containerd.cri.v1.runtime']
  # Where CAP_SYS_RESOURCE is missing, runc cannot lower a container's OOM score.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['/usr/lib/cni']
    conf_dir = '/etc/cni/net.d'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
"""

HOSTS = f"""[host."http://{FABRIC}:{REGISTRY_PORT}"]
  capabilities = ["pull", "resolve"]
"""


def files(
    cluster: Cluster, group: Nodegroup, node: Node, machine: Machine, ca: pki.Pair
) -> dict[str, tuple[bytes, int]]:
    """Returns path to contents and mode. Each call issues new certificates; all else depends on the arguments alone."""
    client = pki.issue(ca, f"system:node:{machine.hostname}", organization="system:nodes")
    server = pki.issue(ca, machine.hostname, names=[machine.hostname, machine.address])
    user = {"client-certificate": f"{PKI}/kubelet-client.crt", "client-key": f"{PKI}/kubelet-client.key"}
    units = f"aws-node.service containerd.service kubelet.service {pod_identity_units.UNIT}.socket"
    agent = pod_identity_units.units()
    made = {
        "/etc/systemd/system/multi-user.target.d/eks.conf": f"[Unit]\nWants={units}\n".encode(),
        "/etc/cloud/cloud-init.disabled": b"",
        "/etc/systemd/system/containerd.service": unit(
            "containerd",
            ["/usr/local/bin/containerd"],
            kind="notify",
            after="network.target",
            more=("Delegate=yes", "KillMode=process", "TasksMax=infinity"),
        ),
        "/etc/systemd/system/kubelet.service": unit(
            "Kubernetes node agent", kubelet(group, machine), kind="notify", after="containerd.service aws-node.service"
        ),
        "/etc/containerd/config.toml": CONTAINERD.encode(),
        "/etc/containerd/certs.d/_default/hosts.toml": HOSTS.encode(),
        "/etc/cni/10-aws.conflist": _json(cni(node.block)),
        "/etc/systemd/system/aws-node.service": unit(
            "Stand-in for the VPC CNI's aws-node",
            [AWS_NODE],
            kind="exec",
            after="network.target",
            more=("ExecStartPre=/bin/rm -f /etc/cni/net.d/10-aws.conflist", "Restart=on-failure"),
        ),
        **{f"/etc/systemd/system/{name}": content for name, content in agent.items()},
        "/etc/sysctl.d/90-kubernetes.conf": b"net.ipv4.ip_forward = 1\n",
        # Pods that take the node's names (CoreDNS) find no server there: the lab has none outside the cluster.
        "/etc/kubernetes/resolv.conf": b"",
        "/etc/kubernetes/kubelet.json": _json(kubelet_configuration(cluster, group, machine)),
        "/etc/kubernetes/kubeconfig.json": kubeconfig(cluster.endpoint, user),
        f"{PKI}/ca.crt": ca.certificate,
        f"{PKI}/kubelet-client.crt": client.certificate,
        f"{PKI}/kubelet.crt": server.certificate,
    }
    script = aws_node(service_address(cluster.api["kubernetesNetworkConfig"]["serviceIpv4Cidr"], 1)).encode()
    secret = {f"{PKI}/kubelet-client.key": client.key, f"{PKI}/kubelet.key": server.key}
    return (
        {path: (content, 0o644) for path, content in made.items()}
        | {path: (content, 0o600) for path, content in secret.items()}
        | {AWS_NODE: (script, 0o755)}
    )


def kubelet(group: Nodegroup, machine: Machine) -> list[str]:
    """Returns the kubelet's command line: what its configuration file cannot hold."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(node_labels(group, machine).items()))
    return [
        "/usr/local/bin/kubelet",
        "--config=/etc/kubernetes/kubelet.json",
        "--kubeconfig=/etc/kubernetes/kubeconfig.json",
        f"--hostname-override={machine.hostname}",
        f"--node-ip={machine.address}",
        "--cloud-provider=external",
        f"--node-labels={labels}",
    ]


def node_labels(group: Nodegroup, machine: Machine) -> dict[str, str]:
    """Returns the labels that a node joins with; those of type and zone are the cloud controller's."""
    from lab.cloud.ec2 import machine_images

    if "nodegroupName" not in group.api:  # of a pool, which says them all
        return dict(group.api["labels"])
    return dict(group.api["labels"]) | {
        "eks.amazonaws.com/nodegroup": group.api["nodegroupName"],
        "eks.amazonaws.com/capacityType": group.api["capacityType"],
        "eks.amazonaws.com/nodegroup-image": machine_images.eks_node(machine.release).id,
    }


def kubelet_configuration(cluster: Cluster, group: Nodegroup, machine: Machine) -> Json:
    """Returns KubeletConfiguration."""
    services = str(cluster.api["kubernetesNetworkConfig"]["serviceIpv4Cidr"])
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [service_address(services, 10)],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/kubernetes/resolv.conf",
        "providerID": f"aws:///{machine.zone}/{machine.id}",
        "maxPods": PODS,
        "registerWithTaints": [
            {"key": taint["key"], "value": taint.get("value", ""), "effect": EFFECTS[taint["effect"]]}
            for taint in group.api["taints"]
        ],
        "serializeImagePulls": False,
        # systemd waits for the pods no longer than this when the instance ends; its own default is 90 s.
        "shutdownGracePeriod": "20s",
        "shutdownGracePeriodCriticalPods": "5s",
        # Lab only: hosts share the machine's kernel, swap and cgroup hierarchy.
        "failSwapOn": False,
        "failCgroupV1": False,
        # And its disk, of which a share says nothing: on a large one, 15 % free is more than all nodes ever use.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
    }


def aws_node(service: str) -> str:
    """Returns the script that gives pods a network, and so makes the node Ready, when `service` (of the API server)
    answers.

    On EKS aws-node needs that Service too, so that a node is not Ready before its kube-proxy works.
    """
    return f"""#!/bin/sh -eu
until curl --silent --insecure --max-time 2 --output /dev/null https://{service}/livez; do sleep 0.3; done
mkdir -p /etc/cni/net.d
cp /etc/cni/10-aws.conflist /etc/cni/net.d/.new
mv /etc/cni/net.d/.new /etc/cni/net.d/10-aws.conflist
"""


def cni(block: str) -> Json:
    """Returns the CNI configuration: each pod on a link of its own, routed by the node, as the VPC CNI does it."""
    return {
        "cniVersion": "1.0.0",
        "name": "aws-cni",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": block}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    # In memory: after a reboot no pod has an address.
                    "dataDir": "/run/cni/networks",
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def bootstrap(cluster: Cluster, group: Nodegroup, node: Node, machine: Machine) -> Bootstrap:
    """Returns what EC2 gives the host before its first boot."""
    ca = ControlPlane(cluster).pki.pair("ca")
    binds = {str(toolchain.tool(name).resolve()): f"/usr/local/bin/{name}" for name in BINARIES}
    return Bootstrap(files(cluster, group, node, machine, ca), binds)


def _json(value: Json) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"

"""Puts every probe to one live cluster. The same list for both kinds: nothing here reads the kind of the stack."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from twinplane.compare import probes
from twinplane.compare.probes import Probe, Seen
from twinplane.compare.probes.kubernetes import SYSTEM
from twinplane.outputs import StackOutputs
from twinplane.questions import Access

HTTPS = 443


@dataclass(frozen=True)
class Observed:
    """Everything that was asked of one stack, answered or not."""

    stack: str
    outputs: StackOutputs
    pods: Seen[tuple[probes.Pod, ...]]
    leases: Seen[tuple[probes.Lease, ...]]
    api_endpoints: Seen[tuple[str, ...]]
    api_version: Seen[str]
    api_health: Seen[dict[str, bool]]
    component_statuses: Seen[dict[str, probes.Status]]
    nodes: Seen[tuple[probes.Node, ...]]
    eks_cluster: Seen[probes.EksCluster]
    instances: Seen[tuple[probes.Instance, ...]]
    machines: Seen[probes.Logins]
    kubeadm_config: Seen[bool]
    network_policies: Seen[tuple[str, ...]]
    vpc_cni_policies: Seen[bool]
    api_certificate: Seen[probes.Certificate]
    kubeconfig_certificates: Seen[tuple[probes.Certificate, ...]]
    #: Those of the sample app's namespace; `pods` and `deployments` are of kube-system.
    app_pods: Seen[tuple[probes.Pod, ...]]
    app_deployments: Seen[tuple[probes.Deployment, ...]]
    deployments: Seen[tuple[probes.Deployment, ...]]
    images: Seen[dict[str, str]]
    #: By name.
    node_groups: dict[str, Seen[probes.NodeGroup]]
    #: By node group.
    recommended: dict[str, Seen[str]]
    #: By the private address of the node, and by the host name of the API endpoint.
    ssh_ports: dict[str, Seen[str]]

    @property
    def api_host(self) -> str:
        """Host name or address of the API endpoint."""
        return urlsplit(self.outputs.api_endpoint).hostname or ""


def observe(stack: str, outputs: StackOutputs, access: Access) -> Observed:
    """Asks everything about one stack: what needs no earlier answer at once, then the rest."""
    api, namespace = urlsplit(outputs.api_endpoint), outputs.sample_app.namespace
    with ThreadPoolExecutor(24) as pool:
        machines = pool.submit(probes.machines().ask, access)  # first: it takes longest
        at_once: dict[str, Probe[Any]] = {
            "pods": probes.pods(SYSTEM),
            "app_pods": probes.pods(namespace),
            "deployments": probes.deployments(SYSTEM),
            "app_deployments": probes.deployments(namespace),
            "leases": probes.leases(),
            "api_endpoints": probes.api_endpoints(),
            "api_version": probes.api_version(),
            "api_health": probes.api_health(),
            "api_certificate": probes.api_certificate(api.hostname or "", api.port or HTTPS),
            "component_statuses": probes.component_statuses(),
            "eks_cluster": probes.eks_cluster(outputs.cluster_name),
            "kubeadm_config": probes.kubeadm_config(),
            "network_policies": probes.network_policies(),
            "vpc_cni_policies": probes.vpc_cni_policies(),
            "kubeconfig_certificates": probes.kubeconfig_certificates(),
        }
        first = {name: pool.submit(probe.ask, access) for name, probe in at_once.items()}
        instances, nodes = pool.submit(probes.instances().ask, access), pool.submit(probes.nodes().ask, access)
        found = nodes.result().fact or ()
        addresses = {node.address for node in found}
        own = addresses | {machine.private_ip for machine in outputs.machines}
        ids = tuple(sorted({each.image_id for each in instances.result().fact or () if each.address in own}))
        # Without an id, EC2 would list every image there is.
        images = pool.submit(probes.images(ids).ask, access) if ids else None
        names = {node.node_group for node in found} - {""}
        asked = {name: probes.node_group(outputs.cluster_name, name) for name in sorted(names)}
        groups = {name: pool.submit(probe.ask, access) for name, probe in asked.items()}
        known = {name: group.result().fact for name, group in groups.items()}
        recommended = {
            name: pool.submit(probes.recommended_release(group.version, group.ami_type).ask, access)
            for name, group in known.items()
            if group
        }
        # From outside the VPC, a machine answers at its public address, or through a tunnel.
        outside = {machine.private_ip: (machine.ssh_address, machine.ssh_tunnel) for machine in outputs.machines}
        hosts = sorted(addresses | outside.keys() | {api.hostname or ""})
        ports = {host: pool.submit(probes.ssh_port(*outside.get(host, (host,))).ask, access) for host in hosts}
        return Observed(
            stack=stack,
            outputs=outputs,
            machines=machines.result(),
            instances=instances.result(),
            nodes=nodes.result(),
            images=images.result() if images else probes.images(ids).unasked({}),
            node_groups={name: each.result() for name, each in groups.items()},
            recommended={name: each.result() for name, each in recommended.items()},
            ssh_ports={host: each.result() for host, each in ports.items()},
            **{name: each.result() for name, each in first.items()},
        )

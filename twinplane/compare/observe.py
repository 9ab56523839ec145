"""Puts every probe to one live cluster. The same list for both kinds: nothing here reads the kind of the stack."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

from twinplane.compare.probes import (
    api_certificate,
    api_endpoints,
    api_health,
    api_version,
    component_statuses,
    deployments,
    eks_cluster,
    images,
    instances,
    kubeadm_config,
    kubeconfig_certificates,
    leases,
    machines,
    network_policies,
    node_group,
    nodes,
    pods,
    recommended_release,
    ssh_port,
    vpc_cni_policies,
)
from twinplane.compare.probes.certificate import Certificate
from twinplane.compare.probes.component_statuses import Status
from twinplane.compare.probes.deployments import Deployment
from twinplane.compare.probes.eks_cluster import EksCluster
from twinplane.compare.probes.instances import Instance
from twinplane.compare.probes.leases import Lease
from twinplane.compare.probes.machines import Logins
from twinplane.compare.probes.node_group import NodeGroup
from twinplane.compare.probes.nodes import Node
from twinplane.compare.probes.pods import SYSTEM, Pod
from twinplane.compare.probes.probe import Seen
from twinplane.outputs import StackOutputs
from twinplane.questions import Access

HTTPS = 443


#: In the metadata of a field of Observed whose probe needs no earlier answer: makes the probe of a stack's outputs.
PROBE = "probe"


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that was asked of one stack, answered or not. The first takes longest, and is asked first."""

    stack: str
    outputs: StackOutputs
    machines: Seen[Logins] = field(metadata={PROBE: lambda _: machines.probe()})
    pods: Seen[tuple[Pod, ...]] = field(metadata={PROBE: lambda _: pods.probe(SYSTEM)})
    app_pods: Seen[tuple[Pod, ...]] = field(metadata={PROBE: lambda stack: pods.probe(stack.sample_app.namespace)})
    deployments: Seen[tuple[Deployment, ...]] = field(metadata={PROBE: lambda _: deployments.probe(SYSTEM)})
    app_deployments: Seen[tuple[Deployment, ...]] = field(
        metadata={PROBE: lambda stack: deployments.probe(stack.sample_app.namespace)}
    )
    leases: Seen[tuple[Lease, ...]] = field(metadata={PROBE: lambda _: leases.probe()})
    api_endpoints: Seen[tuple[str, ...]] = field(metadata={PROBE: lambda _: api_endpoints.probe()})
    api_version: Seen[str] = field(metadata={PROBE: lambda _: api_version.probe()})
    api_health: Seen[dict[str, bool]] = field(metadata={PROBE: lambda _: api_health.probe()})
    api_certificate: Seen[Certificate] = field(metadata={PROBE: lambda stack: api_certificate.probe(*_api(stack))})
    component_statuses: Seen[dict[str, Status]] = field(metadata={PROBE: lambda _: component_statuses.probe()})
    eks_cluster: Seen[EksCluster] = field(metadata={PROBE: lambda stack: eks_cluster.probe(stack.cluster_name)})
    kubeadm_config: Seen[bool] = field(metadata={PROBE: lambda _: kubeadm_config.probe()})
    network_policies: Seen[tuple[str, ...]] = field(metadata={PROBE: lambda _: network_policies.probe()})
    vpc_cni_policies: Seen[bool] = field(metadata={PROBE: lambda _: vpc_cni_policies.probe()})
    kubeconfig_certificates: Seen[tuple[Certificate, ...]] = field(
        metadata={PROBE: lambda _: kubeconfig_certificates.probe()}
    )
    instances: Seen[tuple[Instance, ...]] = field(metadata={PROBE: lambda _: instances.probe()})
    nodes: Seen[tuple[Node, ...]] = field(metadata={PROBE: lambda _: nodes.probe()})
    # What needs an earlier answer.
    images: Seen[dict[str, str]]
    #: By name.
    node_groups: dict[str, Seen[NodeGroup]]
    #: By node group.
    recommended: dict[str, Seen[str]]
    #: By the private address of the node, and by the host name of the API endpoint.
    ssh_ports: dict[str, Seen[str]]

    @property
    def api_host(self) -> str:
        """Host name or address of the API endpoint."""
        return _api(self.outputs)[0]


def _api(outputs: StackOutputs) -> tuple[str, int]:
    endpoint = urlsplit(outputs.api_endpoint)
    return endpoint.hostname or "", endpoint.port or HTTPS


def observe(stack: str, outputs: StackOutputs, access: Access) -> Observed:
    """Asks everything about one stack: what needs no earlier answer at once, then the rest."""
    with ThreadPoolExecutor(24) as pool:
        at_once = {each.name: each.metadata[PROBE](outputs) for each in fields(Observed) if PROBE in each.metadata}
        first = {name: pool.submit(probe.ask, access) for name, probe in at_once.items()}
        found = first["nodes"].result().fact or ()
        addresses = {node.address for node in found}
        own = addresses | {machine.private_ip for machine in outputs.machines}
        account = first["instances"].result().fact or ()
        ids = tuple(sorted({each.image_id for each in account if each.address in own}))
        # Without an id, EC2 would list every image there is.
        names = pool.submit(images.probe(ids).ask, access) if ids else None
        groups = {
            name: pool.submit(node_group.probe(outputs.cluster_name, name).ask, access)
            for name in sorted({node.node_group for node in found} - {""})
        }
        known = {name: group.result().fact for name, group in groups.items()}
        recommended = {
            name: pool.submit(recommended_release.probe(group.version, group.ami_type).ask, access)
            for name, group in known.items()
            if group
        }
        # From outside the VPC, a machine answers at its public address, or through a tunnel.
        outside = {machine.private_ip: (machine.ssh_address, machine.ssh_tunnel) for machine in outputs.machines}
        hosts = sorted(addresses | outside.keys() | {_api(outputs)[0]})
        ports = {host: pool.submit(ssh_port.probe(*outside.get(host, (host,))).ask, access) for host in hosts}
        return Observed(
            stack=stack,
            outputs=outputs,
            images=names.result() if names else images.probe(ids).unasked({}),
            node_groups={name: each.result() for name, each in groups.items()},
            recommended={name: each.result() for name, each in recommended.items()},
            ssh_ports={host: each.result() for host, each in ports.items()},
            **{name: each.result() for name, each in first.items()},
        )

"""Every probe: the same on both kinds of cluster; only the answers differ."""

from twinplane.compare.probes.aws import (
    EksCluster,
    Instance,
    NodeGroup,
    eks_cluster,
    images,
    instances,
    node_group,
    recommended_release,
)
from twinplane.compare.probes.kubernetes import (
    Lease,
    Node,
    Pod,
    Status,
    api_endpoints,
    api_health,
    api_version,
    component_statuses,
    leases,
    nodes,
    pods,
)
from twinplane.compare.probes.probe import Probe, Seen
from twinplane.compare.probes.reach import Logins, Machine, Process, machines, ssh_port

__all__ = [
    "EksCluster",
    "Instance",
    "Lease",
    "Logins",
    "Machine",
    "Node",
    "NodeGroup",
    "Pod",
    "Probe",
    "Process",
    "Seen",
    "Status",
    "api_endpoints",
    "api_health",
    "api_version",
    "component_statuses",
    "eks_cluster",
    "images",
    "instances",
    "leases",
    "machines",
    "node_group",
    "nodes",
    "pods",
    "recommended_release",
    "ssh_port",
]

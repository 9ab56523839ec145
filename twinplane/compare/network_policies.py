"""Observations -> the cell that says whether NetworkPolicy objects are enforced, by whom, and where not. Pure."""

from __future__ import annotations

from twinplane.compare.evidence import Cell, State
from twinplane.compare.observe import Observed
from twinplane.compare.places import places

#: First containers of the pods that enforce them: kubernetes-sigs' agent, for any pod network, and Amazon's.
AGENT, VPC_CNI = "kube-network-policies", "aws-node"


def network_policies(observed: Observed) -> Cell:
    """Returns who enforces them, and on which nodes nobody does: trouble where there are any.

    The API server takes the objects in any case, so the nodes are looked at: each needs a pod that is ready, and where
    we can log in, a kernel that asks it.
    """
    policies, cni, pods = observed.network_policies, observed.vpc_cni_policies, observed.pods
    agents, amazons = _ready(observed, AGENT), _ready(observed, VPC_CNI)
    asks = {place.name: place.inside.network_policies for place in places(observed) if place.inside}
    every = {node.name for node in observed.nodes.fact or ()}
    by, where = AGENT, {name for name in agents if asks.get(name, True)}
    if cni.fact and not agents:
        # In EKS Auto Mode it is a part of the node, and no pod.
        by, where = "the VPC CNI", every if observed.outputs.node_mode == "auto" else amazons
    lacking = [
        f"{name} (it runs, and the kernel does not ask it)" if name in agents else name
        for name in sorted(every - where)
    ]
    if not where:
        value = f"not enforced: {by} works on no node" if agents or cni.fact else "not enforced"
    elif lacking:
        value = f"enforced by {by}, but not on {', '.join(lacking)}"
    else:
        value = f"enforced by {by} on all nodes"
    state: State = "good"
    if lacking or not where:
        state = "bad" if policies.fact else "warning" if where or agents or cni.fact else "unknown"
    count = f"{len(policies.fact)} of them" if policies.fact is not None else f"not shown: {policies.error}"
    named = f": {', '.join(policies.fact)}" if policies.fact and state == "bad" else ""
    evidence = (
        policies.evidence(policies.fact),
        cni.evidence(cni.fact),
        pods.evidence(sorted(agents | amazons)),
        observed.machines.evidence(asks),
    )
    return Cell(f"{value}; {count}{named}", evidence, state)


def _ready(observed: Observed, role: str) -> set[str]:
    """Returns the nodes that have a ready pod of that role."""
    return {pod.node for pod in observed.pods.fact or () if role in pod.roles and pod.ready}

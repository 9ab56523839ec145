"""Observations -> whether etcd came back without its data. Pure."""

from __future__ import annotations

from twinplane.compare.observe import Observed


def new_and_empty(observed: Observed) -> bool:
    """Returns whether etcd works, and holds nothing that `kubeadm init` wrote.

    etcd itself is the best witness: with its data the rights of the kubeconfig's user are gone, too. Then the API, then
    that machines are up and there is no Node.
    """
    machines = observed.machines.fact.machines if observed.machines.fact else {}
    if said := [machine.etcd.initialized for machine in machines.values() if machine.etcd]:
        return not any(said)
    if not observed.outputs.machines or not (observed.api_health.fact or {}).get("etcd"):
        return False
    if observed.kubeadm_config.fact is not None:
        return not observed.kubeadm_config.fact
    return bool(machines) and observed.nodes.fact == ()

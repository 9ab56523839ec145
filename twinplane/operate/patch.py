"""Patch the nodes of a cluster: over SSH where they are yours, by a newer image where AWS owns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient

from stacks.outputs import StackOutputs
from twinplane.compare import look
from twinplane.compare.differences import Cluster
from twinplane.compare.probes import node_group, recommended_release
from twinplane.compare.questions import Access, kubernetes_client, login
from twinplane.errors import Failed, UsageError
from twinplane.operate.load import Load, Measured, http_get, open_nodes
from twinplane.screen import Tell
from twinplane.stack import Stack

RELEASE_KEY = "twinplane:nodeReleaseVersion"
#: Seconds that an update already in progress may take until patch gives up: EKS rolls node by node.
ROLL_TIMEOUT = 1800


@dataclass(frozen=True)
class Patched:
    """What a patch did. `load` is None where nothing was to do."""

    stack: str
    before: dict[str, str]
    after: dict[str, str]
    load: Measured | None

    @property
    def changed(self) -> bool:
        """Something was pending."""
        return self.load is not None

    def export(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        load = vars(self.load) if self.load else None
        return {"stack": self.stack, "changed": self.changed, "before": self.before, "after": self.after, "load": load}


def patch(stack: Stack, tell: Tell) -> Patched:
    """Brings all nodes up to date, one at a time, under a light load. Nothing to do is fine.

    Raises Failed when the playbook or the update fails; run it again, it continues.
    """
    outputs = stack.outputs()
    client = kubernetes_client(outputs.kubeconfig, stack.environment)
    tell("looking at the nodes")
    cluster = look(stack.name, outputs, stack.environment, tell)
    before = pending(cluster)
    if outputs.kind == "managed":
        load = _managed(stack, outputs, client, tell)
    else:
        load = _self_managed(stack, outputs, cluster, client, tell)
    if load is None:
        return Patched(stack.name, before, before, None)
    tell("looking at the nodes again")
    after = pending(look(stack.name, stack.outputs(), stack.environment, tell))
    return Patched(stack.name, before, after, load)


def pending(cluster: Cluster) -> dict[str, str]:
    """Node -> its release and its pending updates, as compare shows them."""
    return {
        name: f"{cells['image release'].value}, pending: {cells['pending updates'].value}"
        for name, cells in cluster.nodes.items()
    }


def _self_managed(
    stack: Stack, outputs: StackOutputs, cluster: Cluster, client: ApiClient, tell: Tell
) -> Measured | None:
    """Cordon, drain, update, reboot, uncordon, node by node, by the playbook. None when nothing is pending."""
    states = {cells["pending updates"].state for cells in cluster.nodes.values()}
    cordoned = any(cells["status"].value != "Ready" for cells in cluster.nodes.values())
    if states == {"good"} and not cordoned:
        return None
    from twinplane import ansible  # loads ansible-runner: only where it runs

    with _load(outputs, client) as load:
        result = ansible.run("patch", login(outputs), tell, environment=stack.environment)
    if not result.ok:
        reason = (result.failures or ["the playbook failed"])[0]
        raise Failed(f"patch: {reason}; run it again, it goes on ({load.measured()})")
    return load.measured()


def _managed(stack: Stack, outputs: StackOutputs, client: ApiClient, tell: Tell) -> Measured | None:
    """Raises the node group's release in the stack's config, and lets `pulumi up` do the rest. None when newest."""
    if outputs.node_mode == "auto":
        raise UsageError(
            "patch: nodeMode is auto: EKS patches the nodes by itself, within 21 days of their start at most"
        )
    access = Access(outputs, client, stack.environment, tell)
    group = node_group(outputs.cluster_name, outputs.node_group_name or "").ask(access)
    if group.fact is None:
        raise Failed(f"patch: {group.question}: {group.error}")
    newest = recommended_release(outputs.kubernetes_version, group.fact.ami_type).ask(access)
    if newest.fact is None:
        raise Failed(f"patch: {newest.question}: {newest.error}")
    if group.fact.release_version == newest.fact == outputs.node_release_version and group.fact.status == "ACTIVE":
        return None
    with _load(outputs, client) as load:
        if group.fact.status == "UPDATING":
            tell(f"node group {group.fact.name}: an update is already in progress, waiting for its end")
            _wait(access, outputs)
        if group.fact.status == "UPDATING" or group.fact.release_version == newest.fact:
            stack.refresh(tell)  # The cloud is ahead of the state: an earlier patch was interrupted.
        tell(f"node group {group.fact.name}: {group.fact.release_version} -> {newest.fact}")
        stack.set_config(RELEASE_KEY, newest.fact)
        stack.up(tell)
    return load.measured()


def _wait(access: Access, outputs: StackOutputs) -> None:
    from botocore.exceptions import WaiterError

    client = access.aws.client("eks", endpoint_url=access.environment.get("AWS_ENDPOINT_URL"))
    every = 10
    try:
        client.get_waiter("nodegroup_active").wait(
            clusterName=outputs.cluster_name,
            nodegroupName=outputs.node_group_name or "",
            WaiterConfig={"Delay": every, "MaxAttempts": ROLL_TIMEOUT // every},
        )
    except WaiterError as error:
        raise Failed(f"patch: node group {outputs.node_group_name}: {error}") from None


def _load(outputs: StackOutputs, client: ApiClient) -> Load:
    return Load(lambda: open_nodes(client), http_get(outputs.workload.node_port))

"""Patch the nodes of a cluster: over SSH where they are yours, by a newer image where AWS owns them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient

from twinplane.compare import look
from twinplane.compare.differences import Cluster
from twinplane.compare.nodes import PENDING_UPDATES
from twinplane.compare.probes import node_group, recommended_release
from twinplane.console import Tell
from twinplane.errors import Failed, UsageError
from twinplane.live.kubernetes import get, kubernetes_client
from twinplane.live.unanswered import Unanswered
from twinplane.operate.load import Load, Measured, app_state, http_get, open_nodes
from twinplane.outputs import StackOutputs
from twinplane.questions import Access, login
from twinplane.stack import Stack

#: Without a namespace, as pulumi takes it for the running project.
RELEASE_KEY = "nodeReleaseVersion"
#: Seconds that an update already in progress may take until patch gives up: EKS rolls node by node.
ROLL_TIMEOUT = 1800
#: Seconds until all is well after the last node: leases of a restarted control plane are renewed within 20.
SETTLING = 180
#: Days left below which the playbook renews a control plane's certificate (playbooks/roles/certificates).
RENEWED = 90
#: On a Node while the role node_patch works on it.
MARK = "twinplane/patching-cordoned"


@dataclass(frozen=True)
class Patched:
    """What a patch did. `load` is None where nothing was to do.

    `troubles`: what does not work now. `notes`: what a person should know of a node, e.g. a held package.
    """

    stack: str
    before: dict[str, str]
    after: dict[str, str]
    load: Measured | None
    troubles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Something was pending."""
        return self.load is not None

    def export(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        load = {name: value for name, value in vars(self.load).items() if value != ""} if self.load else None
        return {
            "stack": self.stack,
            "changed": self.changed,
            "before": self.before,
            "after": self.after,
            "load": load,
            "troubles": self.troubles,
            "notes": self.notes,
        }


def patch(stack: Stack, tell: Tell, force: bool = False, skip: Collection[str] = ()) -> Patched:
    """Brings all nodes up to date, one at a time, under a light load. Nothing to do is fine.

    `skip` names machines that are left alone. Raises UsageError while something does not work, unless `force`; and
    Failed, which says in what state the nodes are left.
    """
    outputs = stack.outputs()
    _check(outputs, skip)
    client = kubernetes_client(outputs.kubeconfig, stack.environment)
    tell("looking at the nodes")
    cluster = look(stack.name, outputs, stack.environment, tell)
    left = _left_behind(client)
    besides = {*skip, *(left if isinstance(left, dict) else ())}
    if left and isinstance(left, dict) and _troubles(cluster, besides):
        cluster = _settled(stack, besides, tell)  # What the ended patch restarted comes back by itself.
    before, ill = pending(cluster), _troubles(cluster, besides)

    def well() -> None:
        if ill and not force:
            raise UsageError(f"patch: {'; '.join(ill)}; mend that first, or patch all the same with --force")

    notes: list[str] = []
    if outputs.kind == "managed":
        load = _managed(stack, outputs, client, well, tell)
    elif _due(cluster, skip) or left:
        well()
        load, notes = _self_managed(stack, outputs, client, skip, tell)
    else:
        load = None
    if load is None:
        return Patched(stack.name, before, before, None, tuple(_troubles(cluster, skip)))
    cluster = _settled(stack, {*skip, *map(_name, ill)}, tell)
    after, troubles = pending(cluster), _troubles(cluster, skip)
    if outputs.kind == "managed":
        behind = (name for name, cells in cluster.nodes.items() if cells[PENDING_UPDATES].state != "good")
        troubles += [f"{stack.name}: {name}: not patched, {after[name]}" for name in behind]
    return Patched(stack.name, before, after, load, tuple(troubles), tuple(notes))


def pending(cluster: Cluster) -> dict[str, str]:
    """Node -> its release and its pending updates, as compare shows them."""
    return {
        name: f"{cells['image release'].value}, pending: {cells[PENDING_UPDATES].value}"
        for name, cells in cluster.nodes.items()
    }


def _check(outputs: StackOutputs, skip: Collection[str]) -> None:
    """Raises UsageError for machines that cannot be skipped."""
    if skip and outputs.kind == "managed":
        raise UsageError("patch: --skip is for self-managed stacks: EKS chooses the order of its nodes")
    names = [machine.name for machine in outputs.machines]
    if unknown := sorted({*skip} - {*names}):
        raise UsageError(f"patch: --skip {', '.join(unknown)}: no such machine; there are {', '.join(names)}")
    if skip and not any(each.role == "control-plane" and each.name not in skip for each in outputs.machines):
        raise UsageError("patch: --skip: one control plane must stay: patch asks the cluster from there")


def _due(cluster: Cluster, skip: Collection[str]) -> bool:
    for each in cluster.certificates:
        ours = each.machine not in {"", *skip} and each.certificate.name.startswith("/etc/kubernetes/")
        if ours and not each.certificate.authority and each.days is not None and each.days < RENEWED:
            return True
    return any(
        cells[PENDING_UPDATES].state != "good" or name in cluster.cordoned
        for name, cells in cluster.nodes.items()
        if name not in skip
    )


def _troubles(cluster: Cluster, besides: Collection[str]) -> list[str]:
    """Returns what compare says does not work, but for the nodes or components in `besides`."""
    return [line for line in cluster.troubles() if _name(line) not in besides]


def _name(trouble: str) -> str:
    """Returns the node or component that a line of compare is about: "STACK: NAME: ..."."""
    return trouble.split(": ")[1]


def _left_behind(client: ApiClient) -> dict[str, str] | str:
    """Returns the nodes that a patch works on, or did when it was ended, and their states; why they are not known."""
    try:
        nodes = json.loads(get(client, "/api/v1/nodes"))["items"]
    except Unanswered as error:
        return str(error)
    states = {}
    for node in nodes:
        if MARK in node["metadata"].get("annotations", {}) and node["spec"].get("unschedulable"):
            ready = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
            states[node["metadata"]["name"]] = "cordoned" if ready else "cordoned and not Ready"
    return states


def _self_managed(
    stack: Stack, outputs: StackOutputs, client: ApiClient, skip: Collection[str], tell: Tell
) -> tuple[Measured, list[str]]:
    """Cordon, drain, update, reboot, uncordon, node by node, by the playbook. Returns the load and the notes."""
    from twinplane import ansible  # loads ansible-runner: only where it runs

    request = login(outputs)
    request["machines"] = [machine for machine in request["machines"] if machine["name"] not in skip]
    with _load(outputs, client) as load:
        result = ansible.run("patch", request, tell, environment=stack.environment)
    if result.ok:
        return load.measured(), result.notes
    reasons = "; ".join(result.failures) or "the playbook failed"
    again = "" if "run it again" in reasons else "; when that is mended, run it again"
    raise Failed(f"patch: {reasons}; {_state(_left_behind(client))}{again} ({load.measured()})")


def _state(left: dict[str, str] | str) -> str:
    """Returns in what state a patch that failed leaves the nodes, and the command that opens them."""
    if isinstance(left, str):
        return f"the API does not say whether a node is left cordoned ({left}): `kubectl get nodes` will"
    if not left:
        return "no node is left cordoned by it"
    return "; ".join(f"{name} is left {state}, `kubectl uncordon {name}` opens it" for name, state in left.items())


def _settled(stack: Stack, besides: Collection[str], tell: Tell) -> Cluster:
    """Looks until compare finds no trouble, but for what was there before, or the time is over. Returns that look."""
    end, said = time.monotonic() + SETTLING, tell
    tell("looking at the nodes again")
    while True:
        cluster = look(stack.name, stack.outputs(), stack.environment, said)
        troubles, remaining = _troubles(cluster, besides), end - time.monotonic()
        if not troubles or remaining < 0:
            return cluster
        tell(f"waiting for {'; '.join(troubles)} ({remaining:.0f} s left)")
        said = _silent  # The same lines at every look tell nothing.
        time.sleep(3)


def _silent(_: str) -> None: ...


def _managed(
    stack: Stack, outputs: StackOutputs, client: ApiClient, well: Callable[[], None], tell: Tell
) -> Measured | None:
    """Raises the node group's release in the stack's config, and lets `pulumi up` do the rest. None when newest."""
    if outputs.node_mode == "auto":
        raise UsageError(
            "patch: nodeMode is auto: EKS patches the nodes by itself, within 21 days of their start at most"
        )
    access = Access(outputs, client, stack.environment, tell)
    group = node_group.probe(outputs.cluster_name, outputs.node_group_name or "").ask(access)
    if group.fact is None:
        raise Failed(f"patch: {group.question}: {group.error}")
    newest = recommended_release.probe(outputs.kubernetes_version, group.fact.ami_type).ask(access)
    if newest.fact is None:
        raise Failed(f"patch: {newest.question}: {newest.error}")
    if group.fact.release_version == newest.fact == outputs.node_release_version and group.fact.status == "ACTIVE":
        return None
    if group.fact.status != "UPDATING":  # Nodes that come and go are no trouble of an update in progress.
        well()
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
    port = outputs.sample_app.node_port
    return Load(lambda: open_nodes(client), http_get(port), lambda: app_state(client, outputs.sample_app))

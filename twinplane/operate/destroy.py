"""Destroy a stack, also where its cluster is gone already: then nothing in it can be deleted, and nothing has to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from kubernetes.client import ApiClient

from twinplane import lock
from twinplane.compare.probes import eks_cluster, instances
from twinplane.console import Tell
from twinplane.errors import UsageError
from twinplane.live import tunnel
from twinplane.live.kubernetes import get, kubernetes_client
from twinplane.live.unanswered import Unanswered
from twinplane.operate import leftovers, orphans, protection, strays
from twinplane.operate.balanced import balanced
from twinplane.outputs import SampleApp, StackOutputs
from twinplane.questions import Access, Call
from twinplane.stack import Stack

#: Makes the kubernetes provider forget what it cannot reach, on delete and on refresh
#: (https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/). For good it would be wrong: a
#: refresh while the API server is away would forget a living workload.
FORGET = "PULUMI_K8S_DELETE_UNREACHABLE"


def destroy(stack: Stack, tell: Tell) -> None:
    """Removes everything that the stack made, and looks whether AWS has something left of it. Raises UsageError before
    anything is deleted, Failed later; run it again, it goes on."""
    try:
        outputs = stack.outputs()
    except UsageError:  # never fully up: what is in the cluster, if anything, is deleted as usual
        outputs = unfinished(stack)
    access = Access(outputs, ApiClient(), stack.environment, tell)
    if outputs.account:
        check_account(outputs, access)
        # The machines are reset late, when most is deleted: said before, it costs nobody half a stack.
        tunnel.options([machine.export() for machine in outputs.machines], stack.environment)
        if not gone(outputs, access):
            check_lock(outputs, stack.environment)
            balancers(outputs, access)
        else:
            tell(f"{stack.name}: AWS has no control plane of it any more: what was in the cluster went with it")
            orphans.delete(outputs, access)
            stack = replace(stack, environment={**stack.environment, FORGET: "true"})
    strays.end(stack, outputs, access)
    protection.lift(stack, tell)
    stack.destroy(tell)
    if outputs.kind == "managed":
        leftovers.end_logs(outputs.cluster_name, access)
    leftovers.check(stack.project, stack.name, outputs.cluster_name, access)


def unfinished(stack: Stack) -> StackOutputs:
    """Returns what is known of a stack that exports nothing: its kind, its cluster's name and its region."""
    config, environment = stack.config, stack.environment
    region = config.get("aws:region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return StackOutputs(
        kind="self-managed" if config.get(f"{stack.project}:kind") == "self-managed" else "managed",
        cluster_name=f"{stack.project}-{stack.name}",
        account="",
        region=str(region or ""),
        vpc_id="",
        kubernetes_version="",
        api_endpoint="",
        kubeconfig="",
        sample_app=SampleApp("", "", "", 0),
    )


def check_account(outputs: StackOutputs, access: Access) -> None:
    """Raises UsageError where the credentials are of another account: there, everything looks gone."""
    try:
        account = str(access.answer(Call("sts", "get_caller_identity"))["Account"])
    except Unanswered:
        return  # nor does AWS say that anything is gone
    if account != outputs.account:
        raise UsageError(
            f"stack {outputs.cluster_name} is in account {outputs.account}, and the AWS credentials are of {account}: "
            "set AWS_PROFILE, or the keys, of that account"
        )


def check_lock(outputs: StackOutputs, environment: Mapping[str, str]) -> None:
    """Raises UsageError while another verb changes the machines: their reset would refuse too, but late."""
    if not outputs.machines:
        return
    try:
        lease = json.loads(get(kubernetes_client(outputs.kubeconfig, environment), lock.PATH))
    except (Unanswered, UsageError):
        return  # there is no such lock, or nobody who keeps it
    if alive := lock.holder(lease.get("spec") or {}):
        raise UsageError(f"destroy: {alive}")


def balancers(outputs: StackOutputs, access: Access) -> None:
    """Deletes load balancers that an earlier cluster of this name has left. Raises UsageError where others have some by
    this one: they would stay behind, and the network with them."""
    try:
        found = balanced(kubernetes_client(outputs.kubeconfig, access.environment))
    except (Unanswered, UsageError) as error:
        access.tell(f"the cluster does not say who has load balancers: {error}")
        return
    if others := [str(each) for each in found if each.namespace != outputs.sample_app.namespace]:
        raise UsageError(
            f"destroy: {', '.join(others)}: of others, with a load balancer that would stay behind: delete them first"
        )
    orphans.delete(outputs, access, {address for each in found for address in each.addresses})


def gone(outputs: StackOutputs, access: Access) -> bool:
    """True where AWS says that the cluster's control plane does not exist. False where it says nothing."""
    if outputs.kind == "managed":
        return eks_cluster.probe(outputs.cluster_name).ask(access).error.startswith("ResourceNotFoundException:")
    found = instances.probe().ask(access).fact
    ours = {machine.instance_id for machine in outputs.machines if machine.role == "control-plane"}
    return found is not None and not ours & {instance.id for instance in found}

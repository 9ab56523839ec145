"""The comparison: probes -> facts -> differences -> report. Evidence from live systems only."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from twinplane.compare.differences import Cluster, Comparison
from twinplane.compare.observe import observe
from twinplane.console import Tell
from twinplane.errors import UsageError
from twinplane.live.kubernetes import kubernetes_client
from twinplane.outputs import StackOutputs
from twinplane.questions import Access
from twinplane.stack import Stack

__all__ = ["Cluster", "Comparison", "compare", "look"]


def look(stack: str, outputs: StackOutputs, environment: Mapping[str, str], tell: Tell) -> Cluster:
    """Probes one live cluster and draws the conclusions."""
    client = kubernetes_client(outputs.kubeconfig, environment)
    return Cluster.from_observed(observe(stack, outputs, Access(outputs, client, environment, tell)))


def compare(managed: Stack, self_managed: Stack, tell: Tell) -> Comparison:
    """Probes both clusters at once. Raises UsageError for two stacks of one kind, or in the wrong order."""
    stacks = (managed, self_managed)
    with ThreadPoolExecutor(len(stacks)) as pool:
        outputs = list(pool.map(Stack.outputs, stacks))
        for stack, out, kind in zip(stacks, outputs, ("managed", "self-managed"), strict=True):
            if out.kind != kind:
                order = "name a managed stack, then a self-managed one"
                raise UsageError(f"compare: stack {stack.name} is {out.kind}, not {kind}; {order}")
        looks = pool.map(lambda stack, out: look(stack.name, out, stack.environment, tell), stacks, outputs)
        return Comparison(*looks)

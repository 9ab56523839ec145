"""Before a destroy: the end of what the stack's state does not know, and what it stands in could not go before."""

from __future__ import annotations

from functools import partial

from twinplane import strays
from twinplane.console import Tell
from twinplane.errors import Failed, UsageError
from twinplane.live import aws_call
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import StackOutputs
from twinplane.stack import Stack


def end(stack: Stack, outputs: StackOutputs, tell: Tell) -> None:
    """Ends what carries the stack's tags, as an update that was killed leaves it. Raises UsageError, before anything
    ends, for node groups of others, and Failed."""
    known, ask = stack.known(), partial(aws_call.call, stack.environment, outputs.region)
    # Of the state, not of the outputs: a stack that was never fully up has none.
    vpcs = tuple(str(each["id"]) for each in stack.resources() if each["type"] == "aws:ec2/vpc:Vpc")
    place = strays.Place(vpcs, outputs.cluster_name)
    found: set[str] = set()
    try:
        for kind in (*strays.FIRST[outputs.kind], *strays.THEN[outputs.kind]) if vpcs else ():
            unknown = {name: thing for name, thing in kind.look(ask, place).items() if name not in known}
            own = strays.own(unknown, stack.project, stack.name)
            if kind is strays.NODE_GROUPS and (others := sorted(strays.alive(unknown) - own)):
                raise UsageError(
                    f"destroy: node group {', '.join(others)} of others is in cluster {outputs.cluster_name}, which "
                    "EKS keeps for it: delete it first, aws eks delete-nodegroup"
                )
            found |= own
        strays.end(ask, place, found, tell)
    except (Unanswered, Failed) as error:
        raise Failed(f"destroy: what the state of {stack.name} does not know: {error}") from None

"""Before a destroy: the end of what the stack's state does not know, and what it stands in could not go before."""

from __future__ import annotations

from functools import partial

from stacks.outputs import StackOutputs
from twinplane import aws_call, strays
from twinplane.aws_call import Unanswered
from twinplane.errors import Failed, UsageError
from twinplane.screen import Tell
from twinplane.stack import Stack


def end(stack: Stack, outputs: StackOutputs, tell: Tell) -> None:
    """Ends what carries the stack's tags, as an update that was killed leaves it. Raises UsageError, before anything
    ends, for node groups of others, and Failed."""
    known, ask = stack.known(), partial(aws_call.call, stack.environment, outputs.region)
    place = strays.Place((outputs.vpc_id,) if outputs.vpc_id else (), outputs.cluster_name)
    found: set[str] = set()
    try:
        for kind in (*strays.FIRST[outputs.kind], *strays.THEN[outputs.kind]):
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

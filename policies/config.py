"""The pack's own config (`--policy-pack-config`): a name that no guard has is an error, as the engine ignores it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import grpc
from pulumi_policy import policy as runtime

#: What stands for every guard.
EVERY = "all"


def mistakes(config: Mapping[str, Any], names: Collection[str]) -> Iterator[str]:
    """Yields a sentence for each entry of the config that would do nothing. Guards have levels, and no settings."""
    for name, entry in config.items():
        if name not in {*names, EVERY}:
            near = difflib.get_close_matches(name, names, n=1)
            yield f"{name}: no such guard; " + (f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}")
        elif settings := list(entry.properties):
            yield f"{name}: {', '.join(settings)}: a guard has no such setting, an enforcementLevel alone"


def check(names: Collection[str]) -> None:
    """Makes the pack's server refuse a config with mistakes, before any resource is looked at."""
    servicer = runtime._PolicyAnalyzerServicer
    accept: Callable[..., Any] = servicer.Configure

    def configure(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        if found := list(mistakes(request.policyConfig, names)):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "policy pack config: " + "; ".join(found))
        return accept(self, request, context)

    servicer.Configure = configure  # type: ignore[method-assign]

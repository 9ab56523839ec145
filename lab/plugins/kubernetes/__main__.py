"""Serves the kubernetes provider to the engine whose address is the last argument."""

import asyncio
import sys
from typing import Any

import grpc

from lab.plugins.kubernetes.provider import Kubernetes
from lab.plugins.kubernetes.settings import other_cluster
from lab.plugins.protocol import provider_pb2, provider_pb2_grpc
from lab.plugins.provider import Servicer
from lab.plugins.serving import Log, serve
from lab.plugins.values import from_struct, reveal
from twinplane.errors import Failed, UsageError


class KubernetesServicer(Servicer):
    """The calls that other providers do not need: a change of cluster, and components."""

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        old, new = reveal(from_struct(request.old_inputs or request.olds)), reveal(from_struct(request.news))
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        kinds = provider_pb2.DiffResponse
        return kinds(
            changes=kinds.DIFF_SOME if changed else kinds.DIFF_NONE,
            diffs=changed,
            replaces=changed if other_cluster(old, new) else [],
        )

    def Construct(self, request: Any, context: Any) -> Any:
        from lab.plugins.kubernetes.yaml import COMPONENTS  # imports the SDK's own server: 0.2 s when it is needed

        if request.type not in COMPONENTS:
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED, f"{request.type}: the lab's kubernetes plugin does not have it"
            )
        try:
            return asyncio.run(COMPONENTS[request.type](request, sys.argv[-1]))
        except (UsageError, Failed) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))


def main() -> None:
    provider = Kubernetes(Log(sys.argv[-1]))
    servicer = KubernetesServicer(provider)
    serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server),
        provider.cancel,
        provider.threads,
    )


if __name__ == "__main__":
    main()

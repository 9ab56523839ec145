"""Serves the kubernetes provider to the engine whose address is the last argument."""

import subprocess
import sys
from typing import Any

import grpc

from lab.plugins import LAUNCH
from lab.plugins.kubernetes.provider import Kubernetes
from lab.plugins.kubernetes.settings import other_cluster
from lab.plugins.protocol import provider_pb2, provider_pb2_grpc
from lab.plugins.resource_service import Servicer
from lab.plugins.server import Log, serve
from lab.plugins.values import from_struct, reveal


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
        # In a process of its own: the SDK that registers the children keeps one engine connection a process, and
        # importing it would double the start of every plugin that only makes objects.
        argv = [
            sys.executable,
            "-P",
            str(LAUNCH),
            "lab.plugins.kubernetes.construct",
            sys.argv[-1],
        ]
        done = subprocess.run(argv, input=request.SerializeToString(), capture_output=True, check=False)
        if done.returncode:
            lines = done.stderr.decode().strip().splitlines() or ["no reason given"]
            context.abort(grpc.StatusCode.UNKNOWN, lines[-1])
        return provider_pb2.ConstructResponse.FromString(done.stdout)


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

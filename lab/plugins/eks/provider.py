"""The engine's side of the components."""

import asyncio
import os
import signal
import sys
import threading
from typing import Any

import grpc
import grpc.aio
import pulumi
import pulumi.provider
from pulumi.errors import InputPropertiesError
from pulumi.provider.server import ProviderServicer

from lab.plugins.eks.cluster import TOKEN as CLUSTER
from lab.plugins.eks.cluster import Cluster
from lab.plugins.eks.node_group import TOKEN as NODE_GROUP
from lab.plugins.eks.node_group import ManagedNodeGroup
from lab.plugins.eks.resources import package_version, register_references
from lab.plugins.protocol import CHANNEL_OPTIONS, provider_pb2_grpc
from lab.plugins.server import engine_gone

COMPONENTS: dict[str, type[Cluster] | type[ManagedNodeGroup]] = {CLUSTER: Cluster, NODE_GROUP: ManagedNodeGroup}


class Eks(pulumi.provider.Provider):
    """Makes the components of COMPONENTS."""

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> pulumi.provider.ConstructResult:
        kind = COMPONENTS.get(resource_type)
        if kind is None:
            raise pulumi.RunError(f"{resource_type} is no component that the lab's eks plugin knows")
        component: Cluster | ManagedNodeGroup = kind(name, inputs, options or pulumi.ResourceOptions())
        return pulumi.provider.ConstructResult(component.urn, component.state)


class Servicer(ProviderServicer):
    """The SDK's own, but for errors: the cause in one line, without the SDK's frames and values around it."""

    async def Construct(self, request: Any, context: Any) -> Any:
        try:
            return await self._construct(request, context)
        except InputPropertiesError as error:
            await context.abort_with_status(self.create_grpc_invalid_properties_status(error.message, error.errors))
        except Exception as error:
            await context.abort(grpc.StatusCode.UNKNOWN, cause(error))


def cause(error: BaseException) -> str:
    """The first error of a chain, in one line; with its kind where the message alone would not tell."""
    while previous := error.__cause__ or error.__context__:
        error = previous
    plain = isinstance(error, TimeoutError | pulumi.RunError)
    return str(error) if plain else f"{type(error).__name__}: {error}"


async def serve(engine: str) -> None:
    """Serves on a free loopback port, which the first line of output tells the engine."""
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    servicer = Servicer(Eks(package_version("eks") or "0.0.0"), [], engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def main() -> None:
    """Serves the engine whose address is the last argument, until it says so or is gone."""
    register_references()
    leave = threading.Event()
    threading.Thread(target=engine_gone, args=(leave,), daemon=True).start()
    threading.Thread(target=lambda: (leave.wait(), os._exit(0)), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    asyncio.run(serve(sys.argv[-1]))

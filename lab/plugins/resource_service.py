"""The engine's gRPC calls on a `Provider`."""

import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf import any_pb2, empty_pb2

from lab.plugins.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from lab.plugins.provider import Change, Invalid, PartialFailure, Provider, ProviderError, Resource
from lab.plugins.server import Log, serve
from lab.plugins.values import from_struct, to_struct


def main(provider: Callable[[Log], Provider]) -> None:
    """Serves `provider` to the engine whose address is the last argument."""
    instance = provider(Log(sys.argv[-1]))
    servicer = Servicer(instance)
    serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server),
        instance.cancel,
        instance.threads,
    )


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The engine's gRPC calls on one `Provider`. Method names and messages are the protocol's."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        secrets = self.provider.accept_secrets
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=secrets)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        return plugin_pb2.PluginInfo(version=self.provider.version)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        self.provider.cancel()
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return _checked(context, lambda: self.provider.check_config(from_struct(request.news)))

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        # Credentials and endpoints may move; a resource never has to be replaced for that.
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_UNKNOWN)

    def Configure(self, request: Any, context: Any) -> Any:
        with _Errors(context, "configure"):
            self.provider.configure(from_struct(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=self.provider.accept_secrets, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        resource, old, new = Resource.of(request.urn), from_struct(request.olds), from_struct(request.news)
        return _checked(context, lambda: self.provider.check(resource, old, new, request.randomSeed))

    def Diff(self, request: Any, context: Any) -> Any:
        change = _change(request, request.news, request.olds)
        with _Errors(context, "diff"):
            diff = self.provider.diff(change)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if diff.changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=diff.changed,
            replaces=diff.replaces,
            deleteBeforeReplace=diff.delete_first,
            detailedDiff={path: _leaf(kind, path in diff.replaces) for path, kind in diff.leaves.items()},
            hasDetailedDiff=bool(diff.leaves),
        )

    def Create(self, request: Any, context: Any) -> Any:
        change = Change(
            Resource.of(request.urn),
            inputs=from_struct(request.properties),
            preview=request.preview,
            timeout=request.timeout,
        )
        with _Errors(context, "create"):
            resource_id, outputs = self.provider.create(change)
        return provider_pb2.CreateResponse(id=resource_id, properties=to_struct(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        change = Change(
            Resource.of(request.urn),
            request.id,
            old_inputs=from_struct(request.inputs),
            state=from_struct(request.properties),
        )
        with _Errors(context, "read"):
            live = self.provider.read(change)
        if live is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = live
        return provider_pb2.ReadResponse(id=request.id, inputs=to_struct(inputs), properties=to_struct(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        change = _change(request, request.news, request.olds, preview=request.preview, timeout=request.timeout)
        with _Errors(context, "update"):
            outputs = self.provider.update(change)
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        change = _change(request, None, request.properties, timeout=request.timeout)
        with _Errors(context, "delete"):
            self.provider.delete(change)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        response = provider_pb2.InvokeResponse()
        with _Errors(context, "invoke"):
            try:
                result = self.provider.invoke(request.tok, from_struct(request.args))
                getattr(response, "return").CopyFrom(to_struct(result))
            except Invalid as error:
                response.failures.extend(_failures(error))
        return response


def _leaf(kind: str, replaces: bool) -> Any:
    name = f"{kind.upper()}_REPLACE" if replaces else kind.upper()
    return provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(name), inputDiff=True)


def _change(request: Any, news: Any, olds: Any, *, preview: bool = False, timeout: float = 0) -> Change:
    return Change(
        Resource.of(request.urn),
        request.id,
        from_struct(news) if news is not None else {},
        from_struct(request.old_inputs),
        from_struct(olds),
        preview,
        timeout,
    )


def _checked(context: Any, check: Callable[[], Mapping[str, Any]]) -> Any:
    with _Errors(context, "check"):
        try:
            return provider_pb2.CheckResponse(inputs=to_struct(check()))
        except Invalid as error:
            return provider_pb2.CheckResponse(failures=_failures(error))


def _failures(error: Invalid) -> list[Any]:
    return [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in error.failures]


class _Status(NamedTuple):
    """What grpc.ServicerContext.abort_with_status reads."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


class _Errors:
    """Turns what a call raised into the engine's error, in one line; a fault of ours is told with its place."""

    def __init__(self, context: Any, call: str) -> None:
        self.context, self.call = context, call

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        if isinstance(error, PartialFailure):
            failed = provider_pb2.ErrorResourceInitFailed(
                id=error.id,
                properties=to_struct(error.state),
                reasons=[error.reason],
                inputs=None if error.inputs is None else to_struct(error.inputs),
            )
            detail = any_pb2.Any()
            detail.Pack(failed)
            code = grpc.StatusCode.UNKNOWN
            status = status_pb2.Status(code=code.value[0], message=error.reason, details=[detail])
            binary = ("grpc-status-details-bin", status.SerializeToString())
            self.context.abort_with_status(_Status(code, error.reason, (binary,)))
        if isinstance(error, ProviderError | Invalid):
            self.context.abort(grpc.StatusCode.UNKNOWN, str(error))
        last = traceback.extract_tb(trace)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        self.context.abort(grpc.StatusCode.INTERNAL, f"{self.call}: {type(error).__name__} at {place}: {error}")

"""The one cluster that a configured provider talks to, asked for only when something needs it."""

import threading
from collections.abc import Callable

from lab.errors import UsageError
from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.client import ApiError, Client, NoKind, settle
from lab.plugins.kubernetes.kubeconfig import Connection, Unreachable, active, load
from lab.plugins.kubernetes.settings import Settings
from lab.plugins.provider import ProviderError


class Cluster:
    """Connects once. That it is unreachable is remembered too, so that many resources do not wait one after another."""

    def __init__(self, settings: Settings, stopped: Callable[[], bool]) -> None:
        self._settings = settings
        self._stopped = stopped
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._unreachable: tuple[Unreachable, float] | None = None

    def client(self, patience: float = 0) -> Client:
        """Raises Unreachable after trying for `patience` seconds, ProviderError for a kubeconfig that is wrong."""
        with self._lock:
            if self._client:
                return self._client
            if self._unreachable and self._unreachable[1] >= patience:
                raise self._unreachable[0]
            try:
                self._client = settle(self._connect, self._stopped, patience)
            except Unreachable as error:
                self._unreachable = (error, patience)
                raise
            return self._client

    def _connect(self) -> Client:
        settings = self._settings
        try:
            client = Client(Connection.open(load(settings.kubeconfig), settings.context, settings.cluster))
        except (UsageError, OSError, ValueError) as error:
            raise ProviderError(f"kubeconfig: {error}") from None
        client.request("GET", "/version")
        return client

    def namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of the kind live in namespaces. A kind that nobody knows yet is taken to."""
        if objects.group(api_version) in objects.BUILT_IN:
            return kind not in objects.CLUSTER_SCOPED
        try:
            return self.client().resource(api_version, kind).namespaced
        except (Unreachable, NoKind, ApiError):
            return True

    def namespace(self) -> str:
        """Where objects go that name no namespace: the provider's, else the context's, else `default`."""
        if self._settings.namespace:
            return self._settings.namespace
        try:
            chosen = active(load(self._settings.kubeconfig), self._settings.context, self._settings.cluster)
        except (UsageError, Unreachable):
            return "default"
        return str(chosen["context"].get("namespace") or "default")

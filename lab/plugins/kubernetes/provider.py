"""Kubernetes objects as Pulumi resources: any apiVersion and kind, by server-side apply."""

import threading
from typing import Any, NoReturn

from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.changes import compare, drifted, immutable, merge_patch
from lab.plugins.kubernetes.client import ApiError, Client, NoKind, Object, settle
from lab.plugins.kubernetes.kubeconfig import Connection, Unreachable, load
from lab.plugins.kubernetes.settings import Settings, problems
from lab.plugins.kubernetes.wait_for import rule as custom_rule
from lab.plugins.kubernetes.waiting import NotReady, Waiter
from lab.plugins.provider import Change, Diff, Invalid, PartialFailure, Provider, ProviderError, Resource
from lab.plugins.serving import Log
from lab.plugins.values import Secret, Values, known, reveal
from twinplane.errors import UsageError

_GONE_HINT = "if the cluster was deleted, set PULUMI_K8S_DELETE_UNREACHABLE=true and run this again"
#: How long the first contact is tried when something must be made: a new control plane may still be starting.
_PATIENCE = 20.0


class Kubernetes(Provider):
    """One configured provider: one cluster."""

    version = "4.34.2"
    accept_secrets = True

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.settings = Settings()
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._unreachable: tuple[Unreachable, float] | None = None

    # Configuration

    def check_config(self, config: Values) -> Values:
        """Raises Invalid for unknown inputs and for text that is no kubeconfig."""
        if found := problems(config):
            raise Invalid(found)
        return config

    def configure(self, config: Values) -> None:
        """Keeps the settings; the cluster is asked when something needs it."""
        self.settings = Settings.of(config)

    def client(self, patience: float = 0) -> Client:
        """The cluster's client, made once. Raises Unreachable, at once when an earlier call found it so."""
        with self._lock:
            if self._client:
                return self._client
            if self._unreachable and self._unreachable[1] >= patience:
                raise self._unreachable[0]
            try:
                self._client = settle(self._connect, self.cancelled.is_set, patience)
            except Unreachable as error:
                self._unreachable = (error, patience)
                raise
            return self._client

    def _connect(self) -> Client:
        settings = self.settings
        try:
            client = Client(Connection.open(load(settings.kubeconfig), settings.context, settings.cluster))
        except (UsageError, OSError, ValueError) as error:
            raise ProviderError(f"kubeconfig: {error}") from None
        client.request("GET", "/version")
        return client

    # Check and diff

    def check(self, resource: Resource, old: Values, new: Values, seed: bytes) -> Values:
        """The inputs with apiVersion, kind, name and namespace filled in."""
        api_version, kind, _ = _type(resource)
        inputs = {"apiVersion": api_version, "kind": kind, **new}
        if reveal(inputs["kind"]) != kind:
            raise Invalid([("kind", f"is {reveal(inputs['kind'])}, but the resource is a {kind}")])
        meta = inputs.get("metadata") or {}
        inputs["metadata"] = meta.value if isinstance(meta, Secret) else meta
        if not isinstance(inputs["metadata"], dict):
            return inputs
        inputs = objects.named(inputs, reveal(old), resource.name, seed)
        meta = inputs["metadata"]
        if not self._namespaced(inputs["apiVersion"], kind):
            meta.pop("namespace", None)
        elif not meta.get("namespace"):
            meta["namespace"] = self._default_namespace()
        try:
            if isinstance(text := objects.annotations(inputs).get(objects.WAIT_FOR), str):
                custom_rule(text)
        except ValueError as error:
            raise Invalid([(f"metadata.annotations.{objects.WAIT_FOR}", str(error))]) from None
        return inputs

    def _namespaced(self, api_version: str, kind: str) -> bool:
        if objects.group(api_version) in objects.BUILT_IN:
            return kind not in objects.CLUSTER_SCOPED
        try:
            return self.client().resource(api_version, kind).namespaced
        except (Unreachable, NoKind, ApiError):
            return True  # Its definition is still to come; create puts it right.

    def _default_namespace(self) -> str:
        if self.settings.namespace:
            return self.settings.namespace
        with self._lock:
            return self._client.connection.namespace if self._client else _context_namespace(self.settings)

    def diff(self, change: Change) -> Diff:
        """Old inputs against new ones: what drifted in the cluster is in the old ones after a refresh."""
        old, new = reveal(change.old_inputs), reveal(change.inputs)
        if not self._namespaced(new["apiVersion"], new["kind"]):
            old["metadata"].pop("namespace", None)
        patch = _type(change.resource)[2]
        fixed = immutable("", "") if patch else immutable(new["apiVersion"], new["kind"], mutable=self.settings.mutable)
        changes = compare(objects.without_read_only(old), objects.without_read_only(new), fixed)
        replaces = [each.name for each in changes if each.replace]
        meta, was = new["metadata"], reveal(change.state)["metadata"]
        same_place = all(meta.get(part) == was.get(part) for part in ("name", "namespace"))
        return Diff(
            changed=list(dict.fromkeys(str(each.path[0]) for each in changes)),
            replaces=replaces,
            delete_first=bool(replaces) and same_place and not objects.flag(new, objects.AUTONAMED),
        )

    # Create, update, read, delete

    def create(self, change: Change) -> tuple[str, Values]:
        """Applies the object and waits until it is ready."""
        manager = self._manager(change)
        if change.preview:
            return "", self._previewed(change, manager)
        body = reveal(change.inputs)
        with _Told(body):
            client = self.client(_PATIENCE)
            live = settle(lambda: self._make(client, change, body, manager), self.cancelled.is_set)
        return objects.identity(live), self._when_ready(change, live, manager)

    def update(self, change: Change) -> Values:
        """Applies the new inputs and waits until the object is ready."""
        manager = self._manager(change)
        if change.preview:
            return self._previewed(change, manager)
        body = reveal(change.inputs)
        with _Told(body):
            client = self.client(_PATIENCE)
            live = settle(lambda: self._change(client, change, body, manager), self.cancelled.is_set)
        return self._when_ready(change, live, manager)

    def read(self, change: Change) -> tuple[Values, Values] | None:
        """The live object, and the inputs with whatever drifted."""
        api_version, kind, _ = _type(change.resource)
        old, before = reveal(change.old_inputs), reveal(change.state)
        place = _placed(change.id, old.get("apiVersion") or before.get("apiVersion") or api_version, kind)
        try:
            client = self.client()
            live = client.get(client.locate(place))
        except NoKind:
            return None
        except Unreachable as error:
            if self.settings.delete_unreachable:
                self.log(change.resource.urn, f"cluster unreachable, leaving the state: {error}", "WARNING")
                return None
            if self.settings.skip_update_unreachable:
                return change.old_inputs, change.state
            raise ProviderError(f"{objects.title(place)}: cluster unreachable: {error}; {_GONE_HINT}") from None
        except ApiError as error:
            raise ProviderError(f"{objects.title(place)}: {error}") from None
        if live is None:
            return None
        outputs = self._outputs(live, change.old_inputs, before.get("__fieldManager") or self._manager(change))
        if not old:
            return objects.concealed(objects.without_read_only(live)), outputs
        moved = drifted(old, objects.with_string_data(before), objects.with_string_data(live)) if before else old
        inputs = objects.concealed(objects.conceal(moved, change.old_inputs))
        verdict = self._waiter(client, change).check(live)
        if not verdict.ready:
            raise PartialFailure(change.id, outputs, f"{objects.title(live)}: {verdict.reason}", inputs)
        return inputs, outputs

    def delete(self, change: Change) -> None:
        """Deletes the object and waits until it is absent; a patch resource only gives its fields up."""
        state = reveal(change.state)
        api_version, kind, patch = _type(change.resource)
        place = _placed(change.id, state.get("apiVersion") or api_version, kind)
        try:
            client = self.client()
        except Unreachable as error:
            if not self.settings.delete_unreachable:
                raise ProviderError(f"{objects.title(place)}: cluster unreachable: {error}; {_GONE_HINT}") from None
            self.log(change.resource.urn, f"cluster unreachable, forgetting the resource: {error}", "WARNING")
            return
        with _Told(place):
            try:
                live = client.get(client.locate(place))
            except NoKind:
                return
            if live is None:
                return
            if patch:
                client.apply(place, manager=self._manager(change))
                return
            policy = objects.annotations(state).get(objects.PROPAGATION, "Foreground").capitalize()
            settle(lambda: _remove(client, live, policy), self.cancelled.is_set)
            if objects.flag(state, objects.SKIP_AWAIT):
                return
            try:
                self._waiter(client, change).gone(live, change.timeout)
            except NotReady as error:
                raise ProviderError(f"{objects.title(place)}: {error}") from None

    # Their parts

    def _manager(self, change: Change) -> str:
        asked = objects.annotations(reveal(change.inputs)).get(objects.FIELD_MANAGER)
        if not self.settings.enable_server_side_apply:
            return "pulumi-kubernetes"
        return str(asked or change.state.get("__fieldManager") or objects.field_manager(change.resource.urn))

    def _force(self, body: Object) -> bool:
        if objects.PATCH_FORCE in objects.annotations(body):
            return objects.flag(body, objects.PATCH_FORCE)
        return self.settings.enable_patch_force

    def _make(self, client: Client, change: Change, body: Object, manager: str) -> Object:
        body = _fitting(client, body)
        if not body["metadata"].get("name"):
            path = client.resource(body["apiVersion"], body["kind"]).path(body["metadata"].get("namespace"))
            return dict(
                client.request("POST", path, body, query={"fieldManager": manager, "fieldValidation": "Strict"})
            )
        patch = _type(change.resource)[2]
        there = client.get(client.locate(body))
        if there and "deletionTimestamp" in there["metadata"] and not patch:
            self._waiter(client, change).gone(there, change.timeout)
            there = None
        if patch and not there:
            raise ProviderError(f"{objects.title(body)} does not exist, so there is nothing to patch")
        ours = there and objects.managed_by(there, manager)
        if there and not (ours or patch or self.settings.upsert_existing_objects):
            raise ProviderError(
                f"{objects.title(body)} already exists: import it (`pulumi import`), delete it, "
                "or set upsertExistingObjects on the provider to take it over"
            )
        if not self.settings.enable_server_side_apply and not there:
            path = client.locate(body).rpartition("/")[0]
            return dict(
                client.request("POST", path, body, query={"fieldManager": manager, "fieldValidation": "Strict"})
            )
        return client.apply(body, manager=manager, force=self._force(body))

    def _change(self, client: Client, change: Change, body: Object, manager: str) -> Object:
        body = _fitting(client, body)
        if self.settings.enable_server_side_apply:
            return client.apply(body, manager=manager, force=self._force(body))
        patch = merge_patch(_fitting(client, reveal(change.old_inputs)), body)
        path = client.locate(body)
        return dict(client.request("PATCH", path, patch, content_type="application/merge-patch+json"))

    def _previewed(self, change: Change, manager: str) -> Values:
        """What the API server would make of the inputs, by a dry run; the inputs as they are where it cannot say."""
        body = reveal(change.inputs)
        if not known(body) or not body["metadata"].get("name") or not self.settings.enable_server_side_apply:
            return change.inputs
        try:
            client = self.client()
            body = _fitting(client, body)
            if not change.state and client.get(client.locate(body)):
                return change.inputs  # Its predecessor of the same name is to go first.
            live = client.apply(body, manager=manager, force=self._force(body) or not change.state, dry_run=True)
        except (Unreachable, NoKind):
            return change.inputs
        except ApiError as error:
            if error.code not in (400, 409, 422) or "dry run" in str(error):
                return change.inputs
            _refused(body, error)
        if not change.state:
            live = objects.without_read_only(live)
        return self._outputs(live, change.inputs, manager)

    def _waiter(self, client: Client, change: Change) -> Waiter:
        urn = change.resource.urn
        return Waiter(client, lambda text: self.log(urn, text, ephemeral=True), self.cancelled.is_set)

    def _when_ready(self, change: Change, live: Object, manager: str) -> Values:
        """The outputs of the object once it is ready. Raises PartialFailure: it exists, but is not ready."""
        client = self.client()
        try:
            if not _type(change.resource)[2]:
                live = self._waiter(client, change).ready(live, change.timeout)
        except NotReady as error:
            reason = f"{objects.title(live)}: {error}"
            outputs = self._outputs(error.live, change.inputs, manager)
            raise PartialFailure(objects.identity(live), outputs, reason, change.inputs) from None
        except (ApiError, Unreachable) as error:
            outputs = self._outputs(live, change.inputs, manager)
            reason = f"{objects.title(live)}: {error}"
            raise PartialFailure(objects.identity(live), outputs, reason, change.inputs) from None
        return self._outputs(live, change.inputs, manager)

    def _outputs(self, live: Object, inputs: Values, manager: str) -> Values:
        state = {**live, "__fieldManager": manager, "__initialApiVersion": live["apiVersion"]}
        state["metadata"] = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
        if "stringData" in inputs and live["kind"] == "Secret":
            state["stringData"] = inputs["stringData"]
        return objects.concealed(dict(objects.conceal(state, inputs)))


class _Told:
    """Turns what the cluster answers about one object into one line that names it."""

    def __init__(self, obj: Object) -> None:
        self.obj = obj

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, ApiError):
            _refused(self.obj, error)
        if isinstance(error, Unreachable):
            raise ProviderError(f"{_title(self.obj)}: cluster unreachable: {error}") from None
        if isinstance(error, NoKind | NotReady):
            raise ProviderError(f"{_title(self.obj)}: {error}") from None


def _title(obj: Object) -> str:
    return objects.title(obj) if obj["metadata"].get("name") else str(obj["kind"])


def _refused(obj: Object, error: ApiError) -> NoReturn:
    hint = ""
    if error.code == 409 and "conflict" in str(error):
        hint = f'; to take the fields over, set the annotation {objects.PATCH_FORCE}: "true"'
    raise ProviderError(f"{_title(obj)}: {error}{hint}") from None


def _type(resource: Resource) -> tuple[str, str, bool]:
    api_version, kind, patch = objects.type_of(resource.type)
    if objects.group(api_version) == "helm.sh" or kind.endswith("List"):
        raise Invalid([("", f"{resource.type} is not a kind of object that this plugin can make")])
    return api_version, kind, patch


def _placed(identity: str, api_version: str, kind: str) -> Object:
    namespace, _, name = identity.rpartition("/")
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def _fitting(client: Client, body: Object) -> Object:
    """The body as the API server takes it: no read-only metadata, no namespace on what lives outside of them."""
    body = objects.without_read_only(body)
    if not client.resource(body["apiVersion"], body["kind"]).namespaced:
        body["metadata"].pop("namespace", None)
    return body


def _remove(client: Client, live: Object, policy: str) -> None:
    options = {"propagationPolicy": policy, "preconditions": {"uid": live["metadata"]["uid"]}}
    try:
        client.request("DELETE", client.locate(live), {"kind": "DeleteOptions", "apiVersion": "v1", **options})
    except ApiError as error:
        # Gone already, or a successor has its name: 409 is the uid that does not match.
        if error.code not in (404, 409):
            raise


def _context_namespace(settings: Settings) -> str:
    from lab.plugins.kubernetes.kubeconfig import active

    try:
        context = active(load(settings.kubeconfig), settings.context, settings.cluster)["context"]
    except (UsageError, Unreachable):
        return "default"
    return str(context.get("namespace") or "default")

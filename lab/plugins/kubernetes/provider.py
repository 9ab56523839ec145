"""Kubernetes objects as Pulumi resources: any apiVersion and kind, by server-side apply."""

from collections.abc import Callable

from lab.errors import UsageError
from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.changes import compare, drifted, immutable
from lab.plugins.kubernetes.client import ApiError, NoKind, Object, settle
from lab.plugins.kubernetes.cluster import Cluster
from lab.plugins.kubernetes.kubeconfig import Unreachable
from lab.plugins.kubernetes.manifest import decode, placed
from lab.plugins.kubernetes.operation import Operation, Told
from lab.plugins.kubernetes.settings import Settings, problems
from lab.plugins.kubernetes.wait_for import rule as custom_rule
from lab.plugins.kubernetes.waiting import NotReady, Waiter
from lab.plugins.provider import Change, Diff, Invalid, PartialFailure, Provider, ProviderError, Resource
from lab.plugins.server import Log
from lab.plugins.values import Secret, Values, known, reveal

_GONE_HINT = "if the cluster was deleted, set PULUMI_K8S_DELETE_UNREACHABLE=true and run this again"
#: Seconds that the first contact is tried for when something must be made: a new control plane may still be starting.
_PATIENCE = 20.0


class Kubernetes(Provider):
    """One configured provider: one cluster."""

    version = "4.34.2"
    accept_secrets = True

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.configure({})

    def check_config(self, config: Values) -> Values:
        """Raises Invalid for unknown inputs and for text that is no kubeconfig."""
        if found := problems(config):
            raise Invalid(found)
        return config

    def configure(self, config: Values) -> None:
        """Keeps the settings; the cluster is asked when something needs it."""
        self.settings = Settings.of(config)
        self.cluster = Cluster(self.settings, self.cancelled.is_set)

    def check(self, resource: Resource, old: Values, new: Values, seed: bytes) -> Values:
        """The inputs with apiVersion, kind, name and namespace filled in."""
        api_version, kind, _ = _type(resource)
        meta = new.get("metadata") or {}
        inputs = {"apiVersion": api_version, "kind": kind, **new}
        inputs["metadata"] = meta.value if isinstance(meta, Secret) else meta
        if reveal(inputs["kind"]) != kind:
            raise Invalid([("kind", f"is {reveal(inputs['kind'])}, but the resource is a {kind}")])
        if not isinstance(inputs["metadata"], dict):
            return inputs
        inputs = objects.named(inputs, reveal(old), resource.name, seed)
        meta = inputs["metadata"]
        if not self.cluster.namespaced(inputs["apiVersion"], kind):
            meta.pop("namespace", None)
        elif not meta.get("namespace"):
            meta["namespace"] = self.cluster.namespace()
        try:
            if isinstance(text := objects.annotations(inputs).get(objects.WAIT_FOR), str):
                custom_rule(text)
        except ValueError as error:
            raise Invalid([(f"metadata.annotations.{objects.WAIT_FOR}", str(error))]) from None
        return inputs

    def diff(self, change: Change) -> Diff:
        """Old inputs against new ones: what drifted in the cluster is in the old ones after a refresh."""
        old, new = reveal(change.old_inputs), reveal(change.inputs)
        if not self.cluster.namespaced(new["apiVersion"], new["kind"]):
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
            leaves={each.name: each.kind for each in changes},
        )

    def create(self, change: Change) -> tuple[str, Values]:
        """Applies the object and waits until it is ready."""
        if change.preview:
            return "", self._previewed(change)
        live, outputs = self._done(change, Operation.make)
        return objects.identity(live), outputs

    def update(self, change: Change) -> Values:
        """Applies the new inputs and waits until the object is ready."""
        return self._previewed(change) if change.preview else self._done(change, Operation.alter)[1]

    def read(self, change: Change) -> tuple[Values, Values] | None:
        """The live object, and the inputs with whatever drifted."""
        old, before = reveal(change.old_inputs), reveal(change.state)
        place = _placed(change, old.get("apiVersion") or before.get("apiVersion"))
        try:
            operation = self._operation(change)
            live = operation.client.get(operation.client.locate(place))
        except NoKind:
            return None
        except Unreachable as error:
            if self.settings.delete_unreachable:
                self.log(change.resource.urn, f"cluster unreachable, forgetting the resource: {error}", "WARNING")
                return None
            if self.settings.skip_update_unreachable:
                return change.old_inputs, change.state
            raise ProviderError(f"{objects.title(place)}: cluster unreachable: {error}; {_GONE_HINT}") from None
        except ApiError as error:
            raise ProviderError(f"{objects.title(place)}: {error}") from None
        if live is None:
            return None
        outputs = operation.outputs(live)
        if not old:
            return objects.concealed(objects.without_read_only(live)), outputs
        moved = drifted(old, objects.with_string_data(before), objects.with_string_data(live)) if before else old
        inputs = objects.concealed(objects.conceal(moved, change.old_inputs))
        verdict = operation.waiter.check(live)
        if not verdict.ready and not operation.patch:
            raise PartialFailure(change.id, outputs, f"{objects.title(live)}: {verdict.reason}", inputs)
        return inputs, outputs

    def delete(self, change: Change) -> None:
        """Deletes the object and waits until it is absent; a patch resource only gives its fields up."""
        state = reveal(change.state)
        place = _placed(change, state.get("apiVersion"))
        try:
            operation = self._operation(change)
        except Unreachable as error:
            if not self.settings.delete_unreachable:
                raise ProviderError(f"{objects.title(place)}: cluster unreachable: {error}; {_GONE_HINT}") from None
            self.log(change.resource.urn, f"cluster unreachable, forgetting the resource: {error}", "WARNING")
            return
        with Told(place):
            try:
                live = operation.client.get(operation.client.locate(place))
            except NoKind:
                return
            if live is None:
                return
            if operation.patch:
                operation.apply(place)
                return
            settle(lambda: operation.remove(live), self.cancelled.is_set)
            if not objects.flag(state, objects.SKIP_AWAIT):
                operation.waiter.gone(live, change.timeout)

    def invoke(self, token: str, args: Values) -> Values:
        """`kubernetes:yaml:decode` {text, defaultNamespace} -> {result: [objects]}."""
        if token != "kubernetes:yaml:decode":
            raise Invalid([("", f"{token}: the lab's kubernetes plugin does not have it")])
        try:
            found = decode(reveal(args)["text"], "yaml:decode")
        except UsageError as error:
            raise Invalid([("text", str(error))]) from None
        return {"result": [placed(obj, reveal(args).get("defaultNamespace") or "default") for obj in found]}

    def _operation(self, change: Change, patience: float = 0) -> Operation:
        """Raises Unreachable."""
        urn, asked = change.resource.urn, objects.annotations(reveal(change.inputs)).get(objects.FIELD_MANAGER)
        manager = asked or change.state.get("__fieldManager") or objects.field_manager(urn)
        if not self.settings.enable_server_side_apply:
            manager = "pulumi-kubernetes"
        client = self.cluster.client(patience)
        waiter = Waiter(client, lambda text: self.log(urn, text, ephemeral=True), self.cancelled.is_set)
        return Operation(self.settings, change, waiter, str(manager), _type(change.resource)[2])

    def _previewed(self, change: Change) -> Values:
        """The API server's answer to a dry run, or the inputs as they are where it cannot say."""
        body = reveal(change.inputs)
        if not known(body) or not body["metadata"].get("name") or not self.settings.enable_server_side_apply:
            return change.inputs
        try:
            operation = self._operation(change)
        except Unreachable:
            return change.inputs
        live = operation.preview()
        return change.inputs if live is None else operation.outputs(live)

    def _done(self, change: Change, act: Callable[[Operation], Object]) -> tuple[Object, Values]:
        """The live object once it is ready, and the outputs. Raises PartialFailure: it exists, but is not ready."""
        with Told(reveal(change.inputs)):
            operation = self._operation(change, _PATIENCE)
            live = settle(lambda: act(operation), self.cancelled.is_set)
        try:
            if not operation.patch:
                live = operation.waiter.ready(live, change.timeout)
        except (NotReady, ApiError, Unreachable) as error:
            seen = error.live if isinstance(error, NotReady) else live
            reason = f"{objects.title(live)}: {error}"
            raise PartialFailure(objects.identity(live), operation.outputs(seen), reason, change.inputs) from None
        return live, operation.outputs(live)


def _type(resource: Resource) -> tuple[str, str, bool]:
    api_version, kind, patch = objects.type_of(resource.type)
    if objects.group(api_version) == "helm.sh" or kind.endswith("List"):
        raise Invalid([("", f"{resource.type} is not a kind of object that this plugin can make")])
    return api_version, kind, patch


def _placed(change: Change, api_version: str | None) -> Object:
    """The bare object that the resource's id and type stand for."""
    declared, kind, _ = _type(change.resource)
    namespace, _, name = change.id.rpartition("/")
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": api_version or declared, "kind": kind, "metadata": meta}

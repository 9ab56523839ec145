"""One create, update or delete of one object: the requests it takes."""

from dataclasses import dataclass
from typing import Any, NoReturn

from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.changes import merge_patch
from lab.plugins.kubernetes.client import ApiError, Client, NoKind, Object
from lab.plugins.kubernetes.kubeconfig import Unreachable
from lab.plugins.kubernetes.settings import Settings
from lab.plugins.kubernetes.waiting import NotReady, Waiter
from lab.plugins.provider import Change, ProviderError
from lab.plugins.values import Values, reveal


@dataclass(frozen=True)
class Operation:
    """`manager`: the field manager that owns what is applied. `patch`: the object belongs to someone else."""

    settings: Settings
    change: Change
    waiter: Waiter
    manager: str
    patch: bool

    @property
    def client(self) -> Client:
        return self.waiter.client

    @property
    def body(self) -> Object:
        """The new inputs as the API server takes them."""
        return self._fitting(reveal(self.change.inputs))

    def make(self) -> Object:
        """Creates the object. Raises ProviderError if it is there and not ours (of a run that was interrupted)."""
        body = self.body
        if not body["metadata"].get("name"):
            return self._post(body)
        there = self.client.get(self.client.locate(body))
        if self.patch and not there:
            raise ProviderError(f"{objects.title(body)} does not exist, so there is nothing to patch")
        if there and "deletionTimestamp" in there["metadata"] and not self.patch:
            self.waiter.gone(there, self.change.timeout)
            there = None
        ours = there and objects.managed_by(there, self.manager)
        if there and not (ours or self.patch or self.settings.upsert_existing_objects):
            raise ProviderError(
                f"{objects.title(body)} already exists: import it (`pulumi import`), delete it, "
                "or set upsertExistingObjects on the provider to take it over"
            )
        return self.apply(body) if self.settings.enable_server_side_apply or there else self._post(body)

    def alter(self) -> Object:
        """Updates the object."""
        body = self.body
        if self.settings.enable_server_side_apply:
            return self.apply(body)
        patch = merge_patch(self._fitting(reveal(self.change.old_inputs)), body)
        path = self.client.locate(body)
        return dict(self.client.request("PATCH", path, patch, content_type="application/merge-patch+json"))

    def preview(self) -> Object | None:
        """What the API server would make of the inputs, by a dry run. None where it cannot say.

        Raises ProviderError for what it would refuse.
        """
        creating = not self.change.state
        try:
            body = self.body
            if creating and self.client.get(self.client.locate(body)):
                return None  # A predecessor of the same name is to go first.
            live = self.apply(body, force=creating, dry_run=True)
        except (Unreachable, NoKind):
            return None
        except ApiError as error:
            if not error.invalid or "dry run" in str(error):
                return None
            refused(body, error)
        return objects.without_read_only(live) if creating else live

    def apply(self, body: Object, *, force: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply, over other managers' objections if the annotation or the provider says so."""
        if objects.PATCH_FORCE in objects.annotations(body):
            force = force or objects.flag(body, objects.PATCH_FORCE)
        else:
            force = force or self.settings.enable_patch_force
        return self.client.apply(body, manager=self.manager, force=force, dry_run=dry_run)

    def remove(self, live: Object) -> None:
        """Asks for deletion. A successor that has taken the name meanwhile is left alone."""
        state = reveal(self.change.state)
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": objects.annotations(state).get(objects.PROPAGATION, "Foreground").capitalize(),
            "preconditions": {"uid": live["metadata"]["uid"]},
        }
        try:
            self.client.request("DELETE", self.client.locate(live), options)
        except ApiError as error:
            if error.code not in (404, 409):  # 409: the uid does not match
                raise

    def outputs(self, live: Object) -> Values:
        """The resource's state: the live object, secret where the inputs are."""
        inputs = self.change.inputs or self.change.old_inputs
        state = {**live, "__fieldManager": self.manager, "__initialApiVersion": live["apiVersion"]}
        state["metadata"] = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
        if "stringData" in inputs and live["kind"] == "Secret":
            state["stringData"] = inputs["stringData"]
        return objects.concealed(dict(objects.conceal(state, inputs)))

    def _post(self, body: Object) -> Object:
        path = self.client.resource(body["apiVersion"], body["kind"]).path(body["metadata"].get("namespace"))
        query = {"fieldManager": self.manager, "fieldValidation": "Strict"}
        return dict(self.client.request("POST", path, body, query=query))

    def _fitting(self, body: Object) -> Object:
        """Without read-only metadata, and without a namespace on what lives outside of them."""
        body = objects.without_read_only(body)
        if not self.client.resource(body["apiVersion"], body["kind"]).namespaced:
            body["metadata"].pop("namespace", None)
        return body


class Told:
    """Turns what the cluster answers about one object into one line that names it."""

    def __init__(self, obj: Object) -> None:
        self.obj = obj

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, ApiError):
            refused(self.obj, error)
        if isinstance(error, Unreachable):
            raise ProviderError(f"{objects.title(self.obj)}: cluster unreachable: {error}") from None
        if isinstance(error, NoKind | NotReady):
            raise ProviderError(f"{objects.title(self.obj)}: {error}") from None


def refused(obj: Object, error: ApiError) -> NoReturn:
    """Raises ProviderError with the API server's words, and what to do about a conflict."""
    hint = ""
    if error.code == 409 and "conflict with" in str(error):
        hint = f'; to take the fields over, set the annotation {objects.PATCH_FORCE}: "true"'
    raise ProviderError(f"{objects.title(obj)}: {error}{hint}") from None

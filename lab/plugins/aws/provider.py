"""The engine's calls on the tables of resource types and functions."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab.plugins.aws import (
    acm,
    default_security_group,
    ecr,
    eks_access,
    eks_cluster,
    eks_node_group,
    gateways,
    iam,
    instance,
    invokes,
    kms,
    launch_template,
    load_balancing,
    logs,
    network,
    routes,
    s3,
    security_group,
    security_group_rules,
    tag,
    volumes,
)
from lab.plugins.aws.compare import project, settle
from lab.plugins.aws.failures import code, is_gone, kept, reason, told
from lab.plugins.aws.planning import Defaults, automatic_name, expected
from lab.plugins.aws.planning import changed as changed_inputs
from lab.plugins.aws.session import Session
from lab.plugins.aws.shapes import pick, pick_paths
from lab.plugins.aws.types import Call, Inputs, Type, at
from lab.plugins.provider import Change, Diff, Invalid, Provider, ProviderError, Resource
from lab.plugins.server import Log
from lab.plugins.values import Secret, Values

TYPES: Mapping[str, Type] = {
    **network.TYPES,
    **routes.TYPES,
    **security_group.TYPES,
    **default_security_group.TYPES,
    **security_group_rules.TYPES,
    **instance.TYPES,
    **launch_template.TYPES,
    **load_balancing.TYPES,
    **iam.TYPES,
    **eks_cluster.TYPES,
    **eks_node_group.TYPES,
    **eks_access.TYPES,
    **gateways.TYPES,
    **logs.TYPES,
    **kms.TYPES,
    **acm.TYPES,
    **ecr.TYPES,
    **s3.TYPES,
    **volumes.TYPES,
    **tag.TYPES,
}

ENDPOINTS = Inputs(optional="acm ec2 eks iam sts ssm ecr elbv2 kms s3 logs cloudwatchlogs")
CONFIG = Inputs(
    optional="region profile accessKey secretKey token maxRetries s3UsePathStyle skipCredentialsValidation "
    "skipMetadataApiCheck skipRegionValidation skipRequestingAccountId version",
    blocks={"endpoints": ENDPOINTS, "defaultTags": Inputs(optional="tags")},
    lists="endpoints",
)


class Aws(Provider):
    """AWS resources of the types in TYPES, functions of invokes.FUNCTIONS."""

    version = "7.51.1"
    session = Session({})
    default_tags: Mapping[str, str] = {}

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        #: Resources that the state has already: creating one of them again is a replacement.
        self.existing: set[str] = set()

    def check_config(self, config: Values) -> Values:
        failures = list(CONFIG.failures(_decoded(config)))
        if failures:
            raise Invalid([(f"aws:{name}", reason) for name, reason in failures])
        return config

    def configure(self, config: Values) -> None:
        settings = _decoded(config)
        self.session = Session(settings)
        self.default_tags = settings.get("defaultTags", {}).get("tags", {})
        # Most stacks make networks: the largest service model loads while the program still runs.
        threading.Thread(target=_quietly, args=(lambda: self.session.client("ec2"),), daemon=True).start()

    def check(self, resource: Resource, old: Values, new: Values, seed: bytes) -> Values:
        kind = self._type(resource)
        if old:
            self.existing.add(resource.urn)
        inputs = {name: value for name, value in new.items() if name != "__defaults"}
        failures = list(kind.inputs.failures(inputs))
        if failures:
            raise Invalid(failures)
        filled = [name for name, value in kind.inputs.defaults.items() if name not in inputs and value is not None]
        inputs.update({name: kind.inputs.defaults[name] for name in filled})
        name = kind.inputs.auto
        if name and name not in inputs:
            inputs[name] = automatic_name(resource, kind, old, inputs, seed)
            filled.append(name)
        return {**inputs, "__defaults": sorted(filled)} if filled else inputs

    def diff(self, change: Change) -> Diff:
        kind = self._type(change.resource)
        changed = changed_inputs(kind, change, self.defaults)
        replaces = kind.replacing(changed, change.inputs)
        own_name = bool(kind.inputs.auto) and kind.inputs.auto not in change.inputs.get("__defaults", [])
        return Diff(changed, replaces, delete_first=bool(replaces) and own_name)

    def create(self, change: Change) -> tuple[str, Values]:
        kind = self._type(change.resource)
        if change.preview:
            return "", expected(kind, change.inputs, kind.unknown, self.defaults)
        call = self._call(kind, change)
        with told("creating", change.resource):
            new = self._with_id(call, self._create(kind, call))
        with kept(new.id, expected(kind, change.inputs, set(), self.defaults), "creating", change.resource):
            for update in kind.update:
                if update.on_create and any(name in new.inputs for name in update.names.split()):
                    update.apply(new)
            if kind.ready:
                kind.ready(new)
            outputs = self._outputs(kind, new)
            if outputs is None:
                raise ProviderError("gone right after it was made")
        return new.id, outputs

    def read(self, change: Change) -> tuple[Values, Values] | None:
        kind = self._type(change.resource)
        call = self._call(kind, change, inputs=change.old_inputs)
        with told("reading", change.resource):
            outputs = self._outputs(kind, call)
        if outputs is None:
            return None
        inputs = {}
        # An import has no inputs yet: then all that AWS tells.
        for name in change.old_inputs or {name: None for name in kind.inputs.names if outputs.get(name) is not None}:
            before, live = change.old_inputs.get(name), outputs.get(name)
            inputs[name] = before if name == "__defaults" else settle(project(live, before), before)
        return inputs, outputs

    def update(self, change: Change) -> Values:
        kind = self._type(change.resource)
        changed = changed_inputs(kind, change, self.defaults)
        if change.preview:
            planned = expected(kind, change.inputs, set(kind.volatile.split()), self.defaults)
            for name in kind.inputs.blocks.keys() & planned.keys() & change.state.keys():
                if isinstance(planned[name], Mapping) and isinstance(change.state[name], Mapping):
                    planned[name] = {**change.state[name], **planned[name]}  # what AWS added stays
            return {**change.state, **planned}
        call = self._call(kind, change)
        with kept(change.id, change.state, "updating", change.resource):
            if kind.tagging and {"tags", "tagsAll"} & set(changed):
                before = change.state.get("tagsAll", {})
                stale = [key for key in before if key not in call.tags]
                fresh = {key: value for key, value in call.tags.items() if before.get(key) != value}
                _ = stale and kind.tagging.remove(call, stale)
                _ = fresh and kind.tagging.add(call, fresh)
            for update in kind.update:
                if any(name in changed for name in update.names.split()):
                    update.apply(call)
            if kind.ready:
                kind.ready(call)
            outputs = self._outputs(kind, call)
            if outputs is None:
                raise ProviderError("it is gone: run `pulumi refresh`")
        return outputs

    def delete(self, change: Change) -> None:
        kind = self._type(change.resource)
        call = self._call(kind, change, inputs=change.old_inputs or change.state)
        busy = "AWS is not ready for it"

        def attempt() -> bool:
            nonlocal busy
            try:
                if callable(kind.delete):
                    kind.delete(call)
                else:
                    getattr(call.api, kind.delete)(**{kind.id_parameter: change.id})
            except Exception as error:
                if code(error) in kind.busy and kind.busy_words in str(error):
                    busy = reason(error)
                    return False
                if not is_gone(error, kind):
                    raise
            return True

        with told("deleting", change.resource):
            call.until(attempt, lambda: busy)

    def invoke(self, token: str, args: Values) -> Values:
        function = invokes.FUNCTIONS.get(token)
        if function is None:
            return super().invoke(token, args)
        failures = list(function.inputs.failures(args))
        if failures:
            raise Invalid([(name, f"{name} {reason}") for name, reason in failures])
        with told("calling", Resource("", token, "")):
            return function.call(self.session, args)

    @property
    def defaults(self) -> Defaults:
        return Defaults(self.session.region, self.default_tags)

    def _type(self, resource: Resource) -> Type:
        kind = TYPES.get(resource.type)
        if kind is None:
            raise Invalid([("", f"{resource.type} is no resource type that the lab's aws plugin knows")])
        return kind

    def _call(self, kind: Type, change: Change, inputs: Values | None = None) -> Call:
        values = {**(change.inputs if inputs is None else inputs)}
        values.pop("__defaults", None)
        deadline = time.monotonic() + (change.timeout or kind.timeout)
        tags = {**self.default_tags, **values.get("tags", {})}
        return Call(
            self.session,
            kind,
            change.resource,
            self.cancelled,
            deadline,
            values,
            change.id,
            change.old_inputs,
            change.state,
            tags,
            change.resource.urn in self.existing,
        )

    def _with_id(self, call: Call, resource_id: str) -> Call:
        return Call(**{**vars(call), "id": resource_id})

    def _create(self, kind: Type, call: Call) -> str:
        try:
            if callable(kind.create):
                return str(kind.create(call))
            tags = kind.tagging.create(kind.tag_kind, call.tags) if kind.tagging and call.tags else {}
            return str(at(call.send(kind.create, **tags), kind.result))
        except Exception as error:
            if kind.adopt and not call.replacement and code(error) and (found := kind.adopt(call)):
                return str(found)
            raise

    def _outputs(self, kind: Type, call: Call) -> Values | None:
        """The live outputs in the order and layout of the last ones; None when the resource is gone."""
        try:
            answer = kind.read(call)
        except Exception as error:
            if is_gone(error, kind):
                return None
            raise
        if answer is None:
            return None
        live = pick(answer, kind.names, kind.rename)
        live |= pick_paths(answer, kind.paths)
        if kind.arn:
            live.setdefault("arn", call.arn(kind.arn.format(id=call.id)))
        live |= {name: compute(call, answer) for name, compute in kind.computed.items()}
        if kind.tagging:
            all_tags = {key: value for key, value in kind.tagging.read(answer).items() if not key.startswith("aws:")}
            own = call.inputs.get("tags", {})
            live["tagsAll"] = all_tags
            live["tags"] = {k: v for k, v in all_tags.items() if k in own or self.default_tags.get(k) != v}
        if kind.service != "iam":
            live["region"] = call.region
        before = {**call.state, **call.inputs}
        live = {name: kind.inputs.flat(name, value) for name, value in live.items()}
        live = {name: settle(value, before.get(name)) for name, value in live.items() if value is not None}
        told_once = {name: value for name, value in call.state.items() if name not in kind.inputs.names}
        outputs = {**told_once, **call.inputs, **live}
        return {name: Secret(value) if name in kind.secret.split() else value for name, value in outputs.items()}


def _decoded(config: Mapping[str, Any]) -> Values:
    """Nested configuration comes as JSON text."""

    def decode(value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
        except ValueError:
            return value

    settings = {name: decode(value) for name, value in config.items() if value is not None}
    if isinstance(settings.get("endpoints"), dict):
        settings["endpoints"] = [settings["endpoints"]]
    return settings


def _quietly(act: Callable[[], Any]) -> None:
    try:
        act()
    except Exception:
        return  # the first call that needs it meets the same error, with a resource to show it beside

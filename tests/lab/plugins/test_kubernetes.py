"""The kubernetes provider against an API server in a thread."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.plugins.kubernetes import objects, provider, settings
from lab.plugins.kubernetes.provider import Kubernetes
from lab.plugins.provider import Change, Diff, Invalid, PartialFailure, ProviderError, Resource
from lab.plugins.values import UNKNOWN, Secret, secret
from tests.support.kubernetes_api import Api, api_server

CM = Resource("urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::cm", "kubernetes:core/v1:ConfigMap", "cm")
WEB = Resource("urn:pulumi:s::p::kubernetes:apps/v1:Deployment::web", "kubernetes:apps/v1:Deployment", "web")
SECRET = Resource("urn:pulumi:s::p::kubernetes:core/v1:Secret::sec", "kubernetes:core/v1:Secret", "sec")
CM_PATH = "/api/v1/namespaces/here/configmaps/cm"
WEB_PATH = "/apis/apps/v1/namespaces/here/deployments/web"


@pytest.fixture(name="api")
def _api() -> Iterator[Api]:
    with api_server() as api:
        yield api


class Messages(list[str]):
    """A log that remembers."""

    def __call__(self, _urn: str, message: str, _severity: str = "INFO", *, ephemeral: bool = False) -> None:
        self.append(f"({message})" if ephemeral else message)


def configured(api: Api, **config: Any) -> Kubernetes:
    plugin = Kubernetes(Messages())  # type: ignore[arg-type]
    plugin.configure({"kubeconfig": api.kubeconfig(), **config})
    return plugin


@pytest.fixture(name="k8s")
def _k8s(api: Api) -> Kubernetes:
    return configured(api)


def inputs(plugin: Kubernetes, resource: Resource, **properties: Any) -> dict[str, Any]:
    return plugin.check(resource, {}, {"metadata": {"name": resource.name}, **properties}, b"seed")


def made(plugin: Kubernetes, resource: Resource, **properties: Any) -> Change:
    """Creates the object; what the engine would send about it from now on."""
    given = inputs(plugin, resource, **properties)
    identity, state = plugin.create(Change(resource, inputs=given))
    return Change(resource, identity, given, given, state)


def test_check_fills_in_what_the_program_left_out(k8s: Kubernetes) -> None:
    assert k8s.check(CM, {}, {"data": {"a": "1"}}, b"seed") == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "cm-19b25856",
            "namespace": "here",
            "annotations": {"pulumi.com/autonamed": "true"},
        },
        "data": {"a": "1"},
    }


def test_check_knows_what_lives_outside_namespaces(k8s: Kubernetes) -> None:
    namespace = Resource("urn", "kubernetes:core/v1:Namespace", "n")
    assert k8s.check(namespace, {}, {"metadata": {"name": "n", "namespace": "x"}}, b"")["metadata"] == {"name": "n"}


@pytest.mark.parametrize(
    ("kind", "properties", "message"),
    [
        ("kubernetes:core/v1:ConfigMap", {"kind": "Secret"}, "kind: is Secret, but the resource is a ConfigMap"),
        ("kubernetes:helm.sh/v3:Release", {}, "kubernetes:helm.sh/v3:Release is not a kind of object"),
        ("kubernetes:core/v1:ConfigMapList", {}, "kubernetes:core/v1:ConfigMapList is not a kind of object"),
        (
            "kubernetes:core/v1:ConfigMap",
            {"metadata": {"annotations": {"pulumi.com/waitFor": "soon"}}},
            "metadata.annotations.pulumi.com/waitFor: 'soon' is neither",
        ),
    ],
)
def test_check_refuses(k8s: Kubernetes, kind: str, properties: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        k8s.check(Resource("urn", kind, "x"), {}, properties, b"")
    assert str(caught.value).startswith(message)


def test_create_applies_with_a_manager_and_returns_the_live_object(k8s: Kubernetes, api: Api) -> None:
    change = made(k8s, CM, data={"a": "1"})
    assert change.id == "here/cm"
    assert change.state["metadata"]["uid"] == "uid-1"
    assert change.state["data"] == {"a": "1"}
    assert "managedFields" not in change.state["metadata"]
    assert change.state["__fieldManager"] == objects.field_manager(CM.urn)
    _, _, query = api.requests[-1]
    assert query == {"fieldManager": objects.field_manager(CM.urn), "fieldValidation": "Strict"}


def test_discovery_asks_once_per_group(k8s: Kubernetes, api: Api) -> None:
    for name in "abc":
        made(k8s, Resource(f"urn-{name}", CM.type, name))
    assert api.asked("GET").count("/api/v1") == 1
    assert api.asked("GET").count("/version") == 1


def test_secrets_stay_secret(k8s: Kubernetes, api: Api) -> None:
    change = made(k8s, SECRET, stringData={"p": Secret("x")}, data={"q": "eA=="})
    assert isinstance(change.state["data"], Secret)
    assert isinstance(change.state["stringData"], Secret)
    assert api.objects["/api/v1/namespaces/here/secrets/sec"]["stringData"] == {"p": "x"}
    found = k8s.read(change)
    assert found is not None
    assert all(secret(part[key]) for part in found for key in ("data", "stringData"))
    assert made(k8s, CM, data={"a": Secret("x"), "b": "y"}).state["data"] == {"a": Secret("x"), "b": "y"}


def test_an_object_that_is_there_is_not_taken_over(k8s: Kubernetes, api: Api) -> None:
    made(k8s, CM)
    other = Resource("urn:other", CM.type, "cm")
    with pytest.raises(ProviderError, match=r"^ConfigMap here/cm already exists: .*upsertExistingObjects"):
        made(k8s, other)
    assert made(configured(api, upsertExistingObjects="true"), other).state["metadata"]["uid"] == "uid-1"


def test_an_interrupted_create_finds_its_own_object(k8s: Kubernetes) -> None:
    assert made(k8s, CM).state["metadata"]["uid"] == made(k8s, CM).state["metadata"]["uid"]


def test_create_waits_for_a_predecessor_to_go(k8s: Kubernetes, api: Api) -> None:
    made(k8s, CM)
    api.change(CM_PATH, metadata={**api.objects[CM_PATH]["metadata"], "deletionTimestamp": "now"})

    def gone() -> None:
        del api.objects[CM_PATH]
        api.version += 1

    threading.Timer(0.2, gone).start()
    assert made(k8s, Resource("urn:other", CM.type, "cm")).state["metadata"]["uid"] != "uid-1"


def deployment_status(ready: int) -> dict[str, Any]:
    return {"observedGeneration": 9, "replicas": 1, "updatedReplicas": 1, "availableReplicas": ready}


def test_create_waits_until_ready(k8s: Kubernetes, api: Api) -> None:
    api.later[WEB_PATH] = (0.2, {"status": deployment_status(1)})
    started = time.monotonic()
    assert made(k8s, WEB, spec={"replicas": 1}).state["status"]["availableReplicas"] == 1
    assert time.monotonic() - started > 0.2


def test_not_ready_in_time_keeps_the_object_and_says_what_is_missing(k8s: Kubernetes, api: Api) -> None:
    api.later[WEB_PATH] = (0.1, {"status": deployment_status(0)})
    given = inputs(k8s, WEB, spec={"replicas": 1})
    with pytest.raises(PartialFailure) as caught:
        k8s.create(Change(WEB, inputs=given, timeout=1))
    assert caught.value.id == "here/web"
    assert caught.value.state["status"] == deployment_status(0)
    assert str(caught.value) == "Deployment here/web: not ready after 1 s: 0 of 1 replicas are available"


def test_skip_await(k8s: Kubernetes) -> None:
    given = k8s.check(WEB, {}, {"metadata": {"annotations": {"pulumi.com/skipAwait": "true"}}}, b"")
    assert k8s.create(Change(WEB, inputs=given))[0].startswith("here/web-")


def test_cancel_ends_a_wait(k8s: Kubernetes) -> None:
    threading.Timer(0.2, k8s.cancel).start()
    with pytest.raises(PartialFailure, match="stopped waiting"):
        made(k8s, WEB, spec={"replicas": 1})


def test_refusals_name_the_object_in_one_line(k8s: Kubernetes, api: Api) -> None:
    with pytest.raises(ProviderError) as caught:
        made(k8s, WEB, spec={"replicas": -1})
    assert str(caught.value) == 'Deployment here/web: "web" is invalid: spec.replicas: negative'
    api.refuse["PATCH", CM_PATH] = {"code": 409, "message": 'Apply failed with 1 conflict: conflict with "x": .data.a'}
    with pytest.raises(ProviderError, match=r'conflict with "x": \.data\.a; to take .* pulumi\.com/patchForce'):
        made(k8s, CM)


def test_what_passes_is_tried_again(k8s: Kubernetes, api: Api) -> None:
    api.refuse["PATCH", CM_PATH] = {"code": 500, "message": "failed calling webhook x: connection refused"}
    threading.Timer(0.3, api.refuse.clear).start()
    assert made(k8s, CM).id == "here/cm"


def test_force_by_annotation_and_by_provider(api: Api) -> None:
    forced = {"annotations": {"pulumi.com/patchForce": "true"}, "name": "cm"}
    k8s = configured(api)
    k8s.create(Change(CM, inputs=k8s.check(CM, {}, {"metadata": forced}, b"")))
    assert api.requests[-1][2]["force"] == "true"
    made(configured(api, enablePatchForce="true"), CM)
    assert api.requests[-1][2]["force"] == "true"


def test_preview_is_a_dry_run(k8s: Kubernetes, api: Api) -> None:
    given = inputs(k8s, CM, data={"a": "1"})
    identity, state = k8s.create(Change(CM, inputs=given, preview=True))
    assert identity == ""
    assert state["data"] == {"a": "1"}
    assert "uid" not in state["metadata"]
    assert api.objects == {}
    with pytest.raises(ProviderError, match="negative"):
        k8s.create(Change(WEB, inputs=inputs(k8s, WEB, spec={"replicas": -1}), preview=True))


def test_preview_with_unknowns_or_without_cluster_returns_the_inputs(k8s: Kubernetes, api: Api) -> None:
    given = inputs(k8s, CM, data={"a": UNKNOWN})
    assert k8s.create(Change(CM, inputs=given, preview=True)) == ("", given)
    assert "PATCH" not in [method for method, _, _ in api.requests]
    api.token = "changed"
    lost = configured(api, kubeconfig=api.kubeconfig().replace(api.url, "http://127.0.0.1:1"))
    given = inputs(lost, CM)
    assert lost.create(Change(CM, inputs=given, preview=True))[1] == given


def test_diff(k8s: Kubernetes) -> None:
    change = made(k8s, CM, data={"a": "1"}, immutable=False)
    assert k8s.diff(change) == Diff([], [], False)

    def against(**properties: Any) -> Diff:
        new = k8s.check(CM, change.old_inputs, {"metadata": {"name": "cm"}, **properties}, b"")
        return k8s.diff(Change(CM, change.id, new, change.old_inputs, change.state))

    assert against(data={"a": "1"}, immutable=True) == Diff(["immutable"], [], False, {"immutable": "update"})
    assert against(data={"a": "2"}, immutable=False) == Diff(["data"], ["data.a"], True, {"data.a": "update"})
    renamed = against(data={"a": "1"}, immutable=False, metadata={"name": "other"})
    assert renamed == Diff(["metadata"], ["metadata.name"], False, {"metadata.name": "update"})


def test_update_keeps_its_manager(k8s: Kubernetes, api: Api) -> None:
    change = made(k8s, CM, data={"a": "1"})
    state = {**change.state, "__fieldManager": "older"}
    new = {**change.inputs, "data": {"a": "2"}}
    assert k8s.update(Change(CM, change.id, new, change.inputs, state))["__fieldManager"] == "older"
    assert api.objects[CM_PATH]["data"] == {"a": "2"}


def test_refresh_sees_what_others_changed_and_nothing_else(k8s: Kubernetes, api: Api) -> None:
    change = made(k8s, CM, data={"a": "1"})
    assert k8s.read(change) == (change.inputs, change.state)
    api.change(CM_PATH, data={"a": "9", "theirs": "x"}, extra={})
    found = k8s.read(change)
    assert found is not None
    assert found[0] == {**change.inputs, "data": {"a": "9"}}
    assert found[1]["data"] == {"a": "9", "theirs": "x"}
    del api.objects[CM_PATH]
    assert k8s.read(change) is None


def test_refresh_of_an_unready_object_keeps_state_and_inputs(k8s: Kubernetes, api: Api) -> None:
    api.later[WEB_PATH] = (0.1, {"status": deployment_status(1)})
    change = made(k8s, WEB, spec={"replicas": 1})
    api.change(WEB_PATH, status=deployment_status(0))
    with pytest.raises(PartialFailure) as caught:
        k8s.read(change)
    assert caught.value.inputs == change.inputs
    assert caught.value.state["status"] == deployment_status(0)


def test_import_takes_the_live_object_as_inputs(k8s: Kubernetes) -> None:
    made(k8s, CM, data={"a": "1"})
    found = k8s.read(Change(CM, "here/cm"))
    assert found is not None
    assert found[0] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cm", "namespace": "here"},
        "data": {"a": "1"},
    }


def test_delete_is_foreground_and_waits(k8s: Kubernetes, api: Api) -> None:
    change = made(k8s, CM)
    k8s.delete(change)
    assert api.objects == {}
    k8s.delete(change)  # gone already
    change = made(k8s, CM)
    api.change(CM_PATH, metadata={**api.objects[CM_PATH]["metadata"], "finalizers": ["hold"]})
    with pytest.raises(ProviderError, match=r"^ConfigMap here/cm: still there after 0 s: finalizers hold$"):
        k8s.delete(Change(CM, change.id, state=change.state, timeout=0.3))


def test_a_patch_resource_changes_what_exists_and_lets_go_of_it(k8s: Kubernetes, api: Api) -> None:
    patch = Resource("urn:patch", "kubernetes:core/v1:ConfigMapPatch", "cm")
    with pytest.raises(ProviderError, match="ConfigMap here/cm does not exist"):
        made(k8s, patch)
    made(k8s, CM)
    k8s.delete(made(k8s, patch, data={"b": "2"}))
    assert CM_PATH in api.objects
    assert "DELETE" not in [method for method, _, _ in api.requests]


def lost(api: Api, **config: Any) -> tuple[Kubernetes, Change]:
    """A provider whose cluster is gone, and an object that was on it."""
    change = made(configured(api), CM)
    return configured(api, kubeconfig=api.kubeconfig().replace(api.url, "http://127.0.0.1:1"), **config), change


def test_a_cluster_that_is_gone_is_told_once_and_clearly(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "_PATIENCE", 0.3)
    k8s, change = lost(api)
    expected = r"^ConfigMap here/cm: cluster unreachable: http://127.0.0.1:1: .*[Rr]efused"
    for act in (k8s.read, k8s.delete):
        with pytest.raises(ProviderError, match=expected + ".*PULUMI_K8S_DELETE_UNREACHABLE"):
            act(change)
    with pytest.raises(ProviderError, match=expected):
        k8s.create(change)
    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(ProviderError, match=expected):
            k8s.create(change)
    assert time.monotonic() - started < 3  # found out once: 20 times the patience would be 6 s


def test_delete_unreachable_forgets(api: Api) -> None:
    k8s, change = lost(api, deleteUnreachable="true")
    assert k8s.read(change) is None
    k8s.delete(change)
    assert len(k8s.log) == 2  # type: ignore[arg-type]


def test_exec_credential_is_fetched_once_and_again_when_refused(api: Api, tmp_path: Path) -> None:
    runs, token = tmp_path / "runs", tmp_path / "token"
    token.write_text(api.token)
    script = (
        f'echo x >> {runs}; printf \'{{"status": {{"token": "%s", "expirationTimestamp": "2099-01-01T00:00:00Z"}}}}\' '
        f'"$(cat {token})"'
    )
    user = {"exec": {"command": "sh", "args": ["-c", script]}}
    k8s = configured(api, kubeconfig=api.kubeconfig(**user))
    for name in "abc":
        made(k8s, Resource(f"urn-{name}", CM.type, name))
    assert runs.read_text().count("x") == 1
    api.token = "new"
    token.write_text("new")
    made(k8s, CM)
    assert runs.read_text().count("x") == 2


def test_a_failing_exec_plugin_is_told_at_once(api: Api) -> None:
    user = {"exec": {"command": "sh", "args": ["-c", "echo no session >&2; exit 3"]}}
    k8s = configured(api, kubeconfig=api.kubeconfig(**user))
    with pytest.raises(ProviderError, match=r"credential plugin `sh -c .*` failed: no session"):
        made(k8s, CM)


def test_client_side_mode_creates_and_patches_without_apply(api: Api) -> None:
    k8s = configured(api, enableServerSideApply="false")
    api.refuse["POST", "/api/v1/namespaces/here/configmaps"] = {"code": 418, "message": "asked to create"}
    with pytest.raises(ProviderError, match="asked to create"):
        made(k8s, CM)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kubeconfigg": "x"}, "kubeconfigg: unknown provider input"),
        ({"renderYamlToDirectory": "x"}, "renderYamlToDirectory: the lab's kubernetes plugin does not have this"),
        ({"kubeconfig": "/no/such/file"}, "kubeconfig: kubeconfig: no such file /no/such/file"),
        ({"kubeconfig": "a: 1\n"}, "kubeconfig: the provider's kubeconfig is not a kubeconfig"),
        ({"kubeconfig": "a: [\n"}, "kubeconfig: the provider's kubeconfig is not YAML"),
        ({"context": "y"}, "kubeconfig: kubeconfig: no context named 'y'"),
    ],
)
def test_bad_configuration(api: Api, config: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        configured(api).check_config({"kubeconfig": api.kubeconfig(), **config})
    assert str(caught.value).startswith(message)
    configured(api).check_config({"kubeconfig": Secret(api.kubeconfig()), "enablePatchForce": "true"})
    configured(api).check_config({"kubeconfig": UNKNOWN})


def test_another_cluster() -> None:
    def config(server: str, **user: str) -> dict[str, Any]:
        return {"kubeconfig": Api(server).kubeconfig(**user)}

    assert not settings.other_cluster(config("https://a"), config("https://a", token="other"))
    assert settings.other_cluster(config("https://a"), config("https://b"))
    assert settings.other_cluster(config("https://a"), {"kubeconfig": UNKNOWN}), "it might be"
    known = {**config("https://a"), "clusterIdentifier": "a"}
    assert not settings.other_cluster(known, {"kubeconfig": UNKNOWN, "clusterIdentifier": "a"})
    assert settings.other_cluster(known, {**config("https://a"), "clusterIdentifier": "b"})
    assert not settings.other_cluster(config("https://a"), known), "the real one takes it up without a replacement"
    assert not settings.other_cluster(
        {**config("https://a"), "clusterIdentifier": "x"}, {**config("https://b"), "clusterIdentifier": "x"}
    )


def test_decode_function(k8s: Kubernetes) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    found = k8s.invoke("kubernetes:yaml:decode", {"text": text, "defaultNamespace": "n"})
    assert found["result"][0]["metadata"] == {"name": "a", "namespace": "n"}
    with pytest.raises(Invalid, match="is not YAML"):
        k8s.invoke("kubernetes:yaml:decode", {"text": "a: ["})
    with pytest.raises(Invalid, match="helm:template"):
        k8s.invoke("kubernetes:helm:template", {})

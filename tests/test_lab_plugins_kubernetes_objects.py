"""Names, differences, drift, secrets and manifests: the parts that need no cluster."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.plugins.kubernetes import manifest, objects
from lab.plugins.kubernetes.changes import compare, drifted, immutable, merge_patch
from lab.plugins.values import UNKNOWN, Secret

JSON = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner),
    max_leaves=8,
)


def changed(old: Any, new: Any, api_version: str = "apps/v1", kind: str = "Deployment") -> list[tuple[str, str, bool]]:
    return [(each.name, each.kind, each.replace) for each in compare(old, new, immutable(api_version, kind))]


def test_changes_name_their_leaf() -> None:
    old = {"metadata": {"annotations": {"a.b/c": "1"}}, "spec": {"ports": [{"port": 80}], "gone": 1}}
    new = {"metadata": {"annotations": {"a.b/c": "2"}}, "spec": {"ports": [{"port": 81}, {"port": 82}]}, "x": 1}
    assert changed(old, new) == [
        ('metadata.annotations["a.b/c"]', "update", False),
        ("spec.ports[0].port", "update", False),
        ("spec.ports[1]", "add", False),
        ("spec.gone", "delete", False),
        ("x", "add", False),
    ]


@pytest.mark.parametrize(
    ("api_version", "kind", "path", "replace"),
    [
        ("v1", "Namespace", "metadata.name", True),
        ("v1", "ConfigMap", "metadata.namespace", True),
        ("v1", "ConfigMap", "metadata.labels.a", False),
        ("v1", "ConfigMap", "data.a", True),
        ("v1", "Secret", "type", True),
        ("v1", "Secret", "stringData.a", True),
        ("v1", "Service", "spec.clusterIP", True),
        ("v1", "Service", "spec.clusterIPs", False),
        ("v1", "Service", "spec.type", False),
        ("v1", "PersistentVolumeClaim", "spec.resources.requests.storage", True),
        ("apps/v1", "Deployment", "spec.selector.matchLabels.app", True),
        ("apps/v1", "Deployment", "spec.template.spec.nodeName", False),
        ("apps/v1", "DaemonSet", "spec.selector.matchLabels.app", True),
        ("apps/v1", "StatefulSet", "spec.volumeClaimTemplates", True),
        ("apps/v1", "StatefulSet", "spec.template.metadata", False),
        ("batch/v1", "Job", "spec.template.spec.restartPolicy", True),
        ("batch/v1", "CronJob", "spec.jobTemplate.spec.template", False),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "roleRef.name", True),
        ("storage.k8s.io/v1", "StorageClass", "parameters.type", True),
    ],
)
def test_what_needs_a_new_object(api_version: str, kind: str, path: str, replace: bool) -> None:
    def nested(value: str) -> Any:
        data: Any = value
        for part in reversed(path.split(".")):
            data = {part: data}
        return data

    assert changed(nested("a"), nested("b"), api_version, kind) == [(path, "update", replace)]


def test_a_container_of_a_pod_needs_a_new_pod() -> None:
    old, new = ({"spec": {"containers": [{"image": tag, "name": "c"}]}} for tag in "ab")
    assert changed(old, new, "v1", "Pod") == [("spec.containers[0].image", "update", True)]


def test_mutable_config_maps_change_in_place() -> None:
    fixed = immutable("v1", "Secret", mutable=frozenset({"Secret"}))
    found = compare({"data": {"a": "1"}, "type": "x"}, {"data": {"a": "2"}, "type": "y"}, fixed)
    assert [(each.name, each.replace) for each in found] == [("data.a", False), ("type", True)]


def test_an_unknown_is_a_change() -> None:
    assert changed({"spec": {"a": UNKNOWN}}, {"spec": {"a": UNKNOWN}}) == [("spec.a", "update", False)]


@given(JSON, JSON)
def test_a_merge_patch_turns_old_into_new(old: Any, new: Any) -> None:
    def applied(target: Any, patch: Any) -> Any:
        if not isinstance(patch, dict):
            return patch
        target = dict(target) if isinstance(target, dict) else {}
        for key, value in patch.items():
            if value is None:
                target.pop(key, None)
            else:
                target[key] = applied(target.get(key), value)
        return target

    assert applied(old, merge_patch(old, new)) == new
    assert (compare(old, new, []) == []) == (old == new)


@given(JSON, JSON)
def test_no_drift_where_nothing_moved(inputs: Any, live: Any) -> None:
    assert drifted(inputs, live, live) == inputs


def test_drift_is_what_moved_of_what_we_set() -> None:
    inputs = {"spec": {"replicas": 2, "cpu": "1000m", "list": [{"a": 1}, {"a": 2}], "gone": "x", "never": 1}}
    before = {"spec": {"replicas": 2, "cpu": "1", "list": [{"a": 1, "d": 0}, {"a": 2}], "gone": "x", "other": 1}}
    live = {"spec": {"replicas": 5, "cpu": "1", "list": [{"a": 1, "d": 9}, {"a": 3}], "other": 2, "status": 1}}
    assert drifted(inputs, before, live) == {
        "spec": {"replicas": 5, "cpu": "1000m", "list": [{"a": 1}, {"a": 3}], "never": 1}
    }


def test_drift_of_a_list_that_grew_is_the_whole_list() -> None:
    assert drifted({"a": [1]}, {"a": [1]}, {"a": [1, 2]}) == {"a": [1, 2]}


def test_drift_of_a_secret_given_as_text() -> None:
    before, live = (
        objects.with_string_data({"apiVersion": "v1", "kind": "Secret", "data": {"p": data}})
        for data in ("YQ==", "Yg==")
    )
    assert drifted({"stringData": {"p": "a"}}, before, live) == {"stringData": {"p": "b"}}


def test_automatic_names() -> None:
    first = objects.named({"metadata": {"labels": {"a": "b"}}}, {}, "web", b"seed")
    name = first["metadata"]["name"]
    assert name.startswith("web-")
    assert len(name) == len("web-") + 8
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert objects.named({}, first, "web", b"other")["metadata"]["name"] == name
    assert objects.named({}, {}, "web", b"other")["metadata"]["name"] != name
    assert objects.named({"metadata": {"name": "x"}}, first, "web", b"")["metadata"] == {"name": "x"}
    assert objects.named({"metadata": {"generateName": "x-"}}, {}, "w", b"")["metadata"] == {"generateName": "x-"}


def test_types_and_tokens() -> None:
    assert objects.type_of("kubernetes:core/v1:Namespace") == ("v1", "Namespace", False)
    assert objects.type_of("kubernetes:apps/v1:DeploymentPatch") == ("apps/v1", "Deployment", True)
    assert objects.token_of("v1", "Pod") == "kubernetes:core/v1:Pod"
    assert objects.token_of("ex.io/v1", "Foo") == "kubernetes:ex.io/v1:Foo"


def test_conceal_marks_where_the_inputs_are_secret() -> None:
    inputs = {"spec": {"password": Secret("x"), "user": "u"}, "list": [{"a": Secret(1)}], "longer": [Secret(1)]}
    live = {"spec": {"password": "x", "user": "u", "more": 1}, "list": [{"a": 1, "b": 2}], "longer": [1, 2]}
    assert objects.conceal(live, inputs) == {
        "spec": {"password": Secret("x"), "user": "u", "more": 1},
        "list": [{"a": Secret(1), "b": 2}],
        "longer": Secret([1, 2]),
    }


MANIFEST = """
apiVersion: ex.io/v1
kind: Foo
metadata: {name: one, namespace: gang}
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: gang}}
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: foos.ex.io}
  spec: {group: ex.io, names: {kind: Foo}}
---
apiVersion: v1
kind: ConfigMapList
items:
- metadata:
    name: last
    annotations: {config.kubernetes.io/depends-on: ex.io/namespaces/gang/Foo/one}
"""


def test_manifests_are_flattened_and_ordered() -> None:
    found = [manifest.placed(obj) for obj in manifest.decode(MANIFEST, "m.yaml")]
    assert [objects.title(obj) for obj in found] == [
        "Foo gang/one",
        "Namespace gang",
        "CustomResourceDefinition foos.ex.io",
        "ConfigMap default/last",
    ]
    assert [(objects.title(obj), needs) for obj, needs in manifest.ordered(found)] == [
        ("Namespace gang", []),
        ("CustomResourceDefinition foos.ex.io", []),
        ("Foo gang/one", [0, 1]),
        ("ConfigMap default/last", [2]),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "m.yaml is not YAML: while parsing"),
        ("kind: Pod", "m.yaml: an object has no apiVersion and kind"),
        ("{kind: Pod, apiVersion: v1}", "m.yaml: a Pod has no metadata.name"),
    ],
)
def test_bad_manifests_are_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        manifest.decode(text, "m.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_cycle_of_dependencies_is_told() -> None:
    both = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": "n",
                "annotations": {"config.kubernetes.io/depends-on": f"/namespaces/n/ConfigMap/{other}"},
            },
        }
        for name, other in (("a", "b"), ("b", "a"))
    ]
    with pytest.raises(UsageError, match=r"ConfigMap n/a: .* cycle"):
        manifest.ordered(both)

"""The readiness rules, each on JSON as the API server writes it."""

import copy
from typing import Any

import pytest

from lab.plugins.kubernetes import readiness, wait_for
from lab.plugins.kubernetes.readiness import READY, failed, missing

Object = dict[str, Any]


def with_(obj: Object, path: str, value: Any) -> Object:
    """A copy with the value at the dotted path; None removes it."""
    new = copy.deepcopy(obj)
    *parents, last = path.split(".")
    place = new
    for part in parents:
        place = place.setdefault(part, {})
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return new


DEPLOYMENT: Object = {
    "metadata": {"name": "web", "generation": 2},
    "spec": {"replicas": 3},
    "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
}


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("status.observedGeneration", 1, "its controller has not seen this version yet"),
        ("status.updatedReplicas", 1, "1 of 3 replicas are of the new version"),
        ("status.replicas", 4, "1 old replicas are still there"),
        ("status.availableReplicas", 2, "2 of 3 replicas are available"),
        ("status.availableReplicas", None, "0 of 3 replicas are available"),
    ],
)
def test_deployment_waits_for(path: str, value: Any, reason: str) -> None:
    assert readiness.deployment(with_(DEPLOYMENT, path, value), []) == missing(reason)


def test_deployment_ready_paused_scaled_to_zero_and_past_its_deadline() -> None:
    assert readiness.deployment(DEPLOYMENT, []) == READY
    assert readiness.deployment(with_(with_(DEPLOYMENT, "spec.paused", True), "status.updatedReplicas", 0), []) == READY
    none = {"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}}
    assert readiness.deployment(none, []) == READY
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    assert readiness.deployment(with_(DEPLOYMENT, "status.conditions", [late]), []) == failed(
        "ProgressDeadlineExceeded: timed out"
    )


STATEFUL_SET: Object = {
    "metadata": {"generation": 1},
    "spec": {"replicas": 3},
    "status": {
        "observedGeneration": 1,
        "readyReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": "a",
        "updateRevision": "a",
    },
}


def test_stateful_set() -> None:
    assert readiness.stateful_set(STATEFUL_SET, []) == READY
    assert readiness.stateful_set(with_(STATEFUL_SET, "status.readyReplicas", 1), []) == missing(
        "1 of 3 replicas are ready"
    )
    rolling = with_(with_(STATEFUL_SET, "status.updateRevision", "b"), "status.updatedReplicas", 1)
    assert readiness.stateful_set(rolling, []) == missing("1 of 3 replicas are of the new version")
    assert readiness.stateful_set(with_(rolling, "spec.updateStrategy.rollingUpdate.partition", 2), []) == READY
    assert readiness.stateful_set(with_(rolling, "spec.updateStrategy.type", "OnDelete"), []) == READY


def test_daemon_set() -> None:
    status = {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
    one = {"metadata": {"generation": 1}, "spec": {}, "status": status}
    assert readiness.daemon_set(one, []) == READY
    assert readiness.daemon_set(with_(one, "status.updatedNumberScheduled", 1), []) == missing(
        "1 of 2 nodes run the new version"
    )
    assert readiness.daemon_set(with_(one, "status.numberAvailable", 0), []) == missing(
        "it is available on 0 of 2 nodes"
    )
    held = with_(with_(one, "status.updatedNumberScheduled", 1), "spec.updateStrategy.type", "OnDelete")
    assert readiness.daemon_set(held, []) == READY


SERVICE: Object = {"metadata": {"name": "web"}, "spec": {"type": "NodePort", "selector": {"app": "web"}}}


def test_service_needs_a_ready_endpoint() -> None:
    ready, unready = [{"conditions": {"ready": True}}], [{"conditions": {"ready": False}}]
    assert readiness.service(SERVICE, [{"endpoints": unready}, {"endpoints": ready}]) == READY
    assert readiness.service(SERVICE, [{"endpoints": unready}]) == missing("none of the 1 pods behind it is ready")
    assert readiness.service(SERVICE, [{"endpoints": None}]) == missing("no pod has the labels app=web")


def test_service_without_pods_to_wait_for() -> None:
    assert readiness.service(with_(SERVICE, "spec.selector", None), []) == READY
    assert readiness.service(with_(SERVICE, "spec.clusterIP", "None"), []) == READY
    assert readiness.service(with_(SERVICE, "spec.type", "ExternalName"), []) == READY


def test_load_balancer_and_ingress_need_an_address() -> None:
    balanced = with_(with_(SERVICE, "spec.type", "LoadBalancer"), "spec.selector", None)
    assert "no load balancer address" in readiness.service(balanced, []).reason
    address = [{"hostname": "x.elb.amazonaws.com"}]
    assert readiness.service(with_(balanced, "status.loadBalancer.ingress", address), []) == READY
    ingress = {"metadata": {"name": "web"}, "spec": {"ingressClassName": "alb"}}
    assert readiness.ingress(ingress, []).reason == "no load balancer address; is a controller for class alb running?"
    assert readiness.ingress(with_(ingress, "status.loadBalancer.ingress", address), []) == READY


def test_job() -> None:
    job: Object = {"spec": {"completions": 2}, "status": {"succeeded": 1, "failed": 3}}
    assert readiness.job(job, []) == missing("1 of 2 completions, 3 failed pods")
    ended = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too many"}
    assert readiness.job(with_(job, "status.conditions", [ended]), []) == failed("BackoffLimitExceeded: too many")
    assert readiness.job(with_(job, "status.conditions", [{"type": "Complete", "status": "True"}]), []) == READY
    assert readiness.job(with_(job, "spec.suspend", True), []) == READY


def test_volumes() -> None:
    claim: Object = {"spec": {"storageClassName": "gp3"}, "status": {"phase": "Pending"}}
    assert readiness.volume_claim(claim, []) == missing("no storage class 'gp3'")
    assert "provisioner" in readiness.volume_claim(claim, [{"volumeBindingMode": "Immediate"}]).reason
    assert readiness.volume_claim(claim, [{"volumeBindingMode": "WaitForFirstConsumer"}]) == READY
    assert readiness.volume_claim(with_(claim, "status.phase", "Bound"), []) == READY
    assert readiness.volume_claim(with_(claim, "status.phase", "Lost"), []).final
    assert readiness.volume({"status": {"phase": "Available"}}, []) == READY
    assert readiness.volume({"status": {"phase": "Pending"}}, []) == missing("its phase is Pending")


POD: Object = {"metadata": {"name": "web-1"}, "spec": {"nodeName": "n"}, "status": {"phase": "Pending"}}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2"}]},
            "Unschedulable: 0/2",
        ),
        (
            {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}]},
            "container c: ErrImagePull: no",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "c",
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 2}},
                    }
                ]
            },
            "container c: CrashLoopBackOff (last exit code 2)",
        ),
        (
            {"initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]},
            "container i: exit code 1 Error",
        ),
        ({"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
    ],
)
def test_what_ails_a_pod(status: Object, why: str) -> None:
    assert readiness.trouble({**POD, "status": {"phase": "Pending", **status}}) == why


def test_pod() -> None:
    assert readiness.pod(POD, []) == missing("its phase is Pending")
    assert readiness.pod(with_(POD, "spec.nodeName", None), []) == missing("not scheduled yet")
    assert readiness.pod(with_(POD, "status.phase", "Succeeded"), []) == READY
    assert readiness.pod(with_(POD, "status.phase", "Failed"), []) == failed("it failed")
    running = with_(POD, "status", {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
    assert readiness.pod(running, []) == READY


def test_custom_resource_definition() -> None:
    yes, no = {"type": "Established", "status": "True"}, {"type": "NamesAccepted", "status": "False", "reason": "Taken"}
    assert readiness.custom_resource_definition({"status": {"conditions": [yes]}}, []) == READY
    assert readiness.custom_resource_definition({"status": {"conditions": [no]}}, []) == failed("Taken")
    assert readiness.custom_resource_definition({}, []) == missing("it is not established")


def test_wait_for_annotation() -> None:
    obj = {"status": {"phase": "Up", "count": 2, "conditions": [{"type": "Ready", "status": "True"}]}}
    assert wait_for.rule("condition=Ready")(obj, []) == READY
    assert wait_for.rule("condition=Ready=False")(obj, []) == missing("condition Ready is True, not False")
    assert wait_for.rule("jsonpath={.status.phase}=Up")(obj, []) == READY
    assert wait_for.rule("jsonpath={.status.count}=3")(obj, []) == missing(".status.count is 2, not 3")
    assert wait_for.rule("jsonpath={.status.conditions[0].type}")(obj, []) == READY
    assert wait_for.rule('["condition=Ready", "jsonpath={.status.ip}"]')(obj, []) == missing(".status.ip is absent")
    for bad in ("Ready", "jsonpath={.status..phase}=x", "jsonpath={}"):
        with pytest.raises(ValueError, match=r"condition=TYPE|JSON path"):
            wait_for.rule(bad)

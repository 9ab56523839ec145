"""When an object is ready, one pure function per kind: the live object (and what it refers to) -> a verdict.

The rules are those of pulumi-kubernetes' awaiters, told in one line each when something is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """`reason` says what is missing. `final` means that waiting longer is useless."""

    ready: bool
    reason: str = ""
    final: bool = False


READY = Verdict(True)


def missing(reason: str) -> Verdict:
    """Not yet."""
    return Verdict(False, reason)


def failed(reason: str) -> Verdict:
    """Never, unless someone changes something."""
    return Verdict(False, reason, final=True)


def condition(obj: Object, kind: str) -> Object:
    """The status condition of that type, empty if absent."""
    for entry in (obj.get("status") or {}).get("conditions") or []:
        if entry.get("type") == kind:
            return dict(entry)
    return {}


def _why(entry: Object) -> str:
    return ": ".join(part for part in (entry.get("reason"), entry.get("message")) if part)


def _unobserved(obj: Object) -> bool:
    return int((obj.get("status") or {}).get("observedGeneration", 0)) < int(obj["metadata"].get("generation", 0))


def deployment(obj: Object, _related: list[Object]) -> Verdict:
    """The newest template runs in all replicas, they are available, and no older replica is left."""
    if _unobserved(obj):
        return missing("its controller has not seen this version yet")
    spec, status = obj["spec"], obj.get("status") or {}
    if spec.get("paused"):
        return READY
    progressing = condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return failed(_why(progressing))
    wanted = spec.get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return missing(f"{updated} of {wanted} replicas are of the new version")
    if (old := status.get("replicas", 0) - updated) > 0:
        return missing(f"{old} old replicas are still there")
    return READY if available >= wanted else missing(f"{available} of {wanted} replicas are available")


def stateful_set(obj: Object, _related: list[Object]) -> Verdict:
    """All replicas are ready and, with RollingUpdate, of the newest version (those above the partition)."""
    if _unobserved(obj):
        return missing("its controller has not seen this version yet")
    spec, status = obj["spec"], obj.get("status") or {}
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    if ready < wanted:
        return missing(f"{ready} of {wanted} replicas are ready")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return READY
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    updated = status.get("updatedReplicas", 0)
    if status.get("updateRevision") != status.get("currentRevision") and updated < wanted - partition:
        return missing(f"{updated} of {wanted - partition} replicas are of the new version")
    return READY


def daemon_set(obj: Object, _related: list[Object]) -> Verdict:
    """Every node that should run it does, in the newest version and available."""
    if _unobserved(obj):
        return missing("its controller has not seen this version yet")
    status = obj.get("status") or {}
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    available = status.get("numberAvailable", 0)
    rolling = (obj["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
    if rolling and updated < wanted:
        return missing(f"{updated} of {wanted} nodes run the new version")
    return READY if available >= wanted else missing(f"it is available on {available} of {wanted} nodes")


def service(obj: Object, slices: list[Object]) -> Verdict:
    """A Service that selects pods has a ready endpoint; one of type LoadBalancer has an address.

    Headless, external and selectorless Services are ready at once. `slices`: its EndpointSlices.
    """
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return READY
    if spec.get("type") == "LoadBalancer" and not ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return missing("no load balancer address; is a controller for LoadBalancer Services running?")
    if not spec.get("selector") or spec.get("clusterIP") == "None":
        return READY
    endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or []]
    if any((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints):
        return READY
    labels = ",".join(f"{key}={value}" for key, value in spec["selector"].items())
    return missing(
        f"none of the {len(endpoints)} pods behind it is ready" if endpoints else f"no pod has the labels {labels}"
    )


def ingress(obj: Object, _related: list[Object]) -> Verdict:
    """A controller has given it an address."""
    if ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return READY
    name = (obj.get("spec") or {}).get("ingressClassName")
    which = f"class {name}" if name else "the default class"
    return missing(f"no load balancer address; is a controller for {which} running?")


def job(obj: Object, _related: list[Object]) -> Verdict:
    """It has completed. A suspended one is ready as it is."""
    if condition(obj, "Complete").get("status") == "True" or obj["spec"].get("suspend"):
        return READY
    if (ended := condition(obj, "Failed")).get("status") == "True":
        return failed(_why(ended) or "it failed")
    status = obj.get("status") or {}
    done, wanted = status.get("succeeded", 0), obj["spec"].get("completions", 1)
    return missing(f"{done} of {wanted} completions, {status.get('failed', 0)} failed pods")


def volume_claim(obj: Object, classes: list[Object]) -> Verdict:
    """It is bound, or waits for its first consumer as its storage class says. `classes`: that class, if it exists."""
    phase = (obj.get("status") or {}).get("phase", "Pending")
    if phase == "Bound" or any(one.get("volumeBindingMode") == "WaitForFirstConsumer" for one in classes):
        return READY
    if phase == "Lost":
        return failed("its volume is lost")
    name = obj["spec"].get("storageClassName")
    if name and not classes:
        return missing(f"no storage class {name!r}")
    return missing(f"no volume bound; is the provisioner of storage class {name!r} running?" if name else "not bound")


def volume(obj: Object, _related: list[Object]) -> Verdict:
    """It can be claimed, or is."""
    phase = (obj.get("status") or {}).get("phase", "Pending")
    if phase in ("Available", "Bound", "Released"):
        return READY
    return failed("reclaiming it failed") if phase == "Failed" else missing(f"its phase is {phase}")


def pod(obj: Object, _related: list[Object]) -> Verdict:
    """It is ready, or has succeeded."""
    phase = (obj.get("status") or {}).get("phase", "Pending")
    if phase == "Succeeded" or (phase == "Running" and condition(obj, "Ready").get("status") == "True"):
        return READY
    if phase == "Failed":
        return failed(trouble(obj) or "it failed")
    return missing(trouble(obj) or f"its phase is {phase}")


def custom_resource_definition(obj: Object, _related: list[Object]) -> Verdict:
    """The API server serves it."""
    if (names := condition(obj, "NamesAccepted")).get("status") == "False":
        return failed(_why(names))
    return READY if condition(obj, "Established").get("status") == "True" else missing("it is not established")


Rule = Callable[[Object, list[Object]], Verdict]

#: (group, kind) -> (rule, default timeout in seconds: pulumi-kubernetes' own).
RULES: dict[tuple[str, str], tuple[Rule, float]] = {
    ("apps", "Deployment"): (deployment, 600),
    ("apps", "StatefulSet"): (stateful_set, 600),
    ("apps", "DaemonSet"): (daemon_set, 600),
    ("batch", "Job"): (job, 600),
    ("networking.k8s.io", "Ingress"): (ingress, 600),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (custom_resource_definition, 60),
    ("", "Service"): (service, 600),
    ("", "PersistentVolumeClaim"): (volume_claim, 300),
    ("", "PersistentVolume"): (volume, 300),
    ("", "Pod"): (pod, 300),
}


def trouble(obj: Object) -> str:
    """What keeps a pod from running: unschedulable, a container that waits or crashed. Empty if nothing is wrong."""
    status = obj.get("status") or {}
    scheduled = condition(obj, "PodScheduled")
    if scheduled.get("status") == "False" or not (obj.get("spec") or {}).get("nodeName"):
        return _why(scheduled) or "not scheduled yet"
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            last = (container.get("lastState") or {}).get("terminated") or {}
            code = f" (last exit code {last['exitCode']})" if "exitCode" in last else ""
            return f"container {container['name']}: {_why(waiting)}{code}"
        if ended.get("exitCode"):
            return f"container {container['name']}: exit code {ended['exitCode']} {ended.get('reason', '')}".rstrip()
    ready = condition(obj, "Ready")
    return _why(ready) if ready.get("status") == "False" and status.get("phase") == "Running" else _why(status)

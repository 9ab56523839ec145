"""Waiting for an object to be ready, or gone."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.client import ApiError, Client, NoKind, Object
from lab.plugins.kubernetes.kubeconfig import Unreachable
from lab.plugins.kubernetes.readiness import READY, RULES, Rule, Verdict, condition, missing, trouble
from lab.plugins.kubernetes.wait_for import rule as custom_rule

#: A watch wakes a waiter at once; this is how often it looks anyway (related objects, cancellation).
_LOOK = 2.0
#: Repeat what is missing on the display this often.
_TELL = 5.0
_DEFAULT_TIMEOUT = 600.0


class NotReady(Exception):
    """`live` is the object as last seen, the message what is missing."""

    def __init__(self, live: Object, reason: str):
        super().__init__(reason)
        self.live = live


@dataclass(frozen=True)
class Watch:
    """A collection and the query that narrows it."""

    path: str
    query: dict[str, str]


@dataclass(frozen=True)
class Waiter:
    """What every wait of one operation shares. `tell` shows progress, `stopped` says that the user gave up."""

    client: Client
    tell: Callable[[str], None]
    stopped: Callable[[], bool]

    def ready(self, live: Object, timeout: float) -> Object:
        """The object once it is ready. `timeout` in seconds, 0 = the annotation's, else the kind's default.

        Raises NotReady.
        """
        rule, default = _rule(live)
        if rule is None or objects.flag(live, objects.SKIP_AWAIT):
            return live
        limit = timeout or seconds(live) or default
        deadline, told = time.monotonic() + limit, time.monotonic()
        path = self.client.locate(live)
        while True:
            related, watch = self._look(live)
            verdict = rule(live, related)
            if verdict.ready:
                return live
            left = deadline - time.monotonic()
            if verdict.final or left <= 0 or self.stopped():
                how = "" if verdict.final else "stopped waiting; " if left > 0 else f"not ready after {limit:.0f} s: "
                raise NotReady(live, how + self._explained(live, verdict))
            if time.monotonic() - told > _TELL:
                self.tell(f"waiting: {self._explained(live, verdict)}")
                told = time.monotonic()
            self._pause(watch, min(_LOOK, left))
            found = self.client.get(path)
            if found is None:
                raise NotReady(live, "it was deleted while waiting for it")
            live = found

    def check(self, live: Object) -> Verdict:
        """The verdict as things are."""
        rule, _ = _rule(live)
        if rule is None or objects.flag(live, objects.SKIP_AWAIT):
            return READY
        verdict = rule(live, self._look(live)[0])
        return verdict if verdict.ready else missing(self._explained(live, verdict))

    def gone(self, live: Object, timeout: float) -> None:
        """Returns once the object (this very one, not a successor of the same name) is absent. Raises NotReady."""
        limit = timeout or seconds(live) or _DEFAULT_TIMEOUT
        deadline, told = time.monotonic() + limit, time.monotonic()
        path, uid = self.client.locate(live), live["metadata"].get("uid")
        while (found := self.client.get(path)) and found["metadata"].get("uid") == uid:
            left = deadline - time.monotonic()
            reason = _still_there(found)
            if left <= 0 or self.stopped():
                how = "stopped waiting" if left > 0 else f"still there after {limit:.0f} s"
                raise NotReady(found, f"{how}{reason}")
            if time.monotonic() - told > _TELL:
                self.tell(f"waiting for deletion{reason}")
                told = time.monotonic()
            self._pause(self._itself(found), min(_LOOK, left))

    def _pause(self, watch: Watch, duration: float) -> None:
        """Until what is watched changes, at most `duration` seconds."""
        started = time.monotonic()
        try:
            for event in self.client.watch(watch.path, duration, watch.query):
                if event["type"] != "BOOKMARK":
                    break
        except (ApiError, Unreachable):
            pass  # An expired version or a restarting server: look again, a little later.
        # Not more than five looks a second, however fast things change.
        time.sleep(max(0.0, 0.2 - (time.monotonic() - started)))

    def _itself(self, live: Object) -> Watch:
        meta = live["metadata"]
        path = self.client.resource(live["apiVersion"], live["kind"]).path(meta.get("namespace"))
        query = {"fieldSelector": f"metadata.name={meta['name']}", "resourceVersion": meta["resourceVersion"]}
        return Watch(path, query)

    def _look(self, live: Object) -> tuple[list[Object], Watch]:
        """What the object's readiness hangs on besides itself, and what to watch for a change."""
        meta, spec = live["metadata"], live.get("spec") or {}
        if live["kind"] == "Service" and live["apiVersion"] == "v1" and spec.get("selector"):
            path = self.client.resource("discovery.k8s.io/v1", "EndpointSlice").path(meta["namespace"])
            selector = f"kubernetes.io/service-name={meta['name']}"
            listed = self.client.request("GET", path, query={"labelSelector": selector})
            version = listed["metadata"]["resourceVersion"]
            return listed["items"], Watch(path, {"labelSelector": selector, "resourceVersion": version})
        if live["kind"] == "PersistentVolumeClaim" and spec.get("storageClassName"):
            path = self.client.resource("storage.k8s.io/v1", "StorageClass").path(name=spec["storageClassName"])
            found = self.client.get(path)
            return ([found] if found else []), self._itself(live)
        return [], self._itself(live)

    def _explained(self, live: Object, verdict: Verdict) -> str:
        """What is missing, with what ails the first pod of a workload that has trouble."""
        labels = ((live.get("spec") or {}).get("selector") or {}).get("matchLabels")
        if not labels or verdict.ready:
            return verdict.reason
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        try:
            path = self.client.resource("v1", "Pod").path(live["metadata"]["namespace"])
            pods = self.client.request("GET", path, query={"labelSelector": selector})["items"]
        except (ApiError, NoKind, Unreachable):
            return verdict.reason
        ailing = [f"pod {pod['metadata']['name']}: {why}" for pod in pods if (why := trouble(pod))]
        if ailing:
            return f"{verdict.reason}; {ailing[0]}"
        stuck = condition(live, "ReplicaFailure").get("message")
        return f"{verdict.reason}; {stuck}" if stuck else verdict.reason


def seconds(obj: Object) -> float:
    """The timeout that the object's annotation asks for, 0 if none."""
    try:
        return float(objects.annotations(obj).get(objects.TIMEOUT, 0))
    except ValueError:
        return 0


def _rule(live: Object) -> tuple[Rule | None, float]:
    if annotation := objects.annotations(live).get(objects.WAIT_FOR):
        return custom_rule(annotation), _DEFAULT_TIMEOUT
    return RULES.get((live["apiVersion"].rpartition("/")[0], live["kind"]), (None, 0))


def _still_there(live: Object) -> str:
    reasons = []
    if finalizers := live["metadata"].get("finalizers"):
        reasons.append(f"finalizers {', '.join(finalizers)}")
    for entry in (live.get("status") or {}).get("conditions") or []:
        if live["kind"] == "Namespace" and entry.get("status") == "True" and entry.get("message"):
            reasons.append(entry["message"])
    return f": {'; '.join(reasons)}" if reasons else ""

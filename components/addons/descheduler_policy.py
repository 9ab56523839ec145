"""Which pods the descheduler moves."""

import json
from typing import Any

#: Where it runs, and where replicas are moved apart that have no spread constraint: CoreDNS and controllers.
NAMESPACE = "kube-system"


def policy() -> str:
    """What is moved: pods that break a spread constraint of their own; in kube-system also replicas on one node.

    Pods are evicted, so disruption budgets hold. Those of claims stay, for their volumes are of one zone
    (https://github.com/kubernetes-sigs/descheduler/blob/v0.36.0/README.md).
    """
    evictor = {
        "nodeFit": True,
        "minReplicas": 2,
        "podProtections": {
            "defaultDisabled": ["PodsWithLocalStorage", "SystemCriticalPods"],
            "extraEnabled": ["PodsWithPVC"],
        },
    }
    plugins: dict[str, Any] = {
        "DefaultEvictor": evictor,
        "RemoveDuplicates": {"namespaces": {"include": [NAMESPACE]}, "excludeOwnerKinds": ["Job"]},
        "RemovePodsViolatingTopologySpreadConstraint": {"constraints": ["DoNotSchedule", "ScheduleAnyway"]},
    }
    profile = {
        "name": "spread",
        "pluginConfig": [{"name": name, "args": args} for name, args in plugins.items()],
        "plugins": {"balance": {"enabled": [name for name in plugins if name != "DefaultEvictor"]}},
    }
    whole = {"apiVersion": "descheduler/v1alpha2", "kind": "DeschedulerPolicy", "profiles": [profile]}
    return json.dumps(whole, indent=1) + "\n"

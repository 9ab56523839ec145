"""Whether Amazon's VPC CNI acts on NetworkPolicies."""

from __future__ import annotations

from typing import Any

from twinplane.compare.probes.pods import SYSTEM
from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


def probe() -> Probe[bool]:
    """Do Amazon's VPC CNI and its controller act on them? A ConfigMap says so, also in EKS Auto Mode
    (https://docs.aws.amazon.com/eks/latest/userguide/auto-net-pol.html)."""
    path = f"/api/v1/namespaces/{SYSTEM}/configmaps?fieldSelector=metadata.name%3Damazon-vpc-cni"
    return Probe("vpc_cni_policies", Get(path), _enabled)


def _enabled(answer: dict[str, Any]) -> bool:
    return any((each.get("data") or {}).get("enable-network-policy-controller") == "true" for each in answer["items"])

"""Whether etcd holds what `kubeadm init` writes."""

from __future__ import annotations

from twinplane.compare.probes.pods import SYSTEM
from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


def probe() -> Probe[bool]:
    """Does the cluster hold the ConfigMap that `kubeadm init` writes? An empty etcd does not, nor does EKS."""
    path = f"/api/v1/namespaces/{SYSTEM}/configmaps?fieldSelector=metadata.name%3Dkubeadm-config"
    return Probe("kubeadm_config", Get(path), lambda answer: bool(answer["items"]))

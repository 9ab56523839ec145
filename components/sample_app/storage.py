"""SampleAppStorage: one copy of the sample app with a volume outside the nodes, which follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.sample_app.pod import NAME, pod

#: Of the volume, and of the claim that asks for it.
VOLUME = "outside"


@dataclass(frozen=True)
class SampleAppStorageArgs:
    """What a SampleAppStorage is made from."""

    #: Repository and tag.
    image: str
    namespace: pulumi.Input[str]
    #: Class whose driver makes the volume, and attaches it where the pod is.
    storage_class: pulumi.Input[str]
    size: str = "1Gi"


class SampleAppStorage(pulumi.ComponentResource):
    """A StatefulSet of one: its claim outlives container, pod and node. It goes, with its data, with the set."""

    def __init__(self, name: str, args: SampleAppStorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # Living stacks know the type by this name.
        super().__init__("twinplane:workload:AppStorage", name, None, opts)
        selector = {"app.kubernetes.io/name": f"{NAME}-storage"}
        labels = {**selector, "app.kubernetes.io/managed-by": "pulumi"}
        spec: Any = {
            "replicas": 1,
            "service_name": f"{NAME}-storage",
            "selector": {"match_labels": selector},
            "template": {"metadata": {"labels": labels}, "spec": pod(args.image, selector, outside=VOLUME)},
            "persistent_volume_claim_retention_policy": {"when_deleted": "Delete", "when_scaled": "Retain"},
            "volume_claim_templates": [
                {
                    "metadata": {"name": VOLUME},
                    "spec": {
                        "access_modes": ["ReadWriteOnce"],
                        "storage_class_name": args.storage_class,
                        "resources": {"requests": {"storage": args.size}},
                    },
                }
            ],
        }
        kubernetes.apps.v1.StatefulSet(
            name,
            metadata={"name": f"{NAME}-storage", "namespace": args.namespace, "labels": labels},
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"volume": VOLUME})

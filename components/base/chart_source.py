"""ChartSource: where a Helm chart comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.helm.v4 import Chart


@dataclass(frozen=True)
class ChartSource:
    """A chart of the official one's shape: that one, or a copy of one's own."""

    #: A chart's name, a folder (from the project's), or oci://...
    chart: str
    #: URL of the repository that has the name; None for a folder or oci://.
    repository: str | None = None
    #: None: as the folder has it.
    version: str | None = None

    def release(
        self, name: str, release: str, namespace: str, values: Mapping[str, Any], opts: pulumi.ResourceOptions
    ) -> Chart:
        """The chart's objects as the resource `name`; in the cluster they are named after `release`."""
        return Chart(
            name,
            name=release,
            namespace=namespace,
            chart=self.chart,
            version=self.version,
            repository_opts={"repo": self.repository} if self.repository else None,
            values=values,
            opts=opts,
        )

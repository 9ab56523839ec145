"""The load balancer that the sample app has by a Service of its own, unless nobody shall reach it."""

from __future__ import annotations

from typing import Any

from stacks.settings import ManagedSettings, Settings


def build(settings: Settings) -> dict[str, Any]:
    """-> what a SampleApp takes of it."""
    return {
        "balancer_cidrs": settings.app_cidrs,
        "balancer_scheme": settings.ingress_scheme,
        "balancer_auto_mode": isinstance(settings, ManagedSettings) and settings.node_mode == "auto",
    }

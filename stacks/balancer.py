"""The load balancer that the sample app has by a Service of its own, unless nobody shall reach it."""

from __future__ import annotations

from components.sample_app.sample_app import Balancer
from stacks.settings import ManagedSettings, Settings


def build(settings: Settings) -> Balancer | None:
    """Returns that part of the sample app."""
    if not settings.app_cidrs:
        return None
    auto_mode = isinstance(settings, ManagedSettings) and settings.node_mode == "auto"
    return Balancer(settings.app_cidrs, settings.ingress_scheme, auto_mode)

"""Twinplane: the same Kubernetes, managed and self-managed, side by side."""

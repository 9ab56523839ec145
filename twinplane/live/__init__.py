"""Clients of what lives: Kubernetes, AWS, and machines by SSH."""

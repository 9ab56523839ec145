"""Probes: a question and what its answer means, a file each; the same for both kinds of cluster."""

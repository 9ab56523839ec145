"""The managed cluster: EKS, its nodes, its add-ons, its logs and keys."""

"""The sample app, as objects of Kubernetes. Its program is in workload/."""

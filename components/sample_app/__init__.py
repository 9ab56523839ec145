"""The sample app, as objects of Kubernetes. Its program is in sample_app/ at the top."""

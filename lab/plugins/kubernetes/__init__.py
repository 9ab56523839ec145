"""The lab's `kubernetes` provider plugin: a stand-in for pulumi-kubernetes 4.34, used where that is not installed.

`python -m lab.plugins.kubernetes ENGINE` serves the resource provider protocol: any apiVersion and kind by server-side
apply, readiness per kind, yaml/v2 components. helm.sh/v3 Release and helm.sh/v4 Chart join `provider.COMPONENTS`.
"""

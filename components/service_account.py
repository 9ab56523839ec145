"""ServiceAccount: who a program is inside the cluster, and what it may do there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

#: Where the programs of the cluster itself run.
NAMESPACE = "kube-system"
#: Verbs, with spaces between, by API group and resource.
Rules = Mapping[tuple[str, str], str]


class ServiceAccount:
    """No component, but children of one: the account of `program`, in kube-system, and the rights that it is given.

    They have the component's own name, which is that of `parent`.
    """

    #: Of the object in the cluster.
    name: pulumi.Output[str]
    #: Of all that the program has: labels, and the metadata of what is in the namespace.
    labels: dict[str, str]
    metadata: Any
    #: The bindings: a program that comes after them starts with its rights.
    rights: list[pulumi.Resource]

    def __init__(self, name: str, program: str, parent: pulumi.Resource) -> None:
        self._resource, self._program, self._child = name, program, pulumi.ResourceOptions(parent=parent)
        self.labels = {"app.kubernetes.io/name": program, "app.kubernetes.io/managed-by": "pulumi"}
        self.metadata = {"name": program, "namespace": NAMESPACE, "labels": self.labels}
        self.rights = []
        account = kubernetes.core.v1.ServiceAccount(name, metadata=self.metadata, opts=self._child)
        self.name = account.metadata.name
        self._subjects: Any = [{"kind": "ServiceAccount", "name": self.name, "namespace": NAMESPACE}]

    def may(self, rules: Rules, role: str = "") -> None:
        """Gives a ClusterRole of its own, `role`, or else "twinplane:PROGRAM"."""
        metadata: Any = {"name": role or f"twinplane:{self._program}", "labels": self.labels}
        made = kubernetes.rbac.v1.ClusterRole(
            self._resource,
            metadata=metadata,
            rules=[
                {"api_groups": [group], "resources": [resource], "verbs": verbs.split()}
                for (group, resource), verbs in rules.items()
            ],
            opts=self._child,
        )
        self._bind(self._resource, metadata, made.metadata.name)

    def asks_who_calls(self) -> None:
        """Gives the right to have the API server look at a caller's token, and tell what the caller may do."""
        metadata: Any = {"name": f"twinplane:{self._program}:auth-delegator", "labels": self.labels}
        self._bind(f"{self._resource}-auth-delegator", metadata, "system:auth-delegator")

    def knows_who_calls(self) -> None:
        """Gives the right to read whom the API server believes certificates of: each server of a cluster does."""
        metadata: Any = {**self.metadata, "name": f"{self._program}-authentication-reader"}
        made = kubernetes.rbac.v1.RoleBinding(
            self._resource,
            metadata=metadata,
            role_ref=_role("Role", "extension-apiserver-authentication-reader"),
            subjects=self._subjects,
            opts=self._child,
        )
        self.rights.append(made)

    def _bind(self, name: str, metadata: Any, role: pulumi.Input[str]) -> None:
        made = kubernetes.rbac.v1.ClusterRoleBinding(
            name,
            metadata=metadata,
            role_ref=_role("ClusterRole", role),
            subjects=self._subjects,
            opts=self._child,
        )
        self.rights.append(made)


def _role(kind: str, name: pulumi.Input[str]) -> Any:
    return {"api_group": "rbac.authorization.k8s.io", "kind": kind, "name": name}

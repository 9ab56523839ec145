"""A cluster's API server over plain HTTP and JSON, as its administrator."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import urllib3

from lab.cloud.eks.model import Json
from lab.cloud.eks.pki import Pki

#: Plural and scope of the kinds that the lab applies: everything else is an error.
KINDS = {
    "ServiceAccount": ("serviceaccounts", True),
    "ConfigMap": ("configmaps", True),
    "Service": ("services", True),
    "Deployment": ("deployments", True),
    "DaemonSet": ("daemonsets", True),
    "PodDisruptionBudget": ("poddisruptionbudgets", True),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "RoleBinding": ("rolebindings", True),
    "APIService": ("apiservices", False),
    "MutatingWebhookConfiguration": ("mutatingwebhookconfigurations", False),
}


class KubeError(Exception):
    """What the API server refused, or `status` 0 when it did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kube:
    """The API server at https://ADDRESS. Every method raises KubeError."""

    def __init__(self, address: str, pki: Pki) -> None:
        self._pool = urllib3.HTTPSConnectionPool(
            address,
            443,
            maxsize=2,
            timeout=urllib3.Timeout(connect=5, read=15),
            retries=False,
            ca_certs=str(pki.folder / "ca.crt"),
            cert_file=str(pki.folder / "admin.crt"),
            key_file=str(pki.folder / "admin.key"),
        )

    def ready(self) -> bool:
        """Returns whether the API server says that it is ready."""
        try:
            return self._send("GET", "/readyz").status == 200
        except KubeError:
            return False

    def get(self, path: str) -> Json:
        """Returns the object or list at an API path such as `/api/v1/nodes`."""
        return self._json("GET", path)

    def apply(self, manifest: Json) -> Json:
        """Server-side apply as field manager `eks`. Returns the object."""
        path = f"{path_of(manifest)}?fieldManager=eks&force=true"
        return self._json("PATCH", path, manifest, "application/apply-patch+yaml")

    def patch(self, path: str, change: Json) -> Json:
        """Strategic merge patch. Returns the object."""
        return self._json("PATCH", path, change, "application/strategic-merge-patch+json")

    def delete(self, path: str) -> None:
        """Deletes one object; one that is not there is fine."""
        try:
            self._json("DELETE", path)
        except KubeError as error:
            if error.status != 404:
                raise

    def review(self, token: str, audience: str) -> Json:
        """Returns the status of a TokenReview: whose a token is, if it is for the audience."""
        spec = {"token": token, "audiences": [audience]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        return dict(self._json("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)["status"])

    def evict(self, namespace: str, pod: str) -> bool:
        """Asks for the eviction of a pod. Returns False while a PodDisruptionBudget forbids it."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        try:
            self._json("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)
        except KubeError as error:
            if error.status not in {404, 429}:
                raise
            return error.status == 404
        return True

    def _json(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        answer = self._send(method, path, body, kind)
        content: Any = json.loads(answer.data)
        if answer.status >= 300:
            raise KubeError(answer.status, f"{method} {path}: {content.get('message', answer.status)}")
        return dict(content)

    def _send(self, method: str, path: str, body: Json | None = None, kind: str = "") -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json"} | ({"Content-Type": kind} if body is not None else {})
        try:
            return self._pool.request(
                method, path, body=None if body is None else json.dumps(body).encode(), headers=headers
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise KubeError(0, f"{method} {path}: {error}") from None


def path_of(manifest: Json) -> str:
    """Returns the API path of an object."""
    version, metadata = str(manifest["apiVersion"]), manifest["metadata"]
    plural, namespaced = KINDS[str(manifest["kind"])]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = f"/namespaces/{metadata['namespace']}" if namespaced else ""
    return f"{root}{scope}/{plural}/{quote(str(metadata['name']), safe=':')}"

"""What EKS adds to a pod whose service account has a role: a token for Pod Identity's agent, and where that is.

https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
"""

from __future__ import annotations

import base64
import json

from lab.cloud import webhooks
from lab.cloud.eks import pod_identity
from lab.cloud.eks.model import Json
from lab.cloud.eks.pod_identity_units import AGENT
from lab.cloud.eks.state import Cluster, Store
from lab.constants import REGION

#: Of the webhook, and of its path.
NAME, WHAT = "pod-identity-webhook", "identify-pod"
FOLDER, TOKEN = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount", "eks-pod-identity-token"
#: Seconds that a token lives; the kubelet renews it in the last fifth.
LIFE = 86400
ENVIRONMENT = {
    "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{AGENT}/v1/credentials",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{FOLDER}/{TOKEN}",
}


def configuration(cluster: Cluster) -> Json:
    """Returns what makes the API server of a cluster ask. As on EKS, a pod is made all the same when nobody answers."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": "pod-identity-webhook.amazonaws.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 10,
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
                "clientConfig": {
                    "url": webhooks.url(WHAT, cluster.name),
                    "caBundle": base64.b64encode(webhooks.authority()).decode(),
                },
            }
        ],
    }


def review(store: Store, body: bytes, cluster: str) -> Json:
    """Answers an AdmissionReview (admission.k8s.io/v1) of a pod. Raises ValueError for another."""
    asked = json.loads(body)
    if asked.get("kind") != "AdmissionReview" or asked["request"]["kind"]["kind"] != "Pod":
        raise ValueError("not an AdmissionReview of a Pod")
    request = asked["request"]
    account = request["object"]["spec"].get("serviceAccountName", "default")
    response = {"uid": request["uid"], "allowed": True}
    known = store.read().get(cluster)
    if known and pod_identity.association(known, request["namespace"], account):
        patch = json.dumps(changes(request["object"]["spec"]))
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch.encode()).decode()}
    return {"apiVersion": asked["apiVersion"], "kind": asked["kind"], "response": response}


def changes(spec: Json) -> list[Json]:
    """Returns the JSON patch of a pod; what it says itself of those variables stays."""
    token = {"audience": pod_identity.AUDIENCE, "expirationSeconds": LIFE, "path": TOKEN}
    volume = {"name": TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}}
    made = [{"op": "add", "path": "/spec/volumes", "value": [*spec.get("volumes", []), volume]}]
    for kind in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(kind, [])):
            present = container.get("env", [])
            names = {each["name"] for each in present}
            added = [{"name": name, "value": value} for name, value in ENVIRONMENT.items() if name not in names]
            mount = {"name": TOKEN, "mountPath": FOLDER, "readOnly": True}
            path = f"/spec/{kind}/{place}"
            mounts = [*container.get("volumeMounts", []), mount]
            made += [
                {"op": "add", "path": f"{path}/env", "value": [*present, *added]},
                {"op": "add", "path": f"{path}/volumeMounts", "value": mounts},
            ]
    return made

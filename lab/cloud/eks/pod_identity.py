"""Pod Identity: which role the pods of a service account have, and credentials of it for who shows such a pod's token.

https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html
"""

from __future__ import annotations

import re
import secrets
import string
import time
from datetime import UTC

from lab.cloud import api
from lab.cloud.eks import checks
from lab.cloud.eks.cluster import active, arn
from lab.cloud.eks.control_plane import ControlPlane
from lab.cloud.eks.kube import KubeError
from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Cluster, Store, find

#: Whom a pod's token is for.
AUDIENCE = "pods.eks.amazonaws.com"
#: How the API server names service accounts: this, "NAMESPACE:NAME".
ACCOUNTS = "system:serviceaccount:"
#: Members that the lab does not do.
ABSENT = ("disableSessionTags", "targetRoleArn", "policy")
#: Of the credentials, seconds.
LIFE = 21600


def create(store: Store, given: Json) -> Json:
    """CreatePodIdentityAssociation."""
    _plain(given)
    checks.check_role(given["roleArn"], AUDIENCE)
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        active(cluster)
        if there := association(cluster, given["namespace"], given["serviceAccount"]):
            if cluster.made_by(there["associationArn"], given):
                return {"association": there}
            message = f"Association already exists: {given['namespace']}/{given['serviceAccount']}"
            raise EksError("ResourceInUseException", message, clusterName=cluster.name)
        now, letters = time.time(), string.ascii_lowercase + string.digits
        made = "a-" + "".join(secrets.choice(letters) for _ in range(17))
        described: Json = {
            **{key: given[key] for key in ("clusterName", "namespace", "serviceAccount", "roleArn")},
            "associationArn": arn(f"podidentityassociation/{cluster.name}/{made}"),
            "associationId": made,
            "tags": given.get("tags", {}),
            "createdAt": now,
            "modifiedAt": now,
            "disableSessionTags": False,
        }
        cluster.associations[made] = described
        cluster.made(described["associationArn"], given)
        return {"association": described}


def describe(store: Store, given: Json) -> Json:
    """DescribePodIdentityAssociation."""
    return {"association": _find(store.cluster(given["clusterName"]), given["associationId"])}


def list_associations(store: Store, given: Json) -> Json:
    """ListPodIdentityAssociations."""
    told = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")
    return {
        "associations": [
            {key: each[key] for key in told}
            for each in store.cluster(given["clusterName"]).associations.values()
            if all(given.get(key) in (None, each[key]) for key in ("namespace", "serviceAccount"))
        ]
    }


def update(store: Store, given: Json) -> Json:
    """UpdatePodIdentityAssociation."""
    _plain(given)
    if "roleArn" in given:
        checks.check_role(given["roleArn"], AUDIENCE)
    with store.change() as clusters:
        described = _find(find(clusters, given["clusterName"]), given["associationId"])
        described |= {"roleArn": given.get("roleArn", described["roleArn"]), "modifiedAt": time.time()}
        return {"association": described}


def delete(store: Store, given: Json) -> Json:
    """DeletePodIdentityAssociation."""
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        gone = _find(cluster, given["associationId"])
        del cluster.associations[given["associationId"]]
        return {"association": gone}


def assume(store: Store, given: Json) -> Json:
    """AssumeRoleForPodIdentity: the cluster itself says whose the token is."""
    cluster = store.cluster(given["clusterName"])
    namespace, account, pod = _owner(cluster, given["token"])
    found = association(cluster, namespace, account)
    if found is None:
        message = f"No association found for {namespace}/{account} in cluster {cluster.name}"
        raise EksError("ResourceNotFoundException", message)
    checks.check_role(found["roleArn"], AUDIENCE)
    session = re.sub(r"[^\w+=,.@-]", "-", f"eks-{cluster.name}-{pod}")[:53] + f"-{secrets.token_hex(5)}"
    taken = api.client("sts").assume_role(RoleArn=found["roleArn"], RoleSessionName=session, DurationSeconds=LIFE)
    keys, user = taken["Credentials"], taken["AssumedRoleUser"]
    return {
        "subject": {"namespace": namespace, "serviceAccount": account},
        "audience": AUDIENCE,
        "podIdentityAssociation": {key: found[key] for key in ("associationArn", "associationId")},
        "assumedRoleUser": {"arn": user["Arn"], "assumeRoleId": user["AssumedRoleId"]},
        "credentials": {
            "accessKeyId": keys["AccessKeyId"],
            "secretAccessKey": keys["SecretAccessKey"],
            "sessionToken": keys["SessionToken"],
            "expiration": keys["Expiration"].astimezone(UTC).timestamp(),
        },
    }


def _owner(cluster: Cluster, token: str) -> tuple[str, str, str]:
    """Returns namespace, service account and pod of a token. Raises EksError."""
    try:
        review = ControlPlane(cluster).kube.review(token, AUDIENCE)
    except KubeError as error:
        raise EksError("ServiceUnavailableException", f"The cluster {cluster.name} does not answer: {error}") from None
    user = review.get("user", {})
    name = user.get("username", "")
    namespace, _, account = name.removeprefix(ACCOUNTS).partition(":")
    if not review.get("authenticated") or not name.startswith(ACCOUNTS):
        raise EksError("InvalidTokenException", f"The token is of no service account of the cluster for {AUDIENCE}")
    return namespace, account, user.get("extra", {}).get("authentication.kubernetes.io/pod-name", [""])[0]


def _plain(given: Json) -> None:
    for member in ABSENT:
        if given.get(member):
            raise EksError("InvalidParameterException", f"{member}: the lab does not do that")


def association(cluster: Cluster, namespace: str, account: str) -> Json | None:
    """Returns what ties a service account to its role; None where nothing does."""
    wanted = (namespace, account)
    return next((a for a in cluster.associations.values() if (a["namespace"], a["serviceAccount"]) == wanted), None)


def _find(cluster: Cluster, known_as: str) -> Json:
    if known_as not in cluster.associations:
        raise EksError(
            "ResourceNotFoundException", f"No association found for id: {known_as}.", clusterName=cluster.name
        )
    return cluster.associations[known_as]

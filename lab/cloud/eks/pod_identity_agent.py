"""Pod Identity's agent: who shows a pod's token on a node gets credentials of the role of its service account.

On EKS a program on each node, which asks EKS Auth. Here each node leads its address to the lab (pod_identity_units.py),
where the answer is made: whose cluster it is, the node's address tells.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from lab.cloud.ec2 import ec2
from lab.cloud.eks import pod_identity
from lab.cloud.eks.model import EksError
from lab.cloud.eks.state import Store
from lab.constants import ACCOUNT

ADD_ON = "eks-pod-identity-agent"


def credentials(store: Store, address: str, token: str) -> tuple[int, str]:
    """Returns HTTP status and body, in the form of containers' credentials, for a token that came from a node's
    address."""
    running = {each.address: each.tags for each in ec2.machines() if each.state == "running"}
    # As node groups and Auto Mode, which has the agent by itself, name the cluster.
    names = [running.get(address, {}).get(tag, "") for tag in ("eks:cluster-name", "eks:eks-cluster-name")]
    cluster = store.read().get("".join(names))
    if cluster is None or not (cluster.auto or ADD_ON in cluster.addons):
        return 404, f"there is no agent at {address}: no node of a cluster with the add-on {ADD_ON}"
    try:
        given = pod_identity.assume(store, {"clusterName": cluster.name, "token": token})["credentials"]
    except EksError as error:
        return error.status, f"{error.code}: {error.message}"
    told = {
        "AccessKeyId": given["accessKeyId"],
        "SecretAccessKey": given["secretAccessKey"],
        "Token": given["sessionToken"],
        "AccountId": ACCOUNT,
        "Expiration": f"{datetime.fromtimestamp(given['expiration'], UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return 200, json.dumps(told)

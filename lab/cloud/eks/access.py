"""Access entries: which IAM principals are whom in a cluster."""

from __future__ import annotations

import time
import uuid
from urllib.parse import quote

from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Cluster, Store, find
from lab.cloud.eks.system import POLICIES, policy_group
from lab.constants import ACCOUNT, REGION

_POLICY = "arn:aws:eks::aws:cluster-access-policy/"
ADMIN = f"{_POLICY}AmazonEKSClusterAdminPolicy"
#: Nodes: users of the cluster, not people.
NODES = {
    "EC2": ("system:node:{{EC2PrivateDNSName}}", []),
    "EC2_LINUX": ("system:node:{{EC2PrivateDNSName}}", ["system:nodes"]),
}


def entry(cluster: Cluster, principal: str, kind: str = "STANDARD", **given: object) -> Json:
    """Adds an access entry. Returns what DescribeAccessEntry answers."""
    now, name = time.time(), principal.rpartition(":")[2]
    username, groups = NODES.get(kind, (_username(principal), []))
    described: Json = {
        "clusterName": cluster.name,
        "principalArn": principal,
        "kubernetesGroups": given.get("kubernetesGroups") or groups,
        "accessEntryArn": f"arn:aws:eks:{REGION}:{ACCOUNT}:access-entry/{cluster.name}/{name.split('/')[0]}/{ACCOUNT}/"
        f"{quote(name.rpartition('/')[2])}/{uuid.uuid4()}",
        "createdAt": now,
        "modifiedAt": now,
        "tags": given.get("tags") or {},
        "username": given.get("username") or username,
        "type": kind,
    }
    cluster.entries[principal] = {"api": described, "policies": {}}
    return described


def grant_creator(cluster: Cluster, caller: str) -> None:
    """Makes the principal that creates a cluster its administrator."""
    principal = role_of(caller)
    entry(cluster, principal)
    _associate(cluster, principal, ADMIN, {"type": "cluster", "namespaces": []})


def grant_auto_nodes(cluster: Cluster, role: str) -> None:
    """Lets nodes of EKS Auto Mode's own pools in
    (https://docs.aws.amazon.com/eks/latest/userguide/auto-learn-iam.html)."""
    entry(cluster, role, "EC2")
    _associate(cluster, role, f"{_POLICY}AmazonEKSAutoNodePolicy", {"type": "cluster", "namespaces": []})


def role_of(caller: str) -> str:
    """Returns the ARN that access entries name: of the role for a session of it, else the caller itself."""
    if ":assumed-role/" not in caller:
        return caller
    role = caller.split(":assumed-role/")[1].split("/", maxsplit=1)[0]
    return f"arn:aws:iam::{caller.split(':')[4]}:role/{role}"


def identify(cluster: Cluster, caller: str) -> tuple[str, list[str]] | None:
    """Returns the Kubernetes user name and groups of an STS caller; None for one without an entry."""
    found = cluster.entries.get(role_of(caller))
    if found is None:
        return None
    session = caller.rpartition("/")[2] if ":assumed-role/" in caller else ""
    username = found["api"]["username"].replace("{{SessionName}}", session)
    groups = list(found["api"]["kubernetesGroups"])
    for policy, association in found["policies"].items():
        short = policy.removeprefix(_POLICY)
        if policy == ADMIN and association["accessScope"]["type"] == "cluster":
            groups.append("system:masters")
        elif association["accessScope"]["type"] == "cluster":
            groups.append(policy_group(short))
        else:
            groups += [policy_group(short, namespace) for namespace in association["accessScope"]["namespaces"]]
    return username, groups


def scopes(cluster: Cluster) -> set[tuple[str, str]]:
    """Returns policy and namespace of every association that is for a namespace."""
    return {
        (policy.removeprefix(_POLICY), namespace)
        for found in cluster.entries.values()
        for policy, association in found["policies"].items()
        for namespace in association["accessScope"]["namespaces"]
    }


def create(store: Store, given: Json) -> Json:
    """CreateAccessEntry."""
    principal, kind = given["principalArn"], given.get("type", "STANDARD")
    if kind not in {"STANDARD", *NODES}:
        raise EksError("InvalidParameterException", f"type {kind}: the lab has {', '.join(['STANDARD', *NODES])}")
    if not principal.startswith(f"arn:aws:iam::{ACCOUNT}:"):
        raise EksError("InvalidParameterException", f"The principalArn parameter format is not valid: {principal}")
    if any(group.startswith("system:") for group in given.get("kubernetesGroups", [])):
        raise EksError("InvalidParameterException", "The kubernetes group name must not start with system:")
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        if cluster.api["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
            message = "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP]"
            raise EksError("InvalidRequestException", message, clusterName=cluster.name)
        if principal in cluster.entries:
            there = cluster.entries[principal]["api"]
            if cluster.made_by(there["accessEntryArn"], given):
                return {"accessEntry": there}
            message = "The specified access entry resource is already in use on this cluster."
            raise EksError("ResourceInUseException", message, clusterName=cluster.name)
        more = {key: given.get(key) for key in ("kubernetesGroups", "tags", "username")}
        described = entry(cluster, principal, kind, **more)
        cluster.made(described["accessEntryArn"], given)
        return {"accessEntry": described}


def describe(store: Store, given: Json) -> Json:
    """DescribeAccessEntry."""
    return {"accessEntry": _find(store.cluster(given["clusterName"]), given)["api"]}


def list_entries(store: Store, given: Json) -> Json:
    """ListAccessEntries."""
    wanted = given.get("associatedPolicyArn")
    entries = store.cluster(given["clusterName"]).entries
    return {"accessEntries": [arn for arn, each in entries.items() if not wanted or wanted in each["policies"]]}


def update(store: Store, given: Json) -> Json:
    """UpdateAccessEntry."""
    with store.change() as clusters:
        described = _find(find(clusters, given["clusterName"]), given)["api"]
        described |= {key: given[key] for key in ("kubernetesGroups", "username") if key in given}
        described["modifiedAt"] = time.time()
        return {"accessEntry": described}


def delete(store: Store, given: Json) -> Json:
    """DeleteAccessEntry."""
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        _find(cluster, given)
        del cluster.entries[given["principalArn"]]
        return {}


def associate(store: Store, given: Json) -> Json:
    """AssociateAccessPolicy."""
    policy, scope = given["policyArn"], given["accessScope"]
    if policy.removeprefix(_POLICY) not in POLICIES:
        raise EksError("InvalidParameterException", f"The policyArn {policy} is none of {', '.join(POLICIES)}")
    namespaces = scope.get("namespaces", [])
    if (scope["type"] == "namespace") != bool(namespaces):
        raise EksError(
            "InvalidParameterException", "accessScope: namespaces go with the type namespace, and only with it"
        )
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        _find(cluster, given)
        scope = {"type": scope["type"], "namespaces": namespaces}
        association = _associate(cluster, given["principalArn"], policy, scope)
        return {
            "clusterName": cluster.name, "principalArn": given["principalArn"], "associatedAccessPolicy": association,
        }  # fmt: skip


def disassociate(store: Store, given: Json) -> Json:
    """DisassociateAccessPolicy."""
    with store.change() as clusters:
        policies = _find(find(clusters, given["clusterName"]), given)["policies"]
        if given["policyArn"] not in policies:
            raise EksError("ResourceNotFoundException", f"The policy {given['policyArn']} is not associated")
        del policies[given["policyArn"]]
        return {}


def list_associated(store: Store, given: Json) -> Json:
    """ListAssociatedAccessPolicies."""
    found = _find(store.cluster(given["clusterName"]), given)
    return {
        "clusterName": given["clusterName"],
        "principalArn": given["principalArn"],
        "associatedAccessPolicies": list(found["policies"].values()),
    }


def list_policies(store: Store, given: Json) -> Json:
    """ListAccessPolicies."""
    del store, given
    return {"accessPolicies": [{"name": name, "arn": _POLICY + name} for name in POLICIES]}


def _associate(cluster: Cluster, principal: str, policy: str, scope: Json) -> Json:
    now = time.time()
    association: Json = {"policyArn": policy, "accessScope": scope, "associatedAt": now, "modifiedAt": now}
    cluster.entries[principal]["policies"][policy] = association
    return association


def _find(cluster: Cluster, given: Json) -> Json:
    found: Json | None = cluster.entries.get(given["principalArn"])
    if found is None:
        message = f"The specified principalArn could not be found. You tried: {given['principalArn']}"
        raise EksError("ResourceNotFoundException", message, clusterName=cluster.name)
    return found


def _username(principal: str) -> str:
    if ":role/" not in principal:
        return principal
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{principal.rpartition('/')[2]}/{{{{SessionName}}}}"

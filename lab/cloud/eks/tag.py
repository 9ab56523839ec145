"""Tags of clusters, node groups, add-ons, access entries and Pod Identity associations, by ARN."""

from __future__ import annotations

from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Cluster, Store


def tag(store: Store, given: Json) -> Json:
    """TagResource."""
    with store.change() as clusters:
        _find(clusters, given["resourceArn"])["tags"].update(given["tags"])
        return {}


def untag(store: Store, given: Json) -> Json:
    """UntagResource."""
    with store.change() as clusters:
        tags = _find(clusters, given["resourceArn"])["tags"]
        for key in given["tagKeys"]:
            tags.pop(key, None)
        return {}


def list_tags(store: Store, given: Json) -> Json:
    """ListTagsForResource."""
    return {"tags": _find(store.read(), given["resourceArn"])["tags"]}


def _find(clusters: dict[str, Cluster], arn: str) -> Json:
    for cluster in clusters.values():
        described = [
            (cluster.api, "arn"),
            *((group.api, "nodegroupArn") for group in cluster.nodegroups.values()),
            *((addon, "addonArn") for addon in cluster.addons.values()),
            *((association, "associationArn") for association in cluster.associations.values()),
            *((entry["api"], "accessEntryArn") for entry in cluster.entries.values()),
        ]
        for api, key in described:
            if api[key] == arn:
                return dict(api) | {"tags": api["tags"]}
    raise EksError("NotFoundException", f"The specified resource could not be found: {arn}")

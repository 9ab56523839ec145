"""The EKS API as a WSGI application: a request becomes an operation, its answer or error becomes JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.cloud import callers
from lab.cloud.eks import access, addon, cluster, model, nodegroup, pod_identity, tag, update
from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

OPERATIONS: dict[str, Callable[[Store, Json], Json]] = {
    "DescribeCluster": cluster.describe,
    "ListClusters": cluster.list_clusters,
    "DeleteCluster": cluster.delete,
    "UpdateClusterConfig": cluster.update_config,
    "UpdateClusterVersion": cluster.update_version,
    "DescribeClusterVersions": cluster.versions,
    "CreateNodegroup": nodegroup.create,
    "DescribeNodegroup": nodegroup.describe,
    "ListNodegroups": nodegroup.list_nodegroups,
    "UpdateNodegroupConfig": nodegroup.update_config,
    "UpdateNodegroupVersion": nodegroup.update_version,
    "DeleteNodegroup": nodegroup.delete,
    "DescribeUpdate": update.describe,
    "ListUpdates": update.list_updates,
    "CreateAddon": addon.create,
    "DescribeAddon": addon.describe,
    "ListAddons": addon.list_addons,
    "UpdateAddon": addon.change,
    "DeleteAddon": addon.delete,
    "DescribeAddonVersions": addon.versions,
    "CreateAccessEntry": access.create,
    "DescribeAccessEntry": access.describe,
    "ListAccessEntries": access.list_entries,
    "UpdateAccessEntry": access.update,
    "DeleteAccessEntry": access.delete,
    "AssociateAccessPolicy": access.associate,
    "DisassociateAccessPolicy": access.disassociate,
    "ListAssociatedAccessPolicies": access.list_associated,
    "ListAccessPolicies": access.list_policies,
    "CreatePodIdentityAssociation": pod_identity.create,
    "DescribePodIdentityAssociation": pod_identity.describe,
    "ListPodIdentityAssociations": pod_identity.list_associations,
    "UpdatePodIdentityAssociation": pod_identity.update,
    "DeletePodIdentityAssociation": pod_identity.delete,
    "AssumeRoleForPodIdentity": pod_identity.assume,
    "TagResource": tag.tag,
    "UntagResource": tag.untag,
    "ListTagsForResource": tag.list_tags,
}


class App:
    """`changed` is called after every request that may have changed something."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self.store = store
        self.changed = changed

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        headers = [("Content-Type", "application/json")]
        try:
            status, answer = "200 OK", self._answer(environ)
        except EksError as error:
            status, answer = f"{error.status} {error.code}", {"message": error.message, **error.fields}
            headers.append(("x-amzn-ErrorType", error.code))
        body = json.dumps(answer).encode()
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: WSGIEnvironment) -> Json:
        method = environ["REQUEST_METHOD"]
        path, _, query = environ["RAW_URI"].partition("?")
        content = environ["wsgi.input"].read()
        try:
            body = json.loads(content or b"{}")
        except ValueError:
            raise EksError("SerializationException", "The body is not JSON") from None
        operation, given = model.parse(method, path, query, body)
        if operation.name == "CreateCluster":
            answer = cluster.create(self.store, given, callers.caller(environ))
        elif operation.name in OPERATIONS:
            answer = OPERATIONS[operation.name](self.store, given)
        else:
            raise EksError("ClientException", f"{operation.name}: the lab does not do that")
        if method != "GET":
            self.changed()
        return answer

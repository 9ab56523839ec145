"""Pod Identity on the nodes: what a pod gets when it is made, and what its token gets at the agent."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from lab.cloud import webhooks
from lab.cloud.eks import addon, endpoint, pod_identity_agent, pod_identity_units, pod_identity_webhook
from lab.cloud.eks.control_plane import ControlPlane
from lab.cloud.eks.state import Store
from tests.support.eks_cloud import ROLE, Account, Api, Cloud, account, cloud, make_cluster, make_group, store, until

__all__ = ["account", "cloud", "store"]

NODE = "198.18.0.1"


@pytest.fixture
def cluster(account: Account, cloud: Cloud, store: Store) -> Api:  # noqa: ARG001
    make_cluster(store)
    given = {"clusterName": "demo", "namespace": "shop", "serviceAccount": "till", "roleArn": f"{ROLE}pods"}
    endpoint.OPERATIONS["CreatePodIdentityAssociation"](store, given)
    return Api(cloud)


def admitted(store: Store, spec: dict[str, Any], namespace: str = "shop", kind: str = "Pod") -> list[dict[str, Any]]:
    """Returns the changes that the API server of the cluster is told."""
    request = {"uid": "1", "kind": {"kind": kind}, "namespace": namespace, "object": {"spec": spec}}
    asked = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    answer = pod_identity_webhook.review(store, json.dumps(asked).encode(), "demo")
    assert (answer["kind"], answer["response"]["uid"], answer["response"]["allowed"]) == ("AdmissionReview", "1", True)
    return list(json.loads(base64.b64decode(answer["response"].get("patch", "W10="))))


@pytest.mark.usefixtures("cluster")
def test_a_pod_with_a_role_gets_a_token_and_the_agents_address(store: Store) -> None:
    own = {"name": "AWS_REGION", "value": "eu-west-1"}
    mount = {"name": "data", "mountPath": "/data"}
    spec = {
        "serviceAccountName": "till",
        "volumes": [{"name": "data"}],
        "containers": [{"name": "a", "env": [own], "volumeMounts": [mount]}, {"name": "b"}],
    }
    changes = {each["path"]: each["value"] for each in admitted(store, spec)}
    data, token = changes["/spec/volumes"]
    assert data == {"name": "data"}
    [source] = token["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pods.eks.amazonaws.com"
    said = {each["name"]: each["value"] for each in changes["/spec/containers/0/env"]}
    assert said["AWS_REGION"] == "eu-west-1", "what the pod says itself"
    assert said["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://169.254.170.23/v1/credentials"
    [before, added] = changes["/spec/containers/0/volumeMounts"]
    assert before == mount
    path = source["serviceAccountToken"]["path"]
    assert said["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == f"{added['mountPath']}/{path}"
    assert {each["name"] for each in changes["/spec/containers/1/env"]} == set(said)


@pytest.mark.usefixtures("cluster")
def test_other_pods_stay_as_they_are(store: Store) -> None:
    assert admitted(store, {"containers": [{}]}) == [], "the service account default has no role"
    assert admitted(store, {"serviceAccountName": "till", "containers": [{}]}, namespace="other") == []
    with pytest.raises(ValueError, match="not an AdmissionReview of a Pod"):
        admitted(store, {}, kind="Deployment")


def test_the_api_server_asks_for_every_new_pod_and_needs_no_answer(
    cluster: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cluster
    monkeypatch.setattr(webhooks, "authority", lambda: b"certificate")
    [webhook] = pod_identity_webhook.configuration(store.cluster("demo"))["webhooks"]
    assert webhook["clientConfig"]["url"].endswith("/identify-pod/demo")
    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["rules"][0]["resources"] == ["pods"]


class Reviewer:
    def review(self, token: str, audience: str) -> Any:
        good = (token, audience) == ("good", "pods.eks.amazonaws.com")
        return {"authenticated": good, "user": {"username": "system:serviceaccount:shop:till"}}


def test_a_token_shown_at_a_node_gives_credentials(cluster: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    monkeypatch.setattr(ControlPlane, "kube", Reviewer())
    status, text = pod_identity_agent.credentials(store, NODE, "good")
    assert (status, "add-on eks-pod-identity-agent" in text) == (404, True)
    addon.create(store, {"clusterName": "demo", "addonName": "eks-pod-identity-agent"})

    status, text = pod_identity_agent.credentials(store, NODE, "good")
    given = json.loads(text)
    assert status == 200
    assert (given["AccessKeyId"], given["SecretAccessKey"], given["Token"]) == (f"key of {ROLE}pods", "s", "t")
    assert given["Expiration"].endswith("Z")
    status, text = pod_identity_agent.credentials(store, NODE, "bad")
    assert (400 <= status < 500, text.startswith("InvalidTokenException")) == (True, True)
    assert pod_identity_agent.credentials(store, "198.18.200.9", "good")[0] == 404, "no node of a cluster"


def test_nodes_of_auto_mode_have_the_agent_by_themselves(
    cluster: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cluster
    auto = {"release": "20261101", "subnet_id": "subnet-a", "instance_type": "c6a.large", "token": "t"}
    tags = {"eks:eks-cluster-name": "demo"}
    pod_identity_agent.ec2.launch(**auto, tags=tags, security_group="sg-1", template={}, profile="p")
    monkeypatch.setattr(ControlPlane, "kube", Reviewer())
    machine = replace(pod_identity_agent.ec2.machines()[0], state="running")
    monkeypatch.setattr(pod_identity_agent.ec2, "machines", lambda: [machine])
    assert pod_identity_agent.credentials(store, NODE, "good")[0] == 404
    with store.change() as clusters:
        clusters["demo"].api["computeConfig"] = {"enabled": True}
    assert pod_identity_agent.credentials(store, NODE, "good")[0] == 200


def test_the_agents_address_leads_to_the_lab() -> None:
    units = pod_identity_units.units()
    assert b"ListenStream=169.254.170.23:80\n" in units["pod-identity-agent.socket"]
    assert units["pod-identity-agent.service"].rstrip().endswith(b" 198.19.255.254:1338")

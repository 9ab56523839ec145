"""Rights of pods: the API server's tokens, taken by the lab's STS as AWS takes them."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from components.identity.oidc_issuer import DISCOVERY, KEYS
from components.identity.pod_identity import AUDIENCE, eks_trust, oidc_trust
from tests.support.live import MANAGED, Cluster, until

NAMESPACE, ACCOUNT = "twinplane", "default"
CONTROLLER = "aws-load-balancer-controller"
#: Of the pods: the association that gives them their role.
ANNOTATION = "twinplane.dev/pod-identity"
AGENT = "http://169.254.170.23/v1/credentials"


def issuer(cluster: Cluster) -> str:
    return str(json.loads(cluster.kubectl("get", "--raw", f"/{DISCOVERY}"))["issuer"])


def token(cluster: Cluster, *argv: str, account: str = ACCOUNT, namespace: str = NAMESPACE) -> str:
    return cluster.kubectl("create", "token", account, "-n", namespace, *argv).strip()


def claims(shown: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(shown.split(".")[1] + "=="))


def caller(cluster: Cluster, *keys: str) -> str:
    """Returns the ARN that STS knows the holder of these keys by: id, secret, token."""
    return str(cluster.shell.client("sts", keys).get_caller_identity()["Arn"])


def session(role: str) -> str:
    """Returns how the ARNs of a role's sessions begin."""
    return f"{role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/"


@pytest.fixture
def role(self_managed: Cluster) -> Iterator[str]:
    """A role for the service account, as PodIdentity makes it."""
    iam, url = self_managed.shell.client("iam"), issuer(self_managed)
    providers = [each["Arn"] for each in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    [provider] = [each for each in providers if each.endswith(urlsplit(url).netloc)]
    trust = oidc_trust(url, provider, NAMESPACE, ACCOUNT)
    yield str(iam.create_role(RoleName="pods", AssumeRolePolicyDocument=trust)["Role"]["Arn"])
    iam.delete_role(RoleName="pods")


def test_the_world_reads_what_the_api_server_says_of_itself(self_managed: Cluster) -> None:
    bucket = urlsplit(issuer(self_managed)).netloc.partition(".")[0]
    for document in (DISCOVERY, KEYS):
        url = f"{self_managed.shell.environment['AWS_ENDPOINT_URL']}/{bucket}/{document}"
        with urllib.request.urlopen(url) as public:
            assert json.load(public) == json.loads(self_managed.kubectl("get", "--raw", f"/{document}"))


def test_tokens_are_for_the_cluster_too(self_managed: Cluster) -> None:
    own = "https://kubernetes.default.svc.cluster.local"
    assert claims(token(self_managed))["aud"] == [issuer(self_managed), own]
    for shown in (token(self_managed), token(self_managed, "--audience", own)):
        who = self_managed.shell.run(
            "kubectl", "--server", self_managed.outputs["apiEndpoint"], "--insecure-skip-tls-verify", "--kubeconfig",
            "/dev/null", "--token", shown, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}",
        ).stdout  # fmt: skip
        assert who == f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


def test_a_pod_s_token_is_exchanged_for_its_role(self_managed: Cluster, role: str) -> None:
    sts = self_managed.shell.client("sts", signature_version=UNSIGNED)

    def taken(shown: str) -> Any:
        given = sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="pod", WebIdentityToken=shown)
        return given["Credentials"]

    given = taken(token(self_managed, "--audience", AUDIENCE))
    who = caller(self_managed, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert who == f"{session(role)}pod"

    with pytest.raises(ClientError, match="AccessDenied"):
        taken(token(self_managed, "--audience", AUDIENCE, namespace="kube-system"))
    with pytest.raises(ClientError, match="Incorrect token audience"):
        taken(token(self_managed))


@pytest.fixture
def association(managed: Cluster) -> Iterator[str]:
    """ARN of a role, and what ties it to the service account, as PodIdentity makes them."""
    iam, eks = managed.shell.client("iam"), managed.shell.client("eks")
    arn = str(iam.create_role(RoleName="eks-pods", AssumeRolePolicyDocument=eks_trust())["Role"]["Arn"])
    where = {"clusterName": managed.outputs["clusterName"]}
    made = eks.create_pod_identity_association(**where, namespace=NAMESPACE, serviceAccount=ACCOUNT, roleArn=arn)
    yield arn
    eks.delete_pod_identity_association(**where, associationId=made["association"]["associationId"])
    iam.delete_role(RoleName="eks-pods")


def test_on_eks_the_cluster_says_whose_a_token_is(managed: Cluster, association: str) -> None:
    auth = managed.shell.client("eks-auth")

    def taken(shown: str) -> Any:
        return auth.assume_role_for_pod_identity(clusterName=managed.outputs["clusterName"], token=shown)

    audience = ("--audience", "pods.eks.amazonaws.com")
    given = taken(token(managed, *audience))
    assert given["subject"] == {"namespace": NAMESPACE, "serviceAccount": ACCOUNT}
    keys = given["credentials"]
    who = caller(managed, keys["accessKeyId"], keys["secretAccessKey"], keys["sessionToken"])
    assert who.startswith(f"{session(association)}eks-")

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        taken(token(managed, *audience, namespace="kube-system"))
    with pytest.raises(ClientError, match="InvalidTokenException"):
        taken(token(managed))


def test_the_ingress_controller_lives_by_its_token(cluster: Cluster) -> None:
    """On the pods' network no metadata service answers, so what it makes in AWS it makes by its own role."""
    [pod, *_] = cluster.get("pods", "-n", "kube-system", "-l", f"app.kubernetes.io/name={CONTROLLER}")["items"]
    assert not pod["spec"].get("hostNetwork")
    told = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert "AWS_EC2_METADATA_SERVICE_ENDPOINT" not in told
    if cluster.outputs["kind"] == "managed":
        assert told["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == AGENT
        assert "AWS_ROLE_ARN" not in told
    else:
        assert ":role/twinplane-self-managed-lab-ingress-" in told["AWS_ROLE_ARN"]
        assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" not in told
    [ingress] = cluster.get("ingress", "-n", NAMESPACE)["items"]
    assert ingress["status"]["loadBalancer"]["ingress"][0]["hostname"]


def agent(cluster: Cluster, node: str, shown: str) -> tuple[int, str]:
    """Returns HTTP status and body of what a node's agent answers to a pod's token."""
    found = next(each for each in cluster.get("nodes")["items"] if node in ("", each["metadata"]["name"]))
    told = cluster.host(found).run(
        "curl", "-sS", "--write-out", "\n%{http_code}", "--header", "@-", AGENT, input=f"Authorization: {shown}"
    )
    body, _, status = told.stdout.rpartition("\n")
    return int(status), body


def test_a_node_s_agent_gives_a_pod_its_role(managed: Cluster, association: str) -> None:
    status, body = agent(managed, "", token(managed, "--audience", "pods.eks.amazonaws.com"))
    assert status == 200
    given = json.loads(body)
    who = caller(managed, given["AccessKeyId"], given["SecretAccessKey"], given["Token"])
    assert who.startswith(f"{session(association)}eks-")
    status, body = agent(managed, "", token(managed))
    assert (status, body.partition(":")[0]) == (400, "InvalidTokenException")


def test_controllers_roll_when_their_association_is_made_anew(managed: Cluster) -> None:
    """Somebody deletes it by hand: pods that run would go on without credentials, so others take their place."""
    eks, where = managed.shell.client("eks"), {"clusterName": managed.outputs["clusterName"]}

    def associations() -> list[str]:
        found = eks.list_pod_identity_associations(**where, namespace="kube-system", serviceAccount=CONTROLLER)
        return [each["associationId"] for each in found["associations"]]

    def pods() -> dict[str, tuple[str, str]]:
        """Name -> node, and the association that it was started for."""
        found = managed.get("pods", "-n", "kube-system", "-l", f"app.kubernetes.io/name={CONTROLLER}")["items"]
        return {
            each["metadata"]["name"]: (each["spec"]["nodeName"], each["metadata"]["annotations"][ANNOTATION])
            for each in found
            if "deletionTimestamp" not in each["metadata"]
        }

    [old], before = associations(), pods()
    assert {of for _, of in before.values()} == {old}
    eks.delete_pod_identity_association(**where, associationId=old)
    shown = token(managed, "--audience", "pods.eks.amazonaws.com", account=CONTROLLER, namespace="kube-system")
    assert agent(managed, "", shown)[0] == 404, "whoever runs has no credentials any more"
    managed.shell.run("pulumi", "up", "--refresh", "--yes", "--skip-preview", "-s", MANAGED)
    [new] = associations()
    assert new != old
    until("none is left of before", lambda: not before.keys() & pods().keys(), 60)
    managed.kubectl("rollout", "status", "-n", "kube-system", f"deployment/{CONTROLLER}")
    assert len(pods()) == len(before)
    for name, (node, of) in pods().items():
        assert of == new, name
        status, body = agent(managed, node, shown)
        assert status == 200, body
        given = json.loads(body)
        who = caller(managed, given["AccessKeyId"], given["SecretAccessKey"], given["Token"])
        assert ":assumed-role/twinplane-managed-lab-ingress-" in who
    managed.shell.run("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", "-s", MANAGED)

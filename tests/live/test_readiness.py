"""doctor STACK, wrong credentials, and who gets into a managed cluster: with both stacks up."""

import json
from collections.abc import Iterator

import pytest

from tests.support.live import MANAGED, SELF_MANAGED, Cluster, Shell


@pytest.mark.parametrize("stack", [MANAGED, SELF_MANAGED])
def test_the_account_of_a_living_stack_is_ready(shell: Shell, demo: object, stack: str) -> None:  # noqa: ARG001
    done = shell.run("twinplane", "doctor", stack, "--json", check=False)
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0, found
    assert {each["state"] for each in found.values()} <= {"ok", "unknown"}
    assert ":user/twinplane" in found["credentials"]["detail"]
    assert found["image 198.19.255.254:5000/sample-app:v1.0.0"]["state"] == "ok"
    assert found["zones"]["state"] == found["instance type"]["state"] == "ok"
    if stack == MANAGED:
        assert found["EKS, Kubernetes 1.36"]["detail"] == "standard support until 2027-08-02"
        assert found["EKS add-on kube-proxy"]["state"] == "ok"
    else:
        assert found["AMI debian-12-amd64-*"]["state"] == "ok"
    # What no endpoint of the lab knows is said, and not made up.
    assert found["permissions"]["state"] == "unknown"
    assert found["permissions"]["detail"].startswith("IAM does not say what arn:aws:iam::123456789012:user/twinplane ")


@pytest.mark.parametrize(
    "argv",
    [
        ("pulumi", "preview", "-s", MANAGED, "--non-interactive"),
        ("twinplane", "compare"),
        ("twinplane", "patch", MANAGED),
        ("twinplane", "destroy", MANAGED, "--yes"),
    ],
)
def test_wrong_credentials_are_one_line(shell: Shell, demo: object, argv: tuple[str, ...]) -> None:  # noqa: ARG001
    wrong = Shell({**shell.environment, "AWS_ACCESS_KEY_ID": "AKIAWRONG", "AWS_SECRET_ACCESS_KEY": "wrong"})
    done = wrong.run(*argv, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "AWS takes no credentials from here: " in line]
    assert done.returncode != 0
    assert said, done.stdout + done.stderr
    assert "InvalidClientTokenId" in said[0]
    assert "`aws sts get-caller-identity` must answer" in said[0]
    assert "Traceback" not in done.stdout + done.stderr


VIEWER = "lab-test-viewer"


@pytest.fixture
def viewer(shell: Shell, managed: Cluster) -> Iterator[Shell]:
    """A shell with the keys of a user whom the cluster lets see everything, as `viewerArns` does."""
    iam, eks, name = shell.client("iam"), shell.client("eks"), managed.outputs["clusterName"]
    arn = iam.create_user(UserName=VIEWER)["User"]["Arn"]
    keys = iam.create_access_key(UserName=VIEWER)["AccessKey"]
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminViewPolicy"
    eks.create_access_entry(clusterName=name, principalArn=arn)
    eks.associate_access_policy(clusterName=name, principalArn=arn, policyArn=policy, accessScope={"type": "cluster"})
    own = {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"]}
    try:
        yield Shell({**shell.environment, **own})
    finally:
        eks.delete_access_entry(clusterName=name, principalArn=arn)
        iam.delete_access_key(UserName=VIEWER, AccessKeyId=keys["AccessKeyId"])
        iam.delete_user(UserName=VIEWER)


def test_a_viewer_sees_everything_and_changes_nothing(viewer: Shell, managed: Cluster) -> None:
    seen = Cluster(viewer, managed.outputs, managed.kubeconfig)
    assert seen.ready_nodes()
    assert "kube-system" in seen.kubectl("get", "secrets", "--all-namespaces")
    assert seen.kubectl("auth", "can-i", "delete", "pods", check=False).strip() == "no"
    viewer.run("pulumi", "preview", "-s", MANAGED, "--expect-no-changes", "--non-interactive")


def test_an_administrator_is_refused_who_is_there_already(shell: Shell, managed: Cluster) -> None:
    """As EKS does: an entry that somebody else made is not taken over, and so not deleted later."""
    eks, name = shell.client("eks"), managed.outputs["clusterName"]
    me = shell.client("sts").get_caller_identity()["Arn"]
    with pytest.raises(eks.exceptions.ResourceInUseException, match="already in use on this cluster"):
        eks.create_access_entry(clusterName=name, principalArn=me)
    assert me in eks.list_access_entries(clusterName=name)["accessEntries"]

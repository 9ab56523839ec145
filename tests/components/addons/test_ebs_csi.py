"""EbsCsi: add-on or chart, its role, and the class of its volumes."""

import json
from typing import Any

import pulumi

from components.addons.ebs_csi import EbsCsi, EbsCsiArgs
from components.base.chart_source import ChartSource
from components.identity.pod_identity import EksIdentity, OidcIdentity
from tests.support.pulumi_mocks import Graph, contains_secret, run

OIDC = OidcIdentity("https://issuer.example/c", "arn:aws:iam::1:oidc-provider/issuer.example/c")


TAGS = {"Project": "twinplane", "Stack": "test", "ManagedBy": "pulumi"}


def driver(**changes: Any) -> Graph:
    def program() -> None:
        args = EbsCsiArgs(**{"identity": EksIdentity("c"), "cluster": "c", "kubeconfig": "kubeconfig", **changes})
        made = EbsCsi("d", args).storage_class
        pulumi.export("class", made)
        pulumi.ComponentResource("twinplane:test:User", "user", {"class": made})

    return run(program)


def test_on_eks_it_is_the_add_on_which_comes_after_its_role() -> None:
    graph = driver(identity=EksIdentity("other"), addon_version="v1.2.3-eksbuild.1")
    addon = graph.one("Addon")
    assert (addon.inputs["clusterName"], addon.inputs["addonName"]) == ("other", "aws-ebs-csi-driver")
    assert addon.inputs["addonVersion"] == "v1.2.3-eksbuild.1"
    assert "addonVersion" not in driver().one("Addon").inputs
    association = graph.one("PodIdentityAssociation")
    assert association.inputs["serviceAccount"] == "ebs-csi-controller-sa"
    assert association.urn in graph.before(addon)
    assert not graph.all("Chart")


def test_elsewhere_it_is_the_chart_whose_pods_show_their_token() -> None:
    graph = driver(
        identity=OIDC,
        chart=ChartSource("./chart", None, "2.0.0"),
        values={"image": {"tag": "v9"}, "controller": {"replicaCount": 1}},
    )
    chart = graph.one("Chart").inputs
    assert (chart["chart"], chart["version"]) == ("./chart", "2.0.0")
    assert "repositoryOpts" not in chart
    assert driver(identity=OIDC).one("Chart").inputs["repositoryOpts"]["repo"].startswith("https://kubernetes-sigs.")
    assert driver(identity=OIDC).one("Chart").inputs["version"].count(".") == 2
    assert chart["values"]["controller"]["region"] == "us-east-1"
    assert chart["values"]["image"] == {"tag": "v9"}
    assert chart["values"]["controller"]["replicaCount"] == 1
    assert {each["name"] for each in chart["values"]["controller"]["env"]} == {
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
    assert not graph.all("Addon")


def test_volumes_say_whose_they_are() -> None:
    # https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md
    addon = driver().one("Addon").inputs
    assert json.loads(addon["configurationValues"]) == {
        # With another association of its role other pods start, as those that run would have no credentials any more.
        "controller": {"extraVolumeTags": TAGS, "podAnnotations": {"twinplane.dev/pod-identity": "a-d"}}
    }
    controller = driver(identity=OIDC, cluster="other").one("Chart").inputs["values"]["controller"]
    assert (controller["extraVolumeTags"], controller["k8sTagClusterId"]) == (TAGS, "other")


def test_its_role_has_aws_s_policy_for_it() -> None:
    [attached] = driver().all("RolePolicyAttachment")
    assert attached.inputs["policyArn"] == "arn:aws-test:iam::aws:policy/AmazonEBSCSIDriverPolicyV2"


def test_auto_mode_has_a_driver_and_needs_a_class_alone() -> None:
    graph = driver(identity=None)
    assert graph.one("StorageClass").inputs["provisioner"] == "ebs.csi.eks.amazonaws.com"
    assert not graph.all("Addon") + graph.all("Chart") + graph.all("aws:iam/role:Role")


def test_it_goes_after_its_volumes_and_their_claims_before_them() -> None:
    graph = driver(kubeconfig="other")
    volumes = graph.one("Command")
    assert (volumes.inputs["delete"], volumes.inputs["stdin"]) == ("ebs.csi.aws.com", "other")
    assert contains_secret(volumes.raw["stdin"])
    assert graph.one("Addon").urn in volumes.dependencies
    assert {volumes.urn, graph.one("StorageClass").urn} <= graph.before(graph.one("User"))
    assert driver(identity=None).one("Command").inputs["delete"] == "ebs.csi.eks.amazonaws.com"


def test_volumes_are_encrypted_and_claims_get_them_by_default() -> None:
    made = driver(storage_class="disks").one("StorageClass").inputs
    assert made["metadata"]["name"] == "disks"
    assert made["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert made["parameters"] == {"type": "gp3", "encrypted": "true"}
    assert (made["provisioner"], made["volumeBindingMode"]) == ("ebs.csi.aws.com", "WaitForFirstConsumer")

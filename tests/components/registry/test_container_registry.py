"""ContainerRegistry: what each argument does, and its policies."""

import json
from typing import Any

import pulumi

from components.registry.container_registry import ContainerRegistry, ContainerRegistryArgs, lifecycle, pull_policy
from policies.guards import RULES
from tests.support import golden_files
from tests.support.pulumi_mocks import Graph, run

ROLES = ("arn:aws:iam::123456789012:role/nodes", "arn:aws:iam::123456789012:role/machines")


def registry(name: str = "reg", **changes: Any) -> Graph:
    def program() -> None:
        args = {"images": ["sample-app"], "prefix": "Twin", "pull_role_arns": ROLES, **changes}
        pulumi.export("registry", ContainerRegistry(name, ContainerRegistryArgs(**args)).exported)

    return run(program)


def test_each_image_has_a_repository_that_keeps_what_was_pushed() -> None:
    graph = registry(images=["sample-app", "other"])
    assert [each.inputs["name"] for each in graph.all("Repository")] == ["twin/sample-app", "twin/other"]
    for made in graph.all("Repository"):
        assert made.inputs["imageTagMutability"] == "IMMUTABLE"
        assert made.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        assert made.inputs["encryptionConfigurations"] == [
            {"encryptionType": "KMS", "kmsKey": "arn:aws-test:kms:us-east-1:1:key/reg"}
        ]
        assert not [sentence for rule in RULES for sentence in rule(made.type, made.inputs)]


def test_the_prefix_is_that_of_its_repositories() -> None:
    assert registry(prefix="a-b").one("Repository").inputs["name"] == "a-b/sample-app"


def test_the_key_rotates_and_has_a_name() -> None:
    graph = registry()
    assert graph.one("Key").inputs["enableKeyRotation"] is True
    assert graph.one("Alias").inputs == {"name": "alias/reg", "targetKeyId": "reg-key"}


def test_the_roles_pull_and_nobody_without_roles() -> None:
    policy = registry().one("RepositoryPolicy").inputs
    assert (policy["repository"], policy["policy"]) == ("twin/sample-app", pull_policy(ROLES))
    assert not registry(pull_role_arns=[]).all("RepositoryPolicy")


def test_what_expires_follows_the_arguments() -> None:
    policy = json.loads(registry(keep_releases=3, untagged_days=2).one("LifecyclePolicy").inputs["policy"])
    untagged, releases = (rule["selection"] for rule in policy["rules"])
    assert (untagged["tagStatus"], untagged["countNumber"]) == ("untagged", 2)
    assert (releases["tagPrefixList"], releases["countNumber"]) == (["v"], 3)


def test_outputs_say_where_to_log_in_and_where_to_push() -> None:
    assert registry().exports["registry"] == {
        "host": "123456789012.dkr.ecr.us-east-1.test.example",
        "repositories": {"sample-app": "123456789012.dkr.ecr.us-east-1.test.example/twin/sample-app"},
    }


def test_policies() -> None:
    golden_files.check("registry_lifecycle.json", lifecycle(keep_releases=20, untagged_days=7) + "\n")
    golden_files.check("registry_pull.json", pull_policy(ROLES) + "\n")


def test_two_coexist() -> None:
    def program() -> None:
        for name in ("one", "two"):
            ContainerRegistry(name, ContainerRegistryArgs(images=["sample-app"], prefix=name))

    made = run(program)
    assert len({each.urn for each in made.resources}) == len(made.resources)
    assert len({each.inputs["name"] for each in made.all("Repository")}) == 2

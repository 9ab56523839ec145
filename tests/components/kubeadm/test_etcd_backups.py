"""MachineRole and EtcdBackups: who may do what, and what guards the snapshots."""

import json
from typing import Any

import pulumi

from components.base.policy_document import policy
from components.kubeadm.etcd_backups import EtcdBackups, EtcdBackupsArgs, tls_only, write_to
from components.machines.machine_role import MachineRole, MachineRoleArgs, pull_images, trust
from tests.support import golden_files
from tests.support.pulumi_mocks import Graph, run

BUCKET = "arn:aws:s3:::backups-0123abc"


def role(**policies: str) -> Graph:
    def program() -> None:
        made = MachineRole("r", MachineRoleArgs(policies))
        pulumi.export("profile", made.profile_name)
        pulumi.ComponentResource("twinplane:test:User", "user", {"profile": made.profile_name})

    return run(program)


def backups(**changes: Any) -> Graph:
    def program() -> None:
        made = EtcdBackups("b", EtcdBackupsArgs(**{"keep_days": 30, "delete_with_stack": False, **changes}))
        pulumi.export("bucket", made.bucket)
        pulumi.export("policy", made.write_policy)
        pulumi.ComponentResource("twinplane:test:User", "user", {"bucket": made.bucket})

    return run(program)


def test_policies_are_the_golden_ones() -> None:
    documents = {
        "machine trust": trust("amazonaws.com"),
        "machine pull-images": pull_images("aws", "us-east-1", "123456789012"),
        "backups bucket": tls_only(BUCKET),
        "backups write": write_to(BUCKET),
    }
    text = json.dumps({name: json.loads(document) for name, document in documents.items()}, indent=1)
    golden_files.check("machine_policies.json", text + "\n")


def test_a_role_has_its_policies() -> None:
    graph = role(more=policy({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}))
    policies = sorted(graph.all("RolePolicy"), key=lambda each: each.name, reverse=True)
    assert [each.inputs["name"] for each in policies] == ["pull-images", "more"]
    assert {each.inputs["role"] for each in policies} == {"r-0123abc"}
    assert "s3:ListBucket" in policies[1].inputs["policy"]
    assert ":ecr:us-east-1:123456789012:repository/*" in policies[0].inputs["policy"]
    assert graph.one("InstanceProfile").inputs["role"] == "r-0123abc"
    assert graph.exports["profile"] == "r-0123abc"
    assert len(role().all("RolePolicy")) == 1


def test_the_bucket_is_private_versioned_and_encrypted() -> None:
    graph = backups()
    assert graph.one("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    [rule] = graph.one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    closed = graph.one("BucketPublicAccessBlock").inputs
    assert {name for name, value in closed.items() if value is True} == {
        "blockPublicAcls",
        "blockPublicPolicy",
        "ignorePublicAcls",
        "restrictPublicBuckets",
    }
    assert graph.one("BucketOwnershipControls").inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    assert graph.one("BucketPolicy").inputs["policy"] == tls_only("arn:aws-test:s3:::b-0123abc")
    guards = {
        each.urn for each in graph.resources if each.type.startswith("aws:s3/bucket") and each.inputs.get("bucket")
    }
    assert len(guards) == 6


def test_snapshots_outlive_a_stack_that_does_not_say_otherwise() -> None:
    assert backups().one("Bucket").inputs["forceDestroy"] is False
    assert backups(delete_with_stack=True).one("Bucket").inputs["forceDestroy"] is True
    bucket = backups().one("Bucket")
    for each in backups().resources:
        if each.inputs.get("bucket") and each.type.startswith("aws:"):
            assert each.deleted_with == bucket.urn


def test_old_snapshots_go() -> None:
    [rule] = backups(keep_days=9).one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["expiration"] == {"days": 9}
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 7}
    assert rule["status"] == "Enabled"


def test_who_writes_snapshots_deletes_none() -> None:
    policy_text = backups().exports["policy"]
    assert "arn:aws-test:s3:::b-0123abc/*" in policy_text
    assert "Delete" not in policy_text

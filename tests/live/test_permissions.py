"""Every change that the stacks have asked of the lab's AWS is allowed by the IAM policies in docs/."""

import fnmatch
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from doctor.permissions import policy
from lab.cloud import api
from lab.cloud.endpoint.journal import Entry, Journal
from tests.support.live import Shell
from twinplane.outputs import KINDS

#: Part of a bucket -> the action that changes it.
BUCKET = {
    "encryption": "PutEncryptionConfiguration",
    "lifecycle": "PutLifecycleConfiguration",
    "ownershipControls": "PutBucketOwnershipControls",
    "policy": "PutBucketPolicy",
    "publicAccessBlock": "PutBucketPublicAccessBlock",
    "tagging": "PutBucketTagging",
    "versioning": "PutBucketVersioning",
}


#: What other tests of the lab ask by the same key, and no stack does.
OTHERS = {"ec2:RebootInstances", "ec2:StartInstances", "ec2:StopInstances"}
OTHERS |= {"iam:CreateUser", "iam:DeleteUser", "iam:CreateAccessKey", "iam:DeleteAccessKey"}


def actions(journal: Path, key: str) -> Iterator[str]:
    """The IAM action of every request that was signed with this access key. STS is asked by the lab itself."""
    for entry in Journal(journal).entries():
        headers = {name.lower(): value for name, value in entry.headers.items()}
        signed = re.search(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/", headers.get("authorization", ""))
        if signed and signed[1] == key and signed[2] != "sts":
            target = headers.get("x-amz-target", "").rpartition(".")[2]
            named = target or parse_qs(entry.body.decode(errors="replace")).get("Action", [""])[0]
            yield f"{signed[2]}:{named or _of_s3(entry)}"


def _of_s3(entry: Entry) -> str:
    path = entry.path.strip("/").partition("/")[2]
    if entry.method == "POST" or (path and entry.method == "DELETE"):
        return "DeleteObject"
    if path:
        return "PutObject"
    part = entry.query.partition("=")[0]
    return BUCKET[part] if part else {"PUT": "CreateBucket", "DELETE": "DeleteBucket"}[entry.method]


@pytest.mark.usefixtures("demo")
def test_every_change_is_allowed(shell: Shell, tmp_path: Path) -> None:
    copy = shutil.copy(api.directory() / "journal.jsonl", tmp_path)  # whoever reads it mends its end
    asked = set(actions(Path(copy), shell.environment["AWS_ACCESS_KEY_ID"])) - OTHERS
    allowed = [action for kind in KINDS for each in policy(kind)["Statement"] for action in each["Action"]]
    assert {"ec2:CreateVpc", "iam:CreateRole", "s3:PutBucketPolicy", "kms:CreateKey"} <= asked
    assert {each for each in asked if not any(fnmatch.fnmatchcase(each, one) for one in allowed)} == set()

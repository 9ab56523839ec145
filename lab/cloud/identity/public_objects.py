"""Objects that anyone gets, by their bucket's policy: what an unsigned request is answered with."""

from __future__ import annotations

import json

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, s3_backends

from lab import constants
from lab.cloud import api
from lab.cloud.identity import bucket_policy

ANYONE = ("*", {"AWS": "*"}, {"AWS": ["*"]})


def get(bucket: str, key: str) -> bytes | None:
    """Returns the object, if it is there and its bucket's policy gives it to anyone."""
    with api.lock:
        found: FakeBucket | None = s3_backends[constants.ACCOUNT]["aws"].buckets.get(bucket)
        kept = None if found is None else found.keys.get(key)
        if found is None or kept is None or not _open(found, key):
            return None
        return bytes(kept.value)


def _open(bucket: FakeBucket, key: str) -> bool:
    block = bucket.public_access_block
    if bucket.policy is None or (block is not None and block.restrict_public_buckets):
        return False
    stated = json.loads(bucket.policy)["Statement"]
    about_anyone = [each for each in stated if each["Effect"] == "Deny" or each.get("Principal") in ANYONE]
    result = bucket_policy.judged(about_anyone, "s3:GetObject", f"arn:aws:s3:::{bucket.name}/{key}")
    return result == PermissionResult.PERMITTED

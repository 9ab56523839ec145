"""Snapshots of a self-managed cluster's etcd: list them, take one, prove that one can be restored, go back to one.

Machines save by themselves (playbooks/roles/etcd_backup). On EKS, etcd is AWS's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from kubernetes.client import ApiClient

from twinplane.compare import look
from twinplane.console import Tell
from twinplane.errors import Failed, UsageError
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import StackOutputs
from twinplane.questions import Access, Call, login
from twinplane.stack import Stack

#: Where they are in the bucket, as playbooks/roles/etcd_backup/files/etcd_backup.py puts them.
PREFIX = "snapshots/"
PEER = 2380
#: Seconds after a restore until compare finds no trouble: controllers take their leases anew.
SETTLING = 180


@dataclass(frozen=True)
class Snapshot:
    """One in the bucket. `size` is in bytes, encrypted; `keys` and `revision` are etcd's."""

    id: str
    taken: datetime
    size: int
    revision: int
    keys: int
    etcd: str

    def export(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        return {**asdict(self), "taken": self.taken.isoformat()}


def snapshots(stack: Stack, tell: Tell) -> list[Snapshot]:
    """Returns the bucket's snapshots, the newest first. Raises UsageError on EKS, Failed where S3 does not answer."""
    outputs = _outputs(stack)
    access = Access(outputs, ApiClient(), stack.environment, tell)
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda each: _snapshot(outputs, access, each), _objects(outputs, access)))


def backup(stack: Stack, tell: Tell) -> dict[str, Any]:
    """Takes a snapshot now. Returns what is known of it. Raises Failed."""
    return _run(stack, _outputs(stack), "backup", {"etcd_backup_check": "", "etcd_backup_key": ""}, tell)


def drill(stack: Stack, wanted: str, tell: Tell) -> dict[str, Any]:
    """Restores a snapshot into an etcd beside the living one, and compares hash, revision and number of keys.

    `wanted` is an id, or "" for the newest. Returns what is known of it. Raises Failed where it is not whole.
    """
    outputs = _outputs(stack)
    chosen = _choose(stack, outputs, wanted, tell)
    variables = {"etcd_backup_check": chosen, "etcd_backup_key": outputs.backups_key}
    return _run(stack, outputs, "backup", variables, tell)


def restore(stack: Stack, wanted: str, tell: Tell) -> dict[str, Any]:
    """Takes the cluster back to a snapshot: what was written since is gone from the API. Returns id and seconds.

    `wanted` as in drill. Raises Failed where something does not work afterwards.
    """
    outputs = _outputs(stack)
    chosen = _choose(stack, outputs, wanted, tell)
    members = [machine for machine in outputs.machines if machine.role == "control-plane"]
    variables = {
        "etcd_restore_id": chosen,
        "etcd_restore_key": outputs.backups_key,
        "etcd_restore_cluster": ",".join(f"{each.name}=https://{each.private_ip}:{PEER}" for each in members),
    }
    began = time.monotonic()
    _run(stack, outputs, "restore", variables, tell)
    seconds = time.monotonic() - began
    if troubles := _settled(stack, tell):
        raise Failed(f"restore: {chosen} is restored, and this does not work: {'; '.join(troubles)}")
    return {"id": chosen, "seconds": round(seconds, 1)}


def _outputs(stack: Stack) -> StackOutputs:
    outputs = stack.outputs()
    if outputs.kind == "managed":
        raise UsageError(
            f"stack {stack.name}: its etcd is AWS's, who saves it and lets nobody else: "
            "keep your manifests in a repository, and back up volumes and objects with AWS Backup"
        )
    return outputs


def _choose(stack: Stack, outputs: StackOutputs, wanted: str, tell: Tell) -> str:
    """Returns the id of the snapshot that is meant. Raises UsageError where there is none."""
    if not outputs.backups_key:
        raise UsageError(f"stack {stack.name}: has no output backupsKey yet: run pulumi up -s {stack.name}")
    access = Access(outputs, ApiClient(), stack.environment, tell)
    found = [each["Key"].removeprefix(PREFIX) for each in _objects(outputs, access)]
    if not found:
        raise UsageError(f"stack {stack.name}: no snapshot in {outputs.backups_bucket}: take one with twinplane backup")
    if wanted and wanted not in found:
        raise UsageError(
            f"snapshot {wanted}: not in {outputs.backups_bucket}; twinplane backups {stack.name} lists them"
        )
    return wanted or found[0]


def _run(
    stack: Stack, outputs: StackOutputs, playbook: str, variables: Mapping[str, str], tell: Tell
) -> dict[str, Any]:
    from twinplane import ansible  # loads ansible-runner: only where it runs

    request = {**login(outputs), "variables": variables}
    request["machines"] = [each for each in request["machines"] if each["role"] == "control-plane"]
    result = ansible.run(playbook, request, tell, environment=stack.environment)
    if not result.ok:
        raise Failed(f"{playbook}: {'; '.join(result.failures) or 'the playbook failed'}")
    return result.snapshot or {}


def _ask(outputs: StackOutputs, access: Access, operation: str, **parameters: str) -> dict[str, Any]:
    """Returns S3's answer about the bucket. Raises Failed."""
    bucket = outputs.backups_bucket
    try:
        return dict(access.answer(Call("s3", operation, {"Bucket": bucket, **parameters})))
    except Unanswered as error:
        raise Failed(f"s3://{bucket}: {error}") from None


def _objects(outputs: StackOutputs, access: Access) -> list[dict[str, Any]]:
    """Returns the bucket's snapshots as S3 lists them, the newest first."""
    found = _ask(outputs, access, "list_objects_v2", Prefix=PREFIX).get("Contents", [])
    return sorted(found, key=lambda each: str(each["Key"]), reverse=True)


def _snapshot(outputs: StackOutputs, access: Access, found: dict[str, Any]) -> Snapshot:
    known = _ask(outputs, access, "head_object", Key=found["Key"])["Metadata"]
    return Snapshot(
        id=found["Key"].removeprefix(PREFIX),
        taken=found["LastModified"].astimezone(UTC),
        size=int(found["Size"]),
        revision=int(known.get("revision", 0)),
        keys=int(known.get("keys", 0)),
        etcd=known.get("etcd", ""),
    )


def _settled(stack: Stack, tell: Tell) -> tuple[str, ...]:
    """Looks until compare finds no trouble, or the time is over. Returns what it finds last."""
    end = time.monotonic() + SETTLING
    while True:
        troubles = tuple(look(stack.name, stack.outputs(), stack.environment, tell).troubles())
        if not troubles or time.monotonic() > end:
            return troubles
        tell(f"waiting for {'; '.join(troubles)}")
        time.sleep(3)

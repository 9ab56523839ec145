"""`python -m twinplane.operate.volumes DRIVER < KUBECONFIG`: waits until no volume of that driver is left.

A volume whose claim is gone is deleted by its driver a moment later: where the driver goes before, the disk stays in
the account, and costs. Volumes that are kept by choice (reclaim policy Retain) do not count.

Exit code 0; 1 when volumes are left after WAIT seconds, or nothing answers; 0 for that too, where
PULUMI_K8S_DELETE_UNREACHABLE says that the cluster is gone for good.
"""

from __future__ import annotations

import json
import os
import sys
import time

from kubernetes.client import ApiClient

from twinplane.errors import UsageError
from twinplane.live.kubernetes import get, kubernetes_client
from twinplane.live.unanswered import Unanswered
from twinplane.operate.destroy import FORGET

#: AWS detaches a disk and deletes it in less than a minute.
WAIT, PAUSE = 300.0, 2.0


def left(client: ApiClient, driver: str) -> dict[str, str]:
    """Returns volume and claim ("namespace/name") of everything that the driver is to delete. Raises Unanswered."""
    specs = {
        each["metadata"]["name"]: each["spec"] for each in json.loads(get(client, "/api/v1/persistentvolumes"))["items"]
    }
    return {
        name: "/".join(spec.get("claimRef", {}).get(key, "") for key in ("namespace", "name"))
        for name, spec in specs.items()
        if spec.get("csi", {}).get("driver") == driver and spec.get("persistentVolumeReclaimPolicy") == "Delete"
    }


def wait(client: ApiClient, driver: str) -> str:
    """Returns why it is not over after WAIT seconds; nothing when no volume is left."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            if not (found := left(client, driver)):
                return ""
            claims = ", ".join(sorted(found.values()))
            reason = f"{len(found)} volumes are left, of the claims {claims}: delete these, or their disks stay"
        except Unanswered as error:
            reason = f"the cluster does not answer: {error}; where it is gone for good, set {FORGET}=true"
            if os.environ.get(FORGET) == "true":
                return ""
        if time.monotonic() > deadline:
            return reason
        time.sleep(PAUSE)


def main() -> int:
    """The command. Returns its exit code."""
    if len(sys.argv) != 2:
        print("usage: python -m twinplane.operate.volumes DRIVER < KUBECONFIG", file=sys.stderr)
        return 2
    try:
        reason = wait(kubernetes_client(sys.stdin.read(), os.environ), sys.argv[1])
    except UsageError as error:
        reason = str(error)
    if reason:
        print(f"error: {sys.argv[1]}: {reason}", file=sys.stderr)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())

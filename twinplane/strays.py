"""`python -m twinplane.strays JSON`: ends node groups and machines that an update which was killed has left.

The JSON: `region`, `cluster` (of the node groups), `strays`, and `keep`, which are none after all. Exit code 1 with
AWS' words where one cannot be ended.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError


def remove(wanted: dict[str, Any], session: boto3.Session) -> None:
    """Ends them, side by side, and waits until they are gone. Raises botocore's errors."""
    strays = [each for each in wanted["strays"] if each not in wanted["keep"]]
    machines = [each for each in strays if each.startswith("i-")]
    groups = [each for each in strays if each not in machines]
    eks, ec2 = session.client("eks"), session.client("ec2")
    for group in groups:
        print(f"deleting node group {group} of {wanted['cluster']}", file=sys.stderr, flush=True)
        try:
            eks.delete_nodegroup(clusterName=wanted["cluster"], nodegroupName=group)
        except eks.exceptions.ResourceNotFoundException:
            continue
    for group in groups:
        eks.get_waiter("nodegroup_deleted").wait(
            clusterName=wanted["cluster"], nodegroupName=group, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
        )
    if machines:
        print(f"terminating {', '.join(machines)}", file=sys.stderr, flush=True)
        ec2.terminate_instances(InstanceIds=machines)
        ec2.get_waiter("instance_terminated").wait(InstanceIds=machines, WaiterConfig={"Delay": 5, "MaxAttempts": 120})


def main() -> int:
    """The command. Returns its exit code."""
    if len(sys.argv) != 2:
        print("usage: python -m twinplane.strays JSON", file=sys.stderr)
        return 2
    wanted = json.loads(sys.argv[1])
    try:
        remove(wanted, boto3.Session(region_name=wanted["region"]))
    except (BotoCoreError, ClientError, WaiterError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

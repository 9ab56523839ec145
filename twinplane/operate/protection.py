"""Takes the protection against deletion from a stack that is to go: that of EKS and EC2, and Pulumi's own."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from twinplane.console import Tell
from twinplane.errors import Failed
from twinplane.live.aws_call import client
from twinplane.stack import Stack

#: Seconds between two looks at EKS's update of a cluster, and how many.
PAUSE, LOOKS = 3, 200


def lift(stack: Stack, tell: Tell) -> None:
    """Raises Failed. What is protected is read in the stack's state: also that of a stack that was never fully up."""
    resources = stack.resources()
    if not any(each.get("protect") for each in resources):
        return
    tell(f"{stack.name}: lifting the protection against deletion")
    for each in resources:
        outputs = each.get("outputs") or {}
        where = stack.environment, outputs.get("region")
        try:
            if each["type"] == "aws:eks/cluster:Cluster" and outputs.get("deletionProtection"):
                eks = client(*where, "eks")
                eks.update_cluster_config(name=outputs["name"], deletionProtection=False)
                eks.get_waiter("cluster_active").wait(
                    name=outputs["name"], WaiterConfig={"Delay": PAUSE, "MaxAttempts": LOOKS}
                )
            if each["type"] == "aws:ec2/instance:Instance" and outputs.get("disableApiTermination"):
                client(*where, "ec2").modify_instance_attribute(
                    InstanceId=each["id"], DisableApiTermination={"Value": False}
                )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in {"ResourceNotFoundException", "InvalidInstanceID.NotFound"}:  # it went before
                raise Failed(f"{each['urn'].split('::')[-1]}: its protection stays: {code}: {error}") from None
        except BotoCoreError as error:
            raise Failed(f"{each['urn'].split('::')[-1]}: its protection stays: {error}") from None
    stack.unprotect()

"""What a cluster's controllers made in AWS and nobody deletes, once the cluster is gone. Pulumi never knew of it.

They would have deleted it with the Services, Ingresses and claims that it was made for. The network cannot go before
the load balancers; disks cost, and may hold what somebody wants: these are told. A cluster that was deleted by hand and
built anew has left it too, under the same name.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any

from twinplane.errors import Failed
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import StackOutputs
from twinplane.questions import Access, Call

#: Seconds until AWS has taken a deleted load balancer's interfaces away, at most; between two looks.
WAIT, PAUSE = 300.0, 5.0


def delete(outputs: StackOutputs, access: Access, alive: Collection[str] | None = None) -> None:
    """Deletes load balancers, target groups and security groups that carry the cluster's mark and are in its VPC, and
    tells of disks, unless the cluster is there. Raises Failed; again, it goes on.

    `alive` are the host names, in lower case, of load balancers that objects of a living cluster have: these stay.
    None: no cluster lives.
    """
    try:
        marked = set(_marked(outputs.cluster_name, access))
        groups = list(_in_vpc(outputs, access, marked, "target_groups", "TargetGroup"))
        balancers = list(_in_vpc(outputs, access, marked, "load_balancers", "LoadBalancer"))
        classic = list(_classic(outputs, access, marked))
        kept = [each for each in (*balancers, *classic) if each.get("DNSName", "").lower() in (alive or ())]
        held = {group for each in kept for group in each.get("SecurityGroups", [])}
        stay = {each.get("LoadBalancerArn") for each in kept}
        for each in balancers:
            if each not in kept:
                access.tell(f"  deleting {each['LoadBalancerArn']}")
                access.answer(Call("elbv2", "delete_load_balancer", {"LoadBalancerArn": each["LoadBalancerArn"]}))
        for each in classic:
            if each not in kept:
                access.tell(f"  deleting load balancer {each['LoadBalancerName']}")
                access.answer(Call("elb", "delete_load_balancer", {"LoadBalancerName": each["LoadBalancerName"]}))
        for each in groups:
            if not stay & set(each.get("LoadBalancerArns", [])):
                access.answer(Call("elbv2", "delete_target_group", {"TargetGroupArn": each["TargetGroupArn"]}))
        for group in _security_groups(outputs, access):
            if group not in held:
                _delete_security_group(outputs, access, group)
        if alive is None:
            _tell_disks(outputs, access)
    except Unanswered as error:
        raise Failed(f"what a cluster {outputs.cluster_name} that is gone has left: {error}") from None


def _marked(cluster: str, access: Access) -> Iterator[str]:
    """Returns ARNs with the mark of the cloud controller, or of the ingress controller."""
    kinds = ["elasticloadbalancing:loadbalancer", "elasticloadbalancing:targetgroup"]
    for key, value in {f"kubernetes.io/cluster/{cluster}": "owned", "elbv2.k8s.aws/cluster": cluster}.items():
        owned = {"TagFilters": [{"Key": key, "Values": [value]}], "ResourceTypeFilters": kinds}
        for each in access.answer(Call("resourcegroupstaggingapi", "get_resources", owned))["ResourceTagMappingList"]:
            yield each["ResourceARN"]


def _in_vpc(outputs: StackOutputs, access: Access, marked: set[str], kinds: str, kind: str) -> Iterator[dict[str, Any]]:
    """Returns those marked that are in the stack's own VPC: another account's user may name a cluster alike."""
    for each in access.answer(Call("elbv2", f"describe_{kinds}"))[f"{kind}s"]:
        if each[f"{kind}Arn"] in marked and each.get("VpcId") == outputs.vpc_id:
            yield each


def _classic(outputs: StackOutputs, access: Access, marked: set[str]) -> Iterator[dict[str, Any]]:
    """Returns classic load balancers: what a Service gets that asks for no kind."""
    names = {arn.partition(":loadbalancer/")[2] for arn in marked}
    if not any(name and "/" not in name for name in names):
        return
    for each in access.answer(Call("elb", "describe_load_balancers"))["LoadBalancerDescriptions"]:
        if each["LoadBalancerName"] in names and each.get("VPCId") == outputs.vpc_id:
            yield each


def _security_groups(outputs: StackOutputs, access: Access) -> Iterator[str]:
    """Returns ids of the groups that the controllers made for load balancers. That of the machines has the mark,
    too."""
    filters = {
        "tag:elbv2.k8s.aws/cluster": outputs.cluster_name,
        f"tag:kubernetes.io/cluster/{outputs.cluster_name}": "owned",
    }
    for name, value in filters.items():
        for each in _describe(outputs, access, {name: value}):
            if "elbv2" in name or each["GroupName"].startswith("k8s-elb-"):
                yield each["GroupId"]


def _describe(outputs: StackOutputs, access: Access, filters: dict[str, str]) -> list[dict[str, Any]]:
    asked = [{"Name": name, "Values": [value]} for name, value in {"vpc-id": outputs.vpc_id, **filters}.items()]
    return list(access.answer(Call("ec2", "describe_security_groups", {"Filters": asked}))["SecurityGroups"])


def _delete_security_group(outputs: StackOutputs, access: Access, group: str) -> None:
    """Takes it out of the rules of others, and deletes it as soon as no load balancer holds it."""
    for other in _describe(outputs, access, {"ip-permission.group-id": group}):
        for rule in other["IpPermissions"]:
            if pairs := [pair for pair in rule["UserIdGroupPairs"] if pair["GroupId"] == group]:
                ports = {key: rule[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in rule}
                revoked = {"GroupId": other["GroupId"], "IpPermissions": [{**ports, "UserIdGroupPairs": pairs}]}
                access.answer(Call("ec2", "revoke_security_group_ingress", revoked))
    deadline = time.monotonic() + WAIT
    while True:
        try:
            access.answer(Call("ec2", "delete_security_group", {"GroupId": group}))
            return
        except Unanswered as error:
            if not str(error).startswith("DependencyViolation:") or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def _tell_disks(outputs: StackOutputs, access: Access) -> None:
    """Says which disks of the cluster's claims are left: they may hold what somebody wants."""
    asked = [
        {"Name": f"tag:kubernetes.io/cluster/{outputs.cluster_name}", "Values": ["owned"]},
        {"Name": "tag-key", "Values": ["ebs.csi.aws.com/cluster"]},
    ]
    for each in access.answer(Call("ec2", "describe_volumes", {"Filters": asked}))["Volumes"]:
        access.tell(f"  left, for what is on it: volume {each['VolumeId']}, {each['Size']} GiB; aws ec2 delete-volume")

"""Destroy a stack, also where its cluster is gone already: then nothing in it can be deleted, and nothing has to be."""

from __future__ import annotations

from dataclasses import replace

from kubernetes.client import ApiClient

from stacks.outputs import StackOutputs
from twinplane import tunnel
from twinplane.compare.probes import eks_cluster, instances
from twinplane.compare.questions import Access, Call, Unanswered
from twinplane.errors import Failed, UsageError
from twinplane.screen import Tell
from twinplane.stack import Stack

#: Makes the kubernetes provider forget what it cannot reach, on delete and on refresh
#: (https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/). For good it would be wrong: a
#: refresh while the API server is away would forget a living workload.
FORGET = "PULUMI_K8S_DELETE_UNREACHABLE"


def destroy(stack: Stack, tell: Tell) -> None:
    """Removes everything that the stack made. Raises Failed; run it again, it goes on."""
    try:
        outputs = stack.outputs()
    except UsageError:  # never fully up: what is in the cluster, if anything, is deleted as usual
        stack.destroy(tell)
        return
    access = Access(outputs, ApiClient(), stack.environment, tell)
    if gone(outputs, access):
        tell(f"{stack.name}: AWS has no control plane of it any more: what was in the cluster went with it")
        orphans(outputs, access)
        stack = replace(stack, environment={**stack.environment, FORGET: "true"})
    else:
        # The machines are reset late, when most is deleted: said before, it costs nobody half a stack.
        tunnel.options([machine.export() for machine in outputs.machines])
    stack.destroy(tell)


def gone(outputs: StackOutputs, access: Access) -> bool:
    """True where AWS says that the cluster's control plane does not exist. False where it says nothing."""
    if outputs.kind == "managed":
        return eks_cluster(outputs.cluster_name).ask(access).error.startswith("ResourceNotFoundException:")
    found = instances().ask(access).fact
    ours = {machine.instance_id for machine in outputs.machines if machine.role == "control-plane"}
    return found is not None and not ours & {instance.id for instance in found}


def orphans(outputs: StackOutputs, access: Access) -> None:
    """Deletes the load balancers that the cluster's controllers made, as they would have with their Services and
    Ingresses, and the security groups of the latter: the network cannot go before them. Raises Failed."""
    name = outputs.cluster_name
    marks = {f"kubernetes.io/cluster/{name}": "owned", "elbv2.k8s.aws/cluster": name}
    kinds = ["elasticloadbalancing:loadbalancer", "elasticloadbalancing:targetgroup"]
    arns = []
    try:
        for key, value in marks.items():
            owned = {"TagFilters": [{"Key": key, "Values": [value]}], "ResourceTypeFilters": kinds}
            found = access.answer(Call("resourcegroupstaggingapi", "get_resources", owned))["ResourceTagMappingList"]
            arns += [each["ResourceARN"] for each in found]
        for arn in (each for each in arns if ":loadbalancer/" in each):
            access.tell(f"  deleting {arn}")
            access.answer(Call("elbv2", "delete_load_balancer", {"LoadBalancerArn": arn}))
        for arn in (each for each in arns if ":targetgroup/" in each):
            access.answer(Call("elbv2", "delete_target_group", {"TargetGroupArn": arn}))
        tagged = {"Filters": [{"Name": "tag:elbv2.k8s.aws/cluster", "Values": [name]}]}
        for group in access.answer(Call("ec2", "describe_security_groups", tagged))["SecurityGroups"]:
            try:
                access.answer(Call("ec2", "delete_security_group", {"GroupId": group["GroupId"]}))
            except Unanswered as error:  # a balancer that is on its way out holds it, or a rule of the machines'
                access.tell(f"  {error}: if the network cannot go, destroy it again")
    except Unanswered as error:
        raise Failed(f"load balancers of {outputs.cluster_name}, whose cluster is gone: {error}") from None

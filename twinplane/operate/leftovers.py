"""What AWS still has of a stack that was destroyed, by the tags of the stack and of its cluster.

AWS lists tags of a thing for about an hour after its end: what is found is asked for by its own service's API.
"""

from __future__ import annotations

import time

import jmespath

from twinplane.errors import Failed
from twinplane.live.unanswered import Unanswered
from twinplane.questions import Access, Call

#: Seconds without the log group of a cluster's control plane until it stays gone: EKS writes what it still had, and
#: makes the group again for it, without tags. At most so long; between two looks.
QUIET, LIMIT, PAUSE = 60.0, 600.0, 5.0

#: Kind of a thing, as its ARN has it -> its API: service, operation, parameter, where the answer has what is there.
QUESTIONS = {
    "ec2/elastic-ip": ("ec2", "describe_addresses", "AllocationIds", "Addresses"),
    "ec2/instance": (
        "ec2",
        "describe_instances",
        "InstanceIds",
        "Reservations[].Instances[] | [?!contains(['shutting-down', 'terminated'], State.Name)]",
    ),
    "ec2/instance-connect-endpoint": (
        "ec2",
        "describe_instance_connect_endpoints",
        "InstanceConnectEndpointIds",
        "InstanceConnectEndpoints[?!starts_with(State, 'delete-')]",
    ),
    "ec2/internet-gateway": ("ec2", "describe_internet_gateways", "InternetGatewayIds", "InternetGateways"),
    "ec2/key-pair": ("ec2", "describe_key_pairs", "KeyPairIds", "KeyPairs"),
    "ec2/launch-template": ("ec2", "describe_launch_templates", "LaunchTemplateIds", "LaunchTemplates"),
    "ec2/natgateway": (
        "ec2",
        "describe_nat_gateways",
        "NatGatewayIds",
        "NatGateways[?!starts_with(State, 'delet')]",
    ),
    "ec2/network-interface": ("ec2", "describe_network_interfaces", "NetworkInterfaceIds", "NetworkInterfaces"),
    "ec2/route-table": ("ec2", "describe_route_tables", "RouteTableIds", "RouteTables"),
    "ec2/security-group": ("ec2", "describe_security_groups", "GroupIds", "SecurityGroups"),
    "ec2/security-group-rule": (
        "ec2",
        "describe_security_group_rules",
        "SecurityGroupRuleIds",
        "SecurityGroupRules",
    ),
    "ec2/snapshot": ("ec2", "describe_snapshots", "SnapshotIds", "Snapshots"),
    "ec2/subnet": ("ec2", "describe_subnets", "SubnetIds", "Subnets"),
    "ec2/volume": ("ec2", "describe_volumes", "VolumeIds", "Volumes[?!starts_with(State, 'delet')]"),
    "ec2/vpc": ("ec2", "describe_vpcs", "VpcIds", "Vpcs"),
    "ec2/vpc-endpoint": (
        "ec2",
        "describe_vpc_endpoints",
        "VpcEndpointIds",
        "VpcEndpoints[?!starts_with(State, 'delet')]",
    ),
    "ec2/vpc-flow-log": ("ec2", "describe_flow_logs", "FlowLogIds", "FlowLogs"),
    "elasticloadbalancing/classic": ("elb", "describe_load_balancers", "LoadBalancerNames", "LoadBalancerDescriptions"),
    "elasticloadbalancing/loadbalancer": ("elbv2", "describe_load_balancers", "LoadBalancerArns", "LoadBalancers"),
    "elasticloadbalancing/targetgroup": ("elbv2", "describe_target_groups", "TargetGroupArns", "TargetGroups"),
    "elasticloadbalancing/listener": ("elbv2", "describe_listeners", "ListenerArns", "Listeners"),
    "elasticloadbalancing/listener-rule": ("elbv2", "describe_rules", "RuleArns", "Rules"),
    "eks/cluster": ("eks", "describe_cluster", "name", "cluster"),
    "kms/key": ("kms", "describe_key", "KeyId", "KeyMetadata.KeyState != 'PendingDeletion'"),
    "ecr/repository": ("ecr", "describe_repositories", "repositoryNames", "repositories"),
    "acm/certificate": ("acm", "describe_certificate", "CertificateArn", "Certificate"),
    "iam/role": ("iam", "get_role", "RoleName", "Role"),
    "iam/instance-profile": ("iam", "get_instance_profile", "InstanceProfileName", "InstanceProfile"),
    "iam/oidc-provider": ("iam", "get_open_id_connect_provider", "OpenIDConnectProviderArn", "Url"),
    "s3/bucket": ("s3", "get_bucket_location", "Bucket", "keys(@)"),
    "logs/log-group": ("logs", "describe_log_groups", "logGroupNamePrefix", "logGroups[?logGroupName=='{name}']"),
}


def check(project: str, stack: str, cluster: str, access: Access) -> None:
    """Raises Failed where something with the tags of the stack, or of its cluster, is there, all named."""
    access.tell("looking for what is left in AWS")
    try:
        left = sorted(arn for arn in tagged(project, stack, cluster, access) if exists(arn, access))
    except Unanswered as error:
        raise Failed(f"{stack}: destroyed; whether AWS has something left, it does not say: {error}") from None
    for arn in left:
        access.tell(f"  left: {arn}")
    if left:
        raise Failed(
            f"{stack}: destroyed, but {len(left)} things with its tags are left, delete them: {', '.join(left)}"
        )


def tagged(project: str, stack: str, cluster: str, access: Access) -> set[str]:
    """Returns the ARNs that AWS lists for the tags, those of ended things among them. Raises Unanswered."""
    own = [{"Key": "Project", "Values": [project]}, {"Key": "Stack", "Values": [stack]}]
    of_cluster = [{"Key": f"kubernetes.io/cluster/{cluster}"}]
    of_ingresses = [{"Key": "elbv2.k8s.aws/cluster", "Values": [cluster]}]
    answers = (
        access.answer(Call("resourcegroupstaggingapi", "get_resources", {"TagFilters": filters}))
        for filters in (own, of_cluster, of_ingresses)
    )
    return {each["ResourceARN"] for answer in answers for each in answer["ResourceTagMappingList"]}


def exists(arn: str, access: Access) -> bool:
    """Returns False for what its own service does not have, or is about to end. What cannot be asked for exists."""
    kind, name = _kind(arn)
    if kind not in QUESTIONS:
        return True
    service, operation, parameter, living = QUESTIONS[kind]
    value = arn if "Arn" in parameter else name
    call = Call(service, operation, {parameter: [value] if parameter.endswith("s") else value})
    try:
        return bool(jmespath.search(living.format(name=name), access.answer(call)))
    except Unanswered as error:
        code = str(error).partition(":")[0]
        return not ("NotFound" in code or code.startswith("NoSuch"))


def _kind(arn: str) -> tuple[str, str]:
    """Returns what an ARN names, and its name."""
    _, _, service, _, _, path = arn.split(":", 5)
    kind, _, name = path.partition("/")
    if service == "eks":  # what is in a cluster goes with it
        return "eks/cluster", name.split("/")[0]
    if service == "s3":
        return "s3/bucket", path
    if service == "logs":
        return "logs/log-group", path.removeprefix("log-group:").removesuffix(":*")
    if service == "iam":
        return f"iam/{kind}", name.split("/")[-1]
    if kind == "loadbalancer" and "/" not in name:
        return "elasticloadbalancing/classic", name
    return f"{service}/{kind}", name


def end_logs(cluster: str, access: Access) -> None:
    """Deletes the log group of an EKS control plane that is gone, as often as EKS makes it again. Raises Failed."""
    name = f"/aws/eks/{cluster}/cluster"
    look = Call("logs", "describe_log_groups", {"logGroupNamePrefix": name})
    access.tell(f"waiting until EKS writes no more to {name}")
    start = quiet = time.monotonic()
    try:
        while time.monotonic() - quiet < QUIET:
            if any(each["logGroupName"] == name for each in access.answer(look)["logGroups"]):
                access.tell(f"  deleting {name}, which EKS has made again")
                _delete_log_group(name, access)
                quiet = time.monotonic()
            if time.monotonic() - start > LIMIT:
                raise Failed(f"{name}: EKS makes it again for {LIMIT:.0f} s: aws logs delete-log-group later")
            time.sleep(PAUSE)
    except Unanswered as error:
        raise Failed(f"{name}, which EKS makes again after its cluster's end: {error}") from None


def _delete_log_group(name: str, access: Access) -> None:
    try:
        access.answer(Call("logs", "delete_log_group", {"logGroupName": name}))
    except Unanswered as error:
        if not str(error).startswith("ResourceNotFoundException:"):
            raise

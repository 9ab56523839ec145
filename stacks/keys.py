"""The keys of a stack's config: how each is parsed, its default, and what it means.

docs/config.md is made from this table and from the effects in changes.py; tests/test_docs.py holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from components.ingress import ingress_controller
from components.machines.machine_image import DEBIAN_13
from components.package.limits import LOG_DAYS
from stacks import parsers
from twinplane.outputs import KINDS, Kind

REQUIRED = object()


@dataclass(frozen=True)
class Key:
    """One key of the config."""

    #: Text as config holds it (JSON for lists and objects) to value; raises ValueError with what is wrong. The first
    #: line of its docstring is the key's type.
    parse: Callable[[str], Any]
    #: What the key means, in Markdown.
    meaning: str
    #: A value, or a function of the values before it, whose docstring describes it. None: the key is unset.
    default: Any = REQUIRED
    kinds: tuple[Kind, ...] = KINDS
    #: A value as one types it.
    example: str = ""


def _zones(values: Mapping[str, Any]) -> int:
    """`2`; `3` with `controlPlanes: 3`"""
    return 3 if values.get("controlPlanes") == 3 else 2


def _nat(values: Mapping[str, Any]) -> str:
    """`single`; `none` with `machineSubnets: public`"""
    return "none" if values.get("machineSubnets") == "public" else "single"


def _ssh_via(values: Mapping[str, Any]) -> str:
    """`endpoint`; `cidrs` with `machineSubnets: public`"""
    return "cidrs" if values.get("machineSubnets") == "public" else "endpoint"


def _app_cidrs(values: Mapping[str, Any]) -> tuple[str, ...]:
    """the value of `apiCidrs`; `[]` with `cloudController: none`"""
    return () if values.get("cloudController") == "none" else values.get("apiCidrs", ())


_MANAGED: tuple[Kind, ...] = ("managed",)
_SELF_MANAGED: tuple[Kind, ...] = ("self-managed",)
_ROLE = '["arn:aws:iam::123456789012:role/platform"]'

KEYS: dict[str, Key] = {
    "kind": Key(parsers.choice(*KINDS), "`managed` is EKS; `self-managed` is kubeadm on EC2.", example="managed"),
    "kubernetesVersion": Key(
        parsers.kubernetes_version,
        f"The Kubernetes release, of a tested minor: {', '.join(parsers.SUPPORTED_MINORS)}. EKS takes the minor alone "
        "and chooses the patch release.",
        "1.36.3",
        example="1.36.3",
    ),
    "vpcCidr": Key(
        # AWS takes /16 to /28. A subnet is an eighth, and on EKS pods take its addresses: /22 leaves 123 a subnet.
        parsers.network(16, 22),
        "Addresses of the VPC. Each subnet gets an eighth. Give stacks that are to be peered different blocks.",
        IPv4Network("10.20.0.0/16"),
        example="10.30.0.0/16",
    ),
    "machineSubnets": Key(
        parsers.choice("public", "private"),
        "Subnets of the machines. `public` gives each machine a public address, which the policy pack refuses.",
        "private",
        _SELF_MANAGED,
        "public",
    ),
    "nat": Key(
        parsers.choice("none", "single", "per_zone"),
        "NAT gateways of the private subnets: `none`, one for all zones, or one in each zone. With `none`, nodes reach "
        "AWS through `interfaceEndpoints` alone, and the error names those that are missing.",
        _nat,
        example="per_zone",
    ),
    "interfaceEndpoints": Key(
        parsers.services,
        "AWS services that the private subnets reach without a NAT gateway. S3 always has its free gateway endpoint.",
        (),
        example='["ecr.api", "ecr.dkr", "sts"]',
    ),
    "flowLogDays": Key(
        parsers.days(0, *LOG_DAYS),
        "How long CloudWatch keeps the VPC's flow logs; `0` makes none.",
        0,
        example="30",
    ),
    "serviceCidr": Key(
        # EKS's bounds, https://docs.aws.amazon.com/eks/latest/APIReference/API_KubernetesNetworkConfigRequest.html
        parsers.network(12, 24),
        "Addresses of Services, seen inside the cluster alone. EKS takes private blocks only.",
        IPv4Network("172.20.0.0/16"),
        example="172.21.0.0/16",
    ),
    "workers": Key(parsers.integer(1, 100), "Number of worker nodes.", 2, example="3"),
    "instanceType": Key(
        parsers.instance_type,
        "EC2 type of every machine; with `nodeMode: auto` EKS chooses and ignores it.",
        "t3.medium",
        example="m7i.large",
    ),
    "apiCidrs": Key(
        parsers.sources,
        "Blocks that people reach the Kubernetes API from.",
        example='["198.18.7.7/32"]',
    ),
    "appImage": Key(
        parsers.image,
        "Image of the sample app.",
        example="123456789012.dkr.ecr.us-east-1.amazonaws.com/twinplane-managed/sample-app:v1.0.0",
    ),
    "registryImages": Key(
        parsers.image_names,
        "Images that get an ECR repository `PROJECT-STACK/IMAGE`; `[]` makes no registry.",
        ("sample-app",),
        example='["sample-app", "billing"]',
    ),
    "registryPullRoles": Key(
        parsers.principals,
        "IAM roles that may pull from these repositories, besides the stack's own nodes and machines.",
        (),
        example=_ROLE,
    ),
    "registryKeepReleases": Key(
        parsers.integer(1, 1000),
        "Number of tags beginning with `v` that each repository keeps.",
        20,
        example="50",
    ),
    "ingressHosts": Key(
        parsers.host_names,
        "Host names of the sample app's Ingress. With any, the stack has the AWS Load Balancer Controller and one ALB.",
        (),
        example='["app.example.com"]',
    ),
    "ingressCertificate": Key(
        parsers.certificate,
        "Certificate of these hosts. Unset: the stack imports a self-signed one.",
        None,
        example="arn:aws:acm:us-east-1:123456789012:certificate/0123abcd",
    ),
    "ingressScheme": Key(
        parsers.choice("internet-facing", "internal"),
        "Scheme of both load balancers of the sample app.",
        "internet-facing",
        example="internal",
    ),
    "ingressControllerChart": Key(
        parsers.chart_source,
        "Chart of the AWS Load Balancer Controller, for a mirror of your own.",
        ingress_controller.CHART,
        example='{"chart": "./charts/aws-load-balancer-controller"}',
    ),
    "ingressControllerImage": Key(
        parsers.image,
        "Image of that controller, for a mirror of your own. Unset: the chart's.",
        None,
        example="registry.example.com/aws-load-balancer-controller:v3.2.0",
    ),
    "ingressControllerValues": Key(
        parsers.chart_values,
        "Values of that chart; they win over all others.",
        {},
        example='{"replicaCount": 1}',
    ),
    "deschedulerImage": Key(
        parsers.image,
        "Image of the descheduler, for a mirror of your own. Unset: the pinned one.",
        None,
        example="registry.example.com/descheduler:v0.35.0",
    ),
    "storage": Key(
        parsers.choice("ebs", "none"),
        "`ebs` installs the EBS CSI driver: claims get encrypted gp3 volumes, and the sample app has one.",
        "ebs",
        example="none",
    ),
    "deletionProtection": Key(
        parsers.flag,
        "Whether EKS, EC2 and Pulumi refuse to delete the cluster. `twinplane destroy` lifts it.",
        True,
        example="false",
    ),
    "allowReplacement": Key(
        parsers.flag,
        "Whether `vpcCidr` and `serviceCidr` of a living cluster may change, which replaces it.",
        False,
        _MANAGED,
        "true",
    ),
    "nodeMode": Key(
        parsers.choice("managed", "auto"),
        "`managed` is a node group of `workers` times `instanceType`; with `auto`, EKS Auto Mode chooses, starts and "
        "patches the nodes.",
        "managed",
        _MANAGED,
        "auto",
    ),
    "nodeReleaseVersion": Key(
        parsers.node_release,
        "Release of the EKS node image; `twinplane patch` writes it. Unset: the newest at creation. Unset it before "
        "you raise `kubernetesVersion`.",
        None,
        _MANAGED,
        "1.36.3-20261101",
    ),
    "adminArns": Key(
        parsers.principals,
        "IAM roles and users that administer the cluster, besides its creator, whom EKS admits by itself.",
        (),
        _MANAGED,
        _ROLE,
    ),
    "viewerArns": Key(
        parsers.principals,
        "IAM roles and users that read everything in the cluster, Secrets included, and change nothing: for "
        "`twinplane compare`, or for previews in CI.",
        (),
        _MANAGED,
        _ROLE,
    ),
    "controlPlaneLogDays": Key(
        parsers.days(*LOG_DAYS),
        "How long CloudWatch keeps the control plane's logs, all five kinds.",
        30,
        _MANAGED,
        "7",
    ),
    "addOnVersions": Key(
        parsers.add_on_versions,
        "Versions of EKS add-ons that differ from the pinned ones.",
        {},
        _MANAGED,
        '{"coredns": "v1.14.2-eksbuild.4"}',
    ),
    "podCidr": Key(
        parsers.network(8, 24),
        "Addresses of pods; each machine takes a /24.",
        IPv4Network("10.244.0.0/16"),
        _SELF_MANAGED,
        "10.96.0.0/16",
    ),
    "podNetwork": Key(
        parsers.choice("overlay", "routed"),
        "How pods of two nodes meet: through a VXLAN tunnel, or by routes of the VPC that the cloud controller makes.",
        "overlay",
        _SELF_MANAGED,
        "routed",
    ),
    "controlPlanes": Key(
        parsers.control_planes,
        "Number of control planes. With three, the cluster survives the loss of one machine or zone.",
        1,
        _SELF_MANAGED,
        "3",
    ),
    "availabilityZones": Key(
        parsers.integer(2, 3),
        "Number of zones that the subnets lie in.",
        _zones,
        example="3",
    ),
    "apiSubnets": Key(
        parsers.choice("public", "private"),
        "`public` adds a public load balancer for people, open to `apiCidrs`. With `private`, they reach the API "
        "inside the VPC alone, through a VPN of your own. Machines always use an internal load balancer.",
        "public",
        _SELF_MANAGED,
        "private",
    ),
    "sshVia": Key(
        parsers.choice("endpoint", "cidrs"),
        "`endpoint`: through an EC2 Instance Connect Endpoint, for at most 10 machines. `cidrs`: directly, from the "
        "blocks in `sshCidrs`.",
        _ssh_via,
        _SELF_MANAGED,
        "cidrs",
    ),
    "sshCidrs": Key(
        parsers.sources,
        "Blocks that SSH comes from; needed with `sshVia: cidrs`, refused with `endpoint`.",
        (),
        _SELF_MANAGED,
        '["198.18.7.7/32"]',
    ),
    "machineImage": Key(
        parsers.machine_image,
        "Owner and name of the AMI that machines boot from; of several, the newest. Debian 12 or 13, x86-64.",
        DEBIAN_13,
        _SELF_MANAGED,
        '{"owner": "136693071363", "name": "debian-12-amd64-*"}',
    ),
    "etcdVolumeSize": Key(
        parsers.integer(0, 1024),
        "Size of the encrypted volume that each control plane has for etcd, in GiB; with `0`, etcd is on the root "
        "volume.",
        10,
        _SELF_MANAGED,
        "20",
    ),
    "backupDays": Key(
        parsers.integer(1, 3650),
        "How long the stack's bucket keeps snapshots of etcd, in days.",
        30,
        _SELF_MANAGED,
        "90",
    ),
    "backupsOnDestroy": Key(
        parsers.choice("keep", "delete"),
        "`keep`: a destroy stops before a bucket that has snapshots. `delete`: they go with the stack.",
        "keep",
        _SELF_MANAGED,
        "delete",
    ),
    "cloudController": Key(
        parsers.choice("aws", "none"),
        "`aws` runs AWS's cloud-controller-manager, which initializes nodes and makes load balancers of Services. "
        "`none` needs `storage: none`.",
        "aws",
        _SELF_MANAGED,
        "none",
    ),
    "appCidrs": Key(
        parsers.blocks,
        "Blocks that reach the sample app through its load balancers; `[]` makes none, and excludes `ingressHosts`.",
        _app_cidrs,
        example='["0.0.0.0/0"]',
    ),
    "cloudControllerImage": Key(
        parsers.image,
        "Image of the cloud controller, of the cluster's minor, for a mirror of your own. Unset: the pinned one.",
        None,
        _SELF_MANAGED,
        "registry.example.com/cloud-controller-manager:v1.36.1",
    ),
    "cloudControllerEnvironment": Key(
        parsers.environment,
        "Environment of the cloud controller, for endpoints other than AWS's own.",
        {},
        _SELF_MANAGED,
        '{"AWS_ENDPOINT_URL_EC2": "https://vpce-0123.ec2.us-east-1.vpce.amazonaws.com"}',
    ),
    "networkPolicies": Key(
        parsers.flag,
        "Whether NetworkPolicy objects are enforced, by kube-network-policies: the kernel of the machines must have"
        " nftables' queue, as Debian's has.",
        True,
        _SELF_MANAGED,
        "false",
    ),
    "playbookVars": Key(
        parsers.variables,
        "Ansible variables that win over `playbooks/group_vars/all.yml` and the roles' defaults.",
        {},
        _SELF_MANAGED,
        '{"etcd_backup_hours": 4}',
    ),
}

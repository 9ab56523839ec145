"""What a stack costs an hour, from its settings alone. Imports nothing of the cloud.

USD for us-east-1, on demand, Linux, from AWS's public price pages as of 2026-11: EKS
(https://aws.amazon.com/eks/pricing/), EC2 (https://aws.amazon.com/ec2/pricing/on-demand/), EBS
(https://aws.amazon.com/ebs/pricing/), load balancers (https://aws.amazon.com/elasticloadbalancing/pricing/), VPC
(https://aws.amazon.com/vpc/pricing/). Data transfer and what is paid by the GiB (flow logs and control plane logs: 0.50
taken in, 0.03 a month kept; ECR: 0.10 a month kept) are not in it: docs/aws.md says how much logs are.
"""

from dataclasses import dataclass

from stacks.settings import ManagedSettings, SelfManagedSettings

AS_OF = "2026-11"
HOURS_A_MONTH = 730

#: EKS control plane in standard support; extended support is 0.60.
EKS_CLUSTER = 0.10
#: Of the EC2 types that the stacks' documents name. t3.medium: 2 vCPU, 4 GiB.
INSTANCE = {"t3.small": 0.0208, "t3.medium": 0.0416, "t3.large": 0.0832, "m7i.large": 0.1008, "c6a.large": 0.0765}
#: On top of each instance's price on demand (https://aws.amazon.com/eks/pricing/).
AUTO_MODE = 0.12
#: What EKS chooses from the families C, M and R for pods as small as the sample app's, as good a guess as any
#: (https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html).
AUTO_MODE_TYPE = "c6a.large"
NAT_GATEWAY = 0.045
#: Without what passes through it (https://aws.amazon.com/elasticloadbalancing/pricing/).
APPLICATION_LOAD_BALANCER = 0.0225
PUBLIC_ADDRESS = 0.005
#: A zone; S3's gateway endpoint is free. Each GiB through one is 0.01.
INTERFACE_ENDPOINT = 0.01
#: Of a network load balancer; the API's traffic stays within a fraction of one capacity unit, 0.006.
LOAD_BALANCER = 0.0225
GP3_GIB_MONTH = 0.08
#: A customer managed KMS key (https://aws.amazon.com/kms/pricing/).
KMS_KEY_MONTH = 1.0
#: Of a self-managed machine (components/machines/machine.py) and of an EKS node (EKS's default for AL2023).
ROOT_GIB = {"self-managed": 30, "managed": 20}
#: Of a node of Auto Mode (https://docs.aws.amazon.com/eks/latest/userguide/create-node-class.html).
AUTO_MODE_GIB = 80


@dataclass(frozen=True)
class Item:
    """One line of the bill: `count` of `what`, each `each` USD an hour."""

    what: str
    count: int
    each: float

    @property
    def hourly(self) -> float:
        """USD an hour."""
        return self.count * self.each


def bill(settings: ManagedSettings | SelfManagedSettings) -> list[Item]:
    """The hourly bill of a stack. Raises KeyError for an instance type that INSTANCE does not price."""
    managed = isinstance(settings, ManagedSettings)
    auto = isinstance(settings, ManagedSettings) and settings.node_mode == "auto"
    machines = settings.workers + (0 if isinstance(settings, ManagedSettings) else settings.control_planes)
    instance = AUTO_MODE_TYPE if auto else settings.instance_type
    root = AUTO_MODE_GIB if auto else ROOT_GIB[settings.kind]
    items = [
        Item("EKS control plane, standard support", int(managed), EKS_CLUSTER),
        Item(instance, machines, INSTANCE[instance]),
        Item(f"gp3 root volume, {root} GiB", machines, root * GP3_GIB_MONTH / HOURS_A_MONTH),
    ]
    if auto:  # EKS chooses their number, too
        items.append(Item("EKS Auto Mode, for a machine", machines, INSTANCE[instance] * AUTO_MODE))
    if isinstance(settings, SelfManagedSettings):
        etcd = settings.etcd_volume_size
        each = etcd * GP3_GIB_MONTH / HOURS_A_MONTH
        items.append(Item(f"gp3 volume of etcd, {etcd} GiB", settings.control_planes if etcd else 0, each))
    zones = settings.availability_zones
    gateways = {"none": 0, "single": 1, "per_zone": zones}[settings.nat]
    items.append(Item("NAT gateway", gateways, NAT_GATEWAY))
    items.append(Item("interface endpoint, in a zone", len(settings.interface_endpoints) * zones, INTERFACE_ENDPOINT))
    balancers = 1 + (settings.api_subnets == "public") if isinstance(settings, SelfManagedSettings) else 0
    items.append(Item("network load balancer of the API", balancers, LOAD_BALANCER))
    balanced = bool(settings.app_cidrs)
    items.append(Item("network load balancer of the sample app", int(balanced), LOAD_BALANCER))
    addresses = gateways
    # Load balancers have one in each zone.
    if settings.ingress_scheme == "internet-facing":
        addresses += zones * (balanced + bool(settings.ingress_hosts))
    if isinstance(settings, SelfManagedSettings):
        addresses += machines if settings.machine_subnets == "public" else 0
        addresses += zones if settings.api_subnets == "public" else 0
    items.append(Item("public IPv4 address", addresses, PUBLIC_ADDRESS))
    hosts = int(bool(settings.ingress_hosts))
    items.append(Item("application load balancer", hosts, APPLICATION_LOAD_BALANCER))
    items.append(Item("KMS key of the cluster", int(managed), KMS_KEY_MONTH / HOURS_A_MONTH))
    items.append(Item("KMS key of the registry", int(bool(settings.registry_images)), KMS_KEY_MONTH / HOURS_A_MONTH))
    return [item for item in items if item.count]

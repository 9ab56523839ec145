"""SelfManagedCluster: EC2 machines that Ansible and kubeadm make a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from components.base import tags
from components.kubeadm.ansible_run import AnsibleRun, AnsibleRunArgs, LastRun
from components.kubeadm.api_balancer import ApiBalancer, ApiBalancerArgs, api_balancers
from components.kubeadm.cloud_controller_policy import cluster_tag
from components.machines.machine import Machine, MachineArgs
from components.machines.machine_image import DEBIAN_13, DEBIAN_USER, MachineImage
from components.machines.machine_role import MachineRole, MachineRoleArgs
from components.machines.opening import API
from components.machines.security_groups import SecurityGroups, SecurityGroupsArgs
from components.machines.ssh_endpoint import SshEndpoint, SshEndpointArgs
from components.machines.ssh_key import SshKey, SshKeyArgs


@dataclass(frozen=True)
class SelfManagedClusterArgs:
    """What a SelfManagedCluster is made from."""

    vpc_id: pulumi.Input[str]
    #: Machines are spread over these, in turn.
    subnet_ids: Sequence[pulumi.Input[str]]
    #: True: machines have public addresses, in subnets that have a way to the Internet.
    public: bool
    kubernetes_version: str  # exact release, "1.36.3"
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    #: Subnets of the internal load balancer by which machines reach the API, one in each zone.
    api_subnet_ids: Sequence[pulumi.Input[str]]
    #: IPv4 blocks that reach the API server.
    api_cidrs: Sequence[str]
    #: IPv4 blocks that reach SSH; none: it goes through an EC2 Instance Connect Endpoint.
    ssh_cidrs: Sequence[str] = ()
    #: Subnets of a public load balancer, by which people reach it; none: they come by the internal one.
    public_api_subnet_ids: Sequence[pulumi.Input[str]] = ()
    control_planes: int = 1  # or 3: the others join the first
    workers: int = 2
    instance_type: str = "t3.medium"
    image: MachineImage = DEBIAN_13
    #: GiB of the volume that each control plane has for etcd; 0: etcd is on the root volume.
    etcd_volume_size: int = 0
    #: True: pods are reached by routes of the VPC, which somebody makes to the machines; else in tunnels between these.
    pods_routed: bool = False
    #: Name -> IAM policy of what control planes may do in AWS besides pulling images, which all machines may.
    control_plane_policies: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    #: Ansible variables, over all others.
    variables: Mapping[str, Any] = field(default_factory=dict)
    protected: bool = False  # control planes: neither EC2 nor Pulumi ends one until both are told to
    last_run: LastRun = field(default_factory=LastRun)  # of the playbook
    #: In Kubernetes and in tags; a component that is renamed says its old name here. None: the component's name.
    cluster_name: str | None = None


class SelfManagedCluster(pulumi.ComponentResource):
    """Machines, and the cluster on them. What `provider` makes comes when all nodes are Ready."""

    endpoint: pulumi.Output[str]  # URL of the API server, as people reach it
    kubeconfig: pulumi.Output[str]  # YAML. A secret
    pod_ranges: pulumi.Output[dict[str, str]]  # by node, as its network is set up
    machines: list[pulumi.Output[dict[str, str]]]  # each as `Machine.exported`; control planes first
    ssh_user: str
    ssh_private_key: pulumi.Output[str]  # a secret
    role_arns: list[pulumi.Output[str]]  # IAM roles of control planes and workers
    provider: kubernetes.Provider

    def __init__(self, name: str, args: SelfManagedClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:SelfManagedCluster", name, None, opts)
        self._prefix, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._owned = cluster_tag(args.cluster_name or name)
        routed, public = args.pod_cidr if args.pods_routed else None, bool(args.public_api_subnet_ids)
        openings = SecurityGroupsArgs(args.vpc_id, args.api_cidrs, args.ssh_cidrs, routed, public, self._owned)
        groups = SecurityGroups(name, openings, self._child)
        login = SshKey(f"{name}-login", SshKeyArgs(name), self._child)
        self.ssh_user, self.ssh_private_key = DEBIAN_USER, login.private
        way = SshEndpointArgs(args.vpc_id, args.subnet_ids[0], groups.machine_id)
        tunnels = [] if args.ssh_cidrs else [SshEndpoint(f"{name}-ssh", way, self._child)]
        control_planes, workers = self._machines(login, groups, tunnels)
        self.machines = [machine.exported for machine in control_planes + workers]

        targets = {machine.hostname: machine.instance_id for machine in control_planes}
        inside = ApiBalancerArgs(args.vpc_id, args.api_subnet_ids, False, groups.balancer_id, targets)
        within, entrance = api_balancers(name, inside, args.public_api_subnet_ids, groups, self)
        self.endpoint = pulumi.Output.concat("https://", entrance.host, f":{API.first}")
        variables = self._ansible_variables(within)
        run = AnsibleRunArgs("site", self.machines, self.ssh_user, self.ssh_private_key, variables, args.last_run)
        after = pulumi.ResourceOptions(parent=self, depends_on=[*control_planes, *workers, *tunnels, within, entrance])
        site = AnsibleRun(f"{name}-site", run, after)
        self.kubeconfig = site.result.apply(lambda result: str(result["kubeconfig"]))
        self.pod_ranges = pulumi.Output.unsecret(site.result.apply(lambda result: result.get("ranges") or {}))
        # Where the kubeconfig is unknown, or another one, the cluster is the same while its address is.
        same = within.host
        self.provider = kubernetes.Provider(name, kubeconfig=self.kubeconfig, cluster_identifier=same, opts=self._child)
        outputs = [output for output in SelfManagedCluster.__annotations__ if output != "provider"]
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _machines(self, login: SshKey, groups: SecurityGroups, tunnels: list[SshEndpoint]) -> list[list[Machine]]:
        """Makes control planes and workers, and what all of a role share."""
        name, args, child = self._prefix, self._args, self._child
        key = aws.ec2.KeyPair(f"{name}-login", public_key=login.public, tags=tags.named(f"{name}-login"), opts=child)
        image_id = args.image.find(pulumi.InvokeOptions(parent=self))
        allowed = {"control-plane": args.control_plane_policies, "worker": {}}
        roles = {role: MachineRole(f"{name}-{role}", MachineRoleArgs(may), child) for role, may in allowed.items()}
        self.role_arns = [role.role_arn for role in roles.values()]

        def machine(role: str, number: int) -> Machine:
            in_control = role == "control-plane"
            chosen = MachineArgs(
                role=role,
                hostname=f"{role}-{number}",
                image_id=image_id,
                instance_type=args.instance_type,
                subnet_id=args.subnet_ids[(number - 1) % len(args.subnet_ids)],
                public=args.public,
                security_group_ids=[groups.machine_id, *([groups.control_plane_id] if in_control else [])],
                key_name=key.key_name,
                etcd_volume_size=args.etcd_volume_size if in_control else 0,
                instance_profile=roles[role].profile_name,
                ssh_tunnel=tunnels[0].region if tunnels else None,
                forwards=args.pods_routed,
                protected=args.protected and in_control,
                tags=self._owned,
            )
            after = pulumi.ResourceOptions(parent=self, depends_on=[*groups.rules, roles[role]])
            return Machine(f"{name}-{role}-{number}", chosen, after)

        counts = {"control-plane": args.control_planes, "worker": args.workers}
        return [[machine(role, number + 1) for number in range(count)] for role, count in counts.items()]

    def _ansible_variables(self, within: ApiBalancer) -> dict[str, Any]:
        return {
            "kubernetes_version": self._args.kubernetes_version,
            "kubernetes_cluster_name": self._args.cluster_name or self._prefix,
            "kubernetes_pod_cidr": str(self._args.pod_cidr),
            "kubernetes_service_cidr": str(self._args.service_cidr),
            "pod_network_routed": self._args.pods_routed,
            "control_plane_endpoint": pulumi.Output.concat(within.host, f":{API.first}"),
            "kubeconfig_server": self.endpoint,
            **self._args.variables,
        }

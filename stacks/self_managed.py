"""The self-managed stack: machines, kubeadm on them, and the sample app."""

from typing import Any

import pulumi
import pulumi_aws as aws

from components.addons.metrics_server import MetricsServer, MetricsServerArgs
from components.base.record import Record, RecordArgs
from components.identity.oidc_issuer import OidcIssuer
from components.identity.oidc_trust import OidcTrust, OidcTrustArgs
from components.kubeadm.cloud_controller_policy import cluster_tag
from components.kubeadm.etcd_backups import EtcdBackups, EtcdBackupsArgs
from components.kubeadm.self_managed_cluster import SelfManagedCluster, SelfManagedClusterArgs
from components.network.network import Network, NetworkArgs
from stacks import cloud_controller, exports, identity, living, registry, repair, sample_app, spread, strays
from stacks.settings import SelfManagedSettings
from twinplane.errors import UsageError
from twinplane.live import tunnel


def _check_tunnels() -> None:
    """Raises pulumi.RunError where no AWS CLI opens tunnels: now, not when the machines are up."""
    try:
        tunnel.program()
    except UsageError as error:
        raise pulumi.RunError(str(error)) from None


def build(settings: SelfManagedSettings) -> dict[str, Any]:
    """Makes the stack's resources and returns its exports, as twinplane/outputs.py reads them."""
    if settings.ssh_via == "endpoint":
        _check_tunnels()
    name = settings.name
    Record(name, RecordArgs(settings.record))
    network = Network(
        name,
        NetworkArgs(
            cidr=settings.vpc_cidr,
            zones=settings.availability_zones,
            nat=settings.nat,
            interface_endpoints=settings.interface_endpoints,
            flow_log_days=settings.flow_log_days,
            subnet_tags=cluster_tag(name),
            pod_routes=settings.machine_subnets if settings.pod_network == "routed" else None,
        ),
    )
    subnets = {"public": network.public_subnet_ids, "private": network.private_subnet_ids}
    backups = EtcdBackups(
        f"{name}-backups",
        EtcdBackupsArgs(keep_days=settings.backup_days, delete_with_stack=settings.backups_on_destroy == "delete"),
    )
    issuer = OidcIssuer(f"{name}-issuer")
    cluster = SelfManagedCluster(
        name,
        SelfManagedClusterArgs(
            vpc_id=network.vpc_id,
            subnet_ids=subnets[settings.machine_subnets],
            public=settings.machine_subnets == "public",
            kubernetes_version=settings.kubernetes_version,
            pod_cidr=settings.pod_cidr,
            pods_routed=settings.pod_network == "routed",
            service_cidr=settings.service_cidr,
            api_subnet_ids=network.private_subnet_ids,
            public_api_subnet_ids=network.public_subnet_ids if settings.api_subnets == "public" else (),
            api_cidrs=settings.api_cidrs,
            ssh_cidrs=settings.ssh_cidrs,
            control_planes=settings.control_planes,
            workers=settings.workers,
            instance_type=settings.instance_type,
            image=settings.machine_image,
            etcd_volume_size=settings.etcd_volume_size,
            control_plane_policies={"etcd-backups": backups.write_policy, **cloud_controller.policies(settings)},
            protected=settings.deletion_protection,
            last_run=repair.last_run(living.resources()),
            variables={
                **identity.variables(issuer),
                **cloud_controller.variables(settings),
                "etcd_backup_bucket": backups.bucket,
                "etcd_backup_region": aws.get_region_output().region,
                "etcd_backup_certificate": backups.certificate,
                **settings.playbook_vars,
            },
        ),
        pulumi.ResourceOptions(depends_on=[network]),
    )
    # IAM's trust comes after the cluster; OidcTrust says why.
    after = pulumi.ResourceOptions(depends_on=[cluster])
    trust = OidcTrust(f"{name}-trust", OidcTrustArgs(issuer, f"{name}-issuer"), after)
    controllers = cloud_controller.build(settings, cluster.provider)
    machines = [each.apply(lambda machine: machine["instanceId"]) for each in cluster.machines]
    strays.build(name, living.resources(), machines)
    needs = spread.build(settings, cluster.kubeconfig, cluster.provider, machines, controllers)
    inside = pulumi.ResourceOptions(providers={"kubernetes": cluster.provider}, depends_on=needs)
    MetricsServer(f"{name}-metrics", MetricsServerArgs(), inside)
    app = sample_app.build(settings, network, cluster, trust.identity, driver_needs=controllers, needs=needs)
    return {
        **exports.common(settings, network, cluster, app),
        "machines": cluster.machines,
        "podRanges": cluster.pod_ranges,
        "sshUser": cluster.ssh_user,
        "sshPrivateKey": cluster.ssh_private_key,
        "backupsBucket": backups.bucket,
        "backupsKey": backups.private_key,
        **registry.build(settings, *cluster.role_arns),
    }

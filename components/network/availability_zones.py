"""Which zones of the region a network is in."""

import pulumi
import pulumi_aws as aws

#: Ids of zones where EKS places no control plane, though the account may have them
#: (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html). Clusters of either kind are in the same zones.
WITHOUT_EKS = ("use1-az3", "usw1-az2", "cac1-az3")


def availability_zones(count: int, opts: pulumi.InvokeOptions) -> list[str]:
    """The first `count` zones by name. Raises pulumi.RunError where the region has fewer."""
    # Local and wavelength zones must be opted in to and lack most services.
    names = aws.get_availability_zones(
        state="available",
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        exclude_zone_ids=list(WITHOUT_EKS),
        opts=opts,
    ).names
    if len(names) < count:
        raise pulumi.RunError(
            f"availabilityZones: {count} asked for, the region has {len(names)} that EKS takes: {', '.join(names)}"
        )
    return sorted(names)[:count]

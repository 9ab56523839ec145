"""Which zones of the region a network is in."""

import pulumi
import pulumi_aws as aws


def availability_zones(count: int, opts: pulumi.InvokeOptions) -> list[str]:
    """The first `count` zones by name. Raises pulumi.RunError where the region has fewer."""
    # Local and wavelength zones must be opted in to and lack most services; in use1-az3 EKS has no control planes
    # (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
    names = aws.get_availability_zones(
        state="available",
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        exclude_zone_ids=["use1-az3"],
        opts=opts,
    ).names
    if len(names) < count:
        raise pulumi.RunError(f"availabilityZones: {count} asked for, the region has {len(names)}: {', '.join(names)}")
    return sorted(names)[:count]

"""Which image machines boot from."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class MachineImage:
    """The newest image of an account whose name matches."""

    #: AWS account that publishes it.
    owner: str
    #: Name with * and ?.
    name: str

    def find(self, opts: pulumi.InvokeOptions) -> pulumi.Output[str]:
        """Its id, today. Fails where nothing matches."""
        return aws.ec2.get_ami_output(
            most_recent=True, owners=[self.owner], filters=[{"name": "name", "values": [self.name]}], opts=opts
        ).id


#: Debian's own account, https://wiki.debian.org/Cloud/AmazonEC2Image/Trixie
DEBIAN_13 = MachineImage(owner="136693071363", name="debian-13-amd64-*")
#: The user that Debian's images let in, with sudo.
DEBIAN_USER = "admin"

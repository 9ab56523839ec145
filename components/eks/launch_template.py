"""LaunchTemplate: what EC2 is told of every machine that EKS starts."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags


@dataclass(frozen=True)
class LaunchTemplateArgs:
    """What a LaunchTemplate is made from."""

    #: "t3.medium".
    instance_type: str
    #: Size of the root volume, GiB: the system, images, and what pods write into their containers.
    volume_gib: int


class LaunchTemplate(pulumi.ComponentResource):
    """Metadata with a token only, an encrypted disk, tags on all that a machine brings. EKS adds the image."""

    template_id: pulumi.Output[str]
    #: Of the newest version. Another one has the nodes replaced.
    version: pulumi.Output[str]

    def __init__(self, name: str, args: LaunchTemplateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:LaunchTemplate", name, None, opts)
        marked = [
            aws.ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags.named(name))
            for kind in ("instance", "volume", "network-interface")
        ]
        disk = aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
            device_name="/dev/xvda",  # root of Amazon Linux 2023
            ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                volume_type="gp3",
                volume_size=args.volume_gib,
                # With the account's key for EBS: one of ours would need a grant for Auto Scaling's own role.
                encrypted="true",
                delete_on_termination="true",
            ),
        )
        template = aws.ec2.LaunchTemplate(
            name,
            update_default_version=True,
            instance_type=args.instance_type,
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled",
                http_tokens="required",
                # A pod is one hop further away: it cannot take the node's role, and may have one of its own.
                http_put_response_hop_limit=1,
            ),
            block_device_mappings=[disk],
            tag_specifications=marked,
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.template_id = template.id
        self.version = template.latest_version.apply(lambda number: str(int(number)))
        self.register_outputs({"template_id": self.template_id, "version": self.version})

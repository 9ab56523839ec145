"""The config of the lab's stacks, of one template: `python -m lab.stack_config` writes stacks/Pulumi.*-lab.yaml anew.

It takes salts and edits out of these files; the lab itself never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab import constants, whole_file
from lab.cloud.ec2 import machine_images
from lab.toolchain.tool import CLOUD_CONTROLLER, INGRESS_CONTROLLER, KUBERNETES, SAMPLE_APP

#: Services of AWS that a stack of either kind calls, and those that only machines of one's own need.
SERVICES = ("ec2", "ecr", "eks", "iam", "kms", "logs", "ssm", "sts")
SELF_MANAGED_SERVICES = ("elbv2", "s3")


@dataclass(frozen=True)
class LabStack:
    """What one stack of the lab has of its own."""

    vpc: IPv4Network
    services_cidr: IPv4Network
    #: None: the lab's EKS has the range of pods.
    pods: IPv4Network | None = None
    control_planes: int = 1
    #: Whether it has host names, with the ingress controller and certificates.
    hosts: bool = True

    @property
    def managed(self) -> bool:
        """Whether it is a stack of EKS."""
        return self.pods is None

    @property
    def services(self) -> list[str]:
        """The services of AWS that it calls."""
        return sorted({*SERVICES, *(() if self.managed else SELF_MANAGED_SERVICES), *(["acm"] if self.hosts else [])})


STACKS = {
    "managed-lab": LabStack(constants.part(18, 0), constants.EKS_SERVICES),
    "self-managed-lab": LabStack(constants.part(18, 1), constants.part(20, 17), constants.part(18, 3)),
    "ha-lab": LabStack(
        constants.part(20, 18), constants.part(20, 19), constants.part(18, 5), control_planes=3, hosts=False
    ),
}


def render(name: str) -> str:
    """Returns the config file of a stack."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("stack.yaml.j2").render(
        lab=constants,
        stack=STACKS[name],
        images=machine_images,
        kubernetes=KUBERNETES,
        cloud_controller=CLOUD_CONTROLLER,
        sample_app=SAMPLE_APP,
        ingress_controller=INGRESS_CONTROLLER,
        registry=f"{constants.FABRIC}:{constants.REGISTRY_PORT}",
        mirror=f"http://{constants.FABRIC}:{constants.MIRROR_PORT}",
        metadata=f"http://{constants.FABRIC}:{constants.METADATA_PORT}",
    )


def main() -> None:
    """Writes every file."""
    for name in STACKS:
        whole_file.write(constants.PROJECT / "stacks" / f"Pulumi.{name}.yaml", render(name), 0o644)


if __name__ == "__main__":
    main()

"""Resources of other plugins by type and wire names: as their SDKs make them, without the second of importing."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import pulumi
from pulumi.runtime import register_resource_module
from pulumi.runtime.invoke import invoke_output

#: Type -> outputs that the components read or give on.
OUTPUTS = {
    "aws:ec2/securityGroup:SecurityGroup": "arn name",
    "aws:ec2/securityGroupRule:SecurityGroupRule": "securityGroupRuleId",
    "aws:iam/role:Role": "arn name",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "",
    "aws:eks/cluster:Cluster": "arn name endpoint certificateAuthority version identities vpcConfig",
    "aws:eks/addon:Addon": "arn",
    "aws:eks/accessEntry:AccessEntry": "accessEntryArn",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "",
    "aws:eks/nodeGroup:NodeGroup": "arn nodeGroupName releaseVersion version status",
}


def package_version(package: str) -> str | None:
    """The version of `package`'s SDK here, by which program and components share a default provider; None if absent."""
    try:
        return version(f"pulumi-{package}")
    except PackageNotFoundError:
        return None


class Resource(pulumi.CustomResource):
    """A resource of type `token`, made from wire-named inputs; or, with `urn`, one that is there already."""

    def __init__(
        self, token: str, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions, urn: str | None = None
    ) -> None:
        outputs = dict.fromkeys(OUTPUTS[token].split())
        own = pulumi.ResourceOptions(version=package_version(token.split(":", maxsplit=1)[0]), urn=urn)
        super().__init__(token, name, {**outputs, **inputs}, pulumi.ResourceOptions.merge(opts, own))

    def output(self, name: str) -> pulumi.Output[Any]:
        """The output with wire name `name`, of OUTPUTS or of the inputs."""
        return cast(pulumi.Output[Any], getattr(self, name))


class Component(pulumi.ComponentResource):
    """A component of this plugin that is there already, known by its URN, with its outputs."""

    def __init__(self, token: str, name: str, outputs: str, urn: str) -> None:
        super().__init__(token, name, dict.fromkeys(outputs.split()), pulumi.ResourceOptions(urn=urn), remote=True)

    def output(self, name: str) -> pulumi.Output[Any]:
        return cast(pulumi.Output[Any], getattr(self, name))


def function(token: str, args: dict[str, Any], parent: pulumi.Resource) -> pulumi.Output[Any]:
    """The result of an AWS function."""
    opts = pulumi.InvokeOptions(parent=parent, version=package_version("aws"))
    return invoke_output(token, args, opts)


class _References:
    """Makes inputs that refer to resources into resources, whose outputs the engine knows."""

    def version(self) -> None:
        return None

    def construct(self, name: str, token: str, urn: str) -> pulumi.Resource:
        if token == "eks:index:Cluster":
            return Component(token, name, "core", urn)
        if token == "eks:index:VpcCniAddon":
            return pulumi.resource.DependencyResource(urn)
        return Resource(token, name, {}, pulumi.ResourceOptions(), urn)


def register_references() -> None:
    """Once, before the first component is made."""
    for token in [*OUTPUTS, "eks:index:Cluster"]:
        package, module, _ = token.split(":")
        try:
            register_resource_module(package, module, _References())  # type: ignore[arg-type]
        except ValueError:
            continue  # two types of one module

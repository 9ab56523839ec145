"""Config keys beside the project's own that make an update do something else than they say."""

from __future__ import annotations

from collections.abc import Collection, Mapping

#: Of the AWS provider alone: kubeconfig, pods' images and `twinplane` take the environment's credentials. In the state
#: of a stack that others look after, too, the name of somebody's profile would be out of place.
CREDENTIALS = frozenset(
    [
        "accessKey",
        "assumeRole",
        "assumeRoles",
        "assumeRoleWithWebIdentity",
        "profile",
        "secretKey",
        "sharedConfigFiles",
        "sharedCredentialsFiles",
        "token",
    ]
)


def misplaced(config: Mapping[str, str], project: str, keys: Collection[str]) -> dict[str, str]:
    """Returns the values of keys that are named as ours are, with the namespace of another project, by name."""
    split = {key: key.partition(":") for key in config}
    return {name: config[key] for key, (namespace, _, name) in split.items() if namespace != project and name in keys}


def errors(config: Mapping[str, str], project: str, stack: str, keys: Collection[str]) -> list[str]:
    """Returns what is wrong with them, a line each, with the command that mends it."""
    lines = []
    for key in config:
        namespace, _, name = key.partition(":")
        if namespace == "aws" and name in CREDENTIALS:
            lines.append(
                f"config {key}: would reach AWS, but neither the Kubernetes API nor `twinplane`: set AWS_PROFILE, or "
                f"the keys, in the environment, and: pulumi config rm {key}"
            )
        elif namespace != project and name in keys and f"{project}:{name}" in config:
            lines.append(f"config {key}: not read, for {project}:{name} is set: pulumi config rm {key}")
        elif namespace != project and name in keys:
            rename = f"sed -i 's/^  {namespace}:/  {project}:/' stacks/Pulumi.{stack}.yaml"
            lines.append(f"config {key}: not read, for this project is named {project}: {rename}")
    return lines

"""ContainerRegistry: ECR repositories whose releases never change once pushed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.base.policy_document import policy
from components.package.limits import AtLeast, Between, Each, Like

#: What a pull takes, https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policy-examples.html
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")

#: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
IMAGE = Like("[a-z0-9]+([._-][a-z0-9]+)*", "sample-app")
PREFIX = Like("[A-Za-z0-9]+([._/-][A-Za-z0-9]+)*", "twinplane-managed")


@dataclass(frozen=True)
class ContainerRegistryArgs:
    """What a ContainerRegistry is made from."""

    #: At least one; each image's repository is `<prefix>/<image>`, in lower case.
    images: Annotated[Sequence[str], AtLeast(1), Each(IMAGE)]
    prefix: Annotated[str, PREFIX]
    #: IAM roles that may pull: those of the nodes of all clusters that run the images.
    pull_role_arns: Sequence[pulumi.Input[str]] = ()
    #: Of each image, the newest so many tags that start with "v" stay.
    keep_releases: Annotated[int, Between(1, 1000)] = 20
    #: Days after which an image without a tag goes.
    untagged_days: Annotated[int, Between(1, 3650)] = 7


class ContainerRegistry(pulumi.ComponentResource):
    """Repositories with immutable tags, scanned on push, encrypted with their own key. They go with their images."""

    #: Where to log in: `aws ecr get-login-password | buildah login --username AWS --password-stdin HOST`.
    host: pulumi.Output[str]
    #: Image -> what to push to and pull from, without the tag.
    repository_urls: Mapping[str, pulumi.Output[str]]
    #: Both as plain data, the stack's `registry` output.
    exported: pulumi.Output[dict[str, object]]

    def __init__(self, name: str, args: ContainerRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:registry:ContainerRegistry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            name,
            description=f"Images of {name}",
            enable_key_rotation=True,
            deletion_window_in_days=7,  # the least that KMS takes; the images are gone before
            tags=tags.named(name),
            opts=child,
        )
        aws.kms.Alias(name, name=f"alias/{name}", target_key_id=key.key_id, opts=child)

        def repository(image: str) -> aws.ecr.Repository:
            full = f"{name}-{image}"
            made = aws.ecr.Repository(
                full,
                name=f"{args.prefix}/{image}".lower(),
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration={"scan_on_push": True},
                encryption_configurations=[{"encryption_type": "KMS", "kms_key": key.arn}],
                force_delete=True,
                tags=tags.named(full),
                opts=child,
            )
            expiry = lifecycle(keep_releases=args.keep_releases, untagged_days=args.untagged_days)
            aws.ecr.LifecyclePolicy(full, repository=made.name, policy=expiry, opts=child)
            if args.pull_role_arns:
                policy = pulumi.Output.all(*args.pull_role_arns).apply(pull_policy)
                aws.ecr.RepositoryPolicy(full, repository=made.name, policy=policy, opts=child)
            return made

        made = {image: repository(image) for image in args.images}
        self.repository_urls = {image: each.repository_url for image, each in made.items()}
        self.host = self.repository_urls[args.images[0]].apply(lambda url: url.split("/")[0])
        self.exported = pulumi.Output.all(host=self.host, repositories=self.repository_urls)
        self.register_outputs({"exported": self.exported})


def lifecycle(*, keep_releases: int, untagged_days: int) -> str:
    """Lifecycle policy: what goes, in order of priority."""

    def rule(priority: int, description: str, **selection: object) -> dict[str, object]:
        action = {"type": "expire"}
        return {"rulePriority": priority, "description": description, "selection": selection, "action": action}

    rules = [
        rule(
            1,
            f"without a tag for {untagged_days} days",
            tagStatus="untagged",
            countType="sinceImagePushed",
            countUnit="days",
            countNumber=untagged_days,
        ),
        rule(
            2,
            f"all but the newest {keep_releases} releases",
            tagStatus="tagged",
            tagPrefixList=["v"],
            countType="imageCountMoreThan",
            countNumber=keep_releases,
        ),
    ]
    return json.dumps({"rules": rules}, sort_keys=True)


def pull_policy(role_arns: Sequence[str]) -> str:
    """Repository policy: those roles pull, and do nothing else."""
    statement = {
        "Sid": "Pull",
        "Effect": "Allow",
        "Principal": {"AWS": sorted(role_arns)},
        "Action": list(PULL),
    }
    return policy(statement)

"""ECR: repositories, who may pull from them, and what expires in them."""

from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.tags import pairs, unpaired
from lab.plugins.aws.types import Call, Inputs, Tagging, Type, Update
from lab.plugins.values import Values


def read_repository(call: Call) -> Values | None:
    found = call.api.describe_repositories(repositoryNames=[call.id])["repositories"]
    if not found:
        return None
    return {**found[0], "Tags": call.api.list_tags_for_resource(resourceArn=found[0]["repositoryArn"])["tags"]}


def encryption(_: Call, answer: Mapping[str, Any]) -> list[Values]:
    """A list in Pulumi, one object in AWS."""
    return [dict(answer["encryptionConfiguration"])]


def delete_repository(call: Call) -> None:
    call.api.delete_repository(repositoryName=call.id, force=bool(call.state.get("forceDelete")))


TAGS = Tagging(
    create=lambda _, tags: {"tags": pairs(tags)},
    add=lambda call, tags: call.api.tag_resource(resourceArn=call.state["arn"], tags=pairs(tags)),
    remove=lambda call, keys: call.api.untag_resource(resourceArn=call.state["arn"], tagKeys=keys),
    read=lambda answer: unpaired(answer.get("Tags")),
)


def _attached(put: str, get: str, delete: str, text: str, gone: tuple[str, ...]) -> Type:
    """A policy of a repository by its operations and by what they call its document, `text`."""

    def write(call: Call) -> str:
        getattr(call.api, put)(repositoryName=call.inputs["repository"], **{text: call.inputs["policy"]})
        return str(call.inputs["repository"])

    def read(call: Call) -> Values:
        answer = getattr(call.api, get)(repositoryName=call.id)
        return {"registryId": answer["registryId"], "repository": call.id, "policy": answer[text]}

    return Type(
        "ecr",
        Inputs(required="repository policy", optional="region"),
        create=write,
        read=read,
        update=(Update("policy", write),),
        delete=delete,
        id_parameter="repositoryName",
        outputs="registryId",
        gone=gone,
    )


TYPES = {
    "aws:ecr/repository:Repository": Type(
        "ecr",
        Inputs(
            optional="forceDelete tags region",
            defaults={"imageTagMutability": "MUTABLE"},
            blocks={
                "encryptionConfigurations": Inputs(optional="encryptionType kmsKey"),
                "imageScanningConfiguration": Inputs(required="scanOnPush"),
            },
            lists="encryptionConfigurations",
            auto="name",
            auto_length=256,
        ),
        create="create_repository",
        result="repository.repositoryName",
        read=read_repository,
        update=(
            Update(
                "imageTagMutability",
                lambda call: call.send("put_image_tag_mutability", "name", "imageTagMutability"),
            ),
            Update(
                "imageScanningConfiguration",
                lambda call: call.send("put_image_scanning_configuration", "name", "imageScanningConfiguration"),
            ),
        ),
        delete=delete_repository,
        tagging=TAGS,
        outputs="arn registryId repositoryUrl",
        rename={
            "name": "repositoryName",
            "arn": "repositoryArn",
            "repositoryUrl": "repositoryUri",
            "encryptionConfigurations": "encryptionConfiguration",
        },
        local="forceDelete",
        computed={"encryptionConfigurations": encryption},
        gone=("RepositoryNotFoundException",),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _attached(
        "put_lifecycle_policy",
        "get_lifecycle_policy",
        "delete_lifecycle_policy",
        "lifecyclePolicyText",
        gone=("LifecyclePolicyNotFoundException", "RepositoryNotFoundException"),
    ),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": _attached(
        "set_repository_policy",
        "get_repository_policy",
        "delete_repository_policy",
        "policyText",
        gone=("RepositoryPolicyNotFoundException", "RepositoryNotFoundException"),
    ),
}

"""The guards of who reads what: buckets and registries."""

from __future__ import annotations

from collections.abc import Iterator

from policies.inputs import Inputs, anyone, listed, statements, yes

#: What anyone may get of a bucket: who signs a cluster's tokens, and the public keys to them.
ISSUER_DOCUMENTS = {".well-known/openid-configuration", "openid/v1/jwks"}
#: Access lists that S3 knows by a name, for others than the owner and AWS itself.
PUBLIC_LISTS = ("public-read", "public-read-write", "authenticated-read")
#: The same, as grants have them.
PUBLIC_GROUPS = ("/groups/global/AllUsers", "/groups/global/AuthenticatedUsers")
#: Resource types with the policy of a repository, and the name of that input.
REGISTRY_POLICIES = {
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:ecr/registryPolicy:RegistryPolicy": "policy",
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": "repositoryPolicy",
}
REPOSITORIES = (
    "aws:ecr/repository:Repository",
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate",
)


def no_public_buckets(kind: str, inputs: Inputs) -> Iterator[str]:
    """Nobody reads a bucket without rights, but for what an OpenID Connect issuer shows the world: its public keys."""
    if kind in {
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock",
    } and not (yes(inputs.get("blockPublicAcls")) and yes(inputs.get("ignorePublicAcls"))):
        yield "access lists could open the bucket: set blockPublicAcls and ignorePublicAcls"
    if not kind.startswith("aws:s3/"):
        return
    if inputs.get("acl") in PUBLIC_LISTS:
        yield f"its access list {inputs['acl']} lets anyone in: leave acl private"
    control = inputs.get("accessControlPolicy") or {}
    grants = [*listed(inputs.get("grants")), *listed(control.get("grants"))]
    grantees = [str((each.get("grantee") or each).get("uri")) for each in grants]
    if any(uri.endswith(PUBLIC_GROUPS) for uri in grantees):
        yield "a grant lets anyone in: name who may"
    if kind not in {"aws:s3/bucketPolicy:BucketPolicy", "aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"}:
        return
    for statement in statements(inputs.get("policy")):
        if statement["Effect"] == "Allow" and anyone(statement):
            objects = [each.partition("/")[2] for each in listed(statement.get("Resource"))]
            documents = bool(objects) and ISSUER_DOCUMENTS.issuperset(objects)
            if listed(statement.get("Action")) != ["s3:GetObject"] or not documents:
                yield "its policy lets anyone in: name who may, or let them get an issuer's two documents alone"


def no_public_images(kind: str, inputs: Inputs) -> Iterator[str]:
    """Nobody pulls or pushes an image without rights."""
    if kind == "aws:ecrpublic/repository:Repository":
        yield "anyone could pull its images: make a repository of ECR's private registry (aws.ecr.Repository)"
    if kind in REGISTRY_POLICIES:
        for statement in statements(inputs.get(REGISTRY_POLICIES[kind])):
            if statement["Effect"] == "Allow" and anyone(statement):
                yield "its policy lets anyone in: name the roles that may pull (registryPullRoles)"


def immutable_tags(kind: str, inputs: Inputs) -> Iterator[str]:
    """A tag is the same image for good: what was tested is what runs."""
    if kind in REPOSITORIES and inputs.get("imageTagMutability") != "IMMUTABLE":
        yield "a tag could become another image: set imageTagMutability to IMMUTABLE"

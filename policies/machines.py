"""The guards of machines: their metadata, their disks, and whether they have public addresses."""

from __future__ import annotations

from collections.abc import Iterator

from policies.inputs import Inputs, listed, yes

#: Machines, and what makes machines with the same inputs.
INSTANCES = ("aws:ec2/instance:Instance", "aws:ec2/spotInstanceRequest:SpotInstanceRequest")
CONFIGURATION = "aws:ec2/launchConfiguration:LaunchConfiguration"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
#: What gives a machine a public address that stays, and the input that names the machine.
ADDRESSES = {"aws:ec2/eip:Eip": "instance", "aws:ec2/eipAssociation:EipAssociation": "instanceId"}
#: Storage classes of these make EBS volumes.
EBS_PROVISIONERS = ("ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com", "kubernetes.io/aws-ebs")
UNASSIGNED = (
    "put it in a private subnet (machineSubnets: private); where it is to have one, lower private-machines with "
    "--policy-pack-config"
)


def imdsv2_only(kind: str, inputs: Inputs) -> Iterator[str]:
    """Instance metadata answers only to a session token."""
    if kind not in {*INSTANCES, CONFIGURATION, TEMPLATE}:
        return
    if (inputs.get("metadataOptions") or {}).get("httpTokens") != "required":
        yield "instance metadata answers without a token (IMDSv1): set metadataOptions.httpTokens to required"


def encrypted_at_rest(kind: str, inputs: Inputs) -> Iterator[str]:
    """Disks, repositories and the cluster's Secrets are encrypted. Buckets are anyway.

    S3 encrypts all that is written, and it cannot be turned off:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-bucket-encryption.html
    """
    if kind in {*INSTANCES, CONFIGURATION}:
        disks = [inputs.get("rootBlockDevice") or {}, *listed(inputs.get("ebsBlockDevices"))]
        if not all(yes(disk.get("encrypted")) for disk in disks):
            yield "a volume is not encrypted: set encrypted on rootBlockDevice and on every ebsBlockDevice"
    if kind == TEMPLATE:
        disks = [mapping.get("ebs") or {} for mapping in inputs.get("blockDeviceMappings") or [{}]]
        if not all(yes(disk.get("encrypted")) for disk in disks):
            yield "nodes would get an unencrypted volume: set ebs.encrypted in every blockDeviceMapping"
    if kind == "aws:eks/nodeGroup:NodeGroup" and not inputs.get("launchTemplate"):
        yield "nodes would get an unencrypted volume: give the group a launchTemplate that encrypts it"
    if kind in {"aws:ebs/volume:Volume", "aws:ebs/snapshotCopy:SnapshotCopy"} and not yes(inputs.get("encrypted")):
        yield "the volume is not encrypted: set encrypted"
    ebs = kind.startswith("kubernetes:storage.k8s.io/") and inputs.get("provisioner") in EBS_PROVISIONERS
    if ebs and not yes((inputs.get("parameters") or {}).get("encrypted")):
        yield 'volumes of the class would not be encrypted: set parameters.encrypted to "true"'
    if kind == "aws:eks/cluster:Cluster" and not inputs.get("encryptionConfig"):
        yield "Secrets are not encrypted with a key of yours: set encryptionConfig"
    if kind in {
        "aws:ecr/repository:Repository",
        "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate",
    }:
        kinds = {each.get("encryptionType") for each in listed(inputs.get("encryptionConfigurations"))}
        if not kinds or not kinds <= {"KMS", "KMS_DSSE"}:
            yield "images are not encrypted with KMS: set encryptionConfigurations"


def no_public_nodes(kind: str, inputs: Inputs) -> Iterator[str]:
    """No subnet and no node group hands out public addresses.

    A node in a public subnet has one only where the subnet or the launch template says so; which subnets a group is in
    says nothing, and a guard sees their ids alone.
    """
    if kind in {"aws:ec2/subnet:Subnet", "aws:ec2/defaultSubnet:DefaultSubnet"}:
        # A default subnet does, unless it is told.
        asked = inputs.get("mapPublicIpOnLaunch", "default" in kind)
        if yes(asked):
            yield "machines of this subnet would get public addresses unasked: leave mapPublicIpOnLaunch false"
    if kind == TEMPLATE and any(
        yes(each.get("associatePublicIpAddress")) for each in listed(inputs.get("networkInterfaces"))
    ):
        yield "nodes would get public addresses: leave associatePublicIpAddress out of the launch template"
    if kind == CONFIGURATION and yes(inputs.get("associatePublicIpAddress")):
        yield "nodes would get public addresses: leave associatePublicIpAddress out of the launch configuration"


def private_machines(kind: str, inputs: Inputs) -> Iterator[str]:
    """Machines have no public address."""
    if kind in INSTANCES and yes(inputs.get("associatePublicIpAddress")):
        yield f"the machine would get a public address: {UNASSIGNED}"
    # Whether it is there, not what it is: that is not known yet during a preview.
    if kind in ADDRESSES and ADDRESSES[kind] in set(inputs):
        yield f"a machine would get a public address: {UNASSIGNED}"

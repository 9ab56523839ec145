"""Whether an AWS account is ready for a stack: looked at before `pulumi up`, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from components.eks.add_on import version_of
from components.machines.machine_image import MachineImage
from components.network.availability_zones import WITHOUT_EKS
from doctor import permissions
from doctor.pins import Image, Unreachable
from stacks import support
from stacks.parsers import minor
from stacks.settings import ConfigErrors, ManagedSettings, SelfManagedSettings, read
from stacks.surroundings import Surroundings
from twinplane.check import Check
from twinplane.errors import UsageError
from twinplane.live import aws_call
from twinplane.live.unanswered import Unanswered, Unreached
from twinplane.stack import Stack

#: Service and code of a quota, and its name in the console
#: (https://docs.aws.amazon.com/servicequotas/latest/userguide/intro.html).
VCPUS = ("ec2", "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
ADDRESSES = ("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs")
VPCS = ("vpc", "L-F678F1CE", "VPCs per Region")
STANDARD = set("acdhimrtz")

Settings = ManagedSettings | SelfManagedSettings


def checks(stack: Stack) -> list[Check]:
    """Looks at config, credentials and account. States: "ok", "problem", "unknown", which says why."""
    project, config = stack.project, stack.config
    region = config.get("aws:region")
    try:
        caller = aws_call.caller(stack.environment, region)
    except (UsageError, Unreached) as error:
        told = "nobody answers for AWS" if isinstance(error, Unreached) else "refused"
        read_anyway = _settings(stack, project, config, "")
        return [*_config(stack, read_anyway), Check("credentials", "problem", f"{told}: {error}")]
    settings = _settings(stack, project, config, caller)
    found = [*_config(stack, settings), Check("credentials", "ok", f"{caller}, account {caller.split(':')[4]}")]
    if isinstance(settings, ConfigErrors):
        return [*found, Check("account", "unknown", "what the stack needs is not known", "mend its config first")]
    account = _Account(stack, settings, project, caller, region)
    with ThreadPoolExecutor(8) as pool:
        return [*found, *pool.map(_answered, account.looks())]


def _config(stack: Stack, settings: Settings | ConfigErrors) -> Iterator[Check]:
    if isinstance(settings, ConfigErrors):
        yield from (Check("config", "problem", line) for line in settings.lines)
    else:
        yield Check("config", "ok", f"{stack.file.name}: every value is right")


def _settings(stack: Stack, project: str, config: dict[str, Any], caller: str) -> Settings | ConfigErrors:
    """The config as the program would read it where no cluster lives."""
    prefix = f"{project}:"
    ours = {
        key.removeprefix(prefix): value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
        if key.startswith(prefix)
    }
    around = Surroundings(config.get("aws:region"), bool(config.get("aws:endpoints")), caller)
    try:
        return read(ours, project=project, stack=stack.name, around=around)
    except ConfigErrors as errors:
        return errors


Look = tuple[str, Callable[[], Check]]


def _answered(look: Look) -> Check:
    name, ask = look
    try:
        return replace(ask(), name=name)
    except Unreached as error:
        return Check(name, "unknown", f"nobody answers ({error})")
    except Unanswered as error:
        return Check(name, "unknown", f"the endpoint does not answer this ({error})")


def _ok(detail: str, advice: str = "") -> Check:
    return Check("", "ok", detail, advice)


def _problem(detail: str, advice: str) -> Check:
    return Check("", "problem", detail, advice)


@dataclass(frozen=True)
class _Account:
    """One account in one region, as a stack needs it."""

    stack: Stack
    settings: Settings
    project: str
    caller: str
    region: str | None

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Raises Unanswered."""
        return aws_call.call(self.stack.environment, self.region, service, operation, **parameters)

    def looks(self) -> Iterator[Look]:
        """Every check by its name."""
        settings = self.settings
        yield "zones", self.zones
        yield "instance type", self.instance_type
        yield "vCPU quota", self.vcpus
        yield "Elastic IP quota", self.addresses
        yield "VPC quota", self.vpcs
        for image in _images(settings):
            yield f"image {image}", lambda image=image: self.image(image)  # type: ignore[misc]
        if isinstance(settings, ManagedSettings):
            yield f"EKS, Kubernetes {minor(settings.kubernetes_version)}", self.version
            for name, version in _add_ons(settings).items():
                yield f"EKS add-on {name}", lambda name=name, version=version: self.add_on(name, version)  # type: ignore[misc]
        else:
            yield f"AMI {settings.machine_image.name}", lambda: self.machine_image(settings.machine_image)
            yield "public bucket policies", self.public_policies
        where = self.region or str(self.stack.environment.get("AWS_REGION"))
        yield "permissions", lambda: permissions.check(settings, self.caller, where, self.project, self.call)

    @cached_property
    def names(self) -> list[str]:
        """The zones that the stack would take."""
        filters = [
            {"Name": "opt-in-status", "Values": ["opt-in-not-required"]},
            {"Name": "state", "Values": ["available"]},
        ]
        answer = self.call("ec2", "describe_availability_zones", Filters=filters)["AvailabilityZones"]
        return sorted(zone["ZoneName"] for zone in answer if zone["ZoneId"] not in WITHOUT_EKS)

    def zones(self) -> Check:
        wanted, names = self.settings.availability_zones, self.names
        if len(names) < wanted:
            return _problem(f"{wanted} wanted, there are {', '.join(names)}", "set aws:region to another region")
        return _ok(f"{', '.join(names[:wanted])} in {self.region or 'the region of your own configuration'}")

    def instance_type(self) -> Check:
        kind = self.settings.instance_type
        if _auto(self.settings):
            return _ok("EKS Auto Mode chooses")
        filters = [{"Name": "instance-type", "Values": [kind]}]
        offers = self.call(
            "ec2", "describe_instance_type_offerings", LocationType="availability-zone", Filters=filters
        )["InstanceTypeOfferings"]
        missing = set(self.names[: self.settings.availability_zones]) - {each["Location"] for each in offers}
        if missing:
            return _problem(f"{kind} is not offered in {', '.join(sorted(missing))}", "set instanceType to another one")
        return _ok(f"{kind} is offered in all of them")

    def vcpus(self) -> Check:
        kind, machines = self.settings.instance_type, self.settings.workers
        if _auto(self.settings):
            return Check("", "unknown", "EKS Auto Mode chooses types and number")
        if kind[0] not in STANDARD:
            return Check("", "unknown", f"{kind} has a quota of its own family", "look it up in Service Quotas")
        if isinstance(self.settings, SelfManagedSettings):
            machines += self.settings.control_planes
        [found] = self.call("ec2", "describe_instance_types", InstanceTypes=[kind])["InstanceTypes"]
        running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        reservations = self.call("ec2", "describe_instances", Filters=running)["Reservations"]
        others = [each for group in reservations for each in group["Instances"] if not self._own(each)]
        used = sum(_cores(each) for each in others if each["InstanceType"][0] in STANDARD)
        return self._quota(VCPUS, used, machines * int(found["VCpuInfo"]["DefaultVCpus"]), "vCPUs")

    def addresses(self) -> Check:
        gateways = {"none": 0, "single": 1, "per_zone": self.settings.availability_zones}[self.settings.nat]
        there = self.call("ec2", "describe_addresses")["Addresses"]
        return self._quota(ADDRESSES, sum(not self._own(each) for each in there), gateways, "addresses of NAT gateways")

    def vpcs(self) -> Check:
        there = self.call("ec2", "describe_vpcs")["Vpcs"]
        return self._quota(VPCS, sum(not self._own(each) for each in there), 1, "VPC")

    def _quota(self, quota: tuple[str, str, str], used: int, needed: int, what: str) -> Check:
        service, code, title = quota
        limit = int(
            self.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)["Quota"]["Value"]
        )
        told = f"{needed} {what} needed, {used} of {limit} used by others"
        if used + needed <= limit:
            return _ok(told)
        raise_it = f"aws service-quotas request-service-quota-increase --service-code {service} --quota-code {code}"
        return _problem(told, f"{raise_it} --desired-value {used + needed} ({title})")

    def _own(self, resource: dict[str, Any]) -> bool:
        """True for what this very stack has made already."""
        tags = {each["Key"]: each["Value"] for each in resource.get("Tags", ())}
        return tags.get("Project") == self.project and tags.get("Stack") == self.stack.name

    def image(self, reference: str) -> Check:
        host, _, path = reference.partition("/")
        if ".dkr.ecr." in host:
            return self._ecr(host, *path.rpartition(":")[::2])
        image = Image.of(reference if "." in host or ":" in host else f"registry-1.docker.io/{_hub(reference)}")
        try:
            there = image.ask().there
        except Unreachable as error:
            if "SSL" not in str(error):
                return Check("", "unknown", f"its registry gives no answer ({error})")
            try:  # a registry inside a network may speak without TLS
                there = replace(image, registry=image.registry.replace("https:", "http:")).ask().there
            except Unreachable as plain:
                return Check("", "unknown", f"its registry gives no answer ({plain})")
        return _ok("in its registry") if there else _problem(f"its registry has none: {image.where}", "push it first")

    def _ecr(self, host: str, repository: str, tag: str) -> Check:
        account, _, _, region = host.split(".")[:4]
        wanted = {"registryId": account, "repositoryName": repository, "imageIds": [{"imageTag": tag}]}
        try:
            aws_call.call(self.stack.environment, region, "ecr", "describe_images", **wanted)
        except Unanswered as error:
            own = {f"{self.settings.name}/{each}".lower() for each in self.settings.registry_images}
            if error.code == "RepositoryNotFoundException" and repository in own:
                return Check("", "unknown", "its repository comes with the stack", "push it while `pulumi up` runs")
            if error.code in {"RepositoryNotFoundException", "ImageNotFoundException"}:
                return _problem(str(error), "push it first")
            raise
        return _ok("in its registry")

    def version(self) -> Check:
        of = minor(self.settings.kubernetes_version)
        told = self.call("eks", "describe_cluster_versions", clusterVersions=[of], includeAll=True)["clusterVersions"]
        if not told:
            return _problem(f"EKS has no {of}", "set kubernetesVersion to a minor that it has")
        end = told[0]["endOfStandardSupportDate"].date()
        today = datetime.now(UTC).date()
        if today >= end:
            return _problem(f"standard support ended on {end}", "set kubernetesVersion to a later minor")
        soon = support.warning("managed", self.settings.kubernetes_version, {of: end}, today)
        return _ok(f"standard support until {end}", soon)

    def add_on(self, name: str, version: str) -> Check:
        of = minor(self.settings.kubernetes_version)
        answer = self.call("eks", "describe_addon_versions", addonName=name, kubernetesVersion=of)["addons"]
        offered = [each["addonVersion"] for add_on in answer for each in add_on.get("addonVersions", ())]
        if version in offered:
            return _ok(version)
        instead = f"set addOnVersions to one that is, e.g. {offered[0]}" if offered else "leave it out"
        return _problem(f"{version} is not offered for Kubernetes {of}", instead)

    def machine_image(self, image: MachineImage) -> Check:
        filters = [{"Name": "name", "Values": [image.name]}]
        found = self.call("ec2", "describe_images", Owners=[image.owner], Filters=filters)["Images"]
        if not found:
            return _problem(f"account {image.owner} has none of that name here", "set machineImage, or another region")
        newest = max(found, key=lambda each: str(each["CreationDate"]))
        return _ok(f"newest: {newest['ImageId']}, {newest['Name']}")

    def public_policies(self) -> Check:
        try:
            block = self.call("s3control", "get_public_access_block", AccountId=self.caller.split(":")[4])
        except Unanswered as error:
            if error.code != "NoSuchPublicAccessBlockConfiguration":
                raise
            return _ok("the account blocks none")
        if block["PublicAccessBlockConfiguration"].get("BlockPublicPolicy"):
            return _problem(
                "S3 refuses all in this account, and the issuer's documents need one",
                "aws s3control put-public-access-block, with BlockPublicPolicy=false and RestrictPublicBuckets=false",
            )
        return _ok("the account blocks none")


def _auto(settings: Settings) -> bool:
    return isinstance(settings, ManagedSettings) and settings.node_mode == "auto"


def _cores(instance: dict[str, Any]) -> int:
    options = instance.get("CpuOptions") or {}
    return int(options.get("CoreCount", 1)) * int(options.get("ThreadsPerCore", 1))


def _images(settings: Settings) -> list[str]:
    """Those that config names; the others are pins."""
    named = [settings.app_image, settings.ingress_controller_image, settings.descheduler_image]
    if isinstance(settings, SelfManagedSettings):
        named.append(settings.cloud_controller_image)
    return [each for each in named if each]


def _hub(reference: str) -> str:
    return reference if "/" in reference else f"library/{reference}"


def _add_ons(settings: ManagedSettings) -> dict[str, str]:
    """Those with a version, of those that the stack makes."""
    if settings.node_mode == "auto":
        return {}
    names = ["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent"]
    names += ["aws-ebs-csi-driver"] if settings.storage == "ebs" else []
    of = minor(settings.kubernetes_version)
    chosen = {name: version_of(name, of, settings.add_on_versions) for name in names}
    return {name: version for name, version in chosen.items() if version}

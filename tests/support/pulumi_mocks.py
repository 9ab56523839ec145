"""A Pulumi engine made of memory: runs a program, records every registration, and fails on what it does not know."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.mocks import MockCallArgs, MockEngine, MockMonitor, MockResourceArgs, MockSettings
from pulumi.runtime.proto import callback_pb2, resource_pb2
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import run_in_stack, wait_for_rpcs

from tests import GOLDEN

PROJECT, STACK = "twinplane", "test"
#: In every secret that the mocks hand out, so that a leak is easy to see.
SECRET = "SECRET-MARK"
#: PEM, RSA; nobody has the private half.
PUBLIC_KEY = (GOLDEN / "signing_key.pem").read_text()
ZONES = ["us-east-1c", "us-east-1a", "us-east-1d", "us-east-1b"]  # unsorted, as an API may answer

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET, _REFERENCE = "1b47061264138c4ac30d75fd1eb44270", "5cf8f73096256a8f31e491e813e4eb8e"
#: Stands for a value that is known only after the update.
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass
class Registered:
    """One resource as the engine would see it."""

    type: str
    name: str
    urn: str
    parent: str
    #: Plain; secrets unwrapped.
    inputs: dict[str, Any]
    #: As sent; secrets wrapped.
    raw: dict[str, Any]
    dependencies: set[str]
    ignore_changes: list[str]
    replace_on_changes: list[str]
    protect: bool
    provider: str
    #: URN of what takes this with it at its end.
    deleted_with: str
    #: As a component says them at its end; None before.
    outputs: dict[str, Any] | None = None


class Callbacks:
    """Takes transforms and calls none: the children of remote components are made by nobody here."""

    def register_transform(self, transform: Callable[..., Any]) -> callback_pb2.Callback:
        return callback_pb2.Callback(token=transform.__qualname__, target="")


@dataclass
class Graph:
    """What a program made."""

    resources: list[Registered] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    #: The stack's exports, as sent.
    raw_exports: dict[str, Any] = field(default_factory=dict)
    #: What the program returned.
    value: Any = None

    @property
    def exports(self) -> dict[str, Any]:
        return plain(self.raw_exports)

    def all(self, type_: str) -> list[Registered]:
        """Resources of a type, by its token or the token's last part."""
        return [each for each in self.resources if type_ in (each.type, each.type.rsplit(":")[-1])]

    def one(self, type_: str, name: str | None = None) -> Registered:
        """The only resource of that type (and name)."""
        found = [each for each in self.all(type_) if name in (None, each.name)]
        assert len(found) == 1, f"{type_} {name}: {len(found)} of {[each.name for each in self.all(type_)]}"
        return found[0]

    def before(self, what: Registered) -> set[str]:
        """URNs of all that the engine makes before it: what it, its parents and its provider depend on, and so on."""
        known, found, left = {each.urn: each for each in self.resources}, set[str](), [what.urn]
        while left:
            urn = left.pop()
            if urn in known and urn not in found:
                each = known[urn]
                found.add(urn)
                left += [*each.dependencies, each.parent, each.provider.rpartition("::")[0]]
        return found - {what.urn}

    def __contains__(self, name: str) -> bool:
        return any(each.name == name for each in self.resources)


def run(program: Callable[[], Any], *, preview: bool = False, project: str = PROJECT, stack: str = STACK) -> Graph:
    """Runs the program to its end. Raises what it raises, and AssertionError for what is not mocked."""
    mocks = Mocks()
    failure = contextvars.copy_context().run(_run, program, mocks, preview, project, stack)
    if mocks.failures:
        raise mocks.failures[0] from failure
    if failure:
        raise failure
    return mocks.graph


def _run(program: Callable[[], Any], mocks: Mocks, preview: bool, project: str, stack: str) -> Exception | None:
    """In a context of its own, so that no run sees the settings of another."""
    monitor = Monitor(mocks, preview)
    settings = MockSettings(
        monitor=monitor,
        monitor_features=set(monitor.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures),
        engine=MockEngine(None),
        project=project,
        stack=stack,
        dry_run=preview,
        organization=None,
    )
    pulumi.runtime.configure(settings)
    SETTINGS.callbacks = Callbacks()
    loop = asyncio.new_event_loop()
    loop.set_default_executor(Inline())
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda _loop, _context: None)  # futures left unread after a failure are not news

    async def body() -> None:
        mocks.graph.value = program()
        await wait_for_rpcs(await_all_outstanding_tasks=False)
        # The SDK asks for the first of all that is left, again and again: the square of their number.
        while left := [each for each in SETTINGS.outputs if not each.done()]:
            await asyncio.wait(left)

    try:
        sys.tracebacklimit = 1  # the SDK walks the stack at every registration, for a trace that nobody reads here
        loop.run_until_complete(run_in_stack(body))
    except Exception as error:
        return error
    finally:
        del sys.tracebacklimit
        left = asyncio.all_tasks(loop)  # of a failed run
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        SETTINGS.outputs.clear()
        loop.close()
    return None


class Inline(ThreadPoolExecutor):
    """Calls at once, in the caller's own thread: answers out of memory are not worth a thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Mocks(pulumi.runtime.Mocks):
    """Answers of providers: only those that our program asks for."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.failures: list[AssertionError] = []

    def call(self, args: MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        self.graph.calls.append((args.token, args.args))
        if args.token not in CALLS:
            raise self.fail(f"call {args.token} is not mocked")
        return CALLS[args.token](args.args)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.custom is False and args.typ.startswith("twinplane:"):
            return None, {}
        if args.typ not in RESOURCES:
            raise self.fail(f"resource {args.typ} {args.name} is not mocked")
        return f"{args.name}-id", {**args.inputs, **RESOURCES[args.typ](args.name, args.inputs)}

    def fail(self, message: str) -> AssertionError:
        self.failures.append(AssertionError(message))
        return self.failures[-1]


class Monitor(MockMonitor):
    """Records what is sent, in the engine's stead, and makes secret what should be."""

    def __init__(self, mocks: Mocks, preview: bool) -> None:
        super().__init__(mocks)
        self.graph = mocks.graph
        self.ours = mocks
        self.preview = preview

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        if urn in self.resources:
            raise self.ours.fail(f"two resources are {urn}")
        raw = MessageToDict(request.object)
        resource = Registered(
            type=request.type,
            name=request.name,
            urn=urn,
            parent=request.parent,
            inputs=plain(raw),
            raw=raw,
            dependencies=set(request.dependencies),
            ignore_changes=list(request.ignoreChanges),
            replace_on_changes=list(request.replaceOnChanges),
            protect=bool(request.protect),
            deleted_with=request.deletedWith,
            provider=request.provider or request.providers.get(request.type.split(":")[0], ""),
        )
        self.graph.resources.append(resource)
        id_, state = self.mocks.new_resource(
            MockResourceArgs(request.type, request.name, resource.inputs, custom=request.custom)
        )
        self.resources[urn] = MockMonitor.ResourceRegistration(urn, id_ or "", state)
        for key, value in state.items():
            if isinstance(value, Reference):
                state[key] = self._reference(value)
            hidden = key in request.additionalSecretOutputs or contains_secret(raw.get(key))
            if self.preview and key not in raw and request.custom:
                state[key] = _UNKNOWN
            elif hidden:
                state[key] = {_SIGNATURE: _SECRET, "value": plain(value)}
        if self.preview and request.custom:
            id_ = ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=ParseDict(state, Struct()))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        outputs = MessageToDict(request.outputs)
        if "::pulumi:pulumi:Stack::" in request.urn:
            self.graph.raw_exports = outputs
        for resource in self.graph.resources:
            if resource.urn == request.urn:
                resource.outputs = outputs
        return super().RegisterResourceOutputs(request)

    def _reference(self, child: Reference) -> dict[str, Any]:
        """A child of pulumi_eks' own, which nobody but it registers."""
        urn = self.make_urn("", child.type, child.name)
        self.resources[urn] = MockMonitor.ResourceRegistration(urn, child.name, child.state)
        return {_SIGNATURE: _REFERENCE, "urn": urn, "id": child.name}


@dataclass
class Reference:
    type: str
    name: str
    state: dict[str, Any]


def plain(value: Any) -> Any:
    """The value with every secret unwrapped."""
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET:
            return plain(value["value"])
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def masked(value: Any) -> Any:
    """The value with "(secret)" and "(digest)" in place of those, references by name, and JSON read."""
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) in (_SECRET, _REFERENCE):
            return "(secret)" if value[_SIGNATURE] == _SECRET else str(value["urn"])
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str) and value[:1] in {"{", "["}:
        with suppress(ValueError):
            return masked(json.loads(value))
    return "(digest)" if re.fullmatch("[0-9a-f]{64}", str(value)) else value


def contains_secret(value: Any) -> bool:
    """True when some part of it is wrapped as a secret."""
    if isinstance(value, Mapping):
        return value.get(_SIGNATURE) == _SECRET or any(contains_secret(item) for item in value.values())
    return isinstance(value, list) and any(contains_secret(item) for item in value)


def leaks(value: Any) -> Iterator[str]:
    """Texts with the secret mark that are not wrapped."""
    if isinstance(value, Mapping) and value.get(_SIGNATURE) != _SECRET:
        for item in value.values():
            yield from leaks(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaks(item)
    elif isinstance(value, str) and SECRET in value:
        yield value


def _command(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    *run, module = inputs["interpreter"][:3]
    assert run == ["sh", "twinplane/run"], "the state may be read on another machine"
    if module == "volumes":
        assert "create" not in inputs, "it has work at the end alone"
        return {"stdout": "", "stderr": ""}
    if module in ("spread", "strays"):
        return {"stdout": "", "stderr": ""}
    if module == "keys":
        kind = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256"}[inputs["interpreter"][3]]
        answer = {"private": f"{SECRET} {name}", "public": f"{kind} AAAA{name} {inputs['create']}"}
    elif module == "host_key":
        answer = {"hostKey": f"ssh-ed25519 AAAA{name}"}
    elif module == "signing_key":
        answer = {"private": f"{SECRET} {name}", "public": PUBLIC_KEY}
    elif module == "certificates":
        answer = {"certificate": f"certificate of {inputs['create']}", "private_key": f"{SECRET} key of {name}"}
    else:
        assert module == "ansible"
        answer = {"ok": True, "kubeconfig": f"{SECRET} kubeconfig of {name}"}
    return {"stdout": json.dumps(answer), "stderr": ""}


def _instance(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    number = int(hashlib.sha256(name.encode()).hexdigest()[:2], 16)
    public = f"203.0.113.{number}" if inputs.get("associatePublicIpAddress") else ""
    addresses = {"privateIp": f"10.20.0.{number}", "publicIp": public}
    return {"availabilityZone": "us-east-1a", **addresses, "primaryNetworkInterfaceId": f"eni-{number}"}


def _node_group(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"nodeGroupName": f"{name}-0123abc", "releaseVersion": inputs.get("releaseVersion") or "newest"}


def _cluster(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    state = {"name": inputs.get("name", name), "version": inputs.get("version")}
    return {
        "core": {"endpoint": f"https://{name}.eks.test"},
        "eksCluster": Reference("aws:eks/cluster:Cluster", name, state),
        "kubeconfigJson": f"{SECRET} kubeconfig of {name}",
    }


def _nothing(_name: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {}


#: Type -> outputs beside the inputs.
RESOURCES: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "aws:ec2/vpc:Vpc": _nothing,
    "aws:ec2/subnet:Subnet": _nothing,
    "aws:ec2/internetGateway:InternetGateway": _nothing,
    "aws:ec2/eip:Eip": _nothing,
    "aws:ec2/natGateway:NatGateway": lambda name, _: {"publicIp": f"192.0.2.{name.rsplit('-', 1)[-1]}"},
    "aws:ec2transitgateway/instanceConnectEndpoint:InstanceConnectEndpoint": _nothing,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _nothing,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _nothing,
    "aws:ec2/flowLog:FlowLog": _nothing,
    "aws:cloudwatch/logGroup:LogGroup": lambda name, inputs: {
        "name": inputs.get("name", f"{name}-0123abc"),
        "arn": f"arn:aws-test:logs:us-east-1:123456789012:log-group:{name}-0123abc",
    },
    "aws:ec2/routeTable:RouteTable": _nothing,
    "aws:ec2/route:Route": _nothing,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _nothing,
    "aws:ec2/securityGroup:SecurityGroup": _nothing,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _nothing,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _nothing,
    "aws:lb/loadBalancer:LoadBalancer": lambda name, _: {"dnsName": f"{name}.elb.test", "arn": f"arn:test:elb/{name}"},
    "aws:lb/targetGroup:TargetGroup": lambda name, _: {"arn": f"arn:test:group/{name}"},
    "aws:lb/listener:Listener": _nothing,
    "aws:lb/targetGroupAttachment:TargetGroupAttachment": _nothing,
    "aws:ec2/keyPair:KeyPair": lambda name, _: {"keyName": f"{name}-0123abc"},
    "aws:ec2/instance:Instance": _instance,
    "aws:ec2/tag:Tag": _nothing,
    "aws:kms/key:Key": lambda name, _: {"keyId": f"{name}-key", "arn": f"arn:aws-test:kms:us-east-1:1:key/{name}"},
    "aws:kms/alias:Alias": _nothing,
    "aws:ecr/repository:Repository": lambda _, inputs: {
        "repositoryUrl": f"123456789012.dkr.ecr.us-east-1.test.example/{inputs['name']}",
    },
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _nothing,
    "aws:ecr/repositoryPolicy:RepositoryPolicy": _nothing,
    "aws:ebs/volume:Volume": _nothing,
    "aws:ec2/volumeAttachment:VolumeAttachment": _nothing,
    "aws:s3/bucket:Bucket": lambda name, _: {"arn": f"arn:aws-test:s3:::{name}-0123abc"},
    "aws:s3/bucketVersioning:BucketVersioning": _nothing,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _nothing,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _nothing,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _nothing,
    "aws:s3/bucketPolicy:BucketPolicy": _nothing,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _nothing,
    "aws:s3/bucketObject:BucketObject": _nothing,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": lambda _, inputs: {
        "arn": f"arn:test:iam::1:oidc-provider/{inputs['url'].removeprefix('https://')}"
    },
    "aws:iam/instanceProfile:InstanceProfile": lambda name, _: {"name": f"{name}-0123abc"},
    "aws:iam/role:Role": lambda name, _: {"name": f"{name}-0123abc", "arn": f"arn:test:iam::1:role/{name}"},
    "aws:iam/rolePolicy:RolePolicy": _nothing,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": lambda name, _: {"associationId": f"a-{name}"},
    "aws:eks/addon:Addon": _nothing,
    "kubernetes:storage.k8s.io/v1:StorageClass": _nothing,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _nothing,
    "command:local:Command": _command,
    "eks:index:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:ec2/launchTemplate:LaunchTemplate": lambda _, __: {"latestVersion": 3},
    "aws:acm/certificate:Certificate": lambda name, _: {"arn": f"arn:aws-test:acm:us-east-1:1:certificate/{name}"},
    "pulumi:providers:kubernetes": _nothing,
    "kubernetes:helm.sh/v4:Chart": _nothing,
    "kubernetes:elbv2.k8s.aws/v1beta1:IngressClassParams": _nothing,
    "kubernetes:networking.k8s.io/v1:IngressClass": _nothing,
    "kubernetes:networking.k8s.io/v1:Ingress": lambda name, _: {
        "status": {"loadBalancer": {"ingress": [{"hostname": f"{name}.elb.test"}]}}
    },
    "kubernetes:apps/v1:StatefulSet": _nothing,
    "kubernetes:core/v1:Namespace": _nothing,
    "kubernetes:apps/v1:Deployment": _nothing,
    "kubernetes:core/v1:Service": lambda name, _: {
        "status": {"loadBalancer": {"ingress": [{"hostname": f"{name}.elb.test"}]}}
    },
    "kubernetes:core/v1:ServiceAccount": _nothing,
    "kubernetes:core/v1:ConfigMap": _nothing,
    "kubernetes:core/v1:Secret": _nothing,
    "kubernetes:apiregistration.k8s.io/v1:APIService": _nothing,
    "kubernetes:apps/v1:DaemonSet": _nothing,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": _nothing,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": _nothing,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": _nothing,
    "kubernetes:policy/v1:PodDisruptionBudget": _nothing,
}

CALLS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "pulumi:pulumi:readStackResourceOutputs": lambda _: {"outputs": {}},
    "aws:index/getPartition:getPartition": lambda _: {"partition": "aws-test", "dnsSuffix": "test.example"},
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": "123456789012",
        "arn": "arn:aws-test:iam::123456789012:user/tester",
    },
    "aws:eks/getClusterVersions:getClusterVersions": lambda _: {"clusterVersions": []},
    "aws:index/getRegion:getRegion": lambda _: {"region": "us-east-1"},
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _: {"names": ZONES},
    "aws:ec2/getAmi:getAmi": lambda args: {"id": f"ami-of-{args['owners'][0]}-{args['filters'][0]['values'][0]}"},
}

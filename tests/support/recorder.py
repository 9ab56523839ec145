"""A provider plugin for any resource: it makes nothing, answers as pulumi_mocks.py does, and writes down when.

Under the real engine it shows the order that the dependencies of a whole stack give, in seconds and without a cloud.
"""

import hashlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lab.plugins.aws.planning import Defaults
from lab.plugins.aws.planning import changed as changed_inputs
from lab.plugins.aws.provider import TYPES
from lab.plugins.kubernetes.__main__ import KubernetesServicer
from lab.plugins.kubernetes.changes import compare
from lab.plugins.protocol import provider_pb2_grpc
from lab.plugins.provider import Change, Diff, Invalid, Provider, Resource
from lab.plugins.server import Log, serve
from lab.plugins.values import Values, reveal
from tests.support import aws_cli
from tests.support.pulumi_mocks import CALLS, RESOURCES

PLUGINS = ("aws", "command", "kubernetes")
#: What pulumi-eks' own components read of their children, and of functions that they call.
EKS: dict[str, Values] = {
    "aws:eks/cluster:Cluster": {
        "endpoint": os.environ.get("RECORDER_HEALTH", ""),
        "certificateAuthority": {"data": ""},
        "identities": [{"oidcs": [{"issuer": "https://oidc.test"}]}],
    },
    "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
    "aws:eks/getAddonVersion:getAddonVersion": {"version": "v1.0.0-eksbuild.1"},
}


def _id(urn: str) -> str:
    return f"{urn.split('::')[3]}-{hashlib.sha256(urn.encode()).hexdigest()[:17]}"


#: Function -> type of what it lists, output, and what it says of each.
LISTS: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "aws:eks/getClusters:getClusters": (
        "aws:eks/cluster:Cluster",
        "names",
        lambda urn: urn.split("::")[3].removesuffix("-eksCluster"),
    ),
    "aws:ec2/getInstances:getInstances": ("aws:ec2/instance:Instance", "ids", _id),
}


def _living(kind: str) -> list[str]:
    """Returns the URNs of that type of which one is left: a replacement is made before the old one is deleted."""
    left: Counter[str] = Counter()
    for line in Path(os.environ["RECORDER_LOG"]).read_text().splitlines():
        verb, moment, urn = line.split(" ", 2)
        if moment == "ends" and urn.split("::")[2].endswith(kind):
            left[urn] += {"create": 1, "delete": -1}.get(verb, 0)
    return [urn for urn, count in left.items() if count > 0]


class Recorder(Provider):
    """Each create and delete is two lines in the file RECORDER_LOG: when it began and when it ended."""

    accept_secrets = True

    def check(self, resource: Resource, old: Values, new: Values, seed: bytes) -> Values:  # noqa: ARG002
        return new

    def diff(self, change: Change) -> Diff:
        """What needs a new resource on AWS needs one here."""
        old, new = reveal(change.old_inputs), reveal(change.inputs)
        if kind := TYPES.get(change.resource.type):
            changed = changed_inputs(kind, replace(change, old_inputs=old, inputs=new, state={}), Defaults())
            return Diff(changed, kind.replacing(changed, new))
        leaves = {each.name: each.kind for each in compare(old, new, [])}
        return Diff([name for name in {*old, *new} if old.get(name) != new.get(name)], leaves=leaves)

    def create(self, change: Change) -> tuple[str, Values]:
        if change.preview:
            return "", change.inputs
        kind, name = change.resource.type, change.resource.name
        with _Recorded("create", change.resource.urn):
            known = RESOURCES[kind](name, reveal(change.inputs)) if kind in RESOURCES else {}
            return _id(change.resource.urn), {
                "arn": f"arn:test:any:us-east-1:123456789012:{name}",
                "name": name,
                **change.inputs,
                **known,
                **EKS.get(kind, {}),
            }

    def update(self, change: Change) -> Values:
        return {**change.state, **change.inputs}

    def delete(self, change: Change) -> None:
        with _Recorded("delete", change.resource.urn):
            time.sleep(0.1)  # long enough that the engine, were it free to, would begin the next

    def invoke(self, token: str, args: Values) -> Values:
        if token in LISTS:
            kind, found, name = LISTS[token]
            return {found: [name(urn) for urn in _living(kind)]}
        if token in CALLS:
            return CALLS[token](reveal(args))
        if token in EKS:
            return EKS[token]
        raise Invalid([("", f"{token} is not mocked")])


class _Recorded:
    def __init__(self, verb: str, urn: str) -> None:
        self.verb, self.urn = verb, urn

    def __enter__(self) -> None:
        self._say("begins")

    def __exit__(self, *_: object) -> None:
        self._say("ends")

    def _say(self, moment: str) -> None:
        with Path(os.environ["RECORDER_LOG"]).open("a") as log:
            log.write(f"{self.verb} {moment} {self.urn}\n")


def install(place: Path) -> None:
    """Puts the recorder in place of the provider plugins in that folder; beside it an AWS CLI that opens tunnels."""
    aws_cli.install(place)
    for name in PLUGINS:
        wrapper = place / f"pulumi-resource-{name}"
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m tests.support.recorder "$@"\n')
        wrapper.chmod(0o755)


def main() -> None:
    """Serves the engine whose address is the last argument. Charts are rendered and taken apart as usual."""
    recorder = Recorder(Log(sys.argv[-1]))
    servicer = KubernetesServicer(recorder)
    serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server),
        recorder.cancel,
        recorder.threads,
    )


if __name__ == "__main__":
    main()

"""One function for each form of config value: text in, value out, ValueError with what is wrong and what is right.

The first line of its docstring is the type of a key in docs/config.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from typing import Any

from components.base.chart_source import ChartSource
from components.eks import add_on
from components.machines.machine_image import MachineImage

#: Minors that both EKS (standard support) and kubeadm offer, and that the playbooks are tested with.
SUPPORTED_MINORS = ("1.35", "1.36")


#: Blocks that nobody comes from: they are for documents (https://www.rfc-editor.org/rfc/rfc5737).
DOCUMENTATION = tuple(IPv4Network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))


class Placeholder(ValueError):
    """A value that stands for one that the owner has to set."""


def choice(*options: str) -> Callable[[str], str]:
    """One of the options."""

    def parse(text: str) -> str:
        if text not in options:
            raise ValueError(f"{text!r} is none of {', '.join(options)}")
        return text

    return _described(parse, _or([f"`{option}`" for option in options]))


def flag(text: str) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def integer(least: int, most: int) -> Callable[[str], int]:
    """A whole number, bounds included."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,6}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return _described(parse, f"A whole number from {least} to {most}")


def days(*options: int) -> Callable[[str], int]:
    """One of the numbers."""

    def parse(text: str) -> int:
        if text not in map(str, options):
            raise ValueError(f"{text!r} is none of {', '.join(map(str, options))}")
        return int(text)

    return _described(parse, f"A number of days: {_or([str(option) for option in options])}")


def control_planes(text: str) -> int:
    """`1` or `3`."""
    if re.fullmatch(r"\d*[02468]", text):
        raise ValueError(f"{text} is even: etcd needs a majority, and one machine less gives the same; choose 1 or 3")
    if text not in ("1", "3"):
        raise ValueError(f"{text!r} is neither 1 nor 3")
    return int(text)


def kubernetes_version(text: str) -> str:
    """An exact release: major, minor and patch version."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise ValueError(f"{text!r} is not an exact release such as 1.36.3")
    return text


def minor(version: str) -> str:
    """ "1.36" of "1.36.3" or "1.36.3-20260901"."""
    return ".".join(version.split(".")[:2])


def node_release(text: str) -> str:
    """A release of the EKS node image."""
    if not re.fullmatch(r"\d+\.\d+\.\d+-\d{8}", text):
        raise ValueError(f"{text!r} is not a release of the EKS node image such as 1.36.3-20260901")
    return text


def network(largest: int, smallest: int) -> Callable[[str], IPv4Network]:
    """An IPv4 block whose prefix length is from `largest` to `smallest`."""

    def parse(text: str) -> IPv4Network:
        block = _block(text)
        if block.prefixlen > smallest:
            raise ValueError(f"{text} is too small: /{smallest} or larger is needed")
        if block.prefixlen < largest:
            raise ValueError(f"{text} is too large: /{largest} or smaller is needed")
        return block

    return _described(parse, f"An IPv4 block from /{largest} to /{smallest}")


def blocks(text: str) -> tuple[str, ...]:
    """A list of IPv4 blocks; it may be empty, or name the whole Internet."""
    found = tuple(dict.fromkeys(_block(item) for item in _strings(text, '["10.0.0.0/8"]')))
    for block in found:
        if any(block.subnet_of(documentation) for documentation in DOCUMENTATION):
            raise Placeholder(f"{block} is a block for documents, from which nobody comes")
    return tuple(str(block) for block in found)


def sources(text: str) -> tuple[str, ...]:
    """A list of IPv4 blocks, none larger than /8."""
    found = blocks(text)
    if not found:
        raise ValueError("empty: at least one block is needed")
    for block in found:
        if IPv4Network(block).prefixlen < 8:
            raise ValueError(f"{block} opens it to the Internet; name the blocks you come from (/8 or smaller)")
    return found


def services(text: str) -> tuple[str, ...]:
    """A list of AWS services, as the names of their VPC endpoints end."""
    names = _strings(text, '["ecr.api", "ecr.dkr", "sts"]')
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) or name.startswith("com."):
            raise ValueError(f"{name!r} is no service such as ecr.api (what follows the region in its endpoint's name)")
        if name == "s3":
            raise ValueError("s3 has a gateway endpoint always, and needs no other")
    return tuple(dict.fromkeys(names))


def principals(text: str) -> tuple[str, ...]:
    """A list of ARNs of IAM roles and users."""
    arns = _strings(text, '["arn:aws:iam::123456789012:role/platform"]')
    for arn in arns:
        if not re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/.+", arn):
            session = re.fullmatch(r"(arn:[a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/.+", arn)
            role = "{}:iam::{}:role/{}".format(*session.groups()) if session else ""
            instead = f"; name the session's role, {role}" if role else ""
            raise ValueError(f"{arn!r} is not the ARN of an IAM role or user{instead}")
    return tuple(dict.fromkeys(arns))


def certificate(text: str) -> str:
    """The ARN of a certificate in Certificate Manager."""
    if not re.fullmatch(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/.+", text):
        raise ValueError(f"{text!r} is not the ARN of a certificate in Certificate Manager")
    return text


def host_names(text: str) -> tuple[str, ...]:
    """A list of DNS names in lower case, without wildcards."""
    names = _strings(text, '["app.example.test"]')
    label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    for name in names:
        if not re.fullmatch(rf"{label}(\.{label})+", name) or len(name) > 253:
            raise ValueError(f"{name!r} is no host name such as app.example.test")
    return tuple(dict.fromkeys(names))


def chart_source(text: str) -> ChartSource:
    """An object with `chart`, and with `repository` and `version` where the chart needs them."""
    value = _json(text, '{"chart": "./charts/controller"}')
    parts = {"chart", "repository", "version"}
    if not isinstance(value, dict) or not {"chart"} <= set(value) <= parts:
        raise ValueError("must have chart, may have repository and version, nothing else")
    if not all(isinstance(item, str) and item for item in value.values()):
        raise ValueError("its parts must be texts")
    return ChartSource(value["chart"], value.get("repository"), value.get("version"))


def instance_type(text: str) -> str:
    """An EC2 instance type with x86-64 processors."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", text):
        raise ValueError(f"{text!r} is not an instance type such as t3.medium")
    return text


def image(text: str) -> str:
    """A container image with a release as its tag, not `latest`."""
    name = text.rpartition(":")[0]
    if name != name.lower():
        raise ValueError(f"{text!r} has capital letters before its tag: write it in lower case, ACCOUNT as your number")
    if not re.fullmatch(r"[a-z0-9][^\s@]*:[\w][\w.-]*", text) or text.endswith(":latest"):
        raise ValueError(f"{text!r} names no release: use repository:tag, and not latest")
    return text


def image_names(text: str) -> tuple[str, ...]:
    """A list of image names: lower case, without registry and tag."""
    names = _strings(text, '["sample-app"]')
    for name in names:
        if not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", name) or len(name) > 100:
            raise ValueError(f"{name!r} is no image's name such as sample-app (lower case, no tag, no registry)")
    return tuple(dict.fromkeys(names))


def machine_image(text: str) -> MachineImage:
    """An object with `owner` and `name`."""
    value = _json(text, '{"owner": "136693071363", "name": "debian-13-amd64-*"}')
    if not isinstance(value, dict) or set(value) != {"owner", "name"}:
        raise ValueError("must have owner and name, nothing else")
    return MachineImage(owner=str(value["owner"]), name=str(value["name"]))


def add_on_versions(text: str) -> dict[str, str]:
    """An object: add-on to version."""
    example = '{"coredns": "v1.14.2-eksbuild.4"}'
    value = _json(text, example)
    if not isinstance(value, dict):
        raise ValueError(f"is not an object such as {example}")
    for name, version in value.items():
        if name not in add_on.NAMES:
            raise ValueError(f"{name!r} is none of {', '.join(add_on.NAMES)}")
        if not re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", str(version)):
            raise ValueError(f"{name}: {version!r} is no version such as v1.14.2-eksbuild.4")
    return value


def environment(text: str) -> dict[str, str]:
    """An object: variable to value."""
    value = _json(text, '{"AWS_ENDPOINT_URL": "https://vpce.example.com"}')
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError("is not an object of environment variables")
    return value


def variables(text: str) -> dict[str, Any]:
    """An object: Ansible variable to value. The roles check each value."""
    value = _json(text, '{"kubelet_cgroup_driver": "systemd"}')
    if not isinstance(value, dict):
        raise ValueError("is not an object of Ansible variables")
    return value


def chart_values(text: str) -> dict[str, Any]:
    """An object of Helm values. The chart checks each value."""
    value = _json(text, '{"hostNetwork": true}')
    if not isinstance(value, dict):
        raise ValueError("is not an object of a chart's values")
    if not isinstance(value.get("env", {}), dict):
        raise ValueError("env is not an object of environment variables")
    return value


def tags(found: Mapping[str, str]) -> list[str]:
    """What is wrong with the stack's own tags, one line each: controllers take them as text, key=value,key=value.

    Characters that all services take, https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    """
    lines = []
    for key, value in found.items():
        if not re.fullmatch(r"[\w .:/@+-]{1,128}", key):
            lines.append(f"{key!r}: a key has letters, digits, spaces and . : / @ + _ - only, at most 128")
        if not re.fullmatch(r"[\w .:/@+=-]{0,256}", str(value)):
            lines.append(f"{key}: {value!r}: a value has letters, digits, spaces and . : / @ + = _ - only, at most 256")
    return lines


def _described(parse: Callable[[str], Any], text: str) -> Callable[[str], Any]:
    """Returns the function with the docstring that docs/config.md shows as the type of a key."""
    parse.__doc__ = f"{text}."
    return parse


def _or(words: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _block(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IPv4 block: {str(error).split(': ')[0]}") from None


def _strings(text: str, example: str) -> list[str]:
    value = _json(text, example)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"is not a list such as {example}")
    return value


def _json(text: str, example: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise ValueError(f"{text!r} is not JSON such as {example}") from None

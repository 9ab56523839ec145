"""The component `helm.sh/v4:Chart`: what the real helm renders of a chart, as child resources.

As the official plugin, it renders only, and makes no Helm release: hooks are left out, values decide everything,
`lookup` finds nothing.
"""

import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pulumi.provider.experimental.provider import ConstructRequest, ConstructResponse, Provider

from lab import toolchain
from lab.errors import Failed
from lab.plugins.kubernetes.client import Object
from lab.plugins.kubernetes.group import constructed, plain, unknown
from lab.plugins.kubernetes.manifest import decode, placed
from lab.plugins.provider import Invalid

_TAKEN = frozenset({"chart", "dependencyUpdate", "devel", "name", "namespace", "plainHttp", "repositoryOpts"})
_TAKEN |= {"resourcePrefix", "skipAwait", "skipCrds", "values", "version"}


class Charts(Provider):
    """The construct call of a chart."""

    async def construct(self, request: ConstructRequest) -> ConstructResponse:
        """Raises Invalid for inputs, Failed with helm's reason."""
        inputs = {name: plain(value) for name, value in request.inputs.items()}
        if wrong := list(problems(inputs)):
            raise Invalid(wrong)
        prefix = inputs.get("resourcePrefix")
        return await constructed(
            request,
            None if unknown(inputs) else rendered(request.name, inputs),
            prefix=request.name if prefix is None else str(prefix),
            skip_await=bool(inputs.get("skipAwait")),
            secret=any(value.contains_secret() for value in request.inputs.values()),
        )


def rendered(resource: str, inputs: Mapping[str, Any]) -> list[Object]:
    """The chart's objects, definitions of its `crds` folder first. The release is named `name`, else as the resource.

    Values go in through a pipe: they may be secret. Raises Failed.
    """
    namespace = str(inputs.get("namespace") or "default")
    done = subprocess.run(
        [str(toolchain.tool("helm")), *arguments(resource, inputs, namespace)],
        input=yaml.safe_dump(inputs.get("values") or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()).removeprefix("Error: ") or "helm gave no reason"
        raise Failed(f"chart {inputs['chart']}: {reason}")
    return [placed(obj, namespace) for obj in decode(done.stdout, f"chart {inputs['chart']}")]


def arguments(resource: str, inputs: Mapping[str, Any], namespace: str) -> list[str]:
    """What helm is asked for."""
    argv = ["template", str(inputs.get("name") or resource), str(inputs["chart"]), "--namespace", namespace]
    argv += ["--no-hooks", "--skip-tests", "--values", "-"]
    argv += [] if inputs.get("skipCrds") else ["--include-crds"]
    options = {**(inputs.get("repositoryOpts") or {}), **inputs}
    for name, option in (("version", "--version"), ("repo", "--repo")):
        argv += [option, str(options[name])] if options.get(name) else []
    for name, option in (
        ("dependencyUpdate", "--dependency-update"),
        ("devel", "--devel"),
        ("plainHttp", "--plain-http"),
    ):
        argv += [option] if inputs.get(name) else []
    return argv


def problems(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(input, what is wrong with it)."""
    alien = "is no input that the lab's kubernetes plugin knows"
    repository = inputs.get("repositoryOpts")
    yield from ((name, alien) for name in inputs if name not in _TAKEN)
    yield from ((f"repositoryOpts.{name}", alien) for name in (repository or {}) if name != "repo")
    if not inputs.get("chart"):
        yield "chart", "is missing"

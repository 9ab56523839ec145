"""The components `yaml/v2:ConfigGroup` and `yaml/v2:ConfigFile`: a manifest's objects as child resources."""

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pulumi.provider.experimental.provider import ConstructRequest, ConstructResponse, Provider

from lab.errors import UsageError
from lab.plugins.kubernetes.client import Object
from lab.plugins.kubernetes.group import constructed, data, unknown
from lab.plugins.kubernetes.manifest import decode, flattened, placed

_TEXTS = ("yaml", "files", "file")


class Manifests(Provider):
    """The construct call on its own: all that the SDK's servicer needs of a provider."""

    async def construct(self, request: ConstructRequest) -> ConstructResponse:
        """Raises UsageError."""
        inputs = {name: data(value) for name, value in request.inputs.items()}
        prefix = inputs.get("resourcePrefix")
        later = any(unknown(inputs.get(name)) for name in _TEXTS)
        return await constructed(
            request,
            None if later else list(_objects(inputs, request.resource_type)),
            prefix=request.name if prefix is None else str(prefix),
            skip_await=bool(inputs.get("skipAwait")),
            secret=any(value.contains_secret() for name, value in request.inputs.items() if name in _TEXTS),
        )


def _objects(inputs: dict[str, Any], kind: str) -> Iterator[Object]:
    for obj in inputs.get("objs") or []:
        yield from (placed(each) for each in flattened(obj, f"{kind}: objs"))
    patterns = [inputs["file"]] if "file" in inputs else inputs.get("files") or []
    for pattern in patterns:
        if "://" in pattern:
            raise UsageError(f"{pattern}: the lab's kubernetes plugin reads files only; download it first")
        paths = sorted(glob.glob(pattern)) if set(pattern) & set("*?[") and "file" not in inputs else [pattern]
        for path in paths:
            if not Path(path).is_file():
                raise UsageError(f"{kind}: no such file {path}")
            yield from (placed(obj) for obj in decode(Path(path).read_text(), path))
    if inputs.get("yaml"):
        yield from (placed(obj) for obj in decode(inputs["yaml"], f"{kind}: yaml"))

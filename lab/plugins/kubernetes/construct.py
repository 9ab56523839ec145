"""`python -m lab.plugins.kubernetes.construct ENGINE`: answers one construct call, of a component with children."""

import asyncio
import sys

from pulumi.provider.experimental.provider import Provider
from pulumi.provider.experimental.server import ProviderServicer

from lab.errors import UsageError
from lab.plugins.kubernetes.chart import Charts
from lab.plugins.kubernetes.yaml import Manifests
from lab.plugins.protocol import provider_pb2

#: Component type -> what answers its construct call.
COMPONENTS: dict[str, type[Provider]] = {
    "kubernetes:helm.sh/v4:Chart": Charts,
    "kubernetes:yaml/v2:ConfigFile": Manifests,
    "kubernetes:yaml/v2:ConfigGroup": Manifests,
}


def main() -> None:
    """Answers the construct call on standard input, on standard output; a failure is the last line of errors."""
    request = provider_pb2.ConstructRequest.FromString(sys.stdin.buffer.read())
    answer, sys.stdout = sys.stdout.buffer, sys.stderr
    try:
        if request.type not in COMPONENTS:
            raise UsageError(f"{request.type}: the lab's kubernetes plugin does not have it")
        servicer = ProviderServicer([], "", COMPONENTS[request.type](), sys.argv[-1])
        response = asyncio.run(servicer._construct(request, None))
    except Exception as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
    answer.write(response.SerializeToString())


if __name__ == "__main__":
    main()

"""The kubeconfig of a cluster, and when its API server answers."""

import asyncio
import json
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64decode
from typing import Any

READY_TIMEOUT = 300.0  # seconds from ACTIVE to an API server that answers


def kubeconfig(name: str, arn: str, endpoint: str, authority: str) -> dict[str, Any]:
    """Reaches the cluster with a token from `aws eks get-token`, in the region that the cluster's ARN names."""
    arguments = ["--region", arn.split(":")[3], "eks", "get-token", "--cluster-name", name, "--output", "json"]
    execute = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": arguments}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "kubernetes", "cluster": {"server": endpoint, "certificate-authority-data": authority}},
        ],
        "contexts": [{"name": "aws", "context": {"cluster": "kubernetes", "user": "aws"}}],
        "current-context": "aws",
        "users": [{"name": "aws", "user": {"exec": execute}}],
    }


def text(config: dict[str, Any]) -> str:
    return json.dumps(config)


async def answering(endpoint: str, authority: str) -> str:
    """`endpoint`, once its /healthz answers ok. Raises TimeoutError with the last answer."""
    return await asyncio.to_thread(wait_for, endpoint, authority, READY_TIMEOUT)


def wait_for(endpoint: str, authority: str, timeout: float) -> str:
    """`endpoint`, once its /healthz answers ok. Raises TimeoutError with the last answer after `timeout` seconds."""
    context = ssl.create_default_context(cadata=b64decode(authority).decode())
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    deadline, pause, last = time.monotonic() + timeout, 0.2, "no answer"
    while time.monotonic() < deadline:
        try:
            with opener.open(f"{endpoint}/healthz", timeout=5) as answer:
                last = answer.read(200).decode(errors="replace")
                if last.strip() == "ok":
                    return endpoint
        except urllib.error.HTTPError as error:
            last = f"HTTP {error.code}"
            if error.code in (401, 403):  # it answers, but not to strangers
                return endpoint
        except OSError as error:
            last = str(getattr(error, "reason", error))
        time.sleep(pause)
        pause = min(pause * 1.5, 3)
    raise TimeoutError(f"{endpoint}/healthz did not answer ok within {timeout:g} s: {last}")

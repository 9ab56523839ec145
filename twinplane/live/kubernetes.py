"""A client of one cluster's Kubernetes API."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from http import HTTPStatus
from pathlib import Path

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from twinplane.errors import UsageError
from twinplane.live.aws_call import making_clients
from twinplane.live.unanswered import Unanswered, first_line
from twinplane.secret_tmpdir import secret_tmpdir

#: Seconds. A live API server answers a list in a fraction of one.
TIMEOUT = 10.0
#: Status of an API that does not let us in.
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@cache
def _memory() -> Path:
    """A folder in memory until the process ends: the client wants certificates and keys as files."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(secret_tmpdir("kubernetes"))


def kubernetes_client(kubeconfig: str, environment: Mapping[str, str]) -> ApiClient:
    """A client of one cluster. `environment` is what the kubeconfig's credential command (`aws eks get-token`) needs.

    Raises UsageError for a kubeconfig that cannot be read.
    """
    settings = yaml.safe_load(kubeconfig)
    needed = {name: value for name, value in environment.items() if name == "PATH" or name.startswith("AWS_")}
    for user in settings.get("users", []):
        if command := user.get("user", {}).get("exec"):
            given = {each["name"]: each["value"] for each in command.get("env") or []}
            command["env"] = [{"name": name, "value": value} for name, value in {**needed, **given}.items()]
    # Not Configuration(): that copies a shared default, and the copies share their tokens.
    own: Configuration = type.__call__(Configuration)
    own.retries = False  # an answer in time, or none
    try:
        with making_clients:
            client: ApiClient = config.new_client_from_config_dict(  # type: ignore[no-untyped-call]
                settings, persist_config=False, temp_file_path=str(_memory()), client_configuration=own
            )
    except ConfigException as error:
        raise UsageError(f"kubeconfig: {error}") from None
    if any("exec" in each.get("user", {}) for each in settings.get("users", [])) and not own.api_key:
        raise UsageError("kubeconfig: its credential command gave no token; try `aws sts get-caller-identity`")
    return client


def get(client: ApiClient, path: str, *, text: bool = False, timeout: float = TIMEOUT) -> bytes:
    """The body that the API server sends, unread: plain JSON costs a fortieth of the client's typed objects.

    Raises Unanswered when the server is not reached, and for a status that is not 2xx unless `text`; for one of REFUSED
    always: it tells of us, not of what was asked for.
    """
    headers = {"Accept": "application/json"}
    client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
    try:
        url = f"{client.configuration.host}{path}"
        answer = client.rest_client.request("GET", url, headers=headers, _request_timeout=(timeout, timeout))  # type: ignore[no-untyped-call]
        body = bytes(answer.read())
    except ApiException as error:  # the client's name for what went wrong with TLS; its text is of two lines
        raise Unanswered(first_line(Exception(error.reason))) from None
    except (HTTPError, OSError) as error:
        raise Unanswered(first_line(error)) from None
    if answer.status in REFUSED or (answer.status >= HTTPStatus.BAD_REQUEST and not (text and body)):
        raise Unanswered(f"{answer.status} {answer.reason}")
    return body

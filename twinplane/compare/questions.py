"""The kinds of questions that compare asks, and who answers them."""

from __future__ import annotations

import atexit
import base64
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from stacks.outputs import StackOutputs
from twinplane import aws_call, tunnel
from twinplane.aws_call import making_clients
from twinplane.errors import Failed, UsageError
from twinplane.private_folder import private_folder
from twinplane.screen import Tell

#: Seconds. A live API server answers a list in a fraction of one; a filtered port never answers.
TIMEOUT = 10.0
CONNECT_TIMEOUT = 2.0


#: Status of an API that does not let us in.
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


#: The question got no answer: the reason, in one line.
Unanswered = aws_call.Unanswered


@dataclass(frozen=True)
class Get:
    """An HTTP GET of the Kubernetes API. `text`: the answer is text, whatever its status (health endpoints)."""

    path: str
    text: bool = False

    def __str__(self) -> str:
        return f"GET {self.path}"


@dataclass(frozen=True)
class Call:
    """An AWS API call in boto3's names, e.g. Call("eks", "describe_cluster", {"name": "x"}). All pages are read."""

    service: str
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.service} {self.operation} {json.dumps(self.parameters, sort_keys=True)}"


@dataclass(frozen=True)
class Connect:
    """A TCP connection. The answer is what the server says first, "" when it waits for the client."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"TCP connect {self.host}:{self.port}"


@dataclass(frozen=True)
class Tunnel:
    """The same with an instance's SSH server, through the EC2 Instance Connect Endpoint of a region."""

    instance: str
    region: str

    def __str__(self) -> str:
        return f"ec2-instance-connect open-tunnel {self.instance}"


@dataclass(frozen=True)
class Login:
    """Ansible's `facts` playbook over SSH, on every machine that the stack exports."""

    def __str__(self) -> str:
        return "ansible-playbook facts.yml"


@dataclass(frozen=True)
class Handshake:
    """A TLS handshake. The answer is the certificate that the server shows, PEM, whoever signed it."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"TLS handshake {self.host}:{self.port}"


@dataclass(frozen=True)
class Kubeconfig:
    """The certificates, and no secret, of the kubeconfig that the stack exports: `authority` and `client`, PEM."""

    def __str__(self) -> str:
        return "certificates of the stack's output kubeconfig"


Question = Get | Call | Connect | Tunnel | Login | Handshake | Kubeconfig


@cache
def _memory() -> Path:
    """A private folder in memory until the process ends: the client wants certificates and keys as files."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(private_folder("kubernetes"))


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
        raise Unanswered(_line(Exception(error.reason))) from None
    except (HTTPError, OSError) as error:
        raise Unanswered(_line(error)) from None
    if answer.status in REFUSED or (answer.status >= HTTPStatus.BAD_REQUEST and not (text and body)):
        raise Unanswered(f"{answer.status} {answer.reason}")
    return body


@dataclass
class Access:
    """Everything that can be asked about one stack."""

    outputs: StackOutputs
    client: ApiClient
    environment: Mapping[str, str]
    tell: Tell

    def answer(self, question: Question) -> Any:
        """The answer as JSON data. Raises Unanswered."""
        ways: dict[type[Question], Callable[[Any], Any]] = {
            Get: self._get,
            Call: self._call,
            Connect: self._connect,
            Tunnel: self._tunnel,
            Login: self._login,
            Handshake: self._handshake,
            Kubeconfig: self._kubeconfig,
        }
        return ways[type(question)](question)

    def _get(self, question: Get) -> Any:
        body = get(self.client, question.path, text=question.text)
        return body.decode() if question.text else json.loads(body)

    def _call(self, question: Call) -> Any:
        return aws_call.call(
            self.environment, self.outputs.region, question.service, question.operation, **question.parameters
        )

    def _connect(self, question: Connect) -> str:
        try:
            with socket.create_connection((question.host, question.port), CONNECT_TIMEOUT) as connection:
                try:
                    return connection.recv(80).decode(errors="replace").strip()
                except TimeoutError:
                    return ""
        except OSError as error:
            raise Unanswered(error.strerror or str(error) or type(error).__name__) from None

    def _tunnel(self, question: Tunnel) -> str:
        try:
            return tunnel.greeting(question.instance, question.region, self.environment)
        except (OSError, UsageError) as error:
            raise Unanswered(_line(error)) from None

    def _login(self, _: Login) -> Any:
        if not self.outputs.machines:
            raise Unanswered("the stack exports no machine, no user and no key to log in with")
        from twinplane import ansible  # loads ansible-runner: only where there is somewhere to log in

        try:
            result = ansible.run("facts", login(self.outputs), self.tell, environment=self.environment)
        except (UsageError, Failed) as error:
            raise Unanswered(str(error)) from None
        return {"facts": result.facts or {}, "failures": result.failures}

    def _handshake(self, question: Handshake) -> str:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # an expired one is to be seen, too
        try:
            with (
                socket.create_connection((question.host, question.port), CONNECT_TIMEOUT) as connection,
                context.wrap_socket(connection, server_hostname=question.host) as secured,
            ):
                return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")
        except OSError as error:
            raise Unanswered(error.strerror or _line(error)) from None

    def _kubeconfig(self, _: Kubeconfig) -> dict[str, str]:
        settings = yaml.safe_load(self.outputs.kubeconfig)
        clusters = [each.get("cluster", {}).get("certificate-authority-data") for each in settings.get("clusters", [])]
        users = [each.get("user", {}).get("client-certificate-data") for each in settings.get("users", [])]
        found = {"authority": next(iter(clusters), None), "client": next(iter(users), None)}
        return {name: base64.b64decode(data).decode() for name, data in found.items() if data}


def login(outputs: StackOutputs) -> dict[str, Any]:
    """The request to twinplane.ansible for all of a stack's machines. It holds the private key: never print it."""
    return {
        "machines": [machine.export() for machine in outputs.machines],
        "sshUser": outputs.ssh_user,
        "sshPrivateKey": outputs.ssh_private_key,
        "variables": {},
    }


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

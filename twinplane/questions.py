"""The questions that compare and the day-2 verbs ask about a stack, and who answers them."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from kubernetes.client import ApiClient

from twinplane.console import Tell
from twinplane.errors import Failed, UsageError
from twinplane.live import tunnel
from twinplane.live.aws_call import aws_session, making_clients
from twinplane.live.kubernetes import TIMEOUT, get
from twinplane.live.unanswered import Unanswered, first_line
from twinplane.outputs import StackOutputs

#: Seconds. A filtered port never answers.
CONNECT_TIMEOUT = 2.0


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


@dataclass
class Access:
    """Everything that can be asked about one stack."""

    outputs: StackOutputs
    client: ApiClient
    environment: Mapping[str, str]
    tell: Tell

    @cached_property
    def aws(self) -> boto3.Session:
        """The caller's own credentials, from the stack's environment."""
        return aws_session(self.environment, self.outputs.region)

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
        settings = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
        endpoint = self.environment.get("AWS_ENDPOINT_URL")
        try:
            with making_clients:
                # A stub per service: the name is data here.
                client: Any = self.aws.client(question.service, config=settings, endpoint_url=endpoint)  # type: ignore[call-overload]
            if not client.can_paginate(question.operation):
                return getattr(client, question.operation)(**question.parameters)
            pages = client.get_paginator(question.operation).paginate(**question.parameters)
            return pages.build_full_result()
        except ClientError as error:
            raise Unanswered(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}") from None
        except BotoCoreError as error:
            raise Unanswered(first_line(error)) from None

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
            raise Unanswered(first_line(error)) from None

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
            raise Unanswered(error.strerror or first_line(error)) from None

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

"""The instance metadata service of the lab's machines, version 2, on the bridge.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html

Who asks is told by the address it asks from. A pod asks from its own, which is no instance's: it learns nothing, as
behind EC2's hop limit of one. A control plane of EKS, which is no instance either, gets its role's credentials here.
Processes in the network of a machine find it by AWS_EC2_METADATA_SERVICE_ENDPOINT.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from lab import constants
from lab.cloud import api

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

#: Seconds that a session of IMDSv2 may last at most.
LONGEST = 21600
#: Seconds that credentials of a role live, and of that the last ones, in which they are not handed out any more.
LIFE, LAST = 3600, 900

CREDENTIALS = "meta-data/iam/security-credentials"

log = logging.getLogger(__name__)


class Metadata:
    """What an instance learns of itself, by the address it asks from. `others` are the roles of those who are none."""

    def __init__(self, others: Callable[[str], str | None]) -> None:
        self._others = others
        #: Token -> address and the time it ends.
        self._tokens: dict[str, tuple[str, float]] = {}
        self._credentials: dict[tuple[str, str], dict[str, str]] = {}
        self._lock = threading.Lock()

    def token(self, address: str, seconds: int) -> str:
        """Starts a session. Returns its token, good for this address alone. Raises ValueError for a bad length."""
        if not 1 <= seconds <= LONGEST:
            raise ValueError(f"X-aws-ec2-metadata-token-ttl-seconds: {seconds} is not from 1 to {LONGEST}")
        now, made = time.monotonic(), secrets.token_urlsafe(24)
        with self._lock:
            self._tokens = {token: kept for token, kept in self._tokens.items() if kept[1] > now}
            self._tokens[made] = (address, now + seconds)
        return made

    def open(self, address: str, token: str) -> bool:
        """Returns whether the token is of a session of that address which has not ended."""
        owner, end = self._tokens.get(token, ("", 0.0))
        return owner == address and end > time.monotonic()

    def read(self, address: str, path: str) -> str | None:
        """Returns what stands at a path below /latest; None where nothing does."""
        instance = _instance(address)
        if instance is None:
            role = self._others(address)
            return self._credentials_at(path, address, [role]) if role else None
        zone = instance["Placement"]["AvailabilityZone"]
        values = {
            "meta-data/instance-id": instance["InstanceId"],
            "meta-data/instance-type": instance["InstanceType"],
            "meta-data/local-ipv4": address,
            "meta-data/local-hostname": instance["PrivateDnsName"],
            "meta-data/placement/availability-zone": zone,
            "meta-data/placement/region": constants.REGION,
            "dynamic/instance-identity/document": json.dumps(
                {
                    "accountId": constants.ACCOUNT,
                    "availabilityZone": zone,
                    "instanceId": instance["InstanceId"],
                    "instanceType": instance["InstanceType"],
                    "privateIp": address,
                    "region": constants.REGION,
                }
            ),
        }
        profile = instance.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2]
        if path.startswith(CREDENTIALS) and profile:
            roles = api.client("iam").get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
            return self._credentials_at(path, instance["InstanceId"], [role["Arn"] for role in roles])
        return values.get(path)

    def _credentials_at(self, path: str, whose: str, roles: Sequence[str]) -> str | None:
        """Returns the role's name, or below it its credentials."""
        for arn in roles:
            name = arn.rpartition("/")[2]
            if path == CREDENTIALS:
                return name
            if path == f"{CREDENTIALS}/{name}":
                return json.dumps(self._of_role(whose, arn))
        return None

    def _of_role(self, instance: str, role: str) -> dict[str, str]:
        """Returns credentials of the role, the same until they near their end."""
        with self._lock:
            known = self._credentials.get((instance, role))
        now = datetime.now(UTC)
        if known and (datetime.fromisoformat(known["Expiration"]) - now).total_seconds() > LAST:
            return known
        made = api.client("sts").assume_role(RoleArn=role, RoleSessionName=instance, DurationSeconds=LIFE)[
            "Credentials"
        ]
        answer = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "AccessKeyId": made["AccessKeyId"],
            "SecretAccessKey": made["SecretAccessKey"],
            "Token": made["SessionToken"],
            "Expiration": f"{made['Expiration'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        with self._lock:
            self._credentials[instance, role] = answer
        return answer


def _instance(address: str) -> InstanceTypeDef | None:
    found = api.client("ec2").describe_instances(
        Filters=[
            {"Name": "private-ip-address", "Values": [address]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
    )
    return next((each for reservation in found["Reservations"] for each in reservation["Instances"]), None)


def serve(
    others: Callable[[str], str | None],
    pods: Callable[[str, str], tuple[int, str]],
    address: str = str(constants.FABRIC),
    port: int = constants.METADATA_PORT,
) -> ThreadingHTTPServer:
    """Starts the service in a thread. `others`: see Metadata. Returns the running server.

    `pods` answers, with HTTP status and body, a pod's token that came from an address: nodes lead the agent's there.
    """
    metadata = Metadata(others)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits for the receipt of its headers, 40 ms
        timeout = 60  # seconds of silence after which a connection is given up

        def log_message(self, format: str, *args: object) -> None:
            """Silent: clients ask often."""

        def do_PUT(self) -> None:
            try:
                if self.path != "/latest/api/token":
                    raise ValueError(self.path)
                seconds = int(self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", ""))
                self._answer(HTTPStatus.OK, metadata.token(self.client_address[0], seconds), str(seconds))
            except ValueError as error:
                self._answer(HTTPStatus.BAD_REQUEST, str(error))

        def do_GET(self) -> None:
            who = self.client_address[0]
            if self.path == "/v1/credentials":
                self._answer(*pods(who, self.headers.get("Authorization", "")))
                return
            if not metadata.open(who, self.headers.get("X-aws-ec2-metadata-token", "")):
                self._answer(HTTPStatus.UNAUTHORIZED, "a token is needed: PUT /latest/api/token")
                return
            text = metadata.read(who, self.path.removeprefix("/latest/").rstrip("/"))
            self._answer(HTTPStatus.NOT_FOUND if text is None else HTTPStatus.OK, text or "")

        def _answer(self, status: int, text: str, life: str = "") -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            if life:
                self.send_header("X-aws-ec2-metadata-token-ttl-seconds", life)
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
            """A client that ends a connection is worth one line."""
            log.info("metadata of %s: %s", client_address[0], sys.exception())

    server = Server((address, port), Handler)
    threading.Thread(target=server.serve_forever, name="metadata", daemon=True).start()
    return server

"""Who signed a request to the lab's AWS, by moto's users and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import constants
from lab.cloud import api
from lab.cloud.signature import Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The key in a WSGI environment that holds the access key of a request whose signature was verified.
ACCESS_KEY = "twinplane.access_key"


def caller(environ: WSGIEnvironment) -> str:
    """Returns the ARN of the signer of a request, such as `arn:aws:iam::123456789012:user/twinplane`."""
    from moto.sts.models import sts_backends

    with api.lock:
        backend = sts_backends[constants.ACCOUNT]["aws"]
        _, arn, _ = backend.get_caller_identity(str(environ[ACCESS_KEY]), constants.REGION)
    return str(arn)


def secret(access_key: str) -> str:
    """Returns the secret key of a user's or a session's access key. Raises Refused for an unknown one."""
    from moto.iam.models import iam_backends

    with api.lock:
        key = iam_backends[constants.ACCOUNT]["aws"].access_keys.get(access_key)
    if key is None or key.status != "Active":
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    return str(key.secret_access_key)

"""The variables with which any AWS or Pulumi client uses the lab: what `twinplane lab env` prints."""

import os
import secrets
from pathlib import Path

from lab import constants, daemon_control, whole_file
from lab.cloud import api
from lab.errors import UsageError


def passphrase() -> Path:
    """Returns the file that holds the passphrase of the lab stacks' secrets, made when first asked for."""
    path = constants.STATE / "passphrase"
    if not path.exists():
        whole_file.write(path, secrets.token_urlsafe(32))
    return path


def environment() -> dict[str, str]:
    """Returns the variables, to be added to a process's own; PATH starts with the project's tools.

    Raises UsageError when the lab is not up.
    """
    from lab import plugins

    health = daemon_control.health()
    if not (health and health["ready"]):
        raise UsageError("the lab is not running: start it with `twinplane lab up`")
    keys = api.credentials()
    backend = constants.STATE / "pulumi"
    backend.mkdir(exist_ok=True, mode=0o700)
    path = [constants.PROJECT / ".venv" / "bin", constants.CACHE / "bin", plugins.directory()]
    rest = [entry for entry in os.environ.get("PATH", "").split(":") if entry and Path(entry) not in path]
    return {
        "AWS_ENDPOINT_URL": constants.API_URL,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        # Of the user's own account: with the lab's keys it would be refused.
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": constants.REGION,
        "AWS_DEFAULT_REGION": constants.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase()),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", str(constants.RANGE)])),
        "PATH": ":".join([*map(str, path), *rest]),
    }

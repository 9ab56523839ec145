"""A kubeconfig (its text or its path) as a connection: server, TLS, and request headers that stay valid.

Not the `kubernetes` package's loader: that writes client keys to files under /tmp, and importing it costs 0.7 s.
"""

import base64
import json
import os
import shlex
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from lab.errors import UsageError

#: An exec credential is fetched again this long before it expires.
_EARLY = timedelta(seconds=60)
_EXEC_TIMEOUT = 60


class Unreachable(Exception):
    """The cluster cannot be asked: no kubeconfig, no credential, no connection."""


class NoCredential(Unreachable):
    """The credential plugin failed; asking again at once would not help."""


def load(text: str | None) -> dict[str, Any]:
    """The kubeconfig as data. `text` is its contents or a path; None is $KUBECONFIG, then ~/.kube/config.

    Raises UsageError for what is neither, Unreachable if nothing is configured.
    """
    if not text:
        path = Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
        if not path.is_file():
            raise Unreachable(f"no kubeconfig: set the provider's `kubeconfig`, $KUBECONFIG or {path}")
        return _mapping(path.read_text(), str(path))
    if "\n" not in text and ":" not in text:
        path = Path(text).expanduser()
        if not path.is_file():
            raise UsageError(f"kubeconfig: no such file {path}")
        return _mapping(path.read_text(), str(path))
    return _mapping(text, "the provider's kubeconfig")


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        # Kubeconfigs written by programs are JSON: its parser is 50 times faster than YAML's.
        data = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict) or not data.get("clusters"):
        raise UsageError(f"{where} is not a kubeconfig: it has no `clusters`")
    return data


def _named(data: dict[str, Any], plural: str, name: str | None, key: str) -> dict[str, Any]:
    for entry in data.get(plural) or []:
        if entry.get("name") == name:
            return dict(entry.get(key) or {})
    raise UsageError(f"kubeconfig: no {key} named {name!r} under `{plural}`")


def active(data: dict[str, Any], context: str | None = None, cluster: str | None = None) -> dict[str, dict[str, Any]]:
    """The chosen `cluster`, `user` and `context` entries. `context` defaults to current-context, or the only one."""
    contexts = data.get("contexts") or []
    name = context or data.get("current-context") or (contexts[0]["name"] if len(contexts) == 1 else None)
    chosen = _named(data, "contexts", name, "context")
    return {
        "context": chosen,
        "cluster": _named(data, "clusters", cluster or chosen.get("cluster"), "cluster"),
        "user": _named(data, "users", chosen.get("user"), "user") if chosen.get("user") else {},
    }


def _bytes(entry: dict[str, Any], name: str) -> bytes | None:
    if encoded := entry.get(f"{name}-data"):
        return base64.b64decode(encoded)
    return Path(entry[name]).expanduser().read_bytes() if entry.get(name) else None


@dataclass
class Connection:
    """Where the API server is and how to be let in."""

    server: str
    server_name: str | None
    tls: ssl.SSLContext | None
    namespace: str
    _user: dict[str, Any] = field(repr=False)
    _token: str | None = field(default=None, repr=False)
    _expires: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, data: dict[str, Any], context: str | None = None, cluster: str | None = None) -> "Connection":
        """Reads certificates and runs the exec plugin once if there is one."""
        chosen = active(data, context, cluster)
        target, user = chosen["cluster"], chosen["user"]
        if "server" not in target:
            raise UsageError("kubeconfig: the cluster has no `server`")
        connection = cls(
            server=target["server"].rstrip("/"),
            server_name=target.get("tls-server-name"),
            tls=None,
            namespace=chosen["context"].get("namespace") or "default",
            _user=user,
        )
        certificate, key = _bytes(user, "client-certificate"), _bytes(user, "client-key")
        if "exec" in user:
            status = connection._credential()
            certificate = (status.get("clientCertificateData") or "").encode() or certificate
            key = (status.get("clientKeyData") or "").encode() or key
        if connection.server.startswith("https:"):
            connection.tls = _tls(target, certificate, key)
        return connection

    def headers(self, *, renew: bool = False) -> dict[str, str]:
        """The authorization header. An exec token is kept until shortly before it expires, or until `renew`."""
        user = self._user
        if "exec" in user:
            with self._lock:
                if renew or (self._expires and datetime.now(UTC) > self._expires - _EARLY):
                    self._credential()
            return {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if user.get("tokenFile"):
            return {"Authorization": f"Bearer {Path(user['tokenFile']).read_text().strip()}"}
        if user.get("token"):
            return {"Authorization": f"Bearer {user['token']}"}
        if user.get("username"):
            pair = f"{user['username']}:{user.get('password', '')}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        return {}

    def _credential(self) -> dict[str, Any]:
        plugin = self._user["exec"]
        argv = [plugin["command"], *(plugin.get("args") or [])]
        request = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
        environment = {entry["name"]: entry["value"] for entry in plugin.get("env") or []}
        try:
            done = subprocess.run(
                argv,
                env={**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(request), **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_EXEC_TIMEOUT,
                check=False,
            )
            if done.returncode:
                lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
                raise NoCredential(f"credential plugin `{shlex.join(argv)}` failed: {lines[-1]}")
            status: dict[str, Any] = json.loads(done.stdout)["status"]
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoCredential(f"credential plugin `{shlex.join(argv)}`: {error}") from None
        except (ValueError, KeyError):
            raise NoCredential(f"credential plugin `{shlex.join(argv)}` did not print an ExecCredential") from None
        self._token = status.get("token")
        expires = status.get("expirationTimestamp")
        self._expires = datetime.fromisoformat(expires.replace("Z", "+00:00")) if expires else None
        return status


def _tls(cluster: dict[str, Any], certificate: bytes | None, key: bytes | None) -> ssl.SSLContext:
    authority = _bytes(cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    # Kubernetes CAs made by hand often lack the key usage extension that OpenSSL's strict mode wants.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate and key:
        # The ssl module reads files only; an anonymous memory file keeps the key off every disk.
        memory = os.memfd_create("client", os.MFD_CLOEXEC)
        try:
            os.write(memory, certificate + b"\n" + key)
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
    return context

"""Debian packages for hosts that have no way out: apt-cacher-ng on FABRIC, in front of the machine's own mirror.

It serves `/debian` and `/debian-security` and nothing else, so hosts need not know the mirror. The cache stays.
"""

import socket
import subprocess
import time
from pathlib import Path

from lab import supervisor
from lab.constants import APT_PROXY_PORT, CACHE, FABRIC, STATE
from lab.errors import Failed, UsageError

NAME = "apt-proxy"
URL = f"http://{FABRIC}:{APT_PROXY_PORT}"
#: Suite that a mirror must have -> path under which the proxy serves the whole mirror.
SUITES = {"bookworm": "debian", "bookworm-security": "debian-security"}


def up() -> None:
    """Starts the proxy under a supervisor and waits until it answers, 10 s at most. Needs the network. Idempotent.

    Raises UsageError when another program has the port, or the machine has no mirror of Debian 12.
    """
    if supervisor.alive(NAME) and _answers():
        return
    if supervisor.child(NAME) is None and _answers():
        raise UsageError(
            f"port {APT_PROXY_PORT} is taken: `ss -ltnp sport = :{APT_PROXY_PORT}` shows by whom; stop that"
        )
    directory = STATE / NAME
    directory.mkdir(parents=True, exist_ok=True)
    (CACHE / "apt").mkdir(parents=True, exist_ok=True)
    (directory / "acng.conf").write_text(configuration(mirrors(), _upstream(), directory))
    supervisor.start(NAME, ["/usr/sbin/apt-cacher-ng", "-c", str(directory)])
    deadline = time.monotonic() + 10
    while not _answers():
        if time.monotonic() > deadline:
            raise Failed(f"the apt proxy does not answer on {URL}; see {supervisor.log_file(NAME)}")
        time.sleep(0.05)


def down() -> None:
    """Stops the proxy. Idempotent."""
    supervisor.stop(NAME, grace=5)


def mirrors() -> dict[str, str]:
    """The machine's own mirrors: path under the proxy -> URL. Raises UsageError when Debian 12 has none."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Created-By: Packages", "Component: main"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    sites = dict(line.split(maxsplit=1) for line in reversed(listed.splitlines()) if " " in line)
    missing = sorted(SUITES.keys() - sites.keys())
    if missing:
        raise UsageError(f"/etc/apt names no mirror of {', '.join(missing)} (main): add one, then run apt-get update")
    return {path: sites[suite].rstrip("/") for suite, path in SUITES.items()}


def configuration(sites: dict[str, str], upstream: str, directory: Path) -> str:
    """apt-cacher-ng's configuration. `upstream` is the proxy that the machine itself uses, "" for none."""
    settings = {
        "BindAddress": str(FABRIC),
        "Port": str(APT_PROXY_PORT),
        "CacheDir": str(CACHE / "apt"),
        "LogDir": str(directory),
        "SupportDir": "/usr/lib/apt-cacher-ng",
        "ForeGround": "1",
        "ForceManaged": "1",  # Only what is remapped below: not an open proxy.
        "ExThreshold": "30",
        **({"Proxy": upstream} if upstream else {}),
        **{f"Remap-{path}": f"/{path} ; {url}" for path, url in sites.items()},
    }
    return "".join(f"{key}: {value}\n" for key, value in settings.items())


def _upstream() -> str:
    shown = subprocess.run(
        ["apt-config", "--format", "%v", "dump", "Acquire::http::Proxy"], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def _answers() -> bool:
    try:
        with socket.create_connection((str(FABRIC), APT_PROXY_PORT), timeout=1):
            return True
    except OSError:
        return False

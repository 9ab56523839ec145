"""What a machine must be before it becomes a node, in one look. Changes nothing."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: machine
short_description: Whether a machine can be a node, and what it lacks
description: Fails where it is not a known Debian on amd64 with that address. One call where facts would be three.
options:
  address: {description: IPv4 address that the machine must own., required: true, type: str}
  packages: {description: Debian packages that it should have., required: true, type: list, elements: str}
"""
#: Of Debian, that the playbooks are for.
RELEASES = ("12", "13")


def installed() -> set[str]:
    """Returns names of the installed packages."""
    argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[1] for line in shown if line.startswith("installed ")}


def interface(address: str) -> dict[str, Any] | None:
    """Returns what `ip` says of the interface with that address."""
    shown = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout)
    for each in shown:
        if any(known.get("local") == address for known in each["addr_info"]):
            return dict(each)
    return None


def main() -> None:
    """Answers `hostname`, `fqdn`, `mtu` (bytes, of the address's interface) and `missing` packages."""
    options = {
        "address": {"type": "str", "required": True},
        "packages": {"type": "list", "elements": "str", "required": True},
    }
    module = AnsibleModule(options, supports_check_mode=True)
    address = module.params["address"]
    system = platform.freedesktop_os_release()
    known = system["ID"] == "debian" and system.get("VERSION_ID") in RELEASES
    if not known or platform.machine() != "x86_64":
        wanted = f"Debian {' or '.join(RELEASES)} on x86_64"
        module.fail_json(msg=f"this is {system['PRETTY_NAME']} on {platform.machine()}, not {wanted}")
    found = interface(address)
    if found is None:
        module.fail_json(msg=f"this machine does not have the address {address}")
        return
    module.exit_json(
        changed=False,
        hostname=platform.node().split(".")[0],
        fqdn=socket.getfqdn(),
        mtu=found["mtu"],
        missing=sorted(set(module.params["packages"]) - installed()),
    )


if __name__ == "__main__":
    main()

"""Whether dpkg can install: it waits for nobody, and what an interrupted run left half installed is finished."""

from __future__ import annotations

import os
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.debian import holder, unfinished

DOCUMENTATION = """
module: dpkg
short_description: Makes dpkg ready to install
description:
  - Finishes what an interrupted dpkg left half installed. Fails where a person must.
  - Does nothing while another process holds a lock of dpkg or apt. Call it again until it answers C(ready).
options: {}
"""
CONFIGURE = ("dpkg", "--configure", "-a", "--force-confdef", "--force-confold")


def main() -> None:
    """Answers `ready`, `progress` (who holds the lock) and `notes` (what was finished)."""
    module = AnsibleModule({}, supports_check_mode=True)
    if by := holder():
        module.exit_json(changed=False, ready=False, progress=f"dpkg's lock is held by {by}")
    left = unfinished()
    if not left or module.check_mode:
        module.exit_json(changed=bool(left), ready=True, notes=[])
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(CONFIGURE, env=environment, capture_output=True, text=True, check=False)
    if still := unfinished():
        reason = " ".join(done.stderr.split())[-300:] or "it changed nothing"
        advice = "mend them on the machine, e.g. with `apt-get --fix-broken install`"
        module.fail_json(msg=f"half installed: {', '.join(still)}; dpkg --configure -a: {reason}; {advice}")
    note = f"finished what an interrupted dpkg left half installed: {', '.join(left)}"
    module.exit_json(changed=True, ready=True, notes=[note])


if __name__ == "__main__":
    main()

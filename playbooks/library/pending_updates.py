"""Which security updates can be installed on this machine, what keeps others back, and whether a restart is due."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.debian import Unavailable, packages, pending, plan, reboot_reasons, refresh, shortage

DOCUMENTATION = """
module: pending_updates
short_description: Which Debian updates wait on this machine
description: Changes nothing but the package lists. Fails where there is no room for the updates.
options:
  refresh: {type: bool, default: true, description: Whether to fetch the package lists first.}
"""


def main() -> None:
    """Answers `updates`, all; `security`, those to install, as NAME=VERSION; `reboot`, reasons; `notes`, lines."""
    module = AnsibleModule({"refresh": {"type": "bool", "default": True}}, supports_check_mode=True)
    try:
        if module.params["refresh"]:
            refresh()
        updates = pending()
    except Unavailable as error:
        module.fail_json(msg=" ".join(str(error).split()))
    cache = packages()
    taken, kept = plan(cache, [each for each in updates if each["security"]])
    if taken and (lines := shortage(cache)):
        module.fail_json(msg="; ".join(lines))
    notes = [
        f"{each['package']} {'is held' if each['held'] else 'needs a held package'}, stays at {each['installed']}"
        for each in kept
    ]
    security = [f"{each['package']}={each['candidate']}" for each in taken]
    module.exit_json(changed=False, updates=updates, security=security, reboot=reboot_reasons(), notes=notes)


if __name__ == "__main__":
    main()

"""Which Debian updates wait on this machine, those of the security archive apart."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.debian import Unavailable, pending, refresh

DOCUMENTATION = """
module: pending_updates
short_description: Which Debian updates wait on this machine
description: Refreshes the package lists and changes nothing else.
options: {}
"""


def main() -> None:
    """Answers `updates`, all, and `security`, as NAME=VERSION."""
    module = AnsibleModule({}, supports_check_mode=True)
    try:
        refresh()
        updates = pending()
    except Unavailable as error:
        module.fail_json(msg=str(error))
    security = [f"{each['package']}={each['candidate']}" for each in updates if each["security"]]
    module.exit_json(changed=False, updates=updates, security=security)


if __name__ == "__main__":
    main()

"""Has a machine make its own SSH host key: `python -m twinplane.host_key make`.

Who may read a machine's user data has the private half of the host key in them. So that key is good for the first
connection alone: over it, the machine is asked to make another one, of which it tells the public half only.

The request on stdin is one JSON object: `machine` as exported, with the host key of its user data; `sshUser` and
`sshPrivateKey` (OpenSSH). Progress goes to stderr. stdout gets one JSON object: `instanceId`, and `hostKey` as in
known_hosts. Exit code 0; 2 when there is no such key yet.

A machine that has made its key tells it again: sshd has both until the playbook `site` takes away the first. After
that nobody may pin the first one any more, so the answer that Pulumi has of an earlier run for the same instance, in
PULUMI_COMMAND_STDOUT, is given again, and the machine is not asked.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from twinplane.caller import Caller
from twinplane.errors import UsageError
from twinplane.inventory import FORMS, check
from twinplane.live import ssh
from twinplane.secret_tmpdir import secret_tmpdir

#: Seconds that a machine has to boot, and sshd to have its new key.
BOOT, RELOAD = 300.0, 30.0
#: Type of the key in user data -> what the machine makes. Never the same: sshd has one key of a type. Machines had
#: their ed25519 key from user data once.
KINDS = {"ecdsa-sha2-nistp256": "ed25519", "ssh-ed25519": "ecdsa"}
FIELDS = {"machine": dict, "sshUser": str, "sshPrivateKey": str}
#: $1 kind. The key is there whole or not at all, and on the disk before anybody is told.
SCRIPT = """\
set -eu
key=/etc/ssh/ssh_host_$1_key
if ! test -e "$key"; then
    rm -f "$key.new" "$key.new.pub"
    ssh-keygen -q -t "$1" -N "" -C "" -f "$key.new"
    sync "$key.new" "$key.new.pub"
    mv "$key.new.pub" "$key.pub"
    mv "$key.new" "$key"
    sync /etc/ssh
fi
systemctl reload ssh
ssh-keygen -y -f "$key"
"""


def own(
    request: Mapping[str, Any],
    progress: Callable[[str], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Returns what goes to stdout, once the machine is known by its own key. Raises UsageError where it is not."""
    for name, kind in FIELDS.items():
        if not isinstance(request.get(name), kind):
            raise UsageError(f"the request's {name} must be a JSON {'string' if kind is str else 'object'}")
    machine, user = request["machine"], request["sshUser"]
    check([machine])
    before: dict[str, str] = json.loads(environment.get("PULUMI_COMMAND_STDOUT") or "{}")
    if before.get("instanceId") == machine["instanceId"]:
        return before
    where = f"{machine['name']} at {machine['sshAddress']}"
    if (first := machine["hostKey"].split()[0]) not in KINDS:
        raise UsageError(f"{where}: its first host key is of the type {first}, which is none of {', '.join(KINDS)}")
    with (
        secret_tmpdir("host-key") as folder,
        ssh.login([machine], user, request["sshPrivateKey"], folder, environment) as session,
    ):
        if silent := ssh.wait([machine], BOOT, progress, cancelled, session=session, environment=environment):
            raise UsageError("; ".join(silent.values()))
        made = session.run(machine, "sudo", "sh", "-s", KINDS[first], stdin=SCRIPT)
        key = " ".join(made.stdout.split()[:2])
        if made.returncode or not FORMS["hostKey"].fullmatch(key):
            reason = (made.stderr.strip().splitlines() or ["it told none"])[-1]
            raise UsageError(f"{where}: it has not made its SSH host key ({reason}): look at the machine, try again")
        ssh.pin([{**machine, "hostKey": key}], folder)
        end = time.monotonic() + RELOAD
        while reason := session.refusal(machine):
            if time.monotonic() > end or cancelled():
                last = reason.splitlines()[-1]
                raise UsageError(f"{where}: sshd does not take the SSH host key that the machine has made ({last})")
            time.sleep(ssh.EVERY)
    return {"instanceId": machine["instanceId"], "hostKey": key}


def main() -> int:
    """The command. Returns its exit code."""
    caller = Caller()
    try:
        if sys.argv[1:] != ["make"]:
            raise UsageError("usage: python -m twinplane.host_key make < request.json")
        answer = own(caller.request(), caller.say, caller.gone)
    except UsageError as error:
        caller.say(f"error: {error}")
        return 2
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())

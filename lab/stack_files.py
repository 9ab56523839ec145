"""What the lab's stacks leave in their config files, taken back when the lab goes."""

from pathlib import Path

from lab import whole_file
from lab.constants import BASE_RELEASE, PROJECT, UPDATED_RELEASE


def reset(folder: Path = PROJECT / "stacks") -> None:
    """Puts the config files of the `*-lab` stacks back to a lab that was never up; a user's other edits stay.

    `pulumi` writes a salt that fits this lab's passphrase only, `twinplane patch` the release of nodes that are gone.
    """
    for file in folder.glob("Pulumi.*-lab.yaml"):
        old = file.read_text()
        lines = [line for line in old.splitlines(keepends=True) if not line.startswith("encryptionsalt:")]
        new = "".join(lines).replace(f"-{UPDATED_RELEASE}", f"-{BASE_RELEASE}")
        if new != old:
            whole_file.write(file, new, 0o644)

"""The config files of the lab's stacks: made this project's when the lab comes, put back when it goes."""

import re
from pathlib import Path

import yaml

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


def adopt(project: Path = PROJECT) -> None:
    """Names the keys of the `*-lab` stacks after the project, which may be made from ours under a name of its own."""
    name = yaml.safe_load((project / "Pulumi.yaml").read_text())["name"]
    for file in (project / "stacks").glob("Pulumi.*-lab.yaml"):
        old = file.read_text()
        new = re.sub(r"^(  )(?!aws:)[\w.-]+:(?=\w+:)", rf"\g<1>{name}:", old, flags=re.MULTILINE)
        if new != old:
            whole_file.write(file, new, 0o644)

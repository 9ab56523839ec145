"""What a shell offers after TAB, once `twinplane --install-completion` ran."""

import re

import pytest
from typer.testing import CliRunner

from twinplane import cli, command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("des", ["destroy"]),
        ("destroy self", ["self-managed", "self-managed-lab"]),
        ("compare managed-l", ["managed-lab"]),
    ],
)
def test_shells_complete_verbs_and_stacks(shell: str, typed: str, offered: list[str]) -> None:
    typed = f"twinplane {typed}"
    asked = {
        "_TWINPLANE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "_TYPER_COMPLETE_ARGS": typed,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = CliRunner().invoke(cli.app, prog_name="twinplane", env=asked)
    words = re.findall(r"[a-z-]+", done.stdout.replace("_arguments '*: :", ""))
    assert [word for word in words if word in (*command.names(), "destroy", "doctor")] == offered

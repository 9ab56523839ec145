"""Rendered text, compared with the file that holds what it was. `TWINPLANE_GOLDEN=write pytest` writes anew."""

import os

from tests import GOLDEN


def check(name: str, text: str) -> None:
    """Fails where the text is not what tests/golden/<name> holds."""
    file = GOLDEN / name
    if os.environ.get("TWINPLANE_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text(), f"{name} changed: look at the difference, then TWINPLANE_GOLDEN=write"

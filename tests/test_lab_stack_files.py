"""The lab leaves the stacks' config files as it found them."""

from pathlib import Path

from lab.stack_files import reset

BEFORE = """config:
  twinplane:kind: managed
  twinplane:nodeReleaseVersion: 1.36.3-20260901 # a comment
  twinplane:workers: 5
"""


def test_salt_and_release_go_and_a_users_edit_stays(tmp_path: Path) -> None:
    lab, real = tmp_path / "Pulumi.managed-lab.yaml", tmp_path / "Pulumi.managed.yaml"
    after = BEFORE.replace("20260901", "20261101") + "encryptionsalt: v1:abc=\n"
    lab.write_text(after)
    real.write_text(after)
    reset(tmp_path)
    assert lab.read_text() == BEFORE
    assert real.read_text() == after
    assert sorted(tmp_path.iterdir()) == [lab, real]

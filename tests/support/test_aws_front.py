"""What tests of the lab's AWS leave behind of moto: nothing that another test could meet."""

import sys
from pathlib import Path

import moto.core.utils
import pytest
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX

from lab.cloud import replay
from tests.support import aws_front


def ours() -> set[str]:
    """Returns what in moto's modules and classes is code of the lab, but for its clock."""
    owners = [each for name, each in sys.modules.items() if name.startswith("moto.")]
    owners += [each for owner in owners for each in vars(owner).values() if isinstance(each, type)]
    return {
        f"{owner.__name__}.{name}"
        for owner in owners
        for name, value in list(vars(owner).items())
        if str(getattr(getattr(value, "fget", value), "__module__", "")).startswith("lab.") and name != "utcnow"
    }


def test_moto_is_as_it_was(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, aws_front.fresh(tmp_path, patch):
        assert {"FakeTargetGroup.load_balancer_arns", "Instance.terminate"} <= ours()
    assert ours() == set()
    assert "eice" not in EC2_PREFIX_TO_RESOURCE
    assert "instance-connect-endpoint" not in EC2_RESOURCE_TO_PREFIX


def test_moto_has_one_clock(tmp_path: Path) -> None:
    clocks = []
    for number in range(2):
        with pytest.MonkeyPatch.context() as patch, aws_front.fresh(tmp_path / str(number), patch):
            clocks.append(moto.core.utils.utcnow)
    assert clocks[0] is clocks[1]
    with replay.at(0.0):
        assert clocks[0]().year == 1970

"""Settings of all tests."""

import functools
import gc
import socketserver
from collections.abc import Iterator

import botocore.loaders
import pytest
from hypothesis import HealthCheck, settings

from twinplane.live import tunnel

# No test judges by the clock: a machine that is busy is slow, not wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A server that is told to stop looks whether it was, which it does twice a second unless told otherwise.
socketserver.BaseServer.serve_forever.__defaults__ = (0.01,)

# The models of AWS's services are read once a process, not once a session: EC2's alone take longer than any test.
botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)


@pytest.fixture(scope="module")
def tunnels() -> Iterator[None]:
    """An AWS CLI that opens tunnels, whatever this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tunnel, "program", lambda *_: "aws")
        yield


def pytest_collection_finish() -> None:
    """What was imported stays to the end: the garbage collector took a third of the time to look at it again."""
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)

"""The moment of a request, and whether it is replayed: what moto must know besides the request itself.

moto has one clock a process, so this is a module and no object.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

import moto.core.utils

_utcnow = moto.core.utils.utcnow
_moment: ContextVar[float | None] = ContextVar("moment", default=None)
_replaying: ContextVar[bool] = ContextVar("replaying", default=False)


@contextmanager
def at(moment: float, *, replaying: bool = False) -> Iterator[None]:
    """Within it, moto's clock shows `moment`, in seconds since 1970.

    `replaying`: the request was accepted once. Its hosts cannot be asked yet, and were where they were wanted.
    """
    before = _moment.set(moment), _replaying.set(replaying)
    try:
        yield
    finally:
        _moment.reset(before[0])
        _replaying.reset(before[1])


def replaying() -> bool:
    """Returns whether the request that is answered now was accepted once, and is replayed."""
    return _replaying.get()


def set_clock() -> None:
    """Gives moto's modules, those that are loaded, the clock that shows a request's moment."""
    # moto's only: a look at others would load what they load lazily, such as all of pulumi_aws in a test.
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and getattr(module, "utcnow", None) is _utcnow:
            module.utcnow = _now  # type: ignore[attr-defined]


def _now() -> datetime:
    moment = _moment.get()
    return _utcnow() if moment is None else datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)

"""Who has started this process with a request on stdin: Pulumi as one of its steps, or a person."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

from twinplane.errors import UsageError


class Caller:
    """Gets lines, and may end the process's work: from here on, signals that ask for the end are only noted."""

    def __init__(self) -> None:
        self._stop, self._parent = threading.Event(), os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop.set())

    def request(self) -> dict[str, Any]:
        """Returns the request. Raises UsageError for what is no JSON object."""
        try:
            request = json.load(sys.stdin)
        except ValueError as error:
            raise UsageError(f"the request on stdin is not JSON: {error}") from None
        if not isinstance(request, dict):
            raise UsageError("the request on stdin is not a JSON object")
        return request

    def say(self, line: str) -> None:
        """Prints a line to stderr."""
        try:
            print(line, file=sys.stderr, flush=True)
        except OSError:
            self._stop.set()  # nobody listens any more

    def gone(self) -> bool:
        """Returns whether the work is no longer wanted: the caller has said so, or has ended."""
        return self._stop.is_set() or os.getppid() != self._parent

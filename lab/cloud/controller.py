"""Controller: a loop that makes real what the API says."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod

log = logging.getLogger(__name__)


class Controller(ABC):
    """Looks at what is wanted in a thread of its own, takes the next step, and looks again: at once when it is woken.

    It keeps nothing that a killed daemon would lose: every step starts from what is stored and what is really there.
    """

    #: Seconds between two looks: while something is under way, and otherwise.
    SOON, LATER = 0.5, 5.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.woken = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def step(self) -> bool | None:
        """Looks once. Returns whether there is more to do soon; None when there is nothing left to control."""

    def failed(self, error: Exception) -> bool:
        """Takes in what a step raised. Returns whether to look again soon."""
        log.error("%s", self.name, exc_info=error)
        return False

    def start(self) -> None:
        """Begins. What an earlier daemon started runs on."""
        self._thread.start()

    def wake(self) -> None:
        """Lets it look at once."""
        self.woken.set()

    def stop(self) -> None:
        """Ends the looking and waits for the step that it is in; what it made runs on."""
        self._over.set()
        self.wake()
        self._thread.join()

    @property
    def running(self) -> bool:
        """Whether it looks, or is about to."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._over.is_set():
            self.woken.clear()
            try:
                busy = self.step()
            except Exception as error:
                busy = self.failed(error)
            if busy is None:
                return
            self.woken.wait(self.SOON if busy else self.LATER)

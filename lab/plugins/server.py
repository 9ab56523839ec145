"""How a plugin serves the engine: its port, its end, and what it says to the engine's log."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from lab.plugins.protocol import CHANNEL_OPTIONS, engine_pb2, engine_pb2_grpc


def serve(register: Callable[[grpc.Server], None], end: Callable[[], None], threads: int) -> None:
    """Serves what `register` adds to the server, on a free loopback port: the first line of output tells the engine.

    A call blocks one of `threads`; the engine asks for as many at once as `--parallel` allows. When the engine
    interrupts the plugin, or dies, `end` is called and the process leaves.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers=threads), options=CHANNEL_OPTIONS)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    leave = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave.set())
    threading.Thread(target=engine_gone, args=(leave,), name="engine", daemon=True).start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    leave.wait()
    end()
    server.stop(None)
    sys.stdout.flush()
    os._exit(0)  # threads that wait for a cloud or a command would hold the process


def engine_gone(leave: threading.Event) -> None:
    """Sets `leave` once the engine is dead. The engine holds the other side of standard input and never writes to it,
    so reading it ends when the engine does, killed or not."""
    parent = os.getppid()
    while os.read(0, 4096):
        pass
    while os.getppid() == parent:  # the input can end first; started by hand from /dev/null, it always does
        time.sleep(0.2)
    leave.set()


class Log:
    """The engine's log, where a line appears beside the resource that it is about."""

    def __init__(self, engine: str) -> None:
        self.stub: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine, options=CHANNEL_OPTIONS))

    def __call__(self, urn: str, message: str, severity: str = "INFO", *, ephemeral: bool = False) -> None:
        """Sends one line; `severity` is DEBUG, INFO, WARNING or ERROR, an ephemeral line is shown as status only."""
        request = engine_pb2.LogRequest(
            urn=urn, message=message, severity=engine_pb2.LogSeverity.Value(severity), ephemeral=ephemeral
        )
        self.stub.Log(request)

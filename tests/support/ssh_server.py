"""A server that greets as an SSH server does."""

import socket
import threading


def greet(listening: socket.socket, *greetings: bytes) -> int:
    """Answers one connection with each greeting. Returns its port."""

    def answer() -> None:
        for greeting in greetings:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(greeting)

    threading.Thread(target=answer, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port

"""Serve the review page of one run on this computer."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress

from tagweave.errors import InputError
from tagweave.review.app import build_app
from tagweave.review.desk import Desk
from tagweave.review.guard import Access

ADDRESS = "127.0.0.1"
USUAL_PORT = 8765


def listen(port: int | None) -> socket.socket:
    """Return a socket on this computer's own address; None takes the usual port, or a free one where it is taken.

    Raises:
        InputError: the port that was asked for cannot be had.
    """
    try:
        return _bound(USUAL_PORT if port is None else port)
    except OSError as error:
        if port is None and error.errno == errno.EADDRINUSE:
            return _bound(0)
        raise InputError(
            f"Expected a free port, but {port} cannot be had ({error.strerror}): give another with --port, or none."
        ) from error


def _bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((ADDRESS, port))
        found.listen()  # a browser that is quicker than the server waits
    except OSError:
        found.close()
        raise
    return found


def serve(desk: Desk, listening: socket.socket, announce: Callable[[str], None]) -> None:
    """Answer requests until interrupted; ``announce`` gets each link to open."""
    import uvicorn

    port = listening.getsockname()[1]
    config = uvicorn.Config(
        build_app(desk, Access(port, announce)), log_level="warning", access_log=False, server_header=False,
        proxy_headers=False, ws="none", timeout_graceful_shutdown=2,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # the usual end
        uvicorn.Server(config).run(sockets=[listening])

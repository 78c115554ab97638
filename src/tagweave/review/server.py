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
ANY = ("0.0.0.0", "::")  # listens on every address of the computer
USUAL_PORT = 8765


def listen(port: int | None, address: str = ADDRESS) -> socket.socket:
    """Return a socket on an address of this computer; None takes the usual port, or a free one where it is taken.

    Raises:
        InputError: the address is not this computer's, or the port that was asked for cannot be had.
    """
    try:
        return _bound(address, USUAL_PORT if port is None else port)
    except OSError as error:
        if port is None and error.errno == errno.EADDRINUSE:
            return _bound(address, 0)
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"Expected an address of this computer with --host, but got '{address}' ({error.strerror}): leave it "
                f"out for {ADDRESS}."
            ) from error
        raise InputError(
            f"Expected a free port, but {port} cannot be had ({error.strerror}): give another with --port, or none."
        ) from error


def warning(address: str) -> str | None:
    """Return what a person should know of listening on ``address``; nothing where only this computer can reach it."""
    if _resolve(address, 0)[1][0] in (ADDRESS, "::1"):
        return None
    return (
        f"warning: with --host {address} other computers can reach this page. The link lets its first visitor see the "
        "images and change labels, and nothing is encrypted on the way: use it in a network that you trust."
    )


def _names(address: str) -> tuple[str, ...]:
    """Return the names that browsers may know ``address`` by, the one for the link first."""
    if address == ADDRESS:
        return ADDRESS, "localhost"
    if address not in ANY:
        return address, ADDRESS, "localhost"
    name = socket.gethostname()
    with suppress(OSError):
        found = (str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
        return tuple(dict.fromkeys([name, *found, ADDRESS, "localhost"]))
    return name, ADDRESS, "localhost"


def _resolve(address: str, port: int) -> tuple[int, tuple[str, int]]:
    family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    return family, (str(place[0]), int(place[1]))


def _bound(address: str, port: int) -> socket.socket:
    family, place = _resolve(address, port)
    # With the protocol named, asyncio sends small answers at once; without, each waits 40 ms for an acknowledgement.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(place)
        found.listen()  # a browser that is quicker than the server waits
    except OSError:
        found.close()
        raise
    return found


def serve(desk: Desk, listening: socket.socket, announce: Callable[[str], None], address: str = ADDRESS) -> None:
    """Answer requests until interrupted; ``announce`` gets each link to open, which names ``address``."""
    import uvicorn

    port = listening.getsockname()[1]
    app = build_app(desk, Access(port, announce, _names(address)))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False,
        proxy_headers=False, ws="none", timeout_graceful_shutdown=2,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # the usual end
        uvicorn.Server(config).run(sockets=[listening])

"""Listen, serve, stop without losing what was accepted."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress

import uvicorn

from tagweave.errors import InputError
from tagweave.predict import Classifier
from tagweave.serve.app import build_app
from tagweave.serve.limits import Limits
from tagweave.serve.scorer import Scorer


def run_server(classifier: Classifier, host: str, port: int, limits: Limits, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM: then nothing new is accepted, and what was is answered.

    Raises:
        InputError: the address cannot be listened on.
    """
    listener = _listen(host, port)
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(Scorer(classifier), limits), log_level="warning", access_log=False, server_header=False,
            timeout_graceful_shutdown=max(1, round(limits.stop_seconds)),
        )
    )  # fmt: skip
    address, taken = listener.getsockname()[:2]
    say(f"listening on http://{f'[{address}]' if ':' in address else address}:{taken} (stop with control-C)")
    # uvicorn stops as it should and then raises the signal once more: a stop that was asked for is no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    with closing(listener), suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's delay off, which costs 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"Expected to listen on {host}:{port}, but got: {error}; try another --port, or 0 for a free one."
        ) from error
    return listener

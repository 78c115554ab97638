"""``tagweave serve``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from tagweave.errors import InputError
from tagweave.options import Quiet, RunFolder

NEEDED = ("fastapi", "uvicorn", "multipart", "prometheus_client")


def serve(
    run: RunFolder,
    host: Annotated[str, typer.Option(help="address to listen on; only this machine by default")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port; 0 takes a free one")] = 8000,
    max_images: Annotated[int, typer.Option(help="images of one request")] = 64,
    max_megabytes: Annotated[float, typer.Option(help="of one request")] = 32.0,
    max_megapixels: Annotated[float, typer.Option(help="of one image")] = 50.0,
    max_waiting: Annotated[int, typer.Option(help="images accepted and not yet answered; more get 503")] = 256,
    batch: Annotated[int, typer.Option(help="images scored together")] = 16,
    wait_ms: Annotated[float, typer.Option(help="how long an image waits for others")] = 2.0,
    quiet: Quiet = False,
) -> None:
    """Answer requests for predictions over HTTP until stopped; what was accepted is still answered.

    Example: `tagweave serve runs/photos`
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"Expected {', '.join(missing)} to serve with, but not installed; pip install 'tagweave[serve]'."
        )
    from tagweave.console import Console
    from tagweave.predict import Classifier
    from tagweave.serve.limits import Limits
    from tagweave.serve.server import run_server

    limits = Limits(
        body_bytes=int(max_megabytes * 1e6), images=max_images, pixels=int(max_megapixels * 1e6),
        waiting=max_waiting, batch=batch, wait_seconds=wait_ms / 1000,
    )  # fmt: skip
    run_server(Classifier.load(run / "model"), host, port, limits, Console(quiet).say)

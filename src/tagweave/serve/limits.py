"""What a server accepts, and for how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

from tagweave.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Bound memory and time, whatever clients send.

    Attributes:
        body_bytes: of one request.
        images: of one request.
        pixels: of one image, from its header.
        requests: read and answered at once.
        waiting: images accepted and not yet answered, of all requests.
        batch: images scored together.
        wait_seconds: how long the first image of a batch waits for others.
        body_seconds: for a request to arrive.
        decode_seconds: for one image.
        stop_seconds: for what was accepted to be answered after a stop.

    Raises:
        InputError: one is not above 0, or a full request can never be accepted.
    """

    body_bytes: int = 32_000_000
    images: int = 64
    pixels: int = 50_000_000
    requests: int = 32
    waiting: int = 256
    batch: int = 16
    wait_seconds: float = 0.002
    body_seconds: float = 30.0
    decode_seconds: float = 10.0
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        wrong = [f"{name} {value}" for name, value in vars(self).items() if not value > 0]
        if wrong:
            raise InputError(f"Expected limits above 0, but got {', '.join(wrong)}.")
        if self.images > self.waiting:
            raise InputError(
                f"Expected room for a full request, but got {self.images} images a request and {self.waiting} waiting."
            )

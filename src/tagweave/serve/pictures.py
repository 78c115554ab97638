"""Images out of requests: multipart parts or base64 in JSON, decoded within limits."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from tagweave.data.images import decode
from tagweave.serve.limits import Limits
from tagweave.serve.refusal import Refusal

SHOWN_SIDE = 512  # longer side of the image below an attention overlay


@dataclass(frozen=True)
class Given:
    """Hold one image as sent: its bytes, or why there are none."""

    name: str
    content: bytes
    problem: str | None = None


@dataclass(frozen=True)
class Picture:
    """Hold one decoded image: pixels (S, S, 3) for the encoder, and a small one to look at where it was asked for."""

    pixels: NDArray[np.uint8]
    shown: Image.Image | None


async def read_request(request: Request, limits: Limits) -> list[Given]:
    """Return the images of a request, in their order.

    Raises:
        Refusal: the body is too large, too slow, of another kind, or holds no image or too many.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.body_bytes:
        raise _too_large(limits)
    bounded = Request(request.scope, _bounded(request.receive, limits))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    readers = {"multipart/form-data": _read_form, "application/json": _read_json}
    if kind not in readers:
        raise Refusal(
            415, "unsupported_type", f"Expected multipart/form-data or application/json, but got {kind or 'no type'}."
        )
    given = await readers[kind](bounded, limits)
    if not 1 <= len(given) <= limits.images:
        raise Refusal(400, "number_of_images", f"Expected 1 to {limits.images} images, but got {len(given)}.")
    return given


def read_picture(content: bytes, size: int, max_pixels: int, show: bool = False) -> Picture:
    """Decode one image; its pixels are those of ``encoders.extract.load_pixels``.

    Raises:
        ImageError: it cannot be read, or announces too many pixels.
    """
    image = decode(content, max_pixels, at_least=size)
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), dtype=np.uint8)
    if not show:
        return Picture(pixels, None)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return Picture(pixels, image)


def _bounded(receive: Receive, limits: Limits) -> Receive:
    """Return a ``receive`` that ends a body that grows too large or takes too long."""
    deadline = asyncio.get_running_loop().time() + limits.body_seconds
    received = 0

    async def bounded() -> Message:
        nonlocal received
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError as error:
            raise Refusal(
                408, "too_slow", f"Expected the request within {limits.body_seconds:g} s, but it went on longer."
            ) from error
        received += len(message.get("body", b""))
        if received > limits.body_bytes:
            raise _too_large(limits)
        return message

    return bounded


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, "too_large", f"Expected a body of at most {limits.body_bytes:,} bytes, but got more.")


async def _read_form(request: Request, limits: Limits) -> list[Given]:
    try:
        async with request.form(max_files=limits.images, max_fields=limits.images) as form:
            parts = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
            return [Given(part.filename or "", await part.read()) for part in parts]
    except HTTPException as error:
        raise Refusal(
            400, "bad_form", f"Expected a form with 1 to {limits.images} image files, but got: {error.detail}"
        ) from error
    except ClientDisconnect as error:
        raise Refusal(400, "bad_form", "Expected a whole form, but the client left.") from error


async def _read_json(request: Request, limits: Limits) -> list[Given]:
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError, ClientDisconnect) as error:
        raise Refusal(400, "bad_json", f"Expected JSON, but got: {error or 'half a body'}") from error
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise Refusal(400, "bad_json", 'Expected {"images": [{"name": "a.jpg", "data": "BASE64"}]}.')
    return [_from_base64(number, image) for number, image in enumerate(images)]


def _from_base64(number: int, image: Any) -> Given:
    data = image.get("data") if isinstance(image, dict) else None
    name = str(image.get("name", number)) if isinstance(image, dict) else str(number)
    if not isinstance(data, str):
        return Given(name, b"", 'has no "data" with the file in base64')
    try:
        return Given(name, base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        return Given(name, b"", f"is not base64: {error}")

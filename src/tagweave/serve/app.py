"""The HTTP face: POST /predict, GET /health, GET /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from tagweave import __version__
from tagweave.serve.attention import Form
from tagweave.serve.limits import Limits
from tagweave.serve.pictures import read_request
from tagweave.serve.refusal import Refusal
from tagweave.serve.scorer import Scorer
from tagweave.serve.service import Service

EXAMPLE = {
    "results": [
        {
            "name": "beach.jpg",
            "labels": ["sea", "person"],
            "probabilities": {"boat": 0.04, "person": 0.61, "sea": 0.97},
        },
        {"name": "notes.txt", "error": {"code": "bad_image", "message": "is not an image: expected JPEG, PNG, WEBP"}},
    ]
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {"images": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["data"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "data": {"type": "string", "format": "byte", "description": "the file in base64"},
                                },
                            },
                        }
                    },
                },
                "example": {"images": [{"name": "beach.jpg", "data": "/9j/4AAQSkZJRgABAQAAAQABAAD..."}]},
            },
        },
    }
}


class Problem(BaseModel):
    """Say what went wrong, for a program and for a person."""

    code: str
    message: str


class Refused(BaseModel):
    """Answer a request that was not taken."""

    error: Problem


class Result(BaseModel):
    """Answer one image: labels and probabilities, or an error; attention per stage where it was asked for."""

    name: str
    labels: list[str] | None = None
    probabilities: dict[str, float] | None = None
    attention: list[dict[str, Any]] | None = None
    error: Problem | None = None


class Answer(BaseModel):
    """Answer a request: one result per image, in their order."""

    results: list[Result]


def _refusals() -> dict[int | str, dict[str, Any]]:
    reasons: dict[int, str] = {
        400: "bad form or JSON, or a number of images that is not accepted", 408: "the request took too long to arrive",
        413: "the body is too large", 415: "another content type", 503: "busy; try again",
    }  # fmt: skip
    unread: dict[int | str, Any] = {422: {"model": Answer, "description": "no image could be read; same form as 200"}}
    refused: dict[int | str, Any] = {code: {"model": Refused, "description": text} for code, text in reasons.items()}
    return {**refused, **unread}


def build_app(scorer: Scorer, limits: Limits) -> FastAPI:
    """Return the application around a scorer; the service stands in ``app.state.service``."""
    service = Service(scorer, limits)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(service.batcher.run())
        yield
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
        service.close()

    app = FastAPI(title="tagweave", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(RequestValidationError, _reject)
    app.add_exception_handler(HTTPException, _pass_on)
    app.add_exception_handler(Exception, _fail)
    _add_predict(app, service)
    _add_pages(app, service)
    return app


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post(
        "/predict", response_model=Answer, response_model_exclude_none=True, openapi_extra=BODY,
        responses={200: {"content": {"application/json": {"example": EXAMPLE}}}, **_refusals()},
    )  # fmt: skip
    async def predict(
        request: Request,
        attention: Annotated[
            Form, Query(description="per stage: weights as an array, or a PNG over the image")
        ] = "none",
    ) -> JSONResponse:
        """Score images: parts of a form, or base64 in JSON."""
        began = time.perf_counter()
        status = 500
        try:
            results = await _results(service, request, attention)
            status = 200 if any("error" not in result for result in results) else 422
            return JSONResponse({"results": results}, status)
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            service.gauges.requests.labels(str(status)).inc()
            service.gauges.seconds.observe(time.perf_counter() - began)


async def _results(service: Service, request: Request, attention: Form) -> list[dict[str, Any]]:
    service.enter()
    try:
        return await service.answer(await read_request(request, service.limits), attention)
    finally:
        service.leave()


def _add_pages(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Say that the server works, and what with."""
        classifier = service.scorer.classifier
        return {
            "status": "ok", "tagweave": __version__, "names": list(classifier.names),
            "thresholds": classifier.thresholds.tolist(), "waiting_images": service.waiting,
        }  # fmt: skip

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return counters as Prometheus reads them."""
        return Response(service.gauges.page(), media_type=CONTENT_TYPE_LATEST)


async def _refuse(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    headers = {"Retry-After": "1"} if refusal.status == 503 else None
    return _problem(refusal.status, refusal.code, refusal.message, headers)


async def _reject(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _problem(400, "bad_request", f"{first['loc'][-1]}: {first['msg']}, but got {first['input']!r}.")


async def _pass_on(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, "http", f"{request.method} {request.url.path}: {error.detail}.", error.headers)


async def _fail(request: Request, error: Exception) -> JSONResponse:
    return _problem(500, "failed", "The server failed; its log says why.")


def _problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)

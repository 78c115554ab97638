"""The review page's web application: the desk over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from tagweave.errors import ImageError, InputError
from tagweave.review.desk import Change, Desk
from tagweave.review.guard import Access, Guard

STATIC = Path(__file__).parent / "static"
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MOST_TILES = 400  # of one answer
KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}  # an image's name changes with its content
FRESH = {"Cache-Control": "no-store"}

Name = Annotated[str, Field(max_length=300)]
Token = Annotated[str, Field(pattern="^[A-Za-z0-9-]{8,64}$")]
ImageName = Annotated[str, Field(max_length=40)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    window: Token
    gesture: Token


class _Cells(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Name
    value: Literal["yes", "no", "unsure"]
    images: list[ImageName]
    touched: bool = True


class Decision(_Body):
    """Decisions of one gesture; ``label`` is '' where an image is judged as a whole."""

    queue: Name = ""
    label: Name = ""
    changes: list[_Cells]


class Undo(_Body):
    """Taking back, or doing again; ``label`` is what the answer's progress is about."""

    label: Name = ""


class NewLabel(_Body):
    """A label to add."""

    name: Name


class Renamed(_Body):
    """A label and its new name."""

    key: Name
    name: Name


class Merged(_Body):
    """A label and the one it becomes part of."""

    key: Name
    into: Name


def build_app(desk: Desk, access: Access) -> Guard:
    """Return the guarded ASGI application of a desk."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, title="tagweave review")
    app.add_exception_handler(InputError, _bad_input)
    app.add_exception_handler(ImageError, _no_image)
    _add_page(app)
    _add_views(app, desk)
    _add_images(app, desk)
    _add_changes(app, desk)
    return Guard(app, access)


def _bad_input(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=422, headers=FRESH)


def _no_image(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The image {error}."}, status_code=404, headers=FRESH)


def _add_page(app: FastAPI) -> None:
    """Serve the assets by their names, read once: no request reaches the file system."""
    assets = {path.name: (path.read_bytes(), MEDIA[path.suffix]) for path in STATIC.iterdir() if path.suffix in MEDIA}

    @app.get("/")
    def page() -> Response:
        return Response(assets["index.html"][0], media_type="text/html", headers=FRESH)

    @app.get("/static/{name}")
    def asset(name: str) -> Response:
        if name not in assets:
            return Response("There is no such file.", status_code=404, headers=FRESH)
        content, media = assets[name]
        return Response(content, media_type=media, headers={"Cache-Control": "no-cache"})


def _add_views(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/state")
    def state() -> Response:
        return JSONResponse(desk.state(), headers=FRESH)

    @app.get("/api/pulse")
    def pulse(window: Token, label: Name = "") -> Response:
        return JSONResponse(desk.pulse(window, label), headers=FRESH)

    @app.get("/api/tiles")
    def tiles(
        queue: Name, label: Name = "", snapshot: Name = "", offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_TILES)] = 60,
    ) -> Response:  # fmt: skip
        return JSONResponse(desk.tiles(label, queue, snapshot, offset, limit), headers=FRESH)

    @app.get("/api/image/{name}")
    def image(name: str) -> Response:
        return JSONResponse(desk.image(name), headers=FRESH)

    @app.get("/api/export/{kind}.csv")
    def export(kind: Literal["decisions", "all"]) -> Response:
        disposition = {"Content-Disposition": f'attachment; filename="{kind}.csv"', **FRESH}
        return StreamingResponse(desk.lines(kind), media_type="text/csv; charset=utf-8", headers=disposition)


def _add_images(app: FastAPI, desk: Desk) -> None:
    def picture(size: str) -> Callable[[str], Response]:
        def answer(name: str) -> Response:
            return Response(desk.thumbnails.jpeg(desk.row(name), name, size), media_type="image/jpeg", headers=KEPT)

        return answer

    app.get("/thumb/{name}")(picture("thumb"))
    app.get("/large/{name}")(picture("large"))

    @app.get("/attention/{name}/{stage}")
    def attention(name: str, stage: int) -> Response:
        content = desk.attention.png(desk.manifest.paths[desk.row(name)], stage)
        return Response(content, media_type="image/png", headers=KEPT)


def _add_changes(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/decide")
    def decide(body: Decision) -> dict[str, Any]:
        changes = [Change(c.label, c.value, tuple(c.images), c.touched) for c in body.changes]
        return desk.decide(body.window, body.gesture, body.queue, body.label, changes)

    @app.post("/api/undo")
    def undo(body: Undo) -> dict[str, Any]:
        return desk.undo(body.window, body.gesture, body.label)

    @app.post("/api/redo")
    def redo(body: Undo) -> dict[str, Any]:
        return desk.redo(body.window, body.gesture, body.label)

    @app.post("/api/labels/create")
    def create(body: NewLabel) -> dict[str, Any]:
        return desk.create(body.window, body.gesture, body.name)

    @app.post("/api/labels/rename")
    def rename(body: Renamed) -> dict[str, Any]:
        return desk.rename(body.window, body.gesture, body.key, body.name)

    @app.post("/api/labels/merge")
    def merge(body: Merged) -> dict[str, Any]:
        return desk.merge(body.window, body.gesture, body.key, body.into)

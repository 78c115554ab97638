"""A client that speaks to the application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from serve.fakes import FakeScorer
from tagweave.serve.app import build_app
from tagweave.serve.limits import Limits


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Return a function that runs requests against a fresh application: ask(do, scorer, **limits)."""

    def run(do: Callable[[httpx.AsyncClient], Awaitable[Any]], scorer: Any = None, **limits: Any) -> Any:
        async def session() -> Any:
            app = build_app(scorer or FakeScorer(), Limits(**limits))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://test") as client,
            ):
                return await do(client)

        return asyncio.run(session())

    return run

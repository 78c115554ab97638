"""Random requests that fit the server's own description, and some that do not: never a failure of the server."""

from __future__ import annotations

from typing import Any

import pytest
from hand_made import ORIGIN, PORT, write_run

from tagweave.console import Console
from tagweave.review.app import build_app
from tagweave.review.desk import Desk
from tagweave.review.guard import Access

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
hypothesis = pytest.importorskip("hypothesis")
pytestmark = pytest.mark.slow
EXAMPLES = 60  # of each operation
UNFITTING = schemathesis.GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The server's description bound to a running desk, and the headers of a browser that opened the link."""
    desk = Desk(write_run(tmp_path_factory.mktemp("contract")), Console(quiet=True))
    access = Access(PORT, lambda link: None)
    guard = build_app(desk, access)
    schema = schemathesis.openapi.from_dict(guard.app.openapi())
    schema.app = guard
    schema.config.update(base_url=ORIGIN)
    headers = {"Cookie": access.set_cookie.partition(";")[0], "Origin": ORIGIN, "Host": f"127.0.0.1:{PORT}"}
    yield schema, headers, desk
    desk.close()


def statuses_of(operation: Any, headers: dict[str, str]) -> set[int]:
    """Ask one operation with fitting and unfitting requests; return the answers' status codes."""
    found: set[int] = set()

    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy() | operation.as_strategy(UNFITTING))
    def ask(case: Any) -> None:
        answer = case.call(headers=headers)
        found.add(answer.status_code)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)

    ask()
    return found


def test_no_request_makes_the_server_fail(asked: Any) -> None:
    schema, headers, desk = asked
    operations = [result.ok() for result in schema.get_all_operations()]
    statuses = {operation.label: statuses_of(operation, headers) for operation in operations}
    assert len(statuses) >= 14
    for name in ("POST /api/decide", "GET /api/tiles", "POST /api/labels/create"):
        assert 422 in statuses[name]
    for name in ("GET /api/state", "POST /api/undo", "POST /api/redo", "POST /api/labels/create"):
        assert 200 in statuses[name]  # it got through to the desk
    assert desk.state()["images"] == 10

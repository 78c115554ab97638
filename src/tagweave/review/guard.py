"""Who may talk to the review server: this computer's browser that was given the link, and no page from elsewhere."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

MAX_BODY = 4 << 20

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

Receive = Callable[[], Any]
Send = Callable[[Mapping[str, Any]], Any]


class Access:
    """Hold the secrets of one server.

    A link's token is good for one visit, which leaves a cookie; then there is a new token for another browser.

    Args:
        port: that the server listens on. announce: called with each new link.
        names: that browsers may know this computer by; the first stands in the link.
    """

    def __init__(
        self, port: int, announce: Callable[[str], None], names: tuple[str, ...] = ("127.0.0.1", "localhost")
    ) -> None:
        self.hosts = tuple(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names)
        self.cookie = f"tagweave_review_{port}"  # cookies of all ports lie in one jar
        self._secret = secrets.token_urlsafe(32)
        self._announce = announce
        self._renew()

    def _renew(self) -> None:
        self._token = secrets.token_urlsafe(32)
        self._announce(f"http://{self.hosts[0]}/?token={self._token}")

    def admits(self, cookies: str) -> bool:
        """Say whether a Cookie header holds the secret."""
        try:
            found = SimpleCookie(cookies).get(self.cookie)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self._secret.encode())

    def spend(self, query: bytes) -> bool:
        """Say whether a query string holds the token of the latest link, which is used up then."""
        given = parse_qs(query.decode("latin-1")).get("token", [""])[0]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return False
        self._renew()
        return True

    @property
    def set_cookie(self) -> str:
        """The header that hands out the secret."""
        return f"{self.cookie}={self._secret}; Path=/; HttpOnly; SameSite=Strict"


@dataclass(frozen=True)
class Guard:
    """Refuse what must not reach the application, and set the security headers of every answer."""

    app: Any
    access: Access

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no WebSocket is offered
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        extra = dict(HEADERS)
        refusal = _foreign(scope, headers, self.access.hosts) or _unfit(scope, headers)
        if refusal is None and not self.access.admits(headers.get("cookie", "")):
            if scope["path"] == "/" and scope["method"] == "GET" and self.access.spend(scope["query_string"]):
                extra["Set-Cookie"] = self.access.set_cookie
            else:
                refusal = (401, "Open the link that 'tagweave review' printed; each link is good for one browser.")
        if refusal is not None:
            await _refuse(send, *refusal)
            return

        async def send_guarded(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_encoded(extra)]
            await send(message)

        await self.app(scope, receive, send_guarded)


def _foreign(scope: Mapping[str, Any], headers: Mapping[str, str], hosts: tuple[str, ...]) -> tuple[int, str] | None:
    """Refuse a Host that is not this computer's (DNS rebinding) and what another site's page sends (CSRF)."""
    host = headers.get("host", "")
    if host not in hosts or sum(name == b"host" for name, _ in scope["headers"]) != 1:
        names = " and ".join(name.rpartition(":")[0] for name in hosts)
        return 421, f"This server answers to {names} only."
    own, origin = f"http://{host}", headers.get("origin")
    changes = scope["method"] not in ("GET", "HEAD")
    if origin != own and (origin is not None or changes):
        return 403, "This request comes from another site."
    site = headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") and scope["path"] != "/":
        return 403, "This request comes from another site."
    return None


def _unfit(scope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, str] | None:
    if scope["method"] in ("GET", "HEAD"):
        return None
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return 415, "Expected JSON."
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return 411, "Expected a Content-Length."
    return (413, f"Expected at most {MAX_BODY} bytes.") if int(length) > MAX_BODY else None


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = reason.encode()
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    await send({"type": "http.response.start", "status": status, "headers": _encoded({**headers, **HEADERS})})
    await send({"type": "http.response.body", "body": body})

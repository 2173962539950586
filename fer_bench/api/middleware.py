"""What stands before every route: counting, logging, headers, the token."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import time
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_bench.api.metrics import Metrics
from fer_bench.api.schemas import problem_response
from fer_bench.errors import FerBenchError

log = logging.getLogger(__name__)

HEALTH = "/healthz"
#: What counts and logs call an address that no route has: clients can make up any number of them.
NO_ROUTE = "none"
LONGEST_PATH = 200
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
POLICY = "Content-Security-Policy"
#: What answers may load that bring no policy of their own: they are no pages.
NOTHING = "default-src 'none'; frame-ancestors 'none'"
DOCS = "/docs"
#: Swagger UI comes from this server, with a line of script in the page and styles that it makes.
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)


class Observer:
    """Counts each request and writes a line of method, path, status and time; adds headers.

    HEAD is answered as GET without its body. Nothing else of a request is written anywhere: no
    address, query, name or picture.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500  # what an error that nobody caught becomes
        is_head = scope["method"] == "HEAD"
        asked = {**scope, "method": "GET"} if is_head else scope

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault(POLICY, DOCS_POLICY if scope["path"] == DOCS else NOTHING)
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(asked, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(asked.get("route"), "path", NO_ROUTE)
            self._metrics.count_request(route, status, seconds)
            path = quote(scope["path"])[:LONGEST_PATH]
            log.info("%s %s %d %.0f ms", scope["method"], path, status, seconds * 1000)


class TokenGate:
    """Lets requests with the token in; all may ask for the health.

    Browsers cannot send a bearer token with a form, so the token is also taken as the password of
    HTTP Basic, which they ask for by themselves.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] != "http" or scope["path"] == HEALTH
        if is_open or self._is_authorised(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        refusal = FerBenchError(
            "the token is missing or wrong: send `Authorization: Bearer TOKEN`", code="unauthorized"
        )
        await problem_response(refusal)(scope, receive, send)

    def _is_authorised(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        secret = given.strip().encode("latin-1")  # as it came
        if scheme.lower() == "basic":
            try:
                secret = base64.b64decode(secret, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(secret, self._token)

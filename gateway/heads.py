"""`HEAD` wherever there is `GET` (RFC 9110 §9.3.2): the same answer without its content."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """ASGI middleware. Asks for what `GET` gives, unless `answered` says that a route answers this `HEAD` itself. The
    call stays `HEAD` in the log (`scope["asked"]`)."""

    def __init__(self, app: ASGIApp, answered: Callable[[Scope], bool]) -> None:
        self._app, self._answered = app, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or self._answered(scope):
            await self._app(scope, receive, send)
            return

        async def send_without_content(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app({**scope, "method": "GET", "asked": "HEAD"}, receive, send_without_content)

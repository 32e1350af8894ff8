"""What can be bad in a form that the portal pushes: its shape, its files, its signature."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from connectors.conformance.case import Bench
from connectors.conformance.contents import Content, error_of, names, said
from connectors.publik.case import form, settings, signed
from connectors.publik.connector import Publik


def _pushed(
    body: bytes | Callable[[], object], *, slug: str = "", key: str = "", late: timedelta = timedelta(), times: int = 1
) -> Callable[[Bench], str]:
    def act(bench: Bench) -> str:
        connector = Publik(bench.context(settings("http://127.0.0.1:9")))
        raw = body if isinstance(body, bytes) else json.dumps(body()).encode()
        inbound = signed(raw, bench.clock() - late, **({"key": key} if key else {}), **({"slug": slug} if slug else {}))
        for _ in range(times - 1):
            connector.receive(inbound)
            bench.documents.contents.clear()
        error = error_of(lambda: connector.receive(inbound))
        if error is None:
            again = signed(raw, bench.clock(), nonce="6e6f6e6365")
            received = connector.receive(again).polled.events[0]
            return f"taken: {names(received.data['request']['documents'])}"
        assert bench.documents.contents == {}, "something was stored"
        status, answer = connector.refusal(error)
        return f"{said(error)}: HTTP {status}, `{answer['err_class']}`"

    return act


def _form(**changes: Any) -> Callable[[], Mapping[str, Any]]:
    return lambda: form("42") | changes


def _with_file(**changes: Any) -> Callable[[], Mapping[str, Any]]:
    return lambda: form("42", justificatif=form("42")["fields"]["justificatif"] | changes)


contents = (
    Content("a push that is no JSON", _pushed(b"\x00{[")),
    Content("a push nested 100 000 deep", _pushed(b"[" * 100_000 + b"]" * 100_000)),
    Content("a push that is no form", _pushed(lambda: [1, 2])),
    Content("a form whose number is `../1`", _pushed(_form(id="../1"))),
    Content("a form whose date cannot be read", _pushed(_form(receipt_time="hier"))),
    Content("a file that is no base64", _pushed(_with_file(content="é"))),
    Content("a file above 10 MiB", _pushed(_with_file(content="A" * 14 * 1024 * 1024))),
    Content("a file named `..\\..\\boot.ini`", _pushed(_with_file(filename="..\\..\\boot.ini"))),
    Content("a push signed with another key", _pushed(_form(), key="autre")),
    Content("a push signed an hour ago", _pushed(_form(), late=timedelta(hours=1))),
    Content("the same push again", _pushed(_form(), times=2)),
    Content("a form that the connection does not name", _pushed(_form(), slug="autre")),
)

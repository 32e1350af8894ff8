"""A twin that speaks SOAP: it answers the operations of a WSDL by name, and refuses what the contract refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from connectors.sdk.soap import WSSE, SoapContract
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from connectors.sdk.xml import Element, add, add_all, namespace, new_root, parse_xml, text_at, validate_xsd, write_xml
from schemas.errors import InvalidMessage

_TEXT_XML = {"Content-Type": "text/xml; charset=utf-8"}
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_BODY = re.compile(rb"<(?:[\w.-]+:)?Body[^>]*>\s*<(?:[\w.-]+:)?([\w.-]+)")
_F = TypeVar("_F", bound=Callable[..., Mapping[str, Any] | str])


class SoapFault(Exception):
    """Raise it in an operation: a fault is answered. `detail`: names and values, nested, of its `<detail>`."""

    def __init__(self, code: str = "Server", reason: str = "", detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason or code)
        self.code, self.reason, self.detail = code, reason, detail or {}


def operation(name: str) -> Callable[[_F], _F]:
    """Mark a method of a twin as the answer to an operation: it takes the request as the contract reads it and gives
    the elements of the answer."""

    def mark(function: _F) -> _F:
        function._operation = name  # type: ignore[attr-defined]
        return function

    return mark


class SoapTwin(HttpTwin):
    """Subclass it, set `wsdl` and mark methods with `@operation`; `twin.address` is where it answers.

    `schema`: the XSD of the messages, where a request is held against its patterns and enumerations too. `said` gives
    the answer. `asked` keeps each operation that was understood with its request. `login`: the account that a message
    must name in its header (WS-Security UsernameToken), where one is set. What the contract does not allow is answered
    by a fault that blames the caller. `on` of `misbehave` may name an operation.
    """

    wsdl: Path
    schema: Path | None = None
    path = "/ws"

    def __init__(self) -> None:
        super().__init__()
        self.contract = SoapContract(self.wsdl.resolve())
        self.asked: list[tuple[str, Any]] = []
        self.login: tuple[str, str] | None = None
        marked = (getattr(self, name) for name in dir(type(self)))
        self._operations = {one._operation: one for one in marked if hasattr(one, "_operation")}

    @property
    def address(self) -> str:
        return f"{self.url}{self.path}"

    def title(self, call: TwinCall) -> str:
        """With the name of the element in the body, as "POST /ws openPayment"."""
        found = _BODY.search(call.body)
        return f"{call.method} {call.path} {found[1].decode() if found else ''}"

    def operation(self, call: TwinCall) -> str:
        return self.title(call).rpartition(" ")[2]

    def said(self, name: str, request: Any) -> Mapping[str, Any] | str:
        """The elements of the answer to an operation. Override it for what one twin says of all of them."""
        answer: Mapping[str, Any] | str = self._operations[name](request)
        return answer

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        """A fault that says nothing of its cause."""
        return fault_answer(SoapFault("Server", "internal error"), status=200)

    @route("POST", "/{where:rest}")
    def message(self, call: TwinCall, where: str) -> TwinAnswer:
        if f"/{where}" != self.path:
            return self.not_found(call)
        try:
            envelope = parse_xml(call.body, max_bytes=64 * 1024 * 1024, large_text=True)
            return self._answered(envelope)
        except InvalidMessage as error:
            return fault_answer(SoapFault("Client", f"not in the contract: {error.reason} {error.pointer}"))
        except SoapFault as fault:
            return fault_answer(fault)

    def _answered(self, envelope: Element) -> TwinAnswer:
        soap = namespace(envelope)
        body = envelope.find(f"{{{soap}}}Body")
        if body is None or len(body) != 1:
            raise SoapFault("Client", "no message")
        self._check_login(envelope)
        name = self.contract.operation_of(body[0])
        if name is None or name not in self._operations:
            raise SoapFault("Client", "no such operation")
        if self.schema is not None and validate_xsd(_alone(body[0]), self.schema):
            raise SoapFault("Client", "not in the contract")
        request = self.contract.read_request(name, body[0])
        self.asked.append((name, request))
        return envelope_answer(self.contract.write_answer(name, self.said(name, request or {})), soap)

    def _check_login(self, envelope: Element) -> None:
        token = f".//{{{WSSE}}}UsernameToken/{{{WSSE}}}"
        found = (text_at(envelope, f"{token}Username"), text_at(envelope, f"{token}Password"))
        if self.login is not None and found != self.login:
            raise SoapFault("FailedAuthentication", "who are you?")


def envelope_answer(content: Element, soap: str = _SOAP) -> TwinAnswer:
    """One element as a whole answer."""
    root = new_root(f"{{{soap}}}Envelope", {"S": soap})
    add(root, "Body").append(content)
    return TwinAnswer(200, write_xml(root), _TEXT_XML)


def _alone(element: Element) -> Element:
    return parse_xml(write_xml(element), max_bytes=64 * 1024 * 1024, large_text=True)


def fault_answer(fault: SoapFault, status: int = 500) -> TwinAnswer:
    """A fault of SOAP 1.1 as an answer."""
    root = new_root(f"{{{_SOAP}}}Envelope", {"S": _SOAP})
    said = add(add(root, "Body"), "Fault")
    for tag, text in (("faultcode", f"S:{fault.code}"), ("faultstring", fault.reason or fault.code)):
        add(said, tag, text).tag = tag
    detail = add(said, "detail")
    detail.tag = "detail"
    add_all(detail, fault.detail)
    return TwinAnswer(status, write_xml(root), _TEXT_XML)

"""A twin that speaks SOAP: it answers the operations of a WSDL by name, and refuses what the contract refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from connectors.sdk.soap import SOAP_12, WSSE, soap_contract
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from connectors.sdk.xml import Element, add, add_all, namespace, new_root, parse_xml, text_at, validate_xsd, write_xml
from schemas.errors import InvalidMessage

_TEXT_XML = {"Content-Type": "text/xml; charset=utf-8"}
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_BODY = re.compile(rb"<(?:[\w.-]+:)?Body[^>]*>\s*<(?:[\w.-]+:)?([\w.-]+)")
_F = TypeVar("_F", bound=Callable[..., Mapping[str, Any] | str])


class SoapFault(Exception):
    """Raise it in an operation: a fault is answered. `detail`: names and values, nested, of its `<detail>`, or the
    element that stands in it."""

    def __init__(
        self, code: str = "Server", reason: str = "", detail: Mapping[str, Any] | Element | None = None
    ) -> None:
        super().__init__(reason or code)
        self.code, self.reason = code, reason
        self.detail: Mapping[str, Any] | Element = {} if detail is None else detail


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
        self.messages = soap_contract(self.wsdl.resolve())
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

    def speaks(self, name: str) -> bool:
        """Whether it answers an operation of the contract. Override it with `said`."""
        return name in self._operations

    def breach(self, name: str, content: Element) -> str:
        """What the contract refuses in the element that a request holds, beyond its types; "" for nothing."""
        return "its schema" if self.schema is not None and validate_xsd(_alone(content), self.schema) else ""

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
        soap = _SOAP
        try:
            envelope = parse_xml(call.body, max_bytes=64 * 1024 * 1024, large_text=True)
            soap = namespace(envelope)
            return self._answered(envelope)
        except InvalidMessage as error:
            return fault_answer(SoapFault("Client", f"not in the contract: {error.reason} {error.pointer}"), soap=soap)
        except SoapFault as fault:
            return fault_answer(fault, soap=soap)

    def _answered(self, envelope: Element) -> TwinAnswer:
        soap = namespace(envelope)
        body = envelope.find(f"{{{soap}}}Body")
        if body is None or len(body) != 1:
            raise SoapFault("Client", "no message")
        self._check_login(envelope)
        name = self.messages.operation_of(body[0])
        if name is None or not self.speaks(name):
            raise SoapFault("Client", "no such operation")
        if breach := self.breach(name, body[0]):
            raise SoapFault("Client", f"not in the contract: {breach}")
        request = self.messages.read_request(name, body[0])
        self.asked.append((name, request))
        return envelope_answer(self.messages.write_answer(name, self.said(name, request or {})), soap)

    def _check_login(self, envelope: Element) -> None:
        token = f".//{{{WSSE}}}UsernameToken/{{{WSSE}}}"
        found = (text_at(envelope, f"{token}Username"), text_at(envelope, f"{token}Password"))
        if self.login is not None and found != self.login:
            raise SoapFault("FailedAuthentication", "who are you?")


def envelope_answer(content: Element, soap: str = _SOAP) -> TwinAnswer:
    """One element as a whole answer."""
    root = new_root(f"{{{soap}}}Envelope", {"S": soap})
    add(root, "Body").append(content)
    return TwinAnswer(200, write_xml(root), _kind(soap))


def _kind(soap: str) -> Mapping[str, str]:
    return {"Content-Type": "application/soap+xml; charset=utf-8"} if soap == SOAP_12 else _TEXT_XML


def _alone(element: Element) -> Element:
    return parse_xml(write_xml(element), max_bytes=64 * 1024 * 1024, large_text=True)


def fault_answer(fault: SoapFault, status: int = 500, soap: str = _SOAP) -> TwinAnswer:
    """A fault as an answer, of SOAP 1.1, or of 1.2 where `soap` is its namespace."""
    root = new_root(f"{{{soap if soap == SOAP_12 else _SOAP}}}Envelope", {"S": soap if soap == SOAP_12 else _SOAP})
    said = add(add(root, "Body"), "Fault")
    detail = _said_in_12(said, fault) if soap == SOAP_12 else _said_in_11(said, fault)
    if isinstance(fault.detail, Mapping):
        add_all(detail, fault.detail)
    else:
        detail.append(fault.detail)
    return TwinAnswer(status, write_xml(root), _kind(soap))


def _said_in_11(said: Element, fault: SoapFault) -> Element:
    for tag, text in (("faultcode", f"S:{fault.code}"), ("faultstring", fault.reason or fault.code)):
        add(said, tag, text).tag = tag
    detail = add(said, "detail")
    detail.tag = "detail"
    return detail


def _said_in_12(said: Element, fault: SoapFault) -> Element:
    """With its own word below one of the two that there are (§5.4.6)."""
    code = add(said, "Code")
    ours = fault.code in ("Client", "Sender")
    add(code, "Value", "S:Sender" if ours else "S:Receiver")
    if fault.code not in ("Client", "Sender", "Server", "Receiver"):
        add(add(code, "Subcode"), "Value", f"S:{fault.code}")
    add(add(said, "Reason"), "Text", fault.reason or fault.code)
    return add(said, "Detail")

"""Calls and answers held against a WSDL and its schemas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from connectors.sdk.contract.message_schemas import schemas_of
from connectors.sdk.soap import SOAP_11, SOAP_12, soap_contract
from connectors.sdk.twin import TwinAnswer, TwinCall
from connectors.sdk.xml import Element, XsdFault, local_name, namespace, parse_xml
from schemas.errors import InvalidMessage

_MOST = 64 * 1024 * 1024
_NO_MESSAGE = "no SOAP message"


@cache
def wsdl_check(wsdl: Path) -> WsdlCheck:
    """The check of a WSDL, made once."""
    return WsdlCheck(wsdl)


class WsdlCheck:
    """What a WSDL says against messages, patterns, enumerations and other limits included. Share it between threads: it
    keeps nothing of what it reads. What it says names places and rules, never a value."""

    def __init__(self, wsdl: Path) -> None:
        self.soap, self.schemas = soap_contract(wsdl), schemas_of(wsdl)

    def request_fault(self, call: TwinCall) -> str:
        """Why the contract refuses this call; "" when it does not."""
        content = _content(call.body)
        name = self.soap.operation_of(content) if content is not None else None
        if content is None:
            return _NO_MESSAGE
        return self.breach(content) if name is not None else f"no operation of the contract ({local_name(content)})"

    def answer_fault(self, call: TwinCall, answer: TwinAnswer) -> str:
        """Why the contract does not allow this answer; "" when it does, or says nothing of it: what is no success and
        no fault of SOAP is HTTP's."""
        asked, content = _content(call.body), _content(answer.body)
        name = self.soap.operation_of(asked) if asked is not None else None
        if content is not None and local_name(content) == "Fault":
            return self._fault_breach(content)
        if answer.status != 200 or name is None:
            return ""
        if content is None:
            return _NO_MESSAGE
        if not self.soap.is_answer(name, content):
            return f"no answer to {name} ({local_name(content)})"
        return _said(self.schemas.faults(content, self.soap.body_name(name, answer=True)))

    def breach(self, content: Element) -> str:
        """What is wrong in the element that a request holds; "" for nothing."""
        return _said(self.schemas.faults(content))

    def _fault_breach(self, fault: Element) -> str:
        """A vendor may say of its fault what it likes: what the contract has a word for is said as it has it."""
        detail = next((child for child in fault if local_name(child).lower() == "detail"), None)
        known = [one for one in detail if self.schemas.knows(one)] if detail is not None else []
        return "; ".join(said for one in known if (said := _said(self.schemas.faults(one))))


def _content(body: object) -> Element | None:
    """The element in the body of an envelope; None for what is none."""
    text = body.encode() if isinstance(body, str) else body
    if not isinstance(text, bytes):
        return None
    try:
        envelope = parse_xml(text, max_bytes=_MOST, large_text=True)
    except InvalidMessage:
        return None
    soap = namespace(envelope)
    found = envelope.find(f"{{{soap}}}Body") if soap in (SOAP_11, SOAP_12) else None
    return found[0] if found is not None and len(found) == 1 else None


def _said(faults: Sequence[XsdFault]) -> str:
    return "; ".join(dict.fromkeys(f"{fault.path}: {fault.rule}" for fault in faults))

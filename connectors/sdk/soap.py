"""SOAP for connectors: operations of a WSDL of ours, called over the kit's HTTP. The only file that imports zeep.

zeep builds and reads the messages and never touches the network: the sending is `HttpClient`'s, so that time-outs,
size limit, authentication and errors are those of every other connector.
"""

from __future__ import annotations

import threading
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.helpers import serialize_object
from zeep.transports import Transport
from zeep.xsd.context import XmlParserContext

from connectors.sdk.http import HttpAnswer, HttpClient, lost_answer
from connectors.sdk.xml import Element, XsdFault, local_name, namespace, parse_xml, text_at, validate_xsd
from schemas.errors import AccessDenied, ConfigError, HubError, InvalidMessage, Refused, TryLater
from schemas.secret import Secret

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
NIL = zeep.xsd.Nil  # an element that must be there and says nothing: xsi:nil
MAX_BYTES = 32 * 1024 * 1024

_NOT_ALLOWED = "la demande ne peut pas être dite au logiciel : une valeur n'est pas admise"
_NO_MESSAGE = " a renvoyé une réponse illisible"
_OURS = frozenset({"Client", "Sender", "VersionMismatch", "MustUnderstand"})
_ACCESS = frozenset({"FailedAuthentication", "InvalidSecurity", "InvalidSecurityToken", "AccessDenied"})


class SoapClient:
    """Calls the operations of a local WSDL (document/literal). Thread-safe; the WSDL is read at the first call.

    `schema`: the XSD of the messages. What we send is held against it first, patterns and enumerations included
    (zeep checks neither); what we receive is read leniently, since a vendor may add elements. Raises what HttpClient
    raises; besides:
    - a value that the contract does not allow: Refused, before anything is sent;
    - no such address (404): TryLater, since an application server says so while it starts;
    - a fault that blames the caller: Refused (`native` = its code), or AccessDenied when it speaks of authentication;
    - any other fault, HTML, half an answer, another message: TryLater when `safe`, else Unknown.
    """

    def __init__(
        self, wsdl_path: Path, url: str, *, auth: tuple[str, Secret] | None = None, timeout: float = 10.0,
        max_bytes: int = MAX_BYTES, schema: Path | None = None, http: HttpClient | None = None,
    ) -> None:  # fmt: skip
        self._wsdl_path = wsdl_path
        self._schema = schema
        self._http = http or HttpClient(url, auth=auth, timeout=timeout, max_bytes=max_bytes)
        self._building = threading.Lock()
        self._client: zeep.Client | None = None

    def call(self, operation: str, *values: Any, safe: bool, **named: Any) -> Any:
        """Call one operation: `named` are the elements of its request, `values` the one text of a request that is only
        a text. `safe` says that calling twice is harmless. Gives dicts, lists, text and bytes; None for nothing."""
        client = self._built()
        binding = client.service._binding
        with self._building:  # zeep completes its types while it writes
            request, headers = self._write_request(client, binding, operation, values, named)
        answer = self._http.request("POST", "", content=request, headers=headers, expect=(200, 404, 500), safe=safe)
        if answer.status == 404:  # a refusal is said in SOAP; this is a server whose application is not (yet) there
            said = f"{answer.service} n'est pas, ou pas encore, à l'adresse réglée"
            raise TryLater(said, detail=f"{operation}: 404")
        return self._read_answer(client, binding.get(operation), operation, answer, safe)

    def close(self) -> None:
        self._http.close()

    def _built(self) -> zeep.Client:
        with self._building:
            if self._client is None:
                self._client = _read_contract(self._wsdl_path.resolve())
            return self._client

    def _write_request(
        self, client: zeep.Client, binding: Any, operation: str, values: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[bytes, dict[str, str]]:
        try:
            envelope, headers = binding._create(operation, values, named, client=client, options={"address": ""})
        except (ZeepError, ValueError) as error:
            raise Refused(_NOT_ALLOWED, detail=f"{operation}: {type(error).__name__}") from None
        faults = self._faults(envelope)
        if faults:
            raise Refused(_NOT_ALLOWED, detail=f"{operation}: {faults[0].path} ({faults[0].rule})")
        return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8"), dict(headers)

    def _faults(self, envelope: Element) -> list[XsdFault]:
        body = _body(envelope)
        if self._schema is None or body is None or not len(body):
            return []
        return validate_xsd(deepcopy(body[0]), self._schema)

    def _read_answer(self, client: zeep.Client, operation: Any, name: str, answer: HttpAnswer, safe: bool) -> Any:
        content = _body_content(answer, name, safe)
        if local_name(content) == "Fault":
            raise _fault_error(content, name, answer)
        expected = operation.output.body.qname
        if answer.status != 200 or etree.QName(content) != expected:
            said = f"{answer.service} a renvoyé un autre message qu'attendu"
            raise lost_answer(said, safe, detail=f"{name}: {expected.localname} was due")
        try:
            value = operation.output.body.parse(content, client.wsdl.types, context=_context(client))
        except (ZeepError, ValueError, TypeError, AttributeError, LookupError) as error:
            said = f"{answer.service} a renvoyé un message qui n'a pas la forme attendue"
            raise lost_answer(said, safe, detail=f"{name}: {type(error).__name__}") from None
        return _without_unplaced(serialize_object(value, dict))  # type: ignore[no-untyped-call]


def _read_contract(path: Path) -> zeep.Client:
    settings = zeep.Settings(
        forbid_dtd=True, forbid_external=True,
        strict=False, xsd_ignore_sequence_order=True,  # a reader bears new elements, wherever they stand
    )  # fmt: skip
    try:
        return zeep.Client(str(path), transport=_LocalFiles(path.parent), settings=settings)  # type: ignore[no-untyped-call]
    except (ZeepError, OSError, ValueError) as error:
        raise ConfigError(f"{path.name} is not a usable contract ({type(error).__name__})") from error


class _LocalFiles(Transport):
    """What the WSDL imports comes from its own folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.folder = folder

    def load(self, url: str) -> bytes:
        path = Path(url).resolve()
        if urlsplit(url).scheme or not path.is_relative_to(self.folder):
            raise ValueError(f"{self.folder.name}: the contract reaches outside its folder")
        return path.read_bytes()


def _body_content(answer: HttpAnswer, name: str, safe: bool) -> Element:
    """The one element in the body of the envelope."""
    try:
        body = _body(parse_xml(answer.body, max_bytes=MAX_BYTES, large_text=True))
    except InvalidMessage as error:
        raise lost_answer(f"{answer.service}{_NO_MESSAGE}", safe, detail=f"{name}: {answer.status}, {error}") from None
    if body is None or len(body) != 1:
        raise lost_answer(f"{answer.service}{_NO_MESSAGE}", safe, detail=f"{name}: {answer.status}, no SOAP message")
    return body[0]


def _body(envelope: Element) -> Element | None:
    soap = namespace(envelope)
    if local_name(envelope) != "Envelope" or soap not in (SOAP_11, SOAP_12):
        return None
    return envelope.find(f"{{{soap}}}Body")


def _fault_error(fault: Element, name: str, answer: HttpAnswer) -> HubError:
    """The error for a SOAP fault (1.1 §4.4, 1.2 §5.4), by its code. Its text may quote values: left out."""
    soap = {"s": namespace(fault)}
    codes = (text_at(fault, path, soap) for path in ("s:Code/s:Subcode/s:Value", "s:Code/s:Value", "faultcode"))
    parts = [part for code in codes if code for part in code.rpartition(":")[2].split(".")]
    native = parts[0] if parts else ""
    detail = f"{name}: fault {native or 'without a code'}"
    if _ACCESS.intersection(parts):
        return AccessDenied(f"{answer.service} refuse nos identifiants", detail=detail)
    if _OURS.intersection(parts):
        return Refused(f"{answer.service} refuse la demande", native=native, detail=detail)
    return lost_answer(f"{answer.service} a répondu par une erreur", answer.safe, detail=detail)


def _context(client: zeep.Client) -> XmlParserContext:
    return XmlParserContext(settings=client.settings)  # type: ignore[no-untyped-call]


def _without_unplaced(value: Any) -> Any:
    """A parsed value without `_raw_elements`, where zeep keeps elements that the contract does not know."""
    if isinstance(value, dict):
        return {key: _without_unplaced(item) for key, item in value.items() if key != "_raw_elements"}
    return [_without_unplaced(item) for item in value] if isinstance(value, list) else value

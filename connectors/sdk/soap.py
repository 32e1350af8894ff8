"""SOAP for connectors: operations of a WSDL of ours, called over the kit's HTTP. The only file that imports zeep.

zeep builds and reads the messages and never touches the network: the sending is `HttpClient`'s, so that time-outs,
size limit, authentication and errors are those of every other connector.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.transports import Transport
from zeep.wsdl.bindings.soap import SoapBinding
from zeep.xsd import AnySimpleType, ComplexType
from zeep.xsd import Element as DeclaredElement
from zeep.xsd.elements import Any as Wildcard
from zeep.xsd.elements.indicators import Choice, Indicator
from zeep.xsd.types import builtins
from zeep.xsd.types.collection import ListType, UnionType

from connectors.sdk.error_table import ErrorTable
from connectors.sdk.http import HttpAnswer, HttpClient
from connectors.sdk.multipart import decode_base64, parts_of
from connectors.sdk.shapes import Shapes, Unwatched
from connectors.sdk.standard_schemas import contract_file
from connectors.sdk.xml import (
    XSD,
    Element,
    XsdFault,
    as_tree,
    is_xsd_value,
    local_name,
    namespace,
    parse_xml,
    text_at,
    validate_xsd,
)
from schemas.answer_shape import XML
from schemas.errors import (
    AccessDenied,
    ConfigError,
    HubError,
    InvalidMessage,
    Refused,
    TryLater,
    Unknown,
    detailed_fault,
)
from schemas.secret import Secret

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XOP = "http://www.w3.org/2004/08/xop/include"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_PASSWORD_TEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"  # noqa: S105
NIL = zeep.xsd.Nil  # an element that must be there and says nothing: xsi:nil
MAX_BYTES = 32 * 1024 * 1024

_NOT_ALLOWED = "la demande ne peut pas être dite au logiciel : une valeur n'est pas admise"
_NO_MESSAGE = " a renvoyé une réponse illisible"
_OURS = frozenset({"Client", "Sender", "VersionMismatch", "MustUnderstand"})
_ACCESS = {
    "FailedAuthentication": "denied.login", "InvalidSecurity": "denied.login", "InvalidSecurityToken": "denied.token",
    "AccessDenied": "denied.forbidden",
}  # fmt: skip
_AS_TEXT = (builtins.String, builtins.AnyURI, builtins.QName, builtins.Notation)


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An entry of a list that could not be read (see `SoapClient.call`): where in the answer, and by which rule."""

    path: str
    rule: str


STRANGE = "has another shape than always"
"""The rule by which an entry is not read whose shape is to be refused."""


class SoapClient:
    """Calls the operations of a local WSDL, document or rpc, of all its services. Thread-safe; the WSDL is read at the
    first call.

    `schema`: the XSD of the messages. What we send is held against it first, patterns and enumerations included
    (zeep checks neither). What we receive is read by the types of the contract: elements that it does not know are
    passed over, since a vendor may add some, and a value that is not of its type is an error, never an absent one.
    `errors`: what the vendor's own codes mean, in the `<detail>` of its faults and in its messages (`native` from the
    element in the body on). `token`: the account that each message names in its header, with its password as it is
    (WS-Security UsernameToken, PasswordText). `shapes`: of the context, which watches the answers.

    Raises what HttpClient raises; besides:
    - a value that the contract does not allow: Refused, before anything is sent;
    - no such address (404): TryLater, since an application server says so while it starts;
    - a fault that `errors` knows: as it says; one that blames the caller: Refused (`native` = its code), or
      AccessDenied when it speaks of authentication;
    - any other fault, HTML, half an answer, another message, a value that cannot be read (`fault` = `bad-return.` and
      its place): TryLater when `safe`, else Unknown.
    """

    def __init__(
        self, wsdl_path: Path, url: str, *, auth: tuple[str, Secret] | None = None, timeout: float = 10.0,
        max_bytes: int = MAX_BYTES, schema: Path | None = None, http: HttpClient | None = None,
        errors: ErrorTable | None = None, token: tuple[str, Secret] | None = None, shapes: Shapes | None = None,
    ) -> None:  # fmt: skip
        self._token = token
        self._wsdl_path = wsdl_path
        self._schema = schema
        self._http = http or HttpClient(url, auth=auth, timeout=timeout, max_bytes=max_bytes)
        self._errors = errors or ErrorTable()
        self._shapes = shapes or Unwatched()
        self._building = threading.Lock()
        self._contract: SoapContract | None = None

    def call(self, operation: str, *values: Any, safe: bool, each: str = "", **named: Any) -> Any:
        """Call one operation: `named` are the elements of its request, `values` the one text of a request that is only
        a text. `safe` says that calling twice is harmless. Gives dicts, lists, text and bytes; None for nothing.
        `each`: an element that repeats, whose entries are read each for itself: one that cannot be read stands in the
        list as an `UnreadableEntry`, and hides no other."""
        return self._asked(operation, values, named, safe=safe, each=each, seconds=None)

    def ask(
        self, operation: str, arguments: Mapping[str, Any], *, safe: bool, each: str = "", seconds: float | None = None
    ) -> Any:
        """As `call`, with elements of any names. `seconds`: until nobody waits for the answer any more."""
        return self._asked(operation, (), dict(arguments), safe=safe, each=each, seconds=seconds)

    def read_description(self, query: str = "wsdl") -> None:
        """Ask the package for its own description, for a contract without a harmless operation. Raises what HttpClient
        raises, and TryLater for what is no XML."""
        name, _, value = query.partition("=")
        answer = self._http.request("GET", "", params={name: value}, expect=(200,), safe=True)
        try:
            parse_xml(answer.body, max_bytes=MAX_BYTES)
        except InvalidMessage as error:
            raise _lost(answer, f"{answer.service}{_NO_MESSAGE}", f"{query}: {error.reason}") from None

    def _asked(
        self, operation: str, values: tuple[Any, ...], named: dict[str, Any], *, safe: bool, each: str,
        seconds: float | None,
    ) -> Any:  # fmt: skip
        contract = self._built()
        with self._building:  # zeep completes its types while it writes
            request, headers = self._write_request(contract, operation, values, named)
        answer = self._http.request(
            "POST", "", content=request, headers=headers, expect=(200, 400, 404, 500), safe=safe, seconds=seconds
        )
        if answer.status == 404:  # a refusal is said in SOAP; this is a server whose application is not (yet) there
            said = f"{answer.service} n'est pas, ou pas encore, à l'adresse réglée"
            raise TryLater(said, detail=f"{operation}: 404", fault="away.unreachable")
        return self._read_answer(contract, operation, answer, each)

    def close(self) -> None:
        self._http.close()

    def _built(self) -> SoapContract:
        with self._building:
            if self._contract is None:
                self._contract = SoapContract(self._wsdl_path.resolve())
            return self._contract

    def _write_request(
        self, contract: SoapContract, operation: str, values: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[bytes, dict[str, str]]:
        how: dict[str, Any] = {"client": contract.client, "options": {"address": ""}}
        try:
            said = contract.as_zeep(operation, named)
            envelope, headers = contract.binding(operation)._create(operation, values, said, **how)
        except (ZeepError, ValueError, TypeError, KeyError) as error:  # the last two: names that it does not have
            raise Refused(_NOT_ALLOWED, detail=f"{operation}: {type(error).__name__}", fault="bad-input") from None
        faults = self._faults(envelope)
        if faults:
            place = faults[0].path.strip("/").split("/")[1:]
            detail = f"{operation}: {faults[0].path} ({faults[0].rule})"
            raise Refused(_NOT_ALLOWED, detail=detail, fault=_placed("bad-input", place))
        if self._token is not None:
            _sign_in(envelope, *self._token)
        return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8"), dict(headers)

    def _faults(self, envelope: Element) -> list[XsdFault]:
        body = _body(envelope)
        if self._schema is None or body is None or not len(body):
            return []
        return validate_xsd(deepcopy(body[0]), self._schema)

    def _read_answer(self, contract: SoapContract, name: str, answer: HttpAnswer, each: str) -> Any:
        content, beside = _opened(answer, name)
        if local_name(content) == "Fault":
            raise self._errors.error_in(answer, _detail_of(content)) or _fault_error(content, name, answer)
        if (meant := self._errors.error_at(answer, content)) is not None:
            raise meant
        if answer.status != 200 or not contract.is_answer(name, content):
            said = f"{answer.service} a renvoyé un autre message qu'attendu"
            raise _lost(answer, said, f"{name}: its answer was due")
        tree = as_tree(content)
        self._shapes.see(name, tree, XML)
        try:
            found = contract.read(name, content, beside, each)
        except _Unreadable as error:
            place = ".".join(_names(error.path))
            said = f"{answer.service} a renvoyé une valeur illisible ({place or local_name(content)})"
            detail = f"{name}: {'/'.join(error.path)} ({error.rule})"
            raise _lost(answer, said, detail, fault=_placed("bad-return", error.path)) from None
        return _without_strange(found, tree, each, self._shapes) if self._shapes.strange(tree) else found


@dataclass(frozen=True, slots=True)
class MessagePart:
    """A part of a message: the element that it is, or of rpc its name and its type, each `{namespace}name`."""

    name: str
    element: str = ""
    type: str = ""


def _qname(declared: Any) -> str:
    return str(declared.qname.text) if declared is not None and declared.qname is not None else ""


class SoapContract:
    """A WSDL as zeep reads it, and the values that its types allow where they are listed. Raises ConfigError for one
    that cannot be used. `operations`: their names."""

    def __init__(self, path: Path) -> None:
        settings = zeep.Settings(forbid_dtd=True)
        files = _LocalFiles(path.parent)  # which fetches nothing
        try:
            self.client = zeep.Client(str(path), transport=files, settings=settings)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise ConfigError(f"{path.name} is not a usable contract ({error})") from error
        except (ZeepError, OSError) as error:
            raise ConfigError(f"{path.name} is not a usable contract ({type(error).__name__})") from error
        self.types = self.client.wsdl.types
        self.listed = files.listed
        self._bindings = {name: one for one in reversed(self._spoken()) for name in one._operations}
        self.operations = frozenset(str(name) for name in self._bindings if not self.why_not(name))
        if not self.operations:
            raise ConfigError(f"{path.name} is not a usable contract (no operation of SOAP that can be called)")

    def binding(self, operation: str) -> Any:
        """What writes an operation: that of the first port which has it. Raises KeyError for none of the contract."""
        return self._bindings[operation]

    @property
    def unspoken(self) -> frozenset[str]:
        """Operations of the contract that cannot be called (see `why_not`)."""
        return frozenset(str(name) for name in self._bindings) - self.operations

    def why_not(self, operation: str) -> str:
        """Why an operation is none of `operations`; "" for one that is."""
        if operation not in self._bindings:
            return "the contract does not have it"
        called = self.binding(operation).get(operation)
        asked, given = called.input, called.output
        if given is None or given.body is None:
            return "it answers nothing"
        wrapped = any(getattr(one, "_is_body_wrapped", False) for one in (asked, given))
        return "it has several parts in one body, which no server can tell apart" if wrapped else ""

    def is_rpc(self, operation: str) -> bool:
        return bool(self.binding(operation).get(operation).style == "rpc")

    def parts(self, operation: str, *, answer: bool = False) -> tuple[MessagePart, ...]:
        """What stands in the body of a request, or of an answer: its one element, or of rpc the parts inside it."""
        found = self.binding(operation).get(operation)
        message = found.output if answer else found.input
        if message.body is None:
            return ()
        if not self.is_rpc(operation):
            return (MessagePart("", element=str(message.body.qname.text)),)
        held = message.abstract.parts.items()
        return tuple(MessagePart(str(name), _qname(part.element), _qname(part.type)) for name, part in held)

    def body_name(self, operation: str, *, answer: bool = False) -> str:
        """The element (`{namespace}name`) in the body of a request, or of an answer; "" for a request of nothing."""
        body = self._body(operation, answer)
        if body is None:
            return ""
        named = etree.QName(body.qname.namespace, f"{operation}Response") if self._renames(operation, answer) else None
        return str((named or body.qname).text)

    def _renames(self, operation: str, answer: bool) -> bool:
        """WS-I Basic Profile, R2729; zeep takes the name of the message."""
        return answer and self.is_rpc(operation)

    def faults(self, operation: str) -> tuple[str, ...]:
        """The elements (`{namespace}name`) that the contract has for the `<detail>` of its faults."""
        messages = self.binding(operation).get(operation).abstract.fault_messages.values()
        return tuple(
            _qname(part.element) for one in messages for part in one.parts.values() if part.element is not None
        )

    def envelope(self, operation: str) -> str:
        """The version of SOAP in which it is spoken, by its namespace."""
        return str(self.binding(operation).nsmap["soap-env"])

    @property
    def address(self) -> str:
        """Where the contract says that it is; "" where it does not."""
        ports = [port for service in self.client.wsdl.services.values() for port in service.ports.values()]
        return str(next((port.binding_options["address"] for port in ports if port.binding_options), ""))

    def _spoken(self) -> list[Any]:
        """The bindings to SOAP, those of ports in their order; all that there are where no service is named."""
        wsdl = self.client.wsdl
        ports = [port.binding for service in wsdl.services.values() for port in service.ports.values()]
        return [one for one in ports or wsdl.bindings.values() if isinstance(one, SoapBinding)]

    def places(self, operation: str, *, answer: bool = False) -> frozenset[str] | None:
        """The places of a request of this operation, or of its answer, as unwrapped paths: `arg0/lines/amount`, without
        the positions in lists. None where the contract allows anything somewhere."""
        found: set[str] = set()
        body = self._body(operation, answer)
        return frozenset(found) if body is None or _collect_places(body.type, (), found) else None

    def operation_of(self, request: Element) -> str | None:
        """The operation of the element in the body of a request."""
        named = ((name, self._body(name, answer=False)) for name in self.operations)
        return next((name for name, body in named if body is not None and body.qname == etree.QName(request)), None)

    def is_answer(self, operation: str, element: Element) -> bool:
        """Whether an element in a body answers this operation: of rpc whatever its name (SOAP 1.1 §7.1)."""
        return self.is_rpc(operation) or etree.QName(element) == self._body(operation, answer=True).qname

    def read(self, operation: str, content: Element, beside: Mapping[str, bytes], each: str) -> Any:
        """What an answer says (see `SoapClient.call`). Raises _Unreadable."""
        return _Reader(self, beside, each).value(content, self._body(operation, answer=True).type, ())

    def read_request(self, operation: str, request: Element) -> Any:
        """What a request says, as `SoapClient.call` gives an answer. Raises InvalidMessage for what the contract does
        not allow."""
        try:
            return _Reader(self, {}, "").value(request, self._body(operation, answer=False).type, ())
        except _Unreadable as error:
            raise InvalidMessage(error.rule, pointer="/" + "/".join(error.path)) from None

    def write_request(self, operation: str, values: Mapping[str, Any]) -> Element:
        """The element in the body of a request. Raises InvalidMessage for what the contract does not allow."""
        how: dict[str, Any] = {"client": self.client, "options": {"address": ""}}
        try:
            envelope, _ = self.binding(operation)._create(operation, (), self.as_zeep(operation, values), **how)
            body = _body(envelope)
        except (ZeepError, ValueError, TypeError, KeyError) as error:
            raise InvalidMessage(f"{type(error).__name__}: {error}") from None
        assert body is not None
        return body[0]

    def write_answer(self, operation: str, values: Mapping[str, Any] | str) -> Element:
        """The element in the body of an answer: its elements, or the text that is all of it. Raises InvalidMessage for
        what the contract does not allow."""
        body, holder = self._body(operation, answer=True), etree.Element("holder")
        try:
            said = values if isinstance(values, str) else _as_zeep(body.type, values)
            body.render(holder, body(said) if isinstance(said, str) else body(**said))
        except (ZeepError, ValueError, TypeError) as error:
            raise InvalidMessage(str(error)) from None
        holder[0].tag = self.body_name(operation, answer=True)
        return holder[0]

    def write_element(self, name: str, values: Mapping[str, Any]) -> Element:
        """A global element (`{namespace}name`) of these elements, as one in the `<detail>` of a fault. Raises
        InvalidMessage for what the contract does not allow."""
        declared: Any = self.types.get_element(name)
        holder = etree.Element("holder")
        try:
            declared.render(holder, declared(**_as_zeep(declared.type, values)))
        except (ZeepError, ValueError, TypeError) as error:
            raise InvalidMessage(str(error)) from None
        return holder[0]

    def as_zeep(self, operation: str, named: Mapping[str, Any]) -> Any:
        """The elements of a request, as zeep takes them. Raises KeyError for no operation of the contract."""
        body = self._body(operation, answer=False)
        return named if body is None else _as_zeep(body.type, named)

    def _body(self, operation: str, answer: bool) -> Any:
        found = self.binding(operation).get(operation)
        return (found.output if answer else found.input).body


@cache
def soap_contract(path: Path) -> SoapContract:
    """A contract, read once: for twins and checks, which read the same one again and again."""
    return SoapContract(path)


_DEEPEST = 12  # levels of a message that `places` tells; a type may hold itself


def _collect_places(kind: Any, path: tuple[str, ...], found: set[str]) -> bool:
    """Whether the contract says all that may stand here."""
    if not isinstance(kind, ComplexType):
        return isinstance(kind, AnySimpleType)
    nested = kind.elements_nested
    parts = _named_apart(_declared([part for _, part in nested])) if nested else []
    closed = len(path) < _DEEPEST
    for name, part, _ in parts:
        found.add("/".join((*path, name)))
        closed &= not isinstance(part, Wildcard) and (not closed or _collect_places(part.type, (*path, name), found))
    found.update("/".join((*path, name)) for name, attribute in kind.attributes if attribute.name)
    return closed


def _as_zeep(kind: Any, values: Any) -> Any:
    """Values by the names of their elements, as zeep takes them: what stands in a group that repeats, in a list of its
    own; an array of SOAP's encoding as a list."""
    if isinstance(values, list | tuple):
        return [_as_zeep(kind, one) for one in values]
    if isinstance(kind, builtins.Base64Binary) and isinstance(values, str):
        return decode_base64(values)  # a document whose text is its base64, as JSON has it
    if not isinstance(kind, ComplexType) or not isinstance(values, Mapping):
        return values
    left = dict(values)
    for name, part in kind.elements_nested:
        _regroup(name, part, left)
    if kind._array_type and len(left) == 1:
        return next(iter(left.values()))
    return left


def _regroup(name: str, part: Any, left: dict[str, Any]) -> None:
    if not isinstance(part, Indicator):
        if name in left and isinstance(part, DeclaredElement):
            left[name] = _as_zeep(part.type, left[name])
    elif not part.accepts_multiple:
        for inner, one in part.elements:
            _regroup(inner, one, left)
            if (
                isinstance(one, DeclaredElement)
                and one.nillable
                and not one.is_optional
                and not isinstance(part, Choice)
            ):
                left.setdefault(inner, NIL)  # which zeep forgets for a value with attributes
    elif name not in left:
        held: Any = part
        found = {inner: left.pop(inner) for inner, _, _ in _named_apart(_declared([*held])) if inner in left}
        entries = _entries(part, found)
        for entry in entries:
            for inner, one in part.elements:
                _regroup(inner, one, entry)
        if entries:
            left[name] = entries


def _entries(group: Any, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The repetitions of a group: of a choice one for each value, else the values of the same position together."""
    lists = {name: list(value) if isinstance(value, list | tuple) else [value] for name, value in found.items()}
    if isinstance(group, Choice):
        return [{name: one} for name, values in lists.items() for one in values]
    most = max(map(len, lists.values()), default=0)
    return [{name: values[at] for name, values in lists.items() if at < len(values)} for at in range(most)]


class _LocalFiles(Transport):
    """What the WSDL imports comes from its own folder. `listed`: by type, the values that its enumeration allows, which
    zeep leaves out; None for a type that does not list them all."""

    def __init__(self, folder: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.folder = folder
        self.listed: dict[str, frozenset[str] | None] = {}

    def load(self, url: str) -> bytes:
        content = contract_file(url, self.folder).read_bytes()
        try:
            self._list_values(parse_xml(content))
        except InvalidMessage as error:
            raise ValueError(str(error)) from None
        return content

    def _list_values(self, document: Element) -> None:
        for restriction in document.iterfind(f".//{{{XSD}}}simpleType/{{{XSD}}}restriction"):
            name = _type_name(restriction.getparent())
            values = {str(item.get("value")) for item in restriction.iterfind(f"{{{XSD}}}enumeration")}
            known = self.listed.get(name, frozenset())  # zeep gives types without a name that of their element
            self.listed[name] = None if not values or known is None else known | values


def _type_name(simple_type: Any) -> str:
    schema = next(simple_type.iterancestors(f"{{{XSD}}}schema"))
    name = simple_type.get("name") or simple_type.getparent().get("name", "Anonymous")
    return str(etree.QName(schema.get("targetNamespace"), name).text)


def _without_strange(value: Any, tree: Any, each: str, shapes: Shapes, path: str = "") -> Any:
    """What was read of an answer, without the entries of its list whose shape is to be refused. `tree`: as `as_tree`
    gives it."""
    if not isinstance(value, dict) or not isinstance(tree, dict):
        return value
    found = dict(value)
    for name, part in value.items():
        trees = tree.get(name, ())
        if name != each or not isinstance(part, list):
            found[name] = _without_strange(part, trees[0] if trees else None, each, shapes, f"{path}{name}/")
            continue
        found[name] = [
            UnreadableEntry(f"{path}{name}[{number}]", STRANGE) if shapes.strange(there) else entry
            for number, (entry, there) in enumerate(zip(part, trees, strict=False), 1)
        ] + part[len(trees) :]  # fmt: skip
    return found


class _Unreadable(Exception):
    def __init__(self, path: tuple[str, ...], rule: str) -> None:
        super().__init__(rule)
        self.path = path
        self.rule = rule


class _Reader:
    """Reads an answer by the types of the contract. zeep's own reading makes None of a value that it cannot convert,
    logs it, and takes any word for a boolean. Raises _Unreadable with the place of such a value, never the value."""

    def __init__(self, contract: SoapContract, beside: Mapping[str, bytes], each: str) -> None:
        self._contract = contract
        self._beside = beside
        self._each = each

    def value(self, element: Element, kind: Any, path: tuple[str, ...]) -> Any:
        if element.get(f"{{{XSI}}}nil") in ("true", "1"):
            return None
        kind = self._said_type(element, kind)
        if isinstance(kind, ComplexType):
            return self._record(element, kind, path)
        return self._scalar(element, kind, path) if isinstance(kind, AnySimpleType) else self._untyped(element, path)

    def _said_type(self, element: Element, kind: Any) -> Any:
        """The type that the answer says (xsi:type) where it is one of those that the contract's own stands for."""
        prefix, _, name = element.get(f"{{{XSI}}}type", "").rpartition(":")
        if not name:
            return kind
        try:
            qname = etree.QName(element.nsmap.get(prefix or None), name)
            said = self._contract.types.get_type(qname)  # type: ignore[no-untyped-call]
        except (ZeepError, ValueError):
            return kind
        return said if _derives(said, kind) else kind

    def _record(self, element: Element, kind: Any, path: tuple[str, ...]) -> dict[str, Any] | None:
        nested = kind.elements_nested
        if nested and isinstance(nested[0][1], DeclaredElement):  # a value with attributes
            values = {nested[0][0]: self._scalar(element, nested[0][1].type, path)}
        elif not len(element) and (element.text or "").strip():
            raise _Unreadable(path, "a text where elements were due")
        elif path and not len(element) and not element.attrib:
            return None
        else:
            values = self._children(element, [part for _, part in nested], path)
        for name, attribute in kind.attributes:
            if attribute.name:
                text = element.get(attribute.qname.text)
                value = None if text is None else self._converted(text, attribute.type, (*path, attribute.name))
                values[name] = attribute.default_value if text is None else value
        return values or None

    def _children(self, element: Element, nested: list[Any], path: tuple[str, ...]) -> dict[str, Any]:
        declared = _named_apart(_declared(nested))
        values: dict[str, Any] = {name: [] if many else part.default_value for name, part, many in declared}
        known: dict[str, list[tuple[str, Any, bool]]] = {}
        for name, part, many in declared:
            known.setdefault(part.qname.localname if part.name else "", []).append((name, part, many))
        counted: dict[str, int] = {}
        for child in element:
            tag = local_name(child)
            if tag not in known:
                for name, _, _ in known.get("", [])[:1]:
                    values[name].append(self._untyped(child, (*path, tag)))
                continue
            places = known[tag]
            name, part, many = places[min(counted.get(tag, 0), len(places) - 1)]
            if not many and _is_foreign(child, part):
                continue
            counted[tag] = counted.get(tag, 0) + 1
            place = (*path, f"{tag}[{counted[tag]}]" if many else tag)
            if many:
                values[name].append(self._entry(child, part.type, place))
            elif counted[tag] <= len(places):
                values[name] = self.value(child, part.type, place)
            else:
                raise _Unreadable(place, "more than the contract has")
        return values

    def _entry(self, element: Element, kind: Any, path: tuple[str, ...]) -> Any:
        try:
            return self.value(element, kind, path)
        except _Unreadable as error:
            if local_name(element) != self._each:
                raise
            return UnreadableEntry("/".join(error.path), error.rule)

    def _scalar(self, element: Element, kind: Any, path: tuple[str, ...]) -> Any:
        if isinstance(kind, builtins.Base64Binary) and (href := _reference(element)):
            return self._part(href, path)
        if len(element):
            raise _Unreadable(path, "elements in a value")
        return self._converted(element.text or "", kind, path)

    def _part(self, href: str, path: tuple[str, ...]) -> bytes:
        part = self._beside.get(unquote(href.removeprefix("cid:")))
        if part is None:
            raise _Unreadable(path, "its part is missing")
        return part

    def _untyped(self, element: Element, path: tuple[str, ...]) -> Any:
        """What the contract says nothing of: its text, or its elements by name (a list for one that repeats)."""
        if href := _reference(element):
            return self._part(href, path)
        if not len(element):
            return element.text or None
        found: dict[str, list[Any]] = {}
        for child in element:
            found.setdefault(local_name(child), []).append(self._untyped(child, (*path, local_name(child))))
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}

    def _converted(self, text: str, kind: Any, path: tuple[str, ...]) -> Any:
        if isinstance(kind, ListType):
            return [self._converted(item, kind.item_type, path) for item in text.split()]
        if isinstance(kind, UnionType):
            return self._converted(text, kind.item_class(), path) if kind.item_class else text or None
        listed = self._contract.listed.get(kind.qname.text) if kind.qname else None
        try:
            value = _convert(text, kind) if text else None
        except (ValueError, TypeError, ArithmeticError):
            raise _Unreadable(path, f"no {kind._default_qname.localname}") from None
        if listed is not None and value is not None and " ".join(text.split()) not in listed:
            raise _Unreadable(path, "not listed")
        return value


def _declared(parts: list[Any], many: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """The elements of a type with their names in the result, and whether they repeat; groups are unfolded."""
    for part in parts:
        repeats = many or part.accepts_multiple
        if isinstance(part, Indicator):
            yield from _declared([*part], repeats)  # type: ignore[misc]
        elif isinstance(part, Wildcard):
            yield "_value_1", part, True
        else:
            yield part.attr_name, part, repeats


def _named_apart(declared: Iterable[tuple[str, Any, bool]]) -> list[tuple[str, Any, bool]]:
    """With a name for each: an element that the contract has again is `name__1`, as zeep calls it where it writes."""
    used: dict[str, int] = {}
    apart = []
    for name, part, many in declared:
        again = used.get(name, 0)
        used[name] = again + 1
        apart.append((f"{name}__{again}" if again else name, part, many))
    return apart


def _convert(text: str, kind: Any) -> Any:
    """The value of a text by a type of XML Schema. Raises ValueError, TypeError or ArithmeticError."""
    name = kind._default_qname.localname
    if isinstance(kind, _AS_TEXT) or name == "anySimpleType":
        return kind.pythonvalue(text)
    text = text.strip()
    if not text:
        return None
    if isinstance(kind, builtins.Base64Binary):
        return decode_base64(text)
    if isinstance(kind, builtins.DateTime):  # a blank for the T, or the day alone, is clear enough
        text = text.replace(" ", "T", 1) if len(text) > 10 else f"{text}T00:00:00"
    if not is_xsd_value(text, name):
        raise ValueError(name)
    return bytes.fromhex(text) if isinstance(kind, builtins.HexBinary) else kind.pythonvalue(text)


def _reference(element: Element) -> str:
    """What names the part beside the message that holds the value: `xop:Include` (MTOM), or an address that the element
    has itself (SOAP with attachments); "" where there is none."""
    if len(element) == 1 and element[0].tag == f"{{{XOP}}}Include":
        return element[0].get("href", "") or "cid:"
    href = element.get("href", "")
    return href if href.startswith("cid:") and not len(element) and not (element.text or "").strip() else ""


def _is_foreign(element: Element, part: Any) -> bool:
    """Whether an element has only its name from the contract, and its parent holds the contract's own besides."""
    if namespace(element) == (part.qname.namespace or ""):
        return False
    parent = element.getparent()
    return parent is not None and parent.find(part.qname.text) is not None


def _derives(said: Any, kind: Any) -> bool:
    if isinstance(kind, ComplexType):
        return isinstance(said, ComplexType) and kind._value_class in said.accepted_types
    return not isinstance(kind, AnySimpleType) or isinstance(said, type(kind))


def _names(path: tuple[str, ...]) -> list[str]:
    return [step.partition("[")[0] for step in path]


def _placed(code: str, path: list[str] | tuple[str, ...]) -> str:
    return detailed_fault(code, *_names(tuple(path)))


def _lost(answer: HttpAnswer, said: str, detail: str, *, fault: str = "away.not-json") -> HubError:
    if answer.safe:
        return TryLater(said, detail=detail, fault=fault)
    return Unknown(said, detail=detail, fault=fault if fault.startswith("bad-return") else "")


def _opened(answer: HttpAnswer, name: str) -> tuple[Element, Mapping[str, bytes]]:
    """The one element in the body of the envelope, and the parts that came beside it."""
    try:
        parts = parts_of(answer.headers.get("content-type", ""), answer.body)
        envelope = parse_xml(parts.root, max_bytes=MAX_BYTES, large_text=True, charset=parts.charset, mend=True)
        body, why = _body(envelope), "no SOAP message"
    except (InvalidMessage, ValueError) as error:
        body, why = None, str(error)
    if body is not None and len(body) == 1:
        return body[0], parts.beside
    if answer.status == 400:  # a fault of SOAP 1.2 comes with it too; this is none
        raise Refused(f"{answer.service} refuse la demande (code 400)", native="400", detail=f"{name}: 400, {why}")
    raise _lost(answer, f"{answer.service}{_NO_MESSAGE}", f"{name}: {answer.status}, {why}")


def _body(envelope: Element) -> Element | None:
    soap = namespace(envelope)
    if local_name(envelope) != "Envelope" or soap not in (SOAP_11, SOAP_12):
        return None
    return envelope.find(f"{{{soap}}}Body")


def _sign_in(envelope: Element, user: str, password: Secret) -> None:
    soap = namespace(envelope)
    header = envelope.find(f"{{{soap}}}Header")
    if header is None:
        header = etree.Element(f"{{{soap}}}Header")
        envelope.insert(0, header)
    security = etree.SubElement(header, f"{{{WSSE}}}Security", nsmap={"wsse": WSSE})
    security.set(f"{{{soap}}}mustUnderstand", "1")
    token = etree.SubElement(security, f"{{{WSSE}}}UsernameToken")
    etree.SubElement(token, f"{{{WSSE}}}Username").text = user
    said = etree.SubElement(token, f"{{{WSSE}}}Password", Type=_PASSWORD_TEXT)
    said.text = password.reveal()


def _detail_of(fault: Element) -> Element | None:
    """Where a vendor says more of its fault (1.1 §4.4, 1.2 §5.4.5)."""
    return next((child for child in fault if local_name(child).lower() == "detail"), None)


def _fault_error(fault: Element, name: str, answer: HttpAnswer) -> HubError:
    """The error for a SOAP fault (1.1 §4.4, 1.2 §5.4), by its code. Its text may quote values: left out."""
    soap = {"s": namespace(fault)}
    codes = (text_at(fault, path, soap) for path in ("s:Code/s:Subcode/s:Value", "s:Code/s:Value", "faultcode"))
    parts = [part for code in codes if code for part in code.rpartition(":")[2].split(".")]
    native = parts[0] if parts else ""
    detail = f"{name}: fault {native or 'without a code'}"
    access = next((_ACCESS[part] for part in parts if part in _ACCESS), None)
    if access:
        return AccessDenied(f"{answer.service} refuse nos identifiants", detail=detail, fault=access)
    if _OURS.intersection(parts):
        return Refused(f"{answer.service} refuse la demande", native=native, detail=detail)
    return _lost(answer, f"{answer.service} a répondu par une erreur", detail, fault="away.http-5xx")

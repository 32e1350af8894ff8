"""A mail server on loopback: takes messages and keeps them, misbehaves on demand. Subclass it as the twin of what sends
by SMTP."""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import socketserver
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import ClassVar

from connectors.sdk.twin import LoopbackTwin, QuietServer

_LONGEST_LINE = 4096
_HELD = 30.0


@dataclass(frozen=True, slots=True)
class TwinMessage:
    """A message that the twin took: its envelope, and the message as a reader sees it."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes = field(repr=False)

    @property
    def message(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        return str(body.get_content()).replace("\r\n", "\n") if body else ""

    @property
    def attachments(self) -> dict[str, bytes]:
        parts = self.message.iter_attachments()
        return {part.get_filename() or "": part.get_payload(decode=True) for part in parts}  # type: ignore[misc]


class SmtpTwin(LoopbackTwin):
    """`with SmtpTwin() as twin: twin.host, twin.port`; `messages` keeps what was taken.

    `login`: (user, password) wanted before MAIL. `tls`: a server context: STARTTLS is offered, or the conversation
    starts in TLS when `wrapped`. `utf8`: accented local parts are taken (RFC 6531). `misbehave` makes the next
    conversations go wrong. `operations` are the steps of the conversation as they were reached: "connect", "EHLO",
    "AUTH", "MAIL", "RCPT", "DATA", "text" (while the message comes in) and "end" (after it).
    """

    kinds: ClassVar[Mapping[str, str]] = {
        "refuse": "the port is closed", "drop": "cut", "slow": "no reply in time", "garbage": "no reply of SMTP",
        "421": "421 and cut", "451": "451", "535": "535, the password is refused", "550": "550",
        "lose": "message taken, reply lost",
    }  # fmt: skip
    _WHERE: ClassVar[Mapping[str, Sequence[str]]] = {"refuse": ["connect"], "lose": ["end"]}

    def __init__(
        self, *, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None, wrapped: bool = False,
        utf8: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.messages: list[TwinMessage] = []
        self.commands: list[str] = []
        self.login = login
        self.tls = tls
        self.wrapped = wrapped
        self.utf8 = utf8
        self.lock = threading.Lock()
        self.operations: list[str] = []
        self._faults: list[tuple[str, str]] = []
        self._met: set[str] = set()

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> None:
        """At the step `at` (or `on`): a reply such as "450", "drop" (cut), "slow" (no reply), "garbage", "lose" (at
        "end": the message is kept, then the connection cut), "refuse" (the port is closed until `behave`)."""
        step = at or on
        self._met.discard(kind)
        if step not in self._WHERE.get(kind, [step]) or (step == "text" and kind != "drop"):
            return
        if kind == "refuse":
            self._met.add(kind)
            self.stop()
            return
        with self.lock:
            self._faults += [(step, kind)] * times

    def behave(self) -> None:
        with self.lock:
            self._faults.clear()
        self.start()

    def met(self, kind: str) -> bool:
        return kind in self._met

    def fault(self, at: str) -> str:
        with self.lock:
            self.operations.append(at)
            found = next((fault for fault in self._faults if fault[0] == at), None)
            if found is None:
                return ""
            self._faults.remove(found)
            self._met.add(found[1])
            return found[1]

    def new_server(self) -> socketserver.TCPServer:
        return QuietServer((self.host, self.port), _handler_of(self))


class _Cut(Exception):
    """The conversation ends here."""


def _handler_of(twin: SmtpTwin) -> type[socketserver.StreamRequestHandler]:
    class Handler(_Conversation):
        pass

    Handler.twin = twin
    return Handler


class _Conversation(socketserver.StreamRequestHandler):
    twin: SmtpTwin
    wbufsize = 0

    def setup(self) -> None:
        self.secured = self.known = False
        if self.twin.tls is not None and self.twin.wrapped:
            self.request = self.twin.tls.wrap_socket(self.request, server_side=True)
            self.secured = True
        super().setup()
        self.sender: str | None = None
        self.recipients: list[str] = []

    def handle(self) -> None:
        try:
            self._run_step("connect", lambda: self._reply("220 jumeau ESMTP"))
            while True:
                self._command()
        except (_Cut, OSError):
            return

    def _command(self) -> None:
        line = self._read_line()
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        self.twin.commands.append(verb)
        known: dict[str, Callable[[str], None]] = {
            "EHLO": self._ehlo, "HELO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth,
            "MAIL": self._mail, "RCPT": self._rcpt, "DATA": self._data,
        }  # fmt: skip
        if verb == "QUIT":
            self._reply("221 au revoir")
            raise _Cut
        if verb in ("NOOP", "RSET"):
            self.sender, self.recipients = (None, []) if verb == "RSET" else (self.sender, self.recipients)
            self._reply("250 OK")
        elif verb in known:
            self._run_step(verb, lambda: known[verb](rest))
        else:
            self._reply("502 commande inconnue")

    def _run_step(self, step: str, work: Callable[[], None]) -> None:
        how = self.twin.fault(step)
        if how:
            self._misbehave(how)
        else:
            work()

    def _misbehave(self, how: str) -> None:
        if how == "drop":
            raise _Cut
        if how == "slow":
            self.twin.stopped.wait(_HELD)
            raise _Cut
        self._reply("\x00\xff n'importe quoi" if how == "garbage" else f"{how} jumeau")
        if how == "421":
            raise _Cut

    def _ehlo(self, rest: str) -> None:
        offers = ["jumeau", "8BITMIME", "SIZE 20000000"]
        if self.twin.tls is not None and not self.secured:
            offers.append("STARTTLS")
        if self.twin.login:
            offers.append("AUTH PLAIN")
        if self.twin.utf8:
            offers.append("SMTPUTF8")
        for offer in offers[:-1]:
            self._reply(f"250-{offer}")
        self._reply(f"250 {offers[-1]}")

    def _starttls(self, rest: str) -> None:
        if self.twin.tls is None or self.secured:
            return self._reply("503 pas ici")
        self._reply("220 allons-y")
        self.request = self.connection = self.twin.tls.wrap_socket(self.request, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = socketserver._SocketWriter(self.connection)  # type: ignore[attr-defined]
        self.secured = True
        return None

    def _auth(self, rest: str) -> None:
        mechanism, _, answer = rest.partition(" ")
        if mechanism.upper() != "PLAIN":
            return self._reply("504 PLAIN seulement")
        if not answer:
            self._reply("334 ")
            answer = self._read_line()
        try:
            _, user, password = base64.b64decode(answer, validate=True).decode().split("\0")
        except (binascii.Error, ValueError):
            return self._reply("501 illisible")
        self.known = (user, password) == self.twin.login
        return self._reply("235 bienvenue" if self.known else "535 identifiants refusés")

    def _mail(self, rest: str) -> None:
        if self.twin.login and not self.known:
            return self._reply("530 identification requise")
        self.sender, self.recipients = _address(rest), []
        return self._reply("250 OK")

    def _rcpt(self, rest: str) -> None:
        if self.sender is None:
            return self._reply("503 MAIL d'abord")
        self.recipients.append(_address(rest))
        return self._reply("250 OK")

    def _data(self, rest: str) -> None:
        if self.sender is None or not self.recipients:
            return self._reply("503 RCPT d'abord")
        self._reply("354 continuez")
        if self.twin.fault("text") == "drop":
            raise _Cut
        raw = self._read_content()
        how = self.twin.fault("end")
        if how in ("", "lose"):
            with self.twin.lock:
                self.twin.messages.append(TwinMessage(self.sender, tuple(self.recipients), raw))
        if how == "lose":
            raise _Cut
        if how:
            return self._misbehave(how)
        self.sender, self.recipients = None, []
        return self._reply("250 reçu")

    def _read_content(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise _Cut
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def _read_line(self) -> str:
        line = self.rfile.readline(_LONGEST_LINE)
        if not line:
            raise _Cut
        return line.decode("utf-8", "replace").strip()

    def _reply(self, text: str) -> None:
        self.wfile.write(text.encode("latin-1", "replace") + b"\r\n")


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]

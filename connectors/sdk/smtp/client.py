"""One SMTP conversation. The only file that imports smtplib.

What matters is where it breaks: until the message's text begins to go out nothing was sent; after its last line, the
server may have taken it.
"""

from __future__ import annotations

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from connectors.sdk.deadline import Deadline, connect, current
from connectors.sdk.smtp.replies import PUTS_OFF, reply_error
from schemas.errors import AccessDenied, ConfigError, HubError, Refused, TryLater, Unknown
from schemas.secret import Secret

_CUT = "le serveur de messagerie a coupé la conversation avant la fin du message"
_UNANSWERED = "le serveur de messagerie n'a pas dit s'il a pris le message"
_LATE = "le serveur de messagerie ne répond pas (délai dépassé)"
_NOT_OURS = (OSError, smtplib.SMTPException, ValueError)
_Command = Callable[[], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Server:
    """An outgoing mail server, as the settings of the connection name it. `timeout`: for the conversation until the end
    of the text, and once more for the answer to that; time in which a large text really flows is not counted."""

    host: str
    port: int
    security: str
    user: str | None
    password: Secret | None
    ca_file: str | None
    timeout: float

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Server:
        """Raises ConfigError for a conversation in clear beyond this machine, or a user without password."""
        server = Server(
            host=settings["host"], port=settings.get("port", 587), security=settings.get("security", "starttls"),
            user=settings.get("user"), password=settings.get("password"), ca_file=settings.get("ca_file"),
            timeout=settings.get("timeout_seconds", 30),
        )  # fmt: skip
        if server.security == "none" and not _is_loopback(server.host):
            raise ConfigError("« none » n'est accepté que vers la boucle locale", key="security")
        if (server.user is None) != (server.password is None):
            raise ConfigError("user et password vont ensemble", key="password")
        return server

    def rehearse(self, sender: str) -> None:
        """All of a conversation but the message, which is begun to the sender's own address and taken back: many
        servers say only at the recipient that they take nothing from us. Raises as `send` does before the message;
        whether that address takes mail is no matter."""
        with Deadline(2 * self.timeout), self._connected() as smtp:
            _smtp_command(lambda: smtp.mail(sender), "MAIL")
            error = _reply_to(lambda: smtp.rcpt(sender), "RCPT")
            if isinstance(error, AccessDenied):
                raise error
            _smtp_command(smtp.rset, "RSET")

    def send(self, message: EmailMessage, sender: str, recipient: str) -> None:
        """Hand one message over. Raises TryLater before the text is sent, Unknown when its answer never came, Refused
        when the server said no for good, AccessDenied when it does not let us in."""
        content = message.as_bytes()
        with Deadline(2 * self.timeout) as deadline, self._connected() as smtp:
            options = _options(smtp, content, recipient)
            _smtp_command(lambda: smtp.mail(sender, options), "MAIL")
            _smtp_command(lambda: smtp.rcpt(recipient), "RCPT")
            _smtp_command(lambda: smtp.docmd("DATA"), "DATA", wanted=354)
            _send_content(smtp, content, deadline, self.timeout)

    def _connected(self) -> _Conversation:
        return _Conversation(self)


class _Conversation:
    """A connection that is secured and logged in. Leaving it never hides what happened inside."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> smtplib.SMTP:
        server = self._server
        try:
            self._smtp = smtp = self._connect()
            _smtp_command(smtp.ehlo, "EHLO")
            if server.security == "starttls":
                self._secure(smtp)
            if server.user is not None and server.password is not None:
                self._log_in(smtp, server.user, server.password)
        except HubError:
            self._leave()
            raise
        except ssl.SSLError as error:
            self._leave()
            said = "la connexion sécurisée au serveur de messagerie échoue"
            raise TryLater(said, detail=f"TLS: {error.reason}", fault="away.tls") from None
        except _NOT_OURS as error:
            self._leave()
            said = _LATE if _late() else "le serveur de messagerie n'est pas joignable"
            raise TryLater(said, detail=f"{type(error).__name__}{_late()}", fault=_unreached(error)) from None
        return smtp

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        try:
            return _Smtp(server, self._context() if server.security == "tls" else None)
        except smtplib.SMTPConnectError as error:
            raise reply_error(error.smtp_code, _reply_text(error), "connect") from None

    def _secure(self, smtp: smtplib.SMTP) -> None:
        if not smtp.has_extn("starttls"):
            said = "le serveur de messagerie n'offre pas STARTTLS : rien n'est envoyé en clair"
            raise TryLater(said, fault="away.tls")
        _smtp_command(lambda: smtp.starttls(context=self._context()), "STARTTLS")
        _smtp_command(smtp.ehlo, "EHLO")

    def _log_in(self, smtp: smtplib.SMTP, user: str, password: Secret) -> None:
        """By one mechanism only: smtplib's `login` tries the next one after a refusal, which servers punish."""
        offered = smtp.esmtp_features.get("auth", "").upper().split()
        ways: dict[str, Any] = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login, "CRAM-MD5": smtp.auth_cram_md5}
        name = next((name for name in ways if name in offered), None)
        if name is None:
            said = "le serveur de messagerie n'offre aucune connexion que nous connaissions"
            raise AccessDenied(said, fault="denied.login")
        smtp.user, smtp.password = user, password.reveal()
        try:
            smtp.auth(name, ways[name])
        except smtplib.SMTPAuthenticationError as error:
            detail = f"AUTH: {error.smtp_code}"
            if error.smtp_code >= 500:
                said = "le serveur de messagerie refuse nos identifiants"
                raise AccessDenied(said, detail=detail, fault="denied.login") from None
            raise TryLater(PUTS_OFF, detail=detail, fault="away.busy") from None

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._server.ca_file)

    def _leave(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is None:
            return
        try:
            if smtp.sock is not None:
                smtp.sock.settimeout(2)  # the outcome is known: goodbye is only polite
            smtp.quit()
        except _NOT_OURS:
            smtp.close()


class _Smtp(smtplib.SMTP):
    """smtplib's conversation over a connection that the deadline of this thread may shut down."""

    def __init__(self, server: Server, context: ssl.SSLContext | None) -> None:
        self._tls = context
        # A name is given: smtplib would ask the name servers for ours, beyond every time-out.
        super().__init__(server.host, server.port, local_hostname="localhost", timeout=server.timeout)

    def getreply(self) -> tuple[int, bytes]:
        reply = super().getreply()
        if _late():  # smtplib takes half a line for a reply: "2" of "221" would be success
            raise smtplib.SMTPServerDisconnected("cut at the deadline")
        return reply

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = connect(host, port, timeout)
        self.local_hostname = _own_name(made)
        if self._tls is None:
            return made
        try:
            return self._tls.wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise


def _own_name(connection: socket.socket) -> str:
    """How we greet (RFC 5321 4.1.4): the name of this machine when it is a full one, else its address."""
    name = socket.gethostname()
    if "." in name:
        return name
    address = str(connection.getsockname()[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _smtp_command(command: _Command, name: str, *, wanted: int = 250) -> None:
    """One command before the text of the message: whatever breaks here, nothing was sent."""
    error = _reply_to(command, name, wanted=wanted)
    if error is not None:
        raise error


def _reply_to(command: _Command, name: str, *, wanted: int = 250) -> HubError | None:
    """What the reply to a command means when it is no success. Raises TryLater when there is none."""
    try:
        code, text = command()
    except smtplib.SMTPResponseException as error:
        code, text = error.smtp_code, _reply_text(error)
    except _NOT_OURS as error:
        raise _broken_off(name, error) from None
    if code == wanted or (wanted == 250 and 200 <= code < 300):
        return None
    return reply_error(code, text, name)


def _reply_text(error: smtplib.SMTPResponseException) -> bytes:
    return error.smtp_error if isinstance(error.smtp_error, bytes) else error.smtp_error.encode("ascii", "replace")


def _broken_off(step: str, error: Exception) -> TryLater:
    late = _late()
    fault = "away.timeout" if late or isinstance(error, TimeoutError) else "away.cut"
    return TryLater(_LATE if late else _CUT, detail=f"{step}: {type(error).__name__}{late}", fault=fault)


def _send_content(smtp: smtplib.SMTP, content: bytes, deadline: Deadline, timeout: float) -> None:
    """The text, then its end. smtplib's own `data` does not tell which of the two broke."""
    try:
        deadline.send(smtp.send, _dot_stuffed(content))
    except _NOT_OURS as error:
        raise TryLater(_CUT, detail=f"text: {type(error).__name__}", fault="away.cut") from None
    if deadline.left() < timeout:  # until its end goes out the message is not sent
        raise TryLater(_LATE, detail="text: too little time is left for the answer", fault="away.timeout")
    try:
        smtp.send(b".\r\n")
        code, text = smtp.getreply()
    except _NOT_OURS as error:
        fault = "unknown.stop" if deadline.stopped else "unknown.cut"
        raise Unknown(_UNANSWERED, detail=f"end: {type(error).__name__}{_late()}", fault=fault) from None
    if not 200 <= code < 300:
        raise reply_error(code, text, "message") if 400 <= code < 600 else Unknown(_UNANSWERED, detail=f"end: {code}")


def _late() -> str:
    deadline = current()
    return ", the deadline has passed" if deadline is not None and deadline.passed else ""


def _dot_stuffed(content: bytes) -> bytes:
    """RFC 5321 4.5.2: CR LF at each end, a period doubled at the start of a line."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)


def _options(smtp: smtplib.SMTP, content: bytes, recipient: str) -> list[str]:
    """Raises Refused when the recipient's address needs what the server does not offer (RFC 6531)."""
    size = [f"SIZE={len(content)}"] if smtp.has_extn("size") else []
    if recipient.isascii():
        return size
    if not smtp.has_extn("smtputf8"):
        said = "le serveur de messagerie ne prend pas d'adresse accentuée avant le @"
        raise Refused(said, native="smtputf8", fault="refused.smtputf8")
    return [*size, "SMTPUTF8", "BODY=8BITMIME"]


def _unreached(error: Exception) -> str:
    if _late() or isinstance(error, TimeoutError):
        return "away.timeout"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "away.name"
    return "away.unreachable"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

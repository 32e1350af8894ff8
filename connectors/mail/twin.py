"""The town's mail server on loopback."""

from __future__ import annotations

from typing import Any

from connectors.sdk.smtp_twin import SmtpTwin
from schemas.secret import Secret


class MailTwin(SmtpTwin):
    """A mail server as `SmtpTwin`, and what a connection to it sets."""

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings of a connection to this twin."""
        security = "none" if self.tls is None else "tls" if self.wrapped else "starttls"
        wanted: dict[str, Any] = {"host": self.host, "port": self.port, "security": security}
        if self.login:
            wanted |= {"user": self.login[0], "password": Secret(self.login[1])}
        return wanted | {"sender": "ne-pas-repondre@ville.example", "sender_name": "Ville de Saint-Aubin"} | more

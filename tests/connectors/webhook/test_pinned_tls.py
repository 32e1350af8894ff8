"""A pinned call over TLS: connected to an address, verified under the name."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.sdk.http import HttpClient
from schemas.errors import TryLater

NAME = "abonne.example"


class _Answer(BaseHTTPRequestHandler):
    hosts: list[str]

    def do_GET(self) -> None:
        self.hosts.append(self.headers["host"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _certificate(folder: Path) -> Path:
    """Self-signed, for the name alone: the address is not in it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    certificate = builder.add_extension(x509.BasicConstraints(True, None), critical=True).sign(key, hashes.SHA256())
    path = folder / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path, list[str]]]:
    path, hosts = _certificate(tmp_path), list[str]()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listening = HTTPServer(("127.0.0.1", 0), type("Handler", (_Answer,), {"hosts": hosts}))
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    yield listening.server_address[1], path, hosts
    listening.shutdown()
    listening.server_close()


@pytest.fixture(autouse=True)
def _loopback_stands_for_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.sdk.addresses.resolve", lambda host, port: ["127.0.0.1"])
    monkeypatch.setattr("connectors.sdk.addresses.is_public", lambda text: ipaddress.ip_address(text).is_loopback)


def test_the_certificate_is_checked_for_the_name_though_an_address_is_called(
    server: tuple[int, Path, list[str]],
) -> None:
    port, authority, hosts = server
    with HttpClient(f"https://{NAME}:{port}", ca_file=str(authority), pin_public=True) as client:
        assert client.request("GET", "/").status == 204
    assert hosts == [f"{NAME}:{port}"]


def test_a_certificate_for_another_name_is_not_accepted(server: tuple[int, Path, list[str]]) -> None:
    port, authority, hosts = server
    client = HttpClient(f"https://autre.example:{port}", ca_file=str(authority), pin_public=True)
    with client, pytest.raises(TryLater):
        client.request("GET", "/")
    assert hosts == []

"""Whose call a proxy hands on, and that nobody else is believed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.proxies import Proxies, household, plain_address
from tests.gateway.conftest import House, Open
from tests.gateway.raw import ask, connect, head, listening

ROOT = Path(__file__).resolve().parents[2]
OURS = ("10.0.0.0/8", "127.0.0.1", "fd00::/8")
FORM = b"grant_type=client_credentials&client_id=portail&client_secret="


@pytest.mark.parametrize(
    ("header", "lines", "client"),
    [
        ("x-forwarded-for", [], "10.0.0.1"),
        ("x-forwarded-for", ["203.0.113.5"], "203.0.113.5"),
        ("x-forwarded-for", ["6.6.6.6, 203.0.113.5"], "203.0.113.5"),
        ("x-forwarded-for", ["6.6.6.6", "203.0.113.5, 10.2.0.1"], "203.0.113.5"),
        ("x-forwarded-for", ["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("x-forwarded-for", ["203.0.113.5:4711"], "203.0.113.5"),
        ("x-forwarded-for", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("x-forwarded-for", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("x-forwarded-for", ["203.0.113.5, unknown"], "10.0.0.1"),
        ("x-forwarded-for", ["203.0.113.5, <script>, 10.0.0.7"], "10.0.0.7"),
        ("x-forwarded-for", [""], "10.0.0.1"),
        ("x-forwarded-for", ["," * 20_000], "10.0.0.1"),
        ("forwarded", ["for=203.0.113.5"], "203.0.113.5"),
        ("forwarded", ['for=6.6.6.6, For="203.0.113.5:80";proto=https;by=10.0.0.1'], "203.0.113.5"),
        ("forwarded", ['by=10.0.0.1;for="[2001:db8::7]:4711", for=10.0.0.3'], "2001:db8::7"),
        ("forwarded", ['for="6.6.6.6, for=203.0.113.5"'], "10.0.0.1"),
        ("forwarded", ["for=_hidden"], "10.0.0.1"),
        ("forwarded", ["proto=https"], "10.0.0.1"),
        ("forwarded", ['for="' + "a\\" * 20_000], "10.0.0.1"),
    ],
)
def test_the_client_is_the_rightmost_that_is_no_proxy_of_ours(header: str, lines: list[str], client: str) -> None:
    fields = [(header.encode(), line.encode()) for line in lines]
    other = b"forwarded" if header != "forwarded" else b"x-forwarded-for"
    fields += [(other, b"9.9.9.9"), (other, b"for=9.9.9.9"), (b"x-real-ip", b"9.9.9.9")]
    assert Proxies(OURS, header).client_of(fields, "10.0.0.1") == client


def test_an_address_is_believed_when_it_is_named_or_in_a_network_that_is() -> None:
    proxies = Proxies(OURS)
    assert all(map(proxies.trusts, ("10.9.9.9", "127.0.0.1", "::ffff:127.0.0.1", "fd12::1")))
    assert not any(map(proxies.trusts, ("11.0.0.1", "127.0.0.2", "fe80::1", "", "testclient")))
    assert not Proxies().trusts("127.0.0.1")


def test_addresses_are_compared_without_ports_and_ipv6_by_network() -> None:
    assert plain_address("unix:") is None
    assert household("203.0.113.5") == "203.0.113.5"
    assert household("2001:db8::1") == household("2001:db8::ffff") != household("2001:db8:0:1::1")


def wrong(
    house: House, forwarded: str, secret: str = "faux", header: str = "X-Forwarded-For", *, source: str = "127.0.0.1",
    port: int = 0,
) -> int:  # fmt: skip
    body = FORM + secret.encode()
    with connect(house, source, port=port) as line:
        form = "Content-Type: application/x-www-form-urlencoded"
        fields = (form, f"Content-Length: {len(body)}", f"{header}: {forwarded}")
        return ask(line, head("POST", "/oauth/token", *fields) + body).status


def test_behind_the_proxy_each_client_has_its_own_ten_failures(open_house: Open) -> None:
    house = open_house(extra=listening(trusted_proxies=["127.0.0.1"]))
    secret = house.add() or ""

    assert [wrong(house, "203.0.113.5") for _ in range(11)] == [401] * 10 + [429]
    assert wrong(house, "203.0.113.6") == 401
    assert wrong(house, "203.0.113.5", secret) == 200


def test_what_a_client_writes_itself_into_the_header_changes_nothing(open_house: Open) -> None:
    # github.com/Observal/Observal/pull/1233, github.com/silly-geese/estonian-mcp/pull/41: the leftmost was taken
    house = open_house(extra=listening(trusted_proxies=["127.0.0.1"]))
    house.add()

    assert [wrong(house, f"6.6.6.{n}, 203.0.113.5") for n in range(11)][-1] == 429
    assert [wrong(house, f"203.0.113.{n}", header="Forwarded") for n in range(11)][-1] == 429


def test_without_the_setting_nobody_is_believed(house: House) -> None:
    # github.com/langflow-ai/langflow/pull/13509
    secret = house.add() or ""

    assert [wrong(house, f"203.0.113.{n}") for n in range(11)] == [401] * 10 + [429]
    assert wrong(house, "203.0.113.5", secret) == 200


def test_another_address_than_the_proxys_is_not_believed(open_house: Open) -> None:
    house = open_house(extra=listening(trusted_proxies=["127.0.0.9"]))
    house.add()
    assert [wrong(house, f"203.0.113.{n}") for n in range(11)][-1] == 429


@pytest.fixture
def nginx(tmp_path: Path, open_house: Open) -> Iterator[tuple[House, int]]:
    """The example of `deploy/`, without TLS, before a gateway of ours."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    house = open_house(extra=listening(trusted_proxies=["127.0.0.1"]))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    example = (ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")
    example = re.sub(r"^ *ssl_.*\n", "", example, flags=re.MULTILINE).replace(
        "listen 443 ssl", f"listen 127.0.0.1:{port}"
    )
    example = example.replace("127.0.0.1:8080", house.url.removeprefix("http://"))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    start = f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log;" + (" user root;" if os.geteuid() == 0 else "")
    shell = f"{start} events {{}} http {{ access_log off; {folders}\n{example} }}"
    (tmp_path / "nginx.conf").write_text(shell, encoding="utf-8")
    with subprocess.Popen([program, "-e", f"{tmp_path}/log", "-c", f"{tmp_path}/nginx.conf"]) as process:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text(encoding="utf-8")
            time.sleep(0.05)
        yield house, port
        process.terminate()


def test_the_example_of_a_proxy_hands_on_who_calls_and_what_was_refused(nginx: tuple[House, int]) -> None:
    house, port = nginx
    secret = house.add() or ""

    assert [wrong(house, "6.6.6.6", source="127.0.0.2", port=port) for _ in range(11)] == [401] * 10 + [429]
    assert wrong(house, "6.6.6.6", source="127.0.0.3", port=port) == 401
    assert wrong(house, "6.6.6.6", secret, source="127.0.0.2", port=port) == 200
    token = house.client("autre").headers["authorization"]
    for size, status in ((1_000_000, 201), (11_000_000, 413), (17_000_000, 413)):
        with connect(house, port=port) as line:
            call = head("POST", "/v1/documents", f"Authorization: {token}", f"Content-Length: {size}")
            assert ask(line, call + b"x" * size).status == status
    for path, status in (("/healthz", 404), ("/metrics", 404), ("/docs", 200), ("/schemas", 200)):
        with connect(house, port=port) as line:
            assert ask(line, head("GET", path)).status == status

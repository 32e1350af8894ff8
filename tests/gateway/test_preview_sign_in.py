"""A preview behind FranceConnect: its person sees it and decides, and nobody else, whatever they bring."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest
import structlog
from sqlalchemy import update

from gateway.serving.app import create_app
from gateway.serving.server import serve_in_thread
from hub.exchanges.exchange import AT_ADDRESS, SIGNED_IN
from hub.exchanges.previews import digest
from hub.storage.tables import citizens, exchange_previews, preview_sign_ins
from hub.wiring import Hub
from schemas.secret import Secret
from tests.gateway.conftest import OTHER, PUBLIC_URL, TENANT, Open
from tests.gateway.test_exchanges import GRANTS, PERSON, STRANGER, Place, Spring, code
from tests.support.franceconnect import CLIENT, ILYES, MAELLE, SECRET, FranceConnectTwin

VALUES = "Université des Marais"
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]
LABEL = "Ville de Saint-Aubin"


@pytest.fixture
def twin() -> Iterator[FranceConnectTwin]:
    with FranceConnectTwin() as twin:
        yield twin


@pytest.fixture
def opening(open_house: Open, tmp_path: Path, twin: FranceConnectTwin) -> Callable[..., Place]:
    def build(**more: Any) -> Place:
        folder = tmp_path / "grants"
        folder.mkdir()
        (folder / "town.toml").write_text(GRANTS, encoding="utf-8")
        sign_in = {"issuer": twin.issuer, "client_id": CLIENT, "client_secret": Secret(SECRET)}
        tenants = {
            TENANT: {"label": LABEL, "siret": "21930001100018", "insee": "93001", "franceconnect": sign_in},
            OTHER: {"label": "Ville de Val-Fleuri", "siret": "21930002900010", "insee": "93002"},
        }
        house = open_house(grants_dir=str(folder), tenants=tenants, **more)
        spring = Spring()
        house.hub.exchanges.sources = spring  # type: ignore[assignment]
        return Place(house, spring)

    return build


@pytest.fixture
def place(opening: Callable[..., Place]) -> Place:
    return opening()


@dataclass
class Browser:
    """Somebody's, with its cookies."""

    place: Place
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = self.place.house.anonymous()

    def open(self, address: str) -> httpx.Response:
        return self.http.get(address.removeprefix(PUBLIC_URL))

    def go(self, path: str) -> str:
        """Begin; the address at FranceConnect."""
        answer = self.open(f"{path}/sign-in")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def meet(self, address: str) -> str:
        """Sign in at FranceConnect; the address that it sends back to."""
        return httpx.get(address).headers["location"]

    def sign_in(self, path: str) -> httpx.Response:
        back = self.open(self.meet(self.go(path)))
        return self.open(back.headers["location"]) if back.status_code == 303 else back

    def decide(self, path: str, decision: str = "used") -> httpx.Response:
        page = self.open(path).text
        check = page.partition('name="check" value="')[2].partition('"')[0]
        return self.http.post(path, data={"decision": decision, "check": check})


def preview(place: Place, person: dict[str, Any] = PERSON) -> tuple[str, str]:
    client = place.house.client()
    said = place.ask(client, "student-status", explicit_request=True, citizen={"identity": person}).json()
    return said["exchange"], said["preview"].removeprefix(PUBLIC_URL)


def decisions(place: Place) -> list[str]:
    return [row.decision for row in place.rows(exchange_previews)]


def how_decided(place: Place, outcome: str) -> str:
    (line,) = [line for line in place.lines() if line.outcome == outcome]
    return str(json.loads(line.facts)["decided"])


def shows_nothing(answer: httpx.Response) -> bool:
    words = (VALUES, LABEL, "Corvisart", "CORVISART", "Benzerti", "BENZERTI", "étudiant", "inscri", 'name="decision"')
    return not any(word in answer.text for word in words) and "text/html" in answer.headers["content-type"]


# --- the person -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pkce", [True, False])
def test_the_person_signs_in_sees_decides_and_signs_out(place: Place, twin: FranceConnectTwin, pkce: bool) -> None:
    twin.pkce = pkce
    exchange, path = preview(place)
    browser = Browser(place)

    first = browser.open(path)
    assert first.status_code == 200
    assert shows_nothing(first)
    assert "FranceConnect" in first.text
    page = browser.sign_in(path)
    assert VALUES in page.text
    done = browser.decide(path)
    assert "Vous avez accepté" in done.text
    assert VALUES not in done.text

    end = done.text.partition('content="0; url=')[2].partition('"')[0].replace("&amp;", "&")
    assert end.startswith(f"{twin.issuer}/session/end?id_token_hint=")
    assert "déconnecté" in browser.open(browser.meet(end)).text
    assert place.house.client().post(f"/v1/exchanges/{exchange}").json()["values"]["enrolled"]["value"] is True
    assert how_decided(place, "answered") == SIGNED_IN.format(level="eidas1")


def test_a_no_of_the_person_says_who_said_it(place: Place) -> None:
    _, path = preview(place)
    browser = Browser(place)
    browser.sign_in(path)
    assert "Vous avez refusé" in browser.decide(path, "refused").text
    assert how_decided(place, "refused_by_person") == SIGNED_IN.format(level="eidas1")


def test_where_nobody_signs_in_the_journal_says_what_is_known(opening: Callable[..., Place]) -> None:
    place = opening()
    place.house.hub.exchanges.sign_ins._providers = {}
    exchange, path = preview(place)
    browser = Browser(place)
    assert browser.open(f"{path}/sign-in").status_code == 404
    assert VALUES in browser.open(path).text
    browser.decide(path)
    place.house.client().post(f"/v1/exchanges/{exchange}")
    assert how_decided(place, "answered") == AT_ADDRESS


def test_the_browser_is_sent_away_with_what_franceconnect_wants(place: Place, twin: FranceConnectTwin) -> None:
    _, path = preview(place)
    asked = dict(parse_qsl(urlsplit(Browser(place).go(path)).query))
    assert asked["redirect_uri"] == f"{PUBLIC_URL}/franceconnect/signed-in"
    assert {"state", "nonce", "acr_values", "scope", "client_id"} <= asked.keys()
    token = path.rpartition("/")[2]
    assert not any(token in value for value in asked.values())


def test_cookies_are_short_lived_and_out_of_reach(opening: Callable[..., Place]) -> None:
    place = opening(public_url="https://hub.example")
    client = place.house.client()
    path = (
        place.ask(client, "student-status", explicit_request=True).json()["preview"].removeprefix("https://hub.example")
    )
    browser = Browser(place)
    begun = browser.open(f"{path}/sign-in")
    (cookie,) = begun.headers.get_list("set-cookie")
    name, _, value = cookie.partition("=")
    assert name.startswith("__Host-sign-in-")
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Secure", "Path=/", "Max-Age=600"))
    back = browser.meet(begun.headers["location"]).removeprefix("https://hub.example")
    signed = browser.http.get(back, headers={"cookie": f"{name}={value.partition(';')[0]}"})
    opened, gone = signed.headers.get_list("set-cookie")
    assert opened.startswith("__Host-preview-")
    assert all(word in opened for word in ("HttpOnly", "SameSite=lax", "Secure", "Path=/", "Max-Age=600"))
    assert gone.startswith(f'{name}=""')


# --- somebody else --------------------------------------------------------------------------------------------------


def test_another_person_sees_nothing_and_decides_nothing(place: Place, twin: FranceConnectTwin) -> None:
    exchange, path = preview(place)
    twin.person = dict(ILYES)
    browser = Browser(place)
    answer = browser.sign_in(path)
    assert answer.status_code == 403
    assert shows_nothing(answer)
    assert shows_nothing(browser.decide(path))
    assert decisions(place) == ["open"]
    assert code(place.house.client().post(f"/v1/exchanges/{exchange}")) == "preview_required"


@pytest.mark.parametrize("known", [True, False])
def test_who_is_another_reads_the_same_whether_the_hub_knows_them(
    place: Place, twin: FranceConnectTwin, known: bool
) -> None:
    if known:
        preview(place, STRANGER)
    _, path = preview(place)
    twin.person = dict(ILYES)
    text = Browser(place).sign_in(path).text
    head, _, rest = text.partition("id_token_hint=")
    assert (head[-60:] + rest[-60:]).count("FranceConnect") == 1
    assert "n’est pas celle qui est attendue" in text


@pytest.mark.parametrize(
    "other",
    [
        {"given_name": "Odette Maëlle"}, {"given_name": "Odette"}, {"birthdate": "1987-03-08"},
        {"birthdate": "1987-09-03"}, {"family_name": "CORVISARD"}, {"gender": "male"}, {"birthplace": "2A005"},
    ],
)  # fmt: skip
def test_who_is_only_like_the_person_is_another(place: Place, twin: FranceConnectTwin, other: dict[str, str]) -> None:
    _, path = preview(place)
    twin.person = {**MAELLE, **other}
    answer = Browser(place).sign_in(path)
    assert (answer.status_code, shows_nothing(answer)) == (403, True)


def test_who_tells_less_is_the_person_only_where_the_hub_knows_as_little(place: Place, twin: FranceConnectTwin) -> None:
    less = {name: part for name, part in PERSON.items() if name != "birthplace"}
    _, path = preview(place)
    twin.person = {**MAELLE, "birthplace": ""}
    assert Browser(place).sign_in(path).status_code == 403

    _, path = preview(place, {**less, "family_name": "BENZERTI", "given_names": ["Ilyès"], "gender": "male"})
    twin.person = {**ILYES, "birthplace": ""}
    assert Browser(place).sign_in(path).status_code == 200


def test_who_could_be_one_of_two_is_nobody(place: Place) -> None:
    _, path = preview(place)
    hub = place.house.hub
    namesake = {"identity": {**PERSON, "given_names": ["Maëlle"]}, "references": [{"system": "koha", "id": "9"}]}
    with hub.ledger.transaction() as tx:
        tx.sql.execute(update(citizens).values(pivot=None))  # known by likeness alone
        book = hub.acceptance.citizens(tx, f"{TENANT}.koha")
        book.prefetch(TENANT, [])
        citizen = book.resolve(TENANT, {"references": namesake["references"]})
        book.identities.add_identity(citizen.id, TENANT, namesake)  # type: ignore[union-attr]
        book.save()
    assert Browser(place).sign_in(path).status_code == 403


def test_of_whom_no_identity_is_known_nobody_proves_to_be(place: Place) -> None:
    hub = place.house.hub
    with hub.ledger.transaction() as tx:
        book = hub.acceptance.citizens(tx, f"{TENANT}.portail")
        named = {"references": [{"system": "portail", "id": "7"}]}
        book.prefetch(TENANT, [named])
        book.resolve(TENANT, named)
        book.save()
    said = place.ask(place.house.client(), "student-status", explicit_request=True, citizen=named).json()
    assert Browser(place).sign_in(said["preview"].removeprefix(PUBLIC_URL)).status_code == 403


# --- attacks --------------------------------------------------------------------------------------------------------


def test_without_signing_in_nothing_is_decided(place: Place) -> None:
    _, path = preview(place)
    assert shows_nothing(Browser(place).http.post(path, data={"decision": "used"}))
    assert decisions(place) == ["open"]


def test_the_cookie_of_one_preview_does_not_open_another(place: Place) -> None:
    """Lent under its own name, and under the one that the other preview's would have."""
    (_, mine), (_, other) = preview(place), preview(place, STRANGER)
    browser = Browser(place)
    browser.sign_in(mine)
    assert shows_nothing(browser.open(other))
    (own,) = [c for c in browser.http.cookies.jar if c.name.startswith("preview-")]
    thief = Browser(place)
    thief.go(other)
    place_of_other = f"preview-{digest(other.rpartition('/')[2])[:16]}"
    thief.http.cookies.set(place_of_other, own.value or "")
    assert shows_nothing(thief.open(other))
    assert shows_nothing(thief.http.post(other, data={"decision": "used"}))
    assert decisions(place) == ["open", "open"]


def test_who_began_in_one_browser_does_not_end_in_another(place: Place) -> None:
    """Login CSRF: the attacker's own way back, opened by somebody else."""
    _, path = preview(place)
    attacker, victim = Browser(place), Browser(place)
    back = attacker.meet(attacker.go(path))
    answer = victim.open(back)
    assert (answer.status_code, shows_nothing(answer)) == (400, True)
    victim.go(path)
    assert victim.open(back).status_code == 400
    assert shows_nothing(victim.open(path))


def test_a_stolen_code_in_another_s_sign_in_opens_nothing(place: Place, twin: FranceConnectTwin) -> None:
    """The attacker has the address and the victim's code, and brings them back with a state of their own."""
    _, path = preview(place)
    victim, attacker = Browser(place), Browser(place)
    stolen = dict(parse_qsl(urlsplit(victim.meet(victim.go(path))).query))["code"]
    own = dict(parse_qsl(urlsplit(attacker.go(path)).query))["state"]
    answer = attacker.open(f"/franceconnect/signed-in?code={quote(stolen)}&state={quote(own)}")
    assert (answer.status_code, shows_nothing(answer)) == (400, True)
    assert shows_nothing(attacker.open(path))


def test_a_way_back_is_gone_once(place: Place) -> None:
    _, path = preview(place)
    browser = Browser(place)
    back = browser.meet(browser.go(path))
    kept = {cookie.name: cookie.value or "" for cookie in browser.http.cookies.jar}
    assert browser.open(back).status_code == 303
    browser.http.cookies.update(kept)
    assert browser.open(back).status_code == 400


@pytest.mark.parametrize("database", DATABASES)
def test_of_two_that_come_back_at_once_one_signs_in(
    opening: Callable[..., Place], database: str, request: pytest.FixtureRequest
) -> None:
    more = {"database": request.getfixturevalue("postgres").fresh_database()} if database == "postgresql" else {}
    place = opening(**more)
    _, path = preview(place)
    browser = Browser(place)
    back = browser.meet(browser.go(path)).removeprefix(PUBLIC_URL)
    (cookie,) = browser.http.cookies.jar
    together = threading.Barrier(6)

    def come(_: int) -> int:
        together.wait()
        return httpx.get(place.house.url + back, headers={"cookie": f"{cookie.name}={cookie.value}"}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(come, range(6))) == [303, *[400] * 5]


def test_who_began_at_one_gateway_ends_and_decides_at_another(place: Place) -> None:
    exchange, path = preview(place)
    browser = Browser(place)
    back = browser.meet(browser.go(path))
    second = Hub(place.house.hub.settings)
    serving = serve_in_thread(create_app(second.services()))
    try:
        browser.http.base_url = httpx.URL(serving.url)
        assert VALUES in browser.open(browser.open(back).headers["location"]).text
        assert "Vous avez accepté" in browser.decide(path).text
    finally:
        serving.stop()
        second.close()
    assert place.house.client().post(f"/v1/exchanges/{exchange}").status_code == 200


def test_two_previews_in_two_tabs_are_not_mixed(place: Place, twin: FranceConnectTwin) -> None:
    (_, mine), (_, other) = preview(place), preview(place, STRANGER)
    browser = Browser(place)
    first, second = browser.go(mine), browser.go(other)
    back = browser.meet(first)
    twin.person = dict(ILYES)
    assert browser.open(browser.meet(second)).headers["location"].endswith(other)
    assert browser.open(back).headers["location"].endswith(mine)
    assert "Corvisart" not in browser.open(other).text
    browser.decide(other, "refused")
    assert sorted(decisions(place)) == ["open", "refused"]


def test_the_way_back_of_one_tab_does_not_open_the_preview_of_the_other(place: Place, twin: FranceConnectTwin) -> None:
    """The cookie of one sign-in, put where the other's was."""
    (_, mine), (_, other) = preview(place), preview(place, STRANGER)
    browser = Browser(place)
    back = browser.meet(browser.go(mine))
    (own,) = browser.http.cookies.jar
    secret = (own.value or "").partition(".")[0]
    crossed = f"{own.name}={secret}.{other.rpartition('/')[2]}"
    thief = place.house.anonymous()
    assert thief.get(back.removeprefix(PUBLIC_URL), headers={"cookie": crossed}).status_code == 400


def test_two_people_in_turn_in_one_browser_see_each_their_own(place: Place, twin: FranceConnectTwin) -> None:
    (_, first), (_, second) = preview(place), preview(place, STRANGER)
    browser = Browser(place)
    browser.sign_in(first)
    browser.decide(first)
    place.house.clock.ahead += 61
    assert shows_nothing(browser.open(first))
    assert "Vous avez accepté" not in browser.open(first).text
    twin.ahead, twin.person = 61, dict(ILYES)
    assert "Maëlle" not in browser.sign_in(second).text
    assert browser.sign_in(first).status_code == 403


def test_who_signs_in_where_another_is_signed_in_ends_what_that_one_saw(place: Place, twin: FranceConnectTwin) -> None:
    _, path = preview(place)
    browser = Browser(place)
    browser.sign_in(path)
    twin.person = dict(ILYES)
    assert browser.sign_in(path).status_code == 403
    assert shows_nothing(browser.open(path))


def test_who_signed_in_before_is_not_taken_for_who_sits_there_now(place: Place, twin: FranceConnectTwin) -> None:
    """A session that FranceConnect still holds from another."""
    _, path = preview(place)
    twin.lie = lambda claims: {**claims, "auth_time": claims["iat"] - 600}
    assert Browser(place).sign_in(path).status_code == 400


def test_a_form_of_another_page_of_the_same_site_decides_nothing(place: Place) -> None:
    """A portal in the same domain, to which the address is known, sends the person's cookie along."""
    _, path = preview(place)
    browser = Browser(place)
    browser.sign_in(path)
    for check in ("", "x" * 43, "é"):
        assert "Vous avez" not in browser.http.post(path, data={"decision": "used", "check": check}).text
    assert decisions(place) == ["open"]


@pytest.mark.parametrize("query", ["", "?state=", "?state=x&code=y", "?code=y", "?error=e", "?state=%ff%00"])
def test_who_comes_from_nowhere_signs_in_nowhere(place: Place, query: str) -> None:
    answer = Browser(place).open(f"/franceconnect/signed-in{query}")
    assert (answer.status_code, shows_nothing(answer)) == (400, True)


def test_who_gives_up_at_franceconnect_may_begin_again(place: Place, twin: FranceConnectTwin) -> None:
    _, path = preview(place)
    twin.denies = True
    browser = Browser(place)
    answer = browser.sign_in(path)
    assert (answer.status_code, shows_nothing(answer)) == (400, True)
    assert f'href="{PUBLIC_URL}{path}"' in answer.text
    twin.denies = False
    assert VALUES in browser.sign_in(path).text


@pytest.mark.parametrize("kind", ["500", "drop", "html", "garbage", "large", "302", "401", "empty"])
@pytest.mark.parametrize("on", ["openid-configuration", "token", "jwks", "userinfo"])
def test_a_franceconnect_that_is_away_or_answers_nonsense_opens_nothing(
    place: Place, twin: FranceConnectTwin, kind: str, on: str
) -> None:
    _, path = preview(place)
    browser = Browser(place)
    twin.misbehave(kind, 1, on=on)
    answer = browser.open(f"{path}/sign-in")
    if answer.status_code == 303:
        answer = browser.open(browser.meet(answer.headers["location"]))
    assert answer.status_code in (400, 503)
    assert shows_nothing(answer)
    assert decisions(place) == ["open"]
    assert VALUES in browser.sign_in(path).text


def test_a_late_return_and_a_late_session_are_over(place: Place, twin: FranceConnectTwin) -> None:
    _, path = preview(place)
    browser = Browser(place)
    back = browser.meet(browser.go(path))
    place.house.clock.ahead = twin.ahead = 601
    assert browser.open(back).status_code == 400
    _, path = preview(place)
    assert VALUES in browser.sign_in(path).text
    place.house.clock.ahead = twin.ahead = 1202
    assert shows_nothing(browser.open(path))


def test_sign_ins_under_way_for_one_preview_are_bounded(place: Place) -> None:
    _, path = preview(place)
    browser = Browser(place)
    answers = [browser.open(f"{path}/sign-in").status_code for _ in range(25)]
    assert answers == [303] * 20 + [503] * 5
    assert len(place.rows(preview_sign_ins)) == 20


def test_neither_the_database_nor_the_log_holds_what_opens_a_preview(place: Place) -> None:
    _, path = preview(place)
    browser = Browser(place)
    with structlog.testing.capture_logs() as lines:
        browser.sign_in(path)
    secrets = [part for cookie in browser.http.cookies.jar for part in (cookie.value or "").split(".")]
    assert secrets
    stored = str(place.rows(preview_sign_ins)) + str(lines)
    assert not any(secret in stored for secret in [*secrets, path.rpartition("/")[2]])
    assert "CORVISART" not in stored


def test_a_person_who_was_erased_meanwhile_signs_in_nowhere(place: Place) -> None:
    _, path = preview(place)
    browser = Browser(place)
    back = browser.meet(browser.go(path))
    with place.house.hub.ledger.transaction() as tx:
        for row in tx.sql.execute(citizens.select()).all():
            place.house.hub.keys.destroy(tx, row.id)
    assert browser.open(back).status_code == 400
    assert browser.open(path).status_code == 404

"""What FranceConnect says is believed when all of it is as it should be, and not at all otherwise."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc.jwk import ECKey, OctKey

from connectors.sdk.twin import TwinCall
from hub.exchanges.franceconnect import Call, FranceConnect, SignedIn, SignIn, SignInFailed, is_whole
from hub.settings.model import FranceConnect as Settings
from schemas.errors import Refused
from schemas.identities import NO_NAME
from schemas.registry import Registry
from schemas.secret import Secret
from tests.support.franceconnect import CLIENT, MAELLE, SECRET, Claims, FranceConnectTwin, base64url

BACK = "https://hub.example/franceconnect/signed-in"
REGISTRY = Registry.load()
PERSON = {
    "family_name": "CORVISART", "given_names": ["Maëlle", "Odette"], "gender": "female", "birthdate": "1987-03-09",
    "birthplace": "2A004", "birthcountry": "99100",
}  # fmt: skip


class Setting:
    """A FranceConnect without sockets, and the hub's side of it."""

    def __init__(self, algorithm: str = "ES256", acr: str = "eidas1") -> None:
        self.twin = FranceConnectTwin(algorithm)
        self.twin.port = 9  # it listens nowhere
        self.clock = 0.0
        self.calls = 0
        self.mark = b""  # what stands before each JSON text
        settings = Settings(self.twin.issuer, CLIENT, Secret(SECRET), acr, algorithm)
        self.side = FranceConnect(
            settings, self._together, REGISTRY, signed_in=BACK, signed_out=f"{BACK}-out", clock=lambda: self.clock
        )

    @contextmanager
    def _together(self) -> Iterator[Call]:
        yield self._call

    def _call(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None, token: Secret | None = None
    ) -> bytes:  # fmt: skip
        self.calls += 1
        headers = {"authorization": f"Bearer {token.reveal()}"} if token else {}
        answer = self.twin.answer(TwinCall(method, urlsplit(url).path, {}, headers, urlencode(form or {}).encode()))
        if answer.status != 200:
            raise Refused("no", native=str(answer.status))
        return answer.body if isinstance(answer.body, bytes) else self.mark + json.dumps(answer.body).encode()

    def code(self, sign_in: SignIn) -> str:
        """What the browser brings back."""
        query = dict(parse_qsl(urlsplit(self.side.sign_in_address(sign_in)).query))
        back = self.twin.answer(TwinCall("GET", "/api/v2/authorize", query, {}, b"")).headers["Location"]
        return dict(parse_qsl(urlsplit(back).query))["code"]

    def sign_in(self, secret: str = "un-secret", **more: Any) -> SignedIn:
        sign_in = SignIn(secret, time.time())
        return self.side.identify(self.code(sign_in), sign_in, time.time(), **more)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def failure(setting: Setting, **more: Any) -> str:
    with pytest.raises(SignInFailed) as found:
        setting.sign_in(**more)
    return found.value.reason


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"])
@pytest.mark.parametrize("pkce", [True, False])
def test_a_person_signs_in(algorithm: str, pkce: bool) -> None:
    setting = Setting(algorithm)
    setting.twin.pkce = pkce

    person = setting.sign_in()

    assert (person.identity, person.level) == (PERSON, "eidas1")
    asked = setting.twin.asked[0]
    assert asked["acr_values"] == "eidas1"
    assert asked["prompt"] == "login"
    assert asked["scope"].split()[0] == "openid"


# wc-api-python#40
def test_a_person_signs_in_where_json_begins_with_a_byte_order_mark(setting: Setting) -> None:
    setting.mark = b"\xef\xbb\xbf"

    assert setting.sign_in().identity == PERSON


def test_who_is_born_abroad_on_an_unknown_day_and_has_a_name_in_use_is_told_as_a_record() -> None:
    setting = Setting()
    setting.twin.person |= {
        "birthplace": "", "birthcountry": "99351", "birthdate": "1962-00-00", "preferred_username": "ROCHE",
    }  # fmt: skip

    found = setting.sign_in().identity

    assert (found["birthdate"], found["birthcountry"], found["preferred_name"]) == ("1962", "99351", "ROCHE")
    assert "birthplace" not in found


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"iss": "https://ailleurs.example/api/v2"}, "other_issuer"),
        ({"aud": "un-autre-service"}, "other_audience"),
        ({"aud": [CLIENT, "un-autre-service"]}, "other_audience"),
        ({"aud": None}, "other_audience"),
        ({"azp": "un-autre-service"}, "other_audience"),
        ({"nonce": "n" * 43}, "other_nonce"),
        ({"nonce": None}, "other_nonce"),
        ({"nonce": ["n"]}, "other_nonce"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "bad_times"),
        ({"exp": True}, "expired"),
        ({"exp": "demain"}, "expired"),
        ({"iat": 4_000_000_000}, "bad_times"),
        ({"iat": None}, "bad_times"),
        ({"auth_time": 1}, "signed_in_before"),
        ({"auth_time": "hier"}, "signed_in_before"),
        ({"at_hash": "A" * 22}, "other_access_token"),
        ({"acr": "eidas0"}, "level_too_low"),
        ({"acr": None}, "level_too_low"),
        ({"acr": ["eidas3"]}, "level_too_low"),
        ({"sub": None}, "bad_token"),
        ({"sub": "un-autre"}, "other_subject"),
    ],
)  # fmt: skip
def test_an_id_token_that_is_not_for_this_sign_in_is_not_taken(
    setting: Setting, lie: Mapping[str, Any], reason: str
) -> None:
    setting.twin.lie = lambda claims: {**claims, **lie}

    assert failure(setting) == reason


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"iss": "https://ailleurs.example/api/v2"}, "other_issuer"),
        ({"aud": "un-autre-service"}, "other_audience"),
        ({"sub": "un-autre"}, "other_subject"),
        ({"exp": 1}, "expired"),
        ({"family_name": ["CORVISART"]}, "no_identity"),
        ({"given_name": None}, "no_identity"),
        ({"given_name": "-\u0000"}, "no_identity"),
        ({"gender": "autre"}, "no_identity"),
        ({"birthdate": ""}, "no_identity"),
        ({"birthdate": "1987-00-09"}, "no_identity"),
        ({"birthcountry": "FR"}, "no_identity"),
    ],
)  # fmt: skip
def test_an_identity_that_is_another_s_or_not_whole_is_not_taken(
    setting: Setting, lie: Mapping[str, Any], reason: str
) -> None:
    setting.twin.lie_of_person = lambda claims: {**claims, **lie}

    assert failure(setting) == reason


@pytest.mark.parametrize(
    ("empty", "lacking"),
    [({"family_name": ""}, "family_name"), ({"given_name": ""}, "given_names"), ({"birthplace": ""}, "birthplace"),
     ({"gender": ""}, "gender"), ({"birthcountry": ""}, "birthcountry")],
)  # fmt: skip
def test_what_franceconnect_leaves_empty_is_absent_as_at_the_door(
    setting: Setting, empty: Mapping[str, Any], lacking: str
) -> None:
    setting.twin.person |= empty

    found = setting.sign_in().identity

    assert found.get(lacking) in (None, NO_NAME, [NO_NAME])
    assert not is_whole(found)
    assert is_whole(PERSON)


def test_without_any_name_nobody_signs_in(setting: Setting) -> None:
    setting.twin.person |= {"family_name": "", "given_name": ""}

    assert failure(setting) == "no_identity"


def test_a_level_below_the_one_asked_for_is_not_taken_and_one_above_is() -> None:
    setting = Setting(acr="eidas2")
    assert failure(setting) == "level_too_low"
    setting.twin.level = "eidas3"
    assert setting.sign_in().level == "eidas3"


def unsigned(twin: FranceConnectTwin, claims: Claims) -> str:
    return base64url(b'{"alg":"none"}') + "." + base64url(json.dumps(claims).encode()) + "."


def by_the_public_key(twin: FranceConnectTwin, claims: Claims) -> str:
    """HS256 under what everybody knows (algorithm confusion)."""
    head = base64url(b'{"alg":"HS256","kid":"e1"}') + "." + base64url(json.dumps(claims).encode())
    mac = hmac.digest(twin.keys["ES256"].as_pem(private=False), head.encode(), "sha256")
    return f"{head}.{base64url(mac)}"


def by_the_client_secret(twin: FranceConnectTwin, claims: Claims) -> str:
    return twin.signed_by({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


def by_its_other_key(twin: FranceConnectTwin, claims: Claims) -> str:
    return twin.signed_by({"alg": "RS256", "kid": "r1"}, claims, twin.keys["RS256"])


def by_a_key_of_ones_own(twin: FranceConnectTwin, claims: Claims) -> str:
    key = ECKey.generate_key("P-256")
    return twin.signed_by({"alg": "ES256", "kid": "e1"}, claims, key)


def by_a_key_in_its_head(twin: FranceConnectTwin, claims: Claims) -> str:
    key = ECKey.generate_key("P-256")
    return twin.signed_by({"alg": "ES256", "jwk": key.as_dict(private=False)}, claims, key)


def cut(twin: FranceConnectTwin, claims: Claims) -> str:
    return twin.signed(claims).rpartition(".")[0]


FORGERIES: list[Callable[[FranceConnectTwin, Claims], str]] = [
    unsigned, by_the_public_key, by_the_client_secret, by_its_other_key, by_a_key_of_ones_own, by_a_key_in_its_head,
    cut,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_token_that_another_key_or_none_signed_is_not_taken(
    setting: Setting, forge: Callable[[FranceConnectTwin, Claims], str]
) -> None:
    setting.twin.sign = lambda claims: forge(setting.twin, claims)

    assert failure(setting) in ("bad_signature", "no_such_key")


def test_a_code_is_taken_by_the_sign_in_that_it_was_given_to(setting: Setting) -> None:
    """A code put into another's sign-in: the nonce, and PKCE where there is any, are of another secret."""
    mine, other = SignIn("mine", time.time()), SignIn("other", time.time())
    for setting.twin.pkce, reason in ((False, "other_nonce"), (True, "call_refused")):
        setting.clock += 4000
        stolen = setting.code(other)
        with pytest.raises(SignInFailed) as found:
            setting.side.identify(stolen, mine, time.time())
        assert found.value.reason == reason


def test_a_code_is_taken_once(setting: Setting) -> None:
    sign_in = SignIn("mine", time.time())
    code = setting.code(sign_in)
    setting.side.identify(code, sign_in, time.time())
    with pytest.raises(SignInFailed, match="call_refused"):
        setting.side.identify(code, sign_in, time.time())


def test_who_else_says_that_it_sent_them_is_not_believed(setting: Setting) -> None:
    assert failure(setting, issuer="https://ailleurs.example/api/v2") == "other_issuer"
    assert setting.sign_in(issuer=setting.twin.issuer).level == "eidas1"
    setting.twin.said, setting.clock = {"authorization_response_iss_parameter_supported": True}, 4000
    assert failure(setting) == "other_issuer"


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://ailleurs.example"}, {"token_endpoint": None}, {"userinfo_endpoint": "file:///etc/hostname"},
        {"jwks_uri": ["x"]}, {"authorization_endpoint": "javascript:alert(1)"},
    ],
)  # fmt: skip
def test_what_does_not_describe_a_franceconnect_is_not_used(setting: Setting, said: Mapping[str, Any]) -> None:
    setting.twin.said = dict(said)

    assert failure(setting) == "bad_description"


def test_a_key_that_came_since_is_looked_for_and_not_at_each_call(setting: Setting) -> None:
    setting.sign_in()
    setting.twin.keys["ES256"] = ECKey.generate_key("P-256", {"kid": "e2"})
    assert failure(setting) == "no_such_key"
    before = setting.calls
    assert failure(setting) == "no_such_key"
    assert setting.calls == before + 1  # the code alone
    setting.twin.published = [setting.twin.keys["ES256"].as_dict(private=False)]
    setting.clock += 61
    assert setting.sign_in().level == "eidas1"


def test_the_session_is_ended_where_franceconnect_says(setting: Setting) -> None:
    address = setting.side.sign_out_address(Secret("jeton"))
    assert address is not None
    assert address.startswith(f"{setting.twin.issuer}/session/end?id_token_hint=jeton&state=")
    setting.twin.said, setting.clock = {"end_session_endpoint": None}, 4000
    assert setting.side.sign_out_address(Secret("jeton")) is None


def test_neither_the_secret_of_a_sign_in_nor_a_person_is_printed(setting: Setting) -> None:
    shown = repr(SignIn("un-secret", 0.0)) + repr(setting.sign_in())
    assert "un-secret" not in shown
    assert str(MAELLE["family_name"]) not in shown

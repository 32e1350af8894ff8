"""A REST connector of which nothing is written in Python keeps every promise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance.case import Bench
from connectors.conformance.finding import stands_of
from connectors.sdk import Secret
from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import find_manifests
from connectors.sdk.twin import TwinCall
from hub.settings.procedures import procedure_slugs
from schemas.errors import AccessDenied, ConfigError
from schemas.manifest import Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES, example

_SLOW = ("misbehaviours", "garbage-answers")
_QUICK = [name for name in conformance.CHECKS if name not in _SLOW]


@pytest.mark.parametrize("rules", [_QUICK, ["misbehaviours", "fault-codes"], ["garbage-answers", "leaks"]], ids=len)
@pytest.mark.parametrize("name", ["adherents", "envoi"])
def test_it_keeps_every_promise(name: str, rules: list[str]) -> None:
    outcome = conformance.examine(example(name), only=rules)

    assert outcome.faults == ()
    verdicts = {result.rule.name: result.verdict for result in outcome.results}
    assert {verdicts[rule] for rule in rules} <= {"passed", "not applicable"}
    assert verdicts[rules[0]] == "passed"


def test_its_folder_is_sound_and_holds_no_python() -> None:
    assert [
        fault for fault in connector_faults(EXAMPLES, Registry.load(), procedure_slugs()) if "adherents" in fault.file
    ] == []
    assert not list((EXAMPLES / "adherents").rglob("*.py"))


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Manifest]:
    """The connector with some of its files written otherwise."""

    def change(
        toml: Callable[[str], str] = lambda text: text, contract: Callable[[str], str] = lambda text: text
    ) -> Manifest:
        folder = tmp_path / "ours" / "adherents"
        shutil.copytree(EXAMPLES / "adherents", folder)
        for name, edit in (("connector.toml", toml), ("contract/openapi.yaml", contract)):
            path = folder / name
            path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
        return find_manifests(tmp_path / "ours")["adherents"]

    return change


def signature_as(said: str) -> Callable[[str], str]:
    old = '{ kind = "hmac-sha256-hex", header = "x-adherents-signature", secret = "webhook_secret" }'
    key = 'client_id = { type = "text", about = "Notre identifiant." }'
    return lambda text: text.replace(old, said).replace(
        key, f'{key}\npublic_key = {{ type = "text", about = "Clé.", optional = true }}'
    )


@pytest.mark.parametrize(
    "said",
    [
        '{ kind = "hmac-sha512-base64", header = "x-sign", prefix = "sha512=", secret = "webhook_secret" }',
        '{ kind = "hmac-sha256-timestamped", header = "x-sign", secret = "webhook_secret" }',
        '{ kind = "basic", user = "{client_id}", secret = "webhook_secret" }',
        '{ kind = "bearer", secret = "webhook_secret" }',
        '{ kind = "api-key", header = "x-key", secret = "webhook_secret" }',
        '{ kind = "jwt", secret = "webhook_secret", issuer = "adherents" }',
        '{ kind = "jwt", algorithm = "RS256", public_key = "public_key", audience = "{client_id}" }',
        '{ kind = "jwt", algorithm = "ES256", public_key = "public_key" }',
        '{ kind = "standard-webhooks", secret = "webhook_secret" }',
        '{ kind = "publik", user = "adherents", secret = "webhook_secret" }',
    ],
    ids=lambda said: said.split('"')[1] + said.split('"')[3][:5],
)
def test_calls_of_the_package_are_signed_as_it_declares(changed: Callable[..., Manifest], said: str) -> None:
    outcome = conformance.examine(changed(signature_as(said)), only=["receiving", "order"])

    assert outcome.faults == ()


def test_news_of_a_list_are_new_and_dated_now(changed: Callable[..., Manifest]) -> None:
    bench = Bench(example("adherents"))
    with stands_of(bench.manifest)[0](bench) as case:
        assert case.news is not None
        assert case.turn is not None
        case.news(2)
        bench.clock.move(600)
        case.turn(1)
        events = [event for polled in case.connect().poll(None) for event in polled.events]

    assert [event.data["request"]["references"][0]["id"] for event in events] == ["2", "1"]
    assert events[1].time == (bench.clock() - timedelta(seconds=30)).isoformat().replace("+00:00", "Z")


def test_a_sample_that_the_contract_does_not_allow_is_told_with_its_file(changed: Callable[..., Manifest]) -> None:
    manifest = changed()
    (manifest.folder / "samples/answers").mkdir()
    (manifest.folder / "samples/answers/GET-members-id.json").write_text('{"member": {"id": 1}}', encoding="utf-8")

    with (
        pytest.raises(ConfigError, match=r"GET-members-id\.json.*required \(card"),
        stands_of(manifest)[0](Bench(manifest)),
    ):
        pass


def test_a_call_that_the_contract_does_not_name_is_told(changed: Callable[..., Manifest]) -> None:
    manifest = changed(lambda text: text.replace('probe = "GET ping"', 'probe = "GET pong"'))

    with pytest.raises(ConfigError, match="names no `GET pong`"), stands_of(manifest)[0](Bench(manifest)) as case:
        case.connect()


def test_the_twin_lets_in_who_bears_what_it_gave(changed: Callable[..., Manifest]) -> None:
    manifest = changed(
        lambda text: text.replace(
            'auth = { kind = "oauth", token_url = "{base_url}/token", client_id = "{client_id}", '
            'client_secret = "{client_secret}" }',
            'auth = { kind = "bearer", token = "{client_secret}" }',
        )
    )  # fmt: skip
    bench = Bench(manifest)
    with stands_of(manifest)[0](bench) as case:
        connector = case.connect()
        [delivery] = case.deliveries
        assert connector.handle(delivery).answer
        case.twin.accepted.clear()  # type: ignore[attr-defined]
        case.twin.accepted.add("another")  # type: ignore[attr-defined]
        with pytest.raises(AccessDenied):
            connector.handle(replace(delivery, key="k-2"))


_PAGES = 'paging = { kind = "page", param = "page", size = 3, size_param = "per_page" }'
_CURSOR = (
    'cursor = { kind = "since", param = "updated_since", at = "/updated_at | instant", id = "/id | text", '
    'overlap = "10m" }\ncatch_up = "catch_up_days"'
)
_RANK = "        rank: {type: integer}\n        activity:"
_AUTH = (
    'auth = { kind = "oauth", token_url = "{base_url}/token", client_id = "{client_id}", '
    'client_secret = "{client_secret}" }'
)
_SESSION = 'auth = { kind = "session", call = "POST sign_in", form = { id = "{client_id}", secret = "{client_secret}" }'
_OAUTH = """type: oauth2
      flows:
        clientCredentials:
          tokenUrl: https://adherents.example/token
          scopes: {}
"""
_BODY = "required: true\n        content:\n          "
_POLLED = ["declaration", "polling", "pages", "turns", "order", "bad-record", "contract"]
_CALLED = ["probe", "one-effect", "refusals", "turns", "answering", "contract"]


def replacing(*pairs: tuple[str, str]) -> Callable[[str], str]:
    def edit(text: str) -> str:
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return text

    return edit


def _named(name: str) -> list[tuple[str, str]]:
    parameter = "        - {name: updated_since,"
    return [(parameter, f"        - {{name: {name}, in: query, schema: {{}}}}\n{parameter}")]


def named(name: str) -> Callable[[str], str]:
    return replacing(*_named(name))


def test_what_is_kept_must_be_named_by_the_contract(changed: Callable[..., Manifest]) -> None:
    manifest = changed(lambda text: text.replace('path = "members/{id}"', 'path = "persons/{id}"'))

    with pytest.raises(ConfigError, match="no such path"), stands_of(manifest)[0](Bench(manifest)):
        pass


@pytest.mark.parametrize(
    ("toml", "contract"),
    [
        (replacing((_PAGES, 'paging = { kind = "offset", param = "start", size = 3 }')), named("start")),
        (replacing((_PAGES, 'paging = { kind = "cursor", param = "after", next = "/next" }')), named("after")),
        (replacing((_PAGES, 'paging = { kind = "next", next = "/links/next" }')), replacing()),
        (replacing((_PAGES, 'paging = { kind = "link" }')), replacing()),
        (replacing((_PAGES, "")), replacing()),
        (replacing(('catch_up = "catch_up_days"', ""), ('timeout = "timeout_seconds"', "")), replacing()),
        (replacing((_CURSOR, "")), replacing()),
        (
            replacing(
                (_CURSOR, 'cursor = { kind = "rank", param = "after", at = "/rank" }'),
                ("registration-{/id}-{/status}-{/updated_at}", "registration-{/rank}"),
            ),
            replacing(("        activity:", _RANK), ("[id, activity,", "[id, rank, activity,"), *_named("after")),
        ),
    ],
    ids=["offset", "cursor", "next", "link", "one page", "no settings", "the whole list", "rank"],
)  # fmt: skip
def test_a_list_is_polled_as_it_is_declared(
    changed: Callable[..., Manifest], toml: Callable[[str], str], contract: Callable[[str], str]
) -> None:
    assert conformance.examine(changed(toml, contract), only=_POLLED).faults == ()


@pytest.mark.parametrize(
    ("toml", "contract"),
    [
        (replacing((_AUTH, _SESSION + ', token = "/token" }')), replacing()),
        (replacing((_AUTH, _SESSION + ', keep = ["x-a", "x-b"] }')), replacing(("security:\n  - account: []\n", ""))),
        (
            replacing((_AUTH, 'auth = { kind = "basic", user = "{client_id}", password = "{client_secret}" }')),
            replacing((_OAUTH, "type: http\n      scheme: basic\n")),
        ),
        (
            replacing((_AUTH, 'auth = { kind = "api-key", query = "k", value = "{client_secret}" }')),
            replacing((_OAUTH, "type: apiKey\n      in: query\n      name: k\n")),
        ),
        (
            replacing((_AUTH, 'auth = { kind = "publik", orig = "{client_id}", key = "{client_secret}" }')),
            replacing(("security:\n  - account: []\n", "")),
        ),
        (
            replacing(("body = { email", "form = { email")),
            replacing((f"{_BODY}application/json", f"{_BODY}application/x-www-form-urlencoded")),
        ),
        (replacing(('[[twin.keep]]\npath = "members/{id}"\nkey = "/member/id"\n', "")), replacing()),
    ],
    ids=["session", "session in headers", "basic", "key in the query", "signed query", "form", "nothing kept"],
)  # fmt: skip
def test_the_twin_lets_in_and_takes_what_is_declared(
    changed: Callable[..., Manifest], toml: Callable[[str], str], contract: Callable[[str], str]
) -> None:
    assert conformance.examine(changed(toml, contract), only=_CALLED).faults == ()


@pytest.mark.parametrize(
    "auth",
    [
        _AUTH,
        _AUTH.replace(" }", ', credentials = "form" }'),
        _AUTH.replace('"oauth"', '"oauth-password"').replace(
            " }", ', user = "{client_id}", password = "{client_id}" }'
        ),
        _SESSION + ', token = "/token" }',
        _SESSION.replace("form =", "body =") + ', token = "/token" }',
        _SESSION.replace("sign_in", "sign_in?id={client_id}").replace("id = ", "name = ") + ', token = "/token" }',
    ],
    ids=["oauth", "oauth by form", "password grant", "session by form", "session in JSON", "session by query"],
)
def test_who_signs_in_must_say_what_the_settings_say(changed: Callable[..., Manifest], auth: str) -> None:
    manifest = changed(replacing((_AUTH, auth)))
    with stands_of(manifest)[0](Bench(manifest)) as case:
        connector = case.connect()
        assert connector.handle(case.deliveries[0]).answer
        settings = connector.context.settings
        for name, wrong in (("client_secret", Secret("another")), ("client_id", "another")):
            context = replace(connector.context, settings={**settings, name: wrong})
            with pytest.raises(AccessDenied):
                type(connector)(context).handle(case.deliveries[0])
        door = case.twin.door  # type: ignore[attr-defined]
        assert case.twin.answer(TwinCall(door.method, door.path, {}, {}, b"")).status == 401  # type: ignore[attr-defined]


_NOWHERE = """
[[poll.event]]
type = "request.status-changed"
only = { "/nowhere" = "*" }
id = "other-{/id}"
about = "/id"
status = "/status"

[[answer]]"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "registration-{/id}"\n', 'only = { "/status" = "none" }\nid = "registration-{/id}"\n',
         "no sample of samples/webhooks gives request.received"),
        ("[[answer]]", _NOWHERE,
         "no record of `GET registrations` gives request.status-changed (number 2 of [[poll.event]])"),
    ],
    ids=["call", "list"],
)  # fmt: skip
def test_each_event_that_is_declared_comes_of_a_sample(
    changed: Callable[..., Manifest], old: str, new: str, told: str
) -> None:
    assert told in conformance.examine(changed(replacing((old, new))), only=["declaration"]).faults


def test_a_call_that_cannot_be_read_is_told_with_its_sample_its_place_and_what_is_admitted(
    changed: Callable[..., Manifest],
) -> None:
    manifest = changed()
    mapping = manifest.folder / "mapping.csv"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("intake;=desk", "intake;/activity"), "utf-8")

    told = conformance.examine(manifest, only=["receiving"]).faults[0]
    assert told.startswith("receive samples/webhooks/registered.json: raised InvalidMessage (/activity: ")
    assert "(enum) ; admises : " in told
    assert "desk" in told


def refused(manifest: Manifest, name: str, body: str) -> tuple[str, ...]:
    answers = manifest.folder / "samples/answers"
    answers.mkdir(exist_ok=True)
    (answers / name).write_text(body, encoding="utf-8")
    return conformance.examine(manifest, only=["refusals"]).faults


_FROZEN = '{"error": {"code": "FROZEN"}}'
_PATCHED = "PATCH-members-id.422.json"
_MEMBER = "GET-members-id.404.json"
_MEANS = 'FROZEN = { means = "refused"'
_UNKNOWN = '[[error]]\nstatus = 404\nnative = "/error/code"\ntable = { UNKNOWN_MEMBER = "no-record" }\n\n'


@pytest.mark.parametrize("means", ["refused", "later", "denied", "expired"])
def test_a_refusal_among_the_samples_becomes_what_is_declared(changed: Callable[..., Manifest], means: str) -> None:
    manifest = changed(replacing((_MEANS, f'UNKNOWN_MEMBER = "refused", FROZEN = {{ means = "{means}"')))

    assert refused(manifest, _PATCHED, _FROZEN) == ()


def test_a_refusal_of_a_question_becomes_what_is_declared(changed: Callable[..., Manifest]) -> None:
    manifest = changed(replacing(("[[error]]\n", _UNKNOWN + "[[error]]\n")))

    assert refused(manifest, _MEMBER, '{"error": {"code": "UNKNOWN_MEMBER"}}') == ()


def test_a_code_that_nothing_is_declared_for_is_told_with_its_file(changed: Callable[..., Manifest]) -> None:
    told = refused(changed(), _PATCHED, '{"error": {"code": "MALFORMED"}}')

    assert told == (f"samples/answers/{_PATCHED}: no [[error]] says what it means",)


def test_a_connector_that_takes_a_refusal_otherwise_is_told(changed: Callable[..., Manifest]) -> None:
    manifest = changed(replacing((_MEANS, 'UNKNOWN_MEMBER = "refused", FROZEN = { means = "later"')))
    (manifest.folder / "connector.py").write_text(_MISREADING, encoding="utf-8")

    [told] = refused(find_manifests(manifest.folder.parent)["adherents"], _PATCHED, _FROZEN)
    assert told.startswith(f"samples/answers/{_PATCHED}: raised Refused, not TryLater")


@pytest.mark.parametrize("name", ["GET-ping.404.json", "POST-nothing.422.json"])
def test_a_refusal_of_what_is_not_called_is_told(changed: Callable[..., Manifest], name: str) -> None:
    [told] = refused(changed(), name, _FROZEN)

    assert name in told


_MISREADING = """
from connectors.sdk.kinds.rest import RestConnector
from schemas.errors import Refused, TryLater


class Connector(RestConnector):
    def send(self, delivery, prepared):
        try:
            return super().send(delivery, prepared)
        except TryLater as error:
            raise Refused("non", native="x") from error
"""

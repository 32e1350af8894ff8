"""The kind `soap`: a payment service that its connector.toml declares, without a line of code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import conformance
from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import find_manifests
from connectors.sdk.mapping import fields_of
from hub.settings.procedures import procedure_slugs
from schemas.errors import AccessDenied, Expired, HubError, Refused, TryLater, Unknown
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from schemas.secret import Secret
from tests.connectors.sdk.kinds.agenda import EXAMPLES, example
from tests.connectors.sdk.kinds.encaissement import PaymentTwin, connection, payment

REGISTRY = Registry.load()


@pytest.fixture
def twin() -> Iterator[PaymentTwin]:
    with PaymentTwin() as found:
        yield found


def changed(folder: Path, *changes: tuple[str, str], table: tuple[str, str] = ("", "")) -> Manifest:
    """A copy of the example with texts replaced."""
    place = folder / "encaissement"
    shutil.copytree(EXAMPLES / "encaissement", place)
    for path, pairs in ((place / FILE, changes), (place / "mapping.csv", (table,))):
        text = path.read_text("utf-8")
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text, "utf-8")
    return Manifest.load(place / FILE, fields_of)


def faults(folder: Path) -> dict[str, str]:
    found = connector_faults(folder, REGISTRY, procedure_slugs())
    return {f"{Path(fault.file).name}:{fault.line}:{fault.key}": fault.message for fault in found}


# what the manifest says


def test_a_payment_service_is_declared_without_a_line_of_code() -> None:
    manifest = example("encaissement")

    assert [path.name for path in manifest.folder.glob("*.py")] == []
    assert manifest.publishes == ("request.status-changed",)
    assert (manifest.idempotency, manifest.poll_seconds) == ("none", 15.0)
    assert manifest.consumes[0].fields == (
        "/request/form/montant_centimes", "/request/form/objet", "/request/references",
        "/request/requester/citizen/email", "/request/form/lignes",
    )  # fmt: skip
    assert find_manifests(EXAMPLES)["encaissement"].kind == "soap"


# deliveries


def test_a_delivery_becomes_the_declared_operation_and_its_answer_the_reference(twin: PaymentTwin) -> None:
    done = connection(twin).handle(payment(lignes=[{"libelle": "Repas", "montant": 4550}]))

    assert (done.answer, done.reference) == ("Paiement ouvert", "OP-1")
    assert twin.opened["OP-1"] == {
        "regie": "090", "montant": 4550, "objet": "Cantine de mars", "dossier": "cantine-17",
        "courriel": "maelle.corvisart@courriel.example", "jeton": None,
        "lignes": [{"libelle": "Repas", "montant": 4550}],
    }  # fmt: skip


def test_the_probe_asks_what_the_manifest_says(twin: PaymentTwin) -> None:
    assert connection(twin).probe().ok
    assert twin.asked == [("lireRegie", {"arg0": {"regie": "090", "jeton": None}})]


def test_a_probe_that_fails_says_why_without_raising(twin: PaymentTwin) -> None:
    twin.misbehave("500")

    found = connection(twin).probe()

    assert not found.ok
    assert "Régie en ligne" in found.detail


@pytest.mark.parametrize("amount", [None, "", "quarante", 99, 10**9, True, -4550, 45.5, [4550], {"cents": 4550}])
def test_an_amount_that_cannot_be_said_is_refused_before_anything_is_sent(twin: PaymentTwin, amount: object) -> None:
    with pytest.raises(Refused, match="/request/form/montant_centimes"):
        connection(twin).handle(payment(montant_centimes=amount))

    assert twin.calls == []


@pytest.mark.parametrize(
    ("code", "kind", "by"), [("P5", TryLater, ""), ("P1", Expired, ""), ("A2", Refused, ""), ("R3", Refused, "service")]
)
def test_each_code_of_the_package_means_what_the_table_says(
    twin: PaymentTwin, code: str, kind: type[HubError], by: str
) -> None:
    twin.refuse("ouvrirEncaissement", code)  # the official PayFiP sample R3

    with pytest.raises(HubError) as caught:
        connection(twin).handle(payment())

    assert type(caught.value) is kind
    assert (caught.value.native, caught.value.by) == (code, by)
    assert "Corvisart" not in f"{caught.value} {caught.value.detail}"


def test_a_code_that_the_table_does_not_name_is_not_repeated(twin: PaymentTwin) -> None:
    twin.refuse("ouvrirEncaissement", "Mme Corvisart")

    with pytest.raises(Refused) as caught:
        connection(twin).handle(payment())

    assert "Corvisart" not in f"{caught.value} {caught.value.native} {caught.value.fault}"


@pytest.mark.parametrize("trouble", ["lose_answer", "half", "garbage", "html", "empty", "500"])
def test_a_lost_acknowledgement_of_what_cannot_be_repeated_is_left_to_a_person(twin: PaymentTwin, trouble: str) -> None:
    twin.misbehave(trouble, on="ouvrirEncaissement")

    with pytest.raises(Unknown):
        connection(twin).handle(payment())


def test_an_answer_without_the_reference_is_not_taken_for_one(twin: PaymentTwin, tmp_path: Path) -> None:
    manifest = changed(tmp_path, ('reference = "return/numeroOperation"', 'reference = "return/adresse"'))
    twin.misbehave("inside", on="ouvrirEncaissement")

    with pytest.raises(Unknown):
        connection(twin, manifest=manifest).handle(payment())


def test_an_answer_whose_reference_is_empty_is_named_by_its_place(twin: PaymentTwin) -> None:
    connector = connection(twin)
    twin._operations["ouvrirEncaissement"] = lambda request: {"return": {"adresse": "https://payer.example"}}

    with pytest.raises(Unknown) as caught:
        connector.handle(payment())

    assert caught.value.fault == "bad-return.return.numeroOperation"


INSIDE = """
[[error]]
native = "return/adresse"
table = { COMPLET = { means = "later", fault = "away.quota" }, KO = "refused", "*" = "success" }

[[deliver]]"""


@pytest.mark.parametrize(("said", "kind"), [("COMPLET", TryLater), ("KO", Refused), ("https://payer.example/1", None)])
def test_an_error_inside_a_success_means_what_the_table_says(
    twin: PaymentTwin, tmp_path: Path, said: str, kind: type[HubError] | None
) -> None:
    connector = connection(twin, manifest=changed(tmp_path, ("\n[[deliver]]", INSIDE)))
    answer = {"return": {"numeroOperation": "OP-1", "adresse": said}}
    twin._operations["ouvrirEncaissement"] = lambda request: answer

    if kind is None:
        assert connector.handle(payment()).reference == "OP-1"
        return
    with pytest.raises(kind) as caught:
        connector.handle(payment())
    assert caught.value.native == said


# calls that can be repeated


def test_a_key_stands_at_the_argument_that_the_manifest_names(twin: PaymentTwin, tmp_path: Path) -> None:
    manifest = changed(tmp_path, ('again = "none"', 'again = "key:arg0/objet"'))
    twin.misbehave("lose_answer", on="ouvrirEncaissement")

    with pytest.raises(TryLater):
        connection(twin, manifest=manifest).handle(payment())

    assert manifest.idempotency == "native-key"
    assert twin.opened["OP-1"]["objet"] == "key-1"


ANSWER = 'answer = "Paiement ouvert"\n'
LOOK_UP = """again = "look-up"

[deliver.look_up]
operation = "chercherEncaissement"
ask = { arg0 = { dossier = "/request/references/0/id | text" } }
reference = "return/numeroOperation"
"""


def test_a_declared_look_up_finds_what_a_lost_answer_left_behind(twin: PaymentTwin, tmp_path: Path) -> None:
    manifest = changed(tmp_path, ('again = "none"\n', ""), (ANSWER, ANSWER + LOOK_UP))
    connector = connection(twin, manifest=manifest)
    twin.misbehave("lose_answer", on="ouvrirEncaissement")
    assert connector.look_up(payment()) is None
    with pytest.raises(Unknown):
        connector.handle(payment())

    found = connector.look_up(payment())

    assert manifest.idempotency == "look-up-first"
    assert found is not None
    assert (found.reference, found.answer) == ("OP-1", "Paiement ouvert")
    assert connector.look_up(payment(2, "cantine-18")) is None


# accounts


BASIC = ('url = "{url}"', 'url = "{url}"\nauth = { kind = "basic", user = "{regie}", password = "{secret}" }')
SECURITY = ('url = "{url}"', 'url = "{url}"\nauth = { kind = "ws-security", user = "{regie}", password = "{secret}" }')
SESSION = (
    'url = "{url}"',
    """url = "{url}"
auth.kind = "session"
auth.operation = "ouvrirSession"
auth.ask = { compte = "{regie}", secret = "{secret}" }
auth.token = "jeton"
auth.argument = "arg0/jeton"
""",
)
SETTING = ("[soap]", 'secret = { type = "secret", about = "Mot de passe." }\n\n[soap]')


@pytest.mark.parametrize("auth", [BASIC, SECURITY, SESSION], ids=["basic", "ws-security", "session"])
def test_the_package_is_told_who_calls(twin: PaymentTwin, tmp_path: Path, auth: tuple[str, str]) -> None:
    manifest = changed(tmp_path, auth, SETTING)
    twin.account = ("090", "a-secret") if auth is BASIC else None
    twin.login = ("090", "a-secret") if auth is SECURITY else None

    assert connection(twin, manifest=manifest, secret=Secret("a-secret")).handle(payment()).reference == "OP-1"
    with pytest.raises(AccessDenied) as caught:
        connection(twin, manifest=manifest, secret=Secret("another")).handle(payment(2))

    assert "another" not in f"{caught.value} {caught.value.detail}"
    assert len(twin.opened) == 1


def test_a_session_that_is_over_is_opened_again_once(twin: PaymentTwin, tmp_path: Path) -> None:
    connector = connection(twin, manifest=changed(tmp_path, SESSION, SETTING), secret=Secret("a-secret"))
    connector.handle(payment())
    twin.sessions.append("of somebody else")

    assert connector.handle(payment(2, "cantine-18")).reference == "OP-2"
    assert len(twin.sessions) == 3


# the promises of all connectors


@pytest.mark.parametrize("again", ["none", "look-up", "key:arg0/objet"])
def test_it_keeps_the_promises_of_a_connector(tmp_path: Path, again: str) -> None:
    look_up = (ANSWER, ANSWER + LOOK_UP) if again == "look-up" else (ANSWER, f'again = "{again}"\n{ANSWER}')
    often = ('every = ["15s", "2m", "15m", "1h"]', 'every = ["15s"]')

    only = tuple(conformance.CHECKS) if again == "none" else ("one-effect", "misbehaviours")

    conformance.check(changed(tmp_path, ('again = "none"\n', ""), look_up, often), only=only)


# what `check` says


def test_a_sound_declared_connector_has_no_fault(tmp_path: Path) -> None:
    changed(tmp_path)

    assert faults(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (('"lireRegie"', '"lireRegies"'), "soap.probe.operation", 'did you mean "lireRegie"'),
        (("arg0 = { regie =", "arg0 = { regi ="), "soap.probe", 'did you mean "arg0/regie"'),
        (('"{regie}" } }', '"{regies}" } }'), "soap.probe", 'did you mean "regie"'),
        (('"ouvrirEncaissement"', '"ouvrirEncaissements"'), "deliver[0].operation", "no operation"),
        (('"return/numeroOperation"', '"return/numero"'), "deliver[0].reference", "numeroOperation"),
        (('again = "none"', 'again = "key:arg0/cle"'), "deliver[0].again", "arg0/cle"),
        (('again = "none"', 'again = "look-up"'), "deliver[0].again", "look_up"),
        (('status = "return/etat"', 'status = "return/etas"'), "follow[0]", 'did you mean "return/etat"'),
        (('until = "2h"', 'until = "2 hours"'), "follow[0].until", "duration"),
        (('| paris"', '| pariss"'), "follow[0]", "pariss"),
        (('until = "2h"', 'until = "2h"\nover = "X"'), "follow[0].over", 'does not say what "X" means'),
        (('until = "2h"', 'until = "2h"\nopened_by = ["citizen.merged"]'), "follow[0].opened_by", "no [[deliver]]"),
        (('reference = "return/numeroOperation"\n', ""), "follow[0]", "nothing to follow"),
        (('.wsdl"\nxsd', '.wsld"\nxsd'), "soap.wsdl", "not a usable contract"),
        (('"{url}"', '"{url}"\nauth = { kind = "basic", user = "{regie}" }'), "soap.auth.password", "basic"),
        (BASIC, "soap.auth", "nothing is known"),
    ],
)  # fmt: skip
def test_check_names_the_place_of_what_is_wrong(
    tmp_path: Path, change: tuple[str, str], key: str, message: str
) -> None:
    changed_raw(tmp_path, change)

    found = faults(tmp_path)

    assert any(place.endswith(f":{key}") and message in said for place, said in found.items()), found


def changed_raw(folder: Path, change: tuple[str, str]) -> None:
    place = folder / "encaissement"
    shutil.copytree(EXAMPLES / "encaissement", place)
    text = (place / FILE).read_text("utf-8")
    assert change[0] in text
    (place / FILE).write_text(text.replace(*change, 1), "utf-8")


def test_a_line_whose_target_the_contract_does_not_have_is_named(tmp_path: Path) -> None:
    changed(tmp_path, table=("arg0/montant", "arg0/montent"))

    assert 'did you mean "arg0/montant"' in faults(tmp_path)["mapping.csv:3:target"]

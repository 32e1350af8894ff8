"""What a report shows of a message names nobody: not in values, nor in keys, file names, elements or paths, whoever the
person is and whatever the package's format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.conformance import opened_case
from connectors.sdk import Inbound, find_manifests
from connectors.sdk.redacted import _CODES, Redactor
from schemas.delivery import Delivery
from schemas.errors import HubError
from schemas.event import Event
from schemas.registry import Registry
from schemas.words import words_in

REGISTRY = Registry.load()
# The words of the form itself, and of closed lists: nobody's.
FORM = words_in([
    "texte", "nombre", "octets", "vrai", "faux", "null", "en tout", "vide", "chemin", "paramètres", "en-têtes", "octet",
    "formulaire", "formulaires", "corps", "balises illisibles", "GET POST PUT PATCH DELETE", "str", "int", "NoneType",
])  # fmt: skip
NAMES = st.text(
    st.characters(categories=("Lu", "Ll", "Lt", "Lo", "Nd", "Pd", "Zs"), include_characters="'_."),
    min_size=3,
    max_size=24,
)
PEOPLE = st.lists(NAMES.filter(lambda name: any(len(word) > 2 for word in words_in(name))), min_size=1, max_size=4)


def shown_words(sample: str) -> set[str]:
    """Without the lengths of texts, which are numbers in brackets."""
    return {word for word in words_in(re.sub(r"\(\d+\)|\d+ (octets?|en tout)", "", sample)) if len(word) > 2}


def leaks(sample: str, said: Any) -> set[str]:
    return shown_words(sample) & {word for word in words_in(said) if len(word) > 2} - FORM


@dataclass
class Prepared:
    """As connectors prepare it: a call, with files by their name."""

    method: str
    path: str
    json: dict[str, Any]
    files: dict[str, bytes]


# --- made-up people, and a format that vouches for their very names ---------------------------------------------------


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(people=PEOPLE, data=st.data())
def test_no_word_of_what_was_said_is_shown_even_where_the_format_has_the_same_name(
    people: list[str], data: Any
) -> None:
    said = {"citizen": {"identity": {"family_name": people[0], "given_names": people}, "note": " ".join(people)}}
    parts = st.sampled_from(people)
    keyed = {data.draw(parts): data.draw(parts), "nested": {data.draw(parts): [{data.draw(parts): data.draw(parts)}]}}
    call = Prepared("PATCH", "/" + "/".join(people), keyed, {f"{data.draw(parts)}.pdf": b"x"})
    redactor = Redactor({*people, *(word for name in people for word in name.split()), "nested", "citizen"})

    for message in (keyed, call, json.dumps(keyed).encode(), [keyed], said):
        assert not leaks(redactor.sample(message, said), said)
    inbound = Inbound("POST", "/" + people[0], {}, {}, json.dumps(said).encode())
    assert not leaks(redactor.sample(inbound, said), said)


@settings(max_examples=100, deadline=None)
@given(people=PEOPLE)
def test_a_name_that_no_format_vouches_for_is_never_shown(people: list[str]) -> None:
    keyed = {person: {person: 1} for person in people}
    sample = Redactor({"reference"}).sample({**keyed, "reference": "x"}, {})

    assert "reference: texte (1)" in sample
    assert not shown_words(sample) - {"REFERENCE"} - FORM


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("helene", "Hélène"),
        ("DUPONT", "dupont"),
        ("mail_OEuvrard", "Œuvrard"),
        ("fiche-Nguyễn", "NGUYEN"),
        ("d.arcy", "d’Arcy"),
    ],
)
def test_a_key_is_compared_however_it_is_written(name: str, said: str) -> None:
    assert name not in Redactor({name}).sample({name: 1}, {"name": said})


def test_the_town_names_the_fields_of_its_own_forms(tmp_path: Any) -> None:
    redactor = Redactor.of(tmp_path, (), {"forms": {"cantine": {"fields": {"enfant_prenom": "/given_names"}}}})
    said = {"enfant_prenom": "Wenceslas", "quenneville": "x", "given_names": "y"}

    assert redactor.sample(said, said) == "{enfant_prenom: texte (9), …: texte (1), …: texte (1)}"


def test_what_is_of_the_format_is_shown_with_the_kind_and_length_of_its_values() -> None:
    redactor = Redactor({"phone", "api", "users", "address"})
    said = {"citizen": {"identity": {"family_name": "Quenneville"}}, "status": "address"}
    call = Prepared("PATCH", "/api/users/4711", {"phone": "0600000000", "address": {"x": None}}, {})

    assert redactor.sample(call, said) == (
        "PATCH /api/users/…  chemin texte (15) ; corps {phone: texte (10), address: {…: null}}"
    )


@pytest.mark.parametrize("body", [b"\xff\xfe", b"<a>Quenneville</a>", b"nom=Quenneville", b"", b"{", b"[" * 50_000])
def test_a_call_that_is_no_json_is_shown_by_its_length(body: bytes) -> None:
    assert Redactor({"a", "nom"}).sample(Inbound("POST", "/x", {}, {}, body), body) == f"{len(body)} octets"


# --- every connector, and every event type ----------------------------------------------------------------------------


def with_people(value: Any, name: str = "") -> Any:
    """The same event about people with names that no format has: every free text is theirs."""
    if isinstance(value, dict):
        return {key: with_people(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [with_people(part, name) for part in value]
    free = isinstance(value, str) and name not in _CODES and re.search(r"[a-zé]{3}", value) and "@" not in value
    return "Wenceslas Quenneville-d’Œuvrard" if free else value


CONNECTORS = sorted(name for name, manifest in find_manifests().items() if not manifest.outside)


@pytest.mark.parametrize("name", CONNECTORS)
def test_no_sample_of_a_connector_holds_a_word_of_its_deliveries_or_calls(name: str) -> None:
    manifest = find_manifests()[name]
    redactor = Redactor.of(manifest.folder, REGISTRY.schemas.values())
    with opened_case(manifest) as case:
        connector = case.connect()
        shown = 0
        for delivery in case.deliveries:
            for one in (delivery, _about_others(delivery)):
                said = [dict(one.event.data), one.reference]
                try:
                    sample = redactor.sample(connector.prepare(one), said)
                except HubError:
                    sample = redactor.sample(dict(one.event.data), dict(one.event.data))
                shown += 1
                assert not leaks(sample, _free(said)), sample
                assert not [text for text in case.personal if text in sample]
        for call in case.inbound:
            sample = redactor.sample(call, call)
            assert not [text for text in case.personal if text in sample], sample
        connector.close()
    assert shown == 2 * len(case.deliveries)


@pytest.mark.parametrize("event_type", sorted(REGISTRY.types()))
def test_no_sample_of_an_event_holds_a_word_of_it(event_type: str) -> None:
    redactor = Redactor.of(None, REGISTRY.schemas.values())
    for version in REGISTRY.versions(event_type):
        for example in REGISTRY.schemas[f"events/{event_type}.v{version}.json"]["examples"]:
            for data in (example, with_people(example)):
                sample = redactor.sample(data, data)
                assert not leaks(sample, _free(data)), sample


def _about_others(delivery: Delivery) -> Delivery:
    event: Event = delivery.event
    return replace(delivery, event=event.with_data(with_people(dict(event.data))))


def _free(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: _free(part) for key, part in said.items() if key not in _CODES}
    return [_free(part) for part in said] if isinstance(said, list | tuple) else said
